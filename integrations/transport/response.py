"""A vendor's answer, as providers see it: status, headers, bytes, JSON, and the lists in it.

Numbers with a fraction become `Decimal`, because they are money more often than not. One odd value must not keep a whole page out, so NaN,
a billion zeros and a thousand brackets come through in a form that costs nothing to hold, and that the readers in `integrations.values`
refuse with the row they stand in. What is not JSON at all, or has two values for one key, is refused here.
"""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from urllib3 import HTTPHeaderDict

from integrations.decoding import MAX_DEPTH, one_of_each
from integrations.exceptions import UnexpectedResponse
from integrations.security.kept import known_secrets

_SHORTEST = 8
"""A shorter secret may stand in a record by chance."""
MAX_INTEGER = 40
"""Digits. Where one has more than the 4300 that Python reads, those that are longer than this are held as Decimal."""

CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "windows-1252"})
"""What a vendor may declare. Python knows more, and some of those are slow or decode to something else than text."""


@dataclass(kw_only=True)
class Response:
    status: int
    content: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in any case; several values of one name are joined with a comma."""
    url: str = ""
    provider: str = ""
    operation: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Ours, which an answer may repeat: what providers read has none of them."""
    maybe_done: bool = False
    """The call was a write that may not be repeated: should the answer be unreadable, the vendor has acted all the same."""

    def __post_init__(self) -> None:
        self.headers = HTTPHeaderDict(self.headers)

    @cached_property
    def text(self) -> str:
        return self.content.decode(self._charset, errors="replace")

    def json(self) -> Any:
        """Return the body decoded; raises UnexpectedResponse if it is not clean JSON."""
        return self._json

    def rows(self, *path: str) -> list[Any]:
        """Return the list at a path of names. A missing one is not an empty one, as what is not listed would be taken for deleted.
        Raises UnexpectedResponse that says what came instead."""
        found: Any = self._json
        for number, name in enumerate(path):
            if not isinstance(found, Mapping) or name not in found:
                where = f" in “{'.'.join(path[:number])}”" if number else ""
                raise self.unexpected(f"has no “{name}”{where}: it is {described(found)}")
            found = found[name]
        if not isinstance(found, list):
            raise self.unexpected(
                f"has no list “{'.'.join(path)}”: it is {described(found)}" if path else f"is {described(found)}, not a list"
            )
        return found

    def record(self) -> Mapping[str, Any]:
        """Return the JSON object that the body is. Raises UnexpectedResponse that says what came instead."""
        if not isinstance(self._json, Mapping):
            raise self.unexpected(f"is {described(self._json)}, not a JSON object")
        return self._json

    def unexpected(self, what: str) -> UnexpectedResponse:
        """Return the error that this answer is, in a sentence that goes on after “answer”."""
        return UnexpectedResponse(
            f"{self.provider or 'The vendor'}'s answer {what}.",
            provider=self.provider,
            operation=self.operation,
            status=self.status,
            maybe_done=self.maybe_done,
        )

    @cached_property
    def _json(self) -> Any:
        try:
            text = self.content.decode(self._charset)
            try:
                value = _decode(text)
            except RecursionError:
                value = _decode_odd(_shallow(text))
            except (ValueError, InvalidOperation):
                value = _decode_odd(text)  # one number may be too long for Python
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("Content-Type", "without a content type")
            raise UnexpectedResponse(
                f"{self.provider or 'The vendor'} answered with something that is not JSON ({kind[:60]}).",
                provider=self.provider,
                operation=self.operation,
                status=self.status,
                maybe_done=self.maybe_done,
            ) from error
        repeated = [secret for secret in self.secrets if len(secret) >= _SHORTEST and (secret in text or json.dumps(secret)[1:-1] in text)]
        return known_secrets(tuple(repeated)).hide_in(value) if repeated else value

    @property
    def _charset(self) -> str:
        declared = self.headers.get("Content-Type", "").lower().rpartition("charset=")[2].partition(";")[0].strip(' "')
        if self.content.startswith(codecs.BOM_UTF8):  # it says so itself, whatever is declared beside it
            return "utf-8-sig"
        return declared if declared in CHARSETS else "utf-8"


def described(value: Any) -> str:
    """Say what a JSON value is, without what is in it: "an object with id, name"."""
    if isinstance(value, Mapping):
        names = ", ".join(ascii(name)[1:-1][:40] for name in list(value)[:6])
        return f"an object with {names}{' …' if len(value) > 6 else ''}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    return {str: "a text", bool: "a yes or no", type(None): "null"}.get(type(value), "a number")


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")  # its exponent alone has more digits than a number may


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= MAX_INTEGER else Decimal(text)


_decode = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=one_of_each).decode
_decode_odd = json.JSONDecoder(parse_float=_decimal, parse_int=_integer, parse_constant=Decimal, object_pairs_hook=one_of_each).decode
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[\]{}]', re.DOTALL)


def _shallow(text: str) -> str:
    """Return JSON with null for what is nested too deeply, where it is more than Python can read. Raises ValueError where it does not end."""
    parts, start, depth = [], 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts += [text[start : token.start()], "null"]
        elif token[0] in ("]", "}"):
            if depth == MAX_DEPTH + 1:
                start = token.end()
            depth -= 1
    if depth > MAX_DEPTH:
        raise ValueError("it does not end")
    return "".join([*parts, text[start:]])
