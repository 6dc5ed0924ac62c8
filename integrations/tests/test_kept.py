"""What is stored of what comes in, and what is shown of it: by key, by shape, by known value, from the vendors' own declarations."""

import json
import re
from typing import Any

import pytest

from hotels.models import Hotel
from integrations.exceptions import RequestRejected
from integrations.models import IntegrationLog, IntegrationType, RejectedRecord
from integrations.records import MenuItem, Page, Rejected
from integrations.security.cards import REDACTED
from integrations.security.kept import keepable, keepable_json, known_secrets, mask_shapes
from integrations.security.keys import kind_of
from integrations.security.redaction import personal_values, redact, redact_text, redact_url
from integrations.services import registry, service_for
from integrations.services.base import ConnectionReport
from integrations.tests.conftest import Connect
from integrations.tests.feed import Feed
from integrations.tests.stub import StubProvider

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r"
ID = "4111111111111111"

GONE: list[Any] = [
    {"access_token": "x"}, {"accessToken": "x"}, {"X-Api-Key": "x"}, {"password": "x"}, {"client_secret": "x"}, {"Authorization": "x"}, {"session_id": "x"},
    {"a": [{"token": "x"}]}, {"token": 12345}, {"note": JWT}, {"note": f"use {JWT}."}, {"note": "sk_live_4eC39HqLyjWDarjtT1"},
    {"note": "Bearer abcdef0123456789abcd"}, {"note": "https://user:pw@example.com/x"}, {"note": "-----BEGIN PRIVATE KEY-----\nMIIEow\n-----END"},
    {"raw": json.dumps({"password": "hunter2", "n": 1})}, {"cvv": "1"}, {"fields": [{"name": "CVV", "value": "123"}]}, {"cid": 123},
    {"reference": JWT}, {"card": {"number": "4222222222222"}}, {"track2": "x"},
]  # fmt: skip
STAYS: list[Any] = [
    {"message": "The password of the WLAN is Sunshine-2026"}, {"signature_dish": "Schnitzel"}, {"next_page_token": "abc"}, {"token_type": "bearer"},
    {"check_id": ID, "sku": "5449000000996", "phone": "+5511991000002", "orderId": int(ID), "confirmation_number": ID, "loyalty_ids": [ID]},
    {"name": "Anna Berger", "email": "anna@example.com", "address": {"street": "Main 1", "pincode": "1010"}},
    {"password": "", "token": None, "has_secret": True}, {"note": "a basic room, bearer of good news, see https://example.com/a@b"},
    {"secretary": "Eve Zander"}, {"cardinal": "red", "companion": "Bo", "discard": 1, "carded_at": "2026-01-01"}, {"amount": 12.5, "n": 10**30},
]  # fmt: skip


@pytest.mark.parametrize("value", GONE, ids=str)
def test_a_secret_is_not_kept_whatever_brings_it(value: Any) -> None:
    assert "[redacted]" in json.dumps(keepable(value)) or "…" in str(keepable(value))
    text = json.dumps(value)
    assert json.loads(keepable_json(text)) == keepable(value)
    assert keepable(keepable(value)) == keepable(value)


@pytest.mark.parametrize("value", STAYS, ids=str)
def test_what_is_worked_with_is_kept_to_the_letter(value: Any) -> None:
    assert keepable(value) == value
    text = json.dumps(value, indent=1)
    assert keepable_json(text) == text


def test_settings_may_name_what_carries_a_secret() -> None:
    settings = {"signature_header": "x", "token_header": "X-Token", "session_id_field": "sid", "remark": f"card {ID[:4]} 1111 1111 1111"}
    assert keepable(settings, names_secrets=False) == settings | {"remark": "card 411111…1111"}


@pytest.mark.parametrize("secret", ["hook/secret ö 4711", "plain-secret-4711"])
def test_a_known_secret_is_found_in_a_decoded_value_and_in_no_key(secret: str) -> None:
    value = {secret: [f"it is {secret}!", secret, 1, None, {"a": "clean"}]}
    assert known_secrets((secret,)).hide_in(value) == {secret: [f"it is {REDACTED}!", REDACTED, 1, None, {"a": "clean"}]}


@pytest.mark.parametrize(
    "value",
    [{"Sender_Name__c": "Ada Lovelace"}, {"Guest_Name__c": "Ada Lovelace"}, {"informationLines": ["Room 12", "Ada Lovelace"]}, {"header": {"informationLines": "Ada Lovelace"}}],
)  # fmt: skip
def test_what_vendors_call_a_guests_name_is_shown_in_no_log(value: Any) -> None:
    assert registry.providers()
    assert "Lovelace" not in str(redact(value))


def test_what_a_call_says_of_a_guest_is_known_when_the_answer_repeats_it() -> None:
    body = {
        "guest": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "items": [{"name": "Soup of the day"}],
        "guestName": "Bo Li-Zandt",
        "city": 12,
    }
    found = personal_values(body)
    assert {"Ada Lovelace", "Lovelace", "ada@example.com", "Li-Zandt"} <= set(found)
    assert not {"Soup of the day", "Soup", "Ada", "Bo"} & set(found)
    assert redact_text("Guest Lovelace has room 12 already", found) == "Guest [redacted] has room 12 already"


def test_everyday_words_do_not_become_personal_because_a_hotel_maps_them() -> None:
    from integrations.security.keys import declare_personal

    declare_personal(["Name", "Absender__c"])
    assert not kind_of("name").is_personal
    assert kind_of("Absender__c").is_hidden


def test_a_log_shows_ids_as_they_are_and_hides_cards_under_any_other_key() -> None:
    shown = redact(
        {"check_id": ID, "order": {"id": int(ID)}, "card": {"number": ID, "brand": "VISA"}, "note": ID, "f": [{"name": "pan", "value": ID}]}
    )
    assert shown == {
        "check_id": ID, "order": {"id": int(ID)}, "card": {"number": "411111…1111", "brand": "VISA"}, "note": "411111…1111",
        "f": [{"name": "pan", "value": "411111…1111"}],
    }  # fmt: skip
    assert (
        redact_url(f"https://x.example/?order_id={ID}&note={ID}&cvv=123")
        == f"https://x.example/?order_id={ID}&note=411111%E2%80%A61111&cvv=[redacted]"
    )


@pytest.mark.parametrize("text", ["eyJ", "sk-", "://:@", "Bearer ", "00D!", "x" * 10_000, "eyJ." * 10_000, "://" * 10_000])
def test_shapes_take_their_length_and_change_nothing_twice(text: str) -> None:
    assert mask_shapes(mask_shapes(text)) == mask_shapes(text)
    assert redact_text(redact_text(text)) == redact_text(text)


TOKEN = "stub-access-token-4711"
SAID = f"the token {TOKEN} of anna@example.com, card 4556 7375 8689 9855"


def test_what_a_provider_says_of_a_failure_is_redacted_where_it_leaves_it(connect: Connect, hotel: Hotel, stub: type[StubProvider]) -> None:
    service = service_for(connect(hotel, IntegrationType.PMS))
    error = RequestRejected(f"No: {SAID}.", hint=f"Look at {SAID}.")
    stub.failures.update(send_request=error, test_connection=error, get_room_status=error, rooms=error)
    operation = service.send_request({"message": "Towels?"}, idempotency_key="k")
    outcome = service.test_connection()
    with pytest.raises(RequestRejected) as asked:
        service.get_room_status()
    run = service.sync("rooms")
    service.integration.refresh_from_db()
    for text in (
        operation.error_message, operation.hint, outcome.message, outcome.hint, str(asked.value), run.error_message, run.hint,
        service.integration.last_error, *IntegrationLog.objects.values_list("error_message", flat=True),
    ):  # fmt: skip
        assert not re.search(f"{TOKEN}|anna@|8689", text)
    assert operation.error_message == "No: the token [redacted] of [redacted], card 455673…9855."


def test_an_answer_is_kept_without_what_is_not(connect: Connect, hotel: Hotel, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"reference": "4111111111111111", "token": "abc", "note": "card 4556 7375 8689 9855"}
    remarks = {"warnings": ["Charged to card 4556 7375 8689 9855."]}
    monkeypatch.setattr(StubProvider, "send_request", lambda self, payload, key: told | remarks)
    operation = service_for(connect(hotel, IntegrationType.PMS)).send_request({"message": "Towels?"}, idempotency_key="k")
    assert operation.vendor_reference == "4111111111111111"
    assert operation.answer == told | {"token": REDACTED, "note": "card 455673…9855"}
    assert operation.warnings == ["Charged to card 455673…9855."]


def test_what_a_connection_test_found_shows_no_secret(connect: Connect, hotel: Hotel, monkeypatch: pytest.MonkeyPatch) -> None:
    report = ConnectionReport(
        summary=f"Signed in with {TOKEN}.",
        details={"used": TOKEN, "session_token": "abc", "location": "L7", "pays": "card 4556 7375 8689 9855"},
    )
    monkeypatch.setattr(StubProvider, "test_connection", lambda self: report)
    outcome = service_for(connect(hotel)).test_connection()
    assert outcome.message == "Signed in with [redacted]."
    assert outcome.details == {"used": REDACTED, "session_token": REDACTED, "location": "L7", "pays": "card 455673…9855"}
    assert TOKEN not in str(list(IntegrationLog.objects.values()))


def test_a_rejected_row_and_its_reason_are_redacted(connect: Connect, hotel: Hotel) -> None:
    page = Page(
        records=[],
        rejected=[
            Rejected(
                record_type="menu_item",
                external_id="4111111111111111",
                reason=f"price: {SAID}",
                payload={"note": SAID, "pan": "4556737586899855"},
            )
        ],
    )
    Feed(connect(hotel)).run(page, types=(MenuItem,))
    row = RejectedRecord.objects.get()
    assert row.external_id == "4111111111111111"
    assert not re.search("anna@|8689|86899855", row.reason + json.dumps(row.payload))
