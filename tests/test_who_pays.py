"""The right guest pays: whoever the PMS says is in the room when the charge arrives there, through every door; and whatever gets lost, once.

Over real HTTP: what counts is which folio at the vendor holds the charge. Nothing is synced between what people do at the desk and the charge.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from hotels.models import Hotel, Reservation, Role
from hotels.tests.people import *  # noqa: F403
from integrations.exceptions import HospientError, InvalidInput
from integrations.models import ExternalReference, Integration, Operation
from integrations.services import service_for, setup
from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.services.opera_cloud.simulator import OperaCloudSimulator
from integrations.services.opera_cloud.simulator import connection as opera_connection
from integrations.simulators.server import running
from integrations.tests.console import sign_in

DOORS = ("python", "api", "command", "console")
CHARGE = {"amount": "34.50", "category": "food"}

Door = Callable[[str, str, dict[str, Any]], str]


@pytest.fixture
def world(hotel: Hotel) -> Iterator[SimpleNamespace]:
    """A hotel whose reservations were synced, and its OPERA, in which people go on living."""
    with running(OperaCloudSimulator()) as served:
        pms = setup.create_integration(hotel, opera_connection(served.url))[0]
        service_for(pms).sync_reservations()
        yield SimpleNamespace(hotel=hotel, pms=pms, service=service_for(pms), opera=served.simulator)


@pytest.fixture
def through(world: Any, caller: Any, monkeypatch: pytest.MonkeyPatch, hotel: Hotel) -> Door:
    """Do an operation through a door, and return what was said where it was not done."""

    def do(door: str, name: str, body: dict[str, Any]) -> str:
        if door == "python":
            try:
                return getattr(world.service, name)(body).error_message
            except InvalidInput as error:
                return " ".join(error.errors.values())
        if door == "api":
            path = {"post_charge": "charges", "send_request": "requests"}[name]
            answer = caller(Role.OPERATOR, hotel).post(f"/api/integrations/{world.pms.pk}/{path}", body)
            return "" if answer.status_code == 201 else " ".join(error["detail"] for error in answer.json()["errors"])
        if door == "command":
            monkeypatch.setattr("sys.stdin", StringIO(json.dumps(body)))
            out = StringIO()
            try:
                call_command("post_operation", str(world.pms.pk), name, stdout=out, stderr=out)
            except (CommandError, SystemExit) as ended:
                out.write(str(ended))
            last = Operation.objects.order_by("-id").first()
            return out.getvalue() if last is None or last.status != "done" else ""
        address = reverse("admin:integrations_integration_operation", args=[world.pms.pk, name])
        answer = sign_in(Role.OPERATOR, hotel).post(address, body | {"idempotency_key": f"console:{name}", "quantity": "1"}, follow=True)
        last = Operation.objects.order_by("-id").first()
        return "" if last and last.status == "done" else answer.content.decode()

    return do


def folio(world: Any, stay: str) -> list[float]:
    return [posting["postedAmount"]["amount"] for posting in world.opera.hotel.postings[stay]]


def change_rooms(world: Any) -> None:
    """660090 moves from 102 to 107, and 660097 comes into 102: at the desk, while we sync nothing."""
    world.opera.move_guest("660090", "107")
    world.opera.arrive("660097", "102")


# --- through every door --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_whoever_is_in_the_room_now_pays(world: Any, through: Door, door: str) -> None:
    change_rooms(world)
    assert through(door, "post_charge", {"room_number": "102", **CHARGE}) == ""
    assert (folio(world, "660097"), folio(world, "660090")) == ([34.5], [])
    operation = Operation.objects.get()
    payer = ExternalReference.objects.get(record_type="reservation", external_id="660097")
    assert (operation.object_id, operation.object_key) == (payer.object_id, f"reservation:{payer.object_id}")
    assert operation.payload["reservation_external_id"] == "660097"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"room_number": "105"}, ("660093", "660094", "share room 105")),
        ({"room_number": "105", "guest_name": "Ana Smith"}, ("Nobody called as given in guest_name",)),
        ({"room_number": "104", "reservation_id": "660090"}, ("660090", "107", "104")),
        ({"reservation_id": "770000"}, ("does not know reservation", "770000")),
        ({"room_number": "0101"}, ("Nobody is in house in room 0101",)),
    ],
    ids=["sharers", "another name", "contradiction", "unknown stay", "empty room"],
)
def test_what_does_not_say_who_pays_is_refused_by_name(world: Any, through: Door, door: str, body: Any, words: tuple[str, ...]) -> None:
    change_rooms(world)
    before = world.opera.state()["postings"]
    said = through(door, "post_charge", {**body, **CHARGE})
    assert all(word in said for word in words), said
    assert world.opera.state()["postings"] == before


@pytest.mark.parametrize("door", DOORS)
def test_of_those_who_share_a_room_the_one_who_signed_pays(world: Any, through: Door, door: str) -> None:
    assert through(door, "post_charge", {"room_number": "105", "guest_name": "MILLER, Emma", **CHARGE}) == ""
    assert (folio(world, "660094"), folio(world, "660093")) == ([34.5], [])


@pytest.mark.parametrize("door", DOORS)
def test_a_request_goes_to_whoever_is_in_the_room_now(world: Any, through: Door, door: str) -> None:
    change_rooms(world)
    assert through(door, "send_request", {"room_number": "102", "message": "Two more towels, please", "priority": "normal"}) == ""
    (sent,) = world.opera.hotel.requests
    assert ([one["id"] for one in sent["reservationIdList"]], sent["room"]) == (["660097"], "102")


# --- what our rows believe -----------------------------------------------------------------------------------------------------


def test_a_guest_who_moved_can_be_charged_in_the_new_room_before_the_next_sync(world: Any) -> None:
    change_rooms(world)
    stay = Reservation.objects.get(pk=ExternalReference.objects.get(external_id="660090").object_id)
    assert stay.room_number == "102"
    assert world.service.post_charge({"reservation_id": stay.pk, "room_number": "107", **CHARGE}).status == "done"
    assert folio(world, "660090") == [34.5]
    stay.refresh_from_db()
    assert stay.room_number == "107", "what was read back is kept"


def test_a_contradiction_names_both_and_the_field(world: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.service.post_charge({"reservation_id": "660090", "room_number": "104", **CHARGE})
    assert "is in room 102, not in 104" in caught.value.errors["room_number"]
    assert not Operation.objects.exists()


@pytest.mark.parametrize("name", ["post_check_in", "post_check_out", "post_charge", "send_request"])
def test_a_reservation_of_another_system_never_reaches_this_one(world: Any, name: str) -> None:
    foreign = Reservation.objects.create(hotel=world.hotel, status="in_house", room_number="102")
    body = {"post_charge": CHARGE, "send_request": {"message": "Towels"}}.get(name, {})
    with pytest.raises(InvalidInput) as caught:
        getattr(world.service, name)({"reservation_id": foreign.pk, **body})
    assert "does not know" in caught.value.errors["reservation_id"]
    assert not Operation.objects.exists()


@pytest.mark.parametrize("empty", ["", "   "])
@pytest.mark.parametrize("name", ["post_check_in", "post_check_out", "post_charge", "send_request"])
def test_an_empty_id_is_no_id(world: Any, name: str, empty: str) -> None:
    body = {"post_charge": {"room_number": "102", **CHARGE}, "send_request": {"room_number": "102", "message": "Towels"}}.get(name, {})
    with pytest.raises(InvalidInput) as caught:
        getattr(world.service, name)({"reservation_id": empty, **body})
    assert "reservation_id" in caught.value.errors


@pytest.mark.parametrize("id", ["", " ", ".", ".."])
def test_an_empty_id_is_never_the_path_of_another_resource(world: Any, id: str) -> None:
    before = len(world.opera.requests)
    with pytest.raises(HospientError, match=r"no id|empty"):
        world.service.get_guest_info(id)
    with suppress(InvalidInput):
        assert world.service.update_guest_info(id, {"family_name": "X"}).status == "dead"
    assert [path for _, path, *_ in list(world.opera.requests)[before:] if "profiles" in path] == []


def test_a_vendor_that_cannot_answer_just_now_decides_at_delivery(world: Any) -> None:
    world.opera.fail("status", match="reservations", status=503, times=50)
    operation = world.service.post_charge({"reservation_id": "880000", **CHARGE})
    assert (operation.status, operation.maybe_sent_at) == ("pending", None)
    world.opera.faults.clear()
    assert "no reservation 880000" in again(world, operation).error_message


# --- the first try decides -----------------------------------------------------------------------------------------------------


def again(world: Any, operation: Operation) -> Operation:
    """Let time pass until it is due and the vendor is trusted again, and deliver it as a worker does."""
    cache.clear()
    Operation.objects.filter(pk=operation.pk).update(next_attempt_at=timezone.now())
    world.service.integration.refresh_from_db()
    operation.refresh_from_db()
    return world.service.deliver(operation)


def test_a_charge_whose_answer_was_lost_is_looked_for_where_it_was_posted(world: Any) -> None:
    world.opera.fail("drop_after", match="POST .*charges")
    operation = world.service.post_charge({"room_number": "102", **CHARGE})
    assert operation.status == "unknown"
    change_rooms(world)
    assert again(world, operation).status == "done"
    assert (folio(world, "660090"), folio(world, "660097")) == ([34.5], [])


def test_a_charge_that_did_not_arrive_is_sent_again_to_the_same_guest(world: Any) -> None:
    world.opera.fail("drop", match="POST .*charges")
    operation = world.service.post_charge({"room_number": "102", **CHARGE})
    assert operation.payload["reservation_external_id"] == "660090"
    change_rooms(world)
    Operation.objects.update(maybe_sent_at=timezone.now() - timedelta(minutes=5))
    assert again(world, operation).status == "done"
    assert (folio(world, "660090"), folio(world, "660097")) == ([34.5], [])


def test_a_charge_is_not_sent_again_to_whoever_has_the_room_of_a_guest_who_left(world: Any) -> None:
    world.opera.fail("drop", match="POST .*charges")
    operation = world.service.post_charge({"room_number": "103", **CHARGE})
    world.opera.control("change_reservation", {"id": "660091", "status": "CheckedOut"})
    world.opera.arrive("660097", "103")
    Operation.objects.update(maybe_sent_at=timezone.now() - timedelta(minutes=5))
    operation = again(world, operation)
    assert "in house" in operation.error_message
    assert (folio(world, "660091"), folio(world, "660097")) == ([], [])


def test_a_charge_that_waited_goes_to_whoever_is_in_the_room_when_it_is_delivered(world: Any) -> None:
    world.opera.fail("status", match="GET .*reservations", status=503, times=50)
    operation = world.service.post_charge({"room_number": "102", **CHARGE})
    assert (operation.status, operation.object_key) == ("pending", "room:102")
    change_rooms(world)
    world.opera.faults.clear()
    assert again(world, operation).status == "done"
    assert (folio(world, "660097"), folio(world, "660090")) == ([34.5], [])


def test_a_guest_who_arrived_after_the_bill_was_signed_does_not_pay_it(world: Any) -> None:
    world.opera.fail("status", match="GET .*reservations", status=503, times=50)
    operation = world.service.post_charge({"room_number": "102", **CHARGE})
    Operation.objects.update(created_at=timezone.now() - timedelta(days=1, hours=2))
    change_rooms(world)
    world.opera.faults.clear()
    assert "after this was asked for" in again(world, operation).error_message
    assert (folio(world, "660097"), folio(world, "660090")) == ([], [])


def test_a_request_whose_answer_was_lost_is_not_sent_twice(world: Any) -> None:
    world.opera.fail("drop_after", match="POST .*serviceRequests")
    operation = world.service.send_request({"room_number": "102", "message": "Two more towels, please"})
    change_rooms(world)
    assert again(world, operation).status == "done"
    assert len(world.opera.hotel.requests) == 1


def test_a_charge_by_room_waits_for_what_is_open_for_that_stay(world: Any) -> None:
    world.opera.fail("drop", match="POST .*charges")
    first = world.service.post_charge({"reservation_id": "660090", **CHARGE})
    second = world.service.post_charge({"room_number": "102", **CHARGE | {"amount": "5.00"}})
    assert (first.status, second.status, second.attempts) == ("unknown", "pending", 0)
    assert second.object_key == first.object_key
    Operation.objects.update(maybe_sent_at=timezone.now() - timedelta(minutes=5))
    assert again(world, second).status == "pending"
    again(world, first)
    assert again(world, second).status == "done"
    assert folio(world, "660090") == [34.5, 5.0]


# --- a system of which nothing is known ----------------------------------------------------------------------------------------


@pytest.fixture
def plain(hotel: Hotel) -> Iterator[SimpleNamespace]:
    """A PMS that speaks plain JSON, and knows itself who is in which room."""
    with running(GenericRestSimulator()) as served:
        endpoints = {name: f"/{name}" for name in ("reservations", "rooms", "guests", "charges", "requests")}
        body = {
            "integration_type": "pms", "provider_name": "Custom", "config": {"baseUrl": served.url, "endpoints": endpoints},
            "credentials": {"apiKey": GenericRestSimulator.api_key},
        }  # fmt: skip
        pms: Integration = setup.create_integration(hotel, body)[0]
        service_for(pms).sync_reservations()
        yield SimpleNamespace(service=service_for(pms), there=served.simulator.collections)


def test_nothing_is_added_to_what_the_caller_said(plain: Any) -> None:
    plain.there["reservations"]["res_3"]["room_number"] = "201"
    plain.there["reservations"]["res_1"] |= {"room_number": "0101", "status": "checked_in"}
    assert plain.service.post_charge({"room_number": "0101", **CHARGE}).status == "done"
    (charge,) = plain.there["charges"].values()
    assert {"room_number", "amount", "category", "currency", "quantity"} == set(charge) - {"id", "updated_at"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"reservation_id": "res_99"}, "no such thing: res_99"),
        ({"reservation_id": "res_4"}, "not in house"),
        ({"room_number": "101"}, "Nobody is in"),
    ],
)
def test_what_the_system_refuses_is_refused_with_its_words(plain: Any, body: dict[str, Any], words: str) -> None:
    operation = plain.service.post_charge({**body, **CHARGE})
    assert operation.status == "dead"
    assert words in operation.error_message
    assert not plain.there["charges"]


def test_a_contradiction_is_refused_where_the_system_cannot_be_asked(plain: Any) -> None:
    with pytest.raises(InvalidInput, match="is in room 0101, not in 202"):
        plain.service.post_charge({"reservation_id": "res_3", "room_number": "202", **CHARGE})
