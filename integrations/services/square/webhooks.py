"""Reads Square's webhook envelope. Its events carry ids and versions, not objects, so that each only says what to read again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from integrations import values
from integrations.exceptions import RecordRejected
from integrations.records import InboundEvent
from integrations.services.rows import events_of

EVENTS = {
    "catalog.version.updated": "menu_updated",
    "order.created": "check_created",
    "order.updated": "check_updated",
    "oauth.authorization.revoked": "access_revoked",
}
ORDERS = {"order.created": "order_created", "order.updated": "order_updated"}
"""Order events -> the member of `data.object` that names the order."""


def parse(headers: Mapping[str, str], body: Any) -> list[InboundEvent]:
    """Return the event of one delivery; a kind we do not know is returned too, and kept."""
    return events_of([body], _event, lambda found: found.get("type")) if isinstance(body, dict) else []


def _event(body: Mapping[str, Any]) -> InboundEvent:
    event_type = values.text(body.get("type"), "type")
    event_id = values.ident(body.get("event_id"), "event_id")
    common = {"event_type": event_type, "event_id": event_id, "occurred_at": _moment(body.get("created_at"))}
    if event_type == "catalog.version.updated":
        # Names no object; `data.id` means nothing, and one edit may send several (developer forum 13625, 2026-03).
        return InboundEvent(**common, refresh=("menus",))
    if event_type in ORDERS:
        order = _object(body).get(ORDERS[event_type])
        order = order if isinstance(order, dict) else {}
        order_id, version = values.ident(order.get("order_id"), "order_id"), values.whole(order.get("version"), "version")
        if order_id:
            return InboundEvent(**common, object_type="guest_check", object_id=order_id, version=version, refresh=("checks",))
    return InboundEvent(**common)


def _object(body: Mapping[str, Any]) -> Mapping[str, Any]:
    data = body.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _moment(text: Any) -> datetime | None:
    try:
        return values.moment(text, "created_at", zone=None)
    except RecordRejected:
        return None
