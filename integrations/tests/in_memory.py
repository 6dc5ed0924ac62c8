"""A vendor in the same process: its simulator answers, all of our transport but the sockets is there, and a test may bend the answers."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from integrations.simulators.server import SimRequest, SimResponse, Simulator
from integrations.transport import client
from integrations.transport.wire import Flight, Outcome, WireRequest

ADDRESS = "http://127.0.0.1:9"
"""Where nobody listens."""

Bend = Callable[[SimRequest, SimResponse], SimResponse]


class InMemory:
    """Stands in for the wire."""

    def __init__(self, simulator: Simulator, bend: Bend = lambda request, answer: answer) -> None:
        self.simulator = simulator
        self.bend = bend

    def exchange(self, request: WireRequest, flight: Flight, max_bytes: int) -> Outcome:
        target = urlsplit(request.target)
        asked = SimRequest(
            method=request.method,
            path=target.path,
            query=parse_qs(target.query, keep_blank_values=True),
            headers={"host": "127.0.0.1:9"} | {name.lower(): value for name, value in request.headers.items()},
            body=request.body or b"",
        )
        with self.simulator.lock:
            self.simulator.requests.append((asked.method, asked.path))
        answer = self.bend(asked, self.simulator.handle(asked))
        headers = {"Content-Type": answer.content_type, **answer.headers}
        return Outcome(sent=True, status=answer.status, headers=headers, content=answer.encoded())

    def close(self) -> None:
        pass


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[..., InMemory]:
    """Let all calls go to a simulator."""

    def answered_by(simulator: Simulator, **options: Any) -> InMemory:
        wire = InMemory(simulator, **options)
        monkeypatch.setattr(client, "Wire", lambda egress: wire)
        return wire

    return answered_by
