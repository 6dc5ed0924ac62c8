"""`manage.py process_inbox`: work the events that are due, now and in this process."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from integrations.management.command import DONE, PARTIAL, HospientCommand
from integrations.models import Integration
from webhooks import inbox


class Command(HospientCommand):
    help = "Work the events that are due, of one integration or of all. Exit code 3: some are left, to be tried again or dead."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--integration", type=int, help="Only this integration.")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def run(self, *, integration: int | None, dry_run: bool, **options: Any) -> int:
        wanted = [self.integration(integration).pk] if integration else list(inbox.work_due().values_list("pk", flat=True))
        if dry_run:
            count = inbox.due(timezone.now()).filter(integration__in=wanted).count()
            self.show(f"{count:,} events would be worked", {"due": count})
            return DONE
        total: Counter[str] = Counter(done=0, ignored=0, waiting=0, dead=0)
        for one in Integration.objects.select_related("hotel").filter(pk__in=wanted).order_by("pk"):
            inbox.poll(one)
            tally = asdict(inbox.drain(one))
            total.update(tally)
            self.note(f"{one}: done {tally['done']:,}, ignored {tally['ignored']:,}, waiting {tally['waiting']:,}, dead {tally['dead']:,}")
        left = total["waiting"] + total["dead"]
        self.show(
            f"Worked {total['done'] + total['ignored']:,} events, {total['waiting']:,} wait for another try, {total['dead']:,} dead",
            dict(total),
        )
        return PARTIAL if left else DONE
