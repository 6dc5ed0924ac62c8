"""The latest of everything that happened at one integration, for the tabs of its page."""

from typing import Any

from django.urls import reverse

from hotels.admin.base import local_time
from integrations.admin.differences import field_in_words, value_in_words
from integrations.admin.display import LOG, OPERATION, RUN, WINNER
from integrations.models import Conflict, Integration, IntegrationLog, Operation, RejectedRecord, SyncRun
from integrations.services.outlook import label_of

LATEST = 10
"""Rows in a tab; the lists have the rest."""


def history_of(integration: Integration) -> list[dict[str, Any]]:
    """Return the tabs with their newest rows. One query each."""

    def tab(title: str, rows: Any, empty: str, read: Any) -> dict[str, Any]:
        name = rows.model._meta.model_name
        entries = []
        for row in rows[:LATEST]:
            row.integration = integration
            page = reverse(f"admin:integrations_{name}_change", args=[row.pk])
            entries.append({**read(row), "url": page, "when": local_time(row.created_at, integration.hotel)})
        everything = f"{reverse(f'admin:integrations_{name}_changelist')}?integration={integration.pk}"
        return {"name": name, "title": title, "rows": entries, "all": everything, "empty": empty}

    return [
        tab("Runs", integration.sync_runs.all(), "Nothing was synced yet. Choose a stream above and sync it.", _run),
        tab("Log", integration.logs.all(), "Nothing was called yet. Test the connection to see its first entry.", _log),
        tab("Operations", integration.operations.all(), "Nothing was posted yet.", _operation),
        tab("Rejected", integration.rejected_records.filter(resolved_at__isnull=True), "No record is rejected.", _rejected),
        tab(
            "Conflicts", integration.conflicts.filter(applied_at__isnull=True), "Hotel and vendor never changed the same field.", _conflict
        ),
    ]


def _run(run: SyncRun) -> dict[str, Any]:
    title = run.stream.replace("_", " ").capitalize()
    return {"title": title, "status": run.get_status_display(), "colour": RUN[run.status], "text": run.error_message or run.summary}


def _log(log: IntegrationLog) -> dict[str, Any]:
    answer = f"{log.http_status} in {log.processing_time:,} ms" if log.http_status else f"{log.processing_time:,} ms"
    return {"title": log.operation_name, "status": log.get_status_display(), "colour": LOG[log.status], "text": log.error_message or answer}


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "title": label_of(operation),
        "status": operation.get_status_display(),
        "colour": OPERATION[operation.status],
        "text": operation.error_message or operation.vendor_reference,
    }


def _rejected(record: RejectedRecord) -> dict[str, Any]:
    title = f"{record.record_type.replace('_', ' ')} {record.external_id}".capitalize()
    return {"title": title, "status": "Rejected", "colour": "warning", "text": record.reason}


def _conflict(conflict: Conflict) -> dict[str, Any]:
    title = f"{conflict.record_type.replace('_', ' ')} {conflict.external_id}: {field_in_words(conflict)}".capitalize()
    return {
        "title": title,
        "status": f"{conflict.get_winner_display()}'s kept",
        "colour": WINNER.get(conflict.winner, "default"),
        "text": f"Vendor: {value_in_words(conflict, conflict.vendor_value)}. Hotel: {value_in_words(conflict, conflict.hotel_value)}.",
    }
