"""Reads single values that come from outside: numbers, amounts, times, days, texts and ids. Knows no vendor, no model and no Django setting.

Digits, exponent, range and length are judged before anything is computed: `int(Decimal("1e1000000"))` takes minutes. Each reader takes a
value as JSON brought it and the name of its field, returns None (or "") where nothing was said, and raises RecordRejected naming the
field, the value (redacted, then cut) and the reason.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache
from operator import attrgetter
from types import GenericAlias, UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from integrations.decoding import unstorable
from integrations.exceptions import RecordRejected
from integrations.records import Record
from integrations.security.redaction import redact_text

R = TypeVar("R", bound=Record)

ID_LENGTH = 192
"""Of a vendor's id."""
MAX_DIGITS = 28
"""Of a number, before and after the point together; every column holds fewer."""
MAX_DEPTH = 20
"""Of lists and objects in what is kept as it came."""
EARLIEST, LATEST = 1900, 2199
"""Years in which something of a hotel can lie."""

MINOR_DIGITS = dict.fromkeys(
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"], 0
)
MINOR_DIGITS |= dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3) | dict.fromkeys(["CLF", "UYW"], 4)
"""ISO 4217: digits of the smallest unit, where they are not two."""

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_EPOCH = re.compile(r"\d{9,13}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d)(?::(\d\d)([.,]\d{1,9})?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII | re.IGNORECASE)


class OddValue(RecordRejected):
    """A value from outside cannot be read."""


def minor_digits(currency: str) -> int:
    return MINOR_DIGITS.get(currency, 2)


def smallest(currency: str) -> Decimal:
    """Return the smallest amount there is in a currency: 0.01 EUR, 1 JPY."""
    return Decimal(1).scaleb(-minor_digits(currency))


def is_payable(amount: Decimal, currency: str) -> bool:
    """Say whether an amount has no more digits than its currency."""
    return amount == round(amount, minor_digits(currency))


def refuse(name: str, value: Any, reason: str) -> NoReturn:
    """Raise RecordRejected with the field, what stood there and why it cannot be read."""
    raise OddValue(f"{name}: {shown(value)} is {reason}.")


def shown(value: Any) -> str:
    """Return a value as a sentence may quote it: redacted, then cut."""
    if isinstance(value, str):
        return f"“{redact_text(value[:1000])[:40]}”"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of many digits"
    if isinstance(value, int | Decimal | float):
        return redact_text(str(value)[:1000])[:40]
    return {dict: "an object", list: "a list"}.get(type(value), f"a {type(value).__name__}")


# --- numbers -------------------------------------------------------------------------------------------------------------------


def number(value: Any, name: str, kind: str = "a number") -> Decimal | None:
    """Read a decimal number: JSON's, or its ASCII text. "34,50", "1_000" and "0x10" are refused: who wrote them meant one thing or another."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | float):
        refuse(name, value, f"not {kind}")
    if isinstance(value, int):
        if value.bit_length() > 93:
            refuse(name, value, f"not {kind} of at most {MAX_DIGITS} digits")
        return Decimal(value)
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            refuse(name, value, f"not {kind}")
        found = Decimal(value)
    else:
        found = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not found.is_finite():
        refuse(name, value, f"not {kind}")
    if not found:
        return Decimal(0)  # no negative zero, and none with an exponent
    # How far its first digit is from the point is known at once; its digits are only taken apart where that is near.
    _, digits, exponent = found.as_tuple() if abs(found.adjusted()) < MAX_DIGITS else (0, (), -MAX_DIGITS - 1)
    if len(digits) + max(exponent, 0) > MAX_DIGITS or exponent < -MAX_DIGITS:
        refuse(name, value, f"not {kind} of at most {MAX_DIGITS} digits")
    return found


def amount(value: Any, name: str) -> Decimal | None:
    """Read money in major units."""
    return number(value, name, "an amount")


def whole(value: Any, name: str) -> int | None:
    """Read a count. 4.0 is 4; 4.9 is refused, not cut."""
    found = number(value, name, "a count")
    if found is not None and found != found.to_integral_value():
        refuse(name, value, "not a whole number")
    return None if found is None else int(found)


def rating(value: Any, name: str = "rating") -> int | None:
    """Read how many of five stars a guest gave."""
    found = whole(value, name)
    if found is not None and found not in range(1, 6):
        refuse(name, value, "not a whole number from 1 to 5")
    return found


def minor(value: Any, currency: str, name: str) -> Decimal | None:
    """Read money in a currency's smallest unit."""
    found = whole(value, name)
    return None if found is None else Decimal(found).scaleb(-minor_digits(currency))


# --- times ---------------------------------------------------------------------------------------------------------------------


def moment(value: Any, name: str, zone: tzinfo | None = UTC) -> datetime | None:
    """Read a time: ISO 8601, or epoch seconds or milliseconds. One without an offset is in `zone`; None refuses it."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, int | Decimal | float) and not isinstance(value, bool):
        found = _epoch(number(value, name, "a time"), value, name)
    elif not isinstance(value, str):
        refuse(name, value, "not a time")
    elif _EPOCH.fullmatch(value):
        found = _epoch(Decimal(value), value, name)
    else:
        found = _iso(value, name)
    if found.tzinfo is None:
        if zone is None:
            refuse(name, value, "a time without a zone")
        found = found.replace(tzinfo=zone)
    if not EARLIEST < found.year < LATEST:
        refuse(name, value, "not a time a hotel can have")
    return found


def _iso(text: str, name: str) -> datetime:
    if len(text) <= 10 and _DAY.fullmatch(text):
        text += "T00:00:00"
    if len(text) > 40 or not (parts := _MOMENT.fullmatch(text)):
        refuse(name, text, "not an ISO 8601 date or time")
    upto, seconds, fraction, offset = parts.groups()
    leap = seconds == "60"
    try:
        found = datetime.fromisoformat(
            f"{upto}:{'59' if leap else seconds or '00'}{(fraction or '').replace(',', '.')}{(offset or '').upper()}"
        )
    except ValueError:
        refuse(name, text, "not an ISO 8601 date or time")
    return found + timedelta(seconds=1) if leap and found.year < LATEST else found


def _epoch(seconds: Decimal | None, value: Any, name: str) -> datetime:
    if seconds is None or not 10**8 <= seconds < 10**13:
        refuse(name, value, "not a time in epoch seconds or milliseconds")
    if seconds >= 10**11:
        seconds /= 1000
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(seconds * 1_000_000))


def day(value: Any, name: str, zone: tzinfo = UTC) -> date | None:
    """Read a calendar day. A time with an offset is the day it is in `zone`, the hotel's; one without is the day it says."""
    if value is None or value == "" or (isinstance(value, str) and _DAY.fullmatch(value)):
        return plain_day(value, name)
    found = moment(value, name, zone)
    return found.astimezone(zone).date()


def plain_day(value: Any, name: str) -> date | None:
    """Read a calendar day where a time is refused: it would be another day elsewhere."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime) or not isinstance(value, date | str) or (isinstance(value, str) and not _DAY.fullmatch(value)):
        refuse(name, value, "not a date (YYYY-MM-DD)")
    try:
        found = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        refuse(name, value, "not a date")
    if not EARLIEST < found.year < LATEST:
        refuse(name, value, "not a date a hotel can have")
    return found


# --- words ---------------------------------------------------------------------------------------------------------------------


def text(value: Any, name: str) -> str:
    """Read a text a database can hold; a number is written out."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else _digits(value, name, "a text")
    if what := unstorable(value):
        refuse(name, value, f"a text with {what}")
    return value


def ident(value: Any, name: str) -> str:
    """Read a vendor's id as opaque text; a whole number becomes its digits."""
    if isinstance(value, bool | Decimal | float):
        refuse(name, value, "not an id")
    found = text(value, name)
    if len(found) > ID_LENGTH:
        refuse(name, value, f"longer than the {ID_LENGTH} characters of an id")
    return found


def _digits(value: Any, name: str, kind: str) -> str:
    if not isinstance(value, int | Decimal | float):
        refuse(name, value, f"not {kind}")
    if isinstance(value, int) and value.bit_length() > 1000:
        refuse(name, value, f"not {kind}")
    return str(value)


def flag(value: Any, name: str, *, default: bool) -> bool:
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    if (word := str(value)[:8].lower()) in ("true", "1", "yes", "y", "on"):
        return True
    if word in ("false", "0", "no", "n", "off"):
        return False
    refuse(name, value, "neither true nor false")


def record(value: Any, name: str) -> Mapping[str, Any]:
    """Read an object; nothing is an empty one."""
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        refuse(name, value, "not an object")
    return value


def facts(value: Any, name: str) -> dict[str, Any]:
    """Read an object that is kept as it came, such as a guest's preferences, as plain JSON: a number with a fraction keeps its digits as
    text. Nothing is an empty one."""
    return {text(key, name): _plain(one, f"{name}.{text(key, name)[:40]}", MAX_DEPTH) for key, one in record(value, name).items()}


def _plain(value: Any, name: str, left: int) -> Any:
    if isinstance(value, Mapping | list) and not left:
        refuse(name, value, "nested too deeply")
    if isinstance(value, Mapping):
        return {text(key, name): _plain(one, name, left - 1) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, name, left - 1) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal | float):
        found = number(value, name)
        return value if isinstance(value, int) else str(found)
    return text(value, name)


def check_plain(value: Any, name: str, left: int = MAX_DEPTH + 1) -> None:
    """Judge what is kept as the plain JSON it is. Raises RecordRejected."""
    if isinstance(value, Mapping | list | tuple):
        if not left:
            refuse(name, value, "nested too deeply")
        for one in (*value, *value.values()) if isinstance(value, Mapping) else value:
            check_plain(one, name, left - 1)
    elif isinstance(value, str):
        text(value, name)
    elif isinstance(value, int | float):
        if not isinstance(value, bool):
            number(value, name)
    elif value is not None:
        refuse(name, value, "not plain JSON")


def objects(value: Any, name: str) -> list[Mapping[str, Any]]:
    """Read a list of objects; nothing is an empty one."""
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        refuse(name, value, "not a list")
    for one in value:
        if not isinstance(one, Mapping):
            refuse(name, one, "not an object")
    return value


# --- whole records -------------------------------------------------------------------------------------------------------------


def judged(record: R) -> R:
    """Return a record that holds what its fields are declared to hold. Raises RecordRejected."""
    _check(record)
    return record


def _check(record: Record) -> None:
    names, sorts, values, looks = _sorts(type(record))
    found = values(record)
    if not all(map(isinstance, found, sorts)):
        name, value = next((n, v) for n, v, sort in zip(names, found, sorts, strict=True) if not isinstance(v, sort))
        refuse(name, value, "not what this field holds")
    for place, look in looks:
        if value := found[place]:
            look(value, names[place])


def _check_amount(value: Any, name: str) -> None:
    if not value.is_finite() or abs(value.adjusted()) >= MAX_DIGITS or value.as_tuple().exponent < -MAX_DIGITS:
        number(value, name, "an amount")


def _check_date(value: date, name: str) -> None:
    if not EARLIEST < value.year < LATEST:
        refuse(name, value.isoformat(), "not a time a hotel can have")
    if isinstance(value, datetime) and value.tzinfo is None:
        refuse(name, value.isoformat(), "a time without a zone")


def _check_parts(value: tuple[Any, ...], name: str) -> None:
    for one in value:
        if isinstance(one, Record):
            _check(one)
        elif not isinstance(one, str):
            check_plain(one, name)


_LOOKS = ((Decimal, _check_amount), (date, _check_date), (tuple, _check_parts), (Mapping, check_plain))


@cache
def _sorts(kind: type[Record]) -> tuple[tuple[str, ...], tuple[Any, ...], attrgetter, list[tuple[int, Callable[[Any, str], None]]]]:
    """Return the fields of a sort of record: their names, what they hold, how to get them, and which of them to look into, and how."""
    hints, names = get_type_hints(kind), tuple(one.name for one in fields(kind))
    sorts = tuple(_sort(hints[name]) for name in names)
    looks = []
    for place, sort in enumerate(sorts):
        held = sort if isinstance(sort, tuple) else (sort,)
        looks += [(place, look) for base, look in _LOOKS if any(issubclass(one, base) for one in held)]
    return names, sorts, attrgetter(*names), looks


def _sort(hint: Any) -> Any:
    if isinstance(hint, UnionType):
        return tuple(_sort(one) for one in get_args(hint))
    return get_origin(hint) or hint if isinstance(hint, GenericAlias) or get_origin(hint) else hint
