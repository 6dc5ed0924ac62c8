"""Every event of our own scheme has its effect on the hotel's records, late ones never overwrite newer state, and order does not matter."""

import json
import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Model
from django.utils import timezone

from hotels import models as hotels
from integrations.models import ExternalReference, Integration
from integrations.records import GuestCheck, MenuItem, MenuVariation, Reservation, Room
from webhooks import events, inbox
from webhooks.exceptions import BodyUnreadable
from webhooks.ingest import object_key_of, row_of, store
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import Connect
from webhooks.tests.vendor import Vendor

pytestmark = pytest.mark.django_db

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(minutes: float) -> str:
    return (T0 + timedelta(minutes=minutes)).isoformat()


def deliver(integration: Integration, event_type: str, data: Mapping[str, Any], **envelope: Any) -> WebhookEvent:
    """Store one event of our own scheme and work the inbox."""
    event = put(integration, event_type, data, **envelope)
    inbox.drain(integration)
    event.refresh_from_db()
    return event


def put(integration: Integration, event_type: str, data: Mapping[str, Any], **envelope: Any) -> WebhookEvent:
    body = {"event_type": event_type, "event_id": uuid.uuid4().hex, "data": data, **envelope}
    row = row_of(
        events.outline({}, body),
        integration_id=integration.pk,
        verified_by="body",
        headers={},
        body=json.dumps(body),
        correlation_id=uuid.uuid4().hex,
        received_at=timezone.now(),
    )
    store([row])
    return WebhookEvent.objects.get(event_id=row["event_id"])


# --- clocks east and west ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("2026-06-09T23:30:00-11:00", datetime(2026, 6, 10, 10, 30, tzinfo=UTC)),
        ("2026-06-10T01:00:00+14:00", datetime(2026, 6, 9, 11, tzinfo=UTC)),
        ("2026-06-10T00:15:00+05:45", datetime(2026, 6, 9, 18, 30, tzinfo=UTC)),
        ("2026-06-10T00:15:00Z", datetime(2026, 6, 10, 0, 15, tzinfo=UTC)),
    ],
)
def test_an_events_time_is_taken_with_its_offset(written: str, means: datetime) -> None:
    for name in ("occurred_at", "timestamp"):
        [event] = events.parse({}, {"event_type": "check_in", "data": {"id": "r1"}, name: written})
        assert event.occurred_at == means


@pytest.mark.parametrize(
    ("later", "wins"),
    [("2026-06-09T13:59:00+02:00", "before"), ("2026-06-09T14:01:00+02:00", "after"), ("2026-06-09T02:01:00-10:00", "after")],
)
def test_what_is_late_is_told_by_the_moment_and_not_by_the_clock_on_the_wall(connect: Connect, later: str, wins: str) -> None:
    integration = connect()
    for number, (floor, moment) in enumerate((("before", "2026-06-09T12:00:00Z"), ("after", later))):
        data = {"room_id": "r1", "room_number": "101", "room_type": "double", "housekeeping": "clean", "floor": floor}
        deliver(integration, "room_status_changed", data, occurred_at=moment, event_id=f"e{number}")
    assert hotels.Room.objects.get().floor == wins


# --- the seed's names ----------------------------------------------------------------------------------------------------------

ITEM = MenuItem(
    external_id="menu_123", name="Club sandwich", variations=(MenuVariation(external_id="v1", price=Decimal("14.50"), currency="EUR"),)
)
THIN = [
    ("pos", "menu_updated", {"menu_id": "menu_123", "changes": ["name", "price"]}, "menus", ITEM, hotels.MenuItem, {"name": "Club sandwich"}),
    ("pos", "check_created", {"check_id": "c1"}, "checks", GuestCheck(external_id="c1", status="open"), hotels.GuestCheck, {"status": "open"}),
    ("pos", "check_updated", {"check_id": "c1"}, "checks", GuestCheck(external_id="c1", status="closed"), hotels.GuestCheck, {"status": "closed"}),
    ("pos", "check_voided", {"check_id": "c1"}, "checks", GuestCheck(external_id="c1", status="voided"), hotels.GuestCheck, {"status": "voided"}),
    *(
        ("pms", name, {"reservation_id": "r1"}, "reservations", Reservation(external_id="r1", status="in_house"), hotels.Reservation, {"status": "in_house"})
        for name in ("reservation_created", "reservation_updated", "check_in", "check_out")
    ),
    ("pms", "room_status_changed", {"room_number": "101"}, "rooms", Room(external_id="101", number="101", housekeeping="dirty"), hotels.Room, {"housekeeping": "dirty"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "event_type", "data", "stream", "record", "model", "expected"), THIN, ids=[row[1] for row in THIN])
def test_thin_event_has_the_object_read(
    vendor: type[Vendor],
    connect: Connect,
    kind: str,
    event_type: str,
    data: dict[str, Any],
    stream: str,
    record: Any,
    model: type[Model],
    expected: dict[str, Any],
) -> None:
    vendor.holds[stream] = [record]
    event = deliver(connect(kind, provider="vendor"), event_type, data)
    assert event.status == "done"
    assert [name for name, _ in vendor.queries] == [stream]
    row = model.objects.get()
    assert {name: getattr(row, name) for name in expected} == expected


RESERVATION = {
    "reservation_id": "r1", "status": "confirmed", "arrival_date": "2026-03-14", "departure_date": "2026-03-16",
    "confirmation_number": "HB-7", "room_number": "101", "adults": 2, "guest_id": "g1",
}  # fmt: skip
FULL = [
    ("pos", "menu_updated", {"menu_id": "m1", "name": "Soup", "category_id": "starters", "price": 7.5}, hotels.MenuItem, {"name": "Soup"}),
    ("pos", "check_created", {"check_id": "c1", "status": "open", "total": 34.54}, hotels.GuestCheck, {"status": "open", "total": Decimal("34.54"), "currency": "EUR"}),
    ("pos", "check_updated", {"checkId": "c1", "status": "paid", "total": "34.54"}, hotels.GuestCheck, {"status": "closed"}),
    ("pos", "check_voided", {"check_id": "c1", "total": "34.54"}, hotels.GuestCheck, {"status": "voided"}),
    ("pms", "reservation_created", RESERVATION, hotels.Reservation, {"status": "reserved", "confirmation_number": "HB-7", "adults": 2}),
    ("pms", "reservation_updated", RESERVATION | {"status": "cancelled"}, hotels.Reservation, {"status": "cancelled"}),
    ("pms", "check_in", RESERVATION | {"id": "ci_9"}, hotels.Reservation, {"status": "in_house"}),
    ("pms", "check_out", RESERVATION, hotels.Reservation, {"status": "checked_out"}),
    ("pms", "room_status_changed", {"room_number": "101", "room_type": "DLX", "housekeeping": "dirty"}, hotels.Room, {"number": "101", "housekeeping": "dirty"}),
    ("pms", "guest_updated", {"guest_id": 7, "first_name": "Ana", "last_name": "Lima", "email": "a@example.com"}, hotels.Guest, {"given_name": "Ana", "family_name": "Lima"}),
    ("guest_management", "guest_updated", {"guestId": "g7", "given_name": "Ana", "family_name": "Lima", "email": ""}, hotels.Guest, {"family_name": "Lima"}),
    ("guest_management", "feedback_submitted", {"feedback_id": "f1", "rating": 5, "title": "Great", "room_number": "101"}, hotels.Feedback, {"rating": 5, "title": "Great"}),
    ("guest_management", "chat_message_received", {"message_id": "m1", "message": "Towels?", "sender_type": "guest"}, hotels.ChatMessage, {"message": "Towels?", "sender_type": "guest"}),
    ("guest_management", "notification_sent", {"notification_id": "n1", "title": "Pool", "message": "Closed"}, hotels.Notification, {"status": "sent", "title": "Pool"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "event_type", "data", "model", "expected"), FULL, ids=[row[1] for row in FULL])
def test_full_event_is_applied(
    vendor: type[Vendor], connect: Connect, kind: str, event_type: str, data: dict[str, Any], model: type[Model], expected: dict[str, Any]
) -> None:
    event = deliver(connect(kind, provider="vendor"), event_type, data)
    assert (event.status, event.outcome) == ("done", "Applied.")
    assert vendor.queries == []
    row = model.objects.get()
    assert {name: getattr(row, name) for name in expected} == expected


def test_every_name_of_the_seed_is_covered() -> None:
    assert set(events.EVENTS) == {row[1] for row in FULL}
    assert len(events.EVENTS) == 13


# --- what an event does not tell -----------------------------------------------------------------------------------------------


def test_part_of_an_object_leaves_the_rest_as_it_is_stored(vendor: type[Vendor], connect: Connect) -> None:
    """`generic_rest` without an address for guests cannot ask, so what the event tells is taken."""
    integration = connect("pms", provider="vendor")
    deliver(
        integration, "guest_updated", {"guest_id": "g1", "given_name": "Ana", "family_name": "Lima", "email": "a@example.com", "vip": True}
    )
    deliver(integration, "guest_updated", {"guest_id": "g1", "phone": "+351 1"})
    guest = hotels.Guest.objects.get()
    assert (guest.given_name, guest.phone, guest.email, guest.is_vip) == ("Ana", "+351 1", "a@example.com", True)
    deliver(integration, "guest_updated", {"guest_id": "g1", "is_vip": False, "email": ""})
    guest.refresh_from_db()
    assert (guest.given_name, guest.email, guest.is_vip) == ("Ana", "", False)


def test_item_without_a_price_keeps_the_one_it_has(vendor: type[Vendor], connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "offers", classmethod(lambda cls, name, config: False))
    integration = connect("pos", provider="vendor")
    deliver(integration, "menu_updated", {"menu_id": "m1", "name": "Soup", "category_id": "starters", "price": 7.5})
    deliver(integration, "menu_updated", {"menu_id": "m1", "name": "Soup of the day"})
    assert hotels.MenuVariation.live.get().price == Decimal("7.5")


def test_event_about_nothing_in_particular_has_the_stream_read(vendor: type[Vendor], connect: Connect) -> None:
    assert deliver(connect("pms", provider="vendor"), "room_status_changed", {}).status == "done"
    assert vendor.queries == [("rooms", ())]


# --- late and out of order -----------------------------------------------------------------------------------------------------


def test_late_cancellation_does_not_reopen_reservation(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect("pms", provider="vendor")
    deliver(integration, "reservation_updated", RESERVATION | {"status": "cancelled"}, occurred_at=at(10))
    event = deliver(integration, "reservation_updated", RESERVATION, occurred_at=at(5))
    assert event.status == "done"
    assert hotels.Reservation.objects.get().status == "cancelled"
    assert ExternalReference.objects.get().source_updated_at == T0 + timedelta(minutes=10)


def test_lower_version_never_overwrites_a_higher_one(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect("pms", provider="vendor")
    for version, status in ((3, "cancelled"), (1, "confirmed"), (2, "in_house")):
        deliver(integration, "reservation_updated", RESERVATION | {"status": status, "version": version})
    assert hotels.Reservation.objects.get().status == "cancelled"


def history() -> list[dict[str, Any]]:
    """A reservation's life: whole and partial events, each newer than the one before."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("reservation_created", RESERVATION),
        ("reservation_updated", RESERVATION | {"room_number": "102"}),
        ("reservation_updated", RESERVATION | {"room_number": "103", "adults": 3}),
        ("check_in", RESERVATION | {"room_number": "104", "adults": 3}),
        ("reservation_updated", RESERVATION | {"status": "checked_in", "room_number": "105", "adults": 3, "balance": "120.50"}),
        ("check_out", RESERVATION | {"room_number": "105", "adults": 3, "balance": "0"}),
    ]
    return [{"event_type": kind, "data": data, "occurred_at": at(number)} for number, (kind, data) in enumerate(steps)]


def state(integration: Integration) -> tuple[Any, ...]:
    row = hotels.Reservation.objects.get(hotel=integration.hotel_id)
    return row.status, row.room_number, row.adults, row.balance, ExternalReference.objects.get(integration=integration).source_updated_at


def test_any_order_with_duplicates_ends_in_the_same_state(vendor: type[Vendor], connect: Connect) -> None:
    """Twenty orders here; a thousand in tests/faults/webhooks_orders.py."""
    integration = connect("pms", provider="vendor")
    randomness = random.Random(7)
    ends = set()
    for _ in range(20):
        hotels.Reservation.objects.all().delete()
        ExternalReference.objects.all().delete()
        arriving = history() + randomness.sample(history(), 3)
        randomness.shuffle(arriving)
        for event in arriving:
            put(integration, **event)
            if randomness.random() < 0.4:
                inbox.drain(integration)
        inbox.drain(integration)
        ends.add(state(integration))
    assert ends == {("checked_out", "105", 3, Decimal(0), T0 + timedelta(minutes=5))}


# --- reading -------------------------------------------------------------------------------------------------------------------


def test_object_ids_are_found_in_both_spellings_and_the_objects_own_comes_first() -> None:
    def object_of(data: dict[str, Any]) -> str:
        return object_key_of(events.outline({}, {"event_type": "check_in", "data": data})[0])

    assert object_of({"reservationId": "r1", "id": "ci_1"}) == "reservation:r1"
    assert object_of({"id": 7}) == "reservation:7"
    assert object_of({}) == "refresh:reservations"


def test_unknown_type_is_returned_with_its_name() -> None:
    [event] = events.parse({}, {"type": "weather.changed", "event_id": 5, "timestamp": "2026-03-01T12:00:00Z"})
    assert (event.event_type, event.event_id, event.occurred_at, event.refresh) == ("weather.changed", "5", T0, ())


@pytest.mark.parametrize(
    "body", [[], None, "x", {}, {"event_type": 1}, {"event_type": "x", "data": []}, {"event_type": "x", "event_id": {}}]
)
def test_body_of_another_shape_is_refused(body: Any) -> None:
    with pytest.raises(BodyUnreadable):
        events.outline({}, body)
