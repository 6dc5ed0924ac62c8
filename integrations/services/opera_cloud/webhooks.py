"""Reads OPERA's business events: one raw event, as polling took it from the queue, into what to read again.

Thin on purpose: a hotel chooses which data elements an event carries, down to none at all ("header only"), so an event is a hint
and the object is read. Oracle's own examples break the schema (numbers as module names, ids as text, times with a space).
"""

from collections.abc import Mapping
from typing import Any

from integrations import values
from integrations.records import InboundEvent
from integrations.services.opera_cloud.mapping import moment
from integrations.services.rows import events_of

EVENTS = {
    "NEW RESERVATION": ("reservation_created", "reservations"),
    "UPDATE RESERVATION": ("reservation_updated", "reservations"),
    "CANCEL": ("reservation_updated", "reservations"),
    "ROLLBACK CANCEL": ("reservation_updated", "reservations"),
    "NO SHOW": ("reservation_updated", "reservations"),
    "CHECK IN": ("check_in", "reservations"),
    "REVERSE CHECK IN": ("reservation_updated", "reservations"),
    "CHECK OUT": ("check_out", "reservations"),
    "REVERSE CHECK OUT": ("reservation_updated", "reservations"),
    "NEW PROFILE": ("guest_created", "guests"),
    "UPDATE PROFILE": ("guest_updated", "guests"),
    "UPDATE ROOM STATUS": ("room_status_changed", "rooms"),
    "NEW OUT OF ORDER": ("room_status_changed", "rooms"),
    "UPDATE OUT OF ORDER": ("room_status_changed", "rooms"),
    "NEW OUT OF SERVICE": ("room_status_changed", "rooms"),
    "UPDATE OUT OF SERVICE": ("room_status_changed", "rooms"),
}
"""OPERA's action -> our event name, and the stream that reads what it speaks of."""
MODULES = {"Reservation": "reservations", "Profile": "guests", "Housekeeping": "rooms"}
"""For actions of a module that are not in the table: Oracle adds new ones without notice."""
OBJECTS = {"reservations": "reservation", "guests": "guest", "rooms": "room"}


def parse(headers: Mapping[str, str], body: Any) -> list[InboundEvent]:
    """Turn one raw event into what it asks for. `actionId` is unique only inside a module; the event's own id is unique."""
    if not isinstance(body, dict) or not body.get("businessEvent"):
        return []
    return events_of([body], _event, lambda found: found["businessEvent"]["header"]["actionType"])


def _event(body: Mapping[str, Any]) -> InboundEvent:
    header = body["businessEvent"].get("header") or {}
    action = values.text(header.get("actionType"), "actionType").upper()
    stream = EVENTS[action][1] if action in EVENTS else MODULES.get(str(header.get("moduleName")), "")
    object_id = values.ident(header.get("primaryKey"), "primaryKey")
    return InboundEvent(
        event_type=action,
        event_id=values.ident((body.get("businessEventId") or {}).get("id"), "businessEventId"),
        object_type=OBJECTS.get(stream, ""),
        object_id=object_id,
        occurred_at=moment(header.get("createdDateTime")),
        refresh=(stream,) if stream and object_id else (),
    )
