"""A vendor that is down is left alone by all workers, asked once in a while, and called again as soon as it answers."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import BaseCache, cache
from django.core.cache.backends.locmem import LocMemCache

from integrations.exceptions import CircuitOpen
from integrations.transport.breaker import FAILURES_TO_OPEN, INTEGRATIONS_TO_OPEN, PROBE_EVERY, Breaker
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


class TestHost:
    @pytest.fixture
    def hotel(self, clock: Clock) -> Callable[[str], Breaker]:
        """Breakers of integrations that call one host, each in a worker of its own."""
        shared, host = Counting(), f"host:{next(KEYS)}"

        def hotel(name: str) -> Breaker:
            Breaker._looks.clear()
            wider = Breaker(host, shared, failures_to_open=INTEGRATIONS_TO_OPEN, clock=clock)
            return Breaker(f"{host}:{name}", shared, wider=wider, clock=clock)

        return hotel

    def fail(self, breaker: Breaker, times: int = FAILURES_TO_OPEN) -> None:
        for _ in range(times):
            breaker.failure()

    def test_one_hotels_trouble_however_long_leaves_the_host_to_the_others(self, hotel: Callable[[str], Breaker]) -> None:
        for _ in range(4):
            self.fail(hotel("a"), 20)
        hotel("b").before()
        self.fail(hotel("b"))
        hotel("c").before()

    def test_several_hotels_in_trouble_close_the_host_to_all_and_one_answer_opens_it(
        self, hotel: Callable[[str], Breaker], clock: Clock
    ) -> None:
        for name in ("a", "b", "c"):
            self.fail(hotel(name))
        with pytest.raises(CircuitOpen) as refusal:
            hotel("d").before()
        assert refusal.value.retry_at == NOW + PROBE_EVERY
        clock.advance(PROBE_EVERY.total_seconds())
        probe = hotel("d")
        probe.before()
        with pytest.raises(CircuitOpen):
            hotel("e").before()
        Breaker._looks.clear()
        clock.advance(PROBE_EVERY.total_seconds())
        probe.before()
        probe.success()
        hotel("e").before()

    def test_an_answer_to_anybody_starts_the_count_anew(self, hotel: Callable[[str], Breaker]) -> None:
        self.fail(hotel("a"))
        self.fail(hotel("b"))
        healthy = hotel("healthy")
        healthy.before()
        healthy.success()
        self.fail(hotel("c"))
        hotel("d").before()
