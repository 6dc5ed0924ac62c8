"""The engines a worker can run on. Each takes jobs from its queue and works them on threads of this process.

Which one is one setting, TASKS_BACKEND; the rest of Hospient knows of no engine. An engine may deliver a job twice and may lose one: rows,
leases and the tick put that right. It only has to begin nothing once `integrations.tasks.stopping` is set. `manage.py worker` calls it.
"""

import logging
import os
import threading
import time
from datetime import timedelta
from typing import Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections
from django.utils import timezone

from integrations.tasks import stopping

logger = logging.getLogger(__name__)


class Engine(Protocol):
    def __init__(self, threads: int) -> None: ...

    def start(self) -> None: ...

    def recover(self) -> None:
        """Take back what dead workers had in hand, where the queue does not do that by itself."""

    def join(self, seconds: float) -> bool:
        """Wait until what is in hand is finished or handed back; say whether it was."""


def chosen(threads: int) -> Engine:
    """Return the engine of the backend that the settings name."""
    backend = settings.TASKS["default"]["BACKEND"]
    if backend not in ENGINES:
        raise ImproperlyConfigured(f"No worker can run on TASKS_BACKEND={backend}. Use one of: {', '.join(ENGINES)}.")
    return ENGINES[backend](threads)


class DatabaseEngine:
    """django-tasks-db: the queue is a table, so that no other program is needed."""

    POLL_SECONDS = 0.5
    LEASE = timedelta(seconds=60)
    """A job that runs for longer belongs to a dead worker, or its row's own lease protects it from a second one."""
    RECOVER_SECONDS = 5
    KEEP = timedelta(hours=1)
    """How long finished jobs can be looked at."""

    def __init__(self, threads: int) -> None:
        self.threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(threads)]
        self._recovered_at = 0.0

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self.threads)

    def _work(self, number: int) -> None:
        while not stopping.is_set():
            try:
                found = self._work_one(number)
            except Exception:  # the database may be restarting
                logger.exception("engine_failed")
                found = False
            close_old_connections()
            if not found:
                stopping.wait(self.POLL_SECONDS)

    def _work_one(self, number: int) -> bool:
        from django_tasks_db.management.commands.db_worker import Worker
        from django_tasks_db.models import DBTaskResult

        # A worker claims in an exclusive transaction, which on SQLite keeps every writer waiting: only when there is something.
        if not DBTaskResult.objects.ready().exists():
            return False
        Worker(
            queue_names=["*"],
            interval=0,
            batch=True,
            backend_name="default",
            startup_delay=False,
            max_tasks=1,  # it does not know that it shall stop
            worker_id=f"{os.uname().nodename}-{os.getpid()}-{number}",
            excluded_queue_names=[],
        ).run()
        return True

    def recover(self) -> None:
        """Put back what was lost with a killed worker (the table keeps such jobs as running for ever), and drop what is finished."""
        from django_tasks_db.models import DBTaskResult

        if time.monotonic() - self._recovered_at < self.RECOVER_SECONDS:
            return
        self._recovered_at = time.monotonic()
        now = timezone.now()
        DBTaskResult.objects.running().filter(started_at__lt=now - self.LEASE).update(status="READY", started_at=None)
        DBTaskResult.objects.finished().filter(finished_at__lt=now - self.KEEP).delete()


class CeleryEngine:
    """Celery's own worker, for many machines: the queue is RabbitMQ or Redis.

    It runs in this process and on threads, not on forked processes. A job waits for vendors most of its time, so that threads are enough; more
    cores are used by more workers. And all of a worker has one fate: killed, its jobs end with it, while a forked child outlives its killed
    parent and goes on with a job that others take for abandoned; asked to stop, every job sees `stopping` and hands back what it has.
    """

    LOOK_SECONDS = 0.5

    def __init__(self, threads: int) -> None:
        from hospient.celery import app

        # Gossip, mingle and heartbeats are for Celery's own monitoring; without them the one queue of jobs is all that the broker holds.
        self._worker = app.WorkController(
            pool="threads", concurrency=threads, without_gossip=True, without_mingle=True, without_heartbeat=True
        )
        self._worker.timer.call_repeatedly(self.LOOK_SECONDS, self._look)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        self._worker.start()  # returns when it shall stop, or from an error that it cannot recover from
        stopping.set()

    def _look(self) -> None:
        """Tell Celery to stop: signals reach the main thread alone, and its loop may sleep until the next heartbeat of the connection."""
        from celery.worker import state

        if stopping.is_set():
            state.should_stop = os.EX_OK

    def recover(self) -> None:
        """Do nothing: the broker delivers again what a dead worker had not acknowledged."""


ENGINES: dict[str, type[Engine]] = {
    "django_tasks_db.DatabaseBackend": DatabaseEngine,
    "hospient.celery.CeleryBackend": CeleryEngine,
}
"""Backend of the Tasks API -> what works its queue."""
