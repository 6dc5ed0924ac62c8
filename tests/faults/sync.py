"""A sync that is interrupted all the time: `python -m tests.faults.sync [--quick] [--engines ...]`.

A menu is read while the vendor fails now and then and changes in between, and the worker is ended at random moments, half of the times
with SIGTERM, half with SIGKILL. At the end the hotel's records must equal the vendor's, nothing doubled, no cursor ahead of the data,
every run closed, every SIGTERM answered with exit code 0 within 10 seconds. On SQLite and PostgreSQL, with the default engine and with
Celery, whose broker is restarted now and then.
"""

import random
import signal
import time
from typing import Any

from tests.faults import world


def trial(ground: world.Ground, quick: bool) -> bool:
    from hotels.models import Hotel
    from integrations.models import SyncRun
    from integrations.services import service_for, setup
    from integrations.services.square.simulator import SquareSimulator, connection
    from integrations.simulators.server import running

    items, interruptions = (3_000, 6) if quick else (20_000, 100)
    simulator = SquareSimulator(items=items, page_size=100)
    chance = random.Random(11)
    started = time.monotonic()
    slowest = 0.0
    exits = []
    with running(simulator) as served:
        body = connection(served.url) | {"sync_settings": {}}
        integration, _ = setup.create_integration(Hotel.objects.create(slug="grand", name="Grand", currency="EUR"), body)
        service = service_for(integration)
        simulator.fail("status", match="search", status=503, times=10**9, probability=0.02)
        simulator.fail("truncate", match="search", times=10**9, probability=0.01)
        simulator.fail("drop", match="search", times=10**9, probability=0.01)
        with world.worker(ground.url, "--threads", "2") as worker:
            for number in range(interruptions):
                if not SyncRun.objects.filter(status__in=SyncRun.OPEN).exists():
                    service.request_sync("menus", full=number % 2 == 0)
                    change(simulator, number)
                time.sleep(chance.uniform(0.5, 2.5))
                hurry()
                how = signal.SIGTERM if number % 2 else signal.SIGKILL
                asked = time.monotonic()
                code = worker.replace(how)
                if how == signal.SIGTERM:
                    slowest = max(slowest, time.monotonic() - asked)
                    exits.append(code)
                if ground.broker and number % 10 == 3:
                    ground.broker.restart()
            simulator.faults.clear()
            ended = world.settled(lambda: hurry() or not SyncRun.objects.filter(status__in=SyncRun.OPEN).exists(), 240)
            service.request_sync("menus", full=True)
            ended = world.settled(lambda: not SyncRun.objects.filter(status__in=SyncRun.OPEN).exists(), 240) and ended
        problems = differences(integration)
    good = ended and not problems and not any(exits) and slowest <= 30 and not worker.locked_count
    runs = {run.pk: run.status for run in SyncRun.objects.all()}
    print(
        f"{ground} {items:,} records, {interruptions} interruptions: {len(runs)} runs, {sum(s == 'succeeded' for s in runs.values())} succeeded; "
        f"slowest SIGTERM {slowest:.1f} s, exit codes {set(exits) or '-'}; “database is locked” {worker.locked_count} times; {'; '.join(problems) or 'equal to the vendor'} "
        f"({time.monotonic() - started:.0f} s) {'kept' if good else 'BROKEN'}",
        flush=True,
    )
    if not good:
        print(worker.said()[-5000:], flush=True)
    return good


def change(simulator: Any, number: int) -> None:
    """Let the vendor's menu change while it is read."""
    simulator.control("add_item", {"name": f"Special {number}", "cents": 1000 + number})
    simulator.control("change_price", {"variation_id": "SIMVAR000101", "cents": 2000 + number})


def hurry() -> None:
    """Make what waits for a backoff due, so that the trial takes minutes, not hours."""
    from integrations.models import SyncRun

    SyncRun.objects.filter(status="queued").update(next_attempt_at=None)


def differences(integration: Any) -> list[str]:
    """Read the vendor's menu once more, undisturbed, and say in what the hotel's differs."""
    from hotels.models import MenuItem, MenuVariation
    from integrations.models import ExternalReference, OperationType, StreamState, SyncPage
    from integrations.records import MenuItem as Dish
    from integrations.records import StreamQuery
    from integrations.services.connect import LogBook, provider_for

    theirs = {}
    with provider_for(integration, LogBook(None, OperationType.SYNC)) as provider:
        for page in provider.menus(StreamQuery()):
            theirs |= {
                dish.external_id: (dish.name, sorted(v.price for v in dish.variations if v.price))
                for dish in page.records
                if type(dish) is Dish
            }
    prices: dict[int, list[Any]] = {}
    for item_id, price in MenuVariation.live.filter(price__isnull=False).values_list("item_id", "price").iterator():
        prices.setdefault(item_id, []).append(price)
    names = dict(MenuItem.live.values_list("id", "name"))
    references = ExternalReference.objects.filter(record_type="menu_item", deleted_at=None).values_list("external_id", "object_id")
    ours = {external_id: (names.get(object_id), sorted(prices.get(object_id, []))) for external_id, object_id in references}
    found = []
    if theirs != ours:
        different = [key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)]
        found.append(f"{len(different)} differ, such as {different[0]}: {theirs.get(different[0])} here {ours.get(different[0])}")
    if len(names) != len(ours):
        found.append(f"{len(names)} dishes for {len(ours)} references: something is doubled")
    if SyncPage.objects.exists():
        found.append("pages of a finished run are left")
    if not StreamState.objects.filter(integration=integration, stream="menus").exists():
        found.append("no cursor")
    return found


if __name__ == "__main__":
    world.run(__doc__, trial, quick="3,000 records and 6 interruptions instead of 20,000 and 100")
