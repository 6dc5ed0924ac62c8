"""Property management: reservations, rooms and guests in; arrivals, departures, charges and requests out."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone

from hotels.models import Guest, Reservation, ReservationStatus, Room
from integrations import values
from integrations.exceptions import InvalidInput, RecordRejected, RequestRejected, RetryableProviderError
from integrations.models import ExternalReference, Operation, SyncRun
from integrations.services.inputs import (
    ChargeInput,
    CheckInInput,
    CheckOutInput,
    GuestChangesInput,
    Input,
    RequestInput,
    check_payable,
    read,
)
from integrations.services.manifest import Kind
from integrations.services.service import IntegrationService
from integrations.sync.reconcile import apply_records


class PmsService(IntegrationService):
    kind = Kind.PMS

    def sync_reservations(self, start_date: date | str | None = None, end_date: date | str | None = None, **options: Any) -> SyncRun:
        """Run the stream `reservations`, for arrivals in a range of dates if one is given."""
        return self.sync("reservations", since=_day(start_date, "start_date"), until=_day(end_date, "end_date"), **options)

    def sync_rooms(self, **options: Any) -> SyncRun:
        return self.sync("rooms", **options)

    def sync_guests(self, **options: Any) -> SyncRun:
        return self.sync("guests", **options)

    # --- arrivals and departures -----------------------------------------------------------------------------------------------

    def post_check_in(self, check_in: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Check a guest in (`inputs.CheckInInput`)."""
        given = read(CheckInInput, check_in)
        check_payable({"deposit_amount": given.deposit_amount}, self.integration.hotel.currency)
        return self._push_stay("post_check_in", given, idempotency_key, check_in_time=_iso(given.check_in_time))

    def post_check_out(self, check_out: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Check a guest out (`inputs.CheckOutInput`); with `dry_run` only ask whether it could be done."""
        given = read(CheckOutInput, check_out)
        check_payable({"final_bill_amount": given.final_bill_amount}, self.integration.hotel.currency)
        return self._push_stay("post_check_out", given, idempotency_key, check_out_time=_iso(given.check_out_time))

    def _push_stay(self, name: str, given: Input, idempotency_key: str, **more: str) -> Operation:
        return self.push(
            name,
            body=given.model_dump(),
            given=given,
            idempotency_key=idempotency_key,
            look=lambda: self._look_at_stay(given),
            prepare=lambda: self._about_stay(given, **more),
        )

    def _about_stay(self, given: Any, **more: Any) -> dict[str, Any]:
        """Prepare what speaks of one stay. Nothing is added to what the caller said: whoever is in the room, the vendor is asked for."""
        self.references.check_room(given.room_number)
        reservation, external_id = self._stay_named(given)
        payload = given.model_dump(mode="json", exclude={"reservation_id", "guest_id"})
        payload |= {"reservation_external_id": external_id, "currency": self.integration.hotel.currency, **more}
        if hasattr(given, "guest_id"):
            payload["guest_external_id"] = self._guest_named(given)
        stay, room = reservation.pk if reservation else external_id[:100], given.room_number
        return {
            "payload": payload,
            "object_key": f"reservation:{stay}" if stay else f"room:{room}" if room else "",
            "record_type": "reservation",
            "object_id": reservation.pk if reservation else None,
        }

    def _look_at_stay(self, given: Any) -> None:
        """Read the reservation a caller named back from the vendor, where our row is missing or has another room: somebody may just have
        come or moved. Raises InvalidInput if the vendor has none of that id. What cannot be asked just now is left to delivery."""
        reservation, external_id = self.references.reservation(given.reservation_id)
        is_doubtful = external_id and (reservation is None or _contradicts(reservation, given))
        declared = self.provider.manifest.stream("reservations")
        if not is_doubtful or declared is None or not declared.by_id:
            return
        try:
            told = self.look("reservations", external_id)
        except RetryableProviderError:
            return
        if not any(record.external_id == external_id and not record.deleted for record in told):
            raise self._unknown_stay(given)

    def _unknown_stay(self, given: Any) -> InvalidInput:
        return InvalidInput({"reservation_id": f"{self.provider.manifest.name} does not know reservation “{given.reservation_id}”."})

    def _stay_named(self, given: Any) -> tuple[Reservation | None, str]:
        """Return the reservation a caller named and what this vendor calls it. Raises InvalidInput for one that the vendor does not know, and
        for one that is in another room than the one named beside it."""
        reservation, external_id = self.references.reservation(given.reservation_id)
        if given.reservation_id is not None and not external_id:
            raise self._unknown_stay(given)
        if reservation and _contradicts(reservation, given):
            sentence = f"Reservation “{external_id}” is in room {reservation.room_number}, not in {given.room_number}."
            raise InvalidInput({"room_number": f"{sentence} Correct one of the two, or leave one out."})
        return reservation, external_id

    def _guest_named(self, given: Any) -> str:
        """Return what the vendor calls the guest; empty if it does not know them, where something else says whom it concerns."""
        _, external_id = self.references.guest(given.guest_id)
        if given.guest_id is not None and not external_id and given.reservation_id is None and not given.room_number:
            raise InvalidInput(
                {"guest_id": f"{self.provider.manifest.name} does not know this guest. Give a room_number or a reservation_id."}
            )
        return external_id

    # --- charges and requests --------------------------------------------------------------------------------------------------

    def post_charge(self, charge: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Charge something to a room or a reservation (`inputs.ChargeInput`). With a room alone, whoever the vendor says is in it at that
        moment pays; of several, the one in `guest_name`."""
        given = read(ChargeInput, charge)
        check_payable({"amount": given.amount}, given.currency or self.integration.hotel.currency)
        return self._push_stay("post_charge", given, idempotency_key, currency=given.currency or self.integration.hotel.currency)

    def send_request(self, request: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Send a guest's wish to the hotel's staff (`inputs.RequestInput`)."""
        given = read(RequestInput, request)
        return self._push_stay("send_request", given, idempotency_key)

    # --- rooms and guests ------------------------------------------------------------------------------------------------------

    def get_room_status(self, room_number: str | None = None) -> list[Room]:
        """Ask the vendor for one room or all, note it, and return the hotel's rooms."""
        records = self.ask("get_room_status", room_number=room_number or "")
        if room_number and not records:
            raise InvalidInput({"room_number": f"{self.provider.manifest.name} knows no room “{room_number}”."})
        with transaction.atomic():
            apply_records(self.integration, records)
        rows = ExternalReference.objects.filter(
            integration=self.integration, record_type="room", external_id__in=[record.external_id for record in records]
        )
        return list(Room.objects.filter(pk__in=rows.values("object_id")).order_by("number"))

    def get_guest_info(self, guest_id: int | str) -> Guest:
        """Ask the vendor for a guest, note it, and return the hotel's guest."""
        external_id = self._guest_at_vendor(guest_id)[1]
        record = self.ask_for("get_guest_info", "guest", external_id, guest_external_id=external_id)
        with transaction.atomic():
            apply_records(self.integration, [record])
        return self.references.row("guest", record.external_id)

    def update_guest_info(self, guest_id: int | str, changes: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Change a guest at the vendor, and at the hotel once the vendor has accepted it (`inputs.GuestChangesInput`)."""
        given = read(GuestChangesInput, changes)
        guest, external_id = self._guest_at_vendor(guest_id)
        changed = given.model_dump(exclude_unset=True)
        return self.push(
            "update_guest_info",
            body={"guest": guest_id, **changed},
            given=given,
            idempotency_key=idempotency_key,
            prepare=lambda: {
                "payload": {
                    "guest_external_id": external_id,
                    "changes": {name: value or "" for name, value in changed.items()},
                    "hotel_had": {name: getattr(guest, name) for name in changed} if guest else {},
                },
                "object_key": f"guest:{guest.pk if guest else external_id}",
                "record_type": "guest",
                "object_id": guest.pk if guest else None,
            },
        )

    def _guest_at_vendor(self, guest_id: int | str) -> tuple[Guest | None, str]:
        guest, external_id = self.references.guest(guest_id)
        if not external_id:
            raise RequestRejected(f"{self.provider.manifest.name} does not know this guest.", hint="Sync the guests first.")
        return guest, external_id


def _contradicts(reservation: Reservation, given: Any) -> bool:
    """Say whether a stay has another room than the one named beside it. A check-in may still change the room of one that is expected."""
    if isinstance(given, CheckInInput) and reservation.status != ReservationStatus.IN_HOUSE:
        return False
    return bool(given.room_number and reservation.room_number and given.room_number != reservation.room_number)


def _day(value: date | str | None, field: str) -> date | None:
    if not isinstance(value, str):
        return value
    try:
        return values.plain_day(value, field)
    except RecordRejected as refusal:
        raise InvalidInput({field: refusal.message.removeprefix(f"{field}: ")}) from None


def _iso(moment: Any) -> str:
    return (moment or timezone.now()).isoformat()
