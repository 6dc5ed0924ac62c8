"""Sync runs with their progress, deletions that wait for a person, and where each stream stands."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter

from hotels.admin.base import ReadOnlyInline, local_time, state_column
from hotels.models import Role
from integrations.admin.base import HistoryAdmin, IntegrationFilter, StreamFilter, row_link
from integrations.admin.display import RUN, Problem, pretty_json, told
from integrations.models import Conflict, RejectedRecord, RunMode, RunStatus, StreamState, SyncRun
from integrations.services import outlook
from integrations.sync.runner import DELETIONS_WAIT, NOTHING_DELETED

PATIENCE = timedelta(seconds=15)
"""A worker looks for work every few seconds; a run that waits longer than this has probably no worker."""


def waits_for_worker(run: SyncRun) -> bool:
    """Say whether nobody seems to be working on an open run."""
    now = timezone.now()
    if run.status == RunStatus.RUNNING:
        return bool(run.lease_until and run.lease_until < now - PATIENCE)
    return run.status == RunStatus.QUEUED and max(run.created_at, run.next_attempt_at or run.created_at) < now - PATIENCE


def run_problem(run: SyncRun) -> Problem | None:
    is_told = run.status in (RunStatus.PARTIAL, RunStatus.FAILED) or (run.status == RunStatus.QUEUED and run.error_message)
    return told(outlook.of_run(run)) if is_told else None


def waiting_deletions(run: SyncRun) -> str:
    """Say how much a comparison found gone and left for a person to confirm; empty if nothing waits any more."""
    if run.error_code != DELETIONS_WAIT:
        return ""
    later = SyncRun.objects.filter(integration=run.integration_id, stream=run.stream, mode=RunMode.FULL, id__gt=run.pk)
    if later.exclude(status=RunStatus.FAILED).exists():
        return ""
    return run.error_message.removeprefix(NOTHING_DELETED).strip()


def progress_of(run: SyncRun) -> dict[str, Any]:
    """Return what the run's page shows and the progress bar moves by."""
    done = run.processed_count
    percent = 100 if not run.is_open else min(99, done * 100 // run.total) if run.total else None
    return {
        "status": run.status,
        "label": str(run.get_status_display()),
        "colour": RUN[run.status],
        "open": run.is_open,
        "percent": percent,
        "records": done,
        "total": run.total,
        "pages": run.page_count,
        "summary": run.summary,
        "sentence": sentence(run),
        "no_worker": waits_for_worker(run),
        "attempts": run.attempts,
        "rejected": run.rejected_count,
    }


def sentence(run: SyncRun) -> str:
    """Say in words where the run stands."""
    if run.status == RunStatus.QUEUED and run.attempts:
        said = outlook.of_run(run)
        return " ".join(part for part in (said.why, said.next, said.todo, f"{run.summary} so far.") if part)
    if run.status == RunStatus.QUEUED:
        return "Waiting for a worker to start it."
    if run.status == RunStatus.RUNNING:
        of = f" of {run.total:,}" if run.total else ""
        return f"{run.processed_count:,}{of} records read in {run.page_count:,} {'pages' if run.page_count != 1 else 'page'}. {run.summary} so far."
    return f"{run.summary}."


class RejectedInline(ReadOnlyInline):
    model = RejectedRecord
    verbose_name_plural = "rejected records"
    fields = ("external_id", "record_type", "reason", "resolved_at")
    readonly_fields = fields
    per_page = 20


class ConflictInline(ReadOnlyInline):
    model = Conflict
    verbose_name_plural = "conflicts"
    fields = ("external_id", "record_type", "field", "winner")
    readonly_fields = fields
    per_page = 20


@admin.register(SyncRun)
class SyncRunAdmin(HistoryAdmin):
    list_display = ("what", "status_label", "integration_link", "counts", "mode", "trigger", "when", "took")
    list_filter = (
        IntegrationFilter,
        StreamFilter,
        ("status", ChoicesDropdownFilter),
        ("mode", ChoicesDropdownFilter),
        ("trigger", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    list_select_related = ("integration__hotel", "requested_by")
    linked_lookups = ("correlation_id",)
    change_form_outer_before_template = "console/run_progress.html"
    fieldsets = (
        (
            "Run",
            {
                "fields": (
                    ("integration_link", "stream", "mode"),
                    ("trigger", "requested_by", "window"),
                    ("when", "started", "finished"),
                    ("took", "attempts", "cause"),
                )
            },
        ),
        (
            "Counts",
            {
                "fields": (
                    ("created_count", "updated_count", "unchanged_count", "deleted_count"),
                    ("rejected_count", "conflict_count", "page_count", "total"),
                )
            },
        ),
    )

    def get_inlines(self, request: HttpRequest, obj: SyncRun | None) -> list[type[ReadOnlyInline]]:
        """Show what was rejected or in conflict only where something was."""
        shown = ((RejectedInline, obj and obj.rejected_count), (ConflictInline, obj and obj.conflict_count))
        return [inline for inline, count in shown if count]

    def get_urls(self) -> list[Any]:
        progress = self.admin_site.admin_view(never_cache(require_GET(self.progress_view)))
        return [path("<int:run_id>/progress/", progress, name="integrations_syncrun_progress"), *super().get_urls()]

    def progress_view(self, request: HttpRequest, run_id: int) -> JsonResponse:
        """Answer where the run stands, for the bar on its page."""
        return JsonResponse(progress_of(get_object_or_404(self.get_queryset(request), pk=run_id)))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        run = self.get_object(request, object_id)
        context = {}
        if run is not None:
            may_operate = self.may(request, Role.OPERATOR, run)
            context = {"run": run, "progress": progress_of(run), "problem": run_problem(run), "may_operate": may_operate}
            context["deletions"] = waiting_deletions(run)
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    @admin.display(description="Stream")
    def what(self, run: SyncRun) -> SafeString:
        return row_link(run, run.stream.replace("_", " ").capitalize())

    status_label = state_column("status", RUN, "Outcome")

    @admin.display(description="Counts")
    def counts(self, run: SyncRun) -> str:
        return run.summary

    @admin.display(description="Dates asked for")
    def window(self, run: SyncRun) -> str:
        return " ".join(part for part in (f"from {run.since}" if run.since else "", f"to {run.until}" if run.until else "") if part)

    @admin.display(description="Started")
    def started(self, run: SyncRun) -> str:
        return local_time(run.started_at, run.integration.hotel)

    @admin.display(description="Finished")
    def finished(self, run: SyncRun) -> str:
        return local_time(run.finished_at, run.integration.hotel)

    @admin.display(description="Took")
    def took(self, run: SyncRun) -> str:
        if not (run.started_at and run.finished_at):
            return ""
        seconds = (run.finished_at - run.started_at).total_seconds()
        return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


@admin.register(StreamState)
class StreamStateAdmin(HistoryAdmin):
    list_display = ("stream_link", "integration_link", "updated")
    list_filter = (IntegrationFilter,)
    fieldsets = ((None, {"fields": ("integration_link", "stream", "updated", "cursor_json")}),)

    @admin.display(description="Stream")
    def stream_link(self, state: StreamState) -> SafeString:
        return row_link(state, state.stream.replace("_", " ").capitalize())

    @admin.display(description="Moved")
    def updated(self, state: StreamState) -> str:
        return local_time(state.updated_at, state.integration.hotel)

    @admin.display(description="Cursor")
    def cursor_json(self, state: StreamState) -> SafeString | str:
        return pretty_json(state.cursor) or "None: the next sync reads everything."
