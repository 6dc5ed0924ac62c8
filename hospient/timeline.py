"""Everything with one cause on one page, in order: the webhook that came in, the sync and the operation it led to, every call."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse

from hotels.access import visible
from hotels.admin.base import local_time
from integrations.admin.display import ICONS, LOG, OPERATION, RUN
from integrations.models import IntegrationLog, Operation, SyncRun
from integrations.services.outlook import label_of
from webhooks.models import WebhookEvent

MOST = 200
"""Rows of one kind on the page; a long sync has a call for every page it read."""
EVENT = {"pending": "info", "processing": "info", "done": "success", "ignored": "default", "dead": "danger"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened."""

    at: datetime
    icon: str
    title: str
    status: str
    colour: str
    text: str
    integration: Any
    url: str


def cause(request: HttpRequest, correlation_id: str) -> HttpResponse:
    """Show what the user may see of one cause; nothing to see answers as an id that was never used."""
    sources: list[tuple[type, Callable[[Any], Moment]]] = [
        (WebhookEvent, _event),
        (SyncRun, _run),
        (Operation, _operation),
        (IntegrationLog, _log),
    ]
    moments: list[Moment] = []
    for model, read in sources:
        rows = visible(model.objects.filter(correlation_id=correlation_id), request.user, "integration__hotel")
        moments += [read(row) for row in rows.select_related("integration__hotel").order_by("id")[:MOST]]
    if not moments:
        raise Http404
    moments.sort(key=lambda moment: moment.at)
    shown = [{"moment": moment, "when": local_time(moment.at, moment.integration.hotel, seconds=True)} for moment in moments]
    context = {**admin.site.each_context(request), "title": "Cause", "correlation_id": correlation_id, "moments": shown, "most": MOST}
    return TemplateResponse(request, "console/cause.html", context)


def _page(name: str, row: Any) -> str:
    try:
        return reverse(f"admin:{name}_change", args=[row.pk])
    except NoReverseMatch:  # an app whose lists are not installed
        return ""


def _event(row: WebhookEvent) -> Moment:
    return Moment(
        at=row.received_at, icon="inbox", title=f"Webhook: {row.event_type or 'event'}", status=row.get_status_display(), colour=EVENT[row.status],
        text=row.error_message or row.outcome, integration=row.integration, url=_page("webhooks_webhookevent", row),
    )  # fmt: skip


def _run(row: SyncRun) -> Moment:
    return Moment(
        at=row.created_at, icon="sync", title=f"Sync of {row.stream.replace('_', ' ')}", status=row.get_status_display(), colour=RUN[row.status],
        text=row.error_message or row.summary, integration=row.integration, url=_page("integrations_syncrun", row),
    )  # fmt: skip


def _operation(row: Operation) -> Moment:
    return Moment(
        at=row.created_at, icon="outbox", title=label_of(row), status=row.get_status_display(), colour=OPERATION[row.status],
        text=row.error_message or row.vendor_reference, integration=row.integration, url=_page("integrations_operation", row),
    )  # fmt: skip


def _log(row: IntegrationLog) -> Moment:
    answer = f"{row.http_status} in {row.processing_time:,} ms" if row.http_status else f"{row.processing_time:,} ms"
    return Moment(
        at=row.created_at, icon=ICONS.get(row.direction, "swap_horiz"), title=row.operation_name, status=row.get_status_display(),
        colour=LOG[row.status], text=row.error_message or answer, integration=row.integration, url=_page("integrations_integrationlog", row),
    )  # fmt: skip
