"""Who pays: the one stay in a room, or the one whose guest signed."""

from datetime import date

import pytest

from integrations.exceptions import RequestRejected
from integrations.services.payers import Stay, is_called, who_pays

TODAY = date(2026, 6, 9)
NOAH = Stay(reservation_external_id="1", guests={"g1": "Noah Miller"}, arrived_on=TODAY)
EMMA = Stay(reservation_external_id="2", guests={"g2": "Emma Miller", "g4": "Zoë Çelik"}, arrived_on=TODAY)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("Müller", "Jörg Müller"), ("MUELLER, JOERG", "Jörg Müller"), ("Mu\u0308ller", "Jörg Müller"), ("O'Brien", "Liam O’BRIEN"), ("L. O’Brien", "Liam O'Brien"),
        ("Mr. Doe", "John Doe"), ("Doe, Dr John", "John Doe"), ("John Fitzgerald Doe", "John Doe"), ("Иванова", "Olga Ivanova"), ("Smith-Jones", "Ana Smith Jones"),
    ],
)  # fmt: skip
def test_a_name_is_known_however_it_is_written(asked: str, name: str) -> None:
    assert is_called(asked, name)


@pytest.mark.parametrize(
    ("asked", "name"),
    [("Anna Miller", "Noah Miller"), ("Doe", ""), ("", "John Doe"), ("...", "John Doe"), ("Emma Doe", "Emma Miller"), ("J. Smith", "John Doe"), ("John", "Johnson")],
)  # fmt: skip
def test_another_name_is_another_person(asked: str, name: str) -> None:
    assert not is_called(asked, name)


def test_the_only_stay_pays_and_among_several_the_one_who_signed() -> None:
    assert who_pays([NOAH], "105", "", TODAY) == NOAH
    assert who_pays([NOAH, EMMA], "105", "Emma", TODAY) == EMMA
    assert who_pays([NOAH, EMMA], "105", "celik", TODAY) == EMMA


@pytest.mark.parametrize(
    ("stays", "name", "asked_on", "words"),
    [
        ([], "", TODAY, "Nobody is in house in room 105"),
        ([NOAH], "Emma", TODAY, "Nobody called as given in guest_name"),
        ([NOAH, EMMA], "", TODAY, "Reservations 1 and 2 share room 105, so it does not say who pays"),
        ([NOAH, EMMA], "Miller", TODAY, "share room 105 and the name"),
        ([NOAH], "", date(2026, 6, 8), "arrived on 2026-06-09, after this was asked for"),
    ],
)
def test_nobody_is_guessed(stays: list[Stay], name: str, asked_on: date, words: str) -> None:
    with pytest.raises(RequestRejected, match=words) as caught:
        who_pays(stays, "105", name, asked_on)
    assert caught.value.hint
    assert "Noah" not in str(caught.value), "guests' names are not for refusals"
