"""One spelling for each id of Salesforce's. Pure.

A record's id has 15 characters whose case matters, or 18: the same 15, and three that say which of them are upper case, so that it
survives a system that does not know the case of letters. Reports and formulas give the one, the API the other.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from integrations import values
from integrations.exceptions import RecordRejected

_SHAPE = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-5]{3})?", re.ASCII)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def record_id(value: Any, name: str) -> str:
    """Return an id in its 18 characters. Raises RecordRejected for what cannot be one."""
    text = values.ident(value, name)
    if not _SHAPE.fullmatch(text):
        values.refuse(name, value, "not an id of Salesforce's")
    core, told = text[:15], text[15:].upper()
    if told and (core in (core.lower(), core.upper())):
        core = _recased(core, told)
    if told not in ("", _checksum(core)):
        values.refuse(name, value, "not an id of Salesforce's: its last three characters do not fit the others")
    return core + _checksum(core)


def _checksum(core: str) -> str:
    blocks = (core[start : start + 5] for start in (0, 5, 10))
    return "".join(_LETTERS[sum(c.isupper() << bit for bit, c in enumerate(block))] for block in blocks)


def _recased(core: str, told: str) -> str:
    """Give letters back the case that the last three characters tell of."""
    flags = "".join(f"{_LETTERS.index(letter):05b}"[::-1] for letter in told)
    return "".join(c.upper() if flag == "1" else c.lower() for c, flag in zip(core, flags, strict=True))


def spelled(text: str) -> str:
    """Return a text in the one spelling if it is an id, else as it is: an org may keep something else where others keep an id."""
    try:
        return record_id(text, "id")
    except RecordRejected:
        return text


def readable(texts: Iterable[str]) -> Iterator[str]:
    """Yield those that are ids, in the one spelling."""
    for text in texts:
        with suppress(RecordRejected):
            yield record_id(text, "id")
