"""When a vendor shows a record for the first time: which row of the hotel it stands for, if the hotel has it already.

The same guest is known to the PMS and to guest management; a room is the same room after the hotel changed its PMS. Every match says
why, because a person may have to take it apart again.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db.models import QuerySet

from hotels.models import Guest, Room
from integrations.records import Guest as GuestRecord
from integrations.records import Room as RoomRecord

Matches = Mapping[str, tuple[int, str]]


def _digits(phone: str) -> str:
    """Return a phone number's significant digits: 00 43, +43 and 0 as trunk prefix differ from vendor to vendor."""
    digits = re.sub(r"\D", "", phone).lstrip("0")
    return digits[-9:] if len(digits) >= 7 else ""


def match_rooms(hotel_id: int, new: list[RoomRecord]) -> Matches:
    """Match by number, exactly: 0101 and 101 are different rooms."""
    numbers = {room.number: room.external_id for room in new}
    rows = Room.objects.filter(hotel_id=hotel_id, number__in=numbers).order_by("archived_at", "id").values_list("number", "id")
    return {numbers[number]: (pk, "same room number") for number, pk in reversed(list(rows))}


def match_guests(hotel_id: int, new: list[GuestRecord]) -> Matches:
    """Match by e-mail, then by phone, each only where exactly one guest has it and the family name does not speak against it."""
    live = Guest.live.filter(hotel_id=hotel_id)
    emails = {guest.email.lower() for guest in new if guest.email}
    by_email = _unique(_rows(live.filter(email__in=emails | {guest.email for guest in new if guest.email})), lambda row: row[1].lower())
    phones = {guest.phone for guest in new if guest.phone}
    by_phone = _unique(_rows(live.filter(phone__in=phones)), lambda row: _digits(row[2]))
    found: dict[str, tuple[int, str]] = {}
    for guest in new:
        for table, key, reason in ((by_email, guest.email.lower(), "same e-mail"), (by_phone, _digits(guest.phone), "same phone")):
            row = table.get(key) if key else None
            if row and _names_agree(guest.family_name, row[3]):
                found[guest.external_id] = (row[0], reason)
                break
    return found


def _rows(guests: QuerySet[Guest]) -> Iterable[tuple[int, str, str, str]]:
    return guests.values_list("id", "email", "phone", "family_name")


def _unique(rows: Iterable[Any], key: Callable[[Any], str]) -> dict[str, Any]:
    """Index rows by a key, leaving out what several share: a couple's common address is not a match."""
    index: dict[str, Any] = {}
    shared: set[str] = set()
    for row in rows:
        value = key(row)
        if value in index:
            shared.add(value)
        index[value] = row
    return {value: row for value, row in index.items() if value and value not in shared}


def _names_agree(one: str, other: str) -> bool:
    return not one or not other or one.casefold() == other.casefold()
