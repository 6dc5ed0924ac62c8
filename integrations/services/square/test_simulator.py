"""The simulated till refuses what Square refuses, names the field and changes nothing; what is right it takes and adds up as Square does."""

from copy import deepcopy
from typing import Any

import pytest

from integrations.services.square.simulator import POOL_BAR, RESTAURANT, TOKEN, SquareSimulator
from integrations.simulators.server import SimResponse
from integrations.tests.wrong import Wrong, ask, changed

EUROS = {"amount": 100, "currency": "EUR"}
LINE = {"quantity": "1", "name": "Tea", "base_price_money": EUROS}
ORDER = {"idempotency_key": "k", "order": {"location_id": RESTAURANT, "line_items": [LINE]}}
PAYMENT = {"idempotency_key": "p", "source_id": "CASH", "amount_money": EUROS, "cash_details": {"buyer_supplied_money": EUROS}}
SEARCH = {"location_ids": [RESTAURANT], "limit": 10}
OFF = {"name": "Ten off", "percentage": "10"}
MILK = {"name": "Oat milk", "base_price_money": {"amount": 50, "currency": "EUR"}}
CLUB, CLUB_VARIATION, OAT, OLD = "SIMITEM0010", "SIMVAR001001", "SIMMOD0302", "LSIMOLD0000001"
RIGHT = {"authorization": f"Bearer {TOKEN}"}
CREATED = "2026-03-14T10:00:00Z"


def signed_in() -> SquareSimulator:
    return SquareSimulator()


@pytest.fixture
def till() -> SquareSimulator:
    till = signed_in()
    say(
        till,
        "POST",
        "/v2/orders",
        {"order": {**ORDER["order"], "line_items": [{**LINE, "uid": "tea"}], "discounts": [{**OFF, "uid": "off"}]}},
    )
    return till


def say(till: SquareSimulator, method: str, target: str, body: Any = None, **headers: str | None) -> SimResponse:
    return ask(till, method, target, body, RIGHT | headers)


def of(path: str, good: Any, places: dict[str, dict[str, list[Any]]], method: str = "POST") -> list[Wrong]:
    """Return wrong requests: place in the body -> Square's code -> values. What is not there is 404, what the simulator lacks 501."""
    return [
        Wrong({"NOT_FOUND": 404, "NOT_IMPLEMENTED": 501}.get(code, 400), code, place.rpartition(".")[2], path, changed(good, place, value), method)
        for place, codes in places.items()
        for code, values in codes.items()
        for value in values
    ]  # fmt: skip


LINE_AT, TAX = "order.line_items.0.", {"name": "Tax", "percentage": "10"}
WRONG_ORDERS = of("/v2/orders", ORDER, {
    "idempotency_key": {"EXPECTED_STRING": [1], "VALUE_TOO_LONG": ["k" * 193]},
    "order": {"EXPECTED_OBJECT": [[], "x"]},
    "order.location_id": {"MISSING_REQUIRED_PARAMETER": [None], "EXPECTED_STRING": [7], "VALUE_TOO_SHORT": [""], "INVALID_LOCATION": ["LNOWHERE"]},
    "order.reference_id": {"VALUE_TOO_LONG": ["r" * 41], "EXPECTED_STRING": [5]},
    "order.ticket_name": {"VALUE_TOO_LONG": ["t" * 31], "EXPECTED_STRING": [True]},
    "order.customer_id": {"VALUE_TOO_LONG": ["c" * 192]},
    "order.line_items": {"EXPECTED_ARRAY": [{}, "x"], "EXPECTED_OBJECT": [["x"]]},
    "order.metadata": {"EXPECTED_OBJECT": ["x"], "EXPECTED_STRING": [{"a": 1}], "VALUE_REGEX_MISMATCH": [{"a b": "1"}, {"k" * 61: "1"}],
                       "VALUE_TOO_LONG": [{"a": "x" * 256}], "TOO_MANY_MAP_ENTRIES": [{str(n): "x" for n in range(11)}]},
    "order.state": {"INVALID_ENUM_VALUE": ["SHUT", "CANCELLED"], "BAD_REQUEST": ["COMPLETED", "CANCELED"], "EXPECTED_STRING": [1]},
    "order.fulfillments": {"BAD_REQUEST": [[{"type": "PICKUP"}, {"type": "PICKUP"}]], "INVALID_ENUM_VALUE": [[{"type": "TAXI"}]]},
    "order.pricing_options": {"EXPECTED_BOOLEAN": [{"auto_apply_taxes": "yes"}], "NOT_IMPLEMENTED": [{"auto_apply_taxes": True}]},
    LINE_AT + "quantity": {"MISSING_REQUIRED_PARAMETER": [None], "EXPECTED_STRING": [1], "VALUE_TOO_SHORT": [""], "VALUE_TOO_LONG": ["1" * 13],
                           "INVALID_VALUE": ["-1", "0", "one", "1.5", "NaN", "1e3", "0.00"]},
    LINE_AT + "name": {"EXPECTED_STRING": [3], "VALUE_TOO_LONG": ["n" * 513], "MISSING_REQUIRED_PARAMETER": ["", None]},
    LINE_AT + "note": {"VALUE_TOO_LONG": ["n" * 2001], "EXPECTED_STRING": [1]},
    LINE_AT + "base_price_money": {"EXPECTED_OBJECT": ["1", 100], "MISSING_REQUIRED_PARAMETER": [None]},
    LINE_AT + "base_price_money.amount": {"EXPECTED_INTEGER": ["1", 1.5, True], "VALUE_TOO_LOW": [-1], "MISSING_REQUIRED_PARAMETER": [None]},
    LINE_AT + "base_price_money.currency": {"CURRENCY_MISMATCH": ["USD", None], "INVALID_ENUM_VALUE": ["EURO"], "EXPECTED_STRING": [1]},
    LINE_AT + "catalog_object_id": {"NOT_FOUND": ["NOTHING", CLUB], "EXPECTED_STRING": [5], "VALUE_TOO_LONG": ["c" * 193]},
    LINE_AT + "item_type": {"INVALID_ENUM_VALUE": ["TIP"], "NOT_IMPLEMENTED": ["GIFT_CARD"]},
    LINE_AT + "pricing_blocklists": {"NOT_IMPLEMENTED": [{"blocked_taxes": [{"tax_uid": "t"}]}]},
    LINE_AT + "applied_service_charges": {"NOT_IMPLEMENTED": [[{"service_charge_uid": "s"}]]},
    LINE_AT + "applied_taxes": {"INVALID_VALUE": [[{"tax_uid": "none"}]], "EXPECTED_ARRAY": ["x"]},
    LINE_AT + "applied_discounts": {"INVALID_VALUE": [[{"discount_uid": "none"}]], "MISSING_REQUIRED_PARAMETER": [[{}]]},
    LINE_AT + "modifiers": {"EXPECTED_ARRAY": ["x"], "NOT_FOUND": [[{"catalog_object_id": CLUB}]], "VALUE_TOO_LOW": [[changed(MILK, "base_price_money.amount", -1)]],
                            "MISSING_REQUIRED_PARAMETER": [[{"name": "Oat"}], [{"base_price_money": EUROS}]], "INVALID_VALUE": [[{**MILK, "quantity": "-1"}]],
                            "CURRENCY_MISMATCH": [[changed(MILK, "base_price_money.currency", "USD")]], "VALUE_TOO_LONG": [[{**MILK, "name": "m" * 256}]]},
    "order.discounts": {"MISSING_REQUIRED_PARAMETER": [[{"name": "x"}], [{"percentage": "10"}]], "CONFLICTING_PARAMETERS": [[{**OFF, "amount_money": EUROS}]],
                        "INVALID_VALUE": [[{**OFF, "percentage": "-10"}], [{**OFF, "percentage": "ten"}], [{**OFF, "scope": "OTHER_DISCOUNT_SCOPE"}]],
                        "VALUE_TOO_HIGH": [[{**OFF, "percentage": "101"}]], "VALUE_TOO_LONG": [[{**OFF, "percentage": "1" * 11}], [{**OFF, "name": "n" * 256}]],
                        "VALUE_TOO_LOW": [[{"name": "x", "amount_money": {"amount": -1, "currency": "EUR"}}]], "NOT_FOUND": [[{"catalog_object_id": "NOTHING"}]],
                        "CURRENCY_MISMATCH": [[{"name": "x", "amount_money": {"amount": 1, "currency": "USD"}}]], "EXPECTED_STRING": [[{**OFF, "percentage": 10}]],
                        "BAD_REQUEST": [[{**OFF, "type": "FIXED_AMOUNT"}], [{**OFF, "uid": "a"}, {**OFF, "uid": "a"}]], "INVALID_ENUM_VALUE": [[{**OFF, "scope": "TABLE"}]]},
    "order.service_charges": {"MISSING_REQUIRED_PARAMETER": [[{"name": "x"}]], "CONFLICTING_PARAMETERS": [[{**OFF, "amount_money": EUROS}]],
                              "INVALID_ENUM_VALUE": [[{**OFF, "calculation_phase": "LAST"}]], "BAD_REQUEST": [[{**OFF, "calculation_phase": "TOTAL_PHASE", "taxable": True}]],
                              "NOT_IMPLEMENTED": [[{**OFF, "calculation_phase": "APPORTIONED_AMOUNT_PHASE"}], [{**OFF, "scope": "LINE_ITEM"}],
                                                  [{**OFF, "treatment_type": "APPORTIONED_TREATMENT"}]],
                              "NOT_FOUND": [[{"catalog_object_id": "NOTHING"}]], "EXPECTED_BOOLEAN": [[{**OFF, "taxable": "yes"}]]},
    "order.taxes": {"MISSING_REQUIRED_PARAMETER": [[{"name": "x"}], [{"percentage": "7"}]], "INVALID_VALUE": [[{**TAX, "percentage": "x"}]],
                    "NOT_FOUND": [[{"catalog_object_id": CLUB}]], "VALUE_TOO_LONG": [[{**TAX, "percentage": "0.123456789"}]],
                    "INVALID_ENUM_VALUE": [[{**TAX, "type": "VAT"}]], "EXPECTED_STRING": [[{**TAX, "percentage": 7}]]},
})  # fmt: skip

FIRST, UPDATE = "/v2/orders/SIMORDER00000001", {"order": {"location_id": RESTAURANT, "version": 1}}
WRONG_UPDATES = [*of(FIRST, UPDATE, {
    "order.version": {"VERSION_MISMATCH": [0, 2], "BAD_REQUEST": [...], "EXPECTED_INTEGER": ["1", True]},
    "order.location_id": {"BAD_REQUEST": [POOL_BAR], "EXPECTED_STRING": [5]},
    "order.state": {"INVALID_ENUM_VALUE": ["CANCELLED"], "BAD_REQUEST": ["COMPLETED", "DRAFT"]},
    "order.ticket_name": {"VALUE_TOO_LONG": ["t" * 31]},
    "order.line_items": {"INVALID_VALUE": [[{"uid": "tea", "quantity": "0"}]], "MISSING_REQUIRED_PARAMETER": [[{"uid": "new", "quantity": "1"}]],
                         "BAD_REQUEST": [[{"uid": "tea", "quantity": "1", "catalog_object_id": CLUB_VARIATION}]]},
    "order.discounts": {"BAD_REQUEST": [[{"uid": "off", "scope": "LINE_ITEM"}]], "INVALID_VALUE": [[{"uid": "off", "percentage": "x"}]]},
    "fields_to_clear": {"EXPECTED_ARRAY": ["ticket_name"], "EXPECTED_STRING": [[5]],
                        "INVALID_VALUE": [["line_items[none]"], ["line_items[tea].quantity"], ["line_items[tea].none"], ["location_id"], ["total_money"], ["a b"],
                                          ["line_items[tea].modifiers[none]"]]},
    "idempotency_key": {"VALUE_TOO_LONG": ["k" * 193]},
}, "PUT"), Wrong(404, "NOT_FOUND", "NONE", "/v2/orders/NONE", UPDATE, "PUT")]  # fmt: skip

AT = {"start_at": CREATED}
WRONG_SEARCHES = of("/v2/orders/search", SEARCH, {
    "location_ids": {"EXPECTED_ARRAY": ["x"], "EXPECTED_STRING": [[5]], "MISSING_REQUIRED_PARAMETER": [[], ...], "ARRAY_LENGTH_TOO_LONG": [["L"] * 11]},
    "limit": {"VALUE_TOO_LOW": [0, -1], "VALUE_TOO_HIGH": [1001], "EXPECTED_INTEGER": ["10", True]},
    "cursor": {"INVALID_CURSOR": ["garbage", "MDo6MA=="], "EXPECTED_STRING": [5]},
    "query": {"EXPECTED_OBJECT": ["x"]},
    "query.filter.state_filter.states": {"INVALID_ENUM_VALUE": [["SHUT"]], "EXPECTED_ARRAY": ["OPEN"]},
    "query.filter.date_time_filter.created_at.start_at": {"EXPECTED_STRING": [5]},
    "query.sort.sort_field": {"INVALID_ENUM_VALUE": ["TOTAL"]},
    "query.sort": {"INVALID_ENUM_VALUE": [{"sort_field": "TOTAL", "sort_order": "ASC"}], "MISSING_REQUIRED_PARAMETER": [{}],
                   "BAD_REQUEST": [{"sort_field": "CLOSED_AT"}]},
    "query.filter.source_filter.source_names": {"ARRAY_LENGTH_TOO_LONG": [["s"] * 11], "EXPECTED_ARRAY": ["till"]},
    "query.filter.customer_filter.customer_ids": {"ARRAY_LENGTH_TOO_LONG": [["c"] * 11]},
    "query.filter.fulfillment_filter.fulfillment_types": {"INVALID_ENUM_VALUE": [["TAXI"]]},
    "query.filter.fulfillment_filter.fulfillment_states": {"INVALID_ENUM_VALUE": [["LOST"]]},
    "return_entries": {"EXPECTED_BOOLEAN": ["yes"]},
}) + [
    Wrong(400, code, says, "/v2/orders/search", {**SEARCH, "query": {"filter": {"date_time_filter": times}, "sort": sort}})
    for code, says, times, sort in (
        ("BAD_REQUEST", "sort_field", {"updated_at": AT}, {"sort_field": "CREATED_AT"}), ("BAD_REQUEST", "sort_field", {"created_at": AT}, {"sort_field": "UPDATED_AT"}),
        ("BAD_REQUEST", "sort_field", {"created_at": AT}, None), ("INVALID_ENUM_VALUE", "sort_order", {}, {"sort_field": "CREATED_AT", "sort_order": "UP"}),
        ("BAD_REQUEST", "date_time_filter", {"updated_at": AT, "created_at": AT}, {"sort_field": "UPDATED_AT"}),
        ("INVALID_TIME", "start_at", {"updated_at": {"start_at": "yesterday"}}, {"sort_field": "UPDATED_AT"}),
        ("INVALID_TIME", "end_at", {"updated_at": {"end_at": "2026-03-14T10:00:00"}}, {"sort_field": "UPDATED_AT"}),
        ("INVALID_TIME_RANGE", "updated_at", {"updated_at": {"start_at": CREATED, "end_at": "2026-03-14T09:00:00Z"}}, {"sort_field": "UPDATED_AT"}),
    )
]  # fmt: skip

WRONG_PAYMENTS = [*of("/v2/payments", PAYMENT, {
    "idempotency_key": {"MISSING_REQUIRED_PARAMETER": [None], "VALUE_TOO_SHORT": [""], "VALUE_TOO_LONG": ["p" * 46], "EXPECTED_STRING": [1]},
    "source_id": {"MISSING_REQUIRED_PARAMETER": [None], "VALUE_TOO_SHORT": [""], "EXPECTED_STRING": [5], "NOT_IMPLEMENTED": ["cnon:card-nonce-ok"]},
    "amount_money": {"EXPECTED_OBJECT": ["1", 1, None], "MISSING_REQUIRED_PARAMETER": [{}, ...]},
    "amount_money.amount": {"VALUE_TOO_LOW": [-1], "EXPECTED_INTEGER": ["1", 1.5]},
    "amount_money.currency": {"CURRENCY_MISMATCH": ["USD", None], "INVALID_ENUM_VALUE": ["EURO"]},
    "location_id": {"INVALID_LOCATION": ["LNOWHERE"], "EXPECTED_STRING": [5]},
    "order_id": {"NOT_FOUND": ["NO-SUCH-ORDER"], "EXPECTED_STRING": [5]},
    "autocomplete": {"EXPECTED_BOOLEAN": ["yes", 1]},
    "cash_details": {"EXPECTED_OBJECT": ["x", None], "MISSING_REQUIRED_PARAMETER": [...]},
    "cash_details.buyer_supplied_money": {"MISSING_REQUIRED_PARAMETER": [None], "VALUE_TOO_LOW": [{"amount": 99, "currency": "EUR"}],
                                          "CURRENCY_MISMATCH": [{"amount": 100, "currency": "USD"}]},
    "tip_money": {"VALUE_TOO_LOW": [{**EUROS, "amount": -1}], "CURRENCY_MISMATCH": [{**EUROS, "currency": "USD"}]}, "app_fee_money": {"NOT_IMPLEMENTED": [EUROS]}, "delay_duration": {"NOT_IMPLEMENTED": ["PT1H"]},
    "note": {"VALUE_TOO_LONG": ["n" * 501]},
}),
    Wrong(400, "PAYMENT_AMOUNT_MISMATCH", "amount", "/v2/payments", {**PAYMENT, "order_id": "SIMORDER00000001"}),
    Wrong(400, "PAYMENT_AMOUNT_MISMATCH", "amount", "/v2/payments", {**PAYMENT, "order_id": "SIMORDER00000001", "autocomplete": False}),
    Wrong(400, "LOCATION_MISMATCH", "location_id", "/v2/payments", {**PAYMENT, "order_id": "SIMORDER00000001", "location_id": POOL_BAR}),
    Wrong(400, "MISSING_REQUIRED_PARAMETER", "external_details", "/v2/payments", {"idempotency_key": "p", "source_id": "EXTERNAL", "amount_money": EUROS}),
    Wrong(400, "PAYMENT_AMOUNT_MISMATCH", "payment_ids", f"{FIRST}/pay", {"idempotency_key": "p", "payment_ids": []}),
    Wrong(404, "NOT_FOUND", "NONE", f"{FIRST}/pay", {"idempotency_key": "p", "payment_ids": ["NONE"]}),
    Wrong(400, "VERSION_MISMATCH", "order_version", f"{FIRST}/pay", {"idempotency_key": "p", "order_version": 7, "payment_ids": []}),
    Wrong(400, "MISSING_REQUIRED_PARAMETER", "idempotency_key", f"{FIRST}/pay", {"payment_ids": []}),
    Wrong(404, "NOT_FOUND", "NONE", "/v2/payments/NONE", method="GET"), Wrong(404, "NOT_FOUND", "NONE", "/v2/payments/NONE/cancel"),
]  # fmt: skip

WRONG_READS = of("/v2/catalog/search", {}, {
    "object_types": {"EXPECTED_ARRAY": ["ITEM"], "INVALID_ENUM_VALUE": [["DISH"]]}, "limit": {"EXPECTED_INTEGER": ["1"]},
    "begin_time": {"INVALID_TIME": ["yesterday", "2026-03-14T10:00:00"], "EXPECTED_STRING": [5]}, "cursor": {"INVALID_CURSOR": ["garbage"], "EXPECTED_STRING": [5]},
    "query": {"NOT_IMPLEMENTED": [{"text_query": {"keywords": ["tea"]}}]}, "include_category_path_to_root": {"NOT_IMPLEMENTED": [True]},
}) + of("/v2/catalog/search", {"include_deleted_objects": True}, {"include_category_path_to_root": {"CONFLICTING_PARAMETERS": [True]}}) + of(
    "/v2/catalog/batch-retrieve", {"object_ids": []}, {
    "object_ids": {"MISSING_REQUIRED_PARAMETER": [None], "EXPECTED_ARRAY": ["x"], "EXPECTED_STRING": [[5]], "ARRAY_LENGTH_TOO_LONG": [["o"] * 1001]},
    "include_deleted_objects": {"EXPECTED_BOOLEAN": ["yes"]},
}) + of("/v2/orders/batch-retrieve", {"order_ids": []}, {
    "order_ids": {"MISSING_REQUIRED_PARAMETER": [None], "EXPECTED_ARRAY": ["x"], "EXPECTED_STRING": [[5]], "ARRAY_LENGTH_TOO_LONG": [["o"] * 101]},
}) + [
    Wrong(status, code, says, target, method="GET")
    for target, status, code, says in (
        ("/v2/orders/NONE", 404, "NOT_FOUND", "NONE"), ("/v2/locations/NONE", 404, "NOT_FOUND", "Location"), ("/v2/catalog/object/NONE", 404, "NOT_FOUND", "NONE"),
        ("/v2/catalog/list?types=DISH", 400, "INVALID_ENUM_VALUE", "types"), ("/v2/catalog/list?cursor=garbage", 400, "INVALID_CURSOR", "cursor"),
        ("/v2/catalog/list?catalog_version=5", 501, "NOT_IMPLEMENTED", "catalog_version"), ("/v2/catalog/items", 501, "NOT_IMPLEMENTED", "/v2/catalog/items"),
        ("/v2/payments", 501, "NOT_IMPLEMENTED", "GET /v2/payments"), ("/v2/customers", 501, "NOT_IMPLEMENTED", "/v2/customers"),
        ("/v2/bookings/7", 501, "NOT_IMPLEMENTED", "/v2/bookings/7"), ("/v2/refunds", 501, "NOT_IMPLEMENTED", "/v2/refunds"),
        ("/v2/team-members/7", 501, "NOT_IMPLEMENTED", "team-members"), ("/v2/guests", 404, "NOT_FOUND", "/v2/guests"), ("/v1/orders", 404, "NOT_FOUND", "/v1/orders"),
    )
] + [
    Wrong(501, "NOT_IMPLEMENTED", target, target, {}, method)
    for method, target in (("POST", "/v2/orders/clone"), ("POST", "/v2/catalog/object"), ("POST", "/v2/events"), ("DELETE", FIRST), ("POST", "/v2/refunds"))
]  # fmt: skip

WRONG_HEADERS = [
    Wrong(status, code, says, "/v2/orders", ORDER, headers=headers)
    for status, code, says, headers in (
        (401, "UNAUTHORIZED", "authorized", {"authorization": TOKEN}), (401, "UNAUTHORIZED", "authorized", {"authorization": f"Basic {TOKEN}"}),
        (401, "UNAUTHORIZED", "authorized", {"authorization": None}), (401, "UNAUTHORIZED", "authorized", {"authorization": "Bearer other"}),
        (400, "INVALID_SQUARE_VERSION_FORMAT", "latest", {"square-version": "latest"}), (400, "INVALID_SQUARE_VERSION_FORMAT", "2025-13-01", {"square-version": "2025-13-01"}),
        (415, "UNSUPPORTED_MEDIA_TYPE", "JSON", {"content-type": "text/plain"}), (415, "UNSUPPORTED_MEDIA_TYPE", "JSON", {"content-type": None}),
    )
] + [
    Wrong(400, "EXPECTED_JSON_BODY", "JSON", "/v2/orders", b"{"), Wrong(400, "EXPECTED_OBJECT", "body", "/v2/orders", []),
    Wrong(501, "NOT_IMPLEMENTED", "grant_type", "/oauth2/token", {"client_id": "sq0idp-simulated", "grant_type": "authorization_code", "code": "x"}),
    Wrong(400, "INVALID_VALUE", "grant_type", "/oauth2/token", {"client_id": "sq0idp-simulated", "grant_type": "client_credentials"}),
    Wrong(400, "MISSING_REQUIRED_PARAMETER", "grant_type", "/oauth2/token", {"client_id": "sq0idp-simulated"}),
    Wrong(401, "UNAUTHORIZED", "Not Authorized", "/oauth2/token", {"client_id": "other", "grant_type": "refresh_token", "refresh_token": "other"}),
    Wrong(401, "UNAUTHORIZED", "refresh token", "/oauth2/token", {"client_id": "sq0idp-simulated", "grant_type": "refresh_token", "refresh_token": "other"}),
    Wrong(415, "UNSUPPORTED_MEDIA_TYPE", "JSON", "/oauth2/token", "grant_type=refresh_token"),
]  # fmt: skip


@pytest.mark.parametrize(
    "wrong", [*WRONG_ORDERS, *WRONG_UPDATES, *WRONG_SEARCHES, *WRONG_PAYMENTS, *WRONG_READS, *WRONG_HEADERS], ids=lambda wrong: f"{wrong!r} {wrong.target}"
)  # fmt: skip
def test_wrong_request_is_refused_as_square_does_and_changes_nothing(till: SquareSimulator, wrong: Wrong) -> None:
    before = deepcopy((till.orders, till.payments, till.tokens))
    answer = say(till, wrong.method, wrong.target, wrong.body, **wrong.headers)
    (error,) = answer.json["errors"]
    assert (answer.status, error["code"]) == (wrong.status, wrong.code), error
    assert wrong.says in error.get("field", "") + error["detail"]
    assert (till.orders, till.payments, till.tokens) == before


@pytest.mark.parametrize(("path", "body"), [("/v2/orders", ORDER), ("/v2/payments", PAYMENT), ("/v2/orders/search", SEARCH), ("/v2/catalog/search", {"limit": 5000})])  # fmt: skip
def test_what_is_right_is_taken(till: SquareSimulator, path: str, body: Any) -> None:
    assert say(till, "POST", path, body).status == 200


# --- totals --------------------------------------------------------------------------------------------------------------------


def made(till: SquareSimulator, **order: Any) -> dict[str, Any]:
    answer = say(till, "POST", "/v2/orders", {"order": {"location_id": RESTAURANT, **order}})
    assert answer.status == 200, answer.json
    return answer.json["order"]


def cents(part: dict[str, Any], *names: str) -> list[int]:
    return [part[f"{name}_money"]["amount"] for name in names]


def line(name: str, amount: int, quantity: str = "1", **more: Any) -> dict[str, Any]:
    return {"name": name, "quantity": quantity, "base_price_money": {"amount": amount, "currency": "EUR"}, **more}


def test_discounts_charges_and_taxes_come_in_squares_order(till: SquareSimulator) -> None:
    order = made(
        till,
        line_items=[line("Steak", 2690, "2"), line("Wine", 550, modifiers=[MILK])],
        discounts=[{**OFF, "scope": "ORDER"}, {"name": "Voucher", "amount_money": {"amount": 500, "currency": "EUR"}}],
        service_charges=[{"name": "Service", "percentage": "12.5", "taxable": True}, {"name": "Tray", "amount_money": EUROS, "calculation_phase": "TOTAL_PHASE"}],
        taxes=[{"name": "VAT", "percentage": "13", "scope": "ORDER"}],
    )  # fmt: skip
    # 5,380 + 600 = 5,980; 10 % off: 5,382; 5.00 off: 4,882; 12.5 % service: 610.25; 13 % of 5,492: 713.96; tray 100.
    assert cents(order, "total_discount", "total_service_charge", "total_tax", "total", "net_amount_due") == [1098, 710, 714, 6306, 6306]
    assert sum(one["total_money"]["amount"] for one in order["line_items"]) + 610 + 79 + 100 == 6306
    assert cents(order["line_items"][1], "variation_total_price", "gross_sales") == [550, 600]
    assert [len(one["applied_discounts"]) for one in order["line_items"]] == [2, 2]
    assert order["net_amounts"]["total_money"]["amount"] == 6306


def test_what_is_of_one_line_touches_that_line_only(till: SquareSimulator) -> None:
    order = made(
        till,
        line_items=[
            line("Soup", 690, applied_discounts=[{"discount_uid": "half"}], applied_taxes=[{"tax_uid": "food"}]),
            line("Beer", 390),
        ],
        discounts=[{"uid": "half", "name": "Half price", "percentage": "50", "scope": "LINE_ITEM"}],
        taxes=[{"uid": "food", "name": "Food", "percentage": "13", "scope": "LINE_ITEM", "type": "INCLUSIVE"}],
    )
    soup, beer = order["line_items"]
    assert cents(soup, "total_discount", "total_tax", "total") == [345, 40, 345]
    assert cents(beer, "total_discount", "total_tax", "total") == [0, 0, 390]
    assert cents(order, "total_discount", "total_tax", "total") == [345, 40, 735]


def test_percentage_off_a_line_comes_before_the_one_off_the_order(till: SquareSimulator) -> None:
    half = {"uid": "half", "name": "Half price", "percentage": "50", "scope": "LINE_ITEM"}
    order = made(
        till, line_items=[line("Soup", 1000, applied_discounts=[{"discount_uid": "half"}])], discounts=[{**OFF, "scope": "ORDER"}, half]
    )
    assert [one["applied_money"]["amount"] for one in order["discounts"]] == [50, 500]


def test_amount_off_takes_no_more_than_there_is(till: SquareSimulator) -> None:
    order = made(
        till,
        line_items=[line("Tea", 300), line("Cake", 200)],
        discounts=[{"name": "All", "amount_money": {"amount": 900, "currency": "EUR"}}],
    )
    assert cents(order, "total_discount", "total") == [500, 0]


def test_modifiers_of_the_catalog_have_its_price_times_both_quantities(till: SquareSimulator) -> None:
    order = made(
        till,
        line_items=[{"quantity": "3", "catalog_object_id": CLUB_VARIATION, "modifiers": [{"catalog_object_id": OAT, "quantity": "2"}]}],
    )
    (club,) = order["line_items"]
    assert (club["modifiers"][0]["name"], *cents(club["modifiers"][0], "base_price", "total_price")) == ("Oat drink", 50, 300)
    assert order["total_money"]["amount"] == club["variation_total_price_money"]["amount"] + 300


def test_totals_are_in_the_locations_currency(till: SquareSimulator) -> None:
    till.locations[POOL_BAR]["currency"] = "JPY"
    yen = {"amount": 1200, "currency": "JPY"}
    order = made(till, location_id=POOL_BAR, line_items=[{**LINE, "base_price_money": yen}], discounts=[OFF])
    assert {part["currency"] for name, part in order.items() if name.endswith("_money")} == {"JPY"}
    assert order["total_money"]["amount"] == 1080


def test_order_is_calculated_and_not_kept(till: SquareSimulator) -> None:
    count = len(till.orders)
    answer = say(till, "POST", "/v2/orders/calculate", {"order": {**ORDER["order"], "discounts": [OFF]}})
    assert answer.json["order"]["total_money"]["amount"] == 90
    assert len(till.orders) == count


# --- changes -------------------------------------------------------------------------------------------------------------------


def test_update_changes_adds_and_clears_what_it_names(till: SquareSimulator) -> None:
    change = {
        "location_id": RESTAURANT,
        "version": 1,
        "ticket_name": "Room 214",
        "line_items": [{"uid": "tea", "quantity": "3"}, line("Cake", 400, uid="cake")],
    }
    order = say(till, "PUT", FIRST, {"order": change}).json["order"]
    assert (order["version"], order["ticket_name"], order["total_money"]["amount"]) == (2, "Room 214", 630)
    change = {"location_id": RESTAURANT, "version": 2, "line_items": [{"uid": "tea", "quantity": "3", "note": "Hot"}]}
    order = say(till, "PUT", FIRST, {"order": change, "fields_to_clear": ["ticket_name", "line_items[cake]", "discounts"]}).json["order"]
    assert (order["total_money"]["amount"], order["line_items"][0]["note"]) == (300, "Hot")
    assert "ticket_name" not in order
    order = say(till, "PUT", FIRST, {"order": {"location_id": RESTAURANT, "version": 3}, "fields_to_clear": ["line_items[tea].note"]}).json[
        "order"
    ]
    assert "note" not in order["line_items"][0]


def test_order_that_is_over_and_one_of_the_tills_own_are_not_changed(till: SquareSimulator) -> None:
    assert (
        say(till, "PUT", FIRST, {"order": {"location_id": RESTAURANT, "version": 1, "state": "CANCELED"}}).json["order"]["state"]
        == "CANCELED"
    )
    again = say(till, "PUT", FIRST, {"order": {"location_id": RESTAURANT, "version": 2, "state": "OPEN"}})
    rung = say(till, "PUT", f"/v2/orders/{till.ring_up(500)}", {"order": {"location_id": RESTAURANT, "version": 1}})
    assert [answer.json["errors"][0]["field"] for answer in (again, rung)] == ["order.state", "order.version"]


def test_payments_in_parts_settle_an_order_and_what_is_not_listed_is_given_back(till: SquareSimulator) -> None:
    order = made(till, line_items=[line("Dinner", 3000)])
    part = {"source_id": "CASH", "order_id": order["id"], "autocomplete": False, "location_id": RESTAURANT}
    paid = []
    for number, amount in enumerate((1000, 1500, 500)):
        money = {"amount": amount, "currency": "EUR"}
        paid.append(say(till, "POST", "/v2/payments", {**part, "idempotency_key": str(number), "amount_money": money, "cash_details": {"buyer_supplied_money": money}}).json["payment"])  # fmt: skip
    say(till, "POST", f"/v2/payments/{paid[2]['id']}/cancel")
    money = {"amount": 500, "currency": "EUR"}
    extra = {
        **part,
        "idempotency_key": "x",
        "amount_money": money,
        "cash_details": {"buyer_supplied_money": {"amount": 2000, "currency": "EUR"}},
    }
    last = say(till, "POST", "/v2/payments", extra).json["payment"]
    assert last["cash_details"]["change_back_money"]["amount"] == 1500
    ids = [paid[0]["id"], paid[1]["id"], last["id"]]
    order = say(till, "POST", f"/v2/orders/{order['id']}/pay", {"idempotency_key": "pay", "payment_ids": ids}).json["order"]
    assert (order["state"], order["net_amount_due_money"]["amount"]) == ("COMPLETED", 0)
    assert [till.payments[one]["status"] for one in ids] == ["COMPLETED"] * 3


# --- searches ------------------------------------------------------------------------------------------------------------------


def search(till: SquareSimulator, **query: Any) -> list[str]:
    answer = say(till, "POST", "/v2/orders/search", {"location_ids": [RESTAURANT], "query": query})
    assert answer.status == 200, answer.json
    return [order["id"][-1] for order in answer.json["orders"]]


@pytest.fixture
def orders(till: SquareSimulator) -> SquareSimulator:
    made(till, line_items=[LINE], source={"name": "Hospient"}, customer_id="C1")
    made(till, line_items=[LINE], fulfillments=[{"type": "PICKUP"}])
    made(till, line_items=[LINE], location_id=POOL_BAR)
    for number, order in enumerate(till.orders.values(), 1):
        order["created_at"], order["updated_at"] = f"2026-03-14T1{number}:00:00.000Z", f"2026-03-15T1{9 - number}:00:00.000Z"
    return till


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "321"), ({"sort": {"sort_field": "CREATED_AT", "sort_order": "ASC"}}, "123"), ({"sort": {"sort_field": "UPDATED_AT"}}, "123"),
        ({"filter": {"state_filter": {"states": ["COMPLETED"]}}, "sort": {"sort_field": "CLOSED_AT"}}, ""), ({"filter": {"state_filter": {"states": ["CANCELED"]}}}, ""),
        ({"filter": {"source_filter": {"source_names": ["Hospient", "x"]}}}, "2"), ({"filter": {"customer_filter": {"customer_ids": ["C1"]}}}, "2"),
        ({"filter": {"fulfillment_filter": {"fulfillment_types": ["PICKUP"], "fulfillment_states": ["PROPOSED"]}}}, "3"),
        ({"filter": {"date_time_filter": {"created_at": {"start_at": "2026-03-14T12:00:00Z"}}}, "sort": {"sort_field": "CREATED_AT"}}, "32"),
        ({"filter": {"date_time_filter": {"created_at": {"end_at": "2026-03-14T13:00:00+01:00"}}}, "sort": {"sort_field": "CREATED_AT"}}, "21"),
        ({"filter": {"date_time_filter": {"updated_at": {"start_at": "2026-03-15T16:30:00Z", "end_at": "2026-03-15T17:00:00Z"}}}, "sort": {"sort_field": "UPDATED_AT"}}, "2"),
    ],
)  # fmt: skip
def test_search_filters_and_sorts(orders: SquareSimulator, query: dict[str, Any], found: str) -> None:
    assert "".join(search(orders, **query)) == found


def test_search_gives_entries_in_pages(orders: SquareSimulator) -> None:
    body = {"location_ids": [RESTAURANT], "limit": 2, "return_entries": True}
    first = say(orders, "POST", "/v2/orders/search", body).json
    last = say(orders, "POST", "/v2/orders/search", {**body, "cursor": first["cursor"]}).json
    assert [entry["order_id"][-1] for entry in first["order_entries"] + last["order_entries"]] == ["3", "2", "1"]
    assert "cursor" not in last
