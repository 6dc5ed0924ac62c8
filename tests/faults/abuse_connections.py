"""Holds connections that never become a request, from many addresses: `python -m tests.faults.abuse_connections`. Called by `tests.faults.abuse`.

Reads what to do from its input and prints what became of each sort. It opens anew what the server closes, until its time is over.
"""

import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any, cast

Seen = dict[str, Any]

DRIP_SECONDS = 1.0
PARTS = 20
HEAD = "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
SORTS: dict[str, tuple[str, bytes]] = {
    "idle": ("", b""),
    "idle after an answer": ("GET /api/webhooks/none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b""),
    "empty lines": ("\r\n", b"\r\n"),
    "head 1 byte/s": (HEAD + "X-A: ", b"a"),
    "body never sent": (HEAD + "Content-Length: 10000\r\n\r\n", b""),
    "body 1 byte/s": (HEAD + "Content-Length: 10000\r\n\r\n", b"1"),
    "chunks 1/s": (HEAD + "Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n"),
}
"""What each says at first, and then every second."""
HTTP2 = "HTTP/2, body never sent"
MANY = "many of one address"
WAITING = frozenset(("body never sent", "body 1 byte/s", "chunks 1/s"))
"""These wait for a body, the others for a head."""
ADDRESSES = 240
ONE_ADDRESS = "127.0.77.1"


def main() -> None:
    order = json.load(sys.stdin)
    found = asyncio.run(_attack(order))
    print(json.dumps(found))


async def _attack(order: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + order["seconds"]
    found: dict[str, Seen] = defaultdict(lambda: {"opened": 0, "longest": 0.0, "ends": Counter()})
    strangers = []
    for target in order["targets"]:
        for sort, (text, drip) in SORTS.items():
            seen, first = found[f"{target['name']}: {sort}"], text.format(path=target["path"]).encode()
            strangers += [Stranger(seen, target["port"], address(n), first, drip) for n in range(order["count"])]
        seen, first = found[f"{target['name']}: {HTTP2}"], http2_request(target["path"])
        strangers += [Stranger(seen, target["port"], address(n), first, b"") for n in range(order["count"])]
        seen = found[f"{target['name']}: {MANY}"]
        strangers += [Stranger(seen, target["port"], ONE_ADDRESS, b"", b"") for _ in range(order["many"])]
    part = 0
    while time.monotonic() < until:
        # Each goes on once in DRIP_SECONDS, and not all at the same moment: the two cores are shared with those who are attacked.
        await asyncio.gather(*(stranger.go_on() for stranger in strangers[part::PARTS]))
        part = (part + 1) % PARTS
        await asyncio.sleep(DRIP_SECONDS / PARTS)
    for stranger in strangers:
        stranger.leave()
    return found


def address(number: int) -> str:
    return f"127.0.66.{number % ADDRESSES + 1}"


def http2_request(path: str) -> bytes:
    """Return the start of HTTP/2 and a request whose body is still to come (RFC 9113; HPACK without Huffman, RFC 7541)."""

    def named(index: int, value: str) -> bytes:
        return bytes([0x40 | index, len(value)]) + value.encode()

    head = b"\x83\x86" + named(4, path) + named(1, "127.0.0.1") + named(28, "10000") + named(31, "application/json")
    frames = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + len(head).to_bytes(3) + b"\x01\x04\x00\x00\x00\x01" + head
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames


class Stranger(asyncio.Protocol):
    """One connection, opened anew when the server has closed it."""

    def __init__(self, seen: Seen, port: int, source: str, first: bytes, drip: bytes) -> None:
        self._seen, self._port, self._source, self._first, self._drip = seen, port, source, first, drip
        self._transport: asyncio.Transport | None = None
        self._said = b""

    async def go_on(self) -> None:
        if self._transport is None:
            with suppress(OSError):
                await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port, local_addr=(self._source, 0))
        elif self._drip:
            self._transport.write(self._drip)

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._ended("left")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._said, self._since = b"", time.monotonic()
        self._seen["opened"] += 1
        self._transport.write(self._first)

    def data_received(self, data: bytes) -> None:
        self._said += data

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._ended(self._said.split()[1].decode() if self._said.startswith(b"HTTP/") else "closed")

    def _ended(self, how: str) -> None:
        self._transport = None
        self._seen["ends"][how] += 1
        self._seen["longest"] = max(self._seen["longest"], round(time.monotonic() - self._since, 2))


if __name__ == "__main__":
    main()
