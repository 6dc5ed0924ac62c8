"""Whose turn it is: which of the jobs that are due go to the engine next, so that no hotel keeps the others waiting.

A job is a task and the id it is given. A mark in the shared cache keeps it from being handed out again while the engine has it, and lapses
with the worker that had it: rows and their leases alone decide what is done, so a mark that is lost or late costs a look in vain, no more.
The worker's tick calls `hand_out`; every task works inside `taken`.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db import InterfaceError, OperationalError
from django_tasks.base import Task

JOBS_PER_HOTEL = 2
"""Jobs of one kind that one hotel has with the engine at a time. A worker's default threads are more than three kinds of it, so that a
hotel with much to do never has all of them."""
WAITING = 16
"""Jobs of one kind handed out and not begun, of all hotels. More would only wait in the engine's queue, where nobody's turn can be changed.
Of each kind apart: one webhook among ten thousand runs would else wait until its lot is drawn."""
SUSPECTS = ("suspects", 0)
"""Of jobs that were in hand twice when a worker died, one at a time: else the one that kills workers would take the same others with it
again and again, until they are given up too."""
MARK_SECONDS = 60
"""As long as the leases: a job whose worker died, or that a broker lost, is handed out again when they lapse."""

HANDED, BEGUN = "handed", "begun"

_interrupted: set[str] = set()
"""Marks of this process's jobs that lost the database. The cache may lie in it too, so that they are given up once it answers again."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something a worker shall do for a hotel."""

    task: Task[Any, Any]
    target: int
    hotel_id: int
    is_suspect: bool = False

    @property
    def key(self) -> str:
        return _key(self.task, self.target)

    @property
    def share(self) -> tuple[str, int]:
        """Whose turns it counts for."""
        return SUSPECTS if self.is_suspect else (self.task.name, self.hotel_id)

    @property
    def limit(self) -> int:
        return 1 if self.is_suspect else JOBS_PER_HOTEL


def hand_out(due: Iterable[Job], working: Counter[tuple[str, int]]) -> None:
    """Give due jobs to the engine: whose hotel has the least in hand first, and among equals by lot, so that nobody is always last.

    `working` counts by share what is at work beside these. What the engine refuses stays due: its error is raised.
    """
    if interrupted := list(_interrupted):
        cache.delete_many(interrupted)
        _interrupted.difference_update(interrupted)
    jobs = list(due)
    marks = cache.get_many([job.key for job in jobs])
    in_hand = working + Counter(job.share for job in jobs if job.key in marks)
    waiting = Counter(job.task.name for job in jobs if marks.get(job.key) == HANDED)
    random.shuffle(jobs)
    for job in sorted(jobs, key=lambda job: in_hand[job.share]):
        if waiting[job.task.name] >= WAITING or job.key in marks or in_hand[job.share] >= job.limit:
            continue
        if not cache.add(job.key, HANDED, MARK_SECONDS):
            continue
        try:
            job.task.enqueue(job.target)
        except BaseException:
            cache.delete(job.key)
            raise
        in_hand[job.share] += 1
        waiting[job.task.name] += 1


@contextmanager
def taken(task: Task[Any, Any], target: int) -> Iterator[None]:
    """Mark a job as begun, and as free again at its end. After an error the mark stays until it lapses, so that what fails at once is not
    tried in a circle; but the loss of the database is not the job's failure, and its mark is given up at the next look."""
    key = _key(task, target)
    try:
        cache.set(key, BEGUN, MARK_SECONDS)
        yield
        cache.delete(key)
    except (OperationalError, InterfaceError):
        _interrupted.add(key)
        raise


def free(task: Task[Any, Any], targets: Iterable[int]) -> None:
    """Forget that jobs are in somebody's hands."""
    cache.delete_many([_key(task, target) for target in targets])


def _key(task: Task[Any, Any], target: int) -> str:
    return f"turn:{task.name}:{target}"
