"""Connections: the catalogue of vendors, connecting one, changing it, testing it, syncing through it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from hotels import access
from hotels.api.base import require
from hotels.models import Hotel, Role
from integrations.api import filters, serializers
from integrations.api.base import IntegrationView
from integrations.exceptions import InvalidInput, UnsupportedOperation
from integrations.health import judge
from integrations.models import Integration
from integrations.services import service_for
from integrations.services.inputs import SyncInput, in_our_spelling, read
from integrations.services.setup import create_integration, replace_webhook_secret, update_integration

SQUARE = {
    "hotel_id": 1,
    "integration_type": "pos",
    "provider_name": "Square POS",
    "provider_version": "2.0",
    "config": {
        "baseUrl": "https://connect.squareup.com",
        "endpoints": {"menus": "/v2/catalog/items", "checks": "/v2/orders", "categories": "/v2/catalog/categories"},
        "testEndpoint": "/v2/locations",
    },
    "credentials": {"accessToken": "your-access-token", "locationId": "your-location-id"},
    "webhook_url": "https://your-domain.com/api/webhooks/1",
    "webhook_secret": "your-webhook-secret",
    "sync_settings": {"auto_sync": True, "sync_interval": "hourly"},
}


WRITABLE = set(serializers.IntegrationInputSerializer().fields)
SHOWN = set(serializers.StoredIntegrationSerializer.Meta.fields)


def _read(data: Any) -> dict[str, Any]:
    """Return what may be written. What we showed may be sent back and has no effect; anything else is a spelling mistake."""
    if not isinstance(data, dict):
        raise InvalidInput({"body": "Send a JSON object."})
    data = in_our_spelling(data, SHOWN | WRITABLE)
    if unknown := sorted(set(data) - WRITABLE - SHOWN):
        raise InvalidInput(dict.fromkeys(unknown, "There is no such field. Check its spelling."))
    wanted = {name: value for name, value in data.items() if name in WRITABLE}
    if isinstance(wanted.get("credentials"), list):  # as they are shown
        del wanted["credentials"]
    return wanted


def _stored(integration: Integration, warnings: list[str]) -> dict[str, Any]:
    integration.warnings = warnings
    return serializers.StoredIntegrationSerializer(integration).data


@extend_schema(tags=["integrations"])
class IntegrationsView(ListAPIView):
    """The integrations of your hotels."""

    queryset = Integration.objects.select_related("hotel").prefetch_related("webhook_secrets")
    serializer_class = serializers.IntegrationSerializer
    filterset_class = filters.IntegrationFilter

    def filter_queryset(self, queryset: QuerySet[Integration]) -> QuerySet[Integration]:
        return super().filter_queryset(access.visible(queryset, self.request.user))

    def paginate_queryset(self, queryset: QuerySet[Integration]) -> list[Integration]:
        self.shown = super().paginate_queryset(queryset)
        return self.shown

    def get_serializer_context(self) -> dict[str, Any]:
        return super().get_serializer_context() | {"judged": judge(getattr(self, "shown", []))}

    @extend_schema(
        request=serializers.IntegrationInputSerializer,
        responses={201: serializers.StoredIntegrationSerializer},
        examples=[OpenApiExample("Square", SQUARE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Connect a vendor. Fields the vendor does not use are kept, and named in `warnings`."""
        data = _read(request.data)
        hotel = self._hotel(data)
        require(request.user, hotel, Role.MANAGER)
        integration, warnings = create_integration(hotel, data, user=request.user)
        return Response(_stored(integration, warnings), status.HTTP_201_CREATED)

    def _hotel(self, data: Mapping[str, Any]) -> Hotel:
        """Return the hotel that is named, or, where none is, the only one the user has."""
        hotels = access.hotels_of(self.request.user)
        if "hotel_id" not in data:
            only = list(hotels[:2])
            if len(only) == 1:
                return only[0]
            raise InvalidInput({"hotel_id": "Say for which hotel: give its id. GET /api/hotels lists yours."})
        hotel = hotels.filter(pk=data["hotel_id"]).first() if type(data["hotel_id"]) is int else None
        if hotel is None:
            raise InvalidInput({"hotel_id": "Give the id of one of your hotels, as a number. GET /api/hotels lists them."})
        return hotel


@extend_schema(tags=["integrations"])
class IntegrationDetailView(IntegrationView):
    role = Role.MANAGER

    @extend_schema(responses=serializers.IntegrationSerializer)
    def get(self, request: Request, integration_id: int) -> Response:
        """How an integration is set up, and how it is doing. Never a secret."""
        return Response(serializers.IntegrationSerializer(self.integration).data)

    @extend_schema(request=serializers.IntegrationInputSerializer, responses=serializers.StoredIntegrationSerializer)
    def put(self, request: Request, integration_id: int) -> Response:
        """Replace the settings. Credentials that are left out, or sent back as they are shown, stay as they are."""
        return self._update(request, partial=False)

    @extend_schema(request=serializers.IntegrationInputSerializer, responses=serializers.StoredIntegrationSerializer)
    def patch(self, request: Request, integration_id: int) -> Response:
        """Change the fields that are sent, and no others."""
        return self._update(request, partial=True)

    def _update(self, request: Request, *, partial: bool) -> Response:
        data = _read(request.data)
        if data.get("hotel_id", self.integration.hotel_id) != self.integration.hotel_id:
            raise InvalidInput({"hotel_id": "An integration stays with its hotel. Connect the vendor anew for the other one."})
        return Response(_stored(*update_integration(self.integration, data, user=request.user, partial=partial)))

    @extend_schema(responses={204: OpenApiResponse(description="The connection is gone. The hotel's records stay.")})
    def delete(self, request: Request, integration_id: int) -> Response:
        """Remove the connection with its credentials, runs and logs. The hotel's records stay."""
        self.integration.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(tags=["integrations"])
class WebhookSecretView(IntegrationView):
    role = Role.MANAGER

    @extend_schema(
        request=serializers.NewWebhookSecretSerializer,
        responses={201: serializers.WebhookSecretMadeSerializer},
        summary="Replace the webhook secret",
    )
    def post(self, request: Request, integration_id: int) -> Response:
        """With an overlap, or at once after a leak. One that is made for you is shown this once."""
        body = serializers.NewWebhookSecretSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        made = replace_webhook_secret(self.integration, given.get("webhook_secret", ""), at_once=given["at_once"])
        shown = {"webhook_secret": made or None, "webhook_secrets": self.integration.webhook_secrets.all()}
        return Response(serializers.WebhookSecretMadeSerializer(shown).data, status.HTTP_201_CREATED)


@extend_schema(tags=["integrations"])
class TestView(IntegrationView):
    calls_vendor = True

    @extend_schema(request=None, responses=serializers.TestOutcomeSerializer)
    def post(self, request: Request, integration_id: int) -> Response:
        """Call the vendor with the stored credentials and say what was found."""
        outcome = service_for(self.integration, user=request.user).test_connection()
        return Response(serializers.TestOutcomeSerializer(outcome).data)


@extend_schema(tags=["integrations"])
class SyncView(IntegrationView):
    calls_vendor = True

    @extend_schema(
        request=SyncInput,
        responses={
            200: OpenApiResponse(serializers.SyncRunSerializer, "The run is over: look at its status and counts."),
            202: OpenApiResponse(serializers.SyncRunSerializer, "The run is queued or going on; if one was open already, it is that one."),
        },
        examples=[OpenApiExample("Menus", {"sync_type": "menus"}, request_only=True)],
    )
    def post(self, request: Request, integration_id: int) -> Response:
        """Start a sync of one stream."""
        wanted = read(SyncInput, request.data)
        service = service_for(self.integration, user=request.user)
        try:
            run, _ = service.request_sync(
                wanted.sync_type,
                since=wanted.start_date,
                until=wanted.end_date,
                full=wanted.full,
                confirm_deletions=wanted.confirm_deletions,
            )
        except UnsupportedOperation as error:
            raise InvalidInput({"sync_type": error.message}) from None
        run.refresh_from_db()
        return Response(serializers.SyncRunSerializer(run).data, status.HTTP_202_ACCEPTED if run.is_open else status.HTTP_200_OK)
