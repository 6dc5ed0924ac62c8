"""Reads Salesforce's outbound messages, decoded from SOAP. Pure.

A message carries the fields somebody chose and only their latest values, so it just says what to read again. What a Flow or an Apex
callout sends follows our own webhook contract and is not read here.
"""

from collections.abc import Mapping
from typing import Any

from integrations import values
from integrations.records import InboundEvent
from integrations.services.rows import events_of
from integrations.services.salesforce.ids import spelled

OBJECTS = {
    "Contact": ("guest", "guest_data"),
    "Feedback__c": ("feedback", "feedback"),
    "Chat_Message__c": ("chat_message", "chat_messages"),
    "Notification__c": ("notification", "notifications"),
}
"""Their object -> record type, and the stream that reads it. An org that calls its objects otherwise sends a callout instead."""

CONTACT_PREFIX = "003"
"""Ids of contacts begin so in every org; those of custom objects begin differently in each."""


def parse(headers: Mapping[str, str], body: Any) -> list[InboundEvent]:
    """Return the events of one message: up to 100 notifications, each with an id that stays the same when it is sent again."""
    notifications = body.get("Notification") if isinstance(body, dict) else None
    return events_of(notifications, _event, lambda found: found["sObject"]["type"]) if isinstance(notifications, list) else []


def _event(notification: Mapping[str, Any]) -> InboundEvent:
    row = notification["sObject"]
    object_id = spelled(values.ident(row.get("Id"), "sObject.Id"))
    name = values.text(row["type"], "sObject.type") or ("Contact" if object_id.startswith(CONTACT_PREFIX) else "unknown")
    record_type, stream = OBJECTS.get(name, ("", ""))
    return InboundEvent(
        event_type=name,
        event_id=spelled(values.ident(notification["Id"], "Id")),
        object_type=record_type,
        object_id=object_id,
        refresh=(stream,) if stream else (),
    )
