"""Square's own client works against our simulator, so it is shaped like Square: ordinary calls are answered rightly, the others refused by name."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from integrations.services.square.simulator import APPLICATION_ID, APPLICATION_SECRET, REFRESH_TOKEN, RESTAURANT, TOKEN, SquareSimulator
from integrations.services.square.tests import CLUB
from integrations.simulators.server import running

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def sdk() -> Any:
    return pytest.importorskip("square", reason="not checked: Square's own client against the simulator (requirements-ci.txt has it)")


@pytest.fixture
def till(sdk: Any) -> Iterator[tuple[Any, SquareSimulator]]:
    simulator = SquareSimulator(items=150)
    with running(simulator) as served:
        yield sdk.Square(token=TOKEN, base_url=served.url), simulator


def cash(amount: int) -> dict[str, Any]:
    money = {"amount": amount, "currency": "EUR"}
    return {"source_id": "CASH", "amount_money": money, "cash_details": {"buyer_supplied_money": money}}


def line(name: str, amount: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "quantity": "1", "base_price_money": {"amount": amount, "currency": "EUR"}, **more}


def test_squares_own_client_reads_locations_and_the_catalog(till: tuple[Any, SquareSimulator]) -> None:
    client, _ = till
    assert [location.name for location in client.locations.list().locations][:2] == ["Restaurant Miramar", "Pool bar"]
    assert client.locations.get(location_id=RESTAURANT).location.currency == "EUR"
    listed = [item.id for item in client.catalog.list(types="ITEM")]
    assert len(listed) == len(set(listed)) == 187
    found = client.catalog.search(object_types=["ITEM"], limit=1000)
    assert [item.id for item in found.objects] == listed
    assert client.catalog.search(object_types=["ITEM"], begin_time=found.latest_time).objects is None
    (club,) = client.catalog.batch_get(object_ids=[CLUB[0]], include_related_objects=True).objects
    assert client.catalog.object.get(object_id=CLUB[0]).object.item_data.name == club.item_data.name == "Club sandwich"
    assert client.catalog.info().limits.search_max_page_limit == 1000


def test_squares_own_client_creates_edits_searches_and_cancels_orders(till: tuple[Any, SquareSimulator], sdk: Any) -> None:
    client, _ = till
    order = client.orders.create(
        order={
            "location_id": RESTAURANT,
            "ticket_name": "Room 214",
            "source": {"name": "Hospient"},
            "line_items": [line("Dinner", 4000, uid="dinner", modifiers=[line("Truffle", 350)]), line("Wine", 550, uid="wine")],
            "discounts": [{"uid": "loyal", "name": "Loyal guest", "percentage": "10", "scope": "ORDER"}],
            "service_charges": [{"name": "Room service", "percentage": "10", "calculation_phase": "SUBTOTAL_PHASE"}],
        },
        idempotency_key="a",
    ).order
    assert (order.total_money.amount, order.total_discount_money.amount, order.total_service_charge_money.amount) == (4851, 490, 441)
    edit = {"location_id": RESTAURANT, "version": order.version, "line_items": [{"uid": "wine", "quantity": "2"}]}
    order = client.orders.update(
        order_id=order.id, order=edit, fields_to_clear=["discounts[loyal]", "ticket_name"], idempotency_key="b"
    ).order
    assert (order.total_money.amount, order.ticket_name, order.version) == (5995, None, 2)
    assert client.orders.calculate(order={"location_id": RESTAURANT, "line_items": [line("Tea", 300)]}).order.total_money.amount == 300
    asked = {
        "filter": {
            "state_filter": {"states": ["OPEN"]},
            "source_filter": {"source_names": ["Hospient"]},
            "date_time_filter": {"updated_at": {"start_at": "2026-01-01T00:00:00Z"}},
        },
        "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
    }
    assert [one.id for one in client.orders.search(location_ids=[RESTAURANT], query=asked).orders] == [order.id]
    (entry,) = client.orders.search(location_ids=[RESTAURANT], return_entries=True).order_entries
    assert [one.id for one in client.orders.batch_get(order_ids=[entry.order_id, "NONE"]).orders] == [order.id]
    change = {"location_id": RESTAURANT, "version": 2, "state": "CANCELED"}
    assert client.orders.update(order_id=order.id, order=change, idempotency_key="c").order.state == "CANCELED"
    with pytest.raises(sdk.core.api_error.ApiError) as caught:
        client.orders.update(order_id=order.id, order=change, idempotency_key="d")
    assert caught.value.body["errors"][0]["code"] == "VERSION_MISMATCH"


def test_squares_own_client_takes_gives_back_and_settles_payments(till: tuple[Any, SquareSimulator]) -> None:
    client, _ = till
    order = client.orders.create(order={"location_id": RESTAURANT, "line_items": [line("Dinner", 2900)]}, idempotency_key="a").order
    first = client.payments.create(idempotency_key="p", autocomplete=False, order_id=order.id, **cash(2900)).payment
    assert client.payments.cancel(payment_id=first.id).payment.status == "CANCELED"
    again = client.payments.create(idempotency_key="q", autocomplete=False, order_id=order.id, **cash(2900)).payment
    assert client.orders.pay(order_id=order.id, idempotency_key="r", payment_ids=[again.id]).order.state == "COMPLETED"
    assert client.payments.get(payment_id=again.id).payment.status == "COMPLETED"
    alone = client.payments.create(idempotency_key="s", autocomplete=False, **cash(500)).payment
    assert client.payments.complete(payment_id=alone.id).payment.status == "COMPLETED"
    assert client.orders.get(order_id=order.id).order.net_amount_due_money.amount == 0


def test_squares_own_client_renews_tokens_and_keeps_subscriptions(till: tuple[Any, SquareSimulator]) -> None:
    client, simulator = till
    asked = {
        "client_id": APPLICATION_ID,
        "client_secret": APPLICATION_SECRET,
        "grant_type": "refresh_token",
        "refresh_token": REFRESH_TOKEN,
    }
    assert client.o_auth.obtain_token(**asked).access_token in simulator.tokens
    assert client.o_auth.retrieve_token_status().client_id == APPLICATION_ID
    wanted = {"name": "Hospient", "event_types": ["order.updated"], "notification_url": "https://hotel.example.com/hook"}
    made = client.webhooks.subscriptions.create(subscription=wanted, idempotency_key="w").subscription
    assert [one.id for one in client.webhooks.subscriptions.list()] == [made.id]
    assert client.webhooks.subscriptions.update_signature_key(subscription_id=made.id).signature_key != made.signature_key
    assert client.webhooks.subscriptions.update(subscription_id=made.id, subscription={"enabled": False}).subscription.enabled is False
    client.webhooks.subscriptions.delete(subscription_id=made.id)
    assert simulator.subscriptions == {}


ABSENT = {
    "orders.clone": lambda client: client.orders.clone(order_id="x"),
    "payments.list": lambda client: list(client.payments.list()),
    "payments.update": lambda client: client.payments.update(payment_id="x", idempotency_key="k"),
    "refunds": lambda client: client.refunds.refund_payment(idempotency_key="k", amount_money=cash(1)["amount_money"], payment_id="x"),
    "customers": lambda client: list(client.customers.list()),
    "catalog.object.upsert": lambda client: client.catalog.object.upsert(idempotency_key="k", object={"type": "ITEM", "id": "#x", "item_data": {"name": "Tea"}}),
    "catalog.search_items": lambda client: client.catalog.search_items(text_filter="tea"),
    "inventory": lambda client: client.inventory.batch_get_counts(catalog_object_ids=["x"]),
    "team_members": lambda client: client.team_members.search(),
    "merchants": lambda client: client.merchants.get(merchant_id="me"),
    "events": lambda client: client.events.search_events(),
    "webhooks.subscriptions.test": lambda client: client.webhooks.subscriptions.test(subscription_id="x"),
    "webhooks.event_types": lambda client: client.webhooks.event_types.list(),
    "locations.create": lambda client: client.locations.create(location={"name": "Spa"}),
}  # fmt: skip


@pytest.mark.parametrize("call", ABSENT)
def test_what_squares_own_client_finds_absent_is_refused_by_name_and_stands_in_the_page(
    till: tuple[Any, SquareSimulator], sdk: Any, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("square.core.http_client.time.sleep", lambda _: None)  # it tries twice more
    with pytest.raises(sdk.core.api_error.ApiError) as caught:
        ABSENT[call](till[0])
    (error,) = caught.value.body["errors"]
    assert (caught.value.status_code, error["code"]) == (501, "NOT_IMPLEMENTED")
    assert f"`{call}`" in (settings.BASE_DIR / "docs" / "simulators.md").read_text()
