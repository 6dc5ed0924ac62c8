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
from integrations import lanes, tasks
from integrations.garbage import spare_garbage_collection
from integrations.sync import runner
from monitoring.models import Heartbeat
from webhooks.tasks import LANES

logger = logging.getLogger("hospient.worker")

TICK_SECONDS = 1.0
BEAT_SECONDS = 10.0
"""What nobody waits for is seen to so often."""
STOP_SECONDS = 10
"""A deployment gives a worker this long to finish or hand back what it has in hand."""


class Command(BaseCommand):
    help = "Run background work: syncs, deliveries, webhooks, the schedule, recovery. Stop it with SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--threads",
            type=int,
            default=lanes.PLACES,
            help=f"Jobs of each kind at work at a time ({lanes.PLACES}), those not counted that wait for their vendors.",
        )

    def handle(self, *args: Any, threads: int, **options: Any) -> None:
        self.asked = False
        self.beaten_at = -BEAT_SECONDS
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        spare_garbage_collection()
        for lane in LANES.values():
            lane.open(threads)
        engine = engines.chosen()
        engine.start()
        logger.info("worker_started engine=%s threads=%s pid=%s", type(engine).__name__, threads, os.getpid())
        while not lanes.stopping.wait(TICK_SECONDS):
            try:
                self.tick(engine)
            except Exception:  # a database or a broker that restarts must not end the worker
                logger.exception("tick_failed")
                connection.close()
        finished = lanes.join(LANES.values(), STOP_SECONDS - 3) & engine.join(1)
        logger.info("worker_stopped finished=%s", finished)
        # What could not be finished is leased: another worker takes it up when the lease has lapsed.
        os._exit(0 if self.asked else 1)

    def tick(self, engine: engines.Engine) -> None:
        """Look for what is due. Every worker does; the rows see to it that nothing is done twice."""
        if time.monotonic() - self.beaten_at >= BEAT_SECONDS:
            self.beaten_at = time.monotonic()
            Heartbeat.beat(Heartbeat.WORKER)
            runner.close_lost_reads()
            engine.recover()
        for lane in LANES.values():
            if lane.is_due():
                tasks.look.enqueue(lane.name)
        self.schedule()

    def schedule(self) -> None:
        """Open the runs that are due by the clock, batch after batch, for as long as others can wait for the next tick."""
        until = time.monotonic() + TICK_SECONDS / 2
        while tasks.schedule_due() == tasks.SCHEDULED_AT_ONCE and time.monotonic() < until and not lanes.stopping.is_set():
            pass

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        lanes.stopping.set()
