"""The inbox: every delivery we acknowledged, kept raw until it has had its effect."""

from django.db import models

from integrations.models import Integration


class EventStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    PROCESSING = "processing", "Processing"
    DONE = "done", "Done"
    IGNORED = "ignored", "Ignored"
    DEAD = "dead", "Dead"


class WebhookEvent(models.Model):
    """One delivery, stored before anything is done with it. Once for each integration and event id."""

    OPEN = (EventStatus.PENDING, EventStatus.PROCESSING)

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="webhook_events")
    event_id = models.CharField(max_length=192)
    event_type = models.CharField(max_length=120, blank=True)
    object_key = models.CharField(max_length=240, blank=True)
    """Events of one object are worked in order."""
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
            models.UniqueConstraint(fields=["integration", "event_id"], name="event_once_per_integration"),
            models.CheckConstraint(condition=models.Q(status__in=EventStatus.values), name="event_status_known"),
        ]
        indexes = [
            models.Index(fields=["integration", "-received_at"]),
            models.Index(fields=["status", "next_attempt_at", "id"]),
            models.Index(fields=["integration", "object_key", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.event_type or 'event'} {self.event_id}"
