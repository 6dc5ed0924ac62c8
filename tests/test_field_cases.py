"""Inputs that went wrong in the field, one test for each: through the door a user uses, with the vendors' simulators behind it.

Each is one of a kind; the kinds have tests of their own, with more inputs and more doors, beside the code that gets them right.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from hospient import settings as project
from hotels.models import Feedback, Guest, GuestCheck, GuestCheckLine, GuestQuestion, Hotel, MenuItem, Reservation, Role, Room
from hotels.tests.people import *  # noqa: F403
from hotels.tests.people import Caller
from integrations.models import (
    Conflict,
    ExternalReference,
    Integration,
    IntegrationStatus,
    Operation,
    RejectedRecord,
    SyncRun,
    WebhookSecret,
)
from integrations.services import service_for, setup
from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.services.opera_cloud import simulator as opera_cloud
from integrations.services.opera_cloud import simulator_gateway, simulator_hotel
from integrations.services.salesforce import simulator as salesforce
from integrations.services.simphony import simulator as simphony
from integrations.services.square import simulator as square
from integrations.simulators.server import SimRequest, SimResponse, Simulator, running
from integrations.tasks import run_sync
from webhooks import inbox
from webhooks.models import WebhookEvent
from webhooks.tests.doors import signed

CHARGE = {"amount": "34.50", "category": "food"}
SECRET = "a-webhook-secret-of-the-tests"
VIENNA = ZoneInfo("Europe/Vienna")
NONE_TO_READ = {"checks": "/checks"}
"""Of a till whose menu comes by webhook alone."""


class Bent:
    """Mixed into a simulator: a test may bend its answers, and looks at what it was asked."""

    bend: Callable[[SimRequest, SimResponse], SimResponse] = staticmethod(lambda request, answer: answer)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: list[SimRequest] = []

    def handle(self, request: SimRequest) -> SimResponse:
        self.asked.append(request)
        return self.bend(request, super().handle(request))  # type: ignore[misc]


class Opera(Bent, opera_cloud.OperaCloudSimulator): ...


class Salesforce(Bent, salesforce.SalesforceSimulator): ...


class Simphony(Bent, simphony.SimphonySimulator): ...


class Square(Bent, square.SquareSimulator): ...


class Plain(Bent, GenericRestSimulator):
    """A system that speaks plain JSON and lists what a test says."""

    lists: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.lists = {}

    def handle(self, request: SimRequest) -> SimResponse:
        name = request.path.strip("/")
        if request.method != "GET" or name not in self.lists:
            return super().handle(request)
        self.asked.append(request)
        answer = self.lists[name]
        answer = answer(request) if callable(answer) else answer
        return answer if isinstance(answer, SimResponse) else SimResponse(json=answer)


class House:
    """A hotel in Vienna, its systems, and the people and programs who use its doors."""

    def __init__(self, hotel: Hotel, api: APIClient, systems: ExitStack) -> None:
        self.hotel = hotel
        self.api = api
        self.systems = systems
        self.events = count(1)

    def connect(self, simulator: Simulator, connection: Callable[[str], dict[str, Any]]) -> Integration:
        return setup.create_integration(self.hotel, connection(self.systems.enter_context(running(simulator)).url))[0]

    def opera(self) -> tuple[Opera, Integration]:
        there = Opera()
        return there, self.connect(there, opera_cloud.connection)

    def salesforce(self) -> tuple[Salesforce, Integration]:
        there = Salesforce()
        return there, self.connect(there, salesforce.connection)

    def plain(self, kind: str, **config: Any) -> tuple[Plain, Integration]:
        names = {"pos": ("menus", "checks"), "pms": ("reservations", "rooms", "guests", "charges", "requests")}[kind]

        def connection(url: str) -> dict[str, Any]:
            return {
                "integration_type": kind, "provider_name": "Custom", "credentials": {"apiKey": GenericRestSimulator.api_key},
                "config": {"baseUrl": url, "endpoints": {name: f"/{name}" for name in names}, **config},
            }  # fmt: skip

        there = Plain()
        return there, self.connect(there, connection)

    def post(self, integration: Integration, path: str, body: dict[str, Any], key: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self.api.post(f"/api/integrations/{integration.pk}/{path}", body, headers=headers)

    def sync(self, integration: Integration, stream: str, **options: Any) -> SyncRun:
        """Ask for a sync through the API, and do what a worker does then."""
        answer = self.post(integration, "sync", {"sync_type": stream, **options})
        assert answer.status_code == 202, answer.json()
        run_sync(answer.json()["id"])
        return SyncRun.objects.get(pk=answer.json()["id"])

    def webhook(
        self, integration: Integration, event_type: str, data: dict[str, Any], *, prefix: bytes = b"", declared: str = "", **envelope: Any
    ) -> Any:
        """Send a signed event, and do what a worker does then; return the door's answer."""
        WebhookSecret.objects.get_or_create(integration=integration, defaults={"secret": {"secret": SECRET}})
        envelope = {"event_id": f"evt-{next(self.events)}"} | envelope
        body = prefix + json.dumps({"event_type": event_type, "data": data, **envelope}).encode()
        answer = Client().generic(
            "POST", f"/api/webhooks/{integration.pk}", body, f"application/json{declared}", headers=signed(body, SECRET)
        )
        inbox.drain(integration)
        return answer


@pytest.fixture
def house(caller: Caller) -> Iterator[House]:
    hotel = Hotel.objects.create(name="Grand", slug="grand", currency="EUR", time_zone="Europe/Vienna", country="AT")
    with ExitStack() as systems:
        yield House(hotel, caller(Role.MANAGER, hotel), systems)


def of(record_type: str, external_id: str) -> Any:
    """Return the hotel's row for what a vendor calls so."""
    model = {"reservation": Reservation, "guest": Guest, "guest_check": GuestCheck, "menu_item": MenuItem}[record_type]
    return model.objects.get(pk=ExternalReference.objects.get(record_type=record_type, external_id=external_id).object_id)


def folio(there: Opera, stay: str) -> list[float]:
    return [posting["postedAmount"]["amount"] for posting in there.hotel.postings[stay]]


def sentences(answer: Any) -> str:
    return " ".join(error["detail"] for error in answer.json()["errors"])


# --- who pays, who is who ------------------------------------------------------------------------------------------------------


def test_moved_guest(house: House) -> None:
    there, pms = house.opera()
    house.sync(pms, "reservations")
    there.move_guest("660090", "107")
    there.arrive("660097", "102")
    assert house.post(pms, "charges", {"room_number": "102", **CHARGE}).status_code == 201
    assert (folio(there, "660097"), folio(there, "660090")) == ([34.5], [])


def test_contradiction(house: House) -> None:
    there, pms = house.opera()
    house.sync(pms, "reservations")
    answer = house.post(pms, "charges", {"room_number": "104", "reservation_id": "660090", **CHARGE})
    assert answer.status_code == 400
    assert all(word in sentences(answer) for word in ("660090", "102", "104"))
    assert folio(there, "660090") == []


def test_stale_addition(house: House) -> None:
    there, pms = house.plain("pms")
    house.sync(pms, "reservations")
    room = there.collections["reservations"]["res_3"]["room_number"]
    there.collections["reservations"]["res_3"]["room_number"] = "201"  # they moved, and another has their room
    there.collections["reservations"]["res_1"] |= {"room_number": room, "status": "checked_in"}
    assert house.post(pms, "charges", {"room_number": room, **CHARGE}).status_code == 201
    [sent] = there.collections["charges"].values()
    assert sent["room_number"] == room
    assert not {"reservation_id", "guest_id"} & set(sent)


@pytest.mark.parametrize("connected", ["opera", "plain"])
def test_unknown_stay(house: House, connected: str) -> None:
    there, pms = house.opera() if connected == "opera" else house.plain("pms")
    elsewhere = Reservation.objects.create(hotel=house.hotel, status="reserved", room_number="102")
    answer = house.post(pms, "check-ins", {"reservation_id": elsewhere.pk})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "reservation_id")
    assert [request.path for request in there.asked if request.method == "POST" and "oauth" not in request.path] == []


@pytest.fixture
def meet(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, int]]:
    """Let the CRM tell of one guest and the PMS of another; return how many guests and how many questions there are."""

    def told(crm: dict[str, str], pms: dict[str, str]) -> tuple[int, int]:
        org, guests = house.salesforce()
        org.records["Contact"].clear()
        org.insert("Contact", crm, at=datetime.now(UTC) - timedelta(minutes=1))
        system, stays = house.plain("pms")
        system.lists["guests"] = [{"id": "g1", **pms}]
        assert house.sync(guests, "guest_data").status == house.sync(stays, "guests").status == "succeeded"
        return Guest.live.count(), GuestQuestion.objects.count()

    return told


def test_couple(meet: Any) -> None:
    anna = {"FirstName": "Anna", "LastName": "Berger", "Email": "berger@example.com"}
    assert meet(anna, {"first_name": "Bernd", "last_name": "Berger", "email": "berger@example.com"}) == (2, 1)
    assert set(Guest.live.values_list("given_name", flat=True)) == {"Anna", "Bernd"}


def test_agency(meet: Any) -> None:
    olga = {"FirstName": "Olga", "LastName": "Petrova", "Email": "bookings@agency.example"}
    assert meet(olga, {"first_name": "", "last_name": "", "email": "bookings@agency.example"})[0] == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [("Müller", "Mu\u0308ller"), ("Müller", "MUELLER"), ("O'Brien", "O’BRIEN"), ("McDonald", "Mcdonald"), ("Strauß", "STRAUSS")],
)
def test_spellings(meet: Any, one: str, other: str) -> None:
    crm = {"FirstName": "Eva", "LastName": one, "Email": "eva@example.com"}
    assert meet(crm, {"first_name": "EVA", "last_name": other, "email": "Eva@example.com"}) == (1, 0)


@pytest.mark.parametrize("status", [204, 404])
def test_merged_profile(house: House, status: int) -> None:
    there, pms = house.opera()
    house.sync(pms, "reservations")
    gone = of("guest", "1280815")
    there.control("merge_profiles", {"gone": "1280815", "kept": "1280816", "status": status})
    house.sync(pms, "reservations")
    gone.refresh_from_db()
    assert gone.archived_at or gone.merged_into
    assert of("reservation", "660090").guest == of("guest", "1280816")


def test_ids(house: House) -> None:
    there, crm = house.salesforce()
    long = next(iter(there.records["Contact"]))
    house.sync(crm, "guest_data")
    for id in (long, long[:15]):
        assert house.api.get(f"/api/integrations/{crm.pk}/guests/{id}/preferences").status_code == 200
        assert house.post(crm, "feedback", {"guest_id": id, "rating": 5, "title": f"by {id}"}).status_code == 201
        house.webhook(crm, "feedback_submitted", {"feedback_id": f"f-{id}", "guest_id": id, "rating": 4, "title": f"by {id}"})
        house.webhook(crm, "guest_updated", {"guest_id": id, "first_name": "Elin", "last_name": "Lind", "email": "elin@example.com"})
    assert ExternalReference.objects.filter(record_type="guest", external_id__startswith=long[:15]).count() == 1
    assert Feedback.objects.filter(title__startswith="by ").count() == 4
    assert {row.guest for row in Feedback.objects.filter(title__startswith="by ")} == {of("guest", long)}


# --- days and clocks -----------------------------------------------------------------------------------------------------------


def test_range(house: House) -> None:
    there, pms = house.opera()
    new_year = simulator_hotel.Stay(
        id="X1", guest_id=there.hotel.stays["660097"].guest_id, arrival=date(2026, 12, 31), departure=date(2027, 1, 1)
    )
    there.hotel.add_stay(new_year)

    def asked() -> tuple[str, str]:
        days = [request for request in there.asked if request.arg("arrivalStartDate")]
        there.asked.clear()
        return days[0].arg("arrivalStartDate"), days[-1].arg("arrivalEndDate")

    house.sync(pms, "reservations", start_date="2026-12-01", end_date="2026-12-31")
    assert asked() == ("2026-12-01", "2026-12-31")
    assert of("reservation", "X1").arrival_date == date(2026, 12, 31)
    service_for(pms).preview("reservations", since=date(2026, 12, 1), until=date(2026, 12, 31))
    assert asked() == ("2026-12-01", "2026-12-31")


def test_one_day(house: House) -> None:
    there, crm = house.salesforce()
    there.records["Contact"].clear()
    midnight = datetime(2026, 6, 2, tzinfo=VIENNA)
    for name, moment in {"before": -1, "first": 0, "last": 24 * 3600 - 1, "after": 24 * 3600}.items():
        there.insert("Contact", {"LastName": name}, at=midnight + timedelta(seconds=moment))
    house.sync(crm, "guest_data", start_date="2026-06-02", end_date="2026-06-02")
    assert set(Guest.objects.values_list("family_name", flat=True)) == {"first", "last"}


def test_arrival(house: House) -> None:
    there, pms = house.plain("pms")
    stay = {"status": "confirmed", "arrival_date": "2026-06-01T22:00:00Z", "departure_date": "2026-06-04T00:00:00+02:00"}
    there.lists["reservations"] = [{"id": "r1", **stay}]
    house.sync(pms, "reservations")
    house.webhook(pms, "reservation_updated", {"reservation_id": "r2", **stay})
    for id in ("r1", "r2"):
        row = of("reservation", id)
        assert (row.arrival_date, row.departure_date) == (date(2026, 6, 2), date(2026, 6, 4)), id


@pytest.mark.parametrize("written", [1781010100000, "1781010100000", 1781010100])
def test_epoch(house: House, written: Any) -> None:
    there, pos = house.plain("pos")
    there.lists["menus"] = [{"id": "m1", "name": "Old", "price": 5, "updated_at": written}]
    house.sync(pos, "menus")
    assert ExternalReference.objects.get(external_id="m1", record_type="menu_item").source_updated_at == datetime(
        2026, 6, 9, 13, 1, 40, tzinfo=UTC
    )
    there.lists["menus"] = [{"id": "m1", "name": "New", "price": 5, "updated_at": "2026-06-09T13:01:41Z"}]
    house.sync(pos, "menus")
    assert MenuItem.objects.get().name == "New"


def dish(name: str) -> dict[str, Any]:
    return {"menu_id": "m1", "name": name, "price": 5}


def test_future(house: House) -> None:
    _, pos = house.plain("pos", endpoints=NONE_TO_READ)
    house.webhook(pos, "menu_updated", dish("Of 2099"), occurred_at="2099-01-01T00:00:00Z")
    assert MenuItem.objects.get().name == "Of 2099"
    house.webhook(pos, "menu_updated", dish("Of today"), occurred_at=timezone.now().isoformat())
    assert MenuItem.objects.get().name == "Of today"


def test_senders_clock(house: House) -> None:
    _, pos = house.plain("pos", endpoints=NONE_TO_READ)
    ahead = timezone.now() + timedelta(hours=2)
    for minute, name in enumerate(("first", "second", "third")):
        house.webhook(pos, "menu_updated", dish(name), occurred_at=(ahead + timedelta(minutes=minute)).isoformat())
        assert MenuItem.objects.get().name == name
    house.webhook(pos, "menu_updated", dish("by a right clock"), occurred_at=timezone.now().isoformat())
    assert MenuItem.objects.get().name == "by a right clock"


def test_same_second(house: House) -> None:
    there, pos = house.plain("pos", since_parameter="updated_since")
    changed = (timezone.now() - timedelta(minutes=10)).isoformat()
    rows = [{"id": "m1", "name": "One", "price": 5, "updated_at": changed}]
    there.lists["menus"] = lambda request: [row for row in rows if row["updated_at"] >= request.arg("updated_since")]
    house.sync(pos, "menus")
    rows.append({"id": "m2", "name": "Two", "price": 5, "updated_at": changed})
    run = house.sync(pos, "menus")
    assert (run.mode, run.created_count) == ("incremental", 1)


# --- windows and lists ---------------------------------------------------------------------------------------------------------


def test_long_stay(house: House) -> None:
    there, pms = house.opera()
    house.sync(pms, "reservations")
    assert (of("reservation", "660095").status, there.hotel.today - of("reservation", "660095").arrival_date) == (
        "in_house",
        timedelta(days=20),
    )
    there.hotel.stays["660095"].status = "CheckedOut"
    there.hotel.touch(there.hotel.stays["660095"])  # and no event tells of it
    house.sync(pms, "reservations")
    assert of("reservation", "660095").status == "checked_out"


@pytest.mark.parametrize("status", ["Reserved", "Cancelled"])
def test_moved_date(house: House, status: str) -> None:
    there, pms = house.opera()
    house.sync(pms, "reservations")
    stay = there.hotel.stays["660097"]
    stay.arrival, stay.departure, stay.status = (
        there.hotel.today + timedelta(days=200),
        there.hotel.today + timedelta(days=202),
        status,
    )
    there.hotel.touch(stay)
    house.sync(pms, "reservations")
    row = of("reservation", "660097")
    assert (row.arrival_date, row.status) == (stay.arrival, {"Reserved": "reserved", "Cancelled": "cancelled"}[status])


def test_1000_limit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator_gateway, "MOST_ROWS", 50)  # a thousand, in a hotel of 1,600 arrivals
    there, pms = house.opera()
    today, guest = there.hotel.today, there.hotel.stays["660097"].guest_id
    for number in range(80):
        arrival = today + timedelta(days=number % 7)
        there.hotel.add_stay(simulator_hotel.Stay(id=f"X{number}", guest_id=guest, arrival=arrival, departure=arrival + timedelta(days=1)))
    run = house.sync(pms, "reservations", start_date=str(today), end_date=str(today + timedelta(days=6)))
    assert (run.status, ExternalReference.objects.filter(external_id__startswith="X").count()) == ("succeeded", 80)


def test_204_in_mid_list(house: House) -> None:
    there, pms = house.opera()
    there.page_size = 10
    house.sync(pms, "rooms")
    rooms = Room.live.count()
    there.bend = lambda request, answer: SimResponse(status=204) if request.arg("offset", "0") not in ("0", "") else answer
    run = house.sync(pms, "rooms", full=True)
    assert (run.status, Room.live.count()) == ("failed", rooms)


def test_missing_key(house: House) -> None:
    there = Simphony()
    pos = house.connect(there, simphony.connection)
    house.sync(pos, "menus")
    dishes = MenuItem.live.count()

    def without_items(request: SimRequest, answer: SimResponse) -> SimResponse:
        if isinstance(answer.json, dict):
            answer.json = {name: value for name, value in answer.json.items() if name != "menuItems"}
        return answer

    there.bend = without_items
    run = house.sync(pos, "menus", full=True)
    assert (run.status, run.error_code, MenuItem.live.count()) == ("failed", "unexpected_response", dishes)
    assert dishes > 0


MENU = [{"id": f"m{number}", "name": f"Dish {number}", "price": number} for number in range(1, 8)]


def pages(request: SimRequest, behind_the_end: Any) -> Any:
    page = int(request.arg("page", "1"))
    return MENU[3 * (page - 1) : 3 * page] if page < 4 else behind_the_end


@pytest.mark.parametrize(
    "behind_the_end",
    [SimResponse(status=404, json={"message": "no such page"}), MENU[6:], []],
    ids=["page style", "same page again", "empty"],
)
def test_page_style_and_same_page_again(house: House, behind_the_end: Any) -> None:
    there, pos = house.plain("pos", paging={"style": "page", "size": 3})
    there.lists["menus"] = lambda request: pages(request, behind_the_end)
    run = house.sync(pos, "menus")
    assert (run.status, MenuItem.live.count()) == ("succeeded", 7)
    assert len(there.asked) <= 6


def test_shift(house: House) -> None:
    there, pos = house.plain("pos", paging={"style": "offset", "size": 3})
    there.lists["menus"] = lambda request: MENU[int(request.arg("offset") or 0) :][:3]
    house.sync(pos, "menus")
    reading: list[int] = []

    def shifting(request: SimRequest) -> Any:
        """Somebody deletes the second dish while the first page is read: what was fourth is never shown, for once."""
        offset = int(request.arg("offset") or 0)
        rows = [row for row in MENU if row["id"] != "m2"] if reading or offset else MENU
        if offset >= len(rows):
            reading.append(offset)
        return rows[offset:][:3]

    there.lists["menus"] = shifting
    house.sync(pos, "menus", full=True)
    assert "Dish 4" in set(MenuItem.live.values_list("name", flat=True))


@pytest.mark.parametrize(
    "answer",
    [
        {"items": MENU, "hasMore": False, "links": [{"rel": "self", "href": "/menus"}]},
        {"_embedded": {"menus": MENU}, "_links": {"self": {"href": "/menus"}}},
        {"data": [{"id": row["id"], "type": "menus", "attributes": {"name": row["name"], "price": row["price"]}} for row in MENU]},
        {},
        SimResponse(status=204),
    ],
    ids=["ORDS", "HAL", "JSON:API", "empty object", "204"],
)
def test_wrapped(house: House, answer: Any) -> None:
    """Read, or both connection test and sync say what came."""
    there, pos = house.plain("pos")
    there.lists["menus"] = answer
    tested, run = house.post(pos, "test", {}), house.sync(pos, "menus")
    if answer == {}:
        assert not tested.json()["success"]
        assert "an empty object" in tested.json()["message"]
        assert (run.status, "an empty object" in run.error_message) == ("failed", True)
    else:
        assert (tested.json()["success"], run.status) == (True, "succeeded")
        assert MenuItem.live.count() == (0 if isinstance(answer, SimResponse) else 7)


# --- numbers and words ---------------------------------------------------------------------------------------------------------


def test_phone(house: House) -> None:
    _, pms = house.plain("pms", endpoints={"rooms": "/rooms"})
    house.webhook(pms, "guest_updated", {"guest_id": "g1", "first_name": "Ana", "last_name": "Lima", "phone": "+5511991000002"})
    assert Guest.objects.get().phone == "+5511991000002"


def test_ids_of_numbers(house: House) -> None:
    there, pos = house.plain("pos")
    check = {"id": "3000000001000003", "status": "open", "total": 10}
    there.collections["checks"]["3000000001000003"] = check
    house.webhook(pos, "check_updated", {"check_id": 3000000001000003})
    assert [request.path for request in there.asked if "checks" in request.path][-1] == "/checks/3000000001000003"
    assert of("guest_check", "3000000001000003").total == 10
    there.lists["menus"] = [{"id": "5449000000996", "name": "Cola", "price": 4, "sku": "5449000000996"}]
    house.sync(pos, "menus")
    assert of("menu_item", "5449000000996").name == "Cola"


def test_card(house: House) -> None:
    _, pos = house.plain("pos")
    line = {"name": "Soup", "quantity": 1, "unit_price": "8.00", "total_price": "8.00", "note": "card 4111 1111 1111 1111 exp 12/27"}
    answer = house.post(pos, "checks", {"items": [line], "subtotal": "8.00", "total": "8.00"})
    assert answer.status_code == 201, answer.json()
    kept = json.dumps([list(model.objects.values()) for model in (Operation, GuestCheck, GuestCheckLine)], default=str, ensure_ascii=False)
    assert "411111…1111" in kept
    assert "4111" not in kept.replace("411111…1111", "")


@pytest.mark.parametrize("rating", [4.9, 0, 6, "4,9"])
@pytest.mark.parametrize("door", ["webhook", "sync", "api"])
def test_rating(house: House, door: str, rating: Any) -> None:
    """Rejected by name, and never stored as 4."""
    there = Plain()
    crm = house.connect(
        there,
        lambda url: {
            "integration_type": "guest_management", "provider_name": "Custom", "credentials": {"apiKey": GenericRestSimulator.api_key},
            "config": {"baseUrl": url, "endpoints": {"feedback": "/feedback"}},
        },
    )  # fmt: skip
    told = {"rating": rating, "title": "Great"}
    if door == "webhook":
        house.webhook(crm, "feedback_submitted", {"feedback_id": "f1", **told})
        said = WebhookEvent.objects.get().error_message
    elif door == "sync":
        there.lists["feedback"] = [{"id": "f1", **told}]
        house.sync(crm, "feedback")
        said = RejectedRecord.objects.get().reason
    else:
        said = house.post(crm, "feedback", told).json()["errors"][0]["attr"]
    assert said.startswith("rating")
    assert not Feedback.objects.exists()


@pytest.mark.parametrize("again", ["34.5", 34.5, "34.500"])
def test_same_value(house: House, again: Any) -> None:
    there, pms = house.opera()
    first = house.post(pms, "charges", {"room_number": "102", **CHARGE}, key="till-1")
    second = house.post(pms, "charges", {"room_number": "102", **CHARGE, "amount": again}, key="till-1")
    assert (first.status_code, second.json()["id"]) == (201, first.json()["id"])
    assert folio(there, "660090") == [34.5]


# --- events, errors, place -----------------------------------------------------------------------------------------------------


def test_one_id_two_events(house: House) -> None:
    _, pos = house.plain("pos", endpoints={"menus": "/menus"})
    events = [("check_created", "10.00"), ("check_updated", "25.00")]
    answers = [
        house.webhook(pos, name, {"check_id": "c1", "status": "open", "total": total}, event_id="order-555").status_code
        for name, total in events
    ]
    assert answers == [202, 202]
    assert GuestCheck.objects.get().total == Decimal("25.00")


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("declared", ["", "; charset=utf-8", "; charset=iso-8859-1"])
def test_bom(house: House, declared: str) -> None:
    there, pos = house.plain("pos", endpoints=NONE_TO_READ)
    assert house.webhook(pos, "menu_updated", dish("Soup"), prefix=BOM, declared=declared).status_code == 202
    assert MenuItem.objects.get().name == "Soup"
    there.bend = lambda request, answer: SimResponse(
        status=answer.status, body=BOM + answer.encoded(), headers=answer.headers, content_type=f"application/json{declared}"
    )
    line = {"name": "Soup", "quantity": 1, "unit_price": "8.00", "total_price": "8.00"}
    answer = house.post(pos, "checks", {"items": [line], "subtotal": "8.00", "total": "8.00"})
    assert (answer.status_code, answer.json()["status"]) == (201, "done")
    assert Operation.objects.get().vendor_reference in there.collections["checks"]


def test_locator(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    there, crm = house.salesforce()
    there.batch_size = 2
    there.records["Contact"].clear()
    for minute in range(8):
        there.insert("Contact", {"LastName": f"Guest {minute}"}, at=datetime.now(UTC) - timedelta(minutes=60 - minute))

    def forgetful(request: SimRequest, answer: SimResponse) -> SimResponse:
        if request.path.endswith("/query") and len(there.asked) < 40:
            there.cursors.clear()
        return answer

    there.bend = forgetful
    run = house.sync(crm, "guest_data")
    assert (run.status, Guest.live.count()) == ("succeeded", 8)


def test_moved_org(house: House) -> None:
    _, crm = house.salesforce()
    assert house.post(crm, "test", {}).json()["success"]
    with running(Salesforce()) as moved:
        to = salesforce.connection(moved.url)
        body = {"config": to["config"], "credentials": to["credentials"]}
        assert house.api.patch(f"/api/integrations/{crm.pk}", body).status_code == 200
        assert house.post(crm, "test", {}).json()["success"]
        assert house.sync(crm, "guest_data").status == "succeeded"


def test_refusal(house: House) -> None:
    there, pms = house.opera()
    for room in there.hotel.rooms.values():
        room.housekeeping = "Dirty"
    answer = house.post(pms, "check-ins", {"reservation_id": "660083"})
    operation = Operation.objects.get()
    pms.refresh_from_db()
    assert (answer.status_code, operation.status, pms.status) == (422, "dead", IntegrationStatus.ACTIVE), answer.json()
    assert "inspected room" in operation.error_message


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("phone", "+43 1 2345", "+4312345"),
        ("phone", "01 2345678", "+4312345678"),
        ("phone", "0043 (1) 2345-678", "+4312345678"),
        ("email", "Eva.Ortner@Example.com", "eva.ortner@example.com"),
        ("family_name", "Müller-Straße", "MUELLER STRASSE"),
        ("given_name", "Zoë", "ZOE"),
    ],
)
def test_spelling(house: House, field: str, sent: str, kept: str) -> None:
    there, pms = house.opera()
    house.sync(pms, "reservations")

    def respelt(request: SimRequest, answer: SimResponse) -> SimResponse:
        return SimResponse(status=answer.status, body=answer.encoded().replace(json.dumps(sent).encode(), json.dumps(kept).encode()))

    there.bend = respelt
    answer = house.api.put(f"/api/integrations/{pms.pk}/guests/1280812", {field: sent})
    assert answer.json().get("status") == "done", answer.json()
    house.sync(pms, "reservations")
    assert not Conflict.objects.exists()


def test_spelling_is_no_change_when_the_guest_is_edited_again(house: House, django_capture_on_commit_callbacks: Any) -> None:
    """OPERA has the first edit in its own spelling and has not heard of the second one: that one stays."""
    there, pms = house.opera()
    house.sync(pms, "reservations")
    guest = of("guest", "1280812")
    there.hotel.normalises_phones = True
    for phone in ("+43 1 2345", "+43 1 9999"):
        with django_capture_on_commit_callbacks(execute=True):
            assert house.api.patch(f"/api/hotels/{house.hotel.pk}/guests/{guest.pk}", {"phone": phone}).status_code == 200
        there.fail("status", status=503, match="profiles", times=50)
    there.faults.clear()
    house.sync(pms, "reservations")
    assert ExternalReference.objects.get(external_id="1280812", record_type="guest").snapshot["phone"] == "+4312345"
    guest.refresh_from_db()
    assert (guest.phone, Conflict.objects.count()) == ("+43 1 9999", 0)


def test_proxy(house: House, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    tried = [
        Client().post(
            "/api/auth/token",
            {"username": f"nobody{number}", "password": "wrong"},
            "application/json",
            headers={"X-Forwarded-For": "203.0.113.7:51234"},
        )
        for number in range(21)
    ]
    assert [answer.status_code for answer in tried[-2:]] == [401, 429]
    other = Client().post(
        "/api/auth/token", {"username": "x", "password": "y"}, "application/json", headers={"X-Forwarded-For": "203.0.113.8:51234"}
    )
    assert other.status_code == 401, "nobody else is locked out"
    for address in ("203.0.113.7:51234", "unknown", "127.0.0.1x", ""):
        assert Client().get("/metrics", headers={"X-Forwarded-For": address}).status_code == 404, address


def test_pooler() -> None:
    """What a pooler in transaction mode cannot give is not asked for; `tests.faults.pooler` works behind a real one."""
    assert project.DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"]
