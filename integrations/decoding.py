"""Reads JSON from outside, for every door: the standard's (RFC 8259, I-JSON) and nothing that could hurt later.

What comes out is nested a bounded number of times, holds numbers that can be computed with and texts that both databases hold. Knows no
vendor, no model and no setting; the doors put its reasons into their own errors.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

MAX_DEPTH = 64
MAX_DIGITS = 64
"""Far above any amount or id, far below what makes arithmetic slow."""
MAX_EXPONENT = 64
"""1E+999999999 is eleven bytes here and a gigabyte when somebody prints it."""
_BLANK = " \t\r\n"
_NO_JSON = "is not JSON"


class Unreadable(ValueError):
    """A text is not what may come in: `reason` is what a sentence about it goes on with, `detail` where in it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class TooManyEntries(Unreadable):
    """A list or an object has more entries than the door takes."""


def unstorable(text: str) -> str:
    """Say what of a text no database or UTF-8 holds; empty if nothing."""
    if "\x00" in text:
        return "a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "half a character (a lone surrogate)"
    return ""


class Decoder:
    """A reader of JSON.

    `fraction` makes numbers with a point or an exponent. `max_entries` is the most that one list or object may have.
    """

    def __init__(self, *, fraction: Callable[[str], Any] = Decimal, max_entries: int = 0) -> None:
        self._fraction = fraction
        self._max_entries = max_entries
        self._decode = json.JSONDecoder(
            object_pairs_hook=one_of_each, parse_int=self._integer, parse_float=self._number, parse_constant=_constant
        ).raw_decode

    def decode(self, text: str) -> Any:
        """Return what a text says. Raises Unreadable."""
        text = text.strip(_BLANK)
        try:
            value, end = self._decode(text)
        except RecursionError:
            raise _too_deep() from None
        except Unreadable:
            raise
        except ValueError as error:
            raise Unreadable(_NO_JSON, str(error)) from None
        if end < len(text):
            raise Unreadable(_NO_JSON, f"there is more after its end, from character {end + 1}")
        # Only a text with that many brackets can be nested too deeply, only one with that many commas too long, and only an escape can
        # smuggle in what UTF-8 forbids.
        is_long = 0 < self._max_entries <= text.count(",")
        if is_long or "\\u" in text or text.count("[") + text.count("{") > MAX_DEPTH:
            self._inspect(value)
        return value

    def _integer(self, text: str) -> Any:
        if len(text) <= MAX_DIGITS:
            return int(text)
        raise Unreadable(f"has a number of more than {MAX_DIGITS} digits")

    def _number(self, text: str) -> Any:
        if len(text) > MAX_DIGITS:
            raise Unreadable(f"has a number of more than {MAX_DIGITS} digits")
        try:
            number = Decimal(text)
        except ArithmeticError:  # an exponent that not even Decimal takes
            number = None
        if number is None or abs(number.adjusted()) > MAX_EXPONENT:
            raise Unreadable("has a number that is out of range")
        return number if self._fraction is Decimal else self._fraction(text)

    def _inspect(self, value: Any) -> None:
        level = [("", value)]
        for _ in range(MAX_DEPTH + 1):
            following: list[tuple[str, Any]] = []
            for path, one in level:
                if isinstance(one, str):
                    _check_text(path, one)
                elif isinstance(one, dict | list):
                    if self._max_entries and len(one) > self._max_entries:
                        where = f" at {path[:100]}" if path else ""
                        raise TooManyEntries(f"has {len(one):,} entries{where}; {self._max_entries:,} are the most")
                    if isinstance(one, dict):
                        for name in one:
                            _check_text(path, name)
                    named = one.items() if isinstance(one, dict) else enumerate(one)
                    following += [(f"{path}.{name}" if path else str(name), inner) for name, inner in named]
            if not following:
                return
            level = following
        raise _too_deep()


def _too_deep() -> Unreadable:
    return Unreadable(f"is nested too deeply; {MAX_DEPTH} levels are the most")


def _check_text(path: str, text: str) -> None:
    if what := unstorable(text):
        where = f" at {path[:100].encode('ascii', 'backslashreplace').decode()}" if path else ""
        raise Unreadable(f"has {what}{where}, which cannot be stored")


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs. Raises Unreadable where a name occurs twice: which of its values counts, nobody can know."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Unreadable("has an object in which a name occurs twice")
    return value
