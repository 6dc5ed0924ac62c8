"""Reads JSON bodies, and refuses what neither database can hold, each with a sentence."""

from typing import IO, Any

from django.conf import settings
from rest_framework import parsers
from rest_framework.exceptions import APIException, ParseError

from integrations.decoding import Decoder, TooManyEntries, Unreadable

MAX_ENTRIES = 10_000
"""In one list or object."""
_decoder = Decoder(fraction=float, max_entries=MAX_ENTRIES)


class TooLarge(APIException):
    status_code = 413
    default_code = "too_large"
    hint = "Send it in parts."


class JSONParser(parsers.JSONParser):
    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: dict[str, Any] | None = None) -> Any:
        body = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise body_too_large()
        try:
            return _decoder.decode(body.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise ParseError("The body is not valid UTF-8.") from None
        except TooManyEntries as error:
            raise TooLarge(f"The body {error}.") from None
        except Unreadable as error:
            raise ParseError(f"The body {error}.") from None


def body_too_large() -> TooLarge:
    return TooLarge(f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE / 2**20:g} MiB.")
