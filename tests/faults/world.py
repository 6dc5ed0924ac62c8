"""What the fault programs stand on: a database and an engine of their own, simulators they may break, and workers they may kill."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.world import ROOT, database, environment, manage
from tests.faults import brokers

ENGINES = ("database", "rabbitmq", "redis")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where a trial takes place."""

    database: str
    engine: str
    url: str
    """Of the database."""
    broker: brokers.Broker | None

    def __str__(self) -> str:
        return f"{self.database:<11} {self.engine:<9}"


def run(description: str | None, trial: Callable[[Ground, bool], bool], *, quick: str, engines: Sequence[str] = ENGINES) -> None:
    """Make a trial on each database and engine that is asked for, and exit with 1 if one broke its promise."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--engines", nargs="+", choices=engines, default=engines[:1])
    options = parser.parse_args()
    grounds = [(kind, engine) for engine in options.engines for kind in options.databases]
    if len(grounds) == 1:
        sys.exit(not _on(*grounds[0], trial, options.quick))
    module = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr]
    failed = False
    for kind, engine in grounds:  # a process for each: Django is set up once
        command = [sys.executable, "-m", module, "--databases", kind, "--engines", engine, *(["--quick"] if options.quick else [])]
        failed |= subprocess.run(command).returncode != 0
    sys.exit(failed)


def _on(kind: str, engine: str, trial: Callable[[Ground, bool], bool], quick: bool) -> bool:
    if program := brokers.missing(engine):
        print(f"{program} is not installed: nothing was checked with Celery on {engine}", flush=True)
        return True
    with ExitStack() as stack:
        url = stack.enter_context(database(kind))
        broker = None
        if engine != "database":
            broker = stack.enter_context(brokers.running(engine))
            os.environ.update({"TASKS_BACKEND": "hospient.celery.CeleryBackend", "CELERY_BROKER_URL": broker.url})
        set_up(url)
        return trial(Ground(database=kind, engine=engine, url=url, broker=broker), quick)


def set_up(url: str) -> None:
    """Point this process at the database and make its tables."""
    os.environ.update(environment(url))
    manage(url, "migrate")
    manage(url, "createcachetable")
    import django

    django.setup()


class Worker:
    """A `manage.py worker` process that can be killed at any moment and started again. What it says is kept."""

    def __init__(self, url: str, *arguments: str, program: Sequence[str] = ("manage.py", "worker")) -> None:
        self.url = url
        self.command = [sys.executable, *program, *arguments]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it and wait for its first sign of life. What kills it may be the first that it takes up: that is for `revive` to see."""
        from monitoring.models import Heartbeat

        Heartbeat.objects.all().delete()
        process = subprocess.Popen(self.command, cwd=ROOT, env=environment(self.url), stderr=self.log)
        began = settled(lambda: Heartbeat.objects.exists() or process.poll() is not None, 60)
        if not began or process.poll() not in (None, -signal.SIGKILL):
            raise RuntimeError(f"the worker gave no sign of life:\n{self.said()}")
        return process

    def replace(self, how: signal.Signals) -> int:
        """End the worker and start another; returns the exit code of the first. What a killed one held is free at once, not in a minute."""
        self.process.send_signal(how)
        code = self.process.wait(timeout=35)
        if how == signal.SIGKILL:
            lapse()
        self.process = self._start()
        return code

    def revive(self) -> bool:
        """Start it again if it died, and say whether it had."""
        if self.process.poll() is None:
            return False
        lapse()
        self.process = self._start()
        return True

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=35)

    @property
    def locked_count(self) -> int:
        """How often it said that the database is locked: a busy one is waited for."""
        return self.said().count("is locked")

    def said(self) -> str:
        log = self.log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")  # the worker writes where the file's own position is


@contextmanager
def worker(url: str, *arguments: str, **how: Any) -> Iterator[Worker]:
    running = Worker(url, *arguments, **how)
    try:
        yield running
    finally:
        running.stop()


def lapse() -> None:
    """Let time pass for what dead workers held, until their leases have lapsed."""
    from django.utils import timezone

    from integrations.models import Operation, SyncRun
    from webhooks.models import WebhookEvent

    for model in (SyncRun, Operation, WebhookEvent):
        model.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now())


def settled(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until `done`; say whether it came to that in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.2)
    return done()


def enqueued(service: Any, name: str, body: dict[str, Any]) -> Any:
    """Write an operation down and leave its delivery to the worker, as a request does whose process dies at once."""
    service.deliver = lambda operation: operation
    return getattr(service, name)(body)
