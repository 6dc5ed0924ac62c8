"""Reads bodies that strangers write: JSON and Salesforce's SOAP, with everything refused that could hurt later.

What comes out can be stored in both databases, nested a bounded number of times, printed and encoded. Called by the verifiers, after the
signature was checked.
"""

import codecs
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from xml.parsers import expat

from webhooks.exceptions import BodyUnreadable

MAX_DEPTH = 64
MAX_DIGITS = 64
"""Far above any amount or id, far below what makes arithmetic slow."""
MAX_EXPONENT = 64
"""1E+999999999 is eleven bytes here and a gigabyte when somebody prints it."""


_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:+-]{1,40})""", re.I)
_TEXT_CODEC = re.compile(r"utf-(?:8|16|32)(?:-[bl]e)?|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|shift_jis|euc_\w+|gb\w+|big5\w*")
"""Charsets only: Python's codecs have others too, which unpack or compute."""


def decode_text(body: bytes, content_type: str = "") -> str:
    """Read bytes in the charset their sender declares, else as UTF-8; a byte order mark is left out. Raises BodyUnreadable."""
    declared = _CHARSET.search(content_type)
    charset = "utf-8"
    if declared and declared[1].lower() != charset:
        try:
            charset = codecs.lookup(declared[1]).name
        except LookupError:
            charset = ""
        if not _TEXT_CODEC.fullmatch(charset):
            raise BodyUnreadable(f"The body is in a charset that is not known: {declared[1]}. Send it in UTF-8.")
    try:
        return body.decode(charset).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise BodyUnreadable(f"The body is not valid {charset.upper()}.") from None


def decode_json(body: str | bytes) -> Any:
    """Read JSON strictly (RFC 8259, I-JSON): amounts become Decimal. Raises BodyUnreadable."""
    try:
        text = (body if isinstance(body, str) else decode_text(body)).strip(_BLANK)
        value, end = _decode(text)
        if end < len(text):
            raise ValueError(f"there is more after its end, from character {end + 1}")
    except RecursionError:
        raise BodyUnreadable("The body is nested too deeply.") from None
    except ArithmeticError:
        raise BodyUnreadable("The body has a number that is out of range.") from None
    except ValueError as error:
        raise BodyUnreadable(f"The body is not valid JSON: {error}.") from None
    # Only a body with that many brackets can be nested too deeply, and only an escape can smuggle in what UTF-8 forbids.
    if text.count("[") + text.count("{") > MAX_DEPTH or "\\u" in text:
        _inspect(value)
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("a number has too many digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise ValueError("a number has too many digits")
    number = Decimal(text)
    if abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError("a number is out of range")
    return number


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return value


_BLANK = " \t\r\n"
_decode = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant).raw_decode


def _inspect(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        following: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                for name in one:
                    _check_text(name)
                following.extend(one.values())
            elif isinstance(one, list):
                following.extend(one)
            elif isinstance(one, str):
                _check_text(one)
        if not following:
            return
        level = following
    raise BodyUnreadable("The body is nested too deeply.")


_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")


def _check_text(text: str) -> None:
    if _FORBIDDEN.search(text):
        raise BodyUnreadable("The body has a text with a NUL or half a surrogate pair, which cannot be stored.")


# --- SOAP ----------------------------------------------------------------------------------------------------------------------

_OUTBOUND = "http://soap.sforce.com/2005/09/outbound"


def decode_outbound_message(body: str | bytes) -> dict[str, Any]:
    """Read a Salesforce outbound message. Raises BodyUnreadable.

    Returns `{"OrganizationId", "ActionId", "EnterpriseUrl", "PartnerUrl", "Notification": [{"Id", "sObject": {"type": "Contact", "Id", ...}}]}`.
    The session id, a live credential when it is filled, is left out.
    """
    root = _elements(body if isinstance(body, str) else decode_text(body))
    found = next((element for element in _walk(root) if element.name == (_OUTBOUND, "notifications")), None)
    if found is None:
        raise BodyUnreadable("The body is not a Salesforce outbound message.")
    message: dict[str, Any] = {child.name[1]: child.text for child in found.children if child.name[1] not in ("SessionId", "Notification")}
    message["Notification"] = [_notification(child) for child in found.children if child.name[1] == "Notification"]
    return message


def _notification(element: "_Element") -> dict[str, Any]:
    notification: dict[str, Any] = {"Id": "", "sObject": {}}
    for child in element.children:
        if child.name[1] == "sObject":
            notification["sObject"] = {"type": child.type} | {field.name[1]: field.text for field in child.children}
        else:
            notification[child.name[1]] = child.text
    return notification


class _Element:
    __slots__ = ("children", "name", "parts", "type")

    def __init__(self, name: tuple[str, str], type_: str) -> None:
        self.name = name
        self.type = type_
        self.parts: list[str] = []
        self.children: list[_Element] = []

    @property
    def text(self) -> str:
        return "".join(self.parts)


def _elements(text: str) -> _Element:
    """Parse XML without document types, entities, processing instructions or deep nesting."""
    document = _Element(("", ""), "")
    stack = [document]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise BodyUnreadable("The body is nested too deeply.")
        namespace, _, local = name.rpartition(" ")
        type_ = attributes.get("http://www.w3.org/2001/XMLSchema-instance type", "").rpartition(":")[2]
        stack[-1].children.append(_Element((namespace, local), type_))
        stack.append(stack[-1].children[-1])

    def refuse(*_: Any) -> None:
        raise BodyUnreadable("The body declares a document type, which is refused.")

    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = lambda text: stack[-1].parts.append(text)
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(text.encode(), True)
    except UnicodeEncodeError:
        raise BodyUnreadable("The body has half a surrogate pair, which cannot be stored.") from None
    except expat.ExpatError as error:
        raise BodyUnreadable(f"The body is not valid XML: {error}") from None
    return document


def _walk(element: _Element) -> Iterator[_Element]:
    yield element
    for child in element.children:
        yield from _walk(child)
