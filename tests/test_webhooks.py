"""From a change at the vendor to the hotel's records: simulators over real HTTP, their own signatures, the lean door, the inbox."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest

from hotels.models import GuestCheck, Hotel, MenuItem, MenuVariation, Reservation, Room
from integrations.models import Integration, IntegrationStatus
from integrations.services import service_for
from integrations.services.setup import create_integration
from integrations.simulators.catalogue import simulated_vendors
from integrations.simulators.server import Simulator, running
from webhooks import inbox, subscriptions
from webhooks.models import WebhookEvent
from webhooks.tests import doors

Connected = tuple[Integration, Simulator]


@pytest.fixture(scope="module")
def lean_server(django_db_setup: None) -> Iterator[doors.LeanDoor]:
    with doors.lean_door() as door:
        yield door


@pytest.fixture
def connected(request: pytest.FixtureRequest, transactional_db: None, lean_server: doors.LeanDoor, hotel: Hotel) -> Iterator[Connected]:
    """A vendor's simulator, and the hotel's integration with it, fully synced."""
    lean_server.anew()
    vendor = next(one for one in simulated_vendors() if one.slug == request.param)
    with ExitStack() as stack:
        simulator = vendor.simulator()
        served = stack.enter_context(running(simulator))
        integration, _ = create_integration(hotel, vendor.connection(served.url))
        Integration.objects.filter(pk=integration.pk).update(
            webhook_url=f"http://127.0.0.1:{lean_server.port}/api/webhooks/{integration.pk}"
        )
        integration.refresh_from_db()
        service = service_for(integration)
        for stream in service.streams():
            service.sync(stream.name)
        yield integration, simulator


def wait_for(count: int) -> None:
    """Wait for so many events: a vendor sends them in its own time."""
    for _ in range(200):
        if WebhookEvent.objects.count() >= count:
            return
        time.sleep(0.02)
    pytest.fail(f"{WebhookEvent.objects.count()} of {count} events arrived")


@pytest.mark.parametrize("connected", ["square"], indirect=True)
def test_what_square_announces_reaches_the_menu_and_the_checks(connected: Connected, lean_server: doors.LeanDoor) -> None:
    integration, square = connected
    subscriptions.create(integration)
    square.control("add_item", {"name": "Special of the day", "cents": 1890})
    order = square.control("ring_up", {"cents": 4200})["order_id"]
    changed = {"order_updated": {"order_id": order, "version": 2, "state": "OPEN"}}
    square.control("send_webhook", {"event_type": "order.updated", "data": {"type": "order_updated", "id": order, "object": changed}})
    wait_for(2)
    assert set(WebhookEvent.objects.values_list("verified_by", "status")) == {("square", "pending")}
    assert not MenuItem.objects.filter(name="Special of the day").exists()
    tally = inbox.drain(integration)
    assert (tally.done, tally.dead, tally.waiting) == (2, 0, 0)
    assert MenuVariation.objects.get(item__name="Special of the day").price == Decimal("18.9")
    assert GuestCheck.objects.get(total=42).status == "open"
    assert WebhookEvent.objects.filter(object_key=f"guest_check:{order}").exists()
    subscriptions.rotate(integration, subscriptions.existing(integration)[0]["id"])
    lean_server.anew()  # what it knew a second ago has changed
    square.control("add_item", {"name": "Signed with the new key", "cents": 100})
    wait_for(3)
    inbox.drain(integration)
    assert MenuItem.objects.filter(name="Signed with the new key").exists()


@pytest.mark.parametrize("connected", ["square"], indirect=True)
def test_access_that_square_withdraws_asks_for_a_person(connected: Connected) -> None:
    integration, square = connected
    subscriptions.create(integration)
    square.control("send_webhook", {"event_type": "oauth.authorization.revoked", "data": {"type": "revocation", "id": ""}})
    wait_for(1)
    assert inbox.drain(integration).done == 1
    integration.refresh_from_db()
    assert (integration.status, integration.next_sync_at) == (IntegrationStatus.ERROR, None)
    assert "connect it again" in integration.last_error_hint


@pytest.mark.parametrize("connected", ["opera_cloud"], indirect=True)
def test_what_happens_at_opera_comes_in_by_polling(connected: Connected) -> None:
    integration, opera = connected
    stay = Reservation.objects.filter(status="reserved").first()
    external_id = integration.references.get(record_type="reservation", object_id=stay.pk).external_id
    room = Room.objects.exclude(housekeeping="dirty").first()
    opera.control("change_reservation", {"id": external_id, "status": "Cancelled"})
    opera.control("change_room", {"number": room.number, "housekeeping": "Dirty"})
    assert inbox.poll(integration) >= 2
    tally = inbox.drain(integration)
    assert (tally.dead, tally.waiting) == (0, 0)
    stay.refresh_from_db()
    room.refresh_from_db()
    assert (stay.status, room.housekeeping) == ("cancelled", "dirty")
