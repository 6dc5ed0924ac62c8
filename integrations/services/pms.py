"""Property management: reservations, rooms and guests in; arrivals, departures, charges and requests out."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone

from hotels.models import Guest, Room
from integrations import values
from integrations.exceptions import InvalidInput, RecordRejected, RequestRejected
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

    def _push_stay(self, name: str, given: Input, idempotency_key: str, **times: str) -> Operation:
        return self.push(
            name, body=given.model_dump(mode="json"), idempotency_key=idempotency_key, prepare=lambda: self._about_stay(given, **times)
        )

    def _about_stay(self, given: Any, **more: Any) -> dict[str, Any]:
        """Prepare what speaks of one reservation: ids resolved, room checked, kept in order with everything else about it."""
        reservation, reservation_external_id = self.references.reservation(given.reservation_id)
        _, guest_external_id = self.references.guest(given.guest_id)
        self.references.check_room(given.room_number)
        payload = given.model_dump(mode="json", exclude={"reservation_id", "guest_id"})
        payload |= {
            "reservation_external_id": reservation_external_id,
            "guest_external_id": guest_external_id,
            "currency": self.integration.hotel.currency,
            **more,
        }
        return {
            "payload": payload,
            "object_key": f"reservation:{reservation.pk if reservation else reservation_external_id}",
            "record_type": "reservation",
            "object_id": reservation.pk if reservation else None,
        }

    # --- charges and requests --------------------------------------------------------------------------------------------------

    def post_charge(self, charge: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Charge something to a room (`inputs.ChargeInput`). The guest in house is found if only the room is given."""
        given = read(ChargeInput, charge)
        check_payable({"amount": given.amount}, given.currency or self.integration.hotel.currency)
        return self.push(
            "post_charge", body=given.model_dump(mode="json"), idempotency_key=idempotency_key, prepare=lambda: self._about_charge(given)
        )

    def _about_charge(self, given: ChargeInput) -> dict[str, Any]:
        self.references.check_room(given.room_number)
        reservation, external_id = self.references.reservation(given.reservation_id)
        if reservation is None and not external_id:
            reservation = self.references.in_house(given.room_number)
            external_id = self.references.external_id("reservation", reservation)
        payload = given.model_dump(mode="json", exclude={"reservation_id"})
        payload |= {
            "reservation_external_id": external_id,
            "guest_name": str(reservation.guest) if reservation and reservation.guest else "",
            "currency": given.currency or self.integration.hotel.currency,
        }
        about = f"reservation:{reservation.pk}" if reservation else f"room:{given.room_number}"
        return {"payload": payload, "object_key": about, "record_type": "reservation", "object_id": reservation.pk if reservation else None}

    def send_request(self, request: Mapping[str, Any], *, idempotency_key: str = "") -> Operation:
        """Send a guest's wish to the hotel's staff (`inputs.RequestInput`)."""
        given = read(RequestInput, request)
        return self.push(
            "send_request", body=given.model_dump(mode="json"), idempotency_key=idempotency_key, prepare=lambda: self._about_stay(given)
        )

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
        record = self.ask("get_guest_info", guest_external_id=external_id)
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
            body={"guest": guest_id, "changes": changed},
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


def _day(value: date | str | None, field: str) -> date | None:
    if not isinstance(value, str):
        return value
    try:
        return values.plain_day(value, field)
    except RecordRejected as refusal:
        raise InvalidInput({field: refusal.message.removeprefix(f"{field}: ")}) from None


def _iso(moment: Any) -> str:
    return (moment or timezone.now()).isoformat()
