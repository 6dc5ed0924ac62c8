"""Differences in the console: conflicts side by side, guests edited and split, rejected records read again, deletions confirmed."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hotels.models import Guest, GuestQuestion, Hotel, MenuCategory, MenuItem, Reservation, Role, Verdict
from integrations import records
from integrations.exceptions import ProviderUnavailable
from integrations.models import Conflict, ExternalReference, Integration, Operation, RejectedRecord, RunMode, RunStatus, SyncRun
from integrations.services.guests import decide
from integrations.tests.conftest import Connect
from integrations.tests.console import sign_in
from integrations.tests.feed import Feed
from integrations.tests.stub import StubProvider
from integrations.tests.test_console_acts import of, said


@pytest.fixture
def operator(hotel: Hotel) -> Client:
    return sign_in(Role.OPERATOR, hotel)


@pytest.fixture
def viewer(hotel: Hotel) -> Client:
    return sign_in(Role.VIEWER, hotel)


@pytest.fixture
def pms(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "pms", provider_name="Front desk")


@pytest.fixture
def crm(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "guest_management", provider_name="Guest book")


def guest_page(guest: Guest, name: str = "change") -> str:
    return reverse(f"admin:hotels_guest_{name}", args=[guest.pk])


def text_of(answer: Any) -> str:
    """Return what a page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


# --- conflicts -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def conflict(pms: Integration) -> Conflict:
    Feed(pms).run([records.Reservation(external_id="R1", room_type="Single")], stream="reservations")
    Reservation.objects.update(room_type="Double")
    Feed(pms).run([records.Reservation(external_id="R1", room_type="Suite")], stream="reservations")
    return Conflict.objects.get()


@pytest.fixture
def private(pms: Integration) -> Conflict:
    """A conflict about a guest's phone number."""
    Feed(pms).run([records.Guest(external_id="G1", family_name="Ortner", phone="+43 1 5550001")], stream="guests")
    Guest.objects.update(phone="+43 1 5550002")
    Feed(pms).run([records.Guest(external_id="G1", family_name="Ortner", phone="+43 1 5550003")], stream="guests")
    return Conflict.objects.get()


class TestConflicts:
    def test_all_sides_are_shown_with_who_won_and_why(self, viewer: Client, conflict: Conflict) -> None:
        page = text_of(viewer.get(of("conflict_change", conflict)))
        assert "Before Single Front desk Kept Suite Hotel Double The hotel has now: Suite" in page
        assert "The value of Front desk was kept: the rule for this field is that the vendor wins." in page
        assert "Use the other value" not in page

    def test_the_other_value_is_used_and_that_is_written_down(self, operator: Client, conflict: Conflict) -> None:
        assert "Use the other value" in text_of(operator.get(of("conflict_change", conflict)))
        answer = operator.post(of("conflict_apply", conflict), follow=True)
        page = text_of(answer)
        assert "The other value counts now." in said(answer)
        assert "The hotel has now: Double" in page
        assert "Use the other value" not in page
        assert "Decided for the other value." in text_of(operator.get(of("conflict_history", conflict)))

    def test_what_can_no_longer_be_decided_says_why(self, operator: Client, conflict: Conflict) -> None:
        Conflict.objects.create(
            integration=conflict.integration,
            record_type="reservation",
            external_id="R1",
            object_id=1,
            field="room_type",
            rule="vendor_wins",
        )
        assert "newest conflict" in said(operator.post(of("conflict_apply", conflict), follow=True))
        assert Conflict.objects.filter(applied_at=None).count() == 2

    def test_it_can_only_be_decided_by_who_may_and_not_by_looking(self, viewer: Client, operator: Client, conflict: Conflict) -> None:
        assert viewer.post(of("conflict_apply", conflict)).status_code == 403
        assert operator.get(of("conflict_apply", conflict)).status_code == 405
        assert Conflict.objects.get().applied_at is None

    def test_personal_data_is_hidden_until_the_guest_is_shown(self, operator: Client, private: Conflict, pms: Integration) -> None:
        pages = (
            of("conflict_change", private), reverse("admin:integrations_conflict_changelist"), of("integration_change", pms),
            of("syncrun_change", SyncRun.objects.first()),
        )  # fmt: skip
        for page in pages:
            assert "555000" not in operator.get(page).content.decode(), page
        assert "Personal data is hidden" in text_of(operator.get(pages[0]))
        operator.post(guest_page(Guest.objects.get(), "reveal"))
        page = text_of(operator.get(pages[0]))
        assert all(f"+43 1 555000{number}" in page for number in (1, 2, 3))

    def test_a_guests_other_value_goes_out(
        self, operator: Client, private: Conflict, stub: type[StubProvider], django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            operator.post(of("conflict_apply", private))
        assert [payload["changes"] for _, payload in stub.calls] == [{"phone": "+43 1 5550002"}]

    def test_relations_choices_and_deletions_are_told_in_words(self, operator: Client, pms: Integration, hotel: Hotel) -> None:
        item = MenuItem.objects.create(hotel=hotel, name="Omelette")
        category = MenuCategory.objects.create(hotel=hotel, name="Brunch")
        about = {"integration": pms, "rule": "hotel_wins", "winner": "hotel"}
        dish = {**about, "record_type": "menu_item", "external_id": "I1", "object_id": item.pk}
        shown = [
            (Conflict(**dish, field="category", vendor_value=category.pk), "Front desk Brunch"),
            (Conflict(**dish, field="is_available", vendor_value=False, hotel_value=True), "Front desk No Hotel Kept Yes"),
            (
                Conflict(**dish, field="deleted", base_value=False, vendor_value=True, hotel_value=False),
                "Front desk Deleted Hotel Kept Kept",
            ),
            (
                Conflict(**about, record_type="reservation", external_id="R1", object_id=0, field="status", vendor_value="in_house"),
                "Front desk In house Hotel Kept Nothing",
            ),
        ]
        for conflict, words in shown:
            conflict.save()
            assert words in text_of(operator.get(of("conflict_change", conflict)))

    def test_a_record_the_hotel_no_longer_has_is_said_so(self, operator: Client, conflict: Conflict) -> None:
        ExternalReference.objects.all().delete()
        Conflict.objects.update(object_id=10**9)
        page = text_of(operator.get(of("conflict_change", conflict)))
        assert "does not have this record any more" in page
        assert "Use the other value" not in page


# --- guests --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def joined(pms: Integration, crm: Integration) -> Guest:
    Feed(pms).run(
        [records.Guest(external_id="G1", given_name="Ana", family_name="Smith", email="s@example.com", phone="1")], stream="guests"
    )
    Feed(crm).run([records.Guest(external_id="003", given_name="Max", family_name="Smith", email="s@example.com")], stream="guest_data")
    return decide(GuestQuestion.objects.get(), Verdict.SAME)


def form_of(guest: Guest, shown: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the form as a browser sends it: what it showed, and what the person made of it."""
    before = {name: getattr(guest, name) for name in ("given_name", "family_name", "email", "phone", "language")} | (shown or {})
    return {**{f"initial-{name}": value for name, value in before.items()}, **before, **changes}


class TestGuests:
    def test_the_page_says_why_two_were_taken_for_one(self, viewer: Client, joined: Guest) -> None:
        page = text_of(viewer.get(guest_page(joined)))
        assert "Front desk G1 Brought this guest." in page
        assert "Guest book 003 Joined by hand." in page
        assert "Split …" not in page

    def test_they_are_split_after_asking_and_that_is_written_down(self, operator: Client, joined: Guest) -> None:
        ExternalReference.objects.filter(external_id="003").update(id=12345)  # an id that a page might write as 12,345
        split = guest_page(joined, "split")
        (link,) = re.findall(rf'{split}\?reference=[^"]*5"', operator.get(guest_page(joined)).content.decode())
        asked = operator.get(link.rstrip('"'))
        assert "Make 003 of Guest book a guest of its own?" in text_of(asked)
        assert Guest.live.count() == 1
        (reference,) = re.findall(r'name="reference" value="([^"]*)"', asked.content.decode())
        answer = operator.post(split, {"reference": reference}, follow=True)
        other = Guest.live.get(given_name="Max")
        assert answer.redirect_chain[-1][0] == guest_page(other)
        assert "Split by hand; no sync joins it again." in text_of(answer)
        assert "Split off 003 of Guest book." in text_of(operator.get(guest_page(joined, "history")))

    @pytest.mark.parametrize("asked", ["", "x", "0", "9" * 30])
    def test_a_name_the_guest_does_not_have_is_refused(self, operator: Client, joined: Guest, asked: str) -> None:
        for method in (operator.get, operator.post):
            assert "None of the hotel" in said(method(guest_page(joined, "split"), {"reference": asked}, follow=True))
        assert Guest.live.count() == 1

    def test_a_viewer_splits_nothing(self, viewer: Client, joined: Guest) -> None:
        reference = ExternalReference.objects.get(external_id="003")
        assert viewer.post(guest_page(joined, "split"), {"reference": reference.pk}).status_code == 403
        assert Guest.live.count() == 1

    def test_an_edit_goes_out_to_the_systems(
        self, operator: Client, joined: Guest, stub: type[StubProvider], django_capture_on_commit_callbacks: Any
    ) -> None:
        operator.post(guest_page(joined, "reveal"))
        with django_capture_on_commit_callbacks(execute=True):
            answer = operator.post(guest_page(joined), form_of(joined, phone="2", is_vip="on"), follow=True)
        assert "The change goes out to Front desk, Guest book as well" in said(answer)
        joined.refresh_from_db()
        assert (joined.phone, joined.is_vip) == ("2", True)
        assert [payload["changes"] for _, payload in stub.calls] == [{"phone": "2"}] * 2
        assert {operation.requested_by for operation in Operation.objects.all()} == {operator.user}

    def test_a_form_opened_before_a_sync_does_not_undo_what_the_sync_brought(self, operator: Client, joined: Guest) -> None:
        operator.post(guest_page(joined, "reveal"))
        Guest.objects.update(email="new@example.com")
        operator.post(guest_page(joined), form_of(joined, phone="2"))
        joined.refresh_from_db()
        assert (joined.phone, joined.email) == ("2", "new@example.com")

    def test_saving_without_a_change_tells_nobody(self, operator: Client, joined: Guest) -> None:
        operator.post(guest_page(joined, "reveal"))
        assert operator.post(guest_page(joined), form_of(joined)).status_code == 302
        assert not Operation.objects.exists()

    def test_what_cannot_be_sent_stands_beside_its_field(self, operator: Client, joined: Guest) -> None:
        operator.post(guest_page(joined, "reveal"))
        answer = operator.post(guest_page(joined), form_of(joined, email="no address"))
        assert "email" in answer.context["adminform"].form.errors
        assert not Operation.objects.exists()

    def test_an_emptied_field_is_emptied(self, operator: Client, joined: Guest) -> None:
        operator.post(guest_page(joined, "reveal"))
        operator.post(guest_page(joined), form_of(joined, email=""))
        joined.refresh_from_db()
        assert joined.email == ""


def test_a_dish_keeps_what_a_sync_brought_while_its_form_was_open(hotel: Hotel) -> None:
    item = MenuItem.objects.create(hotel=hotel, name="Omelette", description="With ham", position=1)
    shown = {"name": "Omelette", "description": "With ham", "category": "", "position": "1", "is_available": "on"}
    MenuItem.objects.update(description="With cheese", position=2)
    lines = {"variations-TOTAL_FORMS": 0, "variations-INITIAL_FORMS": 0}
    sign_in(Role.MANAGER, hotel).post(
        reverse("admin:hotels_menuitem_change", args=[item.pk]),
        {**{f"initial-{name}": value for name, value in shown.items()}, **shown, "name": "Omelette of the day", **lines},
    )
    item.refresh_from_db()
    assert (item.name, item.description, item.position) == ("Omelette of the day", "With cheese", 2)


# --- rejected records ----------------------------------------------------------------------------------------------------------

RETRY = "admin:integrations_rejectedrecord_retry_matching"


@pytest.fixture
def rejected(pms: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch) -> list[RejectedRecord]:
    """Two guests that were refused; the vendor has corrected the first."""
    Feed(pms).run([records.Guest(external_id=f"G{number}", phone="x" * 99) for number in (1, 2)], stream="guests")

    def guests(self: StubProvider, query: records.StreamQuery) -> Any:
        corrected = [records.Guest(external_id="G1", family_name="Ortner"), records.Guest(external_id="G2", phone="x" * 99)]
        yield records.Page(records=[guest for guest in corrected if guest.external_id in query.external_ids])

    monkeypatch.setattr(stub, "guests", guests)
    streams = tuple(stream.model_copy(update={"by_id": True}) for stream in stub.manifest.streams)
    monkeypatch.setattr(stub, "manifest", stub.manifest.model_copy(update={"streams": streams}))
    return list(RejectedRecord.objects.order_by("external_id"))


class TestRejectedRecords:
    def test_one_is_read_again_after_asking(self, operator: Client, rejected: list[RejectedRecord]) -> None:
        address = of("rejectedrecord_retry", rejected[0])
        assert address in operator.get(of("rejectedrecord_change", rejected[0])).content.decode()
        assert "Read 1 rejected record again?" in text_of(operator.get(address))
        assert Guest.objects.count() == 0
        assert "Front desk: 1 taken." in said(operator.post(address, follow=True))
        assert Guest.objects.get().family_name == "Ortner"

    def test_those_that_are_ticked(self, operator: Client, rejected: list[RejectedRecord]) -> None:
        listed = reverse("admin:integrations_rejectedrecord_changelist")
        ticked = {"action": "retry_selected", "_selected_action": [record.pk for record in rejected]}
        asked = operator.post(listed, ticked, follow=True)
        assert "Read 2 rejected records again? 2 of Front desk." in text_of(asked)
        answer = operator.post(asked.redirect_chain[-1][0], follow=True)
        assert "Front desk: 1 taken; 1 not: the reason stands beside each." in said(answer)
        assert RejectedRecord.objects.get(resolved_at=None).external_id == "G2"

    def test_those_the_filters_show(self, operator: Client, rejected: list[RejectedRecord], crm: Integration) -> None:
        Feed(crm).run([records.Guest(external_id="003", phone="x" * 99)], stream="guest_data")
        address = f"{reverse(RETRY)}?integration={crm.pk}"
        assert "Read 1 rejected record again? 1 of Guest book." in text_of(operator.get(address))
        everything = {"action": "retry_selected", "_selected_action": [rejected[0].pk], "select_across": "1"}
        listed = reverse("admin:integrations_rejectedrecord_changelist")
        assert "Read 3 rejected records again?" in text_of(operator.post(listed, everything, follow=True))

    def test_a_viewer_reads_the_reasons_and_tries_nothing(
        self, viewer: Client, rejected: list[RejectedRecord], stub: type[StubProvider]
    ) -> None:
        assert "Try again" not in text_of(viewer.get(of("rejectedrecord_change", rejected[0])))
        assert "Try all" not in text_of(viewer.get(reverse("admin:integrations_rejectedrecord_changelist")))
        for address in (of("rejectedrecord_retry", rejected[0]), reverse(RETRY)):
            assert "There is nothing to try again" in text_of(viewer.get(address))
            viewer.post(address)
        assert Guest.objects.count() == 0

    def test_another_hotels_are_neither_counted_nor_read(
        self, operator: Client, rejected: list[RejectedRecord], connect: Connect, other_hotel: Hotel
    ) -> None:
        foreign = connect(other_hotel, "pms", provider_name="Foreign desk")
        Feed(foreign).run([records.Guest(external_id="G9", phone="x" * 99)], stream="guests")
        theirs = RejectedRecord.objects.get(integration=foreign)
        page = text_of(operator.get(reverse(RETRY), {"ids": f"{rejected[0].pk},{theirs.pk}"}))
        assert "Read 1 rejected record again?" in page
        assert "Foreign" not in page

    def test_a_vendor_that_is_away_and_a_paused_one_say_so(
        self, operator: Client, rejected: list[RejectedRecord], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(self: StubProvider, query: records.StreamQuery) -> Any:
            raise ProviderUnavailable()
            yield

        monkeypatch.setattr(stub, "guests", away)
        assert "0 taken; 2 not" in said(operator.post(reverse(RETRY), follow=True))
        Integration.objects.update(status="inactive")
        assert "Set its status to active" in said(operator.post(reverse(RETRY), follow=True))

    @pytest.mark.parametrize("ids", [",", "x,1e5", "9" * 40])
    def test_what_is_no_id_is_nothing(self, operator: Client, rejected: list[RejectedRecord], ids: str) -> None:
        assert "There is nothing to try again" in text_of(operator.get(reverse(RETRY), {"ids": ids}))


# --- deletions -----------------------------------------------------------------------------------------------------------------


class TestDeletions:
    @pytest.fixture
    def held_back(self, pms: Integration) -> SyncRun:
        Feed(pms).run([records.Room(external_id=str(number), number=str(number)) for number in range(40)], stream="rooms")
        return Feed(pms).run([records.Room(external_id="0", number="0")], stream="rooms")

    def test_they_are_confirmed_on_the_runs_page_with_their_number(self, operator: Client, held_back: SyncRun, pms: Integration) -> None:
        page = operator.get(of("syncrun_change", held_back))
        assert "39 of 40 room records are gone at the vendor. If you confirm" in text_of(page)
        form = re.search(r"<form[^>]*>(?:(?!</form>).)*Confirm deletions", page.content.decode(), re.DOTALL)[0]
        fields = dict(re.findall(r'name="(\w+)" value="(\w+)"', form.replace("csrfmiddlewaretoken", "csrf-token")))
        operator.post(of("integration_sync", pms), fields)
        newer = SyncRun.objects.first()
        assert (newer.stream, newer.mode, newer.confirm_deletions) == ("rooms", RunMode.FULL, True)

    def test_a_viewer_confirms_nothing(self, viewer: Client, held_back: SyncRun) -> None:
        assert "Confirm deletions" not in text_of(viewer.get(of("syncrun_change", held_back)))

    def test_what_was_settled_since_is_not_asked_again(self, operator: Client, held_back: SyncRun, pms: Integration) -> None:
        Feed(pms).run([records.Room(external_id="0", number="0")], stream="rooms", confirm_deletions=True)
        assert "Confirm deletions" not in text_of(operator.get(of("syncrun_change", held_back)))

    def test_a_sync_that_works_already_asks_to_confirm_again(self, operator: Client, held_back: SyncRun, pms: Integration) -> None:
        SyncRun.objects.create(
            integration=pms, stream="rooms", mode=RunMode.INCREMENTAL, status=RunStatus.RUNNING, lease_until=timezone.now()
        )
        body = {"stream": "rooms", "full": "1", "confirm_deletions": "1"}
        assert "Confirm them again when it has ended" in said(operator.post(of("integration_sync", pms), body, follow=True))


def test_a_run_whose_rejected_records_were_settled_says_so(operator: Client, pms: Integration) -> None:
    bad, good = records.Guest(external_id="G1", phone="x" * 99), records.Guest(external_id="G1")
    first = Feed(pms).run([bad], stream="guests")
    assert "Correct it at the vendor, then try it again." in text_of(operator.get(of("syncrun_change", first)))
    Feed(pms).run([good], stream="guests")
    assert "A later sync took it, or refused it again." in text_of(operator.get(of("syncrun_change", first)))
