"""Guest management: feedback, chat, notifications and preferences."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from hotels.api.serializers import ChatMessageSerializer, FeedbackSerializer, NotificationSerializer
from integrations.api.addresses import reference
from integrations.api.base import VendorView, acts, answer, own_or_vendors
from integrations.services.guest_management import GuestManagementService
from integrations.services.inputs import ChatMessageInput, FeedbackInput, NotificationInput, NotificationStatusInput, read

FEEDBACK = {
    "guest_id": 123,
    "hotel_id": 1,
    "room_number": "101",
    "rating": 5,
    "category": "service",
    "title": "Excellent Service",
    "message": "The staff was very helpful",
    "is_anonymous": False,
}
CHAT_MESSAGE = {
    "guest_id": 123,
    "hotel_id": 1,
    "room_number": "101",
    "message": "Can I get extra towels?",
    "message_type": "text",
    "sender_type": "guest",
    "sender_id": 123,
    "sender_name": "John Doe",
}
NOTIFICATION = {
    "guest_id": 123,
    "hotel_id": 1,
    "room_number": "101",
    "title": "Pool Maintenance",
    "message": "Pool will be closed for maintenance from 2-4 PM",
    "category": "service",
    "priority": "normal",
    "notification_type": "push",
}
FILTERS = [
    OpenApiParameter("guest_id", OpenApiTypes.STR, description="The vendor's id; `id:12` is Hospient's own id 12."),
    OpenApiParameter("since", OpenApiTypes.DATETIME),
    OpenApiParameter("limit", OpenApiTypes.INT, description="From 1 to 200; 50 if left out."),
]


@extend_schema(tags=["guest management"])
class GuestManagementView(VendorView):
    service_class = GuestManagementService

    def asked(self) -> dict[str, Any]:
        """Return the filters of the address; the service checks them."""
        filters: dict[str, Any] = self.request.query_params.dict()
        if "guest_id" in filters:
            filters["guest_id"] = reference(filters["guest_id"])
        return filters


class FeedbackView(GuestManagementView):
    @extend_schema(parameters=FILTERS, responses=FeedbackSerializer(many=True))
    def get(self, request: Request, integration_id: int) -> Response:
        """Ask for feedback, newest first."""
        return Response(FeedbackSerializer(self.service.get_feedback(**self.asked()), many=True).data)

    @acts(FeedbackInput, FEEDBACK)
    def post(self, request: Request, integration_id: int) -> Response:
        """Post a guest's feedback."""
        return answer(self.service.post_feedback(request.data, idempotency_key=self.idempotency_key))


class ChatMessagesView(GuestManagementView):
    @extend_schema(parameters=FILTERS, responses=ChatMessageSerializer(many=True))
    def get(self, request: Request, integration_id: int) -> Response:
        """Ask for chat messages, newest first."""
        return Response(ChatMessageSerializer(self.service.get_chat_messages(**self.asked()), many=True).data)

    @acts(ChatMessageInput, CHAT_MESSAGE)
    def post(self, request: Request, integration_id: int) -> Response:
        """Post a chat message."""
        return answer(self.service.post_chat_message(request.data, idempotency_key=self.idempotency_key))


class NotificationsView(GuestManagementView):
    @extend_schema(parameters=FILTERS, responses=NotificationSerializer(many=True))
    def get(self, request: Request, integration_id: int) -> Response:
        """Ask for notifications, newest first."""
        return Response(NotificationSerializer(self.service.get_notifications(**self.asked()), many=True).data)

    @acts(NotificationInput, NOTIFICATION)
    def post(self, request: Request, integration_id: int) -> Response:
        """Send a guest a notification."""
        return answer(self.service.post_notification(request.data, idempotency_key=self.idempotency_key))


@extend_schema(parameters=[own_or_vendors("notification_id")])
class NotificationStatusView(GuestManagementView):
    @acts(NotificationStatusInput, {"status": "read"})
    def put(self, request: Request, integration_id: int, notification_id: int | str) -> Response:
        """Say what became of a notification."""
        status = read(NotificationStatusInput, request.data).status
        return answer(self.service.update_notification_status(notification_id, status, idempotency_key=self.idempotency_key))


@extend_schema(parameters=[own_or_vendors("guest_id")])
class PreferencesView(GuestManagementView):
    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, integration_id: int, guest_id: int | str) -> Response:
        """Ask what a guest prefers."""
        return Response(self.service.get_guest_preferences(guest_id))
