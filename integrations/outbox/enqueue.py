"""Writes down what shall be done at a vendor, in the transaction of its cause. `deliver` does it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from integrations.exceptions import InvalidInput, LikelyRepeated
from integrations.models import Integration, Operation, OperationStatus
from integrations.sync import bulk
from integrations.transport import correlation

SOON = timedelta(minutes=2)
"""The same request of the same person within this time is most likely one that was sent twice."""


def fingerprint(name: str, body: Any) -> str:
    """Return a digest of what is asked, to tell a repeated request from another one under the same key: 34.50 is 34.5, and a time is the same
    in every zone."""
    return hashlib.sha256(json.dumps([name, _by_value(body)], sort_keys=True, default=str).encode()).hexdigest()


def _by_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _by_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_by_value(one) for one in value]
    if isinstance(value, Decimal):
        return f"{value.normalize() or Decimal(0):f}"
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def find(integration: Integration, key: str, asked: str) -> Operation | None:
    """Return the operation this key stands for already. Raises InvalidInput if it was used for something else."""
    operation = Operation.objects.filter(integration=integration, idempotency_key=key).first()
    if operation and operation.fingerprint != asked:
        raise InvalidInput({"Idempotency-Key": "This key was used for another request. Use a new key for a new request."})
    return operation


def check_repeated(integration: Integration, asked: str, user: Any) -> None:
    """Raise LikelyRepeated if this person asked for the same a moment ago, and it was not refused. Needs a transaction around it."""
    bulk.hold(Integration, integration.pk)
    same = Operation.objects.filter(integration=integration, requested_by=user, fingerprint=asked, created_at__gte=timezone.now() - SOON)
    if first := same.exclude(status=OperationStatus.DEAD).order_by("id").last():
        raise LikelyRepeated(first.pk, int((timezone.now() - first.created_at).total_seconds()), first.get_status_display().lower())


def enqueue(
    integration: Integration,
    name: str,
    payload: dict[str, Any],
    *,
    key: str,
    asked: str,
    object_key: str = "",
    record_type: str = "",
    object_id: int | None = None,
    warnings: Sequence[str] = (),
    user: Any = None,
) -> Operation:
    """Store an operation. Raises IntegrityError if another request with the same key was faster."""
    return Operation.objects.create(
        integration=integration,
        name=name,
        payload=payload,
        idempotency_key=key,
        fingerprint=asked,
        object_key=object_key,
        record_type=record_type,
        object_id=object_id,
        warnings=list(warnings),
        next_attempt_at=timezone.now(),
        requested_by=user if getattr(user, "pk", None) else None,
        correlation_id=correlation.current() or correlation.new(),
    )
