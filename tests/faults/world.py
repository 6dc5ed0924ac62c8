"""What the fault programs stand on: a database of their own, simulators they may break, and worker processes they may kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.world import ROOT, database, environment, manage

__all__ = ["Worker", "database", "manage", "set_up", "settled"]


def set_up(url: str) -> None:
    """Point this process at the database and make its tables."""
    os.environ.update(environment(url))
    manage(url, "migrate")
    manage(url, "createcachetable")
    import django

    django.setup()


class Worker:
    """A `manage.py worker` process that can be killed at any moment and started again."""

    def __init__(self, url: str, threads: int = 2) -> None:
        self.url = url
        self.threads = threads
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it and wait for its first sign of life."""
        from django.core.cache import cache

        cache.delete("worker_seen_at")
        command = [sys.executable, "manage.py", "worker", "--threads", str(self.threads)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment(self.url))
        if not settled(lambda: cache.get("worker_seen_at") is not None, 60):
            raise RuntimeError("the worker gave no sign of life within a minute")
        return process

    def replace(self, how: signal.Signals) -> int:
        """End the worker and start another; returns the exit code of the first."""
        self.process.send_signal(how)
        code = self.process.wait(timeout=35)
        self.process = self._start()
        return code

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=35)


@contextmanager
def worker(url: str, threads: int = 2) -> Iterator[Worker]:
    running = Worker(url, threads)
    try:
        yield running
    finally:
        running.stop()


def settled(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until `done`; say whether it came to that in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.2)
    return done()
