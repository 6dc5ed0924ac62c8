"""What an integration shows of its health, and how long to wait after a failure. Sync, outbox and inbox all report here."""

import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Case, DateTimeField, F, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from integrations.exceptions import CircuitOpen, HospientError, RateLimited
from integrations.models import Integration, IntegrationStatus
from integrations.security.redaction import MAX_DEPTH, redact

KEPT = ("error_count", "failing_since", "last_success_at", "last_error", "last_error_code", "last_error_hint", "last_error_at")
RETRY_AFTER = timedelta(minutes=5)
"""When a vendor that could not be reached is tried again, if no sync and no operation does so before."""
BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS = 5, 900


def backoff(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts: exponential, with full jitter so that a crowd does not come back at once."""
    ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2 ** max(0, attempts - 1))
    return timedelta(seconds=random.uniform(1, ceiling))


def succeeded(integration_id: int, *, sync_status: str | None = None, synced_at: datetime | None = None, is_tested: bool = False) -> None:
    """Note that the vendor works; an integration in error becomes active again, an inactive one stays so. One that failed before is tested
    at once (unless this was the test): what waited for it, or was given up meanwhile, begins with that, whoever noticed first."""
    now = timezone.now()
    changes: dict[str, Any] = {
        "error_count": 0, "failing_since": None, "last_error": "", "last_error_code": "", "last_error_hint": "", "last_success_at": now,
        "test_due_at": None,
    }  # fmt: skip
    if not is_tested:
        changes["test_due_at"] = Case(When(failing_since__isnull=False, then=Value(now, output_field=DateTimeField())), default=None)
    changes["status"] = Case(When(status=IntegrationStatus.ERROR, then=Value(IntegrationStatus.ACTIVE)), default=F("status"))
    if sync_status:
        changes |= {"sync_status": sync_status, "last_sync_at": synced_at}
    Integration.objects.filter(pk=integration_id).update(**changes)


def failed(integration_id: int, error: HospientError, *, sync_status: str | None = None, is_a_question: bool = False) -> None:
    """Note that the vendor does not work, with the sentence a person needs. While it is left alone after failures, the last of these
    says why, and not that we wait. One that may come back by itself is tried again before long, whether anything else waits or not.
    A vendor that answers works: one that asks us to be slower, or that refuses what somebody asked for (`is_a_question`)."""
    rows = Integration.objects.filter(pk=integration_id)
    if sync_status:
        rows.update(sync_status=sync_status)
    if isinstance(error, RateLimited) or (is_a_question and not error.of_connection):
        return
    if isinstance(error, CircuitOpen):
        rows = rows.filter(failing_since=None)
    now = timezone.now()
    rows.update(
        error_count=F("error_count") + 1,
        failing_since=Coalesce("failing_since", Value(now, output_field=DateTimeField())),
        last_error=error.message,
        last_error_code=error.code,
        last_error_hint=error.hint,
        last_error_at=now,
        test_due_at=now + RETRY_AFTER if error.retryable else None,
        status=Case(When(status=IntegrationStatus.ACTIVE, then=Value(IntegrationStatus.ERROR)), default=F("status")),
    )


def forget(integration: Integration) -> None:
    """Take back what is known of a connection that has other credentials or another address now: it was not tried yet. To be saved."""
    integration.error_count, integration.failing_since, integration.last_success_at, integration.last_error_at = 0, None, None, None
    integration.last_error = integration.last_error_code = integration.last_error_hint = ""
    if integration.status == IntegrationStatus.ERROR:
        integration.status = IntegrationStatus.ACTIVE


def shown(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a vendor's object as it may be kept for a person to look at: redacted, and plain JSON."""
    return redact(_plain(payload), max_items=20)


def _plain(value: Any, left: int = MAX_DEPTH) -> Any:
    if isinstance(value, Mapping | list | tuple) and not left:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _plain(item, left - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, left - 1) for item in value]
    if isinstance(value, Decimal | date):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
