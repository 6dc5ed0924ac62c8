"""Keeps card data and passports' machine-readable lines out of what we store: the one place that knows them, for every entrance.

A number is a card's by its issuer, length and check digit, and by where it stands: the name of its key, how it is grouped, the words
beside it. Ids, phone numbers, SKUs and barcodes stay as they are, for they are worked from. Of a card the first six and last four digits
stay; codes, tracks and passport lines go altogether.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

_ISSUED = re.compile(
    r"4(?:\d{15}|\d{18}|\d{12})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:30[0-5]|3095|36\d|3[89]\d)\d{11}|309\d{11}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|(?:62|81)\d{14,17}"  # UnionPay
    r"|(?:50|5[6-9]|6[0137])\d{10,17}"  # Maestro
    r"|220[0-4]\d{12,15}"  # Mir
)
SHORTEST = 7
"""No shorter text holds card data: `cvv 123`."""

_BETWEEN = "[\\s.\u00b7\\-\u2010-\u2015\u2212_/\u00ad\u200b-\u200d\u2060\ufeff]"
_RUN = re.compile(
    r"(?P<uuid>(?<![0-9a-z])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-z]))"
    rf"|(?<![\d…])\d(?:{_BETWEEN}{{0,3}}\d){{11,}}",
    re.I,
)
_LIKELY = re.compile(rf"\d(?:{_BETWEEN}{{0,3}}\d){{11}}")
_GROUP = re.compile(r"\d+")
_CARD_WORD = re.compile(
    r"card|\bpan\b|visa|master|amex|american express|discover|diners|jcb|maestro|unionpay|\bcc\b|credit|debit|\bexp|\bcv[vc]|karte|tarjeta|carte\b",
    re.I,
)
_REFERENCE_WORD = re.compile(
    r"\b(?:order|check|chk|reservation|res|booking|confirmation|conf|reference|ref|invoice|folio|receipt|ticket|voucher|tracking|transaction"
    r"|sku|plu|ean|upc|gtin|isbn|barcode|serial|phone|tel|telephone|mobile|cell|fax|whatsapp|call|id|ids|uuid|event|item|account|imei)\b",
    re.I,
)
_BESIDE = 32
"""How many characters beside a number may say what it is; never past another number."""

_CODE_BY_WORD = re.compile(
    r"(\b(?:cv[vc][12]?|cid|csc|(?:card )?(?:security|verification) (?:code|value|number))\b(?:\s{1,2}(?:code|number|no\.?|is))?"
    r"[\s\"':=#.]{0,5})\d{3,4}(?!\d)",
    re.I,
)
_TRACKS = re.compile(
    r"%?\b[Bb]\d{12,19}\^[^^\n]{2,26}\^[^\s?]{4,80}\??"  # the first
    r"|;?(?<!\d)\d{12,19}[=Dd]\d{7}[^\s?&\"]{0,30}\??"  # the second
)
_PASSPORT = re.compile(
    r"(?<![A-Z0-9<])(?:"
    r"[PVIAC][A-Z0-9<][A-Z<]{3}(?=[A-Z0-9<]{0,39}<<)[A-Z0-9<]{25,39}"  # first line of a passport, a visa or an identity card
    r"|[A-Z0-9<]{9}[0-9<][A-Z<]{3}\d{7}[MFX<]\d{7}[A-Z0-9<]{2,16}"  # second line of a passport or visa
    r"|\d{7}[MFX<]\d{7}[A-Z<]{3}[A-Z0-9<]{11}\d"  # second line of an identity card
    r"|(?=[A-Z<]{30}(?![A-Z0-9<]))[A-Z]{1,28}(?:<[A-Z]{1,28}){0,8}<<[A-Z<]{0,28}"  # its third
    r")(?![A-Z0-9<])",
    re.I,
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def mask_cards(text: str) -> str:
    """Return `text` without card data and passport lines. Running it twice changes nothing more."""
    has_number = _LIKELY.search(text)
    if has_number and ("^" in text or "=" in text or "d" in text or "D" in text):
        text = _TRACKS.sub(REDACTED, text)
    if "<" in text:
        text = _PASSPORT.sub(REDACTED, text)
    if has_number:
        text = _RUN.sub(_mask_run, text)
    return _CODE_BY_WORD.sub(rf"\1{REDACTED}", text)


def without_cards(value: Any, key: str = "") -> Any:
    """Return `value`, of the field `key`, without card data: a text, a number, or lists and mappings of them."""
    if isinstance(value, str):
        return _field(value, key)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        if not (value == value and abs(value) >= 100) or abs(value) >= 10**19:
            return value
        written = str(int(value)) if value == int(value) else str(value)
        shown = _field(written, key)
        return value if shown == written else shown
    if isinstance(value, Mapping):
        return {_named(name): without_cards(item, _key_of(name, key, value)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_cards(item, key) for item in value) if type(value) in (list, tuple) else value
    return value


def _named(name: Any) -> Any:
    return mask_cards(name) if isinstance(name, str) else name


# --- by the name of the key ----------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CODE_KEY = re.compile(r"cvv|cvc|^csc$|^cid$|card_?(?:verification|code)|security_?code|track_?(?:data|[12])|magstripe|^mrz|_mrz", re.I)
_ID_WORDS = frozenset(
    [
        "id",
        "ids",
        "uid",
        "uuid",
        "guid",
        "sku",
        "skus",
        "plu",
        "ean",
        "gtin",
        "upc",
        "isbn",
        "barcode",
        "barcodes",
        "phone",
        "phones",
        "telephone",
        "tel",
        "mobile",
        "cell",
        "fax",
        "whatsapp",
        "reference",
        "references",
        "ref",
        "refs",
        "imei",
        "etag",
        "version",
        "fingerprint",
        "cursor",
        "token",
        "password",
        "secret",
        "passphrase",
        "username",
    ]
)
_NUMBER_WORDS = frozenset(["number", "numbers", "no", "num", "nr", "code", "value", "key"])
_THINGS = frozenset(
    [
        "check",
        "order",
        "reservation",
        "confirmation",
        "booking",
        "room",
        "invoice",
        "folio",
        "receipt",
        "ticket",
        "voucher",
        "tracking",
        "phone",
        "mobile",
        "fax",
        "serial",
        "item",
        "table",
        "guest",
        "membership",
        "loyalty",
        "customer",
        "transaction",
        "document",
        "external",
        "vendor",
        "case",
        "event",
        "barcode",
        "reference",
        "product",
        "article",
        "primary",
        "batch",
        "request",
        "account",
        "profile",
        "hotel",
        "property",
        "location",
        "merchant",
        "employee",
    ]
)
_CARD_KEY_WORDS = frozenset(["card", "pan", "cc", "creditcard", "debitcard", "cardnumber", "ccnumber"])
_BARE = frozenset(["number", "no", "num", "nr", "value", "newvalue", "oldvalue", "text", "content"])
_ONE_ID = re.compile(r"\S*|[\d\s()+./-]*")


def is_id(key: str) -> bool:
    return _kind(key) == "id"


@lru_cache(maxsize=4096)
def _kind(key: str) -> str:
    """Return what a field of that name holds: "code" (goes), "card", "id" (stays) or "" (judged by shape)."""
    if _CODE_KEY.search(key):
        return "code"
    words = [word.lower() for word in _WORD.findall(key[:200])]
    if not words:
        return ""
    if words[-1] in _ID_WORDS:
        return "id"
    if not _CARD_KEY_WORDS.isdisjoint(words):
        return "card"
    if words[-1] in _NUMBER_WORDS and not _THINGS.isdisjoint(words[:-1]):
        return "id"
    return ""


def _key_of(name: Any, parent: str, siblings: Mapping[Any, Any]) -> str:
    """Return the name that tells: of `{"card": {"number"}}` and `{"name": "CVV", "value"}` it is not the key's own."""
    plain = re.sub(r"[^a-z]", "", str(name).lower())
    if plain not in _BARE:
        return str(name)
    for said_by in ("name", "key", "field", "label", "dataElement", "elementName", "type"):
        if isinstance(said := siblings.get(said_by), str) and _kind(said):
            return said if _kind(said) in ("code", "id") else f"{said} number"
    return f"{parent} {name}" if parent else str(name)


def _field(text: str, key: str) -> str:
    kind = _kind(key)
    if kind == "code":
        return REDACTED if text else text
    if kind == "id" and _ONE_ID.fullmatch(text):
        return text
    if kind == "card":
        digits = "".join(str(int(digit)) for digit in _GROUP.findall(text) for digit in digit)
        if 12 <= len(digits) <= 19 and not re.search(r"[^\W\d_]", text) and (_ISSUED.fullmatch(digits) or _passes_luhn(digits)):
            return f"{digits[:6]}…{digits[-4:]}"
    return mask_cards(text)


# --- by shape ------------------------------------------------------------------------------------------------------------------


def _mask_run(match: re.Match[str]) -> str:
    """Mask the card numbers in a run of digit groups; one number may be spread over several groups."""
    run = match[0]
    if match["uuid"]:
        return run
    before, after = _beside(match)
    groups = [(group.start(), group.end(), "".join(str(int(digit)) for digit in group[0])) for group in _GROUP.finditer(run)]
    shown: list[str] = []
    done = first = beginning = 0
    while first < len(groups):
        digits, sizes = "", []
        # A list of small numbers is not a card wherever one looks; a card written digit by digit begins where the run does.
        is_possible = groups[first][2][0] in "234568" and (first == beginning or len(groups[first][2]) > 2)
        number, end = "", first
        for last in range(first, min(first + 19, len(groups)) if is_possible else first):
            digits += groups[last][2]
            sizes.append(len(groups[last][2]))
            if len(digits) > 19:
                break
            if _is_card(digits, sizes, before if first == 0 else "", after if last == len(groups) - 1 else ""):
                number, end = digits, last  # the longest counts
        if number:
            shown.append(f"{run[done : groups[first][0]]}{number[:6]}…{number[-4:]}")
            done, beginning = groups[end][1], end + 1
        first = end + 1
    return "".join([*shown, run[done:]])


def _beside(match: re.Match[str]) -> tuple[str, str]:
    text, start, end = match.string, match.start(), match.end()
    before = re.split(r"[\d…]", text[max(0, start - _BESIDE) : start])[-1]
    return before, re.split(r"[\d…]", text[end : end + _BESIDE])[0]


def _is_card(digits: str, sizes: list[int], before: str, after: str) -> bool:
    if not (_ISSUED.fullmatch(digits) and _passes_luhn(digits)):
        return False
    if _CARD_WORD.search(before) or _CARD_WORD.search(after):
        return True
    if len(sizes) > 1:
        # Grouped as cards are. A telephone number, with or without its plus, is grouped otherwise.
        return (len(set(sizes[:-1])) == 1 and len(digits) >= 14) or sizes in ([4, 6, 5], [4, 6, 4])
    if len(digits) < 14 or (len(digits) == 14 and digits[0] in "56"):  # barcodes and phone numbers are as long
        return False
    if len(digits) <= 15 and before.rstrip(" (").endswith("+"):
        return False
    return not (before[-1:].isalpha() or after[:1].isalpha() or _REFERENCE_WORD.search(before))


def _passes_luhn(digits: str) -> bool:
    return (sum(map(int, digits[::-2])) + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


# --- in the text of JSON -------------------------------------------------------------------------------------------------------

_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(rf"(?P<string>{_STRING})(?P<colon>\s*:)?|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<mark>[\[\]{{}}])")
_SUSPECT_WORDS = ("cvv", "cvc", "code", "track", "magstripe", "csc", "cid", "mrz", "verification", "<<", "\\u")


def without_card_data(text: str) -> str:
    """Return the text of a JSON document without card data; all else stays byte for byte what was sent."""
    lower = text.lower()
    if not (_LIKELY.search(text) or any(word in lower for word in _SUSPECT_WORDS)):
        return text  # as nearly all
    shown: list[str] = []
    done = 0
    stack: list[tuple[str, dict[str, str]]] = []
    key, siblings, said_by = "", {}, ""
    for token in _TOKEN.finditer(text):
        written = token[0]
        if token["mark"]:
            if written in "[{":
                stack.append((key, siblings))
                siblings = {} if written == "{" else siblings
            elif stack:
                key, siblings = stack.pop()
            continue
        if token["colon"]:
            name = json.loads(token["string"], strict=False)
            key = _key_of(name, stack[-1][0] if stack else "", siblings)
            masked, colon = mask_cards(name), token["colon"]
            new = written if masked == name else json.dumps(masked, ensure_ascii=False) + colon
            said_by = name
        elif token["string"]:
            value = json.loads(written, strict=False)
            if key:
                siblings[said_by] = value
            masked = _field(value, key)
            new = written if masked == value else json.dumps(masked, ensure_ascii=False)
        else:
            masked = _field(written, key) if _kind(key) == "code" or len(written) >= 12 else written
            new = written if masked == written else f'"{masked}"'
        if new != written:
            shown += [text[done : token.start()], new]
            done = token.end()
    return "".join([*shown, text[done:]])
