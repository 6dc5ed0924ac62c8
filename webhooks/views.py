"""The default door for webhooks: a Django view, served with the console and the API. It adapts the request; ingest does the work."""

import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from integrations.api.errors import ErrorSerializer
from integrations.transport import correlation
from webhooks import health
from webhooks.delivery import Delivery, Outcome
from webhooks.exceptions import BodyTooSlow, LengthMissing
from webhooks.ingest import Ingest

READ_BYTES = 65_536

ingest = Ingest()


class AnyClient(BaseContentNegotiation):
    """A vendor's Accept header is not looked at: the answer is the same for all."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class OpenView(APIView):
    """A view anybody may ask; who they are is not looked at."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = AnyClient


STATUS = serializers.CharField()
REFUSALS = {
    401: "The signature is missing or does not match, or there is no such integration.",
    403: "The integration is switched off; only who has its secret is told.",
    404: "Nothing follows the id in the address of this integration.",
    413: "The body is larger than allowed.",
    429: "More than one address may send for the integration, or all of them; see Retry-After.",
    503: "The delivery could not be stored; send it again.",
}


class ReceiveView(OpenView):
    @extend_schema(
        tags=["webhooks"],
        summary="Receive a vendor's webhook",
        description="Stored before it is answered, and worked later. Which headers prove that it is the vendor's depends on the integration; "
        "our own scheme is `X-Webhook-Signature: sha256=<hex HMAC-SHA256 of the body>`.",
        request={
            "application/json": {
                "type": "object",
                "required": ["event_type"],
                "properties": {
                    "event_type": {"type": "string", "examples": ["menu_updated"]},
                    "event_id": {
                        "type": "string",
                        "description": "Or send X-Webhook-Id. A delivery that is repeated with its id has one effect.",
                    },
                    "occurred_at": {"type": "string", "format": "date-time", "description": "An older event never overwrites a newer one."},
                    "data": {"type": "object", "examples": [{"menu_id": "menu_123", "changes": ["name", "price"]}]},
                },
            }
        },
        parameters=[
            OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER)
            for name in ("X-Webhook-Signature", "X-Webhook-Id", "X-Webhook-Timestamp")
        ],
        responses={
            202: OpenApiResponse(inline_serializer("WebhookAccepted", {"status": serializers.CharField(help_text="accepted")}), "Stored."),
            200: OpenApiResponse(
                inline_serializer("WebhookDuplicate", {"status": serializers.CharField(help_text="duplicate")}), "Known already."
            ),
            **{status: OpenApiResponse(ErrorSerializer, why) for status, why in REFUSALS.items()},
        },
    )
    def post(self, request: Request, integration_id: int, path_secret: str = "") -> HttpResponse:
        original: HttpRequest = request._request
        head = Delivery(
            integration_id=integration_id,
            headers={name.lower(): value for name, value in original.headers.items()},
            body=b"",
            received_at=timezone.now(),
            path_secret=path_secret,
            peer=original.META.get("REMOTE_ADDR", ""),
            correlation_id=correlation.current(),
        )
        return respond(ingest.accept(head, lambda limit: read_body(original, limit)))


class HealthView(OpenView):
    @extend_schema(
        tags=["webhooks"],
        summary="Say whether webhooks can be received",
        responses=inline_serializer(
            "WebhookHealth",
            {
                "status": serializers.ChoiceField(["ok", "degraded", "unavailable"], help_text="Degraded: stored, but worked late or not."),
                "oldest_waiting_seconds": serializers.IntegerField(required=False, help_text="Age of the oldest event not yet worked."),
                "trouble": serializers.DictField(child=serializers.CharField(), help_text="What is not well, by name."),
                "refused_in_an_hour": serializers.IntegerField(required=False, help_text="Deliveries refused, at all integrations."),
            },
        ),
    )
    def get(self, request: Request) -> HttpResponse:
        status, body = health.report()
        return JsonResponse(body, status=status)


def read_body(request: HttpRequest, limit: int) -> bytes:
    """Read at most `limit` bytes. Raises LengthMissing or BodyTooSlow."""
    stream: Any = request
    if "CONTENT_LENGTH" not in request.META or "HTTP_TRANSFER_ENCODING" in request.META:
        # Django reads as much as Content-Length says. A chunked body can be read if the server marks its end.
        if not request.META.get("wsgi.input_terminated"):
            raise LengthMissing()
        stream = request.META["wsgi.input"]
    deadline = time.monotonic() + settings.WEBHOOK_TIMEOUT / 1000
    parts: list[bytes] = []
    while limit and (part := stream.read(min(READ_BYTES, limit))):
        parts.append(part)
        limit -= len(part)
        if time.monotonic() > deadline:
            raise BodyTooSlow()
    return b"".join(parts)


def respond(outcome: Outcome) -> HttpResponse:
    response = HttpResponse(outcome.body, status=outcome.status, content_type=outcome.content_type)
    if outcome.retry_after:
        response["Retry-After"] = str(outcome.retry_after)
    # Django would log a line for every refusal, with the path: a flood of lines, and in some paths a secret. Refusals are counted instead.
    response._has_been_logged = True
    return response
