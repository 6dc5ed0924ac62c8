"""Pushing: the outbox. An intended write at a vendor, kept until it is confirmed."""

import uuid

from django.conf import settings
from django.db import models

from integrations.models.integration import Integration


class OperationStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    SENDING = "sending", "Sending"
    UNKNOWN = "unknown", "Outcome unknown"
    DONE = "done", "Done"
    DEAD = "dead", "Dead"


class Operation(models.Model):
    """One intended write. It takes effect at the vendor once, whatever fails."""

    OPEN = (OperationStatus.PENDING, OperationStatus.SENDING, OperationStatus.UNKNOWN)

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="operations")
    name = models.CharField(max_length=40)
    idempotency_key = models.CharField(max_length=192)
    """Unique for the integration: the caller's, or made from the cause. The vendor gets `uuid`, never this text."""
    fingerprint = models.CharField(max_length=64, blank=True)
    """Digest of name and payload: the same key with another body is refused."""
    object_key = models.CharField(max_length=120, blank=True)
    """Operations of one object are delivered in order: a void never overtakes its post."""
    record_type = models.CharField(max_length=32, blank=True)
    object_id = models.BigIntegerField(null=True)
    """The hotel's row this is about."""
    payload = models.JSONField(default=dict)
    status = models.CharField(max_length=8, choices=OperationStatus, default=OperationStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    maybe_sent_at = models.DateTimeField(null=True)
    """Set before the first byte leaves us and cleared by a definite refusal: while set, the vendor may have acted."""
    next_attempt_at = models.DateTimeField(null=True)
    lease_owner = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    vendor_reference = models.CharField(max_length=192, blank=True)
    answer = models.JSONField(default=dict)
    warnings = models.JSONField(default=list)
    """A sentence for each thing that was asked and not passed on, and for what the vendor said beside yes."""
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    hint = models.TextField(blank=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["integration", "idempotency_key"], name="operation_once_per_key"),
            models.CheckConstraint(condition=models.Q(status__in=OperationStatus.values), name="operation_status_known"),
        ]
        indexes = [
            models.Index(fields=["integration", "-created_at"]),
            models.Index(fields=["status", "next_attempt_at"]),
            models.Index(fields=["integration", "object_key", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' ').capitalize()} {self.pk}"

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN
