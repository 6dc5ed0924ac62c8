"""Guest management: feedback, chat, notifications and what is known of a guest."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from hotels.models import ChatMessage, Feedback, Guest, GuestMessage, Notification
from integrations.exceptions import InvalidInput, RequestRejected
from integrations.models import ExternalReference, Operation, SyncRun
from integrations.services.inputs import (
    ChatMessageInput,
    FeedbackInput,
    GuestMessageInput,
    MessageFilter,
    NotificationInput,
    NotificationStatusInput,
    read,
)
from integrations.services.manifest import Kind
from integrations.services.service import IntegrationService
from integrations.sync.bindings import BINDINGS
from integrations.sync.reconcile import apply_records


class GuestManagementService(IntegrationService):
    kind = Kind.GUEST_MANAGEMENT

    def sync_guest_data(self, **options: Any) -> SyncRun:
        """Run the stream `guest_data`; takes what `sync` takes."""
        return self.sync("guest_data", **options)

    def sync_feedback(self, **options: Any) -> SyncRun:
        return self.sync("feedback", **options)

    def sync_chat_messages(self, **options: Any) -> SyncRun:
        return self.sync("chat_messages", **options)

    def sync_notifications(self, **options: Any) -> SyncRun:
        return self.sync("notifications", **options)

    # --- feedback, chat, notifications -----------------------------------------------------------------------------------------

    def post_feedback(self, feedback: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Send feedback (`inputs.FeedbackInput`)."""
        return self._post("post_feedback", read(FeedbackInput, feedback), Feedback, "feedback", idempotency_key)

    def get_feedback(self, **filters: Any) -> list[Feedback]:
        """Ask the vendor for feedback, note it, and return it, newest first (`inputs.MessageFilter`)."""
        return self._get("get_feedback", "feedback", filters)

    def post_chat_message(self, message: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Send a chat message (`inputs.ChatMessageInput`)."""
        return self._post("post_chat_message", read(ChatMessageInput, message), ChatMessage, "chat_message", idempotency_key)

    def get_chat_messages(self, **filters: Any) -> list[ChatMessage]:
        return self._get("get_chat_messages", "chat_message", filters)

    def post_notification(self, notification: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Send a notification (`inputs.NotificationInput`)."""
        return self._post("post_notification", read(NotificationInput, notification), Notification, "notification", idempotency_key)

    def get_notifications(self, **filters: Any) -> list[Notification]:
        return self._get("get_notifications", "notification", filters)

    def update_notification_status(self, notification_id: int | str, status: str, *, idempotency_key: str = "") -> Operation:
        """Note at the vendor what became of a notification (`inputs.NotificationStatusInput`)."""
        given = read(NotificationStatusInput, {"status": status})
        notification, external_id = self.references.notification(notification_id)
        if not external_id:
            raise RequestRejected("This notification has not reached the vendor yet.", hint="Retry its posting first.")
        return self.push(
            "update_notification_status",
            body={"notification": notification_id, "status": given.status},
            given=given,
            idempotency_key=idempotency_key,
            prepare=lambda: {
                "payload": {"notification_external_id": external_id, "status": given.status},
                "object_key": f"notification:{notification.pk if notification else external_id}",
                "record_type": "notification",
                "object_id": notification.pk if notification else None,
            },
        )

    def get_guest_preferences(self, guest_id: int | str) -> dict[str, Any]:
        """Ask the vendor what a guest likes."""
        _, external_id = self.references.guest(guest_id)
        if not external_id:
            raise RequestRejected(f"{self.provider.manifest.name} does not know this guest.", hint="Sync the guest data first.")
        return dict(self.ask("get_guest_preferences", guest_external_id=external_id))

    # --- what they have in common ----------------------------------------------------------------------------------------------

    def _post(self, name: str, given: GuestMessageInput, model: type[GuestMessage], record_type: str, key: str) -> Operation:
        if given.hotel_id not in (None, self.integration.hotel_id):
            raise InvalidInput({"hotel_id": "This integration belongs to another hotel."})
        return self.push(
            name,
            body=given.model_dump(),
            given=given,
            idempotency_key=key,
            prepare=lambda: self._prepare(given, model, record_type),
        )

    def _prepare(self, given: GuestMessageInput, model: type[GuestMessage], record_type: str) -> dict[str, Any]:
        guest, guest_external_id = self.references.guest(given.guest_id)
        self.references.check_room(given.room_number)
        moment = next(name for name in ("submitted_at", "sent_at") if hasattr(model, name))
        values = given.model_dump(exclude={"guest_id", "hotel_id", "sender_id"})
        values[moment] = values.get(moment) or timezone.now()
        if values.get("is_anonymous"):
            guest, guest_external_id = None, ""  # anonymous means anonymous: the vendor is not told, and neither is the hotel
        row = model.objects.create(hotel=self.integration.hotel, guest=guest, **values)
        payload = given.model_dump(mode="json", exclude={"guest_id", "hotel_id", "sender_id"})
        payload |= {
            f"{record_type.removeprefix('chat_')}_id": str(row.pk),
            "guest_external_id": guest_external_id,
            moment: values[moment].isoformat(),
        }
        if isinstance(given, ChatMessageInput):
            payload["sender_external_id"] = self._sender(given)
        return {"payload": payload, "object_key": f"{record_type}:{row.pk}", "record_type": record_type, "object_id": row.pk}

    def _sender(self, message: ChatMessageInput) -> str:
        """Return what the vendor calls who wrote a message: a text is the vendor's id, a number one of ours, which it knows of guests alone."""
        if isinstance(message.sender_id, str):
            return message.sender_id
        is_guest = message.sender_id is not None and message.sender_type == "guest"
        guest = Guest.objects.filter(hotel=self.integration.hotel_id, pk=message.sender_id).first() if is_guest else None
        return self.references.external_id("guest", guest)

    def _get(self, name: str, record_type: str, filters: Mapping[str, Any]) -> list[Any]:
        given = read(MessageFilter, filters)
        _, guest_external_id = self.references.guest(given.guest_id)
        if given.guest_id is not None and not guest_external_id:
            return []
        records = self.ask(name, guest_external_id=guest_external_id, since=given.since, limit=given.limit)
        with transaction.atomic():
            apply_records(self.integration, records)
        rows = ExternalReference.objects.filter(
            integration=self.integration, record_type=record_type, external_id__in=[record.external_id for record in records]
        )
        return list(BINDINGS[record_type].model.objects.filter(pk__in=rows.values("object_id")))
