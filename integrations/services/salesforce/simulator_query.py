"""Answers SOQL from the simulated org's records: whether names and values fit the objects, which rows are meant, and how they are shown."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

from integrations.services.salesforce.simulator_objects import (
    CHILDREN,
    OBJECTS,
    Column,
    Row,
    column_named,
    not_offered,
    object_named,
    read_id,
    relationship,
)
from integrations.services.salesforce.simulator_soql import Condition, DayWord, Group, Path, Query, refusal

COMPARISONS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
ASK_FOR_CUSTOM = (
    "If you are attempting to use a custom {0}, be sure to append the '__c' after the {1} name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
LITERALS: Mapping[str, tuple[type, str, str]] = {
    "boolean": (bool, "boolean", "should not"),
    "double": (Decimal, "double", "should not"),
    "datetime": (datetime, "dateTime", "should not"),
}
"""Type of a field -> what a value must be, what Salesforce calls it, and whether it is quoted. All others are strings."""
IDS = ("id", "reference")


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a query names, found in the objects."""

    links: tuple[tuple[str, str], ...]
    """References to follow, each with the name that the query has for it."""
    table: str
    name: str
    column: Column


class Search:
    """One query over the records of an org at one moment."""

    def __init__(
        self, query: Query, records: Mapping[str, Mapping[str, Row]], now: datetime, *, deleted: bool, version: str, table: str = ""
    ) -> None:
        """`table` is given where the query names a relationship instead."""
        self.query, self.records, self.now, self.deleted, self.version = query, records, now, deleted, version
        self.table = table or self._table()

    def _table(self) -> str:
        if not (found := object_named(self.query.table.text)):
            words = f"sObject type '{self.query.table.text}' is not supported. {ASK_FOR_CUSTOM.format('object', 'entity')}"
            raise refusal(self.query.soql, self.query.table.start, words, "INVALID_TYPE")
        return found

    # --- names -----------------------------------------------------------------------------------------------------------------

    def field(self, path: Path) -> Field:
        *steps, last = path.text.split(".")
        if steps and steps[0].casefold() in (self.query.table_alias.casefold(), self.table.casefold()):
            steps = steps[1:]
        table, links = self.table, []
        for step in steps:
            found = next(
                (name for name, one in OBJECTS[table].items() if one.refers_to and relationship(name).casefold() == step.casefold()), ""
            )
            if not found:
                words = f"Didn't understand relationship '{step}' in field path. If you are attempting to use a custom relationship, be sure to "
                raise refusal(self.query.soql, path.start, words + "append the '__r' after the custom relationship name.", "INVALID_FIELD")
            links.append((found, relationship(found)))
            table = OBJECTS[table][found].refers_to
        if not (name := column_named(table, last)):
            words = f"No such column '{last}' on entity '{table}'. {ASK_FOR_CUSTOM.format('field', 'custom field')}"
            raise refusal(self.query.soql, path.start, words, "INVALID_FIELD")
        return Field(tuple(links), table, name, OBJECTS[table][name])

    def _searchable(self, path: Path, what: str) -> Field:
        found = self.field(path)
        if not found.column.is_searchable:
            raise refusal(self.query.soql, path.start, f"field '{path.text}' can not be {what} in a query call", "INVALID_FIELD")
        return found

    def value(self, row: Row, found: Field) -> Any:
        table = self.table
        for name, _ in found.links:
            table = OBJECTS[table][name].refers_to
            if (other := self.records[table].get(row[name])) is None:
                return None
            row = other
        return row[found.name]

    # --- conditions ------------------------------------------------------------------------------------------------------------

    def test(self, where: Condition | Group | None) -> Callable[[Row], bool]:
        """Return what says whether a row is meant. Raises ApiError for a name or a value that does not fit."""
        if where is None:
            return lambda row: True
        if isinstance(where, Condition):
            return self._compared(where)
        tests = [self.test(part) for part in where.parts]
        if where.word == "NOT":
            return lambda row: not tests[0](row)
        join = all if where.word == "AND" else any
        return lambda row: join(test(row) for test in tests)

    def _compared(self, condition: Condition) -> Callable[[Row], bool]:
        found, sign, value = self._searchable(condition.path, "filtered"), condition.sign, condition.value
        if sign == "LIKE":
            if found.column.type in (*LITERALS, *IDS):
                raise refusal(self.query.soql, condition.path.start, f"invalid operator on {found.column.type} field", "INVALID_FIELD")
            return lambda row: (held := self.value(row, found)) is not None and value.fullmatch(held) is not None
        if sign in ("IN", "NOT IN"):
            wanted = self._selected_ids(condition) if isinstance(value, Query) else [self._literal(condition, found, one) for one in value]
            return lambda row: (self._comparable(row, found) in wanted) is (sign == "IN")
        if isinstance(value, DayWord):
            if found.column.type != "datetime":
                raise self._unfit(condition, found)
            start, end = days(value.text, self.now)
            return lambda row: (held := self._comparable(row, found)) is not None and within(held, sign, start, end)
        wanted = self._literal(condition, found, value)
        if found.column.type == "boolean" and sign not in ("=", "!="):
            raise refusal(self.query.soql, condition.path.start, "invalid operator on boolean field", "INVALID_FIELD")

        def holds(row: Row) -> bool:
            held = self._comparable(row, found)
            if sign not in ("=", "!=") and (held is None or wanted is None):
                return False
            return bool(COMPARISONS[sign](held, wanted))

        return holds

    def _selected_ids(self, condition: Condition) -> list[Any]:
        inner = Search(condition.value, self.records, self.now, deleted=self.deleted, version=self.version)
        names = inner.query.fields
        if len(names) != 1 or not isinstance(names[0], Path) or inner.field(names[0]).column.type not in IDS:
            words = "The inner select field of a semi join or anti join must be one id field"
            raise refusal(self.query.soql, condition.path.start, words)
        found = inner.field(names[0])
        return [value for row in inner.rows() if (value := inner.value(row, found))]

    def _unfit(self, condition: Condition, found: Field) -> Exception:
        _, kind, quoted = LITERALS.get(found.column.type, (str, "string", "should"))
        words = f"value of filter criterion for field '{condition.path.text}' must be of type {kind} and {quoted} be enclosed in quotes"
        return refusal(self.query.soql, condition.path.start, words, "INVALID_FIELD")

    def _literal(self, condition: Condition, found: Field, value: Any) -> Any:
        """Return a value of the query as rows are compared with it."""
        if value is None:
            return None
        kind, _, _ = LITERALS.get(found.column.type, (str, "", ""))
        if not isinstance(value, kind):
            raise self._unfit(condition, found)
        if found.column.type in IDS:
            if not (key := read_id(value)):
                raise refusal(self.query.soql, condition.path.start, f"invalid ID field: {value}", "INVALID_QUERY_FILTER_OPERATOR")
            return key
        return _comparable(value)

    def _comparable(self, row: Row, found: Field) -> Any:
        held = self.value(row, found)
        if found.column.type == "datetime" and held:
            return datetime.fromisoformat(held)
        return held if found.column.type in IDS else _comparable(held)

    # --- rows ------------------------------------------------------------------------------------------------------------------

    def rows(self, belongs: Callable[[Row], bool] = lambda row: True) -> list[Row]:
        test = self.test(self.query.where)
        rows = self.records[self.table].values()
        return self._cut([row for row in rows if belongs(row) and (self.deleted or not row["IsDeleted"]) and test(row)])

    def _cut(self, rows: list[Row]) -> list[Row]:
        for path, descending, last in reversed(self.query.order):
            found = self._searchable(path, "sorted")
            rows.sort(key=cmp_to_key(self._order(found, descending, last)))
        end = None if self.query.limit is None else self.query.offset + self.query.limit
        return rows[self.query.offset : end]

    def _order(self, found: Field, descending: bool, last: bool) -> Callable[[Row, Row], int]:
        def compare(one: Row, other: Row) -> int:
            left, right = self._comparable(one, found), self._comparable(other, found)
            if left is None or right is None:
                return ((left is not None) - (right is not None)) * (-1 if last else 1)
            return ((left > right) - (left < right)) * (-1 if descending else 1)

        return compare

    def shown(self) -> tuple[list[Row], int]:
        """Return the records of the answer, and how many it says there are."""
        if self.query.is_count:
            return self._counted()
        selected = self.selected()
        rows = [self._shown(row, selected) for row in self.rows()]
        return rows, len(rows)

    def selected(self) -> "list[Field | Search]":
        """Return what is selected, a search for each relationship to children. Raises ApiError for what is not there."""
        found: list[Field | Search] = []
        for one in self.query.fields:
            if isinstance(one, Query):
                found.append(self._children(one))
                continue
            if (field := self.field(one)) in found:
                raise refusal(self.query.soql, one.start, f"duplicate field selected: {one.text}")
            found.append(field)
        return found

    def _counted(self) -> tuple[list[Row], int]:
        if self.query.count is None:
            if self.query.order:
                raise refusal(self.query.soql, self.query.order[0][0].start, "unexpected token: 'ORDER'")
            return [], len(self.rows())
        found = self.field(self.query.count)
        many = sum(self.value(row, found) is not None for row in self.rows())
        return [{"attributes": {"type": "AggregateResult"}, self.query.alias or "expr0": many}], 1

    def _children(self, query: Query) -> "Search":
        name = next((name for name in CHILDREN if name.casefold() == query.table.text.casefold()), "")
        if self.table != "Contact" or not name:
            words = (
                f"Didn't understand relationship '{query.table.text}' in FROM part of query call. If you are attempting to use a custom "
            )
            words += "relationship, be sure to append the '__r' after the custom relationship name."
            raise refusal(self.query.soql, query.table.start, words, "INVALID_TYPE")
        if query.is_count or query.offset:
            raise not_offered("COUNT or OFFSET in a query over a relationship")
        query.table = Path(name, query.table.start)
        return Search(query, self.records, self.now, deleted=self.deleted, version=self.version, table=CHILDREN[name])

    def _shown(self, row: Row, selected: "list[Field | Search]") -> Row:
        answer = self._attributes(self.table, row["Id"])
        for one in selected:
            if isinstance(one, Search):
                fields = one.selected()
                rows = [one._shown(child, fields) for child in one.rows(lambda child: child["Guest__c"] == row["Id"])]
                answer[one.query.table.text] = {"totalSize": len(rows), "done": True, "records": rows} if rows else None
            else:
                self._show(one, answer, row)
        return answer

    def _show(self, found: Field, answer: Row, row: Row) -> None:
        table = self.table
        for reference, name in found.links:
            table = OBJECTS[table][reference].refers_to
            if (other := self.records[table].get(row[reference])) is None:
                answer[name] = None
                return
            row, answer = other, answer.setdefault(name, self._attributes(table, other["Id"]))
        answer[found.name] = row[found.name]

    def _attributes(self, table: str, key: str) -> Row:
        return {"attributes": {"type": table, "url": f"/services/data/v{self.version}/sobjects/{table}/{key}"}}


def _comparable(value: Any) -> Any:
    """Bring a value to what Salesforce compares: text without case, an empty one as none."""
    if isinstance(value, str):
        return value.casefold() or None
    return Decimal(str(value)) if isinstance(value, float | int) and not isinstance(value, bool) else value


def days(word: str, now: datetime) -> tuple[datetime, datetime]:
    """Return the first moment of a date literal, and the first after it. The org's time zone is UTC."""
    today = now.astimezone(UTC).date()
    name, _, number = word.partition(":")
    first_of_month, one = today.replace(day=1), timedelta(days=1)
    next_month = (first_of_month + timedelta(days=31)).replace(day=1)
    spans: Mapping[str, tuple[date, date]] = {
        "TODAY": (today, today + one),
        "YESTERDAY": (today - one, today),
        "TOMORROW": (today + one, today + 2 * one),
        "LAST_N_DAYS": (today - int(number or 0) * one, today + one),
        "NEXT_N_DAYS": (today + one, today + (int(number or 0) + 1) * one),
        "THIS_MONTH": (first_of_month, next_month),
        "LAST_MONTH": ((first_of_month - one).replace(day=1), first_of_month),
        "NEXT_MONTH": (next_month, (next_month + timedelta(days=31)).replace(day=1)),
        "THIS_YEAR": (date(today.year, 1, 1), date(today.year + 1, 1, 1)),
        "LAST_YEAR": (date(today.year - 1, 1, 1), date(today.year, 1, 1)),
        "NEXT_YEAR": (date(today.year + 1, 1, 1), date(today.year + 2, 1, 1)),
    }
    start, end = (datetime.combine(day, time(), UTC) for day in spans[name])
    return start, end


def within(held: datetime, sign: str, start: datetime, end: datetime) -> bool:
    """Compare a moment with a span of days as Salesforce does: `> TODAY` begins after the day's end."""
    match sign:
        case "=":
            return start <= held < end
        case "!=":
            return not start <= held < end
        case "<":
            return held < start
        case ">":
            return held >= end
        case ">=":
            return held >= start
    return held < end
