"""`manage.py drain_outbox`: deliver what waits in the outbox, now and in this process."""

from collections import Counter
from typing import Any

from django.core.management.base import CommandParser

from integrations.exceptions import HospientError
from integrations.management.command import DONE, PARTIAL, HospientCommand, operation_line
from integrations.models import Operation, OperationStatus, Trigger
from integrations.outbox import deliver
from integrations.services import service_for


class Command(HospientCommand):
    help = "Deliver what is due in the outbox; with --failed also what gave up. Exit code 3: something is left."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--integration", type=int, help="Only this integration.")
        parser.add_argument("--failed", action="store_true", help="Also retry dead operations and those whose outcome is unknown.")
        parser.add_argument("--limit", type=int, default=1000)
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def run(self, *, integration: int | None, failed: bool, limit: int, dry_run: bool, **options: Any) -> int:
        found = deliver.due()
        if failed:
            found = Operation.objects.filter(status__in=(OperationStatus.DEAD, OperationStatus.UNKNOWN, OperationStatus.PENDING))
        if integration:
            found = found.filter(integration_id=integration)
        waiting = list(found.order_by("id").select_related("integration__hotel")[:limit])
        if dry_run:
            self.show(f"{len(waiting)} operations would be tried", {"waiting": len(waiting)})
            return DONE
        outcomes: Counter[str] = Counter()
        for operation in waiting:
            try:
                service = service_for(operation.integration, trigger=Trigger.COMMAND)
                tried = service.retry_operation(operation) if failed else service.deliver(operation)
            except HospientError as error:  # its integration is off, or its vendor no longer offers it: the others are tried all the same
                outcomes["not_tried"] += 1
                self.note(f"Operation {operation.pk} was not tried. {error}")
                continue
            outcomes[tried.status] += 1
            self.note(operation_line(tried))
        left = len(waiting) - outcomes[OperationStatus.DONE]
        self.show(f"Done {outcomes[OperationStatus.DONE]}, left {left}", dict(outcomes))
        return PARTIAL if left else DONE
