"""The simulated order book: orders with versions, their lines and what is added to them. What they come to is `simulator_pricing`'s business."""

import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from integrations.services.square.simulator_catalog import RESTAURANT, stamp
from integrations.services.square.simulator_frame import Frame, RefusalError, bad, not_offered
from integrations.services.square.simulator_pricing import Pricing
from integrations.services.square.simulator_search import found
from integrations.simulators.server import SimRequest, SimResponse, route

TERMINAL = ("COMPLETED", "CANCELED")
WRITABLE = ("reference_id", "ticket_name", "customer_id", "source", "metadata")
PARTS = {"line_items": "line", "taxes": "tax", "discounts": "discount", "service_charges": "service-charge", "fulfillments": "fulfillment"}
"""Lists of an order -> what an entry without a uid of its own is called."""
FIXED = ("scope", "type", "calculation_phase", "catalog_object_id")
"""Fields that an update may not change."""
DISCOUNT_TYPES = {"percentage": "FIXED_PERCENTAGE", "amount_money": "FIXED_AMOUNT"}
MAX_METADATA = 10
METADATA_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
CLEARABLE = re.compile(r"(?P<part>[a-z_]+)(?:\[(?P<uid>[^\]]+)\](?:\.(?P<field>[a-z_]+)(?:\[(?P<inner>[^\]]+)\])?)?)?")


def _refuse_what_is_not_offered(given: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Refuse by name what Square has and this simulator has not."""
    for name in names:
        if given.get(name):
            raise not_offered(f"`{name}`", f"{where}.{name}")


class OrderBook(Frame):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.orders: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, dict[str, Any]] = {}

    def currency(self, order: Mapping[str, Any]) -> str:
        return self.locations[order["location_id"]]["currency"]

    # --- making an order ---------------------------------------------------------------------------------------------------------

    @route("POST", "/v2/orders")
    def create_order(self, request: SimRequest) -> SimResponse:
        self.need("ORDERS_WRITE")
        body = request.json()
        return self._order(self.once("order", body.get("idempotency_key", ""), body, lambda: self._create_order(body.get("order") or {})))

    @route("POST", "/v2/orders/calculate")
    def calculate_order(self, request: SimRequest) -> SimResponse:
        """Answer what an order would come to, and keep nothing."""
        self.need("ORDERS_READ")
        body = request.json()
        _refuse_what_is_not_offered(body, ("proposed_rewards",), "")
        order = self._made(body["order"], body["order"].get("id", ""))
        return SimResponse(json={"order": _shown({name: value for name, value in order.items() if name not in ("id", "version")})})

    def _create_order(self, given: dict[str, Any]) -> str:
        order = self._made(given, f"SIMORDER{len(self.orders) + 1:08d}")
        self.orders[order["id"]] = order
        self._notify_order(order, "created")
        return order["id"]

    def _made(self, given: dict[str, Any], order_id: str) -> dict[str, Any]:
        if given.get("location_id") not in self.locations:
            raise bad("The location id is invalid.", "order.location_id", "INVALID_LOCATION")
        if given.get("state", "OPEN") not in ("OPEN", "DRAFT"):
            raise bad("An order is created OPEN or DRAFT.", "order.state")
        if len(given.get("fulfillments", [])) > 1:
            raise bad("An order can be created with at most one fulfillment.", "order.fulfillments")
        now = stamp(datetime.now(UTC))
        order = {"id": order_id, "location_id": given["location_id"], "version": 1, "state": given.get("state", "OPEN")}
        order |= {"created_at": now, "updated_at": now, **{part: [] for part in PARTS}}
        self._write(order, given)
        return order

    def _write(self, order: dict[str, Any], given: Mapping[str, Any]) -> None:
        """Write what a request has about an order, and add it up. Raises RefusalError."""
        _refuse_what_is_not_offered(
            given.get("pricing_options") or {}, ("auto_apply_discounts", "auto_apply_taxes"), "order.pricing_options"
        )
        _check_metadata(given.get("metadata") or {})
        order |= {name: given[name] for name in WRITABLE if given.get(name) is not None}
        checks: dict[str, Callable[..., dict[str, Any]]] = {
            "taxes": self._tax,
            "discounts": self._discount,
            "service_charges": self._service_charge,
            "line_items": self._line,
            "fulfillments": lambda one, where, order: {"state": "PROPOSED", **one},
        }
        for part, check in checks.items():
            order[part] = self._merged(order, part, given.get(part) or [], check)
        self._check_references(order)
        Pricing(order, self.currency(order)).add_up()

    def _merged(
        self, order: dict[str, Any], part: str, given: list[dict[str, Any]], check: Callable[..., dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return a list of an order with what a request changes and adds, found by its uid."""
        entries = {one["uid"]: one for one in order[part]}
        seen: set[str] = set()
        for number, one in enumerate(given):
            where = f"order.{part}[{number}]"
            uid = one.get("uid") or f"{PARTS[part]}-{len(entries) + 1}"
            if uid in seen:
                raise bad(f"There are two entries with the uid `{uid}`.", f"{where}.uid")
            seen.add(uid)
            before = entries.get(uid, {})
            for name in FIXED:
                if before and name in one and one[name] != before.get(name):
                    raise bad(f"`{name}` cannot be changed.", f"{where}.{name}")
            entries[uid] = check({**before, **{name: value for name, value in one.items() if value is not None}, "uid": uid}, where, order)
        return list(entries.values())

    def _check_references(self, order: Mapping[str, Any]) -> None:
        uids = {kind: {one["uid"] for one in order[part]} for kind, part in (("tax", "taxes"), ("discount", "discounts"))}
        for number, line in enumerate(order["line_items"]):
            for kind, field in (("tax", "applied_taxes"), ("discount", "applied_discounts")):
                for place, one in enumerate(line.get(field) or []):
                    if one.get(f"{kind}_uid") not in uids[kind]:
                        where = f"order.line_items[{number}].{field}[{place}].{kind}_uid"
                        raise bad(f"There is no {kind} with the uid `{one.get(f'{kind}_uid')}` in the order.", where, "INVALID_VALUE")

    # --- lines -------------------------------------------------------------------------------------------------------------------

    def _line(self, given: dict[str, Any], where: str, order: Mapping[str, Any]) -> dict[str, Any]:
        _refuse_what_is_not_offered(given, ("pricing_blocklists", "applied_service_charges"), where)
        if given.get("item_type", "ITEM") not in ("ITEM", "CUSTOM_AMOUNT"):
            raise not_offered(f"`item_type` {given['item_type']}", f"{where}.item_type")
        _check_quantity(given, where)
        line = {"item_type": "ITEM", **given}
        if given.get("catalog_object_id"):
            line |= self._sold(given, where, order)
        elif not given.get("name"):
            raise bad("A line item needs a name or a catalog object.", f"{where}.name", "MISSING_REQUIRED_PARAMETER")
        line["base_price_money"] = self._price(line, where, order)
        line["modifiers"] = [self._modifier(one, f"{where}.modifiers[{n}]", order) for n, one in enumerate(given.get("modifiers") or [])]
        return line

    def _sold(self, given: Mapping[str, Any], where: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the catalog has about the variation that a line sells."""
        variation_id = given["catalog_object_id"]
        found = self.objects([variation_id])
        if not found or found[0]["type"] != "ITEM_VARIATION":
            words = f"Item variation with catalog object ID `{variation_id}` not found."
            raise RefusalError(404, "NOT_FOUND", words, f"{where}.catalog_object_id")
        _, item = self.catalog.find(variation_id)
        data = found[0]["item_variation_data"]
        override = next((one for one in data.get("location_overrides", []) if one["location_id"] == order["location_id"]), {})
        kind = override.get("pricing_type") or data.get("pricing_type")
        price = None if kind == "VARIABLE_PRICING" else override.get("price_money") or data.get("price_money")
        told = {"name": item["item_data"]["name"], "variation_name": data["name"], "catalog_version": found[0]["version"]}
        return told | ({"base_price_money": price} if price else {})

    def _price(self, part: Mapping[str, Any], where: str, order: Mapping[str, Any]) -> dict[str, Any]:
        money = part.get("base_price_money")
        if not money:
            raise bad("A price is needed.", f"{where}.base_price_money", "MISSING_REQUIRED_PARAMETER")
        return self._money(money, f"{where}.base_price_money", order)

    def _money(self, money: Mapping[str, Any], where: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return an amount that is not negative, in the currency of the order's location."""
        if not isinstance(money.get("amount"), int):
            raise bad("The amount is missing.", f"{where}.amount", "MISSING_REQUIRED_PARAMETER")
        if money["amount"] < 0:
            raise bad("The amount must not be negative.", f"{where}.amount", "VALUE_TOO_LOW")
        if money.get("currency") != self.currency(order):
            raise bad("The currency is not the location's.", f"{where}.currency", "CURRENCY_MISMATCH")
        return dict(money)

    def _modifier(self, given: dict[str, Any], where: str, order: Mapping[str, Any]) -> dict[str, Any]:
        modifier = {"uid": f"{where.rpartition('.')[2].strip(']').replace('[', '-')}", "quantity": "1", **given}
        if not re.fullmatch(r"\d{1,12}", modifier["quantity"]):
            raise bad("`quantity` must be a whole number of zero or more.", f"{where}.quantity", "INVALID_VALUE")
        if catalog_id := given.get("catalog_object_id"):
            found = self.objects([catalog_id])
            if not found or found[0]["type"] != "MODIFIER":
                raise RefusalError(
                    404, "NOT_FOUND", f"Modifier with catalog object ID `{catalog_id}` not found.", f"{where}.catalog_object_id"
                )
            data = found[0]["modifier_data"]
            modifier = {"name": data["name"], "base_price_money": data.get("price_money"), **modifier}
        elif not given.get("name"):
            raise bad("A modifier needs a name or a catalog object.", f"{where}.name", "MISSING_REQUIRED_PARAMETER")
        modifier["base_price_money"] = self._price(modifier, where, order)
        return modifier

    # --- what is added to an order ---------------------------------------------------------------------------------------------------

    def _tax(self, given: dict[str, Any], where: str, order: Mapping[str, Any]) -> dict[str, Any]:
        tax = {"type": "ADDITIVE", "scope": "ORDER", **given}
        if catalog_id := given.get("catalog_object_id"):
            found = self.objects([catalog_id])
            if not found or found[0]["type"] != "TAX":
                raise RefusalError(404, "NOT_FOUND", f"Tax with catalog object ID `{catalog_id}` not found.", f"{where}.catalog_object_id")
            data = found[0]["tax_data"]
            tax |= {"name": data["name"], "percentage": data["percentage"], "type": data["inclusion_type"]}
        return self._checked(tax, where, ("percentage",))

    def _discount(self, given: dict[str, Any], where: str, order: Mapping[str, Any]) -> dict[str, Any]:
        self._refuse_catalog(given, where, "Discount")
        discount = self._checked({"scope": "ORDER", **given}, where, ("percentage", "amount_money"), order)
        kind = next(DISCOUNT_TYPES[name] for name in DISCOUNT_TYPES if name in discount)
        if discount.setdefault("type", kind) != kind:
            raise bad(f"`type` is {discount['type']}, and what is given makes it {kind}.", f"{where}.type")
        return discount

    def _service_charge(self, given: dict[str, Any], where: str, order: Mapping[str, Any]) -> dict[str, Any]:
        self._refuse_catalog(given, where, "Service charge")
        charge = {"calculation_phase": "SUBTOTAL_PHASE", "scope": "ORDER", "taxable": False, **given}
        if charge["calculation_phase"] not in ("SUBTOTAL_PHASE", "TOTAL_PHASE"):
            raise not_offered(f"`calculation_phase` {charge['calculation_phase']}", f"{where}.calculation_phase")
        if charge["scope"] != "ORDER" or charge.get("treatment_type", "LINE_ITEM_TREATMENT") != "LINE_ITEM_TREATMENT":
            raise not_offered("service charges of single lines", f"{where}.{'scope' if charge['scope'] != 'ORDER' else 'treatment_type'}")
        if charge["taxable"] and charge["calculation_phase"] == "TOTAL_PHASE":
            raise bad("A service charge of the TOTAL_PHASE cannot be taxable.", f"{where}.taxable")
        if charge.get("applied_taxes"):
            raise not_offered("`applied_taxes` of a service charge", f"{where}.applied_taxes")
        return self._checked(charge, where, ("percentage", "amount_money"), order)

    def _refuse_catalog(self, given: Mapping[str, Any], where: str, what: str) -> None:
        """No discount and no service charge is in this catalog."""
        if catalog_id := given.get("catalog_object_id"):
            raise RefusalError(404, "NOT_FOUND", f"{what} with catalog object ID `{catalog_id}` not found.", f"{where}.catalog_object_id")

    def _checked(
        self, part: dict[str, Any], where: str, amounts: tuple[str, ...], order: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Check what a tax, a discount and a service charge have in common."""
        if not part.get("name"):
            raise bad("A name is needed.", f"{where}.name", "MISSING_REQUIRED_PARAMETER")
        given = [name for name in ("percentage", "amount_money") if part.get(name)]
        if len(given) != 1 or given[0] not in amounts:
            words = f"Exactly one of {' and '.join(f'`{name}`' for name in amounts)} is needed."
            raise bad(words, f"{where}.{amounts[0]}", "CONFLICTING_PARAMETERS" if len(given) > 1 else "MISSING_REQUIRED_PARAMETER")
        if given == ["amount_money"] and order is not None:
            self._money(part["amount_money"], f"{where}.amount_money", order)
        elif not re.fullmatch(r"\d+(\.\d+)?", part["percentage"]):
            raise bad("`percentage` must be a number of zero or more.", f"{where}.percentage", "INVALID_VALUE")
        elif Decimal(part["percentage"]) > 100:
            raise bad("`percentage` must not be more than 100.", f"{where}.percentage", "VALUE_TOO_HIGH")
        if part["scope"] not in ("ORDER", "LINE_ITEM"):
            raise bad("`scope` must be ORDER or LINE_ITEM.", f"{where}.scope", "INVALID_VALUE")
        return part

    # --- reading -------------------------------------------------------------------------------------------------------------------

    def _order(self, order_id: str) -> SimResponse:
        return SimResponse(json={"order": _shown(self.orders[order_id])})

    def _find(self, order_id: str) -> dict[str, Any]:
        if order_id not in self.orders:
            raise RefusalError(404, "NOT_FOUND", f"Order not found for id {order_id}")
        return self.orders[order_id]

    @route("GET", "/v2/orders/{order_id}")
    def retrieve_order(self, request: SimRequest) -> SimResponse:
        self.need("ORDERS_READ")
        return self._order(self._find(request.args["order_id"])["id"])

    @route("POST", "/v2/orders/batch-retrieve")
    def batch_retrieve_orders(self, request: SimRequest) -> SimResponse:
        self.need("ORDERS_READ")
        body = request.json()
        if len(body["order_ids"]) > 100:
            raise bad("Too many ids.", "order_ids", "ARRAY_LENGTH_TOO_LONG")
        orders = [self.orders[one] for one in body["order_ids"] if one in self.orders]
        return SimResponse(json={"orders": [_shown(o) for o in orders if body.get("location_id") in (None, o["location_id"])]})

    @route("POST", "/v2/orders/search")
    def search_orders(self, request: SimRequest) -> SimResponse:
        self.need("ORDERS_READ")
        body = request.json()
        limit = 500 if body.get("limit") is None else body["limit"]
        if not 1 <= limit <= 1000:
            raise bad("`limit` must be between 1 and 1000.", "limit", "VALUE_TOO_LOW" if limit < 1 else "VALUE_TOO_HIGH")
        orders, cursor = self.page(found(self.orders.values(), body), body.get("query"), limit, body.get("cursor") or "")
        if body.get("return_entries"):
            answer: dict[str, Any] = {"order_entries": [_entry(order) for order in orders]}
        else:
            answer = {"orders": [_shown(order) for order in orders]}
        return SimResponse(json=answer | ({"cursor": cursor} if cursor else {}))

    # --- changing an order -----------------------------------------------------------------------------------------------------------

    @route("PUT", "/v2/orders/{order_id}")
    def update_order(self, request: SimRequest) -> SimResponse:
        self.need("ORDERS_WRITE")
        body = request.json()
        order = self._find(request.args["order_id"])
        if self.take(request, "conflict"):
            order["version"] += 1
        key = body.get("idempotency_key", "")
        return self._order(self.once(f"update {order['id']}", key, body, lambda: self._update_order(order, body)))

    def _update_order(self, order: dict[str, Any], body: Mapping[str, Any]) -> str:
        given = body.get("order") or {}
        if "version" not in order:
            raise bad("Orders that were not created with the Orders API cannot be updated.", "order.version")
        if "version" not in given:
            raise bad("The version is required.", "order.version")
        if given["version"] != order["version"]:
            detail = f"Supplied version {given['version']} does not match the current version {order['version']}"
            raise bad(detail, "order.version", "VERSION_MISMATCH")
        if order["state"] in TERMINAL:
            raise bad(f"The order is {order['state']} and cannot be updated.", "order.state")
        if given.get("location_id", order["location_id"]) != order["location_id"]:
            raise bad("An order stays at its location.", "order.location_id")
        changed = deepcopy(order)
        for number, path in enumerate(body.get("fields_to_clear") or []):
            _clear(changed, path, f"fields_to_clear[{number}]")
        _forget_what_is_gone(changed)
        self._write(changed, given)
        self._move(changed, given.get("state", order["state"]))
        order.clear()
        order |= changed
        self._changed(order)
        return order["id"]

    def _move(self, order: dict[str, Any], state: str) -> None:
        if state == order["state"]:
            return
        if state == "COMPLETED":
            raise bad("An order is completed by its payments.", "order.state")
        if state == "DRAFT":
            raise bad("An order cannot become a draft again.", "order.state")
        if state == "CANCELED":
            if any(one["state"] not in (*TERMINAL, "FAILED") for one in order["fulfillments"]):
                raise bad("The order has a fulfillment that is not ended.", "order.state")
            if any(self.payments[tender["id"]]["status"] == "APPROVED" for tender in order.get("tenders", [])):
                raise bad("The order has an approved payment.", "order.state")
        order["state"] = state

    def _changed(self, order: dict[str, Any]) -> None:
        order["updated_at"] = stamp(datetime.now(UTC))
        if order["state"] in TERMINAL:
            order["closed_at"] = order["updated_at"]
        if "version" in order:
            order["version"] += 1
        Pricing(order, self.currency(order)).add_up()
        self._notify_order(order, "updated")

    def ring_up(self, cents: int) -> str:
        """Open a check as the till does: such orders have no version and send no `order.created`."""
        currency = self.locations[RESTAURANT]["currency"]
        line = {"quantity": "1", "name": "At the till", "base_price_money": {"amount": cents, "currency": currency}}
        order = self._made({"location_id": RESTAURANT, "line_items": [line]}, f"SIMTILL{len(self.orders) + 1:08d}")
        del order["version"]
        self.orders[order["id"]] = order
        return order["id"]

    def _notify_order(self, order: dict[str, Any], what: str) -> None:
        if "version" in order:
            shown = {name: order[name] for name in ("version", "location_id", "state", "created_at", "updated_at")} | {
                "order_id": order["id"]
            }
            self.notify(f"order.{what}", {"type": f"order_{what}", "id": order["id"], "object": {f"order_{what}": shown}})


def _shown(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order as it is answered: without lists that are empty."""
    lines = [{name: value for name, value in line.items() if value != []} for line in order["line_items"]]
    return {name: value for name, value in {**order, "line_items": lines}.items() if value != []}


def _entry(order: Mapping[str, Any]) -> dict[str, Any]:
    version = {"version": order["version"]} if "version" in order else {}
    return {"order_id": order["id"], "location_id": order["location_id"], **version}


def _check_quantity(line: Mapping[str, Any], where: str) -> None:
    quantity = line.get("quantity", "")
    if not re.fullmatch(r"\d+(\.\d{1,5})?", quantity) or not Decimal(quantity):
        raise bad("`quantity` must be a number above zero.", f"{where}.quantity", "INVALID_VALUE")
    if Decimal(quantity) % 1 and "quantity_unit" not in line:
        raise bad("A fractional quantity needs a quantity unit.", f"{where}.quantity", "INVALID_VALUE")


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    if len(metadata) > MAX_METADATA:
        raise bad(f"`metadata` holds more than {MAX_METADATA} entries.", "order.metadata", "TOO_MANY_MAP_ENTRIES")
    for key, value in metadata.items():
        if not METADATA_KEY.fullmatch(key):
            raise bad(
                f"`{key}` is no key of 1 to 60 letters, digits, underscores and hyphens.", f"order.metadata.{key}", "VALUE_REGEX_MISMATCH"
            )
        if len(value) > 255:
            raise bad(f"`{key}` is longer than 255 characters.", f"order.metadata.{key}", "VALUE_TOO_LONG")


def _forget_what_is_gone(order: dict[str, Any]) -> None:
    """Take from the lines what refers to a tax or a discount that was cleared."""
    for kind, part, field in (("tax", "taxes", "applied_taxes"), ("discount", "discounts", "applied_discounts")):
        left = {one["uid"] for one in order[part]}
        for line in order["line_items"]:
            line[field] = [one for one in line.get(field, []) if one[f"{kind}_uid"] in left]


def _clear(order: dict[str, Any], path: str, where: str) -> None:
    """Take out what a path such as `line_items[uid].note` leads to. Raises RefusalError."""
    found = CLEARABLE.fullmatch(path)
    part, uid, field, inner = (found[name] for name in ("part", "uid", "field", "inner")) if found else ("", None, None, None)
    if part in PARTS:
        entry = next((one for one in order[part] if one["uid"] == uid), None)
        if uid and entry is None:
            raise bad(f"`{path}` leads nowhere: there is no such uid.", where, "INVALID_VALUE")
        if uid is None:
            order[part] = []
        elif field is None:
            order[part].remove(entry)
        elif inner:
            kept = [one for one in entry.get(field, []) if one.get("uid") != inner]
            if len(kept) == len(entry.get(field, [])):
                raise bad(f"`{path}` leads nowhere: there is no such uid.", where, "INVALID_VALUE")
            entry[field] = kept
        elif field in ("uid", "quantity", "scope", "base_price_money", "state") or field not in entry:
            raise bad(f"`{path}` cannot be cleared.", where, "INVALID_VALUE")
        else:
            entry[field] = [] if isinstance(entry[field], list) else None
            if entry[field] is None:
                del entry[field]
    elif part in WRITABLE and uid is None:
        order.pop(part, None)
    else:
        raise bad(f"`{path}` cannot be cleared.", where, "INVALID_VALUE")
