"""`manage.py prune`: delete what has outlived its retention, in small batches that do not hold writers up."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from integrations.exceptions import InvalidInput
from integrations.management.command import HospientCommand
from integrations.models import IntegrationLog, Operation, OperationStatus, RejectedRecord, SyncRun
from webhooks.models import EventStatus, WebhookEvent

BATCH = 1000
MOST_DAYS = 36_525
"""A century: what is older no clock of ours has written."""


class Command(HospientCommand):
    help = "Delete logs, finished runs, finished operations and worked webhooks older than a number of days."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=90, help="Keep this many days (90).")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def run(self, *, days: int, dry_run: bool, **options: Any) -> int:
        if not 0 <= days <= MOST_DAYS:
            raise InvalidInput({"days": f"Give a number of days from 0 to {MOST_DAYS:,}."})
        before = timezone.now() - timedelta(days=days)
        unsettled = RejectedRecord.objects.filter(run=OuterRef("pk"), resolved_at__isnull=True)
        old: dict[str, QuerySet] = {
            "logs": IntegrationLog.objects.filter(created_at__lt=before),
            "rejected records": RejectedRecord.objects.filter(created_at__lt=before, resolved_at__isnull=False),
            # A run takes its rejected records with it: those that nobody has settled keep it.
            "runs": SyncRun.objects.filter(~Exists(unsettled), finished_at__lt=before),
            "webhooks": WebhookEvent.objects.filter(received_at__lt=before).exclude(status__in=(*WebhookEvent.OPEN, EventStatus.DEAD)),
            "operations": Operation.objects.filter(done_at__lt=before, status=OperationStatus.DONE),
        }
        counts = {name: found.count() if dry_run else self.delete(found) for name, found in old.items()}
        listed = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        self.show(f"{'Would delete' if dry_run else 'Deleted'} {listed}", counts)
        return 0

    def delete(self, found: QuerySet) -> int:
        total = 0
        while batch := list(found.order_by("pk").values_list("pk", flat=True)[:BATCH]):
            found.model.objects.filter(pk__in=batch).delete()
            total += len(batch)
        return total
