"""Background work: whose turn it is, and that nothing is lost, doubled or blocked, whatever dies or refuses."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django_tasks import default_task_backend

from hotels.models import Hotel
from integrations import tasks, turns
from integrations.exceptions import AuthenticationFailed, HospientError, ReauthorizationRequired
from integrations.models import Integration, Operation, RunMode, RunStatus, SyncRun, Trigger
from integrations.services import service_for
from integrations.sync import runner, schedule
from integrations.tests.conftest import Connect
from integrations.tests.stub import StubProvider
from tests.threads import at_once

NOBODY: Counter[tuple[str, int]] = Counter()


@pytest.fixture(autouse=True)
def nothing_handed_out(db: None) -> Iterator[None]:
    cache.clear()
    default_task_backend.results.clear()
    yield
    cache.clear()


def job(target: int, hotel_id: int = 1, **more: Any) -> turns.Job:
    return turns.Job(tasks.run_sync, target, hotel_id, **more)


def handed_out() -> list[int]:
    """Return what the engine was given, and forget it."""
    given = [result.args[0] for result in default_task_backend.results]
    default_task_backend.results.clear()
    return given


def lapsed(**more: Any) -> dict[str, Any]:
    return {"lease_until": timezone.now() - timedelta(seconds=1), **more}


class TestTurns:
    def test_a_job_is_handed_out_once_while_it_is_in_hand(self) -> None:
        for _ in range(3):
            turns.hand_out([job(1)], NOBODY)
        assert handed_out() == [1]

    def test_a_job_that_ended_may_come_again(self) -> None:
        turns.hand_out([job(1)], NOBODY)
        with turns.taken(tasks.run_sync, 1):
            turns.hand_out([job(1)], NOBODY)
        turns.hand_out([job(1)], NOBODY)
        assert handed_out() == [1, 1]

    def test_a_job_that_failed_at_once_is_not_tried_in_a_circle(self) -> None:
        turns.hand_out([job(1)], NOBODY)
        with pytest.raises(RuntimeError), turns.taken(tasks.run_sync, 1):
            raise RuntimeError
        turns.hand_out([job(1)], NOBODY)
        assert handed_out() == [1]

    def test_a_hotel_with_much_to_do_leaves_room_for_another(self) -> None:
        turns.hand_out([*(job(number) for number in range(500)), job(1000, hotel_id=2)], NOBODY)
        given = handed_out()
        assert 1000 in given
        assert len(given) == turns.JOBS_PER_HOTEL + 1

    def test_what_a_hotel_has_at_work_counts(self) -> None:
        turns.hand_out([job(1), job(2, hotel_id=2)], Counter({job(1).share: turns.JOBS_PER_HOTEL}))
        assert handed_out() == [2]

    def test_the_hotel_with_the_least_in_hand_comes_first(self) -> None:
        many = [job(number, hotel_id=number) for number in range(turns.WAITING * 2)]
        turns.hand_out([*many, job(1000, hotel_id=1000)], Counter({one.share: 1 for one in many}))
        assert 1000 in handed_out()

    def test_the_engines_queue_is_kept_short(self) -> None:
        many = [job(number, hotel_id=number) for number in range(100)]
        turns.hand_out(many, NOBODY)
        turns.hand_out(many, NOBODY)
        given = handed_out()
        assert len(given) == turns.WAITING
        with turns.taken(tasks.run_sync, given[0]):
            turns.hand_out(many, NOBODY)
        assert len(handed_out()) == 1

    def test_nobody_is_always_last(self) -> None:
        many = [job(number, hotel_id=number) for number in range(turns.WAITING + 4)]
        seen = set()
        for _ in range(40):
            turns.hand_out(many, NOBODY)
            seen |= set(handed_out())
            cache.clear()
        assert len(seen) == len(many)

    def test_what_the_engine_refuses_stays_due(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any) -> None:
            raise ConnectionRefusedError

        with monkeypatch.context() as broken:
            broken.setattr(default_task_backend, "enqueue", refuse)
            with pytest.raises(ConnectionRefusedError):
                turns.hand_out([job(1)], NOBODY)
        turns.hand_out([job(1)], NOBODY)
        assert handed_out() == [1]

    def test_suspects_are_worked_one_at_a_time(self) -> None:
        suspects = [job(number, hotel_id=number, is_suspect=True) for number in range(5)]
        turns.hand_out([*suspects, job(10, hotel_id=10)], NOBODY)
        turns.hand_out(suspects, NOBODY)
        assert len(handed_out()) == 2
        cache.clear()
        turns.hand_out(suspects, Counter({turns.SUSPECTS: 1}))
        assert handed_out() == []


@pytest.mark.django_db(transaction=True)
def test_many_workers_ticking_at_once_hand_out_each_job_once() -> None:
    jobs = [job(number, hotel_id=number) for number in range(8)]
    given: list[int] = []

    class Task:
        name = tasks.run_sync.name
        enqueue = staticmethod(given.append)

    def tick() -> None:
        turns.hand_out([turns.Job(Task, one.target, one.hotel_id) for one in jobs], NOBODY)  # type: ignore[arg-type]

    assert at_once(6, tick) == []
    assert sorted(given) == list(range(8))


@pytest.fixture
def integration(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel)


def due() -> list[tuple[str, int, bool]]:
    return [(one.task.name, one.target, one.is_suspect) for one in tasks.due_jobs()]


class TestRuns:
    def test_a_run_that_is_due_is_executed_and_then_no_longer_due(self, integration: Integration) -> None:
        run, _ = service_for(integration).request_sync("menus")
        assert due() == [("run_sync", run.pk, False)]
        tasks.run_sync.call(run.pk)
        run.refresh_from_db()
        assert (run.status, due()) == ("succeeded", [])

    def test_of_a_hotel_the_oldest_runs_are_due_first(self, integration: Integration) -> None:
        runs = [service_for(integration).request_sync(name)[0].pk for name in ("rooms", "menus", "guests", "categories")]
        assert sorted(target for _, target, _ in due()) == runs[: turns.JOBS_PER_HOTEL]

    def test_a_run_whose_vendor_no_longer_has_the_stream_is_closed(self, integration: Integration) -> None:
        run = SyncRun.objects.create(integration=integration, stream="spa_bookings")
        tasks.run_sync.call(run.pk)
        run.refresh_from_db()
        assert (run.status, run.error_code, due()) == ("failed", "unsupported_operation", [])

    def test_a_run_that_kills_its_workers_is_put_aside_with_its_reason(self, integration: Integration, stub: type[StubProvider]) -> None:
        run, _ = service_for(integration).request_sync("menus")
        for _ in range(runner.MAX_ATTEMPTS):
            runner.Runner(run, service_for(integration).stream("menus"), lambda query: iter(()))._claim()  # and here the worker died
            SyncRun.objects.update(**lapsed())
        tasks.run_sync.call(run.pk)
        run.refresh_from_db()
        assert (run.status, run.error_code, run.attempts) == ("failed", "worker_lost", runner.MAX_ATTEMPTS)
        assert stub.calls == []
        again, created = service_for(integration).request_sync("menus")
        assert (created, again.attempts) == (True, 0)

    def test_a_run_that_was_in_hand_twice_when_a_worker_died_is_suspect(self, integration: Integration) -> None:
        run = SyncRun.objects.create(integration=integration, stream="menus", status=RunStatus.RUNNING, attempts=1, **lapsed())
        assert due() == [("run_sync", run.pk, False)]
        SyncRun.objects.update(attempts=2)
        assert due() == [("run_sync", run.pk, True)]
        SyncRun.objects.update(attempts=3, lease_until=timezone.now() + timedelta(seconds=60))
        assert tasks.at_work() == {turns.SUSPECTS: 1, ("run_sync", integration.hotel_id): 1}

    def test_a_read_of_single_objects_is_not_taken_up_by_another_but_closed(self, integration: Integration) -> None:
        common = {"integration": integration, "stream": "menus", "mode": RunMode.REFRESH, "trigger": Trigger.WEBHOOK}
        lost = SyncRun.objects.create(**common, status=RunStatus.RUNNING, **lapsed())
        under_way = SyncRun.objects.create(**common, status=RunStatus.RUNNING, lease_until=timezone.now() + timedelta(seconds=60))
        assert due() == []
        assert runner.close_lost_reads() == 1
        lost.refresh_from_db()
        under_way.refresh_from_db()
        assert (lost.status, lost.error_code, under_way.status) == ("failed", "worker_lost", "running")


class TestLostDatabase:
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("error", [OperationalError, InterfaceError])
    def test_a_run_that_met_a_restart_is_handed_back(
        self, integration: Integration, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        monkeypatch.setattr(runner, "DATABASE_LOOK_SECONDS", 0)
        hand_back, looks = runner.Runner._hand_back, []

        def lost(*_: Any) -> None:
            raise error("server closed the connection unexpectedly")

        def back_at_the_third_look(self: runner.Runner, *more: Any) -> None:
            looks.append(1)
            if len(looks) < 3:
                lost()
            hand_back(self, *more)

        monkeypatch.setattr(runner.Runner, "_read", lost)
        monkeypatch.setattr(runner.Runner, "_hand_back", back_at_the_third_look)
        service = service_for(integration)
        run, _ = service.request_sync(next(stream.name for stream in service.streams() if stream.scheduled))
        service.execute(run)
        run.refresh_from_db()
        assert (run.status, run.error_code, run.lease_owner, len(looks)) == (RunStatus.QUEUED, "", None, 3)


class TestSchedule:
    @pytest.fixture
    def overdue(self, integration: Integration) -> Integration:
        Integration.objects.update(next_sync_at=timezone.now() - timedelta(hours=5), sync_settings={"auto_sync": True})
        integration.refresh_from_db()
        return integration

    def test_a_worker_that_dies_before_it_has_opened_the_runs_loses_none(
        self, overdue: Integration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def dies(*_: Any, **__: Any) -> None:
            raise SystemExit

        with monkeypatch.context() as broken:
            broken.setattr(schedule, "open_run", dies)
            with pytest.raises(SystemExit):
                tasks.schedule_due()
        before = overdue.next_sync_at
        overdue.refresh_from_db()
        assert overdue.next_sync_at == before
        tasks.schedule_due()
        overdue.refresh_from_db()
        assert overdue.next_sync_at > timezone.now()
        assert SyncRun.objects.count() == len([stream for stream in service_for(overdue).streams() if stream.scheduled])

    @pytest.mark.parametrize(("error", "stays"), [(ReauthorizationRequired(), False), (AuthenticationFailed(), True)])
    def test_access_that_was_revoked_leaves_the_schedule(
        self, overdue: Integration, stub: type[StubProvider], error: HospientError, stays: bool
    ) -> None:
        tasks.schedule_due()
        stub.failures["menus"] = error
        tasks.run_sync.call(SyncRun.objects.get(stream="menus").pk)
        overdue.refresh_from_db()
        assert (overdue.next_sync_at is not None, overdue.status) == (stays, "error")
        SyncRun.objects.all().delete()
        Integration.objects.filter(next_sync_at__isnull=False).update(next_sync_at=timezone.now())
        tasks.schedule_due()
        assert SyncRun.objects.exists() is stays

    def test_a_tick_opens_the_runs_of_those_longest_due_and_leaves_the_rest_to_the_next(
        self, overdue: Integration, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = connect(Hotel.objects.create(name="Later"))
        later.sync_settings = {"auto_sync": True}
        later.next_sync_at = timezone.now() - timedelta(minutes=1)
        later.save()
        monkeypatch.setattr(tasks, "SCHEDULED_A_TICK", 1)
        tasks.schedule_due()
        assert set(SyncRun.objects.values_list("integration", flat=True)) == {overdue.pk}
        tasks.schedule_due()
        assert set(SyncRun.objects.values_list("integration", flat=True)) == {overdue.pk, later.pk}

    @pytest.mark.django_db(transaction=True)
    def test_many_workers_ticking_at_once_open_each_run_once(self, overdue: Integration) -> None:
        assert at_once(5, tasks.schedule_due) == []
        streams = list(SyncRun.objects.values_list("stream", flat=True))
        assert len(streams) == len(set(streams)) == len([stream for stream in service_for(overdue).streams() if stream.scheduled])


class TestOperations:
    @pytest.fixture
    def operations(self, integration: Integration) -> list[Operation]:
        return [
            Operation.objects.create(
                integration=integration, name="post_charge", idempotency_key=str(number),
                payload={"number": number}, next_attempt_at=timezone.now(),
            )
            for number in range(3)
        ]  # fmt: skip

    def statuses(self) -> list[str]:
        return list(Operation.objects.order_by("id").values_list("status", flat=True))

    def test_what_a_vendor_no_longer_offers_is_put_aside_and_blocks_nobody(
        self, integration: Integration, operations: list[Operation]
    ) -> None:
        Operation.objects.filter(pk=operations[1].pk).update(name="post_telegram")
        tasks.deliver_operations.call(integration.pk)
        assert self.statuses() == ["done", "dead", "done"]
        operations[1].refresh_from_db()
        assert (operations[1].error_code, bool(operations[1].error_message)) == ("unsupported_operation", True)

    def test_what_always_raises_blocks_nobody_and_is_put_aside_in_the_end(
        self, integration: Integration, operations: list[Operation], stub: type[StubProvider]
    ) -> None:
        Operation.objects.filter(pk=operations[1].pk).update(name="send_request")
        stub.failures["send_request"] = RuntimeError("a fault of ours")
        tasks.deliver_operations.call(integration.pk)
        assert self.statuses() == ["done", "sending", "done"]
        for _ in range(5):
            Operation.objects.filter(status="sending").update(**lapsed())
            tasks.deliver_operations.call(integration.pk)
        operations[1].refresh_from_db()
        assert (operations[1].status, operations[1].attempts, operations[1].error_code) == ("unknown", 5, "worker_lost")

    def test_an_operation_that_was_in_hand_twice_when_a_worker_died_makes_its_integration_suspect(
        self, integration: Integration, operations: list[Operation]
    ) -> None:
        assert due() == [("deliver_operations", integration.pk, False)]
        Operation.objects.filter(pk=operations[0].pk).update(status="sending", attempts=2, **lapsed())
        assert due() == [("deliver_operations", integration.pk, True)]

    def test_a_worker_that_was_asked_to_stop_begins_nothing(
        self, integration: Integration, operations: list[Operation], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = threading.Event()
        asked.set()
        monkeypatch.setattr(tasks, "stopping", asked)
        run, _ = service_for(integration).request_sync("menus")
        tasks.deliver_operations.call(integration.pk)
        tasks.run_sync.call(run.pk)
        run.refresh_from_db()
        assert (self.statuses(), run.status) == (["pending"] * 3, "queued")
