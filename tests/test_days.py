"""A range of days reaches the vendor as it was asked for: through every door, in every zone, a single day included."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hotels.models import Guest, Hotel, Role
from hotels.tests.people import *  # noqa: F403
from integrations.models import Integration, SyncRun
from integrations.services import service_for, setup
from integrations.services.base import HotelFacts
from integrations.services.opera_cloud.simulator import OperaCloudSimulator
from integrations.services.opera_cloud.simulator import connection as opera_connection
from integrations.services.salesforce.simulator import SalesforceSimulator
from integrations.services.salesforce.simulator import connection as salesforce_connection
from integrations.simulators.server import route, running
from integrations.tasks import run_sync

ZONES = ("Pacific/Kiritimati", "Europe/Vienna", "UTC", "America/New_York", "Pacific/Honolulu", "Pacific/Pago_Pago")
DOORS = ("python", "dry run", "command", "dry command", "api", "console")


class AskedOpera(OperaCloudSimulator):
    """Keeps the arrivals it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.days: list[tuple[str, str]] = []

    @route("GET", "/rsv/v1/hotels/{hotel}/reservations")
    def find_reservations(self, request):  # type: ignore[no-untyped-def]
        if request.arg("arrivalStartDate"):
            self.days.append((request.arg("arrivalStartDate"), request.arg("arrivalEndDate")))
        return super().find_reservations(request)


@pytest.fixture(scope="module")
def opera():
    with running(AskedOpera()) as served:
        yield served


@pytest.fixture
def ask(opera, client, caller) -> Callable[[str, Integration, date, date], tuple[str, str]]:
    """Ask through a door for a range of arrivals, and return the first and the last day the vendor was asked for."""

    def through(door: str, integration: Integration, first: date, last: date) -> tuple[str, str]:
        opera.simulator.days.clear()
        service = service_for(integration)
        if door == "python":
            service.sync_reservations(str(first), str(last))
        elif door == "dry run":
            service.preview("reservations", since=first, until=last)
        elif door in ("command", "dry command"):
            flags = ["--dry-run"] if door == "dry command" else []
            call_command("sync_integration", str(integration.pk), "reservations", "--since", str(first), "--until", str(last), *flags)
        elif door == "api":
            body = {"sync_type": "reservations", "start_date": str(first), "end_date": str(last)}
            answer = caller(Role.MANAGER, integration.hotel).post(f"/api/integrations/{integration.pk}/sync", body)
            assert answer.status_code == 202, answer.json()
            assert (answer.json()["since"], answer.json()["until"]) == (str(first), str(last))
            run_sync(answer.json()["id"])
        else:
            manager = caller(Role.MANAGER, integration.hotel).user
            manager.is_staff = True
            manager.save()
            client.force_login(manager)
            address = f"/admin/integrations/integration/{integration.pk}/sync/"
            client.post(address, {"stream": "reservations", "since": str(first), "until": str(last)})
            run_sync(SyncRun.objects.latest("pk").pk)
        asked = opera.simulator.days
        for (_, end), (start, _) in pairwise(asked):
            assert date.fromisoformat(start) - date.fromisoformat(end) == timedelta(days=1), "slices meet without a gap"
        return asked[0][0], asked[-1][1]

    return through


def connected(url: str, zone: str) -> Integration:
    hotel = Hotel.objects.create(name="Grand", slug=f"grand-{Hotel.objects.count()}", currency="EUR", time_zone=zone)
    return setup.create_integration(hotel, opera_connection(url))[0]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.django_db
def test_range_is_asked_for_as_given(opera, ask, door, zone) -> None:
    integration = connected(opera.url, zone)
    assert ask(door, integration, date(2026, 12, 1), date(2026, 12, 31)) == ("2026-12-01", "2026-12-31")
    assert ask(door, integration, date(2028, 2, 29), date(2028, 2, 29)) == ("2028-02-29", "2028-02-29")


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.dates(date(2000, 1, 1), date(2040, 1, 1)),
    length=st.integers(0, 60),
    zone=st.sampled_from(ZONES),
    door=st.sampled_from(DOORS),
)
@example(first=date(2026, 3, 29), length=0, zone="Europe/Vienna", door="api")
def test_any_range_through_any_door(opera, ask, first, length, zone, door) -> None:
    last = first + timedelta(days=length)
    assert ask(door, connected(opera.url, zone), first, last) == (str(first), str(last))


@pytest.mark.django_db
def test_moment_means_the_day_it_falls_on_at_the_hotel(opera) -> None:
    integration = connected(opera.url, "Europe/Vienna")
    opera.simulator.days.clear()
    new_year = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    service_for(integration).sync("reservations", since=new_year, until=new_year)
    assert opera.simulator.days == [("2027-01-01", "2027-01-01")]


@pytest.mark.django_db
def test_range_with_one_end_beyond_the_usual_window_is_read(opera, hotel) -> None:
    integration = connected(opera.url, "Europe/Vienna")
    opera.simulator.days.clear()
    service_for(integration).sync_reservations("2031-05-01")
    assert opera.simulator.days[0][0] == "2031-05-01"
    opera.simulator.days.clear()
    service_for(integration).sync_reservations(None, "2021-05-01")
    assert opera.simulator.days[-1][1] == "2021-05-01"


@pytest.mark.django_db
def test_end_before_the_start_is_refused_by_every_door(opera, caller) -> None:
    integration = connected(opera.url, "Europe/Vienna")
    with pytest.raises(CommandError, match="end date is before") as refused:
        call_command("sync_integration", str(integration.pk), "reservations", "--since", "2026-12-02", "--until", "2026-12-01")
    assert refused.value.returncode == 2
    body = {"sync_type": "reservations", "start_date": "2026-12-02", "end_date": "2026-12-01"}
    answer = caller(Role.MANAGER, integration.hotel).post(f"/api/integrations/{integration.pk}/sync", body)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "end_date")
    assert not SyncRun.objects.exists()


# --- a vendor that wants moments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.django_db
def test_one_day_at_a_vendor_that_wants_moments_is_the_hotels_whole_day(zone) -> None:
    day = date(2026, 6, 2)
    midnight = datetime(2026, 6, 2, tzinfo=ZoneInfo(zone))
    at = {
        "before": midnight - timedelta(seconds=1),
        "first": midnight,
        "last": midnight + timedelta(days=1, seconds=-1),
        "after": midnight + timedelta(days=1),
    }
    with running(SalesforceSimulator(clock=lambda: datetime(2026, 7, 1, tzinfo=UTC))) as served:
        served.simulator.records["Contact"].clear()
        for name, moment in at.items():
            served.simulator.insert("Contact", {"LastName": name}, at=moment)
        hotel = Hotel.objects.create(name="Grand", slug="grand", currency="EUR", time_zone=zone)
        integration = setup.create_integration(hotel, salesforce_connection(served.url))[0]
        service_for(integration).sync("guest_data", since=day, until=day)
    assert set(Guest.objects.filter(hotel=hotel).values_list("family_name", flat=True)) == {"first", "last"}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Vienna", date(2026, 3, 29), 23),
        ("Europe/Vienna", date(2026, 10, 25), 25),
        ("America/Santiago", date(2026, 9, 6), 23),  # its clocks go forward at midnight: that day has no 00:00
        ("Pacific/Honolulu", date(2026, 3, 29), 24),
    ],
)
def test_a_day_is_as_long_as_the_hotels_clock_makes_it(zone, day, hours) -> None:
    begin, end = HotelFacts(name="Grand", currency="EUR", time_zone=zone).moments(day, day)
    assert end.astimezone(UTC) - begin.astimezone(UTC) == timedelta(hours=hours)
