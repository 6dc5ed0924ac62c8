"""What a stranger may do to a running Hospient: `python -m tests.faults.abuse [--quick] [--database postgresql]`.

Console and API, the door for webhooks and a worker run as they are shipped. 200 connections of each sort that never become a request are held
to both servers at once, from many addresses, and one address holds twice its share: each must be closed in its time, everybody else be
served within twice the time it took before, and memory stay flat. The API is sent what is too large, too deep or not to be kept; the door
signed events with values no row can hold, deliveries for who is out, and names with underscores. At last, with a vendor that does not answer
and connections on everything, each process must stop within ten seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.faults import abuse_api, webhooks_world, world
from tests.faults import abuse_connections as connections

SLACK_SECONDS = 2.5
"""Beyond a limit: a server looks at its connections from time to time, and this machine is busy."""
P99_FACTOR = 2.0
FLOOR_SECONDS, QUICK_FLOOR_SECONDS = 0.1, 0.25
"""Below it the cores that attackers, servers, database and neighbours share say more than the server, above all in a few seconds."""
MEMORY_MB = 50
"""What 1,900 connections may take: each has buffers of its own."""
STOP_SECONDS = 10
CARD = "4111111111111111"
ODD = {
    "exponent": {"menu_id": "m1", "price": "1e1000000"},
    "forty digits": {"menu_id": "m1", "price": "9" * 40},
    "surrogate": {"menu_id": "m\ud800", "name": "\ud800"},
    "NUL": {"menu_id": "m\x00", "name": "a\x00b"},
    "year 1": {"menu_id": "m1", "updated_at": "0001-01-01T00:00:00+14:00"},
    "deep": {"menu_id": json.loads("[" * 60 + "]" * 60)},
    "types": {"menu_id": {"a": [1]}, "price": True, "name": 10**60},
    "card": {"menu_id": "m1", "name": f"card {CARD} exp 12/27"},
}


def trial(url: str, quick: bool) -> bool:
    from django.contrib.auth.models import User

    from hotels.models import ApiToken
    from integrations.services.square.simulator import SquareSimulator
    from integrations.simulators.server import running

    _, token = ApiToken.objects.create(User.objects.create_superuser("stranger"))
    integration, off = webhooks_world.connect(), webhooks_world.connect(status="inactive")
    mute = SquareSimulator()
    with ExitStack() as stack:
        vendor = stack.enter_context(running(mute))
        web = stack.enter_context(webhooks_world.receiver(url, "view"))
        door = stack.enter_context(webhooks_world.receiver(url, "lean"))
        worker = stack.enter_context(world.worker(url))
        users = Users(web.port, door.port, token, integration)
        checks = [
            ("connections", lambda: held(users, web, door, quick)),
            ("the API", lambda: api(web, token)),
            ("the door for webhooks", lambda: webhooks(door.port, integration, off)),
            ("stopping", lambda: stopping(vendor.url, mute, token, web, door, worker)),
        ]
        return sum([said(name, check) for name, check in checks]) == len(checks)


def said(name: str, check: Callable[[], list[str]]) -> bool:
    started = time.monotonic()
    broken = check()
    for line in broken:
        print(f"  BROKEN {line}", flush=True)
    print(f"{name}: {'BROKEN' if broken else 'kept'} ({time.monotonic() - started:.0f} s)", flush=True)
    return not broken


# --- connections ---------------------------------------------------------------------------------------------------------------


class Users:
    """Everybody else: somebody at the console, somebody at the API, a vendor."""

    def __init__(self, web: int, door: int, token: str, integration: int) -> None:
        self.web, self.door, self.integration = web, door, integration
        bearer = {"Authorization": f"Bearer {token}"}
        body = webhooks_world.full_event(1)
        self.asks: dict[str, tuple[int, str, str, bytes | None, dict[str, str], int]] = {
            "console": (web, "GET", "/admin/login/", None, {}, 200),
            "API": (web, "GET", "/api/integrations", None, bearer, 200),
            "webhook": (door, "POST", f"/api/webhooks/{integration}", body, webhooks_world.signed(body), 202),
        }

    def measure(self, seconds: float) -> tuple[dict[str, float], Counter[str]]:
        """Ask for so long; return the p99 of each in seconds, and how many were not served."""
        times: dict[str, list[float]] = {name: [] for name in self.asks}
        unserved: Counter[str] = Counter()

        def ask(number: int) -> None:
            name = list(self.asks)[number]
            port, method, path, body, headers, status = self.asks[name]
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                started = time.monotonic()
                sender = webhooks_world.Sender(port, timeout=30)  # anew: whoever comes now has to find a place
                answered = sender.post(path, body, headers) if method == "POST" else sender.ask(method, path, None, headers)
                times[name].append(time.monotonic() - started)
                sender.connection.close()
                if answered != status:
                    unserved[f"{name} {answered}"] += 1
                time.sleep(0.01)

        webhooks_world.in_threads(len(self.asks), ask)
        return {name: sorted(taken)[int(len(taken) * 0.99)] for name, taken in times.items()}, unserved


@contextmanager
def strangers(users: Users, count: int, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    from django.conf import settings

    targets = [
        {"name": "web", "port": users.web, "path": "/api/auth/token"},  # asks nobody who they are before it reads
        {"name": "door", "port": users.door, "path": f"/api/webhooks/{users.integration}"},
    ]
    order = {"targets": targets, "count": count, "seconds": seconds, "many": 2 * settings.SERVER_CONNECTIONS_PER_ADDRESS}
    with tempfile.TemporaryFile() as found:
        process = subprocess.Popen([sys.executable, "-m", connections.__name__], stdin=subprocess.PIPE, stdout=found)
        process.stdin.write(json.dumps(order).encode())
        process.stdin.close()
        process.found = found
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def held(users: Users, web: webhooks_world.Receiver, door: webhooks_world.Receiver, quick: bool) -> list[str]:
    from django.conf import settings

    users.measure(3)  # what is loaded, and opened, when it is first used
    before, _ = users.measure(4 if quick else 10)
    memory = {"web": web.memory_mb(), "door": door.memory_mb()}
    longest = max(settings.SERVER_HEAD_TIMEOUT, settings.SERVER_BODY_TIMEOUT, settings.WEBHOOK_TIMEOUT) / 1000
    with strangers(users, 50 if quick else 200, longest + SLACK_SECONDS + 1) as process:
        time.sleep(1)
        during, unserved = users.measure(longest)
        grown = {"web": web.memory_mb() - memory["web"], "door": door.memory_mb() - memory["door"]}
        process.wait(timeout=60)
        process.found.seek(0)
        found = json.load(process.found)
    broken = [f"requests of others were not served: {dict(unserved)}"] if unserved else []
    for name in users.asks:
        print(f"  {name}: p99 {before[name] * 1000:.0f} ms before, {during[name] * 1000:.0f} ms meanwhile", flush=True)
        if during[name] > max(P99_FACTOR * before[name], QUICK_FLOOR_SECONDS if quick else FLOOR_SECONDS):
            broken.append(f"{name} waited longer than twice as long")
    print("  memory " + ", ".join(f"{name} {memory[name]:.0f} MB, grown by {grown[name]:.0f} MB" for name in memory), flush=True)
    broken += [f"{name} has grown by {size:.0f} MB" for name, size in grown.items() if size > MEMORY_MB]
    for sort, seen in found.items():
        allowed = _allowed(*sort.split(": "))
        print(
            f"  {sort:<32} {seen['opened']:>5} opened, the longest was open for {seen['longest']:.1f} s of {allowed:g}: {seen['ends']}",
            flush=True,
        )
        if seen["longest"] > allowed + SLACK_SECONDS:
            broken.append(f"{sort} was open for {seen['longest']} s instead of {allowed:g}")
        if connections.MANY in sort and seen["ends"].get("left", 0) >= 2 * settings.SERVER_CONNECTIONS_PER_ADDRESS:
            broken.append(f"{sort} were all held at last")
        if seen["ends"].keys() - {"closed", "left", "408", "404"}:
            broken.append(f"{sort} ended otherwise than closed or 408: {seen['ends']}")
    return broken


def _allowed(target: str, sort: str) -> float:
    """Return how many seconds a connection may stay."""
    from django.conf import settings

    if sort not in connections.WAITING:
        return settings.SERVER_HEAD_TIMEOUT / 1000
    return (settings.WEBHOOK_TIMEOUT if target == "door" else settings.SERVER_BODY_TIMEOUT) / 1000


# --- the API, the door for webhooks --------------------------------------------------------------------------------------------


def api(web: webhooks_world.Receiver, token: str) -> list[str]:
    return [f"{name}: {detail}" for name, refused, detail in abuse_api.attacks(f"http://127.0.0.1:{web.port}", token) if not refused]


def webhooks(port: int, integration: int, off: int) -> list[str]:
    """Send what no row can hold, or should not; all of it is answered, and what was accepted is settled while the worker lives on."""
    from webhooks.models import WebhookEvent

    sender = webhooks_world.Sender(port)
    path, broken = f"/api/webhooks/{integration}", []

    def send(name: str, expected: set[int], body: bytes, headers: dict[str, str] | None = None, to: str = path) -> None:
        status = sender.post(to, body, webhooks_world.signed(body) if headers is None else headers)
        if status not in expected:
            broken.append(f"{name} was answered with {status}")

    for name, data in ODD.items():
        send(name, {202, 400}, json.dumps({"event_type": "menu_updated", "event_id": name, "data": data}).encode())
    body = webhooks_world.full_event(2)
    send("too many bytes", {413, 0}, b" " * 2_000_000)  # or no answer: it closes, and whoever is still sending does not see it
    send("no event type", {400}, b"{}")
    send("a longer path", {404}, body, to=f"{path}/extra")
    send("somebody who is out", {403}, body, to=f"/api/webhooks/{off}")
    send("a name with underscores", {401}, body, {name.replace("-", "_"): value for name, value in webhooks_world.signed(body).items()})
    if not world.settled(lambda: not WebhookEvent.objects.filter(status__in=WebhookEvent.OPEN).exists(), 30):
        waiting = WebhookEvent.objects.filter(status__in=WebhookEvent.OPEN).values_list("event_id", "error_code")
        broken.append(f"not settled: {list(waiting)[:5]}")
    if any(CARD in bytes(event.body).decode(errors="replace") for event in WebhookEvent.objects.filter(event_id="card")):
        broken.append("a card number was kept")
    return broken


# --- stopping ------------------------------------------------------------------------------------------------------------------


def stopping(
    url: str, mute: Any, token: str, web: webhooks_world.Receiver, door: webhooks_world.Receiver, worker: world.Worker
) -> list[str]:
    """Let everything hang: API and worker on a vendor that does not answer, strangers on everything. Then ask each process to stop."""
    from integrations.models import SyncRun
    from tests.faults.fairness import connect

    service = connect("mute", url)
    mute.fail("slow", times=10**9, seconds=60)
    run, _ = service.request_sync("menus")
    bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = f"/api/integrations/{service.integration.pk}/test"
    for _ in range(8):  # more than there are threads
        threading.Thread(target=webhooks_world.Sender(web.port, timeout=20).post, args=(path, b"{}", bearer), daemon=True).start()
    world.settled(lambda: SyncRun.objects.filter(pk=run.pk, status="running").exists(), 10)
    processes = {"web": web.process, "door": door.process, "worker": worker.process}
    with strangers(Users(web.port, door.port, token, 1), 50, 30):
        time.sleep(1)
        for process in processes.values():
            process.terminate()
        asked = time.monotonic()

        def are_over() -> bool:
            for name in [name for name, process in processes.items() if process.poll() is not None]:
                print(f"  {name} stopped after {time.monotonic() - asked:.1f} s", flush=True)
                del processes[name]
            return not processes

        world.settled(are_over, STOP_SECONDS)
    return [f"{name} had not stopped after {STOP_SECONDS} s" for name in processes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short limits of time instead of those that are shipped")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    options = parser.parse_args()
    if options.quick:
        os.environ.update({"SERVER_HEAD_TIMEOUT": "3000", "SERVER_BODY_TIMEOUT": "4000", "WEBHOOK_TIMEOUT": "4000"})
    with world.database(options.database) as url:
        world.set_up(url)
        sys.exit(not trial(url, options.quick))


if __name__ == "__main__":
    main()
