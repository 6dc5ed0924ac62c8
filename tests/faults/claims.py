"""Work is claimed once, however many want it: `python -m tests.faults.claims [--quick]`.

20 processes write operations down while 20 others take what is due and carry it out at a vendor that counts. Each has exactly one effect, no
process goes hungry, nothing is left over, and nobody is told that the database is locked. On SQLite and PostgreSQL.
"""

import logging
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from tests.faults import world

PRODUCERS = CONSUMERS = 20
HUNGRY = 0.1
"""A consumer that gets less than this share of its part is kept from work by the others."""
DECLARED = SimpleNamespace(idempotency="lookup", settle_seconds=0, pins=False)


def trial(ground: world.Ground, quick: bool) -> bool:
    from django.db import connection, connections

    from hotels.models import Hotel
    from integrations.models import Integration, Operation

    each = 40 if quick or ground.database == "sqlite" else 200
    hotel = Hotel.objects.create(slug="grand", name="Grand")
    integration = Integration.objects.create(hotel=hotel, integration_type="pos", provider="square", provider_name="Square")
    connections.close_all()  # a connection must not be shared with the processes below
    if ground.database == "postgresql":
        connection.close_pool()
    started = time.monotonic()
    written = multiprocessing.Event()
    producers = [Crew(produce, integration, number, each) for number in range(PRODUCERS)]
    consumers = [Crew(consume, written) for _ in range(CONSUMERS)]
    busy = sum(producer.result()["busy"] for producer in producers)
    written.set()
    found = [consumer.result() for consumer in consumers]
    busy += sum(one["busy"] for one in found)
    locked = sum(one["locked"] for one in found)
    effects = sum((Counter(one["effects"]) for one in found), Counter())
    shares = [len(one["effects"]) for one in found]
    left = Counter(Operation.objects.exclude(status="done").values_list("status", flat=True))
    jobs = PRODUCERS * each
    good = len(effects) == jobs == effects.total() and not left and not busy and not locked and min(shares) >= HUNGRY * each
    print(
        f"{ground.database:<11} {PRODUCERS} producers x {CONSUMERS} consumers: {jobs:,} jobs, {effects.total():,} effects, "
        f"{effects.total() - len(effects)} twice; a consumer did {min(shares)} to {max(shares)}; left over {dict(left) or 0}; "
        f"“database is locked” {busy + locked} times ({time.monotonic() - started:.0f} s) {'kept' if good else 'BROKEN'}",
        flush=True,
    )
    return good


class Crew:
    """One process, and what it found."""

    def __init__(self, work: Callable[..., Mapping[str, Any]], *arguments: Any) -> None:
        self._mine, theirs = multiprocessing.Pipe(duplex=False)
        # Forked: forty processes that each import Django would measure the imports.
        multiprocessing.get_context("fork").Process(target=self._run, args=(work, theirs, *arguments), daemon=True).start()

    @staticmethod
    def _run(work: Callable[..., Mapping[str, Any]], pipe: Any, *arguments: Any) -> None:
        pipe.send(work(*arguments))

    def result(self) -> Mapping[str, Any]:
        return self._mine.recv()


class Vendor:
    """Keeps the keys of what was done there."""

    def __init__(self) -> None:
        self.effects: list[str] = []

    def send(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        time.sleep(0.002)
        self.effects.append(key)
        return {"reference": key}

    def find(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
        return None


def produce(integration: Any, number: int, count: int) -> Mapping[str, Any]:
    from integrations.outbox import enqueue

    busy = 0
    for job in range(count):
        busy += patiently(lambda job=job: enqueue.enqueue(integration, "post_guest_check", {}, key=f"{number}-{job}", asked=""))
    return {"busy": busy}


def consume(written: Any) -> Mapping[str, Any]:
    from integrations.models import Operation
    from integrations.outbox import deliver

    listener = Listener()
    logging.getLogger().addHandler(listener)
    vendor = Vendor()
    busy = 0

    def take() -> None:
        for operation in list(deliver.due()[:50]):
            delivery = deliver.Delivery(operation, DECLARED, lambda *_: None)
            if delivery.claim():
                delivery.attempt(vendor)

    while not (written.is_set() and not Operation.objects.filter(status__in=Operation.OPEN).exists()):
        busy += patiently(take)
    return {"effects": vendor.effects, "busy": busy, "locked": listener.locked}


class Listener(logging.Handler):
    """Counts what nobody should read in a log."""

    locked = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.locked += "is locked" in self.format(record)


def patiently(act: Callable[[], Any]) -> int:
    """Do it; when the database is busy beyond its time-out, again, as a vendor does who is told to come back. Returns how often it was."""
    from django.db import OperationalError

    for busy in range(100):
        try:
            act()
        except OperationalError:
            continue
        return busy
    raise AssertionError("the database was busy all the time")


if __name__ == "__main__":
    world.run(__doc__, trial, quick="800 jobs on PostgreSQL too, instead of 4,000", engines=world.ENGINES[:1])
