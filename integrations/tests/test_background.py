"""Background work: whose turn it is, and that nothing is lost, doubled or blocked, whatever dies or refuses."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hotels.models import Hotel
from integrations import lanes, tasks
from integrations.exceptions import AuthenticationFailed, HospientError, ReauthorizationRequired
from integrations.lanes import LANES, Busy
from integrations.models import Integration, Operation, RunMode, RunStatus, SyncRun, Trigger
from integrations.services import service_for
from integrations.sync import runner, schedule
from integrations.tests.conftest import Connect
from integrations.tests.stub import StubProvider
from tests.threads import at_once


def lapsed(**more: Any) -> dict[str, Any]:
    return {"lease_until": timezone.now() - timedelta(seconds=1), **more}


@pytest.fixture
def integration(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel)


def due(**busy: Any) -> list[tuple[str, int, bool]]:
    """Return what the lanes find; what they say at a tick must agree with it."""
    found = []
    for name in ("runs", "outbox"):
        jobs = list(LANES[name].find(Busy(**busy)))
        assert busy or LANES[name].is_due() == bool(jobs)
        found += [(name, job.target, job.is_suspect) for job in jobs]
    return found


class TestRuns:
    def test_a_run_that_is_due_is_executed_and_then_no_longer_due(self, integration: Integration) -> None:
        run, _ = service_for(integration).request_sync("menus")
        assert due() == [("runs", run.pk, False)]
        tasks.run_sync(run.pk)
        run.refresh_from_db()
        assert (run.status, due()) == ("succeeded", [])

    def test_of_a_hotel_the_oldest_runs_are_due_first(self, integration: Integration, monkeypatch: pytest.MonkeyPatch) -> None:
        runs = [service_for(integration).request_sync(name)[0].pk for name in ("rooms", "menus", "guests", "categories")]
        monkeypatch.setattr(lanes, "HOTEL_JOBS", 2)
        assert [target for _, target, _ in due()] == runs[:2]
        assert [target for _, target, _ in due(targets=[runs[0]])] == runs[1:3]

    def test_of_many_hotels_each_is_found_before_one_is_found_twice(
        self, integration: Integration, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        many = [connect(integration.hotel) for _ in range(6)]
        SyncRun.objects.bulk_create(SyncRun(integration=one, stream="menus") for one in many)
        quiet = connect(Hotel.objects.create(name="Quiet"))
        run = SyncRun.objects.create(integration=quiet, stream="menus")
        monkeypatch.setattr(lanes, "LOOKED_AT", 2)
        assert run.pk in [target for _, target, _ in due()]

    def test_what_a_person_asked_for_comes_before_what_a_clock_did(self, integration: Integration, connect: Connect) -> None:
        others = [connect(Hotel.objects.create(name=name, slug=name)) for name in "abcdef"]
        SyncRun.objects.bulk_create(SyncRun(integration=one, stream="menus", trigger=Trigger.SCHEDULE) for one in others)
        asked = SyncRun.objects.create(integration=integration, stream="menus", trigger=Trigger.API)
        assert due()[0] == ("runs", asked.pk, False)

    @pytest.mark.parametrize("name", ["hotels", "integrations", "hosts"])
    def test_who_has_as_many_in_hand_as_may_be_is_not_found(
        self, integration: Integration, connect: Connect, name: str, stub: type[StubProvider]
    ) -> None:
        other = connect(Hotel.objects.create(name="Other"))
        Integration.objects.filter(pk=other.pk).update(host="elsewhere.example:443")
        runs = SyncRun.objects.bulk_create(SyncRun(integration=one, stream="menus") for one in (integration, other))
        for one in (integration, other):
            Operation.objects.create(integration=one, name="post_charge", idempotency_key="k", next_attempt_at=timezone.now())
        integration.refresh_from_db()
        full = {"hotels": integration.hotel_id, "integrations": integration.pk, "hosts": integration.host}[name]
        assert full
        assert due(**{name: [full]}) == [("runs", runs[1].pk, False), ("outbox", other.pk, False)]

    def test_a_run_whose_vendor_no_longer_has_the_stream_is_closed(self, integration: Integration) -> None:
        run = SyncRun.objects.create(integration=integration, stream="spa_bookings")
        tasks.run_sync(run.pk)
        run.refresh_from_db()
        assert (run.status, run.error_code, due()) == ("failed", "unsupported_operation", [])

    def test_a_run_that_kills_its_workers_is_put_aside_with_its_reason(self, integration: Integration, stub: type[StubProvider]) -> None:
        run, _ = service_for(integration).request_sync("menus")
        for _ in range(runner.MAX_ATTEMPTS):
            runner.Runner(run, service_for(integration).stream("menus"), lambda query: iter(()))._claim()  # and here the worker died
            SyncRun.objects.update(**lapsed())
        tasks.run_sync(run.pk)
        run.refresh_from_db()
        assert (run.status, run.error_code, run.attempts) == ("failed", "worker_lost", runner.MAX_ATTEMPTS)
        assert stub.calls == []
        again, created = service_for(integration).request_sync("menus")
        assert (created, again.attempts) == (True, 0)

    def test_a_run_that_was_in_hand_twice_when_a_worker_died_is_suspect(self, integration: Integration) -> None:
        run = SyncRun.objects.create(integration=integration, stream="menus", status=RunStatus.RUNNING, attempts=1, **lapsed())
        assert due() == [("runs", run.pk, False)]
        SyncRun.objects.update(attempts=2)
        assert due() == [("runs", run.pk, True)]

    def test_a_read_of_single_objects_is_not_taken_up_by_another_but_closed(self, integration: Integration) -> None:
        common = {"integration": integration, "stream": "menus", "mode": RunMode.REFRESH, "trigger": Trigger.WEBHOOK}
        lost = SyncRun.objects.create(**common, status=RunStatus.RUNNING, **lapsed())
        under_way = SyncRun.objects.create(**common, status=RunStatus.RUNNING, lease_until=timezone.now() + timedelta(seconds=60))
        assert due() == []
        assert runner.close_lost_reads() == 1
        lost.refresh_from_db()
        under_way.refresh_from_db()
        assert (lost.status, lost.error_code, under_way.status) == ("failed", "worker_lost", "running")


class TestHost:
    def test_the_host_is_noted_when_an_integration_is_stored_and_when_it_turns_out_to_be_another(self, integration: Integration) -> None:
        noted = integration.host
        assert noted.partition(":")[2].isdecimal()
        Integration.objects.update(host="")  # from before hosts were noted, or the vendor has moved
        integration.refresh_from_db()
        service_for(integration).sync("menus")
        assert Integration.objects.get().host == noted


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
            broken.setattr(schedule, "open_scheduled", dies)
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
        tasks.run_sync(SyncRun.objects.get(stream="menus").pk)
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
        monkeypatch.setattr(tasks, "SCHEDULED_AT_ONCE", 1)
        tasks.schedule_due()
        assert set(SyncRun.objects.values_list("integration", flat=True)) == {overdue.pk}
        tasks.schedule_due()
        assert set(SyncRun.objects.values_list("integration", flat=True)) == {overdue.pk, later.pk}

    def test_many_due_integrations_cost_as_many_statements_as_one(
        self, overdue: Integration, connect: Connect, django_assert_max_num_queries: Any
    ) -> None:
        with CaptureQueriesContext(connection) as one:
            assert tasks.schedule_due() == 1
        assert len(one) < 12
        many = [connect(Hotel.objects.create(name=f"Hotel {number}", slug=f"hotel-{number}")) for number in range(7)]
        Integration.objects.filter(pk__in=[integration.pk for integration in many]).update(
            next_sync_at=timezone.now() - timedelta(hours=1), sync_settings={"auto_sync": True}
        )
        with django_assert_max_num_queries(len(one) + 2):  # SQLite takes few parameters at a time
            assert tasks.schedule_due() == len(many)
        assert SyncRun.objects.filter(integration__in=many).count() == len(many) * SyncRun.objects.filter(integration=overdue).count()

    def test_a_stream_that_a_vendors_trouble_ended_goes_on_and_an_open_one_is_left_alone(self, overdue: Integration) -> None:
        service = service_for(overdue)
        first, second, *others = [stream.name for stream in service.streams() if stream.scheduled]
        failed = SyncRun.objects.create(
            integration=overdue, stream=first, mode=RunMode.FULL, status=RunStatus.FAILED, error_code="rate_limited",
            page_count=3, checkpoint={"after": {"page": 3}}, attempts=5, finished_at=timezone.now(),
        )  # fmt: skip
        running = SyncRun.objects.create(integration=overdue, stream=second, status=RunStatus.RUNNING, **lapsed())
        tasks.schedule_due()
        failed.refresh_from_db()
        running.refresh_from_db()
        assert (failed.status, failed.attempts, failed.checkpoint, failed.error_code) == ("queued", 0, {"after": {"page": 3}}, "")
        assert running.status == "running"
        assert sorted(SyncRun.objects.values_list("stream", flat=True)) == sorted([first, second, *others])

    @pytest.mark.parametrize(
        "ended",
        [
            {"error_code": "unexpected_response"},
            {"finished_at": timezone.now() - timedelta(hours=2)},
            {"page_count": 0},
            {"since": "2026-01-01", "mode": RunMode.BACKFILL},
            {"mode": RunMode.REFRESH},
        ],
    )
    def test_a_run_that_cannot_go_on_is_not_opened_again(self, overdue: Integration, ended: dict[str, Any]) -> None:
        resumable = {"error_code": "rate_limited", "finished_at": timezone.now(), "page_count": 3, "mode": RunMode.FULL}
        run = SyncRun.objects.create(integration=overdue, stream="menus", status=RunStatus.FAILED, **resumable | ended)
        tasks.schedule_due()
        run.refresh_from_db()
        assert run.status == "failed"
        assert SyncRun.objects.filter(stream="menus", status="queued").count() == 1

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
        tasks.deliver_operations(integration.pk)
        assert self.statuses() == ["done", "dead", "done"]
        operations[1].refresh_from_db()
        assert (operations[1].error_code, bool(operations[1].error_message)) == ("unsupported_operation", True)

    def test_what_always_raises_blocks_nobody_and_is_put_aside_in_the_end(
        self, integration: Integration, operations: list[Operation], stub: type[StubProvider]
    ) -> None:
        Operation.objects.filter(pk=operations[1].pk).update(name="send_request")
        stub.failures["send_request"] = RuntimeError("a fault of ours")
        tasks.deliver_operations(integration.pk)
        assert self.statuses() == ["done", "sending", "done"]
        for _ in range(5):
            Operation.objects.filter(status="sending").update(**lapsed())
            tasks.deliver_operations(integration.pk)
        operations[1].refresh_from_db()
        assert (operations[1].status, operations[1].attempts, operations[1].error_code) == ("unknown", 5, "worker_lost")

    def test_an_operation_that_was_in_hand_twice_when_a_worker_died_makes_its_integration_suspect(
        self, integration: Integration, operations: list[Operation]
    ) -> None:
        assert due() == [("outbox", integration.pk, False)]
        Operation.objects.filter(pk=operations[0].pk).update(status="sending", attempts=2, **lapsed())
        assert due() == [("outbox", integration.pk, True)]

    def test_a_worker_that_was_asked_to_stop_begins_nothing(
        self, integration: Integration, operations: list[Operation], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = threading.Event()
        asked.set()
        monkeypatch.setattr(tasks, "stopping", asked)
        run, _ = service_for(integration).request_sync("menus")
        tasks.deliver_operations(integration.pk)
        tasks.run_sync(run.pk)
        run.refresh_from_db()
        assert (self.statuses(), run.status) == (["pending"] * 3, "queued")
