"""The part of SOQL that the simulator reads: SELECT fields FROM object WHERE a AND b ORDER BY field LIMIT n.

As strict as Salesforce where it matters to us: what is not SOQL is refused, and a quoted string ends where Salesforce says it ends.
"""

import operator
import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:\\.|[^'\\])*')|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))|"""
    r"""(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z]\w*)|(?P<sign><=|>=|!=|[=<>(),]))""",
    re.DOTALL | re.ASCII,
)
CHARACTER = re.compile(r"\\(?P<escaped>u[0-9A-Fa-f]{4}|.)|(?P<plain>.)", re.DOTALL)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
WORDS = {"TRUE": True, "FALSE": False, "NULL": None}
COMPARISONS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


class MalformedQueryError(Exception):
    """Salesforce's MALFORMED_QUERY."""


def tokens(soql: str) -> list[tuple[str, str]]:
    found, position, end = [], 0, len(soql.rstrip())
    while position < end:
        if not (token := TOKEN.match(soql, position)):
            raise MalformedQueryError(f"unexpected token at {position}: {soql[position : position + 20]}")
        found.append((str(token.lastgroup), token[str(token.lastgroup)]))
        position = token.end()
    return found


def _unescaped(sequence: str, allowed: str = "") -> str:
    if sequence in ESCAPES:
        return ESCAPES[sequence]
    if len(sequence) == 5:
        return chr(int(sequence[1:], 16))
    if sequence in allowed:
        return sequence
    raise MalformedQueryError(f"Invalid string literal. Illegal character sequence '\\{sequence}' in string literal.")


def unquoted(text: str) -> str:
    """Read a quoted string."""
    return "".join(part["plain"] or _unescaped(part["escaped"]) for part in CHARACTER.finditer(text[1:-1]))


def pattern(text: str) -> re.Pattern[str]:
    """Read the quoted string of a LIKE: `_` is one character, `%` any number, both can be escaped."""
    parts = []
    for part in CHARACTER.finditer(text[1:-1]):
        wildcard = {"_": ".", "%": ".*"}.get(part["plain"] or "")
        parts.append(wildcard or re.escape(part["plain"] or _unescaped(part["escaped"], "_%")))
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class Query:
    fields: list[str]
    table: str
    conditions: list[tuple[str, str, Any]] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    """Field, and whether it is descending."""
    limit: int | None = None


class Parser:
    def __init__(self, soql: str) -> None:
        self.tokens = tokens(soql)
        self.position = 0

    def next(self, *kinds: str) -> tuple[str, str]:
        kind, text = self.tokens[self.position] if self.position < len(self.tokens) else ("end", "<EOF>")
        if kind not in kinds:
            raise MalformedQueryError(f"unexpected token: '{text}'")
        self.position += 1
        return kind, text

    def took(self, *words: str) -> bool:
        if [text.upper() for _, text in self.tokens[self.position : self.position + len(words)]] != list(words):
            return False
        self.position += len(words)
        return True

    def need(self, *words: str) -> None:
        if not self.took(*words):
            raise MalformedQueryError(f"expecting {' '.join(words)}")

    def parse(self) -> Query:
        self.need("SELECT")
        fields = [self.next("word")[1]]
        while self.took(","):
            fields.append(self.next("word")[1])
        self.need("FROM")
        query = Query(fields, self.next("word")[1])
        if self.took("WHERE"):
            query.conditions.append(self.condition())
            while self.took("AND"):
                query.conditions.append(self.condition())
        if self.took("ORDER", "BY"):
            query.order.append(self.ordering())
            while self.took(","):
                query.order.append(self.ordering())
        if self.took("LIMIT"):
            query.limit = int(self.next("number")[1])
        if self.position < len(self.tokens):
            raise MalformedQueryError(f"unexpected token: '{self.tokens[self.position][1]}'")
        return query

    def ordering(self) -> tuple[str, bool]:
        name, descending = self.next("word")[1], self.took("DESC")
        if not descending:
            self.took("ASC")
        return name, descending

    def condition(self) -> tuple[str, str, Any]:
        name = self.next("word")[1]
        sign = self.next("sign", "word")[1].upper()
        if sign == "IN":
            self.need("(")
            values = [self.value()]
            while self.took(","):
                values.append(self.value())
            self.need(")")
            return name, sign, values
        if sign == "LIKE":
            return name, sign, pattern(self.next("text")[1])
        if sign not in COMPARISONS:
            raise MalformedQueryError(f"unexpected token: '{sign}'")
        return name, sign, self.value()

    def value(self) -> Any:
        kind, text = self.next("text", "time", "number", "word")
        if kind == "text":
            return unquoted(text)
        if kind == "time":
            return datetime.fromisoformat(text)
        if kind == "number":
            return Decimal(text)
        if text.upper() not in WORDS:
            raise MalformedQueryError(f"unexpected token: '{text}'")
        return WORDS[text.upper()]


def comparable(value: Any, kind: str) -> Any:
    """Bring a stored value or a literal to what Salesforce compares: text without case, times as instants."""
    if isinstance(value, str):
        return datetime.fromisoformat(value) if kind == "datetime" else value if kind in ("id", "reference") else value.casefold()
    return Decimal(str(value)) if isinstance(value, float) else value


def holds(stored: Any, kind: str, sign: str, wanted: Any) -> bool:
    """Say whether a condition holds for a field of this kind."""
    if sign == "LIKE":
        return stored is not None and wanted.fullmatch(stored) is not None
    held = comparable(stored, kind)
    if sign == "IN":
        return held in [comparable(value, kind) for value in wanted]
    wanted = comparable(wanted, kind)
    if sign not in ("=", "!=") and (held is None or wanted is None):
        return False
    try:
        return bool(COMPARISONS[sign](held, wanted))
    except TypeError:
        raise MalformedQueryError(f"value of filter criterion is not of type {kind}") from None
