"""Keeps to the requests a vendor allows in a period, counted for all workers in the shared cache.

The periods follow each other on the clock. Who comes when the present one is used up waits for the next, if that is soon enough.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.core.cache import BaseCache, cache
from django.utils import timezone

from integrations.exceptions import RateLimited
from integrations.transport import places
from integrations.transport.retry import spread_seconds

PATIENCE_SECONDS = 30.0
STALE_WINDOWS = 10
"""So long ago that no machine's clock can still be there: the counter is removed, for a cache in the database grows with every row."""


class Budget:
    """`requests` in `per_seconds`, shared by everybody with the same key."""

    def __init__(
        self,
        key: str,
        requests: int,
        per_seconds: int,
        cache: BaseCache = cache,
        *,
        sleep: Callable[[float], None] = places.sleep,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._key = f"budget:{key}"
        self._requests = requests
        self._per_seconds = per_seconds
        self._cache = cache
        self._sleep = sleep
        self._clock = clock

    def acquire(self, patience: float = PATIENCE_SECONDS) -> None:
        """Take one request out of the budget, waiting for it up to `patience` seconds. Raises RateLimited if that is not enough."""
        while True:
            now = self._clock()
            window, passed = divmod(now.timestamp(), self._per_seconds)
            if self._count(int(window)) <= self._requests:
                return
            wait = self._per_seconds - passed
            if wait > patience:
                raise RateLimited(
                    "Our own budget of requests to the vendor is used up for the moment.", retry_at=now + timedelta(seconds=wait)
                )
            wait = spread_seconds(wait)
            patience -= wait
            self._sleep(wait)

    def _count(self, window: int) -> int:
        key = f"{self._key}:{window}"
        try:
            return self._cache.incr(key)
        except ValueError:  # the first of this window
            self._cache.delete(f"{self._key}:{window - STALE_WINDOWS}")
            self._cache.add(key, 0, (STALE_WINDOWS + 1) * self._per_seconds)
            return self._cache.incr(key)
