"""Work that kills whoever touches it: `python -m tests.faults.poison [--quick] [--engines ...]`.

Among many operations, events and runs there are some that end the worker's process, as a fault in a library or the kernel's memory killer
does, and one that raises every time. Whoever runs the worker starts it again. All the rest must be done; each poison must be put aside
after five attempts at most, say why, and be tried again when a person asks. On SQLite and PostgreSQL.
"""

import os
import signal
import time
from collections import Counter
from typing import Any

from tests.faults import world
from tests.faults.fairness import CHECK, connect, event

POISON = "poison"
RAISES = "raises"
MAX_ATTEMPTS = 5


def trial(ground: world.Ground, quick: bool) -> bool:
    from integrations.models import Operation
    from integrations.services.square.simulator import SquareSimulator
    from integrations.simulators.server import running

    count = 40 if quick else 1000
    started = time.monotonic()
    with running(SquareSimulator()) as vendor:
        cursed, grand = connect(POISON, vendor.url), connect("grand", vendor.url)
        operations = [post(grand, {count // 2: POISON, count // 3: RAISES}.get(number, f"Dish {number}")) for number in range(count)]
        events = [event(grand.integration, f"event-{n}", POISON if n == count // 2 else f"order-{n}") for n in range(count)]
        for one in events:
            one.save()
        runs = [grand.request_sync("menus")[0], cursed.request_sync("menus")[0]]
        killer, raiser = operations[count // 2], operations[count // 3]
        with world.worker(ground.url, program=("-c", "from tests.faults import poison; poison.work()")) as worker:
            deaths = 0

            def settled() -> bool:
                nonlocal deaths
                deaths += worker.revive()
                # What raised is held by a lease that would lapse in a minute.
                Operation.objects.filter(pk=raiser.pk, status="sending").update(lease_until="2000-01-01T00:00:00Z")
                return all(is_settled(row) for row in (*operations, *events, *runs))

            ended = world.settled(settled, 600 if quick else 1800)
            poisons = [("operation", killer), ("raising operation", raiser), ("event", events[count // 2]), ("run", runs[1])]
            aside = {name: (row.status, row.attempts, row.error_code) for name, row in poisons}
            done = Counter(row.status for row in (*operations, *events, *runs) if row not in [poison for _, poison in poisons])
            again = tried_again(worker, killer)
    good = (
        ended
        and done.keys() <= {"done", "succeeded"}
        and all(attempts <= MAX_ATTEMPTS and code == "worker_lost" for _, attempts, code in aside.values())
        and again
    )
    print(
        f"{ground} {2 * count + 2:,} jobs, of them 4 poisoned, {deaths} workers died: {dict(done)}; put aside "
        f"{', '.join(f'{name} ({status} at attempt {attempts}, {code})' for name, (status, attempts, code) in aside.items())}; "
        f"tried again on request: {'yes' if again else 'no'} ({time.monotonic() - started:.0f} s) {'kept' if good else 'BROKEN'}",
        flush=True,
    )
    return good


def post(service: Any, dish: str) -> Any:
    return world.enqueued(service, "post_guest_check", CHECK | {"items": [CHECK["items"][0] | {"name": dish}]})


def is_settled(row: Any) -> bool:
    """Say whether nothing will happen to the row any more unless a person asks."""
    if row.status in ("done", "succeeded", "dead", "failed"):
        return True
    row.refresh_from_db()
    return row.status not in row.OPEN or (row.status == "unknown" and row.next_attempt_at is None)


def tried_again(worker: world.Worker, operation: Any) -> bool:
    from integrations.outbox import deliver

    deliver.retry(operation)
    return world.settled(worker.revive, 60)


def work() -> None:
    """Run a worker in which the poison works."""
    import django

    django.setup()
    from django.core.management import call_command

    from integrations.services import registry

    provider: Any = registry.get("square")
    post_check, menus, checks = provider.post_guest_check, provider.menus, provider.checks

    def post_guest_check(self: Any, payload: Any, key: str) -> Any:
        dish = payload["items"][0]["name"]
        if dish == RAISES:
            raise RuntimeError("a fault of ours")
        return die() if dish == POISON else post_check(self, payload, key)

    def read_checks(self: Any, query: Any) -> Any:
        return die() if POISON in query.external_ids else checks(self, query)

    def read_menus(self: Any, query: Any) -> Any:
        return die() if self.hotel.name.lower() == POISON else menus(self, query)

    provider.post_guest_check, provider.menus, provider.checks = post_guest_check, read_menus, read_checks
    call_command("worker")


def die() -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    world.run(__doc__, trial, quick="82 jobs instead of 2,002")
