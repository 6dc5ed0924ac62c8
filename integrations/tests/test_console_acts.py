"""What can be done to an integration in the console: test, sync with progress, every operation, retry, pause, delete."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hotels.models import Guest, Hotel, MenuItem, Reservation, Role, Room
from hotels.tests.test_api_records import furnish
from integrations.exceptions import AuthenticationFailed, ProviderUnavailable
from integrations.models import (
    Conflict,
    ExternalReference,
    Integration,
    IntegrationLog,
    IntegrationType,
    Operation,
    OperationStatus,
    RejectedRecord,
    RunStatus,
    SyncRun,
)
from integrations.services.manifest import Idempotency
from integrations.tests.conftest import Connect
from integrations.tests.console import sign_in
from integrations.tests.stub import READS, WRITES, StubProvider


@pytest.fixture
def operator(hotel: Hotel) -> Client:
    return sign_in(Role.OPERATOR, hotel)


@pytest.fixture
def pos(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel)


def of(name: str, row: Any, *more: str) -> str:
    return reverse(f"admin:integrations_{name}", args=[row.pk, *more])


def said(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


# --- test ----------------------------------------------------------------------------------------------------------------------


def test_the_stored_connection_is_tested_on_its_page(operator: Client, pos: Integration, stub: type[StubProvider]) -> None:
    page = operator.post(of("integration_test", pos), headers={"HX-Request": "true"}).content.decode()
    assert "The connection works." in page
    assert [name for name, _ in stub.calls] == ["test_connection"]


def test_a_failed_test_says_what_happened_why_and_what_to_do(operator: Client, pos: Integration, stub: type[StubProvider]) -> None:
    stub.failures["test_connection"] = AuthenticationFailed()
    fragment = operator.post(of("integration_test", pos), headers={"HX-Request": "true"}).content.decode()
    page = operator.get(of("integration_change", pos)).content.decode()
    for shown in (fragment, page):
        for words in (
            "What happened",
            "The vendor refused the credentials.",
            "Check the credentials, test the connection, then try again.",
        ):
            assert words in shown


# --- sync ----------------------------------------------------------------------------------------------------------------------


def test_a_sync_is_queued_and_leads_to_its_page(operator: Client, pos: Integration, stub: type[StubProvider]) -> None:
    answer = operator.post(of("integration_sync", pos), {"stream": "menus"})
    run = SyncRun.objects.get()
    assert answer.headers["Location"] == of("syncrun_change", run)
    assert (run.status, run.trigger, run.requested_by) == (RunStatus.QUEUED, "admin", operator.user)
    assert stub.calls == []
    again = operator.post(of("integration_sync", pos), {"stream": "menus"}, follow=True)
    assert "already under way" in said(again)
    assert SyncRun.objects.count() == 1


def test_a_range_of_dates_is_read_by_the_hotels_clock(operator: Client, connect: Connect, hotel: Hotel) -> None:
    pms = connect(hotel, IntegrationType.PMS)
    operator.post(of("integration_sync", pms), {"stream": "reservations", "since": "2024-01-01", "until": "2024-12-31"})
    run = SyncRun.objects.get()
    assert (run.mode, run.since.isoformat()) == ("backfill", "2024-01-01")
    assert "from 2024-01-01 to 2024-12-31" in operator.get(of("syncrun_change", run)).content.decode()
    assert "Choose dates" in said(operator.post(of("integration_sync", pms), {"stream": "reservations", "since": "soon"}, follow=True))


def test_an_unknown_stream_is_refused_with_the_valid_ones(operator: Client, pos: Integration) -> None:
    assert "Valid: categories, menus" in said(operator.post(of("integration_sync", pos), {"stream": "nothing"}, follow=True))


def test_a_paused_integration_is_not_synced_and_says_what_to_do(operator: Client, pos: Integration) -> None:
    Integration.objects.update(status="inactive")
    assert "Set its status to active" in said(operator.post(of("integration_sync", pos), {"stream": "menus"}, follow=True))


def test_progress_is_told_in_numbers_and_words(operator: Client, pos: Integration) -> None:
    run = SyncRun.objects.create(
        integration=pos, stream="menus", status=RunStatus.RUNNING, total=200, page_count=3, created_count=40, unchanged_count=10,
        lease_until=timezone.now() + timedelta(minutes=1),
    )  # fmt: skip
    told = operator.get(of("syncrun_progress", run)).json()
    assert (told["percent"], told["records"], told["total"], told["pages"]) == (25, 50, 200, 3)
    assert told["open"] is True
    assert told["no_worker"] is False
    assert told["sentence"].startswith("50 of 200 records read in 3 pages.")


def test_a_run_that_ended_says_so_truthfully(operator: Client, pos: Integration) -> None:
    run = SyncRun.objects.create(
        integration=pos, stream="menus", status=RunStatus.PARTIAL, created_count=412, unchanged_count=9031, rejected_count=2
    )
    RejectedRecord.objects.create(
        run=run, integration=pos, stream="menus", record_type="menu_item", external_id="I1", reason="It has no name."
    )
    told = operator.get(of("syncrun_progress", run)).json()
    assert (told["open"], told["percent"], told["sentence"]) == (False, 100, "Stored 412, unchanged 9,031, deleted 0, rejected 2.")
    page = operator.get(of("syncrun_change", run)).content.decode()
    assert "2 records could not be stored; everything else was." in page
    assert "It has no name." in page
    assert "data-follow-run" not in page


@pytest.mark.parametrize(
    ("fields", "seems_alone"),
    [
        ({"status": RunStatus.QUEUED}, False),
        ({"status": RunStatus.QUEUED, "age": 60}, True),
        ({"status": RunStatus.QUEUED, "age": 60, "next_attempt_in": 30}, False),
        ({"status": RunStatus.RUNNING, "age": 60, "lease_in": 30}, False),
        ({"status": RunStatus.RUNNING, "age": 600, "lease_in": -60}, True),
        ({"status": RunStatus.SUCCEEDED, "age": 600}, False),
    ],
)
def test_a_run_nobody_works_on_says_so(operator: Client, pos: Integration, fields: dict[str, Any], seems_alone: bool) -> None:
    now = timezone.now()
    run = SyncRun.objects.create(integration=pos, stream="menus", status=fields["status"])
    SyncRun.objects.filter(pk=run.pk).update(
        created_at=now - timedelta(seconds=fields.get("age", 0)),
        next_attempt_at=now + timedelta(seconds=fields["next_attempt_in"]) if "next_attempt_in" in fields else None,
        lease_until=now + timedelta(seconds=fields["lease_in"]) if "lease_in" in fields else None,
    )
    assert operator.get(of("syncrun_progress", run)).json()["no_worker"] is seems_alone


# --- operations ----------------------------------------------------------------------------------------------------------------

LINES = {"lines-TOTAL_FORMS": 1, "lines-INITIAL_FORMS": 0, "lines-0-quantity": "2", "lines-0-unit_price": "", "lines-0-note": "no onions"}
FORMS: dict[str, dict[str, Any]] = {
    "post_guest_check": {**LINES, "lines-0-item": "{item}", "tax": "2.56", "payment_status": "pending", "room_number": "100"},
    "void_check": {"check_id": "check_123", "reason": "Guest request"},
    "get_check_status": {"check_id": "check_123"},
    "post_check_in": {
        "reservation_id": "{reservation}",
        "room_number": "100",
        "check_in_time": "2026-11-24T15:00",
        "deposit_amount": "100.00",
    },
    "post_check_out": {"reservation_id": "{reservation}", "room_number": "100", "feedback_rating": "5"},
    "get_room_status": {"room_number": ""},
    "get_guest_info": {"guest_id": "g1"},
    "update_guest_info": {"guest_id": "g1", "phone": "+351 21 555 0100"},
    "post_charge": {"room_number": "100", "amount": "12.50", "category": "food", "quantity": "1"},
    "send_request": {"room_number": "100", "message": "Extra towels", "priority": "high"},
    "post_feedback": {"guest_id": "{guest}", "rating": "5", "message": "The staff was very helpful"},
    "get_feedback": {"limit": "20"},
    "post_chat_message": {"guest_id": "{guest}", "message": "Can I get extra towels?", "sender_type": "guest", "message_type": "text"},
    "get_chat_messages": {"limit": "20"},
    "post_notification": {"guest_id": "{guest}", "message": "Pool closed from 2 to 4", "priority": "normal", "notification_type": "push"},
    "get_notifications": {"limit": "20"},
    "update_notification_status": {"notification_id": "n1", "status": "read"},
    "get_guest_preferences": {"guest_id": "g1"},
}
KINDS = {
    "pos": ("post_guest_check", "void_check", "get_check_status"),
    "pms": ("post_check_in", "post_check_out", "get_room_status", "get_guest_info", "update_guest_info", "post_charge", "send_request"),
}


def kind_of(name: str) -> str:
    return next((kind for kind, names in KINDS.items() if name in names), "guest_management")


def make_known(integration: Integration) -> Integration:
    """Let the vendor know the hotel's reservation."""
    reservation = Reservation.objects.get(hotel=integration.hotel)
    ExternalReference.objects.create(
        integration=integration, record_type="reservation", external_id="r1", object_id=reservation.pk, synced_at=timezone.now()
    )
    return integration


def filled(name: str, hotel: Hotel) -> dict[str, Any]:
    """Return a form with the hotel's own rows, as its suggestions name them."""
    item = MenuItem.objects.get(hotel=hotel)
    rows = {
        "item": f"#{item.pk}/{item.variations.get().pk} Omelette 0 · Large",
        "reservation": f"#{Reservation.objects.get(hotel=hotel).pk} Eva Ortner 0",
        "guest": f"#{Guest.objects.filter(hotel=hotel).first().pk} Eva Ortner 0",
    }
    return {field: str(value).format(**rows) for field, value in FORMS[name].items()} | {"idempotency_key": "console:one"}


def test_every_operation_has_a_form() -> None:
    assert set(FORMS) == {*WRITES, *READS}


@pytest.mark.parametrize("name", FORMS)
def test_every_operation_can_be_called(operator: Client, connect: Connect, hotel: Hotel, stub: type[StubProvider], name: str) -> None:
    furnish(hotel)
    integration = make_known(connect(hotel, kind_of(name)))
    address = of("integration_operation", integration, name)
    assert operator.get(address).status_code == 200
    answer = operator.post(address, filled(name, hotel), follow=True)
    assert answer.status_code == 200
    assert stub.calls[-1][0] == name
    if name in WRITES:
        operation = Operation.objects.get()
        assert (operation.status, operation.requested_by) == (OperationStatus.DONE, operator.user)
        assert answer.redirect_chain[-1][0] == of("operation_change", operation)
        assert operation.vendor_reference in said(answer)
    else:
        assert answer.context["answered"]


def test_a_check_is_posted_with_the_menus_price_and_sums_worked_out(
    operator: Client, pos: Integration, hotel: Hotel, stub: type[StubProvider]
) -> None:
    furnish(hotel)
    operator.post(of("integration_operation", pos, "post_guest_check"), filled("post_guest_check", hotel))
    sent = stub.calls[-1][1]
    assert (sent["subtotal"], sent["tax"], sent["total"]) == ("31.98", "2.56", "34.54")
    assert [(line["name"], line["quantity"], line["unit_price"]) for line in sent["items"]] == [("Omelette 0", "2", "15.99")]


def test_amounts_may_be_typed_with_a_comma(operator: Client, connect: Connect, hotel: Hotel, stub: type[StubProvider]) -> None:
    furnish(hotel)
    pms = connect(hotel, IntegrationType.PMS)
    operator.post(of("integration_operation", pms, "post_charge"), filled("post_charge", hotel) | {"amount": "12,50"})
    assert stub.calls[-1][1]["amount"] == "12.50"


def test_times_are_typed_by_the_hotels_clock(operator: Client, connect: Connect, hotel: Hotel, stub: type[StubProvider]) -> None:
    furnish(hotel)
    hotel.time_zone = "Europe/Vienna"
    hotel.save()
    pms = make_known(connect(hotel, IntegrationType.PMS))
    operator.post(of("integration_operation", pms, "post_check_in"), filled("post_check_in", hotel))
    assert stub.calls[-1][1]["check_in_time"].startswith("2026-11-24T15:00:00+01:00")


def test_a_form_sent_twice_takes_effect_once(operator: Client, connect: Connect, hotel: Hotel, stub: type[StubProvider]) -> None:
    furnish(hotel)
    address = of("integration_operation", connect(hotel, IntegrationType.PMS), "post_charge")
    for _ in range(2):
        operator.post(address, filled("post_charge", hotel))
    assert [name for name, _ in stub.calls] == ["post_charge"]


def test_what_cannot_be_posted_stands_beside_its_field(operator: Client, connect: Connect, hotel: Hotel, stub: type[StubProvider]) -> None:
    furnish(hotel)
    pms = connect(hotel, IntegrationType.PMS)
    answer = operator.post(of("integration_operation", pms, "post_charge"), filled("post_charge", hotel) | {"room_number": "999"})
    assert "This hotel has no room “999”" in str(answer.context["form"].errors["room_number"])
    assert stub.calls == []


def test_another_hotels_rows_are_neither_suggested_nor_taken(operator: Client, connect: Connect, hotel: Hotel, other_hotel: Hotel) -> None:
    furnish(hotel)
    Guest.objects.create(hotel=other_hotel, family_name="Stranger")
    Room.objects.create(hotel=other_hotel, number="foreign-room")
    gm = connect(hotel, IntegrationType.GUEST_MANAGEMENT)
    address = of("integration_operation", gm, "post_feedback")
    page = operator.get(address).content.decode()
    assert "Stranger" not in page
    assert "foreign-room" not in page
    foreign = Guest.objects.get(hotel=other_hotel)
    answer = operator.post(address, filled("post_feedback", hotel) | {"guest_id": f"#{foreign.pk} Stranger"})
    assert "guest_id" in answer.context["form"].errors


def test_an_operation_the_vendor_does_not_offer_has_no_page(operator: Client, pos: Integration) -> None:
    assert operator.get(of("integration_operation", pos, "no_such_thing")).status_code == 404


def test_a_refused_read_says_what_happened(operator: Client, connect: Connect, hotel: Hotel, stub: type[StubProvider]) -> None:
    stub.failures["get_room_status"] = ProviderUnavailable()
    page = operator.post(
        of("integration_operation", connect(hotel, IntegrationType.PMS), "get_room_status"), {"room_number": "", "idempotency_key": "k"}
    )
    assert "The vendor cannot be reached." in page.content.decode()


# --- retry ---------------------------------------------------------------------------------------------------------------------


def stuck(integration: Integration, status: OperationStatus = OperationStatus.DEAD, **more: Any) -> Operation:
    return Operation.objects.create(
        integration=integration,
        name="void_check",
        idempotency_key="k1",
        status=status,
        payload={"check_external_id": "c1", "reason": ""},
        **more,
    )


def test_a_dead_operation_is_retried_after_asking(operator: Client, pos: Integration, stub: type[StubProvider]) -> None:
    operation = stuck(pos, error_message="The order is already paid.", error_code="request_rejected")
    page = operator.get(of("operation_change", operation)).content.decode()
    assert "The order is already paid." in page
    assert "Correct what the vendor names, then try again." in page
    asked = operator.get(of("operation_retry", operation)).content.decode()
    assert "It takes effect once" in asked
    assert stub.calls == []
    operator.post(of("operation_retry", operation))
    operation.refresh_from_db()
    assert operation.status == OperationStatus.DONE
    history = operator.get(reverse("admin:integrations_operation_history", args=[operation.pk])).content.decode()
    assert "Tried again." in history


def test_a_retry_that_may_act_twice_says_so_first(
    operator: Client, pos: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.declare(monkeypatch, Idempotency.NONE)
    operation = stuck(pos, OperationStatus.UNKNOWN, maybe_sent_at=timezone.now())
    assert "if you go on, it is sent again" in operator.get(of("operation_retry", operation)).content.decode()


def test_what_is_done_and_what_a_viewer_sees_is_not_retried(
    operator: Client, pos: Integration, hotel: Hotel, stub: type[StubProvider]
) -> None:
    operation = stuck(pos, OperationStatus.DONE)
    assert "cannot be tried again" in said(operator.post(of("operation_retry", operation), follow=True))
    Operation.objects.update(status=OperationStatus.DEAD)
    sign_in(Role.VIEWER, hotel).post(of("operation_retry", operation))
    assert stub.calls == []


# --- pause and delete ----------------------------------------------------------------------------------------------------------


def test_pausing_and_starting_again(hotel: Hotel, pos: Integration) -> None:
    manager = sign_in(Role.MANAGER, hotel)
    for status in ("inactive", "active"):
        manager.post(of("integration_status", pos), {"status": status})
        pos.refresh_from_db()
        assert pos.status == status


def test_deleting_asks_first_and_keeps_the_hotels_records(hotel: Hotel, pos: Integration) -> None:
    furnish(hotel)
    stuck(pos, OperationStatus.PENDING)
    manager = sign_in(Role.MANAGER, hotel)
    asked = manager.get(of("integration_delete", pos)).content.decode()
    assert "1 operation not yet confirmed by the vendor will never be sent" in asked
    assert Integration.objects.exists()
    manager.post(of("integration_delete", pos))
    assert not Integration.objects.exists()
    assert MenuItem.objects.filter(hotel=hotel).exists()


# --- history -------------------------------------------------------------------------------------------------------------------


def test_hostile_text_is_shown_as_text(operator: Client, pos: Integration) -> None:
    hostile = "<script>alert(1)</script>\u202egpj.exe"
    log = IntegrationLog.objects.create(
        integration=pos, operation_type="api_call", operation_name=hostile[:60], direction="outbound", status="failed",
        error_message=hostile, request_data={hostile: hostile}, response_data=[hostile],
    )  # fmt: skip
    for address in (
        of("integrationlog_change", log),
        reverse("admin:integrations_integrationlog_changelist"),
        of("integration_change", pos),
    ):
        page = operator.get(address).content.decode()
        assert "<script>alert" not in page
    shown = operator.get(of("integrationlog_change", log)).content.decode()
    assert "\\u202egpj.exe" in shown


def test_a_log_row_leads_to_everything_with_its_cause(operator: Client, pos: Integration) -> None:
    cause = "a" * 32
    log = IntegrationLog.objects.create(
        integration=pos,
        operation_type="sync",
        operation_name="list_items",
        direction="outbound",
        status="success",
        http_status=200,
        correlation_id=cause,
    )
    SyncRun.objects.create(integration=pos, stream="menus", status=RunStatus.SUCCEEDED, correlation_id=cause)
    link = reverse("cause", args=[cause])
    assert link in operator.get(of("integrationlog_change", log)).content.decode()
    page = operator.get(link).content.decode()
    assert "Sync of menus" in page
    assert "list_items" in page


def test_another_hotels_cause_answers_like_one_that_never_was(connect: Connect, hotel: Hotel, other_hotel: Hotel) -> None:
    SyncRun.objects.create(integration=connect(other_hotel), stream="menus", correlation_id="b" * 32)
    manager = sign_in(Role.MANAGER, hotel)
    assert [manager.get(reverse("cause", args=[cause])).status_code for cause in ("b" * 32, "c" * 32)] == [404, 404]


@pytest.mark.parametrize("size", [3, 120])
def test_a_page_of_the_log_costs_the_same_however_many_rows_there_are(
    operator: Client, pos: Integration, django_assert_max_num_queries: Any, size: int
) -> None:
    rows = [
        IntegrationLog(integration=pos, operation_type="test", operation_name="x", direction="outbound", status="success")
        for _ in range(size)
    ]
    IntegrationLog.objects.bulk_create(rows)
    with django_assert_max_num_queries(16) as captured:
        assert operator.get(reverse("admin:integrations_integrationlog_changelist")).status_code == 200
    counting = [query["sql"] for query in captured if "COUNT(" in query["sql"] and "integrationlog" in query["sql"]]
    assert counting == []


def test_conflicts_show_both_values_and_who_won(operator: Client, pos: Integration) -> None:
    conflict = Conflict.objects.create(
        integration=pos, record_type="menu_item", external_id="I1", object_id=1, field="name", rule="vendor_wins", winner="vendor",
        vendor_value="Club sandwich", hotel_value="Clubhouse",
    )  # fmt: skip
    page = operator.get(of("conflict_change", conflict)).content.decode()
    assert "Club sandwich" in page
    assert "Clubhouse" in page


def test_who_asked_stands_on_the_run(hotel: Hotel, pos: Integration, operator: Client) -> None:
    operator.post(of("integration_sync", pos), {"stream": "menus"})
    assert operator.user.username in operator.get(of("syncrun_change", SyncRun.objects.get())).content.decode()
