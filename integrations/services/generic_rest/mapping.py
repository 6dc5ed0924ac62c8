"""Plain JSON to our records and back: pure functions.

What is read may be in snake_case or camelCase and use any of several usual names; what is written is snake_case, as in Hospient's own
API. Money is written as a JSON number with its exact digits.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from integrations import values
from integrations.exceptions import RecordRejected, UnexpectedResponse
from integrations.records import (
    ChatMessage,
    Feedback,
    Guest,
    GuestCheck,
    MenuCategory,
    MenuItem,
    MenuVariation,
    Notification,
    Reservation,
    Room,
)
from integrations.services.rows import back_on_sale
from integrations.transport.response import described

CHECK_STATUSES = {
    "open": "open", "new": "open", "posted": "open", "pending": "open", "draft": "draft", "closed": "closed", "paid": "closed",
    "completed": "closed", "voided": "voided", "void": "voided", "cancelled": "voided", "canceled": "voided",
}  # fmt: skip
RESERVATION_STATUSES = {
    "requested": "requested", "pending": "requested", "reserved": "reserved", "confirmed": "reserved", "booked": "reserved",
    "waitlisted": "waitlisted", "in_house": "in_house", "checked_in": "in_house", "checked_out": "checked_out", "departed": "checked_out",
    "cancelled": "cancelled", "canceled": "cancelled", "no_show": "no_show",
}  # fmt: skip
HOUSEKEEPING = {word: word for word in ("clean", "dirty", "pickup", "inspected", "out_of_order", "out_of_service")}
OCCUPANCY = {"vacant": "vacant", "available": "vacant", "free": "vacant", "occupied": "occupied"}
SENDERS = {"guest": "guest", "staff": "staff", "hotel": "staff", "system": "system"}
NOTIFICATION_STATUSES = {word: word for word in ("pending", "sent", "delivered", "read", "failed")}
MONEY = {
    "unit_price",
    "total_price",
    "quantity",
    "subtotal",
    "discount",
    "service_charge",
    "tax",
    "total",
    "tip",
    "amount",
    "deposit_amount",
    "final_bill_amount",
}
"""Payload fields that arrive as decimal text and leave as numbers."""
OURS = {"feedback_id", "message_id", "notification_id", "menu_price", "dry_run"}
"""Payload fields that are Hospient's own business."""
LISTS = ("data", "items", "results", "records", "rows", "value", "content")
"""What a list is called where there are others beside it."""
BESIDE = ("links", "_links", "included", "errors", "warnings", "messages", "meta", "jsonapi")
"""What stands beside the list or the object, and is never it."""
WRAPPERS = ("_embedded", "data", "result", "response", "payload", "body")
MADE = ("check", "charge", "request", "feedback", "message", "notification", "reservation")


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Fields:
    """One object of an answer, read by any of several names."""

    def __init__(self, source: Mapping[str, Any], zone: tzinfo = UTC) -> None:
        self.zone = zone
        self.told = {snake(name): value for name, value in source.items()}

    def get(self, *names: str) -> Any:
        return next((self.told[name] for name in names if self.told.get(name) not in (None, "")), None)

    def text(self, *names: str) -> str:
        return values.text(self.get(*names), names[0])

    def objects(self, *names: str) -> list[Mapping[str, Any]]:
        return values.objects(self.get(*names), names[0])

    def id(self, *names: str) -> str:
        if not (value := values.ident(self.get("id", "external_id", *names), "id")):
            raise RecordRejected(f"There is no id: none of id, external_id, {', '.join(names)}.")
        return value

    def ids(self, *names: str, other_than: str) -> tuple[str, ...]:
        value = self.get(*names)
        found = [values.ident(one, names[0]) for one in value] if isinstance(value, list) else []
        return tuple(one for one in dict.fromkeys(found) if one not in ("", other_than))

    def decimal(self, *names: str) -> Decimal | None:
        return values.number(self.get(*names), names[0])

    def whole(self, *names: str) -> int | None:
        return values.whole(self.get(*names), names[0])

    def flag(self, *names: str, default: bool) -> bool:
        return values.flag(self.get(*names), names[0], default=default)

    def moment(self, *names: str) -> datetime | None:
        """Read a time; one without a zone is UTC, as the README says."""
        return values.moment(self.get(*names), names[0])

    def day(self, *names: str) -> date | None:
        """Read a day, which is the hotel's: see `zone`."""
        return values.day(self.get(*names), names[0], self.zone)

    def word(self, table: Mapping[str, str], *names: str) -> tuple[str, str]:
        """Look a word up; return ours, or "unknown", and theirs."""
        original = self.text(*names)
        return table.get(re.sub(r"[\s-]+", "_", snake(original)), "unknown"), original


# --- point of sale -------------------------------------------------------------------------------------------------------------


def category(source: Mapping[str, Any], currency: str) -> MenuCategory:
    fields = Fields(source)
    return MenuCategory(
        external_id=fields.id("category_id"),
        updated_at=fields.moment("updated_at"),
        name=fields.text("name", "title"),
        position=fields.whole("position", "sort_order") or 0,
        parent_external_id=fields.text("parent_id"),
    )


def menu_item(source: Mapping[str, Any], currency: str) -> MenuItem:
    fields = Fields(source)
    item_id = fields.id("menu_id", "item_id")
    if not (name := fields.text("name", "title")):
        raise RecordRejected("The menu item has no name.")
    currency = fields.text("currency") or currency
    sold_as = fields.objects("variations", "sizes") or [{"id": item_id, "price": fields.get("price", "unit_price")}]
    variations = tuple(_variation(Fields(variation), position, currency) for position, variation in enumerate(sold_as))
    return MenuItem(
        external_id=item_id,
        updated_at=fields.moment("updated_at"),
        name=name,
        description=fields.text("description"),
        category_external_id=fields.text("category_id", "category"),
        is_available=fields.flag("is_available", "available", "is_active", "active", default=True),
        position=fields.whole("position", "sort_order") or 0,
        sold_out_until=fields.moment("sold_out_until") or back_on_sale(variations),
        variations=variations,
    )


def _variation(fields: Fields, position: int, currency: str) -> MenuVariation:
    return MenuVariation(
        external_id=fields.id("variation_id"),
        name=fields.text("name", "title"),
        sku=fields.text("sku"),
        price=fields.decimal("price", "unit_price"),
        currency=fields.text("currency") or currency,
        is_available=fields.flag("is_available", "available", default=True),
        sold_out_until=fields.moment("sold_out_until"),
        position=position,
    )


def guest_check(source: Mapping[str, Any], currency: str) -> GuestCheck:
    fields = Fields(source)
    status, original = fields.word(CHECK_STATUSES, "status", "state")
    return GuestCheck(
        external_id=fields.id("check_id", "reference"),
        updated_at=fields.moment("updated_at"),
        status=status,
        status_original=original,
        total=fields.decimal("total", "total_amount"),
        amount_due=fields.decimal("amount_due", "balance"),
        currency=fields.text("currency") or currency,
    )


# --- property management -------------------------------------------------------------------------------------------------------


def room(source: Mapping[str, Any], currency: str) -> Room:
    fields = Fields(source)
    number = fields.text("room_number", "number")
    if not number:
        raise RecordRejected("The room has no number.")
    # One `status` may speak of either; what is said apart counts first.
    housekeeping, original = fields.word(HOUSEKEEPING, "housekeeping", "housekeeping_status", "status")
    occupancy, _ = fields.word(OCCUPANCY, "occupancy", "occupancy_status", "status")
    observed, _ = fields.word(OCCUPANCY, "observed_occupancy")
    return Room(
        external_id=fields.text("id", "external_id", "room_id") or number,
        updated_at=fields.moment("updated_at"),
        number=number,
        room_type=fields.text("room_type", "type"),
        floor=fields.text("floor"),
        housekeeping=housekeeping,
        housekeeping_original=original,
        occupancy=occupancy,
        observed_occupancy=observed,
    )


def guest(source: Mapping[str, Any], currency: str) -> Guest:
    fields = Fields(source)
    return Guest(
        external_id=fields.id("guest_id"),
        updated_at=fields.moment("updated_at"),
        given_name=fields.text("given_name", "first_name"),
        family_name=fields.text("family_name", "last_name", "name"),
        email=fields.text("email"),
        phone=fields.text("phone", "phone_number"),
        language=fields.text("language"),
        nationality=fields.text("nationality", "country"),
        is_vip=fields.flag("is_vip", "vip", default=False),
        preferences=values.facts(fields.get("preferences"), "preferences"),
    )


def of_hotel(mapper: Callable[..., Any], source: Mapping[str, Any], currency: str, zone: tzinfo) -> Any:
    """Read what a system tells a hotel: in its currency if it names none, and a stay by the days of its zone."""
    return mapper(source, currency, zone) if mapper is reservation else mapper(source, currency)


def reservation(source: Mapping[str, Any], currency: str, zone: tzinfo = UTC) -> Reservation:
    fields = Fields(source, zone)
    status, original = fields.word(RESERVATION_STATUSES, "status")
    return Reservation(
        external_id=fields.id("reservation_id"),
        updated_at=fields.moment("updated_at"),
        confirmation_number=fields.text("confirmation_number", "confirmation"),
        status=status,
        status_original=original,
        arrival_date=fields.day("arrival_date", "check_in_date", "arrival"),
        departure_date=fields.day("departure_date", "check_out_date", "departure"),
        guest_external_id=fields.text("guest_id"),
        companion_external_ids=fields.ids("companion_ids", "guest_ids", other_than=fields.text("guest_id")),
        room_number=fields.text("room_number", "room"),
        room_type=fields.text("room_type"),
        adults=fields.whole("adults") or 0,
        children=fields.whole("children") or 0,
        rate_amount=fields.decimal("rate_amount", "rate"),
        balance=fields.decimal("balance"),
        currency=fields.text("currency") or currency,
    )


# --- guest management ----------------------------------------------------------------------------------------------------------


def feedback(source: Mapping[str, Any], currency: str) -> Feedback:
    fields = Fields(source)
    return Feedback(
        external_id=fields.id("feedback_id"),
        updated_at=fields.moment("updated_at"),
        guest_external_id=fields.text("guest_id"),
        room_number=fields.text("room_number"),
        rating=values.rating(fields.get("rating")),
        category=fields.text("category"),
        title=fields.text("title"),
        message=fields.text("message", "comment", "comments"),
        is_anonymous=fields.flag("is_anonymous", default=False),
        submitted_at=fields.moment("submitted_at", "created_at"),
    )


def chat_message(source: Mapping[str, Any], currency: str) -> ChatMessage:
    fields = Fields(source)
    return ChatMessage(
        external_id=fields.id("message_id"),
        updated_at=fields.moment("updated_at"),
        guest_external_id=fields.text("guest_id"),
        room_number=fields.text("room_number"),
        message=fields.text("message", "text"),
        message_type=fields.text("message_type", "type") or "text",
        sender_type=fields.word(SENDERS, "sender_type", "sender")[0],
        sender_name=fields.text("sender_name"),
        sent_at=fields.moment("sent_at", "created_at"),
    )


def notification(source: Mapping[str, Any], currency: str) -> Notification:
    fields = Fields(source)
    return Notification(
        external_id=fields.id("notification_id"),
        updated_at=fields.moment("updated_at"),
        guest_external_id=fields.text("guest_id"),
        room_number=fields.text("room_number"),
        title=fields.text("title"),
        message=fields.text("message"),
        category=fields.text("category"),
        priority=fields.text("priority") or "normal",
        notification_type=fields.text("notification_type", "type") or "push",
        status=fields.word(NOTIFICATION_STATUSES, "status")[0],
        sent_at=fields.moment("sent_at", "created_at"),
    )


# --- answers and bodies --------------------------------------------------------------------------------------------------------


def listed(answer: Any) -> list[Any]:
    """Return the objects of a list: the answer itself, or the one list in it, as the usual wrappings have it: `{"data": [...], "total": 3}`,
    `{"items": [...], "links": [...]}` (ORDS), `{"_embedded": {"rooms": [...]}}` (HAL), `{"data": [{"id", "attributes"}]}` (JSON:API)."""
    rows = _list_in(answer)
    if rows is None or (rows and not any(isinstance(row, Mapping) for row in rows)):
        raise UnexpectedResponse(f"The answer has no list of objects that could be told from others: it is {described(answer)}.")
    return [_flat(row) for row in rows]


def _list_in(answer: Any, left: int = 2) -> list[Any] | None:
    if isinstance(answer, list):
        return answer
    if not isinstance(answer, Mapping):
        return None
    lists = {name: value for name, value in answer.items() if isinstance(value, list) and name not in BESIDE}
    named = next((lists[name] for name in LISTS if name in lists), None)
    if named is not None or len(lists) == 1:
        return named if named is not None else next(iter(lists.values()))
    inner = [answer[name] for name in WRAPPERS if isinstance(answer.get(name), Mapping)]
    if not lists and left and len(inner) == 1:
        return _list_in(inner[0], left - 1)
    # An empty HAL list has no `_embedded`; what says in so many words that it counts nothing is empty too.
    page = answer.get("page")
    return [] if not lists and isinstance(page, Mapping) and Fields(page).whole("total_elements") == 0 else None


def _flat(row: Any) -> Any:
    """Return an object of JSON:API as any other: what it is, and the ids of what it belongs to, beside its own id."""
    if not isinstance(row, Mapping) or not isinstance(attributes := row.get("attributes"), Mapping):
        return row
    related = row.get("relationships")
    ids = {
        f"{name}_id": one["data"].get("id")
        for name, one in (related if isinstance(related, Mapping) else {}).items()
        if isinstance(one, Mapping) and isinstance(one.get("data"), Mapping)
    }
    return {**ids, **attributes, "id": row.get("id")}


def single(answer: Any) -> Mapping[str, Any]:
    """Return the object of an answer: itself, or the only thing in it (`{"data": {...}}`)."""
    rest = {name: value for name, value in answer.items() if name not in BESIDE} if isinstance(answer, Mapping) else {}
    if len(rest) == 1 and isinstance(inner := next(iter(rest.values())), Mapping):
        answer = inner
    if not isinstance(answer, Mapping):
        raise UnexpectedResponse(f"The answer is not a JSON object: it is {described(answer)}.")
    return _flat(answer)


def body(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Write a payload as the seed's examples are written: `guest_id` for the id the system knows, numbers for money, nothing empty."""
    return {_name(name): _value(name, value) for name, value in payload.items() if value not in (None, "", [], {}) and name not in OURS}


def reference(answer: Mapping[str, Any]) -> str:
    """Return what the system calls what it just made."""
    return Fields(answer).text("id", "external_id", "reference", *(f"{name}_id" for name in MADE))


def _name(name: str) -> str:
    return "menu_id" if name == "item_external_id" else name.replace("_external_id", "_id")


def _value(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [body(item) for item in value]
    return Decimal(value) if name in MONEY and isinstance(value, str) else value
