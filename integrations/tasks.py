"""What a worker does for integrations: the lanes of runs and of the outbox, the schedule, and what dead workers left behind.

Intent and progress live in the rows, not in an engine. An engine only wakes a worker up, by the task `look`, and it is enough if it does so
at least once: who looks in vain finds every row done, or leased by another.
"""

import logging
import time
from collections.abc import Iterable, Iterator

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import Random, RowNumber
from django.utils import timezone
from django_tasks import task

from integrations import lanes
from integrations.exceptions import HospientError
from integrations.lanes import LANES, Busy, Job, Lane, stopping
from integrations.leases import DATABASE_LOST
from integrations.models import Integration, IntegrationStatus, Operation, OperationStatus, RunMode, RunStatus, SyncRun, Trigger
from integrations.outbox import deliver
from integrations.services import service_for
from integrations.sync import runner, schedule

logger = logging.getLogger(__name__)

SCHEDULED_AT_ONCE = 100
"""Integrations whose runs are opened in one transaction. More would keep others waiting for it on SQLite."""
DRAIN_COUNT = 200
DRAIN_SECONDS = 5.0
"""How long one job works for one integration before others get their turn."""


@task()
def look(lane: str) -> None:
    """Have the worker that gets this look for what is due in a lane."""
    LANES[lane].wake()


# --- runs ----------------------------------------------------------------------------------------------------------------------


def find_runs(busy: Busy) -> Iterator[Job]:
    """Find runs that are due: of each hotel some, the oldest first; what a person or a program asked for before what a clock did."""
    others = runner.due_runs().exclude(pk__in=busy.targets).exclude(integration__in=busy.integrations)
    others = others.exclude(integration__hotel__in=busy.hotels).exclude(integration__host__in=busy.hosts)
    turn = Window(RowNumber(), partition_by=F("integration__hotel"), order_by=("created_at", "id"))
    lost_twice = Q(status=RunStatus.RUNNING, attempts__gte=2)
    by_clock = Q(trigger=Trigger.SCHEDULE)
    runs = others.annotate(turn=turn, lost_twice=lost_twice, by_clock=by_clock).filter(turn__lte=lanes.HOTEL_JOBS)
    columns = ("id", "integration_id", "integration__hotel_id", "integration__host", "lost_twice")
    for row in runs.order_by("by_clock", "turn", Random()).values_list(*columns)[: lanes.LOOKED_AT]:
        yield Job(*row)


def run_sync(run_id: int) -> None:
    """Execute a run, or go on with one whose worker died."""
    run = SyncRun.objects.select_related("integration__hotel").filter(pk=run_id).first()
    if run is None or not run.is_open or stopping.is_set():
        return
    try:
        service = service_for(run.integration, trigger=Trigger(run.trigger))
        service.execute(run, stopping=stopping, keep_trying=True)
    except HospientError as error:  # its vendor or its stream is no longer there
        logger.exception("run_failed run=%s", run_id)
        runner.park(run, error)


# --- the outbox ----------------------------------------------------------------------------------------------------------------


def find_deliveries(busy: Busy) -> Iterable[Job]:
    """Find the integrations that have something to deliver: one of each hotel first, in a random order."""
    others = deliver.due().exclude(integration__in={*busy.integrations, *busy.targets})
    others = others.exclude(integration__hotel__in=busy.hotels).exclude(integration__host__in=busy.hosts)
    lost_twice = Count("id", filter=Q(status=OperationStatus.SENDING, attempts__gte=2))
    turn = Window(RowNumber(), partition_by=F("integration__hotel"), order_by=Random())
    columns = ("integration_id", "integration__hotel_id", "integration__host")
    waiting = others.order_by().values(*columns).annotate(lost_twice=lost_twice).annotate(turn=turn).order_by("turn", Random())
    for integration_id, hotel_id, host, suspects in waiting.values_list(*columns, "lost_twice")[: lanes.LOOKED_AT]:
        yield Job(integration_id, integration_id, hotel_id, host, suspects > 0)


def deliver_operations(integration_id: int) -> None:
    """Deliver what is due at one integration, for a few seconds."""
    until = time.monotonic() + DRAIN_SECONDS
    service = service_for(Integration.objects.select_related("hotel").get(pk=integration_id))
    # A list, not a cursor left open: on SQLite an open read would bar this connection from writing once another has written.
    for operation in list(deliver.due().filter(integration_id=integration_id)[:DRAIN_COUNT]):
        if stopping.is_set() or time.monotonic() > until:
            break
        try:
            service.deliver(operation)
        except DATABASE_LOST:
            raise
        except HospientError as error:  # its vendor no longer offers it
            deliver.park(operation, error)
        except Exception:  # its lease lapses, and it is tried again a few times; what comes after it does not wait
            logger.exception("operation_failed operation=%s", operation.pk)


# --- connections ---------------------------------------------------------------------------------------------------------------


def due_tests() -> QuerySet[Integration]:
    """Return the connections that a worker should try."""
    return Integration.objects.filter(test_due_at__lte=timezone.now()).exclude(status=IntegrationStatus.INACTIVE)


def find_tests(busy: Busy) -> Iterator[Job]:
    """Find the connections to try, the longest due first."""
    others = due_tests().exclude(pk__in={*busy.integrations, *busy.targets}).exclude(hotel__in=busy.hotels).exclude(host__in=busy.hosts)
    for pk, hotel_id, host in others.order_by("test_due_at").values_list("pk", "hotel_id", "host")[: lanes.LOOKED_AT]:
        yield Job(pk, pk, hotel_id, host)


def try_connection(integration_id: int) -> None:
    """Test a connection that was made or changed, or that a vendor's trouble broke."""
    integration = due_tests().select_related("hotel").filter(pk=integration_id).first()
    if integration is None or stopping.is_set():
        return
    due_at = integration.test_due_at
    try:
        service_for(integration, trigger=Trigger.SCHEDULE).test_connection()
    except HospientError:  # its vendor is no longer there
        logger.exception("test_failed integration=%s", integration_id)
    # A failure that may pass has set a later time; this one is settled.
    Integration.objects.filter(pk=integration_id, test_due_at=due_at).update(test_due_at=None)


LANES["runs"] = Lane("runs", is_due=lambda: runner.due_runs().exists(), find=find_runs, work=run_sync)
LANES["outbox"] = Lane("outbox", is_due=lambda: deliver.due().exists(), find=find_deliveries, work=deliver_operations)
LANES["connections"] = Lane("connections", is_due=lambda: due_tests().exists(), find=find_tests, work=try_connection)


# --- the schedule and dead workers ---------------------------------------------------------------------------------------------


def schedule_due() -> int:
    """Open a run of every stream of the integrations whose time has come, the longest due first and a bounded number at a time. Returns
    how many integrations these were."""
    now = timezone.now()
    due = Integration.objects.select_related("hotel").filter(next_sync_at__lte=now).exclude(status=IntegrationStatus.INACTIVE)
    if not due.order_by().exists():
        return 0
    # Whoever moves the time on is the one that opens the runs; both or neither, else a worker that dies here costs the hotel a day.
    with transaction.atomic():
        integrations = list(due.order_by("next_sync_at", "pk").select_for_update(skip_locked=True, of=("self",))[:SCHEDULED_AT_ONCE])
        if integrations:
            schedule.open_scheduled({pair: mode for integration in integrations for pair, mode in _scheduled(integration)})
            for integration in integrations:
                integration.next_sync_at = schedule.next_sync_at(integration, now)
            Integration.objects.bulk_update(integrations, ["next_sync_at"])
    return len(integrations)


def _scheduled(integration: Integration) -> Iterator[tuple[tuple[int, str], RunMode]]:
    try:
        for stream in service_for(integration).streams():
            if stream.scheduled:
                yield (integration.pk, stream.name), RunMode.INCREMENTAL if stream.incremental else RunMode.FULL
    except HospientError:  # its provider is gone
        logger.exception("schedule_failed integration=%s", integration.pk)


def recover() -> dict[str, int]:
    """Count what a dead worker left behind and make it due now. The leases do the same by themselves; this is for the impatient."""
    now = timezone.now()
    runs = runner.due_runs(now).filter(status=RunStatus.RUNNING)
    operations = Operation.objects.filter(status=OperationStatus.SENDING, lease_until__lt=now)
    free = {"lease_owner": None, "lease_until": None}
    return {
        "runs": runs.update(status=RunStatus.QUEUED, next_attempt_at=None, **free),
        "operations": operations.update(status=OperationStatus.UNKNOWN, next_attempt_at=now, **free),
    }
