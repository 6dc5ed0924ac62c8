"""What JSON may be, said once for every door; and that each door says it in its own error."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.decoding import MAX_DEPTH, Decoder, TooManyEntries, Unreadable, unstorable

ODD = {
    "": "is not JSON", "'a'": "is not JSON", "{": "is not JSON", "{} {}": "more after its end", "NaN": "NaN is not a number",
    "[-Infinity]": "not a number", '{"a":1,"a":2}': "a name occurs twice", "[" * 100_000: "too deeply", '{"a":' * 100_000: "too deeply",
    "[" * 65 + "1" + "]" * 65: "too deeply", "9" * 65: "64 digits", "[1." + "9" * 65 + "]": "64 digits", "1e65": "out of range",
    "1e-9999999999999999999999": "out of range", '{"a":["\\ud800"]}': "a lone surrogate) at a.0", '{"\\u0000":1}': "a NUL character",
    '"a\nb"': "is not JSON",
}  # fmt: skip


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:20]))
def test_what_is_refused_and_why(text: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        Decoder().decode(text)
    assert ODD[text] in str(refusal.value)
    assert len(str(refusal.value)) < 200


def test_what_is_taken() -> None:
    assert Decoder().decode(' {"a": [1.50, -0, 1e3, "\\u00e9\\ud83d\\ude00", null, true]} \n') == {
        "a": [Decimal("1.50"), 0, Decimal("1E+3"), "é😀", None, True]
    }
    assert Decoder().decode("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert Decoder(fraction=float).decode("[0.1]") == [0.1]


@pytest.mark.parametrize("text", ["[%s]", '{"a": {"b": [%s]}}'])
def test_entries_are_counted_where_they_stand(text: str) -> None:
    door = Decoder(max_entries=100)
    assert door.decode(text % ",".join("1" * 100))
    with pytest.raises(TooManyEntries, match=r"has 101 entries( at a\.b)?; 100 are the most"):
        door.decode(text % ",".join("1" * 101))
    assert door.decode(json.dumps([[1] * 60, [1] * 60]))


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_it_reads_what_it_can_store_and_nothing_else(value: Any) -> None:
    text = json.dumps(value)
    if any(unstorable(one) for one in _texts(value)):
        with pytest.raises(Unreadable):
            Decoder().decode(text)
    else:
        assert Decoder().decode(text) == value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for one in inner for text in _texts(one)]
