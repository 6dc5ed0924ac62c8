"""What a check sent to the simulated Simphony may hold, and what it comes to.

Fields and blocks are those of Oracle's check (STS Gen2, POST /checks and Condiment Prefixes, 2026-11). Nothing that Simphony has and the
simulator lacks is passed over: a discount that is not taken off would be a wrong bill.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

HEADER = {
    "orgShortName": str, "locRef": str, "rvcRef": int, "idempotencyId": str, "checkEmployeeRef": int, "orderTypeRef": int, "checkName": str,
    "tableName": str, "tableGroupNumber": int, "guestCount": int, "language": str, "isTrainingCheck": bool, "informationLines": list,
    "openTime": str, "fireTime": str, "pickupTime": str, "paymentStoreId": str, "status": str, "checkRef": str, "checkNumber": int,
}  # fmt: skip
LINE = {
    "menuItemId": int, "definitionSequence": int, "quantity": float, "unitPrice": float, "priceSequence": int, "total": float, "seat": int,
    "referenceText": str, "condiments": list,
}  # fmt: skip
CONDIMENT = {"condimentId": int, "definitionSequence": int, "quantity": float, "unitPrice": float, "priceSequence": int, "prefixes": list}
TENDER = {"tenderId": int, "name": str, "total": float, "chargedTipTotal": float, "referenceText": str}
LACKING = {
    "check": ("notificationOptions", "comboMeals", "discounts", "serviceCharges", "taxes", "extensions"),
    "header": ("isTrainingCheck", "fireTime", "pickupTime", "paymentStoreId"),
    "menuItems": ("surcharge", "itemDiscounts", "extensions"),
    "condiments": ("surcharge", "itemDiscounts", "extensions"),
    "tenders": ("paymentData", "extensions"),
}
"""What Simphony has and the simulator lacks, by block."""
LEAST = {
    "quantity": 0,
    "menuItemId": 1,
    "condimentId": 1,
    "definitionSequence": 1,
    "priceSequence": 1,
    "seat": 0,
    "guestCount": 1,
    "total": 0,
    "chargedTipTotal": 0,
}
REFERENCE_TEXT = 20
"""Characters that Oracle allows in a line's `referenceText`."""
IDEMPOTENCY_ID = re.compile("[0-9a-f]{32}")
KINDS = {str: (str,), int: (int,), float: (int, float), bool: (bool,), list: (list,)}


class RefusalError(Exception):
    """What is wrong with a check: Simphony's code, and words with the field."""

    def __init__(self, code: str, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


def invalid(field: str) -> RefusalError:
    return RefusalError("invalid_request", f"{field} is missing, unknown or not of its type.")


def not_offered(what: str) -> RefusalError:
    return RefusalError("not_implemented", f"This simulator does not offer {what}.", 501)


def check_shape(body: Any, *, in_header: Mapping[str, tuple[Any, ...]], tenders: tuple[int, ...]) -> None:
    """Refuse a check with a field that is missing, unknown or not of its type. `in_header`: what the revenue center knows of a field."""
    if not isinstance(body, dict) or not isinstance(body.get("header"), dict):
        raise invalid("header")
    _refuse_lacking(body, "check", "")
    for name in body:
        if name not in ("header", "menuItems", "tenders", "totals"):
            raise invalid(name)
    header = body["header"]
    _check_fields(header, HEADER, "header", "header")
    for name, known in in_header.items():
        if header.get(name) not in known:
            raise invalid(f"header.{name}")
    if not IDEMPOTENCY_ID.fullmatch(header.get("idempotencyId") or ""):
        raise invalid("header.idempotencyId")
    if not header.get("checkName"):
        raise invalid("header.checkName")
    if not all(isinstance(line, str) for line in header.get("informationLines") or []):
        raise invalid("header.informationLines")
    for where, line in _entries(body, "menuItems", ""):
        _check_line(line, where)
    for where, tender in _entries(body, "tenders", ""):
        _check_fields(tender, TENDER, where, "tenders")
        if tender.get("tenderId") not in tenders:
            raise invalid(f"{where}.tenderId")
        if "total" not in tender:
            raise invalid(f"{where}.total")


def _check_line(line: dict[str, Any], where: str) -> None:
    _check_fields(line, LINE, where, "menuItems")
    for name in ("menuItemId", "quantity"):
        if not line.get(name):
            raise invalid(f"{where}.{name}")
    if len(line.get("referenceText") or "") > REFERENCE_TEXT:
        raise invalid(f"{where}.referenceText")
    for place, condiment in _entries(line, "condiments", f"{where}."):
        _check_fields(condiment, CONDIMENT, place, "condiments")
        if not condiment.get("condimentId"):
            raise invalid(f"{place}.condimentId")


def _entries(body: Mapping[str, Any], name: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    given = body.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise invalid(f"{where}{name}")
    for number, one in enumerate(given):
        yield f"{where}{name}[{number}]", one


def _refuse_lacking(given: Mapping[str, Any], block: str, where: str) -> None:
    for name in LACKING[block]:
        if given.get(name):
            raise not_offered(f"{where}{name}")


def _check_fields(given: Mapping[str, Any], fields: Mapping[str, type], where: str, block: str) -> None:
    _refuse_lacking(given, block, f"{where}.")
    for name, value in given.items():
        if name in LACKING[block]:
            continue
        kind = fields.get(name)
        is_right = kind is not None and isinstance(value, KINDS[kind]) and (kind is bool or not isinstance(value, bool))
        if not is_right or (name in LEAST and value < LEAST[name]):
            raise invalid(f"{where}.{name}")


class Prices:
    """Prices the lines of checks from the menus, less what is sold out."""

    def __init__(self, menus: Mapping[str, Mapping[str, Any]], sold_out: Mapping[str, Any]) -> None:
        self.items = {item["menuItemId"]: item for menu in menus.values() for item in menu["menuItems"]}
        self.condiments = {item["condimentId"]: item for menu in menus.values() for item in menu["condimentItems"]}
        self.sold_out = {
            one["menuItemId"]: {definition["definitionSequence"] for definition in one["definitions"]} for one in sold_out["items"]
        }

    def line(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line as it is answered, with its name, price and total. Raises RefusalError."""
        item, sequence = self.items.get(line["menuItemId"]), line.get("definitionSequence", 1)
        gone = self.sold_out.get(line["menuItemId"])
        if gone is not None and (not gone or sequence in gone):
            item = None
        priced = self._priced(line, item, f"Menu item {line['menuItemId']}")
        priced["condiments"] = [
            self._priced(one, self.condiments.get(one["condimentId"]), f"Condiment {one['condimentId']}") for one in line.get("condiments", [])
        ]  # fmt: skip
        return priced

    def _priced(self, line: Mapping[str, Any], item: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
        sequence, price_sequence = line.get("definitionSequence", 1), line.get("priceSequence", 1)
        definition = next((one for one in (item or {}).get("definitions", []) if one["definitionSequence"] == sequence), None)
        prices = {one["priceSequence"]: one["price"] for one in (definition or {}).get("prices", [])}
        if item is None or definition is None or ("unitPrice" not in line and price_sequence not in prices):
            raise RefusalError("menu_item_not_available", f"{what} is not available.")
        price = Decimal(str(line["unitPrice"] if "unitPrice" in line else prices[price_sequence]))
        name = definition.get("name") or item["name"]
        quantity = Decimal(str(line.get("quantity", 1)))
        told = {"definitionSequence": sequence, "name": next(iter(name.values())), "quantity": float(quantity)}
        kept = {key: value for key, value in line.items() if key not in ("prefixes", "condiments")}
        return {**kept, **told, "priceSequence": price_sequence, "unitPrice": float(price), "total": float(price * quantity)}


def subtotal(lines: list[dict[str, Any]]) -> Decimal:
    """Return what lines and their condiments come to: a condiment is had with each of the line's items."""
    whole = Decimal(0)
    for line in lines:
        extras = sum((Decimal(str(one["total"])) for one in line["condiments"]), Decimal(0))
        whole += Decimal(str(line["total"])) + extras * Decimal(str(line["quantity"]))
    return whole
