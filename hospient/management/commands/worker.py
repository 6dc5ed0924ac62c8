"""`manage.py worker`: runs background work, the schedule and the recovery of what dead workers left behind."""

import logging
import os
import signal
import time
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from hospient import engines
from integrations import tasks, turns
from integrations.garbage import spare_garbage_collection
from integrations.sync import runner
from monitoring.models import Heartbeat
from webhooks import tasks as webhook_tasks

logger = logging.getLogger("hospient.worker")

TICK_SECONDS = 1.0
BEAT_SECONDS = 5.0
STOP_SECONDS = 10
"""A deployment gives a worker this long to finish or hand back what it has in hand."""


class Command(BaseCommand):
    help = "Run background work: syncs, deliveries, webhooks, the schedule, recovery. Stop it with SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--threads", type=int, default=8, help="Jobs worked at a time (8).")

    def handle(self, *args: Any, threads: int, **options: Any) -> None:
        self.asked = False
        self.beaten_at = -BEAT_SECONDS
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        spare_garbage_collection()
        engine = engines.chosen(threads)
        engine.start()
        logger.info("worker_started engine=%s threads=%s pid=%s", type(engine).__name__, threads, os.getpid())
        while not tasks.stopping.wait(TICK_SECONDS):
            try:
                self.tick(engine)
            except Exception:  # a database or a broker that restarts must not end the worker
                logger.exception("tick_failed")
                connection.close()
        finished = engine.join(STOP_SECONDS - 2)
        logger.info("worker_stopped finished=%s", finished)
        # What could not be finished is leased: another worker takes it up when the lease has lapsed.
        os._exit(0 if self.asked else 1)

    def tick(self, engine: engines.Engine) -> None:
        """Look for what is due, and whose turn it is. Every worker does; the rows see to it that nothing is done twice."""
        if time.monotonic() - self.beaten_at >= BEAT_SECONDS:
            Heartbeat.beat(Heartbeat.WORKER)
            self.beaten_at = time.monotonic()
        tasks.schedule_due()
        runner.close_lost_reads()
        turns.hand_out([*tasks.due_jobs(), *webhook_tasks.due_jobs()], tasks.at_work())
        engine.recover()

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        tasks.stopping.set()
