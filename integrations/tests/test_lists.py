"""A list that was cut is never taken for the whole one, whatever cut it: what it lacks stays, and the run says what came."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

from hotels.models import Hotel, MenuItem, Reservation, Room
from integrations.models import Integration, RejectedRecord, RunStatus, SyncRun
from integrations.services import service_for
from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.services.opera_cloud import simulator as opera
from integrations.services.opera_cloud import simulator_gateway
from integrations.services.simphony import simulator as simphony
from integrations.services.square import simulator as square
from integrations.simulators.server import SimRequest, SimResponse, Simulator
from integrations.tests.in_memory import ADDRESS, InMemory
from integrations.tests.in_memory import in_memory as in_memory

MENU = [{"id": f"menu_{number}", "name": f"Dish {number}", "price": number} for number in range(1, 8)]
JSON_API = [{"type": "menus", "id": row["id"], "attributes": {"name": row["name"], "price": row["price"]}} for row in MENU]

Answer = Callable[[SimRequest], SimResponse]
InMemoryVendor = Callable[..., InMemory]


@pytest.fixture
def hotel(db: None) -> Hotel:
    return Hotel.objects.create(name="Grand", slug="grand", currency="EUR", time_zone="Europe/Vienna")


def integration_of(hotel: Hotel, body: dict[str, Any], provider: str) -> Integration:
    integration = Integration.objects.create(
        hotel=hotel,
        integration_type=body["integration_type"],
        provider=provider,
        provider_name=provider,
        environment=body.get("environment", "production"),
        config=body["config"],
    )
    integration.credentials = body["credentials"]
    integration.save()
    return integration


def plain(hotel: Hotel, **config: Any) -> Integration:
    config = {"base_url": ADDRESS, "endpoints": {"menus": "/menus"}, **config}
    return integration_of(hotel, {"integration_type": "pos", "config": config, "credentials": {"api_key": "sim-key-4711"}}, "generic_rest")


class Lists(GenericRestSimulator):
    """A system that lists its menu as a test says."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers_to_menus = answers

    def handle(self, request: SimRequest) -> SimResponse:
        if request.path != "/menus":
            return super().handle(request)
        part = int(request.arg("page") or request.arg("cursor") or int(request.arg("offset") or 0) // 3 + 1)
        answer = self.answers_to_menus[min(part, len(self.answers_to_menus)) - 1]
        return answer if isinstance(answer, SimResponse) else SimResponse(json=answer)


@pytest.mark.parametrize("deep", [100, 300, 450, 600, 900, 20_000])
def test_row_that_is_nested_deeply_is_rejected_alone(hotel: Hotel, in_memory: InMemoryVendor, deep: int) -> None:
    rows = json.dumps([*MENU[1:], {**MENU[0], "name": "DEEP"}]).replace('"DEEP"', "[" * deep + "]" * deep)
    in_memory(Lists(SimResponse(body=rows.encode())))
    run = service_for(plain(hotel)).sync("menus")
    assert (run.status, run.rejected_count, run.created_count) == (RunStatus.PARTIAL, 1, 6)
    [rejected] = RejectedRecord.objects.all()
    assert (rejected.external_id, rejected.reason) == ("menu_1", "name: a list is not a text.")


def test_rejected_row_says_field_value_and_reason_where_people_look(hotel: Hotel, in_memory: InMemoryVendor) -> None:
    in_memory(Lists([{**MENU[0], "price": "34,50 card 4111 1111 1111 1111"}, *MENU[1:]]))
    integration = plain(hotel)
    service_for(integration).sync("menus")
    user = get_user_model().objects.create_superuser("root", "root@example.com", "a-long-password")
    api = APIClient()
    api.force_authenticate(user)
    [shown] = api.get(f"/api/integrations/{integration.pk}/rejected-records").json()["results"]
    assert shown["reason"].startswith("price: “34,50 card ")
    assert shown["reason"].endswith("” is not a number.")
    assert "4111 1111" not in json.dumps(shown)
    assert shown["external_id"] == "menu_1"


def names() -> set[str]:
    return set(MenuItem.live.values_list("name", flat=True))


DISHES = {row["name"] for row in MENU}
PARTS = [MENU[:3], MENU[3:6], MENU[6:]]
NOTHING = SimResponse(status=204)
GONE = SimResponse(status=404, json={"message": "no such page"})


# --- where the list is -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        MENU,
        {"menus": MENU, "total": 7},
        {"data": MENU, "errors": [], "links": []},
        {"data": {"menus": MENU, "count": 7}},
        {"items": MENU, "hasMore": False, "limit": 25, "offset": 0, "count": 7, "links": [{"rel": "self", "href": "/menus"}]},
        {"_embedded": {"menus": MENU}, "_links": {"self": {"href": "/menus"}}, "page": {"totalElements": 7}},
        {"data": JSON_API, "links": {"self": "/menus"}, "included": [{"type": "categories", "id": "1"}]},
    ],
    ids=["bare", "one list", "data", "wrapped twice", "ORDS", "HAL", "JSON:API"],
)
def test_list_is_read_however_it_is_wrapped(hotel: Hotel, in_memory: InMemoryVendor, answer: Any) -> None:
    in_memory(Lists(answer))
    service = service_for(plain(hotel))
    assert service.test_connection().success
    assert service.sync("menus").status == RunStatus.SUCCEEDED
    assert names() == DISHES


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({}, "an empty object"),
        ({"status": "ok"}, "an object with status"),
        ("ok", "a text"),
        (None, "not JSON"),
        ({"starters": MENU[:3], "mains": MENU[3:]}, "an object with starters, mains"),
        ({"errors": [{"message": "no"}]}, "an object with errors"),
        (["soup", "fish"], "a list of 2"),
        ({"data": MENU[:3], "hasMore": True}, "says that there are more"),
        ({"data": MENU[:3], "total": 7}, "says that there are more"),
        (SimResponse(json=MENU[:3], headers={"Link": '</menus?page=2>; rel="next"'}), "says that there are more"),
        ({"items": MENU[:3], "links": [{"rel": "next", "href": "/menus?offset=3"}]}, "says that there are more"),
    ],
    ids=str,
)
def test_what_cannot_be_read_fails_connection_test_and_sync_and_archives_nothing(
    hotel: Hotel, in_memory: InMemoryVendor, answer: Any, what: str
) -> None:
    in_memory(Lists(MENU))
    service = service_for(plain(hotel))
    service.sync("menus")
    in_memory(Lists(answer))
    run = service.sync("menus", full=True)
    assert (run.status, run.error_code) == (RunStatus.FAILED, "unexpected_response")
    assert what in run.error_message
    assert names() == DISHES
    if "there are more" not in what:
        tested = service.test_connection()
        assert not tested.success
        assert what in tested.message


def test_empty_answer_is_an_empty_list_that_archives_nothing_by_itself(hotel: Hotel, in_memory: InMemoryVendor) -> None:
    in_memory(Lists(MENU))
    service = service_for(plain(hotel))
    service.sync("menus")
    in_memory(Lists(NOTHING))
    assert service.sync("menus", full=True).status == RunStatus.PARTIAL
    assert names() == DISHES


def test_address_that_only_takes_is_no_fault_of_the_connection(hotel: Hotel, in_memory: InMemoryVendor) -> None:
    in_memory(Lists(SimResponse(status=405, json={"message": "POST only"})))
    tested = service_for(plain(hotel, test_endpoint="/health")).test_connection()
    assert tested.success
    assert "does not list menus" in tested.message


# --- how it goes on --------------------------------------------------------------------------------------------------------------


def part(number: int, **more: Any) -> dict[str, Any]:
    return {"data": PARTS[number], **more}


GOOD_ENDS: dict[str, tuple[str, list[Any]]] = {
    "empty page": ("page", [*PARTS, []]),
    "page behind the end is not there": ("page", [*PARTS, GONE]),
    "page behind the end has no content": ("page", [*PARTS, NOTHING]),
    "last page again and again": ("page", PARTS),
    "says that it ends": ("page", [part(0, hasMore=True), part(1, hasMore=True), part(2, hasMore=False), GONE]),
    "offset, last page again": ("offset", PARTS),
    "offset behind the end is not there": ("offset", [*PARTS, GONE]),
    "cursor is absent": ("cursor", [part(0, next_cursor="2"), part(1, next_cursor=3), part(2)]),
    "cursor is empty": ("cursor", [part(0, next_cursor="2"), part(1, next_cursor="3"), part(2, next_cursor="")]),
    "ends, though with a cursor": ("cursor", [part(0, next_cursor="2", has_more=True), part(1, next_cursor="3"), part(2, next_cursor="9", has_more=False)]),
    "short page before a full one": ("cursor", [{"data": MENU[:1], "next_cursor": "2"}, {"data": MENU[1:], "next_cursor": None}]),
    "empty page before a full one": ("cursor", [{"data": [], "next_cursor": "2"}, {"data": MENU}]),
    "links of ORDS": ("link", [{"items": PARTS[n], "hasMore": n < 2, "links": [{"rel": "next", "href": f"{ADDRESS}/menus?page={n + 2}"}] if n < 2 else []} for n in range(3)]),
    "links of HAL": ("link", [{"_embedded": {"menus": PARTS[n]}, "_links": {"next": {"href": f"{ADDRESS}/menus?page={n + 2}"}} if n < 2 else {}} for n in range(3)]),
    "links of JSON:API": ("link", [{"data": JSON_API[3 * n : 3 * n + 3], "links": {"next": f"{ADDRESS}/menus?page={n + 2}" if n < 2 else None}} for n in range(3)]),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD_ENDS)
def test_list_is_read_to_its_end_and_ends_well(hotel: Hotel, in_memory: InMemoryVendor, name: str) -> None:
    style, answers = GOOD_ENDS[name]
    wire = in_memory(Lists(*answers))
    run = service_for(plain(hotel, paging={"style": style, "size": 3})).sync("menus")
    assert (run.status, run.error_message) == (RunStatus.SUCCEEDED, "")
    assert names() == DISHES
    assert len(wire.simulator.requests) <= 6


CUTS: dict[str, tuple[str, list[Any]]] = {
    "nothing though there is more": ("page", [part(0, hasMore=True), {"data": [], "hasMore": True}]),
    "more, and no cursor": ("cursor", [part(0, next_cursor="2"), part(1, hasMore=True)]),
    "no content in the middle": ("cursor", [part(0, next_cursor="2"), NOTHING]),
    "list is missing in the middle": ("cursor", [part(0, next_cursor="2"), {"next_cursor": "3"}]),
    "same cursor": ("cursor", [part(0, next_cursor="2"), part(1, next_cursor="2")]),
    "cursor is an object": ("cursor", [part(0, next_cursor={"after": 2})]),
    "cursor is true": ("cursor", [part(0, next_cursor=True)]),
    "cursor is endless": ("cursor", [part(0, next_cursor="9" * 100_000)]),
    "more is a word": ("page", [part(0, hasMore="perhaps")]),
    "link is a number": ("link", [part(0, next_cursor=2)]),
    "no content behind a link": ("link", [part(0, next_cursor=f"{ADDRESS}/menus?page=2"), NOTHING]),
    "list is gone in the middle": ("cursor", [part(0, next_cursor="2"), GONE]),
}


@pytest.mark.parametrize("name", CUTS)
def test_list_that_was_cut_archives_nothing_and_says_so(hotel: Hotel, in_memory: InMemoryVendor, name: str) -> None:
    style, answers = CUTS[name]
    integration = plain(hotel)
    in_memory(Lists(MENU))
    service_for(integration).sync("menus")
    integration.config["paging"] = {"style": style, "size": 3}
    integration.save()
    in_memory(Lists(*answers))
    run = service_for(integration).sync("menus", full=True)
    assert run.status == RunStatus.FAILED
    assert run.error_code in ("unexpected_response", "request_rejected")
    assert run.error_message
    assert names() == DISHES


def test_dish_that_moved_over_the_edge_of_a_page_is_kept_and_one_that_is_gone_is_archived(hotel: Hotel, in_memory: InMemoryVendor) -> None:
    class Moving(GenericRestSimulator):
        first_reading = True

        def handle(self, request: SimRequest) -> SimResponse:
            page = int(request.arg("page", "1"))
            rows = [row for row in MENU if row["id"] != "menu_7"]  # taken off the menu
            shown = rows[3 * (page - 1) : 3 * page]
            if self.first_reading and page == 2:
                shown = rows[4:]  # somebody deletes a dish of page 1 while page 1 is read: menu_4 moves there
            if not shown:
                self.first_reading = False
            return SimResponse(json=shown)

    in_memory(Lists(MENU))
    integration = plain(hotel)
    service_for(integration).sync("menus")
    integration.config["paging"] = {"style": "page", "size": 3}
    integration.save()
    in_memory(Moving())
    run = service_for(integration).sync("menus", full=True)
    assert (run.status, run.deleted_count) == (RunStatus.SUCCEEDED, 1)
    assert names() == DISHES - {"Dish 7"}


# --- vendors -------------------------------------------------------------------------------------------------------------------------


def test_more_arrivals_than_opera_lists_are_read_in_smaller_slices(
    hotel: Hotel, in_memory: InMemoryVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator_gateway, "MOST_ROWS", 50)  # a thousand, in a hotel of 1,600 arrivals a week
    simulator = opera.OperaCloudSimulator()
    template = simulator.hotel.stays["660097"]
    for number in range(80):
        arrival = simulator.hotel.today + timedelta(days=number % 7)
        stay = type(template)(id=f"X{number}", guest_id=template.guest_id, arrival=arrival, departure=arrival + timedelta(days=1), room="")
        simulator.hotel.add_stay(stay)
    in_memory(simulator)
    service = service_for(integration_of(hotel, opera.connection(ADDRESS), "opera_cloud"))
    run = service.sync("reservations", since=simulator.hotel.today, until=simulator.hotel.today + timedelta(days=6))
    assert run.status == RunStatus.SUCCEEDED
    assert Reservation.objects.filter(arrival_date__range=(simulator.hotel.today, simulator.hotel.today + timedelta(days=6))).count() >= 80


def test_page_of_opera_that_is_lost_archives_no_room(hotel: Hotel, in_memory: InMemoryVendor) -> None:
    simulator = opera.OperaCloudSimulator()
    simulator.page_size = 10
    in_memory(simulator)
    service = service_for(integration_of(hotel, opera.connection(ADDRESS), "opera_cloud"))
    assert service.sync("rooms").status == RunStatus.SUCCEEDED
    rooms = Room.objects.filter(archived_at=None).count()
    in_memory(simulator, bend=lambda request, answer: NOTHING if request.arg("offset", "0") not in ("0", "") else answer)
    run = service.sync("rooms", full=True)
    assert run.status == RunStatus.FAILED
    assert "said that there are more rooms" in run.error_message
    assert Room.objects.filter(archived_at=None).count() == rooms


VENDORS: dict[str, tuple[Callable[[], Simulator], dict[str, Any], str, str]] = {
    "opera_cloud": (opera.OperaCloudSimulator, opera.connection(ADDRESS), "rooms", "housekeepingOverview"),
    "simphony": (simphony.SimphonySimulator, simphony.connection(ADDRESS), "menus", "/menus/"),
    "square": (square.SquareSimulator, square.connection(ADDRESS), "menus", "/catalog/search"),
}


@pytest.mark.parametrize("answer", [{"rooms": [{"id": 1}]}, {"items": [{"id": 1}]}, [{"id": 1}], [], "ok"], ids=str)
@pytest.mark.parametrize("vendor", VENDORS)
def test_list_that_is_missing_is_not_an_empty_one(hotel: Hotel, in_memory: InMemoryVendor, vendor: str, answer: Any) -> None:
    make, body, stream, path = VENDORS[vendor]
    simulator = make()
    in_memory(simulator)
    service = service_for(integration_of(hotel, body, vendor))
    before = service.sync(stream)
    assert before.status == RunStatus.SUCCEEDED
    live = MenuItem.live.count() + Room.objects.filter(archived_at=None).count()
    in_memory(
        simulator, bend=lambda request, usual: SimResponse(json=answer) if path in request.path and "summary" not in request.path else usual
    )
    run: SyncRun = service.sync(stream, full=True)
    assert (run.status, run.error_code) == (RunStatus.FAILED, "unexpected_response")
    assert any(word in run.error_message for word in ("object with", "a list", "an empty list", "a text"))
    assert MenuItem.live.count() + Room.objects.filter(archived_at=None).count() == live
