"""One client for all vendors."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from integrations.security.egress import Egress
from integrations.transport.auth import Auth
from integrations.transport.breaker import Breaker
from integrations.transport.budget import Budget
from integrations.transport.errors import ErrorRules
from integrations.transport.response import Response

__all__ = ["Client", "ErrorRules", "Exchange", "Policy", "Response"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long we wait, how much we take, how often we try."""

    connect_seconds: float = 5
    read_seconds: float = 15
    total_seconds: float = 30
    max_bytes: int = 10 * 2**20
    attempts: int = 4
    max_wait_seconds: float = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came of it, redacted: what `log` is called with, once for each attempt."""

    operation_name: str
    method: str
    url: str
    request_data: dict[str, Any]
    response_data: dict[str, Any]
    http_status: int | None
    error_code: str
    error_message: str
    processing_time: int
    attempt: int
    correlation_id: str
    status: str


class Client:
    def __init__(
        self,
        *,
        provider: str,
        base_url: str,
        auth: Auth,
        errors: ErrorRules = ErrorRules(),
        policy: Policy = Policy(),
        egress: Egress,
        breaker: Breaker | None = None,
        budget: Budget | None = None,
        log: Callable[[Exchange], None] = lambda exchange: None,
        secrets: Iterable[str] = (),
        headers: Mapping[str, str] = {},
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        raise NotImplementedError

    def call(
        self,
        method: str,
        path: str,
        *,
        name: str,
        params: Any = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        safe: bool | None = None,
        expect: Collection[int] = (200, 201, 202, 204),
        auth: bool = True,
    ) -> Response:
        raise NotImplementedError

    def pages(
        self, method: str, path: str, *, name: str, next_request: Callable[[Response], dict | None], limit: int = 100_000, **more: Any
    ) -> Iterator[Response]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
