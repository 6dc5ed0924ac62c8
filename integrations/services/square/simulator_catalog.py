"""The simulated catalog: the menu of a small hotel restaurant, and as many made-up items as a measurement wants.

Made-up items exist only while they are looked at, unless somebody changed them, so that a million of them cost nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

RESTAURANT, POOL_BAR = "LSIMBAR000001", "LSIMPOOL00001"
FIRST_DAY = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
NESTED = {"ITEM": ("variations", "ITEM_VARIATION"), "MODIFIER_LIST": ("modifiers", "MODIFIER")}

CATEGORIES = ["Breakfast", "Starters and soups", "Sandwiches and burgers", "Pasta and rice", "From the grill", "Desserts", "Hot drinks", "Soft drinks", "Wine and beer", "Cocktails"]  # fmt: skip
TAXES = {"food": ("IVA 13 %", "13"), "drink": ("IVA 23 %", "23")}
MODIFIERS = {
    "Doneness": (1, 1, [("Rare", 0), ("Medium", 0), ("Well done", 0)]),
    "Side dish": (1, 1, [("Chips", 0), ("Rice", 0), ("Green salad", 0), ("Truffle chips", 350)]),
    "Milk": (0, 1, [("Whole milk", 0), ("Oat drink", 50), ("Soya drink", 50)]),
    "Extras": (0, 3, [("Bacon", 200), ("Egg", 150), ("Cheese", 150), ("Gluten-free bread", 100)]),
}
MENU: Mapping[str, Sequence[tuple[str, str, list[tuple[str, int]], list[str]]]] = {
    "Breakfast": [
        ("Continental breakfast", "Bread, pastries, fruit, coffee or tea", [("Regular", 1450)], ["Milk"]),
        ("Full breakfast", "Eggs, bacon, sausage, beans, toast", [("Regular", 1890)], ["Extras"]),
        ("Eggs Benedict", "Poached eggs, ham, hollandaise", [("Regular", 1350)], ["Extras"]),
        ("Porridge", "Oats, honey, berries", [("Regular", 850)], ["Milk"]),
    ],
    "Starters and soups": [
        ("Caldo verde", "Kale and potato soup, chouriço", [("Cup", 550), ("Bowl", 790)], []),
        ("Soup of the day", "Ask us", [("Regular", 690)], []),
        ("Octopus salad", "Peppers, onion, coriander", [("Regular", 1490)], []),
        ("Codfish cakes", "Three pieces, aioli", [("Regular", 980)], []),
        ("Burrata", "Tomato, basil, olive oil", [("Regular", 1320)], []),
    ],
    "Sandwiches and burgers": [
        ("Club sandwich", "Chicken, bacon, egg, chips", [("Regular", 1450)], ["Extras"]),
        ("Francesinha", "Steak, ham, sausage, beer sauce", [("Regular", 1690)], ["Extras"]),
        ("Cheeseburger", "180 g beef, cheddar, chips", [("Regular", 1650), ("Double", 2090)], ["Doneness", "Extras"]),
        ("Vegetable wrap", "Grilled vegetables, hummus", [("Regular", 1250)], []),
    ],
    "Pasta and rice": [
        ("Seafood rice", "Prawns, clams, mussels, for one", [("Regular", 2350)], []),
        ("Mushroom risotto", "Parmesan, thyme", [("Regular", 1780)], []),
        ("Spaghetti Bolognese", "Slow-cooked beef", [("Small", 1150), ("Regular", 1490)], []),
    ],
    "From the grill": [
        ("Sirloin steak", "250 g", [("Regular", 2690)], ["Doneness", "Side dish"]),
        ("Piri-piri chicken", "Half a chicken", [("Regular", 1750)], ["Side dish"]),
        ("Sea bass", "Whole, lemon butter", [("Regular", 2480)], ["Side dish"]),
        ("Catch of the day", "Priced by weight", [("By weight", -1)], ["Side dish"]),
    ],
    "Desserts": [
        ("Pastel de nata", "Warm, cinnamon", [("One", 250), ("Three", 690)], []),
        ("Chocolate mousse", "70 % cocoa", [("Regular", 650)], []),
        ("Fruit salad", "Seasonal", [("Regular", 590)], []),
        ("Cheese board", "Three Portuguese cheeses", [("Regular", 1390)], []),
    ],
    "Hot drinks": [
        ("Espresso", "", [("Single", 180), ("Double", 290)], []),
        ("Cappuccino", "", [("Regular", 380)], ["Milk"]),
        ("Pot of tea", "Black, green or mint", [("Regular", 350)], ["Milk"]),
    ],
    "Soft drinks": [
        ("Mineral water", "Still or sparkling", [("0.25 l", 250), ("0.75 l", 450)], []),
        ("Orange juice", "Freshly pressed", [("Regular", 490)], []),
        ("Cola", "0.33 l", [("Regular", 350)], []),
    ],
    "Wine and beer": [
        ("House white", "Vinho Verde", [("Glass", 550), ("Bottle", 2200)], []),
        ("House red", "Douro", [("Glass", 590), ("Bottle", 2400)], []),
        ("Draught beer", "0.3 l or 0.5 l", [("Small", 390), ("Large", 590)], []),
    ],
    "Cocktails": [
        ("Porto Tonic", "White port, tonic, mint", [("Regular", 890)], []),
        ("Negroni", "Gin, vermouth, Campari", [("Regular", 1150)], []),
        ("Virgin mojito", "Lime, mint, soda", [("Regular", 790)], []),
    ],
}  # fmt: skip
DRINKS = {"Soft drinks", "Wine and beer", "Cocktails"}


@lru_cache(maxsize=1024)
def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def euros(cents: int) -> dict[str, Any]:
    return {"amount": cents, "currency": "EUR"}


class Catalog:
    """Objects in the order they were made, each with Square's version and time of its last change."""

    def __init__(self, made_up: int = 0) -> None:
        self.made_up = made_up
        self.changed: dict[int, dict[str, Any]] = {}
        """Made-up items that somebody changed, by number."""
        self.stored: dict[str, dict[str, Any]] = {}
        self.updated_at = FIRST_DAY
        self._furnish()

    def _furnish(self) -> None:
        taxes = {}
        for number, (key, (name, percentage)) in enumerate(TAXES.items(), 1):
            data = {
                "name": name,
                "percentage": percentage,
                "inclusion_type": "INCLUSIVE",
                "calculation_phase": "TAX_SUBTOTAL_PHASE",
                "enabled": True,
            }
            taxes[key] = self._put("TAX", f"SIMTAX{number:02d}", data)
        lists = {}
        for number, (name, (least, most, options)) in enumerate(MODIFIERS.items(), 1):
            list_id = f"SIMMODLIST{number:02d}"
            modifiers = [
                self._object("MODIFIER", f"SIMMOD{number:02d}{place:02d}", {"name": option, "ordinal": place, "price_money": euros(price), "modifier_list_id": list_id})
                for place, (option, price) in enumerate(options, 1)
            ]  # fmt: skip
            data = {
                "name": name,
                "modifier_type": "LIST",
                "min_selected_modifiers": least,
                "max_selected_modifiers": most,
                "modifiers": modifiers,
            }
            lists[name] = self._put("MODIFIER_LIST", list_id, data)
        categories = {name: self._put("CATEGORY", f"SIMCAT{place:02d}", {"name": name, "category_type": "MENU_CATEGORY", "parent_category": {"ordinal": place}, "is_top_level": True}) for place, name in enumerate(CATEGORIES, 1)}  # fmt: skip
        for category, items in MENU.items():
            for place, (name, description, variations, modifier_lists) in enumerate(items, 1):
                tax = taxes["drink" if category in DRINKS else "food"]
                self.add_item(name, description, variations, categories[category], place, [tax], [lists[one] for one in modifier_lists], moment=FIRST_DAY)  # fmt: skip
        self._season()

    def _season(self) -> None:
        """Make what a real catalog has too: other prices and absences at other locations, something sold out."""
        by_name = {found["item_data"]["name"]: found for found in self.stored.values() if found["type"] == "ITEM"}
        beer = by_name["Draught beer"]["item_data"]["variations"][0]["item_variation_data"]
        beer["location_overrides"] = [{"location_id": POOL_BAR, "price_money": euros(490), "pricing_type": "FIXED_PRICING"}]
        bass = by_name["Sea bass"]["item_data"]["variations"][0]["item_variation_data"]
        bass["location_overrides"] = [{"location_id": RESTAURANT, "sold_out": True}]
        eggs = by_name["Eggs Benedict"]["item_data"]["variations"][0]["item_variation_data"]
        breakfast_over = {"location_id": RESTAURANT, "sold_out": True, "sold_out_valid_until": stamp(FIRST_DAY)}
        eggs["location_overrides"] = [breakfast_over]  # the flag stays; only the time says that it is over
        by_name["Virgin mojito"] |= {"present_at_all_locations": False, "present_at_location_ids": [RESTAURANT, POOL_BAR]}
        self.add_item("Pool snack", "Only at the pool", [("Regular", 950)], "SIMCAT03", 9, ["SIMTAX01"], [], moment=FIRST_DAY)
        list(self.stored.values())[-1].update(present_at_all_locations=False, present_at_location_ids=[POOL_BAR])

    # --- making and changing ---------------------------------------------------------------------------------------------------

    def _object(self, kind: str, object_id: str, data: dict[str, Any], moment: datetime = FIRST_DAY) -> dict[str, Any]:
        return {
            "type": kind,
            "id": object_id,
            "version": int(moment.timestamp() * 1000),
            "updated_at": stamp(moment),
            "is_deleted": False,
            "present_at_all_locations": True,
            f"{kind.lower()}_data": data,
        }

    def _put(self, kind: str, object_id: str, data: dict[str, Any], moment: datetime = FIRST_DAY) -> str:
        self.stored[object_id] = self._object(kind, object_id, data, moment)
        return object_id

    def add_item(
        self,
        name: str,
        description: str,
        variations: Sequence[tuple[str, int]],
        category_id: str,
        ordinal: int = 0,
        tax_ids: Sequence[str] = (),
        modifier_list_ids: Sequence[str] = (),
        moment: datetime | None = None,
    ) -> str:
        """Add an item; a price below zero is asked for at the till. Returns its id."""
        moment = moment or self.tick()
        number = sum(found["type"] == "ITEM" for found in self.stored.values()) + 1
        item_id = f"SIMITEM{number:04d}"
        data = {
            "name": name,
            "description_plaintext": description,
            "product_type": "FOOD_AND_BEV",
            "categories": [{"id": category_id, "ordinal": ordinal}],
            "tax_ids": list(tax_ids),
            "modifier_list_info": [{"modifier_list_id": one, "enabled": True} for one in modifier_list_ids],
            "variations": [
                self._object("ITEM_VARIATION", f"SIMVAR{number:04d}{place:02d}", _variation(item_id, label, price, place), moment)
                for place, (label, price) in enumerate(variations, 1)
            ],
        }
        return self._put("ITEM", item_id, data, moment)

    def tick(self) -> datetime:
        """Return the moment of a change: now, and later than any change before."""
        self.updated_at = max(datetime.now(UTC), self.updated_at + timedelta(milliseconds=1))
        return self.updated_at

    def touch(self, found: dict[str, Any], top: dict[str, Any]) -> None:
        """Give an object a new version and time; `top` is the one it is nested in, or itself."""
        moment = self.tick()
        found |= {"version": int(moment.timestamp() * 1000), "updated_at": stamp(moment)}
        if top["id"].startswith("GEN"):
            self.changed[int(top["id"][-9:])] = top

    def change_price(self, variation_id: str, cents: int) -> None:
        """Change a variation's price. Only the variation says so: that its item changes too is nowhere promised."""
        variation, item = self.find(variation_id)
        variation["item_variation_data"]["price_money"] = euros(cents)
        self.touch(variation, item)

    def sell_out(self, object_id: str, location_id: str, until: str = "") -> None:
        """Mark a variation or a modifier as sold out; what it was marked with before is gone."""
        found, top = self.find(object_id)
        data = found[f"{found['type'].lower()}_data"]
        others = [one for one in data.get("location_overrides", []) if one["location_id"] != location_id]
        marked = {"location_id": location_id, "sold_out": True, **({"sold_out_valid_until": until} if until else {})}
        data["location_overrides"] = [*others, marked]
        self.touch(found, top)

    def delete(self, object_id: str) -> None:
        """Delete a top-level object: what is left is its id, that it is gone, and when."""
        found, top = self.find(object_id)
        found["is_deleted"] = True
        del found[f"{found['type'].lower()}_data"]
        self.touch(found, top)

    # --- reading ---------------------------------------------------------------------------------------------------------------

    def find(self, object_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return an object and the one it is nested in (itself at the top). Raises KeyError."""
        if object_id in self.stored:
            return self.stored[object_id], self.stored[object_id]
        if object_id.startswith("GEN") and 0 <= (number := int(object_id[-9:])) < self.made_up:
            item = self.changed.get(number) or self._make_up(number)
            if object_id.startswith("GENITEM"):
                return item, item
            return item["item_data"]["variations"][0], item
        for parent in self.stored.values():
            for nested in children(parent):
                if nested["id"] == object_id:
                    return nested, parent
        raise KeyError(object_id)

    def after(self, place: int, begin: datetime | None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield top-level objects and their places, from `place` on; only those that may have changed after `begin`."""
        yield from list(enumerate(self.stored.values()))[place:]
        first = max(place - len(self.stored), 0)
        if begin and begin >= FIRST_DAY:
            numbers: Iterator[int] | range = (number for number in sorted(self.changed) if number >= first)
        else:
            numbers = range(first, self.made_up)
        for number in numbers:
            yield len(self.stored) + number, self.changed.get(number) or self._make_up(number)

    def _make_up(self, number: int) -> dict[str, Any]:
        item_id = f"GENITEM{number:09d}"
        data = _variation(item_id, "Regular", 500 + number % 3000, 1)
        return self._object(
            "ITEM",
            item_id,
            {
                "name": f"Dish {number}",
                "description_plaintext": f"Dish number {number}, as the kitchen makes it",
                "product_type": "FOOD_AND_BEV",
                "categories": [{"id": f"SIMCAT{number % len(CATEGORIES) + 1:02d}", "ordinal": number}],
                "tax_ids": ["SIMTAX01"],
                "variations": [self._object("ITEM_VARIATION", f"GENVAR{number:09d}", data)],
            },
        )


def _variation(item_id: str, name: str, price: int, ordinal: int) -> dict[str, Any]:
    data = {"item_id": item_id, "name": name, "sku": f"{item_id[-4:]}-{ordinal}", "ordinal": ordinal, "sellable": True, "stockable": True}
    if price < 0:
        return data | {"pricing_type": "VARIABLE_PRICING"}
    return data | {"pricing_type": "FIXED_PRICING", "price_money": euros(price)}


def children(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is nested in an object."""
    member, _ = NESTED.get(found["type"], ("", ""))
    return found.get(f"{found['type'].lower()}_data", {}).get(member, [])
