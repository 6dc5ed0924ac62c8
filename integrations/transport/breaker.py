"""Leaves a vendor alone that failed several times in a row, for all workers: one probe goes through every so often, and success closes it.

There is one for each integration and a wider one for the host that many integrations call. One hotel's trouble never counts against a host
more than once: it takes several whose own breakers opened, and none that got an answer in between.

The state lives in the shared cache. While all is well a process looks there once a second at most, whatever it calls.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.cache import BaseCache, cache
from django.utils import timezone

from integrations.exceptions import CircuitOpen

FAILURES_TO_OPEN = 5
INTEGRATIONS_TO_OPEN = 3
"""So many integrations in a row whose own breaker opened, and the host's opens for all that call it."""
PROBE_EVERY = timedelta(seconds=30)
LOOK_EVERY_SECONDS = 1.0
KEEP_FAILURES_SECONDS = 600
KEEP_OPEN_SECONDS = 86_400


class _Open(NamedTuple):
    """What the cache holds while the breaker is open; every probe replaces it by the next."""

    opened_at: float
    probe: int
    probe_at: datetime


class _Look(NamedTuple):
    at: float
    is_clean: bool
    """Closed, and no failure counted: nothing to reset after a success."""


class Breaker:
    """One integration's breaker. `before` each attempt, then `success` or `failure`. `wider` is told of each, but of failures only when this
    one opens."""

    _looks: dict[str, _Look] = {}
    """Of this process, by key: breakers are made anew for every client."""

    def __init__(
        self,
        key: str,
        cache: BaseCache = cache,
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        wider: "Breaker | None" = None,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._failures_to_open = failures_to_open
        self._wider = wider
        self._open_key = f"breaker:{key}"
        self._failures_key = f"breaker:{key}:failures"
        self._cache = cache
        self._clock = clock

    def before(self) -> None:
        """Raise CircuitOpen unless the vendor may be called, or this is the probe."""
        look = self._looks.get(self._open_key)
        if not (look and look.is_clean and time.monotonic() - look.at < LOOK_EVERY_SECONDS):
            self._look()
        if self._wider:
            self._wider.before()

    def _look(self) -> None:
        state = self._cache.get_many((self._open_key, self._failures_key))
        self._looks[self._open_key] = _Look(time.monotonic(), is_clean=not state)
        if (stored := state.get(self._open_key)) is not None:
            self._probe(_Open(*stored))

    def _probe(self, current: _Open) -> None:
        now = self._clock()
        # A key that was never used before is added once, whoever asks and however many at a time.
        mine = now >= current.probe_at and self._cache.add(
            f"{self._open_key}:{current.opened_at}:{current.probe}", 1, KEEP_FAILURES_SECONDS
        )
        if not mine:
            raise CircuitOpen(retry_at=max(current.probe_at, now + timedelta(seconds=1)))
        self._cache.set(self._open_key, tuple(current._replace(probe=current.probe + 1, probe_at=now + PROBE_EVERY)), KEEP_OPEN_SECONDS)

    def success(self) -> None:
        """The vendor answered: whatever it was, it is there."""
        look = self._looks.get(self._open_key)
        if look and not look.is_clean:
            self._cache.delete_many((self._open_key, self._failures_key))
            self._looks[self._open_key] = _Look(time.monotonic(), is_clean=True)
        if self._wider:
            self._wider.success()

    def failure(self) -> None:
        """The vendor could not be reached, or could not answer."""
        self._looks[self._open_key] = _Look(time.monotonic(), is_clean=False)
        self._cache.add(self._failures_key, 0, KEEP_FAILURES_SECONDS)
        try:
            failures = self._cache.incr(self._failures_key)
        except ValueError:  # gone between the two
            return
        if failures >= self._failures_to_open:
            now = self._clock()
            opened = self._cache.add(self._open_key, tuple(_Open(now.timestamp(), 0, now + PROBE_EVERY)), KEEP_OPEN_SECONDS)
            if opened and self._wider:
                self._wider.failure()
