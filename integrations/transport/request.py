"""What a provider asks the client for, with everything in it encoded: path, parameters, body."""

import json as json_text
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypedDict
from urllib.parse import quote, urlencode

from integrations.exceptions import RequestRejected

SAFE_METHODS = frozenset({"GET", "HEAD"})
EXPECTED = (200, 201, 202, 204)
GONE = (204, 404, 410)
"""How vendors say that there is nothing by an id."""

Params = Mapping[str, Any] | Iterable[tuple[str, Any]] | None


class CallOptions(TypedDict, total=False):
    """What `Client.call` and `Client.pages` take by name."""

    params: Params
    """None as a value leaves the parameter out; a list repeats it."""
    json: Any
    """Decimals become numbers."""
    form: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    safe: bool | None
    """The call may be repeated by itself after a network error or a 5xx. GET and HEAD may; a write may if it carries the vendor's own
    idempotency key, or sets a state."""
    expect: Collection[int]
    """Statuses that are no error: 200, 201, 202 and 204 unless told otherwise."""
    auth: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. Its address and its proof of identity are added for each attempt anew: both may change in between."""

    name: str
    method: str
    path: str
    """With the query; an absolute address stays one."""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    shown: Any = field(repr=False)
    """The body before it was encoded, for the log."""
    is_safe: bool
    expect: Collection[int]
    signs_in: bool


def prepare(
    method: str,
    path: str,
    *,
    name: str,
    params: Params = None,
    json: Any = None,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    safe: bool | None = None,
    expect: Collection[int] = EXPECTED,
    auth: bool = True,
) -> Call:
    """Encode a call; see `CallOptions`."""
    method = method.upper()
    path = quote(path, safe="/%:?[]@!$&'()*+,;=~")
    if query := _query(params):
        path += ("&" if "?" in path else "?") + query
    body, content_type = None, {}
    if json is not None:
        body = json_text.dumps(json, default=_plain, allow_nan=False, separators=(",", ":")).encode()
        content_type = {"Content-Type": "application/json"}
    elif form is not None:
        body = urlencode(form).encode()
        content_type = {"Content-Type": "application/x-www-form-urlencoded"}
    return Call(
        name=name,
        method=method,
        path=path,
        headers={**content_type, **(headers or {})},
        body=body,
        shown=form if json is None else json,
        is_safe=method in SAFE_METHODS if safe is None else safe,
        expect=expect,
        signs_in=auth,
    )


def path_part(value: str) -> str:
    """Write an id as one part of a path. Raises RequestRejected for one that would make it the path of another resource."""
    if value.strip() in ("", ".", ".."):
        raise RequestRejected(f"“{value}” is no id, so nothing was asked for.", hint="Give the id as the other system shows it.")
    return quote(value, safe="")


def _query(params: Params) -> str:
    flat: list[tuple[str, Any]] = []
    for name, value in params.items() if isinstance(params, Mapping) else params or ():
        flat += [(name, each) for each in (value if isinstance(value, list | tuple | set) else [value]) if each is not None]
    return urlencode([(name, str(value).lower() if isinstance(value, bool) else value) for name, value in flat], quote_via=quote)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
