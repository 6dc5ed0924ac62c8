"""Every method of the implementation guide, with its own values, from a Python shell, over the API and by command, at simulated vendors."""

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from rest_framework.test import APIClient

from hotels.models import Feedback, Guest, GuestCheck, Hotel, MenuItem, MenuVariation, Reservation, Room
from integrations.models import Integration
from integrations.services import service_for, setup
from integrations.simulators.catalogue import simulated_vendors
from integrations.simulators.server import running

pytestmark = pytest.mark.django_db

CHECK = {
    "guest_id": 123,
    "room_number": "101",
    "items": [{"menu_id": 1, "quantity": 2, "unit_price": 15.99, "total_price": 31.98}],
    "subtotal": 31.98,
    "tax": 2.56,
    "total": 34.54,
    "payment_method": "credit_card",
    "payment_status": "pending",
}
CHECK_IN = {
    "reservation_id": "res_123",
    "guest_id": 456,
    "room_number": "101",
    "check_in_by": "staff_member",
    "special_requests": "Late check-in",
    "payment_method": "credit_card",
    "deposit_amount": 100.00,
}
CHECK_OUT = {
    "reservation_id": "res_123",
    "guest_id": 456,
    "room_number": "101",
    "final_bill_amount": 450.00,
    "payment_status": "paid",
    "feedback_rating": 5,
    "feedback_comments": "Excellent stay!",
}
FEEDBACK = {
    "guest_id": 123,
    "hotel_id": 1,
    "room_number": "101",
    "rating": 5,
    "category": "service",
    "title": "Excellent Service",
    "message": "The staff was very helpful",
    "is_anonymous": False,
}
CHAT = {
    "guest_id": 123,
    "hotel_id": 1,
    "room_number": "101",
    "message": "Can I get extra towels?",
    "message_type": "text",
    "sender_type": "guest",
    "sender_id": 123,
    "sender_name": "John Doe",
}
NOTIFICATION = {
    "guest_id": 123,
    "hotel_id": 1,
    "room_number": "101",
    "title": "Pool Maintenance",
    "message": "Pool will be closed for maintenance from 2-4 PM",
    "category": "service",
    "priority": "normal",
    "notification_type": "push",
}


class World:
    """A hotel with the guests, the room and the dish the guide speaks of, connected to simulated vendors."""

    def __init__(self, stack: ExitStack) -> None:
        self.hotel = Hotel.objects.create(pk=1, name="Grand", slug="grand", currency="EUR", time_zone="Europe/Lisbon")
        for pk, name in ((123, "Doe"), (456, "Smith")):
            Guest.objects.create(pk=pk, hotel=self.hotel, given_name="John", family_name=name)
        Room.objects.create(hotel=self.hotel, number="101")
        item = MenuItem.objects.create(pk=1, hotel=self.hotel, name="Club sandwich")
        MenuVariation.objects.create(hotel=self.hotel, item=item, price="15.99", currency="EUR")
        self.vendors: dict[str, tuple[Integration, Any]] = {}
        for vendor in simulated_vendors():
            served = stack.enter_context(running(vendor.simulator()))
            integration, _ = setup.create_integration(self.hotel, vendor.connection(served.url))
            self.vendors[vendor.slug] = integration, served.simulator

    def service(self, slug: str) -> Any:
        return service_for(self.vendors[slug][0])


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack)


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    client.force_authenticate(get_user_model().objects.create_superuser("admin", password="a-long-password"))
    return client


def test_from_a_python_shell(world: World) -> None:
    for slug in ("square", "simphony"):
        pos = world.service(slug)
        assert pos.sync_menus().status == "succeeded"
        posted = pos.post_guest_check(CHECK)
        assert (slug, posted.status, posted.error_message) == (slug, "done", "")
        assert pos.get_check_status(posted.vendor_reference).status == "open"
        assert pos.void_check(posted.vendor_reference, "Guest request").status == "done"
        voided = GuestCheck.objects.get(pk=posted.object_id)
        assert (voided.status, voided.amount_due) == ("voided", 0)
        if slug == "square":  # Simphony keeps no cancelled check
            assert pos.get_check_status(posted.vendor_reference).amount_due == 0

    pms = world.service("opera_cloud")
    assert pms.sync_reservations("2024-01-01", "2024-12-31").status == "succeeded"
    checked_in = pms.post_check_in(CHECK_IN)
    assert checked_in.status == "done"
    assert [warning.partition(": ")[0] for warning in checked_in.warnings] == [
        "guest_id", "check_in_by", "special_requests", "payment_method", "deposit_amount",
    ]  # fmt: skip
    assert [room.occupancy for room in pms.get_room_status("101")] == ["occupied"]
    world.vendors["opera_cloud"][1].control("change_reservation", {"id": "res_123", "status": "DueOut"})
    assert pms.post_check_out(CHECK_OUT).status == "done"
    said = Feedback.objects.get()
    assert (said.rating, said.message, said.room_number, said.guest) == (
        5,
        "Excellent stay!",
        "101",
        Reservation.objects.get(pk=checked_in.object_id).guest,
    )

    for slug in ("salesforce", "generic_rest"):
        guests = world.service(slug)
        for method, body in (("post_feedback", FEEDBACK), ("post_chat_message", CHAT), ("post_notification", NOTIFICATION)):
            operation = getattr(guests, method)(body)
            assert (slug, method, operation.status, operation.error_message) == (slug, method, "done", "")
        assert guests.get_feedback()[0].rating is not None
        assert guests.get_chat_messages()
        sent = guests.get_notifications()
        assert guests.update_notification_status(sent[0].pk, "read").status == "done"
        assert guests.sync_guest_data().status == "succeeded"
        known = next(guest for guest in Guest.live.all() if guests.references.external_id("guest", guest))
        assert guests.get_guest_preferences(known.pk), slug


def test_over_the_api(world: World, api: APIClient) -> None:
    def post(slug: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = api.post(f"/api/integrations/{world.vendors[slug][0].pk}/{path}", body, format="json")
        assert answer.status_code in (200, 201), (slug, path, answer.json())
        return answer.json()

    check = post("square", "checks", CHECK)
    root = f"/api/integrations/{world.vendors['square'][0].pk}"
    assert api.get(f"{root}/checks/{check['vendor_reference']}").json()["status"] == "open"
    assert post("square", f"checks/{check['vendor_reference']}/void", {"reason": "Guest request"})["status"] == "done"
    checked_in = post("opera_cloud", "check-ins", CHECK_IN)
    assert checked_in["status"] == "done"
    assert "special_requests: OPERA's check-in takes no special requests: send them as a service request." in checked_in["warnings"]
    assert api.get(f"/api/integrations/{world.vendors['opera_cloud'][0].pk}/rooms/101/status").status_code == 200
    assert post("salesforce", "feedback", FEEDBACK)["status"] == "done"
    assert post("salesforce", "chat-messages", CHAT)["status"] == "done"
    assert post("salesforce", "notifications", NOTIFICATION)["status"] == "done"
    for slug, stream in (("square", "menus"), ("opera_cloud", "reservations"), ("salesforce", "guest_data")):
        assert api.post(f"/api/integrations/{world.vendors[slug][0].pk}/sync", {"sync_type": stream}, format="json").status_code == 202


@pytest.mark.parametrize(
    ("slug", "name", "body"),
    [
        ("square", "post_guest_check", CHECK),
        ("opera_cloud", "post_check_in", CHECK_IN),
        ("salesforce", "post_feedback", FEEDBACK),
        ("salesforce", "post_chat_message", CHAT),
        ("salesforce", "post_notification", NOTIFICATION),
    ],
)
def test_by_command(world: World, monkeypatch: pytest.MonkeyPatch, slug: str, name: str, body: dict[str, Any]) -> None:
    answer = by_command(world, monkeypatch, slug, name, body)
    assert (answer["name"], answer["status"]) == (name, "done")
    assert answer["reference"]


def test_a_read_by_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = by_command(world, monkeypatch, "opera_cloud", "get_room_status", {"room_number": "101"})
    assert [room["number"] for room in rooms] == ["101"]


def by_command(world: World, monkeypatch: pytest.MonkeyPatch, slug: str, name: str, body: dict[str, Any]) -> Any:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(body)))
    out = io.StringIO()
    call_command("post_operation", world.vendors[slug][0].pk, name, "--json", stdout=out)
    return json.loads(out.getvalue())
