"""Brings the hotel's rows into line with what a vendor says, in bulk, writing only what changed.

One read finds what is known of a page's records; a record whose content hash is unchanged costs nothing more. A changed one is merged
field by field with what the hotel's staff did meanwhile: base is the snapshot, theirs the record, ours the hotel's row. The caller
owns the transaction: a page and its checkpoint are committed together.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import DataError, IntegrityError, models, transaction
from django.utils import timezone

from hotels.models import Hotel
from integrations.exceptions import RecordRejected
from integrations.models import Conflict, ConflictWinner, ExternalReference, Integration, PendingLink, SyncRun
from integrations.records import Record
from integrations.sync import bulk
from integrations.sync.bindings import BINDINGS, Binding
from integrations.sync.conflicts import DELETED, Decision, Rule, Rules, decide
from integrations.sync.rows import Incoming, Table, as_stored, encoder

_READ_AT_ONCE = 1000
_REMEMBERED = 10_000
"""How many rows that others point to a reconciler keeps in mind, of each type: categories, taxes, the guests of a page."""
_REFERENCE_COLUMNS = (
    "record_type", "external_id", "object_id", "snapshot", "content_hash", "source_version", "source_updated_at", "matched_by",
)  # fmt: skip

# Both are made once for each record type and process.
_table = lru_cache(maxsize=None)(Table)
_encoder = lru_cache(maxsize=None)(encoder)

_NOTHING: Mapping[str, Any] = MappingProxyType({})

UNSTORABLE = (DataError, IntegrityError, OverflowError, UnicodeEncodeError)
"""What a database, or its driver, raises at a value that no column holds."""

MATCHED = [record_type for record_type, binding in BINDINGS.items() if binding.match]
POINTED_TO = {record_type for binding in BINDINGS.values() for _, record_type in binding.relations.values()}
REFERRED_TO = POINTED_TO | {record_type for binding in BINDINGS.values() for _, record_type in binding.links.values()}

Related = Mapping[str, Mapping[str, int]]
"""Relation or link of a record -> external id -> primary key of the hotel's row."""


@dataclass(slots=True)
class Counts:
    """What a page did. `rejected` holds records the tables refuse, with the reason."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    conflicts: int = 0
    rejected: list[tuple[Record, str]] = field(default_factory=list)

    def add(self, other: "Counts") -> None:
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.deleted += other.deleted
        self.conflicts += other.conflicts
        self.rejected += other.rejected


class Known(NamedTuple):
    """What is stored of a record."""

    id: int
    object_id: int
    content_hash: str
    version: int | None
    updated_at: datetime | None
    deleted_at: datetime | None


def is_older(record: Record, than: Known | Record) -> bool:
    """Say whether a record arrived late: something newer is known already."""
    if record.version is not None and than.version is not None:
        return record.version < than.version
    return record.updated_at is not None and than.updated_at is not None and record.updated_at < than.updated_at


class Reconciler:
    """Stores pages of one integration's records; one object serves a whole run."""

    def __init__(self, integration: Integration, run: SyncRun | None = None) -> None:
        self.integration = integration
        self.run = run
        self.rules = Rules.of(integration)
        self.ids = bulk.Ids()
        self._remembered: dict[str, dict[str, int]] = defaultdict(dict)
        self._references: list[tuple[Any, ...]] = []
        self._savepoint = ExitStack()
        self._is_saved = False
        self.now = timezone.now()

    def store(self, records: Iterable[Record]) -> Counts:
        """Store one page in the caller's transaction. A record the database refuses does not keep the others out."""
        self.now = timezone.now()
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            groups[record.record_type].append(record)
        hold(self.integration, with_hotel=any(BINDINGS[record_type].match for record_type in groups))
        for record_type in MATCHED:
            self._remembered.pop(record_type, None)  # a person may have split a guest since the last page
        ordered = {record_type: groups[record_type] for record_type in BINDINGS if record_type in groups}
        try:
            return self._store_together(ordered)
        except UNSTORABLE:
            return self._store_one_by_one(ordered)

    def _store_together(self, groups: Mapping[str, list[Record]]) -> Counts:
        counts = Counts()
        try:
            self._is_saved = False
            with ExitStack() as self._savepoint:
                for record_type, records in groups.items():
                    self._store(BINDINGS[record_type], records, counts)
                self._flush_references()
        except BaseException:
            self._references.clear()
            self._remembered.clear()  # rows that are gone with the savepoint
            raise
        return counts

    def _about_to_write(self) -> None:
        """Set the page's savepoint, once: a page that writes nothing, as most do, needs none."""
        if not self._is_saved:
            self._savepoint.enter_context(transaction.atomic())
            self._is_saved = True

    def _store_one_by_one(self, groups: Mapping[str, list[Record]]) -> Counts:
        counts = Counts()
        for record_type, records in groups.items():
            for record in records:
                try:
                    counts.add(self._store_together({record_type: [record]}))
                except UNSTORABLE as error:
                    counts.rejected.append((record, f"The database refuses it: {str(error).splitlines()[0]}"))
        return counts

    def delete(self, record_type: str, external_ids: Sequence[str], *, untouched_since: datetime | None = None) -> int:
        """Mark references as deleted, archive the rows no other vendor still knows, and return how many were deleted.

        With `untouched_since`, what was stored after that moment stays: a listing that began before it proves nothing about it.
        """
        self.now = timezone.now()
        hold(self.integration, with_hotel=BINDINGS[record_type].match is not None)
        if untouched_since:
            stored_since = ExternalReference.objects.filter(
                integration=self.integration, record_type=record_type, external_id__in=external_ids, synced_at__gte=untouched_since
            )
            touched = set(stored_since.values_list("external_id", flat=True))
            external_ids = [external_id for external_id in external_ids if external_id not in touched]
        counts = Counts()
        self._delete_named(record_type, external_ids, counts)
        return counts.deleted

    # --- reading ---------------------------------------------------------------------------------------------------------------

    def _known(self, record_type: str, external_ids: Sequence[str]) -> dict[str, Known]:
        found: dict[str, Known] = {}
        for start in range(0, len(external_ids), _READ_AT_ONCE):
            rows = bulk.select(
                ExternalReference,
                ("external_id", "id", "object_id", "content_hash", "source_version", "source_updated_at", "deleted_at"),
                one_of=("external_id", external_ids[start : start + _READ_AT_ONCE]),
                integration_id=self.integration.pk,
                record_type=record_type,
            )
            found |= {row[0]: Known(*row[1:4], row[4], *map(_moment, row[5:])) for row in rows}
        return found

    def _ids_of(self, record_type: str, external_ids: set[str]) -> dict[str, int]:
        """Return the hotel's rows of what others point to; what was found once is not asked again."""
        remembered = self._remembered[record_type]
        missing = [external_id for external_id in external_ids if external_id not in remembered]
        found = {external_id: remembered[external_id] for external_id in external_ids if external_id in remembered}
        if missing:
            asked = {external_id: row.object_id for external_id, row in self._known(record_type, missing).items()}
            self._remember(record_type, asked)
            found |= asked
        return found

    def _remember(self, record_type: str, ids: Mapping[str, int]) -> None:
        if len(self._remembered[record_type]) > _REMEMBERED:
            self._remembered[record_type].clear()
        self._remembered[record_type] |= ids

    def _related(self, binding: Binding, values: Iterable[Any], ids: Mapping[str, int] = _NOTHING) -> Related:
        """Resolve what records or snapshots point to; `ids` are rows of the same type that are only now being written."""
        values = list(values)
        related: dict[str, Mapping[str, int]] = {}
        for name, (_, record_type) in (*binding.relations.items(), *binding.links.items()):
            wanted: set[str] = set()
            for value in values:
                pointed = value.get(name) if isinstance(value, dict) else getattr(value, name)
                wanted.update([pointed] if isinstance(pointed, str) else pointed or ())
            wanted.discard("")
            found = self._ids_of(record_type, wanted)
            related[name] = found | {key: ids[key] for key in wanted & ids.keys()} if record_type == binding.record_type else found
        return related

    # --- one record type of a page ---------------------------------------------------------------------------------------------

    def _store(
        self,
        binding: Binding,
        records: list[Record],
        counts: Counts,
        parents: Mapping[str, int] = _NOTHING,
        prepared: Mapping[str, Incoming] = _NOTHING,
    ) -> None:
        encode = _encoder(binding)
        latest = {record.external_id: record for record in records}
        if len(latest) < len(records):  # the page names one twice
            latest = _newest(records)
        known = self._known(binding.record_type, list(latest))
        new: list[Incoming] = []
        changed: list[tuple[Incoming, Known]] = []
        gone: list[Known] = []
        moved_on: list[tuple[Any, ...]] = []
        for external_id, record in latest.items():
            row = known.get(external_id)
            if row and is_older(record, row):
                counts.unchanged += 1
            elif record.deleted:
                if row and row.deleted_at is None:
                    gone.append(row)
                if row:  # what was changed before the deletion may still arrive after it
                    moved_on.append((*_stamp(record, row), row.id))
            else:
                incoming = prepared.get(external_id) or encode(record)
                if row and row.content_hash == incoming.content_hash and row.deleted_at is None:
                    counts.unchanged += 1
                    if (record.version, record.updated_at) != (row.version, row.updated_at):
                        moved_on.append((*_stamp(record, row), row.id))
                elif self._accepts(binding, incoming, counts):
                    changed.append((incoming, row)) if row else new.append(incoming)
        if new or changed or gone or moved_on or binding.parent:
            self._about_to_write()
        if binding.parent:
            self._move_parts(binding, parents, known)
        if new:
            self._create(binding, new, counts, parents)
        if changed:
            self._change(binding, changed, counts)
        if gone:
            self._delete(binding, gone, counts)
        bulk.update(ExternalReference, ("source_version", "source_updated_at"), moved_on)

    def _accepts(self, binding: Binding, incoming: Incoming, counts: Counts) -> bool:
        try:
            _table(binding).check(incoming)
            for nested in incoming.nested:
                _table(BINDINGS[binding.child]).check(nested)
        except RecordRejected as refusal:
            counts.rejected.append((incoming.record, refusal.message))
            return False
        return True

    # --- new records -----------------------------------------------------------------------------------------------------------

    def _create(self, binding: Binding, new: list[Incoming], counts: Counts, parents: Mapping[str, int]) -> None:
        table = _table(binding)
        records = [incoming.record for incoming in new]
        matches = binding.match(self.integration, records) if binding.match else {}
        fresh = [record for record in records if record.external_id not in matches]
        taken = self.ids.take(binding.model, len(fresh))
        ids = {record.external_id: pk for record, pk in zip(fresh, taken, strict=True)}
        related = self._related(binding, records, ids)
        about_parent = [(parents[record.external_id],) for record in fresh] if binding.parent else repeat(())
        bulk.insert(
            binding.model,
            table.columns,
            [(pk, *parent, *table.values(record, related)) for record, pk, parent in zip(fresh, taken, about_parent, strict=False)],
            {"hotel_id": self.integration.hotel_id, "created_at": self.now, "updated_at": self.now, **table.defaults},
        )
        ids |= {external_id: pk for external_id, (pk, _) in matches.items()}
        self._references += [
            (
                binding.record_type, record.external_id, ids[record.external_id], snapshot, digest, record.version, record.updated_at,
                matches[record.external_id][1] if record.external_id in matches else "",
            )
            for record, snapshot, digest, _ in new
        ]  # fmt: skip
        if binding.record_type in REFERRED_TO:
            self._remember(binding.record_type, ids)
        counts.created += len(new)
        self._fill_gaps(binding, [record for record in records if record.external_id in matches], ids, related)
        self._await_missing(binding, records, ids, related)
        self._fill_pending(binding, ids)
        for name in binding.links:
            self._link(binding, name, records, ids, related)
        if binding.children:
            self._store_children(binding, new, ids)

    def _flush_references(self) -> None:
        """Write the references of a page's new records, of all types at once."""
        references, self._references = self._references, []
        constants = {"integration_id": self.integration.pk, "synced_at": self.now, "deleted_at": None}
        bulk.insert(ExternalReference, _REFERENCE_COLUMNS, references, constants)

    def _fill_gaps(self, binding: Binding, matched: list[Record], ids: Mapping[str, int], related: Related) -> None:
        """Let a record that stands for a row the hotel has already fill in only what that row lacks."""
        table = _table(binding)
        rows = self._rows(binding, [ids[record.external_id] for record in matched])
        for record in matched:
            row = rows[ids[record.external_id]]
            values = dict(zip(table.content, table.values(record, related), strict=True))
            filled = {column: value for column, value in values.items() if row[column] in (None, "", "unknown", False, {}, []) and value}
            if filled or row["archived_at"]:
                binding.model.objects.filter(pk=row["id"]).update(**filled, archived_at=None, updated_at=self.now)

    def _await_missing(self, binding: Binding, records: list[Record], ids: Mapping[str, int], related: Related) -> None:
        """Remember what points to a record that has not come yet; one of several links by its place, as in "taxes:2"."""
        missing = [
            PendingLink(
                integration=self.integration, record_type=record_type, external_id=external_id, source_type=binding.record_type,
                source_id=ids[record.external_id], attribute=place,
            )
            for name, (attribute, record_type) in (*binding.relations.items(), *binding.links.items())
            for record in records
            for place, external_id in _places(attribute, getattr(record, name))
            if external_id not in related[name]
        ]  # fmt: skip
        PendingLink.objects.bulk_create(missing, ignore_conflicts=True)

    def _fill_pending(self, binding: Binding, ids: Mapping[str, int]) -> None:
        """Point to the records that have come now whatever waited for them, unless the hotel has chosen something else meanwhile."""
        if binding.record_type not in REFERRED_TO:
            return
        waiting = list(PendingLink.objects.filter(integration=self.integration, record_type=binding.record_type, external_id__in=list(ids)))
        PendingLink.objects.filter(pk__in=[link.pk for link in waiting]).delete()
        for link in waiting:
            model, (attribute, place, _) = BINDINGS[link.source_type].model, link.attribute.partition(":")
            if place:
                getattr(model(pk=link.source_id), attribute).add(ids[link.external_id])
            else:
                empty = model.objects.filter(pk=link.source_id, **{f"{attribute}__isnull": True})
                empty.update(**{f"{attribute}_id": ids[link.external_id]})

    def _link(self, binding: Binding, name: str, records: list[Record], ids: Mapping[str, int], related: Related) -> None:
        through, source, target = _through(binding, name)
        pairs = (
            (ids[record.external_id], related[name][external_id])
            for record in records
            for external_id in dict.fromkeys(getattr(record, name))
            if external_id in related[name]
        )
        bulk.insert(through, (source, target), pairs)

    def _relink(self, binding: Binding, changed: list[tuple[Record, Mapping[str, Any]]], ids: Mapping[str, int], related: Related) -> None:
        """Link anew what the vendor links otherwise than before."""
        for name in binding.links:
            moved = [record for record, base in changed if list(getattr(record, name)) != base.get(name)]
            if moved:
                through, source, _ = _through(binding, name)
                through.objects.filter(**{f"{source}__in": [ids[record.external_id] for record in moved]}).delete()
                self._link(binding, name, moved, ids, related)

    # --- changed records -------------------------------------------------------------------------------------------------------

    def _rows(self, binding: Binding, pks: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Read the hotel's rows and hold them, so that nobody edits one between this look and the write."""
        columns = ("id", "updated_at", "archived_at", *_table(binding).content)
        rows = binding.model.objects.select_for_update(no_key=True).filter(pk__in=pks).order_by("pk").values(*columns)
        return {row["id"]: row for row in rows} if pks else {}

    def _change(self, binding: Binding, changed: list[tuple[Incoming, Known]], counts: Counts) -> None:
        table = _table(binding)
        unchanged = counts.unchanged
        references_of = ExternalReference.objects.filter(pk__in=[row.id for _, row in changed])
        bases = {pk: (snapshot, synced_at) for pk, snapshot, synced_at in references_of.values_list("id", "snapshot", "synced_at")}
        rows = self._rows(binding, [row.object_id for _, row in changed])
        related = self._related(binding, [*(incoming.record for incoming, _ in changed), *(base for base, _ in bases.values())])
        updates, references, conflicts = [], [], []
        for (record, snapshot, digest, _), row in changed:
            ours = rows[row.object_id]
            base, synced_at = bases[row.id]
            # Where the last one to write the row was the sync itself, the hotel's edit is older than what the vendor tells now.
            ours_at = None if ours["updated_at"] == synced_at else ours["updated_at"]
            merged = dict(ours)
            for column, theirs, was, decision in self._merge(binding, record, base, ours, ours_at, related):
                if decision.take_theirs:
                    merged[column.column] = theirs
                if decision.rule:
                    conflicts.append(self._conflict(binding, record, row, column.name, was, theirs, ours[column.column], decision))
            if merged != ours or ours["archived_at"]:
                updates.append((*(merged[name] for name in table.content), self.now, None, row.object_id))
            elif not binding.children and json.loads(snapshot) == base:
                counts.unchanged += 1  # the vendor repeats what it was told
            references.append((snapshot, digest, *_stamp(record, row), self.now, None, row.id))
        bulk.update(binding.model, (*table.content, "updated_at", "archived_at"), updates)
        bulk.update(
            ExternalReference,
            ("snapshot", "content_hash", "source_version", "source_updated_at", "synced_at", "deleted_at"),
            references,
        )
        Conflict.objects.bulk_create(conflicts)
        counts.updated += len(changed) - (counts.unchanged - unchanged)
        counts.conflicts += len(conflicts)
        ids = {incoming.record.external_id: row.object_id for incoming, row in changed}
        records = [incoming.record for incoming, _ in changed]
        if binding.relations or binding.links:
            PendingLink.objects.filter(source_type=binding.record_type, source_id__in=ids.values()).delete()
            self._await_missing(binding, records, ids, related)
        self._relink(binding, [(record, bases[row.id][0]) for (record, *_), row in changed], ids, related)
        if binding.children:
            self._drop_lost_children(binding, records, ids)
            self._store_children(binding, [incoming for incoming, _ in changed], ids, counts)

    def _merge(
        self,
        binding: Binding,
        record: Record,
        base: Mapping[str, Any],
        ours: Mapping[str, Any],
        ours_at: datetime | None,
        related: Related,
    ) -> Iterator[tuple]:
        """Yield what to do about each field: (column, their value, base value, decision)."""
        values = _table(binding).values(record, related)
        for (name, column), theirs in zip(_table(binding).fields.items(), values, strict=True):
            was = _base_of(binding, name, column, base, ours, related)
            decision = decide(
                as_stored(column, was),
                as_stored(column, theirs),
                as_stored(column, ours[column.column]),
                self.rules.find(binding.record_type, name),
                theirs_at=record.updated_at,
                ours_at=ours_at,
            )
            yield column, theirs, was, decision

    def _conflict(
        self, binding: Binding, record: Record, row: Known, name: str, base: Any, theirs: Any, ours: Any, decision: Decision
    ) -> Conflict:
        column = binding.model._meta.get_field(name)
        return Conflict(
            integration=self.integration, run=self.run, record_type=binding.record_type, external_id=record.external_id,
            object_id=row.object_id, field=name, base_value=as_stored(column, base), vendor_value=as_stored(column, theirs),
            hotel_value=as_stored(column, ours), rule=decision.rule, winner=decision.winner,
        )  # fmt: skip

    # --- nested records --------------------------------------------------------------------------------------------------------

    def _store_children(self, binding: Binding, parents: list[Incoming], ids: Mapping[str, int], counts: Counts | None = None) -> None:
        nested = {inner.record.external_id: inner for parent in parents for inner in parent.nested}
        of = {inner.record.external_id: ids[parent.record.external_id] for parent in parents for inner in parent.nested}
        nested_counts = Counts()
        self._store(BINDINGS[binding.child], [inner.record for inner in nested.values()], nested_counts, of, nested)
        if counts:
            counts.conflicts += nested_counts.conflicts

    def _move_parts(self, binding: Binding, parents: Mapping[str, int], known: Mapping[str, Known]) -> None:
        """Give parts that the vendor has moved their new parent."""
        wanted = {row.object_id: parents[external_id] for external_id, row in known.items() if external_id in parents}
        attribute = f"{binding.parent}_id"
        found = binding.model.objects.filter(pk__in=wanted).values_list("pk", attribute) if wanted else ()
        bulk.update(binding.model, (attribute,), [(wanted[pk], pk) for pk, parent in found if parent != wanted[pk]])

    def _drop_lost_children(self, binding: Binding, records: list[Record], ids: Mapping[str, int]) -> None:
        kept = {nested.external_id for record in records for nested in getattr(record, binding.children)}
        lost = [external_id for external_id in self._children(binding, ids.values()) if external_id not in kept]
        self._delete_named(binding.child, lost, Counts())

    def _children(self, binding: Binding, parent_ids: Iterable[int]) -> list[str]:
        """Return what this vendor calls the live children of these rows."""
        child = BINDINGS[binding.child]
        # Two questions, each with an index of its own; as one, the planner reads all of the integration's references.
        rows = child.model.objects.filter(**{f"{child.parent}__in": list(parent_ids)}).values_list("id", flat=True)
        references = ExternalReference.objects.filter(
            object_id__in=list(rows), record_type=child.record_type, integration=self.integration, deleted_at__isnull=True
        )
        return list(references.values_list("external_id", flat=True))

    # --- deleted records -------------------------------------------------------------------------------------------------------

    def _delete_named(self, record_type: str, external_ids: Sequence[str], counts: Counts) -> None:
        known = self._known(record_type, external_ids)
        self._delete(BINDINGS[record_type], [row for row in known.values() if row.deleted_at is None], counts)

    def _delete(self, binding: Binding, gone: list[Known], counts: Counts) -> None:
        object_ids = {row.object_id for row in gone}
        ExternalReference.objects.filter(pk__in=[row.id for row in gone]).update(deleted_at=self.now, synced_at=self.now)
        still_known = ExternalReference.objects.filter(
            record_type=binding.record_type, object_id__in=object_ids, deleted_at__isnull=True
        ).values_list("object_id", flat=True)
        leaving = object_ids - set(still_known)
        kept = self._kept_by_hotel(binding, [row for row in gone if row.object_id in leaving], counts)
        if binding.child:
            self._delete_named(binding.child, self._children(binding, object_ids - kept), Counts())
        binding.model.objects.filter(pk__in=leaving - kept).update(archived_at=self.now, updated_at=self.now)
        counts.deleted += len(gone)

    def _kept_by_hotel(self, binding: Binding, gone: list[Known], counts: Counts) -> set[int]:
        """Return the rows that stay, because the hotel changed them and its rule says that this counts more than the deletion."""
        if binding.parent:
            return set()  # a nested row goes with what the vendor says of its parent
        bases = dict(ExternalReference.objects.filter(pk__in=[row.id for row in gone]).values_list("id", "snapshot"))
        rows = self._rows(binding, [row.object_id for row in gone])
        related = self._related(binding, bases.values())
        rule = self.rules.find(binding.record_type, DELETED)
        others = self._told_by_others(binding, gone)
        kept: set[int] = set()
        for row in gone:
            if self._edited(binding, [bases[row.id], *others.get(row.object_id, ())], rows[row.object_id], related):
                wins = rule is Rule.HOTEL  # a deletion we only now hear of counts as the newest word
                counts.conflicts += 1
                Conflict.objects.create(
                    integration=self.integration, run=self.run, record_type=binding.record_type, object_id=row.object_id,
                    external_id=ExternalReference.objects.values_list("external_id", flat=True).get(pk=row.id), field=DELETED,
                    base_value=False, vendor_value=True, hotel_value=False, rule=rule,
                    winner=ConflictWinner.HOTEL if wins else ConflictWinner.VENDOR,
                )  # fmt: skip
                if wins:
                    kept.add(row.object_id)
        return kept

    def _told_by_others(self, binding: Binding, gone: list[Known]) -> Mapping[int, list[Mapping[str, Any]]]:
        """Return what other vendors last told of these rows: that is no edit of the hotel either."""
        told: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        if binding.match:
            found = ExternalReference.objects.filter(record_type=binding.record_type, object_id__in=[row.object_id for row in gone])
            for object_id, snapshot in found.exclude(pk__in=[row.id for row in gone]).values_list("object_id", "snapshot"):
                told[object_id].append(snapshot)
        return told

    def _edited(self, binding: Binding, bases: list[Mapping[str, Any]], ours: Mapping[str, Any], related: Related) -> bool:
        """Say whether a row has a value that no vendor told."""
        return any(
            all(as_stored(column, _base_of(binding, name, column, base, ours, related)) != mine for base in bases)
            for name, column in _table(binding).fields.items()
            for mine in (as_stored(column, ours[column.column]),)
        )


def _base_of(binding: Binding, name: str, column: models.Field, base: Mapping[str, Any], ours: Mapping[str, Any], related: Related) -> Any:
    """Return what the vendor told of a field before. What it never told was the hotel's all the time, and is no edit."""
    if name not in base:
        return ours[column.column]
    return related[name].get(base[name]) if name in binding.relations else base[name]


def _newest(records: Iterable[Record]) -> dict[str, Record]:
    """Return one record for each id: the newest, and among equals the last."""
    newest: dict[str, Record] = {}
    for record in records:
        before = newest.get(record.external_id)
        if before is None or not is_older(record, before):
            newest[record.external_id] = record
    return newest


def _stamp(record: Record, row: Known) -> tuple[int | None, datetime | None]:
    """Return the version and time by which what comes later is judged: a record that gives none leaves the stored ones."""
    return (
        row.version if record.version is None else record.version,
        row.updated_at if record.updated_at is None else record.updated_at,
    )


def _places(attribute: str, named: str | Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name each record that a relation or a link points to: ("category", id), or ("taxes:0", id), ("taxes:1", id) ..."""
    if isinstance(named, str):
        if named:
            yield attribute, named
    else:
        yield from ((f"{attribute}:{place}", external_id) for place, external_id in enumerate(dict.fromkeys(named)))


def _through(binding: Binding, name: str) -> tuple[type[models.Model], str, str]:
    """Return the table of a link, and its columns for the row and for what it is linked to."""
    link = binding.model._meta.get_field(binding.links[name][0])
    return link.remote_field.through, link.m2m_column_name(), link.m2m_reverse_name()


def hold(integration: Integration, *, with_hotel: bool) -> None:
    """Let one page of an integration be stored at a time until the transaction ends, and one of a hotel where records are matched to its
    rows (`with_hotel`)."""
    bulk.hold(Integration, integration.pk)
    if with_hotel:
        bulk.hold(Hotel, integration.hotel_id)


def _moment(value: datetime | None) -> datetime | None:
    """Read a time as a plain cursor gives it: SQLite's is UTC, but does not say so."""
    return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def apply_records(integration: Integration, records: Iterable[Record], run: SyncRun | None = None) -> Counts:
    """Store records outside of a run (a webhook that carries them whole). Needs a transaction around it."""
    return Reconciler(integration, run).store(records)
