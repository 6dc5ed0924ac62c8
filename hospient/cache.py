"""A cache in the database whose counters are atomic over processes, for machines without Redis."""

import base64
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.db import DatabaseCache
from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper


class AtomicDatabaseCache(DatabaseCache):
    """Django's database cache reads, adds and writes in three steps; here the row is locked for the length of them.

    A counter also keeps its end: Django's own `incr` starts the time-out anew at each step, so that a window of 15 minutes
    would become five minutes after the last step.
    """

    def add(self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        with self._locked(key, version):
            return super().add(key, value, timeout, version)

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        with self._locked(key, version) as (connection, is_there):
            # A row that appears between the lock and the look is not ours to change: nobody holds it for us.
            value = self.get(key, version=version) if is_there else None
            if value is None:
                raise ValueError(f"Key '{key}' not found")
            value += delta
            stored = base64.b64encode(pickle.dumps(value, self.pickle_protocol)).decode()
            self._execute(
                connection, "UPDATE {table} SET value = %s WHERE cache_key = %s", stored, self.make_and_validate_key(key, version=version)
            )
            return value

    @contextmanager
    def _locked(self, key: str, version: int | None) -> Iterator[tuple[BaseDatabaseWrapper, bool]]:
        """Hold the key's row, if it is there; on SQLite the immediate transaction is lock enough."""
        database = router.db_for_write(self.cache_model_class)
        connection = connections[database]
        lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
        with transaction.atomic(using=database):
            with connection.cursor() as cursor:
                table = connection.ops.quote_name(self._table)
                cursor.execute(f"SELECT 1 FROM {table} WHERE cache_key = %s{lock}", [self.make_and_validate_key(key, version=version)])  # noqa: S608
                is_there = cursor.fetchone() is not None
            yield connection, is_there

    def _execute(self, connection: BaseDatabaseWrapper, sql: str, *values: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.format(table=connection.ops.quote_name(self._table)), values)
