"""What the server calls (Granian's own interface, RSGI): the door for webhooks on the event loop, Django on threads behind it.

A request for Django is complete, or refused, before it takes a thread: nobody holds one by sending slowly. `hospient.server` starts it.
"""

import asyncio
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import IO, Any

from django.conf import settings

from hospient.wsgi import application
from webhooks.delivery import Outcome, refusal

WEBHOOKS = "/api/webhooks/"
MEMORY_BYTES = 65_536
"""What a body may take of the memory; a longer one waits on the disk."""
DISK_BYTES = 256 * 2**20
"""What all of these may take of the disk together, in a process: enough for a hundred of the longest at a time."""
DISCARDED_BYTES = 16 * 2**20
"""A body may be so much too long and is still read to its end: who is answered while sending often does not see the answer."""
UNREADABLE = "?"


class Refused(Exception):
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Console:
    """Console and API: Django, as many requests at a time as there are threads."""

    def __init__(self) -> None:
        self._django = application
        self._threads = ThreadPoolExecutor(settings.SERVER_THREADS, "request")
        self._disk = Disk(DISK_BYTES)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        with Body(self._disk) as body:
            try:
                headers = headers_of(scope)
                length = await receive(protocol, headers, body)
            except Refused as refused:
                outcome = refused.outcome
                fields = [("content-type", outcome.content_type), ("connection", "close")]
                fields += [("retry-after", str(outcome.retry_after))] if outcome.retry_after else []
                protocol.response_bytes(outcome.status, fields, outcome.body)
                return
            environ = environ_of(scope, headers, body, length)
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, environ)
        protocol.response_bytes(*answer)

    def _ask(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        started: list[Any] = []
        parts = self._django(environ, lambda status, fields, exc_info=None: started.extend((status, fields)))
        try:
            return int(started[0].split()[0]), started[1], b"".join(parts)
        finally:
            parts.close()


class Disk:
    """How much of the disk is left for bodies. Used by the event loop alone."""

    def __init__(self, left: int) -> None:
        self.left = left


class Body(tempfile.SpooledTemporaryFile):
    """A body as it arrives."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(MEMORY_BYTES)
        self._disk = disk
        self._length = self._taken = 0

    def write(self, part: bytes) -> int:
        """Append. Raises Refused if there is no room for so much just now."""
        self._length += len(part)
        more = self._length - self._taken if self._length > MEMORY_BYTES else 0
        if more > self._disk.left:
            hint = "Send it again in a few seconds."
            raise _refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Too many large bodies are being received just now.", hint, retry_after=5
            )
        self._disk.left -= more
        self._taken += more
        return super().write(part)

    def close(self) -> None:
        self._disk.left += self._taken
        self._taken = 0
        super().close()

    def __exit__(self, *error: object) -> None:
        self.close()  # the class we inherit from closes the file behind it alone


def headers_of(scope: Any) -> dict[str, str]:
    """Return a request's headers, named in lower case; one that came several times is one, as in the order of its lines.

    A name with an underscore is left out: to Django `X_Forwarded_For` and `X-Forwarded-For` are one, and a proxy writes only the latter.
    A value that cannot be read must not count as not sent. Raises Refused if they are too long: Granian lets a little more in than it is told.
    """
    headers: dict[str, str] = {}
    for name, value in scope.headers.items():
        joint = "; " if name == "cookie" else ","
        headers[name] = f"{headers[name]}{joint}{value}" if name in headers else value
    for name in scope.headers.keys():  # noqa: SIM118
        headers.setdefault(name, UNREADABLE)
    if sum(map(len, headers)) + sum(map(len, headers.values())) > settings.SERVER_HEAD_BYTES:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise _refused(status, "too_large", f"The headers have more than {settings.SERVER_HEAD_BYTES:,} bytes.", "Shorten them.")
    return {name: value for name, value in headers.items() if "_" not in name}


async def receive(protocol: Any, headers: dict[str, str], body: IO[bytes]) -> int:
    """Write all of a body down and return its length. Raises Refused if it is too long, too slow, ends early or finds no room."""
    limit = max(settings.DATA_UPLOAD_MAX_MEMORY_SIZE, settings.WEBHOOK_MAX_BYTES)
    declared = headers.get("content-length")
    if declared == "0" or (declared is None and "transfer-encoding" not in headers):
        return 0
    if declared is not None and int(declared) > limit + DISCARDED_BYTES:
        raise _too_large(limit)
    length, empty = 0, 0
    try:
        async with asyncio.timeout(settings.SERVER_BODY_TIMEOUT / 1000):
            async for part in _parts(protocol, declared):
                length += len(part)
                empty += not part
                if length > limit + DISCARDED_BYTES:
                    raise _too_large(limit)
                if length <= limit:
                    body.write(part)
    except TimeoutError:
        seconds = settings.SERVER_BODY_TIMEOUT / 1000
        raise _refused(HTTPStatus.REQUEST_TIMEOUT, "body_too_slow", f"The body did not arrive within {seconds:g} seconds.") from None
    if length > limit:
        raise _too_large(limit)
    # The end is one empty part; a body that breaks off has one more.
    if empty > 1 or (declared is not None and length != int(declared)):
        raise _refused(HTTPStatus.BAD_REQUEST, "body_incomplete", "The body ended early.")
    body.seek(0)
    return length


async def _parts(protocol: Any, declared: str | None) -> AsyncIterator[bytes]:
    """Yield a body as it comes, and an empty part for its end; a short one at once, so that each of its bytes does not cost us a step."""
    if declared is None or int(declared) > MEMORY_BYTES:
        async for part in protocol:
            yield part
        return
    with suppress(OSError, RuntimeError):  # it broke off
        yield await protocol()


def _too_large(limit: int) -> Refused:
    sentence = f"The body is larger than {limit / 2**20:g} MiB."
    return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", sentence, "Send it in parts.")


def _refused(status: HTTPStatus, code: str, detail: str, hint: str = "", retry_after: int = 0) -> Refused:
    return Refused(refusal(status, code, detail, hint=hint, correlation_id=uuid.uuid4().hex, retry_after=retry_after))


def environ_of(scope: Any, headers: dict[str, str], body: IO[bytes], length: int) -> dict[str, Any]:
    """Return a request as WSGI has it. Nothing of the process's own environment is in it."""
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "CONTENT_TYPE": headers.get("content-type", ""),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    skipped = ("content-type", "content-length", "transfer-encoding")
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items() if name not in skipped}
    return environ | {"CONTENT_LENGTH": str(length)}


class Everything:
    """Console, API and webhooks in one process: what comes for the door for webhooks goes to it, past Django."""

    def __init__(self, console: Console, door: Any) -> None:
        self._console, self._door = console, door

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        to = self._door if scope.path.startswith(WEBHOOKS) else self._console
        await to.__rsgi__(scope, protocol)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._door.__rsgi_init__(loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._console.__rsgi_del__(loop)
        self._door.__rsgi_del__(loop)
