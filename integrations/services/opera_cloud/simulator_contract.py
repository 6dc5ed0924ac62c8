"""Holds requests to Oracle's specification: names, types, lengths, enumerations and dates of what the simulator offers.

Oracle ignores a name it does not know without a word. The simulator does not: a misspelt field, and one that Oracle has and the
simulator lacks, are refused by name, since either would pass for something that was done.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator, FormatChecker, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

FILE = Path(__file__).with_suffix(".json")
"""Made from Oracle's specifications by `python -m tests.contracts.opera_cut FOLDER`."""
Json = dict[str, Any]


class BreachError(Exception):
    """A request breaks the specification at `path`; `is_ours` if it is only the simulator that cannot do it."""

    def __init__(self, path: str, words: str, *, is_ours: bool = False) -> None:
        super().__init__(words)
        self.path, self.words, self.is_ours = path, words, is_ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    name: str
    method: str
    path: re.Pattern[str]
    query: Mapping[str, Json]
    not_offered: tuple[str, ...]
    body: Json | None

    def check_query(self, given: Mapping[str, list[str]]) -> None:
        for name, texts in given.items():
            if name in self.not_offered:
                raise BreachError(name, f"This simulator does not offer the parameter {name}", is_ours=True)
            if name not in self.query:
                raise BreachError(name, f"{self.name} has no parameter {name}")
            schema = self.query[name]
            if schema["type"] != "array" and len(texts) > 1:
                raise BreachError(name, f"{name} is given more than once")
            items = schema["items"] if schema["type"] == "array" else schema
            values = [_value(name, text, items) for text in texts]
            _check(schema, values if schema["type"] == "array" else values[0], name)

    def read_body(self, body: bytes) -> Any:
        """Return the body as JSON, numbers with all their digits."""
        try:
            given = json.loads(body, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_object)
        except ValueError as error:  # not UTF-8 as well
            raise BreachError("", f"The request body is not JSON: {error}") from None
        assert self.body
        _check(self.body, given)
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    headers: Mapping[str, Json]
    operations: tuple[Operation, ...]
    others: tuple[tuple[str, re.Pattern[str], str], ...]
    """Method, path and name of what Oracle has and the simulator does not."""

    def find(self, method: str, path: str) -> Operation | None:
        return next((known for known in self.operations if known.method == method and known.path.fullmatch(path)), None)

    def not_offered(self, method: str, path: str) -> str:
        return next((name for verb, expression, name in self.others if verb == method and expression.fullmatch(path)), "")

    def is_path(self, path: str) -> bool:
        return any(known.path.fullmatch(path) for known in self.operations) or any(known[1].fullmatch(path) for known in self.others)

    def check_headers(self, given: Mapping[str, str]) -> None:
        for name, schema in self.headers.items():
            if (value := given.get(name.lower())) is not None:
                _check(schema, value, name)


@cache
def contract() -> Contract:
    found = json.loads(FILE.read_text())
    return Contract(
        headers=found["headers"],
        operations=tuple(
            Operation(
                name=name,
                method=known["method"],
                path=_path(known["path"]),
                query=known["query"],
                not_offered=tuple(known["notOffered"]),
                body=known.get("body"),
            )
            for name, known in found["operations"].items()
        ),
        others=tuple((method, _path(path), name) for method, path, name in found["notOffered"]),
    )


def _path(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", template))


def _value(name: str, text: str, schema: Json) -> Any:
    """Read a query parameter's text as its type says."""
    if schema["type"] == "integer":
        if not re.fullmatch(r"-?\d{1,18}", text):
            raise BreachError(name, f"{name}: '{text}' is not of type integer")
        return int(text)
    if schema["type"] == "boolean":
        if text not in ("true", "false"):
            raise BreachError(name, f"{name}: '{text}' is not of type boolean")
        return text == "true"
    return text


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> Json:
    names = [name for name, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{', '.join(sorted(twice))} is given twice")
    return dict(pairs)


formats = FormatChecker(formats=())


@formats.checks("date", raises=ValueError)
def _is_date(value: Any) -> bool:
    if isinstance(value, str) and (not re.fullmatch(r"\d{4}-\d\d-\d\d", value) or not date.fromisoformat(value)):
        raise ValueError
    return True


@formats.checks("date-time", raises=ValueError)
def _is_moment(value: Any) -> bool:
    if isinstance(value, str) and ("T" not in value or not datetime.fromisoformat(value)):
        raise ValueError
    return True


def _closed(validator: Validator, others: list[str], given: Any, schema: Json) -> Iterator[ValidationError]:
    for name in given if isinstance(given, dict) else ():
        if name not in schema["properties"]:
            yield ValidationError(
                f"This simulator does not offer the field {name}" if name in others else f"There is no field {name} here",
                path=(name,),
                cause=LookupError() if name in others else None,
            )


Strict = extend(Draft4Validator, {"notOffered": _closed})


def _check(schema: Json, given: Any, root: str = "") -> None:
    error = next(iter(sorted(Strict(schema, format_checker=formats).iter_errors(given), key=lambda error: str(error.json_path))), None)
    if not error:
        return
    path = error.json_path.removeprefix("$").removeprefix(".")
    path = ".".join(filter(None, (root, "" if root and path.startswith("[") else path)))
    named = path.rpartition(".")[2]
    words = error.message if error.validator == "notOffered" else f"{named}: {_words(error)}"
    raise BreachError(path, words, is_ours=isinstance(error.cause, LookupError))


def _words(error: ValidationError) -> str:
    match error.validator:
        case "maxLength":
            return f"the maximum length is {error.validator_value} characters, {len(error.instance)} were sent"
        case "enum":
            return f"'{error.instance}' is not one of {', '.join(map(str, error.validator_value))}"
        case "maxItems" | "maximum" | "minItems" | "minimum" | "minLength":
            return f"the {error.validator[:3]}imum is {error.validator_value}"
        case "format":
            return f"'{error.instance}' is not a {error.validator_value}"
    return error.message
