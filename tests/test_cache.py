"""The cache that breakers, budgets and limits count in: exact over processes, and true to its time-outs."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.utils import timezone

WORKERS = 8
ROUNDS = 10


def at_once(work: Callable[[], Any]) -> list[Any]:
    """Run `work` in several threads that start together, each with its own connection."""
    start = threading.Barrier(WORKERS)
    results: list[Any] = []

    def run() -> None:
        try:
            start.wait()
            results.append(work())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
class TestCounting:
    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        cache.clear()

    def test_no_step_is_lost_between_workers(self) -> None:
        cache.set("counter", 0, 60)
        at_once(lambda: [cache.incr("counter") for _ in range(ROUNDS)])
        assert cache.get("counter") == WORKERS * ROUNDS

    def test_one_worker_opens_a_window(self) -> None:
        assert at_once(lambda: cache.add("window", 0, 60)).count(True) == 1

    def test_one_worker_opens_a_window_that_had_closed(self) -> None:
        cache.set("window", 7, -1)
        assert at_once(lambda: cache.add("window", 0, 60)).count(True) == 1


@pytest.mark.django_db
def test_counting_does_not_prolong_the_window(time_machine: Any) -> None:
    time_machine.move_to(timezone.now())
    cache.add("window", 0, 900)
    time_machine.shift(timedelta(seconds=800))
    assert cache.incr("window") == 1
    time_machine.shift(timedelta(seconds=102))
    with pytest.raises(ValueError, match="not found"):
        cache.incr("window")
