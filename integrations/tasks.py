"""What a worker runs. Each task takes a row's id and asks the services; intent and progress live in the rows, not in the engine.

So an engine only has to deliver at least once: a task that finds its row done, or leased by another worker, does nothing. The worker's tick
asks `due_jobs` what waits, and `turns` whose turn it is.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django_tasks import task

from integrations import turns
from integrations.exceptions import HospientError
from integrations.models import Integration, IntegrationStatus, Operation, OperationStatus, RunStatus, SyncRun, Trigger
from integrations.outbox import deliver
from integrations.services import service_for
from integrations.sync import runner, schedule

logger = logging.getLogger(__name__)

stopping = threading.Event()
"""Set when this process was asked to stop: work in hand is finished or handed back, and none is begun."""

SCHEDULED_A_TICK = 100
"""Integrations whose runs one tick opens, the longest due first."""
DRAIN_COUNT = 200
DRAIN_SECONDS = 5.0
"""How long one job works for one integration before others get their turn."""


@task()
def run_sync(run_id: int) -> None:
    """Execute a run, or go on with one whose worker died."""
    with turns.taken(run_sync, run_id):
        run = SyncRun.objects.select_related("integration__hotel").filter(pk=run_id).first()
        if run is None or not run.is_open or stopping.is_set():
            return
        try:
            service = service_for(run.integration, trigger=Trigger(run.trigger))
            service.execute(run, stopping=stopping, keep_trying=True)
        except HospientError as error:  # its vendor or its stream is no longer there
            logger.exception("run_failed run=%s", run_id)
            runner.park(run, error)


@task()
def deliver_operations(integration_id: int) -> None:
    """Deliver what is due at one integration, for a few seconds."""
    with turns.taken(deliver_operations, integration_id):
        until = time.monotonic() + DRAIN_SECONDS
        service = service_for(Integration.objects.select_related("hotel").get(pk=integration_id))
        # A list, not a cursor left open: on SQLite an open read would bar this connection from writing once another has written.
        for operation in list(deliver.due().filter(integration_id=integration_id)[:DRAIN_COUNT]):
            if stopping.is_set() or time.monotonic() > until:
                break
            try:
                service.deliver(operation)
            except (OperationalError, InterfaceError):
                raise  # the database's trouble, not an operation's
            except HospientError as error:  # its vendor no longer offers it
                deliver.park(operation, error)
            except Exception:  # its lease lapses, and it is tried again a few times; what comes after it does not wait
                logger.exception("operation_failed operation=%s", operation.pk)


@task()
def try_connection(integration_id: int) -> None:
    """Test a connection that was made or changed, or that a vendor's trouble broke."""
    with turns.taken(try_connection, integration_id):
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


# --- what is due ---------------------------------------------------------------------------------------------------------------


def due_jobs() -> Iterator[turns.Job]:
    """Name what waits: of each hotel the oldest runs, as many as may have a turn, and every integration with something to deliver."""
    lost_twice = Q(status=RunStatus.RUNNING, attempts__gte=2)
    place = Window(RowNumber(), partition_by=F("integration__hotel"), order_by=("created_at", "id"))
    runs = runner.due_runs().annotate(place=place, lost_twice=lost_twice).filter(place__lte=turns.JOBS_PER_HOTEL).order_by()
    for run_id, hotel_id, is_suspect in runs.values_list("id", "integration__hotel_id", "lost_twice"):
        yield turns.Job(run_sync, run_id, hotel_id, is_suspect)
    lost_twice = Count("id", filter=Q(status=OperationStatus.SENDING, attempts__gte=2))
    waiting = deliver.due().order_by().values_list("integration_id", "integration__hotel_id").annotate(lost_twice=lost_twice)
    for integration_id, hotel_id, suspects in waiting:
        yield turns.Job(deliver_operations, integration_id, hotel_id, suspects > 0)
    for integration_id, hotel_id in due_tests().order_by("test_due_at").values_list("id", "hotel_id")[: turns.WAITING]:
        yield turns.Job(try_connection, integration_id, hotel_id)


def due_tests() -> QuerySet[Integration]:
    """Return the connections that a worker should try."""
    return Integration.objects.filter(test_due_at__lte=timezone.now()).exclude(status=IntegrationStatus.INACTIVE)


def at_work() -> Counter[tuple[str, int]]:
    """Count by share the runs that workers have begun: these are not due, and not among `due_jobs`."""
    begun = SyncRun.objects.filter(status=RunStatus.RUNNING, lease_until__gte=timezone.now()).exclude(trigger=Trigger.WEBHOOK)
    hotels = begun.order_by().values_list("integration__hotel").annotate(count=Count("id"))
    counts = Counter({(run_sync.name, hotel_id): count for hotel_id, count in hotels})
    counts[turns.SUSPECTS] = begun.filter(attempts__gt=2).count()
    return counts


def schedule_due() -> None:
    """Open a run of every stream of the integrations whose time has come: of so many that the tick can hand out what is due meanwhile."""
    now = timezone.now()
    due = Integration.objects.select_related("hotel").filter(next_sync_at__lte=now).exclude(status=IntegrationStatus.INACTIVE)
    for integration in due.order_by("next_sync_at", "pk")[:SCHEDULED_A_TICK]:
        upcoming = schedule.next_sync_at(integration, now)
        # Whoever moves the time on is the one that opens the runs; both or neither, else a worker that dies here costs the hotel a day.
        with transaction.atomic():
            moved = Integration.objects.filter(pk=integration.pk, next_sync_at=integration.next_sync_at).update(next_sync_at=upcoming)
            if moved:
                _open_runs(integration)


def _open_runs(integration: Integration) -> None:
    try:
        service = service_for(integration, trigger=Trigger.SCHEDULE)
        for stream in service.streams():
            if stream.scheduled:
                service.request_sync(stream.name)
    except HospientError:
        logger.exception("schedule_failed integration=%s", integration.pk)


def recover() -> dict[str, int]:
    """Count what a dead worker left behind and make it due now. The leases do the same by themselves; this is for the impatient."""
    now = timezone.now()
    runs = runner.due_runs(now).filter(status=RunStatus.RUNNING)
    operations = Operation.objects.filter(status=OperationStatus.SENDING, lease_until__lt=now)
    turns.free(run_sync, runs.values_list("pk", flat=True))
    turns.free(deliver_operations, operations.order_by().values_list("integration_id", flat=True).distinct())
    free = {"lease_owner": None, "lease_until": None}
    return {
        "runs": runs.update(status=RunStatus.QUEUED, next_attempt_at=None, **free),
        "operations": operations.update(status=OperationStatus.UNKNOWN, next_attempt_at=now, **free),
    }
