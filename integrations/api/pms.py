"""Property management: arrivals, departures, charges, requests, rooms and guests."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from hotels.api.serializers import GuestSerializer, RoomSerializer
from integrations.api.base import VendorView, acts, answer, own_or_vendors
from integrations.services.inputs import ChargeInput, CheckInInput, CheckOutInput, GuestChangesInput, RequestInput
from integrations.services.pms import PmsService

CHECK_IN = {
    "reservation_id": "res_123",
    "guest_id": 456,
    "room_number": "101",
    "check_in_time": "2026-11-24T15:00:00Z",
    "check_in_by": "staff_member",
    "special_requests": "Late check-in",
    "payment_method": "credit_card",
    "deposit_amount": 100.00,
}
CHECK_OUT = {
    "reservation_id": "res_123",
    "guest_id": 456,
    "room_number": "101",
    "check_out_time": "2026-11-26T10:00:00Z",
    "final_bill_amount": 450.00,
    "payment_status": "paid",
    "feedback_rating": 5,
    "feedback_comments": "Excellent stay!",
}
CHARGE = {"room_number": "101", "amount": 34.54, "category": "food", "description": "Lunch", "check_number": "1042"}
REQUEST = {"room_number": "101", "category": "housekeeping", "message": "Two more towels, please", "priority": "normal"}


@extend_schema(tags=["property management"])
class PmsView(VendorView):
    service_class = PmsService


class CheckInsView(PmsView):
    @acts(CheckInInput, CHECK_IN)
    def post(self, request: Request, integration_id: int) -> Response:
        """Check a guest in."""
        return answer(self.service.post_check_in(request.data, idempotency_key=self.idempotency_key))


class CheckOutsView(PmsView):
    @acts(CheckOutInput, CHECK_OUT)
    def post(self, request: Request, integration_id: int) -> Response:
        """Check a guest out; with `dry_run`, ask whether that would work."""
        return answer(self.service.post_check_out(request.data, idempotency_key=self.idempotency_key))


class ChargesView(PmsView):
    @acts(ChargeInput, CHARGE)
    def post(self, request: Request, integration_id: int) -> Response:
        """Charge something to a room or a reservation."""
        return answer(self.service.post_charge(request.data, idempotency_key=self.idempotency_key))


class RequestsView(PmsView):
    @acts(RequestInput, REQUEST)
    def post(self, request: Request, integration_id: int) -> Response:
        """Send a guest's request to the hotel's staff."""
        return answer(self.service.send_request(request.data, idempotency_key=self.idempotency_key))


class RoomsView(PmsView):
    @extend_schema(responses=RoomSerializer(many=True))
    def get(self, request: Request, integration_id: int) -> Response:
        """Ask how all rooms are."""
        return Response(RoomSerializer(self.service.get_room_status(), many=True).data)


class RoomStatusView(PmsView):
    @extend_schema(responses=RoomSerializer)
    def get(self, request: Request, integration_id: int, room_number: str) -> Response:
        """Ask how one room is."""
        return Response(RoomSerializer(self.service.get_room_status(room_number)[0]).data)


@extend_schema(parameters=[own_or_vendors("guest_id")])
class GuestView(PmsView):
    @extend_schema(responses=GuestSerializer)
    def get(self, request: Request, integration_id: int, guest_id: int | str) -> Response:
        """Ask what is known of a guest."""
        return Response(GuestSerializer(self.service.get_guest_info(guest_id)).data)

    @acts(GuestChangesInput, {"email": "eva@example.com"})
    def put(self, request: Request, integration_id: int, guest_id: int | str) -> Response:
        """Change what is known of a guest: the fields that are sent, and no others."""
        return answer(self.service.update_guest_info(guest_id, request.data, idempotency_key=self.idempotency_key))
