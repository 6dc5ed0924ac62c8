"""Builds SOQL. Values go in only through `literal`, names only from a config that allows nothing but letters, digits and underscores."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

Condition = tuple[str, str, object]

_SPECIAL = re.compile(r"[\\'\"\x00-\x1f\x7f\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", '"': '\\"', "'": "\\'", "\\": "\\\\"}


def literal(value: object) -> str:
    """Write a text, a time, or a list of these as SOQL.

    "\\n \\r \\t \\b \\f \\" \\' \\\\ \\uXXXX" are the sequences Salesforce reads in a quoted string; any other backslash is an error (SOQL
    reference, quoted string escape sequences, 2026-11). A time has no quotes and no fraction.
    """
    if isinstance(value, list | tuple):
        return f"({','.join(literal(item) for item in value)})"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "'" + _SPECIAL.sub(lambda found: _NAMED.get(found[0]) or f"\\u{ord(found[0]):04X}", str(value)) + "'"


def select(columns: Iterable[str], table: str, conditions: Iterable[Condition] = (), *, order: str = "", limit: int = 0) -> str:
    """Write a query; `conditions` all have to hold."""
    where = " AND ".join(f"{column} {sign} {literal(value)}" for column, sign, value in conditions)
    parts = [f"SELECT {','.join(columns)} FROM {table}"]  # noqa: S608
    parts += [f"WHERE {where}"] if where else []
    parts += [f"ORDER BY {order}"] if order else []
    parts += [f"LIMIT {limit}"] if limit else []
    return " ".join(parts)
