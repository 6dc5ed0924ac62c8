"""How the house itself is: worker, schedule, database, shared cache, disk, clock. Each was looked at, or is said not to be well."""

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from hotels.words import ago, counted
from integrations.models import Integration, IntegrationStatus
from monitoring.models import Heartbeat

WORKER_SILENT = timedelta(seconds=60)
SCHEDULE_BEHIND = timedelta(minutes=10)
ANSWER_SECONDS = 2
"""How long the database may take to give us a connection. Less than a health check waits."""
CLOCK_OFF = timedelta(seconds=30)
CACHE_LOOK_SECONDS = 5.0
"""A cache that took something so lately is not written to again: every page of the console looks."""
DISK_FREE = 200_000_000
"""Bytes. With less a database soon refuses what is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `sentence` says how it is, and `todo` what a person can do where it is not well."""

    name: str
    is_well: bool
    sentence: str
    todo: str = ""
    stops_requests: bool = False
    """Whether this process cannot do its work because of it; else it only makes others wait."""


def look() -> list[Check]:
    """Look at everything. Never raises: without a database, or without its tables, the rest cannot be looked at, and these say why."""
    try:
        now_there = _ask_database()
        checks = [Check(name="database", is_well=True, sentence="The database answers."), _migrations()]
        seen = dict(Heartbeat.objects.values_list("name", "seen_at")) if checks[1].is_well else {}
        return [*checks, *([_cache(), _disk(), _clock(seen, now_there), _worker(seen), _schedule()] if checks[1].is_well else [])]
    except DatabaseError:
        return [
            Check(
                name="database",
                is_well=False,
                stops_requests=True,
                sentence="The database does not answer.",
                todo="Start it, and look whether DATABASE_URL is right.",
            )
        ]


def trouble(checks: list[Check]) -> Iterator[Check]:
    """Return what is not well, the worst first."""
    return iter(sorted((check for check in checks if not check.is_well), key=lambda check: not check.stops_requests))


def told() -> tuple[bool, dict[str, str]]:
    """Say whether requests can be served, and what is not well, by name."""
    found = list(trouble(look()))
    return not any(check.stops_requests for check in found), {check.name: check.sentence for check in found}


def _ask_database() -> datetime | None:
    """Ask the database for anything, and return the time of its clock, where it has one of its own."""
    has_clock = connection.vendor == "postgresql"
    pool = getattr(connection, "pool", None)
    if pool and connection.connection is None:
        # A request waits half a minute for a connection, and who asks how we are would take us for dead meanwhile.
        pool.open()
        with connection.wrap_database_errors, pool.connection(timeout=ANSWER_SECONDS):
            pass
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()" if has_clock else "SELECT 1")
        return cursor.fetchone()[0] if has_clock else None


_migrated = False


def _migrations() -> Check:
    """Look until it is so: a process never sees its migrations undone, and looking reads every migration file."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    if _migrated:
        return Check(name="migrations", is_well=True, sentence="The database has the tables of this version.")
    return Check(
        name="migrations",
        is_well=False,
        stops_requests=True,
        sentence="The database does not have the tables of this version yet.",
        todo="Run manage.py migrate.",
    )


_cache_well_at = -CACHE_LOOK_SECONDS


def _cache() -> Check:
    """Write and read: on the default installation the cache is a table, and a full disk shows here first."""
    global _cache_well_at
    if time.monotonic() - _cache_well_at >= CACHE_LOOK_SECONDS:
        try:
            cache.set("monitoring:probe", uuid4().hex, 60)
            is_well = cache.get("monitoring:probe") is not None  # another process may have written since
        except Exception:  # a database, Redis or its socket: each has errors of its own
            is_well = False
        if not is_well:
            return Check(
                name="cache",
                is_well=False,
                stops_requests=True,
                sentence="Nothing can be written to the shared cache, which counts sign-ins and refusals.",
                todo="Start Redis, or, without REDIS_URL, look whether the database's disk is full and run manage.py migrate.",
            )
        _cache_well_at = time.monotonic()
    return Check(name="cache", is_well=True, sentence="The shared cache takes what is written.")


def _disk() -> Check:
    database = settings.DATABASES["default"]
    place = Path(database["NAME"]).parent if "sqlite" in database["ENGINE"] else Path(settings.BASE_DIR)
    try:
        free = shutil.disk_usage(place if place.is_dir() else settings.BASE_DIR).free
    except OSError:
        return Check(name="disk", is_well=False, sentence="The disk could not be looked at.", todo="Look at the server's disk.")
    if free >= DISK_FREE:
        return Check(name="disk", is_well=True, sentence=f"{free / 1e9:,.1f} GB of the disk are free.")
    return Check(
        name="disk",
        is_well=False,
        stops_requests=True,
        sentence=f"Only {free / 1e6:,.0f} MB of the disk are free.",
        todo="Make room: manage.py prune deletes old logs and events.",
    )


def _clock(seen: Mapping[str, datetime], now_there: datetime | None) -> Check:
    """Compare with the other clocks we can see: the database's, and that of whoever wrote the last sign of life."""
    now = timezone.now()
    if now_there is not None and abs(now_there - now) > CLOCK_OFF:
        return _clocks_differ(abs(now_there - now))
    ahead = max((moment - now for moment in seen.values()), default=timedelta())
    if ahead > CLOCK_OFF:
        return _clocks_differ(ahead)
    return Check(name="clock", is_well=True, sentence="The clocks of this server agree with those it can see.")


def _clocks_differ(by: timedelta) -> Check:
    return Check(
        name="clock",
        is_well=False,
        sentence=f"The clocks of two of our servers differ by {by.total_seconds():,.0f} seconds: signatures and leases depend on them.",
        todo="Let every server keep its time by NTP.",
    )


def _worker(seen: Mapping[str, datetime]) -> Check:
    seen_at = seen.get(Heartbeat.WORKER)
    todo = "Start it: manage.py worker, or the service of that name."
    if seen_at is None:
        return Check(
            name="worker",
            is_well=False,
            sentence="No worker has run yet: nothing is synced, delivered or worked by itself.",
            todo=todo,
        )
    if timezone.now() - seen_at > WORKER_SILENT:
        return Check(
            name="worker",
            is_well=False,
            sentence=f"The worker has been silent {ago(seen_at)}: nothing is synced, delivered or worked by itself.",
            todo=todo,
        )
    return Check(name="worker", is_well=True, sentence="The worker is at work.")


def _schedule() -> Check:
    late = Integration.objects.filter(next_sync_at__lt=timezone.now() - SCHEDULE_BEHIND).exclude(status=IntegrationStatus.INACTIVE)
    number = late.count()
    if not number:
        return Check(name="schedule", is_well=True, sentence="Every sync that was due has been begun.")
    return Check(
        name="schedule",
        is_well=False,
        sentence=f"{counted(number, 'integration has', 'integrations have')} waited more than ten minutes for a sync that was due.",
        todo="Look whether the worker runs; if it does, start more of them.",
    )
