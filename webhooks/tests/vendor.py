"""A vendor for tests of the inbox: its streams hold the records a test puts in, and its webhooks name objects by id."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from integrations import records
from integrations.records import InboundEvent, Page, Record, StreamQuery
from integrations.services.base import Provider
from integrations.services.manifest import DeletesBy, Kind, Manifest, ProviderFields, Stream, Webhooks
from integrations.transport.auth import Auth, NoAuth, TokenStore


class Fields(ProviderFields):
    base_url: str = Field("https://vendor.example.com", title="Address")


def parse(headers: Mapping[str, str], body: Any) -> list[InboundEvent]:
    return [_event(one) for one in body["events"]]


def _event(one: Mapping[str, Any]) -> InboundEvent:
    return InboundEvent(
        event_type=one["type"],
        event_id=one.get("id", ""),
        object_type=one.get("object", ""),
        object_id=one.get("key", ""),
        refresh=tuple(one.get("refresh", ())),
    )


BY_ID = {"reservations": records.Reservation, "checks": records.GuestCheck}
WHOLE = {"menus": records.MenuItem, "rooms": records.Room}


class Vendor(Provider[Fields, Fields]):
    manifest = Manifest(
        slug="vendor",
        name="Vendor",
        kinds=tuple(Kind),
        environments={"production": "https://vendor.example.com"},
        credentials=Fields,
        config=Fields,
        streams=(
            *(Stream(name=name, label=name.capitalize(), records=(r,), by_id=True, deletes_by=DeletesBy.NONE) for name, r in BY_ID.items()),
            *(Stream(name=name, label=name.capitalize(), records=(r,), deletes_by=DeletesBy.NONE) for name, r in WHOLE.items()),
        ),
        webhooks=Webhooks(verifier="basic", parse=parse),
    )
    queries: ClassVar[list[tuple[str, tuple[str, ...]]]] = []
    """Stream and ids of every read, in order."""
    holds: ClassVar[dict[str, list[Record]]] = {}
    failures: ClassVar[dict[str, Exception]] = {}
    """Stream or object id -> what reading it raises."""

    @classmethod
    def auth(cls, config: Fields, credentials: Fields, tokens: TokenStore) -> Auth:
        return NoAuth()

    def read(self, name: str, query: StreamQuery) -> Iterator[Page]:
        self.queries.append((name, query.external_ids))
        for key in (name, *query.external_ids):
            if key in self.failures:
                raise self.failures[key]
        found = self.holds.get(name, [])
        yield Page(records=[r for r in found if not query.external_ids or r.external_id in query.external_ids], cursor={"at": 1})


def _stream(name: str) -> Any:
    return lambda self, query: self.read(name, query)


for _name in (*BY_ID, *WHOLE):
    setattr(Vendor, _name, _stream(_name))


class PolledVendor(Vendor):
    """The same vendor, whose events are fetched instead of sent."""

    manifest = Vendor.manifest.model_copy(
        update={"slug": "polled", "webhooks": Webhooks(verifier="polling", parse=lambda headers, body: [_event(body)])}
    )
    queue: ClassVar[list[list[Mapping[str, Any]] | Exception]] = []
    stored_before_next: ClassVar[list[int]] = []

    def poll(self) -> Iterator[list[Mapping[str, Any]]]:
        from webhooks.models import WebhookEvent

        while self.queue:
            self.stored_before_next.append(WebhookEvent.objects.count())
            batch = self.queue.pop(0)
            if isinstance(batch, Exception):
                raise batch
            yield batch


class Subscribing(Vendor):
    """A vendor that lets us handle its subscription."""

    manifest = Vendor.manifest.model_copy(
        update={"webhooks": Webhooks(verifier="square", events={"a": "b", "c": "d"}, parse=parse, subscription=True)}
    )

    def list_subscriptions(self) -> list[dict[str, Any]]:
        return [{"id": "wbhk_1", "url": "https://hotel.example.com/hook", "event_types": ["a", "c"]}]

    def create_subscription(self, url: str, event_types: Sequence[str]) -> dict[str, Any]:
        return {"id": "wbhk_1", "url": url, "event_types": list(event_types), "signature_key": "first-key-of-the-vendor"}

    def rotate_subscription_key(self, subscription_id: str) -> str:
        assert subscription_id == "wbhk_1"
        return "second-key-of-the-vendor"
