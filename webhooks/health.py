"""Whether deliveries can be stored and are worked: what `GET /api/webhooks/health` answers at both doors."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from integrations.services.refused import count_refused
from webhooks.inbox import due

REFUSALS_TOLD = timedelta(hours=1)

Look = Callable[[], tuple[bool, Mapping[str, str]]]
"""Says whether requests can be served at all, and what is not well, by name."""

look_at_house: list[Look] = []
"""Filled by the app that knows the rest of the house, when it is made ready: this one only knows its own rows."""


def report() -> tuple[int, dict[str, Any]]:
    """Return the status of the answer and its body. Never raises."""
    trouble: dict[str, str] = {}
    for look in look_at_house:
        can_serve, found = look()
        if not can_serve:
            return 503, {"status": "unavailable", "trouble": dict(found)}
        trouble |= found
    now = timezone.now()
    try:
        oldest = due(now).order_by("id").values_list("received_at", flat=True).first()
    except DatabaseError:
        return 503, {"status": "unavailable", "trouble": {"database": "The database does not answer."}}
    waiting = int((now - oldest).total_seconds()) if oldest else 0
    told = {"status": "degraded" if trouble else "ok", "oldest_waiting_seconds": waiting, "trouble": trouble}
    refused = count_refused(REFUSALS_TOLD)
    return 200, told | ({"refused_in_an_hour": refused} if refused else {})
