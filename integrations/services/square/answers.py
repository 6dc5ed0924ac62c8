"""How Square wraps its answers and tells its errors. What is inside is `mapping.py`'s business."""

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from integrations.exceptions import (
    AuthenticationFailed,
    ProviderUnavailable,
    RateLimited,
    ReauthorizationRequired,
    RequestRejected,
    VersionConflict,
)
from integrations.transport.client import ErrorRules, Response
from integrations.transport.response import described

T = TypeVar("T")

SCOPES = {
    "/v2/locations": "MERCHANT_PROFILE_READ",
    "/v2/catalog": "ITEMS_READ",
    "/v2/orders": "ORDERS_READ, ORDERS_WRITE and, to pay, PAYMENTS_WRITE",
    "/v2/payments": "PAYMENTS_READ and PAYMENTS_WRITE",
}
"""Path -> the permissions its calls need (Square's contract of 2025-08-20)."""


class Found(BaseModel):
    """One page of a search, or one batch. The last page has no cursor, and a list that is empty is left out."""

    objects: list[Any] = []
    orders: list[Any] = []
    cursor: str = ""
    latest_time: str = ""


class Payment(BaseModel):
    id: str
    status: str = ""


class Location(BaseModel):
    id: str
    name: str = ""
    status: str = ""
    currency: str = ""
    timezone: str = ""
    merchant_id: str = ""


class Subscription(BaseModel):
    id: str
    notification_url: str = ""
    event_types: list[str] = []
    enabled: bool = True
    signature_key: str = ""

    def shown(self) -> dict[str, Any]:
        return {"id": self.id, "url": self.notification_url, "event_types": self.event_types, "is_enabled": self.enabled}


LISTS = {"objects", "related_objects", "orders", "order_entries", "errors"}
"""The lists of a search's answer (Square's contract of 2025-08-20)."""


def found_in(response: Response) -> Found:
    """Return what a search or a batch found. Raises UnexpectedResponse where the answer is of another sort: all we know of would seem gone."""
    body = response.record()
    strange = [name for name, value in body.items() if isinstance(value, list) and name not in LISTS]
    if strange or (body and not body.keys() & {*LISTS, *Found.model_fields}):
        raise response.unexpected(f"has none of the lists of a search: it is {described(body)}")
    return read(response, Found)


_adapter = lru_cache(maxsize=None)(TypeAdapter)


def read(response: Response, kind: type[T], member: str = "", default: Any = None) -> T:
    """Return the answer, or one member of it, as `kind`; `default` if Square left it out. Raises UnexpectedResponse."""
    body = response.json()
    if member:
        body = body.get(member, default) if isinstance(body, dict) else None
    try:
        return _adapter(kind).validate_python(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, (member, *problem["loc"]) if member else problem["loc"]))
        raise response.unexpected(f"is not what its documentation promises: {where}: {problem['msg']}") from error


def read_error(response: Response) -> tuple[str, str]:
    """Return code and message of the first error: the status belongs to that one (docs, "Handling errors", 2026-03)."""
    body = response.json()
    errors = body.get("errors") if isinstance(body, dict) else None
    error = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code, detail, where = (str(error.get(name) or "") for name in ("code", "detail", "field"))
    if code == "INSUFFICIENT_SCOPES":
        needed = next((scopes for path, scopes in SCOPES.items() if path in response.url), "")
        return code, f"{detail} Needed here: {needed}."
    return code, f"{detail} ({where})" if where else detail


# The set of codes is open: the contract lists 153 and leaves out VERSION_MISMATCH, which is sent (forum 855, 2026-03).
ERRORS = ErrorRules(
    read=read_error,
    in_success=True,
    table={
        (None, "ACCESS_TOKEN_REVOKED"): ReauthorizationRequired,
        (None, "ACCESS_TOKEN_EXPIRED"): AuthenticationFailed,
        (None, "UNAUTHORIZED"): AuthenticationFailed,
        (None, "INSUFFICIENT_SCOPES"): RequestRejected,
        (None, "VERSION_MISMATCH"): VersionConflict,
        (None, "CONFLICT"): VersionConflict,
        (None, "RATE_LIMITED"): RateLimited,
        (None, "too_many_requests"): RateLimited,  # the token endpoint, in the words of its first version
        (None, "TEMPORARY_ERROR"): ProviderUnavailable,
        (None, "INTERNAL_SERVER_ERROR"): ProviderUnavailable,
        (None, "SERVICE_UNAVAILABLE"): ProviderUnavailable,
        (None, "BAD_GATEWAY"): ProviderUnavailable,
        (None, "GATEWAY_TIMEOUT"): ProviderUnavailable,
    },
)
