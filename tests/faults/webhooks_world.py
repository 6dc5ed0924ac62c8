"""What the webhook fault programs stand on: an integration, server processes of both doors that can be killed, and senders."""

import argparse
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.world import ROOT, environment
from tests.faults.world import database, set_up, settled

__all__ = ["DOORS", "Receiver", "Sender", "connect", "in_threads", "main", "receiver", "settled", "signed"]

SECRET = "a-webhook-secret-of-the-fault-programs"
DOORS = {"view": "console", "lean": "webhooks"}
"""By what `manage.py serve` serves."""


def main(module: str, trial: Callable[..., bool], databases: Sequence[str] = ("sqlite", "postgresql"), **counts: tuple[int, int]) -> None:
    """Run `trial(url, door, **counts)` at each door on each database; `counts` are (full, quick). Exits 1 if one broke its promise."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=", ".join(f"{quick} {name} instead of {full}" for name, (full, quick) in counts.items())
    )
    parser.add_argument("--databases", nargs="+", default=databases, choices=databases)
    parser.add_argument("--doors", nargs="+", default=list(DOORS), choices=list(DOORS))
    options = parser.parse_args()
    if len(options.databases) > 1:  # one process for each: Django is set up once
        command = [sys.executable, "-m", module, "--doors", *options.doors, *(["--quick"] if options.quick else [])]
        ends = [subprocess.run([*command, "--databases", kind]).returncode for kind in options.databases]
        sys.exit(any(ends))
    kept = True
    with database(options.databases[0]) as url:
        set_up(url)
        for door in options.doors:
            started = time.monotonic()
            good = trial(url, door, **{name: pair[options.quick] for name, pair in counts.items()})
            print(f"{options.databases[0]:<11} {door:<5} {'kept' if good else 'BROKEN'} ({time.monotonic() - started:.0f} s)", flush=True)
            kept &= good
    sys.exit(not kept)


def connect(kind: str = "pms", **columns: Any) -> int:
    """Make an integration of a vendor that cannot be asked: what its events tell is taken."""
    from hotels.models import Hotel
    from integrations.models import Integration, WebhookSecret

    hotel, _ = Hotel.objects.get_or_create(slug="faults", defaults={"name": "Faults", "currency": "EUR"})
    given = {"integration_type": kind, "provider": "generic_rest", "provider_name": "Faults", "config": {}} | columns
    integration = Integration.objects.create(hotel=hotel, **given)
    WebhookSecret.objects.create(integration=integration, secret={"secret": SECRET})
    return integration.pk


def signed(body: bytes, event_id: str = "", secret: str = SECRET) -> dict[str, str]:
    headers = {"X-Webhook-Signature": f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}", "Content-Type": "application/json"}
    return headers | ({"X-Webhook-Id": event_id} if event_id else {})


class Receiver:
    """A server process of one door, with its workers, that can be killed at any moment."""

    def __init__(self, url: str, door: str, workers: int = 1, command: Sequence[str] = ()) -> None:
        """`command` serves something else instead of a door; the port is its last argument."""
        self.url, self.door, self.workers, self.command = url, door, workers, command
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        serve = [sys.executable, "manage.py", "serve", DOORS.get(self.door, ""), "--workers", str(self.workers), "--port"]
        command = [*(self.command or serve), str(self.port)]
        rates = {f"WEBHOOK_RATE_{kind}": "100000000/m" for kind in ("POS", "PMS", "GUEST_MANAGEMENT")}
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(self.url) | rates,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not settled(lambda: Sender(self.port).get("/api/webhooks/health") != 0, 60):
            raise RuntimeError(f"the {self.door} door did not open within a minute")
        return process

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # it has stopped by itself
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        self.process = self._start()

    def cpu_seconds(self) -> float:
        """Return the processor time the process and its workers have used."""
        return cpu_seconds(self.process.pid)

    def memory_mb(self) -> float:
        """Return what the process and its workers have resident."""
        pids = [self.process.pid, *map(int, _children(self.process.pid))]
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids if Path(f"/proc/{pid}").exists())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process, its children and those of them that have ended have used."""
    ticks = 0
    for one, last in ((str(pid), 4), *((child, 2) for child in _children(pid))):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11 : 11 + last]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@contextmanager
def receiver(url: str, door: str, workers: int = 1) -> Iterator[Receiver]:
    running = Receiver(url, door, workers)
    try:
        yield running
    finally:
        running.kill()


class Sender:
    """One keep-alive connection."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """Return the status; 0 if the connection broke."""
        return self.ask("POST", path, body, headers)

    def get(self, path: str) -> int:
        return self.ask("GET", path, None, {})

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> int:
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return 0


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def full_event(number: int, family_name: str = "Faults") -> bytes:
    """An event that carries a guest of its own."""
    data = {"guest_id": f"g{number}", "given_name": f"Guest {number}", "family_name": family_name, "email": f"g{number}@example.com"}
    return json.dumps({"event_type": "guest_updated", "data": data}).encode()


def tally(statuses: Counter[int]) -> str:
    return ", ".join(f"{status or 'no answer'}: {count:,}" for status, count in sorted(statuses.items()))
