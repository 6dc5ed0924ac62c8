"""One intention, one effect: a repeated key is recognised by values, and what a person sends twice by mistake is not done twice."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone as now
from rest_framework.test import APIClient

from hotels.models import Hotel, Role
from integrations.models import Integration, Operation
from integrations.outbox.enqueue import fingerprint
from integrations.tests.conftest import Connect
from integrations.tests.stub import StubProvider

CHARGE = {"room_number": "101", "amount": "34.50", "category": "food"}
LATER = timezone(timedelta(hours=5))


@pytest.fixture
def pms(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "pms")


def charge(client: APIClient, pms: Integration, headers: dict[str, str] | None = None, **changes: Any) -> Any:
    return client.post(f"/api/integrations/{pms.pk}/charges", CHARGE | changes, headers=headers or {})


@pytest.mark.parametrize("amount", ["34.5", 34.5, "34.5000"])
def test_a_key_is_known_again_however_the_amount_is_written(operator: APIClient, pms: Integration, stub: Any, amount: Any) -> None:
    first = charge(operator, pms, {"Idempotency-Key": "till-1"})
    again = charge(operator, pms, {"Idempotency-Key": "till-1"}, amount=amount)
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 201, first.json()["id"])
    assert len(stub.calls) == 1


def test_a_key_with_another_amount_is_refused(operator: APIClient, pms: Integration, stub: type[StubProvider]) -> None:
    charge(operator, pms, {"Idempotency-Key": "till-1"})
    assert charge(operator, pms, {"Idempotency-Key": "till-1"}, amount="34.51").status_code == 400
    assert len(stub.calls) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("34.50"), Decimal("34.5")),
        (Decimal("100"), Decimal("1E+2")),
        (Decimal("0.00"), Decimal("-0")),
        (datetime(2026, 6, 1, 12, tzinfo=UTC), datetime(2026, 6, 1, 17, tzinfo=LATER)),
        ({"a": 1, "b": [Decimal("1.0")]}, {"b": [Decimal("1")], "a": 1}),
    ],
)
def test_the_same_value_has_the_same_fingerprint(one: Any, other: Any) -> None:
    assert fingerprint("x", {"value": one}) == fingerprint("x", {"value": other})


@pytest.mark.parametrize(("one", "other"), [("34.50", "34.5"), (12, "12"), ("0101", "101"), (Decimal("34.5"), Decimal("34.51"))])
def test_texts_and_ids_keep_their_spelling(one: Any, other: Any) -> None:
    assert fingerprint("x", {"value": one}) != fingerprint("x", {"value": other})


def test_what_is_sent_twice_within_moments_is_not_done_twice(operator: APIClient, pms: Integration, stub: type[StubProvider]) -> None:
    first = charge(operator, pms).json()
    again = charge(operator, pms, amount="34.5")
    assert (again.status_code, again.json()["errors"][0]["code"], again.json()["operation_id"]) == (409, "likely_repeated", first["id"])
    assert f"operation {first['id']}" in again.json()["errors"][0]["detail"]
    assert "Repeat: intended" in again.json()["hint"]
    assert len(stub.calls) == Operation.objects.count() == 1


def test_it_is_done_when_it_is_meant(operator: APIClient, pms: Integration, stub: type[StubProvider]) -> None:
    charge(operator, pms)
    assert charge(operator, pms, {"Repeat": "intended"}).status_code == 201
    assert charge(operator, pms, {"Idempotency-Key": "second"}).status_code == 201
    assert charge(operator, pms, description="Another").status_code == 201
    assert len(stub.calls) == 4


def test_another_person_and_a_later_time_are_another_intention(
    operator: APIClient, caller: Any, hotel: Hotel, pms: Integration, stub: type[StubProvider]
) -> None:
    charge(operator, pms)
    assert charge(caller(Role.OPERATOR, hotel), pms).status_code == 201
    Operation.objects.update(created_at=now.now() - timedelta(minutes=2, seconds=1))
    assert charge(operator, pms).status_code == 201


def test_what_was_refused_may_be_sent_again_at_once(operator: APIClient, pms: Integration, stub: type[StubProvider]) -> None:
    charge(operator, pms)
    Operation.objects.update(status="dead")
    assert charge(operator, pms).status_code == 201


def test_setting_a_state_twice_is_setting_it_once(operator: APIClient, pms: Integration, stub: type[StubProvider]) -> None:
    answers = [operator.put(f"/api/integrations/{pms.pk}/guests/g1", {"email": "eva@example.com"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
