"""Toy Inn Pos's JSON to our records and back: pure functions. Money is Decimal, ids are text."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from integrations.exceptions import RecordRejected
from integrations.records import MenuItem, MenuVariation


def menu_item(dish: Mapping[str, Any], currency: str) -> MenuItem:
    """Map a dish. What cannot be used is rejected with a reason; the rest of the page is stored all the same."""
    if not dish.get("name"):
        raise RecordRejected("The dish has no name.")
    dish_id = str(dish["id"])
    price = MenuVariation(external_id=dish_id, price=Decimal(dish["price"]), currency=currency)
    return MenuItem(external_id=dish_id, name=dish["name"], is_available=not dish.get("sold_out", False), variations=(price,))


def bill(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": payload["check_number"],
        "room": payload["room_number"],
        "lines": [
            {"dish": line["item_external_id"] or None, "text": line["name"], "quantity": line["quantity"], "price": line["unit_price"]}
            for line in payload["items"]
        ],
        "total": payload["total"],
    }
