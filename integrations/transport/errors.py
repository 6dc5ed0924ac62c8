"""From what came of a call to our error class: the one place that decides, and the rows a provider may add to it."""

import http.client
import inspect
import json
import socket
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import urllib3

from integrations.exceptions import (
    AuthenticationFailed,
    EgressBlocked,
    HospientError,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    RetryableProviderError,
    UnexpectedResponse,
    VersionConflict,
)
from integrations.security.redaction import redact, redact_text, redact_url
from integrations.transport.response import Response
from integrations.transport.retry import retry_after
from integrations.transport.wire import AnswerError

MAX_SENTENCE = 300
MAX_EXCERPT = 500


def _knows_nothing(response: Response) -> tuple[str, str]:
    return "", ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRules:
    """How to read a vendor's error body, and rows that go before the common table."""

    read: Callable[[Response], tuple[str, str]] = _knows_nothing
    """-> (the vendor's code, its message). A body it cannot read is none of its worry: UnexpectedResponse means both empty."""
    table: Mapping[tuple[int | None, str], type[ProviderError]] = field(default_factory=dict)
    """(status or None for any, code or "" for any) -> class."""
    in_success: bool = False
    """Look for errors in a 2xx too (Square's bulk answers): a code found there is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What an error tells about the call it belongs to."""

    provider: str
    operation: str
    correlation_id: str
    is_safe: bool
    secrets: tuple[str, ...] = field(repr=False)
    host: str = ""

    def name_vendor(self, sentence: str) -> str:
        return sentence.replace("The vendor ", f"{self.provider} ").replace("the vendor ", f"{self.provider} ")

    def fail(self, kind: type[ProviderError], sentence: str, **more: Any) -> ProviderError:
        return kind(sentence, provider=self.provider, operation=self.operation, correlation_id=self.correlation_id, **more)


STATUSES: Mapping[int, tuple[type[ProviderError], str]] = {
    401: (AuthenticationFailed, ""),
    403: (AuthenticationFailed, "The vendor does not allow this with the credentials it was given."),
    404: (RequestRejected, "The vendor does not know what was asked for."),
    408: (ProviderUnavailable, "The vendor took too long to answer."),
    409: (VersionConflict, "The vendor refused the request because it conflicts with what is there."),
    412: (VersionConflict, ""),
    425: (ProviderUnavailable, "The vendor is not ready for the request yet."),
    429: (RateLimited, ""),
}
"""An empty sentence is that of the class."""


def from_answer(response: Response, rules: ErrorRules, expect: Collection[int], facts: CallFacts, now: datetime) -> ProviderError | None:
    """Return the error an answer stands for, or None if it is a good one."""
    status = response.status
    is_expected = status in expect
    if is_expected and not (rules.in_success and 200 <= status < 300):
        return None
    code, message = _read(rules, response)
    if is_expected and not code:
        return None
    rows = ((status, code), (None, code), (status, "")) if code else ((status, ""),)
    kind = next((rules.table[row] for row in rows if row in rules.table), None)
    sentence, more = "", {}
    if kind is None:
        kind, sentence, more = (RequestRejected, "", {}) if is_expected else _common(response, facts)
    if issubclass(kind, RetryableProviderError):
        more["retry_at"] = retry_after(response.headers.get("Retry-After", ""), now)
    # Any other class is a definite answer: nothing was done. But 303 means "done, look over there" (RFC 9110, 15.4.4).
    is_open = issubclass(kind, ProviderUnavailable | UnexpectedResponse) or status == 303
    return facts.fail(
        kind,
        _sentence(sentence or _default(kind), facts, status, code, message),
        status=status,
        vendor_code=code,
        excerpt=_excerpt(response, facts),
        maybe_done=is_open and not facts.is_safe,
        **more,
    )


def _read(rules: ErrorRules, response: Response) -> tuple[str, str]:
    try:
        return rules.read(response)
    except UnexpectedResponse:
        return "", ""


def _common(response: Response, facts: CallFacts) -> tuple[type[ProviderError], str, dict[str, Any]]:
    status = response.status
    if status in STATUSES:
        kind, sentence = STATUSES[status]
        return kind, sentence, {}
    if status >= 500:
        return ProviderUnavailable, "The vendor cannot answer just now.", {}
    if status >= 400:
        return RequestRejected, "", {}
    if status >= 300:
        target = redact_url(response.headers.get("Location", "") or "another address", facts.secrets)[:MAX_SENTENCE]
        hint = "If that is the vendor's right address, enter it as base URL. Nothing was sent there."
        return RequestRejected, f"The vendor sends us on to {target}, and we do not follow.", {"hint": hint}
    return UnexpectedResponse, "The vendor answered with a status its documentation does not name.", {}


def _default(kind: type[HospientError]) -> str:
    return inspect.getdoc(kind).splitlines()[0]  # type: ignore[union-attr] - a subclass without one inherits it


def _sentence(sentence: str, facts: CallFacts, status: int, code: str, message: str) -> str:
    sentence = facts.name_vendor(sentence)
    labels = ", ".join(filter(None, (redact_text(code, facts.secrets)[:80], f"HTTP {status}")))
    if message := redact_text(message, facts.secrets)[:MAX_SENTENCE].strip():
        return f"{sentence} It says: “{message}” ({labels})."
    return f"{sentence.removesuffix('.')} ({labels})."


def _excerpt(response: Response, facts: CallFacts) -> str:
    return json.dumps(shown_body(response, facts.secrets), ensure_ascii=False)[:MAX_EXCERPT] if response.content else ""


def shown_body(response: Response, secrets: tuple[str, ...]) -> Any:
    """Return the body fit for a log: decoded if it is JSON, as text if not."""
    if not response.content:
        return None
    try:
        body = response.json() if response.content.lstrip()[:1] in (b"{", b"[") else response.content
    except UnexpectedResponse:
        body = response.content
    return redact(body, secrets)


def from_refusal(refusal: RetryableProviderError, facts: CallFacts) -> RetryableProviderError:
    """Return what the breaker or the budget said, with the vendor's name in it. Nothing was sent."""
    return facts.fail(type(refusal), facts.name_vendor(refusal.message), retry_at=refusal.retry_at)


def from_failure(failure: Exception, facts: CallFacts, *, sent: bool) -> HospientError:
    """Return the error for a call that got no answer. Unless nothing was sent, or it may be repeated, it may have been done."""
    if isinstance(failure, EgressBlocked):
        return failure
    kind, sentence, more = _describe(failure, facts, sent)
    return facts.fail(kind, sentence, maybe_done=sent and not facts.is_safe, **more)


def _describe(failure: Exception, facts: CallFacts, sent: bool) -> tuple[type[ProviderError], str, dict[str, Any]]:
    vendor, host = facts.provider, facts.host
    if isinstance(failure, AnswerError):
        return UnexpectedResponse, f"The answer of {vendor} {failure}.", {}
    if isinstance(failure, socket.gaierror):
        return ProviderUnavailable, f"{vendor} cannot be reached: the name {host} cannot be found.", {}
    if isinstance(failure, ssl.SSLCertVerificationError):
        hint = (
            "Nothing was sent. If the system on site has a certificate of its own, an operator can add its authority in EGRESS_CA_BUNDLE."
        )
        return (
            ProviderUnavailable,
            f"{vendor} cannot be trusted: the certificate of {host} is not valid ({failure.verify_message}).",
            {"hint": hint},
        )
    if isinstance(failure, ssl.SSLError) and not sent:
        return ProviderUnavailable, f"{vendor} cannot be reached: {host} offers no secure connection (TLS 1.2 or newer).", {}
    if isinstance(failure, TimeoutError | urllib3.exceptions.TimeoutError):
        return (
            ProviderUnavailable,
            f"{vendor} did not answer in time." if sent else f"{vendor} cannot be reached: {host} does not answer.",
            {},
        )
    if not sent:
        return ProviderUnavailable, f"{vendor} cannot be reached: {host} accepts no connection.", {}
    if isinstance(failure, OSError | http.client.IncompleteRead | urllib3.exceptions.ProtocolError):
        return ProviderUnavailable, f"{vendor} broke off the connection before its answer was complete.", {}
    return UnexpectedResponse, f"The answer of {vendor} is not proper HTTP.", {}
