"""The Simphony provider: the contract every provider keeps, exact mappings, and its own promises."""

import base64
import hmac
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from integrations.exceptions import (
    ConfigurationError,
    InvalidInput,
    ReauthorizationRequired,
    RecordRejected,
    RequestRejected,
    RetryableProviderError,
    SignatureMismatch,
    UnexpectedResponse,
)
from integrations.records import GuestCheck, InboundEvent, MenuCategory, MenuItem, MenuVariation, StreamQuery
from integrations.services.contract import KEY, ONE_ATTEMPT, ProviderContract
from integrations.services.simphony import mapping
from integrations.services.simphony.manifest import Config, manifest
from integrations.services.simphony.provider import provider
from integrations.services.simphony.signin import cookie_header
from integrations.services.simphony.simulator import SimphonySimulator, connection
from integrations.simulators.server import SimResponse
from integrations.transport.auth import Token
from webhooks.delivery import Delivery
from webhooks.verifiers import Secret, make

FIXTURES = Path(__file__).parent / "fixtures"
CONNECTION = connection("https://sts.example.com")
CONFIG = CONNECTION["config"] | {"open_item_id": None}
CHECK = {
    "check_number": "CHK-1042",
    "room_number": "214",
    "guest_name": "Mara Lind",
    "guest_external_id": "",
    "reservation_external_id": "",
    "items": [
        {
            "name": "Club sandwich",
            "quantity": "2.000",
            "unit_price": "15.99",
            "total_price": "31.98",
            "note": "no bacon",
            "item_external_id": "10103",
            "variation_external_id": "10103-1-1",
            "menu_price": "15.99",
        }
    ],
    "subtotal": "31.98",
    "tax": "2.56",
    "total": "34.54",
    "currency": "EUR",
    "payment_method": "credit_card",
    "payment_status": "pending",
}


def fixture(name: str) -> dict:
    return json.loads((FIXTURES / f"{name}.json").read_text(), parse_float=Decimal)


def settings(**more) -> Config:
    return Config(**(CONFIG | more))


class TestContract(ProviderContract):
    provider = provider
    config = CONFIG
    credentials = CONNECTION["credentials"]
    single_page = frozenset({"checks"})

    def simulator(self, page_size=0):
        return SimphonySimulator(page_size)

    def settings(self, url):
        return {**self.config, "base_url": url, "oidc_url": url}, self.credentials

    def payload(self, operation, connection):
        if operation == "post_guest_check":
            return CHECK
        return {"check_external_id": connection.provider.post_guest_check(CHECK, KEY)["reference"], "reason": "Guest request"}

    def arguments_for(self, operation, connection):
        return {"check_external_id": next(iter(connection.simulator.checks))}

    def effects(self, simulator):
        return simulator.state()["checks"]


@pytest.fixture
def contract() -> TestContract:
    return TestContract()


def menus(connection, cursor=None, stream="menus"):
    """Read a stream; return its records by id and the cursor it leaves."""
    pages = list(getattr(connection.provider, stream)(StreamQuery(cursor=cursor)))
    return {record.external_id: record for page in pages for record in page.records}, pages[-1].cursor


# --- sign-in -------------------------------------------------------------------------------------------------------------------


def test_one_sign_in_serves_every_call_and_the_id_token_is_the_bearer(contract) -> None:
    with contract.connected() as connection:
        connection.provider.test_connection()
        menus(connection)
        assert connection.simulator.counts == {"signins": 1, "refused_signins": 0, "refreshes": 0}
        assert connection.tokens.load().access_token in connection.simulator.id_tokens
        assert connection.tokens.load().expires_at > datetime.now(UTC)


def test_expired_token_is_refreshed_once_and_both_tokens_rotate(contract) -> None:
    with contract.connected() as connection:
        connection.provider.test_connection()
        before = connection.tokens.load()
        connection.simulator.control("expire_tokens", {})
        connection.provider.test_connection()
        after = connection.tokens.load()
        assert connection.simulator.counts == {"signins": 1, "refused_signins": 0, "refreshes": 1}
        assert after.access_token != before.access_token
        assert after.refresh_token != before.refresh_token


def test_spent_refresh_token_falls_back_to_the_password(contract) -> None:
    with contract.connected() as connection:
        connection.tokens.renew(None, lambda current: Token(access_token="old", refresh_token="spent"))
        connection.provider.test_connection()
        assert connection.simulator.counts == {"signins": 1, "refused_signins": 0, "refreshes": 0}


def test_wrong_password_is_sent_once_and_waits_for_a_person(contract) -> None:
    with contract.connected() as connection:
        connection.simulator.password = "changed at the portal"
        for _ in range(3):  # another worker, another job: the refusal is kept where the token would be
            with pytest.raises(ReauthorizationRequired, match="refused the API account"):
                connection.provider.test_connection()
        assert connection.simulator.counts["refused_signins"] == 1
        assert "lock the account" in connection.tokens.load().extra["hint"]


def test_password_that_must_be_changed_first_is_said_so(contract) -> None:
    with contract.connected() as connection:
        connection.simulator.signin = lambda request: SimResponse(json={"nextOp": "changePassword", "success": "true"})
        with pytest.raises(ReauthorizationRequired, match="wants something else first: changePassword"):
            connection.provider.test_connection()


def test_cookies_of_the_sign_in_are_carried_over_whatever_their_dates_look_like() -> None:
    several = "a=1; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT, b=2; HttpOnly, c=x=y"
    assert cookie_header(several) == "a=1; b=2; c=x=y"
    assert cookie_header("") == ""


# --- configuration -------------------------------------------------------------------------------------------------------------


def test_addresses_are_taken_as_emc_shows_them() -> None:
    shown = {"base_url": "https://sts.example.com/api/v1/", "oidc_url": "https://idm.example.com/oidc-provider/v1"}
    config = Config(**(CONFIG | shown))
    assert (config.base_url, config.oidc_url) == ("https://sts.example.com", "https://idm.example.com")


def test_connection_test_names_the_order_types_when_ours_is_not_one(contract) -> None:
    contract.config = CONFIG | {"order_type_ref": 7}
    with contract.connected() as connection, pytest.raises(ConfigurationError, match=r"no order type 7. It has: 1 \(Room service\)"):
        connection.provider.test_connection()


def test_connection_test_says_when_the_till_is_offline(contract) -> None:
    with contract.connected() as connection:
        connection.simulator.control("online", {"online": False})
        report = connection.provider.test_connection()
    assert report.details["till_connected"] == "no"
    assert "checks will wait" in report.summary


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_both_menu_interfaces_are_spoken(contract, version) -> None:
    contract.config = CONFIG | {"menu_version": version}
    with contract.connected() as connection:
        records, _ = menus(connection)
        assert len(records) == 8
        assert ("GET", f"/api/{version}/menus/summary") in connection.simulator.requests


# --- menus ---------------------------------------------------------------------------------------------------------------------


def test_menu_is_mapped_exactly() -> None:
    menu, sold_out = fixture("menu"), dict(map(mapping.sold_out, fixture("items_unavailable")["items"]))
    items = [mapping.menu_item(item, sold_out, settings(), "EUR") for item in menu["menuItems"]]
    assert mapping.category(menu["familyGroups"][3], settings(language="de-DE")) == MenuCategory(external_id="40", name="Getränke")
    assert items[3] == MenuItem(
        external_id="10104",
        name="Grilled sea bass",
        category_external_id="20",
        variations=(
            MenuVariation(external_id="10104-1-1", name="For one", price=Decimal(24), currency="EUR"),
            MenuVariation(external_id="10104-2-1", name="For two", price=Decimal(46), currency="EUR", is_available=False, position=1),
        ),
    )
    assert items[5].variations == (
        MenuVariation(external_id="10106-1-1", name="Glass", price=Decimal("5.5"), currency="EUR"),
        MenuVariation(external_id="10106-1-2", name="Bottle", price=Decimal(21), currency="EUR", position=1),
    )
    assert not items[1].is_available
    assert items[7].variations == (MenuVariation(external_id="10199-1-0", currency="EUR"),)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"name": "Nameless"}, "menuItemId"),
        ({"menuItemId": 5, "definitions": []}, "no definition"),
        ({"menuItemId": 5, "definitions": [{"definitionSequence": 1, "prices": [{"price": "cheap"}]}]}, "price: “cheap” is not an amount"),
    ],
)
def test_item_that_cannot_be_sold_is_rejected_with_its_reason(item, reason) -> None:
    with pytest.raises(RecordRejected, match=reason):
        mapping.menu_item(item, {}, settings(), "EUR")


def test_unchanged_menu_is_not_sent_again(contract) -> None:
    with contract.connected() as connection:
        _, cursor = menus(connection)
        again, _ = menus(connection, json.loads(json.dumps(cursor)))
        assert again == {}
        assert [exchange.http_status for exchange in connection.exchanges].count(304) == 1


def test_changed_menu_brings_its_prices_and_says_what_left_it(contract) -> None:
    with contract.connected() as connection:
        _, cursor = menus(connection)
        connection.simulator.control("price", {"item": 10103, "price": 16.50})
        connection.simulator.control("remove_item", {"item": 10105})
        again, _ = menus(connection, cursor)
        assert again["10103"].variations[0].price == Decimal("16.5")
        assert again["10105"] == MenuItem(external_id="10105", deleted=True)


def test_sold_out_dish_is_noticed_though_the_menu_did_not_change(contract) -> None:
    with contract.connected() as connection:
        _, cursor = menus(connection)
        connection.simulator.control("sold_out", {"items": [10103]})
        again, _ = menus(connection, cursor)
        assert not again["10103"].is_available
        assert again["10102"].is_available


def test_revenue_center_without_menus_deletes_nothing(contract) -> None:
    with contract.connected() as connection:
        _, cursor = menus(connection)
        connection.simulator.menus.clear()
        with pytest.raises(UnexpectedResponse, match="lists no menu"):
            menus(connection, cursor)


# --- checks --------------------------------------------------------------------------------------------------------------------


def test_check_is_mapped_exactly() -> None:
    assert mapping.guest_check(fixture("check_open"), "EUR") == GuestCheck(
        external_id="929aacee2c6d42c78ae877e824c28eed00000431",
        status="open",
        status_original="open",
        total=Decimal("34.54"),
        amount_due=Decimal("24.54"),
        currency="EUR",
    )
    assert mapping.guest_check({"header": {"checkRef": "x", "status": "Parked"}}, "EUR").status == "unknown"


def test_check_body_is_built_exactly() -> None:
    assert mapping.check_body(CHECK, KEY, settings()) == {
        "header": {
            "orgShortName": "grandhotel",
            "locRef": "bar01",
            "rvcRef": 42,
            "idempotencyId": "5f0c9a516d5e4f0a9d2b3c1f0e7a8b11",
            "checkEmployeeRef": 1929,
            "orderTypeRef": 1,
            "checkName": "214-5f0c9a51",
            "guestCount": 1,
            "informationLines": ["Hospient CHK-1042", "Room 214", "Mara Lind"],
        },
        "menuItems": [{"menuItemId": 10103, "definitionSequence": 1, "priceSequence": 1, "quantity": 2, "referenceText": "no bacon"}],
        "tenders": [],
    }


def test_amounts_go_over_the_wire_as_exact_decimals(contract) -> None:
    line = CHECK["items"][0] | {"quantity": "1.250", "unit_price": "0.10", "total_price": "0.13"}
    paid = CHECK | {"items": [line], "subtotal": "0.13", "tax": "0.00", "total": "0.13", "payment_status": "paid"}
    with contract.connected() as connection:
        connection.provider.post_guest_check(paid, KEY)
        body = json.loads(connection.simulator.bodies[0], parse_float=Decimal)
    assert (body["menuItems"][0]["unitPrice"], body["menuItems"][0]["quantity"]) == (Decimal("0.10"), Decimal("1.25"))
    assert body["tenders"] == [{"tenderId": 85, "total": Decimal("0.13")}]


def test_long_note_is_never_cut_off_without_being_printed_whole() -> None:
    note = "allergic to crustaceans, not even traces"
    body = mapping.check_body(CHECK | {"items": [CHECK["items"][0] | {"note": note}]}, KEY, settings())
    assert body["menuItems"][0]["referenceText"] == "allergic to crustace"
    assert body["header"]["informationLines"][-1] == f"Club sandwich: {note}"


def test_line_that_is_not_on_the_menu_needs_an_open_item() -> None:
    line = CHECK["items"][0] | {"name": "Birthday cake", "variation_external_id": "", "item_external_id": "", "menu_price": "", "note": ""}
    payload = CHECK | {"items": [line]}
    with pytest.raises(InvalidInput) as caught:
        mapping.check_body(payload, KEY, settings())
    assert "items.0" in caught.value.errors
    body = mapping.check_body(payload, KEY, settings(open_item_id=10199))
    assert body["menuItems"] == [
        {
            "menuItemId": 10199,
            "definitionSequence": 1,
            "quantity": 2,
            "unitPrice": Decimal("15.99"),
            "referenceText": "Birthday cake",
        }
    ]


def test_paid_check_is_closed_with_its_tender_and_an_unpaid_one_stays_open(contract) -> None:
    with contract.connected() as connection:
        paid = connection.provider.post_guest_check(CHECK | {"payment_status": "paid"}, KEY)
        unpaid = connection.provider.post_guest_check(CHECK, KEY.replace("5f0c", "6f0c"))
    assert (paid["status"], unpaid["status"]) == ("closed", "open")
    with pytest.raises(ConfigurationError, match="no tender"):
        mapping.check_body(CHECK | {"payment_status": "paid"}, KEY, settings(tender_id=None))
    assert mapping.check_body(CHECK, KEY, settings(service_total_id=90))["tenders"] == [{"tenderId": 90, "total": 0}]


def test_different_total_is_a_warning_and_another_currency_is_refused(contract) -> None:
    with contract.connected() as connection:
        answer = connection.provider.post_guest_check(CHECK | {"total": "31.98"}, KEY)
        assert answer["total"] == "34.54"
        assert "compare prices and taxes" in answer["warnings"][0]
        with pytest.raises(InvalidInput, match="works in EUR"):
            connection.provider.post_guest_check(CHECK | {"currency": "USD"}, KEY)


def test_duplicate_still_in_progress_is_an_unknown_outcome_not_a_refusal(contract) -> None:
    with contract.connected(policy=ONE_ATTEMPT) as connection:
        connection.simulator.fail("still_working")
        with pytest.raises(RetryableProviderError) as caught:
            connection.provider.post_guest_check(CHECK, KEY)
    assert caught.value.maybe_done


@pytest.mark.parametrize("answer", [[], {"header": {}}, {"checkRef": "elsewhere"}])
def test_answer_that_does_not_name_the_check_is_looked_up_before_anything_is_sent_again(contract, answer) -> None:
    with contract.connected() as connection:
        connection.simulator.post_check = lambda request: SimResponse(json=answer)
        with pytest.raises(UnexpectedResponse) as caught:
            connection.provider.post_guest_check(CHECK, KEY)
    assert caught.value.maybe_done


def test_same_key_within_five_minutes_is_noticed_by_simphony(contract) -> None:
    with contract.connected() as connection:
        first = connection.provider.post_guest_check(CHECK, KEY)
        before = len(connection.simulator.checks)
        assert connection.provider.post_guest_check(CHECK, KEY)["reference"] == first["reference"]
        assert len(connection.simulator.checks) == before


def test_check_is_found_by_its_name_long_after_simphony_forgot_the_key(contract) -> None:
    with contract.connected() as connection:
        answer = connection.provider.post_guest_check(CHECK, KEY)
        connection.simulator.answered.clear()
        assert connection.provider.find_post_guest_check(CHECK, KEY)["reference"] == answer["reference"]
        assert connection.provider.find_post_guest_check(CHECK, KEY.replace("5f0c", "6f0c")) is None


def test_cancelling_what_was_never_there_or_is_closed_is_refused(contract) -> None:
    with contract.connected() as connection:
        with pytest.raises(RequestRejected, match="invalid"):
            connection.provider.void_check({"check_external_id": "no-such-check", "reason": ""}, KEY)
        paid = connection.provider.post_guest_check(CHECK | {"payment_status": "paid"}, KEY)
        with pytest.raises(RequestRejected, match="closed"):
            connection.provider.void_check({"check_external_id": paid["reference"], "reason": ""}, KEY)


def test_closing_a_check_at_the_till_is_noticed_by_polling(contract) -> None:
    with contract.connected() as connection:
        reference = connection.provider.post_guest_check(CHECK, KEY)["reference"]
        checks, cursor = menus(connection, stream="checks")
        assert checks[reference].status == "open"
        connection.simulator.control("close_check", {"check": reference})
        checks, _ = menus(connection, cursor, stream="checks")
    assert checks[reference].status == "closed"
    assert checks[reference].amount_due == 0


def test_check_of_another_revenue_center_is_passed_over(contract) -> None:
    with contract.connected() as connection:
        pages = list(connection.provider.checks(StreamQuery(external_ids=("elsewhere",))))
    assert [page.records for page in pages] == [[]]


# --- notifications -------------------------------------------------------------------------------------------------------------


def test_notifications_are_read_exactly() -> None:
    check, second = manifest.webhooks.parse({}, fixture("webhook_check_submitted"))
    assert check == InboundEvent(
        event_type="CheckNotification",
        event_id="8253c2a5-5b3c-497d-a87f-f8bb2e250ba7",
        object_type="guest_check",
        object_id="929aacee2c6d42c78ae877e824c28eed00000431",
        occurred_at=datetime(2026, 3, 13, 15, 40, 44, 501000, tzinfo=UTC),
        refresh=("checks",),
    )
    assert second._replace(event_id="") != check._replace(event_id="")
    assert manifest.webhooks.parse({}, fixture("webhook_menu_changed"))[0].refresh == ("categories", "menus")
    assert manifest.webhooks.parse({}, fixture("webhook_employees_changed"))[0].refresh == ()


def test_notification_signed_as_oracle_documents_it_is_accepted_and_a_changed_one_is_not() -> None:
    # Oracle's "Post Webhook": the Base64 of an HMAC-SHA256 over the body in ASCII; the key is what the subscriber's key decodes to.
    key, body = base64.b64encode(b"k" * 32).decode(), (FIXTURES / "webhook_check_submitted.json").read_bytes()
    digest = base64.b64encode(hmac.digest(b"k" * 32, body, "sha256")).decode()
    verifier = make(manifest.webhooks.verifier, manifest.webhooks.parameters)
    delivery = Delivery(
        integration_id=1, headers={"digest": digest, "key-id": "key-1"}, path_secret="", body=body, received_at=datetime.now(UTC)
    )
    verifier.verify(delivery, [Secret(key, "key-1")], "")
    with pytest.raises(SignatureMismatch):
        verifier.verify(delivery._replace(body=body + b" "), [Secret(key, "key-1")], "")
    with pytest.raises(SignatureMismatch):
        verifier.verify(delivery, [Secret(key, "another-key")], "")
