"""Reads the bodies of our own scheme: `{"event_type", "event_id"?, "occurred_at"?, "data"}`, as the seed's senders write them.

`data` may hold only an id (thin: the vendor is asked) or the object in the plain JSON shapes of Hospient's own API (full: what it tells is
taken, unless something newer is stored). Called by ingest and by the inbox.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Any

from integrations import values
from integrations.exceptions import RecordRejected
from integrations.records import InboundEvent, Record
from integrations.services.generic_rest import mapping
from webhooks.exceptions import BodyUnreadable

Mapper = Callable[[Mapping[str, Any], str], Record]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What an event of our own scheme is about, and what it does."""

    object_type: str
    ids: tuple[str, ...]
    """Names the object's id goes by in `data`; plain `id` comes last, as it may be the id of what happened."""
    streams: tuple[str, ...]
    """Where the object can be read again."""
    read: Mapper
    whole: tuple[str, ...]
    """Record fields that make it a whole object when all of them are told."""
    sets: Mapping[str, str] = field(default_factory=dict)
    """What the event itself says of the object."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return where to look for the object's id, in both ways of writing names."""
        return tuple(spelling for name in (*self.ids, "id", "external_id") for spelling in (name, _camel(name)))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _menu_item(data: Mapping[str, Any], currency: str) -> Record:
    """Read a menu item; one without a price has no variations, because a price that was not told is not a price to be asked for."""
    item = mapping.menu_item(data, currency)
    return replace(item, variations=item.variations if all(v.price is not None for v in item.variations) else ())


_MENU = Effect(
    object_type="menu_item",
    ids=("menu_id", "item_id"),
    streams=("menus",),
    read=_menu_item,
    whole=("name", "category_external_id", "variations"),
)
_CHECK = Effect(object_type="guest_check", ids=("check_id",), streams=("checks",), read=mapping.guest_check, whole=("status", "total"))
_RESERVATION = Effect(
    object_type="reservation",
    ids=("reservation_id",),
    streams=("reservations",),
    read=mapping.reservation,
    whole=("status", "arrival_date", "departure_date"),
)
_ROOM = Effect(
    object_type="room", ids=("room_id", "room_number"), streams=("rooms",), read=mapping.room, whole=("room_type", "housekeeping")
)
_GUEST = Effect(
    object_type="guest",
    ids=("guest_id",),
    streams=("guests", "guest_data"),
    read=mapping.guest,
    whole=("given_name", "family_name", "email"),
)

EVENTS: Mapping[str, Effect] = {
    "menu_updated": _MENU,
    "check_created": _CHECK,
    "check_updated": _CHECK,
    "check_voided": replace(_CHECK, sets={"status": "voided"}),
    "reservation_created": _RESERVATION,
    "reservation_updated": _RESERVATION,
    "check_in": replace(_RESERVATION, sets={"status": "in_house"}),
    "check_out": replace(_RESERVATION, sets={"status": "checked_out"}),
    "room_status_changed": _ROOM,
    "guest_updated": _GUEST,
    "feedback_submitted": Effect(
        object_type="feedback", ids=("feedback_id",), streams=("feedback",), read=mapping.feedback, whole=("rating",)
    ),
    "chat_message_received": Effect(
        object_type="chat_message", ids=("message_id",), streams=("chat_messages",), read=mapping.chat_message, whole=("message",)
    ),
    "notification_sent": Effect(
        object_type="notification",
        ids=("notification_id",),
        streams=("notifications",),
        read=mapping.notification,
        whole=("message",),
        sets={"status": "sent"},
    ),
}


def outline(headers: Mapping[str, str], body: Any) -> list[InboundEvent]:
    """Return the event of one delivery without a look at what it tells of its object. Raises BodyUnreadable."""
    if not isinstance(body, dict):
        raise BodyUnreadable("The body is not a JSON object with event_type and data.")
    event_type = body.get("event_type") or body.get("type")  # Standard Webhooks calls it type
    data = _data(body)
    if not isinstance(event_type, str) or not event_type.strip():
        raise BodyUnreadable("The body needs an event_type: a text such as menu_updated.", field="event_type")
    if not isinstance(data, dict):
        raise BodyUnreadable("What the body has as data is not an object.", field="data")
    effect = EVENTS.get(event_type)
    return [
        InboundEvent(
            event_type=event_type,
            event_id=_text(body.get("event_id"), "event_id"),
            occurred_at=_moment(body),
            object_type=effect.object_type if effect else "",
            object_id=_object_id(effect, data) if effect else "",
            refresh=effect.streams if effect else (),
        )
    ]


def _object_id(effect: Effect, data: Mapping[str, Any]) -> str:
    for name in effect.names:
        if found := _text(data.get(name), f"data.{name}"):
            return found
    return ""


def parse(headers: Mapping[str, str], body: Any, currency: str = "", zone: tzinfo = UTC) -> list[InboundEvent]:
    """Return the event of one delivery with all it tells the hotel of this currency and zone; a type that is not in the table is returned
    too, and kept."""
    [event] = outline(headers, body)
    effect = EVENTS.get(event.event_type)
    data = _data(body)
    record = _record(event, effect, data, currency, zone) if effect and event.object_id else None
    if effect is None or record is None:
        return [event]
    given = mapping.Fields(data)
    told = tuple(f.name for f in fields(record) if f.name not in _KEPT and (getattr(record, f.name) != f.default or _named(f.name, given)))
    is_whole = all(getattr(record, name) not in (None, "", "unknown", ()) for name in effect.whole)
    return [event._replace(records=(record,), told=told, refresh=() if is_whole else event.refresh)]


_KEPT = {field.name for field in fields(Record)} | {"currency"}
"""Decided elsewhere, not by what `data` has."""


def _named(name: str, given: mapping.Fields) -> bool:
    """Say whether `data` names a field outright: then false, zero and nothing are told too."""
    return name in given.told or name.replace("_external_id", "_id") in given.told


def _record(event: InboundEvent, effect: Effect, data: Mapping[str, Any], currency: str, zone: tzinfo) -> Record | None:
    """Read the object out of `data` as far as it goes; None if there is not enough of it."""
    try:
        record = mapping.of_hotel(effect.read, {**data, **effect.sets, "id": event.object_id}, currency, zone)
    except values.OddValue:
        raise
    except RecordRejected:
        return None
    version = data.get("version")
    return replace(
        record,
        updated_at=record.updated_at or event.occurred_at,
        version=version if isinstance(version, int) and not isinstance(version, bool) else None,
    )


def _data(body: Mapping[str, Any]) -> Any:
    return {} if body.get("data") is None else body["data"]


def _text(value: Any, field: str) -> str:
    """Read an id; a number is taken too."""
    try:
        return values.ident(value, field)
    except RecordRejected as refusal:
        raise BodyUnreadable(f"{field} is neither a text nor a number: {refusal.message}", field=field) from None


def _moment(body: Mapping[str, Any]) -> datetime | None:
    field = "occurred_at" if body.get("occurred_at") else "timestamp"
    try:
        moment = values.moment(body.get(field), field)
    except RecordRejected:
        raise BodyUnreadable(f"{field} is neither a time in ISO 8601 nor in epoch seconds or milliseconds.", field=field) from None
    return moment and moment.astimezone(UTC)
