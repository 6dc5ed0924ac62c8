"""What records point to: turned into the hotel's rows, and waited for where it has not come yet."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django.db import models

from integrations.models import Integration, PendingLink
from integrations.records import Record
from integrations.sync import bulk
from integrations.sync.bindings import BINDINGS, Binding
from integrations.sync.known import find_known
from integrations.sync.rows import Related

_REMEMBERED = 10_000
"""How many rows that others point to are kept in mind, of each type: categories, taxes, the guests of a page."""

POINTED_TO = {record_type for binding in BINDINGS.values() for _, record_type in binding.relations.values()}
REFERRED_TO = POINTED_TO | {record_type for binding in BINDINGS.values() for _, record_type in binding.links.values()}

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Links:
    """The relations of one integration's records, while a run stores them."""

    def __init__(self, integration: Integration) -> None:
        self.integration = integration
        self._remembered: dict[str, dict[str, int]] = defaultdict(dict)

    def forget(self, record_types: Iterable[str] | None = None) -> None:
        """Look again for what was found before, of these types or of all."""
        for record_type in list(self._remembered) if record_types is None else record_types:
            self._remembered.pop(record_type, None)

    def resolve(self, binding: Binding, values: Iterable[Any], ids: Mapping[str, int] = NOTHING) -> Related:
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

    def _ids_of(self, record_type: str, external_ids: set[str]) -> dict[str, int]:
        """Return the hotel's rows of what others point to; what was found once is not asked again."""
        remembered = self._remembered[record_type]
        missing = [external_id for external_id in external_ids if external_id not in remembered]
        found = {external_id: remembered[external_id] for external_id in external_ids if external_id in remembered}
        if missing:
            asked = {external_id: row.object_id for external_id, row in find_known(self.integration.pk, record_type, missing).items()}
            self.remember(record_type, asked)
            found |= asked
        return found

    def remember(self, record_type: str, ids: Mapping[str, int]) -> None:
        if len(self._remembered[record_type]) > _REMEMBERED:
            self._remembered[record_type].clear()
        self._remembered[record_type] |= ids

    def await_missing(self, binding: Binding, records: list[Record], ids: Mapping[str, int], related: Related) -> None:
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

    def fill_pending(self, binding: Binding, ids: Mapping[str, int]) -> None:
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

    def link(self, binding: Binding, name: str, records: list[Record], ids: Mapping[str, int], related: Related) -> None:
        through, source, target = _through(binding, name)
        pairs = (
            (ids[record.external_id], related[name][external_id])
            for record in records
            for external_id in dict.fromkeys(getattr(record, name))
            if external_id in related[name]
        )
        bulk.insert(through, (source, target), pairs)

    def relink(self, binding: Binding, changed: list[tuple[Record, Mapping[str, Any]]], ids: Mapping[str, int], related: Related) -> None:
        """Link anew what the vendor links otherwise than before."""
        for name in binding.links:
            moved = [record for record, base in changed if list(getattr(record, name)) != base.get(name)]
            if moved:
                through, source, _ = _through(binding, name)
                through.objects.filter(**{f"{source}__in": [ids[record.external_id] for record in moved]}).delete()
                self.link(binding, name, moved, ids, related)


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
