"""What events do to the hotel's records: full ones are applied, thin ones make us read the vendor again, equal ones once.

Works a batch of one integration's events, in their order, and says of each how it went. It decides nothing about trying again: the inbox
does. Late events are harmless because what is newer is kept, and because a read always brings the newest.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from pydantic import TypeAdapter

from hotels.models.guests import key_guests
from integrations.exceptions import HospientError, ReauthorizationRequired, RecordRejected, UnexpectedResponse
from integrations.models import ExternalReference, Integration, RunStatus, SyncRun, Trigger
from integrations.records import InboundEvent, Record
from integrations.services import service_for
from integrations.services.base import Provider
from integrations.sync import health
from integrations.sync.bindings import BINDINGS
from integrations.sync.known import AHEAD, is_older, told_at
from integrations.sync.reconcile import apply_records
from integrations.transport import correlation
from webhooks.decoding import decode_json
from webhooks.exceptions import StillReading
from webhooks.facts import parsers_of
from webhooks.ingest import child_ids, place_of, read_events, rows_of_batch, store
from webhooks.models import EventStatus, WebhookEvent

logger = logging.getLogger(__name__)

READ_AT_ONCE = 200
"""Objects that one refresh asks for."""
ALONE_FROM = 3
"""From this attempt on an event is read alone: it may be the one that makes the others fail."""

ACCESS_REVOKED = "access_revoked"
ODD_EVENT = "Correct it at its sender and have it sent again; the next sync reads what the vendor has."
UNREADABLE = "The vendor's event is not in a shape this provider can read; it is kept as it came."

Key = tuple[str, str]
"""Record type and external id."""


class Result(NamedTuple):
    """How one event went: a final status with a sentence, or an error."""

    status: EventStatus | None = None
    outcome: str = ""
    error: HospientError | None = None
    is_final: bool = False
    """The error is the event's own: trying again cannot help."""


class Work(NamedTuple):
    row: WebhookEvent
    event: InboundEvent


def work(integration: Integration, rows: Sequence[WebhookEvent]) -> dict[int, Result]:
    """Work events of one integration, given in their order. Returns a result for each."""
    try:
        batch = _Batch(integration)
    except HospientError as error:  # its provider is gone
        return {row.pk: Result(error=error) for row in rows}
    return batch.run(rows)


class _Batch:
    def __init__(self, integration: Integration) -> None:
        self.integration = integration
        self.service = service_for(integration, trigger=Trigger.WEBHOOK)
        self.streams = {stream.name: stream for stream in self.service.streams()}
        self.parsers = parsers_of(integration)
        webhooks = self.service.provider.manifest.webhooks
        self.meanings = webhooks.events if webhooks else {}
        """The vendor's name of an event -> ours."""
        self.results: dict[int, Result] = {}
        self._read_batches: dict[int, dict[tuple[str, str, str], InboundEvent]] = {}

    def run(self, rows: Sequence[WebhookEvent]) -> dict[int, Result]:
        full: list[Work] = []
        thin: list[Work] = []
        for one in self._read(rows):
            if self.meanings.get(one.event.event_type) == ACCESS_REVOKED:
                self._revoke(one)
            elif self._to_read(one.event):
                thin.append(one)
            elif one.event.records:
                full.append(one)
            else:
                self.results[one.row.pk] = Result(EventStatus.IGNORED, "Kept; there is nothing to do for an event of this kind.")
        if full:
            self._apply(full)
        if thin:
            self._fetch(thin)
        return self.results

    def _revoke(self, one: Work) -> None:
        """The vendor withdrew our access: say so where the administrator looks, and stop asking on a schedule."""
        error = ReauthorizationRequired()
        health.failed(self.integration.pk, error)
        Integration.objects.filter(pk=self.integration.pk).update(next_sync_at=None)
        self.results[one.row.pk] = Result(EventStatus.DONE, f"{error.message} {error.hint}")

    # --- reading bodies --------------------------------------------------------------------------------------------------------

    def _read(self, rows: Sequence[WebhookEvent]) -> Iterator[Work]:
        for row in rows:
            try:
                events = self._events(row)
                if row.is_batch:
                    self._split(row, events)
                elif events and events[0].problem:
                    self.results[row.pk] = Result(error=RecordRejected(events[0].problem, hint=ODD_EVENT), is_final=True)
                elif events:
                    yield Work(row, _with_ids(events[0], self.service.provider.spelled))
                else:
                    self.results[row.pk] = Result(EventStatus.IGNORED, "The delivery carried no event.")
            except HospientError as error:
                self.results[row.pk] = Result(error=error, is_final=True)

    def _events(self, row: WebhookEvent) -> list[InboundEvent]:
        if row.batch_id is None:
            return self._parse(row)
        if row.batch_id not in self._read_batches:
            events = self._parse(row.batch)
            ids = child_ids(row.batch.event_id, events)
            self._read_batches[row.batch_id] = {
                place_of(event._replace(event_id=event_id)): event for event_id, event in zip(ids, events, strict=True)
            }
        event = self._read_batches[row.batch_id].get((row.event_id, row.event_type, row.object_key))
        if event is None:
            raise UnexpectedResponse(UNREADABLE)
        return [event]

    def _parse(self, row: WebhookEvent) -> list[InboundEvent]:
        events = read_events(self.parsers.whole(row.verified_by), row.headers, decode_json(bytes(row.body)))
        if events is None:
            raise UnexpectedResponse(UNREADABLE)
        return events

    def _split(self, row: WebhookEvent, events: Sequence[InboundEvent]) -> None:
        """Store each event of a batch as a row of its own."""
        children = rows_of_batch(row, events)
        known = len(children) - sum(store(children))
        self.results[row.pk] = Result(
            EventStatus.DONE, f"Split into {len(children)} events" + (f", {known} of them known already." if known else ".")
        )

    # --- full events -----------------------------------------------------------------------------------------------------------

    def _apply(self, works: Sequence[Work]) -> None:
        try:
            if any(record.record_type == "guest" for one in works for record in one.event.records):
                key_guests(self.integration.hotel)
            with transaction.atomic():
                counts = apply_records(self.integration, self._newest(works).values())
        except (OperationalError, InterfaceError):
            raise  # the database's trouble, not an event's
        except Exception as error:
            if len(works) > 1:
                for one in works:
                    self._apply([one])
                return
            logger.exception("event_failed event=%s", works[0].row.pk)
            known = (
                error if isinstance(error, HospientError) else HospientError("Hospient itself failed at this event.", code="internal_error")
            )
            self.results[works[0].row.pk] = Result(error=known)
            return
        refused = {_key(record): reason for record, reason in counts.rejected}
        for row, event in works:
            reason = next((refused[_key(record)] for record in event.records if _key(record) in refused), "")
            self.results[row.pk] = (
                Result(error=RecordRejected(reason), is_final=True) if reason else Result(EventStatus.DONE, _applied(event))
            )

    def _newest(self, works: Sequence[Work]) -> dict[Key, Record]:
        """Bring several events of one object down to its newest state; what an event did not tell is taken from what is stored."""
        told = [(record, event.told) for _, event in works for record in event.records]
        stored = self._stored([_key(record) for record, names in told if names])
        newest: dict[Key, Record] = {}
        for record, names in told:
            base = newest.get(_key(record)) or stored.get(_key(record))
            if base and is_older(record, base):
                continue
            if base and names:
                children = BINDINGS[record.record_type].children
                if children and children not in names:
                    continue  # what is stored of it says nothing of its parts, and they must not be dropped
                record = _complete(base, record, names)
            newest[_key(record)] = record
        return newest

    def _stored(self, keys: Sequence[Key]) -> dict[Key, Record]:
        wanted: dict[str, set[str]] = defaultdict(set)
        for record_type, external_id in keys:
            wanted[record_type].add(external_id)
        found: dict[Key, Record] = {}
        for record_type, external_ids in wanted.items():
            for reference in ExternalReference.objects.filter(
                integration=self.integration, record_type=record_type, external_id__in=external_ids, deleted_at__isnull=True
            ):
                facts = {
                    "external_id": reference.external_id,
                    "version": reference.source_version,
                    "updated_at": told_at(reference),
                }
                found[record_type, reference.external_id] = _reader(record_type).validate_python(reference.snapshot | facts)
        return found

    # --- thin events -----------------------------------------------------------------------------------------------------------

    def _to_read(self, event: InboundEvent) -> list[str]:
        return [name for name in event.refresh if name in self.streams]

    def _fetch(self, works: Sequence[Work]) -> None:
        """Read every object and stream the events speak of once."""
        alone = [one for one in works if one.row.attempts >= ALONE_FROM]
        together = [one for one in works if one.row.attempts < ALONE_FROM]
        for group in (*([one] for one in alone), together):
            wanted: dict[tuple[str, bool], list[Work]] = defaultdict(list)
            for one in group:
                for name in self._to_read(one.event):
                    wanted[name, self.streams[name].by_id and bool(one.event.object_id)].append(one)
            for (name, by_id), asking in wanted.items():
                for part in _parts(asking) if by_id else [asking]:
                    self._note(part, self._fetch_one(name, part, by_id=by_id))

    def _fetch_one(self, name: str, works: Sequence[Work], *, by_id: bool) -> Result:
        with correlation.bind(works[0].row.correlation_id):
            try:
                if by_id:
                    run = self.service.refresh(name, list(dict.fromkeys(one.event.object_id for one in works)))
                else:
                    run = self.service.sync(name)
            except HospientError as error:
                return Result(error=error)
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                logger.exception("event_failed event=%s", works[0].row.pk)
                return Result(error=HospientError("Hospient itself failed while it read the vendor.", code="internal_error"))
        return _result_of(run, max(one.row.received_at for one in works), self.streams[name].label)

    def _note(self, works: Sequence[Work], result: Result) -> None:
        for one in works:
            before = self.results.get(one.row.pk)
            if before is None or before.error is None:  # an event that asks for two streams fails if one of them does
                self.results[one.row.pk] = result


def _applied(event: InboundEvent) -> str:
    now = timezone.now()
    if any(record.updated_at and record.updated_at > now + AHEAD for record in event.records):
        return "Applied. Its time lies in the future, by a clock ahead of ours: the time it came counts instead."
    return "Applied."


def _result_of(run: SyncRun, newest_at: datetime, label: str) -> Result:
    if run.status == RunStatus.FAILED:
        return Result(error=HospientError(run.error_message, hint=run.hint, code=run.error_code))
    if run.is_open or run.started_at is None or run.started_at < newest_at:
        return Result(error=StillReading())
    return Result(EventStatus.DONE, f"{label} read again. {run.summary}."[:255])


def _parts(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Split works so that each part names a bounded number of objects."""
    by_object: dict[str, list[Work]] = defaultdict(list)
    for one in works:
        by_object[one.event.object_id].append(one)
    objects = list(by_object.values())
    for start in range(0, len(objects), READ_AT_ONCE):
        yield [one for group in objects[start : start + READ_AT_ONCE] for one in group]


def _with_ids(event: InboundEvent, spelled: Callable[[str], str]) -> InboundEvent:
    """Return an event with every id of the vendor's in the one spelling."""
    if spelled is Provider.spelled:
        return event

    def respelt(record: Record) -> Record:
        ids = {f.name: getattr(record, f.name) for f in fields(record) if f.name.endswith(("external_id", "external_ids"))}
        return replace(record, **{n: spelled(v) if isinstance(v, str) else tuple(map(spelled, v)) for n, v in ids.items()})

    return event._replace(object_id=spelled(event.object_id), records=tuple(map(respelt, event.records)))


# --- records -------------------------------------------------------------------------------------------------------------------


def _key(record: Record) -> Key:
    return record.record_type, record.external_id


def _complete(base: Record, record: Record, told: Sequence[str]) -> Record:
    """Lay what an event told over what is known."""
    changes: dict[str, Any] = {name: getattr(record, name) for name in told}
    return replace(
        base, **changes, version=record.version or base.version, updated_at=record.updated_at or base.updated_at, deleted=record.deleted
    )


@cache
def _reader(record_type: str) -> TypeAdapter:
    return TypeAdapter(BINDINGS[record_type].record)
