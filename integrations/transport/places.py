"""How many may be at work at a time, while any number waits: who waits for a vendor gives its place up until the answer is there.

A worker's lanes give their threads places; everywhere else nothing is counted. Places go round in the order in which they were asked for,
so that somebody with many pages takes turns with the others.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Places:
    def __init__(self, count: int, *, between: Callable[[], None] = lambda: None) -> None:
        """`between` is called on a thread that gives its place up: it puts down what others could use."""
        self._free = count
        self._between = between
        self._lock = threading.Lock()
        self._asking: deque[threading.Lock] = deque()

    def take(self) -> None:
        """Wait for a place, and make it this thread's."""
        gate = threading.Lock()
        with self._lock:
            at_once = self._free > 0
            if at_once:
                self._free -= 1
            else:
                gate.acquire()
                self._asking.append(gate)
        if not at_once:
            gate.acquire()
        _mine.places = self

    def give(self) -> None:
        _mine.places = None
        self._between()
        with self._lock:
            if self._asking:
                self._asking.popleft().release()
            else:
                self._free += 1


class _Mine(threading.local):
    places: Places | None = None


_mine = _Mine()


@contextmanager
def given_up() -> Iterator[None]:
    """Leave this thread's place to others while it waits for somebody outside."""
    if (places := _mine.places) is None:
        yield
        return
    places.give()
    try:
        yield
    finally:
        places.take()


def sleep(seconds: float) -> None:
    with given_up():
        time.sleep(seconds)
