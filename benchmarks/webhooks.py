"""How fast webhooks are accepted and worked, on PostgreSQL: `python -m benchmarks.webhooks [accept] [drain] [blackhole]`.

accept     requests a second, latency and processor time of both doors at 32 and 128 connections, one server process each, every event
           committed before its answer, beside a floor: Fastify and pg, one insert a request, no checks but the signature. They take
           turns. Needs Node 20 and npm.
drain      100,000 stored events worked by two processes, full ones of 10,000 guests, in order for each guest.
blackhole  acknowledgements while the vendor that has to be asked about every event accepts connections and never answers.

The load comes from a process of its own on the same machine, so the figures are this machine's and only their ratios carry over.
"""

import argparse
import json
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import world

BODY = b'{"event_type":"menu_updated","data":{"menu_id":"menu_123","changes":["name","price"]}}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[], metavar="part", help="accept, drain, blackhole (all)")
    parser.add_argument("--seconds", type=float, default=1, help="Length of one turn (1).")
    parser.add_argument("--rounds", type=int, default=15, help="Turns each of the three takes; medians count (15).")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--measure", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(load(*map(json.loads, options.measure))))
        return
    with world.database("postgresql") as url:
        from tests.faults.world import set_up

        set_up(url)
        for part in options.parts or ("accept", "drain", "blackhole"):
            {"accept": accept, "drain": drain, "blackhole": blackhole}[part](url, options)


# --- accepting -----------------------------------------------------------------------------------------------------------------


def accept(url: str, options: argparse.Namespace) -> None:
    import os

    from tests.faults import webhooks_world
    from webhooks.models import WebhookEvent

    os.environ["FLOOR_SECRET"] = webhooks_world.SECRET
    integration = webhooks_world.connect("pos")
    names = ("floor", "lean", "view") if (floor := _floor(url)) else ("lean", "view")
    servers = {name: webhooks_world.Receiver(url, name, command=floor if name == "floor" else ()) for name in names}
    postmaster = _postmaster(url)
    try:
        head = f"{'connections':>11}  {'door':<6}{'requests/s':>11}{'of floor':>10}{'p50 ms':>9}{'p99 ms':>9}"
        print(f"{head}{'door CPU':>10}{'database':>10}{'of floor':>10}   (CPU: seconds for 1,000 deliveries)")
        for connections in (32, 128):
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
            for _ in range(options.rounds):
                for name in names:
                    before = servers[name].cpu_seconds(), webhooks_world.cpu_seconds(postmaster)
                    run = world.measure(url, "benchmarks.webhooks", servers[name].port, integration, connections, options.seconds)
                    after = servers[name].cpu_seconds(), webhooks_world.cpu_seconds(postmaster)
                    for part, start, end in zip(("door", "database"), before, after, strict=True):
                        run[part] = (end - start) / run["statuses"].get("202", 1) * 1000
                    found[name].append(run)
                WebhookEvent.objects.all().delete()
            for name, runs in found.items():
                figures = ("per_second", "p50", "p99", "door", "database")
                rate, p50, p99, door, database = (statistics.median(run[key] for run in runs) for key in figures)
                pairs = list(zip(runs, found.get("floor", runs), strict=True))
                of_floor = statistics.median(run["per_second"] / floor["per_second"] for run, floor in pairs)
                cpu = statistics.median((run["door"] + run["database"]) / (floor["door"] + floor["database"]) for run, floor in pairs)
                line = f"{connections:>11}  {name:<6}{rate:>11,.0f}{of_floor:>10.2f}{p50:>9.1f}{p99:>9.1f}"
                print(f"{line}{door:>10.3f}{database:>10.3f}{cpu:>10.2f}", flush=True)
                if odd := {status for run in runs for status in run["statuses"]} - {"202"}:
                    print(f"             also answered: {odd}")
    finally:
        for server in servers.values():
            server.kill()


def _floor(url: str) -> list[str]:
    """Install the floor, and return how it is started; nothing where there is no Node."""
    folder = world.ROOT / "benchmarks" / "fastify"
    if not (shutil.which("node") and shutil.which("npm")):
        print("There is no Node with npm here: the doors are measured without the floor beside them.")
        return []
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return ["node", str(folder / "floor.js"), url.partition("host=")[2]]


def _postmaster(url: str) -> int:
    """Return the process of the database, which is on this machine."""
    return int((Path(url.partition("host=")[2]) / "postmaster.pid").read_text().split()[0])


def load(port: int, integration: int, connections: int, seconds: float) -> dict[str, Any]:
    """Send signed events, each with an id of its own, over keep-alive connections for some seconds."""
    from tests.faults.webhooks_world import signed

    fixed = "".join(f"{name}: {value}\r\n" for name, value in signed(BODY).items())
    head = f"POST /api/webhooks/{integration} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fixed}Content-Length: {len(BODY)}\r\nX-Webhook-Id: "
    first, last = head.encode(), b"\r\n\r\n" + BODY
    run = time.time_ns()
    selector = selectors.DefaultSelector()
    sent_at: dict[int, float] = {}
    answers: dict[int, bytes] = {}
    took: list[float] = []
    statuses: Counter[str] = Counter()
    number = 0

    def send(connection: socket.socket) -> None:
        nonlocal number
        number += 1
        answers[connection.fileno()] = b""
        sent_at[connection.fileno()] = time.perf_counter()
        connection.send(first + f"{run}-{number}".encode() + last)

    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        send(connection)
    started = time.perf_counter()
    while (now := time.perf_counter()) < started + seconds:
        for key, _ in selector.select(timeout=1):
            answers[key.fd] += key.fileobj.recv(4096)  # type: ignore[union-attr]
            if answers[key.fd].endswith(b"}"):
                took.append(time.perf_counter() - sent_at[key.fd])
                statuses[answers[key.fd][9:12].decode()] += 1
                send(key.fileobj)  # type: ignore[arg-type]
    took.sort()
    return {
        "per_second": len(took) / (now - started),
        "p50": took[len(took) // 2] * 1000,
        "p99": took[int(len(took) * 0.99)] * 1000,
        "statuses": statuses,
    }


# --- working -------------------------------------------------------------------------------------------------------------------


def fill(integration: int, count: int, objects: int) -> None:
    """Store full events straight into the inbox: `count` of them, about so many guests, each newer than the one before."""
    from datetime import UTC, datetime, timedelta

    from django.utils import timezone

    from integrations.transport import correlation
    from webhooks import events
    from webhooks.ingest import row_of, store

    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = []
    for number in range(count):
        guest = number % objects
        data = {
            "guest_id": f"g{guest}",
            "given_name": f"Guest {guest}",
            "family_name": f"Version {number // objects}",
            "email": f"g{guest}@example.com",
        }
        body = {"event_type": "guest_updated", "occurred_at": (start + timedelta(seconds=number)).isoformat(), "data": data}
        rows.append(
            row_of(
                events.outline({}, body),
                integration_id=integration,
                verified_by="body",
                headers={},
                body=json.dumps(body),
                correlation_id=correlation.new(),
                received_at=timezone.now(),
            )
        )
        if len(rows) == 1000:
            store(rows)
            rows.clear()
    store(rows)


def drain(url: str, options: argparse.Namespace) -> None:
    from hotels.models import Guest
    from tests.faults import webhooks_world
    from webhooks.models import WebhookEvent

    objects = max(1, options.events // 10)
    integration = webhooks_world.connect()
    fill(integration, options.events, objects)
    command = [sys.executable, "manage.py", "process_inbox", "--integration", str(integration)]
    started = time.perf_counter()
    workers = [subprocess.Popen(command, cwd=world.ROOT, env=world.environment(url), stdout=subprocess.DEVNULL) for _ in range(2)]
    for worker in workers:
        worker.wait()
    seconds = time.perf_counter() - started
    done = WebhookEvent.objects.filter(integration=integration, status="done").count()
    newest = Guest.objects.filter(family_name=f"Version {(options.events - 1) // objects}").count()
    print(
        f"drain: {done:,} of {options.events:,} events in {seconds:.1f} s, {done / seconds:,.0f}/s; {newest:,} of {objects:,} guests are in their last state"
    )


# --- a vendor that hangs -------------------------------------------------------------------------------------------------------


def blackhole(url: str, options: argparse.Namespace) -> None:
    """Send for some seconds while a worker hangs at the vendor; then let the vendor answer and wait for an empty inbox."""
    from integrations.models import Integration
    from integrations.simulators.server import Fault, running
    from tests.faults import webhooks_world
    from tests.faults.world import settled, worker
    from webhooks.models import WebhookEvent

    with running(_Menu()) as vendor, webhooks_world.receiver(url, "lean") as door, worker(url):
        vendor.simulator.faults.append(Fault(kind="slow", seconds=25, times=10**9))
        pk = webhooks_world.connect("pos", config={"base_url": vendor.url, "endpoints": {"menus": "/menus"}})
        integration = Integration.objects.get(pk=pk)
        integration.credentials = {"api_key": "benchmark-key"}
        integration.save()
        run = world.measure(url, "benchmarks.webhooks", door.port, pk, 32, 10 * options.seconds)
        open_ones = WebhookEvent.objects.filter(integration=pk, status__in=WebhookEvent.OPEN)
        print(
            f"blackhole: {run['per_second']:,.0f}/s, p50 {run['p50']:.1f} ms, p99 {run['p99']:.1f} ms, {dict(run['statuses'])}; {open_ones.count():,} wait"
        )
        vendor.simulator.faults.clear()
        started = time.perf_counter()
        emptied = settled(lambda: not open_ones.exists(), 300)
        dead = WebhookEvent.objects.filter(integration=pk, status="dead").count()
        reads = sum(path == "/menus" for _, path in vendor.simulator.requests)
        print(
            f"           {'empty' if emptied else 'NOT EMPTY'} {time.perf_counter() - started:.0f} s after the vendor came back; {reads} reads, {dead} dead"
        )


def _Menu() -> Any:  # noqa: N802
    from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

    class Menu(Simulator):
        slug = "generic_rest"

        @route("GET", "/menus")
        def menus(self, request: SimRequest) -> SimResponse:
            return SimResponse(json=[{"id": "menu_123", "name": "Club sandwich", "price": 14.5}])

    return Menu()


if __name__ == "__main__":
    main()
