"""Reads JSON bodies, and refuses what neither database can hold."""

import math
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError


class JSONParser(parsers.JSONParser):
    """JSON as the standard has it: no NaN, no endless numbers, no NUL, no half surrogate pair, no bottomless nesting."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: dict[str, Any] | None = None) -> Any:
        try:
            data = super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
        _refuse_unstorable(data)
        return data


def _refuse_unstorable(data: Any) -> None:
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.keys()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, float) and not math.isfinite(value):
            raise ParseError("A number in the body is too large.")
        elif isinstance(value, str) and ("\x00" in value or not _is_unicode(value)):
            raise ParseError("A text in the body contains a NUL character or half of a surrogate pair. Remove it.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
