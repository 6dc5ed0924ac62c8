"""What was refused at the webhook door lately, as the log has it: what is not stored can be seen nowhere else. Console and health read it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from django.db.models import Max, QuerySet, Sum
from django.utils import timezone

from integrations.models import Integration, IntegrationLog, LogStatus, OperationType

OPERATION = "webhook_refused"
"""The name these lines have in the log."""
SHOWN = timedelta(hours=24)
"""For how long a refusal is shown: vendors try again for about that long."""


class Refused(NamedTuple):
    count: int
    last: str
    """What the last line about them says: the checks that failed, and what to do."""
    line: int
    """Its id in the log."""


def refused_lately(integrations: Iterable[Integration | int]) -> dict[int, Refused]:
    """Return what was refused at each of these integrations, by their id; only of those where something was."""
    counted = list(
        _lines(SHOWN).filter(integration__in=integrations).values_list("integration_id").annotate(Sum("records_failed"), Max("id"))
    )
    said = dict(IntegrationLog.objects.filter(pk__in=[last for _, _, last in counted]).values_list("pk", "error_message"))
    return {integration_id: Refused(count, said[last], last) for integration_id, count, last in counted}


def count_refused(within: timedelta) -> int:
    """Count what was refused at all integrations."""
    # They are named so that the database reads the few rows of each along an index, and not the whole log.
    return _lines(within).filter(integration__in=Integration.objects.values("pk")).aggregate(total=Sum("records_failed"))["total"] or 0


def _lines(within: timedelta) -> QuerySet[IntegrationLog]:
    return IntegrationLog.objects.filter(
        operation_type=OperationType.WEBHOOK, operation_name=OPERATION, status=LogStatus.FAILED, created_at__gte=timezone.now() - within
    ).order_by()
