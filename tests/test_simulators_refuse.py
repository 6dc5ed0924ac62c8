"""Wrong requests to the simulated tills: each is refused as the vendor does, names what is wrong, and changes nothing."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from integrations.services.simphony.simulator import SimphonySimulator
from integrations.services.square.simulator import RESTAURANT, TOKEN, SquareSimulator
from integrations.simulators.server import RunningSimulator, running

EUROS = {"amount": 100, "currency": "EUR"}
LINE = {"quantity": "1", "name": "Tea", "base_price_money": EUROS}
ORDER = {"idempotency_key": "k", "order": {"location_id": RESTAURANT, "line_items": [LINE]}}
PAYMENT = {"idempotency_key": "p", "source_id": "CASH", "amount_money": EUROS, "cash_details": {"buyer_supplied_money": EUROS}}
SEARCH = {"location_ids": [RESTAURANT], "limit": 10}
CHECK = {
    "header": {
        "orgShortName": "grandhotel",
        "locRef": "bar01",
        "rvcRef": 42,
        "idempotencyId": "5f0c9a516d5e4f0a9d2b3c1f0e7a8b11",
        "checkEmployeeRef": 1929,
        "orderTypeRef": 1,
        "checkName": "214",
    },
    "menuItems": [{"menuItemId": 10103, "definitionSequence": 1, "priceSequence": 1, "quantity": 1}],
    "tenders": [{"tenderId": 85, "total": 1}],
}


def changed(body: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return `body` with another value at a place such as `order.line_items.0.quantity`."""
    body = copy.deepcopy(body)
    *way, last = place.split(".")
    inner: Any = body
    for step in way:
        inner = inner[int(step) if step.isdigit() else step]
    inner[last] = value
    return body


@pytest.fixture(scope="module")
def square() -> Iterator[RunningSimulator]:
    with running(SquareSimulator()) as served:
        yield served


@pytest.fixture(scope="module")
def simphony() -> Iterator[RunningSimulator]:
    with running(SimphonySimulator()) as served:
        served.simulator.id_tokens = {"token"}
        yield served


def post_square(served: RunningSimulator, path: str, body: Any, **headers: str) -> requests.Response:
    return requests.post(served.url + path, json=body, headers={"Authorization": f"Bearer {TOKEN}"} | headers)


def post_simphony(served: RunningSimulator, body: Any, token: str = "Bearer token", **headers: str) -> requests.Response:
    context = {"Simphony-OrgShortName": "grandhotel", "Simphony-LocRef": "bar01", "Simphony-RvcRef": "42", "Authorization": token}
    return requests.post(f"{served.url}/api/v1/checks", json=body, headers=context | headers)


WRONG = [
    ("/v2/orders", ORDER, place, value)
    for place, values in {
        "idempotency_key": [1, "k" * 193],
        "order": [[], "x"],
        "order.location_id": [None, 7, "", "LNOWHERE"],
        "order.reference_id": ["r" * 41, 5],
        "order.ticket_name": ["t" * 31, True],
        "order.line_items": [{}, "x"],
        "order.metadata": ["x", {"a": 1}],
        "order.state": ["SHUT", "COMPLETED", 1],
        "order.discounts": [[{"name": "Ten off", "percentage": "10"}]],
        "order.service_charges": [[{"name": "Service", "percentage": "10"}]],
        "order.line_items.0.quantity": [None, 1, "", "-1", "0", "one", "1" * 13, "1.5", "NaN"],
        "order.line_items.0.name": [3, "n" * 513, ""],
        "order.line_items.0.note": ["n" * 2001, 1],
        "order.line_items.0.base_price_money": ["1", None, 100],
        "order.line_items.0.base_price_money.amount": ["1", 1.5, True],
        "order.line_items.0.base_price_money.currency": ["USD", "EURO", 1],
        "order.line_items.0.catalog_object_id": ["NOTHING", 5, "c" * 193, "SIMITEM0001"],
    }.items()
    for value in values
] + [
    (path, body, place, value)
    for path, body, table in (
        (
            "/v2/payments",
            PAYMENT,
            {
                "idempotency_key": [None, "", "p" * 46, 1],
                "source_id": [None, "", 5],
                "amount_money": ["1", 1],
                "amount_money.amount": [-1, "1", 1.5],
                "amount_money.currency": ["USD", "EURO", None],
                "location_id": ["LNOWHERE", 5],
                "order_id": ["NO-SUCH-ORDER", 5],
                "autocomplete": ["yes", 1],
                "cash_details": ["x"],
            },
        ),
        (
            "/v2/orders/search",
            SEARCH,
            {
                "location_ids": ["x", [5]],
                "limit": [0, 1001, "10", True],
                "cursor": ["garbage", 5],
                "query": ["x", {"sort": {"sort_field": "CREATED_AT"}}, {"filter": {"state_filter": {"states": ["SHUT"]}}}],
                "return_entries": ["yes"],
            },
        ),
        ("/v2/catalog/search", {}, {"object_types": ["ITEM", ["DISH"]], "limit": ["1", 0, 1001], "begin_time": ["yesterday", 5], "cursor": ["garbage", 5], "query": [{"text_query": {"keywords": ["tea"]}}]}),
        ("/v2/catalog/batch-retrieve", {"object_ids": []}, {"object_ids": [None, "x", [5]], "include_deleted_objects": ["yes"]}),
        ("/v2/orders/batch-retrieve", {"order_ids": []}, {"order_ids": [None, "x", [5], ["o"] * 101]}),
    )
    for place, values in table.items()
    for value in values
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "place", "value"), WRONG)
def test_square_refuses_and_names_the_field(square, path, body, place, value) -> None:
    before = square.simulator.state()
    answer = post_square(square, path, changed(body, place, value))
    (error,) = answer.json()["errors"]
    assert 400 <= answer.status_code < 500, answer.text
    assert {"category", "code", "detail"} <= set(error)
    assert place.rpartition(".")[2] in error.get("field", "") + error["detail"]
    assert square.simulator.state() == before


@pytest.mark.parametrize("headers", [{"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": ""}])
def test_square_wants_a_bearer(square, headers) -> None:
    assert post_square(square, "/v2/orders", ORDER, **headers).json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_square_knows_the_form_of_its_versions(square) -> None:
    answer = post_square(square, "/v2/orders", ORDER, **{"Square-Version": "latest"})
    assert answer.json()["errors"][0]["code"] == "INVALID_SQUARE_VERSION_FORMAT"


@pytest.mark.parametrize(("path", "body"), [("/v2/orders", ORDER), ("/v2/payments", PAYMENT), ("/v2/orders/search", SEARCH), ("/v2/catalog/search", {})])  # fmt: skip
def test_square_takes_what_is_right(path, body) -> None:
    with running(SquareSimulator()) as served:
        assert post_square(served, path, body).status_code == 200


WRONG_CHECKS = {
    "header": [None, "x", []],
    "header.orgShortName": [None, "other", 1],
    "header.locRef": [None, "other", 1],
    "header.rvcRef": [None, "42", 7, True],
    "header.idempotencyId": [None, "short", "g" * 32, 5],
    "header.checkEmployeeRef": [None, "1929", 1930, True],
    "header.orderTypeRef": [None, "1", 9],
    "header.checkName": [None, 5, []],
    "menuItems": ["x", {}, [5]],
    "menuItems.0.menuItemId": [None, "10103", -1, True, 999999],
    "menuItems.0.quantity": [None, "1", 0, -1, True],
    "menuItems.0.definitionSequence": [None, "1", 0, 99],
    "menuItems.0.priceSequence": [None, "1", 0, 99],
    "menuItems.0.unitPrice": ["1.00", True],
    "discounts": [[{"discountId": 1}]],
    "serviceCharges": [[{"serviceChargeId": 1}]],
    "comboMeals": [[{"comboMealId": 1}]],
    "tenders": ["x", {}, [5]],
    "tenders.0.tenderId": [None, "85", 1],
    "tenders.0.total": [None, "1", -1, True],
}


@pytest.mark.parametrize(("place", "value"), [(place, value) for place, values in WRONG_CHECKS.items() for value in values])
def test_simphony_refuses_and_changes_nothing(simphony, place, value) -> None:
    before = simphony.simulator.state()
    answer = post_simphony(simphony, changed(CHECK, place, value))
    assert answer.status_code == 400, answer.text
    (told,) = answer.json()["posDetails"]
    assert told["code"] in ("invalid_request", "menu_item_not_available")
    assert told["code"] != "invalid_request" or place.split(".")[0] in told["message"]
    assert simphony.simulator.state() == before


def test_simphony_sells_nothing_that_is_sold_out() -> None:
    with running(SimphonySimulator()) as served:
        served.simulator.id_tokens = {"token"}
        served.simulator.control("sold_out", {"items": [10103]})
        assert post_simphony(served, CHECK).json()["posDetails"][0]["code"] == "menu_item_not_available"


def test_simphony_wants_a_bearer(simphony) -> None:
    assert post_simphony(simphony, CHECK, "token").status_code == 401


def test_simphony_takes_what_is_right() -> None:
    with running(SimphonySimulator()) as served:
        served.simulator.id_tokens = {"token"}
        assert post_simphony(served, CHECK).status_code == 200
