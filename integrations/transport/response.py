"""A vendor's answer, as providers see it: status, headers, bytes, and JSON that can be trusted to be JSON.

Numbers with a fraction become `Decimal`, because they are money more often than not. What JSON does not allow, and what would make a
later step fall over (two values for one key, NaN, a thousand brackets, a billion zeros), is refused here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from urllib3 import HTTPHeaderDict

from integrations.decoding import Decoder, Unreadable
from integrations.exceptions import UnexpectedResponse
from integrations.security.kept import known_secrets

_SHORTEST = 8
"""A shorter secret may stand in a record by chance."""
_decoder = Decoder(keeps_odd=True)
"""One odd number or text in a row must not cost the page: the readers of single values refuse it, with its field."""

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

    @cached_property
    def _json(self) -> Any:
        try:
            text = self.content.decode(self._charset)
            value = _decoder.decode(text)
        except (Unreadable, UnicodeDecodeError) as error:
            reason = error.reason if isinstance(error, Unreadable) else "is not JSON"
            kind = self.headers.get("Content-Type", "without a content type")
            raise UnexpectedResponse(
                f"{self.provider or 'The vendor'} answered with something that {reason} ({kind[:60]}).",
                provider=self.provider,
                operation=self.operation,
                status=self.status,
                maybe_done=self.maybe_done,
            ) from error
        repeated = [secret for secret in self.secrets if len(secret) >= _SHORTEST and (secret in text or json.dumps(secret)[1:-1] in text)]
        return known_secrets(tuple(repeated)).hide_in(value) if repeated else value

    @property
    def _charset(self) -> str:
        declared = self.headers.get("Content-Type", "").lower().rpartition("charset=")[2].strip(' "')
        return declared if declared in CHARSETS else "utf-8-sig"
