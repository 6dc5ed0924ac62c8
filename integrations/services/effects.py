"""What a delivered operation changes in the hotel's own rows, in the transaction that closes it."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from hotels.models import CheckStatus, Feedback, GuestCheck, Notification, Reservation, ReservationStatus
from integrations.exceptions import HospientError
from integrations.models import Operation
from integrations.services.references import References
from integrations.sync.bindings import BINDINGS

Effect = Callable[[References, Operation, Mapping[str, Any]], None]


def done(operation: Operation, answer: Mapping[str, Any]) -> None:
    """Apply the vendor's answer."""
    if effect := EFFECTS.get(operation.name):
        effect(References(operation.integration), operation, answer)


def refused(operation: Operation, error: HospientError) -> None:
    """Show that it will not happen by itself any more."""
    if operation.name == "post_guest_check" and not operation.maybe_sent_at:
        GuestCheck.objects.filter(pk=operation.object_id).update(status=CheckStatus.FAILED)


def _check_posted(references: References, operation: Operation, answer: Mapping[str, Any]) -> None:
    check = GuestCheck.objects.get(pk=operation.object_id)
    check.status = answer.get("status") or CheckStatus.OPEN
    check.status_original = answer.get("status_original", "")
    check.save(update_fields=["status", "status_original", "updated_at"])
    references.remember("guest_check", operation.vendor_reference, check)


def _check_voided(references: References, operation: Operation, answer: Mapping[str, Any]) -> None:
    check = GuestCheck.objects.filter(pk=operation.object_id).first()
    references.agree("guest_check", check, status=CheckStatus.VOIDED, amount_due=Decimal(0))
    GuestCheck.objects.filter(pk=operation.object_id).update(void_reason=operation.payload.get("reason", ""))


def _checked_in(references: References, operation: Operation, answer: Mapping[str, Any]) -> None:
    reservation = Reservation.objects.filter(pk=operation.object_id).first()
    number = answer.get("room_number") or operation.payload.get("room_number")
    references.agree("reservation", reservation, status=ReservationStatus.IN_HOUSE, **({"room_number": number} if number else {}))


def _checked_out(references: References, operation: Operation, answer: Mapping[str, Any]) -> None:
    if not operation.payload.get("dry_run"):
        reservation = Reservation.objects.filter(pk=operation.object_id).first()
        references.agree("reservation", reservation, status=ReservationStatus.CHECKED_OUT)
        _leave_feedback(operation, reservation)


def _leave_feedback(operation: Operation, reservation: Reservation | None) -> None:
    """Show what the guest said when leaving among the hotel's feedback, whatever place the vendor has for it."""
    said = operation.payload
    if said.get("feedback_rating") or said.get("feedback_comments"):
        Feedback.objects.create(
            hotel=operation.integration.hotel,
            guest=reservation.guest if reservation else None,
            room_number=said.get("room_number") or (reservation.room_number if reservation else ""),
            rating=said.get("feedback_rating"),
            category="check-out",
            message=said.get("feedback_comments") or "",
            submitted_at=said["check_out_time"],
        )


def _guest_updated(references: References, operation: Operation, answer: Mapping[str, Any]) -> None:
    payload = operation.payload
    references.accepted("guest", payload["guest_external_id"], payload["changes"], payload.get("hotel_had", {}))


def _message_posted(references: References, operation: Operation, answer: Mapping[str, Any]) -> None:
    row = BINDINGS[operation.record_type].model.objects.get(pk=operation.object_id)
    if operation.record_type == "notification" and answer.get("status"):
        row.status = answer["status"]
        row.save(update_fields=["status", "updated_at"])
    references.remember(operation.record_type, operation.vendor_reference, row)


def _notification_marked(references: References, operation: Operation, answer: Mapping[str, Any]) -> None:
    notification = Notification.objects.filter(pk=operation.object_id).first()
    references.agree("notification", notification, status=operation.payload["status"])


EFFECTS: Mapping[str, Effect] = {
    "post_guest_check": _check_posted,
    "void_check": _check_voided,
    "post_check_in": _checked_in,
    "post_check_out": _checked_out,
    "update_guest_info": _guest_updated,
    "post_feedback": _message_posted,
    "post_chat_message": _message_posted,
    "post_notification": _message_posted,
    "update_notification_status": _notification_marked,
}
