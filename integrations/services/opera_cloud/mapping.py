"""From OPERA's JSON to our records. Pure functions: no call, no state. The other way is `bodies`.

Lists and details of OPERA have different shapes, and the same definition name means different things in different modules, so each
shape has a function of its own. Enumerations are Oracle's to extend: an unknown word maps to `unknown`.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from integrations import values
from integrations.exceptions import RecordRejected
from integrations.records import Guest, Reservation, Room
from integrations.services.payers import Stay

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


def id_of(ids: Any, kind: str) -> str:
    """Pick an id by its type: the same list carries confirmation numbers and others, in any order."""
    rows = values.objects(ids, f"ids of type {kind}")
    return next((values.ident(row["id"], f"id of type {kind}") for row in rows if row.get("type") == kind and row.get("id")), "")


def any_id(row: Row) -> str:
    """Name a row that could not be read, as well as it lets itself be named."""
    ids, room = (("reservationIdList", "Reservation"), ("profileIdList", "Profile")), row.get("roomId")
    return next((found for name, kind in ids if (found := id_of(row.get(name), kind))), "") or values.ident(room, "roomId")


def part(row: Row, *path: str) -> Row:
    """Return the object at a path of names; an empty one where there is nothing."""
    for name in path:
        row = values.record(row.get(name), name)
    return row


def text(row: Row, name: str) -> str:
    return values.text(row.get(name), name)


def moment(text: Any) -> datetime | None:
    """Read a time; None without a zone (Oracle's examples show "2021-07-08 10:50:04.0"): it could not be ordered among others."""
    try:
        return values.moment(text, "time", zone=None)
    except RecordRejected:
        return None


def day(text: Any, name: str = "date") -> date | None:
    """Read a day: OPERA writes the property's own, with or without midnight behind it."""
    return values.day(text[:10] if isinstance(text, str) else text, name)


def arrival_of(row: Any) -> str:
    """Return the day of arrival as text to compare; empty where it cannot be read, which rejects the row later."""
    stay = row.get("roomStay") if isinstance(row, Mapping) else None
    return str(stay.get("arrivalDate"))[:10] if isinstance(stay, Mapping) else ""


def summary(row: Row) -> tuple[str, str]:
    """Return whom a row of the profile search is about, and when he was last changed, as UTC text that sorts; empty if it does not say so
    in a way that can be compared."""
    found = moment(part(row, "profile").get("lastModifyDateTime"))
    return id_of(row.get("profileIdList"), "Profile"), found.astimezone(UTC).isoformat() if found else ""


def is_pseudo(row: Any, *path: str) -> bool:
    """Say whether a row is of a room that nobody can enter, such as a posting master's."""
    for name in path:
        row = row.get(name) if isinstance(row, Mapping) else None
    return row is True


def money(value: Any, name: str) -> Decimal | None:
    return values.amount(values.record(value, name).get("amount"), f"{name}.amount")


def count(row: Row, name: str) -> int:
    """Oracle's examples give counts as numbers and as text."""
    return values.whole(row.get(name), name) or 0


def warnings(answer: Row) -> list[str]:
    """Return what OPERA says beside a success: some of a request may not have been done."""
    texts = (w.get("shortText") or w.get("value") or w.get("code") for w in answer.get("warnings") or ())
    return [str(text) for text in texts if text]


# --- reservations --------------------------------------------------------------------------------------------------------------


def stay_of(row: Row) -> Row:
    return part(row, "roomStay")


def reservation_from_list(row: Row) -> Reservation:
    stay = stay_of(row)
    return _reservation(
        row,
        guest_external_id=values.ident(part(row, "reservationGuest").get("id"), "reservationGuest.id"),
        companion_external_ids=tuple(filter(None, map(_companion_id, _companions(row)))),
        room_number=text(stay, "roomId"),
        room_type=text(stay, "roomType"),
        adults=count(stay, "adultCount"),
        children=count(stay, "childCount"),
        rate_amount=money(stay.get("rateAmount"), "rateAmount"),
        balance=money(stay.get("balance"), "balance"),
        currency=_currency(stay.get("rateAmount"), stay.get("balance")),
    )


def reservation_from_detail(row: Row) -> Reservation:
    stay = stay_of(row)
    room = part(stay, "currentRoomInfo")
    today = _first(stay, "roomRates")
    counts = part(stay, "guestCounts") or part(today, "guestCounts")
    base = part(_first(part(today, "rates"), "rate"), "base")
    rate = {"amount": base.get("amountBeforeTax"), "currencyCode": base.get("currencyCode")}
    balance = part(row, "cashiering", "revenuesAndBalances").get("balance")
    guests = values.objects(row.get("reservationGuests"), "reservationGuests")
    primary = next((guest for guest in guests if guest.get("primary")), guests[0] if guests else {})
    return _reservation(
        row,
        guest_external_id=_profile_id(primary),
        companion_external_ids=tuple(filter(None, (_profile_id(guest) for guest in guests if guest is not primary))),
        room_number=text(room, "roomId"),
        room_type=text(room, "roomType") or text(today, "roomType"),
        adults=count(counts, "adults"),
        children=count(counts, "children"),
        rate_amount=money(rate, "rate"),
        balance=money(balance, "balance"),
        currency=_currency(rate, balance),
    )


def _first(row: Row, name: str) -> Row:
    return next(iter(values.objects(row.get(name), name)), {})


def _profile_id(guest: Row) -> str:
    return id_of(part(guest, "profileInfo").get("profileIdList"), "Profile")


def _companions(row: Row) -> list[Row]:
    return values.objects(part(row, "reservationGuest").get("accompanyGuests"), "accompanyGuests")


def _companion_id(companion: Row) -> str:
    return id_of(companion.get("profileIdList"), "Profile")


def _reservation(row: Row, **fields: Any) -> Reservation:
    external_id = id_of(row.get("reservationIdList"), "Reservation")
    if not external_id:
        raise RecordRejected("The reservation has no id of type “Reservation”.")
    stay = stay_of(row)
    status = text(row, "computedReservationStatus") or text(row, "reservationStatus")
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


def _currency(*amounts: Any) -> str:
    found = (text(values.record(amount, "amount"), "currencyCode") for amount in amounts)
    return next(filter(None, found), "")


# --- rooms ---------------------------------------------------------------------------------------------------------------------


def room(row: Row) -> Room:
    number = values.ident(row.get("roomId"), "roomId")
    if not number:
        raise RecordRejected("The room has no number.")
    state = part(row, "housekeeping", "housekeepingRoomStatus")
    cleaning = text(state, "housekeepingRoomStatus")
    return Room(
        external_id=number,
        number=number,
        room_type=text(part(row, "roomType"), "roomType"),
        floor=text(row, "floor"),
        housekeeping=HOUSEKEEPING.get(cleaning, "unknown"),
        housekeeping_original=cleaning,
        occupancy=OCCUPANCY.get(text(state, "frontOfficeStatus"), "unknown"),
        observed_occupancy=OCCUPANCY.get(text(state, "housekeepingStatus"), "unknown"),
    )


# --- guests --------------------------------------------------------------------------------------------------------------------


def guests_from_reservation(row: Row) -> Iterator[Guest]:
    """Yield everybody of a booking as it names them, so that it has guests before their profiles were read."""
    guest = part(row, "reservationGuest")
    if guest.get("type", "Profile") == "Profile" and guest.get("id"):
        yield _guest_from_reservation(guest)
    for other in _companions(row):
        if external_id := _companion_id(other):
            names = {"given_name": text(other, "firstName"), "family_name": text(other, "lastName")}
            yield Guest(external_id=external_id, updated_at=OLDEST, **names)


def _guest_from_reservation(guest: Row) -> Guest:
    return Guest(
        external_id=values.ident(guest["id"], "reservationGuest.id"),
        updated_at=OLDEST,
        given_name=text(guest, "givenName"),
        family_name=text(guest, "surname"),
        email=text(guest, "email"),
        phone=text(guest, "phoneNumber"),
        language=text(guest, "language"),
        nationality=text(part(guest, "nationality"), "code"),
        is_vip=bool(part(guest, "vip").get("vipCode")),
    )


def guest(answer: Row) -> Guest:
    """Read a profile's detail. A guest who was anonymised at OPERA keeps no data here either."""
    external_id = id_of(answer.get("profileIdList"), "Profile")
    if not external_id:
        raise RecordRejected("The profile has no id of type “Profile”.")
    details = part(answer, "profileDetails")
    customer = part(details, "customer")
    if is_anonymized(answer):
        return Guest(external_id=external_id, updated_at=moment(details.get("lastModifyDateTime")))
    name = primary_name(customer)
    return Guest(
        external_id=external_id,
        updated_at=moment(details.get("lastModifyDateTime")),
        given_name=text(name, "givenName"),
        family_name=text(name, "surname"),
        email=text(primary(details, "email"), "emailAddress"),
        phone=text(primary(details, "telephone"), "phoneNumber"),
        language=text(customer, "language"),
        nationality=text(customer, "nationality") or text(part(customer, "citizenCountry"), "code"),
        is_vip=bool(customer.get("vipStatus")),
        preferences={
            text(group, "preferenceType"): [text(p, "preferenceValue") for p in values.objects(group.get("preference"), "preference")]
            for group in values.objects(part(details, "preferenceCollection").get("preferenceType"), "preferenceType")
            if group.get("preferenceType")
        },
    )


def is_anonymized(answer: Row) -> bool:
    return part(answer, "profileDetails", "customer", "anonymization").get("anonymizationStatus") == "Anonymized"


def primary_name(customer: Row) -> Row:
    names = values.objects(customer.get("personName"), "personName")
    return next((name for name in names if name.get("nameType", "Primary") == "Primary"), names[0] if names else {})


def children_of(details: Row, kind: str) -> list[Row]:
    return values.objects(part(details, f"{kind}s").get(f"{kind}Info"), f"{kind}Info")


def primary(details: Row, kind: str) -> Row:
    found = [part(child, kind) for child in children_of(details, kind)]
    return next((value for value in found if value.get("primaryInd")), found[0] if found else {})


def differing(profile: Row, changes: Mapping[str, Any]) -> list[str]:
    """Return which of the changes a profile does not show to the letter."""
    shown = guest(profile)
    return [name for name, value in changes.items() if (getattr(shown, name, None) or "") != (value or "")]


def comments(profile: Row) -> list[str]:
    return [((info.get("comment") or {}).get("text") or {}).get("value") or "" for info in comment_rows(profile)]


def comment_rows(profile: Row) -> list[Row]:
    return values.objects(part(profile, "profileDetails", "comments").get("commentInfo"), "commentInfo")


# --- who is in a room ----------------------------------------------------------------------------------------------------------


def occupied(row: Row) -> Stay:
    """Read a row of the reservation search as the stay of everybody in it."""
    guest = part(row, "reservationGuest")
    people = {values.ident(guest.get("id"), "reservationGuest.id"): _full_name(guest, "givenName", "surname")}
    for other in _companions(row):
        people.setdefault(_companion_id(other) or str(len(people)), _full_name(other, "firstName", "lastName"))
    return Stay(
        reservation_external_id=id_of(row.get("reservationIdList"), "Reservation"),
        room_number=text(stay_of(row), "roomId"),
        arrived_on=day(stay_of(row).get("arrivalDate"), "arrivalDate"),
        guests=people,
    )


def _full_name(person: Row, given: str, family: str) -> str:
    return " ".join(filter(None, (text(person, given), text(person, family))))


# --- folios --------------------------------------------------------------------------------------------------------------------


def open_balances(windows: Iterable[Row]) -> list[str]:
    """Return the balance of each folio window that is not settled: "120.50 EUR"."""
    found = [(money(window.get("balance"), "balance"), (window.get("balance") or {}).get("currencyCode") or "") for window in windows]
    return [f"{amount} {currency}".strip() for amount, currency in found if amount]


def posted(postings: Iterable[Row], key: str) -> dict[str, Any] | None:
    """Return our posting among others, as the answer to a charge."""
    found = next((posting for posting in postings if posting.get("reference") == key), None)
    if not found:
        return None
    return {
        "reference": str(found.get("transactionNo") or key),
        "amount": str(money(found.get("postedAmount") or found.get("price"), "postedAmount")),
    }
