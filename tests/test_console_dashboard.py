"""The console's first page answers: is anything broken, and what do I do."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from hotels.models import Hotel, Role
from integrations.models import Integration, Operation, OperationStatus, RejectedRecord, RunStatus, SyncRun
from integrations.tests.conftest import Connect
from integrations.tests.console import sign_in
from webhooks.models import EventStatus, WebhookEvent


def board(hotel: Hotel, role: Role = Role.MANAGER) -> Any:
    answer = sign_in(role, hotel).get(reverse("admin:index"))
    assert answer.status_code == 200
    return answer


def cards(answer: Any) -> dict[str, dict[str, Any]]:
    return {card["integration"].provider_name: card for card in answer.context["cards"]}


def test_a_hotel_without_integrations_is_told_how_to_begin(hotel: Hotel) -> None:
    assert "Connect your first system" in board(hotel).content.decode()
    assert "A manager of your hotel can connect its systems" in board(hotel, Role.VIEWER).content.decode()


def test_it_says_when_everything_works(hotel: Hotel, connect: Connect) -> None:
    connect(hotel)
    answer = board(hotel)
    assert "Everything works." in answer.content.decode()
    assert cards(answer)["Stub"]["words"] == "Works"


def test_what_is_broken_comes_first_in_words_with_what_to_do(hotel: Hotel, connect: Connect) -> None:
    connect(hotel, provider_name="Alpha")
    connect(hotel, provider_name="Zeta")
    hint = "Check the credentials, test the connection, then try again."
    Integration.objects.filter(provider_name="Zeta").update(
        status="error", last_error=f"The vendor refused the credentials. {hint}", error_count=2
    )
    answer = board(hotel)
    page = answer.content.decode()
    assert list(cards(answer)) == ["Zeta", "Alpha"]
    assert "Zeta needs attention." in page
    assert cards(answer)["Zeta"]["problem"].why == "The vendor refused the credentials."
    assert cards(answer)["Zeta"]["problem"].todo == hint


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
        ({"status": "error"}, Role.OPERATOR, "Test the connection"),
        ({"status": "error"}, Role.VIEWER, "Open"),
        ({"status": "inactive"}, Role.MANAGER, "Start again"),
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
    assert (card["stuck"], card["rejected"], card["dead_events"], card["words"]) == (2, 1, 1, "Something waits for you")
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
    with django_assert_max_num_queries(24):
        client.get(reverse("admin:index"))
