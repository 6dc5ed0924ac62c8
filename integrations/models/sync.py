"""Pulling: one execution of a stream, where it stands, and what it could not take."""

import uuid

from django.conf import settings
from django.db import models

from integrations.models.integration import Integration


class RunStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    PARTIAL = "partial", "Partial"
    FAILED = "failed", "Failed"


class RunMode(models.TextChoices):
    INCREMENTAL = "incremental", "Incremental"
    FULL = "full", "Full"
    BACKFILL = "backfill", "Backfill"
    REFRESH = "refresh", "Refresh of single objects"


class Trigger(models.TextChoices):
    API = "api", "API"
    ADMIN = "admin", "Console"
    COMMAND = "command", "Command"
    SCHEDULE = "schedule", "Schedule"
    WEBHOOK = "webhook", "Webhook"


class SyncRun(models.Model):
    """One execution of one stream. The row is the job: a worker that dies leaves a lease that lapses, and another goes on from
    `checkpoint`."""

    OPEN = (RunStatus.QUEUED, RunStatus.RUNNING)

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="sync_runs")
    stream = models.CharField(max_length=40)
    mode = models.CharField(max_length=12, choices=RunMode, default=RunMode.INCREMENTAL)
    trigger = models.CharField(max_length=10, choices=Trigger, default=Trigger.API)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=10, choices=RunStatus, default=RunStatus.QUEUED)
    since = models.DateField(null=True, blank=True)
    until = models.DateField(null=True, blank=True)
    """The first and the last day asked for, both included, by the hotel's calendar. Days, not moments: a moment is another day elsewhere."""
    external_ids = models.JSONField(default=list, blank=True)
    """Refresh only: the objects to read."""
    confirm_deletions = models.BooleanField(default=False)
    """A person has seen that many records are gone at the vendor, and agreed."""

    checkpoint = models.JSONField(null=True, blank=True)
    """Where to go on: `{"after": what the stream said, "cursor": where the next run starts if this one ends well}`. Beside it what follows at
    the end: the last day the list covers (`until`), and guests whom stays no longer name (`let_go`)."""
    page_count = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(null=True, blank=True)
    created_count = models.PositiveIntegerField("created", default=0)
    updated_count = models.PositiveIntegerField("updated", default=0)
    unchanged_count = models.PositiveIntegerField("unchanged", default=0)
    deleted_count = models.PositiveIntegerField("deleted", default=0)
    rejected_count = models.PositiveIntegerField("rejected", default=0)
    conflict_count = models.PositiveIntegerField("conflicts", default=0)

    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    hint = models.TextField(blank=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["integration", "-created_at"]),
            models.Index(fields=["status", "next_attempt_at"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["integration", "stream"],
                condition=models.Q(status__in=["queued", "running"]) & ~models.Q(mode="refresh"),
                name="one_open_run_per_stream",
            ),
            models.CheckConstraint(condition=models.Q(status__in=RunStatus.values), name="run_status_known"),
        ]

    def __str__(self) -> str:
        return f"{self.stream}, run {self.pk}"

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN

    @property
    def processed_count(self) -> int:
        """Records the vendor sent, whatever became of them."""
        return self.created_count + self.updated_count + self.unchanged_count + self.rejected_count

    @property
    def summary(self) -> str:
        """One true sentence: "Stored 412, unchanged 9,031, deleted 0, rejected 2"."""
        stored = self.created_count + self.updated_count
        return f"Stored {stored:,}, unchanged {self.unchanged_count:,}, deleted {self.deleted_count:,}, rejected {self.rejected_count:,}"


class SyncPage(models.Model):
    """Which records a full run has seen so far, so that a comparison for deletions survives a restart. Gone when the run ends."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="pages")
    record_type = models.CharField(max_length=32)
    digests = models.BinaryField()
    """64-bit digests of the external ids of one page, packed: 8 MB for a million records."""


class PendingLink(models.Model):
    """A row that points to a record the vendor has not shown us yet: a reservation whose guest comes with another stream."""

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="+")
    record_type = models.CharField(max_length=32)
    external_id = models.CharField(max_length=192)
    source_type = models.CharField(max_length=32)
    source_id = models.BigIntegerField()
    attribute = models.CharField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["integration", "source_type", "source_id", "attribute"], name="one_pending_link_per_attribute"),
        ]
        indexes = [models.Index(fields=["integration", "record_type", "external_id"])]


class StreamState(models.Model):
    """The cursor of a stream: written only when a run ended well, so it is never ahead of the data."""

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="stream_states")
    stream = models.CharField(max_length=40)
    cursor = models.JSONField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["integration", "stream"], name="one_state_per_stream")]

    def __str__(self) -> str:
        return f"{self.stream} of {self.integration}"


class RejectedRecord(models.Model):
    """A record a run could not take, with its reason. Resolved when a later run takes it."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="rejected_records")
    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="rejected_records")
    stream = models.CharField(max_length=40)
    record_type = models.CharField(max_length=32)
    external_id = models.CharField(max_length=192, blank=True)
    reason = models.TextField()
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["integration", "record_type", "external_id"])]

    def __str__(self) -> str:
        return f"{self.record_type} {self.external_id}"


class ConflictWinner(models.TextChoices):
    VENDOR = "vendor", "Vendor"
    HOTEL = "hotel", "Hotel"


class Conflict(models.Model):
    """A field that both the hotel and the vendor changed: who won, and the value that lost."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="conflicts")
    run = models.ForeignKey(SyncRun, null=True, on_delete=models.SET_NULL, related_name="conflicts")
    record_type = models.CharField(max_length=32)
    external_id = models.CharField(max_length=192)
    object_id = models.BigIntegerField()
    field = models.CharField(max_length=64)
    base_value = models.JSONField(null=True)
    vendor_value = models.JSONField(null=True)
    hotel_value = models.JSONField(null=True)
    rule = models.CharField(max_length=20)
    winner = models.CharField(max_length=8, choices=ConflictWinner)
    created_at = models.DateTimeField(auto_now_add=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    """When a person decided for the loser after all."""

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["integration", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.record_type} {self.external_id}: {self.field}"
