"""Writes down what shall be done at a vendor, in the transaction of its cause. `deliver` does it."""

import hashlib
import json
from typing import Any

from django.utils import timezone

from integrations.exceptions import InvalidInput
from integrations.models import Integration, Operation
from integrations.transport import correlation


def fingerprint(name: str, body: Any) -> str:
    """Return a digest of what is asked, to tell a repeated request from another one under the same key."""
    return hashlib.sha256(json.dumps([name, body], sort_keys=True, default=str).encode()).hexdigest()


def find(integration: Integration, key: str, asked: str) -> Operation | None:
    """Return the operation this key stands for already. Raises InvalidInput if it was used for something else."""
    operation = Operation.objects.filter(integration=integration, idempotency_key=key).first()
    if operation and operation.fingerprint != asked:
        raise InvalidInput({"Idempotency-Key": "This key was used for another request. Use a new key for a new request."})
    return operation


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
        next_attempt_at=timezone.now(),
        requested_by=user if getattr(user, "pk", None) else None,
        correlation_id=correlation.current() or correlation.new(),
    )
