"""What no list shows any more is looked at by its id: a stay that left the window, a check that was paid, a profile that was merged away.

Over real HTTP, with vendors that send no events: what counts is what the hotel sees after the next sync.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from hotels.models import Feedback, Guest, GuestCheck, GuestQuestion, Hotel, MenuVariation, Reservation
from integrations.exceptions import RequestRejected
from integrations.models import ExternalReference, RunStatus
from integrations.services import service_for, setup
from integrations.services.opera_cloud.simulator import OperaCloudSimulator
from integrations.services.opera_cloud.simulator import connection as opera_connection
from integrations.services.salesforce.provider import SalesforceProvider
from integrations.services.salesforce.simulator import SalesforceSimulator
from integrations.services.salesforce.simulator import connection as salesforce_connection
from integrations.services.simphony.simulator import SimphonySimulator
from integrations.services.simphony.simulator import connection as simphony_connection
from integrations.services.square.simulator import SquareSimulator
from integrations.services.square.simulator import connection as square_connection
from integrations.simulators.server import running


@pytest.fixture
def hotel(db: None) -> Hotel:
    return Hotel.objects.create(name="Miramar", slug="miramar", currency="EUR", time_zone="Europe/Lisbon")


@pytest.fixture
def opera(hotel: Hotel) -> Iterator[SimpleNamespace]:
    with running(OperaCloudSimulator()) as served:
        service = service_for(setup.create_integration(hotel, opera_connection(served.url))[0])
        service.sync_reservations()
        yield SimpleNamespace(service=service, there=served.simulator, hotel=served.simulator.hotel)


def stay(external_id: str) -> Reservation:
    return Reservation.objects.get(pk=ExternalReference.objects.get(record_type="reservation", external_id=external_id).object_id)


def at_the_desk(opera: Any, id: str, **changes: Any) -> None:
    """Change a reservation as somebody at the desk does; the event of it is never fetched."""
    for name, value in changes.items():
        setattr(opera.hotel.stays[id], name, value)
    opera.hotel.touch(opera.hotel.stays[id])


# --- stays ---------------------------------------------------------------------------------------------------------------------


def test_a_guest_who_came_long_ago_and_left_is_out_of_house_at_the_next_sync(opera: Any) -> None:
    assert (stay("660095").status, opera.hotel.today - stay("660095").arrival_date) == ("in_house", timedelta(days=20))
    at_the_desk(opera, "660095", status="CheckedOut", departure=opera.hotel.today)
    run = opera.service.sync_reservations()
    assert (run.status, stay("660095").status) == (RunStatus.SUCCEEDED, "checked_out")


def test_a_stay_that_was_moved_out_of_the_window_is_seen_where_it_is(opera: Any) -> None:
    days = {"arrival": opera.hotel.today + timedelta(days=200), "departure": opera.hotel.today + timedelta(days=202)}
    at_the_desk(opera, "660097", **days)
    opera.service.sync_reservations()
    assert stay("660097").arrival_date == days["arrival"]
    asked = len(opera.there.requests)
    opera.service.sync_reservations()
    by_id = [path for _, path, *_ in list(opera.there.requests)[asked:] if path.endswith("/660097")]
    assert by_id == [], "what is due after the window was not to be listed"


def test_a_stay_that_is_gone_at_the_vendor_is_closed(opera: Any) -> None:
    row = stay("660097")
    del opera.hotel.stays["660097"]
    run = opera.service.sync_reservations()
    row.refresh_from_db()
    assert (row.archived_at is not None, run.deleted_count) == (True, 1)


def test_nothing_is_asked_again_that_was_listed_or_is_over(opera: Any) -> None:
    asked = len(opera.there.requests)
    run = opera.service.sync_reservations()
    assert [path for _, path, *_ in list(opera.there.requests)[asked:] if path.rpartition("/")[2].isdecimal()] == []
    assert run.unchanged_count == run.processed_count


def test_a_vendor_that_suddenly_knows_nothing_closes_nothing(opera: Any) -> None:
    for number in range(14):
        opera.hotel.stays[f"77{number:04}"] = opera.hotel.stays["660097"].__class__(
            id=f"77{number:04}", guest_id="1280812", arrival=opera.hotel.today + timedelta(days=3), departure=opera.hotel.today + timedelta(days=4)
        )  # fmt: skip
        opera.hotel.postings[f"77{number:04}"] = []
    opera.service.sync_reservations()
    opera.hotel.stays.clear()
    run = opera.service.sync_reservations()
    assert run.status == RunStatus.PARTIAL
    assert "none of" in run.error_message
    assert "was there when they were read by their ids" in run.error_message
    assert not Reservation.objects.filter(archived_at__isnull=False).exists()
    run = opera.service.sync("reservations", confirm_deletions=True)
    assert (run.status, Reservation.live.filter(status="reserved").count()) == (RunStatus.SUCCEEDED, 0)


def test_a_range_of_days_looks_at_nothing_else(opera: Any) -> None:
    at_the_desk(opera, "660095", status="CheckedOut")
    opera.service.sync_reservations(str(opera.hotel.today), str(opera.hotel.today))
    assert stay("660095").status == "in_house"


# --- guests --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 204, 410])
def test_a_profile_that_was_merged_away_is_closed_and_its_stays_are_the_other_ones(opera: Any, status: int) -> None:
    gone = ExternalReference.objects.get(record_type="guest", external_id="1280815")
    opera.there.control("merge_profiles", {"gone": "1280815", "kept": "1280816", "status": status})
    opera.service.sync_reservations()
    gone.refresh_from_db()
    assert gone.deleted_at
    assert Guest.objects.get(pk=gone.object_id).archived_at
    assert stay("660090").guest_id == ExternalReference.objects.get(record_type="guest", external_id="1280816").object_id


def test_a_guest_whom_a_stay_no_longer_names_is_kept_if_the_vendor_has_them(opera: Any) -> None:
    at_the_desk(opera, "660090", guest_id="1280816")
    opera.service.sync_reservations()
    assert ExternalReference.objects.get(record_type="guest", external_id="1280815").deleted_at is None


def test_a_guest_who_is_gone_when_asked_for_is_closed(opera: Any) -> None:
    reference = ExternalReference.objects.get(record_type="guest", external_id="1280815")
    opera.there.control("merge_profiles", {"gone": "1280815", "kept": "1280816"})
    with pytest.raises(RequestRejected, match="no guest profile 1280815"):
        opera.service.get_guest_info("1280815")
    reference.refresh_from_db()
    assert reference.deleted_at


# --- checks --------------------------------------------------------------------------------------------------------------------

CHECK = {"items": [{"name": "Soup", "quantity": 1, "unit_price": "8.00", "total_price": "8.00"}], "subtotal": "8.00", "total": "8.00"}


def test_a_check_that_was_paid_at_the_till_is_closed_at_the_next_sync(hotel: Hotel) -> None:
    with running(SquareSimulator()) as served:
        service = service_for(setup.create_integration(hotel, square_connection(served.url))[0])
        operation = service.post_guest_check(CHECK)
        assert GuestCheck.objects.get(pk=operation.object_id).status == "open"
        served.simulator.orders[operation.vendor_reference] |= {"state": "COMPLETED", "version": 9}
        service.sync("checks")
        assert GuestCheck.objects.get(pk=operation.object_id).status == "closed"


def test_an_old_check_that_simphony_no_longer_lists_is_looked_at(hotel: Hotel) -> None:
    with running(SimphonySimulator()) as served:
        service = service_for(setup.create_integration(hotel, simphony_connection(served.url))[0])
        service.sync("menus")
        variation = MenuVariation.objects.filter(price__isnull=False).select_related("item").first()
        price = str(variation.price.normalize())
        line = {"menu_id": variation.item_id, "variation_id": variation.pk, "quantity": 1, "unit_price": price, "total_price": price}
        operation = service.post_guest_check({"items": [line], "subtotal": price, "total": price, "currency": variation.currency})
        service.sync("checks")
        row = GuestCheck.objects.get(pk=operation.object_id)
        assert (operation.status, row.status) == ("done", "open")
        served.simulator.checks.pop(operation.vendor_reference)
        service.sync("checks")
        row.refresh_from_db()
        assert row.archived_at


# --- merged at the vendor ------------------------------------------------------------------------------------------------------


@pytest.fixture
def crm(hotel: Hotel, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    # Salesforce is asked up to the last whole second: what happens within this one would come with the next sync.
    monkeypatch.setattr(SalesforceProvider, "_clock", staticmethod(lambda: datetime.now(UTC) + timedelta(seconds=1)))
    with running(SalesforceSimulator()) as served:
        service = service_for(setup.create_integration(hotel, salesforce_connection(served.url))[0])
        people = [{"FirstName": name, "LastName": "Berger", "Email": f"{name}@example.com"} for name in ("Anna", "Annie")]
        kept, gone = (served.simulator.insert("Contact", person) for person in people)
        service.sync_guest_data()
        yield SimpleNamespace(service=service, there=served.simulator, kept=kept, gone=gone)


def guest_of(external_id: str) -> Guest:
    return Guest.objects.get(pk=ExternalReference.objects.get(record_type="guest", external_id=external_id).object_id)


@pytest.mark.parametrize("by_id", [False, True], ids=["log of deletions", "by id"])
def test_a_merge_at_salesforce_is_followed(crm: Any, hotel: Hotel, by_id: bool) -> None:
    kept, gone = guest_of(crm.kept), guest_of(crm.gone)
    Feedback.objects.create(hotel=hotel, guest=gone, rating=5)
    crm.there.control("merge_contacts", {"gone": crm.gone, "kept": crm.kept})
    crm.service.refresh("guest_data", [crm.gone]) if by_id else crm.service.sync_guest_data()
    gone.refresh_from_db()
    assert (guest_of(crm.gone), gone.merged_into) == (kept, kept)
    assert ExternalReference.objects.get(external_id=crm.gone).deleted_at
    assert Feedback.objects.get(rating=5, guest__family_name="Berger").guest == kept
    assert Guest.live.filter(family_name="Berger").count() == 1


def test_a_merge_of_two_whom_another_system_tells_apart_joins_nobody(crm: Any, opera: Any) -> None:
    kept, gone = guest_of(crm.kept), guest_of(crm.gone)
    pair = ExternalReference.objects.filter(integration=opera.service.integration, record_type="guest")[:2]
    for reference, row in zip(pair, (kept, gone), strict=True):
        ExternalReference.objects.filter(pk=reference.pk).update(object_id=row.pk)
    crm.there.control("merge_contacts", {"gone": crm.gone, "kept": crm.kept})
    crm.service.sync_guest_data()
    gone.refresh_from_db()
    assert (gone.merged_into, gone.archived_at) == (None, None)
    assert ExternalReference.objects.get(external_id=crm.gone).deleted_at


def test_a_merge_of_two_of_whom_a_person_said_that_they_are_two_joins_nobody(crm: Any, hotel: Hotel) -> None:
    kept, gone = sorted((guest_of(crm.kept), guest_of(crm.gone)), key=lambda row: row.pk)
    GuestQuestion.objects.create(hotel=hotel, guest=kept, other=gone, verdict="different")
    crm.there.control("merge_contacts", {"gone": crm.gone, "kept": crm.kept})
    crm.service.sync_guest_data()
    assert not Guest.objects.filter(merged_into__isnull=False).exists()
