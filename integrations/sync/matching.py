"""When a vendor shows a record for the first time: which row of the hotel it stands for, if the hotel has it already.

The same guest is known to the PMS and to guest management; a room is the same room after the hotel changed its PMS. Every match says
why, because a person may have to take it apart again.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db.models import F

from hotels.models import Guest, Room
from integrations.models import ExternalReference, Integration
from integrations.records import Guest as GuestRecord
from integrations.records import Room as RoomRecord

Matches = Mapping[str, tuple[int, str]]


def _digits(phone: str) -> str:
    """Return a phone number's significant digits: 00 43, +43 and 0 as trunk prefix differ from vendor to vendor."""
    digits = re.sub(r"\D", "", phone).lstrip("0")
    return digits[-9:] if len(digits) >= 7 else ""


def match_rooms(integration: Integration, new: list[RoomRecord]) -> Matches:
    """Match by number, exactly: 0101 and 101 are different rooms. One in use goes before an archived one."""
    numbers = {room.number: room.external_id for room in new if room.number}
    rows = Room.objects.filter(hotel=integration.hotel_id, number__in=numbers)
    found = rows.order_by(F("archived_at").asc(nulls_last=True), "-id")
    return {numbers[number]: (pk, "same room number") for number, pk in found.values_list("number", "id")}


def match_guests(integration: Integration, new: list[GuestRecord]) -> Matches:
    """Match by e-mail, then by phone, each only where exactly one guest has it and the family name does not speak against it.

    Systems spell addresses and numbers differently, so all guests of the same family name are looked at, not only those spelt alike. Two
    guests whom one vendor tells apart are two, whatever they have in common.
    """
    new = [guest for guest in new if guest.email or guest.phone]
    names = {spelling for guest in new for spelling in _spellings(guest.family_name)}
    spelt = {
        "email__in": {spelling for guest in new for spelling in _spellings(guest.email)},
        "phone__in": {guest.phone for guest in new if guest.phone},
        "family_name__in": names,
    }
    live = Guest.live.filter(hotel=integration.hotel_id).values_list("id", "email", "phone", "family_name")
    rows = {row for lookup, values in spelt.items() if values for row in live.filter(**{lookup: values})}
    by_email = _unique(rows, lambda row: row[1].lower())
    by_phone = _unique(rows, lambda row: _digits(row[2]))
    found: dict[str, tuple[int, str]] = {}
    for guest in new:
        for table, key, reason in ((by_email, guest.email.lower(), "same e-mail"), (by_phone, _digits(guest.phone), "same phone")):
            row = table.get(key) if key else None
            if row and _names_agree(guest.family_name, row[3]):
                found[guest.external_id] = (row[0], reason)
                break
    wanted = Counter(pk for pk, _ in found.values())
    known = ExternalReference.objects.filter(integration=integration, record_type="guest", object_id__in=wanted, deleted_at=None)
    taken = set(known.values_list("object_id", flat=True)) if wanted else set()
    return {external_id: (pk, reason) for external_id, (pk, reason) in found.items() if wanted[pk] == 1 and pk not in taken}


def _spellings(word: str) -> set[str]:
    """Return a word as systems write it: as it is, in small letters, in capitals, and as a name."""
    return {word, word.lower(), word.upper(), word.title()} if word else set()


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
