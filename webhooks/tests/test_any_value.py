"""Any JSON value at any place of an event: the door answers in words, and the inbox parks what is odd with its reason, and only that."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from hotels.models import Hotel, MenuItem
from integrations import services
from integrations.models import ExternalReference, Integration, WebhookSecret
from integrations.services import registry
from integrations.tests import test_any_value as vendors
from integrations.transport import client
from webhooks import inbox
from webhooks.decoding import decode_json
from webhooks.delivery import Delivery
from webhooks.exceptions import BodyUnreadable
from webhooks.facts import parsers_of
from webhooks.ingest import Ingest, read_events, row_of, store
from webhooks.models import EventStatus, WebhookEvent
from webhooks.tests.doors import signed

pytestmark = pytest.mark.django_db
SECRET = "a-webhook-secret-of-the-tests"
FIXTURES = Path(services.__file__).parent
OURS = {
    "menu_updated": "menu_item", "check_created": "check", "check_voided": "check", "reservation_updated": "reservation",
    "check_in": "reservation", "room_status_changed": "room", "guest_updated": "guest", "feedback_submitted": "feedback",
    "chat_message_received": "chat_message", "notification_sent": "notification",
}  # fmt: skip
"""Event of our own scheme -> the fixture that says what it tells."""
THEIRS = [(vendor, example.stem) for vendor in vendors.VENDORS for example in sorted((FIXTURES / vendor.split("/")[0] / "fixtures").glob("webhook_*.json"))]  # fmt: skip


def post(integration: Integration, body: bytes) -> int:
    WebhookSecret.objects.get_or_create(integration=integration, defaults={"secret": {"secret": SECRET}})
    headers = {name.lower(): value for name, value in signed(body, SECRET).items()}
    delivery = Delivery(integration.pk, headers, b"", timezone.now(), correlation_id=uuid.uuid4().hex)
    return Ingest().accept(delivery, lambda size: body[:size]).status


def ours(event_type: str) -> dict[str, Any]:
    data = json.loads((FIXTURES / "generic_rest" / "fixtures" / f"{OURS[event_type]}.json").read_text())
    return {"event_type": event_type, "event_id": "evt_1", "occurred_at": "2026-06-09T10:00:00Z", "data": data | {"version": 3}}


def bent(body: Any, place: tuple, raw: str) -> bytes:
    return json.dumps(vendors.changed(body, place, raw)).replace(json.dumps(vendors.PLACE), raw).encode()


def work(integration: Integration) -> list[WebhookEvent]:
    """Work what there is, children of a batch too, and return the events."""
    for _ in range(2):
        inbox.drain(integration)
    return list(WebhookEvent.objects.filter(integration=integration))


def hotel_here() -> Hotel:
    return Hotel.objects.get_or_create(name="Grand", slug="grand", currency="EUR", time_zone="Europe/Vienna")[0]


@pytest.mark.parametrize("event_type", OURS)
@vendors.FEW
@given(data=st.data())
def test_any_value_in_an_event_of_ours_is_refused_in_words_or_parks_the_event(db: None, event_type: str, data: Any) -> None:
    body = ours(event_type)
    place = data.draw(st.sampled_from(list(vendors.places(body))))
    raw = data.draw(vendors.ANYTHING)
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        patch.setattr(client, "Wire", lambda egress: vendors.Bent(vendors.generic_rest.GenericRestSimulator()))
        integration = vendors.connected(hotel_here(), "generic_rest/pos")
        started = time.process_time()
        status = post(integration, bent(body, place, raw))
        events = work(integration)
        took = time.process_time() - started
        transaction.set_rollback(True)
    told = f"{place} {raw[:40]}: {status} {[(event.status, event.error_code, event.error_message) for event in events]}"
    assert status in (202, 400), told
    assert took < 1, told
    assert [event.error_code for event in events if event.error_code == "internal_error"] == [], told
    assert all(event.status != EventStatus.DEAD or event.error_message for event in events), told


@pytest.mark.parametrize(("vendor", "example"), THEIRS)
@vendors.FEW
@given(data=st.data())
def test_any_value_in_a_vendors_event_parks_it_at_worst(db: None, vendor: str, example: str, data: Any) -> None:
    body = json.loads((FIXTURES / vendor.split("/")[0] / "fixtures" / f"{example}.json").read_text())
    place = data.draw(st.sampled_from(list(vendors.places(body))))
    raw = data.draw(vendors.ANYTHING)
    try:
        decoded = decode_json(bent(body, place, raw))
    except BodyUnreadable:
        return  # refused with 400 at the door
    verifier = registry.get(vendor.split("/")[0]).manifest.webhooks.verifier
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        patch.setattr(client, "Wire", lambda egress: vendors.Bent(vendors.VENDORS[vendor][0]()))
        integration = vendors.connected(hotel_here(), vendor)
        events = read_events(parsers_of(integration).outline(verifier), {}, decoded) or []
        common = {
            "integration_id": integration.pk,
            "verified_by": verifier,
            "headers": {},
            "correlation_id": "c",
            "received_at": timezone.now(),
        }
        store([row_of(events, body=json.dumps(decoded, default=str), **common)])
        found = work(integration)
        transaction.set_rollback(True)
    told = f"{place} {raw[:40]}: {[(event.event_type, event.status, event.error_code, event.error_message) for event in found]}"
    assert found, told
    assert [event.error_code for event in found if event.error_code == "internal_error"] == [], told


def test_odd_value_parks_its_event_with_field_value_and_reason() -> None:
    integration = vendors.connected(hotel_here(), "generic_rest/pos")
    body = ours("menu_updated")
    body["data"]["price"] = "1e1000000 card 4111 1111 1111 1111"
    assert post(integration, json.dumps(body).encode()) == 202
    [event] = work(integration)
    assert (event.status, event.error_code, event.attempts) == (EventStatus.DEAD, "record_rejected", 1)
    assert event.error_message.startswith("price: “1e1000000 card ")
    assert "is not a number" in event.error_message
    assert "4111 1111" not in event.error_message
    assert not MenuItem.objects.exists()


def test_odd_event_of_a_batch_is_parked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Wire", lambda egress: vendors.Bent(vendors.simphony.SimphonySimulator()))
    integration = vendors.connected(hotel_here(), "simphony/pos")
    [message] = json.loads((FIXTURES / "simphony" / "fixtures" / "webhook_menu_changed.json").read_text())["messages"]
    messages = [message, {**message, "id": {"odd": 1}}, {**message, "id": "another"}]
    parse = parsers_of(integration).outline("simphony")
    row = row_of(
        read_events(parse, {}, {"messages": messages}),
        integration_id=integration.pk,
        verified_by="simphony",
        headers={},
        body=json.dumps({"messages": messages}),
        correlation_id="c",
        received_at=timezone.now(),
    )
    store([row])
    events = work(integration)
    assert sorted(event.status for event in events) == ["dead", "done", "done", "done"]
    [parked] = [event for event in events if event.status == EventStatus.DEAD]
    assert (parked.event_type, parked.error_message.partition(" Correct")[0]) == (
        message["messageType"]["id"],
        "id: an object is not a text.",
    )


@pytest.mark.parametrize("later", ["2026-06-09T11:00:00Z", None])
def test_time_in_the_future_freezes_nothing(later: str | None) -> None:
    integration = vendors.connected(hotel_here(), "generic_rest/pos")
    first, second = ours("menu_updated"), ours("menu_updated")
    for body, name, when, number in ((first, "Of tomorrow", "2099-01-01T00:00:00Z", 1), (second, "Of today", later, 2)):
        body |= {"occurred_at": when, "event_id": f"evt_{number}"}
        body["data"] = {key: value for key, value in body["data"].items() if key not in ("updated_at", "version")} | {"name": name}
        assert post(integration, json.dumps(body).encode()) == 202
        work(integration)
        if number == 1:
            assert ExternalReference.objects.get(record_type="menu_item").source_updated_at <= timezone.now()
    assert MenuItem.objects.get().name == "Of today"
    assert "clock ahead of ours" in WebhookEvent.objects.order_by("id")[0].outcome
