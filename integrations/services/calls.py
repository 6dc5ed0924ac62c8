"""Calling an operation by its name with one JSON object: for the doors that offer all of them, the console and `post_operation`.

The API has a path for each instead; all end in the same methods.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.forms.models import model_to_dict

from integrations.exceptions import InvalidInput, UnsupportedOperation
from integrations.models import Operation
from integrations.services import inputs
from integrations.services.service import IntegrationService


@dataclass(frozen=True, slots=True)
class Call:
    """How one operation is called: with what it is about (a key of the object), and with a body."""

    body: type[inputs.Input] | None = None
    about: str = ""
    spread: bool = False
    """The method takes the body's fields as arguments, not as one object."""


CALLS: Mapping[str, Call] = {
    "post_guest_check": Call(inputs.GuestCheckInput),
    "void_check": Call(inputs.VoidInput, "check_id", spread=True),
    "get_check_status": Call(about="check_id"),
    "post_check_in": Call(inputs.CheckInInput),
    "post_check_out": Call(inputs.CheckOutInput),
    "get_room_status": Call(about="room_number"),
    "get_guest_info": Call(about="guest_id"),
    "update_guest_info": Call(inputs.GuestChangesInput, "guest_id"),
    "post_charge": Call(inputs.ChargeInput),
    "send_request": Call(inputs.RequestInput),
    "post_feedback": Call(inputs.FeedbackInput),
    "get_feedback": Call(inputs.MessageFilter, spread=True),
    "post_chat_message": Call(inputs.ChatMessageInput),
    "get_chat_messages": Call(inputs.MessageFilter, spread=True),
    "post_notification": Call(inputs.NotificationInput),
    "get_notifications": Call(inputs.MessageFilter, spread=True),
    "update_notification_status": Call(inputs.NotificationStatusInput, "notification_id", spread=True),
    "get_guest_preferences": Call(about="guest_id"),
}


def is_write(service: IntegrationService, name: str) -> bool:
    operation = service.provider.manifest.operation(name)
    return operation is not None and operation.writes


def check(service: IntegrationService, name: str, data: Mapping[str, Any]) -> tuple[Any, inputs.Input | None]:
    """Read the object without doing anything. Raises UnsupportedOperation and InvalidInput."""
    offered = [operation.name for operation in service.operations()]
    if name not in CALLS or name not in offered:
        raise UnsupportedOperation(f"{service.provider.manifest.name} does not offer “{name}”. It offers: {', '.join(offered)}.")
    declared = CALLS[name]
    rest = dict(data)
    about = rest.pop(declared.about, None) if declared.about else None
    if declared.about and about is None and declared.about != "room_number":  # no room number means all rooms
        raise InvalidInput({declared.about: "This field is required."})
    if about is not None:
        about = inputs.read_reference(about, declared.about)
    if declared.body is None and rest:
        raise InvalidInput(dict.fromkeys(rest, "There is no such field. Check its spelling."))
    body = inputs.read(declared.body, rest) if declared.body else None
    if body is not None and is_write(service, name):
        service.check_body(name, body)
    return about, body


def perform(service: IntegrationService, name: str, data: Mapping[str, Any], *, idempotency_key: str = "") -> Any:
    """Call it: an `Operation` for a write; for a read the hotel's rows, or what the vendor told."""
    about, body = check(service, name, data)
    declared = CALLS[name]
    arguments: list[Any] = [about] if declared.about else []
    named: dict[str, Any] = {"idempotency_key": idempotency_key} if is_write(service, name) else {}
    if body is not None and declared.spread:
        named |= body.model_dump(exclude_unset=True)
    elif body is not None:
        arguments.append(body)
    return getattr(service, name)(*arguments, **named)


def call(service: IntegrationService, name: str, data: Mapping[str, Any], *, idempotency_key: str = "") -> Any:
    """Call it: an `Operation` for a write, plain JSON for a read."""
    result = perform(service, name, data, idempotency_key=idempotency_key)
    return result if isinstance(result, Operation) else plain(result)


def plain(result: Any) -> Any:
    """Return what a read gave as JSON: the hotel's rows with all that may be seen of them."""
    if isinstance(result, Model):
        return {"id": result.pk, **{name: plain(value) for name, value in model_to_dict(result).items()}}
    if isinstance(result, list):
        return [plain(item) for item in result]
    return str(result) if isinstance(result, Decimal) else result
