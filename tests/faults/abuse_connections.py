"""Holds connections that never become a request, from many addresses: `python -m tests.faults.abuse_connections`. Called by `tests.faults.abuse`.

Reads what to do from its input and prints what became of each sort. It opens anew what the server closes, until its time is over.
"""

import asyncio
import json
import socket
import sys
import time
from collections import Counter, defaultdict
from typing import Any

DRIP_SECONDS = 1.0
HEAD = "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
SETTINGS_OF_HTTP2 = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SORTS: dict[str, tuple[str, bytes]] = {
    "HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SETTINGS_OF_HTTP2),
    "idle": ("", b""),
    "idle after an answer": ("GET /api/webhooks/none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b""),
    "empty lines": ("\r\n", b"\r\n"),
    "head 1 byte/s": (HEAD + "X-A: ", b"a"),
    "body never sent": (HEAD + "Content-Length: 10000\r\n\r\n", b""),
    "body 1 byte/s": (HEAD + "Content-Length: 10000\r\n\r\n", b"1"),
    "chunks 1/s": (HEAD + "Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n"),
}
MANY = "many of one address"
WAITING = frozenset(("body never sent", "body 1 byte/s", "chunks 1/s"))
"""These wait for a body, the others for a head."""
ADDRESSES = 240


def main() -> None:
    order = json.load(sys.stdin)
    found = asyncio.run(_attack(order))
    print(json.dumps(found))


async def _attack(order: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + order["seconds"]
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"opened": 0, "longest": 0.0, "ends": Counter(), "left": 0})
    tasks = []
    for target in order["targets"]:
        for sort, (text, drip) in SORTS.items():
            first = text.format(path=target["path"]).encode()
            sort = f"{target['name']}: {sort}"
            tasks += [_hold(found[sort], target["port"], address(n), first, drip, until) for n in range(order["count"])]
        mine = found[f"{target['name']}: {MANY}"]
        tasks += [_hold(mine, target["port"], "127.0.77.1", b"", b"", until) for _ in range(order["many"])]
    await asyncio.gather(*tasks)
    return found


def address(number: int) -> str:
    return f"127.0.66.{number % ADDRESSES + 1}"


async def _hold(mine: dict[str, Any], port: int, source: str, first: bytes, drip: bytes, until: float) -> None:
    while time.monotonic() < until:
        started, end = time.monotonic(), "refused"
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            mine["opened"] += 1
            try:
                end = await _drip(reader, writer, first, drip, until)
            finally:
                writer.transport.abort()
        except OSError:
            await asyncio.sleep(DRIP_SECONDS)
        if end == "left":
            mine["left"] += 1
        mine["ends"][end] += 1
        mine["longest"] = max(mine["longest"], round(time.monotonic() - started, 2))


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes, drip: bytes, until: float) -> str:
    """Return how it ended: by the status of an answer, or closed; `left` if it is open still."""
    said = b""
    try:
        writer.write(first)
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(DRIP_SECONDS):
                    part = await reader.read(65_536)
            except TimeoutError:
                if drip:
                    writer.write(drip)
                continue
            if not part:
                break
            said += part
        else:
            return "left"
    except OSError:
        pass
    return said.split()[1].decode() if said.startswith(b"HTTP/") else "closed"


if __name__ == "__main__":
    main()
