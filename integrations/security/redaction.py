"""What may be shown: nothing that is not kept, and nothing of who a guest is. Ids and amounts stay, or nobody could search a log.

Three nets, because each has holes: the name of a key, the integration's own secret values in any spelling, and the shape of a value.
Everything that prints or logs what a vendor, a guest or an exception said comes through here first, and is cut second.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlencode

from integrations.security.cards import mask_cards, mask_field
from integrations.security.kept import AFTER_FIRST, REDACTED, TOKENS, Known, Shape, known_secrets, mask_shapes
from integrations.security.keys import Kind, kind_of, telling_name

MAX_DEPTH = 20
MAX_KEYS = 100
MARGIN = 8192
"""How far beyond the cut a text is searched: a secret that begins before the cut must be seen whole."""

# --- by shape ------------------------------------------------------------------------------------------------------------------

_ASSIGNED_WORDS = "token secret passw passphrase key signature session assertion cvv cvc pin pwd iban dob card name mail phone street postal birth passport"
_ASSIGNED = (
    r"((?:token(?!_?(?:type|url|endpoint))|secret|passw(?:or)?d|passphrase|(?:api|app|access|private)[_-]?key|signature|session[_-]?id|assertion"
    r"|\b(?:cvv|cvc|pin|pwd|iban|dob)|card[_-]?number|(?:first|last|given|family|full|guest|customer)[_-]?name|surname|e-?mail|phone|street"
    r"|postal[_-]?code|birth[_-]?date|date[_-]?of[_-]?birth|passport)[\w-]{0,20}[\\\"']{0,2}\s{0,3}[=:>]\s{0,3})"
    r"(?!\s|\[redacted)(\\?\"[^\"\\]*|'[^']*|[^\s\"'&<,;)}\]\\]+)"
)

_SHAPES = (
    *TOKENS,
    Shape(("bearer",), re.compile(r"\b(bearer(?:\s|%20){1,4})(?!realm\b|auth|token\b|error|scope)[\w.~+/=!%-]{6,}", re.I), AFTER_FIRST),
    Shape(("basic",), re.compile(r"\b((?i:basic)\s{1,4})(?=[A-Za-z]{0,200}(?:[0-9+/=]|[a-z][A-Z]))[\w+/=-]{6,}"), AFTER_FIRST),
    Shape(
        ("authorization", "cookie"),
        re.compile(r"((?:authorization|cookie)[\\\"']{0,2}\s{0,3}[:=]\s{0,3}[\\\"']{0,2})(?!\s|\[redacted)[^\r\n\"'\\]+", re.I),
        AFTER_FIRST,
    ),
    Shape(tuple(_ASSIGNED_WORDS.split()), re.compile(_ASSIGNED, re.I), AFTER_FIRST),
    Shape(("@", "%40"), re.compile(r"[\w.+-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    Shape(("+",), re.compile(r"(?<![\w.])\+\d[\d ()./-]{6,18}\d")),  # a telephone number with its country
)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_NOTHING = known_secrets(())


@lru_cache(maxsize=4096)
def _shown_name(name: str) -> str:
    return _clean(name[:200], _NOTHING)


# --- the doors -----------------------------------------------------------------------------------------------------------------


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` fit for a log line or a screen: nothing secret or personal, and nothing that could forge a line or a colour."""
    return _clean(text, known_secrets(tuple(secrets)))


def redact_url(url: str, secrets: Iterable[str] = ()) -> str:
    """Return `url` fit for a log: its parameters are judged by their names too."""
    known = known_secrets(tuple(secrets))
    address, mark, query = url.partition("?")
    shown = [
        (_shown_name(name), REDACTED if value and kind_of(name).is_hidden else _clean(value, known, kind_of(name)))
        for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=None)
    ]
    return _clean(address, known) + mark + urlencode(shown, safe="[]:/,…")


def mask_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """Return `headers` fit for a log."""
    secrets = tuple(secrets)
    known = known_secrets(secrets)
    shown: dict[str, str] = {}
    for name, value in headers.items():
        kind, shown_name = kind_of(name), _shown_name(name)
        if kind.is_hidden:
            shown[shown_name] = REDACTED
        else:
            shown[shown_name] = redact_url(value, secrets) if "://" in value else _clean(value[:MARGIN], known, kind)[:200]
    return shown


def redact(value: Any, secrets: Iterable[str] = (), *, max_items: int = 3, max_text: int = 500) -> Any:
    """Return a copy of `value` that JSON can hold, fit for a log row.

    Of a list only the first `max_items` are looked at and kept, of a text `max_text` characters. Nearly always there is nothing to hide
    but what its key names, so all texts are searched at once, and one by one only if something was found.
    """
    known = known_secrets(tuple(secrets))
    texts: list[str] = []
    is_suspect = False

    def collect(text: str, kind: Kind) -> str:
        nonlocal is_suspect
        is_suspect |= kind.is_card
        texts.append(text)
        return text

    copy = _Copier(collect, max_items, max_text).copy(value)
    if is_suspect or _is_suspect(" ¦ ".join(texts), known) or not known.whole.isdisjoint(texts):
        copy = _Copier(lambda text, kind: _clean(text, known, kind), max_items, max_text).copy(value)
    return copy


SHORTEST_NAME = 4
"""A shorter one would be found in other words."""


def personal_values(value: Any) -> tuple[str, ...]:
    """Return the texts that say who a guest is, by their keys: a vendor may repeat them in a sentence, where nothing tells them apart."""
    if isinstance(value, list | tuple):
        return tuple(text for item in value for text in personal_values(item))
    if not isinstance(value, Mapping):
        return ()
    is_person = any(kind_of(str(name)).is_personal for name in value)
    found: list[str] = []
    for name, item in value.items():
        kind = kind_of(str(name))
        if isinstance(item, str) and (kind.is_personal or (kind.is_name and is_person)):
            found += [word for word in (item, *item.split()) if len(word) >= SHORTEST_NAME and not word.isdigit()]
        else:
            found += personal_values(item)
    return tuple(found)


_NUMBERS = (int, float, Decimal)
_LISTS = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class _Copier:
    """Copies a structure: hides by key, cuts what is long, and passes every text that stays through `leaf`."""

    leaf: Callable[[str, Kind], str]
    max_items: int
    max_text: int

    def copy(self, value: Any, key: str = "", about_person: bool = False, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self._text(value, key)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, _NUMBERS):
            return self._number(value, key)
        if depth >= MAX_DEPTH:
            return "…"
        if isinstance(value, _LISTS):
            kept = [self.copy(item, key, about_person, depth + 1) for item in islice(value, self.max_items)]
            return [*kept, f"… {len(value) - self.max_items} more"] if len(value) > self.max_items else kept
        if isinstance(value, Mapping):
            return self._mapping(value, key, about_person, depth)
        if isinstance(value, bytes):
            return self._text(value[: 4 * (self.max_text + MARGIN)].decode(errors="replace"), key)
        return self._text(str(value), key)

    def _mapping(self, value: Mapping[Any, Any], parent: str, about_person: bool, depth: int) -> dict[str, Any]:
        rows = [(str(name), telling_name(name, parent, value), item) for name, item in islice(value.items(), MAX_KEYS)]
        about_person = about_person or any(kind_of(name).is_personal for name, _, _ in rows)
        copy: dict[str, Any] = {}
        for name, telling, item in rows:
            kind = kind_of(name)
            is_hidden = kind.is_hidden or kind_of(telling).is_hidden or (kind.is_name and about_person)
            if is_hidden and item and item is not True:
                copy[_shown_name(name)] = REDACTED
            else:
                copy[_shown_name(name)] = self.copy(item, telling, about_person or kind.is_person, depth + 1)
        if len(value) > MAX_KEYS:
            copy["…"] = f"… {len(value) - MAX_KEYS} more"
        return copy

    def _text(self, text: str, key: str) -> str:
        shown = self.leaf(text[: self.max_text + MARGIN], kind_of(key))
        return shown if len(text) <= self.max_text else f"{shown[: self.max_text]}… {len(text) - self.max_text} more characters"

    def _number(self, value: int | float | Decimal, key: str) -> Any:
        if isinstance(value, Decimal):
            value = float(value)
        if -(10**12) < value < 10**12:
            return value
        if isinstance(value, int) and abs(value) >= 10**40:
            return "…"
        text = str(value)
        shown = self.leaf(text, kind_of(key))
        is_json = shown == text and value - value == 0  # not so for infinity, and for what is not a number
        return value if is_json else shown


def _is_suspect(text: str, known: Known) -> bool:
    lower = text.lower()
    return bool(
        any(spelling in text for spelling in known.spellings)
        or any(shape.pattern.search(text) for shape in _SHAPES if any(trigger in lower for trigger in shape.triggers))
        or mask_cards(text) != text
        or _CONTROL.search(text)
    )


def _clean(text: str, known: Known, kind: Kind = Kind()) -> str:
    text = mask_field(mask_shapes(known.hide(text), _SHAPES), kind)
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text) if _CONTROL.search(text) else text
