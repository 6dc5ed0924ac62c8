"""A check is what the till knows: discounts, service charge, tip, taxes in prices or of single lines, through every door, at every point of sale.

Over real HTTP: what counts is what stands at the vendor, and that it adds up there to what the guest saw.
"""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from hotels.models import GuestCheck, Hotel, MenuVariation, Role
from hotels.tests.people import *  # noqa: F403
from integrations.exceptions import InvalidInput
from integrations.models import Operation
from integrations.services import service_for, setup
from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.services.inputs import GuestCheckInput, read, sum_of
from integrations.services.simphony.simulator import SimphonySimulator
from integrations.services.simphony.simulator import connection as simphony_connection
from integrations.services.square import mapping
from integrations.services.square.simulator import SquareSimulator
from integrations.services.square.simulator import connection as square_connection
from integrations.services.square.simulator_catalog import RESTAURANT
from integrations.simulators.server import Simulator, running
from integrations.tests.console import sign_in
from integrations.values import minor_digits, smallest

DOORS = ("python", "api", "command", "console")
WINE = {"name": "House red", "quantity": "2", "unit_price": "5.90", "total_price": "11.80"}
SOUP = {"name": "Soup of the day", "quantity": "1", "unit_price": "6.90", "total_price": "6.90"}
BILL = {"items": [WINE, SOUP], "subtotal": "18.70", "total": "18.70"}
PAID = {"payment_status": "paid", "payment_method": "credit_card"}

Through = Callable[..., str]


def generic_connection(url: str) -> dict[str, Any]:
    config = {"base_url": url, "endpoints": {"checks": "/checks"}, "test_endpoint": "/health"}
    return {
        "integration_type": "pos",
        "provider_name": "generic",
        "config": config,
        "credentials": {"api_key": GenericRestSimulator.api_key},
    }


POINTS_OF_SALE: dict[str, tuple[type[Simulator], Callable[[str], dict[str, Any]]]] = {
    "square": (SquareSimulator, square_connection),
    "simphony": (SimphonySimulator, simphony_connection),
    "generic_rest": (GenericRestSimulator, generic_connection),
}


@pytest.fixture
def at(hotel: Hotel, request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """A hotel whose point of sale is the one a test names; Square if it names none."""
    simulator, connection = POINTS_OF_SALE[getattr(request, "param", "square")]
    with running(simulator()) as served:
        pos = setup.create_integration(hotel, connection(served.url))[0]
        yield SimpleNamespace(hotel=hotel, pos=pos, service=service_for(pos), vendor=served.simulator)


@pytest.fixture
def through(at: SimpleNamespace, caller: Any, monkeypatch: pytest.MonkeyPatch) -> Through:
    """Post a check through a door, and return what was said where it was not done."""

    def do(door: str, check: dict[str, Any]) -> str:
        if door == "python":
            try:
                return at.service.post_guest_check(check).error_message
            except InvalidInput as error:
                return json.dumps(error.errors)
        if door == "api":
            answer = caller(Role.OPERATOR, at.hotel).post(f"/api/integrations/{at.pos.pk}/checks", check)
            return "" if answer.status_code == 201 else answer.content.decode()
        if door == "command":
            monkeypatch.setattr("sys.stdin", StringIO(json.dumps(check)))
            out = StringIO()
            try:
                call_command("post_operation", str(at.pos.pk), "post_guest_check", stdout=out, stderr=out)
            except (CommandError, SystemExit) as ended:
                out.write(str(ended))
            return "" if Operation.objects.filter(status="done").exists() else out.getvalue()
        answer = sign_in(Role.OPERATOR, at.hotel).post(
            reverse("admin:integrations_integration_operation", args=[at.pos.pk, "post_guest_check"]), typed(check), follow=True
        )
        return "" if Operation.objects.filter(status="done").exists() else answer.content.decode()

    return do


def typed(check: dict[str, Any]) -> dict[str, Any]:
    """Return a check as a person fills in the form, which adds up by itself."""
    lines = {
        f"lines-{number}-{field}": line.get(name, "")
        for number, line in enumerate(check["items"])
        for field, name in (("item", "name"), ("quantity", "quantity"), ("unit_price", "unit_price"), ("tax", "tax"), ("note", "note"))
    }
    rest = {name: value for name, value in check.items() if name not in ("items", "subtotal", "total")}
    management = {"lines-TOTAL_FORMS": len(check["items"]), "lines-INITIAL_FORMS": 0}
    return {"payment_status": "pending", **management, **lines, **rest, "idempotency_key": "console:one"}


def order(at: SimpleNamespace) -> dict[str, Any]:
    (found,) = at.vendor.orders.values()
    return found


def cents(part: dict[str, Any], *names: str) -> list[int]:
    return [part[f"{name}_money"]["amount"] for name in names]


# --- every part, through every door --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_everything_a_till_knows_arrives(at: SimpleNamespace, through: Through, door: str) -> None:
    voucher = {"name": "Voucher", "quantity": "1", "unit_price": "-3.00", "total_price": "-3.00"}
    check = {
        **PAID, "items": [WINE | {"tax": "2.28"}, SOUP | {"tax": "0.75"}, voucher], "subtotal": "15.70", "service_charge": "1.87",
        "tax": "3.03", "total": "20.60", "tip": "5.00",
    }  # fmt: skip
    assert through(door, check) == ""
    there = order(at)
    assert there["state"] == "COMPLETED"
    assert cents(there, "total", "total_discount", "total_service_charge", "total_tax", "total_tip") == [2060, 300, 187, 303, 500]
    assert [cents(line, "total_tax") for line in there["line_items"]] == [[228], [75]]
    (payment,) = at.vendor.payments.values()
    assert cents(payment, "amount", "tip", "total") == [2060, 500, 2560]
    kept = GuestCheck.objects.get()
    assert [kept.subtotal, kept.service_charge, kept.tax, kept.total, kept.tip] == [
        Decimal(one) for one in ("15.70", "1.87", "3.03", "20.60", "5")
    ]
    assert [line.tax for line in kept.lines.all()] == [Decimal("2.28"), Decimal("0.75"), None]


@pytest.mark.parametrize("door", DOORS)
def test_tax_in_the_prices_is_not_added(at: SimpleNamespace, through: Through, door: str) -> None:
    assert through(door, BILL | {"tax": "3.50", "tax_included": True}) == ""
    assert cents(order(at), "total", "total_tax") == [1870, 350]
    assert GuestCheck.objects.get().is_tax_included


@pytest.mark.parametrize("door", DOORS)
def test_eight_times_an_eighth_is_one(at: SimpleNamespace, through: Through, door: str) -> None:
    peanuts = {"name": "Peanuts", "quantity": "8", "unit_price": "0.125", "total_price": "1.00"}
    assert through(door, {**PAID, "items": [peanuts], "subtotal": "1.00", "total": "1.00"}) == ""
    assert (order(at)["state"], *cents(order(at), "total")) == ("COMPLETED", 100)


@pytest.mark.parametrize("door", DOORS)
def test_part_of_a_yen_is_refused_with_what_could_be_paid(at: SimpleNamespace, through: Through, door: str) -> None:
    ramen = {"name": "Ramen", "quantity": "1", "unit_price": "1000", "total_price": "1000"}
    check = {"items": [ramen], "subtotal": "1000", "tax": "0.50", "total": "1000.50", "currency": "JPY"}
    said = through(door, check)
    assert "JPY has no decimals: 0.50 cannot be paid, 0 could." in said
    assert not at.vendor.orders


def test_dry_run_refuses_what_the_real_one_would(at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(json.dumps(BILL | {"total": "17.70"})))
    with pytest.raises((CommandError, SystemExit), match=r"Subtotal and tax add up to 18\.70"):
        call_command("post_operation", str(at.pos.pk), "post_guest_check", "--dry-run", stdout=StringIO(), stderr=StringIO())


# --- what does not add up ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"discount": "-1"}, "discount", "greater than or equal to 0"),
        ({"tip": "-1"}, "tip", "greater than or equal to 0"),
        ({"discount": "2"}, "total", "Subtotal, discount and tax add up to 16.70, not 18.70."),
        ({"service_charge": "2"}, "total", "Subtotal, service charge and tax add up to 20.70"),
        ({"tax": "2", "tax_included": True, "total": "20.70"}, "total", "Subtotal adds up to 18.70, not 20.70."),
        ({"tax": "18.70", "tax_included": True}, "tax", "less than the total"),
        ({"items": [WINE | {"tax": "1"}, SOUP], "tax": "2", "total": "20.70"}, "tax", "The taxes of the items add up to 1, not 2."),
        ({"tip": "0.001"}, "tip", "EUR has 2 decimals"),
        ({"discount": "0.005", "total": "18.695"}, "discount", "EUR has 2 decimals"),
        ({"items": [WINE | {"tax": "1.005"}, SOUP], "tax": "1", "total": "19.70"}, "items.0.tax", "EUR has 2 decimals"),
        ({"items": [WINE | {"tax": "-1"}, SOUP], "tax": "-1", "total": "17.70"}, "items.0.tax", "no negative amount"),
        ({"tip": "5.00"}, "tip", "with the payment alone"),
    ],
)
def test_what_does_not_add_up_is_refused_by_name(at: SimpleNamespace, changes: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        at.service.post_guest_check(BILL | changes)
    assert words in refused.value.errors[field]
    assert not GuestCheck.objects.exists()


# --- the other points of sale --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["simphony"], indirect=True)
def test_simphony_charges_the_tip_and_refuses_what_it_has_no_known_place_for(at: SimpleNamespace) -> None:
    with pytest.raises(InvalidInput) as refused:
        at.service.post_guest_check({**BILL, **PAID, "discount": "1", "service_charge": "2", "total": "19.70"})
    assert set(refused.value.errors) == {"discount", "service_charge"}
    assert "Oracle MICROS Simphony has no place for this. " in refused.value.errors["discount"]
    posted = at.service.post_guest_check({**BILL, **PAID, "tax": "1.50", "total": "20.20", "tip": "5.00"})
    assert (posted.status, posted.warnings) == ("done", [])
    there = at.vendor.checks[posted.vendor_reference]
    assert there["tenders"] == [{"tenderId": at.vendor.tender, "total": 25.2, "chargedTipTotal": 5.0}]
    assert (there["header"]["status"], there["totals"]["totalDue"]) == ("closed", 0)


@pytest.mark.parametrize("at", ["simphony"], indirect=True)
def test_tip_that_a_tender_does_not_take_is_told(at: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = at.vendor._tender
    monkeypatch.setattr(at.vendor, "_tender", lambda check, tenders: taken(check, [{**one, "chargedTipTotal": 0} for one in tenders]))
    posted = at.service.post_guest_check({**BILL, **PAID, "tax": "1.50", "total": "20.20", "tip": "5.00"})
    assert any("without the tip" in warning for warning in posted.warnings)


@pytest.mark.parametrize("at", ["generic_rest"], indirect=True)
def test_any_system_is_told_what_there_is_and_nothing_else(at: SimpleNamespace) -> None:
    voucher = {"name": "Voucher", "quantity": "1", "unit_price": "-3", "total_price": "-3"}
    check = {
        "items": [WINE | {"tax": "1.10"}, SOUP, voucher], "subtotal": "15.70", "discount": "1.00", "service_charge": "1.50", "tax": "1.10",
        "tax_included": True, "total": "16.20", "tip": "2.00",
    }  # fmt: skip
    assert at.service.post_guest_check(check).status == "done"
    there = list(at.vendor.collections["checks"].values())[-1]
    parts = {name: there[name] for name in ("discount", "service_charge", "tax_included", "tip")}
    assert parts == {"discount": 1, "service_charge": 1.5, "tax_included": True, "tip": 2}
    assert [line.get("tax") for line in there["items"]] == [1.1, None, None]
    assert GuestCheck.objects.get().amount_due == Decimal("18.20")
    at.service.post_guest_check(BILL)
    assert not {"discount", "service_charge", "tax_included", "tip"} & set(list(at.vendor.collections["checks"].values())[-1])


# --- whatever a till may ring up -----------------------------------------------------------------------------------------------

CURRENCIES = ("EUR", "JPY", "KWD", "USD")


@st.composite
def checks(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a check that adds up, as the service sends it."""
    currency = draw(st.sampled_from(CURRENCIES))
    unit = smallest(currency)
    amounts = st.integers(1, 300_000).map(lambda units: units * unit)
    lines = []
    for number in range(draw(st.integers(1, 5))):
        quantity, price = draw(st.sampled_from(["1", "2", "3", "7", "0.5", "1.25", "8"])), draw(amounts)
        price = round(draw(st.sampled_from([price, price / 8, price + unit / 4])), 4)
        total = round(Decimal(quantity) * price, minor_digits(currency))
        lines.append({"name": f"Dish {number}", "quantity": quantity, "unit_price": str(price), "total_price": str(total)})
    whole = sum(Decimal(line["total_price"]) for line in lines)
    if draw(st.booleans()):
        off = round(whole * draw(st.sampled_from([Decimal("0.1"), Decimal("0.333")])), minor_digits(currency))
        lines.append({"name": "Voucher", "quantity": "1", "unit_price": str(-off), "total_price": str(-off)})
    subtotal = sum(Decimal(line["total_price"]) for line in lines)
    parts = {
        "discount": round(subtotal * draw(st.sampled_from([Decimal(0), Decimal("0.05"), Decimal("0.15")])), minor_digits(currency)),
        "service_charge": draw(st.one_of(st.just(Decimal(0)), amounts)),
        "tax_included": draw(st.booleans()),
    }
    rates = draw(st.lists(st.sampled_from(["0", "5", "8.875", "13", "23"]), min_size=len(lines), max_size=len(lines)))
    by_line = draw(st.booleans())
    if by_line:
        sold = [line for line in lines if Decimal(line["total_price"]) > 0]
        left = (subtotal - parts["discount"]) / whole if whole else Decimal(0)
        for line, rate in zip(sold, rates, strict=False):
            net, percentage = Decimal(line["total_price"]) * left, Decimal(rate)
            tax = net * percentage / (100 + percentage if parts["tax_included"] else 100)
            line["tax"] = str(round(tax, minor_digits(currency)))
        parts["tax"] = sum((Decimal(line["tax"]) for line in sold), Decimal(0))
    else:
        percentage = Decimal(rates[0])
        tax = (subtotal - parts["discount"]) * percentage / (100 + percentage if parts["tax_included"] else 100)
        parts["tax"] = round(tax, minor_digits(currency))
    total = sum_of(subtotal, **parts)
    return {"items": lines, "subtotal": subtotal, **parts, "total": total, "currency": currency}


@given(checks())
def test_every_check_that_adds_up_comes_to_the_same_at_square(check: dict[str, Any]) -> None:
    read(GuestCheckInput, check).check_sums(check["currency"])
    made = mapping.to_order({**check, "check_number": "1"}, RESTAURANT)
    till = SquareSimulator()
    till.locations[RESTAURANT]["currency"] = check["currency"]
    there = till._made(made, "O1")
    unit = smallest(check["currency"])
    assert there["total_money"]["amount"] * unit == check["total"]
    assert there["total_tax_money"]["amount"] * unit == check["tax"]


def test_variable_price_is_sold_as_the_item_it_is(at: SimpleNamespace) -> None:
    at.service.sync_menus()
    catch = MenuVariation.objects.get(hotel=at.hotel, item__name="Catch of the day")
    assert catch.price is None
    line = {"menu_id": catch.item_id, "quantity": 1, "unit_price": "31.40", "total_price": "31.40"}
    by_weight = line | {"quantity": "0.350", "unit_price": "52.00", "total_price": "18.20", "note": "no salt"}
    posted = at.service.post_guest_check({"items": [line, by_weight], "subtotal": "49.60", "total": "49.60"})
    assert (posted.status, posted.warnings) == ("done", [])
    first, second = order(at)["line_items"]
    assert first["catalog_object_id"] == second["catalog_object_id"]
    assert (first["quantity"], *cents(first, "base_price")) == ("1", 3140)
    assert (second["quantity"], *cents(second, "base_price"), second["note"]) == ("1", 1820, "0.35 × 52 · no salt")
