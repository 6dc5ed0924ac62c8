"""Payments of the simulated Square: cash and what was taken elsewhere, and how they settle an order."""

from datetime import UTC, datetime
from typing import Any

from integrations.services.square.simulator_catalog import RESTAURANT, stamp
from integrations.services.square.simulator_frame import RefusalError, bad, not_offered
from integrations.services.square.simulator_orders import OrderBook
from integrations.simulators.server import SimRequest, SimResponse, route

DETAILS = {"CASH": "cash_details", "EXTERNAL": "external_details"}
NOT_TAKEN = ("app_fee_money", "accept_partial_authorization", "delay_duration", "delay_action", "verification_token")
"""Fields of a payment that Square has and this simulator has not."""


class Payments(OrderBook):
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
        if body.get("order_version") not in (None, order.get("version")):
            detail = f"Supplied version {body['order_version']} does not match the current version {order.get('version')}"
            raise bad(detail, "order_version", "VERSION_MISMATCH")
        payments = [self._payment(one) for one in body.get("payment_ids") or []]
        if any(payment["status"] != "APPROVED" or payment.get("order_id") != order["id"] for payment in payments):
            raise bad("Every payment must be approved and belong to the order.", "payment_ids")
        if sum(payment["amount_money"]["amount"] for payment in payments) != order["total_money"]["amount"]:
            raise bad("The payments do not add up to the order's total.", "payment_ids", "PAYMENT_AMOUNT_MISMATCH")
        listed = [payment["id"] for payment in payments]
        for payment in [self.payments[tender["id"]] for tender in order.get("tenders", [])]:
            if payment["status"] == "APPROVED":  # what is not listed is given back
                payment["status"] = "COMPLETED" if payment["id"] in listed else "CANCELED"
        order["tenders"] = [tender for tender in order.get("tenders", []) if self.payments[tender["id"]]["status"] != "CANCELED"]
        order["state"] = "COMPLETED"
        self._changed(order)
        return order["id"]

    @route("POST", "/v2/payments")
    def create_payment(self, request: SimRequest) -> SimResponse:
        self.need("PAYMENTS_WRITE")
        body = request.json()
        key = body.get("idempotency_key", "")
        if not 1 <= len(key) <= 45:
            raise bad("The idempotency key must have 1 to 45 characters.", "idempotency_key", "VALUE_TOO_LONG")
        return SimResponse(json={"payment": self._payment(self.once("payment", key, body, lambda: self._create_payment(body)))})

    def _create_payment(self, body: dict[str, Any]) -> str:
        source = body["source_id"]
        if source not in DETAILS:
            raise not_offered("payments by anything but CASH and EXTERNAL", "source_id")
        if not body.get(DETAILS[source]):
            raise bad(f"{source} needs `{DETAILS[source]}`.", DETAILS[source], "MISSING_REQUIRED_PARAMETER")
        for name in NOT_TAKEN:
            if body.get(name):
                raise not_offered(f"`{name}`", name)
        order = self._to_be_paid(body["order_id"]) if body.get("order_id") else None
        location_id = body.get("location_id") or (order or {}).get("location_id", RESTAURANT)
        if location_id not in self.locations:
            raise bad("The location id is invalid.", "location_id", "INVALID_LOCATION")
        if order and order["location_id"] != location_id:
            raise bad("The order is of another location.", "location_id", "LOCATION_MISMATCH")
        money = self._money(body.get("amount_money") or {}, "amount_money", {"location_id": location_id})
        tip = self._money(body["tip_money"], "tip_money", {"location_id": location_id}) if body.get("tip_money") else None
        status = "COMPLETED" if body.get("autocomplete", True) else "APPROVED"
        if order:
            self._check_due(order, money["amount"], status)
        payment = self._new_payment(body, location_id, money, tip, status)
        self.payments[payment["id"]] = payment
        if order:
            kind = "CASH" if source == "CASH" else "OTHER"
            tender = {"id": payment["id"], "payment_id": payment["id"], "type": kind, "amount_money": money}
            tender |= {"tip_money": tip} if tip else {}
            order.setdefault("tenders", []).append(tender)
            if status == "COMPLETED":
                order["state"] = "COMPLETED"
            self._changed(order)
        return payment["id"]

    def _to_be_paid(self, order_id: str) -> dict[str, Any]:
        if order_id not in self.orders:
            raise RefusalError(404, "NOT_FOUND", f"Order not found for id {order_id}", "order_id")
        if self.orders[order_id]["state"] != "OPEN":
            raise bad(f"The order is {self.orders[order_id]['state']}, not OPEN.", "order_id")
        return self.orders[order_id]

    def _check_due(self, order: dict[str, Any], amount: int, status: str) -> None:
        due = order["net_amount_due_money"]["amount"]
        if amount > due or (status == "COMPLETED" and amount != due):
            detail = f"The order has {due} to be paid, not {amount}."
            raise bad(detail, "amount_money.amount", "PAYMENT_AMOUNT_MISMATCH")

    def _new_payment(
        self, body: dict[str, Any], location_id: str, money: dict[str, Any], tip: dict[str, Any] | None, status: str
    ) -> dict[str, Any]:
        source, now = body["source_id"], stamp(datetime.now(UTC))
        details = dict(body[DETAILS[source]])
        whole = {**money, "amount": money["amount"] + (tip["amount"] if tip else 0)}
        if supplied := details.get("buyer_supplied_money"):
            self._money(supplied, "cash_details.buyer_supplied_money", {"location_id": location_id})
            if supplied["amount"] < whole["amount"]:
                raise bad("The buyer gave less than the amount.", "cash_details.buyer_supplied_money.amount", "VALUE_TOO_LOW")
            details["change_back_money"] = {**money, "amount": supplied["amount"] - whole["amount"]}
        payment = {"id": f"SIMPAYMENT{len(self.payments) + 1:08d}", "created_at": now, "updated_at": now, "status": status}
        payment |= {"amount_money": money, "total_money": whole, "source_type": source, "location_id": location_id}
        kept = {name: body[name] for name in ("order_id", "reference_id", "note", "customer_id") if body.get(name)}
        kept |= {"tip_money": tip} if tip else {}
        return {**payment, **kept, DETAILS[source]: details}

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
