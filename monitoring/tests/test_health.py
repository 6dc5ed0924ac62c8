"""How an integration is, from what its rows say; and that what is said comes true."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from hotels.models import Hotel, Role
from integrations import tasks
from integrations.exceptions import (
    AuthenticationFailed,
    CircuitOpen,
    EgressBlocked,
    HospientError,
    ProviderUnavailable,
    RateLimited,
    ReauthorizationRequired,
    RequestRejected,
    UnexpectedResponse,
    VersionConflict,
)
from integrations.models import Integration, IntegrationType, Operation, OperationStatus, RunStatus, SyncRun
from integrations.services import service_for
from integrations.services.outlook import of_operation
from integrations.services.setup import update_integration
from integrations.sync import health as marks
from integrations.tests.conftest import Connect
from integrations.tests.console import sign_in
from integrations.tests.stub import StubProvider
from monitoring.health import Cure, Health, State, judge, judge_one
from monitoring.models import Heartbeat
from webhooks.models import EventStatus, WebhookEvent

MINUTE = timedelta(minutes=1)


@pytest.fixture
def till(hotel: Hotel, connect: Connect) -> Integration:
    """A connection that works, and syncs by hand."""
    return connect(hotel, IntegrationType.GUEST_MANAGEMENT)


def judged(integration: Integration, **changes: Any) -> Health:
    Integration.objects.filter(pk=integration.pk).update(**changes)
    return judge_one(Integration.objects.select_related("hotel").get(pk=integration.pk))


def operation(integration: Integration, status: OperationStatus, **more: Any) -> Operation:
    return Operation.objects.create(
        integration=integration, name="void_check", idempotency_key=str(Operation.objects.count()), status=status, **more
    )


# --- one request and the connection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RequestRejected("Room 104 was not inspected."), VersionConflict()])
def test_what_the_vendor_refuses_of_the_hotels_business_makes_nothing_ill(
    till: Integration, stub: type[StubProvider], error: HospientError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stub.failures, "post_feedback", error)
    refused = service_for(till).post_feedback({"rating": 5, "message": "Fine."})
    assert refused.status == OperationStatus.DEAD
    till.refresh_from_db()
    assert (till.status, till.error_count, till.last_error) == ("active", 0, "")
    assert judged(till).state == State.WORKING
    assert judged(till).facts.dead == 1


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (AuthenticationFailed(), Cure.ENTER_CREDENTIALS),
        (ReauthorizationRequired(), Cure.ENTER_CREDENTIALS),
        (EgressBlocked(), Cure.CHANGE_SETTINGS),
        (UnexpectedResponse(), Cure.TEST),
    ],
)
def test_what_only_a_person_can_mend_needs_one(
    till: Integration, stub: type[StubProvider], error: HospientError, cure: Cure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stub.failures, "post_feedback", error)
    service_for(till).post_feedback({"rating": 5, "message": "Fine."})
    found = judged(till)
    assert (found.state, found.cure, found.why) == (State.NEEDS_PERSON, cure, error.message)
    assert found.todo
    till.refresh_from_db()
    assert (till.status, till.error_count, till.last_error_code) == ("error", 1, error.code)


def test_a_vendor_that_is_away_is_waited_for_and_the_next_try_is_named(
    till: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stub.failures, "post_feedback", ProviderUnavailable())
    for _ in range(5):
        service_for(till).post_feedback({"rating": 5, "message": "Fine."})
    found = judged(till)
    assert found.state == State.WAITING
    assert found.next_try == min(Operation.objects.values_list("next_attempt_at", flat=True))
    till.refresh_from_db()
    assert (till.status, till.error_count) == ("error", 5)


def test_a_vendor_that_slows_us_down_is_not_ill(till: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stub.failures, "post_feedback", RateLimited())
    service_for(till).post_feedback({"rating": 5, "message": "Fine."})
    assert judged(till).state == State.WORKING


def test_while_we_leave_it_alone_the_cause_stays_what_the_vendor_last_did(till: Integration) -> None:
    marks.failed(till.pk, ProviderUnavailable("It answered 503."))
    marks.failed(till.pk, CircuitOpen())
    assert judged(till).why == "It answered 503."


# --- the other states --------------------------------------------------------------------------------------------------------


def test_off_says_nothing_else(till: Integration) -> None:
    operation(till, OperationStatus.DEAD)
    found = judged(till, status="inactive", failing_since=timezone.now())
    assert (found.state, found.cure, found.next_try) == (State.OFF, Cure.TURN_ON, None)


def test_what_was_never_tried_says_so_and_who_tries_it(till: Integration) -> None:
    never = judged(till, last_success_at=None)
    assert (never.state, never.cure) == (State.NOT_TRIED, Cure.TEST)
    assert judged(till, test_due_at=timezone.now()).cure == Cure.NOTHING


@pytest.mark.parametrize(("minutes", "state"), [(9, State.WORKING), (11, State.LATE)])
class TestLate:
    def due(self, minutes: int) -> datetime:
        return timezone.now() - minutes * MINUTE

    def test_a_sync_that_was_due(self, till: Integration, minutes: int, state: State) -> None:
        assert judged(till, next_sync_at=self.due(minutes)).state == state

    def test_a_run_nobody_begins(self, till: Integration, minutes: int, state: State) -> None:
        run = SyncRun.objects.create(integration=till, stream="menus")
        SyncRun.objects.filter(pk=run.pk).update(created_at=self.due(minutes))
        assert judged(till).state == state

    def test_a_run_whose_worker_died(self, till: Integration, minutes: int, state: State) -> None:
        SyncRun.objects.create(integration=till, stream="menus", status=RunStatus.RUNNING, lease_until=self.due(minutes))
        assert judged(till).state == state

    @pytest.mark.parametrize("status", [OperationStatus.PENDING, OperationStatus.UNKNOWN])
    def test_an_operation_nobody_sends(self, till: Integration, minutes: int, state: State, status: OperationStatus) -> None:
        operation(till, status, next_attempt_at=self.due(minutes))
        assert judged(till).state == state

    def test_an_operation_whose_worker_died(self, till: Integration, minutes: int, state: State) -> None:
        operation(till, OperationStatus.SENDING, lease_until=self.due(minutes))
        assert judged(till).state == state

    def test_an_event_nobody_works(self, till: Integration, minutes: int, state: State) -> None:
        WebhookEvent.objects.create(integration=till, event_id="e", body=b"{}", received_at=self.due(minutes))
        assert judged(till).state == state


def test_an_event_that_waits_for_its_next_try_is_not_late(till: Integration) -> None:
    later = timezone.now() + MINUTE
    WebhookEvent.objects.create(integration=till, event_id="e", body=b"{}", received_at=timezone.now() - 60 * MINUTE, next_attempt_at=later)
    assert judged(till).state == State.WORKING


@pytest.mark.parametrize(
    ("row", "cure"),
    [
        ({"status": OperationStatus.UNKNOWN, "next_attempt_at": None}, Cure.LOOK_AT_OPERATIONS),
        ({"status": OperationStatus.DEAD, "error_code": "provider_unavailable"}, Cure.LOOK_AT_OPERATIONS),
        ({"status": OperationStatus.DEAD, "error_code": "worker_lost"}, Cure.LOOK_AT_OPERATIONS),
    ],
)
def test_an_operation_that_ended_badly_needs_a_person(till: Integration, row: dict[str, Any], cure: Cure) -> None:
    operation(till, **row)
    assert (judged(till).state, judged(till).cure) == (State.NEEDS_PERSON, cure)


def test_an_event_that_was_given_up_needs_a_person(till: Integration) -> None:
    WebhookEvent.objects.create(integration=till, event_id="e", body=b"{}", received_at=timezone.now(), status=EventStatus.DEAD)
    assert (judged(till).state, judged(till).cure) == (State.NEEDS_PERSON, Cure.LOOK_AT_EVENTS)


class TestRuns:
    def failed(self, till: Integration, code: str, **more: Any) -> SyncRun:
        return SyncRun.objects.create(
            integration=till, stream="menus", status=RunStatus.FAILED, error_code=code, error_message="It was so.",
            finished_at=timezone.now(), **more,
        )  # fmt: skip

    def test_one_that_a_later_run_mends_by_itself_makes_it_late(self, till: Integration) -> None:
        self.failed(till, "provider_unavailable")
        found = judged(till, next_sync_at=datetime(2099, 1, 1, 12, tzinfo=UTC))
        assert found.state == State.LATE
        assert "1 Jan" in found.sentence

    def test_one_that_nothing_repeats_needs_a_person(self, till: Integration) -> None:
        run = self.failed(till, "provider_unavailable")
        found = judged(till)
        assert (found.state, found.cure, found.run_id) == (State.NEEDS_PERSON, Cure.SYNC, run.pk)

    def test_one_that_repeating_does_not_mend_needs_a_person_schedule_or_not(self, till: Integration) -> None:
        self.failed(till, "internal_error")
        assert judged(till, next_sync_at=timezone.now() + MINUTE).cure == Cure.LOOK_AT_RUN

    def test_a_later_run_that_went_well_settles_it_of_its_stream_alone(self, till: Integration) -> None:
        self.failed(till, "internal_error")
        SyncRun.objects.create(integration=till, stream="checks", status=RunStatus.SUCCEEDED)
        assert judged(till).state == State.NEEDS_PERSON
        SyncRun.objects.create(integration=till, stream="menus", status=RunStatus.SUCCEEDED)
        assert judged(till).state == State.WORKING

    def test_deletions_that_wait_need_a_person(self, till: Integration) -> None:
        SyncRun.objects.create(
            integration=till,
            stream="menus",
            status=RunStatus.PARTIAL,
            error_code="deletions_need_confirmation",
            error_message="Much.",
            hint="?",
        )
        assert judged(till).cure == Cure.LOOK_AT_RUN

    def test_rejected_records_alone_change_nothing(self, till: Integration) -> None:
        SyncRun.objects.create(integration=till, stream="menus", status=RunStatus.PARTIAL, rejected_count=3)
        assert judged(till).state == State.WORKING


def test_each_is_judged_by_its_own_rows(hotel: Hotel, connect: Connect) -> None:
    well, ill = connect(hotel), connect(hotel)
    marks.failed(ill.pk, AuthenticationFailed())
    found = judge(Integration.objects.select_related("hotel"))
    assert (found[well.pk].state, found[ill.pk].state) == (State.WORKING, State.NEEDS_PERSON)


# --- saving, trying, mending ---------------------------------------------------------------------------------------------------


def work_tests() -> None:
    """Do what a worker would with the connections to be tried."""
    for pk in list(tasks.due_tests().values_list("pk", flat=True)):
        tasks.try_connection(pk)


def test_a_connection_made_by_the_api_is_tried_at_once_in_the_background(
    hotel: Hotel, stub: type[StubProvider], manager: APIClient
) -> None:
    body = {
        "hotel_id": hotel.pk,
        "integration_type": "pos",
        "provider": "stub",
        "provider_name": "Till",
        "credentials": {"access_token": "t" * 20},
    }
    made = manager.post("/api/integrations", body).json()
    assert (made["health"]["state"], made["status"], made["last_success_at"]) == ("not_tried", "active", None)
    assert "A worker tries it" in made["health"]["why"]
    work_tests()
    assert stub.calls == [("test_connection", None)]
    shown = manager.get(f"/api/integrations/{made['id']}").json()
    assert shown["health"]["state"] == "working"
    assert shown["last_success_at"]


def test_a_first_connection_that_syncs_by_itself_begins_at_once(hotel: Hotel, connect: Connect, stub: type[StubProvider]) -> None:
    integration = connect(hotel, sync_settings={"auto_sync": True})
    Integration.objects.update(last_success_at=None, test_due_at=timezone.now())
    work_tests()
    assert set(SyncRun.objects.values_list("stream", flat=True)) == {stream.name for stream in service_for(integration).streams()}


def test_a_change_that_another_test_would_find_is_tried_and_a_new_name_is_not(till: Integration) -> None:
    update_integration(till, {"provider_name": "Bar"}, partial=True)
    assert not tasks.due_tests().exists()
    update_integration(till, {"config": {"base_url": "https://other.example.com"}, "credentials": {"access_token": "t" * 20}}, partial=True)
    assert tasks.due_tests().exists()
    assert judged(till).state == State.NOT_TRIED


def test_right_credentials_clear_what_they_cure_and_start_what_waited(
    hotel: Hotel, connect: Connect, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    till = connect(hotel, IntegrationType.GUEST_MANAGEMENT, sync_settings={"auto_sync": True})
    Integration.objects.update(last_sync_at=timezone.now())
    monkeypatch.setitem(stub.failures, "post_feedback", AuthenticationFailed())
    monkeypatch.setitem(stub.failures, "menus", ReauthorizationRequired())
    refused = service_for(till).post_feedback({"rating": 5, "message": "Fine."})
    service_for(till).sync("menus")
    long_ago = operation(till, OperationStatus.DEAD, error_code="authentication_failed")
    Operation.objects.filter(pk=long_ago.pk).update(created_at=timezone.now() - timedelta(days=2))
    business = operation(till, OperationStatus.DEAD, error_code="request_rejected")
    till.refresh_from_db()
    assert till.next_sync_at is None
    assert judged(till).cure == Cure.ENTER_CREDENTIALS
    stub.failures.clear()
    till.refresh_from_db()
    update_integration(till, {"credentials": {"access_token": "n" * 20}}, partial=True)
    work_tests()
    states = dict(Operation.objects.values_list("pk", "status"))
    assert states == {refused.pk: "pending", long_ago.pk: "dead", business.pk: "dead"}
    assert SyncRun.objects.filter(stream="menus", status=RunStatus.QUEUED).exists()
    till.refresh_from_db()
    assert till.next_sync_at is not None
    assert (till.status, till.last_error) == ("active", "")


@pytest.mark.parametrize("door", ["operation", "sync"])
def test_what_was_given_up_begins_again_whoever_notices_first_that_the_vendor_works(
    till: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    monkeypatch.setitem(stub.failures, "post_feedback", AuthenticationFailed())
    given_up = service_for(till).post_feedback({"rating": 5, "message": "Fine."})
    assert given_up.status == OperationStatus.DEAD
    assert "it is tried again by itself" in of_operation(given_up).todo
    stub.failures.clear()
    if door == "operation":
        service_for(till).post_chat_message({"message": "Towels?"})
    else:
        service_for(till).sync("feedback")
    assert judged(till).state == State.NEEDS_PERSON  # the one that was given up
    work_tests()
    assert Operation.objects.get(pk=given_up.pk).status == OperationStatus.PENDING
    assert not tasks.due_tests().exists()


def test_a_success_of_one_that_never_failed_asks_for_no_test(till: Integration) -> None:
    service_for(till).sync("feedback")
    assert not Integration.objects.exclude(test_due_at=None).exists()


def test_a_vendor_that_comes_back_is_found_though_nothing_else_waits(
    till: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stub.failures, "test_connection", ProviderUnavailable())
    service_for(till).test_connection()
    found = judged(till)
    assert (found.state, found.cure) == (State.WAITING, Cure.NOTHING)
    assert timezone.now() < found.next_try <= timezone.now() + 5 * MINUTE
    Integration.objects.update(test_due_at=timezone.now())
    work_tests()
    assert judged(till).state == State.WAITING
    stub.failures.clear()
    Integration.objects.update(test_due_at=timezone.now())
    work_tests()
    assert judged(till).state == State.WORKING


# --- every door says the same --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "state", "code"),
    [
        (None, "working", 0),
        (ProviderUnavailable(), "waiting_for_vendor", 3),
        (AuthenticationFailed(), "needs_person", 1),
    ],
)
def test_the_doors_agree(
    till: Integration,
    trouble: HospientError | None,
    state: str,
    code: int,
    client: Client,
    viewer: APIClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Heartbeat.beat(Heartbeat.WORKER)
    if trouble:
        marks.failed(till.pk, trouble)
    sentence = judged(till).sentence
    assert viewer.get(f"/api/integrations/{till.pk}").json()["health"]["sentence"] == sentence
    assert viewer.get("/api/integrations").json()["results"][0]["health"]["state"] == state
    console = sign_in(Role.VIEWER, till.hotel)
    for page in ("/admin/", f"/admin/integrations/integration/{till.pk}/change/", "/admin/integrations/integration/"):
        assert State(state).label in console.get(page).content.decode()
    assert client.get("/healthz").json()["integrations"] == {state: 1}
    assert f'hospient_integrations{{state="{state}"}} 1.0' in client.get("/metrics").content.decode()
    try:
        call_command("health")
        ended = 0
    except SystemExit as end:
        ended = end.code
    assert (ended, sentence in capsys.readouterr().out) == (code, True)
    call_command("list_integrations")
    assert State(state).label in capsys.readouterr().out
