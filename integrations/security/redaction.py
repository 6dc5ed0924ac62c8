from collections.abc import Iterable, Mapping
from typing import Any


def redact(value: Any, secrets: Iterable[str] = (), *, max_items: int = 3, max_text: int = 500) -> Any:
    return value


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    return text


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return dict(headers)
