"""Pulling, where it is easy to be wrong: late news, half-known relations, edits in between, interrupted comparisons, records no table takes."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from hotels.models import Guest, GuestCheck, Hotel, MenuCategory, MenuItem, MenuVariation, Room
from integrations import records
from integrations.exceptions import CursorExpired, ProviderUnavailable
from integrations.models import (
    Conflict,
    ExternalReference,
    Integration,
    Operation,
    PendingLink,
    RejectedRecord,
    RunMode,
    RunStatus,
    SyncRun,
    Trigger,
)
from integrations.records import Page, Rejected
from integrations.services import service_for
from integrations.services.guests import edit_guest
from integrations.sync import runner, schedule
from integrations.sync.reconcile import Reconciler, apply_records, hold
from integrations.tests.conftest import Connect
from integrations.tests.feed import Feed
from integrations.tests.stub import StubProvider


@pytest.fixture
def hotel(db: None) -> Hotel:
    return Hotel.objects.create(name="Grand", slug="grand")


@pytest.fixture
def integration(hotel: Hotel) -> Integration:
    return Integration.objects.create(hotel=hotel, integration_type="pos", provider="square", provider_name="Square POS")


@pytest.fixture
def crm(hotel: Hotel) -> Integration:
    return Integration.objects.create(hotel=hotel, integration_type="guest_management", provider="salesforce", provider_name="Salesforce")


@pytest.fixture
def feed(integration: Integration) -> Feed:
    return Feed(integration)


def item(number: int, **changes: Any) -> records.MenuItem:
    variation = records.MenuVariation(external_id=f"V{number}", name="Regular", price=Decimal("14.50"), currency="EUR")
    return records.MenuItem(**{"external_id": f"I{number}", "name": f"Dish {number}", "variations": (variation,)} | changes)


def rules(integration: Integration, **by_key: str) -> None:
    integration.sync_settings = {"conflict_rules": by_key}
    integration.save()


class TestLateNews:
    def test_a_late_change_does_not_bring_back_what_was_deleted_since(self, feed: Feed) -> None:
        feed.run([item(1, version=4)])
        feed.run([records.MenuItem(external_id="I1", deleted=True, version=6)], mode=RunMode.INCREMENTAL)
        feed.run([item(1, version=5, name="Late")], mode=RunMode.INCREMENTAL)
        assert not MenuItem.live.exists()
        feed.run([item(1, version=7, name="Back")], mode=RunMode.INCREMENTAL)
        assert MenuItem.live.get().name == "Back"

    def test_a_page_that_names_a_record_twice_takes_the_newer_one(self, feed: Feed) -> None:
        feed.run([item(1, version=5, name="New"), item(1, version=4, name="Old")])
        assert MenuItem.objects.get().name == "New"

    def test_a_record_without_a_version_does_not_open_the_door_to_older_ones(self, feed: Feed) -> None:
        now = timezone.now()
        feed.run([item(1, version=5, updated_at=now)])
        for name in ("Told without a version", "Told without a version"):
            feed.run([item(1, name=name)], mode=RunMode.BACKFILL)
        feed.run([item(1, name="Late", version=4)], mode=RunMode.BACKFILL)
        feed.run([item(1, name="Late", updated_at=now - timedelta(hours=1))], mode=RunMode.BACKFILL)
        assert MenuItem.objects.get().name == "Told without a version"


class TestRelations:
    def test_a_record_that_comes_late_does_not_undo_the_hotels_choice(self, feed: Feed, integration: Integration) -> None:
        feed.run([item(1, category_external_id="C1"), records.MenuCategory(external_id="C1", name="Breakfast")])
        chosen = MenuCategory.objects.create(hotel=integration.hotel, name="Chosen by the hotel")
        MenuItem.objects.update(category=chosen)
        rules(integration, menu_item="hotel_wins")
        feed.run([item(1, category_external_id="C2")], mode=RunMode.INCREMENTAL)
        feed.run([records.MenuCategory(external_id="C2", name="Brunch")], stream="categories", mode=RunMode.INCREMENTAL)
        assert MenuItem.objects.get().category == chosen
        assert Conflict.objects.get().winner == "hotel"
        assert not PendingLink.objects.exists()

    def test_a_vendors_choice_that_comes_late_is_taken_where_the_vendor_wins(self, feed: Feed, integration: Integration) -> None:
        feed.run([item(1, category_external_id="C1"), records.MenuCategory(external_id="C1", name="Breakfast")])
        MenuItem.objects.update(category=MenuCategory.objects.create(hotel=integration.hotel, name="Chosen by the hotel"))
        feed.run([item(1, category_external_id="C2")], mode=RunMode.INCREMENTAL)
        feed.run([records.MenuCategory(external_id="C2", name="Brunch")], stream="categories", mode=RunMode.INCREMENTAL)
        assert MenuItem.objects.get().category.name == "Brunch"

    def test_a_part_that_moves_to_another_item_moves_here_too(self, feed: Feed) -> None:
        large = records.MenuVariation(external_id="L", name="Large", price=Decimal("19"), currency="EUR")
        one, two = item(1), item(2)
        feed.run([item(1, variations=(*one.variations, large)), two])
        feed.run([one, item(2, variations=(*two.variations, large))])
        moved = MenuVariation.objects.get(name="Large")
        assert (moved.item.name, moved.archived_at) == ("Dish 2", None)

    def test_links_to_what_later_pages_bring_are_made_then(self, feed: Feed) -> None:
        taxes = {number: records.MenuTax(external_id=f"T{number}", name=f"Tax {number}") for number in (1, 2, 3)}
        dish = item(1, tax_external_ids=("T1", "T2", "T3"))

        def linked() -> list[str]:
            return sorted(tax.name for tax in MenuItem.objects.get().taxes.all())

        feed.run(Page(records=[dish, taxes[3]], cursor={"at": 1}))
        assert linked() == ["Tax 3"]
        for number, expected in ((2, ["Tax 2", "Tax 3"]), (1, ["Tax 1", "Tax 2", "Tax 3"])):
            feed.run([taxes[number]], mode=RunMode.INCREMENTAL)
            assert linked() == expected
        assert not PendingLink.objects.exists()


class TestMergingWithTheHotel:
    def test_a_field_the_vendor_never_told_before_is_no_edit_of_the_hotel(self, feed: Feed) -> None:
        feed.run([records.Guest(external_id="G1", family_name="Ortner")], stream="guests")
        reference = ExternalReference.objects.get()
        del reference.snapshot["language"]  # as stored before Hospient knew this field
        reference.save()
        feed.run([records.Guest(external_id="G1", family_name="Ortner", language="de")], stream="guests")
        assert Guest.objects.get().language == "de"
        assert not Conflict.objects.exists()

    def test_newest_wins_is_not_fooled_by_what_the_sync_itself_wrote(self, feed: Feed, integration: Integration) -> None:
        """Staff edited the phone; then the vendor changed the name, which we synced; then the vendor changed the phone."""
        first = {"external_id": "G1", "phone": "1", "family_name": "Ortner"}
        feed.run([records.Guest(**first)], stream="guests")
        rules(integration, guest="newest_wins")
        now = timezone.now()
        Guest.objects.update(phone="2", updated_at=now - timedelta(hours=2))
        feed.run([records.Guest(**first | {"family_name": "Ortner-Huber"}, updated_at=now - timedelta(hours=1))], stream="guests")
        feed.run(
            [records.Guest(**first | {"family_name": "Ortner-Huber", "phone": "3"}, updated_at=now - timedelta(minutes=30))],
            stream="guests",
        )
        assert Guest.objects.get().phone == "3"

    def test_a_guest_that_one_of_two_vendors_deletes_is_no_conflict(self, feed: Feed, crm: Integration) -> None:
        feed.run([records.Guest(external_id="G1", given_name="Ana", family_name="Smith", email="ana@example.com")], stream="guests")
        Feed(crm).run([records.Guest(external_id="003", family_name="Smith", email="ana@example.com")], stream="guest_data")
        Feed(crm).run([records.Guest(external_id="003", deleted=True)], stream="guest_data", mode=RunMode.INCREMENTAL)
        assert Guest.live.exists()
        assert not Conflict.objects.exists()

    def test_what_another_vendor_told_is_no_reason_to_keep_a_guest_both_have_deleted(self, feed: Feed, crm: Integration) -> None:
        guest = records.Guest(external_id="G1", family_name="Smith", email="ana@example.com", phone="1")
        feed.run([guest], stream="guests")
        Feed(crm).run([replace(guest, external_id="003", phone="2")], stream="guest_data")
        for integration in (feed.integration, crm):
            rules(integration, guest="hotel_wins")
        feed.run([records.Guest(external_id="G1", deleted=True)], stream="guests", mode=RunMode.BACKFILL)
        Feed(crm).run([records.Guest(external_id="003", deleted=True)], stream="guest_data", mode=RunMode.BACKFILL)
        assert not Guest.live.exists()
        assert not Conflict.objects.exists()

    def test_a_vendors_repetition_of_what_it_was_told_is_no_change(self, feed: Feed) -> None:
        feed.run([records.Guest(external_id="G1", family_name="Ortner", phone="1")], stream="guests")
        reference = ExternalReference.objects.get()
        reference.snapshot |= {"phone": "2"}
        reference.save()
        Guest.objects.update(phone="2")
        run = feed.run([records.Guest(external_id="G1", family_name="Ortner", phone="2")], stream="guests")
        assert (run.updated_count, run.unchanged_count) == (0, 1)


class TestMatching:
    def test_a_room_is_matched_to_the_one_in_use_before_an_archived_one(self, feed: Feed, hotel: Hotel) -> None:
        live = Room.objects.create(hotel=hotel, number="101")
        Room.objects.create(hotel=hotel, number="101", archived_at=timezone.now())
        feed.run([records.Room(external_id="A", number="101")], stream="rooms")
        assert ExternalReference.objects.get().object_id == live.pk

    def test_rooms_without_a_number_are_not_the_same_room(self, feed: Feed, hotel: Hotel) -> None:
        Room.objects.create(hotel=hotel, number="")
        feed.run([records.Room(external_id="A"), records.Room(external_id="B")], stream="rooms")
        assert Room.objects.count() == 3

    def test_an_email_is_the_same_in_any_case(self, feed: Feed, hotel: Hotel) -> None:
        Guest.objects.create(hotel=hotel, given_name="Ana", family_name="Smith", email="Ana@Example.com")
        feed.run([records.Guest(external_id="G1", given_name="Ana", family_name="Smith", email="ANA@example.COM")], stream="guests")
        assert Guest.objects.count() == 1

    def test_a_phone_is_the_same_however_it_is_spelt(self, feed: Feed, hotel: Hotel) -> None:
        Guest.objects.create(hotel=hotel, given_name="Ana", family_name="Smith", phone="0043 1 234 567")
        feed.run([records.Guest(external_id="G1", given_name="Ana", family_name="Smith", phone="+43 (1) 234567")], stream="guests")
        assert Guest.objects.count() == 1

    def test_two_guests_that_one_vendor_tells_apart_stay_two(self, feed: Feed) -> None:
        """A couple with one address, on two pages."""
        couple = [
            records.Guest(external_id=name, given_name=name, family_name="Smith", email="smith@example.com") for name in ("Ann", "Bob")
        ]
        feed.run(*([guest] for guest in couple), stream="guests")
        assert sorted(Guest.objects.values_list("given_name", flat=True)) == ["Ann", "Bob"]

    def test_of_two_new_guests_with_one_address_neither_is_taken_for_the_third(self, feed: Feed, hotel: Hotel) -> None:
        Guest.objects.create(hotel=hotel, family_name="Smith", email="smith@example.com")
        feed.run(
            [records.Guest(external_id=name, family_name="Smith", email="smith@example.com") for name in ("Ann", "Bob")], stream="guests"
        )
        assert Guest.objects.count() == 3

    def test_a_guest_whose_record_was_replaced_at_the_vendor_is_still_one(self, feed: Feed) -> None:
        told = {"given_name": "Ana", "family_name": "Smith", "email": "smith@example.com"}
        feed.run([records.Guest(external_id="old", **told)], stream="guests")
        feed.run([records.Guest(external_id="old", deleted=True)], stream="guests", mode=RunMode.BACKFILL)
        Guest.objects.update(archived_at=None)
        feed.run([records.Guest(external_id="new", **told)], stream="guests", mode=RunMode.BACKFILL)
        assert Guest.objects.count() == 1


class TestComparing:
    def test_what_came_by_webhook_while_a_listing_was_read_is_not_taken_for_deleted(self, feed: Feed, integration: Integration) -> None:
        feed.run([item(number) for number in range(20)])

        def webhook(run: SyncRun) -> None:
            with transaction.atomic():
                apply_records(integration, [item(99)])

        run = feed.run([item(number) for number in range(20)], on_page=webhook)
        assert (run.deleted_count, MenuItem.live.filter(name="Dish 99").count()) == (0, 1)
        assert feed.run([item(number) for number in range(20)]).deleted_count == 1

    def test_an_empty_listing_deletes_nothing_even_if_a_webhook_came_in_between(self, feed: Feed, integration: Integration) -> None:
        rooms = [records.Room(external_id=str(number), number=str(number)) for number in range(5)]
        feed.run(rooms, stream="rooms")

        def webhook(run: SyncRun) -> None:
            with transaction.atomic():
                apply_records(integration, [records.Room(external_id="0", number="0", housekeeping="dirty")])

        run = feed.run(Page(records=[]), stream="rooms", types=(records.Room,), on_page=webhook)
        assert (run.error_code, Room.live.count()) == ("deletions_need_confirmation", 5)

    def test_a_large_change_does_not_make_a_small_drop_look_large(self, feed: Feed) -> None:
        feed.run([item(number) for number in range(100)])
        run = feed.run([item(number, name="Renamed") for number in range(85)])
        assert (run.status, run.updated_count, run.deleted_count) == (RunStatus.SUCCEEDED, 85, 15)

    def test_an_interrupted_listing_whose_place_the_vendor_forgot_starts_over(self, feed: Feed) -> None:
        feed.run([item(number) for number in range(20)])
        stopping = threading.Event()
        first = feed.run([item(number) for number in range(10)], [], stopping=stopping, on_page=lambda run: stopping.set())
        assert first.status == RunStatus.QUEUED
        # The vendor no longer knows the page; dish 0 is gone meanwhile.
        run = feed.run(CursorExpired(), [item(number) for number in range(1, 20)])
        assert (run.pk, run.status, run.deleted_count) == (first.pk, RunStatus.SUCCEEDED, 1)
        assert MenuItem.live.count() == 19

    def test_a_listing_that_starts_over_counts_what_it_refuses_once(self, feed: Feed) -> None:
        stopping = threading.Event()
        bad = item(1, name="x" * 600)
        feed.run([bad], [], stopping=stopping, on_page=lambda run: stopping.set())
        run = feed.run(CursorExpired(), [bad, item(2)])
        assert (run.rejected_count, RejectedRecord.objects.count()) == (1, 1)

    def test_a_vendor_that_forgets_even_a_fresh_listing_fails_the_run(self, feed: Feed) -> None:
        assert feed.run(CursorExpired()).error_code == "cursor_expired"


class TestEchoes:
    def test_a_check_the_vendor_tells_us_of_before_it_has_answered_is_one_check(
        self, connect: Connect, hotel: Hotel, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pos = connect(hotel)

        def post(self: StubProvider, payload: dict[str, Any], key: str) -> dict[str, Any]:
            apply_records(pos, [records.GuestCheck(external_id="CHK1", status="open")])  # its webhook overtakes its answer
            return {"reference": "CHK1", "status": "open"}

        monkeypatch.setattr(stub, "post_guest_check", post)
        line = {"name": "Omelette", "quantity": 1, "unit_price": 9, "total_price": 9}
        operation = service_for(pos).post_guest_check({"items": [line], "subtotal": 9, "total": 9})
        assert GuestCheck.live.get().pk == operation.object_id
        assert ExternalReference.objects.get().object_id == operation.object_id
        apply_records(pos, [records.GuestCheck(external_id="CHK1", status="closed")])
        assert GuestCheck.live.get().status == "closed"


class TestRejecting:
    @pytest.mark.parametrize(
        ("stream", "bad", "good"),
        [
            ("reservations", records.Reservation(external_id="X", adults=10**12), records.Reservation(external_id="Y")),
            ("reservations", records.Reservation(external_id="X", guest_external_id="g" * 300), records.Reservation(external_id="Y")),
            ("reservations", records.Reservation(external_id="X", guest_external_id="g\x00"), records.Reservation(external_id="Y")),
            ("reservations", records.Reservation(external_id="X", version=2**70), records.Reservation(external_id="Y")),
            ("reservations", records.Reservation(external_id="X\x00"), records.Reservation(external_id="Y")),
            ("guests", records.Guest(external_id="X", preferences={"pillow": "so\x00ft"}), records.Guest(external_id="Y")),
            ("guests", records.Guest(external_id="X", preferences={"pillow": "\ud800"}), records.Guest(external_id="Y")),
            ("feedback", records.Feedback(external_id="X", rating=9), records.Feedback(external_id="Y", rating=5)),
        ],
        ids=["number", "long relation", "NUL in a relation", "version", "NUL in the id", "NUL inside", "half a character inside", "rating"],
    )
    def test_what_no_table_takes_is_rejected_and_the_rest_is_stored(
        self, feed: Feed, stream: str, bad: records.Record, good: records.Record
    ) -> None:
        run = feed.run([bad, good], stream=stream)
        assert (run.status, run.created_count, run.rejected_count) == (RunStatus.PARTIAL, 1, 1)
        assert RejectedRecord.objects.get().reason

    def test_a_backslash_is_no_nul(self, feed: Feed) -> None:
        feed.run([records.Guest(external_id="X", preferences={"pillow": "C:\\u0000"})], stream="guests")
        assert Guest.objects.get().preferences == {"pillow": "C:\\u0000"}

    def test_what_means_something_to_copy_is_stored_as_it_is(self, feed: Feed) -> None:
        names = ["Ortner", "", "a\tb", "a\nb", "a\rb", "C:\\new", "\\N", "\\.", "ä\\t€"]
        guests = [
            records.Guest(external_id=f"{number}\\N", family_name=name, preferences={"said": name}) for number, name in enumerate(names)
        ]
        assert feed.run(guests, stream="guests").created_count == len(names)
        stored = Guest.objects.order_by("pk").values_list("family_name", "preferences")
        assert list(stored) == [(name, {"said": name}) for name in names]
        assert feed.run(guests, stream="guests").unchanged_count == len(names)

    def test_only_the_record_itself_resolves_its_rejection(self, feed: Feed) -> None:
        feed.run(Page(records=[records.Reservation(external_id="1", currency="EURO")], cursor={"at": 1}), stream="mixed")
        feed.run([records.Guest(external_id="1", family_name="Ortner")], stream="mixed", mode=RunMode.INCREMENTAL)
        assert RejectedRecord.objects.get().resolved_at is None

    def test_a_record_that_is_refused_again_waits_once(self, feed: Feed) -> None:
        for _ in range(3):
            run = feed.run([item(1, name="x" * 600)])
        assert RejectedRecord.objects.get().run == run

    def test_what_a_complete_listing_no_longer_has_waits_for_nobody(self, feed: Feed) -> None:
        nameless = Rejected(external_id="", record_type="menu_item", reason="It has no id.")
        feed.run(Page(records=[item(1), item(2, name="x" * 600)], rejected=[nameless], cursor={"at": 1}))
        feed.run([item(1)], mode=RunMode.INCREMENTAL)
        assert RejectedRecord.objects.filter(resolved_at=None).count() == 2
        feed.run([item(1)])
        assert RejectedRecord.objects.filter(resolved_at=None).count() == 0


class TestEnding:
    def test_a_run_that_ended_well_after_trouble_speaks_of_no_trouble(self, feed: Feed) -> None:
        assert feed.run([item(1)], ProviderUnavailable(), keep_trying=True).error_message
        run = feed.run([item(2)])
        assert (run.status, run.error_code, run.error_message, run.hint) == (RunStatus.SUCCEEDED, "", "", "")

    def test_a_paused_integrations_runs_wait_until_it_is_started_again(self, integration: Integration) -> None:
        run, _ = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
        Integration.objects.update(status="inactive")
        assert not runner.due_runs().exists()
        Integration.objects.update(status="active")
        assert runner.due_runs().get() == run

    def test_being_stopped_often_is_no_trouble_of_the_vendors(self, feed: Feed) -> None:
        for number in range(6):
            stopping = threading.Event()
            feed.run([item(number)], [], stopping=stopping, on_page=lambda run, stop=stopping: stop.set())
        run = feed.run([item(9)], ProviderUnavailable(), keep_trying=True)
        assert run.status == RunStatus.QUEUED

    def test_a_vendor_that_never_gets_further_ends_the_run(self, feed: Feed) -> None:
        stands = [feed.run(ProviderUnavailable(), keep_trying=True).status for _ in range(5)]
        assert stands == [*["queued"] * 4, "failed"]

    @pytest.mark.parametrize("ending", [[], [ProviderUnavailable()], [None]], ids=["well", "in trouble", "stopped"])
    def test_a_worker_that_lost_its_run_at_the_end_says_how_the_run_stands(self, feed: Feed, ending: list[Any]) -> None:
        stopping = threading.Event()

        def lose(run: SyncRun) -> None:
            SyncRun.objects.filter(pk=run.pk).update(lease_owner="00000000-0000-0000-0000-000000000001")
            if ending == [None]:
                stopping.set()

        run = feed.run([item(1)], *filter(None, ending), on_page=lose, stopping=stopping, keep_trying=True)
        assert run.status == RunStatus.RUNNING

    def test_a_run_that_has_not_begun_reads_everything_when_that_is_asked(self, integration: Integration) -> None:
        waiting, _ = schedule.open_run(integration, "menus", mode=RunMode.INCREMENTAL, trigger=Trigger.SCHEDULE)
        run, created = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.ADMIN, confirm_deletions=True)
        assert (run.pk, created) == (waiting.pk, False)
        assert (run.mode, run.confirm_deletions) == (RunMode.FULL, True)

    def test_a_full_run_is_not_made_less_by_who_asks_for_less(self, integration: Integration) -> None:
        schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.ADMIN, confirm_deletions=True)
        run, _ = schedule.open_run(integration, "menus", mode=RunMode.INCREMENTAL, trigger=Trigger.SCHEDULE)
        assert (run.mode, run.confirm_deletions) == (RunMode.FULL, True)

    def test_a_run_that_works_already_stays_what_it_is(self, integration: Integration) -> None:
        begun, _ = schedule.open_run(integration, "menus", mode=RunMode.INCREMENTAL, trigger=Trigger.SCHEDULE)
        SyncRun.objects.update(status=RunStatus.RUNNING)
        run, _ = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.ADMIN, confirm_deletions=True)
        assert (run.pk, run.mode, run.confirm_deletions) == (begun.pk, RunMode.INCREMENTAL, False)


def elsewhere(work: Callable[[], Any]) -> None:
    """Do something on another connection, to its commit."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.fixture
def postgresql(transactional_db: None) -> None:
    """For what happens between two statements: on SQLite one writer waits for the other."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")


@pytest.mark.usefixtures("postgresql")
class TestAtTheSameTime:
    @pytest.fixture
    def hotel(self, transactional_db: None) -> Hotel:
        return Hotel.objects.create(name="Grand", slug="grand")

    def test_a_run_opened_while_a_failed_one_is_reopened_is_the_one(
        self, feed: Feed, integration: Integration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        feed.run([item(1)], ProviderUnavailable())
        raced: list[SyncRun] = []

        def now() -> datetime:  # asked between the look at the failed run and its reopening
            if not raced:
                elsewhere(lambda: raced.append(SyncRun.objects.create(integration=integration, stream="menus", mode=RunMode.FULL)))
            return timezone.now()

        monkeypatch.setattr(schedule, "timezone", SimpleNamespace(now=now))
        run, created = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
        assert (run.pk, created) == (raced[0].pk, False)

    def test_an_edit_made_while_a_page_is_merged_is_not_overwritten(
        self, feed: Feed, integration: Integration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The page is held up between reading the hotel's row and writing it; staff save in that moment."""
        feed.run([records.Guest(external_id="G1", family_name="Ortner", phone="1")], stream="guests")
        rules(integration, guest="hotel_wins")
        merge = Reconciler._merge
        edits: list[threading.Thread] = []

        def edit() -> None:
            Guest.objects.update(phone="staff")
            connection.close()

        def merging(*arguments: Any) -> Any:
            edits.append(threading.Thread(target=edit))
            edits[0].start()
            edits[0].join(0.2)
            return merge(*arguments)

        monkeypatch.setattr(Reconciler, "_merge", merging)
        feed.run([records.Guest(external_id="G1", family_name="Ortner-Huber", phone="1")], stream="guests")
        edits[0].join()
        guest = Guest.objects.get()
        assert (guest.phone, guest.family_name) == ("staff", "Ortner-Huber")

    def test_an_answer_and_a_page_about_the_same_guest_wait_for_each_other_in_one_order(
        self, connect: Connect, hotel: Hotel, stub: type[StubProvider]
    ) -> None:
        pms = connect(hotel, "pms")
        apply_in_transaction = transaction.atomic(apply_records)
        apply_in_transaction(pms, [records.Guest(external_id="G1", phone="1")])
        (operation,) = edit_guest(Guest.objects.get(), {"phone": "2"})
        Operation.objects.update(status="pending", next_attempt_at=timezone.now(), done_at=None)
        failed: list[Exception] = []

        def deliver() -> None:
            try:
                service_for(pms).deliver(operation)
            except Exception as error:
                failed.append(error)
            finally:
                connection.close()

        answer = threading.Thread(target=deliver)
        with transaction.atomic():
            hold(pms, with_hotel=True)
            answer.start()
            answer.join(0.3)  # it has come as far as it can
            Guest.objects.select_for_update().get()
        answer.join()
        operation.refresh_from_db()
        assert (failed, operation.status) == ([], "done")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_column_is_read_in_parts_without_a_cursor_of_the_server(
    integration: Integration, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A pooler in transaction mode gives the next statement another connection, which knows nothing of a cursor."""
    names = ["a", "B", "b", "é", "10", "9", ""]
    ExternalReference.objects.bulk_create(
        ExternalReference(integration=integration, record_type="room", external_id=name, object_id=1, synced_at=timezone.now())
        for name in names
    )
    monkeypatch.setattr(runner, "_COMPARE_AT_ONCE", size)
    assert sorted(runner._in_parts(ExternalReference.objects.all(), "external_id", "external_id")) == sorted(names)
