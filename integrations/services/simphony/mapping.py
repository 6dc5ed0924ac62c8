"""Simphony's JSON to our records and back: pure functions.

Money is decimal in major units on both sides and never passes through a binary float. Names are plain text or a table of
translations (`{"en-US": "coffee", "de-DE": "Kaffee"}`).
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from integrations import values
from integrations.exceptions import ConfigurationError, InvalidInput, RecordRejected, UnexpectedResponse
from integrations.records import GuestCheck, MenuCategory, MenuItem, MenuVariation
from integrations.services.simphony.manifest import Config

STATUSES = {"open": "open", "closed": "closed", "cancelled": "voided", "canceled": "voided", "voided": "voided"}
"""Oracle documents `open` and `closed`; whether a cancelled check can still be read, and as what, it leaves open."""
REFERENCE_TEXT_LENGTH = 20
"""Oracle's limit for a line's `referenceText`. A longer note is printed whole, below: it may be an allergy."""


# --- menus ---------------------------------------------------------------------------------------------------------------------


def translated(value: Any, language: str) -> str:
    """Return a name in the wanted language, else in the first one there is."""
    if isinstance(value, Mapping):
        value = value.get(language) or next((text for text in value.values() if text), "")
    return values.text(value, "name")


def category(group: Mapping[str, Any], config: Config) -> MenuCategory:
    return MenuCategory(external_id=_required(group, "familyGroupItemId"), name=translated(group.get("name"), config.language))


def menu_item(item: Mapping[str, Any], sold_out: Mapping[str, Collection[int]], config: Config, currency: str) -> MenuItem:
    """Map an item with its definitions (sizes, preparations): each price of each definition is something a check can refer to."""
    item_id = _required(item, "menuItemId")
    definitions = values.objects(item.get("definitions"), "definitions")
    sold = [(definition, price) for definition in definitions for price in values.objects(definition.get("prices"), "prices") or [{}]]
    if not sold:
        raise RecordRejected(f"Menu item {item_id} has no definition, so it cannot be ordered.")
    gone = sold_out.get(item_id)
    variations = tuple(
        MenuVariation(
            external_id=f"{item_id}-{_sequence(definition)}-{values.whole(price.get('priceSequence'), 'priceSequence') or 0}",
            name=_variation_name(item, definition, price, config.language),
            price=values.amount(price.get("price"), "price"),
            currency=currency,
            is_available=gone is None or (bool(gone) and _sequence(definition) not in gone),
            position=position,
        )
        for position, (definition, price) in enumerate(sold)
    )
    return MenuItem(
        external_id=item_id,
        name=translated(item.get("name"), config.language) or translated(sold[0][0].get("name"), config.language),
        category_external_id=values.ident(item.get("familyGroupRef"), "familyGroupRef"),
        is_available=any(variation.is_available for variation in variations),
        variations=variations,
    )


def sold_out(item: Mapping[str, Any]) -> tuple[str, list[int]]:
    """Return an item and which of its definitions cannot be ordered just now; an empty list stands for all of them."""
    return _required(item, "menuItemId"), sorted(map(_sequence, values.objects(item.get("definitions"), "definitions")))


def _sequence(definition: Mapping[str, Any]) -> int:
    found = values.whole(definition.get("definitionSequence"), "definitionSequence")
    return 1 if found is None else found


def _variation_name(item: Mapping[str, Any], definition: Mapping[str, Any], price: Mapping[str, Any], language: str) -> str:
    parts = []
    if len(item["definitions"]) > 1:
        parts.append(translated(definition.get("name"), language))
    if len(definition.get("prices") or ()) > 1:
        parts.append(translated(price.get("name"), language) or f"Price {price.get('priceSequence')}")
    return " ".join(part for part in parts if part)


# --- checks --------------------------------------------------------------------------------------------------------------------


def guest_check(check: Mapping[str, Any], currency: str) -> GuestCheck:
    header, totals = (values.record(check.get(name), name) for name in ("header", "totals"))
    if not header.get("checkRef"):
        # Whoever just posted it must look for it before posting again.
        raise UnexpectedResponse("Simphony answered with a check that has no checkRef.", maybe_done=True)
    original = values.text(header.get("status"), "status")
    due, paid = (values.amount(totals.get(name), name) for name in ("totalDue", "paymentTotal"))
    return GuestCheck(
        external_id=values.ident(header["checkRef"], "checkRef"),
        status=STATUSES.get(original.lower(), "unknown"),
        status_original=original,
        total=None if due is None else due + (paid or 0),
        amount_due=due,
        currency=currency,
    )


def check_name(payload: Mapping[str, Any], key: str) -> str:
    """Name a check so that staff know the room and we find it again.

    "The reference for the check provided at time of check creation. This must be unique among all open checks at the revenue
    center." It is listed with the checks, which the idempotencyId is not.
    """
    return f"{(payload.get('room_number') or 'Guest')[:7]}-{key[:8]}"


def check_body(payload: Mapping[str, Any], key: str, config: Config) -> dict[str, Any]:
    """Build the body of POST /checks. Prices and taxes are Simphony's own; only a price that differs from the menu is sent."""
    lines = [check_line(line, number, config) for number, line in enumerate(payload["items"])]
    return {
        "header": {
            "orgShortName": config.org_short_name,
            "locRef": config.loc_ref,
            "rvcRef": config.rvc_ref,
            "idempotencyId": key.replace("-", ""),
            "checkEmployeeRef": config.employee_ref,
            "orderTypeRef": config.order_type_ref,
            "checkName": check_name(payload, key),
            "guestCount": 1,
            "informationLines": information_lines(payload),
        },
        "menuItems": lines,
        "tenders": tenders(payload, config),
    }


def check_line(line: Mapping[str, Any], number: int, config: Config) -> dict[str, Any]:
    quantity, price = Decimal(line["quantity"]), Decimal(line["unit_price"])
    body: dict[str, Any] = {"quantity": int(quantity) if quantity == int(quantity) else quantity}
    if line.get("variation_external_id"):
        item_id, definition, price_sequence = line["variation_external_id"].split("-")
        body |= {"menuItemId": int(item_id), "definitionSequence": int(definition)}
        if int(price_sequence):
            body["priceSequence"] = int(price_sequence)
    elif config.open_item_id:
        body |= {"menuItemId": config.open_item_id, "definitionSequence": 1, "unitPrice": price}
    else:
        raise InvalidInput(
            {
                f"items.{number}": "This is not on Simphony's menu. Choose a menu item, or set an open item in the integration's configuration."
            }
        )
    if line.get("menu_price") and Decimal(line["menu_price"]) != price:
        body["unitPrice"] = price
    if text := line_text(line):
        body["referenceText"] = text[:REFERENCE_TEXT_LENGTH]
    return body


def line_text(line: Mapping[str, Any]) -> str:
    """Return what is written at a line: its note, or the name of what is on no menu."""
    return line.get("note") or ("" if line.get("variation_external_id") else line.get("name", ""))


def information_lines(payload: Mapping[str, Any]) -> list[str]:
    """Return what is printed on the check: where it belongs, and every text too long for its line."""
    room = payload.get("room_number")
    lines = [f"Hospient {payload['check_number']}", f"Room {room}" if room else "", payload.get("guest_name")]
    for item in payload["items"]:
        if len(text := line_text(item)) > REFERENCE_TEXT_LENGTH:
            lines.append(f"{item.get('name', '')}: {text}" if item.get("note") else text)
    return [line for line in lines if line]


def tenders(payload: Mapping[str, Any], config: Config) -> list[dict[str, Any]]:
    """A payment closes a check, a service total sends it unpaid."""
    if payload.get("payment_status") == "paid":
        if config.tender_id is None:
            raise ConfigurationError(
                "The guest has paid this check, but no tender for paid checks is configured.",
                hint="Enter tender_id in the integration's configuration, then retry.",
            )
        tip = Decimal(payload.get("tip") or 0)
        # What was charged, the tip in it: else the check stays open by that much (integrators' reports, 2026-08; Oracle does not say).
        tender = {"tenderId": config.tender_id, "total": Decimal(payload["total"]) + tip}
        return [tender | ({"chargedTipTotal": tip} if tip else {})]
    return [{"tenderId": config.service_total_id, "total": 0}] if config.service_total_id else []


def posted(check: Mapping[str, Any], payload: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """Return the answer of post_guest_check; a total that differs from ours is worth a warning, not a failure."""
    record, tip = guest_check(check, currency), Decimal(payload.get("tip") or 0)
    warnings = []
    if tip and _charged_tip(check) != tip:
        warnings.append("Simphony took the payment without the tip: the tender in the configuration takes none. Enter it at the till.")
    if record.total is not None and record.total - _charged_tip(check) != Decimal(payload["total"]):
        warnings.append(
            f"Simphony's total is {record.total} {currency}, Hospient's {payload['total']}: compare prices and taxes with the till."
        )
    return {
        "reference": record.external_id,
        "status": record.status,
        "status_original": record.status_original,
        "total": None if record.total is None else str(record.total),
        "warnings": warnings,
    }


def _charged_tip(check: Mapping[str, Any]) -> Decimal:
    told = (values.amount(tender.get("chargedTipTotal"), "chargedTipTotal") for tender in values.objects(check.get("tenders"), "tenders"))
    return sum((tip for tip in told if tip), Decimal(0))


# --- values --------------------------------------------------------------------------------------------------------------------


def _required(source: Mapping[str, Any], name: str) -> str:
    if source.get(name) in (None, ""):
        raise RecordRejected(f"Simphony sent this without {name}.")
    return values.ident(source[name], name)
