"""Who wins when the hotel and a vendor both changed a field: the three-way merge and its rules.

Rules come from the integration's sync settings, the most exact one counts:
`{"conflict_rules": {"*": "vendor_wins", "guest": "newest_wins", "menu_item.description": "hotel_wins"}}`
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from integrations.models import ConflictWinner, Integration

DELETED = "deleted"
"""What a conflict about a deletion has as its field."""


class Rule(StrEnum):
    VENDOR = "vendor_wins"
    HOTEL = "hotel_wins"
    NEWEST = "newest_wins"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one integration."""

    table: Mapping[str, Rule]

    @classmethod
    def of(cls, integration: Integration) -> "Rules":
        return cls({key: Rule(rule) for key, rule in integration.sync_settings.get("conflict_rules", {}).items()})

    def find(self, record_type: str, field: str) -> Rule:
        for key in (f"{record_type}.{field}", record_type, "*"):
            if key in self.table:
                return self.table[key]
        return Rule.VENDOR


class Decision(NamedTuple):
    take_theirs: bool
    rule: Rule | None = None
    """Set where both sides changed: the loser is kept as a conflict."""

    @property
    def winner(self) -> ConflictWinner:
        return ConflictWinner.VENDOR if self.take_theirs else ConflictWinner.HOTEL


def decide(base: Any, theirs: Any, ours: Any, rule: Rule, *, theirs_at: datetime | None, ours_at: datetime | None) -> Decision:
    """Merge one field. `newest_wins` compares the vendor's clock with ours; where one of the times is not known, the vendor counts as
    newer."""
    if theirs in (base, ours):
        return Decision(False)
    if ours == base:
        return Decision(True)
    if rule is Rule.NEWEST:
        return Decision(theirs_at is None or ours_at is None or theirs_at >= ours_at, rule)
    return Decision(rule is Rule.VENDOR, rule)
