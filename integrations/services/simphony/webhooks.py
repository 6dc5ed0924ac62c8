"""Reads Simphony's notifications: thin, several in one delivery, each with an id of its own.

Oracle sends each of them once and never again, so they only make things faster: the next sync fills the gaps.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import values
from integrations.exceptions import RecordRejected
from integrations.records import InboundEvent
from integrations.services.rows import events_of

MENU_RESOURCES = ("Menus", "MenuItemAvailability")
"""`data.ResourceType` of a ConfigurationNotification that changes what the menu streams read."""


def parse(headers: Mapping[str, str], body: Any) -> list[InboundEvent]:
    """Turn one delivery into events; what is not a message is passed over."""
    messages = body.get("messages") if isinstance(body, Mapping) else None
    known = [message for message in messages if isinstance(message, Mapping)] if isinstance(messages, list) else []
    return events_of(known, _event, lambda message: message["messageType"]["id"])


def _event(message: Mapping[str, Any]) -> InboundEvent:
    kind, resource, data = (_part(message, name) for name in ("messageType", "resource", "data"))
    event_type, check_ref = values.text(kind.get("id"), "messageType.id"), values.ident(resource.get("checkRef"), "checkRef")
    refresh: tuple[str, ...] = ()
    if event_type == "CheckNotification" and check_ref:
        refresh = ("checks",)
    elif event_type == "ConfigurationNotification" and data.get("ResourceType") in MENU_RESOURCES:
        refresh = ("categories", "menus")
    return InboundEvent(
        event_type=event_type,
        event_id=values.ident(message.get("id"), "id"),
        object_type="guest_check" if check_ref else "",
        object_id=check_ref,
        occurred_at=_time(data.get("timeStampUtc") or message.get("creationDate")),
        refresh=refresh,
    )


def _part(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = message.get(name)
    return part if isinstance(part, Mapping) else {}


def _time(text: Any) -> datetime | None:
    try:
        return values.moment(text, "time")
    except RecordRejected:
        return None
