"""What is in hand stays in hand however long it takes, and is given back at once when the database was lost."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from hotels.models import Hotel
from integrations import leases
from integrations.models import Integration, Operation, SyncRun
from integrations.outbox import deliver
from integrations.services import service_for
from integrations.sync import runner
from integrations.tests.conftest import Connect
from integrations.tests.stub import StubProvider

pytestmark = pytest.mark.django_db(transaction=True)

LOST = [OperationalError("server closed the connection unexpectedly"), InterfaceError("connection already closed")]


@pytest.fixture
def integration(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel)


@pytest.fixture(autouse=True)
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[leases._Keeper]:
    """One that makes haste, and whose thread has ended its work when the test is over."""
    monkeypatch.setattr(leases, "KEEP_SECONDS", 0.02)
    monkeypatch.setattr(leases, "RETURN_SECONDS", 0.02)
    keeper = leases._Keeper()
    monkeypatch.setattr(leases, "_keeper", keeper)
    yield keeper
    assert eventually(lambda: not keeper.in_hand and not keeper.to_return)


def eventually(found: Callable[[], object]) -> bool:
    for _ in range(300):
        if found():
            return True
        time.sleep(0.01)
    return False


def operation(integration: Integration, **more: Any) -> Operation:
    return Operation.objects.create(
        integration=integration, name="post_charge", idempotency_key=uuid.uuid4().hex, next_attempt_at=timezone.now(), **more
    )


def test_a_lease_is_kept_while_its_row_is_worked_and_nobody_elses(integration: Integration) -> None:
    soon = timezone.now() + timedelta(seconds=1)
    owner = uuid.uuid4()
    mine = operation(integration, status="sending", lease_owner=owner, lease_until=soon)
    foreign = operation(integration, status="sending", lease_owner=uuid.uuid4(), lease_until=soon)
    with leases.held(Operation, owner, give_back=lambda rows: None, lease=timedelta(seconds=40)):
        assert eventually(lambda: Operation.objects.get(pk=mine.pk).lease_until > timezone.now() + timedelta(seconds=30))
    assert Operation.objects.get(pk=foreign.pk).lease_until == soon


def test_a_row_that_is_just_being_written_holds_up_no_other_lease(integration: Integration, keeper: leases._Keeper) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("on SQLite a transaction holds all rows, and is waited for")
    soon = timezone.now() + timedelta(seconds=1)
    owners = [uuid.uuid4(), uuid.uuid4()]
    writing, other = (operation(integration, status="sending", lease_owner=owner, lease_until=soon) for owner in owners)
    locked, over = threading.Event(), threading.Event()

    def write() -> None:
        from django.db import transaction

        with transaction.atomic():
            Operation.objects.filter(pk=writing.pk).update(attempts=2)
            locked.set()
            over.wait(10)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert locked.wait(10)
    with (
        leases.held(Operation, owners[0], give_back=lambda rows: None),
        leases.held(Operation, owners[1], give_back=lambda rows: None),
    ):
        assert eventually(lambda: Operation.objects.get(pk=other.pk).lease_until > soon)
        over.set()
        thread.join()


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_what_was_in_hand_is_given_back_as_soon_as_the_database_answers(keeper: leases._Keeper, error: Exception) -> None:
    looks = []

    def give_back(rows: Any) -> None:
        looks.append(1)
        if len(looks) < 3:
            raise error

    with pytest.raises(type(error)), leases.held(Operation, uuid.uuid4(), give_back=give_back):
        raise error
    assert eventually(lambda: not keeper.to_return)
    assert len(looks) == 3


def test_what_failed_by_itself_is_not_given_back(keeper: leases._Keeper) -> None:
    with pytest.raises(ValueError, match="odd"), leases.held(Operation, uuid.uuid4(), give_back=lambda rows: pytest.fail("given back")):
        raise ValueError("odd")
    assert not keeper.in_hand
    assert not keeper.to_return


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_a_run_that_met_a_restart_goes_on_at_once(integration: Integration, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def lost(*_: Any) -> None:
        raise error

    service = service_for(integration)
    run, _ = service.request_sync("menus")
    with monkeypatch.context() as broken:
        broken.setattr(runner.Runner, "_read", lost)
        with pytest.raises(type(error)):
            service.execute(run)
    assert eventually(lambda: runner.due_runs().filter(pk=run.pk).exists())
    run.refresh_from_db()
    assert (run.status, run.error_code, run.lease_owner) == ("queued", "", None)
    assert service.execute(run).status == "succeeded"


@pytest.mark.parametrize(("was_sent", "status"), [(False, "pending"), (True, "unknown")])
def test_an_operation_that_met_a_restart_is_due_at_once_and_keeps_its_doubt(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, was_sent: bool, status: str
) -> None:
    def lost(*_: Any) -> None:
        raise LOST[0]

    waiting = operation(integration)
    with monkeypatch.context() as broken:
        broken.setattr(deliver.Delivery, "_close" if was_sent else "_check_attempts", lost)
        with pytest.raises(OperationalError):
            service_for(integration).deliver(waiting)
    assert eventually(lambda: deliver.due().filter(pk=waiting.pk).exists())
    waiting.refresh_from_db()
    assert (waiting.status, waiting.maybe_sent_at is not None, waiting.lease_owner) == (status, was_sent, None)
    assert service_for(integration).deliver(waiting).status == "done"


def test_a_run_that_another_worker_has_taken_over_is_left_to_it(integration: Integration) -> None:
    run, _ = service_for(integration).request_sync("menus")
    SyncRun.objects.filter(pk=run.pk).update(status="running", lease_owner=uuid.uuid4(), lease_until=timezone.now() + timedelta(seconds=5))
    assert runner.hand_back(SyncRun.objects.filter(lease_owner=uuid.uuid4())) == 0
    run.refresh_from_db()
    assert run.status == "running"
