"""What a field holds, by the name of its key: the one table for what is kept and for what is shown.

Names come from vendors, senders of webhooks and our own models: `access_token`, `accessToken` and `X-Access-Token` are one.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

# --- secrets and persons: in lower case without punctuation --------------------------------------------------------------------

_TOKEN = re.compile(
    r"token|secret(?!ar)|passw|passphrase|(api|app|access|private|signing|encryption|subscription|master|account|client)key$"
    r"|authorization$|setcookie|^cookies?$|credential|bearer|assertion|^jwt$|sessionid$"
)
_SECRET = re.compile(
    _TOKEN.pattern + r"|passcode|^pass$|^pwd$|authkey$|signature|^sig$|^digest$|^xauth|cookie|^session$|^sid$|codeverifier"
    r"|^otp$|onetimecode|^pin(code)?$"
)
_NO_SECRET = re.compile(
    r"token(type|format|url|uri|endpoint)|(page|next|previous|sync|continuation)token|expires|expiry|expiration"
    r"|(signature|token)s?(type|count|method)$"
)
_PERSONAL = re.compile(
    r"(first|last|given|family|middle|full|maiden|nick|guest|customer|sender|recipient|contact|person|profile|holder|traveller|payer)s?names?$"
    r"|surname|^initials$|nameoncard"
    r"|e?mail(address(es)?|s|\d)?$|phones?(number|no|\d|home|work)?$|^mobile(no|number)?$|^cell$|^fax(number)?$"
    r"|(?<!ip)(?<!mac)(?<!base)address(es)?$|addressline|street|(postal|post|zip)code|^zip$|(^|mailing|other|billing|home)(city|town)(name)?$"
    r"|birth|^dob$|passport|(document|identity|identification|nationalid|idcard|licen[cs]e|taxid)(number|no|id)$|^id(number|card)$"
    r"|^(nationalid|taxid|ssn)$|socialsecurity|numberplate|^iban$"
)
_PERSON = re.compile(r"guest(?!check)|customer|contact|profile|person|travell?er|attendee|companion|occupant|payer|recipient|cardholder")
_CUSTOM = re.compile(r"__[a-z]{1,2}$", re.I)
"""Ends the name of a field that a hotel has added to its vendor's objects."""

# --- cards and ids: word by word -----------------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CODE = re.compile(r"cvv|cvc|^csc$|^cid$|card_?(?:verification|code)|security_?code|track_?(?:data|[12])|magstripe|^mrz|_mrz", re.I)
_ID_WORDS = frozenset(
    [
        "id",
        "ids",
        "uid",
        "uuid",
        "guid",
        "sku",
        "skus",
        "plu",
        "ean",
        "gtin",
        "upc",
        "isbn",
        "barcode",
        "barcodes",
        "phone",
        "phones",
        "telephone",
        "tel",
        "mobile",
        "cell",
        "fax",
        "whatsapp",
        "reference",
        "references",
        "ref",
        "refs",
        "imei",
        "etag",
        "version",
        "fingerprint",
        "cursor",
        "token",
        "password",
        "secret",
        "passphrase",
        "username",
    ]
)
_NUMBER_WORDS = frozenset(["number", "numbers", "no", "num", "nr", "code", "value", "key"])
_THINGS = frozenset(
    [
        "check",
        "order",
        "reservation",
        "confirmation",
        "booking",
        "room",
        "invoice",
        "folio",
        "receipt",
        "ticket",
        "voucher",
        "tracking",
        "phone",
        "mobile",
        "fax",
        "serial",
        "item",
        "table",
        "guest",
        "membership",
        "loyalty",
        "customer",
        "transaction",
        "document",
        "external",
        "vendor",
        "case",
        "event",
        "barcode",
        "reference",
        "product",
        "article",
        "primary",
        "batch",
        "request",
        "account",
        "profile",
        "hotel",
        "property",
        "location",
        "merchant",
        "employee",
    ]
)
_CARD_KEY_WORDS = frozenset(["card", "pan", "cc", "creditcard", "debitcard", "cardnumber", "ccnumber"])
_BARE = frozenset(["number", "no", "num", "nr", "value", "newvalue", "oldvalue", "text", "content"])


class Kind(NamedTuple):
    """What a key of some name holds."""

    is_token: bool = False
    """A secret that is not kept, whoever sends it."""
    is_secret: bool = False
    """Not shown."""
    is_personal: bool = False
    """Who a guest is: not shown. Whoever else has such a key is a person, so its `name` is a person's."""
    is_name: bool = False
    is_person: bool = False
    """What is below is about a person."""
    is_code: bool = False
    """A card's code or track: not kept at all."""
    is_card: bool = False
    """A card's number, or something else of it."""
    is_id: bool = False
    """Stays as it is, whatever it looks like."""

    @property
    def is_hidden(self) -> bool:
        """Say whether it is not shown."""
        return self.is_secret or self.is_personal or self.is_code


_declared: set[str] = set()
_EVERYDAY = frozenset(["", "name", "title", "id", "text", "value", "message", "description", "number"])


def declare_personal(names: Iterable[str]) -> None:
    """Take names for personal that a vendor or a hotel declares: `informationLines` says nothing to us. Everyday words are not taken."""
    if new := set(map(_plain, names)) - _declared - _EVERYDAY:
        _declared.update(new)
        kind_of.cache_clear()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _CUSTOM.sub("", name[:200]).lower())


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind:
    """Say what a key of that name holds."""
    plain = _plain(name)
    is_open = bool(_NO_SECRET.search(plain))
    is_code, is_card, is_id = _by_words(name)
    return Kind(
        is_token=bool(_TOKEN.search(plain)) and not is_open,
        is_secret=bool(_SECRET.search(plain)) and not is_open,
        is_personal=plain in _declared or bool(_PERSONAL.search(plain)),
        is_name=plain == "name",
        is_person=bool(_PERSON.search(plain)),
        is_code=is_code,
        is_card=is_card,
        is_id=is_id,
    )


def _by_words(name: str) -> tuple[bool, bool, bool]:
    """Say whether it is a card's code, a card, an id; it is one of them at most, or judged by its shape."""
    if _CODE.search(name):
        return True, False, False
    words = [word.lower() for word in _WORD.findall(name[:200])]
    if not words:
        return False, False, False
    is_card = not _CARD_KEY_WORDS.isdisjoint(words)
    is_numbered = words[-1] in _NUMBER_WORDS and not _THINGS.isdisjoint(words[:-1])
    is_id = words[-1] in _ID_WORDS or (is_numbered and not is_card)
    return False, is_card and not is_id, is_id


@lru_cache(maxsize=4096)
def _is_bare(name: str) -> bool:
    return re.sub(r"[^a-z]", "", name[:200].lower()) in _BARE


def telling_name(name: Any, parent: str, siblings: Mapping[Any, Any]) -> str:
    """Return the name that tells: of `{"card": {"number"}}` and `{"name": "CVV", "value"}` it is not the key's own."""
    name = str(name)
    if not _is_bare(name):
        return name
    for said_by in ("name", "key", "field", "label", "dataElement", "elementName", "type"):
        if isinstance(said := siblings.get(said_by), str) and any(kind_of(said)):
            return f"{said} number" if kind_of(said).is_card else said
    return f"{parent} {name}" if parent else str(name)
