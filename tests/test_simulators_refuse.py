"""Wrong requests to the simulated tills: each is refused as the vendor does, names what is wrong, and changes nothing."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from integrations.services.simphony.simulator import SimphonySimulator
from integrations.simulators.server import RunningSimulator, running

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
def simphony() -> Iterator[RunningSimulator]:
    with running(SimphonySimulator()) as served:
        served.simulator.id_tokens = {"token"}
        yield served


def post_simphony(served: RunningSimulator, body: Any, token: str = "Bearer token", **headers: str) -> requests.Response:
    context = {"Simphony-OrgShortName": "grandhotel", "Simphony-LocRef": "bar01", "Simphony-RvcRef": "42", "Authorization": token}
    return requests.post(f"{served.url}/api/v1/checks", json=body, headers=context | headers)


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
