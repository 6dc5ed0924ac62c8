"""Killed at every point: `python -m tests.faults.points`.

A process takes a check to post, a webhook, or a sync in hand and is killed before its first statement, before its second, and so on, and
before and after each commit, until it comes to its end unharmed. Whatever was accepted by then is done by the next worker as soon as the
leases have lapsed, and has one effect; whatever was not is asked for again, as a client or a vendor does who got no answer. On SQLite and
PostgreSQL.
"""

import json
import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from tests.faults import webhooks_world, world
from tests.faults.fairness import CHECK, connect
from tests.faults.sync import change, differences

LEASE = timedelta(seconds=60)


def trial(ground: world.Ground, quick: bool) -> bool:
    from integrations.services.square.simulator import SquareSimulator
    from integrations.simulators.server import running

    kept = True
    with running(SquareSimulator()) as vendor:
        service = connect("grand", vendor.url)
        for job in (Operation(service, vendor.simulator), Event(), Run(service, vendor.simulator)):
            started = time.monotonic()
            points, problems = 0, []
            while not problems:
                job.prepare(points)
                survived = in_child(job.work, points)
                if survived and points:
                    break
                problems += [] if survived else [*leases(), *job.recovered()]
                points += 1
                if survived:
                    problems.append("it was not killed at its first statement")
            kept &= not problems
            print(
                f"{ground} {type(job).__name__.lower():<9} killed at {points} points: "
                f"{'; '.join(problems) or 'each done once'} ({time.monotonic() - started:.0f} s) {'BROKEN' if problems else 'kept'}",
                flush=True,
            )
    return kept


def in_child(work: Callable[[], None], point: int) -> bool:
    """Do it in a process that dies at that point; say whether it came to the end."""
    from django.db import connection, connections

    connections.close_all()  # a connection must not be shared with the child
    if connection.vendor == "postgresql":
        connection.close_pool()
    child = multiprocessing.get_context("fork").Process(target=_doomed, args=(work, point))
    child.start()
    child.join(60)
    if child.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the process ended with {child.exitcode}")
    return child.exitcode == 0


def _doomed(work: Callable[[], None], point: int) -> None:
    from django.db import connection
    from django.db.backends.base.base import BaseDatabaseWrapper

    passed = 0

    def pass_point() -> None:
        nonlocal passed
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def statement(execute: Any, *call: Any) -> Any:
        pass_point()
        return execute(*call)

    def commit(self: Any) -> None:
        pass_point()
        original(self)
        pass_point()

    original = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]
    BaseDatabaseWrapper._commit = commit  # type: ignore[attr-defined]
    with connection.execute_wrapper(statement):
        work()


def leases() -> Iterator[str]:
    """Say which leases would keep the next worker waiting for more than a minute; then let them lapse."""
    from django.utils import timezone

    from integrations.models import Operation, SyncRun
    from webhooks.models import WebhookEvent

    for model in (Operation, SyncRun, WebhookEvent):
        if late := model.objects.filter(lease_until__gt=timezone.now() + LEASE).count():
            yield f"{late} {model.__name__} leased for more than a minute"
    world.lapse()


def work_all() -> None:
    """Do what is due, as the tick and the tasks of a worker do."""
    from integrations.lanes import Busy
    from integrations.models import Operation, SyncRun
    from webhooks.tasks import LANES

    for _ in range(20):
        # What waits for a backoff, or for an effect to show, need not be waited for here.
        SyncRun.objects.filter(status="queued").update(next_attempt_at=None)
        Operation.objects.filter(status__in=("pending", "unknown")).update(next_attempt_at="2000-01-01T00:00:00Z")
        jobs = [(lane, job) for lane in LANES.values() for job in lane.find(Busy())]
        for lane, job in jobs:
            lane.work(job.target)
        if not jobs:
            return


class Operation:
    """A check to post, and its first attempt."""

    def __init__(self, service: Any, simulator: Any) -> None:
        self.service = service
        self.simulator = simulator

    def prepare(self, point: int) -> None:
        self.key = f"key-{point}"
        self.before = len(self.simulator.orders)

    def work(self) -> None:
        self.service.post_guest_check(CHECK, idempotency_key=self.key)

    def recovered(self) -> list[str]:
        from integrations.models import Operation

        if not Operation.objects.filter(idempotency_key=self.key).exists():
            self.work()
        work_all()
        statuses = list(Operation.objects.filter(idempotency_key=self.key).values_list("status", flat=True))
        effects = len(self.simulator.orders) - self.before
        return [] if (statuses, effects) == (["done"], 1) else [f"{self.key}: {statuses}, {effects} at the vendor"]


class Event:
    """A reservation that a webhook tells of: taken in, and worked."""

    def __init__(self) -> None:
        self.integration = webhooks_world.connect()

    def prepare(self, point: int) -> None:
        data = {"reservation_id": f"r-{point}", "status": "confirmed", "arrival_date": "2026-03-14", "departure_date": "2026-03-16"}
        self.reference = data["reservation_id"]
        self.body = {
            "event_type": "reservation_created",
            "occurred_at": "2026-03-01T00:00:00+00:00",
            "event_id": self.reference,
            "data": data,
        }

    def work(self) -> None:
        self.deliver()
        from webhooks.tasks import process_inbox

        process_inbox(self.integration)

    def deliver(self) -> None:
        from django.utils import timezone

        from webhooks import events
        from webhooks.ingest import row_of, store

        row = row_of(
            events.outline({}, self.body),
            integration_id=self.integration,
            verified_by="body",
            headers={},
            body=json.dumps(self.body),
            correlation_id=uuid.uuid4().hex,
            received_at=timezone.now(),
        )
        store([row])

    def recovered(self) -> list[str]:
        from integrations.models import ExternalReference
        from webhooks.models import WebhookEvent

        mine = WebhookEvent.objects.filter(integration=self.integration, object_key__endswith=self.reference)
        if not mine.exists():
            self.deliver()
        work_all()
        statuses = list(mine.values_list("status", flat=True))
        known = ExternalReference.objects.filter(integration=self.integration, external_id=self.reference).count()
        return [] if (statuses, known) == (["done"], 1) else [f"{self.reference}: {statuses}, {known} stored"]


class Run:
    """A full sync of a menu that has changed."""

    def __init__(self, service: Any, simulator: Any) -> None:
        self.service = service
        self.simulator = simulator

    def prepare(self, point: int) -> None:
        change(self.simulator, point)

    def work(self) -> None:
        self.service.sync_menus(full=True)

    def recovered(self) -> list[str]:
        from integrations.models import SyncRun

        if not SyncRun.objects.filter(status__in=SyncRun.OPEN).exists():
            self.service.request_sync("menus", full=True)
        work_all()
        left = SyncRun.objects.filter(status__in=SyncRun.OPEN).count()
        return [*([f"{left} runs left open"] if left else []), *differences(self.service.integration)]


if __name__ == "__main__":
    world.run(__doc__, trial, quick="no difference: it is quick", engines=world.ENGINES[:1])
