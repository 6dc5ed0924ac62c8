"""What never shows in a log, by name, by value and by shape; and what stays, so that a log is worth reading."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.security.cards import REDACTED, mask_cards
from integrations.security.redaction import mask_headers, redact, redact_text, redact_url

SECRET = 'pa/ss+w"ö&rd=1'
TOKEN = "EXAMPLE-9f8e7d6c5b4a"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nqqqqqqqq\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r"
PAN = "4111111111111111"

# What must not be found again in the redacted value, and the value.
LEAKS: list[tuple[str, Any]] = [
    # by the name of the key
    ("s3cr", {"access_token": "s3cr"}),
    ("s3cr", {"accessToken": "s3cr"}),
    ("s3cr", {"refreshToken": "s3cr"}),
    ("s3cr", {"client_secret": "s3cr"}),
    ("s3cr", {"X-API-Key": "s3cr"}),
    ("s3cr", {"x-app-key": "s3cr"}),
    ("s3cr", {"Authorization": "s3cr"}),
    ("s3cr", {"headers": {"Set-Cookie": "s3cr"}}),
    ("s3cr", {"X-Webhook-Signature": "s3cr"}),
    ("s3cr", {"sessionId": "s3cr"}),
    ("s3cr", {"PASSWORD": "s3cr"}),
    ("s3cr", {"credentials": {"anything": "s3cr"}}),
    ("s3cr", {"tokens": ["s3cr"]}),
    ("1234", {"pin": 1234}),
    ("123", {"card": {"cvv": "123"}}),
    ("s3cr", {"assertion": "s3cr"}),
    ("s3cr", {"a": [{"b": [{"api_key": "s3cr"}]}]}),
    # who a guest is
    ("Lovelace", {"guest": {"name": "Ada Lovelace", "room": "12"}}),
    ("Lovelace", {"Name": "Ada Lovelace", "Email": "x"}),
    ("Lovelace", {"given_name": "Ada", "familyName": "Lovelace"}),
    ("Lovelace", {"reservationGuest": {"surname": "Lovelace"}}),
    ("Lovelace", {"guest_name": "Ada Lovelace"}),
    ("Lovelace", {"sender_name": "Ada Lovelace"}),
    ("Lovelace", {"customer": [{"personName": [{"name": "Ada Lovelace"}]}]}),
    ("12 Main", {"address": {"addressLine": ["12 Main Street"]}}),
    ("12 Main", {"MailingStreet": "12 Main Street"}),
    ("555", {"phoneNumber": "555 1234"}),
    ("1815", {"birthDate": "1815-12-10"}),
    ("C01X", {"passport_number": "C01X"}),
    ("C01X", {"identification": {"idNumber": "C01X"}}),
    # by known value, in every spelling
    (SECRET, {"note": f"the password is {SECRET}."}),
    (quote(SECRET, safe=""), {"note": f"?p={quote(SECRET, safe='')}"}),
    (quote(SECRET, safe="").lower(), {"note": quote(SECRET, safe="").lower()}),
    (quote_plus(SECRET), {"note": quote_plus(SECRET)}),
    (json.dumps(SECRET)[1:-1], {"note": json.dumps({"x": SECRET})}),
    (base64.b64encode(SECRET.encode()).decode(), {"note": base64.b64encode(SECRET.encode()).decode()}),
    (base64.b64encode(f"u:{SECRET}".encode()).decode()[6:-4], {"note": "x" + base64.b64encode(f"u:{SECRET}".encode()).decode()}),
    (base64.b64encode(f"us:{SECRET}".encode()).decode()[6:-4], {"note": base64.b64encode(f"us:{SECRET}".encode()).decode()}),
    ("abc", {"note": "abc"}),
    (TOKEN, {"note": "x" * 490 + TOKEN}),
    # by shape
    (JWT[:30], {"message": f"bad token {JWT} given"}),
    (JWT[:30], {"message": JWT[:60]}),
    ("abcdef123", "Authorization: Bearer abcdef123"),
    ("abcdef123", {"error": "bearer abcdef123 has expired"}),
    ("dXNlcjpwYXNz", {"error": "got Basic dXNlcjpwYXNzMQ=="}),
    ("MIIEow", {"config": KEY}),
    ("qqqq", {"config": KEY.replace("\n", "\\n")}),
    ("MIIEow", {"config": KEY[:60]}),
    ("4eC39HqLyjW", {"message": "No such key sk_live_4eC39HqLyjWDarjtT1"}),
    ("l0123456789", {"message": "token EAAAl0123456789abcdef"}),
    ("0123456789abcdef", {"message": "hsp_0123456789abcdef0123"}),
    ("AQ4AQFooBar", {"message": "session 00D5g000004XyZaEAK!AQ4AQFooBar.Baz"}),
    ("hunter2", "https://admin:hunter2@vendor.example/x"),
    ("hunter2", "login failed: password=hunter2 for admin"),
    ("hunter2", {"raw": '{"user": "admin", "password": "hunter2"'}),
    ("hunter2", {"raw": '{\\"client_secret\\":\\"hunter2\\"}'}),
    ("hunter2", {"raw": "<ns:Password>hunter2</ns:Password>"}),
    ("hunter2", {"raw": "grant_type=password&refresh_token=hunter2&x=1"}),
    ("session=abc; other=def", "Cookie: session=abc; other=def"),
    ("ada@", {"message": "Guest ada@example.com exists already"}),
    ("ada%40", {"url": "/guests/ada%40example.com"}),
    ("171", {"message": "call +49 171 1234567"}),
    # cards
    ("1111111111", {"number": PAN}),
    ("1111111111", {"number": int(PAN)}),
    ("1111111111", {"number": Decimal(PAN)}),
    ("1111 1111", {"note": "card 4111 1111 1111 1111 exp 12/27"}),
    ("1111-1111", {"note": "4111-1111-1111-1111"}),
    ("822463", {"note": "Amex 3782 822463 10005"}),
    ("1111111111", {"note": f"room 12 {PAN} thanks"}),
    ("1111111111", {"note": f"card{PAN}x"}),
    ("LOVELACE/ADA", {"swipe": f"%B{PAN}^LOVELACE/ADA^27121010000000000000?"}),
    ("27121010000", {"swipe": f";{PAN}=27121010000000000000?"}),
    # in the name of a key
    ("ada@", {"by_guest": {"ada@example.com": 3}}),
]  # fmt: skip

# What has to be there, unchanged.
CONTROLS: list[Any] = [
    {"id": str(uuid.UUID(int=0x4111111111111111411111111111)), "idempotency_key": "5f0c5b0e-1234-4234-8234-123456789012"},
    {"reservation_id": "660082", "confirmation": "4111111111111112", "order": 4111111111111112},
    {"version": 1773512551000, "created": "2026-03-14T18:22:31.000+0000", "stamp": "20260314182231000", "micros": 1773512551000123},
    {"price_money": {"amount": 1999, "currency": "EUR"}, "total": 12.5, "authorized_money": 3},
    {"name": "Espresso", "variations": [{"name": "Double"}], "description": "Signature roast, with oat milk"},
    {"guest_check": {"items": [{"name": "Burger"}]}},
    {"token_type": "bearer", "expires_in": 3600, "cursor": "CAASEgoQ", "next_page_token": "abc", "token": None, "password": "", "signature": True},
    {"room": {"number": "0101", "status": "clean"}, "hotelId": "SAND01", "location_id": "L7HXY1R3CSZ0"},
    {"errors": [{"category": "INVALID_REQUEST_ERROR", "code": "VERSION_MISMATCH", "field": "order.version"}]},
    {"url": "https://connect.squareup.com/v2/catalog/list?types=ITEM&cursor=abc", "ip_address": "10.0.0.1"},
    {"message": "Token authentication failed; basic information is missing", "count": 3, "ok": False, "none": None},
    {"uuid": "12345678-1234-4234-8234-123456789012", "sku": "SKU-5300-1200", "date": "2026-03-14 2026-03-15"},
]  # fmt: skip


def test_tables_are_as_long_as_promised() -> None:
    assert len(LEAKS) >= 53
    assert len(CONTROLS) >= 10


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield str(value)


@pytest.mark.parametrize(("leak", "value"), LEAKS, ids=lambda value: ascii(value)[:60])
def test_nothing_leaks(leak: str, value: Any) -> None:
    assert any(leak in leaf for leaf in leaves(value))
    assert not any(leak in leaf for leaf in leaves(redact(value, (SECRET, TOKEN, "abc"))))
    if isinstance(value, str):
        assert leak not in redact_text(value)


@pytest.mark.parametrize("value", CONTROLS, ids=lambda value: ascii(value)[:60])
def test_what_a_log_is_read_for_stays(value: Any) -> None:
    assert redact(value, (SECRET, TOKEN)) == value


def test_first_six_and_last_four_digits_are_the_most_a_card_shows() -> None:
    assert mask_cards(f"card {PAN}, or 5500 0000 0000 0004.") == "card 411111…1111, or 550000…0004."
    assert redact({"number": int(PAN)}) == {"number": "411111…1111"}
    assert mask_cards("4111 1111 1111 1111 " * 200).count("411111…1111") == 200


def test_long_list_shows_its_beginning_and_is_not_walked() -> None:
    class Items(list):
        def __iter__(self) -> Any:
            for number, item in enumerate(super().__iter__()):
                assert number <= 3
                yield item

    assert redact({"objects": Items(range(100))}) == {"objects": [0, 1, 2, "… 97 more"]}
    assert redact([1, 2, 3]) == [1, 2, 3]
    assert redact(list(range(9)), max_items=5)[-1] == "… 4 more"


def test_long_text_is_cut_after_it_is_redacted() -> None:
    shown = redact({"note": "x" * 480 + " Bearer " + "s" * 600})
    assert "sss" not in shown["note"]
    assert redact("y" * 600, max_text=10) == "yyyyyyyyyy… 590 more characters"


SPLIT = "Zq8-" + "".join(f"{number:02}k" for number in range(40))
"""A secret of which every piece can be told."""


@pytest.mark.parametrize("before", [*range(-130, 6, 15), -1, 0, 1])
@pytest.mark.parametrize(
    ("cut", "show"),
    [
        (500, lambda text: redact({"note": text}, [SPLIT])["note"]),
        (40, lambda text: redact(text, [SPLIT], max_text=40)),
        (500, lambda text: redact([text.encode()], [SPLIT])[0]),
        (200, lambda text: mask_headers({"X-Note": text}, [SPLIT])["X-Note"]),
        (200, lambda text: mask_headers({"Location": f"https://a.example/?q={text}"}, [SPLIT])["Location"]),
    ],
    ids=["text", "short", "bytes", "header", "address in a header"],
)
def test_no_piece_of_a_secret_is_left_where_a_text_is_cut(cut: int, show: Callable[[str], str], before: int) -> None:
    shown = show("-" * max(0, cut + before) + SPLIT + "-" * 300)
    assert not [start for start in range(len(SPLIT) - 5) if SPLIT[start : start + 6] in shown]


def test_whatever_comes_out_is_json() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd, password=hunter2"

    value = {
        1: Odd(),
        "b": b"\xff\x00token=abcdef",
        "s": {1},
        "d": Decimal("12.50"),
        "n": float("nan"),
        "i": Decimal("Infinity"),
        "h": 10**5000,
        None: "\ud800",
    }
    shown = json.dumps(redact(value), allow_nan=False).encode()
    assert json.loads(shown)["d"] == 12.5
    assert b"hunter2" not in shown
    assert b"abcdef" not in shown
    assert b"\\u0000" not in shown  # PostgreSQL refuses it


def test_depth_and_width_are_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(3000):
        deep = [deep]
    assert "bottom" not in json.dumps(redact(deep))
    assert len(redact({str(number): number for number in range(5000)})) == 101


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_nothing_breaks_it(value: Any) -> None:
    json.dumps(redact(value, ("", "x", TOKEN)), allow_nan=False).encode()


@pytest.mark.parametrize(
    "text",
    ["one\r\ntwo", "a\nINFO forged", "\x1b[31mred\x1b[0m", "line\u2028line", "para\u2029", "nel\x85", "bell\x07", "nul\x00", "\u202eexe.txt", "\ud800", "tab\tx", "\x9b31m"],
    ids=ascii,
)  # fmt: skip
def test_text_cannot_forge_a_line_or_a_colour(text: str) -> None:
    shown = redact_text(text)
    assert len(shown.splitlines()) == 1
    assert shown.isprintable()
    assert "\\" in shown


def test_headers_are_judged_by_name_and_value() -> None:
    shown = mask_headers(
        {
            "Authorization": "Bearer abc",
            "x-app-key": "k",
            "Set-Cookie": "a=b",
            "x-square-hmacsha256-signature": "s",
            "X-Custom": f"v {TOKEN}",
            "Location": "https://v.example/x?access_token=abc&page=2",
            "Content-Type": "application/json",
            "X-Request-Id": "42",
        },
        (TOKEN,),
    )
    assert shown == {
        "Authorization": REDACTED,
        "x-app-key": REDACTED,
        "Set-Cookie": REDACTED,
        "x-square-hmacsha256-signature": REDACTED,
        "X-Custom": f"v {REDACTED}",
        "Location": f"https://v.example/x?access_token={REDACTED}&page=2",
        "Content-Type": "application/json",
        "X-Request-Id": "42",
    }


def test_parameters_of_an_address_are_judged_by_their_names() -> None:
    url = "https://v.example/guests?surname=Lovelace&email=ada%40example.com&limit=20&q=SELECT+Id&sig=abc&x=" + TOKEN
    shown = redact_url(url, (TOKEN,))
    assert shown == f"https://v.example/guests?surname={REDACTED}&email={REDACTED}&limit=20&q=SELECT+Id&sig={REDACTED}&x={REDACTED}"
    assert redact_url("https://v.example/a/b") == "https://v.example/a/b"


HOSTILE = [
    "a" * 200_000, "-" * 200_000, "eyJ" * 70_000, "eyJa.a" * 30_000, "1 " * 100_000, "4111 " * 40_000, "4" * 200_000, "4111111111111112 " * 12_000,
    "bearer " * 30_000, "basic A" * 30_000, "token" * 40_000, "password: " * 20_000, "token=" * 33_000, "token" + "-" * 200_000, "://" * 70_000, "://a:" * 40_000,
    "a@" * 100_000, "a." * 100_000 + "@", "a" * 100_000 + "@" + "b." * 50_000, "+1" * 100_000, "+" + "1 " * 100_000, "^" * 200_000, "B1234567890123^" * 13_000,
    "-----BEGIN PRIVATE KEY-----" * 7_000, "-----BEGIN " * 18_000, "cookie:" * 28_000, "\x00" * 100_000, "a-a1-" * 40_000, "12345678-1234-" * 14_000, "=" * 200_000, "E" * 200_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_no_text_hangs_a_worker(text: str) -> None:
    started = time.thread_time()
    redact_text(text, (SECRET, TOKEN))
    redact({"text": text, "again": [text] * 3}, (SECRET, TOKEN))
    assert time.thread_time() - started < 1
