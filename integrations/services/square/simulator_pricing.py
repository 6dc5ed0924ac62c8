"""What an order of the simulated Square comes to: lines with modifiers, discounts, service charges, taxes, in this order.

Square's order of things: percentages off a line, percentages off the order, amounts off a line, amounts off the order; service charges of
the subtotal phase; taxes; service charges of the total phase. Shares of the whole order are spread over the lines by what each comes to,
and what a percentage comes to is rounded half to even (OrderLineItemDiscount, OrderServiceCharge, OrderLineItemTax, 2025-08-20).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

Part = dict[str, Any]
Line = dict[str, Any]


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Share out an amount by weights, so that the shares add up to it."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    shares = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: (-(amount * weights[place] % whole), place))
    for place in by_remainder[: amount - sum(shares)]:
        shares[place] += 1
    return shares


def of_percentage(base: int, percentage: str) -> int:
    return round(base * Decimal(percentage) / 100)


class Pricing:
    """Adds up one order in a currency."""

    def __init__(self, order: dict[str, Any], currency: str) -> None:
        self.order, self.currency = order, currency
        self.lines: list[Line] = order["line_items"]
        self.nets: list[int] = []
        """What each line comes to after its discounts, before taxes on top."""
        self.taxes: list[int] = []
        """The taxes of each line, those in the price included."""
        self.on_top: list[int] = []

    def money(self, amount: int) -> dict[str, Any]:
        return {"amount": amount, "currency": self.currency}

    def add_up(self) -> None:
        for line in self.lines:
            self._gross(line)
        gross = [line["gross_sales_money"]["amount"] for line in self.lines]
        self.nets = list(gross)
        self._take_off()
        charged = sum(self._charge(charge, sum(self.nets)) for charge in self._charges("SUBTOTAL_PHASE"))
        self.taxes, self.on_top = [0] * len(self.lines), [0] * len(self.lines)
        taxed_charges = self._tax()
        for place, line in enumerate(self.lines):
            line |= {
                "total_discount_money": self.money(gross[place] - self.nets[place]),
                "total_tax_money": self.money(self.taxes[place]),
                "total_money": self.money(self.nets[place] + self.on_top[place]),
            }
        before = sum(self.nets) + sum(self.on_top) + charged + taxed_charges[1]
        charged += (late := sum(self._charge(charge, before) for charge in self._charges("TOTAL_PHASE")))
        self._totals(before + late, sum(gross) - sum(self.nets), sum(self.taxes) + taxed_charges[0], charged)

    def _gross(self, line: Line) -> None:
        quantity, base = Decimal(line["quantity"]), line["base_price_money"]["amount"]
        price = round(quantity * base)
        line["variation_total_price_money"] = self.money(price)
        for modifier in line.get("modifiers", []):
            whole = round(quantity * Decimal(modifier.get("quantity", "1")) * modifier["base_price_money"]["amount"])
            modifier["total_price_money"] = self.money(whole)
            price += whole
        line["gross_sales_money"] = self.money(price)

    # --- discounts -------------------------------------------------------------------------------------------------------------

    def _take_off(self) -> None:
        discounts = self.order["discounts"]
        for field in ("percentage", "amount_money"):
            for scope in ("LINE_ITEM", "ORDER"):
                for discount in (one for one in discounts if one["scope"] == scope and field in one):
                    self._apply(discount, self._shares(discount))

    def _shares(self, discount: Part) -> list[int]:
        """Return what a discount takes off each line."""
        is_for_all = discount["scope"] == "ORDER"
        meant = [net if is_for_all or _refers(line, "discount", discount) else 0 for line, net in zip(self.lines, self.nets, strict=True)]
        if "amount_money" in discount:
            amount = discount["amount_money"]["amount"]
            return spread(min(amount, sum(meant)), meant) if is_for_all else [min(amount, net) for net in meant]
        if is_for_all:
            return spread(of_percentage(sum(meant), discount["percentage"]), meant)
        return [of_percentage(net, discount["percentage"]) for net in meant]

    def _apply(self, discount: Part, shares: Sequence[int]) -> None:
        for place, (line, share) in enumerate(zip(self.lines, shares, strict=True)):
            self.nets[place] -= share
            self._note(line, "discount", discount, share)
        discount["applied_money"] = self.money(sum(shares))

    def _note(self, line: Line, kind: str, part: Part, share: int) -> None:
        """Write on a line what a discount or a tax of the order comes to there."""
        applied = line.setdefault("applied_taxes" if kind == "tax" else "applied_discounts", [])
        told = next((one for one in applied if one[f"{kind}_uid"] == part["uid"]), None)
        if told is None and part["scope"] == "ORDER":
            applied.append(told := {"uid": f"{line['uid']}-{part['uid']}"[:60], f"{kind}_uid": part["uid"]})
        if told is not None:
            told["applied_money"] = self.money(share)

    # --- service charges -------------------------------------------------------------------------------------------------------

    def _charges(self, phase: str) -> Iterable[Part]:
        return (charge for charge in self.order["service_charges"] if charge["calculation_phase"] == phase)

    def _charge(self, charge: Part, base: int) -> int:
        amount = charge["amount_money"]["amount"] if "amount_money" in charge else of_percentage(base, charge["percentage"])
        charge |= {"applied_money": self.money(amount), "total_money": self.money(amount), "total_tax_money": self.money(0)}
        return amount

    # --- taxes -----------------------------------------------------------------------------------------------------------------

    def _tax(self) -> tuple[int, int]:
        """Apply the taxes, and return what they come to on service charges: in all, and on top."""
        taxes = self.order["taxes"]
        included = [tax for tax in taxes if tax["type"] == "INCLUSIVE"]
        of_all = sum((Decimal(tax["percentage"]) for tax in included if tax["scope"] == "ORDER"), Decimal(0))
        inside = [
            of_all + sum(Decimal(tax["percentage"]) for tax in included if tax["scope"] != "ORDER" and _refers(line, "tax", tax))
            for line in self.lines
        ]
        charges = [charge for charge in self._charges("SUBTOTAL_PHASE") if charge.get("taxable")]
        on_charges = charges_on_top = 0
        for tax in taxes:
            is_inclusive, is_for_all = tax["type"] == "INCLUSIVE", tax["scope"] == "ORDER"
            meant = [net if is_for_all or _refers(line, "tax", tax) else 0 for line, net in zip(self.lines, self.nets, strict=True)]
            bases = [*meant, *(charge["applied_money"]["amount"] for charge in charges if is_for_all)]
            parts = [100 + one if is_inclusive else Decimal(100) for one in [*inside, *(of_all for _ in charges)]]
            exact = [base * Decimal(tax["percentage"]) / part for base, part in zip(bases, parts[: len(bases)], strict=True)]
            shares = spread(round(sum(exact)), bases) if is_for_all else [round(one) for one in exact]
            for place, line in enumerate(self.lines):
                self.taxes[place] += shares[place]
                self.on_top[place] += 0 if is_inclusive else shares[place]
                self._note(line, "tax", tax, shares[place])
            for charge, share in zip(charges, shares[len(self.lines) :], strict=False):
                charge["total_tax_money"]["amount"] += share
                charge["total_money"]["amount"] += 0 if is_inclusive else share
                on_charges += share
                charges_on_top += 0 if is_inclusive else share
            tax["applied_money"] = self.money(sum(shares))
        return on_charges, charges_on_top

    # --- totals ----------------------------------------------------------------------------------------------------------------

    def _totals(self, total: int, discount: int, tax: int, charged: int) -> None:
        paid = sum(tender["amount_money"]["amount"] for tender in self.order.get("tenders", []))
        tips = sum(tender["tip_money"]["amount"] for tender in self.order.get("tenders", []) if "tip_money" in tender)
        amounts = {"total": total, "tax": tax, "discount": discount, "tip": tips, "service_charge": charged}
        self.order |= {f"total_{name}_money" if name != "total" else "total_money": self.money(amount) for name, amount in amounts.items()}
        self.order["net_amounts"] = {f"{name}_money": self.money(amount) for name, amount in amounts.items()}
        self.order["net_amount_due_money"] = self.money(total - paid)


def _refers(line: Line, kind: str, part: Part) -> bool:
    applied = line.get("applied_taxes" if kind == "tax" else "applied_discounts", [])
    return any(one[f"{kind}_uid"] == part["uid"] for one in applied)
