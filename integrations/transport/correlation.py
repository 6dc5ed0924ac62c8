"""One id for one cause: it follows a request, a sync, an operation or a webhook through every call and log line."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("correlation_id", default="")


def new() -> str:
    """Return a fresh id."""
    return uuid.uuid4().hex


def current() -> str:
    """Return the id in force, or an empty string outside of any cause."""
    return _current.get()


@contextmanager
def bind(correlation_id: str = "") -> Iterator[str]:
    """Put an id in force for the length of a `with` block; a new one if none is given."""
    token = _current.set(correlation_id or new())
    try:
        yield _current.get()
    finally:
        _current.reset(token)
