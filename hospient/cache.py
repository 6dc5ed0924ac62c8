"""A cache in the database whose counters are atomic over processes, for machines without Redis."""

from django.core.cache.backends.db import DatabaseCache
from django.db import connections, router, transaction


class AtomicDatabaseCache(DatabaseCache):
    """Django's database cache reads, adds and writes in three steps; here the row is locked for the length of them."""

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        database = router.db_for_write(self.cache_model_class)
        connection = connections[database]
        with transaction.atomic(using=database):  # immediate on SQLite, which is lock enough
            if connection.features.has_select_for_update:
                table = connection.ops.quote_name(self._table)
                with connection.cursor() as cursor:
                    cursor.execute(
                        f"SELECT 1 FROM {table} WHERE cache_key = %s FOR UPDATE", [self.make_and_validate_key(key, version=version)]
                    )
            return super().incr(key, delta, version)
