"""The requests a vendor allows are counted for all workers, and who comes too much waits or is told when to come back."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import BaseCache, cache
from django.core.cache.backends.locmem import LocMemCache

from integrations.exceptions import RateLimited
from integrations.transport.budget import Budget
from tests.threads import at_once

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
KEYS = itertools.count()


class Clock:
    """Sleeping moves it."""

    def __init__(self) -> None:
        self.now = NOW
        self.waits: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared() -> LocMemCache:
    return LocMemCache(f"budget-{next(KEYS)}", {})


def budget(shared: BaseCache, clock: Clock, requests: int = 5, per_seconds: int = 1, key: str = "opera:gateway") -> Budget:
    return Budget(key, requests, per_seconds, shared, sleep=clock.sleep, clock=clock)


def test_budget_is_spent_at_once_then_waited_for(shared: LocMemCache, clock: Clock) -> None:
    worker = budget(shared, clock)
    for _ in range(5):
        worker.acquire()
    assert clock.waits == []
    worker.acquire()
    assert len(clock.waits) == 1
    assert 1 <= clock.waits[0] <= 1.1


def test_no_period_sees_more_than_allowed(shared: LocMemCache, clock: Clock) -> None:
    workers = [budget(shared, clock) for _ in range(3)]
    taken: list[int] = []
    for number in range(50):
        workers[number % 3].acquire()
        taken.append(int(clock.now.timestamp()))
    assert max(taken.count(second) for second in set(taken)) == 5


def test_impatient_worker_is_told_when_to_come_back(shared: LocMemCache, clock: Clock) -> None:
    worker = budget(shared, clock, requests=1, per_seconds=60)
    worker.acquire()
    clock.now += timedelta(seconds=10)
    with pytest.raises(RateLimited) as caught:
        worker.acquire(patience=30)
    assert caught.value.retry_at == NOW + timedelta(seconds=60)
    assert clock.waits == []


def test_budgets_with_other_keys_are_apart(shared: LocMemCache, clock: Clock) -> None:
    for number in range(10):
        budget(shared, clock, requests=1, key=f"opera:{number}").acquire(patience=0)


def test_old_counters_do_not_pile_up(shared: LocMemCache, clock: Clock) -> None:
    worker = budget(shared, clock, requests=1)
    for _ in range(100):
        worker.acquire()
    assert len(shared._cache) <= 12


@pytest.fixture
def shared_cache(transactional_db: None) -> Iterator[BaseCache]:
    yield cache
    cache.clear()


def test_twenty_workers_share_one_budget(shared_cache: BaseCache, clock: Clock) -> None:
    passed = []

    def work() -> None:
        for _ in range(3):
            try:
                budget(cache, clock, requests=25, per_seconds=600).acquire(patience=0)
                passed.append(1)
            except RateLimited:
                pass

    assert at_once(20, work) == []
    assert len(passed) == 25
