"""Knows card data and passports' machine-readable lines by their shape: the one place that does, for every entrance.

A number is a card's by its issuer, length and check digit, and by where it stands: the name of its key, how it is grouped, the words
beside it. Ids, phone numbers, SKUs and barcodes stay as they are, for they are worked from. Of a card the first six and last four digits
stay; codes, tracks and passport lines go altogether.
"""

import re

from integrations.security.keys import Kind

REDACTED = "[redacted]"
SHORTEST = 7
"""No shorter text holds anything of the kind, unless its key says so: `cvv 123`."""

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
_BETWEEN = "[\\s.\u00b7\\-\u2010-\u2015\u2212_/\u00ad\u200b-\u200d\u2060\ufeff]"
_RUN = re.compile(
    r"(?P<uuid>(?<![0-9a-z])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-z]))"
    rf"|(?<![\d…])\d(?:{_BETWEEN}{{0,3}}\d){{11,}}",
    re.I,
)
LIKELY_NUMBER = re.compile(rf"\d(?:{_BETWEEN}{{0,3}}\d){{11}}")
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
_CODE_WORDS = ("cvv", "cvc", "cid", "csc", "curity", "ification")
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
    if len(text) < SHORTEST:
        return text
    has_number = LIKELY_NUMBER.search(text)
    if has_number and ("^" in text or "=" in text or "d" in text or "D" in text):
        text = _TRACKS.sub(REDACTED, text)
    if "<" in text:
        text = _PASSPORT.sub(REDACTED, text)
    if has_number:
        text = _RUN.sub(_mask_run, text)
    lower = text.lower()
    return _CODE_BY_WORD.sub(rf"\1{REDACTED}", text) if any(word in lower for word in _CODE_WORDS) else text


_ONE_ID = re.compile(r"\S*|[\d\s()+./-]*")


def mask_field(text: str, kind: Kind) -> str:
    """Return the text of a field that holds such a kind of thing, without card data."""
    if kind.is_code:
        return REDACTED if text else text
    if kind.is_id and _ONE_ID.fullmatch(text):
        return text
    if kind.is_card:
        digits = "".join(str(int(digit)) for digits in _GROUP.findall(text) for digit in digits)
        if 12 <= len(digits) <= 19 and not re.search(r"[^\W\d_]", text) and (_ISSUED.fullmatch(digits) or _passes_luhn(digits)):
            return f"{digits[:6]}…{digits[-4:]}"
    return mask_cards(text)


# --- numbers --------------------------------------------------------------------------------------------------------------------


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
