import json
from decimal import Decimal
from pathlib import Path

from integrations.records import MenuItem, MenuVariation
from integrations.services.contract import KEY, ProviderContract
from integrations.services.toy_inn_pos import mapping
from integrations.services.toy_inn_pos.provider import provider
from integrations.services.toy_inn_pos.simulator import ToyInnPosSimulator

FIXTURES = Path(__file__).parent / "fixtures"
CHECK = {
    "check_number": "CHK-1",
    "room_number": "101",
    "items": [{"name": "Soup", "quantity": "2", "unit_price": "1.50", "total_price": "3.00", "item_external_id": "1"}],
    "total": "3.00",
    "currency": "EUR",
}


class TestContract(ProviderContract):
    """What is true of any vendor; see integrations/services/contract.py."""

    provider = provider
    credentials = {"api_key": ToyInnPosSimulator.api_key}

    def simulator(self, page_size=0):
        return ToyInnPosSimulator(page_size)

    def payload(self, operation, connection):
        return CHECK


def test_dish_is_mapped_exactly() -> None:
    dish = json.loads((FIXTURES / "dish.json").read_text(), parse_float=Decimal)
    assert mapping.menu_item(dish, "EUR") == MenuItem(
        external_id="7",
        name="Bacalhau",
        is_available=False,
        variations=(MenuVariation(external_id="7", price=Decimal("18.90"), currency="EUR"),),
    )


def test_dish_without_a_name_is_rejected_and_the_rest_is_kept() -> None:
    contract = TestContract()
    with contract.connected() as connection:
        connection.simulator.dishes[0]["name"] = ""
        (page,) = contract.read(connection, provider.manifest.stream("menus"))
    assert [rejected.reason for rejected in page.rejected] == ["The dish has no name."]
    assert len(page.records) == 5


def test_posted_bill_holds_what_the_guest_had() -> None:
    with TestContract().connected() as connection:
        answer = connection.provider.post_guest_check(CHECK, KEY)
        (bill,) = connection.simulator.state()["bills"]
    assert answer["reference"] == bill["id"]
    assert bill["lines"] == [{"dish": "1", "text": "Soup", "quantity": "2", "price": "1.50"}]
