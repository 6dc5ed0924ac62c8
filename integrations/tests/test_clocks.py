"""Clocks of others are not believed: a time in the future freezes neither a record nor a stream, and what was committed late is found."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from hotels.models import Hotel, MenuItem
from integrations import records
from integrations.models import ExternalReference, Integration, IntegrationLog, RunStatus, StreamState
from integrations.services import rows, service_for
from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.services.salesforce import simulator as salesforce
from integrations.services.square import simulator as square
from integrations.simulators.server import SimRequest, SimResponse
from integrations.tests.feed import Feed
from integrations.tests.in_memory import InMemory
from integrations.tests.in_memory import in_memory as in_memory
from integrations.tests.test_any_value import connected
from integrations.tests.test_lists import hotel as hotel
from integrations.tests.test_lists import plain

FUTURE = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
def integration(hotel: Hotel) -> Integration:
    return plain(hotel)


def dish(name: str, when: datetime | None) -> records.MenuItem:
    return records.MenuItem(external_id="I1", name=name, updated_at=when)


def test_record_of_the_future_is_stored_at_our_time_noted_and_changed_by_what_comes_next(integration: Integration) -> None:
    feed, yesterday = Feed(integration), timezone.now() - timedelta(days=1)
    run = feed.run([dish("Of 2099", FUTURE)])
    assert run.status == RunStatus.SUCCEEDED
    assert "time in the future" in run.hint
    assert run.hint in str(IntegrationLog.objects.get(operation_name="sync_menus").response_data)
    assert ExternalReference.objects.get().source_updated_at <= timezone.now()
    feed.run([dish("Of yesterday", yesterday)])
    assert MenuItem.objects.get().name == "Of yesterday"
    feed.run([dish("Of last week", yesterday - timedelta(days=7))])
    assert MenuItem.objects.get().name == "Of yesterday"


def test_sender_whose_clock_is_ahead_is_followed_in_the_order_of_arrival(integration: Integration) -> None:
    feed = Feed(integration)
    ahead = timezone.now() + timedelta(hours=2)
    for number, name in enumerate(("first", "second", "third")):
        feed.run([dish(name, ahead + timedelta(minutes=number))])
        assert MenuItem.objects.get().name == name
    feed.run([dish("by a clock that is right", timezone.now())])
    assert MenuItem.objects.get().name == "by a clock that is right"


def test_unchanged_record_of_the_future_stays_open_to_change(integration: Integration) -> None:
    feed = Feed(integration)
    for _ in range(3):
        feed.run([dish("Of 2099", FUTURE)])
    feed.run([dish("Of today", timezone.now() - timedelta(hours=1))])
    assert MenuItem.objects.get().name == "Of today"


# --- cursors -----------------------------------------------------------------------------------------------------------------------


def test_time_of_a_cursor_is_never_in_the_future_and_is_read_again_from_before_it() -> None:
    now = datetime.now(UTC)
    assert rows.newest("", None) == ""
    assert rows.newest("2026-06-09T10:00:00+00:00", datetime(2026, 6, 9, 11, tzinfo=UTC)) == "2026-06-09T11:00:00+00:00"
    assert now <= datetime.fromisoformat(rows.newest(FUTURE)) <= datetime.now(UTC)
    assert rows.before("2099-01-01T00:00:00+00:00", timedelta(minutes=5)) <= datetime.now(UTC) - timedelta(minutes=5)


class Menu(GenericRestSimulator):
    """Lists what changed since the time it is asked with, as most systems do: from that time on."""

    def __init__(self, *dishes: dict[str, Any]) -> None:
        super().__init__()
        self.dishes = list(dishes)

    def handle(self, request: SimRequest) -> SimResponse:
        since = request.arg("updated_since")
        return SimResponse(json=[one for one in self.dishes if one["updated_at"] >= since])


def row(number: int, when: datetime | str) -> dict[str, Any]:
    return {"id": f"menu_{number}", "name": f"Dish {number}", "price": 5, "updated_at": when if isinstance(when, str) else when.isoformat()}


@pytest.mark.parametrize("late_by", [timedelta(0), timedelta(seconds=20)], ids=["same time", "committed late"])
def test_row_that_was_not_there_when_a_newer_one_was_read_is_found_the_next_time(
    hotel: Hotel, in_memory: Callable[..., InMemory], late_by: timedelta
) -> None:
    newest = timezone.now() - timedelta(minutes=10)
    menu = Menu(row(1, newest - timedelta(days=1)), row(2, newest))
    in_memory(menu)
    service = service_for(plain(hotel, since_parameter="updated_since"))
    service.sync("menus")
    menu.dishes.append(row(3, newest - late_by))
    run = service.sync("menus")
    assert (run.mode, run.created_count, run.unchanged_count) == ("incremental", 1, 1)


def test_one_row_of_the_future_does_not_end_the_stream(hotel: Hotel, in_memory: Callable[..., InMemory]) -> None:
    menu = Menu(row(1, timezone.now() - timedelta(days=1)), row(2, FUTURE))
    in_memory(menu)
    service = service_for(plain(hotel, since_parameter="updated_since"))
    service.sync("menus")
    assert StreamState.objects.get().cursor["since"] <= timezone.now().isoformat()
    menu.dishes.append(row(3, timezone.now()))
    service.sync("menus")
    assert MenuItem.live.count() == 3


def test_cursor_of_the_future_that_is_stored_already_is_not_believed(hotel: Hotel, in_memory: Callable[..., InMemory]) -> None:
    menu = Menu(row(1, timezone.now() - timedelta(seconds=5)))
    in_memory(menu)
    integration = plain(hotel, since_parameter="updated_since")
    StreamState.objects.create(integration=integration, stream="menus", cursor={"since": FUTURE.isoformat()})
    service_for(integration).sync("menus")
    assert MenuItem.live.count() == 1


@pytest.mark.parametrize(
    ("vendor", "simulator", "stream", "name"),
    [
        ("square/pos", square.SquareSimulator, "menus", "latest_time"),
        ("salesforce/guest_management", salesforce.SalesforceSimulator, "guest_data", "modified"),
    ],
)
def test_vendors_cursor_of_the_future_still_reads_what_changes_now(
    hotel: Hotel, in_memory: Callable[..., InMemory], vendor: str, simulator: Any, stream: str, name: str
) -> None:
    wire = in_memory(simulator())
    integration = connected(hotel, vendor)
    service = service_for(integration)
    service.sync(stream)
    state = StreamState.objects.get()
    assert state.cursor[name] <= timezone.now().isoformat()
    state.cursor |= {name: FUTURE.isoformat()}
    state.save()
    wire.simulator.requests.clear()
    asked: list[str] = []
    wire.bend = lambda request, answer: asked.append(f"{request.query} {request.body!r}") or answer
    assert service.sync(stream).status == RunStatus.SUCCEEDED
    assert not [one for one in asked if "2099" in one]
