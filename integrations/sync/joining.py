"""Makes one guest of two: on a person's word, or because a vendor made one of its own two."""

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from hotels.models import Guest, GuestQuestion, Reservation, Verdict
from integrations.models import ExternalReference, Integration
from integrations.sync.bindings import BINDINGS

MERGED = "merged at the vendor"


class AlreadyJoined(Exception):
    """One of the two is another person's by now."""


def join(guest_id: int, other_id: int, why: str) -> None:
    """Let one guest hold all that there is of another: what the systems call them, stays, messages, checks, and what the one lacks.

    Needs a transaction around it. Raises AlreadyJoined.
    """
    held = {row.pk: row for row in Guest.objects.select_for_update(no_key=True).filter(pk__in=(guest_id, other_id)).order_by("pk")}
    if any(row.merged_into_id for row in held.values()):
        raise AlreadyJoined()
    guest, other = held[guest_id], held[other_id]
    now = timezone.now()
    ExternalReference.objects.filter(record_type="guest", object_id=other.pk).update(object_id=guest.pk, matched_by=why)
    Reservation.companions.through.objects.filter(guest=other, reservation__in=guest.accompanied.values("id")).delete()
    for relation in Guest._meta.get_fields(include_hidden=True):
        if relation.one_to_many and relation.related_model not in (Guest, GuestQuestion):
            relation.related_model._base_manager.filter(**{relation.field.name: other}).update(**{relation.field.name: guest})
    lacking = {name: getattr(other, name) for name in BINDINGS["guest"].copied if not getattr(guest, name) and getattr(other, name)}
    Guest.objects.filter(pk=guest.pk).update(
        **lacking, archived_at=None if other.archived_at is None else guest.archived_at, updated_at=now
    )
    Guest.objects.filter(merged_into=other).update(merged_into=guest)
    Guest.objects.filter(pk=other.pk).update(merged_into=guest, archived_at=other.archived_at or now, updated_at=now)
    GuestQuestion.objects.filter(Q(guest=other) | Q(other=other), verdict__in=GuestQuestion.WAITING).exclude(
        guest=guest, other=other
    ).delete()  # whoever is like the other one is asked about again when they are seen


def follow(integration: Integration, kept_id: int, gone_id: int) -> bool:
    """Join two guests whom a vendor merged, unless somebody said that they are two, or another system tells them apart. Say whether it was
    done."""
    pair = (min(kept_id, gone_id), max(kept_id, gone_id))
    if GuestQuestion.objects.filter(guest=pair[0], other=pair[1], verdict=Verdict.DIFFERENT).exists():
        return False
    known = ExternalReference.objects.filter(record_type="guest", deleted_at=None).exclude(integration=integration)
    if known.filter(Exists(known.filter(integration=OuterRef("integration"), object_id=kept_id)), object_id=gone_id).exists():
        return False
    try:
        join(kept_id, gone_id, MERGED)
    except AlreadyJoined:
        return False
    return True
