"""A menu of 20,000 dishes, from the vendor's wire to the database: the counts are exact, and what is unchanged is not written."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hotels.models import Hotel, MenuItem, MenuVariation
from integrations.models import SyncRun
from integrations.services import service_for, setup
from integrations.services.pos import PosService
from integrations.services.square.simulator import SquareSimulator
from integrations.services.square.simulator import connection as connection_to
from integrations.simulators.server import running

DISHES = 20_000

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.fixture
def simulator() -> SquareSimulator:
    return SquareSimulator(items=DISHES)


@pytest.fixture
def service(simulator: SquareSimulator) -> Iterator[PosService]:
    with running(simulator) as served:
        integration, _ = setup.create_integration(Hotel.objects.create(name="Grand", slug="grand"), connection_to(served.url))
        yield service_for(integration)


def counts(run: SyncRun) -> tuple[int, int, int, int]:
    return run.created_count, run.updated_count, run.deleted_count, run.rejected_count


def test_first_second_changed_and_deleted(service: PosService, simulator: SquareSimulator) -> None:
    first = service.sync_menus()
    stored = MenuItem.live.count()
    assert first.status == "succeeded"
    assert stored >= DISHES
    assert first.created_count == first.processed_count

    with CaptureQueriesContext(connection) as queries:
        second = service.sync_menus(full=True)
    assert counts(second) == (0, 0, 0, 0)
    assert second.unchanged_count == first.created_count
    wrote = [query["sql"] for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert not [sql for sql in wrote if "hotels_" in sql or "externalreference" in sql]

    simulator.control("change_price", {"variation_id": "SIMVAR000101", "cents": 4321})
    simulator.control("delete_item", {"item_id": "SIMITEM0002"})
    changed = service.sync_menus()
    assert changed.mode == "incremental"
    assert counts(changed) == (0, 1, 1, 0)
    assert MenuItem.live.count() == stored - 1
    assert MenuVariation.objects.filter(price="43.21").count() == 1

    simulator.control("delete_item", {"item_id": "SIMITEM0003"})
    assert counts(service.sync_menus(full=True)) == (0, 0, 1, 0)
