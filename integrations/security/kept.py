"""What may be stored of what comes in: everything but secrets, card data and passports' lines. Every entrance calls it.

By the name of a key, by the integration's own secrets, and by shapes that are nothing else. Names, addresses and telephone numbers of
guests are kept, for they are worked with; `redaction` hides those too wherever something is shown.
"""

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

from integrations.security.cards import LIKELY_NUMBER, REDACTED, SHORTEST, mask_cards, mask_field
from integrations.security.keys import Kind, kind_of, telling_name

# --- by shape ------------------------------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    triggers: tuple[str, ...]
    """In lower case; the pattern only runs on a text that holds one of them."""
    pattern: re.Pattern[str]
    """Repeats are bounded: no text makes it run for longer than its length, times a few dozen."""
    replacement: str = REDACTED


AFTER_FIRST = r"\1" + REDACTED

# Only what cannot be meant otherwise: somebody may well write to a guest that “the password of the WLAN is ...”.
TOKENS = (
    Shape(("-----begin",), re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}-----|\Z)", re.S)),
    Shape(("eyj",), re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*){0,3}")),  # JWT and JWE
    Shape(("sq0", "eaaa", "eqaa"), re.compile(r"\b(?:E[AQ]AA[\w-]{8,}|sq0[a-z]{3}-[\w-]{4,})")),  # Square
    Shape(("00d",), re.compile(r"\b00D\w{12,15}![\w.!-]{4,}")),  # Salesforce
    Shape(
        ("k_live_", "k_test_", "sk-", "hsp_", "whsec_", "ghp_", "xox", "akia", "ya29."),  # ours, and what people paste by mistake
        re.compile(r"\b(?:[spr]k_(?:live|test)_|sk-|hsp_|whsec_|ghp_|xox[abprs]-|AKIA|ya29\.)[\w+/=-]{8,}"),
    ),
    Shape(("bearer",), re.compile(r"\b(bearer(?:\s|%20){1,4})(?=[A-Za-z_.~+/=-]{0,200}\d)[\w.~+/=!%-]{16,}", re.I), AFTER_FIRST),
    Shape(("://",), re.compile(r"(://)[^\s/@:\"]{0,100}:[^\s/@\"]{0,200}@"), AFTER_FIRST + "@"),
)


def mask_shapes(text: str, shapes: Sequence[Shape] = TOKENS) -> str:
    if shapes and len(text) >= _SHORTEST_TOKEN:
        for shape in _possible(text, shapes):
            text = shape.pattern.sub(shape.replacement, text)
    return text


def _possible(text: str, shapes: Sequence[Shape]) -> list[Shape]:
    lower = text.lower()
    return [shape for shape in shapes if any(trigger in lower for trigger in shape.triggers)]


_SHORTEST_TOKEN = 6
"""`://:@`"""


# --- by known value ------------------------------------------------------------------------------------------------------------

SHORT_SECRET = 6
"""A shorter secret is only recognised when it is the whole value: as a part it would be found everywhere."""


class Known(NamedTuple):
    """Secrets that are known, to be found again in whatever way they are spelt."""

    spellings: tuple[str, ...]
    pattern: re.Pattern[str]
    whole: frozenset[str]

    def hide(self, text: str) -> str:
        if text in self.whole:
            return REDACTED
        return self.pattern.sub(REDACTED, text) if any(spelling in text for spelling in self.spellings) else text

    def hide_in(self, value: Any) -> Any:
        """Return a decoded JSON value with the secrets taken out of its texts."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {name: self.hide_in(item) for name, item in value.items()}
        return [self.hide_in(item) for item in value] if isinstance(value, list) else value


@lru_cache(maxsize=256)
def known_secrets(secrets: tuple[str, ...]) -> Known:
    long = [secret for secret in secrets if secret and len(secret) >= SHORT_SECRET]
    spellings = tuple(sorted({spelling for secret in long for spelling in _spellings(secret)}, key=len, reverse=True))
    pattern = re.compile("|".join(map(re.escape, spellings)) or r"(?!)")
    return Known(spellings, pattern, frozenset(filter(None, secrets)))


def _spellings(secret: str) -> Iterator[str]:
    """Yield the ways in which a secret comes back: as it is, escaped for a URL, JSON or HTML, and inside of base64."""
    yield secret
    for escaped in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield escaped
        yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), escaped)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield html.escape(secret)
    # Basic authentication encodes user:password as one: the secret begins at one of three offsets and shares its outer characters.
    data = secret.encode(errors="replace")
    for offset, shared in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        core = whole[shared : len(whole) - bool((offset + len(data)) % 3)]
        if len(core) >= SHORT_SECRET:
            yield core
            yield core.replace("+", "-").replace("/", "_")


# --- values --------------------------------------------------------------------------------------------------------------------


def keepable(value: Any, key: str = "", *, names_secrets: bool = True) -> Any:
    """Return what may be stored of `value`, of the field `key`: of a text, a number, or lists and mappings of them.

    With `names_secrets` false a key alone makes no secret: settings name headers and fields that carry one at the vendor.
    """
    if isinstance(value, str):
        return _text(value, kind_of(key), names_secrets)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        if not (value == value and abs(value) >= 100) or abs(value) >= 10**19:
            return value
        written = str(int(value)) if value == int(value) else str(value)
        shown = _text(written, kind_of(key), names_secrets)
        return value if shown == written else shown
    if isinstance(value, Mapping):
        return {
            mask_cards(name) if isinstance(name, str) else name: keepable(item, telling_name(name, key, value), names_secrets=names_secrets)
            for name, item in value.items()
        }
    if type(value) in (list, tuple):
        return type(value)(keepable(item, key, names_secrets=names_secrets) for item in value)
    return value


def _text(text: str, kind: Kind, names_secrets: bool = True, shapes: Sequence[Shape] = TOKENS) -> str:
    if kind.is_token and names_secrets:
        return REDACTED if text else text
    if len(text) < SHORTEST and not kind.is_code:
        return text
    if text[0] in "{[":
        text = keepable_json(text)  # JSON within JSON
    return mask_shapes(mask_field(text, kind), shapes)


# --- the text of JSON ----------------------------------------------------------------------------------------------------------

_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(rf"(?P<string>{_STRING})(?P<colon>\s*:)?|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<mark>[\[\]{{}}])")
_SUSPECT_WORDS = (
    "cvv", "cvc", "curity", "rdcode", "rd_code", "track", "magstr", "csc", "cid", "mrz", "rification", "<<", "\\u",
    "token", "secret", "passw", "passph", "key\"", "thorization", "cookie", "credent", "bearer", "asserti", "jwt", "session",
    "-----begin", "eyj", "sq0", "eaaa", "eqaa", "00d", "k_live_", "k_test_", "sk-", "hsp_", "whsec_", "ghp_", "xox", "akia", "ya29.",
)  # fmt: skip
"""One of them is in every text that holds something of the kind, card numbers and addresses with a password apart."""
_USER_IN_URL = re.compile(r"://[^\s/@\"]{1,300}@")


def _read(written: str) -> str:
    return json.loads(written, strict=False) if "\\" in written else written[1:-1]


def keepable_json(text: str) -> str:
    """Return what may be stored of the text of a JSON document; all else stays byte for byte what was sent."""
    lower = text.lower()
    for word in _SUSPECT_WORDS:  # spelt out: this is done for every delivery, and a generator costs it again
        if word in lower:
            break
    else:
        if not (LIKELY_NUMBER.search(text) or ("@" in text and _USER_IN_URL.search(text))):
            return text  # as nearly all
    shapes = _possible(text, TOKENS)  # of which a single text can hold one
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
            name = _read(token["string"])
            key = telling_name(name, stack[-1][0] if stack else "", siblings)
            masked, colon = mask_cards(name), token["colon"]
            new = written if masked == name else json.dumps(masked, ensure_ascii=False) + colon
            said_by = name
        elif token["string"]:
            value = _read(written)
            if key:
                siblings[said_by] = value
            masked = _text(value, kind_of(key), shapes=shapes)
            new = written if masked == value else json.dumps(masked, ensure_ascii=False)
        else:
            kind = kind_of(key)
            masked = _text(written, kind, shapes=shapes) if kind.is_code or kind.is_token or len(written) >= 12 else written
            new = written if masked == written else f'"{masked}"'
        if new != written:
            shown += [text[done : token.start()], new]
            done = token.end()
    return "".join([*shown, text[done:]])
