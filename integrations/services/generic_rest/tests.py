"""The generic REST provider: the contract every provider keeps, exact mappings, and its own promises."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from integrations.exceptions import (
    ConfigurationError,
    ProviderUnavailable,
    RecordRejected,
    UnexpectedResponse,
    UnsupportedOperation,
    VersionConflict,
)
from integrations.records import (
    ChatMessage,
    Feedback,
    Guest,
    GuestCheck,
    MenuCategory,
    MenuItem,
    MenuVariation,
    Notification,
    Reservation,
    Room,
    StreamQuery,
)
from integrations.services.contract import KEY, ONE_ATTEMPT, ProviderContract
from integrations.services.generic_rest import mapping
from integrations.services.generic_rest.manifest import ENDPOINTS, Config, Credentials, manifest
from integrations.services.generic_rest.provider import ENDPOINT_OF, provider
from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.simulators.server import SimResponse

FIXTURES = Path(__file__).parent / "fixtures"
EVERYTHING = {name: f"/{name}" for name in ENDPOINTS}
STAY = {"reservation_external_id": "res_1", "guest_external_id": "guest_1", "room_number": "101", "currency": "EUR"}
MESSAGE = {"guest_external_id": "guest_1", "room_number": "101", "message": "Can I get extra towels?"}
PAYLOADS = {
    "post_guest_check": {
        "check_number": "CHK-1042",
        "room_number": "101",
        "guest_name": "Mara Lind",
        "guest_external_id": "guest_1",
        "reservation_external_id": "",
        "items": [
            {
                "name": "Club sandwich",
                "quantity": "2",
                "unit_price": "15.99",
                "total_price": "31.98",
                "note": "",
                "item_external_id": "menu_1",
                "variation_external_id": "menu_1",
                "menu_price": "15.99",
            }
        ],
        "subtotal": "31.98",
        "tax": "2.56",
        "total": "34.54",
        "currency": "EUR",
        "payment_method": "credit_card",
        "payment_status": "pending",
    },
    "void_check": {"check_external_id": "check_1", "reason": "Guest request"},
    "post_check_in": STAY | {"check_in_time": "2026-03-01T15:00:00+00:00", "check_in_by": "staff_member", "deposit_amount": "100.00"},
    "post_check_out": STAY
    | {"reservation_external_id": "res_3", "final_bill_amount": "450.00", "payment_status": "paid", "dry_run": False},
    "update_guest_info": {"guest_external_id": "guest_1", "changes": {"phone": "+351 912 345 678"}},
    "post_charge": STAY
    | {
        "reservation_external_id": "res_3",
        "room_number": "0101",
        "category": "food",
        "description": "Dinner",
        "amount": "34.54",
        "quantity": 1,
        "check_number": "CHK-1042",
    },
    "send_request": STAY | {"category": "housekeeping", "message": "Extra towels", "priority": "normal"},
    "post_feedback": MESSAGE | {"feedback_id": "7", "rating": 5, "title": "Excellent Service", "is_anonymous": False},
    "post_chat_message": MESSAGE | {"message_id": "7", "message_type": "text", "sender_type": "guest", "sender_name": "John Doe"},
    "post_notification": MESSAGE | {"notification_id": "7", "title": "Pool", "priority": "normal", "notification_type": "push"},
    "update_notification_status": {"notification_external_id": "note_1", "status": "read"},
}


def fixture(name: str) -> dict:
    return json.loads((FIXTURES / f"{name}.json").read_text(), parse_float=Decimal)


class TestContract(ProviderContract):
    provider = provider
    config = {
        "endpoints": EVERYTHING,
        "test_endpoint": "/health",
        "paging": {"style": "page", "size": 100},
        "since_parameter": "updated_since",
    }
    credentials = {"api_key": GenericRestSimulator.api_key, "password": GenericRestSimulator.password, "username": "hospient"}
    arguments = {
        "get_check_status": {"check_external_id": "check_1"},
        "get_room_status": {"room_number": "0101"},
        "get_guest_info": {"guest_external_id": "guest_1"},
        "get_guest_preferences": {"guest_external_id": "guest_1"},
        "get_feedback": {"guest_external_id": "guest_1", "limit": 2},
        "get_chat_messages": {"since": datetime(2026, 3, 1, tzinfo=UTC)},
    }

    def simulator(self, page_size=0):
        return GenericRestSimulator(page_size)

    def payload(self, operation, connection):
        return PAYLOADS[operation]


@pytest.fixture
def contract() -> TestContract:
    return TestContract()


def read(connection, stream: str, **query) -> list:
    return [record for page in getattr(connection.provider, stream)(StreamQuery(**query)) for record in page.records]


# --- the seed's samples --------------------------------------------------------------------------------------------------------


def test_the_seeds_sample_for_an_unknown_vendor_is_taken_as_written() -> None:
    config = Config.model_validate(
        {
            "baseUrl": "https://api.square.com/v2",
            "endpoints": {"menus": "/catalog/items", "checks": "/orders"},
            "testEndpoint": "/health",
        }
    )
    credentials = Credentials.model_validate({"apiKey": "your-api-key", "locationId": "your-location-id"})
    assert config.endpoints == {"menus": "/catalog/items", "checks": "/orders"}
    assert (config.base_url, config.test_endpoint) == ("https://api.square.com/v2", "/health")
    assert credentials.api_key.get_secret_value() == "your-api-key"


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ({"apiKey": "k"}, {"X-API-Key": "k"}),
        ({"accessToken": "t"}, {"Authorization": "Bearer t"}),
        ({"bearerToken": "t", "apiKey": "k"}, {"Authorization": "Bearer t", "X-API-Key": "k"}),
        ({"username": "u", "password": "p"}, {"Authorization": "Basic dTpw"}),
    ],
)
def test_whichever_credentials_are_given_are_sent(given, headers) -> None:
    sent: dict[str, str] = {}
    provider.auth(None, Credentials.model_validate(given), None).apply(sent, None)
    assert sent == headers


def test_credentials_that_prove_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="Give an API key, an access token, or a user name"):
        Credentials.model_validate({"locationId": "L1", "username": "only"})


def test_endpoint_that_is_no_path_is_refused_by_its_name() -> None:
    with pytest.raises(ValidationError, match="“menus” must begin with"):
        Config(base_url="https://pos.example.com", endpoints={"menus": "menus"})


# --- what the config leaves out ------------------------------------------------------------------------------------------------


def test_every_stream_and_operation_knows_its_endpoint() -> None:
    declared = {declared.name for declared in (*manifest.streams, *manifest.operations)}
    assert set(ENDPOINT_OF) == declared
    assert set(ENDPOINT_OF.values()) == set(ENDPOINTS)
    assert all(declared.kind for declared in (*manifest.streams, *manifest.operations))


def test_only_what_has_an_endpoint_is_offered() -> None:
    config = {"endpoints": {"menus": "/catalog/items"}}
    assert provider.offers("menus", config)
    assert not provider.offers("categories", config)
    assert not provider.offers("menus", {})


def test_missing_endpoint_is_named_with_its_cure(contract) -> None:
    contract.config = {"endpoints": {"menus": "/menus"}}
    with contract.connected() as connection, pytest.raises(ConfigurationError) as caught:
        read(connection, "categories")
    assert "Add categories to the endpoints" in caught.value.hint


def test_connection_test_without_an_address_says_what_to_enter(contract) -> None:
    contract.config = {}
    with contract.connected() as connection, pytest.raises(ConfigurationError, match="nothing to test"):
        connection.provider.test_connection()


# --- reading -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["page", "offset", "cursor", "link"])
def test_list_is_walked_to_its_end_in_every_style_and_resumed_in_the_middle(contract, style) -> None:
    contract.config = {"endpoints": EVERYTHING, "paging": {"style": style, "size": 2}}
    with contract.connected(GenericRestSimulator(page_size=2)) as connection:
        pages = list(connection.provider.menus(StreamQuery()))
        rest = read(connection, "menus", checkpoint=json.loads(json.dumps(pages[0].checkpoint)))
    assert [record.external_id for page in pages for record in page.records] == [f"menu_{number}" for number in range(1, 7)]
    assert [record.external_id for record in rest] == [f"menu_{number}" for number in range(3, 7)]


def test_system_that_splits_smaller_than_asked_loses_nothing(contract) -> None:
    contract.config = {"endpoints": EVERYTHING, "paging": {"style": "offset", "size": 100}}
    with contract.connected(GenericRestSimulator(page_size=4)) as connection:
        assert len(read(connection, "menus")) == 6


def test_without_paging_one_answer_is_the_whole_list(contract) -> None:
    contract.config = {"endpoints": EVERYTHING}
    with contract.connected() as connection:
        assert len(read(connection, "menus")) == 6
        assert connection.simulator.requests == [("GET", "/menus")]


def test_change_since_the_last_run_is_all_that_is_read(contract) -> None:
    with contract.connected() as connection:
        cursor = list(connection.provider.menus(StreamQuery()))[-1].cursor
        connection.simulator.control("change", {"collection": "menus", "id": "menu_2", "price": 12})
        changed = read(connection, "menus", cursor=cursor)
    assert [(record.external_id, record.variations[0].price) for record in changed] == [("menu_2", Decimal(12)), ("menu_6", Decimal("5.5"))]


def test_reservations_are_read_for_a_range_of_arrivals(contract) -> None:
    with contract.connected() as connection:
        found = read(connection, "reservations", since=date(2026, 3, 1), until=date(2026, 3, 2))
    assert [record.external_id for record in found] == ["res_1", "res_2"]


def test_bad_object_is_rejected_and_the_rest_of_the_page_is_kept(contract) -> None:
    with contract.connected() as connection:
        connection.simulator.control("change", {"collection": "menus", **fixture("menu_item_bad_price")})
        pages = list(connection.provider.menus(StreamQuery()))
    (rejected,) = [rejected for page in pages for rejected in page.rejected]
    assert (rejected.external_id, rejected.record_type) == ("menu_9", "menu_item")
    assert rejected.reason == "price: “ask the waiter” is not a number."
    assert sum(len(page.records) for page in pages) == 6


def test_check_that_is_gone_is_passed_over(contract) -> None:
    with contract.connected() as connection:
        found = read(connection, "checks", external_ids=("check_1", "gone"))
    assert [record.external_id for record in found] == ["check_1"]


@pytest.mark.parametrize(
    ("answer", "count"), [([{"id": 1}], 1), ({"menus": [{"id": 1}], "total": 1}, 1), ({"data": [], "included": []}, 0), ([], 0)]
)
def test_list_is_found_whatever_it_is_called(answer, count) -> None:
    assert len(mapping.listed(answer)) == count


@pytest.mark.parametrize("answer", [None, 7, {}, {"status": "ok"}, ["a"], {"data": {"id": 1}}])
def test_answer_without_a_list_is_unexpected(answer) -> None:
    with pytest.raises(UnexpectedResponse):
        mapping.listed(answer)


def test_object_is_unwrapped() -> None:
    assert mapping.single({"data": {"id": 1}}) == {"id": 1} == mapping.single({"id": 1})
    with pytest.raises(UnexpectedResponse):
        mapping.single([{"id": 1}])


# --- exact mappings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mapper", "expected"),
    [
        (
            "category",
            mapping.category,
            MenuCategory(
                external_id="cat_2", updated_at=datetime(2026, 3, 1, 8, 2, tzinfo=UTC), name="Mains", position=1, parent_external_id="cat_9"
            ),
        ),
        (
            "menu_item",
            mapping.menu_item,
            MenuItem(
                external_id="menu_123",
                updated_at=datetime(2026, 3, 1, 6, 7, tzinfo=UTC),
                name="Club sandwich",
                description="With fries",
                category_external_id="cat_2",
                position=4,
                variations=(MenuVariation(external_id="menu_123", price=Decimal("15.99"), currency="USD"),),
            ),
        ),
        (
            "menu_item_camel_case",
            mapping.menu_item,
            MenuItem(
                external_id="42",
                name="Sea bass",
                category_external_id="2",
                is_available=False,
                position=1,
                variations=(
                    MenuVariation(external_id="42-s", name="Small", sku="SB-S", price=Decimal("19.90"), currency="EUR"),
                    MenuVariation(external_id="42-l", name="Large", price=Decimal(27), currency="EUR", position=1),
                ),
            ),
        ),
        (
            "check",
            mapping.guest_check,
            GuestCheck(
                external_id="check_123",
                status="closed",
                status_original="Paid",
                total=Decimal("34.54"),
                amount_due=Decimal(0),
                currency="EUR",
            ),
        ),
        (
            "room",
            mapping.room,
            Room(
                external_id="room_7",
                number="0101",
                room_type="DBL",
                floor="1",
                housekeeping="out_of_order",
                housekeeping_original="Out of order",
                occupancy="vacant",
            ),
        ),
        ("room_one_status", mapping.room, Room(external_id="101", number="101", housekeeping="dirty", housekeeping_original="dirty")),
        (
            "guest",
            mapping.guest,
            Guest(
                external_id="456",
                given_name="Mara",
                family_name="Lind",
                email="mara.lind@example.com",
                phone="+46 70 123 45 67",
                language="sv",
                is_vip=True,
                preferences={"pillow": "feather"},
            ),
        ),
        (
            "reservation",
            mapping.reservation,
            Reservation(
                external_id="res_123",
                confirmation_number="HM-20931",
                status="in_house",
                status_original="Checked-In",
                arrival_date=date(2026, 3, 1),
                departure_date=date(2026, 3, 4),
                guest_external_id="guest_456",
                room_number="101",
                adults=2,
                children=1,
                rate_amount=Decimal("145.50"),
                balance=Decimal(450),
                currency="EUR",
            ),
        ),
        (
            "feedback",
            mapping.feedback,
            Feedback(
                external_id="fb_1",
                guest_external_id="guest_456",
                room_number="101",
                rating=5,
                category="service",
                title="Excellent Service",
                message="The staff was very helpful",
                submitted_at=datetime(2026, 3, 2, 19, 30, tzinfo=UTC),
            ),
        ),
        (
            "chat_message",
            mapping.chat_message,
            ChatMessage(
                external_id="msg_1",
                guest_external_id="guest_456",
                room_number="101",
                message="Can I get extra towels?",
                sender_type="guest",
                sender_name="John Doe",
                sent_at=datetime(2026, 3, 2, 9, 15, tzinfo=UTC),
            ),
        ),
        (
            "notification",
            mapping.notification,
            Notification(
                external_id="note_1",
                guest_external_id="guest_456",
                title="Pool Maintenance",
                message="Pool will be closed for maintenance from 2-4 PM",
                category="service",
                status="delivered",
                sent_at=datetime(2026, 3, 2, 8, tzinfo=UTC),
            ),
        ),
    ],
)
def test_object_is_mapped_exactly(name, mapper, expected) -> None:
    assert mapper(fixture(name), "EUR") == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"name": "No id"}, "no id"),
        ({"id": 1}, "no name"),
        ({"id": 1, "name": "x", "price": "NaN"}, "not a number"),
        ({"id": 1, "name": "x", "updated_at": "yesterday"}, "not an ISO 8601"),
    ],
)
def test_object_that_cannot_be_used_says_why(source, reason) -> None:
    with pytest.raises(RecordRejected, match=reason):
        mapping.menu_item(source, "EUR")


# --- writing -------------------------------------------------------------------------------------------------------------------


def test_check_is_written_as_the_seed_writes_it() -> None:
    assert mapping.body(PAYLOADS["post_guest_check"]) == {
        "check_number": "CHK-1042",
        "room_number": "101",
        "guest_name": "Mara Lind",
        "guest_id": "guest_1",
        "items": [
            {
                "name": "Club sandwich",
                "quantity": Decimal(2),
                "unit_price": Decimal("15.99"),
                "total_price": Decimal("31.98"),
                "menu_id": "menu_1",
                "variation_id": "menu_1",
            }
        ],
        "subtotal": Decimal("31.98"),
        "tax": Decimal("2.56"),
        "total": Decimal("34.54"),
        "currency": "EUR",
        "payment_method": "credit_card",
        "payment_status": "pending",
    }


def test_posted_check_can_be_read_and_voided_and_voiding_again_changes_nothing(contract) -> None:
    with contract.connected() as connection:
        reference = connection.provider.post_guest_check(PAYLOADS["post_guest_check"], KEY)["reference"]
        assert connection.provider.get_check_status(reference).total == Decimal("34.54")
        for key in (KEY.replace("5f", "6f"), KEY.replace("5f", "7f")):
            answer = connection.provider.void_check({"check_external_id": reference, "reason": "Guest request"}, key)
            assert answer == {"reference": reference, "status": "voided"}
        assert connection.provider.get_check_status(reference).status == "voided"


def test_checked_in_reservation_shows_in_house(contract) -> None:
    with contract.connected() as connection:
        assert connection.provider.post_check_in(PAYLOADS["post_check_in"], KEY) == {
            "reference": "res_1",
            "status": "in_house",
            "room_number": "101",
        }
        assert read(connection, "reservations")[0].status == "in_house"
        with pytest.raises(VersionConflict):
            connection.provider.post_check_in(PAYLOADS["post_check_in"], KEY.replace("5f", "6f"))


def test_check_out_is_never_done_to_try_it(contract) -> None:
    with contract.connected() as connection, pytest.raises(UnsupportedOperation, match="without doing it"):
        connection.provider.post_check_out(PAYLOADS["post_check_out"] | {"dry_run": True}, KEY)


def test_messages_are_those_of_the_guest_that_was_asked_for(contract) -> None:
    with contract.connected() as connection:
        assert len(connection.provider.get_feedback(guest_external_id="guest_1", limit=2)) == 2
        assert connection.provider.get_feedback(guest_external_id="guest_5") == []


def test_lost_answer_waits_for_a_person_unless_the_system_recognises_keys(contract) -> None:
    """The rule of the README: only a hotel that names the header vouches for a second try."""
    check = PAYLOADS["post_guest_check"]
    with contract.connected(policy=ONE_ATTEMPT) as connection:
        connection.simulator.fail("drop_after")
        with pytest.raises(ProviderUnavailable) as caught:
            connection.provider.post_guest_check(check, KEY)
        assert caught.value.maybe_done
    contract.config = {**contract.config, "idempotency_header": "Idempotency-Key"}
    with contract.connected() as connection:
        before = len(connection.simulator.collections["checks"])
        connection.simulator.fail("drop_after")
        assert connection.provider.post_guest_check(check, KEY)["reference"]
        assert len(connection.simulator.collections["checks"]) == before + 1


@pytest.mark.parametrize(
    "answer", [SimResponse(status=204), SimResponse(status=201, body=b"OK", content_type="text/plain"), SimResponse(json=[])]
)
def test_accepted_check_that_got_no_id_is_done_with_a_warning(contract, answer) -> None:
    with contract.connected() as connection:
        connection.simulator.create = lambda request: answer
        posted = connection.provider.post_guest_check(PAYLOADS["post_guest_check"], KEY)
    assert (posted["reference"], posted["status"]) == ("", "open")
    assert "cannot be read or voided" in posted["warnings"][0]


def test_location_header_names_what_was_made(contract) -> None:
    with contract.connected() as connection:
        connection.simulator.create = lambda request: SimResponse(status=201, headers={"Location": "/checks/77"})
        assert connection.provider.post_guest_check(PAYLOADS["post_guest_check"], KEY)["reference"] == "77"
