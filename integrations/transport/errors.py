"""From a vendor's status to our error class: the one place that decides, and the rows a provider may add to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from integrations.exceptions import ProviderError
from integrations.transport.response import Response


def _knows_nothing(response: Response) -> tuple[str, str]:
    return "", ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRules:
    """How to read a vendor's error body, and rows that go before the common table."""

    read: Callable[[Response], tuple[str, str]] = _knows_nothing
    """-> (the vendor's code, its message). A body it cannot read (not JSON, empty) is none of its worry: UnexpectedResponse means both empty."""
    table: Mapping[tuple[int | None, str], type[ProviderError]] = field(default_factory=dict)
    """(status or None for any, code or "" for any) -> class."""
    in_success: bool = False
    """Look for errors in a 2xx too (Square's bulk answers): a code found there is an error."""
