"""Values nobody meant to send: each is read or refused by name, and neither costs time."""

import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations import services, values
from integrations.exceptions import RecordRejected
from integrations.records import Reservation
from integrations.services.generic_rest import mapping as generic
from integrations.services.opera_cloud import mapping as opera
from integrations.services.rows import mapped
from integrations.services.square import mapping as square

VIENNA = ZoneInfo("Europe/Vienna")
FIXTURES = Path(services.__file__).parent
ODD = ["1e1000000", "-1e1000000", "9" * 40, 10**5000, "1" * 10_000, "NaN", "Infinity", True, "١٢", "1_000", "0x10", "１２", "34,50", [], {}]


@pytest.mark.parametrize("odd", ODD, ids=lambda value: str(type(value).__name__))
@pytest.mark.parametrize("read", [values.number, values.amount, values.whole])
def test_odd_number_is_refused_by_name_at_once(read, odd) -> None:
    started = time.process_time()
    with pytest.raises(RecordRejected, match=r"^price: "):
        read(odd, "price")
    assert time.process_time() - started < 0.1


def test_numbers_keep_their_value() -> None:
    assert [values.number(v, "n") for v in ("1e3", "-0", 12, Decimal("34.50"), " 7 ")] == [1000, 0, 12, Decimal("34.50"), 7]
    assert values.whole("4.0", "rating") == 4
    with pytest.raises(RecordRejected, match="not a whole number"):
        values.whole("4.9", "rating")
    assert [values.minor(1005, c, "n") for c in ("JPY", "KWD", "CLF", "EUR")] == [
        1005,
        Decimal("1.005"),
        Decimal("0.1005"),
        Decimal("10.05"),
    ]


@pytest.mark.parametrize("epoch", [1781010100000, 1781010100, "1781010100000", "1781010100", Decimal(1781010100)])
def test_epoch_is_read_as_such(epoch) -> None:
    assert values.moment(epoch, "updated_at") == datetime(2026, 6, 9, 13, 1, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    "odd", ["0001-01-01T00:00:00+14:00", "1781", 7, True, "yesterday", "9999-12-31T23:59:59-12:00", "2026-13-01", "\x00", []]
)
def test_odd_time_is_refused_by_name(odd) -> None:
    with pytest.raises(RecordRejected, match=r"^at: "):
        values.moment(odd, "at")
    with pytest.raises(RecordRejected, match=r"^at: "):
        values.day(odd, "at", VIENNA)


def test_day_is_the_hotels() -> None:
    assert values.day("2026-06-01T22:00:00Z", "arrival", VIENNA) == date(2026, 6, 2)
    assert values.day("2026-06-01", "arrival", VIENNA) == values.day("2026-06-01T23:30:00", "arrival", VIENNA) == date(2026, 6, 1)
    assert values.moment("2016-12-31T23:59:60Z", "at") == datetime(2017, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("odd", ["a\x00b", "\ud800", [], {}])
def test_odd_text_is_refused_by_name(odd) -> None:
    with pytest.raises(RecordRejected, match=r"^name: "):
        values.text(odd, "name")


def test_id_stays_text() -> None:
    assert values.ident(3000000001000003, "id") == "3000000001000003"
    for odd in (1.5, True, "x" * 193):
        with pytest.raises(RecordRejected, match=r"^id: "):
            values.ident(odd, "id")


READERS = {
    "generic_rest": [
        (name, lambda row, read=getattr(generic, name): read(row, "EUR")) for name in ("menu_item", "guest", "room", "feedback")
    ]
    + [("reservation", lambda row: generic.reservation(row, "EUR", VIENNA))],
    "opera_cloud": [("reservation_cancelled", opera.reservation_from_list), ("reservation_detail", opera.reservation_from_detail)],
    "square": [(name, lambda row: square.to_record(row, "L1")) for name in ("catalog_item", "catalog_tax")]
    + [("order_open", square.to_check)],
}
ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.decimals(),
        st.text(st.characters()),
        st.sampled_from(["1e1000000", "\ud800", "\x00", 10**4000]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, at: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inner for place in places(one, (*at, key)))]


def changed(value: Any, place: tuple, to: Any) -> Any:
    if not place:
        return to
    copy = value.copy()
    copy[place[0]] = changed(value[place[0]], place[1:], to)
    return copy


@pytest.mark.parametrize(("vendor", "name", "read"), [(v, n, r) for v, found in READERS.items() for n, r in found])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_value_at_any_place_is_a_record_or_a_rejected_row(vendor: str, name: str, read, data) -> None:
    row = json.loads((FIXTURES / vendor / "fixtures" / f"{name}.json").read_text(), parse_float=Decimal)
    odd = changed(row, data.draw(st.sampled_from(places(row)[1:])), data.draw(ANYTHING))
    started = time.process_time()
    records, rejected = mapped([odd, row], Reservation, lambda one: [read(one)], lambda one: one.get("id"))
    assert time.process_time() - started < 0.5
    assert len(records) + len(rejected) == 2
    assert all(one.reason for one in rejected)
