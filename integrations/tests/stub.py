"""A vendor for tests of the doors: it offers everything, calls nobody, and does what a test tells it to."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
from pydantic import AliasChoices, Field, SecretStr

from integrations import records
from integrations.services.base import ConnectionReport, Provider
from integrations.services.manifest import Idempotency, Kind, Manifest, Operation, ProviderFields, Stream
from integrations.transport.auth import Auth, NoAuth, TokenStore


class StubConfig(ProviderFields):
    base_url: str = Field("", title="Address", validation_alias=AliasChoices("base_url", "baseUrl"))


class StubCredentials(ProviderFields):
    access_token: SecretStr = Field(title="Access token", validation_alias=AliasChoices("access_token", "accessToken"))
    location_id: str = Field("", title="Location", validation_alias=AliasChoices("location_id", "locationId"))


STREAMS = {
    "categories": records.MenuCategory,
    "menus": records.MenuItem,
    "reservations": records.Reservation,
    "rooms": records.Room,
    "guests": records.Guest,
    "guest_data": records.Guest,
    "feedback": records.Feedback,
    "chat_messages": records.ChatMessage,
}
WRITES = (
    "post_guest_check", "void_check", "post_check_in", "post_check_out", "update_guest_info", "post_charge", "send_request",
    "post_feedback", "post_chat_message", "post_notification", "update_notification_status",
)  # fmt: skip
READS: dict[str, Any] = {
    "get_check_status": records.GuestCheck(external_id="check_123", status="open"),
    "get_room_status": [records.Room(external_id="r101", number="101", housekeeping="clean")],
    "get_guest_info": records.Guest(external_id="g1", family_name="Ortner"),
    "get_feedback": [records.Feedback(external_id="f1", rating=5)],
    "get_chat_messages": [records.ChatMessage(external_id="c1", message="Towels?")],
    "get_notifications": [records.Notification(external_id="n1", title="Pool")],
    "get_guest_preferences": {"pillow": "soft"},
}


class StubProvider(Provider[StubConfig, StubCredentials]):
    manifest = Manifest(
        slug="stub",
        name="Stub",
        kinds=tuple(Kind),
        answers_to=("stub pos",),
        environments={"production": "https://stub.example.com"},
        credentials=StubCredentials,
        config=StubConfig,
        streams=tuple(Stream(name=name, label=name, records=(record,), by_date=True) for name, record in STREAMS.items()),
        operations=(
            *(Operation(name=name, label=name, idempotency=Idempotency.NATIVE) for name in WRITES),
            *(Operation(name=name, label=name, writes=False) for name in READS),
        ),
    )
    calls: ClassVar[list[tuple[str, Any]]] = []
    """What was asked of it, in order."""
    failures: ClassVar[dict[str, Exception]] = {}
    """Operation or stream -> what it raises."""
    lists: ClassVar[dict[str, list[records.Record | records.Rejected]]] = {}
    """Stream -> what it lists, on one page."""
    found: ClassVar[dict[str, Mapping[str, Any]]] = {}
    """Operation -> what its look-up finds."""

    @classmethod
    def declare(cls, monkeypatch: pytest.MonkeyPatch, idempotency: Idempotency) -> None:
        """Be a vendor that knows idempotency keys, or lets its writes be looked up, or neither."""
        facts = {"idempotency": idempotency, "settle_seconds": 10 if idempotency == Idempotency.LOOKUP else 0}
        declared = tuple(operation.model_copy(update=facts) for operation in cls.manifest.operations)
        monkeypatch.setattr(cls, "manifest", cls.manifest.model_copy(update={"operations": declared}))

    @classmethod
    def auth(cls, config: StubConfig, credentials: StubCredentials, tokens: TokenStore) -> Auth:
        return NoAuth()

    def test_connection(self) -> ConnectionReport:
        self._called("test_connection", None)
        return ConnectionReport(summary="Connected.", details={"location": self.credentials.location_id})

    def _called(self, name: str, asked: Any) -> None:
        self.calls.append((name, asked))
        if name in self.failures:
            raise self.failures[name]


def _stream(name: str) -> Any:
    def read(self: StubProvider, query: records.StreamQuery) -> Iterator[records.Page]:
        self._called(name, query)
        listed = self.lists.get(name, [])
        good = [record for record in listed if isinstance(record, records.Record)]
        yield records.Page(records=good, rejected=[record for record in listed if record not in good], cursor={})

    return read


def _write(name: str) -> Any:
    def write(self: StubProvider, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        self._called(name, payload)
        return {"reference": f"stub-{len(self.calls)}"}

    return write


def _find(name: str) -> Any:
    def find(self: StubProvider, payload: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
        self._called(f"find_{name}", payload)
        return self.found.get(name)

    return find


def _ask(name: str) -> Any:
    def ask(self: StubProvider, **arguments: Any) -> Any:
        self._called(name, arguments)
        return READS[name]

    return ask


for _name in STREAMS:
    setattr(StubProvider, _name, _stream(_name))
for _name in WRITES:
    setattr(StubProvider, _name, _write(_name))
    setattr(StubProvider, f"find_{_name}", _find(_name))
for _name in READS:
    setattr(StubProvider, _name, _ask(_name))
