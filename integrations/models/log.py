"""What happened: one row for each call, sync, test and webhook. Redacted before it is stored."""

from django.db import models

from integrations.models.integration import Integration


class OperationType(models.TextChoices):
    SYNC = "sync", "Sync"
    WEBHOOK = "webhook", "Webhook"
    API_CALL = "api_call", "API call"
    ERROR = "error", "Error"
    TEST = "test", "Test"


class Direction(models.TextChoices):
    INBOUND = "inbound", "Inbound"
    OUTBOUND = "outbound", "Outbound"
    BIDIRECTIONAL = "bidirectional", "Both ways"


class LogStatus(models.TextChoices):
    SUCCESS = "success", "Success"
    FAILED = "failed", "Failed"
    PARTIAL = "partial", "Partial"
    PENDING = "pending", "Pending"


class IntegrationLog(models.Model):
    """One thing that happened at an integration. Rows with one correlation id have one cause."""

    integration = models.ForeignKey(Integration, on_delete=models.CASCADE, related_name="logs", db_index=False)
    operation_type = models.CharField(max_length=12, choices=OperationType)
    operation_name = models.CharField(max_length=80)
    direction = models.CharField(max_length=14, choices=Direction)
    status = models.CharField(max_length=10, choices=LogStatus)
    request_data = models.JSONField(default=dict)
    response_data = models.JSONField(default=dict)
    http_status = models.PositiveSmallIntegerField(null=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    processing_time = models.PositiveIntegerField(default=0, help_text="Milliseconds.")
    records_processed = models.PositiveIntegerField(default=0)
    records_success = models.PositiveIntegerField(default=0)
    records_failed = models.PositiveIntegerField(default=0)
    correlation_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "log entry"
        verbose_name_plural = "logs"
        ordering = ["-created_at", "-id"]
        # One index for each filter the list is read with, newest first, so that a page costs the same at five million rows.
        indexes = [
            models.Index(fields=["integration", "-created_at", "-id"], name="log_newest"),
            models.Index(fields=["integration", "operation_type", "-created_at"], name="log_by_type"),
            models.Index(fields=["integration", "status", "-created_at"], name="log_by_status"),
            models.Index(fields=["correlation_id"], name="log_by_correlation"),
        ]

    def __str__(self) -> str:
        return f"{self.operation_name}: {self.get_status_display()}"
