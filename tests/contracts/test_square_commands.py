"""The commands against Square's own contract: every request is accepted, the exit code is 0, and the rows are the contract's examples."""

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from hotels.models import GuestCheck, Hotel, MenuItem
from integrations.models import Integration, IntegrationLog
from integrations.services import setup
from integrations.services.square.simulator import RESTAURANT, TOKEN, SquareSimulator
from integrations.simulators.server import running
from tests.contracts.prism import document, prism

pytestmark = [pytest.mark.contract, pytest.mark.django_db]

GRANT_PARK = "18YC4JDH91E1H"
"""The contract's example of an active location."""


@pytest.fixture(scope="module")
def contract() -> Path:
    return document("square.openapi.json")


@pytest.fixture(scope="module")
def mock(contract: Path) -> Iterator[str]:
    with prism(contract) as url:
        yield url


@pytest.fixture(scope="module")
def judged(contract: Path) -> Iterator[str]:
    """The contract as a judge between us and the simulator: an order posted there can be read and voided."""
    with running(SquareSimulator()) as served, prism(contract, upstream=served.url) as url:
        yield url


def connected(url: str, location_id: str) -> Integration:
    body = {
        "integration_type": "pos",
        "provider_name": "Square POS",
        "config": {"baseUrl": url},
        "credentials": {"accessToken": TOKEN, "locationId": location_id},
    }
    return setup.create_integration(Hotel.objects.create(name="Grand", slug="grand", currency="USD"), body)[0]


def run(*arguments: Any) -> Any:
    """Run a command; anything but exit code 0 would raise SystemExit or CommandError."""
    out = io.StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_sync_integration_menus_stores_the_contracts_examples(mock: str, contract: Path) -> None:
    integration = connected(mock, GRANT_PARK)
    assert run("test_integration", integration.pk)["message"] == "Connected to Grant Park (USD), which is active."
    assert run("sync_integration", integration.pk, "menus")["status"] == "succeeded"
    examples = json.loads(contract.read_text())["components"]["schemas"]["SearchCatalogObjectsResponse"]["example"]["objects"]
    stored = {item.name: {v.name: v.price for v in item.variations.all()} for item in MenuItem.objects.prefetch_related("variations")}
    assert stored == {
        item["item_data"]["name"]: {
            variation["item_variation_data"]["name"]: Decimal(variation["item_variation_data"]["price_money"]["amount"]) / 100
            for variation in item["item_data"]["variations"]
        }
        for item in examples
    }
    assert run("sync_integration", integration.pk, "categories")["status"] == "succeeded"
    assert set(IntegrationLog.objects.filter(http_status__isnull=False).values_list("http_status", flat=True)) == {200}


def test_a_check_is_posted_read_and_voided_under_the_contract(judged: str, tmp_path: Path) -> None:
    integration = connected(judged, RESTAURANT)
    run("sync_integration", integration.pk, "menus")
    item = MenuItem.objects.filter(name="Caldo verde").get()
    variation = item.variations.order_by("price").first()
    price = variation.price
    check = {
        "room_number": "101",
        "items": [
            {"menu_id": item.pk, "variation_id": variation.pk, "quantity": 2, "unit_price": str(price), "total_price": str(price * 2)}
        ],
        "subtotal": str(price * 2),
        "tax": "1.10",
        "total": str(price * 2 + Decimal("1.10")),
        "currency": "EUR",
    }
    posted = run("post_operation", integration.pk, "post_guest_check", "--file", written(tmp_path, check))
    assert posted["status"] == "done"
    about = {"check_id": posted["reference"]}
    assert run("post_operation", integration.pk, "get_check_status", "--file", written(tmp_path, about))["status"] == "open"
    voided = run("post_operation", integration.pk, "void_check", "--file", written(tmp_path, about | {"reason": "Guest request"}))
    assert voided["status"] == "done"
    assert GuestCheck.objects.get().status == "voided"
    assert set(IntegrationLog.objects.filter(http_status__isnull=False).values_list("http_status", flat=True)) == {200}


def written(folder: Path, body: dict[str, Any]) -> str:
    path = folder / "body.json"
    path.write_text(json.dumps(body))
    return str(path)
