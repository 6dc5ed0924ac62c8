"""Reads SOQL as the simulator offers it into a tree; what it means for an org's records is `simulator_query`'s business.

As strict as Salesforce: what is not SOQL is refused with the place where reading ended, AND and OR are not mixed without parentheses, and
a quoted string ends where Salesforce says it ends. What is SOQL and not offered here is refused by its name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from integrations.services.salesforce.simulator_objects import ApiError, not_offered

TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:\\.|[^'\\])*')|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))|"""
    r"""(?P<day>\d{4}-\d\d-\d\d)|(?P<number>[+-]?\d+(?:\.\d+)?)|(?P<word>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*(?::\d+)?)|"""
    r"""(?P<sign><=|>=|!=|<>|[=<>(),]))""",
    re.DOTALL | re.ASCII,
)
CHARACTER = re.compile(r"\\(?P<escaped>u[0-9A-Fa-f]{4}|.)|(?P<plain>.)", re.DOTALL)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
ESCAPES |= {name.upper(): character for name, character in ESCAPES.items() if name.isalpha()}
WORDS = {"TRUE": True, "FALSE": False, "NULL": None}
SIGNS = ("=", "!=", "<>", "<", ">", "<=", ">=")
DAYS = re.compile(r"TODAY|YESTERDAY|TOMORROW|(LAST|NEXT)_N_DAYS:\d+|(THIS|LAST|NEXT)_(MONTH|YEAR)")
OTHER_DAYS = re.compile(r"(THIS|LAST|NEXT)_(WEEK|QUARTER|FISCAL_\w+|90_DAYS)|(LAST|NEXT)_N_\w+:\d+|N_\w+_AGO:\d+")
FUNCTIONS = ("AVG", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "FIELDS", "FORMAT", "TOLABEL", "CONVERTCURRENCY", "CALENDAR_YEAR", "GROUPING")
CLAUSES = ("GROUP", "HAVING", "WITH", "FOR", "USING", "TYPEOF", "UPDATE")
RESERVED = ("FROM", "WHERE", "ORDER", "LIMIT", "OFFSET", "AND", "OR", "NOT", "IN", "LIKE", "SELECT", *CLAUSES)
MAX_OFFSET = 2000


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Path:
    """A field, perhaps of a record that the record refers to: `Guest__r.LastName`."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class DayWord:
    """A date literal such as TODAY or LAST_N_DAYS:7."""

    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    path: Path
    sign: str
    value: Any


@dataclass(frozen=True, slots=True)
class Group:
    word: str
    """AND, OR or NOT."""
    parts: "Sequence[Condition | Group]"


@dataclass(slots=True)
class Query:
    soql: str
    fields: "list[Path | Query]" = field(default_factory=list)
    """A query is one over a relationship, which gives the children of a record."""
    count: Path | None = None
    """What COUNT(field) counts; COUNT() has no field and no rows."""
    is_count: bool = False
    alias: str = ""
    """Of the count."""
    table: Path = Path("", 0)
    table_alias: str = ""
    where: Condition | Group | None = None
    order: list[tuple[Path, bool, bool]] = field(default_factory=list)
    """Field, whether it is descending, whether what is empty comes last."""
    limit: int | None = None
    offset: int = 0


def refusal(soql: str, start: int, words: str, code: str = "MALFORMED_QUERY") -> ApiError:
    """Return an error with the place, as Salesforce shows it."""
    row, line_start = soql.count("\n", 0, start) + 1, soql.rfind("\n", 0, start) + 1
    line = soql[line_start:].partition("\n")[0]
    return ApiError(400, code, f"\n{line}\n{' ' * (start - line_start)}^\nERROR at Row:{row}:Column:{start - line_start + 1}\n{words}")


def tokens(soql: str) -> list[Token]:
    found, position, end = [], 0, len(soql.rstrip())
    while position < end:
        if not (match := TOKEN.match(soql, position)):
            start = position + len(soql[position:]) - len(soql[position:].lstrip())
            if soql[start] == ":":
                raise refusal(soql, start, "Bind variables only allowed in Apex code")
            words = "unexpected character" if soql[start] != "'" else "unexpected end of string literal"
            raise refusal(soql, start, f"{words}: '{soql[start]}'")
        kind = str(match.lastgroup)
        found.append(Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return found


def _unescaped(sequence: str, allowed: str = "") -> str:
    if sequence in ESCAPES:
        return ESCAPES[sequence]
    if len(sequence) == 5:
        return chr(int(sequence[1:], 16))
    if sequence in allowed:
        return sequence
    words = f"Invalid string literal. Illegal character sequence '\\{sequence}' in string literal."
    raise ApiError(400, "MALFORMED_QUERY", words)


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


class Parser:
    def __init__(self, soql: str) -> None:
        self.soql = soql
        self.tokens = tokens(soql)
        self.position = 0

    @property
    def current(self) -> Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else Token("end", "<EOF>", len(self.soql))

    def unexpected(self, token: Token | None = None) -> ApiError:
        token = token or self.current
        return refusal(self.soql, token.start, f"unexpected token: '{token.text}'")

    def next(self, *kinds: str) -> Token:
        token = self.current
        if token.kind not in kinds or (token.kind == "word" and "name" in kinds and token.text.upper() in RESERVED):
            raise self.unexpected()
        self.position += 1
        return token

    def name(self) -> Path:
        token = self.current
        if token.kind != "word" or token.text.upper() in RESERVED or ":" in token.text:
            raise self.unexpected()
        self.position += 1
        return Path(token.text, token.start)

    def took(self, *words: str) -> bool:
        if [token.text.upper() for token in self.tokens[self.position : self.position + len(words)]] != list(words):
            return False
        self.position += len(words)
        return True

    def need(self, *words: str) -> None:
        if not self.took(*words):
            raise self.unexpected()

    def parse(self) -> Query:
        query = self.query()
        if self.position < len(self.tokens):
            raise self.unexpected()
        return query

    def query(self) -> Query:
        self.need("SELECT")
        query = Query(self.soql)
        self.selected(query)
        while self.took(","):
            self.selected(query)
        self.need("FROM")
        query.table = self.name()
        if self.current.kind == "word" and self.current.text.upper() not in RESERVED:
            query.table_alias = self.name().text
        if self.took("WHERE"):
            query.where = self.condition()
        if self.took("ORDER", "BY"):
            query.order.append(self.ordering())
            while self.took(","):
                query.order.append(self.ordering())
        query.limit = self.number() if self.took("LIMIT") else None
        if self.took("OFFSET"):
            query.offset = self.number()
            if query.offset > MAX_OFFSET:
                raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
        if self.current.text.upper() in CLAUSES:
            raise not_offered(f"{self.current.text.upper()} in a query")
        return query

    def number(self) -> int:
        token = self.next("number")
        if not token.text.isdecimal():
            raise self.unexpected(token)
        return int(token.text)

    def selected(self, query: Query) -> None:
        if self.took("("):
            query.fields.append(self.query())
            self.need(")")
            return
        if self.current.text.upper() in ("TYPEOF", *FUNCTIONS):
            raise not_offered(f"{self.current.text.upper()} in a query")
        if [token.text.upper() for token in self.tokens[self.position : self.position + 2]] != ["COUNT", "("]:
            query.fields.append(self.name())
            return
        if query.fields or query.is_count:
            raise not_offered("COUNT beside other fields")
        self.need("COUNT", "(")
        query.is_count = True
        if not self.took(")"):
            query.count = self.name()
            self.need(")")
            if self.current.kind == "word" and self.current.text.upper() not in RESERVED:
                query.alias = self.name().text
        if self.current.text == ",":
            raise not_offered("COUNT beside other fields")

    def ordering(self) -> tuple[Path, bool, bool]:
        name, descending = self.name(), self.took("DESC")
        if not descending:
            self.took("ASC")
        last = False
        if self.took("NULLS"):
            last = self.took("LAST")
            if not last:
                self.need("FIRST")
        return name, descending, last

    def condition(self) -> Condition | Group:
        """Read one condition, or several joined by one and the same word."""
        parts = [self.single()]
        word = self.current.text.upper()
        while word in ("AND", "OR") and self.took(word):
            parts.append(self.single())
        if self.current.text.upper() in ("AND", "OR"):
            raise self.unexpected()
        return Group(word, parts) if len(parts) > 1 else parts[0]

    def single(self) -> Condition | Group:
        if self.took("NOT"):
            return Group("NOT", [self.single()])
        if self.took("("):
            inner = self.condition()
            self.need(")")
            return inner
        return self.comparison()

    def comparison(self) -> Condition:
        path = self.name()
        if self.current.text == "(":
            raise not_offered(f"{path.text} in a query")
        is_negated = self.took("NOT")
        sign = self.next("sign", "word")
        word = ("NOT " if is_negated else "") + sign.text.upper()
        if word in ("IN", "NOT IN"):
            return Condition(path, word, self.values())
        if word == "LIKE":
            return Condition(path, word, pattern(self.next("text").text))
        if word in ("INCLUDES", "EXCLUDES"):
            raise not_offered(f"{word} in a query")
        if word not in SIGNS:
            raise self.unexpected(sign)
        return Condition(path, "!=" if word == "<>" else word, self.value())

    def values(self) -> Any:
        self.need("(")
        if self.current.text.upper() == "SELECT":
            found: Any = self.query()
        else:
            found = [self.value()]
            while self.took(","):
                found.append(self.value())
        self.need(")")
        return found

    def value(self) -> Any:
        token = self.next("text", "time", "day", "number", "word")
        word = token.text.upper()
        try:
            match token.kind:
                case "text":
                    return unquoted(token.text)
                case "time":
                    return datetime.fromisoformat(token.text)
                case "day":
                    return date.fromisoformat(token.text)
                case "number":
                    return Decimal(token.text)
        except ValueError:
            raise refusal(self.soql, token.start, f"line 1:{token.start} invalid date: {token.text}") from None
        if word in WORDS:
            return WORDS[word]
        if DAYS.fullmatch(word):
            return DayWord(word)
        if OTHER_DAYS.fullmatch(word):
            raise not_offered(f"the date literal {word}")
        raise self.unexpected(token)
