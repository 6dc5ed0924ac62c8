"""How stored events look from outside. Bodies are shown redacted."""

from typing import Any

from rest_framework import serializers

from hotels.api.lists import Body
from webhooks.inbox import shown_body
from webhooks.models import EventStatus, WebhookEvent


class EventSerializer(serializers.ModelSerializer):
    class Meta:
        model = WebhookEvent
        fields = [
            "id", "integration_id", "event_id", "event_type", "object_key", "verified_by", "is_batch", "batch_id", "status", "attempts",
            "next_attempt_at", "outcome", "error_code", "error_message", "correlation_id", "received_at", "processed_at",
        ]  # fmt: skip


class WholeEventSerializer(EventSerializer):
    headers = serializers.DictField(child=serializers.CharField())
    body = serializers.SerializerMethodField(help_text="Redacted.")

    class Meta(EventSerializer.Meta):
        fields = [*EventSerializer.Meta.fields, "headers", "body"]

    def get_body(self, event: WebhookEvent) -> Any:
        return shown_body(event)


class ReplaySerializer(Body):
    """Which events to work again, and whether to do it or only to count them."""

    status = serializers.ChoiceField(choices=EventStatus, required=False)
    event_type = serializers.CharField(required=False, max_length=120)
    object_key = serializers.CharField(required=False, max_length=240)
    since = serializers.DateTimeField(required=False, help_text="Received at or after.")
    until = serializers.DateTimeField(required=False, help_text="Received before.")
    confirm = serializers.BooleanField(default=False, help_text="Without it, nothing is changed: the answer says how many match.")


class ReplayedSerializer(serializers.Serializer):
    matching = serializers.IntegerField()
    replayed = serializers.IntegerField()
