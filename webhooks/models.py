"""The inbox: every delivery we acknowledged, kept raw until it has had its effect."""

import uuid

from django.db import models
from django.db.models import Q

from integrations.models import Integration


class EventStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    PROCESSING = "processing", "Processing"
    DONE = "done", "Done"
    IGNORED = "ignored", "Ignored"
    DEAD = "dead", "Dead"


def _key_of_its_own() -> str:
    return uuid.uuid4().hex


class WebhookEvent(models.Model):
    """One event, stored before anything is done with it. Once for each integration and delivery key.

    A delivery that carries several events is one row too, with `is_batch` set; working it splits it into a row for each event, which point
    back to it for their body.
    """

    OPEN = (EventStatus.PENDING, EventStatus.PROCESSING)

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="webhook_events", db_index=False)
    event_id = models.CharField(max_length=192)
    """The vendor's, which may give it to several events."""
    delivery_key = models.CharField(max_length=32, default=_key_of_its_own, editable=False)
    """Equal for the tries of one delivery (`ingest.delivery_key`)."""
    event_type = models.CharField(max_length=120, blank=True)
    object_key = models.CharField(max_length=240, blank=True)
    """Events of one object are worked in order."""
    verified_by = models.CharField(max_length=40, blank=True)
    """The verifier that let it in; it also says how the body is to be read."""
    is_batch = models.BooleanField(default=False)
    batch = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="events", db_index=False)
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    status = models.CharField(max_length=10, choices=EventStatus, default=EventStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    lease_owner = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    outcome = models.CharField(max_length=255, blank=True)
    """What it did, in a sentence."""
    correlation_id = models.CharField(max_length=64, blank=True)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-received_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["integration", "delivery_key"], name="event_once_by_delivery_key"),
            models.CheckConstraint(condition=Q(status__in=EventStatus.values), name="event_status_known"),
        ]
        # Every index costs each delivery. Those with a condition hold few rows however many are kept, and begin with what is looked for.
        indexes = [
            models.Index(fields=["integration", "-received_at", "-id"], name="event_newest"),
            models.Index(fields=["integration", "-received_at", "-id"], condition=Q(status="dead"), name="event_dead"),
            models.Index(fields=["integration", "id"], condition=Q(status="pending"), name="event_pending"),
            models.Index(
                fields=["integration", "object_key", "id"], condition=Q(status__in=["pending", "processing"]), name="event_open_object"
            ),
            models.Index(fields=["lease_until"], condition=Q(status="processing"), name="event_lease"),
            models.Index(fields=["correlation_id"], name="event_by_correlation"),
            models.Index(fields=["batch"], condition=Q(batch__isnull=False), name="event_of_batch"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type or 'event'} {self.event_id}"
