"""Fetches the pages of a list before they are asked for, one after the other on a thread of its own.

Whether a request may go out is for breaker, budget and sign-in to say, and these speak to the database. So the caller's thread obtains
permits, a few more than the pages it hands out, and the thread here goes on for as long as it has one.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from integrations.exceptions import HospientError
from integrations.transport.request import Call
from integrations.transport.response import Response
from integrations.transport.wire import Flight, Outcome, WireRequest

DEPTH = 4
"""Pages under way at most. A list that has just begun has fewer: a permit for a page that never comes was had in vain."""

Permit = Mapping[str, str]
"""Leave for one request to go out: the headers that say who sends it, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A request on its way; `outcome` waits for what comes of it."""

    call: Call
    request: WireRequest
    url: str
    flight: Flight
    outcome: Callable[[], tuple[Outcome, Response]]


class LookAhead:
    """The pages of one list. `following` names the page after an answer; `permit` is called on the caller's thread, `send` and `is_good`
    on either."""

    def __init__(
        self,
        *,
        following: Callable[[Response], Call | None],
        permit: Callable[[Call], Permit],
        send: Callable[[Call, Permit], Attempt],
        is_good: Callable[[Attempt, Outcome, Response], bool],
    ) -> None:
        self._following = following
        self._permit = permit
        self._send = send
        self._is_good = is_good
        self._thread = ThreadPoolExecutor(1, "look-ahead")
        self._lock = threading.Lock()  # of all below
        self._permits: deque[Permit] = deque()
        self._under_way: deque[Attempt] = deque()
        self._flight: Flight | None = None
        self._followed: Response | None = None
        self._next: Call | None = None
        """The page that follows, while nothing is under way to it."""
        self._obstacle: HospientError | None = None
        """Why it cannot be asked for."""
        self._given = 0
        self._is_closed = False

    def after(self, answer: Response) -> tuple[Call, Attempt | None] | None:
        """Return the page after this one, with the attempt at it that is under way; None at the end. Raises what is in the way of it."""
        self._given += 1
        with self._lock:
            if not self._under_way and self._followed is not answer:
                self._permits.clear()  # it came at another attempt, maybe signed in anew: what was obtained before would fail in the same way
                self._follow(answer)
        self._obtain_permits()
        with self._lock:
            self._go_on()
            if self._under_way:
                attempt = self._under_way.popleft()
                return attempt.call, attempt
            if self._obstacle:
                raise self._obstacle
            call, self._next = self._next, None
            return (call, None) if call else None

    def close(self) -> None:
        """End what is under way."""
        with self._lock:
            self._is_closed = True
            if self._flight:
                self._flight.abort()
        self._thread.shutdown(wait=False)

    def _obtain_permits(self) -> None:
        call = self._next or (self._under_way[0].call if self._under_way else None)
        try:
            while call and len(self._permits) + len(self._under_way) < min(DEPTH, self._given):
                self._permits.append(self._permit(call))
        except HospientError:
            pass  # an open breaker, no budget left: met again when its turn comes

    def _follow(self, answer: Response) -> None:
        self._followed = answer
        try:
            self._next = self._following(answer)
        except HospientError as error:
            self._obstacle = error

    def _go_on(self) -> None:
        """Set out for the next page, if it is known and there is a permit."""
        if self._next is None or not self._permits or self._is_closed:
            return
        call, self._next = self._next, None
        try:
            attempt = self._send(call, self._permits.popleft())
        except HospientError as error:
            self._obstacle = error
            return
        self._flight = attempt.flight
        self._under_way.append(replace(attempt, outcome=self._thread.submit(self._fetch, attempt).result))

    def _fetch(self, attempt: Attempt) -> tuple[Outcome, Response]:
        outcome, response = attempt.outcome()
        if self._is_good(attempt, outcome, response):
            with self._lock:
                self._follow(response)
                self._go_on()
        return outcome, response
