"""Records made ready to compare and to store: snapshots, content hashes, table rows, and what a table refuses.

All of it is prepared once for each record type and then called for every record, because this is where a sync spends its time.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from operator import attrgetter, gt
from typing import Any, NamedTuple, TypeVar, get_origin

from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

from integrations.decoding import unstorable
from integrations.exceptions import RecordRejected
from integrations.records import Record
from integrations.security.kept import SHORTEST, keepable
from integrations.security.keys import kind_of
from integrations.sync.bindings import BINDINGS, Binding
from integrations.sync.bulk import JSONText

R = TypeVar("R", bound=Record)
Related = Mapping[str, Mapping[str, int]]
"""Relation or link of a record -> external id -> primary key of the hotel's row."""
ID_LENGTH = 192
"""Of a vendor's id."""
MAX_BIGINT = 2**63


class Incoming(NamedTuple):
    """A record beside its stored form."""

    record: Record
    snapshot: JSONText
    content_hash: str
    nested: tuple["Incoming", ...] = ()


def plain(value: Any) -> Any:
    """Return a value as it stands in a snapshot: JSON, and spelt the same way whenever it is equal."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f") if value else "0"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return list(value)
    return value


def as_stored(column: models.Field, value: Any) -> Any:
    """Return the plain form a value has after its column has rounded it."""
    if isinstance(column, models.DecimalField) and value is not None:
        return plain(rounded(Decimal(value), column.decimal_places))
    return plain(value)


@lru_cache
def _may_hold_cards(kind: type[Record]) -> tuple[str, ...]:
    """Return the fields of a sort of record that people write in, or vendors nest things in."""
    return tuple(f.name for f in fields(kind) if not kind_of(f.name).is_id and (f.type is str or get_origin(f.type) in (Mapping, tuple)))


def keepable_record(record: R) -> R:
    """Return the record as it may be kept: the same object, nearly always."""
    changes: dict[str, Any] = {}
    for name in _may_hold_cards(type(record)):
        value = getattr(record, name)
        if value and not (isinstance(value, str) and len(value) < SHORTEST):
            is_children = isinstance(value, tuple) and isinstance(value[0], Record)
            kept = tuple(map(keepable_record, value)) if is_children else keepable(value, name)
            if kept != value:
                changes[name] = kept
    return replace(record, **changes) if changes else record


def rounded(value: Decimal, places: int) -> Decimal:
    """Round as PostgreSQL does, ties away from zero. SQLite would round them to even: what is written is rounded before."""
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def encoder(binding: Binding) -> Callable[[Record], Incoming]:
    """Return the function that gives a record of this binding its snapshot and hash."""
    names, values = binding.own, attrgetter(*binding.own)
    child = encoder(BINDINGS[binding.child]) if binding.child else None
    dumps = json.JSONEncoder(default=plain, separators=(",", ":"), ensure_ascii=False).encode

    def encode(record: Record) -> Incoming:
        text = JSONText(dumps(dict(zip(names, values(record), strict=True))))
        nested = tuple(map(child, getattr(record, binding.children))) if child else ()
        whole = text + "".join(inner.record.external_id + inner.snapshot for inner in nested)
        return Incoming(record, text, hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(), nested)

    return encode


class Table:
    """A binding's table: its columns, the row a new record becomes, and what it refuses."""

    def __init__(self, binding: Binding) -> None:
        meta = binding.model._meta
        self.binding = binding
        self.fields = {name: meta.get_field(name) for name in binding.copied}
        self.fields |= {name: meta.get_field(attribute) for name, (attribute, _) in binding.relations.items()}
        self.content = tuple(column.column for column in self.fields.values())
        """What a vendor's record decides."""
        given = {"id", "hotel_id", "created_at", "updated_at", *([f"{binding.parent}_id"] if binding.parent else [])}
        self.columns = ("id", *([f"{binding.parent}_id"] if binding.parent else []), *self.content)
        """What differs from row to row."""
        self.defaults = {c.column: c.get_default() for c in meta.concrete_fields if c.column not in {*given, *self.content}}
        """What a new row has that no vendor decides."""
        self._copied = attrgetter(*binding.copied, "external_id")
        self._limits = {name: column.max_length for name, column in self.fields.items() if getattr(column, "max_length", None)}
        self._limits |= dict.fromkeys(binding.relations, ID_LENGTH)
        self._texts = attrgetter(*self._limits, "external_id")  # one more, so that it is a tuple even of one text
        self._amounts = [(n, _beyond(c)) for n, c in self.fields.items() if isinstance(c, models.DecimalField)]
        self._places = [
            (place, column.decimal_places)
            for place, column in enumerate(map(self.fields.__getitem__, binding.copied))
            if isinstance(column, models.DecimalField)
        ]
        ranges = BaseDatabaseOperations.integer_field_ranges  # PostgreSQL's; SQLite would take more
        self._numbers = [(n, *ranges[c.get_internal_type()]) for n, c in self.fields.items() if isinstance(c, models.IntegerField)]

    def values(self, record: Record, related: Related) -> tuple[Any, ...]:
        """Return the values of `content`; `related` maps a relation and an external id to the hotel's row."""
        copied = list(self._copied(record)[:-1])
        for place, decimal_places in self._places:
            if copied[place] is not None:
                copied[place] = rounded(copied[place], decimal_places)
        return (*copied, *(related[name].get(getattr(record, name)) for name in self.binding.relations))

    def check(self, incoming: Incoming) -> None:
        """Refuse what the database would refuse, with a reason a person can act on. Raises RecordRejected."""
        record, text, _, _ = incoming
        if not record.external_id or len(record.external_id) > ID_LENGTH or unstorable(record.external_id):
            raise RecordRejected("The vendor sent no usable id.")
        if record.version is not None and not -MAX_BIGINT <= record.version < MAX_BIGINT:
            raise RecordRejected("version is too large a number.")
        if any(map(gt, map(len, self._texts(record)), self._limits.values())):
            name, limit = next((name, limit) for name, limit in self._limits.items() if len(getattr(record, name)) > limit)
            raise RecordRejected(f"{name} is longer than {limit} characters.")
        for name, low, high in self._numbers:
            value = getattr(record, name)
            if value is not None and not low <= value <= high:
                raise RecordRejected(f"{name} is not a number between {low:,} and {high:,}.")
        for name, beyond in self._amounts:
            value = getattr(record, name)
            if value is not None and (not value.is_finite() or abs(value) >= beyond):
                raise RecordRejected(f"{name} is not an amount that can be stored.")
        if "\\u0000" in text or unstorable(text):
            for name, value in json.loads(text).items():
                if why := _unstorable(value):
                    raise RecordRejected(f"{name} holds {why}.")


def base_of(binding: Binding, name: str, column: models.Field, base: Mapping[str, Any], ours: Mapping[str, Any], related: Related) -> Any:
    """Return what the vendor told of a field before. What it never told was the hotel's all the time, and is no edit."""
    if name not in base:
        return ours[column.column]
    return related[name].get(base[name]) if name in binding.relations else base[name]


def _beyond(column: models.DecimalField) -> Decimal:
    """Return the smallest amount that, once rounded, has more digits than its column."""
    return Decimal(10) ** (column.max_digits - column.decimal_places) - Decimal(5).scaleb(-column.decimal_places - 1)


def _unstorable(value: Any) -> str:
    """Say what of a value a database cannot hold; empty if it can."""
    if isinstance(value, dict):
        return next(filter(None, map(_unstorable, (*value, *value.values()))), "")
    if isinstance(value, list):
        return next(filter(None, map(_unstorable, value)), "")
    return unstorable(value) if isinstance(value, str) else ""


# Both are made once for each record type and process.
table_of = lru_cache(maxsize=None)(Table)
encoder_of = lru_cache(maxsize=None)(encoder)
