"""One client for all vendors: every call is guarded, timed, paced, signed in, repeated where that is safe, and logged without secrets.

Services build a client for an integration and hand it to the vendor's provider, which sees answers, or errors of
`integrations.exceptions`. What touches the database (tokens, breaker, budget, log) stays on the caller's thread.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Unpack
from urllib.parse import urlsplit

from django.utils import timezone
from urllib3 import HTTPHeaderDict

from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    EgressBlocked,
    HospientError,
    ProviderUnavailable,
    ReauthorizationRequired,
    RequestRejected,
    RetryableProviderError,
    UnexpectedResponse,
)
from integrations.security.egress import Egress
from integrations.security.redaction import mask_headers, personal_values, redact, redact_url
from integrations.transport import correlation, places
from integrations.transport.auth import Auth, check_header
from integrations.transport.breaker import Breaker
from integrations.transport.budget import Budget
from integrations.transport.errors import CallFacts, ErrorRules, from_answer, from_failure, from_refusal, shown_body
from integrations.transport.look_ahead import Attempt, LookAhead, Permit
from integrations.transport.request import Call, CallOptions, prepare
from integrations.transport.response import Response
from integrations.transport.retry import backoff_seconds, spread_seconds
from integrations.transport.wire import Flight, Outcome, Wire, WireRequest

__all__ = ["Client", "ErrorRules", "Exchange", "Policy", "Response"]

USER_AGENT = "Hospient/1.0"
MOVED = (301, 302, 303, 307, 308, 421)
_DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}(/|\Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long we wait, how much we take, how often we try."""

    connect_seconds: float = 5
    """To find the name, connect and agree on encryption."""
    read_seconds: float = 15
    """Without a byte from the vendor."""
    total_seconds: float = 30
    """On the network and between tries, over all tries of a call. Time the vendor told us to wait is not counted."""
    max_bytes: int = 10 * 2**20
    """Of one answer, unpacked."""
    attempts: int = 4
    max_wait_seconds: float = 30
    """What a vendor may ask a call to wait in all; beyond, it ends with `retry_at` set, for whoever schedules it."""


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
    """Milliseconds."""
    attempt: int
    correlation_id: str
    status: str
    """`success` or `failed`."""


@dataclass(slots=True)
class _Tries:
    """What a call has used up so far."""

    number: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    has_renewed: bool = False


class Client:
    """Talks to one vendor for one integration. Not for several threads at once."""

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
        sleep: Callable[[float], None] = places.sleep,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        """`provider` is the vendor's name as people know it: error messages begin with it. `headers` go with every call to its host."""
        self._provider = provider
        self._base_url = base_url
        self._auth = auth
        self._errors = errors
        self._policy = policy
        self._egress = egress
        self._breaker = breaker
        self._budget = budget
        self._log = log
        self._secrets = tuple(secrets)
        self._headers = dict(headers)
        self._sleep = sleep
        self._clock = clock
        self._wire = Wire(egress)

    def call(self, method: str, path: str, *, name: str, **options: Unpack[CallOptions]) -> Response:
        """Send one request and return its answer; raises a ProviderError or EgressBlocked.

        `path` is relative to the base URL, or an absolute address on the same host. `name` is the operation's, for log and errors.
        """
        return self._finish(prepare(method, path, name=name, **options))

    def pages(
        self,
        method: str,
        path: str,
        *,
        name: str,
        next_request: Callable[[Response], Mapping[str, Any] | None],
        limit: int = 100_000,
        **options: Unpack[CallOptions],
    ) -> Iterator[Response]:
        """Yield the answers of a list that comes in pages, and fetch the next ones while the caller works on this one.

        `next_request(answer)` returns the arguments of `call` that differ from the first request's, or None at the end; it may be called
        on another thread. A new `path` without `params` is a link that the vendor made: the first request's params do not go with it.
        """
        call = prepare(method, path, name=name, **options)
        seen = {hash((call.path, call.body))}

        def following(answer: Response) -> Call | None:
            if (change := next_request(answer)) is None:
                return None
            link = {"params": None} if "path" in change else {}
            call = prepare(**{"method": method, "path": path, "name": name, **options, **link, **change})
            self._check_progress(call, seen, limit)
            seen.add(hash((call.path, call.body)))
            return call

        ahead = LookAhead(following=following, permit=partial(self._permit, patience=0), send=self._send, is_good=self._is_good)
        attempt: Attempt | None = None
        try:
            while True:
                answer = self._finish(call, attempt)
                try:
                    after = ahead.after(answer)
                except HospientError:
                    yield answer  # this page is good all the same
                    raise
                yield answer
                if after is None:
                    return
                call, attempt = after
        finally:
            ahead.close()

    def _check_progress(self, call: Call, seen: set[int], limit: int) -> None:
        if hash((call.path, call.body)) in seen:
            what = "the same page twice"
        elif len(seen) >= limit:
            what = f"more than {limit:,} pages"
        else:
            return
        raise UnexpectedResponse(f"{self._provider} sent {what}.", provider=self._provider, operation=call.name)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be shown and kept nowhere: the integration's own secrets, and the token of the moment."""
        return self._secrets + tuple(self._auth.secrets)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    # --- one call, over all its attempts ---------------------------------------------------------------------------------------

    def _finish(self, call: Call, attempt: Attempt | None = None) -> Response:
        """See `call` through: repeat it where that is safe, sign in anew once. `attempt` is its first one, if already under way."""
        tries = _Tries()
        error: HospientError | None = None
        while True:
            try:
                attempt = attempt or self._start(call, tries)
            except RetryableProviderError as refusal:
                # If the breaker opened only now, what the vendor did says more.
                raise error or refusal from None
            tries.number += 1
            with places.given_up():
                outcome, response = attempt.outcome()
            tries.seconds += outcome.seconds
            error = self._error(attempt, outcome, response)
            self._record(attempt, outcome, response, error, tries.number)
            if error is None:
                return response
            if self._renews(call, attempt, error, outcome, tries):
                error = None
            else:
                self._pause(call, error, tries)
            attempt = None

    def _start(self, call: Call, tries: _Tries) -> Attempt:
        return self._send(call, self._permit(call, patience=self._policy.max_wait_seconds), self._policy.total_seconds - tries.seconds)

    def _permit(self, call: Call, *, patience: float) -> Permit:
        """Sign a request in, and have breaker and budget let it pass."""
        headers: MutableMapping[str, str] = HTTPHeaderDict()
        if correlation_id := correlation.current():
            headers["X-Correlation-ID"] = correlation_id
        if call.signs_in:
            self._auth.apply(headers, self._sign_in)
        try:
            if self._breaker:
                self._breaker.before()
            if self._budget:
                self._budget.acquire(patience)
        except RetryableProviderError as refusal:
            raise from_refusal(refusal, self._facts(call)) from None
        return headers

    def _send(self, call: Call, permit: Permit, seconds: float | None = None) -> Attempt:
        """Make an attempt of at most so many seconds. It goes out when its outcome is asked for."""
        request, url = self._address(call, permit)
        policy = self._policy
        flight = Flight(
            connect_seconds=policy.connect_seconds,
            read_seconds=policy.read_seconds,
            total_seconds=policy.total_seconds if seconds is None else seconds,
        )

        def exchange() -> tuple[Outcome, Response]:
            outcome = self._wire.exchange(request, flight, policy.max_bytes)
            response = Response(
                status=outcome.status,
                content=outcome.content,
                headers=outcome.headers,
                url=url,
                provider=self._provider,
                operation=call.name,
                secrets=self.secrets if call.signs_in else (),  # a sign-in brings what becomes one
                maybe_done=not call.is_safe,
            )
            return outcome, response

        return Attempt(call=call, request=request, url=url, flight=flight, outcome=exchange)

    def _error(self, attempt: Attempt, outcome: Outcome, response: Response) -> HospientError | None:
        facts = self._facts(attempt.call, attempt.request.origin[1])
        if outcome.failure:
            return from_failure(outcome.failure, facts, sent=outcome.sent)
        return from_answer(response, self._errors, attempt.call.expect, facts, self._clock())

    def _is_good(self, attempt: Attempt, outcome: Outcome, response: Response) -> bool:
        return self._error(attempt, outcome, response) is None

    def _renews(self, call: Call, attempt: Attempt, error: HospientError, outcome: Outcome, tries: _Tries) -> bool:
        """Sign in anew, once, after a 401, or where the address that the last sign-in named no longer answers as it did: the vendor may
        have moved us. That is safe for a write too: nothing was done."""
        if not call.signs_in or tries.has_renewed or isinstance(error, ReauthorizationRequired):
            return False
        is_refused = isinstance(error, AuthenticationFailed) and error.status == 401
        address = self._auth.base_url
        may_have_moved = bool(address) and (not outcome.sent or outcome.status in MOVED)
        if not (is_refused or may_have_moved):
            return False
        tries.has_renewed = True
        return self._auth.renew(attempt.request.headers, self._sign_in) and (is_refused or self._auth.base_url != address)

    def _pause(self, call: Call, error: HospientError, tries: _Tries) -> None:
        """Wait until the next attempt, or raise `error` if there is to be none."""
        if not call.is_safe or not isinstance(error, RetryableProviderError) or tries.number >= self._policy.attempts:
            raise error
        if error.retry_at:
            wait = spread_seconds(max((error.retry_at - self._clock()).total_seconds(), 0))
            tries.waited += wait
        else:
            wait = backoff_seconds(tries.number)
            tries.seconds += wait
        if tries.waited > self._policy.max_wait_seconds or tries.seconds >= self._policy.total_seconds:
            raise error
        self._sleep(wait)

    def _sign_in(self, method: str, path: str, **more: Any) -> Response:
        """Call without the auth strategy: what the strategy gets its token with."""
        return self.call(method, path, **{"name": "sign_in", **more, "auth": False})

    # --- addresses and headers -------------------------------------------------------------------------------------------------

    def _address(self, call: Call, permit: Permit) -> tuple[WireRequest, str]:
        """Return the request as it goes out, and its address."""
        headers: MutableMapping[str, str] = HTTPHeaderDict(
            {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": USER_AGENT}
        )
        headers.update(permit)
        base_url = (call.signs_in and self._auth.base_url) or self._base_url
        url = call.path if call.path.startswith(("https://", "http://")) else f"{base_url.rstrip('/')}/{call.path.lstrip('/')}"
        # Without its query, which is ours, already encoded, and as long as a list of ids makes it.
        origin, home = self._egress.origin(url.partition("?")[0]), self._egress.origin(base_url)
        if origin == home:
            headers.update(self._headers)
        elif call.signs_in:
            raise EgressBlocked(
                f"{self._provider} points to another host, {origin[1]}. Its credentials go to {home[1]} alone.",
                hint="Look at the log entry; if the vendor has moved, enter its new base URL.",
            )
        headers.update(call.headers)
        parts = urlsplit(url)
        try:
            for name, value in headers.items():
                check_header(name, value)
            if _DOT_SEGMENT.search(parts.path):
                raise ConfigurationError("The path of the request holds “.” or “..” as a part, and would lead elsewhere.")
        except ConfigurationError as error:
            raise self._facts(call).fail(RequestRejected, error.message, hint=error.hint) from error
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return WireRequest(method=call.method, origin=origin, target=target, headers=headers, body=call.body), url

    # --- what is told of a call ------------------------------------------------------------------------------------------------

    def _facts(self, call: Call, host: str = "") -> CallFacts:
        return CallFacts(
            provider=self._provider,
            operation=call.name,
            correlation_id=correlation.current(),
            is_safe=call.is_safe,
            secrets=self.secrets + personal_values(call.shown),
            host=host,
        )

    def _record(self, attempt: Attempt, outcome: Outcome, response: Response, error: HospientError | None, number: int) -> None:
        """Tell the breaker and the log."""
        call = attempt.call
        if self._breaker and isinstance(error, ProviderUnavailable):
            self._breaker.failure()
        elif self._breaker and not isinstance(error, EgressBlocked):
            self._breaker.success()
        secrets = self.secrets + (personal_values(call.shown) if error else ())
        url = redact_url(attempt.url, secrets)
        sent = {
            "method": call.method,
            "url": url,
            "headers": mask_headers(attempt.request.headers, secrets),
            "body": redact(call.shown, secrets),
        }
        received = {
            "status": outcome.status,
            "headers": mask_headers(outcome.headers, secrets),
            "body": shown_body(response, secrets),
        }
        self._log(
            Exchange(
                operation_name=call.name,
                method=call.method,
                url=url,
                request_data=sent,
                response_data=received if outcome.status else {},
                http_status=outcome.status or None,
                error_code=error.code if error else "",
                error_message=error.message if error else "",
                processing_time=round(outcome.seconds * 1000),
                attempt=number,
                correlation_id=correlation.current(),
                status="failed" if error else "success",
            )
        )
