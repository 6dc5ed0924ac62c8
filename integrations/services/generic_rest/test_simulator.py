"""The plain REST system takes what README.md shows and nothing else: it names the field that is wrong, and changes nothing."""

import base64
import json
from typing import Any

import pytest

from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.simulators.server import SimResponse
from integrations.tests.wrong import Wrong, ask, changed

RIGHT = {"x-api-key": GenericRestSimulator.api_key}
PAIR = base64.b64encode(b"hospient:sim-password-4711").decode()
LINE = {"name": "Club sandwich", "quantity": 2, "unit_price": 15.99, "total_price": 31.98, "menu_id": "menu_1"}
CHECK = {
    "check_number": "CHK-1",
    "room_number": "101",
    "guest_id": "guest_1",
    "items": [LINE],
    "subtotal": 31.98,
    "total": 31.98,
    "currency": "EUR",
}
CHECK_IN, CHECK_OUT = {"reservation_id": "res_1", "room_number": "101"}, {"reservation_id": "res_3"}
CHARGE, FEEDBACK = (
    {"room_number": "0101", "amount": 34.5, "category": "food"},
    {"guest_id": "guest_1", "rating": 5, "message": "Kind staff"},
)
MESSAGE, REQUEST = (
    {"guest_id": "guest_1", "message": "Towels?", "sender_type": "guest"},
    {"room_number": "202", "message": "Towels", "priority": "high"},
)
NOTICE = {"guest_id": "guest_1", "title": "Pool", "message": "Closed"}


def signed_in() -> GenericRestSimulator:
    return GenericRestSimulator()


@pytest.fixture
def system() -> GenericRestSimulator:
    return signed_in()


def say(system: GenericRestSimulator, method: str, target: str, body: Any = None, **headers: str | None) -> SimResponse:
    return ask(system, method, target, body, RIGHT | headers)


WRONG_BODIES = [
    Wrong(status, code, place, target, changed(good, place, value), method)
    for method, target, good, places in (
        ("POST", "/checks", CHECK, {
            "check_number": {"invalid": [..., "", 5, "c" * 65, None]}, "room_number": {"not_found": ["999"], "invalid": [101, "1" * 21]},
            "guest_id": {"not_found": ["guest_9"], "invalid": ["", 1]}, "reservation_id": {"not_found": ["res_9"]},
            "items": {"invalid": [..., [], {}, "x"]}, "items.0.name": {"invalid": [..., "", "n" * 513, 5]},
            "items.0.quantity": {"invalid": [..., 0, -1, "2", True, 10_001]}, "items.0.unit_price": {"invalid": [..., "15.99", True, 1e9]},
            "items.0.total_price": {"invalid": [None]}, "items.0.menu_id": {"not_found": ["menu_99"], "invalid": [1, ""]}, "items.0.note": {"invalid": ["n" * 2001]},
            "items.0.price": {"unknown_field": [1]}, "subtotal": {"invalid": [..., "31.98"]}, "total": {"invalid": [..., None]}, "tax": {"invalid": ["2.56"]},
            "currency": {"invalid": ["USD", "eur", 978, ""]}, "payment_status": {"invalid": ["settled"]}, "payment_method": {"invalid": ["m" * 256]},
            "roomNumber": {"unknown_field": ["101"]}, "tip": {"invalid": ["5.00", -5]}, "discount": {"invalid": [-1]}, "tax_included": {"invalid": [1, "yes"]}, "gratuity": {"unknown_field": [5]}, "id": {"unknown_field": ["mine"]},
        }),
        ("POST", "/checkins", CHECK_IN, {
            "reservation_id": {"invalid": [..., "", 1], "not_found": ["res_9"], "wrong_status": ["res_3", "res_4", "res_5"]},
            "room_number": {"not_found": ["999"], "occupied": ["102", "202"], "invalid": [101]}, "deposit_amount": {"invalid": [-1, "100"]},
            "check_in_time": {"invalid": ["today", "2026-03-01T15:00:00", 1772000000]}, "early": {"unknown_field": [True]},
        }),
        ("POST", "/checkouts", CHECK_OUT, {
            "reservation_id": {"invalid": [...], "not_found": ["res_9"], "wrong_status": ["res_1", "res_4"]}, "final_bill_amount": {"invalid": ["450.00"]},
            "feedback_rating": {"invalid": [0, 6, 4.5, "5"]}, "dry_run": {"unknown_field": [True]},
        }),
        ("POST", "/charges", CHARGE, {
            "amount": {"invalid": [..., "34.50", None, True]}, "currency": {"invalid": ["USD"]}, "quantity": {"invalid": [0, -1, 1.5]},
            "room_number": {"invalid": [...], "not_found": ["999"]}, "reservation_id": {"not_found": ["res_9"]}, "check_number": {"invalid": ["c" * 65]},
        }),
        ("POST", "/requests", REQUEST, {"message": {"invalid": [..., "", "m" * 2001]}, "priority": {"invalid": ["asap"]}, "guest_id": {"not_found": ["guest_9"]}}),
        ("POST", "/feedback", FEEDBACK, {
            "rating": {"invalid": [..., 0, 6, 4.5, "5", True]}, "guest_id": {"not_found": ["guest_9"]}, "is_anonymous": {"invalid": ["no"]},
            "submitted_at": {"invalid": ["2026-03-01"]}, "stars": {"unknown_field": [5]},
        }),
        ("POST", "/chat", MESSAGE, {"message": {"invalid": [..., ""]}, "sender_type": {"invalid": ["robot"]}, "sent_at": {"invalid": ["now"]}}),
        ("POST", "/notifications", NOTICE, {"message": {"invalid": [...]}, "priority": {"invalid": [1]}, "status": {"unknown_field": ["read"]}, "title": {"invalid": ["t" * 256]}}),
        ("POST", "/checks/check_1/void", {"reason": "Guest request"}, {"reason": {"invalid": [5, "r" * 256]}, "check_id": {"unknown_field": ["check_1"]}}),
        ("PATCH", "/guests/guest_1", {"phone": "1"}, {
            "phone": {"invalid": [351, "1" * 65]}, "family_name": {"invalid": ["", "f" * 121]}, "email": {"invalid": ["nowhere"]}, "id": {"unknown_field": ["guest_2"]},
        }),
        ("PUT", "/notifications/note_1/status", {"status": "read"}, {"status": {"invalid": ["seen", ..., 1]}}),
    )
    for place, codes in places.items()
    for code, values in codes.items()
    for status in [{"not_found": 404, "wrong_status": 409, "occupied": 409}.get(code, 422)]
    for value in values
]  # fmt: skip
WRONG_CALLS = [
    Wrong(status, code, says, target, body, method, headers)
    for method, target, body, headers, status, code, says in (
        ("GET", "/menus", None, {"x-api-key": None}, 401, "unauthorized", "Who"), ("GET", "/menus", None, {"x-api-key": "other"}, 401, "unauthorized", "Who"),
        ("GET", "/menus", None, {"x-api-key": None, "authorization": "sim-token-4711"}, 401, "unauthorized", "Who"),
        ("GET", "/menus", None, {"x-api-key": None, "authorization": "Bearer other"}, 401, "unauthorized", "Who"),
        ("GET", "/menus", None, {"x-api-key": None, "authorization": f"Bearer {PAIR}"}, 401, "unauthorized", "Who"),
        ("GET", "/menus", None, {"x-api-key": None, "authorization": f"{PAIR}"}, 401, "unauthorized", "Who"),
        ("GET", "/menus", None, {"authorization": "Bearer other"}, 401, "unauthorized", "Who"), ("POST", "/checks", CHECK, {"x-api-key": None}, 401, "unauthorized", "Who"),
        ("POST", "/checks", CHECK, {"content-type": "text/plain"}, 415, "unsupported_media_type", "text/plain"),
        ("POST", "/checks", "check_number=1", {}, 415, "unsupported_media_type", "form"), ("POST", "/checks", b"{", {}, 400, "http_400", "JSON"),
        ("POST", "/checks", [CHECK], {}, 422, "invalid", "object"), ("POST", "/menus", {"name": "Tea"}, {}, 405, "method_not_allowed", "menus"),
        ("POST", "/guests", {"name": "Ana"}, {}, 405, "method_not_allowed", "guests"), ("GET", "/checkins", None, {}, 405, "method_not_allowed", "POST"),
        ("DELETE", "/checks/check_1", None, {}, 405, "http_405", "DELETE"), ("PUT", "/checks", CHECK, {}, 405, "http_405", "PUT"),
        ("PATCH", "/guests", {"phone": "1"}, {}, 405, "http_405", "PATCH"), ("GET", "/spa", None, {}, 404, "not_found", "spa"), ("POST", "/spa", {}, {}, 404, "not_found", "spa"),
        ("GET", "/guests/guest_9", None, {}, 404, "not_found", "guest_9"), ("GET", "/guests/guest_9/preferences", None, {}, 404, "not_found", "guest_9"),
        ("PATCH", "/guests/guest_9", {"phone": "1"}, {}, 404, "not_found", "guest_9"), ("POST", "/checks/check_9/void", {}, {}, 404, "not_found", "check_9"),
        ("PUT", "/notifications/note_9/status", {"status": "read"}, {}, 404, "not_found", "note_9"), ("GET", "/v2/menus", None, {}, 404, "not_found", "v2"),
        *(
            ("GET", f"/menus?{query}", None, {}, 422, "unknown_field" if name == "size" else "invalid", name)
            for query, name in (
                ("limit=0", "limit"), ("limit=-5", "limit"), ("limit=1001", "limit"), ("limit=many", "limit"), ("limit=", "limit"), ("limit=1&limit=2", "limit"),
                ("page=0", "page"), ("page=one", "page"), ("offset=-1", "offset"), ("cursor=garbage", "cursor"), ("size=10", "size"),
                ("updated_since=yesterday", "updated_since"), ("updated_since=2026-03-01T10:00:00", "updated_since"), ("start_date=01.03.2026", "start_date"),
                ("end_date=2026-02-30", "end_date"), ("guest_id=", "guest_id"),
            )
        ),
    )
]  # fmt: skip


@pytest.mark.parametrize("wrong", [*WRONG_BODIES, *WRONG_CALLS], ids=lambda wrong: f"{wrong!r} {wrong.method} {wrong.target}")
def test_wrong_request_is_refused_by_name_and_changes_nothing(system: GenericRestSimulator, wrong: Wrong) -> None:
    before = json.dumps(system.state())
    answer = say(system, wrong.method, wrong.target, wrong.body, **wrong.headers)
    assert (answer.status, answer.json["code"]) == (wrong.status, wrong.code), answer.json
    assert wrong.says in f"{answer.json.get('field')} {answer.json['message']}"
    assert json.dumps(system.state()) == before


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", "/checks", CHECK, 201), ("POST", "/checkins", CHECK_IN, 200), ("POST", "/checkouts", CHECK_OUT, 200), ("POST", "/charges", CHARGE, 201),
        ("POST", "/charges", {**CHARGE, "amount": -5}, 201), ("POST", "/requests", REQUEST, 201), ("POST", "/feedback", FEEDBACK, 201), ("POST", "/chat", MESSAGE, 201),
        ("POST", "/notifications", NOTICE, 201), ("POST", "/checks/check_1/void", {}, 204), ("PATCH", "/guests/guest_1", {"email": ""}, 204),
        ("GET", "/menus?page=1&limit=2&updated_since=2026-03-01T08:00:00%2B00:00", None, 200),
        ("GET", "/reservations?start_date=2026-03-01&end_date=2026-03-01", None, 200),
    ],
)  # fmt: skip
def test_right_request_is_taken(system: GenericRestSimulator, method: str, target: str, body: Any, status: int) -> None:
    assert say(system, method, target, body).status == status


@pytest.mark.parametrize(
    "headers",
    [RIGHT, {"authorization": "Bearer sim-token-4711"}, {"authorization": f"Basic {PAIR}"}, {**RIGHT, "authorization": f"Basic {PAIR}"}],
)
def test_key_token_and_password_all_sign_in(system: GenericRestSimulator, headers: dict[str, str]) -> None:
    assert ask(system, "GET", "/health", None, headers).status == 200


def test_room_is_taken_by_the_guest_and_free_again_when_he_left(system: GenericRestSimulator) -> None:
    assert say(system, "POST", "/checkins", CHECK_IN).status == 200
    assert say(system, "POST", "/checkins", {"reservation_id": "res_2", "room_number": "101"}).json["code"] == "occupied"
    assert say(system, "POST", "/checkouts", {"reservation_id": "res_1"}).status == 200
    assert say(system, "POST", "/checkins", {"reservation_id": "res_2", "room_number": "101"}).status == 200


def test_key_repeats_its_answer_for_the_same_request_only_and_for_nobody_unknown(system: GenericRestSimulator) -> None:
    first = say(system, "POST", "/charges", CHARGE, **{"idempotency-key": "k"})
    assert say(system, "POST", "/charges", CHARGE, **{"idempotency-key": "k"}).json == first.json
    assert say(system, "POST", "/charges", {**CHARGE, "amount": 5}, **{"idempotency-key": "k"}).json["code"] == "key_reused"
    assert say(system, "POST", "/charges", CHARGE, **{"idempotency-key": "k", "x-api-key": None}).status == 401
    assert len(system.collections["charges"]) == 1
