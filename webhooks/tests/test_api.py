"""The inbox through the API: seen and replayed by those who may, and not there for anybody else."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from hotels.models import Hotel, Role
from hotels.tests.people import Caller
from integrations.models import Integration
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import Connect

pytestmark = pytest.mark.django_db


def make(integration: Integration, number: int = 1, **columns: Any) -> WebhookEvent:
    body = json.dumps({"event_type": "guest_updated", "data": {"guest_id": "g1", "email": "guest@example.com"}})
    given = {"status": "done", "event_type": "guest_updated", "received_at": timezone.now(), "body": body.encode()} | columns
    return WebhookEvent.objects.create(integration=integration, event_id=f"evt-{number}", **given)


def url(integration: Integration, rest: str = "") -> str:
    return f"/api/integrations/{integration.pk}/webhook-events{rest}"


def test_events_are_listed_newest_first_and_filtered(viewer: APIClient, connect: Connect) -> None:
    integration = connect()
    old = make(integration, 1, received_at=timezone.now() - timedelta(days=2), status="dead", object_key="guest:g1")
    new = make(integration, 2)
    make(connect(), 3)
    assert [row["id"] for row in viewer.get(url(integration)).json()["results"]] == [new.pk, old.pk]
    day_ago = (timezone.now() - timedelta(days=1)).isoformat()
    for query in ({"status": "dead"}, {"object_key": "guest:g1"}, {"until": day_ago}, {"event_id": "evt-1"}):
        assert [row["id"] for row in viewer.get(url(integration), query).json()["results"]] == [old.pk], query
    assert viewer.get(url(integration), {"status": "lost"}).status_code == 400
    assert viewer.get(url(integration), {"integration__hotel__slug": "miramar"}).status_code == 400


def test_one_event_shows_its_body_redacted(viewer: APIClient, connect: Connect) -> None:
    integration = connect()
    event = make(integration, headers={"x-webhook-id": "evt-1"})
    shown = viewer.get(url(integration, f"/{event.pk}")).json()
    assert shown["body"]["data"] == {"guest_id": "g1", "email": "[redacted]"}
    assert shown["headers"] == {"x-webhook-id": "evt-1"}


def test_operator_replays_one_event(operator: APIClient, connect: Connect) -> None:
    integration = connect()
    event = make(integration, status="dead", attempts=5, error_code="x", error_message="y")
    assert operator.post(url(integration, f"/{event.pk}/replay")).json() == {"matching": 1, "replayed": 1}
    event.refresh_from_db()
    assert (event.status, event.attempts, event.error_message) == ("pending", 0, "")
    assert operator.post(url(integration, f"/{event.pk}/replay")).json() == {"matching": 0, "replayed": 0}


def test_replay_by_filter_counts_first(operator: APIClient, connect: Connect) -> None:
    integration, other = connect(), connect()
    for number in range(3):
        make(integration, number, status="dead")
    make(integration, 3)
    make(other, 4, status="dead")
    asked = operator.post(url(integration, "/replay"), {"status": "dead"})
    assert asked.json() == {"matching": 3, "replayed": 0}
    assert WebhookEvent.objects.filter(status="pending").count() == 0
    assert operator.post(url(integration, "/replay"), {"status": "dead", "confirm": True}).json() == {"matching": 3, "replayed": 3}
    assert WebhookEvent.objects.filter(status="dead").get().integration == other
    refused = operator.post(url(integration, "/replay"), {"confirm": True})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["attr"] == "status"


def test_viewer_may_not_replay(viewer: APIClient, connect: Connect) -> None:
    integration = connect()
    event = make(integration)
    assert viewer.post(url(integration, f"/{event.pk}/replay")).status_code == 403
    assert viewer.post(url(integration, "/replay"), {"status": "done", "confirm": True}).status_code == 403


def test_events_of_another_hotel_do_not_exist(caller: Caller, connect: Connect, other_hotel: Hotel) -> None:
    mine, theirs = connect(hotel=other_hotel), connect()
    event = make(theirs)
    stranger = caller(Role.MANAGER, other_hotel)
    for method, address in (
        ("get", url(theirs)),
        ("get", url(theirs, f"/{event.pk}")),
        ("get", url(mine, f"/{event.pk}")),
        ("post", url(theirs, f"/{event.pk}/replay")),
        ("post", url(mine, f"/{event.pk}/replay")),
        ("post", url(theirs, "/replay")),
    ):
        answer = getattr(stranger, method)(address)
        never = getattr(stranger, method)(address.replace(f"/{theirs.pk}/", "/999999/").replace(f"/{event.pk}", "/999999"))
        assert answer.status_code == never.status_code == 404
        assert {**answer.json(), "correlation_id": ""} == {**never.json(), "correlation_id": ""}
    event.refresh_from_db()
    assert event.status == "done"
