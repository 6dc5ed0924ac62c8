"""How many connections an address may hold to a server process, and how long it may leave an answer untaken: the server has no such limits.

What one address holds beyond its share is closed, first what was answered longest ago, or never: whoever shares an address with somebody
who holds connections for nothing is served all the same. Behind proxies all connections are theirs, and the proxy counts.
"""

import os
import socket
import stat
import struct
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

from hotels.addresses import household

SECONDS = 0.25
TCP_INFO_LAST_DATA_SENT = 44
"""Where Linux' `struct tcp_info` has it, in milliseconds."""


class Side(NamedTuple):
    """What is known of a socket of this process."""

    port: int
    peer: str
    """The address at the other side; none for a socket that listens."""


NO_CONNECTION = Side(0, "")


class Guard:
    """Looks at the sockets of this process from time to time, on a thread of its own."""

    def __init__(self, per_address: int, answer_timeout: int) -> None:
        self._per_address = per_address
        """0 for any number."""
        self._answer_timeout = answer_timeout
        """Milliseconds."""
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
            if (side := self._known.get(inode)) is None:
                side = self._met(descriptor)
            known[inode] = side
            held[side].append((descriptor, inode))
        self._known = known
        # What we called ourselves, a database for one, has a port of its own on our side.
        ports = {side.port for side in held if side.port and not side.peer}
        closed = 0
        for side, sockets in held.items():
            if self._per_address and side.peer and side.port in ports and len(sockets) > self._per_address:
                closed += _close_idlest(sockets, len(sockets) - self._per_address)
        return closed

    def _met(self, descriptor: int) -> Side:
        """Return what is to be known of a socket. One that listens hands its time-out on to those it accepts."""
        try:
            with socket.socket(fileno=os.dup(descriptor)) as one:
                if one.type != socket.SOCK_STREAM or one.family not in (socket.AF_INET, socket.AF_INET6):
                    return NO_CONNECTION
                if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    return Side(one.getsockname()[1], household(one.getpeername()[0]))
                if sys.platform == "linux":
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._answer_timeout)
                return Side(one.getsockname()[1], "")
        except OSError:  # closed since
            return NO_CONNECTION


def _sockets() -> Iterator[tuple[int, int]]:
    """Yield descriptor and inode of each socket of this process."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # closed since
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                yield int(name), status.st_ino


def _close_idlest(sockets: list[tuple[int, int]], count: int) -> int:
    with ExitStack() as stack:
        ours = []
        for descriptor, inode in sockets:
            with suppress(OSError):
                one = stack.enter_context(socket.socket(fileno=os.dup(descriptor)))
                if os.fstat(one.fileno()).st_ino == inode:  # else the descriptor is somebody else's by now
                    ours.append((_idle_milliseconds(one), one))
        ours.sort(key=lambda pair: pair[0], reverse=True)
        for _, one in ours[:count]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        return min(count, len(ours))


def _idle_milliseconds(one: socket.socket) -> int:
    """Return how long ago we sent something, or the connection was made. Only Linux tells."""
    if sys.platform != "linux":
        return 0
    return struct.unpack_from("I", one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), TCP_INFO_LAST_DATA_SENT)[0]
