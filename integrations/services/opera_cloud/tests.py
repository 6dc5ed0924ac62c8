"""The OPERA Cloud provider: the contract every provider keeps, exact mappings, and its own promises."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialsMissing,
    ProviderUnavailable,
    RecordRejected,
    RequestRejected,
    UnexpectedResponse,
)
from integrations.records import Guest, InboundEvent, Reservation, Room, StreamQuery
from integrations.services import registry
from integrations.services.contract import IMPATIENT, KEY, ONE_ATTEMPT, ProviderContract, connect
from integrations.services.opera_cloud import bodies, mapping
from integrations.services.opera_cloud.manifest import REQUEST as REQUEST_LENGTH
from integrations.services.opera_cloud.manifest import Config, Credentials, manifest
from integrations.services.opera_cloud.provider import provider
from integrations.services.opera_cloud.simulator import CREDENTIALS, EXTERNAL_SYSTEM, OperaCloudSimulator
from integrations.simulators.server import Simulator, running
from integrations.transport.auth import MemoryTokenStore

FIXTURES = Path(__file__).parent / "fixtures"
CONFIG = {"external_system": EXTERNAL_SYSTEM, "cashier_id": 4, "transaction_codes": {"Spa": "4100"}, "default_transaction_code": "2000"}
STAY = {"reservation_external_id": "", "guest_external_id": "", "room_number": "", "currency": "EUR"}
CHECK_IN = {**STAY, "check_in_time": "", "check_in_by": "", "special_requests": "", "payment_method": "", "deposit_amount": None}
CHECK_OUT = {**STAY, "final_bill_amount": None, "feedback_rating": None, "feedback_comments": "", "dry_run": False}
FEEDBACK = {"feedback_rating": 5, "feedback_comments": "Excellent stay!"}
CHARGE = {
    "reservation_external_id": "",
    "room_number": "",
    "guest_name": "",
    "category": "Food",
    "description": "Club sandwich",
    "amount": "59.50",
    "currency": "EUR",
    "quantity": 1,
    "check_number": "1001",
}
REQUEST = {**STAY, "category": "towels", "message": "Two more towels, please", "priority": "high"}
CHANGES = {"given_name": "Anna", "email": "anna@example.com", "phone": "+351 555 0111", "language": "F"}
PAYLOADS = {
    "post_check_in": {**CHECK_IN, "reservation_external_id": "660083"},
    "post_check_out": {**CHECK_OUT, **FEEDBACK, "reservation_external_id": "660091", "room_number": "103"},
    "update_guest_info": {"guest_external_id": "1280812", "changes": CHANGES},
    "post_charge": {**CHARGE, "room_number": "102"},
    "send_request": {**REQUEST, "room_number": "102"},
}


def fixture(name: str) -> dict:
    return json.loads((FIXTURES / f"{name}.json").read_text(), parse_float=Decimal)


def effects_of(simulator: OperaCloudSimulator) -> dict:
    return {name: value for name, value in simulator.state().items() if name not in ("events", "sign_ins")}


class TestContract(ProviderContract):
    provider = provider
    config = CONFIG
    credentials = CREDENTIALS
    arguments = {"get_room_status": {"room_number": "0101"}, "get_guest_info": {"guest_external_id": "1280812"}}

    def let_somebody_else_in(self, simulator: Simulator, payload: Mapping[str, Any]) -> None:
        simulator.move_guest("660090", "107")
        simulator.arrive("660097", payload["room_number"])

    def simulator(self, page_size=0):
        return OperaCloudSimulator(page_size=page_size or 200)

    def payload(self, operation, connection):
        return PAYLOADS[operation]

    def effects(self, simulator):
        return effects_of(simulator)


@pytest.fixture
def opera():
    """Return a function that connects to a running simulator; `opera.simulator` is the hotel behind it."""
    simulator = OperaCloudSimulator()
    with running(simulator) as served:
        opened = []

        def connected(*, credentials=CREDENTIALS, tokens=None, policy=IMPATIENT, **config):
            settings = {**CONFIG, "base_url": served.url, **config}
            opened.append(connect(provider, config=settings, credentials=credentials, simulator=simulator, tokens=tokens, policy=policy))
            return opened[-1].provider

        connected.simulator = simulator
        connected.connections = opened
        yield connected
        for connection in opened:
            connection.provider.client.close()


def records(pages) -> list:
    return [record for page in pages for record in page.records]


# --- mapping -------------------------------------------------------------------------------------------------------------------

RESERVATION = Reservation(
    external_id="660082",
    updated_at=datetime(2026, 7, 20, 10, tzinfo=UTC),
    confirmation_number="1462855",
    status="reserved",
    status_original="DueIn",
    arrival_date=date(2026, 7, 27),
    departure_date=date(2026, 7, 29),
    companion_external_ids=("1280899",),
    guest_external_id="1280812",
    room_number="0101",
    room_type="DLXK",
    adults=2,
    children=1,
    rate_amount=Decimal("210.5"),
    balance=Decimal(0),
    currency="USD",
)


def test_reservation_is_the_same_from_a_list_and_from_its_detail() -> None:
    listed = fixture("reservations_page")["reservations"]["reservationInfo"][0]
    detail = fixture("reservation_detail")["reservations"]["reservation"][0]
    assert mapping.reservation_from_list(listed) == RESERVATION
    assert mapping.reservation_from_detail(detail) == RESERVATION


def test_unknown_status_is_kept_beside_unknown_and_a_time_without_zone_orders_nothing() -> None:
    reservation = mapping.reservation_from_list(fixture("reservations_page")["reservations"]["reservationInfo"][1])
    assert (reservation.status, reservation.status_original) == ("unknown", "Prospective")
    assert reservation.updated_at is None


def test_cancelled_reservation_is_mapped() -> None:
    reservation = mapping.reservation_from_list(fixture("reservation_cancelled"))
    assert (reservation.external_id, reservation.status, reservation.adults, reservation.room_number) == ("660090", "cancelled", 1, "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reservationIdList": [{"id": "1", "type": "Confirmation"}]}, "no id"),
        ({"roomStay": {"arrivalDate": "soon"}}, "arrivalDate: “soon” is not an ISO 8601 date"),
        ({"roomStay": {"rateAmount": {"amount": "much"}}}, "“much” is not an amount"),
        ({"roomStay": {"adultCount": "two"}}, "“two” is not a count"),
    ],
)
def test_reservation_that_cannot_be_read_is_rejected_with_its_reason(change: dict, reason: str) -> None:
    with pytest.raises(RecordRejected, match=reason):
        mapping.reservation_from_list({**fixture("reservation_cancelled"), **change})


def test_guest_of_a_reservation_is_older_than_any_profile() -> None:
    guest, companion = mapping.guests_from_reservation(fixture("reservations_page")["reservations"]["reservationInfo"][0])
    assert guest == Guest(
        external_id="1280812",
        updated_at=mapping.OLDEST,
        given_name="Ana",
        family_name="Smith",
        email="ana@example.com",
        phone="+1 555 0100",
        language="E",
        nationality="US",
        is_vip=True,
    )
    assert companion == Guest(external_id="1280899", updated_at=mapping.OLDEST, given_name="Rui", family_name="Costa")


def test_rooms_keep_both_occupancies_and_their_leading_zeros() -> None:
    rows = fixture("housekeeping_overview")["housekeepingRoomInfo"]["housekeepingRooms"]["room"]
    assert [mapping.room(row) for row in rows[:3]] == [
        Room(
            external_id="0101",
            number="0101",
            room_type="STDK",
            floor="01",
            housekeeping="dirty",
            housekeeping_original="Dirty",
            occupancy="vacant",
            observed_occupancy="occupied",
        ),
        Room(
            external_id="0102",
            number="0102",
            room_type="STDQ",
            floor="01",
            housekeeping="out_of_order",
            housekeeping_original="OutOfOrder",
            occupancy="vacant",
            observed_occupancy="vacant",
        ),
        Room(
            external_id="0103",
            number="0103",
            room_type="STDQ",
            floor="01",
            housekeeping="unknown",
            housekeeping_original="Refreshed",
            occupancy="occupied",
            observed_occupancy="occupied",
        ),
    ]


def test_profile_is_mapped_by_its_primary_name_phone_and_email() -> None:
    assert mapping.guest(fixture("profile_detail")) == Guest(
        external_id="1280812",
        updated_at=datetime(2026, 7, 20, 10, tzinfo=UTC),
        given_name="Ana",
        family_name="Smith",
        email="ana@example.com",
        phone="+1 555 0100",
        language="E",
        nationality="US",
        is_vip=True,
        preferences={"FLOOR": ["HIGH"], "SPECIALS": ["FEATHERLESS", "LATEOUT"]},
    )


def test_guest_anonymised_at_opera_keeps_no_data_here() -> None:
    profile = fixture("profile_detail")
    profile["profileDetails"]["customer"]["anonymization"] = {"anonymizationStatus": "Anonymized"}
    assert mapping.guest(profile) == Guest(external_id="1280812", updated_at=datetime(2026, 7, 20, 10, tzinfo=UTC))


def test_profile_update_sends_what_changes_with_the_ids_of_its_children() -> None:
    body = bodies.profile_update(fixture("profile_detail"), {"phone": "+1 555 0111", "family_name": "Jones"}, "EMAIL", "MOBILE")
    assert body == {
        "profileIdList": [{"id": "1280812", "type": "Profile"}],
        "profileDetails": {
            "customer": {
                "personName": [
                    {"givenName": "Ana", "surname": "Jones", "nameTitle": "Ms", "nameType": "Primary"},
                    {"givenName": "アナ", "surname": "スミス", "nameType": "Alternate"},
                ]
            },
            "telephones": {
                "telephoneInfo": [
                    {
                        "telephone": {
                            "phoneTechType": "FAX",
                            "phoneUseType": "BUSINESS",
                            "phoneNumber": "+1 555 0199",
                            "primaryInd": False,
                        },
                        "id": "776",
                        "type": "Communication",
                    },
                    {
                        "telephone": {"phoneTechType": "PHONE", "phoneUseType": "MOBILE", "phoneNumber": "+1 555 0111", "primaryInd": True},
                        "id": "777",
                        "type": "Communication",
                    },
                ]
            },
        },
    }


def test_first_email_of_a_profile_is_added_with_the_hotels_own_type() -> None:
    profile = fixture("profile_detail")
    del profile["profileDetails"]["emails"]
    body = bodies.profile_update(profile, {"email": "ana@example.org"}, "PRIVATE", "MOBILE")
    added = {"emailAddress": "ana@example.org", "type": "PRIVATE", "primaryInd": True}
    assert body["profileDetails"] == {"emails": {"emailInfo": [{"email": added}]}}


def test_charge_is_one_posting_that_carries_our_key() -> None:
    payload = {**CHARGE, "quantity": 3, "amount": "59.50"}
    assert bodies.charge(payload, KEY, "2000", "660082", "SAND01", 4) == {
        "criteria": {
            "hotelId": "SAND01",
            "reservationId": {"id": "660082", "idContext": "OPERA", "type": "Reservation"},
            "cashierId": 4,
            "postIt": False,
            "charges": [
                {
                    "transactionCode": "2000",
                    "price": {"amount": Decimal("59.50"), "currencyCode": "EUR"},
                    "postingQuantity": 1,
                    "postingReference": KEY,
                    "postingRemark": "Club sandwich × 3",
                    "checkNumber": "1001",
                    "folioWindowNo": 1,
                    "applyRoutingInstructions": True,
                }
            ],
        }
    }


def test_check_out_body_follows_the_specification() -> None:
    assert bodies.check_out("660082", "SAND01", 4, "Dirty", False) == {
        "reservation": {
            "reservationIdList": [{"id": "660082", "type": "Reservation"}],
            "hotelId": "SAND01",
            "eventType": "CheckOut",
            "stopCheckout": False,
            "autoCheckout": False,
            "cashierId": 4,
            "checkoutInstr": {"roomStatus": "Dirty", "ignoreWarnings": False},
        },
        "verificationOnly": False,
    }


def test_posting_is_found_by_our_reference_alone() -> None:
    windows = fixture("folio_postings")["reservationFolioInformation"]["folioWindows"]
    postings = windows[0]["folios"][0]["postings"]
    assert mapping.posted(postings, KEY) == {"reference": "987654", "amount": "47.5"}
    assert mapping.posted(postings, "another key") is None
    assert mapping.open_balances(windows) == ["59.5 USD"]


def test_longest_service_request_fits_operas_length_uncut() -> None:
    payload = {**REQUEST, "room_number": "102", "category": "c" * 64, "priority": "urgent", "message": "x" * REQUEST_LENGTH}
    [plain] = bodies.service_request(payload, KEY, "SAND01")["serviceRequestsDetails"]
    assert plain["comment"] == f"{'c' * 64}, urgent priority: {'x' * REQUEST_LENGTH} (ref {KEY})"
    assert len(plain["comment"]) <= 2000
    feedback = bodies.feedback({"feedback_rating": 5, "feedback_comments": "x" * REQUEST_LENGTH})
    assert len(bodies.with_reference(feedback, KEY)) <= 2000


# --- events --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "event"),
    [
        (
            "webhook_check_in",
            InboundEvent(
                event_type="CHECK IN",
                event_id="2240137",
                object_type="reservation",
                object_id="660082",
                occurred_at=datetime(2026, 7, 27, 16, 21, 36, tzinfo=UTC),
                refresh=("reservations",),
            ),
        ),
        (
            "webhook_room_status_loose",
            InboundEvent(event_type="UPDATE ROOM STATUS", event_id="2240140", object_type="room", object_id="0102", refresh=("rooms",)),
        ),
        (
            "webhook_profile_header_only",
            InboundEvent(
                event_type="UPDATE PROFILE",
                event_id="2240150",
                object_type="guest",
                object_id="1280812",
                occurred_at=datetime(2026, 7, 27, 18, tzinfo=UTC),
                refresh=("guests",),
            ),
        ),
        (
            "webhook_new_action",
            InboundEvent(
                event_type="ASSIGN ROOM",
                event_id="2240151",
                object_type="reservation",
                object_id="660082",
                occurred_at=datetime(2026, 7, 27, 18, 1, tzinfo=UTC),
                refresh=("reservations",),
            ),
        ),
        (
            "webhook_of_no_use",
            InboundEvent(
                event_type="UPDATE RATE", event_id="2240152", object_id="BAR", occurred_at=datetime(2026, 7, 27, 18, 2, tzinfo=UTC)
            ),
        ),
    ],
)
def test_business_event_says_what_to_read_again(name: str, event: InboundEvent) -> None:
    assert manifest.webhooks.parse({}, fixture(name)) == [event]


def test_events_are_named_for_the_hotel() -> None:
    assert manifest.webhooks.verifier == "polling"
    assert manifest.webhooks.events["CHECK IN"] == "check_in"
    assert manifest.webhooks.events["CANCEL"] == "reservation_updated"
    assert manifest.webhooks.events["UPDATE ROOM STATUS"] == "room_status_changed"


def test_events_come_twenty_at_a_time_and_once(opera) -> None:
    for number in range(25):
        opera.simulator.control("change_room", {"number": "101", "housekeeping": "Dirty" if number % 2 else "Clean"})
    batches = opera().poll()
    first = next(batches)
    assert (len(first), opera.simulator.state()["events"]) == (20, 5), "the next batch is not asked for before this one is stored"
    assert [len(batch) for batch in batches] == [5]
    assert list(opera().poll()) == []


def test_lost_events_are_reported_and_not_read_over(opera) -> None:
    opera.simulator.control("change_room", {"number": "101"})
    opera.simulator.fail("drop_after", match="businessEvents")
    with pytest.raises(ProviderUnavailable) as caught:
        list(opera().poll())
    assert caught.value.maybe_done
    assert [path for _, path in opera.simulator.requests if path.endswith("businessEvents")] == [
        "/int/v1/externalSystem/HOSPIENT/hotels/SAND01/businessEvents"
    ]


def test_own_changes_do_not_come_back_as_events(opera) -> None:
    opera().post_check_in({**CHECK_IN, "reservation_external_id": "res_123"}, KEY)
    assert opera.simulator.state()["events"] == 0
    opera(external_system="").post_check_in({**CHECK_IN, "reservation_external_id": "660082"}, KEY)
    assert opera.simulator.state()["events"] == 1


def test_hotel_without_an_external_system_has_no_queue_to_ask(opera) -> None:
    opera.simulator.control("change_room", {"number": "101"})
    assert list(opera(external_system="").poll()) == []
    assert opera.simulator.requests == []


def test_change_at_opera_is_read_by_the_event_that_tells_of_it(opera) -> None:
    opera.simulator.control("change_reservation", {"id": "660097", "status": "Cancelled"})
    [[raw]] = opera().poll()
    [event] = manifest.webhooks.parse({}, raw)
    [reservation] = records(opera().reservations(StreamQuery(external_ids=(event.object_id,))))
    assert (event.event_type, reservation.status) == ("CANCEL", "cancelled")


# --- connecting ----------------------------------------------------------------------------------------------------------------


def test_seeds_sample_is_accepted_and_the_first_call_names_what_is_missing() -> None:
    config = {"baseUrl": "https://api.operasoftware.com", "endpoints": {"rooms": "/v1/rooms"}, "testEndpoint": "/v1/health"}
    sample = connect(provider, config=config, credentials={"apiKey": "your-api-key", "hotelCode": "your-hotel-code"})
    assert registry.find("Opera PMS", "pms") == "opera_cloud"
    with pytest.raises(CredentialsMissing, match="Missing: Client ID, Client secret, Enterprise ID") as caught:
        sample.provider.test_connection()
    assert "developer portal" in caught.value.hint
    assert not sample.exchanges


def test_password_sign_in_names_its_own_missing_fields() -> None:
    credentials = {**CREDENTIALS, "sign_in": "password", "username": "", "password": ""}
    with pytest.raises(CredentialsMissing, match="Missing: Integration user, Integration user's password"):
        connect(provider, config={"base_url": "https://gateway.example.com"}, credentials=credentials).provider.test_connection()


@pytest.mark.parametrize("kind", ["client_credentials", "password"])
def test_both_kinds_of_sign_in_work(opera, kind: str) -> None:
    report = opera(credentials={**CREDENTIALS, "sign_in": kind}).test_connection()
    assert report.summary == "Connected to OPERA Cloud 25.5.0.0, hotel SAND01."
    assert report.details["not_set"] == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"client_secret": "other"}, "Client authentication failed"),
        ({"enterprise_id": "OTHER"}, "Unknown enterprise or scope"),
        ({"sign_in": "password", "password": "other"}, "Wrong user name or password"),
    ],
    ids=["401", "400", "402"],
)
def test_wrong_credentials_stop_at_the_sign_in(opera, wrong: dict, words: str) -> None:
    with pytest.raises(AuthenticationFailed, match=words):
        opera(credentials={**CREDENTIALS, **wrong}).test_connection()
    assert opera.simulator.requests == [("POST", "/oauth/v1/tokens")]


def test_application_key_in_another_form_is_named_as_the_likely_cause(opera) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        opera(credentials={**CREDENTIALS, "app_key": "your-api-key"}).test_connection()
    assert "likely cause is the application key" in caught.value.hint
    assert "your-api-key" not in str(caught.value)


def test_missing_subscription_names_the_api_and_wrong_hotel_the_code(opera) -> None:
    opera.simulator.modules.discard("hsk")
    with pytest.raises(AuthenticationFailed) as caught:
        opera().test_connection()
    assert "subscribed to the Housekeeping API" in caught.value.hint
    assert opera(modules=["rsv", "crm"]).test_connection().details["apis"] == ["Reservation", "Customer Relationship Management"]
    with pytest.raises(AuthenticationFailed) as caught:
        opera(credentials={**CREDENTIALS, "hotel_code": "OTHER"}).test_connection()
    assert "hotel code OTHER belongs to this environment" in caught.value.hint


def test_transaction_code_that_opera_does_not_have_is_named(opera) -> None:
    with pytest.raises(ConfigurationError, match="no transaction code 7777"):
        opera(transaction_codes={"spa": "7777"}).test_connection()


def test_token_is_kept_for_others_and_replaced_once_when_opera_refuses_it(opera) -> None:
    tokens = MemoryTokenStore()
    opera(tokens=tokens).get_room_status("101")
    opera(tokens=tokens).get_room_status("101")
    assert opera.simulator.state()["sign_ins"] == 1
    opera.simulator.control("expire_tokens", {})
    assert opera(tokens=tokens).get_room_status("101")
    assert opera.simulator.state()["sign_ins"] == 2
    assert tokens.load().expires_at - datetime.now(UTC) > timedelta(minutes=59)


def test_every_call_carries_the_mandatory_headers_and_an_id_of_its_own(opera) -> None:
    opera.simulator.fail("status", match="housekeepingOverview", status=503)
    opera().get_room_status("101")
    opera().send_request({**REQUEST, "room_number": "102"}, KEY)
    calls = [(method, headers) for method, path, headers in opera.simulator.headers if "oauth" not in path]
    assert len(calls) == 3 - 1, "the simulator does not look at the headers of a call it fails"
    for _, headers in calls:
        assert headers["x-app-key"] == CREDENTIALS["app_key"]
        assert headers["x-hotelid"] == "SAND01"
    assert {method for method, headers in calls if headers.get("x-externalsystem") == EXTERNAL_SYSTEM} == {"POST"}
    sent = [exchange.request_data["headers"] for connection in opera.connections for exchange in connection.exchanges]
    ids = [next(value for name, value in headers.items() if name.lower() == "x-request-id") for headers in sent]
    assert len(ids) == len(set(ids)) == 5
    assert all(UUID(request_id) for request_id in ids)


def test_budget_belongs_to_the_gateway() -> None:
    config = Config(base_url="https://gateway-1.example.com/")
    assert provider.budget_key(config) == "gateway-1.example.com"
    assert provider.base_url("sandbox", config) == "https://gateway-1.example.com"
    assert manifest.rate.shared_by == "gateway"


def test_hotel_code_cannot_lead_to_another_path() -> None:
    with pytest.raises(ValueError, match="hotel_code"):
        Credentials(**{**CREDENTIALS, "hotel_code": "SAND01/../x"})


# --- streams -------------------------------------------------------------------------------------------------------------------


def test_reservations_bring_their_guests_and_those_in_house_who_arrived_long_ago(opera) -> None:
    found = records(opera().reservations(StreamQuery()))
    stays = {record.external_id: record for record in found if isinstance(record, Reservation)}
    guests = {record.external_id for record in found if isinstance(record, Guest)}
    assert set(stays) == set(opera.simulator.hotel.stays) - {"660099"}, "a posting master is nobody's stay"
    assert len(found) == len(stays) + len(guests), "nobody comes twice"
    assert {stay.guest_external_id for stay in stays.values()} <= guests
    assert (stays["660095"].status, stays["660096"].status, stays["660098"].status) == ("in_house", "cancelled", "no_show")
    assert stays["660092"].balance == Decimal("120.5")


def test_window_of_dates_is_kept_to(opera) -> None:
    today = opera.simulator.hotel.today
    found = records(opera().reservations(StreamQuery(since=today + timedelta(days=5), until=today + timedelta(days=20))))
    assert [record.external_id for record in found if isinstance(record, Reservation)] == ["660097"]


def test_resumed_run_keeps_the_window_it_began_with(opera) -> None:
    today = opera.simulator.hotel.today
    query = StreamQuery(since=today, until=today)
    first = next(opera().reservations(query))
    rest = records(opera().reservations(StreamQuery(checkpoint=first.checkpoint)))
    assert {record.arrival_date for record in rest if isinstance(record, Reservation)} == {today}


def test_nothing_found_is_an_empty_list(opera) -> None:
    opera.simulator.hotel.stays.clear()
    opera.simulator.hotel.profiles.clear()
    assert records(opera().reservations(StreamQuery())) == []
    assert records(opera().guests(StreamQuery())) == []
    assert opera().get_room_status("nowhere") == []


def test_row_that_cannot_be_read_does_not_stop_the_others(opera, monkeypatch) -> None:
    usual = type(opera.simulator.hotel).in_list
    monkeypatch.setattr(
        type(opera.simulator.hotel),
        "in_list",
        lambda hotel, stay: {**usual(hotel, stay), "reservationIdList": []} if stay.id == "660097" else usual(hotel, stay),
    )
    pages = list(opera().reservations(StreamQuery()))
    [rejected] = [rejected for page in pages for rejected in page.rejected]
    assert (rejected.record_type, rejected.reason) == ("reservation", "The reservation has no id of type “Reservation”.")
    assert any(record.external_id == "res_123" for record in records(pages))


def test_room_numbers_are_exact_and_pseudo_rooms_are_no_rooms(opera) -> None:
    assert [room.number for room in opera().get_room_status("101")] == ["101"]
    assert [room.number for room in opera().get_room_status("0101")] == ["0101"]
    numbers = [room.number for room in opera().get_room_status()]
    assert len(numbers) == 40
    assert "9001" not in numbers
    [discrepancy] = opera().get_room_status("120")
    assert (discrepancy.occupancy, discrepancy.observed_occupancy) == ("vacant", "occupied")


def test_event_key_that_is_no_room_number_has_every_room_read(opera) -> None:
    assert len(records(opera().rooms(StreamQuery(external_ids=("101",))))) == 1
    assert len(records(opera().rooms(StreamQuery(external_ids=("room-key-77",))))) == 40


def test_full_page_without_has_more_is_asked_on(opera, monkeypatch) -> None:
    usual = type(opera.simulator).page

    def page(simulator, request, rows):
        shown, paging = usual(simulator, request, rows)
        return shown, {name: value for name, value in paging.items() if name != "hasMore"}

    monkeypatch.setattr(type(opera.simulator), "page", page)
    assert len(opera(page_size=41).get_room_status()) == 40
    assert len(opera(page_size=10).get_room_status()) == 40


def test_list_that_never_ends_is_an_error(opera, monkeypatch) -> None:
    usual = type(opera.simulator).page
    monkeypatch.setattr(
        type(opera.simulator), "page", lambda simulator, request, rows: (rows[:2], {**usual(simulator, request, rows)[1], "hasMore": True})
    )
    with pytest.raises(UnexpectedResponse, match="the same page twice"):
        opera().get_room_status()


def test_guest_changed_since_the_cursor_is_read_in_detail(opera) -> None:
    first = list(opera().guests(StreamQuery()))
    assert len(records(first)) == 12
    opera.simulator.control("change_guest", {"id": "1280815", "language": "P", "vipStatus": "2"})
    again = records(opera().guests(StreamQuery(cursor=first[-1].cursor)))
    assert {guest.external_id: guest.language for guest in again} == {"1280815": "P", "1280823": "F"}, (
        "the changed one, and the last one seen"
    )
    assert again[0].preferences == {"FLOOR": ["HIGH"]}


def test_guest_changed_while_later_pages_are_read_comes_with_the_next_run(opera) -> None:
    pages = opera(page_size=2).guests(StreamQuery())
    first = next(pages)
    opera.simulator.control("change_guest", {"id": first.records[0].external_id, "language": "S"})
    opera.simulator.control("change_guest", {"id": "1280823", "language": "G"})
    *_, last = pages
    again = {guest.external_id: guest.language for guest in records(opera().guests(StreamQuery(cursor=last.cursor)))}
    assert again == {"1280812": "S", "1280823": "G"}


# --- check-in and check-out ----------------------------------------------------------------------------------------------------


def test_checked_in_reservation_is_in_house_and_its_room_occupied(opera) -> None:
    opera_cloud = opera()
    answer = opera_cloud.post_check_in({**CHECK_IN, "reservation_external_id": "res_123", "room_number": "101"}, KEY)
    assert answer == {"reference": "res_123", "status": "in_house", "room_number": "101", "warnings": []}
    [stay] = records(opera_cloud.reservations(StreamQuery(external_ids=("res_123",))))
    [room] = opera_cloud.get_room_status("101")
    assert (stay.status, room.occupancy) == ("in_house", "occupied")


def test_check_in_again_is_done_already(opera) -> None:
    payload = {**CHECK_IN, "reservation_external_id": "660090", "room_number": "102"}
    assert opera().post_check_in(payload, KEY)["status"] == "in_house"
    assert not [request for request in opera.simulator.requests if request[0] == "POST" and "oauth" not in request[1]]


def test_room_named_is_assigned_to_a_reservation_without_one(opera) -> None:
    answer = opera().post_check_in({**CHECK_IN, "reservation_external_id": "660083", "room_number": "111"}, KEY)
    assert answer["room_number"] == "111"
    assert opera.simulator.state()["stays"]["660083"] == "InHouse 111"


def test_without_a_free_room_the_check_in_says_so(opera) -> None:
    for room in opera.simulator.hotel.rooms.values():
        room.housekeeping = "Dirty"
    with pytest.raises(RequestRejected, match="no inspected room of type STDK is free"):
        opera().post_check_in({**CHECK_IN, "reservation_external_id": "660083"}, KEY)


@pytest.mark.parametrize(
    ("reservation", "room", "sentence"),
    [
        ("res_123", "102", "has room 101 in OPERA, not 102"),
        ("660097", "", "Reservation is not due in today"),
        ("unknown", "", "no reservation unknown at hotel SAND01"),
    ],
)
def test_refused_check_in_says_why_and_changes_nothing(opera, reservation: str, room: str, sentence: str) -> None:
    before = effects_of(opera.simulator)
    with pytest.raises(RequestRejected, match=sentence):
        opera().post_check_in({**CHECK_IN, "reservation_external_id": reservation, "room_number": room}, KEY)
    assert effects_of(opera.simulator) == before


def test_warnings_of_opera_are_passed_on(opera, monkeypatch) -> None:
    usual = OperaCloudSimulator.handle

    def handle(simulator, request):
        answer = usual(simulator, request)
        if request.path.endswith("checkIns"):
            answer.json["warnings"] = [{"code": "W1", "shortText": "Guest has an unread message"}]
        return answer

    monkeypatch.setattr(OperaCloudSimulator, "handle", handle)
    answer = opera().post_check_in({**CHECK_IN, "reservation_external_id": "res_123"}, KEY)
    assert answer["warnings"] == ["Guest has an unread message"]


def test_dry_run_of_a_check_out_changes_nothing(opera) -> None:
    before = effects_of(opera.simulator)
    answer = opera().post_check_out({**CHECK_OUT, **FEEDBACK, "reservation_external_id": "660091", "dry_run": True}, KEY)
    assert answer["status"] == "can_check_out"
    assert effects_of(opera.simulator) == before


def test_open_balance_stops_a_check_out_until_it_is_settled(opera) -> None:
    payload = {**CHECK_OUT, "reservation_external_id": "660092"}
    for is_dry_run in (True, False):
        with pytest.raises(RequestRejected, match=r"open balance of 120\.5 EUR") as caught:
            opera().post_check_out({**payload, "dry_run": is_dry_run}, KEY)
        assert caught.value.hint == "Settle the folio in OPERA, then check out again."
    opera.simulator.control("settle", {"id": "660092"})
    assert opera().post_check_out(payload, KEY)["status"] == "checked_out"
    assert opera.simulator.state()["rooms"]["104"] == ["Dirty", "Vacant"]


def test_check_out_before_its_day_keeps_operas_own_reason(opera) -> None:
    with pytest.raises(RequestRejected, match="Reservation is not due out today"):
        opera().post_check_out({**CHECK_OUT, "reservation_external_id": "660090"}, KEY)


def test_room_status_after_check_out_is_the_hotels_choice(opera) -> None:
    opera(room_status_after_check_out="Pickup").post_check_out({**CHECK_OUT, "reservation_external_id": "660091"}, KEY)
    assert opera.simulator.state()["rooms"]["103"] == ["Pickup", "Vacant"]


def test_feedback_at_check_out_goes_where_the_hotel_wants_it(opera) -> None:
    payload = {**CHECK_OUT, **FEEDBACK, "reservation_external_id": "660091"}
    text = f"Feedback at check-out: 5 of 5. Excellent stay! (ref {KEY})"
    assert opera().post_check_out(payload, KEY)["warnings"] == []
    assert opera.simulator.state()["requests"] == [text]
    as_comment = opera(feedback_target="profile_comment", comment_type="GEN")
    as_comment.post_check_out(payload, KEY)
    as_comment.post_check_out(payload, KEY)
    guest = opera.simulator.hotel.stays["660091"].guest_id
    [comment] = opera.simulator.hotel.profiles[guest]["comments"]["commentInfo"]
    assert comment["comment"] == {"text": {"value": text}, "commentTitle": "Feedback", "type": "GEN", "hotelId": "SAND01", "internal": True}


def test_feedback_that_fails_is_a_warning_and_the_guest_is_checked_out(opera) -> None:
    opera.simulator.fail("status", match="POST .*serviceRequests", status=400)
    answer = opera().post_check_out({**CHECK_OUT, **FEEDBACK, "reservation_external_id": "660091"}, KEY)
    assert answer["status"] == "checked_out"
    assert answer["warnings"][0].startswith("The guest's feedback could not be passed on:")


def test_feedback_is_made_up_for_after_a_check_out_whose_answer_was_lost(opera) -> None:
    payload = {**CHECK_OUT, **FEEDBACK, "reservation_external_id": "660091"}
    opera.simulator.fail("drop_after", match="checkOuts")
    with pytest.raises(ProviderUnavailable) as caught:
        opera(policy=ONE_ATTEMPT).post_check_out(payload, KEY)
    assert caught.value.maybe_done
    assert opera().find_post_check_out(payload, KEY) is None, "the feedback is missing"
    assert opera().post_check_out(payload, KEY)["status"] == "checked_out"
    assert opera().find_post_check_out(payload, KEY)["status"] == "checked_out"
    assert len(opera.simulator.state()["requests"]) == 1


# --- charges -------------------------------------------------------------------------------------------------------------------


def pin(provider, *, asked_on: date | None = None, **payload) -> str:
    return provider.pin_post_charge({**CHARGE, **payload}, asked_on or date.today()).get("reservation_external_id", "")


def test_charge_goes_to_the_one_reservation_in_house_in_the_room(opera) -> None:
    assert opera().pin_post_charge({**CHARGE, "room_number": "102"}, date.today()) == {
        "reservation_external_id": "660090", "guest_external_id": "1280815",
    }  # fmt: skip
    answer = opera().post_charge({**CHARGE, "reservation_external_id": "660090"}, KEY)
    assert (answer["amount"], answer["warnings"]) == ("59.5", [])
    assert ["660090", KEY, 59.5] in opera.simulator.state()["postings"]


@pytest.mark.parametrize(("category", "code"), [("SPA", "4100"), ("spa", "4100"), ("food", "2000"), ("", "2000")])
def test_category_decides_the_transaction_code(opera, category: str, code: str) -> None:
    opera().post_charge({**CHARGE, "reservation_external_id": "660090", "category": category}, KEY)
    assert opera.simulator.hotel.postings["660090"][-1]["transactionCode"] == code


def test_charge_without_a_transaction_code_is_not_sent(opera) -> None:
    with pytest.raises(ConfigurationError, match="charges of the category “Food”"):
        opera(default_transaction_code="").post_charge({**CHARGE, "reservation_external_id": "660090"}, KEY)
    assert opera.simulator.requests == []


def test_people_who_share_a_room_are_asked_for_by_name(opera) -> None:
    with pytest.raises(RequestRejected, match="Reservations 660093 and 660094 share room 105, so it does not say who pays") as caught:
        pin(opera(), room_number="105")
    assert "guest_name" in caught.value.hint
    assert "Miller" not in str(caught.value), "guests' names are not for refusals"
    with pytest.raises(RequestRejected, match="share room 105 and the name"):
        pin(opera(), room_number="105", guest_name="Miller")
    for name in ("Miller, Emma", "EMMA MILLER", "Emma", "E. Miller", "Mrs Emma Miller", "Emma Louise Miller"):
        assert pin(opera(), room_number="105", guest_name=name) == "660094", name


@pytest.mark.parametrize("name", ["Ana Smith", "Anna Miller", "Miller Emma Noah Ana", "???", "M. Smith"])
def test_another_name_than_those_in_the_room_is_refused_and_never_guessed(opera, name: str) -> None:
    with pytest.raises(RequestRejected, match="Nobody called as given in guest_name is in house in room 102"):
        pin(opera(), room_number="102", guest_name=name)
    if "Miller" not in name:
        with pytest.raises(RequestRejected, match="Nobody called"):
            pin(opera(), room_number="105", guest_name=name)


def test_whoever_came_along_signs_for_the_reservation(opera) -> None:
    opera.simulator.arrive("660082", "0101")
    assert pin(opera(), room_number="0101", guest_name="liam o'brien") == "660082"
    assert pin(opera(), reservation_external_id="660082", guest_name="O’BRIEN LIAM") == "660082"


def test_named_reservation_is_looked_at_before_it_is_charged(opera) -> None:
    assert pin(opera(), reservation_external_id="660090", room_number="102", guest_name="Tanaka") == "660090"
    with pytest.raises(RequestRejected, match="no reservation 42 at hotel SAND01"):
        pin(opera(), reservation_external_id="42")
    with pytest.raises(RequestRejected, match="Reservation 660090 has room 102 in OPERA, not 104"):
        pin(opera(), reservation_external_id="660090", room_number="104")
    with pytest.raises(RequestRejected, match="Nobody on reservation 660090 is called as given"):
        pin(opera(), reservation_external_id="660090", guest_name="Ana Smith")


def test_guest_who_came_after_the_bill_was_signed_does_not_pay_it(opera) -> None:
    opera.simulator.move_guest("660090", "107")
    opera.simulator.arrive("660097", "102")
    with pytest.raises(RequestRejected, match=r"arrived on .* after this was asked for"):
        pin(opera(), room_number="102", asked_on=date.today() - timedelta(days=1))
    assert pin(opera(), room_number="102") == "660097"


def test_room_with_nobody_in_house_is_not_charged(opera) -> None:
    with pytest.raises(RequestRejected, match="Nobody is in house in room 0101"):
        pin(opera(), room_number="0101")


def test_request_goes_to_whoever_has_the_room_and_else_to_the_room(opera) -> None:
    def pinned(**payload) -> dict:
        return opera().pin_send_request({**REQUEST, **payload}, date.today())

    assert pinned(room_number="102") == {"reservation_external_id": "660090"}
    assert pinned(room_number="0101") == pinned(room_number="105") == pinned() == {}
    assert pinned(room_number="105", guest_external_id="1280818") == {"reservation_external_id": "660094"}
    with pytest.raises(RequestRejected, match="Guest 1280815 is not in room 105"):
        pinned(room_number="105", guest_external_id="1280815")
    with pytest.raises(RequestRejected, match="Reservation 660090 has room 102 in OPERA, not 104"):
        pinned(room_number="104", reservation_external_id="660090")


def test_request_of_long_ago_is_still_found(opera) -> None:
    payload = {**REQUEST, "reservation_external_id": "660090", "pinned_at": (datetime.now(UTC) - timedelta(days=70)).isoformat()}
    assert opera().find_send_request(payload, KEY) is None
    sent = opera().send_request(payload, KEY)
    assert opera().find_send_request(payload, KEY) == sent
    opera.simulator.hotel.requests[-1]["openDate"] = payload["pinned_at"]
    assert opera().find_send_request(payload, KEY) == sent


def test_charge_that_opera_refuses_says_why(opera) -> None:
    opera.simulator.hotel.stays["660090"].takes_charges = False
    with pytest.raises(RequestRejected, match="No Post"):
        opera().post_charge({**CHARGE, "reservation_external_id": "660090"}, KEY)


def test_charge_done_and_answer_dropped_is_found_and_not_posted_again(opera) -> None:
    payload = {**CHARGE, "reservation_external_id": "660090"}
    opera.simulator.fail("drop_after", match="POST .*charges")
    with pytest.raises(ProviderUnavailable) as caught:
        opera().post_charge(payload, KEY)
    assert caught.value.maybe_done
    assert opera().find_post_charge(payload, KEY)["amount"] == "59.5"
    assert [posting[1] for posting in opera.simulator.state()["postings"]].count(KEY) == 1


def test_charge_is_found_at_the_end_of_a_long_folio(opera) -> None:
    for number in range(45):
        price = {"amount": 5, "currencyCode": "EUR"}
        opera.simulator.hotel.post("660090", {"transactionCode": "2000", "price": price, "postingReference": f"minibar {number}"})
    payload = {**CHARGE, "reservation_external_id": "660090"}
    posted = opera(page_size=20).post_charge(payload, KEY)
    assert opera(page_size=20).find_post_charge(payload, KEY)["reference"] == posted["reference"]


def test_folio_that_does_not_end_does_not_pass_for_a_missing_charge(opera, monkeypatch) -> None:
    usual = type(opera.simulator.hotel).windows
    monkeypatch.setattr(
        type(opera.simulator.hotel),
        "windows",
        lambda hotel, stay, with_postings, offset, limit: [{**w, "hasMore": True} for w in usual(hotel, stay, with_postings, 0, limit)],
    )
    with pytest.raises(UnexpectedResponse, match="does not list the folio"):
        opera().find_post_charge({**CHARGE, "reservation_external_id": "660090"}, KEY)


# --- requests and guests -------------------------------------------------------------------------------------------------------


def test_service_request_gets_the_hotels_codes(opera) -> None:
    coded = opera(request_codes={"Towels": "HKT"}, request_priorities={"high": "1"})
    payload = {**REQUEST, "reservation_external_id": "660090", "guest_external_id": "1280815", "room_number": "102"}
    assert coded.send_request(payload, KEY) == {"reference": "500", "warnings": []}
    [sent] = opera.simulator.hotel.requests
    assert (sent["code"], sent["priority"], sent["status"], sent["profileId"]["id"]) == ("HKT", "1", "Open", "1280815")
    assert sent["comment"] == f"Two more towels, please (ref {KEY})"


def test_changed_guest_is_changed_at_opera_without_doubling_anything(opera) -> None:
    before = opera.simulator.hotel.profiles["1280812"]["telephones"]["telephoneInfo"]
    count = len(before)
    opera().update_guest_info({"guest_external_id": "1280812", "changes": CHANGES}, KEY)
    guest = opera().get_guest_info("1280812")
    assert {name: getattr(guest, name) for name in CHANGES} == CHANGES
    assert guest.family_name == "Smith"
    profile = opera.simulator.hotel.profiles["1280812"]
    assert len(profile["telephones"]["telephoneInfo"]) == count
    assert [name["nameType"] for name in profile["customer"]["personName"]] == ["Primary", "Alternate"]


def test_change_that_opera_takes_but_does_not_make_is_not_called_done(opera) -> None:
    opera.simulator.fail("ignore", match="PUT")
    with pytest.raises(RequestRejected, match="kept the old given_name, email, phone, language"):
        opera().update_guest_info({"guest_external_id": "1280812", "changes": CHANGES}, KEY)


def test_anonymised_guest_is_not_filled_again(opera) -> None:
    opera.simulator.control("change_guest", {"id": "1280812", "anonymization": {"anonymizationStatus": "Anonymized"}})
    with pytest.raises(RequestRejected, match="anonymised"):
        opera().update_guest_info({"guest_external_id": "1280812", "changes": CHANGES}, KEY)
    assert not [request for request in opera.simulator.requests if request[0] == "PUT"]


def test_unknown_guest_says_what_may_have_happened(opera) -> None:
    with pytest.raises(RequestRejected, match="no guest profile 42") as caught:
        opera().get_guest_info("42")
    assert "merged" in caught.value.hint


# --- the simulator -------------------------------------------------------------------------------------------------------------


def test_simulator_makes_as_many_reservations_as_a_benchmark_wants() -> None:
    simulator = OperaCloudSimulator(extra_reservations=500)
    with running(simulator) as served:
        connection = connect(provider, config={**CONFIG, "base_url": served.url, "page_size": 200}, credentials=CREDENTIALS)
        found = records(connection.provider.reservations(StreamQuery()))
        connection.provider.client.close()
    assert sum(isinstance(record, Reservation) for record in found) == 513
