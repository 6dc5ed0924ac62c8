"""How server processes are started, with the limits the settings name: `manage.py serve` and the demo start them alike.

Granian ends a connection that waits too long for the head of a request, or whose head is too large; only HTTP/1.1 is spoken, since its
streams of HTTP/2 have no such limits. Bodies are limited by what serves them, connections of one address by `hospient.connections`.
"""

import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hospient.connections import Guard

APPLICATIONS = {
    "everything": "hospient.server:everything",
    "console": "hospient.server:console",
    "webhooks": "hospient.server:webhooks",
}
OTHER_FILES = 512
"""What a process has open beside connections: the database, vendors, bodies on the disk."""
STOP_SECONDS = 8
"""What is not answered by then is cut off; a deployment waits for 10."""


RANGES = {
    "SERVER_THREADS": (1, 1_000),
    "SERVER_HEAD_BYTES": (8_192, 2**24),
    "SERVER_HEAD_TIMEOUT": (1, 60_000),
    "SERVER_BODY_TIMEOUT": (1, 3_600_000),
    "SERVER_ANSWER_TIMEOUT": (1, 3_600_000),
    "SERVER_CONNECTIONS": (1, 1_000_000),
    "SERVER_CONNECTIONS_PER_ADDRESS": (1, 1_000_000),
}


def command(application: str, host: str, port: int, workers: int) -> list[str]:
    """Return the command line of a server. Raises ImproperlyConfigured if a limit cannot be kept."""
    for name, (least, most) in RANGES.items():
        if not least <= getattr(settings, name) <= most:
            raise ImproperlyConfigured(f"{name} is {getattr(settings, name)}. Set it to a number from {least:,} to {most:,}.")
    options = {
        "interface": "rsgi",
        "host": host,
        "port": port,
        "workers": workers,
        "http": 1,
        "http1-header-read-timeout": settings.SERVER_HEAD_TIMEOUT,
        "http1-buffer-size": settings.SERVER_HEAD_BYTES,
        "backlog": 2048,
        "backpressure": settings.SERVER_CONNECTIONS,
        "workers-kill-timeout": STOP_SECONDS,
        "log-level": "warning",
    }
    named = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "granian", *named, "--no-ws", "--respawn-failed-workers", "--factory", APPLICATIONS[application]]


class Guarded:
    """An application whose process counts the connections of each address."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self.__rsgi__: Callable[..., Any] = application.__rsgi__  # as it is: the door for webhooks is measured in microseconds

    def __rsgi_init__(self, loop: Any) -> None:
        if sys.platform != "win32":  # where sockets are no files
            _let_open(settings.SERVER_CONNECTIONS + OTHER_FILES)
            Guard(0 if settings.TRUSTED_PROXIES else settings.SERVER_CONNECTIONS_PER_ADDRESS, settings.SERVER_ANSWER_TIMEOUT).start()
        if initialise := getattr(self._application, "__rsgi_init__", None):
            initialise(loop)

    def __rsgi_del__(self, loop: Any) -> None:
        self._application.__rsgi_del__(loop)


def _let_open(count: int) -> None:
    """Let this process have so many files open, as far as it may decide that."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else min(count, hard), hard))


def everything() -> Guarded:
    """One process for all, as a small hotel needs it."""
    from hospient.rsgi import Console, Everything
    from webhooks.rsgi import application as door

    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("postgresql"):
        # The door's threads keep their connections, and so do the console's: a pool would let the door wait for a database that is down.
        database.get("OPTIONS", {}).pop("pool", None)
        database |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    return Guarded(Everything(Console(), door))


def console() -> Guarded:
    """Console and API. Webhooks are answered too, by Django: nothing is lost if a proxy sends them here."""
    from hospient.rsgi import Console

    return Guarded(Console())


def webhooks() -> Guarded:
    """The door for webhooks alone, so that a busy console never delays a vendor."""
    from webhooks.rsgi import application

    return Guarded(application)
