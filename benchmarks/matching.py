"""Who is who, measured against a population whose truth is known: `python -m benchmarks.matching [--people 20000]`.

Made-up people live in a CRM, and most of them in a PMS too, spelt as systems spell: accents and other scripts, capitals, apostrophes, other
phone formats, changed e-mails, typing mistakes, names that are missing. Couples and families share an address or a landline, agencies book
for many. Two people made one is a false merge. A true pair counts as found if it was joined or put to a person as a question.
"""

import argparse
import json
import random
import time
from dataclasses import replace
from typing import Any

from benchmarks import world

GIVEN = ["Anna", "Bernd", "José", "Søren", "Zoë", "Łukasz", "Ольга", "Иван", "Jürgen", "Conor", "Mary-Jane", "İpek", "Chloé", "Nguyễn", "Maria",
         "Mario", "Lena", "Pavel", "Aoife", "Tomás", "Ingrid", "Björn", "Fatma", "Luís", "Ann", "Hans", "Eva", "Ève", "Olaf", "Niamh"]  # fmt: skip
FAMILY = ["Müller", "O'Brien", "McDonald", "Núñez", "Wójcik", "Петров", "Groß", "Yıldız", "Ærø", "Silva", "Smith", "García", "Schneider", "Huber",
          "Lindström", "Kowalski", "de la Cruz", "van der Berg", "Dvořák", "Nowak", "Sjöberg", "Ó Súilleabháin", "Papadopoulos", "Tran", "Ferreira"]  # fmt: skip
TYPES = ("plain", "spelling", "phone format", "e-mail changed", "typing mistake", "name missing")


def people(count: int, seed: int) -> tuple[list[Any], list[tuple[Any, str]], dict[str, str]]:
    """Return the CRM's guests, the PMS's with what was done to each, and the truth: PMS id -> CRM id."""
    from integrations.records import Guest

    chance = random.Random(seed)
    crm: list[Any] = []
    at_home: dict[str, list[str]] = {}
    """CRM id -> the given names of everybody in the household: nobody could tell a stranger of such a name and address from them."""
    while len(crm) < count:
        family, home, landline = chance.choice(FAMILY), f"home{len(crm)}@example.com", f"+43 1 {5_000_000 + len(crm)}"
        household = chance.choices((1, 2, 4), (70, 20, 10))[0]
        names = chance.sample(GIVEN, household)
        for member, given in enumerate(names):
            number = len(crm)
            at_home[f"C{number}"] = names
            shares = household > 1 and chance.random() < 0.6
            email = home if shares else f"{number}.{chance.randrange(10**6)}@mail{number % 50}.example"
            phone = landline if shares and member else f"+43 664 {1_000_000 + number}"
            if chance.random() < 0.03:
                email = f"bookings@agency{number % 20}.example"
            crm.append(Guest(external_id=f"C{number}", given_name=given, family_name=family, email=email, phone=phone))
    pms, truth = [], {}
    for number, guest in enumerate(chance.sample(crm, int(count * 0.8))):
        kind = chance.choices(TYPES, (40, 30, 10, 8, 8, 4))[0]
        told = replace(_as_told(guest, kind, chance), external_id=f"P{number}")
        pms.append((told, kind))
        truth[told.external_id] = guest.external_id
    for number in range(count // 5):  # strangers, who share a name, and sometimes an address, with somebody
        like = chance.choice(crm)
        told = replace(like, external_id=f"S{number}", given_name=chance.choice([g for g in GIVEN if g not in at_home[like.external_id]]))
        pms.append(
            (
                told if chance.random() < 0.5 else replace(like, external_id=f"S{number}", email=f"s{number}@else.example", phone=""),
                "stranger",
            )
        )
    chance.shuffle(pms)
    return crm, pms, truth


def _as_told(guest: Any, kind: str, chance: random.Random) -> Any:
    """Spell a guest as another system does."""
    from anyascii import anyascii

    if kind == "spelling":
        way = chance.choice((str.upper, str.lower, anyascii, lambda text: anyascii(text).upper(), lambda text: text.replace("'", "’")))
        return replace(guest, given_name=way(guest.given_name), family_name=way(guest.family_name), email=guest.email.upper())
    if kind == "phone format":
        return replace(guest, email="", phone=guest.phone.replace("+43 ", "0").replace(" ", chance.choice(("", "-", "/"))))
    if kind == "e-mail changed":
        return replace(guest, email=f"new.{guest.email}" if chance.random() < 0.5 else f"x{chance.randrange(10**6)}@new.example")
    if kind == "typing mistake":
        name = list(guest.family_name)
        place = chance.randrange(1, len(name) - 1)
        name[place], name[place + 1] = name[place + 1], name[place]
        return replace(guest, family_name="".join(name))
    if kind == "name missing":
        return replace(guest, given_name="") if chance.random() < 0.5 else replace(guest, given_name="", family_name="TBA")
    return guest


def compare(count: int, seed: int) -> dict[str, Any]:
    import django

    django.setup()
    from django.db import connection, transaction

    from hotels.models import GuestQuestion, Hotel
    from integrations.models import ExternalReference, Integration
    from integrations.sync.reconcile import Reconciler

    hotel = Hotel.objects.create(name="Grand", slug=f"grand-{seed}", currency="EUR", time_zone="Europe/Vienna")
    common = {"hotel": hotel, "provider": "stub", "provider_name": "System"}
    systems = [Integration.objects.create(**common, integration_type=kind) for kind in ("guest_management", "pms")]
    crm, pms, truth = people(count, seed)
    seconds = []
    for integration, guests in zip(systems, (crm, [told for told, _ in pms]), strict=True):
        started = time.perf_counter()
        reconciler = Reconciler(integration)
        for start in range(0, len(guests), 500):
            with transaction.atomic():
                reconciler.store(guests[start : start + 500])
        seconds.append(time.perf_counter() - started)
    rows: dict[str, int] = dict(ExternalReference.objects.filter(integration__in=systems).values_list("external_id", "object_id"))
    holders: dict[int, str] = {rows[guest.external_id]: guest.external_id for guest in crm}
    asked = {frozenset(pair) for pair in GuestQuestion.objects.filter(hotel=hotel).values_list("guest_id", "other_id")}
    found: dict[str, list[int]] = {}
    false = 0
    for told, kind in pms:
        row = rows[told.external_id]
        true = truth.get(told.external_id)
        false += row in holders and holders[row] != true
        if true:
            joined = row == rows[true]
            put = frozenset((row, rows[true])) in asked
            tally = found.setdefault(kind, [0, 0, 0])
            tally[0] += 1
            tally[1] += joined
            tally[2] += put and not joined
    connection.close()
    return {"false": false, "found": found, "seconds": seconds, "questions": len(asked), "people": [len(crm), len(pms)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--databases", nargs="+", default=["postgresql", "sqlite"], choices=["postgresql", "sqlite"])
    parser.add_argument("--measure", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(compare(*map(int, options.measure))))
        return
    for kind in options.databases:
        with world.database(kind) as url:
            world.manage(url, "migrate")
            result = world.measure(url, "benchmarks.matching", options.people, options.seed)
        pairs = sum(tally[0] for tally in result["found"].values())
        found = sum(tally[1] + tally[2] for tally in result["found"].values())
        print(
            f"{kind}: {result['people'][0]:,} and {result['people'][1]:,} people, {pairs:,} true pairs, {result['questions']:,} questions"
        )
        for name, (count, joined, put) in sorted(result["found"].items()):
            print(f"  {name:<16}{count:>7,} pairs{joined / count:>8.1%} joined{put / count:>8.1%} asked")
        print(f"  false merges {result['false']}, true pairs joined or asked {found / pairs:.2%}")
        print(f"  stored in {result['seconds'][0]:.1f} s and {result['seconds'][1]:.1f} s", flush=True)


if __name__ == "__main__":
    main()
