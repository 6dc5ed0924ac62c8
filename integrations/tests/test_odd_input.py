"""Whatever comes in at the API, at a command or in settings is read or refused by the name of its field, and never a fault of ours."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from hotels.models import Hotel
from integrations.exceptions import InvalidInput
from integrations.models import Integration
from integrations.services import calls, inputs, service_for
from integrations.services.setup import create_integration
from integrations.tests.conftest import Connect
from integrations.tests.test_any_value import changed, places

CHECK = {
    "room_number": "101",
    "items": [{"name": "Candy", "quantity": 8, "unit_price": 0.125, "total_price": 1.0}],
    "subtotal": 1.0, "tax": 0, "total": 1.0, "payment_status": "pending",
}  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, -1, 4.9, "4.9", "34,50", "1e1000000", 1e308, 10**40, "9" * 40, "NaN", float("nan"), float("inf"), "", " ", "\ud800",
    "a\x00b", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-45", 1781010100000, "1781010100000", [], {}, [[]], {"a": {}},
    "x" * 100_000, "١٢", "0x10", "1_000",
]  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "GuestCheckInput": CHECK | {"guest_id": 1, "reservation_id": "R1", "currency": "EUR", "payment_method": "cash"},
    "ChargeInput": {"room_number": "101", "reservation_id": 1, "amount": "34.50", "currency": "EUR", "category": "food", "quantity": 1},
    "CheckInInput": {"reservation_id": "R1", "guest_id": 2, "check_in_time": "2026-06-09T15:00:00Z", "deposit_amount": 10},
    "CheckOutInput": {"reservation_id": "R1", "check_out_time": "2026-06-09T15:00:00Z", "final_bill_amount": 1, "feedback_rating": 5, "dry_run": True},
    "RequestInput": {"room_number": "101", "message": "Towels", "priority": "high"},
    "FeedbackInput": {"guest_id": 1, "rating": 5, "submitted_at": "2026-06-09T15:00:00Z", "is_anonymous": False, "hotel_id": 1},
    "ChatMessageInput": {"message": "Hello", "sender_id": 3, "sent_at": "2026-06-09T15:00:00Z"},
    "NotificationInput": {"title": "Pool", "message": "Closed", "priority": "low"},
    "GuestChangesInput": {"given_name": "Ana", "email": "ana@example.com", "phone": "+43 1 2345"},
    "SyncInput": {"sync_type": "menus", "start_date": "2026-06-01", "end_date": "2026-06-02", "full": False},
    "RetryRejectedInput": {"ids": [1, 2], "stream": "menus"},
    "MessageFilter": {"guest_id": "G1", "since": "2026-06-01T00:00:00Z", "limit": 50},
}  # fmt: skip


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(name=st.sampled_from(list(BODIES)), data=st.data())
def test_any_value_in_any_body_is_read_or_refused_by_name(name: str, data: Any) -> None:
    place = data.draw(st.sampled_from(list(places(BODIES[name]))[1:]))
    body = json.loads(json.dumps(changed(BODIES[name], place, "")))
    target = body
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = data.draw(st.sampled_from(ODD))
    errors: dict[str, str] = {}
    try:
        inputs.read(getattr(inputs, name), body).model_dump_json()  # it can be stored
    except InvalidInput as refusal:
        errors = refusal.errors
    assert all(field and sentence for field, sentence in errors.items())
    json.dumps(errors, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("name", "field", "value", "sentence"),
    [
        ("FeedbackInput", "rating", 4.9, "4.9 is not a whole number."),
        ("FeedbackInput", "rating", True, "true is not a count."),
        ("FeedbackInput", "submitted_at", "yesterday", "“yesterday” is not an ISO 8601 date or time."),
        ("ChargeInput", "amount", "34,50", "“34,50” is not an amount."),
        ("ChargeInput", "amount", True, "true is not an amount."),
        ("ChargeInput", "amount", "1e1000000", "“1e1000000” is not an amount."),
        ("SyncInput", "start_date", "2026-02-30", "“2026-02-30” is not a date."),
        ("SyncInput", "start_date", 1781010100, "1781010100 is not a date (YYYY-MM-DD)."),
        ("CheckInInput", "guest_id", True, "Give a number (the id at Hospient) or a text (the id at the vendor)."),
    ],
)
def test_refusal_names_the_value_and_why(name: str, field: str, value: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        inputs.read(getattr(inputs, name), BODIES[name] | {field: value})
    assert caught.value.errors == {field: sentence}


def test_epoch_is_read_as_such() -> None:
    read = inputs.read(inputs.FeedbackInput, BODIES["FeedbackInput"] | {"submitted_at": 1781010100000})
    assert read.submitted_at.isoformat() == "2026-06-09T13:01:40+00:00"


# --- amounts and currencies --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pos(hotel: Hotel, connect: Connect) -> Integration:
    return connect(hotel)


@pytest.mark.parametrize(
    ("currency", "total", "sentence"),
    [
        ("JPY", "1000.50", "JPY has no decimals: 1000.50 cannot be paid, 1000 could."),
        ("EUR", "12.345", "EUR has 2 decimals: 12.345 cannot be paid, 12.34 could."),
        ("KWD", "1.2345", "KWD has 3 decimals: 1.2345 cannot be paid, 1.234 could."),
    ],
)
def test_amount_beyond_its_currencys_digits_is_400_with_the_right_number(
    operator: APIClient, pos: Integration, currency: str, total: str, sentence: str
) -> None:
    body = CHECK | {"items": [{"name": "Tea", "quantity": 1, "unit_price": total, "total_price": total}], "subtotal": total, "total": total}
    answer = operator.post(f"/api/integrations/{pos.pk}/checks", body | {"currency": currency}, format="json")
    assert answer.status_code == 400
    assert {"code": "invalid", "detail": sentence, "attr": "total"} in answer.json()["errors"]
    assert {error["attr"] for error in answer.json()["errors"]} == {"subtotal", "total", "items.0.total_price"}


def test_price_with_more_digits_is_taken_where_the_line_comes_to_an_amount(operator: APIClient, pos: Integration, stub: Any) -> None:
    answer = operator.post(f"/api/integrations/{pos.pk}/checks", CHECK | {"currency": "EUR"}, format="json")
    assert answer.status_code in (200, 201)
    [payload] = [asked for name, asked in stub.calls if name == "post_guest_check"]
    assert (payload["items"][0]["unit_price"], payload["items"][0]["total_price"]) == ("0.125", "1.0")


@pytest.mark.parametrize("amount", ["10.001", "0.005"])
def test_charge_beyond_the_hotels_digits_is_refused(operator: APIClient, hotel: Hotel, connect: Connect, amount: str) -> None:
    pms = connect(hotel, "pms")
    answer = operator.post(f"/api/integrations/{pms.pk}/charges", {"room_number": "101", "amount": amount}, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "amount")


# --- settings, commands ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["a\x00b", "\ud800", float("nan"), float("inf"), 10**60, {"deep": [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]}]
)
@pytest.mark.parametrize("place", ["config", "sync_settings", "credentials"])
def test_odd_setting_is_refused_by_its_name(hotel: Hotel, stub: Any, place: str, value: Any) -> None:
    body = {"integration_type": "pos", "provider": "stub", "credentials": {"access_token": "stub-access-token-4711"}}
    body[place] = {**body.get(place, {}), "odd": value}
    with pytest.raises(InvalidInput) as caught:
        create_integration(hotel, body)
    assert list(caught.value.errors) == [f"{place}.odd"]
    str(caught.value).encode()


@pytest.mark.parametrize("about", [True, 4.9, {}, [], "a\x00b", "\ud800", 0, 10**40, "x" * 200])
def test_call_about_something_odd_is_a_usage_error(pos: Integration, about: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        calls.check(service_for(pos), "get_check_status", {"check_id": about})
    assert list(caught.value.errors) == ["check_id"]


@pytest.mark.parametrize("text", ['{"check_id": NaN}', "[" * 100_000, '{"check_id": ' + "9" * 5000 + "}", '{"check_id": "\\ud800"}', '{"check_id": 1e400}', "[]"])  # fmt: skip
def test_odd_body_is_a_usage_error_of_the_command(pos: Integration, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(CommandError) as caught:
        call_command("post_operation", pos.pk, "get_check_status")
    assert caught.value.returncode == 2
