"""Who is who: two people never become one by themselves, one person in two spellings does not become two, and a person decides the rest."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from hotels.identity import email_key, fold, name_key, phone_key
from hotels.models import ChatMessage, Guest, GuestCheck, GuestQuestion, Hotel, Reservation, Role, Verdict, guests
from integrations import records
from integrations.exceptions import InvalidInput
from integrations.models import ExternalReference, Integration
from integrations.services.guests import decide, split_guest
from integrations.sync import matching
from integrations.tests.feed import Feed

pytestmark = pytest.mark.django_db


@pytest.fixture
def hotel(hotel: Hotel) -> Hotel:
    Hotel.objects.filter(pk=hotel.pk).update(time_zone="Europe/Vienna")
    hotel.refresh_from_db()
    return hotel


@pytest.fixture
def crm(hotel: Hotel) -> Integration:
    return Integration.objects.create(hotel=hotel, integration_type="guest_management", provider="salesforce", provider_name="CRM")


@pytest.fixture
def pms(hotel: Hotel) -> Integration:
    return Integration.objects.create(hotel=hotel, integration_type="pms", provider="opera_cloud", provider_name="PMS")


def guest(number: str, given: str = "", family: str = "", email: str = "", phone: str = "") -> records.Guest:
    return records.Guest(external_id=number, given_name=given, family_name=family, email=email, phone=phone)


def meet(crm: Integration, pms: Integration, one: records.Guest, *others: records.Guest) -> tuple[int, int]:
    """Let the CRM tell of one guest and the PMS of others; return how many guests and how many questions there are."""
    Feed(crm).run([one], stream="guest_data")
    Feed(pms).run(list(others), stream="guests")
    return Guest.live.count(), GuestQuestion.objects.count()


SAME = [
    ("Jürgen", "Müller", "Jurgen", "MUELLER"),
    ("Jürgen", "Müller", unicodedata.normalize("NFD", "Jürgen"), unicodedata.normalize("NFD", "Müller")),
    ("Conor", "O'Brien", "CONOR", "O’BRIEN"),
    ("Anna-Maria", "McDonald", "anna maria", "Mcdonald"),
    ("Ольга", "Петрова", "Olga", "Petrova"),
    ("Søren", "Ærø", "Soren", "Aero"),
    ("José", "Núñez", "JOSE", "NUNEZ"),
    ("Łukasz", "Wójcik", "Lukasz", "Wojcik"),
    ("Dr. Eva", "Groß", "Eva", "GROSS"),
    ("İpek", "Yıldız", "Ipek", "YILDIZ"),
]


@pytest.mark.parametrize(("given", "family", "other_given", "other_family"), SAME)
def test_one_person_in_two_spellings_is_one(crm, pms, given, family, other_given, other_family) -> None:
    one = guest("003", given, family, "Person@Example.com")
    assert meet(crm, pms, one, guest("G1", other_given, other_family, "person@example.com ".strip())) == (1, 0)
    assert ExternalReference.objects.get(external_id="G1").matched_by == "same name and e-mail"


@pytest.mark.parametrize("phone", ["+43 664 123 45 67", "0043 664 1234567", "0664/1234567", "+43(664)1234567", "＋４３ 664 1234567"])
def test_a_phone_number_is_one_however_it_is_written(crm, pms, phone) -> None:
    assert meet(crm, pms, guest("003", "Eva", "Ortner", phone="+436641234567"), guest("G1", "Eva", "Ortner", phone=phone)) == (1, 0)


def test_last_digits_of_two_countries_are_two_numbers(crm, pms) -> None:
    one, other = guest("003", "Eva", "Ortner", phone="+43 664 1234567"), guest("G1", "Eva", "Ortner", phone="+49 664 1234567")
    assert meet(crm, pms, one, other)[0] == 2


@pytest.mark.parametrize(
    ("one", "other", "is_asked"),
    [
        # a couple with one address, or one landline
        (("Anna", "Berger", "berger@example.com"), ("Bernd", "Berger", "berger@example.com"), True),
        (("Anna", "Berger", "", "+43 1 5550123"), ("Bernd", "Berger", "", "01 5550123"), True),
        (("Maria", "Silva", "casa@example.com"), ("Mario", "Silva", "casa@example.com"), True),
        # an agency's address on a booking without a name, or without half of one
        (("Olga", "Petrova", "bookings@agency.example"), ("", "", "bookings@agency.example"), True),
        (("Olga", "Petrova", "bookings@agency.example"), ("TBA", "TBA", "bookings@agency.example"), True),
        (("Olga", "Petrova", "bookings@agency.example"), ("", "Petrova", "bookings@agency.example"), True),
        (("Olga", "Petrova", "bookings@agency.example"), ("John", "Smith", "bookings@agency.example"), False),
        # married, misspelt, turned round
        (("Anna", "Berger", "anna@example.com"), ("Anna", "Huber", "anna@example.com"), True),
        (("Stefan", "Schneider", "s@example.com"), ("Stefan", "Schnieder", "s@example.com"), True),
        (("Anna", "Berger", "anna@example.com"), ("Berger", "Anna", "anna@example.com"), True),
        # father and son of one name at one landline
        (("Juan", "Garcia", "juan@example.com", "+43 1 5550123"), ("Juan", "Garcia", "junior@example.org", "+43 1 5550123"), True),
        # one name and nothing else
        (("John", "Smith", "john@example.com"), ("John", "Smith", "other@example.org"), False),
        (("John", "Smith"), ("John", "Smith"), False),
        (("", "", "", ""), ("", "", "", ""), False),
        # one name, and the address has changed or is misspelt
        (("Anna", "Berger", "anna.berger@old.example"), ("Anna", "Berger", "anna.berger@new.example"), True),
    ],
)
def test_two_people_are_never_made_one(crm, pms, one, other, is_asked) -> None:
    assert meet(crm, pms, guest("003", *one), guest("G1", *other)) == (2, int(is_asked))


def test_a_couple_at_one_vendor_is_two_and_each_finds_itself(crm, pms) -> None:
    anna, bernd = guest("G1", "Anna", "Berger", "berger@example.com"), guest("G2", "Bernd", "Berger", "berger@example.com")
    assert meet(crm, pms, guest("003", "Anna", "Berger", "berger@example.com"), anna, bernd)[0] == 2
    assert ExternalReference.objects.get(external_id="G1").object_id == ExternalReference.objects.get(external_id="003").object_id


def test_an_address_of_many_is_nobodys(crm, pms) -> None:
    many = [guest(f"00{n}", f"Name{n}", f"Family{n}", "bookings@agency.example") for n in range(6)]
    Feed(crm).run(many, stream="guest_data")
    Feed(pms).run([guest("G1", "", "", "bookings@agency.example")], stream="guests")
    assert (Guest.objects.count(), GuestQuestion.objects.count()) == (7, 0)
    Feed(pms).run([guest("G1"), guest("G2", "Name3", "Family3", "bookings@agency.example")], stream="guests")
    assert (Guest.objects.count(), GuestQuestion.objects.count()) == (8, 1), "who has the whole name too is put to a person"


def test_two_of_one_vendor_who_may_be_the_one_are_a_question(crm, pms) -> None:
    twins = [guest(f"G{n}", "Eva", "Ortner", "eva@example.com") for n in (1, 2)]
    assert meet(crm, pms, guest("003", "Eva", "Ortner", "eva@example.com"), *twins) == (3, 2)


def test_a_guest_who_was_edited_is_found_by_what_is_true_now(crm, pms) -> None:
    Feed(crm).run([guest("003", "Eva", "Ortner", "old@example.com")], stream="guest_data")
    Feed(pms).run([], stream="guests")
    eva = Guest.objects.get()
    eva.email = "new@example.com"
    eva.save()
    Feed(pms).run([guest("G1", "Eva", "Ortner", "new@example.com")], stream="guests")
    assert Guest.objects.count() == 1


def test_another_hotels_guests_are_not_looked_at(crm, pms, other_hotel) -> None:
    elsewhere = Integration.objects.create(hotel=other_hotel, integration_type="pms", provider="opera_cloud", provider_name="PMS")
    Feed(elsewhere).run([guest("G9", "Eva", "Ortner", "eva@example.com")], stream="guests")
    Feed(pms).run([guest("G1", "Eva", "Ortner", "eva@example.com")], stream="guests")
    assert Guest.objects.count() == 2


# --- a person decides ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def question(crm: Integration, pms: Integration) -> GuestQuestion:
    meet(
        crm,
        pms,
        guest("003", "Anna", "Berger", "berger@example.com"),
        guest("G1", "Bernd", "Berger", "berger@example.com", "+43 1 5550123"),
    )
    Feed(pms).run([records.Reservation(external_id="R1", guest_external_id="G1")], stream="reservations")
    Feed(crm).run([records.ChatMessage(external_id="M1", guest_external_id="003", message="Towels?")], stream="chat_messages")
    bernd = Guest.objects.get(given_name="Bernd")
    GuestCheck.objects.create(hotel=bernd.hotel, guest=bernd, subtotal=1, total=1, currency="EUR")
    return GuestQuestion.objects.get()


def address(hotel: Hotel, question: GuestQuestion | None = None) -> str:
    return f"/api/hotels/{hotel.pk}/guest-questions" + (f"/{question.pk}" if question else "")


def test_the_same_joins_them_and_a_split_takes_that_back(question) -> None:
    anna = decide(question, Verdict.SAME)
    assert (anna.given_name, anna.phone) == ("Anna", "+43 1 5550123")
    assert {Reservation.objects.get().guest, ChatMessage.objects.get().guest, GuestCheck.objects.get().guest} == {anna}
    assert set(ExternalReference.objects.filter(object_id=anna.pk, record_type="guest").values_list("external_id", flat=True)) == {
        "003",
        "G1",
    }
    assert [other.merged_into for other in Guest.objects.exclude(pk=anna.pk)] == [anna]
    bernd = split_guest(ExternalReference.objects.get(external_id="G1", record_type="guest"))
    anna.refresh_from_db()
    assert (bernd.given_name, anna.phone, Reservation.objects.get().guest) == ("Bernd", "", bernd)


def test_two_people_is_remembered(question, crm, pms) -> None:
    decide(question, Verdict.DIFFERENT)
    Feed(pms).run([guest("G1", "Bernd", "Berger", "berger@example.com", "2")], stream="guests")
    assert (Guest.live.count(), GuestQuestion.objects.get().verdict) == (2, "different")


def test_a_second_answer_is_one_and_what_was_joined_is_not_decided_anew(question) -> None:
    decide(question, Verdict.LATER)
    decide(question, Verdict.SAME)
    assert decide(question, Verdict.SAME) == question.guest
    with pytest.raises(InvalidInput, match="Split"):
        decide(question, Verdict.DIFFERENT)


def test_a_question_ends_when_one_system_tells_them_apart(question, viewer: APIClient, hotel, crm, pms) -> None:
    assert len(viewer.get(address(hotel)).json()["results"]) == 1
    Feed(pms).run(
        [guest("G1", "Bernd", "Berger", "berger@example.com"), guest("G2", "Anna", "Berger", "berger@example.com")], stream="guests"
    )
    assert viewer.get(address(hotel)).json()["results"] == []
    assert Guest.live.count() == 2


def test_the_api_lists_answers_and_keeps_to_roles_and_hotels(question, caller, viewer, operator, hotel, other_hotel) -> None:
    [told] = viewer.get(address(hotel), {"verdict": "open", "guest_id": question.other_id}).json()["results"]
    assert (told["guest"]["given_name"], told["other"]["given_name"], told["verdict"]) == ("Anna", "Bernd", "open")
    assert told["reasons"] == ["same e-mail", "The names differ."]
    assert viewer.post(address(hotel, question), {"verdict": "same"}).status_code == 403
    stranger = caller(Role.MANAGER, other_hotel)
    assert stranger.get(address(other_hotel, question)).status_code == 404
    assert stranger.post(address(hotel, question), {"verdict": "same"}).status_code == 404
    wrong = operator.post(address(hotel, question), {"verdict": "maybe"})
    assert (wrong.status_code, wrong.json()["errors"][0]["attr"]) == (400, "verdict")
    assert operator.post(address(hotel, question), {"verdict": "same"}).json()["verdict"] == "same"
    retired = operator.get(f"/api/hotels/{hotel.pk}/guests/{question.other_id}").json()
    assert retired["merged_into_id"] == question.guest_id


def test_the_console_shows_both_and_takes_the_answer(question, client, caller, hotel) -> None:
    user = caller(Role.OPERATOR, hotel).user
    user.is_staff = True
    user.save()
    client.force_login(user)
    listed = client.get("/admin/hotels/guestquestion/").content.decode()
    assert "Anna Berger · Bernd Berger" in listed
    page = client.get(f"/admin/hotels/guestquestion/{question.pk}/change/").content.decode()
    assert "b…@example.com" in page
    assert "berger@example.com" not in page
    answer = client.post(f"/admin/hotels/guestquestion/{question.pk}/decide/", {"verdict": "different"}, follow=True)
    assert "Nobody is asked again" in answer.content.decode()
    question.refresh_from_db()
    assert (question.verdict, question.decided_by) == ("different", user)


# --- keys ----------------------------------------------------------------------------------------------------------------------

NAMES = st.text(alphabet=st.characters(whitelist_categories=("Lu", "Ll"), max_codepoint=0x24F), min_size=1, max_size=12)


@given(NAMES)
def test_a_name_folds_alike_in_any_case_and_normal_form(name: str) -> None:
    for form in ("NFC", "NFD"):
        for spelt in (name.lower(), name.casefold()):
            assert fold(unicodedata.normalize(form, spelt)) == fold(name)


@given(st.text(max_size=60), st.text(max_size=60))
def test_keys_of_any_text_are_plain(one: str, other: str) -> None:
    for key in (name_key(one, other), email_key(one), phone_key(one, "AT"), phone_key(one, "")):
        assert key == key.strip()
        assert "\x00" not in fold(one)


@pytest.mark.parametrize("nobody", ["", " ", "-", "N/A", "TBA", "Unknown", "N.N.", "xxx", "?"])
def test_a_placeholder_is_no_name(nobody: str) -> None:
    assert name_key(nobody, "Berger") == name_key("Anna", nobody) == ""


def test_an_address_of_many_families_joins_nobody_by_itself(crm, pms) -> None:
    desk = [guest(f"00{n}", "Anna", family, "desk@agency.example") for n, family in enumerate(("Berger", "Huber", "Silva", "Smith"))]
    Feed(crm).run(desk, stream="guest_data")
    Feed(pms).run([guest("G1", "Anna", "Berger", "desk@agency.example")], stream="guests")
    assert (Guest.live.count(), GuestQuestion.objects.get().reasons) == (
        5,
        ["same name and e-mail", "The e-mail is shared by guests of many names."],
    )


def test_a_large_family_of_one_address_is_joined_one_by_one(crm, pms) -> None:
    family = [
        guest(f"00{n}", given, "Berger", "home@berger.example") for n, given in enumerate(("Anna", "Bernd", "Clara", "David", "Emil"))
    ]
    Feed(crm).run(family, stream="guest_data")
    Feed(pms).run([guest(f"G{one.external_id}", one.given_name, "Berger", one.email) for one in family], stream="guests")
    assert (Guest.live.count(), GuestQuestion.objects.count()) == (5, 0)


def test_guests_without_keys_are_keyed_before_the_transaction_of_a_page(crm, monkeypatch) -> None:
    monkeypatch.setattr(guests, "_KEYED_AT_ONCE", 10)
    Guest.objects.bulk_create(Guest(hotel=crm.hotel, given_name="Eva", family_name=f"Ortner {n}") for n in range(35))
    in_one_transaction: list[int] = []
    usual = Guest.objects.bulk_update
    monkeypatch.setattr(
        type(Guest.objects), "bulk_update", lambda self, rows, *more, **kw: in_one_transaction.append(len(rows)) or usual(rows, *more, **kw)
    )
    within: list[int] = []
    with_keys = matching.with_keys
    monkeypatch.setattr(
        matching, "with_keys", lambda hotel: (in_one_transaction.clear(), with_keys(hotel), within.append(sum(in_one_transaction)))[1]
    )
    Feed(crm).run([guest("001", "Eva", "Ortner 3", "eva@example.com")], stream="guest_data")
    assert (within, Guest.objects.filter(keyed_at=None).count()) == ([0], 1)


def booked(pms: Integration, *companions: str) -> Reservation:
    everybody = [guest(number, name, "Berger") for number, name in (("G1", "Anna"), ("G2", "Bernd"), ("G3", "Clara"))]
    stay = records.Reservation(external_id="R1", status="in_house", guest_external_id="G1", companion_external_ids=companions)
    Feed(pms).run([*everybody, stay], stream="reservations")
    return Reservation.objects.get()


def test_everybody_of_a_booking_is_kept(pms) -> None:
    stay = booked(pms, "G2", "G3", "G9")
    assert [str(one) for one in stay.companions.order_by("id")] == ["Bernd Berger", "Clara Berger"]
    Feed(pms).run([guest("G9", "Zoë", "Berger")], stream="guests")
    assert stay.companions.count() == 3, "who comes later is waited for"
    booked(pms, "G3")
    assert [str(one) for one in stay.companions.all()] == ["Clara Berger"]


def test_who_came_along_does_so_after_being_joined_and_after_being_split(pms, crm) -> None:
    stay = booked(pms, "G2", "G3")
    Feed(crm).run([guest("003", "Bernd", "Bergr", "b@example.com")], stream="guest_data")
    known = {one.external_id: one for one in ExternalReference.objects.filter(record_type="guest")}
    bernd, other = Guest.objects.get(pk=known["G2"].object_id), Guest.objects.get(pk=known["003"].object_id)
    question = GuestQuestion.objects.create(hotel=pms.hotel, guest=bernd, other=other)
    assert decide(question, Verdict.SAME) == bernd
    assert set(stay.companions.values_list("id", flat=True)) == {bernd.pk, known["G3"].object_id}
    known["G2"].refresh_from_db()
    new = split_guest(known["G2"])
    assert set(stay.companions.values_list("id", flat=True)) == {new.pk, known["G3"].object_id}


def test_two_of_one_booking_who_are_joined_come_along_once(pms, crm) -> None:
    stay = booked(pms, "G2", "G3")
    two, three = (Guest.objects.get(given_name=name) for name in ("Bernd", "Clara"))
    decide(GuestQuestion.objects.create(hotel=pms.hotel, guest=two, other=three), Verdict.SAME)
    assert list(stay.companions.all()) == [two]
