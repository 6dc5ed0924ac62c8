"""The simulated order book: orders with versions and totals, and the payments that settle them."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from integrations.services.square.simulator_catalog import RESTAURANT, euros, stamp
from integrations.services.square.simulator_frame import Frame, RefusalError, bad
from integrations.simulators.server import SimRequest, SimResponse, route

TERMINAL = ("COMPLETED", "CANCELED")


def _not_offered(given: dict[str, Any], names: Iterable[str], where: str) -> None:
    """Refuse by name what Square has and this simulator has not."""
    for name in names:
        if given.get(name):
            raise bad(f"This simulator offers no `{name}`.", f"{where}.{name}".lstrip("."), "NOT_IMPLEMENTED")


class OrderBook(Frame):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.orders: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, dict[str, Any]] = {}

    # --- orders ----------------------------------------------------------------------------------------------------------------

    @route("POST", "/v2/orders")
    def create_order(self, request: SimRequest) -> SimResponse:
        self.need("ORDERS_WRITE")
        body = request.json()
        return self._order(self.once("order", body.get("idempotency_key", ""), body, lambda: self._create_order(body.get("order") or {})))

    def _create_order(self, given: dict[str, Any]) -> str:
        if given.get("location_id") not in self.locations:
            raise bad("The location id is invalid.", "order.location_id")
        for name, limit in (("reference_id", 40), ("ticket_name", 30)):
            if len(given.get(name, "")) > limit:
                raise bad(f"`{name}` is longer than {limit} characters.", f"order.{name}", "VALUE_TOO_LONG")
        _not_offered(given, ("discounts", "service_charges"), "order")
        if given.get("state", "OPEN") not in ("OPEN", "DRAFT"):
            raise bad("An order is created OPEN or DRAFT.", "order.state")
        if len(given.get("fulfillments", [])) > 1:
            raise bad("An order can be created with at most one fulfillment.", "order.fulfillments")
        now = stamp(datetime.now(UTC))
        order_id = f"SIMORDER{len(self.orders) + 1:08d}"
        writable = ("location_id", "reference_id", "ticket_name", "customer_id", "source", "metadata", "pricing_options")
        order = {name: given[name] for name in writable if name in given}
        order |= {"id": order_id, "version": 1, "state": given.get("state", "OPEN"), "created_at": now, "updated_at": now}
        order["line_items"] = [self._line(line, number, order["location_id"]) for number, line in enumerate(given.get("line_items", []))]
        order["taxes"] = [{"uid": f"tax-{n}", **tax} for n, tax in enumerate(given.get("taxes", []))]
        order["fulfillments"] = [
            {"uid": f"fulfillment-{n}", "state": "PROPOSED", **one} for n, one in enumerate(given.get("fulfillments", []))
        ]
        self.orders[order_id] = order
        self._add_up(order)
        self._notify_order(order, "created")
        return order_id

    def _line(self, given: dict[str, Any], number: int, location_id: str) -> dict[str, Any]:
        where = f"order.line_items[{number}]"
        quantity = given.get("quantity")
        if not isinstance(quantity, str) or not 1 <= len(quantity) <= 12:
            raise bad("`quantity` must be a string of 1 to 12 characters.", f"{where}.quantity", "EXPECTED_STRING")
        if not re.fullmatch(r"\d+(\.\d{1,5})?", quantity) or not Decimal(quantity):
            raise bad("`quantity` must be a number above zero.", f"{where}.quantity", "INVALID_VALUE")
        if Decimal(quantity) != int(Decimal(quantity)) and "quantity_unit" not in given:
            raise bad("A fractional quantity needs a quantity unit.", f"{where}.quantity")
        line = {"uid": f"line-{number + 1}", **given}
        if variation_id := given.get("catalog_object_id"):
            found = self.objects([variation_id])
            if not found or found[0]["type"] != "ITEM_VARIATION":
                raise RefusalError(
                    404, "NOT_FOUND", f"Item variation with catalog object ID `{variation_id}` not found.", f"{where}.catalog_object_id"
                )
            _, item = self.catalog.find(variation_id)
            data = found[0]["item_variation_data"]
            override = next((o for o in data.get("location_overrides", []) if o["location_id"] == location_id), {})
            price = override.get("price_money") or data.get("price_money") or given.get("base_price_money")
            line |= {"name": item["item_data"]["name"], "variation_name": data["name"], "base_price_money": price}
        elif not given.get("name"):
            raise bad("A line item needs a name or a catalog object.", f"{where}.name", "MISSING_REQUIRED_PARAMETER")
        if not line.get("base_price_money"):
            raise bad("A line item needs a price.", f"{where}.base_price_money", "MISSING_REQUIRED_PARAMETER")
        if line["base_price_money"]["currency"] != self.locations[location_id]["currency"]:
            raise bad("The currency is not the location's.", f"{where}.base_price_money", "CURRENCY_MISMATCH")
        modifiers = sum(one.get("base_price_money", {}).get("amount", 0) for one in given.get("modifiers", []))
        total = int(Decimal(quantity) * (line["base_price_money"]["amount"] + modifiers))
        return line | {"variation_total_price_money": euros(total), "gross_sales_money": euros(total), "total_money": euros(total)}

    def _add_up(self, order: dict[str, Any]) -> None:
        """Compute the totals: taxes on the order only, rounded half to even as Square does."""
        subtotal = sum(line["total_money"]["amount"] for line in order["line_items"])
        taxes = 0
        for tax in order["taxes"]:
            if tax.get("type", "ADDITIVE") == "ADDITIVE":
                amount = round(subtotal * Decimal(tax["percentage"]) / 100)
                tax["applied_money"] = euros(amount)
                taxes += amount
        paid = sum(tender["amount_money"]["amount"] for tender in order.get("tenders", []))
        order |= {
            "total_money": euros(subtotal + taxes),
            "total_tax_money": euros(taxes),
            "net_amount_due_money": euros(subtotal + taxes - paid),
        }

    def _order(self, order_id: str) -> SimResponse:
        return SimResponse(json={"order": {name: value for name, value in self.orders[order_id].items() if value != []}})

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
        return SimResponse(json={"orders": [o for o in orders if body.get("location_id") in (None, o["location_id"])]})

    @route("POST", "/v2/orders/search")
    def search_orders(self, request: SimRequest) -> SimResponse:
        self.need("ORDERS_READ")
        body = request.json()
        limit = 500 if body.get("limit") is None else body["limit"]
        if not 1 <= limit <= 1000:
            raise bad("`limit` must be between 1 and 1000.", "limit", "VALUE_TOO_LOW" if limit < 1 else "VALUE_TOO_HIGH")
        query = body.get("query") or {}
        _not_offered(query, ("sort",), "query")
        _not_offered(
            query.get("filter") or {}, ("date_time_filter", "fulfillment_filter", "source_filter", "customer_filter"), "query.filter"
        )
        states = ((query.get("filter") or {}).get("state_filter") or {}).get("states")
        orders = [
            o for o in self.orders.values() if o["location_id"] in body.get("location_ids", []) and (not states or o["state"] in states)
        ]
        found, cursor = self.page(orders, body.get("query"), limit, body.get("cursor") or "")
        return SimResponse(json={"orders": found} | ({"cursor": cursor} if cursor else {}))

    @route("PUT", "/v2/orders/{order_id}")
    def update_order(self, request: SimRequest) -> SimResponse:
        self.need("ORDERS_WRITE")
        body = request.json()
        _not_offered(body, ("fields_to_clear",), "")
        _not_offered(body.get("order") or {}, ("line_items", "taxes", "discounts", "service_charges"), "order")
        order = self._find(request.args["order_id"])
        if self.take(request, "conflict"):
            order["version"] += 1
        key = body.get("idempotency_key", "")
        return self._order(self.once(f"update {order['id']}", key, body, lambda: self._update_order(order, body.get("order") or {})))

    def _update_order(self, order: dict[str, Any], given: dict[str, Any]) -> str:
        if "version" not in order:
            raise bad("Orders that were not created with the Orders API cannot be updated.")
        if "version" not in given:
            raise bad("The version is required.", "order.version")
        if given["version"] != order["version"]:
            detail = f"Supplied version {given['version']} does not match the current version {order['version']}"
            raise bad(detail, "order.version", "VERSION_MISMATCH")
        if order["state"] in TERMINAL:
            raise bad(f"The order is {order['state']} and cannot be updated.", "order.state")
        for change in given.get("fulfillments", []):
            for fulfillment in order["fulfillments"]:
                if fulfillment["uid"] == change.get("uid"):
                    fulfillment |= change
        if given.get("state") == "CANCELED":
            if any(one["state"] not in (*TERMINAL, "FAILED") for one in order["fulfillments"]):
                raise bad("The order has a fulfillment that is not ended.", "order.state")
            if any(self.payments[tender["id"]]["status"] == "APPROVED" for tender in order.get("tenders", [])):
                raise bad("The order has an approved payment.", "order.state")
        order |= {name: given[name] for name in ("state", "reference_id", "ticket_name", "metadata") if name in given}
        self._changed(order)
        return order["id"]

    def _changed(self, order: dict[str, Any]) -> None:
        order["updated_at"] = stamp(datetime.now(UTC))
        if order["state"] in TERMINAL:
            order["closed_at"] = order["updated_at"]
        if "version" in order:
            order["version"] += 1
        self._add_up(order)
        self._notify_order(order, "updated")

    @route("POST", "/v2/orders/{order_id}/pay")
    def pay_order(self, request: SimRequest) -> SimResponse:
        self.need("PAYMENTS_WRITE")
        body = request.json()
        if not body.get("idempotency_key"):
            raise bad("The idempotency key is required.", "idempotency_key", "MISSING_REQUIRED_PARAMETER")
        order = self._find(request.args["order_id"])
        return self._order(self.once(f"pay {order['id']}", body["idempotency_key"], body, lambda: self._pay_order(order, body)))

    def _pay_order(self, order: dict[str, Any], body: dict[str, Any]) -> str:
        if order["state"] != "OPEN":
            raise bad(f"The order is {order['state']}.", "order.state")
        payments = [self._payment(one) for one in body.get("payment_ids", [])]
        if any(payment["status"] != "APPROVED" or payment["order_id"] != order["id"] for payment in payments):
            raise bad("Every payment must be approved and belong to the order.", "payment_ids")
        if sum(payment["amount_money"]["amount"] for payment in payments) != order["total_money"]["amount"]:
            raise bad("The payments do not add up to the order's total.", "payment_ids")
        for payment in payments:
            payment["status"] = "COMPLETED"
        order["state"] = "COMPLETED"
        self._changed(order)
        return order["id"]

    def ring_up(self, cents: int) -> str:
        """Open a check as the till does: such orders have no version and send no `order.created`."""
        order_id = f"SIMTILL{len(self.orders) + 1:08d}"
        now = stamp(datetime.now(UTC))
        order = {
            "id": order_id,
            "location_id": RESTAURANT,
            "state": "OPEN",
            "created_at": now,
            "updated_at": now,
            "taxes": [],
            "fulfillments": [],
        }
        order["line_items"] = [self._line({"quantity": "1", "name": "At the till", "base_price_money": euros(cents)}, 0, RESTAURANT)]
        self.orders[order_id] = order
        self._add_up(order)
        return order_id

    # --- payments --------------------------------------------------------------------------------------------------------------

    @route("POST", "/v2/payments")
    def create_payment(self, request: SimRequest) -> SimResponse:
        self.need("PAYMENTS_WRITE")
        body = request.json()
        key = body.get("idempotency_key", "")
        if not 1 <= len(key) <= 45:
            raise bad("The idempotency key must have 1 to 45 characters.", "idempotency_key", "VALUE_TOO_LONG")
        return SimResponse(json={"payment": self._payment(self.once("payment", key, body, lambda: self._create_payment(body)))})

    def _create_payment(self, body: dict[str, Any]) -> str:
        source = body.get("source_id")
        details = {"CASH": "cash_details", "EXTERNAL": "external_details"}.get(source or "", "")
        if not details or details not in body:
            raise bad("Name a source and its details.", "source_id", "MISSING_REQUIRED_PARAMETER")
        location = self.locations.get(body.get("location_id") or RESTAURANT)
        if location is None:
            raise bad("The location id is invalid.", "location_id", "INVALID_LOCATION")
        money = body.get("amount_money") or {}
        if money.get("currency") != location["currency"]:
            raise bad("The currency is not the location's.", "amount_money.currency", "CURRENCY_MISMATCH")
        if not isinstance(money.get("amount"), int) or money["amount"] < 0:
            raise bad("The amount must not be negative.", "amount_money.amount", "VALUE_TOO_LOW")
        payment_id = f"SIMPAYMENT{len(self.payments) + 1:08d}"
        now = stamp(datetime.now(UTC))
        status = "COMPLETED" if body.get("autocomplete", True) else "APPROVED"
        payment = {"id": payment_id, "created_at": now, "updated_at": now, "amount_money": body["amount_money"], "status": status, "source_type": source, "total_money": body["amount_money"], "location_id": body.get("location_id", RESTAURANT), details: body[details]}  # fmt: skip
        if order_id := body.get("order_id"):
            if order_id not in self.orders:
                raise RefusalError(404, "NOT_FOUND", f"Order not found for id {order_id}", "order_id")
            order = self.orders[order_id]
            if order["state"] != "OPEN":
                raise bad("The order is not open.", "order_id")
            payment["order_id"] = order_id
            tender = {
                "id": payment_id,
                "payment_id": payment_id,
                "type": "CASH" if source == "CASH" else "OTHER",
                "amount_money": body["amount_money"],
            }
            order.setdefault("tenders", []).append(tender)
            if status == "COMPLETED" and body["amount_money"]["amount"] == order["total_money"]["amount"]:
                order["state"] = "COMPLETED"
            self.payments[payment_id] = payment
            self._changed(order)
        self.payments[payment_id] = payment
        return payment_id

    def _payment(self, payment_id: str) -> dict[str, Any]:
        if payment_id not in self.payments:
            raise RefusalError(404, "NOT_FOUND", f"Could not find payment with id: {payment_id}")
        return self.payments[payment_id]

    @route("GET", "/v2/payments/{payment_id}")
    def get_payment(self, request: SimRequest) -> SimResponse:
        self.need("PAYMENTS_READ")
        return SimResponse(json={"payment": self._payment(request.args["payment_id"])})

    @route("POST", "/v2/payments/{payment_id}/cancel")
    def cancel_payment(self, request: SimRequest) -> SimResponse:
        return self._end_payment(request, "CANCELED")

    @route("POST", "/v2/payments/{payment_id}/complete")
    def complete_payment(self, request: SimRequest) -> SimResponse:
        return self._end_payment(request, "COMPLETED")

    def _end_payment(self, request: SimRequest, status: str) -> SimResponse:
        self.need("PAYMENTS_WRITE")
        payment = self._payment(request.args["payment_id"])
        if payment["status"] != "APPROVED":
            raise bad(f"The payment is {payment['status']}, not APPROVED.", "payment_id")
        payment |= {"status": status, "updated_at": stamp(datetime.now(UTC))}
        if status == "CANCELED" and payment.get("order_id"):
            order = self.orders[payment["order_id"]]
            order["tenders"] = [tender for tender in order["tenders"] if tender["id"] != payment["id"]]
            self._changed(order)
        return SimResponse(json={"payment": payment})

    def _notify_order(self, order: dict[str, Any], what: str) -> None:
        if "version" in order:
            shown = {name: order[name] for name in ("version", "location_id", "state", "created_at", "updated_at")} | {
                "order_id": order["id"]
            }
            self.notify(f"order.{what}", {"type": f"order_{what}", "id": order["id"], "object": {f"order_{what}": shown}})
