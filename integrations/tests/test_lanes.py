"""Lanes: whose turn it is, that a waiting job gives its place up, and that neither trouble nor a flood of one keeps another waiting."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest
from django.db import OperationalError

from integrations import lanes
from integrations.lanes import Busy, Job, Lane
from integrations.transport import places


@pytest.fixture(autouse=True)
def stopping(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    event = threading.Event()
    monkeypatch.setattr(lanes, "stopping", event)
    monkeypatch.setattr(lanes, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(lanes.connection, "close", lambda: None, raising=False)
    return event


class Work:
    """Jobs that wait until they are let go, and who is at which."""

    def __init__(self, *jobs: Job) -> None:
        self.due = list(jobs)
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.gates: dict[int, threading.Event] = {}
        self.looks: list[Busy] = []
        self.lane = Lane("test", is_due=lambda: bool(self.due), find=self.find, work=self.work)

    def find(self, busy: Busy) -> Iterable[Job]:
        self.looks.append(busy)
        return [job for job in self.due if job.target not in busy.targets]

    def work(self, target: int) -> None:
        self.begun.append(target)
        self.gates.setdefault(target, threading.Event()).wait(5)
        self.due = [job for job in self.due if job.target != target]
        self.ended.append(target)

    def let_go(self, *targets: int) -> None:
        for target in targets:
            self.gates.setdefault(target, threading.Event()).set()

    def over(self) -> None:
        self.let_go(*(job.target for job in self.due))
        assert eventually(self.lane.is_idle)


def eventually(found: Callable[[], object]) -> bool:
    for _ in range(1000):
        if found():
            return True
        time.sleep(0.005)
    return False


def job(target: int, *, hotel: int = 0, integration: int = 0, host: str = "", is_suspect: bool = False) -> Job:
    """A job of a hotel and integration of its own, unless they are given."""
    return Job(target, integration or 1000 + target, hotel or 2000 + target, host, is_suspect)


@pytest.fixture
def make() -> Iterator[Callable[..., Work]]:
    made = []

    def make(*jobs: Job) -> Work:
        made.append(Work(*jobs))
        return made[-1]

    yield make
    for work in made:
        work.over()


Make = Callable[..., Work]


class TestPlaces:
    def test_so_many_jobs_are_at_work_at_a_time_and_the_next_begins_when_one_ends(self, make: Make) -> None:
        work = make(*(job(number) for number in range(7)))
        work.lane.wake()
        assert eventually(lambda: len(work.begun) == lanes.PLACES)
        work.let_go(work.begun[0])
        assert eventually(lambda: len(work.begun) == lanes.PLACES + 1)
        assert len(work.looks) == 1

    def test_a_job_that_waits_for_its_vendor_leaves_its_place_to_another(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        work = make(*(job(number) for number in range(3)))
        answer, inner = threading.Event(), work.work

        def waits_first(target: int) -> None:
            if target < 2:
                with places.given_up():
                    answer.wait(5)
            inner(target)

        work.lane.work = waits_first
        work.lane.open(1)
        work.lane.wake()
        assert eventually(lambda: work.begun == [2])
        answer.set()
        work.let_go(2)
        assert eventually(lambda: len(work.begun) == 2)
        work.let_go(*work.begun)
        assert eventually(lambda: sorted(work.ended) == [0, 1, 2] or work.let_go(0, 1))

    def test_places_go_round(self) -> None:
        one = places.Places(1)
        order: list[str] = []

        def ask(name: str) -> None:
            one.take()
            order.append(name)
            one.give()

        one.take()
        threads = []
        for name in "abc":
            threads.append(threading.Thread(target=ask, args=(name,)))
            threads[-1].start()
            assert eventually(lambda: len(one._asking) == len(threads))
        one.give()
        for thread in threads:
            thread.join(5)
        assert order == ["a", "b", "c"]

    def test_who_has_no_place_gives_none_up(self) -> None:
        with places.given_up():
            pass
        places.sleep(0)

    def test_jobs_that_wait_are_bounded_too(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lanes, "JOBS", 6)
        work = make(*(job(number) for number in range(20)))
        answer = threading.Event()

        def waits(target: int) -> None:
            work.begun.append(target)
            with places.given_up():
                answer.wait(5)
            work.due = [one for one in work.due if one.target != target]

        work.lane.work = waits
        work.lane.wake()
        assert eventually(lambda: len(work.begun) == 6)
        for _ in range(5):
            work.lane.wake()
        assert len(work.begun) == 6
        answer.set()


class TestTurns:
    def begun(self, work: Work, monkeypatch: pytest.MonkeyPatch, count: int) -> Counter[int]:
        """Wait until so many jobs are begun, and that no further one begins."""
        work.lane.open(100)
        work.lane.wake()
        assert eventually(lambda: len(work.begun) >= count and not work.lane._scouts)
        assert len(work.begun) == count
        return Counter(work.begun)

    @pytest.mark.parametrize(
        ("shared", "limit"),
        [
            ({"hotel": 1}, lanes.HOTEL_JOBS),
            ({"integration": 1}, lanes.INTEGRATION_JOBS),
            ({"host": "vendor.example:443"}, lanes.HOST_JOBS),
            ({"is_suspect": True}, 1),
        ],
        ids=["hotel", "integration", "host", "suspects"],
    )
    def test_nobody_has_more_than_its_share_and_another_has_its_place(
        self, make: Make, monkeypatch: pytest.MonkeyPatch, shared: dict[str, object], limit: int
    ) -> None:
        work = make(*(job(number, **shared) for number in range(40)), job(99))  # type: ignore[arg-type]
        begun = self.begun(work, monkeypatch, limit + 1)
        assert 99 in begun
        work.let_go(next(target for target in begun if target != 99))
        assert eventually(lambda: len(work.begun) == limit + 2)  # the share is refilled as it becomes free

    def test_of_suspects_one_is_in_hand_whatever_their_lane(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        one, other = make(job(1, is_suspect=True)), make(job(2, is_suspect=True), job(3))
        self.begun(one, monkeypatch, 1)
        assert 2 not in self.begun(other, monkeypatch, 1)
        one.let_go(1)
        assert eventually(one.lane.is_idle)
        other.lane.wake()
        assert eventually(lambda: 2 in other.begun)

    def test_a_look_leaves_out_whom_it_could_not_give_a_turn(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs = [job(number, integration=7, hotel=8, host="vendor.example:443") for number in range(lanes.INTEGRATION_JOBS)]
        work = make(*jobs)
        self.begun(work, monkeypatch, len(jobs))
        monkeypatch.setattr(lanes, "HOTEL_JOBS", 2)
        monkeypatch.setattr(lanes, "HOST_JOBS", 2)
        work.lane.wake()
        assert eventually(lambda: len(work.looks) > 1 and not work.lane._scouts)
        last = work.looks[-1]
        assert (sorted(last.targets), list(last.hotels), list(last.integrations), list(last.hosts)) == (
            [0, 1],
            [8],
            [7],
            ["vendor.example:443"],
        )

    def test_the_hotel_with_the_least_in_hand_comes_first(self, make: Make) -> None:
        work = make(*(job(number, hotel=1) for number in range(5)), job(5, hotel=2))
        work.lane.open(2)
        work.lane.wake()
        assert eventually(lambda: sorted(work.begun) == [0, 5])  # each on a thread of its own

    def test_what_came_since_the_last_look_does_not_wait_for_what_was_found_then(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        work = make(*(job(number) for number in range(50)))
        work.lane.open(1)
        work.lane.wake()
        assert eventually(lambda: len(work.begun) == 1)
        work.due.insert(0, job(99))
        monkeypatch.setattr(lanes, "LOOK_SECONDS", 0.0)
        work.let_go(work.begun[0])
        assert eventually(lambda: work.begun[1:] == [99])


class TestTrouble:
    def test_a_job_that_fails_for_an_unforeseen_reason_rests_and_the_others_go_on(self, make: Make) -> None:
        work = make(job(1), job(2))
        inner = work.work

        def fail(target: int) -> None:
            if target == 1:
                work.begun.append(1)
                raise RuntimeError("a fault of ours")
            inner(target)

        work.lane.work = fail
        work.let_go(2)
        work.lane.wake()
        assert eventually(work.lane.is_idle)
        work.lane.wake()
        assert eventually(work.lane.is_idle)
        assert sorted(work.begun) == [1, 2]
        work.lane._rest_until.clear()
        work.lane.wake()
        assert eventually(work.lane.is_idle)
        assert sorted(work.begun) == [1, 1, 2]
        work.due.clear()

    def test_a_job_that_lost_the_database_is_begun_again_at_the_next_look(self, make: Make) -> None:
        work = make(job(1))
        inner = work.work

        def lost_once(target: int) -> None:
            if not work.begun:
                work.begun.append(target)
                raise OperationalError("server closed the connection unexpectedly")
            inner(target)

        work.lane.work = lost_once
        work.let_go(1)
        work.lane.wake()
        assert eventually(lambda: work.ended == [1] or (work.lane.is_idle() and work.lane.wake()))

    def test_a_look_that_fails_ends_nothing(self, make: Make) -> None:
        work = make(job(1))
        find = work.lane.find

        def lost(busy: Busy) -> Iterable[Job]:
            raise OperationalError("server closed the connection unexpectedly")

        work.lane.find = lost
        work.lane.wake()
        assert eventually(work.lane.is_idle)
        work.lane.find = find
        work.let_go(1)
        work.lane.wake()
        assert eventually(lambda: work.ended == [1])

    def test_nothing_is_begun_once_the_worker_shall_stop_and_what_is_in_hand_is_waited_for(
        self, make: Make, stopping: threading.Event
    ) -> None:
        work = make(*(job(number) for number in range(10)))
        work.lane.wake()
        assert eventually(lambda: len(work.begun) == lanes.PLACES)
        stopping.set()
        assert not lanes.join([work.lane], 0.05)
        work.let_go(*range(10))
        assert lanes.join([work.lane], 5)
        assert len(work.begun) == lanes.PLACES
        work.lane.wake()
        assert work.lane.is_idle()
