"""Connections to vendors: what ties a hotel's rows to a vendor's, and the work that goes on between them."""

from integrations.models.integration import ExternalReference, Integration, IntegrationStatus, IntegrationType, WebhookSecret
from integrations.models.log import Direction, IntegrationLog, LogStatus, OperationType
from integrations.models.operation import Operation, OperationStatus
from integrations.models.sealed import Sealed, SealedJSONField
from integrations.models.sync import (
    Conflict,
    ConflictWinner,
    PendingLink,
    RejectedRecord,
    RunMode,
    RunStatus,
    StreamState,
    SyncPage,
    SyncRun,
    Trigger,
)

__all__ = [
    "Conflict", "ConflictWinner", "Direction", "ExternalReference", "Integration", "IntegrationLog", "IntegrationStatus",
    "IntegrationType", "LogStatus", "Operation", "OperationStatus", "OperationType", "PendingLink", "RejectedRecord", "RunMode", "RunStatus", "Sealed",
    "SealedJSONField", "StreamState", "SyncPage", "SyncRun", "Trigger", "WebhookSecret",
]  # fmt: skip
