"""Reading rejected records again: one by one where the vendor can be asked for them, with the whole stream where it cannot.

The run marks as resolved what came through. Called by API, console and the command `retry_rejected`.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from integrations.exceptions import UnsupportedOperation
from integrations.models import Integration, RejectedRecord, SyncRun, Trigger
from integrations.services import service_for

READ_AT_ONCE = 200
"""More rejected records of one stream than this are read with the whole stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of rejected records that were tried again."""

    tried: int
    taken: int
    left: int
    """Rejected again, or not read: the runs say why."""
    waiting: int
    """Their stream is read by a worker, as a run that is still open."""
    runs: tuple[SyncRun, ...]


def waiting_records(integration: Integration, *, stream: str = "") -> QuerySet[RejectedRecord]:
    """Return what no run has taken yet."""
    found = RejectedRecord.objects.filter(integration=integration, resolved_at=None)
    return found.filter(stream=stream) if stream else found


def retry_rejected(
    integration: Integration,
    records: QuerySet[RejectedRecord] | None = None,
    *,
    user: Any = None,
    trigger: Trigger = Trigger.API,
    to_the_end: bool = False,
) -> Retried:
    """Read rejected records again: all that wait, or those of them in `records`.

    A whole stream is read by a worker, or in this process with `to_the_end`. Raises IntegrationInactive.
    """
    service = service_for(integration, user=user, trigger=trigger)
    service.check_active()
    chosen = waiting_records(integration)
    if records is not None:
        chosen = chosen.filter(pk__in=records.values("pk"))
    streams: dict[str, list[RejectedRecord]] = defaultdict(list)
    for record in chosen.order_by("id"):
        streams[record.stream].append(record)
    runs = []
    for name, found in streams.items():
        try:
            runs.append(_read_again(service, name, found, to_the_end=to_the_end))
        except UnsupportedOperation:
            continue  # the provider does not offer the stream any more
    open_streams = {run.stream for run in runs if run.is_open}
    tried = {(r.stream, r.record_type, r.external_id) for found in streams.values() for r in found}
    still = set(waiting_records(integration).values_list("stream", "record_type", "external_id")) & tried
    waiting = [key for key in still if key[0] in open_streams]
    return Retried(tried=len(tried), taken=len(tried) - len(still), left=len(still) - len(waiting), waiting=len(waiting), runs=tuple(runs))


def _read_again(service: Any, stream: str, records: list[RejectedRecord], *, to_the_end: bool) -> SyncRun:
    ids = list(dict.fromkeys(record.external_id for record in records))
    declared = service.stream(stream)
    named = {record.record_type for record in declared.by_id_of}
    if all(ids) and named.issuperset(record.record_type for record in records) and len(ids) <= READ_AT_ONCE:
        return service.refresh(stream, ids)
    if to_the_end:
        return service.sync(stream, full=True)
    return service.request_sync(stream, full=True)[0]
