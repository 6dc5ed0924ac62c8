"""The menu says what can be sold: at this place, at this price, at this moment, whether or not the point of sale has told us again."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from hotels.models import Hotel, MenuItem, MenuVariation, ModifierList, Role
from hotels.tests.people import *  # noqa: F403
from integrations.records import MenuVariation as VariationRecord
from integrations.services import service_for, setup
from integrations.services.generic_rest import mapping as plain
from integrations.services.rows import back_on_sale
from integrations.services.square import mapping
from integrations.services.square.simulator import SquareSimulator, connection
from integrations.services.square.simulator_catalog import POOL_BAR, RESTAURANT
from integrations.simulators.server import running
from integrations.tests.console import sign_in

NOW = timezone.now()


@pytest.fixture
def world(hotel: Hotel) -> Iterator[SimpleNamespace]:
    with running(SquareSimulator()) as served:
        pos = setup.create_integration(hotel, connection(served.url))[0]
        yield SimpleNamespace(hotel=hotel, service=service_for(pos), square=served.simulator)


def variation_of(world: SimpleNamespace, name: str) -> str:
    found = [one for one in world.square.catalog.stored.values() if one["type"] == "ITEM" and one["item_data"]["name"] == name]
    return found[0]["item_data"]["variations"][0]["id"]


def offered(caller: Any, hotel: Hotel, available: str) -> set[str]:
    rows = caller(Role.VIEWER, hotel).get(f"/api/hotels/{hotel.pk}/menu-items?limit=200&is_available={available}").json()["results"]
    assert all(row["is_available"] == (available == "true") for row in rows)
    return {row["name"] for row in rows}


def test_dish_is_for_sale_again_when_its_time_is_over(world: SimpleNamespace, caller: Any) -> None:
    until = timezone.now() + timedelta(hours=3)
    world.square.control("sold_out", {"object_id": variation_of(world, "Burrata"), "until": until.isoformat()})
    world.service.sync_menus()
    assert {"Burrata", "Sea bass"} <= offered(caller, world.hotel, "false")
    # Marked as sold out at Square until a time that is over.
    assert "Eggs Benedict" in offered(caller, world.hotel, "true")
    page = sign_in(Role.OPERATOR, world.hotel).get(reverse("admin:hotels_menuitem_changelist") + "?available=no").content.decode()
    assert "Burrata" in page
    assert "Eggs Benedict" not in page
    with time_machine.travel(until + timedelta(seconds=1), tick=False):
        assert "Burrata" in MenuItem.live.filter(MenuItem.for_sale()).values_list("name", flat=True)
        assert MenuVariation.objects.get(item__name="Burrata").is_for_sale
        assert not MenuItem.objects.get(name="Sea bass").is_for_sale  # nobody has said until when
    world.service.sync_menus(full=True)
    assert MenuItem.objects.get(name="Burrata").sold_out_until == until


def test_modifier_that_is_sold_out_says_so_and_the_dish_does_not(world: SimpleNamespace, caller: Any) -> None:
    world.square.control("sold_out", {"object_id": "SIMMOD0402"})
    world.service.sync_menus()
    extras = ModifierList.objects.get(name="Extras")
    assert {option["name"]: option["is_available"] for option in extras.options} == {
        "Bacon": True, "Egg": False, "Cheese": True, "Gluten-free bread": True,
    }  # fmt: skip
    row = next(
        row
        for row in caller(Role.VIEWER, world.hotel).get(f"/api/hotels/{world.hotel.pk}/menu-items?limit=200").json()["results"]
        if row["name"] == "Full breakfast"
    )
    assert row["is_available"]
    assert [option["is_available"] for option in row["modifier_lists"][0]["options"]] == [True, False, True, True]


@pytest.mark.parametrize(
    ("override", "base", "price", "available"),
    [
        ({}, {"price_money": 900}, "9.00", True),
        ({"price_money": 700}, {"price_money": 900}, "7.00", True),
        ({"price_money": 0}, {"price_money": 900}, "0.00", True),
        ({"price_money": 700}, {"pricing_type": "VARIABLE_PRICING"}, "7.00", True),
        ({"pricing_type": "VARIABLE_PRICING"}, {"price_money": 900, "pricing_type": "FIXED_PRICING"}, None, True),
        ({"track_inventory": True}, {"price_money": 900}, "9.00", True),
        ({"track_inventory": True, "sold_out": True}, {"price_money": 900}, "9.00", False),
        ({"sold_out": False, "sold_out_valid_until": "2099-01-01T00:00:00Z"}, {"price_money": 900}, "9.00", True),
    ],
)
def test_what_the_location_says_comes_before_what_all_say(
    override: dict[str, Any], base: dict[str, Any], price: str | None, available: bool
) -> None:
    def data(of: dict[str, Any]) -> dict[str, Any]:
        return {**of, **({"price_money": {"amount": of["price_money"], "currency": "EUR"}} if "price_money" in of else {})}

    here = {"location_id": RESTAURANT, **data(override)}
    elsewhere = {"location_id": POOL_BAR, "price_money": {"amount": 1, "currency": "EUR"}, "sold_out": True}
    variation = {"type": "ITEM_VARIATION", "id": "V", "item_variation_data": {"location_overrides": [elsewhere, here], **data(base)}}
    item = mapping.to_record({"type": "ITEM", "id": "I", "item_data": {"name": "Soup", "variations": [variation]}}, RESTAURANT)
    assert item.variations[0].price == (None if price is None else Decimal(price))
    assert (item.is_available, item.sold_out_until) == (available, None)


@pytest.mark.parametrize(
    ("flags", "there"),
    [
        ({}, True),
        ({"present_at_all_locations": True, "absent_at_location_ids": [RESTAURANT]}, False),
        ({"present_at_all_locations": False}, False),
        ({"present_at_all_locations": False, "present_at_location_ids": [POOL_BAR]}, False),
        ({"present_at_all_locations": False, "present_at_location_ids": [RESTAURANT]}, True),
    ],
)
def test_what_is_absent_here_is_not_on_the_menu(flags: dict[str, Any], there: bool) -> None:
    variations = [
        {"type": "ITEM_VARIATION", "id": "V1", "item_variation_data": {"name": "Cup"}},
        {"type": "ITEM_VARIATION", "id": "V2", "item_variation_data": {"name": "Bowl"}, **flags},
    ]
    item = {"type": "ITEM", "id": "I", "item_data": {"name": "Soup", "variations": variations}}
    assert [one.external_id for one in mapping.to_record(item, RESTAURANT).variations] == (["V1", "V2"] if there else ["V1"])
    assert mapping.to_record({**item, **flags}, RESTAURANT).deleted is not there


def test_item_is_back_with_the_first_of_its_variations() -> None:
    def sold(until: int | None, available: bool = True) -> VariationRecord:
        return VariationRecord(
            external_id="V", is_available=available, sold_out_until=None if until is None else NOW + timedelta(hours=until)
        )

    assert back_on_sale([]) is None
    assert back_on_sale([sold(2), sold(1), sold(None, available=False)]) == NOW + timedelta(hours=1)
    assert back_on_sale([sold(2), sold(None)]) is None


def test_plain_system_says_until_when_a_dish_is_sold_out() -> None:
    dish = {"id": 1, "name": "Soup", "sizes": [{"id": 2, "soldOutUntil": "2026-12-01T18:00:00Z"}, {"id": 3, "available": False}]}
    item = plain.menu_item(dish, "EUR")
    assert (item.is_available, item.sold_out_until) == (True, item.variations[0].sold_out_until)
    assert str(item.sold_out_until) == "2026-12-01 18:00:00+00:00"
    assert (
        str(plain.menu_item({"id": 1, "name": "Soup", "sold_out_until": 1796148000}, "EUR").sold_out_until) == "2026-12-01 18:00:00+00:00"
    )
