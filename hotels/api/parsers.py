"""Reads JSON bodies, and refuses what neither database can hold, each with a sentence."""

import json
import math
import re
from typing import IO, Any

from django.conf import settings
from rest_framework import parsers
from rest_framework.exceptions import APIException, ParseError

MAX_DEPTH = 64
MAX_DIGITS = 64
MAX_ENTRIES = 10_000
"""In one list or object."""
_HALF = re.compile("[\x00\ud800-\udfff]")


class TooLarge(APIException):
    status_code = 413
    default_code = "too_large"
    hint = "Send it in parts."


class JSONParser(parsers.JSONParser):
    """JSON as the standard has it: UTF-8, no NaN, no endless numbers, no NUL, no half surrogate pair, no bottomless nesting."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: dict[str, Any] | None = None) -> Any:
        body = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise body_too_large()
        try:
            data = _decoder.decode(body.decode("utf-8-sig"))
        except RecursionError:
            raise _too_deep() from None
        except UnicodeDecodeError:
            raise ParseError("The body is not valid UTF-8.") from None
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None
        _refuse_unstorable(data)
        return data


def body_too_large() -> TooLarge:
    return TooLarge(f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE / 2**20:g} MiB.")


def _too_deep() -> ParseError:
    return ParseError(f"The body is nested too deeply; {MAX_DEPTH} levels are the most.")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


_decoder = json.JSONDecoder(parse_int=_integer, parse_constant=_constant)


def _refuse_unstorable(data: Any) -> None:
    waiting = [("", 0, data)]
    while waiting:
        path, depth, value = waiting.pop()
        if isinstance(value, dict | list):
            if depth >= MAX_DEPTH:
                raise _too_deep()
            if len(value) > MAX_ENTRIES:
                raise TooLarge(f"{path or 'The body'} has {len(value):,} entries; {MAX_ENTRIES:,} are the most.")
            named = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(f"{path}.{name}" if path else str(name), depth + 1, inner) for name, inner in named]
            if isinstance(value, dict):
                waiting += [(path, depth, name) for name in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise ParseError(f"A number in the body is too large: {path[:200]}.")
        elif isinstance(value, str) and _HALF.search(value):
            raise ParseError("A text in the body contains a NUL character or half of a surrogate pair. Remove it.")
