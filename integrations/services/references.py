"""From the ids people send to the hotel's rows and the vendor's ids, and back.

In a request a number is Hospient's own id, a text the vendor's. A row of another hotel answers as one that never existed.
"""

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils import timezone

from hotels.models import Guest, GuestCheck, HotelRecord, Notification, Reservation, Room
from integrations.exceptions import InvalidInput, RequestRejected
from integrations.models import ExternalReference, Integration, Operation
from integrations.services import registry
from integrations.services.base import Provider
from integrations.sync.bindings import BINDINGS
from integrations.sync.reconcile import hold
from integrations.sync.rows import Table, as_stored


class References:
    """The references of one integration."""

    def __init__(self, integration: Integration) -> None:
        self.integration = integration
        self._provider = registry.providers().get(integration.provider, Provider)

    # --- from a request to rows and ids ----------------------------------------------------------------------------------------

    def external_id(self, record_type: str, row: models.Model | None) -> str:
        """Return what this vendor calls a row; empty if it does not know it."""
        if row is None:
            return ""
        found = ExternalReference.objects.filter(
            integration=self.integration, record_type=record_type, object_id=row.pk, deleted_at__isnull=True
        ).order_by("-synced_at")
        return found.values_list("external_id", flat=True).first() or ""

    def row(self, record_type: str, external_id: str) -> Any:
        """Return the hotel's row a vendor's id stands for, or None."""
        object_id = (
            ExternalReference.objects.filter(
                integration=self.integration, record_type=record_type, external_id=self._provider.spelled(external_id)
            )
            .values_list("object_id", flat=True)
            .first()
        )
        return BINDINGS[record_type].model.objects.filter(pk=object_id).first() if object_id else None

    def guest(self, reference: int | str | None, field: str = "guest_id") -> tuple[Guest | None, str]:
        """Return the guest and what this vendor calls them. Raises InvalidInput for a number this hotel has no guest for."""
        return self._find(Guest, "guest", reference, field)

    def reservation(self, reference: int | str | None, field: str = "reservation_id") -> tuple[Reservation | None, str]:
        return self._find(Reservation, "reservation", reference, field)

    def notification(self, reference: int | str, field: str = "notification_id") -> tuple[Notification | None, str]:
        return self._find(Notification, "notification", reference, field)

    def _find(self, model: type[HotelRecord], record_type: str, reference: int | str | None, field: str) -> tuple[Any, str]:
        if reference is None:
            return None, ""
        if isinstance(reference, str):
            if not reference.strip():
                raise InvalidInput({field: "It is empty. Give an id, or leave the field out."})
            return self.row(record_type, reference), self._provider.spelled(reference)
        row = model.objects.filter(hotel=self.integration.hotel_id, pk=reference).first() if abs(reference) < 2**63 else None
        if row is None:
            raise InvalidInput({field: f"This hotel has no {model._meta.verbose_name} {reference}."})
        row = getattr(row, "merged_into", None) or row  # who holds a guest that was joined with another
        return row, self.external_id(record_type, row)

    def check_room(self, number: str, field: str = "room_number") -> None:
        """Refuse a room the hotel does not have. A hotel whose rooms are not known (it has no PMS here) may name any."""
        rooms = Room.live.filter(hotel=self.integration.hotel_id)
        if number and not rooms.filter(number=number).exists() and rooms.exists():
            raise InvalidInput({field: f"This hotel has no room “{number}”. Check the number; 0101 and 101 are different rooms."})

    # --- at delivery -----------------------------------------------------------------------------------------------------------

    def complete(self, payload: Mapping[str, Any], operation: Operation) -> dict[str, Any]:
        """Fill in a vendor's id that was not known when the operation was written down: the check a void speaks of."""
        if payload.get("check_external_id") != "":
            return dict(payload)
        check = GuestCheck.objects.filter(pk=operation.object_id).first()
        if not (external_id := self.external_id("guest_check", check)):
            raise RequestRejected("The check never reached the vendor, so there is nothing to void.", hint="Retry its posting first.")
        return dict(payload) | {"check_external_id": external_id}

    # --- from an answer to rows ------------------------------------------------------------------------------------------------

    def remember(self, record_type: str, external_id: str, row: models.Model) -> None:
        """Tie a row that Hospient made to what the vendor calls it; from here on the vendor's changes are merged into it.

        A system that does not say what it calls it (`external_id` empty) leaves the row unknown to it.
        """
        if not external_id:
            return
        hold(self.integration, with_hotel=False)
        self._drop_echo(record_type, external_id, row)
        ExternalReference.objects.update_or_create(
            integration=self.integration,
            record_type=record_type,
            external_id=external_id,
            defaults={
                "object_id": row.pk,
                "snapshot": self._snapshot(record_type, row),
                "content_hash": "",
                "synced_at": timezone.now(),
                "deleted_at": None,
            },
        )

    def _drop_echo(self, record_type: str, external_id: str, row: models.Model) -> None:
        """Archive the row that a vendor's webhook or a sync has made of this record meanwhile: they were faster than the answer."""
        echo = (
            self._known(record_type).filter(external_id=external_id).exclude(object_id=row.pk).values_list("object_id", flat=True).first()
        )
        if echo and not Operation.objects.filter(record_type=record_type, object_id=echo).exists():
            row.__class__.objects.filter(pk=echo).update(archived_at=timezone.now())

    def agree(self, record_type: str, row: models.Model | None, **values: Any) -> None:
        """Note that hotel and vendor both have these values now, so that the vendor's echo is no change."""
        if row is None:
            return
        row.__class__.objects.filter(pk=row.pk).update(**values, updated_at=timezone.now())
        self._told(self._known(record_type).filter(object_id=row.pk), values)

    def accepted(self, record_type: str, external_id: str, values: Mapping[str, Any], hotel_had: Mapping[str, Any]) -> None:
        """Note that the vendor has taken these values. The hotel's row takes over those that nobody changed meanwhile: it still has what
        the vendor told before, or what it had when the vendor was asked to take them (`hotel_had`)."""
        known = self._known(record_type).filter(external_id=external_id)
        row = BINDINGS[record_type].model.objects.select_for_update(no_key=True).filter(pk__in=known.values("object_id")).first()
        if row is None:
            return
        told = known.values_list("snapshot", flat=True)[0]
        taken = {name: value for name, value in values.items() if getattr(row, name) in (told.get(name), hotel_had.get(name))}
        if taken:
            row.__class__.objects.filter(pk=row.pk).update(**taken, updated_at=timezone.now())
        self._told(known, values)

    def _known(self, record_type: str) -> models.QuerySet[ExternalReference]:
        return ExternalReference.objects.filter(integration=self.integration, record_type=record_type)

    def _told(self, known: models.QuerySet[ExternalReference], values: Mapping[str, Any]) -> None:
        """Note in a reference's snapshot what the vendor has been told. Locked after the row, as a sync does it."""
        if reference := known.select_for_update(no_key=True).first():
            columns = Table(BINDINGS[reference.record_type]).fields
            reference.snapshot |= {name: as_stored(columns[name], value) for name, value in values.items() if name in columns}
            reference.save(update_fields=["snapshot"])

    def _snapshot(self, record_type: str, row: models.Model) -> dict[str, Any]:
        binding = BINDINGS[record_type]
        columns = Table(binding).fields
        snapshot = {name: as_stored(columns[name], getattr(row, name)) for name in binding.copied}
        for name, (attribute, target) in binding.relations.items():
            snapshot[name] = self.external_id(target, getattr(row, attribute))
        return snapshot
