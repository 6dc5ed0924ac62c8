"""What a vendor would refuse or cut is refused first, with the field's name and the vendor's limit; what fits arrives whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache

from hotels.models import Guest, Hotel, Role
from hotels.tests.people import *  # noqa: F403
from integrations.exceptions import InvalidInput, RateLimited
from integrations.models import ExternalReference, Operation
from integrations.services import connect, service_for, setup
from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.services.guests import edit_guest
from integrations.services.opera_cloud.simulator import OperaCloudSimulator
from integrations.services.opera_cloud.simulator import connection as opera_connection
from integrations.services.salesforce.simulator import SalesforceSimulator
from integrations.services.salesforce.simulator import connection as salesforce_connection
from integrations.services.square.mapping import tax_percentage
from integrations.services.square.simulator import SquareSimulator
from integrations.services.square.simulator import connection as square_connection
from integrations.simulators.server import running
from webhooks import inbox

LINE = {"name": "Soup", "quantity": 1, "unit_price": "8.00", "total_price": "8.00"}
CHECK = {"items": [LINE], "subtotal": "8.00", "total": "8.00"}


@contextmanager
def connected(simulator: Any, connection: Any, hotel: Hotel) -> Iterator[Any]:
    """A service and, as `there`, the vendor at its other end."""
    with running(simulator) as served:
        service = service_for(setup.create_integration(hotel, connection(served.url))[0])
        service.there = served.simulator
        yield service


@pytest.fixture
def opera(hotel: Hotel) -> Iterator[Any]:
    with connected(OperaCloudSimulator(), opera_connection, hotel) as service:
        yield service


@pytest.fixture
def square(hotel: Hotel) -> Iterator[Any]:
    with connected(SquareSimulator(), square_connection, hotel) as service:
        yield service


@pytest.mark.parametrize(("field", "most"), [("given_name", 40), ("family_name", 40), ("phone", 40)])
def test_a_name_longer_than_opera_takes_is_refused_and_one_that_fits_arrives_whole(opera: Any, field: str, most: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        opera.update_guest_info("1280812", {field: "1" * (most + 1)})
    assert caught.value.errors == {field: f"Oracle OPERA Cloud takes {most} characters here; this has {most + 1}."}
    assert not Operation.objects.exists()
    assert opera.update_guest_info("1280812", {field: "1" * most}).status == "done"
    assert getattr(opera.get_guest_info("1280812"), field) == "1" * most


def test_staff_are_told_before_an_edit_that_opera_would_not_take(opera: Any) -> None:
    opera.sync_reservations()
    guest = Guest.objects.get(pk=ExternalReference.objects.get(record_type="guest", external_id="1280812").object_id)
    with pytest.raises(InvalidInput, match="takes 40 characters"):
        edit_guest(guest, {"given_name": "A" * 41})
    guest.refresh_from_db()
    assert (guest.given_name, Operation.objects.count()) == ("Ana", 0)


def test_a_request_arrives_whole_or_not_at_all(opera: Any, caller: Any, hotel: Hotel) -> None:
    text = "Please " + "x" * 1843
    body = {"room_number": "102", "category": "k" * 64, "priority": "urgent", "message": text}
    assert opera.send_request(body).status == "done"
    assert text in opera.there.hotel.requests[0]["comment"]
    answer = caller(Role.OPERATOR, hotel).post(f"/api/integrations/{opera.integration.pk}/requests", body | {"message": text + "y"})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "message")
    assert "takes 1,850 characters" in answer.json()["errors"][0]["detail"]


def test_feedback_at_check_out_arrives_whole_or_not_at_all(opera: Any) -> None:
    body = {"reservation_id": "660091", "feedback_rating": 5}
    with pytest.raises(InvalidInput, match="feedback_comments: Oracle OPERA Cloud takes 1,850 characters"):
        opera.post_check_out(body | {"feedback_comments": "x" * 1851})
    assert opera.post_check_out(body | {"feedback_comments": "x" * 1850}).status == "done"
    assert "x" * 1850 in opera.there.hotel.requests[0]["comment"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"room_number": "R" * 26}, "room_number"),
        ({"tax": "-1.00", "total": "7.00"}, "tax"),
        ({"items": [LINE, LINE | {"name": "n" * 491}], "subtotal": 16, "total": 16}, "items.1.name"),
    ],
)
def test_what_square_would_cut_is_named_by_its_place(square: Any, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        square.post_guest_check(CHECK | change)
    assert set(caught.value.errors) == {field}
    assert not square.there.orders


def test_what_square_takes_arrives_whole(square: Any) -> None:
    line = {"name": "n" * 490, "quantity": "0.125", "unit_price": "8.00", "total_price": "1.00", "note": "o" * 2000}
    operation = square.post_guest_check({"items": [line], "subtotal": 1, "total": 1, "room_number": "R" * 25})
    order = square.there.orders[operation.vendor_reference]
    assert (order["line_items"][0]["name"], order["ticket_name"]) == (f"0.125 × {'n' * 490}", f"Room {'R' * 25}")
    assert order["line_items"][0]["note"] == "o" * 2000


@pytest.mark.parametrize(("tax", "subtotal", "written"), [("1.65", "33.00", "5"), ("999.99", "0.01", "9999900"), ("0.00", "5.00", "0")])
def test_a_tax_square_can_be_told_is_a_percentage(tax: str, subtotal: str, written: str) -> None:
    assert tax_percentage(Decimal(tax), subtotal, "EUR") == written


def test_a_tax_square_cannot_be_told_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="tax: Square takes a tax as a percentage of 10 characters"):
        tax_percentage(Decimal("99999999999.99"), "0.07", "EUR")


# --- to the last page ----------------------------------------------------------------------------------------------------------


def test_lists_of_messages_go_on_to_the_last_page(hotel: Hotel) -> None:
    with running(GenericRestSimulator(page_size=2)) as served:
        body = {
            "integration_type": "guest_management", "provider_name": "Custom", "credentials": {"apiKey": GenericRestSimulator.api_key},
            "config": {"baseUrl": served.url, "endpoints": {"chat": "/chat"}, "paging": {"style": "offset", "size": 2}},
        }  # fmt: skip
        service = service_for(setup.create_integration(hotel, body)[0])
        assert len(service.get_chat_messages(limit=50)) == 4
        assert len(service.get_chat_messages(limit=3)) == 3


def test_what_salesforce_is_asked_for_by_id_is_read_to_the_last_page(hotel: Hotel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SalesforceSimulator, "batch_size", 2)
    with running(SalesforceSimulator()) as served:
        service = service_for(setup.create_integration(hotel, salesforce_connection(served.url))[0])
        ids = list(served.simulator.records["Contact"])[:5]
        run = service.refresh("guest_data", ids)
        assert (run.status, run.created_count, run.deleted_count) == ("succeeded", 5, 0)


# --- the vendor's pace ---------------------------------------------------------------------------------------------------------


def test_events_are_fetched_at_the_pace_of_the_gateway_by_all_its_hotels_together(opera: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Hotel.objects.create(name="Belvedere", slug="belvedere", currency="EUR")
    neighbour = setup.create_integration(other, opera_connection(opera.integration.config["base_url"]))[0]
    keys = {connect.polling_pace(one)._key for one in (opera.integration, neighbour)}
    assert len(keys) == 1, "the gateway is theirs together"
    for number in range(50):
        opera.there.tell("Reservation", "UPDATE RESERVATION", f"66{number:04}")
    turns: list[float] = []
    monkeypatch.setattr(
        connect.Budget, "acquire", lambda budget, patience=30.0: turns.append(patience) if "polling" in budget._key else None
    )
    cache.clear()
    assert inbox.poll(opera.integration) == 50
    assert turns == [inbox.PACE_PATIENCE_SECONDS] * 4
    pace = opera.provider.manifest.webhooks.pace
    assert pace.requests * 60 / pace.per_seconds <= 300


def test_a_poll_that_has_no_turn_leaves_the_rest_for_the_next(opera: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        opera.there.tell("Reservation", "UPDATE RESERVATION", f"66{number:04}")
    turns = iter([None])

    def acquire(budget: Any, patience: float = 30.0) -> None:
        if "polling" in budget._key and next(turns, "used up"):
            raise RateLimited()

    monkeypatch.setattr(connect.Budget, "acquire", acquire)
    cache.clear()
    assert (inbox.poll(opera.integration), len(opera.there.events)) == (20, 10)
