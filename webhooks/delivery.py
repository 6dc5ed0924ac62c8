"""One HTTP request of a vendor as both doors hand it over, and the answer they send back. Knows no framework and no database."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple


class Delivery(NamedTuple):
    integration_id: int
    headers: Mapping[str, str]
    """Names in lower case; the values of a header that came twice are joined with a comma, so that none of them passes for the only one."""
    body: bytes
    received_at: datetime
    path_secret: str = ""
    """What follows the integration's id in the path, for vendors that sign nothing."""
    peer: str = ""
    """The socket's address: the client's, or that of a proxy."""
    correlation_id: str = ""


class Outcome(NamedTuple):
    """The answer to one delivery."""

    status: int
    body: bytes
    content_type: str = "application/json"
    retry_after: int = 0
    """Seconds; sent as Retry-After unless 0."""


ACCEPTED = Outcome(202, b'{"status":"accepted"}')
DUPLICATE = Outcome(200, b'{"status":"duplicate"}')


def refusal(
    status: int, code: str, detail: str, *, field: str = "", hint: str = "", correlation_id: str = "", retry_after: int = 0
) -> Outcome:
    """Answer with an error in the shape all of the API's have."""
    kind = "server_error" if status >= 500 else "client_error"
    errors = [{"code": code, "detail": detail, "attr": field or None}]
    body = {"type": kind, "errors": errors, "hint": hint, "correlation_id": correlation_id}
    return Outcome(status, json.dumps(body, separators=(",", ":")).encode(), retry_after=retry_after)


def join_headers(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Collect headers, named in lower case, by name."""
    headers = dict(pairs)
    if len(headers) < len(pairs):
        headers.clear()
        for name, value in pairs:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers
