"""What is stored of a vendor's records, and in what order the vendor's word counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.utils import timezone

from integrations.models import ExternalReference
from integrations.records import Record
from integrations.sync import bulk
from integrations.sync.bindings import Binding
from integrations.sync.rows import table_of

_READ_AT_ONCE = 1000


@dataclass(slots=True)
class Counts:
    """What a page did. `rejected` holds records the tables refuse, with the reason."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    conflicts: int = 0
    rejected: list[tuple[Record, str]] = field(default_factory=list)
    ahead: int = 0
    """Records whose time lies in the future."""

    def add(self, other: "Counts") -> None:
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.deleted += other.deleted
        self.conflicts += other.conflicts
        self.rejected += other.rejected
        self.ahead += other.ahead


class Known(NamedTuple):
    """What is stored of a record."""

    id: int
    object_id: int
    content_hash: str
    version: int | None
    updated_at: datetime | None
    deleted_at: datetime | None


AHEAD = timedelta(minutes=1)
"""So far a vendor's clock may be ahead of ours before we say so."""


def is_older(record: Record, than: Known | Record) -> bool:
    """Say whether a record arrived late: something newer is known already. A time in the future tells nothing: then what arrives last counts."""
    if record.version is not None and than.version is not None:
        return record.version < than.version
    if record.updated_at is None or than.updated_at is None or record.updated_at >= than.updated_at:
        return False
    return than.updated_at <= timezone.now()


def find_known(integration_id: int, record_type: str, external_ids: Sequence[str]) -> dict[str, Known]:
    """Return what is stored of these records, by the vendor's id."""
    found: dict[str, Known] = {}
    for start in range(0, len(external_ids), _READ_AT_ONCE):
        rows = bulk.select(
            ExternalReference,
            ("external_id", "id", "object_id", "content_hash", "source_version", "source_updated_at", "deleted_at", "synced_at"),
            one_of=("external_id", external_ids[start : start + _READ_AT_ONCE]),
            integration_id=integration_id,
            record_type=record_type,
        )
        found |= {row[0]: Known(*row[1:5], _told_at(_moment(row[5]), _moment(row[7])), _moment(row[6])) for row in rows}
    return found


def held_rows(binding: Binding, pks: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Read the hotel's rows and hold them, so that nobody edits one between this look and the write."""
    columns = ("id", "updated_at", "archived_at", *table_of(binding).content)
    rows = binding.model.objects.select_for_update(no_key=True).filter(pk__in=pks).order_by("pk").values(*columns)
    return {row["id"]: row for row in rows} if pks else {}


def newest(records: Iterable[Record]) -> dict[str, Record]:
    """Return one record for each id: the newest, and among equals the last."""
    newest: dict[str, Record] = {}
    for record in records:
        before = newest.get(record.external_id)
        if before is None or not is_older(record, before):
            newest[record.external_id] = record
    return newest


def stamp(record: Record, row: Known, now: datetime) -> tuple[int | None, datetime | None]:
    """Return the version and time by which what comes later is judged: a record that gives none leaves the stored ones."""
    return (
        row.version if record.version is None else record.version,
        row.updated_at if record.updated_at is None else not_after(record, now),
    )


def not_after(record: Record, now: datetime) -> datetime | None:
    """Return when a record was changed: now, if its vendor's clock says that it is to be changed in the future."""
    return record.updated_at and min(record.updated_at, now)


def told_at(reference: ExternalReference) -> datetime | None:
    """Return the time by which what comes later is judged."""
    return _told_at(reference.source_updated_at, reference.synced_at)


def _told_at(updated_at: datetime | None, synced_at: datetime | None) -> datetime | None:
    """A time that had to be taken for the moment it was stored in says nothing of what was before it: then what arrives last counts."""
    return None if updated_at == synced_at else updated_at


def _moment(value: datetime | None) -> datetime | None:
    """Read a time as a plain cursor gives it: SQLite's is UTC, but does not say so."""
    return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value
