"""Which of the hotel's tables each record type is stored in, and how.

A table, not code: the reconciler reads it and knows no record by name. Fields of a record that are not named here are copied to the
model's field of the same name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from django.db import models

from hotels import models as hotels
from integrations import records
from integrations.models import Integration
from integrations.records import Record
from integrations.sync.matching import Match, match_guests, match_rooms

Matcher = Callable[[Integration, list[Any]], Match]


@dataclass(frozen=True, eq=False)
class Binding:
    record: type[Record]
    model: type[models.Model]
    relations: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Record field -> (foreign key of the model, record type it points to)."""
    links: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Record field -> (many-to-many of the model, record type it points to)."""
    children: str = ""
    """Record field with nested records, stored as rows of their own."""
    child: str = ""
    """Record type of those."""
    parent: str = ""
    """Child only: its foreign key to the parent row."""
    match: Matcher | None = None
    """(integration, new records) -> which rows of the hotel they stand for, or may stand for."""

    @property
    def record_type(self) -> str:
        return self.record.record_type

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Record fields that are remembered in the snapshot: all but bookkeeping and children."""
        base = {f.name for f in fields(Record)}
        return tuple(f.name for f in fields(self.record) if f.name not in base and f.name != self.children)

    @cached_property
    def copied(self) -> tuple[str, ...]:
        """Record fields that are model fields of the same name."""
        return tuple(name for name in self.own if name not in self.relations and name not in self.links)


BINDINGS: dict[str, Binding] = {
    binding.record_type: binding
    for binding in (
        # In the order in which records of one page are stored: what is pointed to comes first.
        Binding(records.MenuCategory, hotels.MenuCategory, relations={"parent_external_id": ("parent", "menu_category")}),
        Binding(records.MenuTax, hotels.MenuTax),
        Binding(records.ModifierList, hotels.ModifierList),
        Binding(
            records.MenuItem,
            hotels.MenuItem,
            relations={"category_external_id": ("category", "menu_category")},
            links={
                "modifier_list_external_ids": ("modifier_lists", "modifier_list"),
                "tax_external_ids": ("taxes", "menu_tax"),
            },
            children="variations",
            child="menu_variation",
        ),
        Binding(records.MenuVariation, hotels.MenuVariation, parent="item"),
        Binding(records.Room, hotels.Room, match=match_rooms),
        Binding(records.Guest, hotels.Guest, match=match_guests),
        Binding(
            records.Reservation,
            hotels.Reservation,
            relations={"guest_external_id": ("guest", "guest")},
            links={"companion_external_ids": ("companions", "guest")},
        ),
        Binding(records.GuestCheck, hotels.GuestCheck),
        Binding(records.Feedback, hotels.Feedback, relations={"guest_external_id": ("guest", "guest")}),
        Binding(records.ChatMessage, hotels.ChatMessage, relations={"guest_external_id": ("guest", "guest")}),
        Binding(records.Notification, hotels.Notification, relations={"guest_external_id": ("guest", "guest")}),
    )
}
