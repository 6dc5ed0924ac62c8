"""A guest as hotel staff handle them: edited here and told to the systems that take changes, joined where one person was taken for two, and
split again where two were taken for one.

The hotel's row is changed first, together with the operations that tell the vendors; a vendor that takes none keeps its own value, and the
hotel's counts as an edit when the two are merged. Called by API, console and `conflicts`.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from hotels.models import Guest, GuestQuestion, Hotel, Verdict
from integrations.exceptions import InvalidInput
from integrations.models import ExternalReference, Operation
from integrations.outbox import enqueue
from integrations.services import registry, service_for
from integrations.services.inputs import GuestChangesInput, GuestEditInput, read
from integrations.sync import bulk
from integrations.sync.bindings import BINDINGS
from integrations.sync.joining import AlreadyJoined, join
from integrations.sync.reconcile import hold
from integrations.sync.rows import as_stored
from integrations.transport import correlation

TELL = "update_guest_info"
TOLD = frozenset(GuestChangesInput.model_fields)
"""What vendors can be told of a guest; the rest is the hotel's alone."""
SPLIT, JOINED = "split by hand", "joined by hand"
"""`matched_by` of what a person took apart, or put together. Only records seen for the first time are matched, so no sync undoes it."""


def known_as(guest: Guest) -> QuerySet[ExternalReference]:
    """Return what the hotel's systems call a guest, and why one of them was taken for this guest."""
    found = ExternalReference.objects.filter(record_type="guest", object_id=guest.pk, deleted_at=None)
    return found.select_related("integration__hotel").order_by("id")


# --- editing -------------------------------------------------------------------------------------------------------------------


def edit_guest(guest: Guest, changes: Mapping[str, Any], *, user: Any = None) -> list[Operation]:
    """Change a guest (`inputs.GuestEditInput`), and return the operations that tell the systems which know them. Raises InvalidInput."""
    given = read(GuestEditInput, changes).model_dump(exclude_unset=True)
    return change_guest(guest, {name: "" if value is None else value for name, value in given.items()}, user=user)


def change_guest(guest: Guest, values: Mapping[str, Any], *, user: Any = None) -> list[Operation]:
    """Write values into a guest's row, and what tells the vendors, in one transaction; once it has committed, tell them.

    What the row has already is no change, so the same edit twice is one.
    """
    with correlation.bind(correlation.current()), transaction.atomic():
        row = Guest.objects.select_for_update(no_key=True).get(pk=guest.pk)
        changed = {name: value for name, value in values.items() if getattr(row, name) != value}
        if not changed:
            return []
        Guest.objects.filter(pk=row.pk).update(**changed, updated_at=timezone.now())
        operations = [told for reference in known_as(row) if (told := _tell(reference, changed, user))]
        # The edit stands whatever becomes of the first try: a worker goes on.
        transaction.on_commit(partial(_deliver, operations, user), robust=True)
    guest.refresh_from_db()
    return operations


def _tell(reference: ExternalReference, changed: Mapping[str, Any], user: Any) -> Operation | None:
    """Write down that a vendor shall be told; None if it takes no changes, or has these values already."""
    integration = reference.integration
    telling = {name: value for name, value in changed.items() if name in TOLD}
    if not telling or integration.provider not in registry.providers():
        return None
    if TELL not in [operation.name for operation in service_for(integration).operations()]:
        return None
    about = f"guest:{reference.object_id}"
    if refused := registry.get(integration.provider).manifest.operation(TELL).refused(telling, integration.provider_name):
        raise InvalidInput(refused)
    on_its_way = Operation.objects.filter(integration=integration, object_key=about, name=TELL, status__in=Operation.OPEN)
    if all(reference.snapshot.get(name) == value for name, value in telling.items()) and not on_its_way.exists():
        return None
    payload = {"guest_external_id": reference.external_id, "changes": telling}
    return enqueue.enqueue(
        integration,
        TELL,
        payload,
        key=f"edit:{uuid.uuid4()}",
        asked=enqueue.fingerprint(TELL, payload),
        object_key=about,
        record_type="guest",
        object_id=reference.object_id,
        user=user,
    )


def _deliver(operations: Sequence[Operation], user: Any) -> None:
    for operation in operations:
        service_for(operation.integration, user=user).deliver(operation)


# --- one person or two ---------------------------------------------------------------------------------------------------------


def questions(hotel_ids: Collection[int] | QuerySet) -> QuerySet[GuestQuestion]:
    """Return what a person shall decide, and what was decided. Two guests that one system tells apart meanwhile are two: that is no question
    any more."""
    known = ExternalReference.objects.filter(record_type="guest", deleted_at=None)
    to_the_same = known.filter(
        object_id=OuterRef("guest_id"), integration__in=known.filter(object_id=OuterRef(OuterRef("other_id"))).values("integration")
    )
    found = GuestQuestion.objects.filter(hotel__in=hotel_ids).select_related("guest", "other", "hotel")
    return found.exclude(Exists(to_the_same), verdict__in=GuestQuestion.WAITING)


def decide(question: GuestQuestion, verdict: Verdict, *, user: Any = None) -> Guest:
    """Note whether two guests are one person; if they are, join them. Returns the guest that holds the person now.

    The same answer twice is one. Raises InvalidInput where they were joined already, or one of them is another person's by now.
    """
    with transaction.atomic():
        bulk.hold(Hotel, question.hotel_id)
        question = GuestQuestion.objects.select_for_update(of=("self",), no_key=True).select_related("guest", "other").get(pk=question.pk)
        if question.verdict == Verdict.SAME:
            if verdict == Verdict.SAME:
                return question.guest
            raise InvalidInput({"verdict": "They were joined already. Split the guest if that was wrong."})
        if verdict == Verdict.SAME:
            try:
                join(question.guest_id, question.other_id, JOINED)
            except AlreadyJoined:
                sentence = "One of the two was joined with somebody else meanwhile. Look at the guests again."
                raise InvalidInput({"verdict": sentence}) from None
        question.verdict = verdict
        question.decided_by = user if getattr(user, "pk", None) else None
        question.decided_at = timezone.now()
        question.save(update_fields=["verdict", "decided_by", "decided_at"])
    question.guest.refresh_from_db()
    return question.guest


# --- splitting -----------------------------------------------------------------------------------------------------------------


def split_guest(reference: ExternalReference) -> Guest:
    """Give a vendor's record of a guest a row of its own again, and return that.

    What the vendor said of the guest goes along: reservations and messages it tied to this record, and what the old row has from it
    alone. Raises InvalidInput if nobody else knows the guest by another name.
    """
    with transaction.atomic():
        hold(reference.integration, with_hotel=True)
        reference.refresh_from_db()
        old = Guest.objects.select_for_update(no_key=True).get(pk=reference.object_id)
        staying = list(known_as(old).exclude(pk=reference.pk))
        if not staying or reference.deleted_at:
            raise InvalidInput({"reference_id": "Only this system knows the guest, so there is nothing to split."})
        columns = {name: Guest._meta.get_field(name) for name in BINDINGS["guest"].copied}
        said = {name: column.to_python(reference.snapshot[name]) for name, column in columns.items() if name in reference.snapshot}
        new = Guest.objects.create(hotel_id=old.hotel_id, **said)
        reference.object_id, reference.matched_by = new.pk, SPLIT
        reference.save(update_fields=["object_id", "matched_by"])
        if len(staying) == 1 and staying[0].matched_by:
            ExternalReference.objects.filter(pk=staying[0].pk).update(matched_by=SPLIT)
        answer = {"verdict": Verdict.DIFFERENT, "decided_at": timezone.now()}
        GuestQuestion.objects.update_or_create(hotel_id=old.hotel_id, guest=old, other=new, defaults=answer)
        _give_back(old, reference.snapshot, [other.snapshot for other in staying])
        _move_along(reference, old, new)
    return new


def _give_back(old: Guest, leaving: Mapping[str, Any], staying: Sequence[Mapping[str, Any]]) -> None:
    """Take out of the old row what only the leaving record said: it is somebody else's."""
    borrowed = {}
    for name in BINDINGS["guest"].copied:
        value = as_stored(Guest._meta.get_field(name), getattr(old, name))
        if value and value == leaving.get(name) and all(other.get(name) != value for other in staying):
            borrowed[name] = staying[0].get(name, Guest._meta.get_field(name).get_default())
    if borrowed:
        Guest.objects.filter(pk=old.pk).update(**borrowed, updated_at=timezone.now())


def _move_along(reference: ExternalReference, old: Guest, new: Guest) -> None:
    """Let what this vendor tied to the record follow it."""
    for binding in BINDINGS.values():
        for name, (attribute, record_type) in binding.relations.items():
            if record_type != "guest":
                continue
            tied = ExternalReference.objects.filter(
                integration=reference.integration, record_type=binding.record_type, **{f"snapshot__{name}": reference.external_id}
            )
            rows = binding.model.objects.filter(pk__in=tied.values("object_id"), **{attribute: old})
            rows.update(**{attribute: new}, updated_at=timezone.now())
    came_along = ExternalReference.objects.filter(
        integration=reference.integration, record_type="reservation", object_id__in=old.accompanied.values("id")
    )
    for stay_id, snapshot in came_along.values_list("object_id", "snapshot"):
        if reference.external_id in snapshot.get("companion_external_ids", ()):
            old.accompanied.remove(stay_id)
            new.accompanied.add(stay_id)
