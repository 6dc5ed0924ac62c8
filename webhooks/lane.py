"""Stores groups of events over a connection to PostgreSQL that the event loop watches itself: no thread waits, and none is woken.

The quick way of the lean door. Whatever it meets (a statement that fails, a connection that is gone) it leaves to the other way, through
`ingest.settle` on a thread, which knows what to do; after that a new connection is opened.
"""

import asyncio
from collections.abc import Callable, Sequence

import psycopg
from django.db import connection
from pydantic_core import to_json

from webhooks.ingest import POSTGRESQL, Row, Stored, read_stored

_NAME = b"hospient_store"
_OWN_PROCESS = b"SELECT pg_backend_pid()"


class Line:
    """A connection of its own. Made on a thread, used by the loop."""

    def __init__(self) -> None:
        self._connection = connection.get_new_connection(connection.get_connection_params())
        self.libpq = self._connection.pgconn
        self.socket = self.libpq.socket  # which libpq forgets when the connection is lost
        process = int(self.libpq.exec_(_OWN_PROCESS).get_value(0, 0))
        self._is_prepared = process == self.libpq.backend_pid
        """Behind a pooler it is another process, and the next statement may come to yet another one, which knows no names."""
        if self._is_prepared:
            self.libpq.prepare(_NAME, POSTGRESQL)

    def send(self, parameter: bytes) -> None:
        if self._is_prepared:
            self.libpq.send_query_prepared(_NAME, [parameter])
        else:
            self.libpq.send_query_params(POSTGRESQL, [parameter])

    def close(self) -> None:
        self._connection.close()


class Lane:
    """Sends one statement at a time, and calls back when it is committed."""

    def __init__(self) -> None:
        self._line: Line | None = None
        self._loop: asyncio.AbstractEventLoop
        self._done: Callable[[Stored | None], None] | None = None
        self._stored: Stored | None = None

    @property
    def is_open(self) -> bool:
        return self._line is not None

    def open(self, line: Line) -> None:
        """Watch a connection from now on."""
        self._line, self._loop = line, asyncio.get_running_loop()
        self._loop.add_reader(line.socket, self._read, line)

    def close(self) -> None:
        if line := self._line:
            self._line = None
            self._loop.remove_reader(line.socket)
            self._loop.remove_writer(line.socket)
            line.close()
            self._stored = None  # what was inserted was not committed, or nobody knows: a constraint is looked at in the end
            self._finish()

    def insert(self, rows: Sequence[Row], done: Callable[[Stored | None], None]) -> None:
        """Store rows and commit. `done` is called with the keys of those that are new, or with None: then this way could not do it."""
        assert self._line
        self._done, self._stored = done, None
        try:
            self._line.send(to_json(rows))
            self._flush(self._line)
        except (psycopg.Error, ValueError):  # the latter: what is in the rows cannot be written as JSON
            self.close()

    def _flush(self, line: Line) -> None:
        """Send what the network takes, and the rest when it takes more."""
        if line.libpq.flush():
            self._loop.add_writer(line.socket, self._flush_later, line)

    def _flush_later(self, line: Line) -> None:
        self._loop.remove_writer(line.socket)
        try:
            self._flush(line)
        except psycopg.Error:
            self.close()

    def _read(self, line: Line) -> None:
        try:
            line.libpq.consume_input()
            while not line.libpq.is_busy():
                result = line.libpq.get_result()
                if result is None:
                    self._finish()
                    return
                self._stored = read_stored(result)
        except psycopg.Error:  # a deleted integration, a restart: rare enough for a new connection
            self.close()

    def _finish(self) -> None:
        done, self._done = self._done, None
        if done:
            done(self._stored)
