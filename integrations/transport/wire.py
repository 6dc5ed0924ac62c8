"""One request over one connection: to a checked address, within its time, no more than so many bytes.

Built on urllib3's connections, without sessions: there is no redirect to follow, no cookie to carry over, and no proxy or password
taken from the environment, because nothing here knows how. Touches no database, so a background thread may run it.
"""

import http.client
import io
import logging
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from integrations.exceptions import EgressBlocked
from integrations.security.egress import Egress

MAX_ADDRESSES = 4
"""Of one name; they share the time to connect."""
MAX_IDLE = 2
"""Connections kept open to one origin: one for the caller, one for looking ahead."""

Origin = tuple[str, str, int]

# It would print headers it cannot read, as they came, into our log.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class AnswerError(Exception):
    """What came back is nothing we read on: the sentence says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    method: str
    origin: Origin
    target: str
    """Path and query, as they are sent."""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it: an answer, or the failure instead of one."""

    failure: Exception | None = None
    sent: bool = False
    """Some of the request left us: the vendor may act on it."""
    seconds: float = 0.0
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)


class Flight:
    """The time one exchange has, and the way for another thread to end it."""

    def __init__(self, *, connect_seconds: float, read_seconds: float, total_seconds: float) -> None:
        self.connect_seconds = connect_seconds
        self.read_seconds = read_seconds
        self.sent = False
        self.connection: HTTPConnection | None = None
        self.started = time.monotonic()
        self._until = self.started + total_seconds

    def left(self, at_most: float) -> float:
        """Return the seconds the next step may take; raises TimeoutError when there are none."""
        left = min(self._until - time.monotonic(), at_most)
        if left <= 0:
            raise TimeoutError("the time for the whole call is used up")
        return left

    def abort(self) -> None:
        """End it at once: whoever waits for the vendor wakes up with an error."""
        self._until = self.started
        if self.connection and self.connection.sock:
            with suppress(OSError):
                # Of the plain socket: TLS would take leave first, and wait for the other side to do so.
                socket.socket.shutdown(self.connection.sock, socket.SHUT_RDWR)


class Wire:
    """Keeps connections open between the requests of one client."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._idle: dict[Origin, list[HTTPConnection]] = {}

    def exchange(self, request: WireRequest, flight: Flight, max_bytes: int) -> Outcome:
        """Send `request` and read its answer. Never raises for what the network or the vendor does."""
        connection = self._take(request.origin)
        connection.flight, flight.connection = flight, connection
        outcome = Outcome()
        try:
            connection.request(request.method, request.target, request.body, request.headers, preload_content=False)
            reply = connection.getresponse()
            outcome.status, outcome.headers = reply.status, reply.headers
            outcome.content = _read(reply, max_bytes)
            self._keep(request.origin, connection)
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, AnswerError, EgressBlocked) as failure:
            outcome.failure = failure
            connection.close()
        outcome.sent = flight.sent
        outcome.seconds = time.monotonic() - flight.started
        return outcome

    def close(self) -> None:
        for connections in self._idle.values():
            while connections:
                connections.pop().close()

    def _take(self, origin: Origin) -> HTTPConnection:
        with suppress(IndexError, KeyError):
            while True:
                connection = self._idle[origin].pop()
                if connection.is_connected:
                    return connection
                connection.close()
        scheme, host, port = origin
        if scheme == "https":
            return _SecureConnection(host, port, egress=self._egress, ssl_context=self._egress.tls)
        return _PlainConnection(host, port, egress=self._egress)

    def _keep(self, origin: Origin, connection: HTTPConnection) -> None:
        idle = self._idle.setdefault(origin, [])
        if len(idle) < MAX_IDLE:
            idle.append(connection)
        else:
            connection.close()


def _read(reply: urllib3.HTTPResponse, max_bytes: int) -> bytes:
    encoding = reply.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise AnswerError("is compressed in a way we did not ask for")
    # The length of a compressed answer says nothing: a megabyte may hold a gigabyte. So what counts is what comes out.
    content = reply.read(max_bytes + 1, decode_content=True)
    if len(content) > max_bytes:
        raise AnswerError(f"is larger than {max_bytes / 2**20:.3g} MiB")
    return content


class _Guarded:
    """Makes a urllib3 connection go where the egress guard allows, and keep to its flight's time."""

    flight: Flight

    def __init__(self, *args: Any, egress: Egress, **more: Any) -> None:
        super().__init__(*args, **more)
        self._egress = egress
        self.response_class = partial(_Reply, self)

    def _new_conn(self) -> socket.socket:
        """Connect to an address that was checked; the name stays for the Host header and the certificate."""
        until = time.monotonic() + self.flight.left(self.flight.connect_seconds)
        addresses = self._egress.resolve(self.host, self.port, until - time.monotonic())[:MAX_ADDRESSES]
        failure: OSError = TimeoutError("no time is left to connect")
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(max(until - time.monotonic(), 0.001) / untried)
                sock.connect((str(address), self.port))
                sock.settimeout(max(until - time.monotonic(), 0.001))  # for the TLS handshake
                return sock
            except OSError as error:
                sock.close()
                failure = error
        raise failure

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self.flight.left(self.flight.read_seconds))
        self.flight.sent = True
        super().send(data)


class _PlainConnection(_Guarded, HTTPConnection):
    pass


class _SecureConnection(_Guarded, HTTPSConnection):
    pass


class _Reply(http.client.HTTPResponse):
    """Reads head and body through a clock: a socket's own timeout begins anew with every byte."""

    def __init__(self, connection: _Guarded, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, connection.flight))


class _Timed(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock: socket.socket, flight: Flight) -> None:
        self._raw = raw
        self._sock = sock
        self._flight = flight

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._flight.left(self._flight.read_seconds))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
