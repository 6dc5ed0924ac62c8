"""How many deliveries are taken: a rate for each integration and sender, over all processes. Called by ingest.

Only deliveries that proved to be authentic are counted, so a forger cannot use up the vendor's allowance; what he sends costs one digest.
Where a scheme signs the body alone, somebody who captured a delivery can repeat it under made-up ids: he uses up the allowance of his own
address, not that of the vendor's.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from django.conf import settings
from django.core.cache import BaseCache, cache

from hotels.rates import Rates, Window

ADDRESSES = 4
"""All addresses together may send so many times what one may: vendors send from a few, whoever has captured a delivery from elsewhere."""

_NONE = Window()


class Sender(NamedTuple):
    """Who has proved to be allowed to send."""

    integration_id: int
    kind: str
    """The integration's type, which has the rate."""
    address: str


class Limiter(Rates):
    """Admits a number of deliveries a window from each sender, and at each integration, over all processes."""

    def __init__(self, shared: BaseCache = cache, clock: Callable[[], float] = time.time) -> None:
        super().__init__(shared, clock, prefix="webhooks:rate")

    def spend(self, sender: Sender, count: int = 1) -> tuple[int, int]:
        """Count deliveries. Return how many of them are admitted, and the seconds to wait for the next window."""
        number, remaining, allowance = self._now(settings.WEBHOOK_RATES[sender.kind])
        with self._lock:
            for key, times in _counted(sender):
                count = self._admit(key, number, allowance * times, count)
        return count, remaining

    def spend_at_hand(self, counts: Mapping[Sender, int]) -> bool:
        """Count deliveries if this process has taken enough for all of them, and say whether it has. Asks nobody."""
        with self._lock:
            found: dict[str, tuple[Window, int]] = {}
            for sender, count in counts.items():
                number, _, _ = self._now(settings.WEBHOOK_RATES[sender.kind])
                for key, _ in _counted(sender):
                    window, before = found.get(key) or (self._windows.get(key, _NONE), 0)
                    if window.number != number or window.credit < before + count:
                        return False
                    found[key] = window, before + count
            for window, count in found.values():
                window.credit -= count
        return True


def _counted(sender: Sender) -> tuple[tuple[str, int], tuple[str, int]]:
    """Return what a delivery of this sender counts against, and how many times its integration's rate that may have."""
    return (f"{sender.integration_id}:{sender.address}", 1), (f"{sender.integration_id}", ADDRESSES)
