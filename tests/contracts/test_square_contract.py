"""Square's own contract (its OpenAPI document) accepts every call we can make, and its examples come out as the records they are.

The mock answers with Square's static examples. Where a recipe needs answers that follow from what was asked, the contract judges between
us and the simulator: so it also holds the simulator to Square's word.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from integrations.exceptions import RequestRejected, UnexpectedResponse
from integrations.records import MenuItem, StreamQuery
from integrations.services.contract import KEY, Connection, connect
from integrations.services.square.provider import SquareProvider
from integrations.services.square.simulator import APPLICATION_ID, APPLICATION_SECRET, REFRESH_TOKEN, RESTAURANT, TOKEN, SquareSimulator
from integrations.services.square.tests import CHECK, CLUB
from integrations.simulators.server import running
from integrations.transport.client import Policy
from tests.contracts.prism import document, prism

pytestmark = pytest.mark.contract

LOCATION = "18YC4JDH91E1H"
"""The contract's example of an active location; its examples of orders are at others."""


@pytest.fixture(scope="module")
def contract() -> Path:
    return document("square.openapi.json")


@pytest.fixture(scope="module")
def mock(contract: Path) -> Iterator[str]:
    with prism(contract) as url:
        yield url


@pytest.fixture(scope="module")
def judged(contract: Path) -> Iterator[tuple[str, SquareSimulator]]:
    with running(SquareSimulator(page_size=20)) as served, prism(contract, upstream=served.url) as url:
        yield url, served.simulator


def square(url: str, location_id: str = LOCATION, **credentials: str) -> Connection:
    fields = {"access_token": TOKEN, "location_id": location_id} | credentials
    return connect(SquareProvider, config={"base_url": url}, credentials=fields, policy=Policy())


def read(connection: Connection, stream: str, **query: Any) -> list[Any]:
    return [record for page in getattr(connection.provider, stream)(StreamQuery(**query)) for record in page.records]


def accepted(connection: Connection) -> list[str]:
    """Return the calls made, if the contract accepted every one of them."""
    assert {exchange.http_status for exchange in connection.exchanges} == {200}, connection.exchanges
    return [exchange.operation_name for exchange in connection.exchanges]


def example(contract: Path, schema: str) -> Any:
    return json.loads(contract.read_text())["components"]["schemas"][schema]["example"]


# --- Square's examples ---------------------------------------------------------------------------------------------------------


def test_contract_refuses_what_breaks_it(mock: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        square(mock).provider.client.call("POST", "/v2/orders", name="create_order", json={"order": {"line_items": [{"quantity": 1}]}})
    assert caught.value.status == 422


def test_connection_test_finds_the_example_location(mock: str) -> None:
    connection = square(mock)
    assert connection.provider.test_connection().summary == "Connected to Grant Park (USD), which is active."
    assert accepted(connection) == ["list_locations"]


@pytest.mark.parametrize("query", [{}, {"cursor": {"latest_time": "2026-03-14T18:22:31.000Z"}}], ids=["full", "incremental"])
def test_menu_of_the_examples_arrives_as_it_stands_there(mock: str, contract: Path, query: dict[str, Any]) -> None:
    connection = square(mock)
    found = {
        item.external_id: (item.name, item.description, {v.external_id: (v.name, v.price, v.currency) for v in item.variations})
        for item in read(connection, "menus", **query)
    }
    assert found == {
        item["id"]: (
            item["item_data"]["name"],
            item["item_data"]["description"],
            {
                variation["id"]: (
                    variation["item_variation_data"]["name"],
                    Decimal(variation["item_variation_data"]["price_money"]["amount"]) / 100,
                    "USD",
                )
                for variation in item["item_data"]["variations"]
            },
        )
        for item in example(contract, "SearchCatalogObjectsResponse")["objects"]
    }
    assert accepted(connection) == ["search", "search"]


def test_single_items_are_read(mock: str) -> None:
    connection = square(mock)
    assert [type(record) for record in read(connection, "menus", external_ids=(CLUB[0],))] == [MenuItem, MenuItem]
    assert read(connection, "categories") == []
    accepted(connection)


def test_check_is_posted_paid_and_read(mock: str, contract: Path) -> None:
    total = Decimal(example(contract, "CreateOrderResponse")["order"]["total_money"]["amount"]) / 100
    check = CHECK | {"total": str(total), "currency": "USD"}
    for method in ("cash", "credit_card"):
        connection = square(mock)
        answer = connection.provider.post_guest_check(check | {"payment_method": method}, KEY)
        assert answer["status"] == "closed"
        assert answer["warnings"] == []
        assert accepted(connection) == ["create_order", "create_payment", "pay_order"]
    order = example(contract, "RetrieveOrderResponse")["order"]
    found = square(mock, order["location_id"]).provider.get_check_status(order["id"])
    assert (found.external_id, found.status, found.version, found.total) == (order["id"], "open", 1, Decimal("5.50"))
    (batch,) = read(square(mock), "checks", external_ids=("CAISEM82RcpmcFBM0TfOyiHV3es",))
    assert (batch.status, batch.total) == ("unknown", Decimal("75.99"))


def test_void_is_not_believed_when_the_example_stays_open(mock: str, contract: Path) -> None:
    connection = square(mock, example(contract, "RetrieveOrderResponse")["order"]["location_id"])
    with pytest.raises(UnexpectedResponse, match="still open"):
        connection.provider.void_check({"check_external_id": "CAISENgvlJ6jLWAzERDzjyHVybY", "reason": ""}, KEY)
    assert accepted(connection) == ["retrieve_order", "update_order"]


def test_search_that_never_ends_is_stopped(mock: str) -> None:
    with pytest.raises(UnexpectedResponse, match="same page twice"):
        read(square(mock), "checks")


def test_subscriptions_are_listed_made_and_given_a_new_key(mock: str) -> None:
    connection = square(mock)
    assert connection.provider.list_subscriptions()[0]["event_types"] == ["payment.created", "payment.updated"]
    assert connection.provider.create_subscription("https://hotel.example.com/api/webhooks/7", ["order.updated"])["signature_key"]
    assert connection.provider.rotate_subscription_key("wbhk_b35f6b3145074cf9ad513610786c19d5")
    accepted(connection)


# --- Square's contract between us and the simulator -----------------------------------------------------------------------------


def test_every_stream_and_operation_keeps_to_the_contract_and_so_does_the_simulator(judged: tuple[str, SquareSimulator]) -> None:
    url, simulator = judged
    connection = square(url, RESTAURANT, application_id=APPLICATION_ID, application_secret=APPLICATION_SECRET, refresh_token=REFRESH_TOKEN)
    provider = connection.provider
    provider.test_connection()
    simulator.ring_up(1250)
    simulator.catalog.tick()  # long after its objects were made
    *_, last = list(provider.menus(StreamQuery()))
    simulator.control("change_price", {"variation_id": "SIMVAR000101", "cents": 1990})
    simulator.control("delete_item", {"item_id": "SIMITEM0002"})
    assert {record.external_id: record.deleted for record in read(connection, "menus", cursor=last.cursor)} == {
        "SIMITEM0001": False,
        "SIMITEM0002": True,
    }
    assert read(connection, "categories")
    assert provider.post_guest_check(CHECK, KEY)["status"] == "closed"
    posted = provider.post_guest_check(CHECK | {"payment_status": "pending"}, "another-key")["reference"]
    simulator.orders[posted]["fulfillments"] = [{"uid": "f1", "type": "PICKUP", "state": "PROPOSED"}]
    money = {"amount": 500, "currency": "EUR"}
    payment = {"source_id": "CASH", "cash_details": {"buyer_supplied_money": money}, "amount_money": money, "autocomplete": False}
    simulator._create_payment(payment | {"order_id": posted})
    assert provider.void_check({"check_external_id": posted, "reason": ""}, KEY)["status"] == "voided"
    assert provider.get_check_status(posted).status == "voided"
    assert len(read(connection, "checks")) == 1
    assert len(read(connection, "checks", external_ids=(posted,))) == 1
    provider.rotate_subscription_key(provider.create_subscription("https://hotel.example.com/hook", ["order.updated"])["id"])
    assert provider.list_subscriptions()
    assert set(accepted(connection)) == {
        "renew_token", "list_locations", "search", "batch_retrieve", "batch_retrieve_orders", "create_order", "retrieve_order", "update_order",
        "create_payment", "get_payment", "cancel_payment", "pay_order", "list_subscriptions", "create_subscription", "rotate_subscription_key",
    }  # fmt: skip
