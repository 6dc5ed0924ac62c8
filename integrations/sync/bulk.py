"""Many rows in one statement: COPY on PostgreSQL, executemany on SQLite.

Django's `bulk_create` prepares each value of each row through its field, which costs more than the database does. Here a table's columns
are prepared once, and rows are plain tuples in that order. Called by the reconciler inside its transaction; nobody else.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.db import connection, models

_COPY_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_COPY_TABLE = str.maketrans(_COPY_ESCAPES)
_ID_BLOCK = 1000
"""Ids taken from a PostgreSQL sequence at a time; what a dead worker leaves unused is a gap, and gaps are harmless."""


class JSONText(str):
    """Text that is JSON already: stored as it is."""


_TEXT = {str, JSONText}
_SPELT_ALIKE = {int, Decimal, UUID, date, datetime}
"""PostgreSQL reads what Python writes."""


def _for_copy(values: Sequence[Any]) -> Iterable[str]:
    """Return the values of one column as COPY reads them. All at once: most columns need no look at each value."""
    kinds = set(map(type, values))
    if kinds <= _TEXT:
        together = "".join(values)
        return map(_one_for_copy, values) if any(sign in together for sign in _COPY_ESCAPES) else values
    return map(str, values) if kinds <= _SPELT_ALIKE else map(_one_for_copy, values)


def _one_for_copy(value: Any) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, dict | list | tuple):
        value = json.dumps(value)
    return str(value).translate(_COPY_TABLE)


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):  # as Django stores them: naive UTC
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    if isinstance(value, date | Decimal):
        return str(value)
    if isinstance(value, dict | list | tuple):
        return json.dumps(value)
    return value


class Ids:
    """Hands out primary keys before rows are written, so that rows can point to each other."""

    def __init__(self) -> None:
        self._blocks: dict[type[models.Model], list[int]] = {}

    def take(self, model: type[models.Model], count: int) -> Sequence[int]:
        """Return `count` unused ids of `model`. Must be called in the transaction that uses them."""
        if not count:
            return ()
        table = model._meta.db_table
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":  # the write lock is ours until the transaction ends
                cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
                row = cursor.fetchone()
                start = (row[0] if row else 0) + 1
                return range(start, start + count)
            block = self._blocks.setdefault(model, [])
            if len(block) < count:
                cursor.execute(
                    "WITH ids AS MATERIALIZED (SELECT pg_get_serial_sequence(%s, 'id')::regclass AS name)"  # looked up once, not for each
                    " SELECT nextval(name) FROM ids, generate_series(1, %s)",
                    [f'"{table}"', max(count, _ID_BLOCK)],
                )
                block.extend(row[0] for row in cursor)
        taken, self._blocks[model] = block[:count], block[count:]
        return taken


def commit_lazily() -> None:
    """Let this transaction's commit return before PostgreSQL has flushed it to disk.

    For the pages of a run only: should the database server crash, rows and checkpoint are lost together and read again. The run's last
    commit is an ordinary one, and flushes all before it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")


def hold(model: type[models.Model], pk: int) -> None:
    """Keep a row for this transaction: who holds it too, waits. On SQLite the transaction itself is that already."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(model._meta.db_table)} WHERE id = %s FOR NO KEY UPDATE", [pk])  # noqa: S608


def select(model: type[models.Model], columns: Sequence[str], *, one_of: tuple[str, Sequence[str]], **equal: Any) -> list[tuple[Any, ...]]:
    """Return rows where a column is `one_of` many texts: one parameter, however many there are."""
    quote = connection.ops.quote_name
    names = ", ".join(quote(column) for column in columns)
    column, values = one_of
    if connection.vendor == "postgresql":
        condition, many = f"{quote(column)} = ANY(%s)", list(values)
    else:
        condition, many = f"{quote(column)} IN (SELECT value FROM json_each(%s))", json.dumps(list(values))  # noqa: S608
    where = " AND ".join([*(f"{quote(name)} = %s" for name in equal), condition])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM {quote(model._meta.db_table)} WHERE {where}", [*equal.values(), many])  # noqa: S608
        return cursor.fetchall()


def insert(
    model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]], constants: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Insert rows given as values in the order of `columns`; `constants` are columns that are the same in all of them."""
    rows = list(rows)
    if not rows:
        return
    quote = connection.ops.quote_name
    names = ", ".join(quote(column) for column in (*constants, *columns))
    table = quote(model._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            start = "".join(f"{text}\t" for text in map(_one_for_copy, constants.values()))
            block = "\n".join([start + line for line in map("\t".join, zip(*map(_for_copy, zip(*rows, strict=True)), strict=True))])
            with connection.wrap_database_errors, cursor.cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                copy.write(block)
        else:
            first = tuple(map(_for_sqlite, constants.values()))
            marks = ", ".join(["%s"] * (len(first) + len(columns)))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", [(*first, *map(_for_sqlite, row)) for row in rows])  # noqa: S608


def update(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Update rows given as the values of `columns`, with the primary key last."""
    rows = list(rows)
    if not rows:
        return
    quote = connection.ops.quote_name
    adapt: Callable[[Any], Any] = _for_sqlite if connection.vendor == "sqlite" else _json_as_text
    names = ", ".join(f"{quote(column)} = %s" for column in columns)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {quote(model._meta.db_table)} SET {names} WHERE id = %s",  # noqa: S608
            [tuple(map(adapt, row)) for row in rows],
        )


def _json_as_text(value: Any) -> Any:
    if isinstance(value, JSONText):
        return str(value)
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value
