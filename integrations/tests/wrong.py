"""Wrong requests to a simulator, and what the vendor answers to each; every vendor's `test_simulator.py` has its own, in lists named WRONG.

`docs/simulators.md` says how many there are. Requests are handed to the simulator itself: how it is served is tested once for all.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from integrations.simulators.server import MalformedError, SimRequest, SimResponse, Simulator


@dataclass(frozen=True, slots=True)
class Wrong:
    status: int
    code: str
    """The vendor's."""
    says: str
    """What its answer names: the field, or some of the vendor's words."""
    target: str
    body: Any = None
    """JSON; a text is sent as a form, bytes as they are."""
    method: str = "POST"
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Beside those that are right; None leaves one out."""

    def __repr__(self) -> str:
        """Name the test."""
        return f"{self.code} {self.says}".encode("ascii", "replace").decode()[:60]


def changed(body: Any, place: str, value: Any) -> Any:
    """Return `body` with another value at a place such as `order.line_items.0.quantity`; `...` takes it out."""
    body = deepcopy(body)
    *way, last = [int(step) if step.isdecimal() else step for step in place.split(".")]
    inner = body
    for step in way:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return body


def ask(simulator: Simulator, method: str, target: str, body: Any = None, headers: Mapping[str, str | None] | None = None) -> SimResponse:
    """Hand one request to a simulator, with `headers` (in lower case) as they are."""
    path, _, query = target.partition("?")
    raw = (
        body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    )
    kind = {"content-type": "application/x-www-form-urlencoded" if isinstance(body, str) else "application/json"} if raw else {}
    given = {"host": "simulator", **kind, **(headers or {})}
    request = SimRequest(
        method=method,
        path=path,
        query=parse_qs(query, keep_blank_values=True),
        headers={name: value for name, value in given.items() if value is not None},
        body=raw,
    )
    try:
        return simulator.handle(request)
    except MalformedError as error:
        return simulator.malformed(str(error))
