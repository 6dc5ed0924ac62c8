"""What is said of an operation and of a run comes true: every sentence is compared with what a worker then does."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hotels.models import Hotel
from integrations import tasks
from integrations.exceptions import (
    AuthenticationFailed,
    CircuitOpen,
    CursorExpired,
    HospientError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    UnexpectedResponse,
)
from integrations.models import Integration, IntegrationType, Operation, OperationStatus, RunStatus, SyncRun
from integrations.outbox import deliver
from integrations.services import outlook, service_for
from integrations.services.manifest import Idempotency
from integrations.sync import runner, schedule
from integrations.tests.conftest import Connect
from integrations.tests.stub import StubProvider

FAILURES = (
    RequestRejected("Not inspected."),
    AuthenticationFailed(),
    ProviderUnavailable(),
    ProviderUnavailable(maybe_done=True),
    RateLimited(),
    CircuitOpen(),
    UnexpectedResponse(),
    UnexpectedResponse(maybe_done=True),
    HospientError("Something else."),
)
STATUSES = [*OperationStatus]


@pytest.fixture
def desk(hotel: Hotel, connect: Connect) -> Integration:
    return connect(hotel, IntegrationType.GUEST_MANAGEMENT)


def later(operation: Operation) -> Operation:
    """Let a day pass, and let a worker take up what is due; return the operation as it is then."""
    Operation.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    tasks.deliver_operations(operation.integration_id)
    return Operation.objects.select_related("integration__hotel").get(pk=operation.pk)


def with_idempotency(stub: type[StubProvider], how: Idempotency, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tuple(
        operation.model_copy(update={"idempotency": how}) if operation.writes else operation for operation in stub.manifest.operations
    )
    monkeypatch.setattr(stub, "manifest", stub.manifest.model_copy(update={"operations": declared}))


class TestOperations:
    @pytest.mark.parametrize("error", FAILURES, ids=lambda error: f"{error.code}{'-maybe' if getattr(error, 'maybe_done', 0) else ''}")
    @pytest.mark.parametrize("how", [Idempotency.NATIVE, Idempotency.NONE])
    @pytest.mark.parametrize("tries", [1, deliver.MAX_ATTEMPTS])
    def test_what_is_said_to_be_done_is_done_and_nothing_else(
        self,
        desk: Integration,
        stub: type[StubProvider],
        error: HospientError,
        how: Idempotency,
        tries: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with_idempotency(stub, how, monkeypatch)
        stub.failures["post_feedback"] = error
        operation = service_for(desk).post_feedback({"rating": 5, "message": "Fine."})
        for _ in range(tries - 1):
            operation = later(operation)
        operation = Operation.objects.select_related("integration__hotel").get(pk=operation.pk)
        said = outlook.of_operation(operation)
        before = len(stub.calls)
        after = later(operation)
        acted = len(stub.calls) > before
        assert acted == bool(said.next), (operation.status, said)
        assert said.todo or said.next
        if said.next:
            assert outlook.when(operation.next_attempt_at, desk.hotel) in said.next
        else:
            assert after.status == operation.status
        assert "by itself" not in said.todo or "Nothing repeats it by itself" in said.todo or "less than a day old" in said.todo

    @pytest.mark.parametrize("status", [OperationStatus.PENDING, OperationStatus.UNKNOWN])
    def test_nothing_is_promised_while_the_integration_is_off(self, desk: Integration, status: OperationStatus) -> None:
        Integration.objects.filter(pk=desk.pk).update(status="inactive")
        operation = Operation.objects.create(
            integration=desk, name="post_feedback", idempotency_key="k", status=status, next_attempt_at=timezone.now()
        )
        said = outlook.of_operation(later(operation))
        assert (said.next, said.todo) == ("", outlook.SWITCH_ON)

    def test_what_is_done_says_what_the_vendor_calls_it(self, desk: Integration, stub: type[StubProvider]) -> None:
        said = outlook.of_operation(service_for(desk).post_feedback({"rating": 5, "message": "Fine."}))
        assert (said.what, said.next, said.todo) == ("“post_feedback” is done; the vendor calls it stub-1.", "", "")


class TestRuns:
    @pytest.mark.parametrize("error", [*FAILURES, CursorExpired()], ids=lambda error: error.code)
    @pytest.mark.parametrize("keep_trying", [True, False])
    @pytest.mark.parametrize("by_itself", [True, False])
    def test_what_is_said_to_go_on_goes_on_and_nothing_else(
        self, desk: Integration, stub: type[StubProvider], error: HospientError, keep_trying: bool, by_itself: bool
    ) -> None:
        Integration.objects.filter(pk=desk.pk).update(next_sync_at=timezone.now() + timedelta(hours=1) if by_itself else None)
        desk.refresh_from_db()
        stub.failures["feedback"] = error
        run, _ = schedule.open_run(desk, "feedback", mode="full", trigger="schedule")
        run = service_for(desk).execute(run, keep_trying=keep_trying)
        run = SyncRun.objects.select_related("integration__hotel").get(pk=run.pk)
        said = outlook.of_run(run)
        SyncRun.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
        goes_on = runner.due_runs().filter(pk=run.pk).exists()
        assert goes_on == ("goes on where" in said.next or "is begun" in said.next)
        if not goes_on:
            assert run.status == RunStatus.FAILED
            assert bool(said.next) == by_itself
            assert ("The next sync begins" in said.next) == by_itself
            assert said.todo
        assert said.why == error.message

    def test_a_run_that_ended_well_asks_for_nothing(self, desk: Integration) -> None:
        said: Any = outlook.of_run(service_for(desk).sync("feedback"))
        assert (said.why, said.next, said.todo) == ("", "", "")
