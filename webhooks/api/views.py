"""The inbox of an integration through the API: what came in, what became of it, and working it again."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from hotels.api.base import find
from hotels.api.lists import ChoiceFilter, MomentFilter
from integrations.api.activity import OfIntegration
from integrations.api.base import IntegrationView
from webhooks import inbox
from webhooks.api.serializers import EventSerializer, ReplayedSerializer, ReplaySerializer, WholeEventSerializer
from webhooks.models import EventStatus, WebhookEvent

TAGS = ["webhooks"]


class EventFilter(filters.FilterSet):
    status = ChoiceFilter(choices=EventStatus)
    event_type = filters.CharFilter()
    event_id = filters.CharFilter(help_text="The vendor's id.")
    object_key = filters.CharFilter(help_text="Such as reservation:res_123.")
    correlation_id = filters.CharFilter()
    since = MomentFilter(field_name="received_at", lookup_expr="gte")
    until = MomentFilter(field_name="received_at", lookup_expr="lt")


@extend_schema(tags=TAGS)
class EventsView(OfIntegration, ListAPIView):
    """The webhook events of the integration, newest first."""

    queryset = WebhookEvent.objects.defer("body", "headers")
    serializer_class = EventSerializer
    filterset_class = EventFilter


@extend_schema(tags=TAGS)
class EventView(OfIntegration, RetrieveAPIView):
    """One event with its body."""

    queryset = WebhookEvent.objects.select_related("batch")
    serializer_class = WholeEventSerializer
    lookup_url_kwarg = "event_id"


class ReplayView(IntegrationView):
    @extend_schema(tags=TAGS, request=None, responses=ReplayedSerializer, summary="Work an event again")
    def post(self, request: Request, integration_id: int, event_id: int) -> Response:
        """What it does is harmless to repeat: newer state is never overwritten."""
        find(WebhookEvent.objects.filter(integration=self.integration), pk=event_id)
        chosen = WebhookEvent.objects.filter(pk=event_id)
        matching = inbox.replayable(chosen).count()
        return Response({"matching": matching, "replayed": inbox.replay(chosen)})


class ReplayMatchingView(IntegrationView):
    @extend_schema(
        tags=TAGS,
        operation_id="integrations_webhook_events_replay_matching",
        request=ReplaySerializer,
        responses=ReplayedSerializer,
        summary="Work all events again that match",
    )
    def post(self, request: Request, integration_id: int) -> Response:
        """Counts what matches; with `confirm` it is done. At least one filter has to be given."""
        body = ReplaySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(body.validated_data)
        confirmed = given.pop("confirm")
        if not given:
            raise ValidationError({"status": "Name at least one filter: without one every event would be worked again."})
        renamed = {"since": "received_at__gte", "until": "received_at__lt"}
        chosen = WebhookEvent.objects.filter(
            integration=self.integration, **{renamed.get(name, name): value for name, value in given.items()}
        )
        matching = inbox.replayable(chosen).count()
        return Response({"matching": matching, "replayed": inbox.replay(chosen) if confirmed else 0})
