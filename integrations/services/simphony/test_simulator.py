"""The simulated Simphony refuses a wrong check, names the field and keeps nothing; what is right it takes and prices by its menu."""

import base64
import hashlib
from copy import deepcopy
from typing import Any

import pytest

from integrations.services.simphony.simulator import SimphonySimulator
from integrations.simulators.server import SimResponse
from integrations.tests.wrong import Wrong, ask, changed

CHECK = {
    "header": {
        "orgShortName": "grandhotel",
        "locRef": "bar01",
        "rvcRef": 42,
        "idempotencyId": "5f0c9a516d5e4f0a9d2b3c1f0e7a8b11",
        "checkEmployeeRef": 1929,
        "orderTypeRef": 1,
        "checkName": "214",
    },
    "menuItems": [
        {
            "menuItemId": 10103,
            "definitionSequence": 1,
            "priceSequence": 1,
            "quantity": 1,
            "condiments": [{"condimentId": 20001, "quantity": 1}],
        }
    ],
    "tenders": [{"tenderId": 85, "total": 1}],
}
RIGHT = {"simphony-orgshortname": "grandhotel", "simphony-locref": "bar01", "simphony-rvcref": "42", "authorization": "Bearer token"}
QUERY = "OrgShortName=grandhotel&LocRef=bar01&RvcRef=42"
CHECKS = "/api/v1/checks"


def signed_in() -> SimphonySimulator:
    simphony = SimphonySimulator(clock=lambda: 1_780_000_000.0)
    simphony.id_tokens = {"token"}
    return simphony


@pytest.fixture
def simphony() -> SimphonySimulator:
    return signed_in()


def say(simphony: SimphonySimulator, method: str, target: str, body: Any = None, **headers: str | None) -> SimResponse:
    return ask(simphony, method, target, body, RIGHT | headers)


INVALID, LACKING, GONE = (400, "invalid_request"), (501, "not_implemented"), (400, "menu_item_not_available")
LINE, CONDIMENT, TENDER = "menuItems.0.", "menuItems.0.condiments.0.", "tenders.0."
WRONG_CHECKS = [
    Wrong(*answer, says, CHECKS, changed(CHECK, place, value))
    for place, answers in {
        "header": {INVALID: [None, "x", []]},
        "header.orgShortName": {INVALID: [None, "other", 1, ...]}, "header.locRef": {INVALID: [None, "other", 1]},
        "header.rvcRef": {INVALID: [None, "42", 7, True]}, "header.idempotencyId": {INVALID: [None, "short", "g" * 32, 5, "A" * 32]},
        "header.checkEmployeeRef": {INVALID: [None, "1929", 1930, True]}, "header.orderTypeRef": {INVALID: [None, "1", 9]},
        "header.checkName": {INVALID: [None, 5, [], ""]}, "header.guestCount": {INVALID: ["2", 0, -1, 1.5]}, "header.tableName": {INVALID: [5]},
        "header.informationLines": {INVALID: ["Room 214", [5]]}, "header.isTrainingCheck": {LACKING: [True]}, "header.fireTime": {LACKING: ["2026-03-14T18:00:00Z"]},
        "header.roomNumber": {INVALID: ["214"]},
        "menuItems": {INVALID: ["x", {}, [5]]}, LINE + "menuItemId": {INVALID: [None, "10103", -1, True, ...], GONE: [999999]},
        LINE + "quantity": {INVALID: [None, "1", 0, -1, True]}, LINE + "definitionSequence": {INVALID: [None, "1", 0], GONE: [99]},
        LINE + "priceSequence": {INVALID: [None, "1", 0], GONE: [99]}, LINE + "unitPrice": {INVALID: ["1.00", True]}, LINE + "seat": {INVALID: [-1, "1"]},
        LINE + "referenceText": {INVALID: ["n" * 21, 5]}, LINE + "itemDiscounts": {LACKING: [[{"discountId": 1}]]}, LINE + "surcharge": {LACKING: [1]},
        LINE + "note": {INVALID: ["no bacon"]}, LINE + "condiments": {INVALID: ["x", [5]]},
        CONDIMENT + "condimentId": {INVALID: [None, "20001", 0, ...], GONE: [29999, 10103]}, CONDIMENT + "quantity": {INVALID: ["1", -1]},
        CONDIMENT + "definitionSequence": {INVALID: ["1", 0], GONE: [9]}, CONDIMENT + "text": {INVALID: ["x"]},
        "discounts": {LACKING: [[{"discountId": 1}]]}, "serviceCharges": {LACKING: [[{"serviceChargeId": 1}]]}, "comboMeals": {LACKING: [[{"comboMealId": 1}]]},
        "taxes": {LACKING: [[{"taxId": 1}]]}, "notificationOptions": {LACKING: [{"callbackUri": "https://x"}]}, "items": {INVALID: [[]]},
        "tenders": {INVALID: ["x", {}, [5]]}, TENDER + "tenderId": {INVALID: [None, "85", 1]}, TENDER + "total": {INVALID: [None, "1", -1, True, ...]},
        TENDER + "chargedTipTotal": {INVALID: [-2, "2"]}, TENDER + "paymentData": {LACKING: [{"card": "x"}]}, TENDER + "currency": {INVALID: ["USD"]},
    }.items()
    for answer, values in answers.items()
    for value in values
    for says in ["not available" if answer == GONE else place.split(".")[0 if value in ("x", {}, [5]) else -1]]
]  # fmt: skip
WRONG_CALLS = [
    Wrong(status, code, says, target, body, method, headers)
    for method, target, body, headers, status, code, says in (
        ("POST", CHECKS, CHECK, {"authorization": "token"}, 401, "", "token"), ("POST", CHECKS, CHECK, {"authorization": "Basic token"}, 401, "", "token"),
        ("POST", CHECKS, CHECK, {"authorization": None}, 401, "", "token"), ("POST", CHECKS, CHECK, {"authorization": "Bearer other"}, 401, "", "token"),
        ("POST", CHECKS, CHECK, {"content-type": "text/plain"}, 415, "", "application/json"),
        ("POST", CHECKS, CHECK, {"simphony-features": "enable-condiment-prefix"}, 501, "not_implemented", "enable-condiment-prefix"),
        ("POST", CHECKS, b"{", {}, 400, "", "JSON"), ("POST", CHECKS, [], {}, 400, "invalid_request", "header"),
        ("POST", CHECKS, changed(CHECK, "header.checkName", "Lobby"), {}, 400, "check_name_in_use", "check name"),
        ("GET", CHECKS, None, {"simphony-locref": None}, 400, "", "Simphony-LocRef"), ("GET", CHECKS, None, {"simphony-rvcref": "7"}, 400, "", "Simphony-RvcRef"),
        ("GET", f"{CHECKS}?sinceTime=yesterday", None, {}, 400, "invalid_request", "sinceTime"),
        ("GET", f"{CHECKS}?sinceTime=2026-03-14T10:00:00", None, {}, 400, "invalid_request", "sinceTime"),
        ("GET", f"{CHECKS}?sinceTime=2026-03-14T10:00:00%2B02:00", None, {}, 400, "invalid_request", "sinceTime"),
        ("GET", f"{CHECKS}?includeClosed=yes", None, {}, 400, "invalid_request", "includeClosed"),
        ("GET", f"{CHECKS}?checkEmployeeRef=Ana", None, {}, 400, "invalid_request", "checkEmployeeRef"),
        ("GET", f"{CHECKS}?checkNumbers=1,x", None, {}, 400, "invalid_request", "checkNumbers"), ("GET", f"{CHECKS}?room=214", None, {}, 400, "invalid_request", "room"),
        ("GET", f"{CHECKS}/none", None, {}, 404, "", "Check is invalid"), ("DELETE", f"{CHECKS}/none", None, {}, 404, "", "Check is invalid"),
        ("POST", f"{CHECKS}/none/round", CHECK, {}, 404, "", "Check is invalid"), ("GET", f"{CHECKS}/none/printed", None, {}, 501, "not_implemented", "printed"),
        ("PUT", CHECKS, CHECK, {}, 405, "", "PUT"), ("GET", "/api/v1/guests", None, {}, 404, "", "/api/v1/guests"),
        ("GET", "/api/v1/menus/other:bar01:42", None, {}, 404, "", "not found"), ("GET", "/api/v1/menus/summary", None, {}, 400, "", "OrgShortName"),
        ("GET", f"/api/v2/menus/summary?{QUERY.replace('42', '7')}", None, {}, 400, "", "RvcRef"),
        ("GET", "/api/v1/menus/items/unavailable", None, {}, 400, "", "OrgShortName"),
        ("GET", "/api/v1/organizations/grandhotel/locations/bar01/revenueCenters/7", None, {}, 404, "", "not found"),
        ("GET", "/api/v1/organizations", None, {}, 501, "not_implemented", "organizations"),
        ("GET", f"/api/v1/tenders/collection?{QUERY}", None, {}, 501, "not_implemented", "tenders"),
        ("GET", f"/api/v1/employees?{QUERY}", None, {}, 501, "not_implemented", "employees"), ("GET", f"/api/v1/taxes?{QUERY}", None, {}, 501, "not_implemented", "taxes"),
        ("PUT", "/api/v1/notifications/registration", {}, {}, 501, "not_implemented", "notifications"),
    )
]  # fmt: skip


@pytest.mark.parametrize("wrong", [*WRONG_CHECKS, *WRONG_CALLS], ids=lambda wrong: f"{wrong!r} {wrong.method} {wrong.target}")
def test_wrong_request_is_refused_by_name_and_keeps_nothing(simphony: SimphonySimulator, wrong: Wrong) -> None:
    before = deepcopy(simphony.checks)
    answer = say(simphony, wrong.method, wrong.target, wrong.body, **wrong.headers)
    told = answer.json.get("posDetails", [{"code": ""}])[0]
    assert (answer.status, told["code"]) == (wrong.status, wrong.code), answer.json
    assert wrong.says in answer.json["detail"]
    assert simphony.checks == before


VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ROOT = "/oidc-provider/v1/oauth2"
AUTHORIZE = f"response_type=code&client_id=R1JBTkQuYmFy%3D&scope=openid&redirect_uri=apiaccount://callback&code_challenge={CHALLENGE}&code_challenge_method=S256"
SIGN_IN = "username=hospient.api&password=Porto-7-Estrelas&orgname=grandhotel"
TOKEN = f"grant_type=authorization_code&client_id=R1JBTkQuYmFy%3D&scope=openid&redirect_uri=apiaccount://callback&code=code1%3D&code_verifier={VERIFIER}"
WRONG_SIGN_INS = [
    Wrong(400, "VALIDATION_ERRORS", says, f"{ROOT}/authorize?{AUTHORIZE.replace(right, wrong)}", method="GET")
    for right, wrong, says in (
        ("response_type=code", "response_type=token", "response_type"), ("R1JBTkQuYmFy", "other", "INVALID_CLIENT"), ("scope=openid", "scope=all", "scope"),
        ("apiaccount://callback", "https://x", "redirect_uri"), (CHALLENGE, "short", "code_challenge"), ("S256", "plain", "code_challenge_method"),
    )
] + [
    Wrong(status, code, says, f"{ROOT}/{step}", good.replace(right, wrong))
    for step, good, right, wrong, status, code, says in (
        ("signin", SIGN_IN, "Porto", "Lisboa", 401, "AUTHENTICATION_INVALID", "invalid.credentials"),
        ("signin", SIGN_IN, "grandhotel", "other", 401, "AUTHENTICATION_INVALID", "invalid.credentials"),
        ("signin", SIGN_IN, "username=", "user=", 401, "AUTHENTICATION_INVALID", "invalid.credentials"),
        ("token", TOKEN, "authorization_code", "password", 400, "VALIDATION_ERRORS", "grant_type"),
        ("token", TOKEN, "authorization_code", "client_credentials", 400, "VALIDATION_ERRORS", "grant_type"),
        ("token", TOKEN, "R1JBTkQuYmFy", "other", 400, "VALIDATION_ERRORS", "client_id"), ("token", TOKEN, "openid", "all", 400, "VALIDATION_ERRORS", "scope"),
        ("token", TOKEN, "callback", "elsewhere", 400, "VALIDATION_ERRORS", "redirect_uri"),
        ("token", TOKEN, VERIFIER, "short", 400, "VALIDATION_ERRORS", "code_verifier"), ("token", TOKEN, VERIFIER, "w" * 43, 401, "RECORD_NOT_FOUND", "CODE"),
        ("token", TOKEN, "code1", "code9", 401, "RECORD_NOT_FOUND", "CODE"), ("token", TOKEN.replace("authorization_code", "refresh_token"), "x", "x", 401, "RECORD_NOT_FOUND", "CODE"),
    )
]  # fmt: skip


def begin(simphony: SimphonySimulator) -> str:
    return ask(simphony, "GET", f"{ROOT}/authorize?{AUTHORIZE}").headers["Set-Cookie"].partition(";")[0]


@pytest.mark.parametrize("wrong", WRONG_SIGN_INS, ids=lambda wrong: f"{wrong!r} {wrong.target[:40]}")
def test_wrong_sign_in_gets_no_token(simphony: SimphonySimulator, wrong: Wrong) -> None:
    cookie = begin(simphony)
    if wrong.target.endswith("/token"):
        ask(simphony, "POST", f"{ROOT}/signin", SIGN_IN, {"cookie": cookie})
    answer = ask(simphony, wrong.method, wrong.target, wrong.body, {"cookie": cookie})
    assert (answer.status, answer.json["code"]) == (wrong.status, wrong.code)
    assert wrong.says in answer.json["message"]
    assert simphony.id_tokens == {"token"}


def test_right_sign_in_gets_one(simphony: SimphonySimulator) -> None:
    ask(simphony, "POST", f"{ROOT}/signin", SIGN_IN, {"cookie": begin(simphony)})
    assert ask(simphony, "POST", f"{ROOT}/token", TOKEN).json["id_token"] in simphony.id_tokens


# --- what is right -------------------------------------------------------------------------------------------------------------


def test_check_is_priced_by_the_menu_with_its_condiments(simphony: SimphonySimulator) -> None:
    answer = say(simphony, "POST", CHECKS, changed(CHECK, "menuItems.0.quantity", 2)).json
    assert (answer["totals"]["subtotal"], answer["totals"]["taxTotal"], answer["totals"]["totalDue"]) == (35.98, 2.88, 37.86)
    (line,) = answer["menuItems"]
    assert (line["name"], line["unitPrice"], line["total"]) == ("Club sandwich", 15.99, 31.98)
    assert (line["condiments"][0]["name"], line["condiments"][0]["total"]) == ("Extra bacon", 2.0)


def test_nothing_is_sold_that_is_sold_out(simphony: SimphonySimulator) -> None:
    simphony.control("sold_out", {"items": [10103]})
    assert say(simphony, "POST", CHECKS, CHECK).json["posDetails"][0]["code"] == "menu_item_not_available"


def test_calculator_keeps_nothing_and_a_round_adds_to_the_check(simphony: SimphonySimulator) -> None:
    body, count = changed(CHECK, "tenders", []), len(simphony.checks)
    assert say(simphony, "POST", f"{CHECKS}/calculator", body).json["totals"]["totalDue"] == 19.43
    assert len(simphony.checks) == count
    check = say(simphony, "POST", CHECKS, body).json
    again = say(simphony, "POST", f"{CHECKS}/{check['header']['checkRef']}/round", body).json
    assert (len(again["menuItems"]), again["totals"]["subtotal"]) == (2, 35.98)
    simphony.control("close_check", {"check": check["header"]["checkRef"]})
    assert say(simphony, "POST", f"{CHECKS}/{check['header']['checkRef']}/round", body).json["posDetails"][0]["code"] == "check_closed"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Terrace", "Pool bar", "Lobby"]), ("checkNumbers=431,433", ["Terrace", "Lobby"]), ("checkEmployeeRef=7", []), ("tableName=12", []),
        ("sinceTime=2026-05-27T00:00:00Z", ["Pool bar", "Lobby"]), ("orderTypeRef=1&includeClosed=true", []),
    ],
)  # fmt: skip
def test_checks_are_listed_by_what_is_asked(simphony: SimphonySimulator, query: str, names: list[str]) -> None:
    assert [header["checkName"] for header in say(simphony, "GET", f"{CHECKS}?{query}").json["items"]] == names
