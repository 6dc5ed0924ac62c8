"""Reads bodies that strangers write: JSON and Salesforce's SOAP, with everything refused that could hurt later.

What comes out can be stored in both databases, nested a bounded number of times, printed and encoded. Called by the verifiers, after the
signature was checked.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from integrations.decoding import MAX_DEPTH, Decoder, Unreadable, unstorable
from webhooks.exceptions import BodyUnreadable

_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:+-]{1,40})""", re.I)
_TEXT_CODEC = re.compile(r"utf-(?:8|16|32)(?:-[bl]e)?|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|shift_jis|euc_\w+|gb\w+|big5\w*")
"""Charsets only: Python's codecs have others too, which unpack or compute."""


def decode_text(body: bytes, content_type: str = "") -> str:
    """Read bytes in the charset their sender declares, else as UTF-8; a byte order mark is left out. Raises BodyUnreadable."""
    declared = None if body.startswith(codecs.BOM_UTF8) else _CHARSET.search(content_type)  # a mark says so itself
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
    """Read JSON strictly: amounts become Decimal. Raises BodyUnreadable."""
    try:
        return _decoder.decode(body if isinstance(body, str) else decode_text(body))
    except Unreadable as error:
        raise BodyUnreadable(f"The body {error}.") from None


_decoder = Decoder()


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
    if what := unstorable(text):
        raise BodyUnreadable(f"The body has {what}, which cannot be stored.")
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise BodyUnreadable(f"The body is not valid XML: {error}") from None
    return document


def _walk(element: _Element) -> Iterator[_Element]:
    yield element
    for child in element.children:
        yield from _walk(child)
