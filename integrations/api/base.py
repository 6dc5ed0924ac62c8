"""What every view under `/api/integrations/{id}` does first: find the integration among the user's, ask for the role, count the call."""

import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django_ratelimit.core import get_usage
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel
from rest_framework.exceptions import NotFound, Throttled, ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hotels import access
from hotels.api.base import find, require
from hotels.models import Role
from integrations.api.errors import OperationFailed
from integrations.api.serializers import OperationSerializer
from integrations.exceptions import InvalidInput
from integrations.models import Integration, Operation, OperationStatus

_KEY = re.compile(r"[\x21-\x7e]{1,192}")


class IntegrationView(APIView):
    """Base of the views of one integration. Another hotel's integration is not found before anything else is looked at."""

    role = Role.OPERATOR
    """What it takes to do more than read."""
    calls_vendor = False
    """Whether a request goes to the vendor, and so counts against the integration's rate."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        visible = access.visible(Integration.objects.select_related("hotel"), request.user)
        self.integration = find(visible, pk=kwargs["integration_id"])
        super().check_throttles(request)
        if request.method not in SAFE_METHODS:
            require(request.user, self.integration.hotel, self.role)
        if self.calls_vendor:
            self._count()

    def check_throttles(self, request: Request) -> None:
        """Nothing yet: a request counts at the integration's hotel."""

    def _count(self) -> None:
        # Apart, so that a screen that asks every second cannot keep a check from being posted.
        kind = "reads" if self.request.method in SAFE_METHODS else "writes"
        usage = get_usage(
            self.request._request,
            group=f"integration:{kind}",
            key=lambda group, request: str(self.integration.pk),
            rate=settings.API_RATES[self.integration.integration_type],
            increment=True,
        )
        if usage and usage["should_limit"]:
            raise Throttled(usage["time_left"])

    @property
    def idempotency_key(self) -> str:
        """Return the caller's key, or an empty text. Raises ValidationError."""
        key = self.request.headers.get("Idempotency-Key", "")
        if key and not _KEY.fullmatch(key):
            raise ValidationError({"Idempotency-Key": "Use up to 192 visible ASCII characters without blanks: a UUID is best."})
        return key


class VendorView(IntegrationView):
    """Base of the views of one kind of service; a subclass names the class in `service_class`."""

    service_class: Callable[..., Any]
    calls_vendor = True

    @property
    def service(self) -> Any:
        # A PUT sets a state: sent twice it is one.
        watches = self.request.method == "POST" and self.request.headers.get("Repeat", "").lower() != "intended"
        return self.service_class(self.integration, user=self.request.user, watches_repeats=watches)

    def handle_exception(self, exc: Exception) -> Response:
        """What the address names and is not there is not found, not a mistake in the body."""
        if isinstance(exc, InvalidInput) and set(exc.errors) <= set(self.kwargs):
            exc = NotFound()
        return super().handle_exception(exc)


def own_or_vendors(name: str) -> OpenApiParameter:
    """Document an id in an address; see `addresses.reference`."""
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.PATH, description="The vendor's id; `id:12` is Hospient's own id 12.")


def answer(operation: Operation) -> Response:
    """Render a write: 201 when the vendor has done it, 202 when it goes on by itself. Raises OperationFailed when it will not."""
    if operation.status == OperationStatus.DEAD:
        raise OperationFailed(operation)
    return Response(OperationSerializer(operation).data, 201 if operation.status == OperationStatus.DONE else 202)


OUTCOMES = {
    201: OpenApiResponse(OperationSerializer, "The vendor has done it."),
    202: OpenApiResponse(OperationSerializer, "Kept and tried again by itself; look at the operation to see how it ends."),
}
"""What `answer` renders, for the API's description."""

_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same key acts once, however often it is sent."
)
_REPEAT = OpenApiParameter(
    "Repeat", OpenApiTypes.STR, OpenApiParameter.HEADER, enum=["intended"],
    description="What you asked for within the last two minutes, without a key, is not done again (409) unless you say that you mean it.",
)  # fmt: skip


def acts(body: type[BaseModel], example: dict[str, Any]) -> Callable[[Callable], Callable]:
    """Document a method that writes at the vendor and returns `answer(...)`."""
    examples = [OpenApiExample("Example", example, request_only=True)]
    return extend_schema(request=body, examples=examples, responses=OUTCOMES, parameters=[_IDEMPOTENCY_KEY, _REPEAT])
