"""The connection that the lean door's event loop watches itself: whatever happens to it, no delivery is lost and none answered wrongly."""

import pytest
from django.db import connection

from integrations.models import Integration
from webhooks import lane as lanes
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import SECRET, Connect
from webhooks.tests.doors import LeanDoor, signed
from webhooks.tests.test_ingest import BODY, path

pytestmark = pytest.mark.skipif("not config.getoption('--pg')", reason="PostgreSQL alone has it")


def send(door: LeanDoor, integration: Integration, event_id: str, body: bytes = BODY) -> int:
    return door.post(path(integration), body, signed(body, SECRET, X_Webhook_Id=event_id)).status


@pytest.fixture
def integration(lean: LeanDoor, connect: Connect) -> Integration:
    """One whose door has its lane open."""
    made = connect()
    lean.ingest.limiter._take = lambda key, allowance: (1000, 1000)  # type: ignore[method-assign]
    assert send(lean, made, "first") == 202
    assert lean.application._lane.is_open
    return made


def process_of(door: LeanDoor) -> int:
    line = door.application._lane._line
    assert line
    return line.libpq.backend_pid


def test_deliveries_go_through_it_and_known_ones_are_told(lean: LeanDoor, integration: Integration) -> None:
    lean.ingest.settle = None  # type: ignore[assignment]  # the other way is closed
    assert [send(lean, integration, event_id) for event_id in ("evt-1", "evt-1", "evt-2")] == [202, 200, 202]
    large = BODY[:-1] + b',"more":"' + b"x" * 700_000 + b'"}'  # more than the network takes at once
    assert send(lean, integration, "evt-3", large) == 202
    assert WebhookEvent.objects.count() == 4


def test_connection_that_is_cut_costs_nothing_and_is_opened_again(lean: LeanDoor, integration: Integration) -> None:
    before = process_of(lean)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [before])
    assert [send(lean, integration, event_id) for event_id in ("evt-1", "evt-2", "evt-1")] == [202, 202, 200]
    assert process_of(lean) != before


def test_integration_that_is_deleted_meanwhile_is_refused(lean: LeanDoor, integration: Integration, connect: Connect) -> None:
    integration_id = integration.pk
    integration.delete()
    integration.pk = integration_id
    assert send(lean, integration, "evt-1") == 401
    assert send(lean, connect(), "evt-1") == 202


def test_statement_is_not_prepared_behind_a_pooler(lean: LeanDoor, integration: Integration, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the process that answers is not the one that was connected to."""
    monkeypatch.setattr(lanes, "_OWN_PROCESS", b"SELECT pg_backend_pid() + 1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [process_of(lean)])
    assert [send(lean, integration, event_id) for event_id in ("evt-1", "evt-2", "evt-1")] == [202, 202, 200]
    line = lean.application._lane._line
    assert line
    assert not line._is_prepared
