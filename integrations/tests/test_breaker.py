"""A vendor that is down is left alone by all workers, asked once in a while, and called again as soon as it answers."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import BaseCache, cache
from django.core.cache.backends.locmem import LocMemCache

from integrations.exceptions import CircuitOpen
from integrations.transport.breaker import Breaker
from tests.threads import at_once

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
KEYS = itertools.count()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Counting(LocMemCache):
    """Counts how often it is asked for anything."""

    def __init__(self) -> None:
        super().__init__(f"breaker-{next(KEYS)}", {})
        self.asked = 0

    def __getattribute__(self, name: str) -> Any:
        if name in ("get_many", "add", "set", "incr", "delete_many"):
            self.asked += 1
        return super().__getattribute__(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[[], Breaker]:
    """Breakers of different workers: what one process remembers is forgotten before each."""
    shared, key = Counting(), f"square:{next(KEYS)}"

    def make() -> Breaker:
        Breaker._looks.clear()
        return Breaker(key, shared, clock=clock)

    return make


def is_open(breaker: Breaker) -> bool:
    try:
        breaker.before()
    except CircuitOpen:
        return True
    return False


def open_it(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.before()
        breaker.failure()


def test_it_opens_after_five_failures_in_a_row(make: Callable[[], Breaker]) -> None:
    breaker = make()
    for _ in range(4):
        breaker.failure()
    assert not is_open(breaker)
    breaker.failure()
    assert is_open(breaker)
    assert is_open(make())  # every other worker too


def test_failures_of_all_workers_count_together(make: Callable[[], Breaker]) -> None:
    for _ in range(5):
        make().failure()
    assert is_open(make())


def test_success_in_between_starts_the_count_anew(make: Callable[[], Breaker]) -> None:
    breaker = make()
    for _ in range(3):
        for _ in range(4):
            breaker.before()
            breaker.failure()
        breaker.before()
        breaker.success()
    assert not is_open(breaker)


def test_refusal_says_when_the_next_probe_is(make: Callable[[], Breaker], clock: Clock) -> None:
    open_it(make())
    with pytest.raises(CircuitOpen) as caught:
        make().before()
    assert caught.value.retry_at == NOW + timedelta(seconds=30)


def test_ten_minutes_of_knocking_let_one_probe_through_every_thirty_seconds(make: Callable[[], Breaker], clock: Clock) -> None:
    open_it(make())
    probes: list[datetime] = []
    for _ in range(600):
        clock.advance(1)
        for _ in range(3):
            breaker = make()
            if not is_open(breaker):
                probes.append(clock.now)
                breaker.failure()
    assert 18 <= len(probes) <= 20
    assert all(later - earlier >= timedelta(seconds=30) for earlier, later in itertools.pairwise([NOW, *probes]))


def test_probe_that_succeeds_closes_it_for_all(make: Callable[[], Breaker], clock: Clock) -> None:
    open_it(make())
    clock.advance(31)
    probe = make()
    probe.before()
    assert is_open(make())
    probe.success()
    assert not is_open(make())
    make().failure()
    assert not is_open(make())  # the old failures are forgotten


def test_probe_whose_worker_died_is_followed_by_another(make: Callable[[], Breaker], clock: Clock) -> None:
    open_it(make())
    clock.advance(31)
    make().before()
    clock.advance(31)
    make().before()


def test_other_integrations_feel_nothing(make: Callable[[], Breaker], clock: Clock) -> None:
    open_it(make())
    assert not is_open(Breaker("square:other", Counting(), clock=clock))


def test_healthy_vendor_costs_one_look_a_second(clock: Clock) -> None:
    shared = Counting()
    for _ in range(200):
        breaker = Breaker("square:healthy", shared, clock=clock)
        breaker.before()
        breaker.success()
    assert shared.asked <= 3


@pytest.fixture
def shared_cache(transactional_db: None) -> Iterator[BaseCache]:
    yield cache
    cache.clear()


def test_twenty_workers_at_once_send_one_probe(shared_cache: BaseCache, clock: Clock) -> None:
    open_it(Breaker("square:20", shared_cache, clock=clock))
    clock.advance(31)
    passed = []

    def knock() -> None:
        if not is_open(Breaker("square:20", clock=clock)):
            passed.append(1)

    assert at_once(20, knock) == []
    assert passed == [1]
