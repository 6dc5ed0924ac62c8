"""`manage.py sync_integration 1 menus`: run a stream in this process, to its end."""

from datetime import date
from typing import Any

from django.core.management.base import CommandParser

from integrations.management.command import PARTIAL, HospientCommand, run_as_json, run_exit_code
from integrations.models import RunStatus, Trigger
from integrations.services import outlook, service_for


class Command(HospientCommand):
    help = "Sync one stream of an integration now. Exit code 0: succeeded, 1: failed, 2: usage, 3: partial."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("integration_id", type=int)
        parser.add_argument("stream", help="menus, reservations, guest_data ... (list_providers shows what a vendor offers)")
        parser.add_argument(
            "--since", type=date.fromisoformat, help="From this day on (YYYY-MM-DD, at the hotel); leaves the live cursor alone."
        )
        parser.add_argument("--until", type=date.fromisoformat, help="Up to this day.")
        parser.add_argument("--full", action="store_true", help="Read everything and compare, instead of only what changed.")
        parser.add_argument("--confirm-deletions", action="store_true", help="Delete however much the comparison finds gone.")
        parser.add_argument("--dry-run", action="store_true", help="Read from the vendor and say what would be stored; store nothing.")

    def run(self, *, integration_id: int, stream: str, dry_run: bool, **options: Any) -> int:
        wanted = {name: options[name] for name in ("since", "until", "full", "confirm_deletions")}
        integration = self.integration(integration_id)
        service = service_for(integration, trigger=Trigger.COMMAND)
        if dry_run:
            return self.preview(service, stream, wanted)
        with self.progress(f"{integration.provider_name}: {stream}") as on_page:
            run = service.sync(stream, on_page=on_page, **wanted)
        if run.is_open:
            self.note("Another process is at it already.")
        said = outlook.of_run(run)
        if run.status != RunStatus.SUCCEEDED or run.hint:
            self.note(" ".join(part for part in (said.why, said.next, said.todo or run.hint) if part))
        word = {RunStatus.FAILED: "Failed", RunStatus.PARTIAL: "Partial"}.get(RunStatus(run.status), "")
        self.show(f"{word + ': ' if word else ''}{run.summary} (see run {run.pk})", run_as_json(run))
        return run_exit_code(run)

    def preview(self, service: Any, stream: str, wanted: dict[str, Any]) -> int:
        counts = service.preview(stream, **wanted)
        line = f"Would store {counts.created + counts.updated:,}, unchanged {counts.unchanged:,}, rejected {len(counts.rejected):,}; stored nothing"
        self.show(
            line,
            {"created": counts.created, "updated": counts.updated, "unchanged": counts.unchanged, "deleted": counts.deleted,
             "rejected": [{"external_id": record.external_id, "reason": reason} for record, reason in counts.rejected]},
        )  # fmt: skip
        return PARTIAL if counts.rejected else 0
