"""Asks for runs: on request and when they are due. It opens the rows; `runner` executes them.

One run of a stream is open at a time, by a constraint in the database: whoever asks while one is open is given that one.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from django.db import IntegrityError, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from integrations.exceptions import InvalidInput
from integrations.models import Integration, RunMode, RunStatus, SyncRun, Trigger
from integrations.transport import correlation

RESUMABLE = ("rate_limited", "provider_unavailable", "circuit_open", "provider_busy")
"""A run that failed for one of these stood at a good checkpoint: asking again goes on from there."""
RESUME_WITHIN = timedelta(hours=1)
JITTER_SHARE, JITTER_AT_MOST = 0.1, timedelta(minutes=10)
"""Due times are spread over this share of the interval, so that a thousand hotels do not call at the full hour; but who named a time shall
find it kept."""

INTERVALS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(days=7)}


def open_run(
    integration: Integration,
    stream: str,
    *,
    mode: RunMode,
    trigger: Trigger,
    user: Any = None,
    since: date | None = None,
    until: date | None = None,
    external_ids: Sequence[str] = (),
    confirm_deletions: bool = False,
) -> tuple[SyncRun, bool]:
    """Return an open run of the stream and whether it is new. An open one is returned, and reads everything if that is asked and it has not
    begun; one that a vendor's trouble ended within the last hour is opened again at its checkpoint, if it asked for the same."""
    same = {"integration": integration, "stream": stream, "mode": mode, "since": since, "until": until}
    for _ in range(2):
        open_runs = SyncRun.objects.filter(integration=integration, stream=stream, status__in=SyncRun.OPEN).exclude(mode=RunMode.REFRESH)
        if mode != RunMode.REFRESH and (run := open_runs.first()):
            return _widened(run, mode, confirm_deletions), False
        try:
            with transaction.atomic():
                if mode != RunMode.REFRESH and (run := _reopened(same, confirm_deletions)):
                    return run, True
                run = SyncRun.objects.create(
                    **same,
                    trigger=trigger,
                    requested_by=user if getattr(user, "pk", None) else None,
                    external_ids=list(external_ids),
                    confirm_deletions=confirm_deletions,
                    correlation_id=correlation.current() or correlation.new(),
                )
                return run, True
        except IntegrityError:
            continue  # somebody else opened one between our look and our insert
    raise AssertionError("a run was open, and gone, and open again")


def _widened(run: SyncRun, mode: RunMode, confirm_deletions: bool) -> SyncRun:
    """Let a run that has not begun read everything, if that is what is asked now: nobody should have to wait for the smaller one."""
    if mode == RunMode.FULL:
        begins = SyncRun.objects.filter(pk=run.pk, status=RunStatus.QUEUED, page_count=0, mode__in=(RunMode.INCREMENTAL, RunMode.FULL))
        if begins.update(mode=RunMode.FULL, confirm_deletions=run.confirm_deletions or confirm_deletions):
            run.refresh_from_db()
    return run


def _reopened(same: dict[str, Any], confirm_deletions: bool) -> SyncRun | None:
    asked = {name: same[name] for name in ("integration", "stream", "since", "until")}
    # A first incremental run reads everything, and is called full since.
    last = _resumable().filter(**asked, mode__in={same["mode"], RunMode.FULL}).first()
    if last is None:
        return None
    changed = SyncRun.objects.filter(pk=last.pk, status=RunStatus.FAILED).update(**_REOPENED, confirm_deletions=confirm_deletions)
    last.refresh_from_db()
    return last if changed else None


def resume(integration: Integration) -> list[str]:
    """Make due at once what waits for a vendor that works again. Returns the streams whose last run failed: they are to be asked for anew."""
    now = timezone.now()
    runs = SyncRun.objects.filter(integration=integration).exclude(mode=RunMode.REFRESH)
    runs.filter(status=RunStatus.QUEUED, next_attempt_at__gt=now).update(next_attempt_at=now)
    latest = runs.order_by().values("stream").annotate(last=Max("id")).values("last")
    return list(runs.filter(pk__in=latest, status=RunStatus.FAILED).order_by("pk").values_list("stream", flat=True))


_REOPENED = {"status": RunStatus.QUEUED, "error_code": "", "error_message": "", "hint": "", "finished_at": None, "attempts": 0}


def _resumable() -> QuerySet[SyncRun]:
    """Return the runs that can go on where a vendor's trouble ended them: each the last one of its stream."""
    later = SyncRun.objects.exclude(mode=RunMode.REFRESH).filter(
        integration=OuterRef("integration"), stream=OuterRef("stream"), id__gt=OuterRef("id")
    )
    ended = SyncRun.objects.filter(status=RunStatus.FAILED, error_code__in=RESUMABLE, finished_at__gte=timezone.now() - RESUME_WITHIN)
    return ended.exclude(mode=RunMode.REFRESH).filter(~Exists(later.order_by()), page_count__gt=0)


def open_scheduled(wanted: Mapping[tuple[int, str], RunMode]) -> None:
    """Open a run of each stream (integration's id and name) that has none open, as `open_run` does for one, in a few statements for all."""
    integrations = {integration for integration, _ in wanted}
    open_runs = SyncRun.objects.filter(integration__in=integrations, status__in=SyncRun.OPEN).exclude(mode=RunMode.REFRESH)
    busy = set(open_runs.order_by().values_list("integration", "stream"))
    resumed: dict[tuple[int, str], int] = {}
    for pk, integration, stream, mode in (
        _resumable()
        .filter(integration__in=integrations, since=None, until=None)
        .order_by()
        .values_list("pk", "integration", "stream", "mode")
    ):
        if (integration, stream) not in busy and mode in (wanted.get((integration, stream)), RunMode.FULL):
            resumed[integration, stream] = pk
    if resumed:
        try:
            with transaction.atomic():
                SyncRun.objects.filter(pk__in=resumed.values(), status=RunStatus.FAILED).update(**_REOPENED, confirm_deletions=False)
        except IntegrityError:  # somebody opened one of these since our look; the others begin anew, which costs no more than a reading
            resumed = {}
    SyncRun.objects.bulk_create(
        [
            SyncRun(integration_id=integration, stream=stream, mode=mode, trigger=Trigger.SCHEDULE, correlation_id=correlation.new())
            for (integration, stream), mode in wanted.items()
            if (integration, stream) not in busy | resumed.keys()
        ],
        ignore_conflicts=True,  # likewise
    )


# --- the schedule --------------------------------------------------------------------------------------------------------------


def check_settings(settings: dict[str, Any]) -> None:
    """Refuse sync settings that could not be kept. Raises InvalidInput."""
    interval = settings.get("sync_interval", "hourly")
    try:
        _next(interval, timezone.now(), "UTC")
    except (CronSimError, ValueError, TypeError, OverflowError):
        raise InvalidInput(
            {
                "sync_settings.sync_interval": "Use hourly, daily, weekly, a number of minutes (5 or more), or a cron line such as “30 4 * * *”."
            }
        ) from None
    if not isinstance(settings.get("auto_sync", False), bool):
        raise InvalidInput({"sync_settings.auto_sync": "Use true or false."})


def next_sync_at(integration: Integration, now: datetime | None = None) -> datetime | None:
    """Return when the integration is due next, with jitter; None when it does not sync by itself."""
    if not integration.sync_settings.get("auto_sync"):
        return None
    now = now or timezone.now()
    due = _next(integration.sync_settings.get("sync_interval", "hourly"), now, integration.hotel.time_zone)
    return due + min((due - now) * JITTER_SHARE, JITTER_AT_MOST) * random.random()


def _next(interval: Any, now: datetime, time_zone: str) -> datetime:
    if isinstance(interval, str) and interval in INTERVALS:
        return now + INTERVALS[interval]
    if isinstance(interval, int) or (isinstance(interval, str) and interval.isascii() and interval.isdecimal()):
        minutes = int(interval)
        if isinstance(interval, bool) or not 5 <= minutes <= 525_600:
            raise ValueError("from five minutes to a year")
        return now + timedelta(minutes=minutes)
    if not isinstance(interval, str):
        raise ValueError("neither minutes nor a cron line")
    # A cron line means the hotel's clock: "30 4 * * *" is half past four there, in summer and in winter.
    return next(CronSim(interval, now.astimezone(ZoneInfo(time_zone)))).astimezone(now.tzinfo)
