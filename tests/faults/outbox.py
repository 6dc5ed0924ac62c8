"""Checks and room charges under fire: `python -m tests.faults.outbox [--quick] [--engines ...]`.

Everything is posted while the vendor drops 30 % of its answers after acting on them, answers 10 % with 500, and the worker is killed
again and again. At the end the vendor must have each exactly once: none doubled, none silently lost. Square knows our keys; OPERA has no
idempotency key at all. On SQLite and PostgreSQL, with the default engine and with Celery, whose broker is restarted too.
"""

import random
import signal
import time
from collections import Counter
from typing import Any

from tests.faults import world

DROPPED, BROKEN = 0.3, 0.1


def trial(ground: world.Ground, quick: bool) -> bool:
    count, kills = (40, 3) if quick else (500, 20)
    kept = [deliver(ground, slug, count, kills) for slug in VENDORS]
    return all(kept)


def deliver(ground: world.Ground, slug: str, count: int, kills: int) -> bool:
    from integrations.models import Operation
    from integrations.simulators.server import running

    vendor = VENDORS[slug]()
    with running(vendor.simulator) as served:
        vendor.connect(served.url)
        vendor.simulator.fail("drop_after", match=vendor.match, times=10**9, probability=DROPPED)
        vendor.simulator.fail("status", match=vendor.match, status=500, times=10**9, probability=BROKEN)
        there = Counter(vendor.effects())
        operations = [vendor.write(number) for number in range(count)]
        started = time.monotonic()
        chance = random.Random(7)
        with world.worker(ground.url, "--threads", "2") as worker:
            for _ in range(kills):
                time.sleep(chance.uniform(1.0, 3.0))
                worker.replace(signal.SIGKILL)
            if ground.broker:
                ground.broker.restart()
            open_ones = Operation.objects.filter(pk__in=[operation.pk for operation in operations], status__in=Operation.OPEN)
            vendor.simulator.faults.clear()  # the vendor recovers; what is in doubt now has to come right
            Operation.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=None)
            Operation.objects.filter(status__in=("pending", "unknown")).update(next_attempt_at="2000-01-01T00:00:00Z")
            # A job that was lost with the broker is handed out again a minute later; it may happen twice.
            world.settled(lambda: not open_ones.exists(), 150 + 0.6 * count)
        statuses: dict[str, int] = {}
        for operation in Operation.objects.filter(pk__in=[operation.pk for operation in operations]):
            statuses[operation.status] = statuses.get(operation.status, 0) + 1
        effects = Counter(vendor.effects()) - there
    doubled = effects.total() - len(effects)
    good = statuses == {"done": count} and len(effects) == count and not doubled
    print(
        f"{ground} {slug:<12} {count} postings, {kills} kills: {statuses}, at the vendor {len(effects)}, doubled {doubled} "
        f"({time.monotonic() - started:.0f} s) {'kept' if good else 'BROKEN'}",
        flush=True,
    )
    if not good:
        print(worker.said()[-5000:], flush=True)
    return good


class Checks:
    """Guest checks at Square, which knows our keys."""

    match = "^POST /v2/orders$"

    def __init__(self) -> None:
        from integrations.services.square.simulator import SquareSimulator

        self.simulator = SquareSimulator()

    def connect(self, url: str) -> None:
        from integrations.services.square.simulator import connection

        self.service = connected(connection(url))

    def write(self, number: int) -> Any:
        line = {"name": f"Dish {number}", "quantity": 1, "unit_price": "10.00", "total_price": "10.00"}
        return world.enqueued(self.service, "post_guest_check", {"items": [line], "subtotal": "10.00", "total": "10.00"})

    def effects(self) -> list[str]:
        return [order["reference_id"] for order in self.simulator.orders.values()]


class Charges:
    """Room charges at OPERA, which has no idempotency key."""

    match = "^POST .*/charges$"

    def __init__(self) -> None:
        from integrations.services.opera_cloud.simulator import OperaCloudSimulator

        self.simulator = OperaCloudSimulator(extra_reservations=200)

    def connect(self, url: str) -> None:
        from integrations.services.opera_cloud.simulator import connection

        self.service = connected(connection(url))
        self.service.sync_rooms()
        self.service.sync_reservations()
        from hotels.models import Reservation

        # What concerns one stay is delivered in order, so that no check-out overtakes a charge; stays go side by side.
        self.stays = list(Reservation.live.filter(status="in_house"))

    def write(self, number: int) -> Any:
        stay = self.stays[number % len(self.stays)]
        charge = {
            "reservation_id": stay.pk,
            "amount": "10.00",
            "category": "food",
            "description": f"Dish {number}",
            "check_number": str(number),
        }
        return world.enqueued(self.service, "post_charge", charge)

    def effects(self) -> list[str]:
        return [posting["reference"] for found in self.simulator.hotel.postings.values() for posting in found if posting["reference"]]


VENDORS: dict[str, Any] = {"square": Checks, "opera_cloud": Charges}


def connected(body: dict[str, Any]) -> Any:
    from hotels.models import Hotel
    from integrations.services import service_for, setup

    hotel, _ = Hotel.objects.get_or_create(slug="grand", defaults={"name": "Grand", "currency": "EUR"})
    return service_for(setup.create_integration(hotel, body)[0])


if __name__ == "__main__":
    world.run(__doc__, trial, quick="40 postings and 3 kills instead of 500 and 20")
