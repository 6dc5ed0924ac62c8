"""The console's first page answers: is anything broken, and what do I do."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from hotels.models import Hotel, Role
from integrations.exceptions import AuthenticationFailed
from integrations.models import Integration, Operation, OperationStatus, RejectedRecord, RunStatus, SyncRun
from integrations.sync import health
from integrations.tests.conftest import Connect
from integrations.tests.console import sign_in
from monitoring.health import State
from monitoring.models import Heartbeat
from webhooks.models import EventStatus, WebhookEvent

BROKEN = {
    "status": "error",
    "failing_since": timezone.now(),
    "last_error": "What it said is no JSON.",
    "last_error_code": "unexpected_response",
}


def board(hotel: Hotel, role: Role = Role.MANAGER) -> Any:
    answer = sign_in(role, hotel).get(reverse("admin:index"))
    assert answer.status_code == 200
    return answer


def cards(answer: Any) -> dict[str, dict[str, Any]]:
    return {card["integration"].provider_name: card for card in answer.context["cards"]}


def test_a_hotel_without_integrations_is_told_how_to_begin(hotel: Hotel) -> None:
    assert "Connect your first system" in board(hotel).content.decode()
    assert "A manager of your hotel can connect its systems" in board(hotel, Role.VIEWER).content.decode()


def test_it_says_that_everything_works_when_each_was_looked_at(hotel: Hotel, connect: Connect) -> None:
    connect(hotel)
    page = board(hotel).content.decode()
    assert "Everything works." not in page
    assert "No worker has run yet" in page
    Heartbeat.beat(Heartbeat.WORKER)
    answer = board(hotel)
    assert "Everything works." in answer.content.decode()
    assert cards(answer)["Stub"]["health"].state == State.WORKING


def test_a_worker_that_died_is_the_first_thing_one_sees(hotel: Hotel, connect: Connect) -> None:
    connect(hotel)
    Heartbeat.objects.create(name=Heartbeat.WORKER, seen_at=timezone.now() - timedelta(hours=30))
    answer = board(hotel)
    assert answer.context["headline"].sentence.startswith("The worker has been silent for 30 hours")
    assert "manage.py worker" in answer.context["headline"].todo


def test_what_is_broken_comes_first_in_words_with_what_to_do(hotel: Hotel, connect: Connect) -> None:
    connect(hotel, provider_name="Alpha")
    zeta = connect(hotel, provider_name="Zeta")
    Heartbeat.beat(Heartbeat.WORKER)
    health.failed(zeta.pk, AuthenticationFailed())
    answer = board(hotel)
    page = answer.content.decode()
    assert list(cards(answer)) == ["Zeta", "Alpha"]
    assert "Zeta has not worked for less than a minute. It needs a person." in page
    assert cards(answer)["Zeta"]["problem"].why == "The vendor refused the credentials."
    assert cards(answer)["Zeta"]["problem"].todo == AuthenticationFailed.hint
    assert cards(answer)["Zeta"]["button"]["label"] == "Enter new credentials"


def test_a_sandbox_cannot_be_missed(hotel: Hotel, connect: Connect) -> None:
    connect(hotel)
    assert "hsp-env-test" not in board(hotel).content.decode()
    Integration.objects.update(environment="sandbox")
    assert 'hsp-env-test">Sandbox' in board(hotel).content.decode()


@pytest.mark.parametrize(
    ("state", "role", "label"),
    [
        ({}, Role.OPERATOR, "Sync now"),
        ({}, Role.VIEWER, "Open"),
        ({"last_sync_at": timezone.now()}, Role.MANAGER, "Open"),
        (BROKEN, Role.MANAGER, "Test the connection"),
        (BROKEN, Role.OPERATOR, "Test the connection"),
        (BROKEN, Role.VIEWER, "Open"),
        (BROKEN | {"last_error_code": "credentials_missing"}, Role.MANAGER, "Enter new credentials"),
        (BROKEN | {"last_error_code": "egress_blocked"}, Role.MANAGER, "Change the settings"),
        (BROKEN | {"last_error_code": "egress_blocked"}, Role.OPERATOR, "Open"),
        ({"last_success_at": None}, Role.OPERATOR, "Test the connection"),
        ({"status": "inactive"}, Role.MANAGER, "Switch on"),
        ({"status": "inactive"}, Role.OPERATOR, "Open"),
    ],
)
def test_each_card_has_one_button_for_the_next_sensible_thing(
    hotel: Hotel, connect: Connect, state: dict[str, Any], role: Role, label: str
) -> None:
    connect(hotel)
    Integration.objects.update(**state)
    assert cards(board(hotel, role))["Stub"]["button"]["label"] == label


def test_an_open_run_and_stuck_operations_lead_there(hotel: Hotel, connect: Connect) -> None:
    integration = connect(hotel)
    Operation.objects.create(integration=integration, name="void_check", idempotency_key="k", status=OperationStatus.UNKNOWN)
    assert cards(board(hotel))["Stub"]["button"]["label"] == "Look at the operations"
    Operation.objects.all().delete()
    run = SyncRun.objects.create(integration=integration, stream="menus", status=RunStatus.RUNNING)
    assert cards(board(hotel))["Stub"]["button"]["url"] == reverse("admin:integrations_syncrun_change", args=[run.pk])


def test_what_waits_for_a_person_is_counted_in_cards_and_side_bar(hotel: Hotel, connect: Connect) -> None:
    integration = connect(hotel)
    run = SyncRun.objects.create(integration=integration, stream="menus", status=RunStatus.PARTIAL)
    for number, status in enumerate((OperationStatus.DEAD, OperationStatus.UNKNOWN, OperationStatus.DONE)):
        Operation.objects.create(
            integration=integration, name="void_check", idempotency_key=f"k{number}", status=status, error_message="Refused."
        )
    RejectedRecord.objects.create(run=run, integration=integration, stream="menus", record_type="menu_item", reason="No name.")
    RejectedRecord.objects.create(
        run=run, integration=integration, stream="menus", record_type="menu_item", reason="Old.", resolved_at=timezone.now()
    )
    WebhookEvent.objects.create(integration=integration, event_id="e", body=b"{}", received_at=timezone.now(), status=EventStatus.DEAD)
    answer = board(hotel)
    card = cards(answer)["Stub"]
    assert (card["stuck"], card["rejected"], card["dead_events"]) == (2, 1, 1)
    assert card["health"].state == State.NEEDS_PERSON
    assert {entry["status"] for entry in answer.context["waiting"]} == {"Dead", "Outcome unknown"}
    badges = {item["title"]: item.get("badge") for group in answer.context["sidebar_navigation"] for item in group["items"]}
    assert (badges["Operations"], badges["Rejected records"], badges["Conflicts"]) == ("2", "1", None)


def test_links_hold_ids_as_they_are_however_large(hotel: Hotel, connect: Connect) -> None:
    integration = connect(hotel)
    Integration.objects.filter(pk=integration.pk).update(id=1234567)
    Operation.objects.create(integration_id=1234567, name="void_check", idempotency_key="k", status=OperationStatus.DEAD)
    page = board(hotel).content.decode()
    assert "?integration=1234567" in page
    assert "1,234,567" not in page


def test_the_chart_adds_up_each_day(hotel: Hotel, connect: Connect) -> None:
    integration = connect(hotel)
    for status, stored in ((RunStatus.SUCCEEDED, 40), (RunStatus.FAILED, 0), (RunStatus.SUCCEEDED, 2)):
        SyncRun.objects.create(integration=integration, stream="menus", status=status, created_count=stored)
    old = SyncRun.objects.create(integration=integration, stream="menus", status=RunStatus.SUCCEEDED, created_count=1000)
    SyncRun.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=30))
    assert board(hotel).context["chart"]["summary"] == "Records stored: 42. Failed runs: 1."


def test_another_hotels_troubles_do_not_show(hotel: Hotel, other_hotel: Hotel, connect: Connect) -> None:
    connect(hotel)
    foreign = connect(other_hotel, provider_name="Foreign till")
    Integration.objects.filter(pk=foreign.pk).update(status="error", last_error="Broken.")
    Operation.objects.create(integration=foreign, name="void_check", idempotency_key="k", status=OperationStatus.DEAD)
    answer = board(hotel)
    assert list(cards(answer)) == ["Stub"]
    assert answer.context["waiting"] == []
    assert not any(item.get("badge") for group in answer.context["sidebar_navigation"] for item in group["items"])


@pytest.mark.parametrize("number", [1, 12])
def test_the_page_takes_as_many_queries_for_many_integrations_as_for_one(
    hotel: Hotel, connect: Connect, django_assert_max_num_queries: Any, number: int
) -> None:
    for index in range(number):
        integration = connect(hotel, provider_name=f"Till {index}")
        SyncRun.objects.create(integration=integration, stream="menus", status=RunStatus.SUCCEEDED)
        Operation.objects.create(integration=integration, name="void_check", idempotency_key="k", status=OperationStatus.DEAD)
    client = sign_in(Role.MANAGER, hotel)
    client.get(reverse("admin:index"))  # the shared cache is written to every few seconds, whoever looks
    with django_assert_max_num_queries(25):
        client.get(reverse("admin:index"))
