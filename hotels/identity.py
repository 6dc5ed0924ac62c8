"""How names, addresses and numbers of people compare, however a system spells them: each becomes a key, and equal keys mean the same.

Pure functions, called by whatever looks for a person. A key is for comparing alone; it is never shown and never sent.
"""

import importlib.resources
import re
import unicodedata
from functools import lru_cache

import phonenumbers
from anyascii import anyascii
from phonenumbers import PhoneNumberFormat, PhoneNumberType

_TITLES = {"mr", "mrs", "ms", "miss", "dr", "prof", "herr", "frau", "sr", "sra", "mme", "monsieur", "madame"}
_NOBODY = {"", "na", "nn", "tba", "tbc", "tbd", "guest", "unknown", "noname", "none", "null", "test", "x", "xx", "xxx"}
"""What systems write where a name is wanted and none is known."""
_DIGRAPHS = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a"))
"""Ä is written A or AE, Ø O or OE, Å A or AA: one letter stands for all of them, on both sides of a comparison."""
_LEAST_DIGITS = 7
"""A shorter number is an extension or a typing mistake, and nobody's own."""


def fold(name: str) -> str:
    """Return a given or a family name as it compares: without case, accents, script, titles and punctuation; empty for a placeholder."""
    words = _words(name)
    plain = _letters([word for word in words if word not in _TITLES] or words)
    return "" if plain in _NOBODY else plain


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", anyascii(unicodedata.normalize("NFKC", name).casefold()).lower().replace("'", ""))


def _letters(words: list[str]) -> str:
    plain = "".join(words)
    for pair, letter in _DIGRAPHS:
        plain = plain.replace(pair, letter)
    return plain


def words(name: str) -> set[str]:
    """Return the words of a whole name as they compare, in any order; without titles."""
    folded = {fold(word) for word in re.split(r"[\s,;.()/-]+", name)} - {""}
    return folded - _TITLES or folded


def name_key(given_name: str, family_name: str) -> str:
    """Return a whole name as it compares; empty unless both parts are known."""
    family, given = fold(family_name), fold(given_name)
    return f"{family} {given}" if family and given else ""


def email_key(email: str) -> str:
    text = unicodedata.normalize("NFKC", email).strip().casefold()
    return text if "@" in text[1:-1] else ""


def phone_key(phone: str, country: str) -> str:
    """Return a whole phone number as it compares, in E.164 where it can be told; one written without its country is read as of `country`
    (ISO 3166, or empty)."""
    text = unicodedata.normalize("NFKC", phone).strip()
    if text.startswith("00"):
        text = f"+{text[2:]}"
    try:
        number = phonenumbers.parse(text, country or None)
        if phonenumbers.is_possible_number(number):
            extension = f";{number.extension}" if number.extension else ""
            return phonenumbers.format_number(number, PhoneNumberFormat.E164) + extension
    except phonenumbers.NumberParseException:
        pass
    digits = "".join(str(unicodedata.digit(sign)) for sign in text if sign.isdigit())
    return digits if len(digits) >= _LEAST_DIGITS else ""


def is_spelling(field: str, one: str | None, other: str | None, country: str) -> bool:
    """Say whether two values of a guest's field are one that two systems spell: a number without its spaces, a name in capitals."""
    if (one or "") == (other or ""):
        return True
    if not one or not other:
        return False
    if field == "phone":
        return phone_key(one, country) == phone_key(other, country) != ""
    if field == "email":
        return email_key(one) == email_key(other) != ""
    return field in ("given_name", "family_name") and _letters(_words(one)) == _letters(_words(other)) != ""


def is_mobile(key: str) -> bool:
    """Say whether a phone's key is a mobile's for certain. A landline belongs to a household."""
    if not key.startswith("+"):
        return False
    return phonenumbers.number_type(phonenumbers.parse(key.partition(";")[0])) == PhoneNumberType.MOBILE


@lru_cache(maxsize=1)
def _countries() -> dict[str, str]:
    table = (importlib.resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return {zone: country for country, _, zone, *_ in rows}


def country_of(time_zone: str) -> str:
    """Return the ISO 3166 code of the country a time zone is of; empty for UTC and its like."""
    return _countries().get(time_zone, "")
