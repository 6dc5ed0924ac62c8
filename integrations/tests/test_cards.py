"""Card data is masked wherever it stands and however it is written; what only looks like it stays as it is."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.records import ChatMessage, Guest
from integrations.security.cards import REDACTED, mask_cards
from integrations.security.kept import keepable, keepable_json
from integrations.sync.rows import keepable_record

ISSUERS = [
    ("4", 16), ("4", 19), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("6011", 16), ("65", 16),
    ("3528", 16), ("3589", 16), ("300", 14), ("36", 14), ("38", 14), ("62", 16), ("62", 19), ("6304", 16),
]  # fmt: skip
GROUPED = ["card 4111 1111 1111 1111 exp 12/27", "4111-1111-1111-1111", "4111.1111.1111.1111", "4111\u00a01111\u00a01111\u00a01111",
           "４１１１ １１１１ １１１１ １１１１", "4111111111111111", "visa4111111111111111", "order 4111 1111 1111 1111",
           "3782 822463 10005", "4111\u200b1111\u200b1111\u200b1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "card: 4222222222222"]  # fmt: skip
KEPT = ["+5511991000002", "5449000000996", "check 3000000001000003", "order 4111111111111111", "confirmation no. 4111111111111111",
        "call 5511991000002", "41111111-1111-4111-8111-111111111111", "a4111111111111111f", "1781010100000", "2026-11-28 23:06:00.123456",
        "room 4 of 12", "4012345678901", "IBAN AT611904300234573201"]  # fmt: skip
GONE = ["cvv 123", "CVC: 9876", "security code is 123", "cvv2=123", "%B4111111111111111^BERGER/ANNA^27121010000",
        ";4111111111111111=27121010000000000000?", "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
        "I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6", "ERIKSSON<<ANNA<MARIA<<<<<<<<<<"]  # fmt: skip


def numbers() -> st.SearchStrategy[str]:
    def complete(drawn: tuple[tuple[str, int], int]) -> str:
        (prefix, length), fill = drawn
        stem = prefix + str(fill).zfill(20)[-(length - 1 - len(prefix)) :]
        return next(stem + str(check) for check in range(10) if passes_luhn(stem + str(check)))

    return st.tuples(st.sampled_from(ISSUERS), st.integers(0, 10**19)).map(complete)


def passes_luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


@pytest.mark.parametrize("text", GROUPED)
def test_a_card_however_written(text: str) -> None:
    shown = mask_cards(text)
    assert "…" in shown
    assert sum(character.isdigit() for character in shown) <= 14
    assert mask_cards(shown) == shown


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_card_stays(text: str) -> None:
    assert mask_cards(text) == text


@pytest.mark.parametrize("text", GONE)
def test_codes_tracks_and_passport_lines_go(text: str) -> None:
    shown = mask_cards(f"he wrote {text}")
    assert REDACTED in shown
    assert text not in shown


@settings(max_examples=200, deadline=None)
@given(numbers(), st.sampled_from(["", " ", "-", ".", "\u00a0", " - ", "\u2011"]))
def test_every_issued_number_is_masked_in_prose_and_under_any_key_but_an_ids(number: str, separator: str) -> None:
    written = separator.join(number[at : at + 4] for at in range(0, len(number), 4))
    for shown in (
        mask_cards(f"pay by {written} please"),
        keepable({"note": written})["note"],
        keepable({"card_number": written})["card_number"],
    ):
        assert written not in shown
        assert not re.search(r"\d{7}", re.sub(r"[^\d…]", "", shown))
    for key in ("id", "check_id", "orderId", "sku", "barcode", "phone", "confirmation_number", "room_number", "reference", "external_ids"):
        assert keepable({key: number}) == {key: number}
        assert keepable({key: int(number)}) == {key: int(number)}
        assert keepable_json(f'{{"{key}": {number}}}') == f'{{"{key}": {number}}}'
    assert number not in keepable_json(f'{{"a": [{{"amount_text": {number}}}]}}')


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789 -.…<PUTOcardv=+^B\u00a0", max_size=80))
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask_cards(mask_cards(text)) == mask_cards(text)


@pytest.mark.parametrize("piece", ["4", "4 ", "41", "4111 1111 1111 1111 ", "P<", "<", "cvv ", "4-", "4111111111111111=", "a4", "visa 5"])
def test_a_megabyte_takes_its_length(piece: str) -> None:
    started = time.thread_time()
    mask_cards(piece * (2**20 // len(piece)))
    assert time.thread_time() - started < 8


def test_the_words_of_a_json_document_tell_what_a_number_is() -> None:
    text = '{"check": {"number": 4111111111111111}, "card": {"number": 4111111111111111, "cvv": 12}, "f": [{"name": "CVC", "value": "1"}], "x": 1.50}'
    assert keepable_json(text) == (
        '{"check": {"number": 4111111111111111}, "card": {"number": "411111…1111", "cvv": "[redacted]"}, '
        '"f": [{"name": "CVC", "value": "[redacted]"}], "x": 1.50}'
    )
    assert keepable_json('{"note": "4111\\u00201111 1111\\u00a01111"}') == '{"note": "411111…1111"}'


def test_records_of_a_sync_keep_no_card_and_every_id() -> None:
    guest = Guest(
        external_id="4111111111111111", phone="+5511991000002", preferences={"pays": "card 4111 1111 1111 1111", "id": "4111111111111111"}
    )
    assert keepable_record(guest).preferences == {"pays": "card 411111…1111", "id": "4111111111111111"}
    assert keepable_record(guest).external_id == guest.external_id
    assert keepable_record(ChatMessage(external_id="1", message="4111-1111-1111-1111")).message == "411111…1111"
    untouched = Guest(external_id="1", phone="+5511991000002", family_name="Berger")
    assert keepable_record(untouched) is untouched
