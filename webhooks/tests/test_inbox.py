"""Events are worked once, in order for each object, and none is lost: claiming, coalescing, retrying, parking, replaying, polling."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.utils import timezone

from hotels.models import GuestCheck, Reservation
from integrations import leases
from integrations.exceptions import CircuitOpen, ProviderUnavailable, RequestRejected
from integrations.models import Integration, IntegrationLog, IntegrationStatus, SyncRun
from integrations.records import Reservation as ReservationRecord
from webhooks import effects, inbox
from webhooks.ingest import Row, store
from webhooks.models import EventStatus, WebhookEvent
from webhooks.tests.conftest import Connect
from webhooks.tests.vendor import PolledVendor, Vendor

pytestmark = pytest.mark.django_db


def put(integration: Integration, *events: dict[str, Any], verified_by: str = "basic", **columns: Any) -> list[WebhookEvent]:
    """Store each event as a delivery of its own."""
    rows = []
    for event in events:
        body = json.dumps({"events": [event]} if verified_by == "basic" else event)
        key = f"{event['object']}:{event['key']}" if event.get("key") else ""
        rows.append(
            Row(
                integration_id=integration.pk,
                event_id=uuid.uuid4().hex,
                delivery_key=uuid.uuid4().hex,
                event_type=event.get("type", ""),
                object_key=key or (f"refresh:{','.join(event['refresh'])}" if event.get("refresh") else ""),
                verified_by=verified_by,
                is_batch=False,
                batch_id=None,
                headers={},
                body=body,
                correlation_id=uuid.uuid4().hex,
                received_at=timezone.now(),
            )
            | columns
        )
    store(rows)
    return list(WebhookEvent.objects.filter(event_id__in=[row["event_id"] for row in rows]).order_by("id"))


def changed(key: str, object_type: str = "reservation", refresh: str = "reservations") -> dict[str, Any]:
    return {"type": "changed", "object": object_type, "key": key, "refresh": [refresh]}


def due_again(integration: Integration) -> None:
    """Let the time pass that waiting events wait for."""
    WebhookEvent.objects.filter(integration=integration, status=EventStatus.PENDING).update(next_attempt_at=timezone.now())


# --- thin events ---------------------------------------------------------------------------------------------------------------


def test_thin_event_reads_its_object(vendor: type[Vendor], connect: Connect) -> None:
    vendor.holds["reservations"] = [ReservationRecord(external_id="r1", status="reserved"), ReservationRecord(external_id="r2")]
    integration = connect(provider="vendor")
    [event] = put(integration, changed("r1"))
    assert inbox.drain(integration).done == 1
    assert vendor.queries == [("reservations", ("r1",))]
    assert Reservation.objects.get().status == "reserved"
    event.refresh_from_db()
    assert (event.status, event.attempts) == ("done", 1)
    assert event.outcome.startswith("Reservations read again. Stored 1")
    log = IntegrationLog.objects.get(operation_name="changed")
    assert (log.status, log.correlation_id) == ("success", event.correlation_id)
    assert SyncRun.objects.get().correlation_id == event.correlation_id


def test_burst_of_equal_thin_events_costs_one_read(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    put(integration, *[{"type": "menu.changed", "refresh": ["menus"]}] * 700, *[changed("r1")] * 400)
    assert inbox.drain(integration).done == 1100
    assert sorted(vendor.queries) == [("menus", ()), ("reservations", ("r1",))]


def test_different_objects_are_read_together(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    put(integration, *(changed(f"r{n}") for n in range(450)))
    inbox.drain(integration)
    assert [len(ids) for _, ids in vendor.queries] == [200, 200, 50]


def test_unknown_types_are_kept_and_ignored(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    [event] = put(integration, {"type": "weather.changed"})
    assert inbox.drain(integration).ignored == 1
    event.refresh_from_db()
    assert (event.status, event.error_code) == ("ignored", "")
    assert vendor.queries == []


def test_what_the_vendor_does_not_offer_is_ignored(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    put(integration, {"type": "x", "object": "guest", "key": "g1", "refresh": ["guests"]})
    assert inbox.drain(integration).ignored == 1


def test_event_that_came_while_a_sync_was_under_way_waits_for_its_end(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    under_way = SyncRun.objects.create(
        integration=integration, stream="menus", status="running", lease_until=timezone.now() + timedelta(seconds=60)
    )
    [event] = put(integration, {"type": "menu.changed", "refresh": ["menus"]})
    tally = inbox.drain(integration)
    assert (tally.waiting, tally.done, vendor.queries) == (1, 0, [])
    event.refresh_from_db()
    assert (event.status, event.attempts, event.error_code) == ("pending", 0, "still_reading")
    SyncRun.objects.filter(pk=under_way.pk).update(status="succeeded")
    due_again(integration)
    assert inbox.drain(integration).done == 1
    assert vendor.queries == [("menus", ())]


# --- order and claims ----------------------------------------------------------------------------------------------------------


def test_events_of_one_object_are_claimed_in_order_and_by_one_worker(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    r1, r2, r1_again = put(integration, changed("r1"), changed("r2"), changed("r1"))
    first = inbox.claim(integration, uuid.uuid4(), timezone.now())
    assert [row.pk for row in first] == [r1.pk, r2.pk, r1_again.pk]
    assert all(row.status == "processing" and row.attempts == 1 for row in first)
    [r1_later, r3] = put(integration, changed("r1"), changed("r3"))
    second = inbox.claim(integration, uuid.uuid4(), timezone.now())
    assert [row.pk for row in second] == [r3.pk]  # r1 is in another worker's hands
    assert inbox.claim(integration, uuid.uuid4(), timezone.now()) == []
    WebhookEvent.objects.filter(pk__in=[row.pk for row in first]).update(status="done")
    assert [row.pk for row in inbox.claim(integration, uuid.uuid4(), timezone.now())] == [r1_later.pk]


def test_event_that_waits_for_another_try_holds_back_the_later_ones_of_its_object_only(vendor: type[Vendor], connect: Connect) -> None:
    vendor.failures["r1"] = RequestRejected("no such reservation")
    integration = connect(provider="vendor")
    put(integration, changed("r1"))
    inbox.drain(integration)
    put(integration, changed("r1"), changed("r2"))
    vendor.queries.clear()
    assert inbox.drain(integration).done == 1
    assert vendor.queries == [("reservations", ("r2",))]
    vendor.failures.clear()
    due_again(integration)
    assert inbox.drain(integration).done == 2


def test_nothing_is_worked_at_an_inactive_integration_and_nothing_is_lost(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor", status=IntegrationStatus.INACTIVE)
    put(integration, changed("r1"))
    assert inbox.drain(integration).worked == 0
    assert not inbox.work_due()
    assert not inbox.is_due()
    Integration.objects.update(status=IntegrationStatus.ACTIVE)
    integration.refresh_from_db()
    assert [one.pk for one in inbox.work_due()] == [integration.pk]
    assert inbox.is_due()
    assert inbox.drain(integration).done == 1


# --- failure -------------------------------------------------------------------------------------------------------------------


def test_failing_event_is_tried_five_times_then_parked_with_its_reason(vendor: type[Vendor], connect: Connect) -> None:
    vendor.failures["poison"] = RequestRejected("this object cannot be read", hint="Look at it there.")
    integration = connect(provider="vendor")
    poison, *healthy = put(integration, changed("poison"), *(changed(f"r{n}") for n in range(20)))
    waits = []
    for _ in range(6):
        inbox.drain(integration)
        poison.refresh_from_db()
        if poison.next_attempt_at:
            waits.append((poison.next_attempt_at - timezone.now()).total_seconds())
        due_again(integration)
    assert (poison.status, poison.attempts, poison.error_code) == ("dead", 5, "request_rejected")
    assert "this object cannot be read" in poison.error_message
    assert len(waits) == 4
    assert waits == sorted(waits)
    assert set(WebhookEvent.objects.filter(pk__in=[row.pk for row in healthy]).values_list("status", flat=True)) == {"done"}
    assert IntegrationLog.objects.filter(operation_name="changed", status="failed", request_data__event=poison.pk).count() == 5


@pytest.mark.parametrize("trouble", [CircuitOpen(), ProviderUnavailable("down")])
def test_vendor_that_is_down_costs_no_event(vendor: type[Vendor], connect: Connect, trouble: Exception) -> None:
    vendor.failures["reservations"] = trouble
    integration = connect(provider="vendor")
    put(integration, *(changed(f"r{n}") for n in range(50)))
    for _ in range(4):
        inbox.drain(integration)
        due_again(integration)
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {"pending"}
    vendor.failures.clear()
    inbox.drain(integration)
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {"done"}


def test_open_breaker_counts_no_attempt_and_ends_the_pass(vendor: type[Vendor], connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "HEADS", 3)
    vendor.failures["reservations"] = CircuitOpen()
    integration = connect(provider="vendor")
    put(integration, *(changed(f"r{n}") for n in range(9)))
    assert inbox.drain(integration).waiting == 3
    assert set(WebhookEvent.objects.values_list("attempts", flat=True)) == {0}
    assert len(vendor.queries) == 1


def test_event_that_kills_its_worker_is_worked_alone_and_parked_after_five(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    killer, *others = put(integration, changed("killer"), changed("r1"), changed("r2"))
    inbox.claim(integration, uuid.uuid4(), timezone.now())  # and the worker dies
    assert inbox.recover(timezone.now()) == 0  # its lease holds
    for _ in range(4):
        WebhookEvent.objects.filter(status="processing").update(lease_until=timezone.now() - timedelta(seconds=1))
        inbox.work_due()
        in_hand = inbox.claim(integration, uuid.uuid4(), timezone.now())
        assert [row.pk for row in in_hand] == [killer.pk]
    WebhookEvent.objects.filter(status="processing").update(lease_until=timezone.now() - timedelta(seconds=1))
    assert inbox.recover(timezone.now()) == 1
    killer.refresh_from_db()
    assert (killer.status, killer.attempts, killer.error_code) == ("dead", 5, "worker_lost")
    assert inbox.drain(integration).done == len(others)


def test_worker_that_lost_its_lease_writes_nothing(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    [event] = put(integration, changed("r1"))
    owner, now = uuid.uuid4(), timezone.now()
    rows = inbox.claim(integration, owner, now)
    inbox.recover(now + leases.LEASE + timedelta(seconds=1))
    inbox.settle(integration, owner, rows, effects.work(integration, rows), took=0)
    event.refresh_from_db()
    assert event.status == "pending"


@pytest.mark.django_db(transaction=True)
def test_events_that_met_a_restart_of_the_database_are_due_at_once(
    vendor: type[Vendor], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_keeper", leases._Keeper())
    integration = connect(provider="vendor")
    put(integration, changed("r1"), changed("r2"))

    def lost(*_: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as broken:
        broken.setattr(effects, "work", lost)
        with pytest.raises(OperationalError):
            inbox.drain(integration)
    for _ in range(300):
        if not leases._keeper.to_return:
            break
        time.sleep(0.01)
    assert set(WebhookEvent.objects.values_list("status", "error_code", "attempts")) == {("pending", "", 1)}
    assert inbox.drain(integration).done == 2


def test_an_event_without_an_attempt_left_is_not_given_back_in_a_circle(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    last, other = put(integration, changed("r1"), changed("r2"))
    WebhookEvent.objects.filter(pk=last.pk).update(attempts=inbox.MAX_ATTEMPTS - 1)
    owner, now = uuid.uuid4(), timezone.now()
    inbox.claim(integration, owner, now)
    inbox.hand_back(WebhookEvent.objects.filter(lease_owner=owner))
    assert dict(WebhookEvent.objects.values_list("pk", "status")) == {last.pk: "processing", other.pk: "pending"}
    inbox.recover(now + leases.LEASE + timedelta(seconds=1))
    last.refresh_from_db()
    assert (last.status, last.error_code) == ("dead", "worker_lost")


def test_body_no_provider_can_read_is_kept_and_says_why(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    [event] = put(integration, {"no": "type"})
    assert inbox.drain(integration).dead == 1
    event.refresh_from_db()
    assert (event.status, event.attempts, event.error_code) == ("dead", 1, "unexpected_response")


def test_record_the_tables_refuse_is_parked_and_the_others_are_stored(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect("pos", provider="vendor")
    now = datetime(2026, 3, 1, tzinfo=UTC).isoformat()
    full = {"event_type": "check_updated", "occurred_at": now}
    good = full | {"data": {"check_id": "c1", "status": "open", "total": "12.50"}}
    bad = full | {"data": {"check_id": "c2", "status": "open", "total": "1" * 40}}
    _, second = put(integration, good, bad, verified_by="body")
    tally = inbox.drain(integration)
    assert (tally.done, tally.dead) == (1, 1)
    second.refresh_from_db()
    assert (second.status, second.error_code) == ("dead", "record_rejected")
    assert GuestCheck.objects.get().total == 12.5


def test_defect_at_one_event_stops_no_other(vendor: type[Vendor], connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    apply_records = effects.apply_records

    def defective(integration: Integration, records: Any) -> Any:
        records = list(records)
        if any(record.external_id == "c7" for record in records):
            raise ZeroDivisionError
        return apply_records(integration, records)

    monkeypatch.setattr(effects, "apply_records", defective)
    integration = connect("pos", provider="vendor")
    events = [{"event_type": "check_updated", "data": {"check_id": f"c{n}", "status": "open", "total": "1"}} for n in range(10)]
    put(integration, *events, verified_by="body")
    tally = inbox.drain(integration)
    assert (tally.done, tally.waiting) == (9, 1)
    assert WebhookEvent.objects.get(status="pending").error_code == "internal_error"


def test_events_of_a_vendor_whose_folder_is_gone_are_kept(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="removed")
    [event] = put(integration, changed("r1"))
    assert inbox.drain(integration).waiting == 1
    event.refresh_from_db()
    assert (event.status, event.error_code) == ("pending", "invalid")


HOSTILE = 'evil\r\n{"level": "INFO"} \x1b[31m\u2028<script>alert(1)</script>'


def test_one_event_gives_one_log_record_whatever_it_says(vendor: type[Vendor], connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the table nor a log line can be forged by what a vendor writes; the console is shown in test_console.py."""
    vendor.failures[HOSTILE] = RequestRejected(HOSTILE)
    integration = connect(provider="vendor")
    before = IntegrationLog.objects.count()
    put(integration, {"type": HOSTILE, "object": "reservation", "key": HOSTILE, "refresh": ["reservations"]}, object_key=HOSTILE)
    put(integration, {"type": HOSTILE})
    inbox.drain(integration)
    mine = IntegrationLog.objects.filter(operation_type="webhook")
    assert mine.count() == before + 2
    assert set(mine.values_list("operation_name", flat=True)) == {HOSTILE[:80]}
    assert not [record for record in caplog.records if "\n" in record.getMessage() or "\x1b" in record.getMessage()]


# --- batches -------------------------------------------------------------------------------------------------------------------


def test_delivery_with_several_events_is_split_and_each_is_worked_once(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    body = json.dumps({"events": [changed("r1") | {"id": "e1"}, changed("r2") | {"id": "e2"}, changed("r3")]})
    [batch] = put(integration, {}, is_batch=True, event_id="batch-1", body=body)
    inbox.drain(integration)
    children = WebhookEvent.objects.filter(batch=batch).order_by("id")
    assert [(row.event_id, row.status, bytes(row.body)) for row in children] == [
        ("e1", "done", b""), ("e2", "done", b""), ("batch-1#3", "done", b""),
    ]  # fmt: skip
    assert vendor.queries == [("reservations", ("r1", "r2", "r3"))]
    batch.refresh_from_db()
    assert (batch.status, batch.outcome) == ("done", "Split into 3 events.")
    [resent] = put(integration, {}, is_batch=True, event_id="batch-2", body=body)
    inbox.drain(integration)
    resent.refresh_from_db()
    assert resent.outcome == "Split into 3 events, 2 of them known already."


# --- replaying -----------------------------------------------------------------------------------------------------------------


def test_replay_works_closed_events_again_and_leaves_open_ones_alone(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    put(integration, changed("r1"), changed("r2"))
    inbox.drain(integration)
    put(integration, changed("r3"))
    chosen = WebhookEvent.objects.filter(integration=integration)
    assert inbox.replayable(chosen).count() == 2
    assert inbox.replay(chosen) == 2
    assert inbox.drain(integration).done == 3


def test_replaying_a_batch_replays_its_events(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    body = json.dumps({"events": [changed("r1") | {"id": "e1"}, changed("r2") | {"id": "e2"}]})
    [batch] = put(integration, {}, is_batch=True, event_id="batch-1", body=body)
    inbox.drain(integration)
    vendor.queries.clear()
    assert inbox.replay(WebhookEvent.objects.filter(pk=batch.pk)) == 2
    inbox.drain(integration)
    assert vendor.queries == [("reservations", ("r1", "r2"))]


# --- polling -------------------------------------------------------------------------------------------------------------------


def test_polled_events_are_stored_before_the_next_are_asked_for(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="polled", secret="")
    PolledVendor.queue[:] = [[changed("r1") | {"id": "1"}, changed("r2") | {"id": "2"}], [{"odd": True}], [changed("r1") | {"id": "1"}]]
    assert [one.pk for one in inbox.work_due()] == [integration.pk]
    assert inbox.is_due()
    assert inbox.poll(integration) == 3
    assert PolledVendor.stored_before_next == [0, 2, 3]
    assert inbox.poll(integration) == 0  # another consumer would split the queue
    tally = inbox.drain(integration)
    assert (tally.done, tally.dead) == (2, 1)
    assert vendor.queries == [("reservations", ("r1", "r2"))]


def test_failed_poll_keeps_what_it_read(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="polled", secret="")
    cache.delete(f"webhooks:poll:{integration.pk}")
    PolledVendor.queue[:] = [[changed("r1") | {"id": "1"}], ProviderUnavailable("timeout")]
    assert inbox.poll(integration) == 1
    assert WebhookEvent.objects.count() == 1
