"""Lanes: where a worker works, one for each kind of job, so that nobody waits for somebody else's trouble.

What waits is in the rows. A lane asks them for jobs, begins that of the hotel with the least in hand, and begins another whenever a place is
free: when a job ends, and while one waits for its vendor. Rows and their leases decide what is done and by whom; a lane decides whose turn
it is in this process. So it is harmless if two look at the same time, or if a row is done when its turn comes.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from django.db import connection

from integrations.leases import DATABASE_LOST
from integrations.transport.places import Places

logger = logging.getLogger(__name__)

stopping = threading.Event()
"""Set when this process was asked to stop: work in hand is finished or handed back, and none is begun."""

PLACES = 4
"""Jobs of a lane at work at a time. Threads of one process share a core: more would only slow each other down."""
JOBS = 64
"""Jobs of a lane begun, those included that wait for their vendors."""
HOST_JOBS = 16
"""Of these, at one vendor's host: one that hangs leaves most of the lane to the others."""
HOTEL_JOBS, INTEGRATION_JOBS = 4, 2
"""More of one hotel would be its own rivals: they write the same tables, and its vendors count its calls."""
LOOKED_AT = 300
"""Jobs taken into account at a look."""
LOOK_SECONDS = 1.0
"""How old a look may be: what came since is seen after so long, however much there is to do."""
LOOK_AGAIN_SECONDS = 0.2
REST_SECONDS = 30.0
"""So long a job rests that failed for a reason nobody foresaw, so that it is not tried in a circle."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do for a hotel at one of its vendors."""

    target: int
    """Id of the row it is about."""
    integration_id: int
    hotel_id: int
    host: str
    is_suspect: bool = False
    """It was in hand twice when a worker died."""

    def shares(self) -> Iterator[tuple["Share", int]]:
        """Name whose turns it counts for, and how many these may have."""
        yield ("hotel", self.hotel_id), HOTEL_JOBS
        yield ("integration", self.integration_id), INTEGRATION_JOBS
        if self.host:
            yield ("host", self.host), HOST_JOBS


Share = tuple[str, int | str]

_suspect = threading.Semaphore(1)
"""Of suspects of all lanes there is one in hand at a time: else the one that kills workers would take the same others with it again and
again, until they are given up too."""


@dataclass(frozen=True, slots=True)
class Busy:
    """What a look need not find: jobs in hand, and those of whom has as many in hand as may be."""

    targets: Collection[int] = ()
    hotels: Collection[int] = ()
    integrations: Collection[int] = ()
    hosts: Collection[str] = ()


class Lane:
    """One kind of job. `is_due` says whether any waits, cheaply; `find` which, some of every hotel's; `work` does one."""

    def __init__(
        self, name: str, *, is_due: Callable[[], bool], find: Callable[[Busy], Iterable[Job]], work: Callable[[int], None]
    ) -> None:
        self.name = name
        self.is_due = is_due
        self.find = find
        self.work = work
        self._lock = threading.Lock()  # of all below
        self._looking = threading.Lock()
        self._threads = 0
        self._scouts = 0
        """Threads that ask for a place, or have one and look for a job."""
        self._found: list[Job] = []
        self._looked_at = float("-inf")
        self._in_hand: dict[int, Job] = {}
        self._shares: Counter[Share] = Counter()
        self._rest_until: dict[int, float] = {}
        self.open(PLACES)

    def open(self, places: int) -> None:
        """Set how many jobs may be at work at a time, before the first begins."""
        self._places = Places(places, between=put_connection_down)

    def wake(self) -> None:
        """Have somebody look for what is due, if nobody is about to. Returns at once."""
        with self._lock:
            if self._scouts or self._threads >= JOBS or stopping.is_set():
                return
            self._threads += 1
            self._scouts += 1
        threading.Thread(target=self._run, name=f"lane-{self.name}", daemon=True).start()

    def is_idle(self) -> bool:
        with self._lock:
            return not self._threads

    # --- a thread --------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Work one job after the other, until there is none."""
        is_scout = True
        try:
            while True:
                self._places.take()
                try:
                    job = None if stopping.is_set() else self._take()
                    with self._lock:
                        self._scouts -= 1
                    is_scout = False
                    if job is None:
                        return
                    self.wake()  # the next is begun as soon as there is a place for it
                    self._do(job)
                finally:
                    self._places.give()
                with self._lock:
                    self._scouts += 1
                is_scout = True
        except Exception:  # the database may be restarting: whoever is woken next looks again
            logger.exception("lane_failed lane=%s", self.name)
        finally:
            with self._lock:
                self._threads -= 1
                self._scouts -= is_scout
            connection.close()

    def _do(self, job: Job) -> None:
        rest = 0.0
        try:
            self.work(job.target)
        except DATABASE_LOST as error:
            logger.warning("job_lost_database lane=%s target=%s error=%s", self.name, job.target, type(error).__name__)
            connection.close()
        except Exception:
            logger.exception("job_failed lane=%s target=%s", self.name, job.target)
            rest = REST_SECONDS
        finally:
            if job.is_suspect:
                _suspect.release()
            with self._lock:
                del self._in_hand[job.target]
                self._shares.subtract(share for share, _ in job.shares())
                if rest:
                    self._rest_until[job.target] = time.monotonic() + rest

    # --- whose turn it is --------------------------------------------------------------------------------------------------------

    def _take(self) -> Job | None:
        with self._lock:
            age = time.monotonic() - self._looked_at
            job = self._pick() if age < LOOK_SECONDS else None
        if job is None and age >= LOOK_AGAIN_SECONDS:
            self._look()
            with self._lock:
                job = self._pick()
        return job

    def _look(self) -> None:
        with self._looking:
            with self._lock:
                if time.monotonic() - self._looked_at < LOOK_AGAIN_SECONDS:  # somebody else did meanwhile
                    return
                busy = self._busy()
            found = list(self.find(busy))
            with self._lock:
                self._found = found
                self._looked_at = time.monotonic()

    def _busy(self) -> Busy:
        now = time.monotonic()
        self._shares = +self._shares
        self._rest_until = {target: until for target, until in self._rest_until.items() if until > now}
        limits = dict(pair for job in self._in_hand.values() for pair in job.shares())
        full: dict[str, list] = {"hotel": [], "integration": [], "host": []}
        for (kind, key), limit in limits.items():
            if self._shares[kind, key] >= limit:
                full[kind].append(key)
        return Busy(targets=[*self._in_hand, *self._rest_until], hotels=full["hotel"], integrations=full["integration"], hosts=full["host"])

    def _pick(self) -> Job | None:
        """Take the first found of the hotel with the least in hand."""
        for job in sorted(self._found, key=lambda job: self._shares["hotel", job.hotel_id]):
            if job.target in self._in_hand or any(self._shares[share] >= limit for share, limit in job.shares()):
                continue
            if job.is_suspect and not _suspect.acquire(blocking=False):
                continue
            self._found.remove(job)
            self._in_hand[job.target] = job
            self._shares.update(share for share, _ in job.shares())
            return job
        return None


def put_connection_down() -> None:
    """Give this thread's connection back to the pool. Without a pool it is kept: to open one costs more."""
    if connection.in_atomic_block:
        return
    if connection.errors_occurred or getattr(connection, "pool", None):
        connection.close()


def join(lanes: Iterable[Lane], seconds: float) -> bool:
    """Wait until what is in hand is finished or handed back; say whether it was."""
    deadline = time.monotonic() + seconds
    while not (done := all(lane.is_idle() for lane in lanes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return done


LANES: dict[str, Lane] = {}
"""Those of this process, by name."""
