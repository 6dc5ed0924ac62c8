"""What keeps a flood from costing us anything: a rate for authentic deliveries, and one line a minute about refused ones.

Only deliveries that proved to be the vendor's are counted, so a forger cannot use up the vendor's allowance; what he sends costs one
digest and writes nothing. Called by ingest.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from django.conf import settings
from django.core.cache import BaseCache, cache
from django.core.exceptions import ImproperlyConfigured

from integrations.models import Direction, IntegrationLog, LogStatus, OperationType

logger = logging.getLogger(__name__)

PERIODS = {"s": 1, "m": 60}
LOG_SECONDS = 60
_SHARE = 100
"""A process takes this part of a window's allowance at a time: the shared counter is asked a hundred times a window, not once a delivery.
Taking is atomic, so all processes together never admit more than the rate; what one of them took and did not use is not admitted."""


@lru_cache(maxsize=16)
def parse_rate(text: str) -> tuple[int, int]:
    """Read "600/m" as (600, 60)."""
    count, _, period = text.partition("/")
    if not count.isdecimal() or int(count) < 1 or period not in PERIODS:
        raise ImproperlyConfigured(f"WEBHOOK_RATES: “{text}” is not a rate. Write 600/m (a minute) or 20/s (a second).")
    return int(count), PERIODS[period]


@dataclass(slots=True)
class _Window:
    number: int = -1
    credit: int = 0
    is_spent: bool = False


class Limiter:
    """Admits a number of deliveries a window, at each integration by its kind, over all processes."""

    def __init__(self, shared: BaseCache = cache, clock: Callable[[], float] = time.time) -> None:
        self._cache = shared
        self._clock = clock
        self._windows: dict[int, _Window] = {}
        self._lock = threading.Lock()

    def closed_for(self, integration_id: int, kind: str) -> int:
        """Return the seconds until this integration's next window if this one is spent, else 0. Reads no shared state."""
        window = self._windows.get(integration_id)
        if window is None or not window.is_spent:
            return 0
        number, remaining, _ = self._now(kind)
        return remaining if window.number == number else 0

    def spend(self, integration_id: int, kind: str, count: int = 1) -> tuple[int, int]:
        """Count deliveries. Return how many of them are admitted, and the seconds to wait for the next window."""
        number, remaining, allowance = self._now(kind)
        admitted = 0
        with self._lock:
            window = self._windows.setdefault(integration_id, _Window())
            if window.number != number:
                window.number, window.credit, window.is_spent = number, 0, False
            while admitted < count and not window.is_spent:
                if not window.credit:
                    window.credit = self._take(f"webhooks:rate:{integration_id}:{number}", allowance)
                    window.is_spent = not window.credit
                now = min(window.credit, count - admitted)
                window.credit -= now
                admitted += now
        return admitted, remaining

    def _now(self, kind: str) -> tuple[int, int, int]:
        allowance, period = parse_rate(settings.WEBHOOK_RATES[kind])
        now = self._clock()
        number = int(now // period)
        return number, max(1, round((number + 1) * period - now)), allowance

    def _take(self, key: str, allowance: int) -> int:
        share = max(1, allowance // _SHARE)
        try:
            self._cache.add(key, 0, timeout=2 * max(PERIODS.values()))
            return max(0, min(share, allowance - self._cache.incr(key, share) + share))
        except Exception:
            # The counter protects us from a vendor gone wild. When it fails (a cache that is down, an entry culled between the two calls), an
            # event lost would be worse than one too many.
            logger.exception("The shared counter of webhook rates failed; the delivery is admitted.")
            return 1


@dataclass(slots=True)
class _Refused:
    reasons: Counter = field(default_factory=Counter)
    addresses: Counter = field(default_factory=Counter)


class Refusals:
    """Counts refused deliveries and writes at most one line a minute for each integration, over all processes."""

    _MAX_ADDRESSES = 20

    def __init__(self, shared: BaseCache = cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = shared
        self._clock = clock
        self._waiting: dict[int, _Refused] = {}
        self._asked_at: dict[int, float] = {}
        self._lock = threading.Lock()

    def note(self, integration_id: int, code: str, address: str) -> None:
        """Remember one refusal. Does no I/O."""
        with self._lock:
            refused = self._waiting.setdefault(integration_id, _Refused())
            refused.reasons[code] += 1
            if address in refused.addresses or len(refused.addresses) < self._MAX_ADDRESSES:
                refused.addresses[address] += 1

    @property
    def is_due(self) -> bool:
        """Say whether a line may be written now. Does no I/O."""
        now = self._clock()
        return any(now - self._asked_at.get(key, -LOG_SECONDS) >= LOG_SECONDS for key in list(self._waiting))

    def write(self) -> None:
        """Write the lines that are due, unless another process has written one within the minute."""
        now = self._clock()
        for integration_id in list(self._waiting):
            if now - self._asked_at.get(integration_id, -LOG_SECONDS) < LOG_SECONDS:
                continue
            self._asked_at[integration_id] = now
            if self._cache.add(f"webhooks:refused:{integration_id}", 1, timeout=LOG_SECONDS):
                with self._lock:
                    refused = self._waiting.pop(integration_id, None)
                if refused:
                    self._log(integration_id, refused)

    def _log(self, integration_id: int, refused: _Refused) -> None:
        count = refused.reasons.total()
        reasons = ", ".join(f"{code} {number}" for code, number in refused.reasons.most_common())
        IntegrationLog.objects.create(
            integration_id=integration_id,
            operation_type=OperationType.WEBHOOK,
            operation_name="webhook_refused",
            direction=Direction.INBOUND,
            status=LogStatus.FAILED,
            request_data={"addresses": dict(refused.addresses.most_common(5))},
            response_data={"reasons": dict(refused.reasons)},
            error_code=refused.reasons.most_common(1)[0][0],
            error_message=f"{count} webhook deliveries were refused since the last such line: {reasons}. If they are the vendor's, check that "
            "the webhook secret and the registered address are the same on both sides.",
            records_processed=count,
            records_failed=count,
        )
