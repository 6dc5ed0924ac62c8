"""What providers and the rest of Hospient speak: frozen, typed records. No Django, no HTTP, no vendor.

Money is `Decimal` in major units beside an ISO 4217 code; times are aware; ids of vendors are opaque text. A vendor's open
enumeration maps to our words, an unknown value to `unknown` with the vendor's own word kept in the `*_original` field.
Fields named `*_external_id` point to another record of the same vendor; the sync turns them into the hotel's own rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

__all__ = [
    "ChatMessage", "Feedback", "Guest", "GuestCheck", "InboundEvent", "MenuCategory", "MenuItem", "MenuTax", "MenuVariation", "ModifierList", "Notification",
    "Page", "Record", "Rejected", "Reservation", "Room", "StreamQuery",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One canonical item as one vendor tells it."""

    record_type: ClassVar[str]

    external_id: str
    version: int | None = None
    """The vendor's own version number, where there is one: a lower one never overwrites a higher one."""
    updated_at: datetime | None = None
    """When the vendor last changed it, by the vendor's clock."""
    deleted: bool = False
    """The vendor says it is gone; all other fields may be empty."""
    merged_into: str = ""
    """Of a guest who is gone: whom the vendor made of this one and another."""


# --- point of sale -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuCategory(Record):
    record_type: ClassVar[str] = "menu_category"

    name: str = ""
    position: int = 0
    parent_external_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuTax(Record):
    record_type: ClassVar[str] = "menu_tax"

    name: str = ""
    percentage: Decimal = Decimal(0)
    is_included: bool = False
    """The price already contains the tax."""
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifierList(Record):
    """Choices a guest makes for an item: doneness, sauces, extras."""

    record_type: ClassVar[str] = "modifier_list"

    name: str = ""
    min_selected: int | None = None
    max_selected: int | None = None
    options: tuple[Mapping[str, Any], ...] = ()
    """`{"external_id", "name", "price" (decimal text or null), "currency", "on_by_default", "is_available"}` each, in the vendor's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuVariation(Record):
    """What a check line refers to; the price lives here."""

    record_type: ClassVar[str] = "menu_variation"

    name: str = ""
    sku: str = ""
    price: Decimal | None = None
    """None where the price is asked for at the till."""
    currency: str = ""
    is_available: bool = True
    sold_out_until: datetime | None = None
    """Of what is available: from when on, where it is sold out for a time. Whoever asks decides by the time."""
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuItem(Record):
    record_type: ClassVar[str] = "menu_item"

    name: str = ""
    description: str = ""
    category_external_id: str = ""
    is_available: bool = True
    sold_out_until: datetime | None = None
    """As of its variations: when the first of them is for sale again."""
    position: int = 0
    variations: tuple[MenuVariation, ...] = ()
    modifier_list_external_ids: tuple[str, ...] = ()
    tax_external_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestCheck(Record):
    """A check as it stands at the point of sale."""

    record_type: ClassVar[str] = "guest_check"

    status: str = "unknown"
    """draft, open, closed, voided or unknown"""
    status_original: str = ""
    total: Decimal | None = None
    amount_due: Decimal | None = None
    currency: str = ""

    def __post_init__(self) -> None:
        if self.status == "voided":  # nobody owes it any more, whatever the vendor leaves standing there
            object.__setattr__(self, "amount_due", Decimal(0))


# --- property management -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Room(Record):
    record_type: ClassVar[str] = "room"

    number: str = ""
    room_type: str = ""
    floor: str = ""
    housekeeping: str = "unknown"
    """clean, dirty, pickup, inspected, out_of_order, out_of_service or unknown"""
    housekeeping_original: str = ""
    occupancy: str = "unknown"
    """vacant, occupied or unknown: as the front office has it"""
    observed_occupancy: str = "unknown"
    """the same as housekeeping saw it; a difference is a discrepancy the hotel wants to see"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest(Record):
    record_type: ClassVar[str] = "guest"

    given_name: str = ""
    family_name: str = ""
    email: str = ""
    phone: str = ""
    language: str = ""
    nationality: str = ""
    is_vip: bool = False
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation(Record):
    record_type: ClassVar[str] = "reservation"

    confirmation_number: str = ""
    status: str = "unknown"
    """requested, reserved, waitlisted, in_house, checked_out, cancelled, no_show or unknown"""
    status_original: str = ""
    arrival_date: date | None = None
    departure_date: date | None = None
    guest_external_id: str = ""
    companion_external_ids: tuple[str, ...] = ()
    """Everybody else of the booking."""
    room_number: str = ""
    room_type: str = ""
    adults: int = 0
    children: int = 0
    rate_amount: Decimal | None = None
    balance: Decimal | None = None
    currency: str = ""


# --- guest management ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback(Record):
    record_type: ClassVar[str] = "feedback"

    guest_external_id: str = ""
    room_number: str = ""
    rating: int | None = None
    """1 (worst) to 5 (best)"""
    category: str = ""
    title: str = ""
    message: str = ""
    is_anonymous: bool = False
    submitted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage(Record):
    record_type: ClassVar[str] = "chat_message"

    guest_external_id: str = ""
    room_number: str = ""
    message: str = ""
    message_type: str = "text"
    sender_type: str = "unknown"
    """guest, staff, system or unknown"""
    sender_name: str = ""
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification(Record):
    record_type: ClassVar[str] = "notification"

    guest_external_id: str = ""
    room_number: str = ""
    title: str = ""
    message: str = ""
    category: str = ""
    priority: str = "normal"
    """low, normal, high or urgent"""
    notification_type: str = "push"
    status: str = "unknown"
    """pending, sent, delivered, read, failed or unknown"""
    sent_at: datetime | None = None


# --- reading a stream ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamQuery:
    """What a run asks of a stream."""

    cursor: Mapping[str, Any] | None = None
    """Where the last good run ended, as this stream wrote it; None reads everything."""
    checkpoint: Mapping[str, Any] | None = None
    """Where this run was interrupted, as this stream wrote it; None starts at the beginning."""
    since: date | None = None
    until: date | None = None
    """A backfill's first and last day, both included, by the hotel's calendar. Only a provider whose vendor wants moments makes them of it
    (`HotelFacts.moments`)."""
    external_ids: tuple[str, ...] = ()
    """Read just these (a webhook said that they changed); empty reads the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One vendor object a mapping could not turn into a record."""

    external_id: str
    record_type: str
    reason: str
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a stream yields: stored in one transaction together with its checkpoint."""

    records: tuple[Record, ...] | list[Record]
    rejected: tuple[Rejected, ...] | list[Rejected] = ()
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    """Enough to go on after this page."""
    cursor: Mapping[str, Any] | None = None
    """Where the next run starts if this one ends well; the last one that is not None counts."""
    total: int | None = None
    """How many records the vendor says the run will bring, for the progress bar."""
    until: date | None = None
    """The last day the list covers, where it is one of a window of days."""


# --- reading a webhook ---------------------------------------------------------------------------------------------------------


class InboundEvent(NamedTuple):
    """One event of one delivery, as a provider's `parse` reads it. A named tuple: one is made for every delivery, and they are made fast."""

    event_type: str
    """The vendor's own name."""
    event_id: str = ""
    """The vendor's id; empty where it has none."""
    object_type: str = ""
    """Record type it speaks of; with `object_id` the key of per-object order."""
    object_id: str = ""
    occurred_at: datetime | None = None
    version: int | None = None
    refresh: tuple[str, ...] = ()
    """A thin event: streams to read. Those declared `by_id` are asked for `object_id`, others run incrementally."""
    records: tuple[Record, ...] = ()
    """A full event: the records it carries; applied when not older than what is stored."""
    told: tuple[str, ...] = ()
    """The fields of `records` the event told; the others stay as they are stored. Empty: it told all. With `refresh` too, the records are
    only taken if the vendor cannot be asked."""
    problem: str = ""
    """Why it cannot be read. It is kept all the same, and waits for a person."""
