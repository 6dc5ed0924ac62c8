"""The cache that breakers, budgets and limits count in: exact over processes, and true to its time-outs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from tests.threads import at_once

WORKERS = 8
ROUNDS = 10


def answers(work: Callable[[], Any]) -> list[Any]:
    """Return what several threads get that start `work` together."""
    found: list[Any] = []
    assert at_once(WORKERS, lambda: found.append(work())) == []
    return found


@pytest.mark.django_db(transaction=True)
class TestCounting:
    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        cache.clear()

    def test_no_step_is_lost_between_workers(self) -> None:
        cache.set("counter", 0, 60)
        answers(lambda: [cache.incr("counter") for _ in range(ROUNDS)])
        assert cache.get("counter") == WORKERS * ROUNDS

    def test_one_worker_opens_a_window(self) -> None:
        assert answers(lambda: cache.add("window", 0, 60)).count(True) == 1

    def test_one_worker_opens_a_window_that_had_closed(self) -> None:
        cache.set("window", 7, -1)
        assert answers(lambda: cache.add("window", 0, 60)).count(True) == 1


@pytest.mark.django_db
def test_counting_does_not_prolong_the_window(time_machine: Any) -> None:
    time_machine.move_to(timezone.now())
    cache.add("window", 0, 900)
    time_machine.shift(timedelta(seconds=800))
    assert cache.incr("window") == 1
    time_machine.shift(timedelta(seconds=102))
    with pytest.raises(ValueError, match="not found"):
        cache.incr("window")
