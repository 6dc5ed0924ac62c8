"""Turns: each kind of job has places of its own, and a lost database keeps no job marked."""

from collections import Counter
from typing import Any

import pytest
from django.core.cache import cache
from django.db import InterfaceError, OperationalError

from integrations import turns


class Recorder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.handed: list[int] = []

    def enqueue(self, target: int) -> None:
        self.handed.append(target)


@pytest.fixture(autouse=True)
def _no_marks(db: Any) -> None:
    cache.clear()


def test_many_runs_leave_a_webhook_its_place() -> None:
    runs, inbox = Recorder("runs"), Recorder("inbox")
    many = [turns.Job(runs, number, number) for number in range(500)]
    turns.hand_out(many, Counter())
    turns.hand_out([*many, turns.Job(inbox, 1, 1000)], Counter())
    assert len(runs.handed) == turns.WAITING
    assert inbox.handed == [1]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_job_that_lost_the_database_is_handed_out_at_the_next_look(error: type[Exception]) -> None:
    runs = Recorder("runs")
    with pytest.raises(error), turns.taken(runs, 7):
        raise error("server closed the connection unexpectedly")
    turns.hand_out([turns.Job(runs, 7, 1)], Counter())
    assert runs.handed == [7]


def test_a_job_that_failed_by_itself_keeps_its_mark() -> None:
    runs = Recorder("runs")
    with pytest.raises(ValueError, match="odd"), turns.taken(runs, 7):
        raise ValueError("odd")
    turns.hand_out([turns.Job(runs, 7, 1)], Counter())
    assert runs.handed == []
