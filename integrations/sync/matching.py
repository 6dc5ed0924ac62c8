"""When a vendor shows a record for the first time: which row of the hotel it stands for, if the hotel has it already.

The same guest is known to the PMS and to guest management; a room is the same room after the hotel changed its PMS. Two people are never
made one where anything speaks against it: that is a question for a person. Every match and every question says why.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db.models import F
from rapidfuzz import fuzz

from hotels.identity import country_of, email_key, fold, is_mobile, name_key, phone_key
from hotels.models import Room
from hotels.models.guests import with_keys
from integrations.models import ExternalReference, Integration
from integrations.records import Guest as GuestRecord
from integrations.records import Room as RoomRecord
from integrations.sync import bulk

SHARED_BY = 4
"""An address that so many guests of a hotel have is an agency's or a company's, and says nothing about who somebody is."""
QUESTIONS = 3
"""About one new guest, at most: more would be a list that nobody reads."""
ALIKE = 80
"""Of 100: names that are spelt so much alike may be one name with a typing mistake."""


class Match(NamedTuple):
    """What is known of new records: the rows they stand for, and those they may stand for."""

    rows: Mapping[str, tuple[int, str]]
    """External id -> (primary key, why)."""
    questions: Sequence[tuple[str, int, list[str]]] = ()
    """(external id, primary key of a guest who may be the same person, why and why not)."""


def match_rooms(integration: Integration, new: list[RoomRecord]) -> Match:
    """Match by number, exactly: 0101 and 101 are different rooms. One in use goes before an archived one."""
    numbers = {room.number: room.external_id for room in new if room.number}
    rows = Room.objects.filter(hotel=integration.hotel_id, number__in=numbers)
    found = rows.order_by(F("archived_at").asc(nulls_last=True), "-id")
    return Match({numbers[number]: (pk, "same room number") for number, pk in found.values_list("number", "id")})


# --- guests --------------------------------------------------------------------------------------------------------------------


class Person(NamedTuple):
    """A guest as it compares; `pk` is 0 for one that has no row yet."""

    pk: int
    given: str
    family: str
    name: str
    email: str
    phone: str


def match_guests(integration: Integration, new: list[GuestRecord]) -> Match:
    """Match those with the same whole name and the same e-mail or phone; ask about those of whom only a part agrees.

    Two guests whom one vendor tells apart are two, whatever they have in common.
    """
    hotel = integration.hotel
    country = hotel.country or country_of(hotel.time_zone)
    people = {record.external_id: _person(record, country) for record in new}
    known = _people_like(integration, people.values())
    found: dict[str, tuple[int, str]] = {}
    questions: list[tuple[str, int, list[str]]] = []
    for external_id, person in people.items():
        judged = [(other, *_judge(person, other, known.is_public)) for other in known.near(person)]
        same = [(other.pk, reason) for other, is_same, reason, _ in judged if is_same]
        if len(same) == 1:
            found[external_id] = same[0]
        else:
            asked = [(external_id, other.pk, [reason, against]) for other, _, reason, against in judged if reason]
            questions += asked[:QUESTIONS]
    wanted = Counter(pk for pk, _ in found.values())
    for external_id, (pk, reason) in list(found.items()):
        if wanted[pk] > 1:
            del found[external_id]
            questions.append((external_id, pk, [reason, f"{integration.provider_name} has several guests who may be this one."]))
    return Match(found, questions)


def _person(record: GuestRecord, country: str) -> Person:
    return Person(
        0,
        fold(record.given_name),
        fold(record.family_name),
        name_key(record.given_name, record.family_name),
        email_key(record.email),
        phone_key(record.phone, country),
    )


class _People:
    """Guests of a hotel whom this vendor does not know yet, by what they may have in common with a new one."""

    def __init__(self, people: Iterable[Person], sharing: Counter[str], families: Mapping[str, set[str]]) -> None:
        self.sharing = sharing
        self.families = families
        self.by_key: dict[str, list[Person]] = defaultdict(list)
        for person in people:
            for key in (person.name, person.email, person.phone):
                if key:
                    self.by_key[key].append(person)

    def is_public(self, key: str) -> bool:
        """Say whether a contact is that of people who are no family: an agency's, a portal's, a company's."""
        return len(self.families[key]) >= SHARED_BY

    def near(self, person: Person) -> list[Person]:
        """Return who has the person's name, or a contact of theirs that is not half the hotel's."""
        near: dict[int, Person] = {}
        for key in (person.email, person.phone, person.name):
            is_shared = key != person.name and self.sharing[key] >= SHARED_BY
            near |= {other.pk: other for other in self.by_key[key] if key and not (is_shared and other.name != person.name)}
        return list(near.values())


def _people_like(integration: Integration, people: Iterable[Person]) -> _People:
    people = list(people)
    guests = with_keys(integration.hotel)
    rows: dict[int, Person] = {}
    sharing: Counter[str] = Counter()
    families: dict[str, set[str]] = defaultdict(set)
    for person in people:
        for key in filter(None, (person.email, person.phone)):
            families[key].add(person.family)
    for column, values in (
        ("email_key", {person.email for person in people}),
        ("phone_key", {person.phone for person in people}),
        ("name_key", {person.name for person in people}),
    ):
        values.discard("")
        found = guests.filter(**{f"{column}__in": values}).values_list(
            "id", "given_name", "family_name", "name_key", "email_key", "phone_key"
        )
        for pk, given, family, name, email, phone in found if values else ():
            rows[pk] = Person(pk, fold(given), fold(family), name, email, phone)
            if column != "name_key":
                key = email if column == "email_key" else phone
                sharing[key] += 1
                families[key].add(rows[pk].family)
    taken = bulk.select(
        ExternalReference, ("object_id", "deleted_at"), one_of=("object_id", list(rows)), integration_id=integration.pk, record_type="guest"
    )
    ours = {pk for pk, deleted_at in taken if deleted_at is None}
    return _People((person for pk, person in rows.items() if pk not in ours), sharing, families)


def _judge(one: Person, other: Person, is_public: Callable[[str], bool]) -> tuple[bool, str, str]:
    """Say whether two are one person for certain, why they may be (empty: nothing worth a question), and what speaks against it."""
    same_email, same_phone = bool(one.email) and one.email == other.email, bool(one.phone) and one.phone == other.phone
    contact = " and ".join(filter(None, ("e-mail" if same_email else "", "phone" if same_phone else "")))
    if one.name and one.name == other.name:
        # A household's landline may ring for a father and a son of one name, if their addresses differ.
        is_theirs = same_phone and not is_public(one.phone) and (not (one.email and other.email) or is_mobile(one.phone))
        if is_theirs or (same_email and not is_public(one.email)):
            return True, f"same name and {contact}", ""
        if same_email or (same_phone and is_public(one.phone)):
            return False, f"same name and {contact}", f"The {contact} is shared by guests of many names."
        if contact:
            return False, f"same name and {contact}", "The e-mails differ, and the phone may be a household's."
        if _is_like(one.email, other.email) or _is_like(one.phone, other.phone):
            return False, "same name, and a contact that differs in a few signs", "Neither e-mail nor phone is the same."
        return False, "", ""
    if not contact or not _may_be_one_name(one, other):
        return False, "", ""
    return False, f"same {contact}", "A name is missing." if not (one.name and other.name) else "The names differ."


def _may_be_one_name(one: Person, other: Person) -> bool:
    """Say whether two different names may belong to one person: one is not known, one is misspelt, changed in part, or turned round."""
    parts = ((one.given, other.given), (one.family, other.family), (one.given, other.family), (one.family, other.given))
    return not (one.name and other.name) or any(a and b and fuzz.ratio(a, b) >= ALIKE for a, b in parts)


def _is_like(one: str, other: str) -> bool:
    """Say whether two addresses or numbers may be one with a typing mistake, or a person's old and new one."""
    if not one or not other:
        return False
    (name, _, _), (other_name, _, _) = one.partition("@"), other.partition("@")
    return fuzz.ratio(name, other_name) >= 90
