"""Counts requests against rates, in windows of the clock and over all processes. The API counts here, and so does the door for webhooks."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from django.core.cache import BaseCache, cache
from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)

PERIODS = {"s": 1, "m": 60}
MAX_COUNTED = 10_000
"""Keys that nobody counts any more must not fill the memory."""
_SHARE = 100
"""A process takes this part of a window's allowance at a time: the shared counter is asked a hundred times a window, not once a request.
Taking is atomic, so all processes together never admit more than the rate; what one of them took and did not use is not admitted."""


@lru_cache(maxsize=64)
def parse_rate(text: str) -> tuple[int, int]:
    """Read "600/m" as (600, 60)."""
    count, _, period = text.partition("/")
    if not count.isdecimal() or int(count) < 1 or period not in PERIODS:
        raise ImproperlyConfigured(f"“{text}” is not a rate. Write 600/m (a minute) or 20/s (a second).")
    return int(count), PERIODS[period]


@dataclass(slots=True)
class Window:
    number: int = -1
    credit: int = 0
    """What this process has taken and not used."""
    left: int = 0
    """What was left for others when it took."""
    is_spent: bool = False


class Rates:
    """Admits so many of each key in a window, over all processes."""

    def __init__(self, shared: BaseCache = cache, clock: Callable[[], float] = time.time, prefix: str = "rate") -> None:
        self._cache = shared
        self._clock = clock
        self._prefix = prefix
        self._windows: dict[str, Window] = {}
        self._lock = threading.Lock()

    def count(self, key: str, rate: str) -> tuple[bool, int, int]:
        """Count one request. Return whether it is admitted, how many more are, and the seconds until the next window."""
        number, remaining, allowance = self._now(rate)
        with self._lock:
            is_admitted = bool(self._admit(key, number, allowance, 1))
            window = self._windows[key]
            return is_admitted, window.credit + window.left, remaining

    def _admit(self, key: str, number: int, allowance: int, count: int) -> int:
        if (window := self._windows.get(key)) is None:
            if len(self._windows) >= MAX_COUNTED:
                self._windows.clear()
            window = self._windows[key] = Window()
        if window.number != number:
            window.number, window.credit, window.is_spent = number, 0, False
        admitted = 0
        while admitted < count and not window.is_spent:
            if not window.credit:
                window.credit, window.left = self._take(f"{self._prefix}:{key}:{number}", allowance)
                window.is_spent = not window.credit
            now = min(window.credit, count - admitted)
            window.credit -= now
            admitted += now
        return admitted

    def _now(self, rate: str) -> tuple[int, int, int]:
        allowance, period = parse_rate(rate)
        now = self._clock()
        number = int(now // period)
        return number, max(1, round((number + 1) * period - now)), allowance

    def _take(self, key: str, allowance: int) -> tuple[int, int]:
        share = max(1, allowance // _SHARE)
        try:
            self._cache.add(key, 0, timeout=2 * max(PERIODS.values()))
            taken = self._cache.incr(key, share)
        except Exception:
            # The counter protects us from somebody gone wild. When it fails (a cache that is down, an entry culled between the two calls), a
            # request lost would be worse than one too many.
            logger.exception("The shared counter of a rate failed; the request is admitted.")
            return 1, 0
        return max(0, min(share, allowance - taken + share)), max(0, allowance - taken)
