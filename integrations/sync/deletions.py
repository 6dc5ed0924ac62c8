"""What a vendor no longer has: its references are marked, and the rows that no other vendor knows are archived."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from integrations.models import Conflict, ConflictWinner, ExternalReference, Integration, SyncRun
from integrations.sync.bindings import BINDINGS, Binding
from integrations.sync.conflicts import DELETED, Rule, Rules
from integrations.sync.known import Counts, Known, find_known, held_rows
from integrations.sync.links import Links
from integrations.sync.rows import Related, as_stored, base_of, table_of


class Deletions:
    """Deletes one integration's records."""

    def __init__(self, integration: Integration, run: SyncRun | None, rules: Rules, links: Links) -> None:
        self.integration = integration
        self.run = run
        self.rules = rules
        self.links = links

    def delete_named(self, record_type: str, external_ids: Sequence[str], counts: Counts, now: datetime) -> None:
        known = find_known(self.integration.pk, record_type, external_ids)
        self.delete(BINDINGS[record_type], [row for row in known.values() if row.deleted_at is None], counts, now)

    def delete(self, binding: Binding, gone: list[Known], counts: Counts, now: datetime) -> None:
        object_ids = {row.object_id for row in gone}
        ExternalReference.objects.filter(pk__in=[row.id for row in gone]).update(deleted_at=now, synced_at=now)
        still_known = ExternalReference.objects.filter(
            record_type=binding.record_type, object_id__in=object_ids, deleted_at__isnull=True
        ).values_list("object_id", flat=True)
        leaving = object_ids - set(still_known)
        kept = self._kept_by_hotel(binding, [row for row in gone if row.object_id in leaving], counts)
        if binding.child:
            self.delete_named(binding.child, self.children(binding, object_ids - kept), Counts(), now)
        binding.model.objects.filter(pk__in=leaving - kept).update(archived_at=now, updated_at=now)
        counts.deleted += len(gone)

    def _kept_by_hotel(self, binding: Binding, gone: list[Known], counts: Counts) -> set[int]:
        """Return the rows that stay, because the hotel changed them and its rule says that this counts more than the deletion."""
        if binding.parent:
            return set()  # a nested row goes with what the vendor says of its parent
        bases = dict(ExternalReference.objects.filter(pk__in=[row.id for row in gone]).values_list("id", "snapshot"))
        rows = held_rows(binding, [row.object_id for row in gone])
        related = self.links.resolve(binding, bases.values())
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
            all(as_stored(column, base_of(binding, name, column, base, ours, related)) != mine for base in bases)
            for name, column in table_of(binding).fields.items()
            for mine in (as_stored(column, ours[column.column]),)
        )

    def children(self, binding: Binding, parent_ids: Iterable[int]) -> list[str]:
        """Return what this vendor calls the live children of these rows."""
        child = BINDINGS[binding.child]
        # Two questions, each with an index of its own; as one, the planner reads all of the integration's references.
        rows = child.model.objects.filter(**{f"{child.parent}__in": list(parent_ids)}).values_list("id", flat=True)
        references = ExternalReference.objects.filter(
            object_id__in=list(rows), record_type=child.record_type, integration=self.integration, deleted_at__isnull=True
        )
        return list(references.values_list("external_id", flat=True))
