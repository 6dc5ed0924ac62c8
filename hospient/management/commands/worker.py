"""`manage.py worker`: runs background work, the schedule and the recovery of what dead workers left behind."""

import logging
import os
import signal
import threading
import time
from datetime import timedelta
from types import FrameType
from typing import Any

from django.core.cache import cache
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections, connection
from django.utils import timezone

from integrations import tasks
from webhooks import tasks as webhook_tasks

logger = logging.getLogger("hospient.worker")

TICK_SECONDS = 1.0
STOP_SECONDS = 30
"""A deployment gives a worker this long to finish or hand back what it has in hand."""
ENGINE_LEASE = timedelta(seconds=60)
"""An engine's job that runs for longer belongs to a dead worker, or its row's own lease protects it from a second one."""


class Command(BaseCommand):
    help = "Run background work: syncs, deliveries, webhooks, the schedule, recovery. Stop it with SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--threads", type=int, default=4, help="Jobs worked at a time (4).")

    def handle(self, *args: Any, threads: int, **options: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        engine = Engine(threads)
        engine.start()
        logger.info("worker_started threads=%s pid=%s", threads, os.getpid())
        while not tasks.stopping.wait(TICK_SECONDS):
            try:
                tasks.tick()
                webhook_tasks.tick()
                engine.recover()
                cache.set("worker_seen_at", timezone.now().isoformat(), timeout=600)
            except Exception:  # a database that restarts must not end the worker
                logger.exception("tick_failed")
                connection.close()
        finished = engine.join(STOP_SECONDS - 5)
        logger.info("worker_stopped finished=%s", finished)
        # What could not be finished is leased: another worker takes it up when the lease has lapsed.
        os._exit(0)

    def stop(self, number: int, frame: FrameType | None) -> None:
        tasks.stopping.set()


class Engine:
    """The threads of django-tasks-db in this process, kept alive."""

    def __init__(self, threads: int) -> None:
        self.threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(threads)]
        self._recovered_at = 0.0

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the threads to end; say whether all did."""
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self.threads)

    def _work(self, number: int) -> None:
        from django_tasks_db.management.commands.db_worker import Worker

        while not tasks.stopping.is_set():
            worker = Worker(
                queue_names=["*"],
                interval=0.5,
                batch=True,  # returns when nothing is left: then we look whether to stop
                backend_name="default",
                startup_delay=False,
                max_tasks=None,
                worker_id=f"{os.uname().nodename}-{os.getpid()}-{number}",
                excluded_queue_names=[],
            )
            try:
                worker.run()
            except Exception:  # see above: the database may be restarting
                logger.exception("engine_failed")
                close_old_connections()
            tasks.stopping.wait(0.5)

    def recover(self) -> None:
        """Put back what the engine lost with a killed worker (it keeps such rows as running for ever), and drop what is finished."""
        from django_tasks_db.models import DBTaskResult

        if time.monotonic() - self._recovered_at < 5:
            return
        self._recovered_at = time.monotonic()
        now = timezone.now()
        DBTaskResult.objects.running().filter(started_at__lt=now - ENGINE_LEASE).update(status="READY", started_at=None)
        DBTaskResult.objects.finished().filter(finished_at__lt=now - timedelta(hours=1)).delete()
