"""The simulated org's objects: their fields, what a field takes, and what an id looks like.

Every refusal has Salesforce's code and words (REST API Developer Guide and answers quoted in public issue threads, 2026-11).
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from integrations.simulators.server import SimResponse

Row = dict[str, Any]


class ApiError(Exception):
    """An API error. Answers tell it as an array of one, collections as the result of one record."""

    def __init__(self, status: int, code: str, message: str, *fields: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, list(fields)

    def answer(self) -> SimResponse:
        named = {"fields": self.fields} if self.fields else {}
        return SimResponse(status=self.status, json=[{"message": self.message, "errorCode": self.code, **named}])

    def result(self) -> Row:
        return {"success": False, "errors": [{"statusCode": self.code, "message": self.message, "fields": self.fields}]}


def not_offered(what: str) -> ApiError:
    """Refuse by name what Salesforce has and the simulator has not: no answer of Salesforce's is 501."""
    return ApiError(501, "NOT_IMPLEMENTED", f"This simulator does not offer {what}.")


# --- ids ---------------------------------------------------------------------------------------------------------------------

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?", re.ASCII)


def checksum(core: str) -> str:
    """Return the three characters that say which of fifteen are upper case."""
    blocks = (core[start : start + 5] for start in (0, 5, 10))
    return "".join(LETTERS[sum(c.isupper() << bit for bit, c in enumerate(block))] for block in blocks)


def record_id(prefix: str, number: int) -> str:
    core = f"{prefix}Hs0000{number:06d}"
    return core + checksum(core)


def read_id(text: Any) -> str:
    """Return an id in its 18 characters, or nothing if it is none."""
    if not isinstance(text, str) or not ID.fullmatch(text):
        return ""
    whole = text[:15] + checksum(text[:15])
    return whole if whole.startswith(text) else ""


# --- fields ------------------------------------------------------------------------------------------------------------------

JSON_TYPES = {str: "VALUE_STRING", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT", dict: "START_OBJECT", list: "START_ARRAY"}
SOAP_TYPES = {"boolean": "xsd:boolean", "double": "xsd:double", "datetime": "xsd:dateTime", "id": "tns:ID", "reference": "tns:ID"}
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")


@dataclass(frozen=True, slots=True)
class Column:
    type: str = "string"
    length: int = 255
    required: bool = False
    read_only: bool = False
    external_id: bool = False
    unique: bool = False
    default: Any = None
    values: tuple[str, ...] = ()
    """Of a restricted picklist."""
    digits: tuple[int, int] = (16, 2)
    """Of a number: before and after the point."""
    refers_to: str = ""

    @property
    def is_searchable(self) -> bool:
        return self.type != "textarea"

    def describe(self, name: str) -> Row:
        return {
            "name": name,
            "label": label(name),
            "type": self.type,
            "soapType": SOAP_TYPES.get(self.type, "xsd:string"),
            "length": 0 if self.type in ("boolean", "double", "datetime") else self.length,
            "precision": sum(self.digits) if self.type == "double" else 0,
            "scale": self.digits[1] if self.type == "double" else 0,
            "custom": name.endswith("__c"),
            "nillable": not self.required,
            "createable": not self.read_only,
            "updateable": not self.read_only,
            "filterable": self.is_searchable,
            "sortable": self.is_searchable,
            "externalId": self.external_id,
            "idLookup": self.external_id or self.type == "id",
            "unique": self.unique,
            "defaultValue": self.default,
            "defaultedOnCreate": self.default is not None,
            "restrictedPicklist": bool(self.values),
            "picklistValues": [{"value": value, "label": value, "active": True, "defaultValue": value == self.default} for value in self.values],
            "referenceTo": [self.refers_to] if self.refers_to else [],
            "relationshipName": relationship(name) if self.refers_to else None,
        }  # fmt: skip

    def stored(self, value: Any) -> Any:
        """Return a value as it reads when it comes back: a time in UTC without a fraction of a second, a text that is empty as null."""
        if value in (None, ""):
            return None
        if self.type == "datetime":
            return moment(datetime.fromisoformat(value).replace(microsecond=0))
        return read_id(value) if self.type == "reference" else value

    def check(self, name: str, value: Any) -> None:
        if self.read_only:
            words = "Please check the security settings of this field and verify that it is read/write for your profile or permission set."
            raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", f"Unable to create/update fields: {name}. {words}", name)
        if value is None:
            if self.type == "boolean":
                raise ApiError(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{label(name)}: value not of required type: null", name)
            return
        self._check_type(name, value)
        if isinstance(value, str) and len(value) > self.length:
            raise ApiError(400, "STRING_TOO_LONG", f"{label(name)}: data value too large: {value} (max length={self.length})", name)
        if self.type == "email" and value and not EMAIL.fullmatch(value):
            raise ApiError(400, "INVALID_EMAIL_ADDRESS", f"{label(name)}: invalid email address: {value}", name)
        if self.values and value and value not in self.values:
            words = f"{label(name)}: bad value for restricted picklist field: {value}"
            raise ApiError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", words, name)
        if self.type == "double" and abs(value) >= 10 ** self.digits[0]:
            words = f"{label(name)}: value outside of valid range on numeric field: {value}"
            raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", words, name)

    def _check_type(self, name: str, value: Any) -> None:
        kinds = {"boolean": bool, "double": (int, float)}.get(self.type, str)
        is_right = isinstance(value, kinds) and (self.type == "boolean" or not isinstance(value, bool))
        if is_right and self.type == "datetime" and value:
            is_right = bool(MOMENT.fullmatch(value)) and _is_moment(value)
        if not is_right:
            seen = "VALUE_TRUE" if value is True else "VALUE_FALSE" if value is False else JSON_TYPES[type(value)]
            shown = "" if isinstance(value, dict | list) else f" value {value}"
            words = f"Cannot deserialize instance of {self.type} from {seen}{shown} or request may be missing a required field"
            raise ApiError(400, "JSON_PARSER_ERROR", f"{words} at [line:1, column:1]: {name}", name)
        if self.type == "reference" and value and not read_id(value):
            raise ApiError(400, "MALFORMED_ID", f"{label(name)}: id value of incorrect type: {value}", name)


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def label(name: str) -> str:
    """Return a field's label: what Salesforce's words say instead of its name."""
    if name.endswith("__c"):
        return name.removesuffix("__c").replace("_", " ")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def relationship(name: str) -> str:
    """Return what a query calls the record that a custom reference leads to: `Guest__c` leads to `Guest__r`."""
    return name.removesuffix("__c") + "__r"


def moment(value: datetime) -> str:
    """Write a time as Salesforce does: milliseconds, and an offset without a colon."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}+0000"


TEXT, LONG_TEXT, FLAG, WHEN = Column(), Column("textarea", 32_000), Column("boolean", default=False), Column("datetime")
SYSTEM = {
    "Id": Column("id", 18, read_only=True),
    "Name": Column(read_only=True),
    "IsDeleted": Column("boolean", read_only=True, default=False),
    "CreatedDate": Column("datetime", read_only=True),
    "LastModifiedDate": Column("datetime", read_only=True),
    "SystemModstamp": Column("datetime", read_only=True),
}
MESSAGE = {
    **SYSTEM,
    "Hospient_Id__c": Column(external_id=True, unique=True),
    "Guest__c": Column("reference", 18, refers_to="Contact"),
    "Room_Number__c": replace(TEXT, length=20),
    "Message__c": LONG_TEXT,
}
PREFIXES = {"Contact": "003", "Feedback__c": "a01", "Chat_Message__c": "a02", "Notification__c": "a03"}
CHILDREN = {"Feedback__r": "Feedback__c", "Chat_Messages__r": "Chat_Message__c", "Notifications__r": "Notification__c"}
"""What a query calls a contact's messages -> their object."""
OBJECTS: dict[str, dict[str, Column]] = {
    "Contact": {
        **SYSTEM,
        "FirstName": Column(length=40),
        "LastName": Column(length=80, required=True),
        "Email": Column("email", 80),
        "Phone": Column("phone", 40),
        "MobilePhone": Column("phone", 40),
        "Description": LONG_TEXT,
        "DoNotCall": FLAG,
        "HasOptedOutOfEmail": FLAG,
        "MasterRecordId": Column("reference", 18, read_only=True, refers_to="Contact"),
        "Language__c": TEXT,
        "VIP__c": FLAG,
        "Pillow__c": TEXT,
        "Loyalty_Number__c": Column(external_id=True),
    },
    "Feedback__c": {
        **MESSAGE,
        "Rating__c": Column("double", digits=(2, 1)),
        "Category__c": TEXT,
        "Title__c": TEXT,
        "Is_Anonymous__c": FLAG,
        "Submitted_At__c": WHEN,
    },
    "Chat_Message__c": {**MESSAGE, "Message_Type__c": TEXT, "Sender_Type__c": TEXT, "Sender_Name__c": TEXT, "Sent_At__c": WHEN},
    "Notification__c": {
        **MESSAGE,
        "Title__c": TEXT,
        "Category__c": TEXT,
        "Priority__c": Column("picklist", values=("low", "normal", "high", "urgent")),
        "Notification_Type__c": TEXT,
        "Status__c": Column("picklist", default="pending", values=("pending", "sent", "delivered", "read", "failed")),
        "Sent_At__c": WHEN,
    },
}


def object_named(name: str) -> str:
    """Return an object's name in its own case, or nothing: API names are read without case."""
    return next((known for known in OBJECTS if known.casefold() == name.casefold()), "")


def column_named(table: str, name: str) -> str:
    """Return a field's name in its own case, or nothing."""
    return next((known for known in OBJECTS[table] if known.casefold() == name.casefold()), "")
