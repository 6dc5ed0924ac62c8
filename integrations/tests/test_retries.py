"""A person's retry: what may have happened is looked up first, what is used up is tried afresh, alike by every door."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from hotels.models import Hotel, Role
from hotels.tests.people import Caller
from integrations.exceptions import ProviderUnavailable, RequestRejected
from integrations.models import Integration, Operation
from integrations.services.manifest import Idempotency
from integrations.tests.conftest import Connect
from integrations.tests.console import sign_in
from integrations.tests.stub import StubProvider

Retry = Callable[[Operation], Operation]
LONG_AGO = timedelta(days=1)


@pytest.fixture
def integration(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel)


@pytest.fixture(params=["api", "console", "command"])
def retry(request: pytest.FixtureRequest, caller: Caller, hotel: Hotel) -> Retry:
    """Retry through each door in turn."""

    def through(operation: Operation) -> Operation:
        if request.param == "api":
            caller(Role.OPERATOR, hotel).post(f"/api/integrations/{operation.integration_id}/operations/{operation.pk}/retry")
        elif request.param == "console":
            sign_in(Role.OPERATOR, hotel).post(reverse("admin:integrations_operation_retry", args=[operation.pk]))
        else:
            with contextlib.suppress(SystemExit):
                call_command("drain_outbox", "--failed")
        operation.refresh_from_db()
        return operation

    return through


def stuck(integration: Integration, status: str, *, sent_ago: timedelta | None = None, **more: Any) -> Operation:
    return Operation.objects.create(
        integration=integration,
        name="void_check",
        idempotency_key="k1",
        status=status,
        payload={"check_external_id": "c1", "reason": ""},
        maybe_sent_at=None if sent_ago is None else timezone.now() - sent_ago,
        **more,
    )


def called(stub: type[StubProvider]) -> list[str]:
    return [name for name, _ in stub.calls]


def test_what_the_vendor_has_is_not_sent_again(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, retry: Retry
) -> None:
    stub.declare(monkeypatch, Idempotency.LOOKUP)
    stub.found["void_check"] = {"reference": "void-4711"}
    operation = retry(stuck(integration, "unknown", sent_ago=LONG_AGO, attempts=8))
    assert (operation.status, operation.vendor_reference, called(stub)) == ("done", "void-4711", ["find_void_check"])


def test_what_the_vendor_has_not_is_sent_after_the_look(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, retry: Retry
) -> None:
    stub.declare(monkeypatch, Idempotency.LOOKUP)
    operation = retry(stuck(integration, "unknown", sent_ago=LONG_AGO, attempts=8))
    assert (operation.status, called(stub)) == ("done", ["find_void_check", "void_check"])


def test_what_may_not_show_yet_waits(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, retry: Retry
) -> None:
    stub.declare(monkeypatch, Idempotency.LOOKUP)
    operation = retry(stuck(integration, "unknown", sent_ago=timedelta(0)))
    assert (operation.status, called(stub)) == ("unknown", ["find_void_check"])
    assert operation.next_attempt_at > timezone.now()


def test_a_look_up_that_fails_leaves_the_doubt(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, retry: Retry
) -> None:
    stub.declare(monkeypatch, Idempotency.LOOKUP)
    stub.failures["find_void_check"] = ProviderUnavailable()
    operation = retry(stuck(integration, "unknown", sent_ago=LONG_AGO))
    assert (operation.status, bool(operation.maybe_sent_at), called(stub)) == ("unknown", True, ["find_void_check"])


@pytest.mark.parametrize("idempotency", [Idempotency.NATIVE, Idempotency.NONE])
def test_where_nothing_can_be_looked_up_it_is_sent_on_the_persons_word(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, retry: Retry, idempotency: Idempotency
) -> None:
    stub.declare(monkeypatch, idempotency)
    operation = retry(stuck(integration, "unknown", sent_ago=LONG_AGO))
    assert (operation.status, called(stub)) == ("done", ["void_check"])


def test_a_lost_answer_without_keys_waits_for_a_person_again(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, retry: Retry
) -> None:
    stub.declare(monkeypatch, Idempotency.NONE)
    stub.failures["void_check"] = ProviderUnavailable(maybe_done=True)
    operation = retry(stuck(integration, "unknown", sent_ago=LONG_AGO))
    assert (operation.status, operation.next_attempt_at, called(stub)) == ("unknown", None, ["void_check"])


@pytest.mark.parametrize("idempotency", Idempotency)
def test_what_is_used_up_is_tried_afresh(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, retry: Retry, idempotency: Idempotency
) -> None:
    stub.declare(monkeypatch, idempotency)
    stub.failures["void_check"] = ProviderUnavailable()
    operation = retry(stuck(integration, "dead", attempts=8))
    assert (operation.status, operation.attempts, called(stub)) == ("pending", 1, ["void_check"])
    assert operation.next_attempt_at > timezone.now()


def test_a_refusal_is_final_again(integration: Integration, stub: type[StubProvider], retry: Retry) -> None:
    stub.failures["void_check"] = RequestRejected("The check is closed.")
    operation = retry(stuck(integration, "dead", attempts=8))
    assert (operation.status, operation.error_message, operation.next_attempt_at) == ("dead", "The check is closed.", None)


@pytest.mark.parametrize("status", ["done", "sending"])
def test_what_is_done_or_under_way_is_left_alone(integration: Integration, stub: type[StubProvider], retry: Retry, status: str) -> None:
    lease = {"lease_until": timezone.now() + timedelta(minutes=1)} if status == "sending" else {}
    assert retry(stuck(integration, status, **lease)).status == status
    assert stub.calls == []


def test_nothing_is_sent_to_a_vendor_somebody_switched_off(integration: Integration, stub: type[StubProvider], caller: Caller) -> None:
    operation = stuck(integration, "dead")
    Integration.objects.update(status="inactive")
    answer = caller(Role.OPERATOR, integration.hotel).post(f"/api/integrations/{integration.pk}/operations/{operation.pk}/retry")
    operation.refresh_from_db()
    assert (answer.status_code, operation.status, stub.calls) == (409, "dead", [])
