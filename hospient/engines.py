"""The engines a worker can be woken by. Each takes tasks from its queue and calls them on a thread of this process; they take no time, for
the work itself is done in the process's lanes.

Which one is one setting, TASKS_BACKEND; the rest of Hospient knows of no engine. An engine may deliver a task twice and may lose one: the
next tick wakes again. It only has to begin nothing once `integrations.lanes.stopping` is set. `manage.py worker` calls it.
"""

import logging
import os
import threading
import time
from datetime import timedelta
from typing import Any, Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections
from django.utils import timezone
from django_tasks.signals import task_enqueued

from integrations.lanes import stopping

logger = logging.getLogger(__name__)


class Engine(Protocol):
    def start(self) -> None: ...

    def recover(self) -> None:
        """Take back what dead workers had in hand, where the queue does not do that by itself."""

    def join(self, seconds: float) -> bool:
        """Wait until what is in hand is finished or handed back; say whether it was."""


def chosen() -> Engine:
    """Return the engine of the backend that the settings name."""
    backend = settings.TASKS["default"]["BACKEND"]
    if backend not in ENGINES:
        raise ImproperlyConfigured(f"No worker can run on TASKS_BACKEND={backend}. Use one of: {', '.join(ENGINES)}.")
    return ENGINES[backend]()


class DatabaseEngine:
    """django-tasks-db: the queue is a table, so that no other program is needed."""

    POLL_SECONDS = 5.0
    """How often the table is asked for what another process left there; what this one put there is seen at once."""
    LEASE = timedelta(seconds=60)
    """A task that runs for longer belongs to a dead worker."""
    RECOVER_SECONDS = 5
    KEEP = timedelta(hours=1)
    """How long finished tasks can be looked at."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._enqueued = threading.Event()
        self._recovered_at = 0.0
        task_enqueued.connect(self._notice)

    def _notice(self, **_: Any) -> None:
        self._enqueued.set()

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> bool:
        self._enqueued.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not stopping.is_set():
            self._enqueued.clear()
            try:
                found = self._work_one()
            except Exception:  # the database may be restarting
                logger.exception("engine_failed")
                found = False
            close_old_connections()
            if not found:
                self._enqueued.wait(self.POLL_SECONDS)

    def _work_one(self) -> bool:
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
            worker_id=f"{os.uname().nodename}-{os.getpid()}",
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

    It runs in this process and on threads, not on forked processes: what it wakes are this process's lanes, and all of a worker has one fate.
    """

    LOOK_SECONDS = 0.5
    THREADS = 8
    """As many messages are fetched before one has to be acknowledged, which Celery may only notice half a second later."""

    def __init__(self) -> None:
        from hospient.celery import app

        # Gossip, mingle and heartbeats are for Celery's own monitoring; without them the one queue of jobs is all that the broker holds.
        self._worker = app.WorkController(pool="threads", concurrency=1, without_gossip=True, without_mingle=True, without_heartbeat=True)
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
