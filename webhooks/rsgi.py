"""The lean door: an application that only receives webhooks, as a process of its own beside console and API.

    manage.py serve webhooks --workers 2

Granian's own interface (RSGI) hands over a body in one step where ASGI takes four. The door depends on the database alone. Deliveries that
come in while others are being committed are verified and stored together in the next transaction, and each is answered after its own
commit. The checks, the storing and the answers are those of `webhooks.ingest`.
"""

import asyncio
import itertools
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, cast

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hospient.settings")
if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # The loop and each of the two threads keep a connection of their own. A pool would let them wait for a database that is down, instead of saying so.
    options = settings.DATABASES["default"].setdefault("OPTIONS", {})
    options.pop("pool", None)
    options.setdefault("connect_timeout", 5)
django.setup()

from django.db import Error as DatabaseError  # noqa: E402
from django.db import connection  # noqa: E402

from integrations.exceptions import PayloadTooLarge, WebhookRejected  # noqa: E402
from integrations.garbage import spare_garbage_collection  # noqa: E402
from webhooks import health  # noqa: E402
from webhooks.delivery import Delivery, Outcome, join_headers, refusal  # noqa: E402
from webhooks.exceptions import BodyIncomplete, BodyTooSlow  # noqa: E402
from webhooks.facts import STALE_SECONDS, Facts  # noqa: E402
from webhooks.ingest import UNAVAILABLE, Checked, Ingest, Stored, new_among, unavailable  # noqa: E402
from webhooks.lane import Lane, Line  # noqa: E402
from webhooks.refusals import LOG_SECONDS  # noqa: E402

Group = list[tuple[Checked, asyncio.Future[Outcome]]]

GROUP = 500
"""Deliveries in one transaction at most: enough for every connection of a process, small enough to be answered within milliseconds."""
PATIENCE_SECONDS = 0.1
LARGE_BYTES = 65_536
"""A body from here on is verified and read on a thread: others would wait for milliseconds."""
_PATH = re.compile(r"/api/webhooks/([0-9]{1,4300})(?:/([^/]+))?/*")
_HEALTH = re.compile(r"/api/webhooks/health/*")
UNREADABLE = "\ufffd"
_NOT_FOUND = refusal(404, "not_found", "Not found.")
_NOT_ALLOWED = refusal(405, "method_not_allowed", "Send webhooks with POST.")


class LeanDoor:
    """The application. The event loop reads requests, verifies them and sends answers; where the database is PostgreSQL it stores them too.

    Otherwise, and when something is amiss there, one thread stores. Another reads about senders.
    """

    def __init__(self) -> None:
        self.ingest = Ingest()
        self._lane = Lane()
        self._writer = ThreadPoolExecutor(1, "writer")
        self._reader = ThreadPoolExecutor(1, "reader")
        self._waiting: list[tuple[Checked, asyncio.Future[Outcome]]] = []
        self._is_writing = False
        self._reading: dict[int, asyncio.Future[Facts]] = {}
        self._readers: dict[asyncio.Task, float] = {}
        self._is_watching = False
        self._reports_later = False
        # Correlation ids: a new one at random for each delivery costs as much as checking its signature, and spreads over the whole index.
        self._run = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}"
        self._count = itertools.count()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        outcome = await self._answer(scope, protocol)
        protocol.response_bytes(outcome.status, _head(outcome), outcome.body)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        spare_garbage_collection()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._reader.submit(_guarded, self.ingest.refusals.write, at_once=True)
        for thread in (self._writer, self._reader):
            thread.submit(lambda: connection.close())  # the thread's own, after what was taken in is stored
            thread.shutdown()
        self._lane.close()

    async def _answer(self, scope: Any, protocol: Any) -> Outcome:
        target = _PATH.fullmatch(scope.path)
        if target is None:
            return await self._health() if _HEALTH.fullmatch(scope.path) else _NOT_FOUND
        if scope.method != "POST":
            return _NOT_ALLOWED
        integration_id, path_secret = int(target[1]), target[2] or ""
        headers = _headers(scope.headers)
        try:
            facts = self.ingest.facts.peek(integration_id) or await self._facts(integration_id)
            try:
                body = await self._read(protocol, headers, self.ingest.admit(headers, path_secret, facts))
            except WebhookRejected as error:  # which is kept by nobody: the frames it came through hold what was read of the body
                outcome = self.ingest.refuse(error, self._delivery(integration_id, headers, b"", path_secret, scope), facts)
            else:
                outcome = await self._settled(self._delivery(integration_id, headers, body, path_secret, scope), facts)
            if outcome.status >= 400:
                await self._report_refusals()
        except DatabaseError:
            return UNAVAILABLE
        return outcome

    def _delivery(self, integration_id: int, headers: Mapping[str, str], body: bytes, path_secret: str, scope: Any) -> Delivery:
        peer, correlation_id = scope.client.rpartition(":")[0].strip("[]"), f"{self._run}{next(self._count):012x}"
        return Delivery(integration_id, headers, body, datetime.now(UTC), path_secret, peer, correlation_id)

    async def _report_refusals(self) -> None:
        """Write down what was refused, now if a line is due, else when it will be: nobody else may ever send again."""
        if self.ingest.refusals.is_due:
            await self._on_thread(self.ingest.refusals.write)
        if self.ingest.refusals.is_waiting and not self._reports_later:
            self._reports_later = True
            asyncio.get_running_loop().call_later(LOG_SECONDS, self._report_later)

    def _report_later(self) -> None:
        self._reports_later = False
        self._on_thread(self.ingest.refusals.write).add_done_callback(asyncio.Future.exception)

    async def _health(self) -> Outcome:
        status, body = await self._on_thread(health.report)
        return Outcome(status, json.dumps(body).encode())

    async def _facts(self, integration_id: int) -> Facts:
        """Read what is known of an integration; everybody who asks meanwhile shares one read."""
        if (reading := self._reading.get(integration_id)) is None:
            reading = self._reading[integration_id] = self._on_thread(self.ingest.facts.read, integration_id)
            reading.add_done_callback(lambda done: (self._reading.pop(integration_id), done.exception()))
        # Somebody who makes up ids keeps the reader busy: a vendor does not wait behind him for what was known a moment ago.
        await asyncio.wait({reading}, timeout=PATIENCE_SECONDS)
        stale = None if reading.done() else self.ingest.facts.peek(integration_id, STALE_SECONDS)
        return stale or await asyncio.shield(reading)

    def _on_thread(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._reader, _guarded, function, *arguments)

    # --- reading in time -------------------------------------------------------------------------------------------------------

    async def _read(self, protocol: Any, headers: Mapping[str, str], limit: int) -> bytes:
        """Read the body, no more of it than is allowed, in no more time. Raises PayloadTooLarge, BodyIncomplete or BodyTooSlow."""
        try:
            if "content-length" in headers:  # which is within the limit: all of it in one step
                return await self._whole(protocol)
            body = bytearray()
            async with asyncio.timeout(settings.WEBHOOK_TIMEOUT / 1000):
                async for part in protocol:
                    body += part
                    if len(body) > limit:
                        raise PayloadTooLarge()
            return bytes(body)
        except TimeoutError:
            raise BodyTooSlow() from None
        except (OSError, RuntimeError):  # the client went away
            raise BodyIncomplete() from None

    async def _whole(self, protocol: Any) -> bytes:
        """Read a body of known length. One timer for all of these: one for each costs as much as its signature."""
        task = cast(asyncio.Task, asyncio.current_task())
        self._readers[task] = time.monotonic()
        if not self._is_watching:
            self._watch()
        try:
            return await protocol()
        except asyncio.CancelledError as stop:
            if stop.args != (BodyTooSlow.code,):
                raise
            raise TimeoutError() from None
        finally:
            del self._readers[task]

    def _watch(self) -> None:
        """End what is read for too long, and look again soon."""
        allowed = settings.WEBHOOK_TIMEOUT / 1000
        late = [task for task, since in self._readers.items() if time.monotonic() - since > allowed]
        for task in late:
            task.cancel(BodyTooSlow.code)
        self._is_watching = bool(self._readers)
        if self._is_watching:
            asyncio.get_running_loop().call_later(allowed / 10, self._watch)

    # --- storing in groups -----------------------------------------------------------------------------------------------------

    async def _settled(self, delivery: Delivery, facts: Facts) -> Outcome:
        """Verify a delivery; have it stored with those that come in meanwhile."""
        loop = asyncio.get_running_loop()
        if len(delivery.body) > LARGE_BYTES:
            checked = await loop.run_in_executor(self._writer, self.ingest.check, delivery, facts)
        else:
            checked = self.ingest.check(delivery, facts)
        if not isinstance(checked, Checked):
            return checked
        future = loop.create_future()
        self._waiting.append((checked, future))
        if not self._is_writing:
            self._write()
        return await future

    def _write(self) -> None:
        group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
        self._is_writing = bool(group)
        if not group:
            return
        checked = [one for one, _ in group]
        if self._lane.is_open and not any(one.is_late for one in checked) and self.ingest.spend_at_hand(checked):
            self._lane.insert([one.row for one in checked], partial(self._inserted, group))
        else:
            self._write_on_thread(group)

    def _inserted(self, group: Group, stored: Stored | None) -> None:
        if stored is None:
            self._write_on_thread(group)
            return
        self._write()  # the next group is on its way before this one is answered
        for (one, future), is_new in zip(group, new_among([one.row for one, _ in group], stored), strict=True):
            if not future.done():  # its client went away
                future.set_result(one.verifier.acknowledge(is_new=is_new))

    def _write_on_thread(self, group: Group) -> None:
        settled = asyncio.get_running_loop().run_in_executor(self._writer, _guarded, self._settle, [one for one, _ in group])
        settled.add_done_callback(lambda done: self._written(group, done))

    def _settle(self, checked: Sequence[Checked]) -> tuple[list[Outcome], Line | None]:
        outcomes = self.ingest.settle(checked)
        if self._lane.is_open or connection.vendor != "postgresql" or UNAVAILABLE in outcomes:
            return outcomes, None
        with suppress(DatabaseError), connection.wrap_database_errors:
            return outcomes, Line()
        return outcomes, None

    def _written(self, group: Group, done: asyncio.Future[tuple[list[Outcome], Line | None]]) -> None:
        outcomes, line = ([UNAVAILABLE] * len(group), None) if done.exception() else done.result()
        if line:
            self._lane.open(line)
        self._write()
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)


def _headers(given: Any) -> dict[str, str]:
    headers = join_headers(given.items())
    if len(headers) < len(names := given.keys()):
        # Granian leaves out a value that is not ASCII: what was sent and cannot be read must not count as not sent.
        headers = dict.fromkeys(names, UNREADABLE) | headers
    return headers


def _guarded(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call something that uses the database; log what fails, and give up a connection that broke: the next call opens a new one."""
    try:
        return function(*arguments, **named)
    except Exception:
        unavailable()
        raise


@lru_cache(maxsize=64)
def _head(outcome: Outcome) -> list[tuple[str, str]]:
    headers = [("content-type", outcome.content_type), ("content-length", str(len(outcome.body)))]
    if outcome.retry_after:
        headers.append(("retry-after", str(outcome.retry_after)))
    if outcome.status == 405:
        headers.append(("allow", "POST"))
    return headers


application = LeanDoor()
