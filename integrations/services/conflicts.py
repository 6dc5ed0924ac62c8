"""Deciding a conflict for the side that lost: its value goes into the hotel's row, and out to the systems that take it.

Who wins by itself is decided in `sync.conflicts`; this is a person's word after that. Called by API and console.
"""

from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from hotels.models import Guest, HotelRecord
from integrations.exceptions import InvalidInput
from integrations.models import Conflict, ConflictWinner, ExternalReference, Operation
from integrations.services.guests import change_guest
from integrations.services.references import References
from integrations.sync.bindings import BINDINGS, Binding
from integrations.sync.conflicts import DELETED
from integrations.sync.reconcile import hold


def apply_conflict(conflict: Conflict, *, user: Any = None) -> list[Operation]:
    """Let the value that lost win after all. Returns the operations that tell the vendors. A second time does nothing.

    Raises InvalidInput where a later conflict is about the same field, or the record's state no longer allows it.
    """
    with transaction.atomic():
        hold(conflict.integration, with_hotel=False)
        conflict.refresh_from_db()
        if conflict.applied_at:
            return []
        same = {"integration": conflict.integration, "record_type": conflict.record_type, "external_id": conflict.external_id}
        if Conflict.objects.filter(**same, field=conflict.field, id__gt=conflict.pk).exists():
            raise InvalidInput({"conflict": "Hotel and vendor changed this field once more since; decide the newest conflict about it."})
        reference = ExternalReference.objects.filter(**same).first()
        binding = BINDINGS[conflict.record_type]
        row = binding.model.objects.filter(pk=reference.object_id if reference else conflict.object_id).first()
        if row is None:
            raise InvalidInput({"conflict": "The hotel does not have this record any more."})
        if conflict.field == DELETED:
            operations = _bring_back(binding, row) if conflict.winner == ConflictWinner.VENDOR else _archive(binding, row)
        else:
            operations = _write(conflict, binding, row, reference, user)
        conflict.applied_at = timezone.now()
        conflict.save(update_fields=["applied_at"])
    return operations


def loser(conflict: Conflict) -> Any:
    """Return the value that lost, as it is kept."""
    return conflict.hotel_value if conflict.winner == ConflictWinner.VENDOR else conflict.vendor_value


def _write(conflict: Conflict, binding: Binding, row: HotelRecord, reference: ExternalReference | None, user: Any) -> list[Operation]:
    """Write the value into the row. The reference's snapshot stays what the vendor last told, so its repetition is no change."""
    column = row._meta.get_field(conflict.field)
    value = column.to_python(loser(conflict))
    if column.is_relation:
        if value is None and conflict.winner == ConflictWinner.HOTEL and reference:
            value = _pointed_to(conflict, binding, reference)  # it came after the record that points to it
        if value is not None and not column.related_model.objects.filter(pk=value, hotel_id=row.hotel_id).exists():
            raise InvalidInput({"conflict": "What this field pointed to is not at the hotel any more."})
    if isinstance(row, Guest):
        return change_guest(row, {column.attname: value}, user=user)
    type(row).objects.filter(pk=row.pk).update(**{column.attname: value}, updated_at=timezone.now())
    return []


def _pointed_to(conflict: Conflict, binding: Binding, reference: ExternalReference) -> int | None:
    for name, (attribute, record_type) in binding.relations.items():
        if attribute == conflict.field:
            found: Model | None = References(conflict.integration).row(record_type, reference.snapshot.get(name) or "")
            return found.pk if found else None
    return None


# --- a deletion decided otherwise ----------------------------------------------------------------------------------------------


def _bring_back(binding: Binding, row: HotelRecord) -> list[Operation]:
    """Undo what the vendor's deletion did: to the row, and to the parts that went with it."""
    if binding.child:
        child = BINDINGS[binding.child]
        child.model.objects.filter(**{child.parent: row}, archived_at=row.archived_at).update(archived_at=None)
    type(row).objects.filter(pk=row.pk).update(archived_at=None, updated_at=timezone.now())
    return []


def _archive(binding: Binding, row: HotelRecord) -> list[Operation]:
    """Do what the vendor's deletion would have done."""
    now = timezone.now()
    if ExternalReference.objects.filter(record_type=binding.record_type, object_id=row.pk, deleted_at=None).exists():
        raise InvalidInput({"conflict": "Another of the hotel's systems still has this record, so it stays."})
    if binding.child:
        child = BINDINGS[binding.child]
        parts = child.model.objects.filter(**{child.parent: row}, archived_at=None)
        ExternalReference.objects.filter(record_type=child.record_type, object_id__in=parts.values("pk")).update(deleted_at=now)
        parts.update(archived_at=now)
    type(row).objects.filter(pk=row.pk).update(archived_at=now, updated_at=now)
    return []
