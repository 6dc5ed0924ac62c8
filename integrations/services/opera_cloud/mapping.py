"""From OPERA's JSON to our records. Pure functions: no call, no state. The other way is `bodies`.

Lists and details of OPERA have different shapes, and the same definition name means different things in different modules, so each
shape has a function of its own. Enumerations are Oracle's to extend: an unknown word maps to `unknown`.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from integrations import values
from integrations.exceptions import RecordRejected
from integrations.records import Guest, Reservation, Room

Row = Mapping[str, Any]

RESERVATION_STATUS = {
    "Reserved": "reserved",
    "DueIn": "reserved",
    "Requested": "requested",
    "Waitlisted": "waitlisted",
    "InHouse": "in_house",
    "DueOut": "in_house",
    "Walkin": "in_house",
    "PendingCheckout": "in_house",  # "checked in, and the business date is past the departure date"
    "CheckedOut": "checked_out",
    "Cancelled": "cancelled",
    "NoShow": "no_show",
}
HOUSEKEEPING = {
    "Clean": "clean",
    "Dirty": "dirty",
    "Pickup": "pickup",
    "Inspected": "inspected",
    "OutOfOrder": "out_of_order",
    "OutOfService": "out_of_service",
}
OCCUPANCY = {"Vacant": "vacant", "Occupied": "occupied"}
OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
"""Date of what a reservation tells of its guest: anything a profile says is newer."""


# --- values --------------------------------------------------------------------------------------------------------------------


def id_of(ids: Iterable[Row] | None, kind: str) -> str:
    """Pick an id by its type: the same list carries confirmation numbers and others, in any order."""
    return next((values.ident(row["id"], "id") for row in ids or () if row.get("type") == kind and row.get("id")), "")


def any_id(row: Row) -> str:
    """Name a row that could not be read, as well as it lets itself be named."""
    return id_of(row.get("reservationIdList"), "Reservation") or id_of(row.get("profileIdList"), "Profile") or str(row.get("roomId") or "")


def moment(text: Any) -> datetime | None:
    """Read a time; None without a zone (Oracle's examples show "2021-07-08 10:50:04.0"): it could not be ordered among others."""
    try:
        return values.moment(text, "time", zone=None)
    except RecordRejected:
        return None


def day(text: Any, name: str = "date") -> date | None:
    """Read a day: OPERA writes the property's own, with or without midnight behind it."""
    return values.day(text[:10] if isinstance(text, str) else text, name)


def modified(row: Row) -> str:
    """Return when a row was last changed, as UTC text that sorts; empty if it does not say so in a way that can be compared."""
    found = moment(row.get("lastModifyDateTime"))
    return found.astimezone(UTC).isoformat() if found else ""


def money(value: Row | None) -> Decimal | None:
    return values.amount(value.get("amount"), "amount") if value else None


def count(value: Any) -> int:
    """Oracle's examples give counts as numbers and as text."""
    return values.whole(value, "count") or 0


def warnings(answer: Row) -> list[str]:
    """Return what OPERA says beside a success: some of a request may not have been done."""
    texts = (w.get("shortText") or w.get("value") or w.get("code") for w in answer.get("warnings") or ())
    return [str(text) for text in texts if text]


# --- reservations --------------------------------------------------------------------------------------------------------------


def stay_of(row: Row) -> Row:
    return row.get("roomStay") or {}


def reservation_from_list(row: Row) -> Reservation:
    stay = stay_of(row)
    return _reservation(
        row,
        guest_external_id=str((row.get("reservationGuest") or {}).get("id") or ""),
        room_number=stay.get("roomId") or "",
        room_type=stay.get("roomType") or "",
        adults=count(stay.get("adultCount")),
        children=count(stay.get("childCount")),
        rate_amount=money(stay.get("rateAmount")),
        balance=money(stay.get("balance")),
        currency=_currency(stay.get("rateAmount"), stay.get("balance")),
    )


def reservation_from_detail(row: Row) -> Reservation:
    stay = stay_of(row)
    room = stay.get("currentRoomInfo") or {}
    today = (stay.get("roomRates") or [{}])[0]
    counts = stay.get("guestCounts") or today.get("guestCounts") or {}
    base = (((today.get("rates") or {}).get("rate") or [{}])[0].get("base")) or {}
    rate = {"amount": base.get("amountBeforeTax"), "currencyCode": base.get("currencyCode")}
    balance = ((row.get("cashiering") or {}).get("revenuesAndBalances") or {}).get("balance")
    guests = row.get("reservationGuests") or []
    primary = next((guest for guest in guests if guest.get("primary")), guests[0] if guests else {})
    return _reservation(
        row,
        guest_external_id=id_of((primary.get("profileInfo") or {}).get("profileIdList"), "Profile"),
        room_number=room.get("roomId") or "",
        room_type=room.get("roomType") or today.get("roomType") or "",
        adults=count(counts.get("adults")),
        children=count(counts.get("children")),
        rate_amount=money(rate),
        balance=money(balance),
        currency=_currency(rate, balance),
    )


def _reservation(row: Row, **fields: Any) -> Reservation:
    external_id = id_of(row.get("reservationIdList"), "Reservation")
    if not external_id:
        raise RecordRejected("The reservation has no id of type “Reservation”.")
    stay = stay_of(row)
    status = row.get("computedReservationStatus") or row.get("reservationStatus") or ""
    return Reservation(
        external_id=external_id,
        updated_at=moment(row.get("lastModifyDateTime")),
        confirmation_number=id_of(row.get("reservationIdList"), "Confirmation"),
        status=RESERVATION_STATUS.get(status, "unknown"),
        status_original=status,
        arrival_date=day(stay.get("arrivalDate"), "arrivalDate"),
        departure_date=day(stay.get("departureDate"), "departureDate"),
        **fields,
    )


def _currency(*amounts: Row | None) -> str:
    return next((amount["currencyCode"] for amount in amounts if amount and amount.get("currencyCode")), "")


# --- rooms ---------------------------------------------------------------------------------------------------------------------


def room(row: Row) -> Room:
    number = row.get("roomId") or ""
    if not number:
        raise RecordRejected("The room has no number.")
    state = (row.get("housekeeping") or {}).get("housekeepingRoomStatus") or {}
    cleaning = state.get("housekeepingRoomStatus") or ""
    return Room(
        external_id=number,
        number=number,
        room_type=(row.get("roomType") or {}).get("roomType") or "",
        floor=row.get("floor") or "",
        housekeeping=HOUSEKEEPING.get(cleaning, "unknown"),
        housekeeping_original=cleaning,
        occupancy=OCCUPANCY.get(state.get("frontOfficeStatus"), "unknown"),
        observed_occupancy=OCCUPANCY.get(state.get("housekeepingStatus"), "unknown"),
    )


# --- guests --------------------------------------------------------------------------------------------------------------------


def guest_from_reservation(row: Row) -> Guest | None:
    """Return the guest as the reservation names him, so that it has one before his profile was read."""
    guest = row.get("reservationGuest") or {}
    if guest.get("type", "Profile") != "Profile" or not guest.get("id"):
        return None
    return Guest(
        external_id=str(guest["id"]),
        updated_at=OLDEST,
        given_name=guest.get("givenName") or "",
        family_name=guest.get("surname") or "",
        email=guest.get("email") or "",
        phone=guest.get("phoneNumber") or "",
        language=guest.get("language") or "",
        nationality=(guest.get("nationality") or {}).get("code") or "",
        is_vip=bool((guest.get("vip") or {}).get("vipCode")),
    )


def guest(answer: Row) -> Guest:
    """Read a profile's detail. A guest who was anonymised at OPERA keeps no data here either."""
    external_id = id_of(answer.get("profileIdList"), "Profile")
    if not external_id:
        raise RecordRejected("The profile has no id of type “Profile”.")
    details = answer.get("profileDetails") or {}
    customer = details.get("customer") or {}
    if is_anonymized(answer):
        return Guest(external_id=external_id, updated_at=moment(details.get("lastModifyDateTime")))
    name = primary_name(customer)
    return Guest(
        external_id=external_id,
        updated_at=moment(details.get("lastModifyDateTime")),
        given_name=name.get("givenName") or "",
        family_name=name.get("surname") or "",
        email=primary(details, "email").get("emailAddress") or "",
        phone=primary(details, "telephone").get("phoneNumber") or "",
        language=customer.get("language") or "",
        nationality=customer.get("nationality") or (customer.get("citizenCountry") or {}).get("code") or "",
        is_vip=bool(customer.get("vipStatus")),
        preferences={
            group["preferenceType"]: [p.get("preferenceValue") for p in group.get("preference") or ()]
            for group in (details.get("preferenceCollection") or {}).get("preferenceType") or ()
            if group.get("preferenceType")
        },
    )


def is_anonymized(answer: Row) -> bool:
    customer = (answer.get("profileDetails") or {}).get("customer") or {}
    return (customer.get("anonymization") or {}).get("anonymizationStatus") == "Anonymized"


def primary_name(customer: Row) -> Row:
    names = customer.get("personName") or []
    return next((name for name in names if name.get("nameType", "Primary") == "Primary"), names[0] if names else {})


def children_of(details: Row, kind: str) -> list[Row]:
    return list((details.get(f"{kind}s") or {}).get(f"{kind}Info") or ())


def primary(details: Row, kind: str) -> Row:
    found = [child.get(kind) or {} for child in children_of(details, kind)]
    return next((value for value in found if value.get("primaryInd")), found[0] if found else {})


def differing(profile: Row, changes: Mapping[str, Any]) -> list[str]:
    """Return which of the changes a profile does not show."""
    shown = guest(profile)
    return [name for name, value in changes.items() if (getattr(shown, name, None) or "") != (value or "")]


def comments(profile: Row) -> list[str]:
    return [((info.get("comment") or {}).get("text") or {}).get("value") or "" for info in comment_rows(profile)]


def comment_rows(profile: Row) -> list[Row]:
    return list(((profile.get("profileDetails") or {}).get("comments") or {}).get("commentInfo") or ())


# --- folios --------------------------------------------------------------------------------------------------------------------


def open_balances(windows: Iterable[Row]) -> list[str]:
    """Return the balance of each folio window that is not settled: "120.50 EUR"."""
    found = [(money(window.get("balance")), (window.get("balance") or {}).get("currencyCode") or "") for window in windows]
    return [f"{amount} {currency}".strip() for amount, currency in found if amount]


def posted(postings: Iterable[Row], key: str) -> dict[str, Any] | None:
    """Return our posting among others, as the answer to a charge."""
    found = next((posting for posting in postings if posting.get("reference") == key), None)
    if not found:
        return None
    return {"reference": str(found.get("transactionNo") or key), "amount": str(money(found.get("postedAmount") or found.get("price")))}


def called(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the reservations whose guest has this name, in any order of its words; if none has, those that share a word of it."""
    wanted = _words(name)
    named = [
        (row, _words(" ".join(str((row.get("reservationGuest") or {}).get(part) or "") for part in ("givenName", "surname"))))
        for row in rows
    ]
    return [row for row, words in named if words == wanted] or [row for row, words in named if words & wanted]


def _words(name: str) -> set[str]:
    return set(re.findall(r"\w+", name.casefold()))
