"""The worker's tick: it wakes a lane that has something due, costs next to nothing when there is nothing, and bounds what it does at once."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tasks import default_task_backend

from hospient.management.commands import worker
from hotels.models import Hotel
from integrations import tasks
from integrations.models import Integration, Operation, SyncRun
from integrations.services import service_for
from integrations.tests.conftest import Connect
from webhooks.tasks import LANES

pytestmark = pytest.mark.django_db


class NoEngine:
    def recover(self) -> None: ...


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tick, and return which lanes were woken."""
    command = worker.Command()
    command.beaten_at = float("-inf")
    default_task_backend.results.clear()

    def tick() -> list[str]:
        command.tick(NoEngine())
        woken = [result.args[0] for result in default_task_backend.results]
        default_task_backend.results.clear()
        return woken

    yield tick
    cache.clear()


@pytest.fixture
def integration(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel)


def test_there_is_a_lane_for_each_kind_of_job() -> None:
    assert set(LANES) == {"runs", "outbox", "inbox", "connections"}


def test_a_tick_without_anything_due_wakes_nobody_and_asks_little(tick: Any, integration: Integration) -> None:
    assert tick() == []
    with CaptureQueriesContext(connection) as queries:
        assert tick() == []
    assert len(queries) <= 6
    assert all(query["sql"].startswith("SELECT") for query in queries)


@pytest.mark.parametrize("lane", ["runs", "outbox", "inbox"])
def test_a_lane_with_something_due_is_woken_and_no_other(tick: Any, integration: Integration, lane: str) -> None:
    {
        "runs": lambda: service_for(integration).request_sync("menus"),
        "outbox": lambda: Operation.objects.create(
            integration=integration, name="post_charge", idempotency_key="k", next_attempt_at=timezone.now()
        ),
        "inbox": lambda: integration.webhook_events.create(event_id="e", body=b"{}", received_at=timezone.now()),
    }[lane]()
    assert tick() == [lane]
    Integration.objects.update(status="inactive")
    assert tick() == []


def test_a_tick_goes_on_opening_runs_for_a_while_and_no_longer(
    tick: Any, integration: Integration, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        connect(Hotel.objects.create(name="Hotel", slug=f"hotel-{number}"))
    Integration.objects.update(next_sync_at=timezone.now() - timedelta(hours=1), sync_settings={"auto_sync": True})
    monkeypatch.setattr(tasks, "SCHEDULED_AT_ONCE", 2)
    for seconds, opened in ((0.0, 2), (60.0, 5)):
        with monkeypatch.context() as patience:
            patience.setattr(worker, "TICK_SECONDS", seconds)
            tick()
        assert len(set(SyncRun.objects.values_list("integration", flat=True))) == opened
