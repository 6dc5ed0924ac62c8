"""Square: what every provider must do, and what only Square does."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    ProviderUnavailable,
    RateLimited,
    ReauthorizationRequired,
    RecordRejected,
    RequestRejected,
    UnexpectedResponse,
    VersionConflict,
)
from integrations.records import GuestCheck, MenuCategory, MenuItem, MenuTax, MenuVariation, ModifierList, StreamQuery
from integrations.services.contract import KEY, Connection, ProviderContract, connect
from integrations.services.square import mapping
from integrations.services.square.manifest import SquareConfig, SquareCredentials
from integrations.services.square.provider import SquareProvider
from integrations.services.square.simulator import (
    APPLICATION_ID,
    APPLICATION_SECRET,
    POOL_BAR,
    REFRESH_TOKEN,
    RESTAURANT,
    TOKEN,
    SquareSimulator,
)
from integrations.services.square.webhooks import parse
from integrations.simulators.server import SimRequest, SimResponse, running
from integrations.transport.auth import MemoryTokenStore, Token
from integrations.values import minor_digits

FIXTURES = Path(__file__).parent / "fixtures"
BAR, POOL, ROOF = "LTESTBAR01", "LTESTPOOL01", "LTESTROOF01"
CLUB = ("SIMITEM0010", "SIMVAR001001")
CHECK = {
    "check_number": "1042",
    "room_number": "214",
    "guest_name": "Ana Example",
    "guest_external_id": "",
    "reservation_external_id": "",
    "items": [
        {
            "name": "Club sandwich",
            "quantity": "2",
            "unit_price": "14.50",
            "total_price": "29.00",
            "note": "no bacon",
            "item_external_id": CLUB[0],
            "variation_external_id": CLUB[1],
            "menu_price": "14.5000",
        },
        {
            "name": "Room service",
            "quantity": "1",
            "unit_price": "5.00",
            "total_price": "5.00",
            "note": "",
            "item_external_id": "",
            "variation_external_id": "",
            "menu_price": None,
        },
    ],
    "subtotal": "34.00",
    "tax": "2.72",
    "total": "36.72",
    "currency": "EUR",
    "payment_method": "credit_card",
    "payment_status": "paid",
}


class TestContract(ProviderContract):
    provider = SquareProvider
    credentials = {"accessToken": TOKEN, "locationId": RESTAURANT, "application_secret": APPLICATION_SECRET, "refresh_token": REFRESH_TOKEN}

    def simulator(self, page_size: int = 0) -> SquareSimulator:
        simulator = SquareSimulator(page_size=page_size or 1000)
        simulator.catalog.tick()  # long after its objects were made
        for _ in range(7):
            simulator.ring_up(1250)
        return simulator

    def payload(self, operation: str, connection: Connection) -> Mapping[str, Any]:
        if operation == "post_guest_check":
            return CHECK
        posted = connection.provider.post_guest_check(CHECK | {"payment_status": "pending"}, "a-key-of-another-operation")
        return {"check_external_id": posted["reference"], "reason": "Guest request"}

    def arguments_for(self, operation: str, connection: Connection) -> Mapping[str, Any]:
        return {"check_external_id": connection.provider.post_guest_check(CHECK, KEY)["reference"]}


@pytest.fixture
def square() -> Iterator[Connection]:
    simulator = SquareSimulator(page_size=10)
    simulator.catalog.tick()  # long after its objects were made
    with TestContract().connected(simulator) as connection:
        yield connection


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(), parse_float=Decimal)


def read(connection: Connection, stream: str, **query: Any) -> list[Any]:
    return [record for page in getattr(connection.provider, stream)(StreamQuery(**query)) for record in page.records]


def cursor_of(connection: Connection, stream: str = "menus", **query: Any) -> Mapping[str, Any]:
    pages = list(getattr(connection.provider, stream)(StreamQuery(**query)))
    return pages[-1].cursor


# --- mapping -------------------------------------------------------------------------------------------------------------------

CLUB_SANDWICH = MenuItem(
    external_id="ITEMCLUB01",
    version=1773512551000,
    updated_at=datetime(2026, 3, 14, 18, 22, 31, tzinfo=UTC),
    name="Club sandwich",
    description="Chicken, bacon",
    category_external_id="CATSNACK01",
    position=-2250562342289408,
    variations=(
        MenuVariation(
            external_id="VARREG01",
            version=1773512551000,
            updated_at=datetime(2026, 3, 14, 18, 22, 31, tzinfo=UTC),
            name="Regular",
            sku="CLUB-R",
            price=Decimal("14.50"),
            currency="EUR",
            position=1,
        ),
    ),
    modifier_list_external_ids=("MODEXTRA01",),
    tax_external_ids=("TAX10",),
)


def test_item_is_mapped_with_the_price_and_variations_of_its_location() -> None:
    assert mapping.to_record(fixture("catalog_item"), BAR) == CLUB_SANDWICH
    at_the_pool = mapping.to_record(fixture("catalog_item"), POOL)
    assert [(v.name, v.price) for v in at_the_pool.variations] == [("Regular", Decimal("16.50")), ("Half", Decimal("8.90"))]
    on_the_roof = mapping.to_record(fixture("catalog_item"), ROOF)
    assert on_the_roof.variations == (replace(CLUB_SANDWICH.variations[0], price=None, currency="", is_available=False),)
    assert not on_the_roof.is_available


def test_item_untouched_since_2022_keeps_its_deprecated_fields() -> None:
    tea = mapping.to_record(fixture("catalog_item_of_2022"), BAR)
    assert (tea.description, tea.category_external_id, tea.is_available) == ("Hot leaf juice", "CATDRINK01", False)
    assert tea.variations == (MenuVariation(external_id="VARTEA01", name="Mug"),)


@pytest.mark.parametrize(("name", "location"), [("catalog_item_deleted", BAR), ("catalog_item_of_2022", POOL)])
def test_item_that_is_deleted_or_not_offered_here_counts_as_gone(name: str, location: str) -> None:
    gone = mapping.to_record(fixture(name), location)
    assert gone == MenuItem(external_id=gone.external_id, version=gone.version, updated_at=gone.updated_at, deleted=True)


def test_modifier_list_keeps_its_options_in_order_with_the_prices_of_the_location() -> None:
    extras = mapping.to_record(fixture("catalog_modifier_list"), BAR)
    options = (
        {"external_id": "MODBACON01", "name": "Bacon", "price": "2.00", "currency": "EUR", "on_by_default": False, "is_available": True},
        {"external_id": "MODCHEESE01", "name": "Cheese", "price": "0.00", "currency": "EUR", "on_by_default": True, "is_available": True},
        {"external_id": "MODNONE01", "name": "No onion", "price": None, "currency": "", "on_by_default": False, "is_available": True},
    )
    assert extras == ModifierList(
        external_id="MODEXTRA01",
        version=1773512400000,
        updated_at=datetime(2026, 3, 14, 18, 20, tzinfo=UTC),
        name="Extras",
        options=options,
    )


def test_category_and_tax_are_mapped() -> None:
    category = mapping.to_record(fixture("catalog_category"), BAR)
    assert (category.name, category.position, category.parent_external_id) == ("Snacks", 3, "CATFOOD01")
    tax = mapping.to_record(fixture("catalog_tax"), BAR)
    assert (tax.name, tax.percentage, tax.is_included, tax.is_active) == ("IVA 13 %", Decimal(13), True, False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"item_data": {}}, "name: Field required"),
        ({"item_data": "soup"}, "its data is not an object"),
        ({"item_data": {"name": 5}}, "name: Input should be a valid string"),
        ({"item_data": {"name": "Soup", "variations": 7}}, "variations: Input should be a valid tuple"),
        ({"item_data": {"name": "Soup", "variations": [7]}}, "variations.0: Input should be a valid dictionary"),
        ({"updated_at": "yesterday"}, "updated_at: Input should be a valid datetime"),
        ({"id": ""}, "id: String should have at least 1 character"),
    ],
)
def test_malformed_item_is_rejected_with_the_field_that_is_wrong(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordRejected, match=reason):
        mapping.to_record(fixture("catalog_item") | changes, BAR)
    with pytest.raises(RecordRejected, match=r"variations\.0\.price_money\.amount: Input should be a valid integer"):
        mapping.to_record(fixture("catalog_item_malformed"), BAR)


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [("12.50", "EUR", 1250), ("1200", "JPY", 1200), ("1.234", "KWD", 1234), ("-3.10", "USD", -310), ("0.105", "EUR", 10)],
)
def test_money_follows_the_exponent_of_its_currency(value: str, currency: str, amount: int) -> None:
    assert mapping.to_money(value, currency) == {"amount": amount, "currency": currency}
    assert mapping.Money(amount=amount, currency=currency).value == round(Decimal(value), minor_digits(currency))


@pytest.mark.parametrize(
    ("tax", "subtotal", "percentage"),
    [("2.56", "31.98", "8"), ("2.72", "34.00", "8"), ("4.42", "34.00", "13"), ("1.00", "99999.99", "0.001"), ("0.01", "0.03", "33"), ("5.00", "0", "0")],
)  # fmt: skip
def test_tax_becomes_the_shortest_percentage_that_comes_to_it(tax: str, subtotal: str, percentage: str) -> None:
    assert mapping.tax_percentage(Decimal(tax), subtotal, "EUR") == percentage


def test_every_tax_of_a_check_below_100_000_is_hit_to_the_cent() -> None:
    for base in (1, 7, 333, 3198, 99_999, 1_234_567, 9_999_999):
        for wanted in {0, 1, base // 3, base // 7, base}:
            percentage = mapping.tax_percentage(Decimal(wanted) / 100, Decimal(base) / 100, "EUR")
            assert round(base * Decimal(percentage) / 100) == wanted
            assert len(percentage) <= 10


def test_orders_are_mapped_to_checks() -> None:
    assert mapping.to_check(fixture("order_open")) == GuestCheck(
        external_id="OTESTORDER0001",
        version=4,
        updated_at=datetime(2026, 3, 14, 18, 22, 30, tzinfo=UTC),
        status="open",
        status_original="OPEN",
        total=Decimal("34.00"),
        amount_due=Decimal("24.00"),
        currency="EUR",
    )
    at_the_till = mapping.to_check(fixture("order_from_the_till"))
    assert (at_the_till.status, at_the_till.status_original, at_the_till.total) == ("unknown", "ON_HOLD", Decimal(1200))


def test_order_tells_square_what_the_guest_had_and_nothing_of_the_guest() -> None:
    order = mapping.to_order(CHECK, BAR)
    assert order == {
        "location_id": BAR,
        "reference_id": "1042",
        "ticket_name": "Room 214",
        "source": {"name": "Hospient"},
        "line_items": [
            {"note": "no bacon", "quantity": "2", "catalog_object_id": CLUB[1]},
            {"quantity": "1", "name": "Room service", "base_price_money": {"amount": 500, "currency": "EUR"}},
        ],
        "taxes": [{"uid": "tax", "name": "Tax", "type": "ADDITIVE", "scope": "ORDER", "percentage": "8"}],
    }
    assert "Ana" not in json.dumps(order)


def test_line_at_another_price_than_the_menus_is_posted_by_name() -> None:
    club = CHECK["items"][0]
    (line,) = mapping.to_order(CHECK | {"items": [club | {"unit_price": "12.00", "total_price": "24.00"}]}, BAR)["line_items"]
    assert line == {"note": "no bacon", "quantity": "2", "name": "Club sandwich", "base_price_money": {"amount": 1200, "currency": "EUR"}}


@pytest.mark.parametrize(
    ("quantity", "price", "total", "cents"), [("8", "0.125", "1.00", 100), ("3", "3.3333", "10.00", 1000), ("3", "3.33", "10.00", 1000)]
)
def test_line_comes_to_what_the_guest_saw(quantity: str, price: str, total: str, cents: int) -> None:
    item = CHECK["items"][0] | {"quantity": quantity, "unit_price": price, "total_price": total, "menu_price": price}
    (line,) = mapping.to_order(CHECK | {"items": [item]}, BAR)["line_items"]
    assert (line["quantity"], line["base_price_money"]["amount"]) == ("1", cents)
    assert line["name"] == f"{quantity} × Club sandwich"


def test_fraction_of_a_portion_becomes_one_line_at_its_total() -> None:
    club = CHECK["items"][0] | {"quantity": "2.500", "total_price": "36.25"}
    (line,) = mapping.to_order(CHECK | {"items": [club]}, BAR)["line_items"]
    assert (line["quantity"], line["name"], line["base_price_money"]["amount"]) == ("1", "2.5 × Club sandwich", 3625)


# --- set-up --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credentials", [{"apiKey": "k", "locationId": "L"}, {"accessToken": "k", "locationId": "L"}])
def test_the_documented_credentials_are_taken_as_written(credentials: dict[str, str]) -> None:
    read_back = SquareCredentials.model_validate(credentials)
    assert (read_back.access_token.get_secret_value(), read_back.location_id) == ("k", "L")


@pytest.mark.parametrize(
    ("base_url", "called"),
    [
        ("", "https://connect.squareupsandbox.com"),
        ("https://api.square.com/v2", "https://connect.squareupsandbox.com"),
        ("https://connect.squareup.com", "https://connect.squareupsandbox.com"),
        ("http://127.0.0.1:4917/", "http://127.0.0.1:4917"),
        ("https://notsquareup.com", "https://notsquareup.com"),
    ],
)
def test_squares_own_names_leave_the_address_to_the_environment(base_url: str, called: str) -> None:
    config = SquareConfig.model_validate({"baseUrl": base_url, "endpoints": {"menus": "/catalog/items"}, "testEndpoint": "/health"})
    assert SquareProvider.base_url("sandbox", config) == called


def test_every_call_names_the_version_of_the_interface_it_was_written_for(square: Connection) -> None:
    read(square, "menus")
    square.provider.post_guest_check(CHECK, KEY)
    assert {exchange.request_data["headers"]["Square-Version"] for exchange in square.exchanges} == {"2025-08-20"}


@pytest.mark.parametrize(
    ("location", "message"), [("LNOWHERE", "Square has no location LNOWHERE"), ("LSIMOLD0000001", "Old cellar is not active")]
)
def test_location_that_is_missing_or_closed_fails_the_connection_test(location: str, message: str) -> None:
    with running(SquareSimulator()) as served:
        connection = connect(SquareProvider, config={"base_url": served.url}, credentials={"access_token": TOKEN, "location_id": location})
        with pytest.raises(ConfigurationError, match=message) as caught:
            connection.provider.test_connection()
    assert caught.value.hint


def test_connection_test_tells_the_location_apart(square: Connection) -> None:
    assert square.provider.test_connection().details == {
        "location": "Restaurant Miramar",
        "currency": "EUR",
        "time_zone": "Europe/Lisbon",
        "merchant_id": "MLSIMHOTEL001",
    }


# --- streams -------------------------------------------------------------------------------------------------------------------


def test_what_items_refer_to_comes_before_them(square: Connection) -> None:
    types = [type(record) for record in read(square, "menus")]
    assert set(types) == {MenuCategory, ModifierList, MenuTax, MenuItem}
    assert types.index(MenuItem) > max(place for place, kind in enumerate(types) if kind is not MenuItem)


def test_full_run_leaves_out_what_the_location_does_not_offer(square: Connection) -> None:
    records = read(square, "menus")
    names = {record.name for record in records}
    assert "Club sandwich" in names
    assert "Pool snack" not in names
    assert not [record for record in records if record.deleted]


def test_changed_price_of_a_variation_brings_its_item(square: Connection) -> None:
    cursor = cursor_of(square)
    square.simulator.control("change_price", {"variation_id": CLUB[1], "cents": 1550})
    (item,) = read(square, "menus", cursor=cursor)
    assert (item.external_id, item.variations[0].price) == (CLUB[0], Decimal("15.50"))


def test_changed_modifier_brings_its_list(square: Connection) -> None:
    cursor = cursor_of(square)
    modifier, modifier_list = square.simulator.catalog.find("SIMMOD0401")
    modifier["modifier_data"]["name"] = "Smoked bacon"
    square.simulator.catalog.touch(modifier, modifier_list)
    (extras,) = read(square, "menus", cursor=cursor)
    assert extras.options[0]["name"] == "Smoked bacon"


def test_deleted_withdrawn_and_added_items_are_told_apart(square: Connection) -> None:
    cursor = cursor_of(square)
    square.simulator.control("delete_item", {"item_id": CLUB[0]})
    added = square.simulator.control("add_item", {"name": "Gazpacho", "cents": 690})["item_id"]
    catalog = square.simulator.catalog
    catalog.stored["SIMITEM0001"]["absent_at_location_ids"] = [RESTAURANT]
    catalog.touch(catalog.stored["SIMITEM0001"], catalog.stored["SIMITEM0001"])
    found = {record.external_id: record.deleted for record in read(square, "menus", cursor=cursor)}
    assert found == {CLUB[0]: True, "SIMITEM0001": True, added: False}


def test_nothing_changed_means_nothing_read(square: Connection) -> None:
    assert read(square, "menus", cursor=cursor_of(square)) == []


def test_next_run_starts_where_the_catalog_stood_when_this_one_began(square: Connection) -> None:
    pages = square.provider.menus(StreamQuery())
    next(pages)
    square.simulator.control("change_price", {"variation_id": CLUB[1], "cents": 1550})
    cursor = [page.cursor for page in pages][-1]
    assert [record.external_id for record in read(square, "menus", cursor=cursor)] == [CLUB[0]]


def test_lapsed_cursor_starts_the_pass_again(square: Connection) -> None:
    whole = {record.external_id for record in read(square, "menus")}
    pages = list(square.provider.menus(StreamQuery()))
    square.simulator.control("expire_cursors", {})
    stored = {record.external_id for page in pages[:4] for record in page.records}
    rest = {record.external_id for record in read(square, "menus", checkpoint=pages[3].checkpoint)}
    assert stored | rest == whole


def test_one_malformed_item_is_rejected_and_the_rest_arrives(square: Connection) -> None:
    count = len(read(square, "menus"))
    square.simulator.catalog.stored[CLUB[0]]["item_data"]["variations"][0]["item_variation_data"]["price_money"] = {"amount": 5.5}
    pages = list(square.provider.menus(StreamQuery()))
    (rejected,) = [rejected for page in pages for rejected in page.rejected]
    assert (rejected.external_id, rejected.record_type) == (CLUB[0], "menu_item")
    assert "price_money" in rejected.reason
    assert sum(len(page.records) for page in pages) == count - 1


def test_vendor_that_sends_the_same_page_for_ever_is_stopped(square: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def same_page(request: SimRequest) -> SimResponse:
        return SimResponse(json={"objects": [], "cursor": "123"})

    monkeypatch.setattr(square.simulator, "search_catalog", same_page)
    with pytest.raises(UnexpectedResponse, match="same page twice"):
        read(square, "menus")


def test_answer_of_another_shape_is_unexpected_rather_than_a_crash(square: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for odd in ([], {"objects": 7}, {"cursor": {}}):
        monkeypatch.setattr(square.simulator, "search_catalog", lambda request, odd=odd: SimResponse(json=odd))
        with pytest.raises(UnexpectedResponse):
            read(square, "menus")


def test_a_variations_id_reads_its_item_and_a_deleted_id_says_so(square: Connection) -> None:
    square.simulator.control("delete_item", {"item_id": "SIMITEM0002"})
    found = read(square, "menus", external_ids=(CLUB[1], "SIMITEM0002", "SIMTAX01", "SIMITEM9999"))
    assert [(type(r), r.external_id, r.deleted) for r in found] == [
        (MenuItem, "SIMITEM0002", True),
        (MenuTax, "SIMTAX01", False),
        (MenuItem, CLUB[0], False),
    ]


def test_checks_of_other_locations_are_not_read(square: Connection) -> None:
    ours, theirs = square.simulator.ring_up(1000), square.simulator.ring_up(2000)
    square.simulator.orders[theirs]["location_id"] = POOL_BAR
    assert [check.external_id for check in read(square, "checks")] == [ours]
    assert [check.external_id for check in read(square, "checks", external_ids=(theirs, ours, "OGONE"))] == [ours]
    with pytest.raises(RequestRejected, match="no such check"):
        square.provider.get_check_status(theirs)
    with pytest.raises(RequestRejected, match="no such check"):
        square.provider.void_check({"check_external_id": theirs, "reason": ""}, KEY)
    assert square.simulator.orders[theirs]["state"] == "OPEN"


# --- posting -------------------------------------------------------------------------------------------------------------------


def test_paid_check_is_posted_and_settled_with_an_external_payment(square: Connection) -> None:
    answer = square.provider.post_guest_check(CHECK, KEY)
    order = square.simulator.orders[answer["reference"]]
    assert answer == {"reference": order["id"], "status": "closed", "total": "36.72", "warnings": []}
    (payment,) = square.simulator.payments.values()
    assert payment["external_details"] == {"type": "CARD", "source": "Credit card"}
    assert payment["status"] == "COMPLETED"
    assert square.provider.get_check_status(order["id"]).amount_due == 0


def test_check_paid_in_cash_is_recorded_as_cash(square: Connection) -> None:
    square.provider.post_guest_check(CHECK | {"payment_method": "cash"}, KEY)
    (payment,) = square.simulator.payments.values()
    assert (payment["source_type"], payment["cash_details"]["buyer_supplied_money"]["amount"]) == ("CASH", 3672)


def test_check_on_the_house_is_settled_without_a_payment(square: Connection) -> None:
    item = CHECK["items"][1] | {"unit_price": "0.00", "total_price": "0.00"}
    answer = square.provider.post_guest_check(CHECK | {"items": [item], "subtotal": "0.00", "tax": "0", "total": "0.00"}, KEY)
    assert answer["status"] == "closed"
    assert not square.simulator.payments


def test_total_that_differs_at_square_is_a_warning_and_is_not_paid(square: Connection) -> None:
    square.simulator.control("change_price", {"variation_id": CLUB[1], "cents": 1500})
    answer = square.provider.post_guest_check(CHECK, KEY)
    assert answer["status"] == "open"
    assert answer["total"] == "37.80"
    assert "37.80, not 36.72" in answer["warnings"][0]
    assert "It is open there" in answer["warnings"][0]
    assert not square.simulator.payments


def test_check_whose_payment_is_refused_keeps_its_reference(square: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(square.simulator, "scopes", [s for s in square.simulator.scopes if s != "PAYMENTS_WRITE"])
    answer = square.provider.post_guest_check(CHECK, KEY)
    assert (answer["status"], answer["reference"]) == ("open", "SIMORDER00000001")
    assert "PAYMENTS_WRITE" in answer["warnings"][0]


def test_item_square_no_longer_sells_is_refused_with_squares_own_words(square: Connection) -> None:
    square.simulator.control("delete_item", {"item_id": CLUB[0]})
    with pytest.raises(RequestRejected, match=CLUB[1]) as caught:
        square.provider.post_guest_check(CHECK, KEY)
    assert caught.value.vendor_code == "NOT_FOUND"


# --- voiding -------------------------------------------------------------------------------------------------------------------


def post(square: Connection, **changes: Any) -> dict[str, Any]:
    answer = square.provider.post_guest_check(CHECK | {"payment_status": "pending"} | changes, "a-key-of-another-operation")
    return square.simulator.orders[answer["reference"]]


def void(square: Connection, order: Mapping[str, Any]) -> Mapping[str, Any]:
    return square.provider.void_check({"check_external_id": order["id"], "reason": "Guest request"}, KEY)


def test_void_cancels_payments_and_fulfillments_before_the_order(square: Connection) -> None:
    order = post(square)
    order["fulfillments"] = [{"uid": "f1", "type": "PICKUP", "state": "PROPOSED"}, {"uid": "f2", "type": "PICKUP", "state": "COMPLETED"}]
    body = {"order_id": order["id"], "amount_money": {"amount": 500, "currency": "EUR"}, "autocomplete": False}
    payment_id = square.simulator._create_payment(
        body | {"source_id": "CASH", "cash_details": {"buyer_supplied_money": body["amount_money"]}}
    )
    assert void(square, order) == {"reference": order["id"], "status": "voided"}
    assert order["state"] == "CANCELED"
    assert [one["state"] for one in order["fulfillments"]] == ["CANCELED", "COMPLETED"]
    assert square.simulator.payments[payment_id]["status"] == "CANCELED"
    assert all(exchange.status == "success" for exchange in square.exchanges), "it stumbled over a version of its own making"


def test_void_of_a_voided_check_is_done_already(square: Connection) -> None:
    order = post(square)
    void(square, order)
    version = order["version"]
    assert void(square, order)["status"] == "voided"
    assert order["version"] == version


@pytest.mark.parametrize("how", ["paid", "till"])
def test_check_that_is_paid_or_from_the_till_is_not_voided(square: Connection, how: str) -> None:
    order = post(square, payment_status="paid") if how == "paid" else square.simulator.orders[square.simulator.ring_up(990)]
    with pytest.raises(RequestRejected) as caught:
        void(square, order)
    assert not caught.value.retryable
    assert caught.value.hint in ("Refund it in Square.", "Void it there.")
    assert order["state"] != "CANCELED"


def test_check_that_changes_meanwhile_is_read_again(square: Connection) -> None:
    order = post(square)
    square.simulator.fail("conflict", times=2)
    assert void(square, order)["status"] == "voided"
    assert square.simulator.requests.count(("GET", f"/v2/orders/{order['id']}")) == 3
    updates = [exchange.request_data["body"] for exchange in square.exchanges if exchange.operation_name == "update_order"]
    assert len({update["idempotency_key"] for update in updates}) == 3, "another version is another change, and needs another key"


def test_check_that_never_stops_changing_is_given_up(square: Connection) -> None:
    order = post(square)
    square.simulator.fail("conflict", times=50)
    with pytest.raises(VersionConflict):
        void(square, order)
    assert square.simulator.requests.count(("GET", f"/v2/orders/{order['id']}")) == 4


def test_void_that_square_only_pretends_to_do_is_found_out(square: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    order = post(square)
    monkeypatch.setattr(square.simulator, "update_order", square.simulator.retrieve_order)
    with pytest.raises(UnexpectedResponse, match="still open"):
        void(square, order)


def test_check_id_cannot_lead_to_another_address(square: Connection) -> None:
    with pytest.raises(RequestRejected):
        square.provider.get_check_status("../locations?x=")
    assert all(path.startswith("/v2/orders/..%2Flocations") for _, path in square.simulator.requests)


# --- signing in ----------------------------------------------------------------------------------------------------------------

OAUTH = {
    "access_token": "EAAA-of-the-first-day",
    "location_id": RESTAURANT,
    "application_id": APPLICATION_ID,
    "refresh_token": REFRESH_TOKEN,
}


def oauth(url: str, tokens: MemoryTokenStore, **changes: str) -> Connection:
    return connect(SquareProvider, config={"base_url": url}, credentials=OAUTH | changes, tokens=tokens)


@pytest.mark.parametrize("secret", [APPLICATION_SECRET, ""], ids=["code flow", "PKCE"])
def test_expired_token_is_renewed_and_the_call_repeated(secret: str) -> None:
    tokens = MemoryTokenStore()
    with running(SquareSimulator()) as served:
        for _ in range(3):  # PKCE: each refresh token works once
            assert oauth(served.url, tokens, application_secret=secret).provider.test_connection().summary
            served.simulator.control("expire_token", {})
    requests = [path for _, path in served.simulator.requests]
    assert requests.count("/oauth2/token") == 3
    assert tokens.load().expires_at < datetime.now(UTC) + timedelta(days=8, minutes=1)


def test_token_is_renewed_a_week_after_it_was_made() -> None:
    young = Token(access_token=TOKEN, refresh_token=REFRESH_TOKEN, expires_at=datetime.now(UTC) + timedelta(days=1, hours=1))
    old = replace(young, expires_at=datetime.now(UTC) + timedelta(hours=23))
    for token, renewals in ((young, 0), (old, 1)):
        with running(SquareSimulator()) as served:
            oauth(served.url, MemoryTokenStore(token)).provider.test_connection()
        assert [path for _, path in served.simulator.requests].count("/oauth2/token") == renewals


def test_refused_refresh_token_asks_a_person_to_connect_again() -> None:
    with running(SquareSimulator()) as served, pytest.raises(ReauthorizationRequired):
        oauth(served.url, MemoryTokenStore(), refresh_token="EQAA-long-gone").provider.test_connection()


def test_refresh_that_fails_for_a_moment_is_no_reason_to_connect_again() -> None:
    with running(SquareSimulator()) as served:
        served.simulator.fail("status", status=503, match="/oauth2/token", times=9)
        with pytest.raises(ProviderUnavailable):
            oauth(served.url, MemoryTokenStore(), application_secret=APPLICATION_SECRET).provider.test_connection()


# --- errors --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "ACCESS_TOKEN_REVOKED", ReauthorizationRequired),
        (401, "UNAUTHORIZED", AuthenticationFailed),
        (400, "VERSION_MISMATCH", VersionConflict),
        (409, "CONFLICT", VersionConflict),
        (400, "IDEMPOTENCY_KEY_REUSED", RequestRejected),
        (400, "A_CODE_OF_TOMORROW", RequestRejected),
        (400, "TEMPORARY_ERROR", ProviderUnavailable),
        (403, "too_many_requests", RateLimited),
        (200, "INTERNAL_SERVER_ERROR", ProviderUnavailable),
        (200, "NOT_FOUND", RequestRejected),
    ],
)
def test_squares_code_decides_the_class_of_an_error(
    square: Connection, monkeypatch: pytest.MonkeyPatch, status: int, code: str, expected: type[Exception]
) -> None:
    error = {"errors": [{"category": "ANY", "code": code, "detail": "Square's words.", "field": "order.version"}]}
    monkeypatch.setattr(square.simulator, "list_locations", lambda request: SimResponse(status=status, json=error))
    with pytest.raises(expected, match=r"Square's words. \(order.version\)") as caught:
        square.provider.test_connection()
    assert type(caught.value) is expected
    assert caught.value.vendor_code == code


def test_missing_permission_is_named() -> None:
    with TestContract().connected(SquareSimulator(scopes=["MERCHANT_PROFILE_READ"])) as square:
        with pytest.raises(RequestRejected, match="ITEMS_READ"):
            read(square, "menus")


# --- webhooks ------------------------------------------------------------------------------------------------------------------


def test_order_events_say_which_check_to_read_again() -> None:
    (event,) = parse({}, fixture("webhook_order_updated"))
    assert (event.event_type, event.event_id) == ("order.updated", "9b0f6f0e-5a63-4a0f-9a51-2f0d8c6a1e11")
    assert (event.object_type, event.object_id, event.version, event.refresh) == ("guest_check", "OTESTORDER0001", 4, ("checks",))
    assert event.occurred_at == datetime(2026, 3, 14, 18, 22, 31, tzinfo=UTC)


def test_catalog_event_with_nanoseconds_asks_for_the_menu() -> None:
    (event,) = parse({}, fixture("webhook_catalog_version_updated"))
    assert (event.object_id, event.refresh) == ("", ("menus",))
    assert event.occurred_at == datetime(2026, 3, 14, 18, 22, 31, 123456, tzinfo=UTC)


@pytest.mark.parametrize("name", ["webhook_authorization_revoked", "webhook_payment_updated"])
def test_event_that_asks_for_nothing_is_kept_with_its_name(name: str) -> None:
    (event,) = parse({}, fixture(name))
    assert event.event_type == fixture(name)["type"]
    assert event.refresh == ()


def test_subscription_is_made_once_and_its_key_rotated(square: Connection) -> None:
    url, events = "https://hotel.example.com/api/webhooks/7", ["order.updated", "catalog.version.updated"]
    made = square.provider.create_subscription(url, events)
    assert square.provider.create_subscription(url, events) == made
    assert square.provider.list_subscriptions() == [{"id": made["id"], "url": url, "event_types": events, "is_enabled": True}]
    rotated = square.provider.rotate_subscription_key(made["id"])
    assert rotated not in ("", made["signature_key"])
    assert square.simulator.subscriptions[made["id"]]["signature_key"] == rotated
    logged = json.dumps([exchange.response_data for exchange in square.exchanges])
    assert made["signature_key"] not in logged
    assert rotated not in logged
