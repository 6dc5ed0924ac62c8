"""What a worker runs. Each task takes a row's id and asks the services; intent and progress live in the rows, not in the engine.

So an engine only has to deliver at least once: a task that finds its row done, or leased by another worker, does nothing. `tick` looks for
what is due and wakes workers up, once for each run and once for each integration however much waits there.
"""

import logging
import threading
import time
from collections import Counter
from datetime import timedelta

from django.core.cache import cache
from django.db.models import Count, Q
from django.utils import timezone
from django_tasks import task

from integrations.exceptions import HospientError
from integrations.models import Integration, IntegrationStatus, Operation, RunMode, RunStatus, SyncRun, Trigger
from integrations.outbox import deliver
from integrations.services import service_for
from integrations.sync import schedule
from integrations.sync.runner import due_runs

logger = logging.getLogger(__name__)

stopping = threading.Event()
"""Set when this process was asked to stop: work in hand is finished or handed back, and none is begun."""

RUNS_PER_HOTEL = 2
"""Runs of one hotel that work at a time, so that a hotel with much to do does not take all workers."""
HANDED_OUT = timedelta(seconds=60)
"""How long a run that was given to the engine is left alone before it is given again."""
DRAIN_COUNT = 200
DRAIN_SECONDS = 5.0
"""How long one wake-up works for one integration before others get their turn."""


@task()
def run_sync(run_id: int) -> None:
    """Execute a run, or go on with one whose worker died."""
    run = SyncRun.objects.select_related("integration__hotel").filter(pk=run_id).first()
    if run is None or not run.is_open or stopping.is_set():
        return
    try:
        service = service_for(run.integration, trigger=Trigger(run.trigger))
        service.execute(run, stopping=stopping, keep_trying=True)
    except HospientError:
        logger.exception("run_failed run=%s", run_id)


@task()
def deliver_operations(integration_id: int) -> None:
    """Deliver what is due at one integration, for a few seconds; the next tick goes on."""
    until = time.monotonic() + DRAIN_SECONDS
    try:
        service = service_for(Integration.objects.select_related("hotel").get(pk=integration_id))
        # A list, not a cursor left open: on SQLite an open read would bar this connection from writing once another has written.
        for operation in list(deliver.due().filter(integration_id=integration_id)[:DRAIN_COUNT]):
            if stopping.is_set() or time.monotonic() > until:
                break
            service.deliver(operation)
    finally:
        awake(f"operations:{integration_id}")


def wake(key: str) -> bool:
    """Say whether a wake-up shall be sent: only if none is under way."""
    return cache.add(f"woken:{key}", True, timeout=HANDED_OUT.total_seconds())


def awake(key: str) -> None:
    """Allow the next wake-up."""
    cache.delete(f"woken:{key}")


# --- the tick ------------------------------------------------------------------------------------------------------------------


def tick() -> None:
    """Open the runs that the schedule wants, and wake workers for everything that is due."""
    schedule_due()
    hand_out_runs()
    for integration_id in deliver.due().order_by().values_list("integration_id", flat=True).distinct():
        if wake(f"operations:{integration_id}"):
            deliver_operations.enqueue(integration_id)


def schedule_due() -> None:
    """Open a run of every stream of the integrations whose time has come."""
    now = timezone.now()
    due = Integration.objects.select_related("hotel").filter(next_sync_at__lte=now).exclude(status=IntegrationStatus.INACTIVE)
    for integration in due:
        upcoming = schedule.next_sync_at(integration, now)
        # Whoever moves the time on is the one that opens the runs.
        if not Integration.objects.filter(pk=integration.pk, next_sync_at=integration.next_sync_at).update(next_sync_at=upcoming):
            continue
        try:
            service = service_for(integration, trigger=Trigger.SCHEDULE)
            for stream in service.streams():
                if stream.scheduled:
                    service.request_sync(stream.name)
        except HospientError:
            logger.exception("schedule_failed integration=%s", integration.pk)


def hand_out_runs() -> None:
    """Give due runs to the engine: oldest first, and of each hotel only so many at a time."""
    now = timezone.now()
    handed = Q(status=RunStatus.RUNNING, lease_until__gte=now) | Q(status=RunStatus.QUEUED, next_attempt_at__gt=now, attempts=0)
    busy = Counter(dict(SyncRun.objects.filter(handed).values_list("integration__hotel_id").annotate(count=Count("id")).order_by()))
    for run_id, hotel_id in due_runs(now).order_by("created_at", "id").values_list("id", "integration__hotel_id"):
        if busy[hotel_id] >= RUNS_PER_HOTEL:
            continue
        busy[hotel_id] += 1
        if due_runs(now).filter(pk=run_id).update(next_attempt_at=now + HANDED_OUT):
            run_sync.enqueue(run_id)


def recover() -> dict[str, int]:
    """Count what a dead worker left behind and make it due now. The leases do the same by themselves; this is for the impatient."""
    now = timezone.now()
    lapsed = Q(lease_until__lt=now)
    return {
        "runs": SyncRun.objects.filter(lapsed, status=RunStatus.RUNNING).exclude(mode=RunMode.REFRESH).update(
            status=RunStatus.QUEUED, next_attempt_at=None, lease_owner=None, lease_until=None
        ),
        "operations": Operation.objects.filter(lapsed, status="sending").update(
            status="unknown", next_attempt_at=now, lease_owner=None, lease_until=None
        ),
    }  # fmt: skip
