"""One odd row does not keep the others out: what every provider's pages and deliveries go through."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from integrations import values
from integrations.exceptions import RecordRejected, UnexpectedResponse
from integrations.records import InboundEvent, MenuVariation, Record, Rejected

T = TypeVar("T")

ODD = (AttributeError, TypeError, LookupError, ValueError, ArithmeticError, RecursionError)
"""What a mapping runs into where a vendor sent another shape than it promises."""
ODD_SHAPE = "It is not in the shape this system promises"


def mapped(
    rows: Iterable[Any], kind: type[Record], read: Callable[[Any], Iterable[Record]], name_of: Callable[[Any], Any]
) -> tuple[list[Record], list[Rejected]]:
    """Return the records of a page's rows, and the rows that could not be read, each with its reason."""
    judged = values.judged
    found, rejected = read_each(rows, kind, lambda row: [judged(record) for record in read(row)], name_of)
    return [record for records in found for record in records], rejected


def back_on_sale(variations: Iterable[MenuVariation]) -> datetime | None:
    """Return when the first variation of an item is for sale again; None where one is not sold out for a time."""
    times = [variation.sold_out_until for variation in variations if variation.is_available]
    return min((time for time in times if time), default=None) if all(times) else None


def read_each(
    rows: Iterable[Any], kind: type[Record], read: Callable[[Any], T], name_of: Callable[[Any], Any]
) -> tuple[list[T], list[Rejected]]:
    """Return what was read of each row, and the rows that could not be, each with its reason."""
    found: list[T] = []
    rejected: list[Rejected] = []
    for row in rows:
        try:
            found.append(read(row))
            continue
        except (RecordRejected, UnexpectedResponse) as refusal:
            reason = refusal.message
        except ODD as error:
            reason = f"{ODD_SHAPE} ({type(error).__name__})."
        payload = row if isinstance(row, Mapping) else {"value": row}
        rejected.append(Rejected(external_id=named(row, name_of), record_type=kind.record_type, reason=reason, payload=payload))
    return found, rejected


def events_of(messages: Iterable[Any], read: Callable[[Any], InboundEvent], type_of: Callable[[Any], Any]) -> list[InboundEvent]:
    """Return the events of a delivery's messages. Of one that cannot be read it is the type, as far as it goes, and the reason."""
    found = []
    for message in messages:
        try:
            found.append(read(message))
        except RecordRejected as refusal:
            found.append(InboundEvent(event_type=named(message, type_of), problem=refusal.message))
        except ODD as error:
            found.append(InboundEvent(event_type=named(message, type_of), problem=f"{ODD_SHAPE} ({type(error).__name__})."))
    return found


def newest(*seen: datetime | str | None) -> str:
    """Return the newest of times (a text is one that this returned), as text for a cursor; empty if there is none. It is never in the future:
    a vendor's clock that is ahead of ours would leave out all that changes until then."""
    moments = [_read(one) for one in seen if one]
    return min(max(moments), datetime.now(UTC)).astimezone(UTC).isoformat() if moments else ""


def before(cursor: str, overlap: timedelta) -> datetime:
    """Return where to go on reading: before the newest time seen, as much else may have that time, or be committed after it was seen."""
    return min(_read(cursor), datetime.now(UTC)) - overlap


def _read(time: datetime | str) -> datetime:
    return datetime.fromisoformat(time) if isinstance(time, str) else time


def named(row: Any, name_of: Callable[[Any], Any]) -> str:
    """Return what a row calls itself, as well as it lets itself be named."""
    try:
        return values.ident(name_of(row), "id")
    except (RecordRejected, *ODD):
        return ""
