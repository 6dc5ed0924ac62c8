"""One hotel's connection to one provider, its secrets, and what its rows are called at the vendor."""

import uuid
from datetime import timedelta

from django.db import models
from django.utils import timezone

from integrations.models.sealed import SealedJSONField


class IntegrationType(models.TextChoices):
    POS = "pos", "Point of sale"
    PMS = "pms", "Property management"
    GUEST_MANAGEMENT = "guest_management", "Guest management"


class IntegrationStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    INACTIVE = "inactive", "Inactive"
    ERROR = "error", "Error"
    TESTING = "testing", "Testing"


class Integration(models.Model):
    """A hotel's connection to a vendor. Credentials and tokens are sealed to this row."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    hotel = models.ForeignKey("hotels.Hotel", on_delete=models.CASCADE, related_name="integrations")
    integration_type = models.CharField(max_length=20, choices=IntegrationType)
    provider = models.CharField(max_length=40, help_text="The vendor's slug in the catalogue of providers.")
    provider_name = models.CharField(max_length=120)
    provider_version = models.CharField(max_length=20, blank=True)
    environment = models.CharField(max_length=20, default="production")
    status = models.CharField(max_length=12, choices=IntegrationStatus, default=IntegrationStatus.ACTIVE)
    config = models.JSONField(default=dict, blank=True)
    host = models.CharField(max_length=260, blank=True, editable=False)
    """Host and port of its vendor's address, which it may share with other integrations. Noted when it is stored and whenever it changes."""
    credentials = SealedJSONField()
    credentials_set_at = models.DateTimeField(null=True, editable=False)
    webhook_url = models.URLField(
        max_length=500, blank=True, help_text="The address exactly as registered at the vendor: some vendors sign it."
    )
    sync_settings = models.JSONField(default=dict, blank=True)

    # How the connection is, written by `sync.health` alone. What a vendor refused for reasons of the hotel's business is not among it.
    error_count = models.PositiveIntegerField(default=0, editable=False)
    """Failures since the last success."""
    failing_since = models.DateTimeField(null=True, editable=False)
    last_error = models.TextField(blank=True, editable=False)
    last_error_code = models.CharField(max_length=64, blank=True, editable=False)
    last_error_hint = models.TextField(blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    last_success_at = models.DateTimeField(null=True, editable=False)
    """When the vendor last did what was asked, whatever it was."""
    test_due_at = models.DateTimeField(null=True, editable=False)
    """Set when the connection was made or changed: a worker tries it then."""
    last_sync_at = models.DateTimeField(null=True, editable=False)
    sync_status = models.CharField(max_length=12, blank=True, editable=False)
    next_sync_at = models.DateTimeField(null=True, editable=False)

    # OAuth: what the vendor issued, and the lease of whoever is renewing it.
    tokens = SealedJSONField()
    token_version = models.PositiveIntegerField(default=0, editable=False)
    token_lease_until = models.DateTimeField(null=True, editable=False)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["hotel_id", "integration_type", "id"]
        indexes = [
            models.Index(fields=["hotel", "integration_type"]),
            models.Index(fields=["next_sync_at"]),
            models.Index(fields=["test_due_at"]),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(integration_type__in=IntegrationType.values), name="integration_type_known"),
            models.CheckConstraint(condition=models.Q(status__in=IntegrationStatus.values), name="integration_status_known"),
        ]

    def __str__(self) -> str:
        return f"{self.provider_name} · {self.hotel}"

    def seal_identity(self) -> str:
        return f"{self.hotel_id}:{self.uuid}"


class WebhookSecret(models.Model):
    """A secret a vendor's webhooks are verified with. Several may be active at once: that is how one is replaced without a gap."""

    OVERLAP = timedelta(hours=24)
    """How long the old secret still passes after a new one was set (Square retries a delivery for up to 24 hours)."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="webhook_secrets")
    secret = SealedJSONField()
    """`{"secret": "..."}`"""
    key_id = models.CharField(max_length=120, blank=True, help_text="Where the vendor names the key it signs with.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"Secret of {self.created_at:%Y-%m-%d %H:%M}" if self.created_at else "New secret"

    def seal_identity(self) -> str:
        return f"{self.integration.hotel_id}:{self.integration.uuid}:{self.uuid}"

    @property
    def is_active(self) -> bool:
        return self.expires_at is None or self.expires_at > timezone.now()


class ExternalReference(models.Model):
    """What one vendor calls one of the hotel's rows, and the record as this vendor last told it."""

    # No index of its own: the unique constraint begins with it, and a second one would tempt the planner to scan.
    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="references", db_index=False)
    record_type = models.CharField(max_length=32)
    external_id = models.CharField(max_length=192)
    object_id = models.BigIntegerField()
    """Primary key of the hotel's row; its model follows from the record type."""
    snapshot = models.JSONField(default=dict)
    """The base of the three-way merge: field -> value as the vendor last told it."""
    content_hash = models.CharField(max_length=32)
    source_version = models.BigIntegerField(null=True)
    source_updated_at = models.DateTimeField(null=True)
    synced_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)
    matched_by = models.CharField(max_length=64, blank=True)
    """Why an existing row of the hotel was taken for this record ("same e-mail"); empty where the record made its own row."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["integration", "record_type", "external_id"], name="reference_once_per_integration"),
        ]
        indexes = [models.Index(fields=["object_id", "record_type"])]

    def __str__(self) -> str:
        return f"{self.record_type} {self.external_id}"
