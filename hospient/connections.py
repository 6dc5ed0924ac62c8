"""How many connections an address may hold to a server process: the server itself limits their time, and does not count them.

What one address holds beyond its share is closed, first what was answered longest ago, or never: whoever shares an address with somebody
who holds connections for nothing is served all the same. Behind proxies all connections are theirs, and the proxy counts.
"""

import os
import socket
import stat
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from hotels.addresses import household

SECONDS = 0.25
TCP_INFO_LAST_DATA_SENT = 44
"""Where Linux' `struct tcp_info` has the milliseconds since we sent something, or since the connection was made."""


class Side(NamedTuple):
    """What is known of a socket of this process."""

    port: int
    peer: str
    """The address at the other side; none for a socket that listens."""


NO_CONNECTION = Side(0, "")


class ConnectionCap:
    """Looks at the sockets of this process from time to time, on a thread of its own."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known: dict[int, Side] = {}
        """By inode: a socket that was seen before costs one look at its descriptor."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="connections", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(SECONDS)
            self.look()

    def look(self) -> int:
        """Close what is too much; return how many connections that were."""
        known: dict[int, Side] = {}
        held: dict[Side, list[tuple[int, int]]] = defaultdict(list)
        for descriptor, inode in _sockets():
            side = known[inode] = self._known.get(inode) or _side(descriptor)
            held[side].append((descriptor, inode))
        self._known = known
        # What we called ourselves, a database for one, has a port of its own on our side.
        ports = {side.port for side in held if side.port and not side.peer}
        closed = 0
        for side, sockets in held.items():
            if side.peer and side.port in ports and len(sockets) > self.limit:
                closed += _close_idlest(sockets, len(sockets) - self.limit)
        return closed


def _sockets() -> Iterator[tuple[int, int]]:
    """Yield descriptor and inode of each socket of this process."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # closed since
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                yield int(name), status.st_ino


def _side(descriptor: int) -> Side:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as one:
            if one.type != socket.SOCK_STREAM or one.family not in (socket.AF_INET, socket.AF_INET6):
                return NO_CONNECTION
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            return Side(one.getsockname()[1], "" if listens else household(one.getpeername()[0]))
    except OSError:  # closed since
        return NO_CONNECTION


def _close_idlest(sockets: list[tuple[int, int]], count: int) -> int:
    ours = []
    for descriptor, inode in sockets:
        with suppress(OSError):
            one = socket.socket(fileno=os.dup(descriptor))
            if os.fstat(one.fileno()).st_ino == inode:  # else the descriptor is somebody else's by now
                info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                ours.append((struct.unpack_from("I", info, TCP_INFO_LAST_DATA_SENT)[0], one))
    ours.sort(key=lambda pair: pair[0], reverse=True)
    for number, (_, one) in enumerate(ours):
        with one, suppress(OSError):
            if number < count:
                one.shutdown(socket.SHUT_RDWR)
    return min(count, len(ours))
