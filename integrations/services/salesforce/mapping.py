"""Turns Salesforce's rows into our records and our payloads into its fields. Pure.

Only Contact is Salesforce's own. What holds feedback, chat and notifications is made by each org's administrator, so what objects and
fields are called is a table here that a hotel's config may overrule, name by name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from integrations import values
from integrations.exceptions import RecordRejected
from integrations.records import Record, Rejected
from integrations.services.rows import mapped
from integrations.services.salesforce.ids import record_id, spelled

# Ours -> theirs; empty where an org out of the box has no such field.
GUEST_FIELDS = {
    "given_name": "FirstName",
    "family_name": "LastName",
    "email": "Email",
    "phone": "Phone",
    "language": "",
    "nationality": "",
    "is_vip": "",
}
PREFERENCE_FIELDS = {"notes": "Description", "no_email": "HasOptedOutOfEmail", "no_calls": "DoNotCall"}
_MESSAGE_FIELDS = {"guest_external_id": "Guest__c", "room_number": "Room_Number__c", "message": "Message__c"}
FEEDBACK_FIELDS = _MESSAGE_FIELDS | {
    "rating": "Rating__c",
    "category": "Category__c",
    "title": "Title__c",
    "is_anonymous": "Is_Anonymous__c",
    "submitted_at": "Submitted_At__c",
}
CHAT_MESSAGE_FIELDS = _MESSAGE_FIELDS | {
    "message_type": "Message_Type__c",
    "sender_type": "Sender_Type__c",
    "sender_name": "Sender_Name__c",
    "sent_at": "Sent_At__c",
}
NOTIFICATION_FIELDS = _MESSAGE_FIELDS | {
    "title": "Title__c",
    "category": "Category__c",
    "priority": "Priority__c",
    "notification_type": "Notification_Type__c",
    "status": "Status__c",
    "sent_at": "Sent_At__c",
}

SENDER_TYPES = ("guest", "staff", "system")
PRIORITIES = ("low", "normal", "high", "urgent")
STATUSES = ("pending", "sent", "delivered", "read", "failed")


def moment(text: str) -> datetime:
    """Read Salesforce's time ("2026-03-14T18:22:31.000+0000")."""
    found = values.moment(text, "time")
    if found is None:
        raise RecordRejected("Salesforce sent this without a time.")
    return found.astimezone(UTC)


def _one_of(words: Iterable[str], other: str) -> Callable[[Any], str]:
    return lambda value: value.lower() if isinstance(value, str) and value.lower() in words else other


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "guest_external_id": lambda value: spelled(values.text(value, "guest_external_id")),
    "is_vip": partial(values.flag, name="is_vip", default=False),
    "is_anonymous": partial(values.flag, name="is_anonymous", default=False),
    "rating": values.rating,
    "submitted_at": moment,
    "sent_at": moment,
    "sender_type": _one_of(SENDER_TYPES, "unknown"),
    "priority": _one_of(PRIORITIES, "normal"),
    "status": _one_of(STATUSES, "unknown"),
}


def _whole_seconds(text: str) -> str:
    return moment(text).strftime("%Y-%m-%dT%H:%M:%SZ")


# A date/time field keeps no fraction of a second.
_WRITERS: Mapping[str, Callable[[Any], Any]] = {"submitted_at": _whole_seconds, "sent_at": _whole_seconds, "guest_external_id": spelled}


MERGEABLE = ("Account", "Contact", "Lead")
"""Objects whose records Salesforce merges; `MasterRecordId` is "set when merged away" (Contact, 2026-11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMap:
    """One object as this org has it: its name, and what it calls our fields."""

    record: type[Record]
    name: str
    fields: Mapping[str, str]
    preferences: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(("Id", "IsDeleted", "SystemModstamp", *self.fields.values(), *self.preferences.values())))

    @property
    def trace(self) -> list[str]:
        """What is asked of a record that may be gone: where it was merged into, if its object can be merged."""
        return ["MasterRecordId"] if self.name in MERGEABLE else []

    def read(self, row: Mapping[str, Any]) -> Record:
        """Return a row as a record. Raises RecordRejected."""
        updated_at = moment(row["SystemModstamp"])
        if values.flag(row.get("IsDeleted"), "IsDeleted", default=False):
            return self.gone(values.ident(row["Id"], "Id"), updated_at, row.get("MasterRecordId") or "")
        held = {name: column for name, column in self.fields.items() if row.get(column) is not None}
        told = {
            name: _READERS[name](row[column]) if name in _READERS else values.text(row[column], column) for name, column in held.items()
        }
        if self.preferences:
            told["preferences"] = self.read_preferences(row)
        return self.record(external_id=record_id(row["Id"], "Id"), updated_at=updated_at, **told)

    def read_all(self, rows: Iterable[Mapping[str, Any]]) -> tuple[list[Record], list[Rejected]]:
        return mapped(rows, self.record, lambda row: [self.read(row)], lambda row: spelled(row["Id"]))

    def read_preferences(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the guest prefers, as plain JSON; what is not filled in is left out."""
        held = {name: row.get(column) for name, column in self.preferences.items()}
        return values.facts({name: value for name, value in held.items() if value not in (None, "")}, "preferences")

    def gone(self, external_id: str, when: datetime, merged_into: str = "") -> Record:
        kept = record_id(merged_into, "MasterRecordId") if merged_into else ""
        return self.record(external_id=record_id(external_id, "Id"), updated_at=when, deleted=True, merged_into=kept)

    def write(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return a payload's values under Salesforce's names; empty ones are left out."""
        given = {name: payload[name] for name in self.fields if payload.get(name) not in (None, "")}
        return {self.fields[name]: _WRITERS[name](value) if name in _WRITERS else value for name, value in given.items()}
