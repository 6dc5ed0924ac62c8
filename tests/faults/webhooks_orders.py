"""The same end whatever the order: `python -m tests.faults.webhooks_orders [--quick]`.

The events of one reservation's life arrive in random order, with duplicates, in batches of random size, each time as another reservation;
every one must end in the state the right order ends in.
"""

import random
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults import webhooks_world as world

STEPS: list[tuple[str, dict[str, Any]]] = [
    ("reservation_created", {"status": "confirmed", "room_number": "101", "adults": 2}),
    ("reservation_updated", {"status": "confirmed", "room_number": "102", "adults": 2}),
    ("reservation_updated", {"status": "confirmed", "room_number": "103", "adults": 3}),
    ("check_in", {"room_number": "104", "adults": 3}),
    ("reservation_updated", {"status": "in_house", "room_number": "105", "adults": 3, "balance": "120.50"}),
    ("check_out", {"room_number": "105", "adults": 3, "balance": "0"}),
]


def trial(url: str, door: str, orders: int) -> bool:
    import json

    from django.utils import timezone

    from hotels.models import Reservation
    from integrations.models import ExternalReference, Integration
    from webhooks import events, inbox
    from webhooks.ingest import row_of, store

    integration = Integration.objects.get(pk=world.connect())
    chance = random.Random(7)
    start = datetime(2026, 3, 1, tzinfo=UTC)

    def put(reservation: str, number: int) -> Any:
        kind, data = STEPS[number]
        whole = {"reservation_id": reservation, "arrival_date": "2026-03-14", "departure_date": "2026-03-16", **data}
        body = {"event_type": kind, "occurred_at": (start + timedelta(minutes=number)).isoformat(), "data": whole}
        return row_of(
            events.outline({}, body),
            integration_id=integration.pk,
            verified_by="body",
            headers={},
            body=json.dumps(body),
            correlation_id=uuid.uuid4().hex,
            received_at=timezone.now(),
        )

    arriving = []
    for order in range(orders):
        steps = [*range(len(STEPS)), *chance.sample(range(len(STEPS)), 3)]
        chance.shuffle(steps)
        arriving += [(position, order, number) for position, number in enumerate(steps)]
    arriving.sort(key=lambda entry: (entry[0] // 3, chance.random()))  # three thirds, between which the inbox is worked
    third = len(arriving) // 3
    for begin in (0, third, 2 * third):
        rows = [put(f"r{order}", number) for _, order, number in arriving[begin : begin + third if begin < 2 * third else None]]
        for first in range(0, len(rows), 1000):
            store(rows[first : first + 1000])
        inbox.drain(integration)
    ends = {
        (row.status, row.room_number, row.adults, str(row.balance.normalize()))
        for row in Reservation.objects.filter(pk__in=ExternalReference.objects.filter(integration=integration).values("object_id"))
    }
    count = ExternalReference.objects.filter(integration=integration).count()
    print(f"  {count:,} orders of {len(STEPS) + 3} events end in {ends}")
    return count == orders and ends == {("checked_out", "105", 3, "0")}


if __name__ == "__main__":
    sys.argv += ["--doors", "lean"]  # nothing is sent: the inbox is filled straight
    world.main("tests.faults.webhooks_orders", trial, orders=(1000, 50))
