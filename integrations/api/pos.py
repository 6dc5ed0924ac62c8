"""Point of sale: checks, posted, looked up and voided."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from hotels.api.serializers import GuestCheckSerializer
from integrations.api.base import VendorView, acts, answer, own_or_vendors
from integrations.services.inputs import GuestCheckInput, VoidInput, read
from integrations.services.pos import PosService

CHECK = {
    "guest_id": 123,
    "room_number": "101",
    "items": [{"menu_id": 1, "quantity": 2, "unit_price": 15.99, "total_price": 31.98}],
    "subtotal": 31.98,
    "tax": 2.56,
    "total": 34.54,
    "payment_method": "credit_card",
    "payment_status": "pending",
}


@extend_schema(tags=["point of sale"])
class PosView(VendorView):
    service_class = PosService


class ChecksView(PosView):
    @acts(GuestCheckInput, CHECK)
    def post(self, request: Request, integration_id: int) -> Response:
        """Post a guest check to the point of sale."""
        return answer(self.service.post_guest_check(request.data, idempotency_key=self.idempotency_key))


@extend_schema(parameters=[own_or_vendors("check_id")])
class CheckView(PosView):
    @extend_schema(responses=GuestCheckSerializer)
    def get(self, request: Request, integration_id: int, check_id: int | str) -> Response:
        """Ask the point of sale how a check stands."""
        return Response(GuestCheckSerializer(self.service.get_check_status(check_id)).data)


@extend_schema(parameters=[own_or_vendors("check_id")])
class VoidView(PosView):
    @acts(VoidInput, {"reason": "Guest request"})
    def post(self, request: Request, integration_id: int, check_id: int | str) -> Response:
        """Void a check at the point of sale."""
        reason = read(VoidInput, request.data).reason
        return answer(self.service.void_check(check_id, reason, idempotency_key=self.idempotency_key))
