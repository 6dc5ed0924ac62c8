"""Which orders a search of the simulated Square finds, and in which order."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from integrations.services.square.simulator_catalog import stamp
from integrations.services.square.simulator_frame import bad

SORT_FIELDS = {"CREATED_AT": "created_at", "UPDATED_AT": "updated_at", "CLOSED_AT": "closed_at"}
MAX_NAMED = 10
"""Of locations, sources and customers that one search may name."""


def moment(text: str, field: str) -> datetime:
    """Read a time of RFC 3339."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise bad(f"`{field}` is no time in RFC 3339.", field, "INVALID_TIME")
    return found


def found(orders: Iterable[dict[str, Any]], body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the orders that a search means. Raises RefusalError."""
    locations = body.get("location_ids") or []
    if not locations:
        raise bad("Name the locations to search.", "location_ids", "MISSING_REQUIRED_PARAMETER")
    query = body.get("query") or {}
    wanted, sort = query.get("filter") or {}, query.get("sort") or {}
    _few(locations, "location_ids")
    for kind, names in (("source_filter", "source_names"), ("customer_filter", "customer_ids")):
        _few((wanted.get(kind) or {}).get(names) or [], f"query.filter.{kind}.{names}")
    field = SORT_FIELDS[sort.get("sort_field", "CREATED_AT")]
    if field == "closed_at" and not _are_closed((wanted.get("state_filter") or {}).get("states") or []):
        raise bad("Sorting by CLOSED_AT needs a state filter with closed states.", "query.sort.sort_field")
    start, end = _range(wanted.get("date_time_filter") or {}, sort, field)
    chosen = [order for order in orders if order["location_id"] in locations and _is_meant(order, wanted)]
    timed = [order for order in chosen if order.get(field) and start <= order[field] and (not end or order[field] <= end)]
    return sorted(timed, key=lambda order: order[field], reverse=sort.get("sort_order", "DESC") == "DESC")


def _few(names: Sequence[str], field: str) -> None:
    if len(names) > MAX_NAMED:
        raise bad(f"`{field}` holds more than {MAX_NAMED}.", field, "ARRAY_LENGTH_TOO_LONG")


def _are_closed(states: Sequence[str]) -> bool:
    return bool(states) and set(states) <= {"COMPLETED", "CANCELED"}


def _range(given: Mapping[str, Any], sort: Mapping[str, Any], field: str) -> tuple[str, str]:
    """Return the first and last time that is meant, as orders have it."""
    ranges = {name: one for name, one in given.items() if one is not None}
    where = "query.filter.date_time_filter"
    if len(ranges) > 1:
        raise bad("Filter by one time only.", where)
    for name, one in ranges.items():
        if name != field or not sort.get("sort_field"):
            raise bad(f"A filter by `{name}` needs to be sorted by {name.upper()}.", "query.sort.sort_field")
        start, end = (moment(one[part], f"{where}.{name}.{part}") if one.get(part) else None for part in ("start_at", "end_at"))
        if start and end and start > end:
            raise bad("The range ends before it starts.", f"{where}.{name}", "INVALID_TIME_RANGE")
        return _written(start), _written(end)
    return "", ""


def _written(when: datetime | None) -> str:
    return stamp(when) if when else ""


def _is_meant(order: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    states = (wanted.get("state_filter") or {}).get("states")
    fulfillments = wanted.get("fulfillment_filter") or {}
    kinds, their_states = fulfillments.get("fulfillment_types"), fulfillments.get("fulfillment_states")
    sources = (wanted.get("source_filter") or {}).get("source_names")
    customers = (wanted.get("customer_filter") or {}).get("customer_ids")
    return (
        (not states or order["state"] in states)
        and (not kinds or any(one["type"] in kinds for one in order["fulfillments"]))
        and (not their_states or any(one["state"] in their_states for one in order["fulfillments"]))
        and (not sources or (order.get("source") or {}).get("name") in sources)
        and (not customers or order.get("customer_id") in customers)
    )
