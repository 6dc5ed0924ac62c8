"""Brings the hotel's rows into line with what a vendor says, in bulk, writing only what changed.

One read finds what is known of a page's records; a record whose content hash is unchanged costs nothing more. A changed one is merged
field by field with what the hotel's staff did meanwhile: base is the snapshot, theirs the record, ours the hotel's row. The caller
owns the transaction: a page and its checkpoint are committed together.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import repeat
from typing import Any

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from hotels.identity import country_of, is_spelling
from hotels.models import Guest, Hotel
from hotels.models.guests import ask_about
from integrations import values
from integrations.exceptions import RecordRejected
from integrations.models import Conflict, ExternalReference, Integration, PendingLink, SyncRun
from integrations.records import Record
from integrations.sync import bulk
from integrations.sync.bindings import BINDINGS, Binding
from integrations.sync.conflicts import Decision, Rules, decide
from integrations.sync.deletions import Deletions
from integrations.sync.joining import follow
from integrations.sync.known import AHEAD, Counts, Known, find_known, held_rows, is_older, newest, not_after, stamp
from integrations.sync.links import NOTHING, REFERRED_TO, Links
from integrations.sync.matching import Match
from integrations.sync.rows import Incoming, Related, as_stored, base_of, encoder_of, keepable_record, table_of

_REFERENCE_COLUMNS = (
    "record_type", "external_id", "object_id", "snapshot", "content_hash", "source_version", "source_updated_at", "matched_by",
)  # fmt: skip

UNSTORABLE = (DataError, IntegrityError, OverflowError, UnicodeEncodeError)
"""What a database, or its driver, raises at a value that no column holds."""

NO_MATCH = Match({})
MATCHED = [record_type for record_type, binding in BINDINGS.items() if binding.match]


class Reconciler:
    """Stores pages of one integration's records; one object serves a whole run."""

    def __init__(self, integration: Integration, run: SyncRun | None = None) -> None:
        self.integration = integration
        self.run = run
        self.rules = Rules.of(integration)
        self.ids = bulk.Ids()
        self.links = Links(integration)
        self.deletions = Deletions(integration, run, self.rules, self.links)
        self.let_go: dict[str, set[str]] = defaultdict(set)
        """Guests whom a stay no longer names, by record type: the vendor may have merged them into others."""
        self._references: list[tuple[Any, ...]] = []
        self._savepoint = ExitStack()
        self._is_saved = False
        self.now = timezone.now()

    def store(self, records: Iterable[Record]) -> Counts:
        """Store one page in the caller's transaction. A record the database refuses does not keep the others out."""
        self.now = timezone.now()
        groups: dict[str, list[Record]] = defaultdict(list)
        ahead, limit = 0, self.now + AHEAD
        for record in records:
            groups[record.record_type].append(keepable_record(record))
            ahead += record.updated_at is not None and record.updated_at > limit
        if not groups:
            return Counts()
        hold(self.integration, with_hotel=any(BINDINGS[record_type].match for record_type in groups))
        self.links.forget(MATCHED)  # a person may have split a guest since the last page
        ordered = {record_type: groups[record_type] for record_type in BINDINGS if record_type in groups}
        try:
            counts = self._store_together(ordered)
        except UNSTORABLE:
            counts = self._store_one_by_one(ordered)
        counts.ahead = ahead
        return counts

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
            self.links.forget()  # rows that are gone with the savepoint
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
        self.deletions.delete_named(record_type, external_ids, counts, self.now)
        return counts.deleted

    # --- one record type of a page ---------------------------------------------------------------------------------------------

    def _store(
        self,
        binding: Binding,
        records: list[Record],
        counts: Counts,
        parents: Mapping[str, int] = NOTHING,
        prepared: Mapping[str, Incoming] = NOTHING,
    ) -> None:
        encode = encoder_of(binding)
        latest = {record.external_id: record for record in records}
        if len(latest) < len(records):  # the page names one twice
            latest = newest(records)
        known = find_known(self.integration.pk, binding.record_type, list(latest))
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
                    gone.append(self._followed(binding, record, row) if record.merged_into else row)
                if row:  # what was changed before the deletion may still arrive after it
                    moved_on.append((*stamp(record, row, self.now), row.id))
            else:
                incoming = prepared.get(external_id) or encode(record)
                if row and row.content_hash == incoming.content_hash and row.deleted_at is None:
                    counts.unchanged += 1
                    if (record.version, record.updated_at) != (row.version, row.updated_at) and not self._is_ahead(record):
                        moved_on.append((*stamp(record, row, self.now), row.id))
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
            self.deletions.delete(binding, gone, counts, self.now)
        bulk.update(ExternalReference, ("source_version", "source_updated_at"), moved_on)

    def _is_ahead(self, record: Record) -> bool:
        return record.updated_at is not None and record.updated_at > self.now

    def _followed(self, binding: Binding, record: Record, gone: Known) -> Known:
        """Let the guest whom the vendor kept hold the one who is gone."""
        kept = find_known(self.integration.pk, binding.record_type, [record.merged_into]).get(record.merged_into)
        if binding.model is not Guest or kept is None or kept.deleted_at or kept.object_id == gone.object_id:
            return gone
        self._about_to_write()
        return gone._replace(object_id=kept.object_id) if follow(self.integration, kept.object_id, gone.object_id) else gone

    def _accepts(self, binding: Binding, incoming: Incoming, counts: Counts) -> bool:
        try:
            table_of(binding).check(incoming)
            for nested in incoming.nested:
                table_of(BINDINGS[binding.child]).check(nested)
        except RecordRejected as refusal:
            counts.rejected.append((incoming.record, refusal.message))
            return False
        return True

    # --- new records -----------------------------------------------------------------------------------------------------------

    def _create(self, binding: Binding, new: list[Incoming], counts: Counts, parents: Mapping[str, int]) -> None:
        table = table_of(binding)
        records = [incoming.record for incoming in new]
        match = binding.match(self.integration, records) if binding.match else NO_MATCH
        matches = match.rows
        fresh = [record for record in records if record.external_id not in matches]
        taken = self.ids.take(binding.model, len(fresh))
        ids = {record.external_id: pk for record, pk in zip(fresh, taken, strict=True)}
        related = self.links.resolve(binding, records, ids)
        about_parent = [(parents[record.external_id],) for record in fresh] if binding.parent else repeat(())
        bulk.insert(
            binding.model,
            table.columns,
            [(pk, *parent, *table.values(record, related)) for record, pk, parent in zip(fresh, taken, about_parent, strict=False)],
            {"hotel_id": self.integration.hotel_id, "created_at": self.now, "updated_at": self.now, **table.defaults},
        )
        ids |= {external_id: pk for external_id, (pk, _) in matches.items()}
        if match.questions:
            ask_about(self.integration.hotel_id, [(ids[external_id], pk, reasons) for external_id, pk, reasons in match.questions])
        self._references += [
            (
                binding.record_type, record.external_id, ids[record.external_id], snapshot, digest, record.version, not_after(record, self.now),
                matches[record.external_id][1] if record.external_id in matches else "",
            )
            for record, snapshot, digest, _ in new
        ]  # fmt: skip
        if binding.record_type in REFERRED_TO:
            self.links.remember(binding.record_type, ids)
        counts.created += len(new)
        self._fill_gaps(binding, [record for record in records if record.external_id in matches], ids, related)
        self.links.await_missing(binding, records, ids, related)
        self.links.fill_pending(binding, ids)
        for name in binding.links:
            self.links.link(binding, name, records, ids, related)
        if binding.children:
            self._store_children(binding, new, ids)

    def _flush_references(self) -> None:
        """Write the references of a page's new records, of all types at once."""
        references, self._references = self._references, []
        constants = {"integration_id": self.integration.pk, "synced_at": self.now, "deleted_at": None}
        bulk.insert(ExternalReference, _REFERENCE_COLUMNS, references, constants)

    def _fill_gaps(self, binding: Binding, matched: list[Record], ids: Mapping[str, int], related: Related) -> None:
        """Let a record that stands for a row the hotel has already fill in only what that row lacks."""
        table = table_of(binding)
        rows = held_rows(binding, [ids[record.external_id] for record in matched])
        for record in matched:
            row = rows[ids[record.external_id]]
            values = dict(zip(table.content, table.values(record, related), strict=True))
            filled = {column: value for column, value in values.items() if row[column] in (None, "", "unknown", False, {}, []) and value}
            if filled or row["archived_at"]:
                binding.model.objects.filter(pk=row["id"]).update(**filled, archived_at=None, updated_at=self.now)

    # --- changed records -------------------------------------------------------------------------------------------------------

    def _change(self, binding: Binding, changed: list[tuple[Incoming, Known]], counts: Counts) -> None:
        table = table_of(binding)
        unchanged = counts.unchanged
        references_of = ExternalReference.objects.filter(pk__in=[row.id for _, row in changed])
        bases = {pk: (snapshot, synced_at) for pk, snapshot, synced_at in references_of.values_list("id", "snapshot", "synced_at")}
        rows = held_rows(binding, [row.object_id for _, row in changed])
        related = self.links.resolve(binding, [*(incoming.record for incoming, _ in changed), *(base for base, _ in bases.values())])
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
            references.append((snapshot, digest, *stamp(record, row, self.now), self.now, None, row.id))
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
            self.links.await_missing(binding, records, ids, related)
        self._note_let_go(binding, [(record, bases[row.id][0]) for (record, *_), row in changed])
        self.links.relink(binding, [(record, bases[row.id][0]) for (record, *_), row in changed], ids, related)
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
        values = table_of(binding).values(record, related)
        for (name, column), theirs in zip(table_of(binding).fields.items(), values, strict=True):
            was = base_of(binding, name, column, base, ours, related)
            decision = decide(
                as_stored(column, was),
                as_stored(column, theirs),
                as_stored(column, ours[column.column]),
                self.rules.find(binding.record_type, name),
                theirs_at=record.updated_at,
                ours_at=ours_at,
            )
            if decision.rule and binding.model is Guest and self._is_spelling(name, theirs, was, ours[column.column]):
                decision = Decision(False)
            yield column, theirs, was, decision

    def _is_spelling(self, name: str, theirs: Any, was: Any, ours: Any) -> bool:
        """Say whether the vendor has changed nothing but how it spells what it had, or what the hotel has."""
        hotel = self.integration.hotel
        country = hotel.country or country_of(hotel.time_zone)
        return any(is_spelling(name, theirs, other, country) for other in (was, ours))

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

    def _note_let_go(self, binding: Binding, changed: list[tuple[Record, Mapping[str, Any]]]) -> None:
        for name, (_, record_type) in (*binding.relations.items(), *binding.links.items()):
            if record_type in MATCHED:
                for record, base in changed:
                    self.let_go[record_type] |= _ids(base.get(name)) - _ids(getattr(record, name))

    def _drop_lost_children(self, binding: Binding, records: list[Record], ids: Mapping[str, int]) -> None:
        kept = {nested.external_id for record in records for nested in getattr(record, binding.children)}
        lost = [external_id for external_id in self.deletions.children(binding, ids.values()) if external_id not in kept]
        self.deletions.delete_named(binding.child, lost, Counts(), self.now)


def _ids(named: Any) -> set[str]:
    """Return what a relation or a link names."""
    return {named} - {""} if isinstance(named, str) else set(named or ())


def hold(integration: Integration, *, with_hotel: bool) -> None:
    """Let one page of an integration be stored at a time until the transaction ends, and one of a hotel where records are matched to its
    rows (`with_hotel`)."""
    bulk.hold(Integration, integration.pk)
    if with_hotel:
        bulk.hold(Hotel, integration.hotel_id)


def apply_records(integration: Integration, records: Iterable[Record], run: SyncRun | None = None) -> Counts:
    """Store records outside of a run (a webhook that carries them whole). Needs a transaction around it."""
    good, refused = [], []
    for record in records:
        try:
            good.append(values.judged(record))
        except RecordRejected as refusal:
            refused.append((record, refusal.message))
    counts = Reconciler(integration, run).store(good)
    counts.rejected += refused
    return counts
