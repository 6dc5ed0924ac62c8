"""`manage.py retry_rejected 1`: read rejected records again, now and in this process."""

from typing import Any

from django.core.management.base import CommandParser

from integrations.management.command import DONE, FAILED, PARTIAL, HospientCommand, run_as_json
from integrations.models import RunStatus, Trigger
from integrations.services.rejected import retry_rejected, waiting_records


class Command(HospientCommand):
    help = "Read the rejected records of an integration again, and take what the vendor has corrected. Exit code 1: none could be read, 3: some are left."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("integration_id", type=int)
        parser.add_argument("--stream", default="", help="Only those of this stream.")
        parser.add_argument("--dry-run", action="store_true", help="Only list them, with their reasons.")

    def run(self, *, integration_id: int, stream: str, dry_run: bool, **options: Any) -> int:
        integration = self.integration(integration_id)
        records = waiting_records(integration, stream=stream)
        if dry_run:
            listed = list(records.values("stream", "record_type", "external_id", "reason"))
            for record in listed:
                self.note(f"{record['stream']}: {record['record_type'].replace('_', ' ')} {record['external_id']}: {record['reason']}")
            self.show(f"Would try {len(listed):,} again", listed)
            return DONE
        outcome = retry_rejected(integration, records, trigger=Trigger.COMMAND, to_the_end=True)
        for run in outcome.runs:
            self.note(f"{run.stream}: {run.error_message or run.summary} (run {run.pk})")
        left = outcome.left + outcome.waiting
        self.show(
            f"Tried {outcome.tried:,}, taken {outcome.taken:,}, left {left:,}",
            {"tried": outcome.tried, "taken": outcome.taken, "left": left, "runs": [run_as_json(run) for run in outcome.runs]},
        )
        if left and all(run.status == RunStatus.FAILED for run in outcome.runs):
            return FAILED
        return PARTIAL if left else DONE
