"""The console's first page: is anything broken, and what do I do. One card for each integration, what waits for a person, and two weeks.

The number of queries is the same for two integrations and for two hundred.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, F, Q, Sum, Window
from django.db.models.functions import RowNumber, TruncDate
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from hotels.access import visible
from hotels.admin.base import local_time, reach
from hotels.models import Role
from integrations.admin.display import (
    KINDS,
    OPERATION,
    RUN,
    environment_badge,
    manifest_of,
    standing_problem,
)
from integrations.admin.outbox import operation_problem
from integrations.models import Integration, IntegrationStatus, Operation, OperationStatus, RunMode, RunStatus, SyncRun
from integrations.services import registry, service_for
from integrations.services.manifest import Kind
from integrations.services.outlook import label_of
from monitoring import house
from monitoring.health import Cure, Health, State, judge
from monitoring.summary import summarise

DAYS = 14
TRACKED_RUNS = 24
"""Runs in a card's strip: a day of hourly syncs."""
WAITING = 6
"""Operations shown; the list has the rest."""
STUCK = (OperationStatus.UNKNOWN, OperationStatus.DEAD)


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what `templates/admin/index.html` shows."""
    integrations = list(visible(Integration.objects.select_related("hotel"), request.user))
    runs = recent_runs(integrations)
    judged = judge(integrations)
    checks = house.look()
    cards = [card(request, row, runs[row.pk], judged[row.pk]) for row in integrations]
    cards.sort(key=lambda shown: (shown["urgency"], shown["integration"].hotel.name, shown["integration"].provider_name))
    waiting = visible(Operation.objects.filter(status__in=STUCK), request.user, "integration__hotel")
    context |= {
        "title": "Dashboard",
        "cards": cards,
        "headline": summarise(checks, [shown["health"] for shown in cards]),
        "trouble": list(house.trouble(checks)),
        "may_connect": bool(reach(request, Role.MANAGER)),
        "has_hotels": bool(reach(request)),
        "waiting": [waiting_operation(operation) for operation in waiting.select_related("integration__hotel")[:WAITING]],
        "waiting_count": sum(shown["health"].facts.dead + shown["health"].facts.unsettled for shown in cards),
        "chart": chart(integrations) if integrations else None,
    }
    return context


# --- facts ---------------------------------------------------------------------------------------------------------------------


def recent_runs(integrations: Iterable[Integration]) -> dict[int, list[SyncRun]]:
    """Return the last runs of each integration, oldest first."""
    numbered = (
        SyncRun.objects.filter(integration__in=integrations, created_at__gte=timezone.now() - timedelta(days=DAYS))
        .exclude(mode=RunMode.REFRESH)
        .annotate(place=Window(RowNumber(), partition_by=F("integration_id"), order_by=F("id").desc()))
    )
    runs: dict[int, list[SyncRun]] = defaultdict(list)
    for run in numbered.filter(place__lte=TRACKED_RUNS).order_by("id"):
        runs[run.integration_id].append(run)
    return runs


# --- one card ------------------------------------------------------------------------------------------------------------------


def card(request: HttpRequest, row: Integration, runs: list[SyncRun], health: Health) -> dict[str, Any]:
    """Return what one integration's card shows."""
    manifest = manifest_of(row)
    open_run = next((run for run in reversed(runs) if run.is_open), None)
    facts = health.facts
    return {
        "integration": row,
        "vendor": manifest.name if manifest else row.provider,
        "kind": KINDS[Kind(row.integration_type)],
        "badge": environment_badge(row),
        "health": health,
        "problem": standing_problem(health),
        "since": local_time(health.since, row.hotel),
        "last": local_time(health.last_good, row.hotel),
        "next": local_time(health.next_try, row.hotel),
        "track": [tick(run) for run in runs],
        "button": next_step(request, row, open_run, health),
        "url": reverse("admin:integrations_integration_change", args=[row.pk]),
        "urgency": list(State).index(health.state),
        "stuck": facts.dead + facts.unsettled,
        "rejected": facts.rejected,
        "dead_events": facts.dead_events,
        "refused": facts.refused,
        "stuck_url": rows_of(row, "integrations_operation"),
        "rejected_url": rows_of(row, "integrations_rejectedrecord"),
        "dead_events_url": rows_of(row, "webhooks_webhookevent"),
    }


def rows_of(row: Integration, screen: str) -> str:
    """Return the address of a list, narrowed to one integration."""
    return f"{reverse(f'admin:{screen}_changelist')}?integration={row.pk}"


def tick(run: SyncRun) -> dict[str, str]:
    colour = RUN[run.status]
    return {"colour": colour, "url": reverse("admin:integrations_syncrun_change", args=[run.pk]), "title": f"{run.stream}: {run.summary}"}


def next_step(request: HttpRequest, row: Integration, open_run: SyncRun | None, health: Health) -> dict[str, Any]:
    """Return the one button of a card: what cures it, if this user may do that, or the next sensible thing."""

    def to(name: str) -> str:
        return reverse(f"admin:integrations_integration_{name}", args=[row.pk])

    operator = row.hotel_id in reach(request, Role.OPERATOR)
    manager = row.hotel_id in reach(request, Role.MANAGER)
    streams = service_for(row).streams() if row.provider in registry.providers() else ()
    if open_run and health.cure in (Cure.NOTHING, Cure.SYNC):
        return {"label": "See progress", "url": reverse("admin:integrations_syncrun_change", args=[open_run.pk])}
    cures: dict[Cure, dict[str, Any] | None] = {
        Cure.ENTER_CREDENTIALS: {"label": "Enter new credentials", "url": to("settings")} if manager else None,
        Cure.CHANGE_SETTINGS: {"label": "Change the settings", "url": to("settings")} if manager else None,
        Cure.TURN_ON: {"label": "Switch on", "post": to("status"), "fields": {"status": IntegrationStatus.ACTIVE.value}}
        if manager
        else None,
        Cure.TEST: {"label": "Test the connection", "post": to("test")} if operator else None,
        Cure.LOOK_AT_OPERATIONS: {"label": "Look at the operations", "url": rows_of(row, "integrations_operation")},
        Cure.LOOK_AT_EVENTS: {"label": "Look at the webhooks", "url": rows_of(row, "webhooks_webhookevent")},
        Cure.LOOK_AT_RUN: {"label": "Look at the sync", "url": reverse("admin:integrations_syncrun_change", args=[health.run_id or 0])},
        Cure.SYNC: sync_button(to("sync"), row, health) if operator else None,
    }
    if button := cures.get(health.cure):
        return button
    if health.state == State.WORKING and row.last_sync_at is None and streams and operator:
        return {"label": "Sync now", "post": to("sync"), "fields": {"stream": streams[0].name}}
    return {"label": "Open", "url": to("change"), "quiet": True}


def sync_button(address: str, row: Integration, health: Health) -> dict[str, Any] | None:
    stream = next((run.stream for run in health.facts.failed_runs if run.pk == health.run_id), None)
    return {"label": "Sync now", "post": address, "fields": {"stream": stream}} if stream else None


def waiting_operation(operation: Operation) -> dict[str, Any]:
    return {
        "label": label_of(operation),
        "status": operation.get_status_display(),
        "colour": OPERATION[operation.status],
        "problem": operation_problem(operation),
        "integration": operation.integration,
        "when": local_time(operation.created_at, operation.integration.hotel),
        "url": reverse("admin:integrations_operation_change", args=[operation.pk]),
    }


# --- the chart -----------------------------------------------------------------------------------------------------------------


def chart(integrations: list[Integration]) -> dict[str, str]:
    """Return records brought and failed runs of each day, and how to draw them. Days are those of the first hotel's clock."""
    zone = integrations[0].hotel.zone
    today = timezone.localtime(timezone.now(), zone).date()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    per_day = (
        SyncRun.objects.filter(integration__in=integrations, created_at__gte=timezone.now() - timedelta(days=DAYS))
        .order_by()
        .values(day=TruncDate("created_at", tzinfo=zone))
        .annotate(stored=Sum(F("created_count") + F("updated_count")), failures=Count("id", filter=Q(status=RunStatus.FAILED)))
    )
    found: dict[date, dict[str, Any]] = {row["day"]: row for row in per_day}
    stored = [found.get(day, {}).get("stored", 0) for day in days]
    failures = [found.get(day, {}).get("failures", 0) for day in days]
    data = {
        "labels": [f"{day.day} {day:%b}" for day in days],
        "datasets": [
            {"label": "Records stored", "data": stored, "backgroundColor": "var(--color-primary-500)", "borderRadius": 3, "yAxisID": "y"},
            {
                # Dots on the days that had any: a line along zero would alarm on a good day.
                "type": "line", "label": "Failed runs", "data": [count or None for count in failures], "showLine": False, "order": -1,
                "backgroundColor": "var(--hsp-chart-bad)", "borderColor": "var(--hsp-chart-bad)", "pointRadius": 5, "yAxisID": "failures",
            },
        ],
    }  # fmt: skip
    return {
        "data": json.dumps(data),
        "options": json.dumps(chart_options()),
        "summary": f"Records stored: {sum(stored):,}. Failed runs: {sum(failures):,}.",
    }


def chart_options() -> dict[str, Any]:
    """Name every option: without them Unfold draws bars of four pixels and no axis."""
    ticks = {"color": "#8a94a6", "precision": 0, "maxTicksLimit": 5}
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"display": True, "align": "end", "labels": {"color": "#8a94a6", "boxWidth": 10, "boxHeight": 10}}},
        "datasets": {"bar": {"maxBarThickness": 28, "categoryPercentage": 0.7}},
        "scales": {
            "x": {"grid": {"display": False}, "border": {"width": 0}, "ticks": {"color": "#8a94a6", "maxRotation": 0, "autoSkipPadding": 12}},
            "y": {"beginAtZero": True, "border": {"width": 0}, "ticks": ticks, "grid": {}},
            "failures": {"beginAtZero": True, "position": "right", "border": {"width": 0}, "ticks": ticks, "grid": {"display": False}, "suggestedMax": 4},
        },
    }  # fmt: skip
