"""How fast a menu is pulled, beside a floor written by hand in the same run: `python -m benchmarks.sync [--items 20000]`.

The floor fetches the same pages over keep-alive HTTP, decodes them and COPYs the same rows into the same tables, and does nothing else: no
validation, no comparison, no checkpoint, no log, one commit at the end. Both read from the same simulator, in its own process, at 100
items a page. Figures are ratios of one machine in one run; peak memory is that of the measured process.
"""

import argparse
import json
import sys
from typing import Any

from benchmarks import world

STEPS = ("first", "unchanged", "changed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[20_000])
    parser.add_argument("--databases", nargs="+", default=["postgresql", "sqlite"], choices=["postgresql", "sqlite"])
    parser.add_argument("--repeat", type=int, default=3, help="The best of so many (3); one for the large sizes is enough.")
    parser.add_argument("--measure", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure[0]](*options.measure[1:])))
        return
    print(f"{'database':<12}{'items':>10}  {'step':<12}{'items/s':>10}{'of floor':>10}{'seconds':>10}{'peak MB':>10}")
    for kind in options.databases:
        for items in options.items:
            compare(kind, items, options.repeat)


def compare(kind: str, items: int, repeat: int) -> None:
    with world.database(kind) as url, world.square_simulator(items) as vendor:
        world.manage(url, "migrate")
        world.manage(url, "createcachetable")
        found: dict[str, dict[str, float]] = {}
        for _ in range(repeat):
            for step in (*(["floor"] if kind == "postgresql" else []), *STEPS):
                result = world.measure(url, "benchmarks.sync", step, vendor, items)
                if step not in found or result["seconds"] < found[step]["seconds"]:
                    found[step] = result
        floor = found.get("floor", {}).get("seconds")
        for step, result in found.items():
            ratio = f"{floor / result['seconds']:.2f}" if floor else "-"
            print(
                f"{kind:<12}{items:>10,}  {step:<12}{items / result['seconds']:>10,.0f}{ratio:>10}"
                f"{result['seconds']:>10.2f}{result['peak_mb']:>10.0f}"
            )
        sys.stdout.flush()


# --- measured in a process of their own ----------------------------------------------------------------------------------------


def clean() -> Any:
    """Empty the tables and return a hotel."""
    import django

    django.setup()
    from django.core.management import call_command

    from hotels.models import Hotel

    call_command("flush", interactive=False, verbosity=0)
    return Hotel.objects.create(name="Bench", slug="bench", currency="EUR")


def connect(vendor: str) -> Any:
    import django

    django.setup()
    from integrations.models import Integration
    from integrations.services import service_for, setup
    from integrations.services.square.simulator import RESTAURANT, TOKEN

    integration = Integration.objects.select_related("hotel").first()
    if integration is None:
        body = {
            "integration_type": "pos",
            "provider_name": "Square",
            "config": {"base_url": vendor},
            "credentials": {"access_token": TOKEN, "location_id": RESTAURANT},
        }
        integration, _ = setup.create_integration(clean(), body)
    return service_for(integration)


def first(vendor: str, items: str) -> dict[str, float]:
    clean()
    service = connect(vendor)
    with world.timed() as result:
        run = service.sync_menus()
    assert run.status == "succeeded", run.error_message
    assert run.created_count >= int(items), run.summary
    return result


def unchanged(vendor: str, items: str) -> dict[str, float]:
    service = connect(vendor)
    with world.timed() as result:
        run = service.sync_menus(full=True)
    assert (run.status, run.created_count, run.updated_count) == ("succeeded", 0, 0), run.summary
    return result


def changed(vendor: str, items: str) -> dict[str, float]:
    """One reference in a hundred forgets what the vendor said last, so that its item counts as changed."""
    service = connect(vendor)
    from django.db.models import F
    from django.db.models.functions import Mod

    from integrations.models import ExternalReference

    hundredth = ExternalReference.objects.filter(record_type="menu_item").alias(nth=Mod(F("object_id"), 100)).filter(nth=0)
    count = hundredth.update(content_hash="")
    with world.timed() as result:
        run = service.sync_menus(full=True)
    assert run.updated_count == count, run.summary
    return result


def floor(vendor: str, items: str) -> dict[str, float]:
    hotel = clean()
    import requests
    from django.db import connection, transaction
    from django.utils import timezone

    from hotels.models import MenuTax
    from integrations.models import Integration
    from integrations.services.square.simulator import TOKEN

    integration = Integration.objects.create(hotel=hotel, integration_type="pos", provider="square", provider_name="Square")
    tax = MenuTax.objects.create(hotel=hotel, name="VAT")
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    now = timezone.now().isoformat()
    copies = {
        "hotels_menuitem": "id, hotel_id, created_at, updated_at, name, description, is_available, position",
        "hotels_menuvariation": "id, hotel_id, created_at, updated_at, item_id, name, sku, price, currency, is_available, position",
        "hotels_menuitem_taxes": "menuitem_id, menutax_id",
        "integrations_externalreference": "integration_id, record_type, external_id, object_id, snapshot, content_hash, source_version, synced_at, matched_by",
    }
    item_id = variation_id = 0
    with world.timed() as result, transaction.atomic(), connection.cursor() as cursor:
        body: dict[str, Any] = {"object_types": ["ITEM"], "limit": 100}
        while True:
            answer = json.loads(session.post(f"{vendor}/v2/catalog/search", json=body).content)
            rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in copies}
            for found in answer["objects"]:
                item_id += 1
                data = found["item_data"]
                row = {"name": data["name"], "description": data.get("description_plaintext", ""), "is_available": True, "position": 0}
                rows["hotels_menuitem"].append((item_id, hotel.pk, now, now, *row.values()))
                rows["integrations_externalreference"].append(
                    (integration.pk, "menu_item", found["id"], item_id, json.dumps(row), found["id"], found["version"], now, "")
                )
                rows["hotels_menuitem_taxes"] += [(item_id, tax.pk) for _ in data.get("tax_ids", [])[:1]]
                for sold in data["variations"]:
                    variation_id += 1
                    about = sold["item_variation_data"]
                    price = about.get("price_money")
                    row = {
                        "name": about["name"], "sku": about.get("sku", ""), "price": price and str(price["amount"] / 100),
                        "currency": price["currency"] if price else "", "is_available": True, "position": 0,
                    }  # fmt: skip
                    rows["hotels_menuvariation"].append((variation_id, hotel.pk, now, now, item_id, *row.values()))
                    rows["integrations_externalreference"].append(
                        (integration.pk, "menu_variation", sold["id"], variation_id, json.dumps(row), sold["id"], sold["version"], now, "")
                    )
            for table, columns in copies.items():
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for values in rows[table]:
                        copy.write_row(values)
            if not answer.get("cursor"):
                break
            body["cursor"] = answer["cursor"]
    assert item_id >= int(items)
    return result


MEASURES = {"first": first, "unchanged": unchanged, "changed": changed, "floor": floor}

if __name__ == "__main__":
    main()
