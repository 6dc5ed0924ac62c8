"""Square's catalog objects and orders to our records, and a guest check to Square's order: pure functions.

The pydantic models name what we read of Square's objects, and are the reason a malformed one is rejected with. Everything else in an
object is ignored, so that a new field or type of Square changes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, StrictInt, ValidationError, model_validator

from integrations import values
from integrations.exceptions import InvalidInput, RecordRejected
from integrations.records import GuestCheck, MenuCategory, MenuItem, MenuTax, MenuVariation, ModifierList, Record
from integrations.services.rows import back_on_sale

M = TypeVar("M", bound=BaseModel)

CHECK_STATUS = {"DRAFT": "draft", "OPEN": "open", "COMPLETED": "closed", "CANCELED": "voided"}
EXTERNAL_TYPES = {"credit_card": "CARD", "debit_card": "CARD", "bank_transfer": "BANK_TRANSFER", "room_charge": "STORED_BALANCE"}
"""Our payment methods -> ExternalPaymentDetails.type; the rest is OTHER."""
ORDER_TAX = {"uid": "tax", "name": "Tax", "type": "ADDITIVE", "scope": "ORDER"}
NOTE_LENGTH = 2000
"""Characters of a line's note (OrderLineItem, 2025-08-20)."""
DISCOUNT_NAME_LENGTH = 255
"""Characters of a discount's name (OrderLineItemDiscount, 2025-08-20)."""
TAX_DIGITS = 5
"""Decimals of a tax percentage we send; enough to hit any amount of tax on a check below 100,000.00 exactly."""
PERCENTAGE_LENGTH = 10
"""Characters of a percentage (OrderLineItemTax, 2025-08-20)."""


# --- money ---------------------------------------------------------------------------------------------------------------------


# Square's numbers are whole JSON numbers. Read by the letter, `true` is none, and no exponent makes one of a gigabyte.


class Money(BaseModel):
    amount: StrictInt = 0
    currency: str = Field(pattern=r"^[A-Z]{3}$")

    @property
    def value(self) -> Decimal:
        return Decimal(self.amount).scaleb(-values.minor_digits(self.currency))


def to_money(value: Decimal | str, currency: str) -> dict[str, Any]:
    """Return an amount as Square's Money: an integer in the currency's smallest unit."""
    return {"amount": int(Decimal(value).scaleb(values.minor_digits(currency)).quantize(Decimal(1))), "currency": currency}


# --- the catalog ---------------------------------------------------------------------------------------------------------------


class CatalogObject(BaseModel):
    """What all types share. A subclass adds what it reads of its type's `<type>_data`."""

    makes: ClassVar[type[Record]]

    id: str = Field(min_length=1)
    version: StrictInt | None = None
    updated_at: datetime | None = None
    present_at_all_locations: bool = True
    present_at_location_ids: frozenset[str] = frozenset()
    absent_at_location_ids: frozenset[str] = frozenset()
    is_deleted: bool = False

    @model_validator(mode="before")
    @classmethod
    def take_in_data(cls, found: Any) -> Any:
        if not isinstance(found, dict):
            return found
        data = found.get(f"{found.get('type', '')}_data".lower()) or {}
        if not isinstance(data, dict):
            raise ValueError("its data is not an object")
        return {**data, **found}

    @property
    def common(self) -> dict[str, Any]:
        return {"external_id": self.id, "version": self.version, "updated_at": self.updated_at}

    def is_offered(self, location_id: str) -> bool:
        if self.present_at_all_locations:
            return not self.is_deleted and location_id not in self.absent_at_location_ids
        return not self.is_deleted and location_id in self.present_at_location_ids

    def record(self, location_id: str) -> Record:
        raise NotImplementedError


class CategoryRef(BaseModel):
    id: str = ""
    ordinal: StrictInt = 0


class Category(CatalogObject):
    makes = MenuCategory
    name: str
    parent_category: CategoryRef = CategoryRef()

    def record(self, location_id: str) -> MenuCategory:
        parent = self.parent_category
        return MenuCategory(**self.common, name=self.name, position=parent.ordinal, parent_external_id=parent.id)


class Tax(CatalogObject):
    makes = MenuTax
    name: str = ""
    percentage: Decimal = Decimal(0)
    inclusion_type: str = ""
    enabled: bool = True

    def record(self, location_id: str) -> MenuTax:
        is_included = self.inclusion_type == "INCLUSIVE"
        return MenuTax(**self.common, name=self.name, percentage=self.percentage, is_included=is_included, is_active=self.enabled)


class Override(BaseModel):
    location_id: str = ""
    price_money: Money | None = None
    pricing_type: str = ""
    sold_out: bool = False
    sold_out_valid_until: AwareDatetime | None = None

    @property
    def is_sold_out_for_good(self) -> bool:
        """Nobody has said until when. "When the current time is later than this attribute value, the affected item variation is no longer
        sold out" (ItemVariationLocationOverrides, 2025-08-20)."""
        return self.sold_out and self.sold_out_valid_until is None


NO_OVERRIDE = Override()


class Priced(CatalogObject):
    name: str = ""
    ordinal: StrictInt = 0
    price_money: Money | None = None
    pricing_type: str = ""
    location_overrides: tuple[Override, ...] = ()

    def at(self, location_id: str) -> Override:
        return next((override for override in self.location_overrides if override.location_id == location_id), NO_OVERRIDE)

    def price_at(self, location_id: str) -> tuple[Decimal | None, str]:
        """Return the price and its currency; none where it is asked for at the till."""
        here = self.at(location_id)
        money = here.price_money or self.price_money
        # A price of the location is one, whatever the rest of the world does.
        kind = here.pricing_type or ("" if here.price_money else self.pricing_type)
        return (None, "") if money is None or kind == "VARIABLE_PRICING" else (money.value, money.currency)


class Modifier(Priced):
    on_by_default: bool = False

    def option(self, location_id: str) -> dict[str, Any]:
        price, currency = self.price_at(location_id)
        return {
            "external_id": self.id,
            "name": self.name,
            "price": None if price is None else str(price),
            "currency": currency,
            "on_by_default": self.on_by_default,
            "is_available": not self.at(location_id).sold_out,
        }


class ChoiceList(CatalogObject):
    makes = ModifierList
    name: str = ""
    modifiers: tuple[Modifier, ...] = ()
    min_selected_modifiers: StrictInt = -1
    max_selected_modifiers: StrictInt = -1

    def record(self, location_id: str) -> ModifierList:
        modifiers = sorted((m for m in self.modifiers if m.is_offered(location_id)), key=lambda m: m.ordinal)
        return ModifierList(
            **self.common,
            name=self.name,
            # -1: not set; a maximum of 0: none.
            min_selected=None if self.min_selected_modifiers < 0 else self.min_selected_modifiers,
            max_selected=None if self.max_selected_modifiers < 1 else self.max_selected_modifiers,
            options=tuple(modifier.option(location_id) for modifier in modifiers),
        )


class Variation(Priced):
    makes = MenuVariation
    sku: str = ""
    sellable: bool = True

    def record(self, location_id: str) -> MenuVariation:
        (price, currency), here = self.price_at(location_id), self.at(location_id)
        return MenuVariation(
            **self.common,
            name=self.name,
            sku=self.sku,
            price=price,
            currency=currency,
            is_available=self.sellable and not here.is_sold_out_for_good,
            sold_out_until=here.sold_out_valid_until if here.sold_out else None,
            position=self.ordinal,
        )


class ChoiceListRef(BaseModel):
    modifier_list_id: str
    enabled: bool = True


class Item(CatalogObject):
    makes = MenuItem
    name: str
    description: str = ""
    description_plaintext: str = ""
    categories: tuple[CategoryRef, ...] = ()
    category_id: str = ""
    variations: tuple[Variation, ...] = ()
    modifier_list_info: tuple[ChoiceListRef, ...] = ()
    tax_ids: tuple[str, ...] = ()
    is_archived: bool = False

    def record(self, location_id: str) -> MenuItem:
        # `category_id` is deprecated since 2023-12-13, but an item that nobody touched since has nothing else.
        category = self.categories[0] if self.categories else CategoryRef(id=self.category_id)
        variations = tuple(variation.record(location_id) for variation in self.variations if variation.is_offered(location_id))
        return MenuItem(
            **self.common,
            name=self.name,
            description=self.description_plaintext or self.description,
            category_external_id=category.id,
            position=category.ordinal,
            is_available=not self.is_archived and any(variation.is_available for variation in variations),
            sold_out_until=back_on_sale(variations),
            variations=variations,
            modifier_list_external_ids=tuple(info.modifier_list_id for info in self.modifier_list_info if info.enabled),
            tax_external_ids=self.tax_ids,
        )


MODELS: Mapping[str, type[CatalogObject]] = {"CATEGORY": Category, "MODIFIER_LIST": ChoiceList, "TAX": Tax, "ITEM": Item}
NESTED = {"ITEM_VARIATION": ("ITEM", "item_id"), "MODIFIER": ("MODIFIER_LIST", "modifier_list_id")}
"""Types that are part of others -> the other's type, and where they name it."""


def parent_id(found: Mapping[str, Any]) -> str:
    """Return the object a nested one is part of; a deleted one may not say."""
    data = found.get(f"{found['type']}_data".lower())
    return str(data.get(NESTED[found["type"]][1]) or "") if isinstance(data, dict) else ""


def to_record(found: Mapping[str, Any], location_id: str) -> Record:
    """Return the record of a catalog object; one that is gone, or not offered at the location, as deleted. Raises RecordRejected."""
    model = MODELS[found["type"]]
    read = _read(CatalogObject if found.get("is_deleted") is True else model, found)  # the data of a deleted one may be absent
    return read.record(location_id) if read.is_offered(location_id) else model.makes(**read.common, deleted=True)


def _read(model: type[M], found: Any) -> M:
    try:
        return model.model_validate(found)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        stood = "" if problem["type"] == "missing" else f", not {values.shown(problem['input'])}"
        raise RecordRejected(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}{stood}.") from error


# --- orders --------------------------------------------------------------------------------------------------------------------


class Order(BaseModel):
    id: str
    location_id: str = ""
    version: StrictInt | None = None
    """Absent on checks that were opened at the till: those cannot be changed through the API."""
    state: str = ""
    updated_at: datetime | None = None
    total_money: Money | None = None
    net_amount_due_money: Money | None = None
    fulfillments: list[dict[str, Any]] = []
    tenders: list[dict[str, Any]] = []

    @property
    def status(self) -> str:
        return CHECK_STATUS.get(self.state, "unknown")

    def record(self) -> GuestCheck:
        return GuestCheck(
            external_id=self.id,
            version=self.version,
            updated_at=self.updated_at,
            status=self.status,
            status_original=self.state,
            total=self.total_money.value if self.total_money else None,
            amount_due=self.net_amount_due_money.value if self.net_amount_due_money else None,
            currency=self.total_money.currency if self.total_money else "",
        )


def to_check(found: Any) -> GuestCheck:
    """Return the record of an order. Raises RecordRejected."""
    return _read(Order, found).record()


def to_order(check: Mapping[str, Any], location_id: str) -> dict[str, Any]:
    """Return a guest check as an order, without the guest's name: it would show on Square's screens and receipts."""
    currency = check["currency"]
    items = [item for item in check["items"] if Decimal(item["total_price"]) >= 0]
    taxes, of_items = _taxes(check, items)
    order = {
        "location_id": location_id,
        "reference_id": check["check_number"],
        "ticket_name": f"Room {check['room_number']}" if check.get("room_number") else "",
        "source": {"name": "Hospient"},
        "line_items": [_line_item(item, currency) | taxed for item, taxed in zip(items, of_items, strict=True)],
        "discounts": [
            {"name": name, "type": "FIXED_AMOUNT", "scope": "ORDER", "amount_money": to_money(amount, currency)}
            for name, amount in _discounts(check)
        ],
        "service_charges": [
            {"name": "Service charge", "amount_money": to_money(charge, currency), "calculation_phase": "SUBTOTAL_PHASE", "taxable": False}
            for charge in [Decimal(check.get("service_charge") or 0)]
            if charge
        ],
        "taxes": taxes,
    }
    return {key: value for key, value in order.items() if value}


def _discounts(check: Mapping[str, Any]) -> list[tuple[str, Decimal]]:
    """Return what is taken off, by name: lines below zero, for which Square has no money, and the check's discount."""
    found = []
    for number, item in enumerate(check["items"]):
        if (total := Decimal(item["total_price"])) < 0:
            name = item["name"] if Decimal(item["quantity"]) == 1 else f"{_count(item)} × {item['name']}"
            if len(name) > DISCOUNT_NAME_LENGTH:
                told = f"Square takes {DISCOUNT_NAME_LENGTH} characters for the name of what is taken off; this has {len(name)}."
                raise InvalidInput({f"items.{number}.name": told})
            found.append((name, -total))
    if discount := Decimal(check.get("discount") or 0):
        found.append(("Discount", discount))
    return found


def _line_item(item: Mapping[str, Any], currency: str) -> dict[str, Any]:
    quantity, price = Decimal(item["quantity"]), Decimal(item["unit_price"])
    name, count, note = item["name"], _count(item), item.get("note") or ""
    variation, menu_price = item.get("variation_external_id"), item.get("menu_price")
    # Square takes a fraction only in a unit of measure, which our line does not have, and works a line out from a price in whole cents:
    # what the guest saw is the line.
    is_whole = not quantity % 1 and values.is_payable(price, currency) and quantity * price == Decimal(item["total_price"])
    line: dict[str, Any] = {"quantity": count if is_whole else "1"}
    counted = note if is_whole else " · ".join(filter(None, (f"{count} × {price.normalize():f}", note)))
    if variation and menu_price is None and len(counted) <= NOTE_LENGTH:  # its price is asked for at the till
        line["catalog_object_id"], note = variation, counted
    elif variation and is_whole and menu_price and Decimal(menu_price) == price:
        return ({"note": note} if note else {}) | line | {"catalog_object_id": variation}
    else:
        line["name"] = name if is_whole else f"{count} × {name}"
    line["base_price_money"] = to_money(price if is_whole else item["total_price"], currency)
    return ({"note": note} if note else {}) | line


def _count(item: Mapping[str, Any]) -> str:
    return f"{Decimal(item['quantity']).normalize():f}"


# --- taxes of an order ---------------------------------------------------------------------------------------------------------


def _taxes(check: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the taxes of an order, and for each of its lines what refers to them: one tax of the whole, or those of single lines."""
    currency, is_included = check["currency"], bool(check.get("tax_included"))
    tax, kind = Decimal(check.get("tax") or 0), "INCLUSIVE" if is_included else "ADDITIVE"
    if not any(item.get("tax") for item in items):
        base = Decimal(check["subtotal"]) - Decimal(check.get("discount") or 0)
        whole = {**ORDER_TAX, "type": kind, "percentage": tax_percentage(tax, base, currency, is_included=is_included)} if tax else None
        return [whole] if whole else [], [{} for _ in items]
    bases = [to_money(item["total_price"], currency)["amount"] for item in items]
    for _, amount in _discounts(check):
        bases = _without(to_money(amount, currency)["amount"], bases)
    rates: dict[int, str] = {}
    # A high amount tells the rate best; a lower one takes it over where it comes to its tax.
    for place in sorted(range(len(items)), key=lambda place: -bases[place]):
        if wanted := Decimal(items[place].get("tax") or 0):
            cents = to_money(wanted, currency)["amount"]
            known = (rate for rate in rates.values() if _tax_of(bases[place], Decimal(rate), is_included) == cents)
            base = Decimal(bases[place]) * values.smallest(currency)
            rates[place] = next(known, None) or tax_percentage(wanted, base, currency, f"items.{place}.tax", is_included=is_included)
    uids = {rate: f"tax-{number}" for number, rate in enumerate(dict.fromkeys(rates.values()), 1)}
    taxes = [{"uid": uid, "name": f"Tax {rate} %", "type": kind, "scope": "LINE_ITEM", "percentage": rate} for rate, uid in uids.items()]
    return taxes, [{"applied_taxes": [{"tax_uid": uids[rates[place]]}]} if place in rates else {} for place in range(len(items))]


def _without(discount: int, amounts: Sequence[int]) -> list[int]:
    """Return what lines come to after a discount off all of them: it is spread "relative to the amount contributed by the item to the order
    subtotal" (OrderLineItemDiscount, 2025-08-20)."""
    whole = sum(amounts)
    if not whole:
        return list(amounts)
    shares = [discount * amount // whole for amount in amounts]
    for place in sorted(range(len(amounts)), key=lambda place: -(discount * amounts[place] % whole))[: discount - sum(shares)]:
        shares[place] += 1
    return [amount - share for amount, share in zip(amounts, shares, strict=True)]


def _tax_of(base: int, percentage: Decimal, is_included: bool) -> int:
    return round(base * percentage / (100 + percentage if is_included else 100))


def tax_percentage(tax: Decimal, base: Decimal | str, currency: str, field: str = "tax", *, is_included: bool = False) -> str:
    """Return the shortest percentage that comes to this tax: of the base, or within it.

    Square's order taxes are percentages only (OrderLineItemTax, 2025-08-20): an amount cannot be sent.
    """
    whole, wanted = to_money(base, currency)["amount"], to_money(tax, currency)["amount"]
    net = whole - wanted if is_included else whole
    exact = Decimal(wanted * 100) / net if net else Decimal(0)
    candidates = (round(exact, digits) for digits in range(TAX_DIGITS))
    shortest = next((p for p in candidates if _tax_of(whole, p, is_included) == wanted), round(exact, TAX_DIGITS))
    written = f"{shortest.normalize():f}"
    if len(written) > PERCENTAGE_LENGTH:
        raise InvalidInput({field: f"Square takes a tax as a percentage of {PERCENTAGE_LENGTH} characters, and this would be {written} %."})
    return written


# --- payments ------------------------------------------------------------------------------------------------------------------


def to_payment(check: Mapping[str, Any], order: Order, key: str) -> dict[str, Any]:
    """Return the payment that records how the guest paid the whole order; approved only, PayOrder completes it."""
    currency, tip, method = check["currency"], Decimal(check.get("tip") or 0), check.get("payment_method") or "hospient"
    amount = to_money(check["total"], currency)
    payment = {
        "idempotency_key": key,
        "order_id": order.id,
        "location_id": order.location_id,
        "amount_money": amount,
        "autocomplete": False,
    }
    if tip:
        payment["tip_money"] = to_money(tip, currency)
    if method == "cash":
        return payment | {"source_id": "CASH", "cash_details": {"buyer_supplied_money": to_money(Decimal(check["total"]) + tip, currency)}}
    details = {"type": EXTERNAL_TYPES.get(method, "OTHER"), "source": method.replace("_", " ").capitalize()}
    return payment | {"source_id": "EXTERNAL", "external_details": details}
