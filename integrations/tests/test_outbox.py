"""Pushing: one effect at the vendor, whatever fails in between."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from hotels.models import Hotel
from integrations.exceptions import (
    AuthenticationFailed,
    CircuitOpen,
    HospientError,
    InvalidInput,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Integration, Operation, OperationStatus
from integrations.outbox import deliver, enqueue
from integrations.sync import health

NATIVE = SimpleNamespace(idempotency="native", settle_seconds=0, pins=False)
LOOKUP = SimpleNamespace(idempotency="lookup", settle_seconds=10, pins=False)
NONE = SimpleNamespace(idempotency="none", settle_seconds=0, pins=False)

NOON = datetime(2026, 6, 9, 12, tzinfo=UTC)
LOST = ProviderUnavailable("The answer was lost.", maybe_done=True)


class Vendor:
    """Keeps what was sent to it, by key; `trouble` are the errors of the next calls, raised after the effect if `maybe_done`."""

    def __init__(self, *trouble: HospientError) -> None:
        self.trouble = list(trouble)
        self.effects: list[str] = []
        self.sent = 0
        self.looked_up = 0
        self.knows_keys = False
        self.hides = False

    def send(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        self.sent += 1
        error = self.trouble.pop(0) if self.trouble else None
        takes_effect = error is None or getattr(error, "maybe_done", False)
        if takes_effect and not (self.knows_keys and key in self.effects):
            self.effects.append(key)
        if error:
            raise error
        return {"reference": f"at-vendor-{key}"}

    def find(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
        self.looked_up += 1
        return {"reference": f"at-vendor-{key}"} if key in self.effects and not self.hides else None


@pytest.fixture
def integration(db: None) -> Integration:
    hotel = Hotel.objects.create(name="Grand", slug="grand")
    return Integration.objects.create(hotel=hotel, integration_type="pos", provider="square", provider_name="Square")


@pytest.fixture
def operation(integration: Integration) -> Operation:
    return new(integration, "k1")


def new(integration: Integration, key: str, **more: Any) -> Operation:
    return enqueue.enqueue(integration, "post_guest_check", {"total": "1"}, key=key, asked="a", **more)


def attempt(operation: Operation, vendor: Vendor, declared: Any = NATIVE, done: Callable[..., None] = lambda *_: None) -> Operation:
    """Deliver an operation as a worker would, as soon as it is due."""
    Operation.objects.filter(pk=operation.pk, next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
    delivery = deliver.Delivery(operation, declared, done)
    if delivery.claim():
        delivery.attempt(vendor)
    operation.refresh_from_db()
    return operation


def test_a_delivered_operation_is_done_with_the_vendors_reference(operation: Operation) -> None:
    vendor = Vendor()
    attempt(operation, vendor)
    assert (operation.status, operation.vendor_reference) == ("done", f"at-vendor-{operation.uuid}")
    assert operation.maybe_sent_at is None


def test_a_reference_of_any_length_is_kept_as_far_as_it_fits(operation: Operation) -> None:
    class Wordy(Vendor):
        def send(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
            return {"reference": "r" * 300}

    assert attempt(operation, Wordy()).vendor_reference == "r" * 192


def test_a_done_operation_is_never_sent_again(operation: Operation) -> None:
    vendor = Vendor()
    attempt(operation, vendor)
    attempt(operation, vendor)
    assert vendor.sent == 1


def test_a_lost_answer_is_repeated_with_the_same_key_where_the_vendor_knows_keys(operation: Operation) -> None:
    vendor = Vendor(LOST)
    vendor.knows_keys = True
    attempt(operation, vendor)
    assert (operation.status, bool(operation.maybe_sent_at)) == ("unknown", True)
    attempt(operation, vendor)
    assert (operation.status, vendor.sent, len(vendor.effects)) == ("done", 2, 1)


def test_a_lost_answer_is_looked_up_before_anything_is_sent_again(operation: Operation) -> None:
    vendor = Vendor(LOST)
    attempt(operation, vendor, LOOKUP)
    attempt(operation, vendor, LOOKUP)
    assert (operation.status, vendor.sent, vendor.looked_up) == ("done", 1, 1)


def test_not_found_counts_only_after_the_effect_had_time_to_show(operation: Operation) -> None:
    vendor = Vendor(LOST)
    vendor.hides = True
    attempt(operation, vendor, LOOKUP)
    attempt(operation, vendor, LOOKUP)
    assert (operation.status, vendor.sent) == ("unknown", 1)
    assert operation.next_attempt_at > timezone.now() + timedelta(seconds=5)
    vendor.effects.clear()  # it did not happen after all
    Operation.objects.update(maybe_sent_at=timezone.now() - timedelta(seconds=11))
    attempt(operation, vendor, LOOKUP)
    assert (operation.status, vendor.sent, len(vendor.effects)) == ("done", 2, 1)


def test_where_nobody_can_tell_a_person_decides(operation: Operation) -> None:
    vendor = Vendor(LOST)
    attempt(operation, vendor, NONE)
    assert (operation.status, operation.next_attempt_at) == ("unknown", None)
    attempt(operation, vendor, NONE)
    assert vendor.sent == 1
    deliver.retry(operation, send_again=True)
    attempt(operation, vendor, NONE)
    assert (operation.status, vendor.sent) == ("done", 2)


def test_a_worker_killed_in_the_call_leaves_doubt_not_a_second_posting(operation: Operation) -> None:
    vendor = Vendor()
    delivery = deliver.Delivery(operation, LOOKUP, lambda *_: None)
    assert delivery.claim()
    vendor.send({}, str(operation.uuid))  # and here the power went
    Operation.objects.update(maybe_sent_at=timezone.now(), lease_until=timezone.now() - timedelta(seconds=1))
    attempt(operation, vendor, LOOKUP)
    assert (operation.status, vendor.sent) == ("done", 1)


def test_a_live_lease_keeps_others_away(operation: Operation) -> None:
    assert deliver.Delivery(operation, NATIVE, lambda *_: None).claim()
    assert not deliver.Delivery(operation, NATIVE, lambda *_: None).claim()


@pytest.mark.django_db(transaction=True)
def test_who_waited_for_another_worker_does_not_do_its_work_again(operation: Operation) -> None:
    """The claim began when the operation was due, and gets its lock when it is done: it must look again."""
    claims: list[bool] = []

    def claim() -> None:
        claims.append(deliver.Delivery(operation, NATIVE, lambda *_: None).claim())
        connection.close()

    late = threading.Thread(target=claim)
    with transaction.atomic():
        attempt(operation, Vendor())
        late.start()
        time.sleep(0.3)  # until it waits
    late.join()
    operation.refresh_from_db()
    assert (claims, operation.status) == ([False], "done")


def test_a_refusal_is_final_and_says_why(operation: Operation) -> None:
    attempt(operation, Vendor(RequestRejected("There is no such item.")))
    assert (operation.status, operation.error_message, operation.maybe_sent_at) == ("dead", "There is no such item.", None)


def test_a_refusal_does_not_settle_the_doubt_about_an_earlier_attempt(operation: Operation) -> None:
    vendor = Vendor(LOST, RequestRejected())
    attempt(operation, vendor)
    attempt(operation, vendor)
    assert (operation.status, operation.next_attempt_at) == ("unknown", None)


def test_a_busy_vendor_is_asked_again_when_it_said(operation: Operation) -> None:
    later = timezone.now() + timedelta(minutes=7)
    attempt(operation, Vendor(RateLimited(retry_at=later)))
    assert (operation.status, operation.next_attempt_at, operation.maybe_sent_at) == ("pending", later, None)


def test_attempts_are_bounded(operation: Operation) -> None:
    vendor = Vendor(*[ProviderUnavailable() for _ in range(20)])
    for _ in range(20):
        attempt(operation, vendor)
    assert (operation.status, vendor.sent) == ("dead", 8)


def test_the_waits_between_attempts_double(operation: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.random, "uniform", lambda low, high: high)
    waits = []
    for _ in range(7):
        attempt(operation, Vendor(ProviderUnavailable()))
        waits.append(round((operation.next_attempt_at - timezone.now()).total_seconds()))
    assert waits == pytest.approx([5, 10, 20, 40, 80, 160, 320], abs=2)
    attempt(operation, Vendor(ProviderUnavailable()))
    assert (operation.status, operation.next_attempt_at) == ("dead", None)


@pytest.mark.parametrize(
    ("trouble", "status", "follows"),
    [(ProviderUnavailable(), "pending", False), (LOST, "unknown", False), (RequestRejected(), "dead", True), (None, "done", True)],
    ids=["waits", "in doubt", "given up", "done"],
)
def test_a_follower_waits_as_long_as_the_one_before_it(
    operation: Operation, integration: Integration, trouble: HospientError | None, status: str, follows: bool
) -> None:
    Operation.objects.filter(pk=operation.pk).update(object_key="guest_check:1")
    follower = new(integration, "k2", object_key="guest_check:1")
    stranger = Integration.objects.create(hotel=integration.hotel, integration_type="pos", provider="square", provider_name="Other")
    elsewhere = new(stranger, "k3", object_key="guest_check:1")
    attempt(operation, Vendor(*[trouble] * bool(trouble)))
    assert operation.status == status
    assert deliver.Delivery(follower, NATIVE, lambda *_: None).claim() is follows
    assert deliver.Delivery(elsewhere, NATIVE, lambda *_: None).claim()


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_lease_holds_for_a_minute(operation: Operation, seconds: int) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        attempting = deliver.Delivery(operation, NATIVE, lambda *_: None)
        Operation.objects.update(next_attempt_at=NOON)
        assert attempting.claim()
        clock.shift(60 + seconds)
        lapsed = Operation.objects.filter(pk=operation.pk, status="sending", lease_until__lt=timezone.now()).exists()
        assert lapsed is (seconds > 0)


def test_the_lease_is_prolonged_before_anything_is_sent(operation: Operation) -> None:
    seen = []

    class Slow(Vendor):
        def send(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
            seen.append(Operation.objects.get().lease_until - timezone.now())
            return super().send(payload, key)

    attempt(operation, Slow())
    assert seen[0] > timedelta(seconds=50)


@pytest.mark.parametrize(
    ("error", "is_counted"),
    [(AuthenticationFailed(), True), (ProviderUnavailable(), True), (RateLimited(), False), (RequestRejected(), False)],
    ids=lambda value: getattr(value, "code", str(value)),
)
def test_only_what_concerns_the_connection_is_trouble_of_the_integration(
    operation: Operation, integration: Integration, error: HospientError, is_counted: bool
) -> None:
    attempt(operation, Vendor(error))
    integration.refresh_from_db()
    assert integration.error_count == is_counted


def test_an_answer_lost_by_a_breaker_still_counts_as_an_attempt(operation: Operation) -> None:
    attempt(operation, Vendor(RateLimited(maybe_done=True)))
    assert (operation.attempts, operation.status) == (1, "unknown")


def test_a_request_is_the_same_however_its_fields_are_ordered() -> None:
    assert enqueue.fingerprint("charge", {"a": 1, "b": 2}) == enqueue.fingerprint("charge", {"b": 2, "a": 1})
    assert enqueue.fingerprint("charge", {"a": 1}) != enqueue.fingerprint("void", {"a": 1})


def test_one_key_at_two_integrations_stands_for_two_operations(operation: Operation, integration: Integration) -> None:
    other = Integration.objects.create(hotel=integration.hotel, integration_type="pos", provider="square", provider_name="Other")
    assert enqueue.find(other, "k1", "another") is None
    twin = new(other, "k1")
    assert (attempt(operation, Vendor()).status, attempt(twin, Vendor()).status) == ("done", "done")
    assert (enqueue.find(integration, "k1", "a"), enqueue.find(other, "k1", "a")) == (operation, twin)


def test_refused_credentials_show_at_the_integration(operation: Operation, integration: Integration) -> None:
    attempt(operation, Vendor(AuthenticationFailed()))
    integration.refresh_from_db()
    assert (integration.status, integration.error_count) == ("error", 1)


def test_a_void_never_overtakes_its_post(integration: Integration) -> None:
    post = new(integration, "post", object_key="guest_check:1")
    void = new(integration, "void", object_key="guest_check:1")
    other = new(integration, "other", object_key="guest_check:2")
    assert list(deliver.due()) == [post, other]
    attempt(void, Vendor())
    assert void.status == OperationStatus.PENDING
    attempt(post, Vendor(LOST))
    assert void not in deliver.due()
    attempt(post, Vendor())
    assert void in deliver.due()


def test_the_effect_and_the_end_commit_together(operation: Operation) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("the hotel's row cannot be written")

    vendor = Vendor()
    with pytest.raises(RuntimeError):
        attempt(operation, vendor, LOOKUP, done=fails)
    operation.refresh_from_db()
    assert (operation.status, bool(operation.maybe_sent_at)) == ("sending", True)
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    attempt(operation, vendor, LOOKUP)
    assert (operation.status, vendor.sent) == ("done", 1)


def test_a_key_used_for_another_request_is_refused(operation: Operation, integration: Integration) -> None:
    assert enqueue.find(integration, "k1", "a") == operation
    with pytest.raises(InvalidInput):
        enqueue.find(integration, "k1", "another")


# --- workers that die, stall or lose their turn --------------------------------------------------------------------------------


def test_a_worker_that_stalled_and_lost_its_turn_sends_nothing(operation: Operation) -> None:
    vendor = Vendor()
    first, second = (deliver.Delivery(operation, LOOKUP, lambda *_: None) for _ in range(2))
    assert first.claim()
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert second.claim()
    first.attempt(vendor)
    assert (vendor.sent, first.operation.status) == (0, OperationStatus.SENDING)
    second.attempt(vendor)
    assert (vendor.sent, len(vendor.effects)) == (1, 1)


def test_only_the_worker_whose_turn_it_is_applies_the_answer(operation: Operation) -> None:
    applied: list[str] = []

    class Stalling(Vendor):
        def send(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
            Operation.objects.update(lease_owner="00000000-0000-0000-0000-000000000001")
            return super().send(payload, key)

    attempt(operation, Stalling(), done=lambda *_: applied.append("effect"))
    assert (applied, operation.status, operation.vendor_reference) == ([], OperationStatus.SENDING, "")


@pytest.mark.parametrize("declared", [NATIVE, LOOKUP, NONE], ids=lambda declared: declared.idempotency)
def test_an_operation_that_kills_its_workers_waits_for_a_person(operation: Operation, declared: Any) -> None:
    class Killer(Vendor):
        def send(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
            self.sent += 1
            raise SystemExit

        def find(self, payload: Mapping[str, Any], key: str) -> None:
            raise SystemExit

    vendor = Killer()
    for _ in range(11):
        try:
            attempt(operation, vendor, declared)
        except SystemExit:
            Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    operation.refresh_from_db()
    assert (operation.status, operation.next_attempt_at) == (OperationStatus.UNKNOWN, None)
    assert operation.error_code == "worker_lost"
    assert vendor.sent == (1 if declared is not NATIVE else 5)


@pytest.mark.parametrize("error", [CircuitOpen(), RateLimited()])
def test_what_was_not_tried_costs_no_attempt(operation: Operation, error: HospientError) -> None:
    vendor = Vendor(*[error] * 20)
    for _ in range(20):
        attempt(operation, vendor)
    assert operation.status == OperationStatus.PENDING
    attempt(operation, vendor)
    assert operation.status == OperationStatus.DONE


def test_a_paused_integrations_operations_wait_until_it_is_started_again(operation: Operation, integration: Integration) -> None:
    vendor = Vendor()
    Integration.objects.update(status="inactive")
    attempt(operation, vendor)
    assert (vendor.sent, operation.status) == (0, OperationStatus.PENDING)
    Integration.objects.update(status="active")
    attempt(operation, vendor)
    assert (vendor.sent, operation.status) == (1, OperationStatus.DONE)
