"""What must never be stored or shown: secrets, card numbers, and who a guest is. Ids and amounts stay, or nobody could search a log.

Three nets, because each has holes: the name of a key, the integration's own secret values in any spelling, and the shape of a value.
Everything that keeps or prints what a vendor, a guest or an exception said comes through here first, and is cut second.
"""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from integrations.security.cards import REDACTED, mask_cards

MAX_DEPTH = 20
MAX_KEYS = 100
MARGIN = 8192
"""How far beyond the cut a text is searched: a secret that begins before the cut must be seen whole."""

SHORT_SECRET = 6
"""A shorter secret is only recognised when it is the whole value: as a part it would be found everywhere."""

# --- by the name of the key ----------------------------------------------------------------------------------------------------
# Names are compared in lower case without punctuation: access_token, accessToken and X-Access-Token end alike.

_SECRET_KEY = re.compile(
    r"token|secret|passw|passphrase|passcode|^pass$|^pwd$"
    r"|(api|app|access|private|signing|encryption|subscription|master|auth|account|client)key$"
    r"|signature|^sig$|^digest$|authorization$|^xauth|cookie|credential|^session$|(session|^s)id$|bearer|assertion|^jwt$|codeverifier"
    r"|^otp$|onetimecode|^pin(code)?$|cvv|cvc|cardcode|securitycode|cardnumber|^pan$|ccnumber|track(data|[12])$|magstripe"
)
_NO_SECRET_KEY = re.compile(
    r"token(type|format|url|uri|endpoint)|(page|next|previous|sync|continuation)token|expires|expiry|expiration"
    r"|(signature|token)s?(type|count|method)$"
)
_PERSONAL_KEY = re.compile(
    r"(first|last|given|family|middle|full|maiden|nick|guest|customer|sender|recipient|contact|person|profile|holder|traveller|payer)s?names?$"
    r"|surname|^initials$|nameoncard"
    r"|e?mail(address(es)?|s|\d)?$|phones?(number|no|\d|home|work)?$|^mobile(no|number)?$|^cell$|^fax(number)?$"
    r"|(?<!ip)(?<!mac)(?<!base)address(es)?$|addressline|street|(postal|post|zip)code|^zip$|(^|mailing|other|billing|home)(city|town)(name)?$"
    r"|birth|^dob$|passport|(document|identity|identification|nationalid|idcard|licen[cs]e|taxid)(number|no|id)$|^id(number|card)$"
    r"|^(nationalid|taxid|ssn)$|socialsecurity|numberplate|^iban$"
)
_PERSON = re.compile(r"guest(?!check)|customer|contact|profile|person|travell?er|attendee|companion|occupant|payer|recipient|cardholder")


class _Key(NamedTuple):
    shown: str
    is_hidden: bool
    is_personal: bool
    """Whoever else has such a key is a person, so its `name` is a person's."""
    is_name: bool
    is_person: bool
    """What is below is about a person."""


@lru_cache(maxsize=4096)
def _key(name: str) -> _Key:
    plain = re.sub(r"[^a-z0-9]", "", name[:200].lower())
    is_secret = bool(_SECRET_KEY.search(plain)) and not _NO_SECRET_KEY.search(plain)
    is_personal = bool(_PERSONAL_KEY.search(plain))
    return _Key(_clean(name[:200], _NOTHING), is_secret or is_personal, is_personal, plain == "name", bool(_PERSON.search(plain)))


# --- by shape ------------------------------------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    triggers: tuple[str, ...]
    """In lower case; the pattern only runs on a text that holds one of them."""
    pattern: re.Pattern[str]
    """Repeats are bounded: no text makes it run for longer than its length, times a few dozen."""
    replacement: str


_ASSIGNED_WORDS = "token secret passw passphrase key signature session assertion cvv cvc pin pwd iban dob card name mail phone street postal birth passport"
_ASSIGNED = (
    r"((?:token(?!_?(?:type|url|endpoint))|secret|passw(?:or)?d|passphrase|(?:api|app|access|private)[_-]?key|signature|session[_-]?id|assertion"
    r"|\b(?:cvv|cvc|pin|pwd|iban|dob)|card[_-]?number|(?:first|last|given|family|full|guest|customer)[_-]?name|surname|e-?mail|phone|street"
    r"|postal[_-]?code|birth[_-]?date|date[_-]?of[_-]?birth|passport)[\w-]{0,20}[\\\"']{0,2}\s{0,3}[=:>]\s{0,3})"
    r"(?!\s|\[redacted)(\\?\"[^\"\\]*|'[^']*|[^\s\"'&<,;)}\]\\]+)"
)
_AFTER_FIRST = r"\1" + REDACTED

_SHAPES = (
    _Shape(("-----begin",), re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}-----|\Z)", re.S), REDACTED),
    _Shape(("eyj",), re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*){0,3}"), REDACTED),  # JWT and JWE
    _Shape(("bearer",), re.compile(r"\b(bearer(?:\s|%20){1,4})(?!realm\b|auth|token\b|error|scope)[\w.~+/=!%-]{6,}", re.I), _AFTER_FIRST),
    _Shape(("basic",), re.compile(r"\b((?i:basic)\s{1,4})(?=[A-Za-z]{0,200}(?:[0-9+/=]|[a-z][A-Z]))[\w+/=-]{6,}"), _AFTER_FIRST),
    _Shape(
        ("authorization", "cookie"),
        re.compile(r"((?:authorization|cookie)[\\\"']{0,2}\s{0,3}[:=]\s{0,3}[\\\"']{0,2})(?!\s|\[redacted)[^\r\n\"'\\]+", re.I),
        _AFTER_FIRST,
    ),
    _Shape(("sq0", "eaaa", "eqaa"), re.compile(r"\b(?:E[AQ]AA[\w-]{4,}|sq0[a-z]{3}-[\w-]{4,})"), REDACTED),  # Square
    _Shape(("00d",), re.compile(r"\b00D\w{12,15}![\w.!-]{4,}"), REDACTED),  # Salesforce
    _Shape(
        ("k_", "sk-", "hsp_", "whsec_", "ghp_", "xox", "akia", "ya29."),  # ours, and what people paste by mistake
        re.compile(r"\b(?:[spr]k_(?:live|test)_|sk-|hsp_|whsec_|ghp_|xox[abprs]-|AKIA|ya29\.)[\w+/=-]{8,}"),
        REDACTED,
    ),
    _Shape(("://",), re.compile(r"(://)[^\s/@:]{0,100}:[^\s/@]{0,200}@"), _AFTER_FIRST + "@"),
    _Shape(tuple(_ASSIGNED_WORDS.split()), re.compile(_ASSIGNED, re.I), _AFTER_FIRST),
    _Shape(("@", "%40"), re.compile(r"[\w.+-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), REDACTED),
    _Shape(("+",), re.compile(r"(?<![\w.])\+\d[\d ()./-]{6,18}\d"), REDACTED),  # a telephone number with its country
)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


# --- by known value ------------------------------------------------------------------------------------------------------------


class _Known(NamedTuple):
    spellings: tuple[str, ...]
    pattern: re.Pattern[str]
    whole: frozenset[str]


_NOTHING = _Known((), re.compile(r"(?!)"), frozenset())


@lru_cache(maxsize=256)
def _known(secrets: tuple[str, ...]) -> _Known:
    long = [secret for secret in secrets if secret and len(secret) >= SHORT_SECRET]
    spellings = tuple(sorted({spelling for secret in long for spelling in _spellings(secret)}, key=len, reverse=True))
    pattern = re.compile("|".join(map(re.escape, spellings)) or r"(?!)")
    return _Known(spellings, pattern, frozenset(filter(None, secrets)))


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


# --- the doors -----------------------------------------------------------------------------------------------------------------


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` fit for a log line or a screen: nothing secret or personal, and nothing that could forge a line or a colour."""
    return _clean(text, _known(tuple(secrets)))


def redact_url(url: str, secrets: Iterable[str] = ()) -> str:
    """Return `url` fit for a log: its parameters are judged by their names too."""
    known = _known(tuple(secrets))
    address, mark, query = url.partition("?")
    shown = [
        (_key(name).shown, REDACTED if value and _key(name).is_hidden else _clean(value, known))
        for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=None)
    ]
    return _clean(address, known) + mark + urlencode(shown, safe="[]:/,…")


def mask_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """Return `headers` fit for a log."""
    secrets = tuple(secrets)
    known = _known(secrets)
    shown: dict[str, str] = {}
    for name, value in headers.items():
        if _key(name).is_hidden:
            shown[_key(name).shown] = REDACTED
        else:
            shown[_key(name).shown] = redact_url(value, secrets) if "://" in value else _clean(value[:MARGIN], known)[:200]
    return shown


def redact(value: Any, secrets: Iterable[str] = (), *, max_items: int = 3, max_text: int = 500) -> Any:
    """Return a copy of `value` that JSON can hold, fit for a log row.

    Of a list only the first `max_items` are looked at and kept, of a text `max_text` characters. Nearly always there is nothing to hide
    but what its key names, so all texts are searched at once, and one by one only if something was found.
    """
    known = _known(tuple(secrets))
    texts: list[str] = []

    def collect(text: str) -> str:
        texts.append(text)
        return text

    copy = _Copier(collect, max_items, max_text).copy(value)
    if _is_suspect(" ¦ ".join(texts), known) or not known.whole.isdisjoint(texts):
        copy = _Copier(lambda text: _clean(text, known), max_items, max_text).copy(value)
    return copy


_NUMBERS = (int, float, Decimal)
_LISTS = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class _Copier:
    """Copies a structure: hides by key, cuts what is long, and passes every text that stays through `leaf`."""

    leaf: Callable[[str], str]
    max_items: int
    max_text: int

    def copy(self, value: Any, about_person: bool = False, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, _NUMBERS):
            return self._number(value)
        if depth >= MAX_DEPTH:
            return "…"
        if isinstance(value, _LISTS):
            kept = [self.copy(item, about_person, depth + 1) for item in islice(value, self.max_items)]
            return [*kept, f"… {len(value) - self.max_items} more"] if len(value) > self.max_items else kept
        if isinstance(value, Mapping):
            return self._mapping(value, about_person, depth)
        if isinstance(value, bytes):
            return self._text(value[: 4 * (self.max_text + MARGIN)].decode(errors="replace"))
        return self._text(str(value))

    def _mapping(self, value: Mapping[Any, Any], about_person: bool, depth: int) -> dict[str, Any]:
        rows = [(_key(str(name)), item) for name, item in islice(value.items(), MAX_KEYS)]
        about_person = about_person or any(key.is_personal for key, _ in rows)
        copy: dict[str, Any] = {}
        for key, item in rows:
            if (key.is_hidden or (key.is_name and about_person)) and item and item is not True:
                copy[key.shown] = REDACTED
            else:
                copy[key.shown] = self.copy(item, about_person or key.is_person, depth + 1)
        if len(value) > MAX_KEYS:
            copy["…"] = f"… {len(value) - MAX_KEYS} more"
        return copy

    def _text(self, text: str) -> str:
        shown = self.leaf(text[: self.max_text + MARGIN])
        return shown if len(text) <= self.max_text else f"{shown[: self.max_text]}… {len(text) - self.max_text} more characters"

    def _number(self, value: int | float | Decimal) -> Any:
        if isinstance(value, Decimal):
            value = float(value)
        if -(10**12) < value < 10**12:
            return value
        if isinstance(value, int) and abs(value) >= 10**40:
            return "…"
        text = str(value)
        shown = self.leaf(text)
        is_json = shown == text and value - value == 0  # not so for infinity, and for what is not a number
        return value if is_json else shown


def _is_suspect(text: str, known: _Known) -> bool:
    lower = text.lower()
    return bool(
        any(spelling in text for spelling in known.spellings)
        or any(shape.pattern.search(text) for shape in _SHAPES if any(trigger in lower for trigger in shape.triggers))
        or mask_cards(text) != text
        or _CONTROL.search(text)
    )


def _clean(text: str, known: _Known) -> str:
    if text in known.whole:
        return REDACTED
    if any(spelling in text for spelling in known.spellings):
        text = known.pattern.sub(REDACTED, text)
    lower = text.lower()
    for shape in _SHAPES:
        if any(trigger in lower for trigger in shape.triggers):
            text = shape.pattern.sub(shape.replacement, text)
    text = mask_cards(text)
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text) if _CONTROL.search(text) else text
