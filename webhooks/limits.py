"""How many deliveries are taken: a rate for each integration and sender, over all processes. Called by ingest.

Only deliveries that proved to be authentic are counted, so a forger cannot use up the vendor's allowance; what he sends costs one digest.
Where a scheme signs the body alone, somebody who captured a delivery can repeat it under made-up ids: he uses up the allowance of his own
address, not that of the vendor's.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.core.cache import BaseCache, cache
from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)

PERIODS = {"s": 1, "m": 60}
ADDRESSES = 4
"""All addresses together may send so many times what one may: vendors send from a few, whoever has captured a delivery from elsewhere."""
MAX_SENDERS = 10_000
"""Addresses that nobody sends from any more must not fill the memory."""
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


_NONE = _Window()


class Sender(NamedTuple):
    """Who has proved to be allowed to send."""

    integration_id: int
    kind: str
    """The integration's type, which has the rate."""
    address: str


class Limiter:
    """Admits a number of deliveries a window from each sender, and at each integration, over all processes."""

    def __init__(self, shared: BaseCache = cache, clock: Callable[[], float] = time.time) -> None:
        self._cache = shared
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()

    def spend(self, sender: Sender, count: int = 1) -> tuple[int, int]:
        """Count deliveries. Return how many of them are admitted, and the seconds to wait for the next window."""
        number, remaining, allowance = self._now(sender.kind)
        with self._lock:
            for key, times in _counted(sender):
                count = self._admit(key, number, allowance * times, count)
        return count, remaining

    def spend_at_hand(self, counts: Mapping[Sender, int]) -> bool:
        """Count deliveries if this process has taken enough for all of them, and say whether it has. Asks nobody."""
        with self._lock:
            found: dict[str, tuple[_Window, int]] = {}
            for sender, count in counts.items():
                number, _, _ = self._now(sender.kind)
                for key, _ in _counted(sender):
                    window, before = found.get(key) or (self._windows.get(key, _NONE), 0)
                    if window.number != number or window.credit < before + count:
                        return False
                    found[key] = window, before + count
            for window, count in found.values():
                window.credit -= count
        return True

    def _admit(self, key: str, number: int, allowance: int, count: int) -> int:
        if (window := self._windows.get(key)) is None:
            if len(self._windows) >= MAX_SENDERS:
                self._windows.clear()
            window = self._windows[key] = _Window()
        if window.number != number:
            window.number, window.credit, window.is_spent = number, 0, False
        admitted = 0
        while admitted < count and not window.is_spent:
            if not window.credit:
                window.credit = self._take(f"webhooks:rate:{key}:{number}", allowance)
                window.is_spent = not window.credit
            now = min(window.credit, count - admitted)
            window.credit -= now
            admitted += now
        return admitted

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


def _counted(sender: Sender) -> tuple[tuple[str, int], tuple[str, int]]:
    """Return what a delivery of this sender counts against, and how many times its integration's rate that may have."""
    return (f"{sender.integration_id}:{sender.address}", 1), (f"{sender.integration_id}", ADDRESSES)
