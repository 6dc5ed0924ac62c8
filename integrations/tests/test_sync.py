"""Pulling: what a run stores, what it leaves alone, and how it ends."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hotels.models import Guest, Hotel, MenuCategory, MenuItem, MenuTax, MenuVariation, ModifierList, Reservation, Room
from integrations import records
from integrations.exceptions import AuthenticationFailed, HospientError, ProviderUnavailable, RateLimited, RequestRejected
from integrations.models import (
    Conflict,
    ExternalReference,
    Integration,
    IntegrationLog,
    PendingLink,
    RejectedRecord,
    RunMode,
    RunStatus,
    StreamState,
    SyncPage,
    SyncRun,
    Trigger,
)
from integrations.records import Page, Rejected
from integrations.sync import schedule
from integrations.sync.reconcile import apply_records
from integrations.sync.runner import due_runs
from integrations.tests.feed import Feed
from tests.threads import at_once


@pytest.fixture
def hotel(db: None) -> Hotel:
    return Hotel.objects.create(name="Grand", slug="grand")


@pytest.fixture
def integration(hotel: Hotel) -> Integration:
    return Integration.objects.create(hotel=hotel, integration_type="pos", provider="square", provider_name="Square POS")


@pytest.fixture
def feed(integration: Integration) -> Feed:
    return Feed(integration)


def item(number: int, *, price: str = "14.50", **changes) -> records.MenuItem:
    variation = records.MenuVariation(external_id=f"V{number}", name="Regular", price=Decimal(price), currency="EUR")
    return records.MenuItem(**{"external_id": f"I{number}", "name": f"Dish {number}", "variations": (variation,)} | changes)


def menu(*numbers: int, **changes) -> list[records.MenuItem]:
    return [item(number, **changes) for number in numbers]


class TestStoring:
    def test_a_first_run_stores_everything_with_its_relations(self, feed: Feed) -> None:
        run = feed.run(
            [
                item(
                    1,
                    category_external_id="C1",
                    modifier_list_external_ids=("M1",),
                    tax_external_ids=("T1",),
                    description='Ham\t"and"\\eggs\n',
                ),
                records.MenuCategory(external_id="C1", name="Breakfast", parent_external_id="C0"),
                records.MenuCategory(external_id="C0", name="All day"),
                records.MenuTax(external_id="T1", name="VAT", percentage=Decimal("10")),
                records.ModifierList(external_id="M1", name="Doneness", options=({"name": "rare", "price": None},)),
            ]
        )
        assert (run.status, run.created_count, run.summary) == (RunStatus.SUCCEEDED, 5, "Stored 5, unchanged 0, deleted 0, rejected 0")
        dish = MenuItem.objects.get()
        assert dish.description == 'Ham\t"and"\\eggs\n'
        assert dish.category.name == "Breakfast"
        assert dish.category.parent.name == "All day"
        assert [tax.name for tax in dish.taxes.all()] == ["VAT"]
        assert dish.modifier_lists.get().options == [{"name": "rare", "price": None}]
        assert dish.variations.get().price == Decimal("14.50")

    def test_an_unchanged_run_writes_no_record(self, feed: Feed) -> None:
        feed.run(menu(1, 2, 3))
        with CaptureQueriesContext(connection) as queries:
            run = feed.run(menu(1, 2, 3))
        assert (run.unchanged_count, run.created_count, run.updated_count) == (3, 0, 0)
        written = [q["sql"] for q in queries if q["sql"].startswith(("INSERT", "UPDATE", "COPY", "DELETE"))]
        assert not [sql for sql in written if "hotels_" in sql or "externalreference" in sql]

    def test_counts_are_exact_when_one_changed_and_one_is_gone(self, feed: Feed) -> None:
        feed.run(menu(*range(1, 30)))
        run = feed.run([*menu(*range(2, 29)), item(29, price="15.00")])
        assert (run.created_count, run.updated_count, run.unchanged_count, run.deleted_count) == (0, 1, 27, 1)
        assert MenuItem.live.count() == 28
        assert MenuVariation.objects.get(item__name="Dish 29").price == Decimal("15.00")
        assert MenuVariation.live.filter(item__name="Dish 1").count() == 0

    def test_a_record_that_comes_back_is_live_again_with_its_variations(self, feed: Feed) -> None:
        feed.run(menu(*range(20)))
        feed.run(menu(*range(1, 20)))
        feed.run(menu(*range(20)))
        assert MenuItem.live.count() == 20
        assert MenuVariation.live.count() == 20
        assert MenuItem.objects.count() == 20

    def test_a_variation_that_is_dropped_is_archived_and_a_new_one_stored(self, feed: Feed) -> None:
        feed.run([item(1)])
        other = records.MenuVariation(external_id="V9", name="Large", price=Decimal("19"), currency="EUR")
        feed.run([item(1, variations=(other,))])
        assert [v.name for v in MenuVariation.live.all()] == ["Large"]

    def test_a_deletion_by_flag_archives(self, feed: Feed) -> None:
        feed.run(menu(1, 2))
        run = feed.run([records.MenuItem(external_id="I1", deleted=True)], mode=RunMode.INCREMENTAL)
        assert run.deleted_count == 1
        assert [dish.name for dish in MenuItem.live.all()] == ["Dish 2"]

    def test_a_late_version_never_overwrites_a_newer_one(self, feed: Feed) -> None:
        feed.run([item(1, name="New", version=5)])
        run = feed.run([item(1, name="Old", version=4)], mode=RunMode.INCREMENTAL)
        assert run.unchanged_count == 1
        assert MenuItem.objects.get().name == "New"

    def test_an_unchanged_but_newer_version_is_remembered(self, feed: Feed) -> None:
        feed.run([item(1, version=5)])
        feed.run([item(1, version=7)], mode=RunMode.INCREMENTAL)
        feed.run([item(1, name="Late", version=6)], mode=RunMode.INCREMENTAL)
        assert MenuItem.objects.get().name == "Dish 1"

    def test_a_guest_that_comes_after_the_reservation_is_linked(self, feed: Feed) -> None:
        feed.run([records.Reservation(external_id="R1", guest_external_id="G1", status="reserved")], stream="reservations")
        assert PendingLink.objects.count() == 1
        feed.run([records.Guest(external_id="G1", family_name="Lindqvist")], stream="guests")
        assert Reservation.objects.get().guest.family_name == "Lindqvist"
        assert PendingLink.objects.count() == 0

    def test_the_query_count_does_not_grow_with_the_page(self, feed: Feed) -> None:
        def queries_of(page: list[records.MenuItem]) -> int:
            with CaptureQueriesContext(connection) as queries:
                feed.run(page, mode=RunMode.INCREMENTAL)
            return len(queries)

        feed.run([item(0)])
        assert queries_of(menu(*range(100, 110))) == queries_of(menu(*range(200, 300)))


class TestRejecting:
    def test_one_bad_record_is_kept_with_its_reason_and_the_run_ends_partial(self, feed: Feed) -> None:
        run = feed.run([item(1), item(2, name="x" * 600), item(3, description="a\x00b")])
        assert (run.status, run.created_count, run.rejected_count) == (RunStatus.PARTIAL, 1, 2)
        assert {r.reason for r in RejectedRecord.objects.all()} == {
            "name is longer than 512 characters.",
            "description holds a NUL character.",
        }
        assert IntegrationLog.objects.get(operation_name="sync_menus").records_failed == 2

    def test_what_the_mapping_rejects_counts_and_is_not_taken_for_deleted(self, feed: Feed) -> None:
        feed.run(menu(1, 2))
        page = Page(
            records=menu(1), rejected=[Rejected(external_id="I2", record_type="menu_item", reason="It has no name.", payload={"id": "I2"})]
        )
        run = feed.run(page)
        assert (run.rejected_count, run.deleted_count, run.status) == (1, 0, RunStatus.PARTIAL)
        assert MenuItem.live.count() == 2

    def test_a_record_that_comes_through_later_is_resolved(self, feed: Feed) -> None:
        feed.run([item(1, name="x" * 600)])
        feed.run([item(1)])
        assert RejectedRecord.objects.get().resolved_at is not None


class TestDeleting:
    def test_an_empty_answer_deletes_nothing_and_says_so(self, feed: Feed) -> None:
        feed.run([records.Room(external_id="101", number="101")], stream="rooms")
        run = feed.run(Page(records=[]), stream="rooms", types=(records.Room,))
        assert (run.status, run.deleted_count) == (RunStatus.PARTIAL, 0)
        assert run.error_message == "Nothing was deleted: 1 of 1 room records are gone at the vendor."
        assert Room.live.count() == 1

    def test_a_large_drop_waits_for_a_person(self, feed: Feed) -> None:
        feed.run(menu(*range(40)))
        run = feed.run(menu(*range(10)))
        assert (run.status, run.deleted_count, run.error_code) == (RunStatus.PARTIAL, 0, "deletions_need_confirmation")
        assert "30 of 40 menu item records" in run.error_message
        assert MenuItem.live.count() == 40
        run = feed.run(menu(*range(10)), confirm_deletions=True)
        assert (run.status, run.deleted_count) == (RunStatus.SUCCEEDED, 30)

    def test_a_failed_run_deletes_nothing(self, feed: Feed) -> None:
        feed.run(menu(*range(20)))
        run = feed.run(menu(1), AuthenticationFailed())
        assert (run.status, run.deleted_count, MenuItem.live.count()) == (RunStatus.FAILED, 0, 20)

    def test_a_guest_another_vendor_still_knows_is_not_archived(self, feed: Feed, hotel) -> None:
        crm = Integration.objects.create(
            hotel=hotel, integration_type="guest_management", provider="salesforce", provider_name="Salesforce"
        )
        guest = records.Guest(external_id="G1", given_name="Ana", family_name="Smith", email="ana@example.com")
        feed.run([guest], stream="guests")
        Feed(crm).run(
            [records.Guest(external_id="003", given_name="ANA", family_name="Smith", email="ANA@example.com", phone="+43 1 234567")],
            stream="guest_data",
        )
        assert Guest.objects.count() == 1
        assert Guest.objects.get().phone == "+43 1 234567"
        assert ExternalReference.objects.get(external_id="003").matched_by == "same name and e-mail"
        Feed(crm).run([records.Guest(external_id="003", deleted=True)], stream="guest_data", mode=RunMode.INCREMENTAL)
        assert Guest.live.count() == 1


class TestEnding:
    def test_the_cursor_moves_only_when_the_run_ended_well(self, feed: Feed) -> None:
        feed.run(Page(records=menu(1), cursor={"latest": 1}))
        assert StreamState.objects.get().cursor == {"latest": 1}
        feed.run(Page(records=menu(2), cursor={"latest": 2}), AuthenticationFailed(), mode=RunMode.INCREMENTAL)
        assert StreamState.objects.get().cursor == {"latest": 1}
        assert feed.queries[-1].cursor == {"latest": 1}

    def test_a_backfill_leaves_the_cursor_alone(self, feed: Feed) -> None:
        feed.run(Page(records=menu(1), cursor={"latest": 1}))
        feed.run(Page(records=menu(2), cursor={"latest": 0}), mode=RunMode.BACKFILL)
        assert StreamState.objects.get().cursor == {"latest": 1}

    def test_a_refused_token_ends_the_run_and_shows_at_the_integration(self, feed: Feed, integration) -> None:
        run = feed.run(AuthenticationFailed())
        integration.refresh_from_db()
        assert run.status == RunStatus.FAILED
        assert run.error_message == "The vendor refused the credentials."
        assert (integration.status, integration.error_count) == ("error", 1)
        assert "The vendor refused the credentials." in integration.last_error
        assert MenuItem.objects.count() == 0

    @pytest.mark.parametrize(
        ("error", "mode", "status"),
        [
            (RequestRejected("No such listing."), RunMode.FULL, "error"),
            (RequestRejected("The range is too long."), RunMode.BACKFILL, "active"),
            (RequestRejected("There is no such reservation."), RunMode.REFRESH, "active"),
            (AuthenticationFailed(), RunMode.REFRESH, "error"),
            (RateLimited(), RunMode.FULL, "active"),
        ],
    )
    def test_a_vendor_that_answers_works(self, feed: Feed, error: HospientError, mode: RunMode, status: str) -> None:
        run = feed.run(error, mode=mode)
        feed.integration.refresh_from_db()
        assert (run.status, feed.integration.status, feed.integration.sync_status) == (RunStatus.FAILED, status, "failed")

    def test_a_good_run_heals_the_integration(self, feed: Feed, integration) -> None:
        feed.run(AuthenticationFailed())
        feed.run(menu(1))
        integration.refresh_from_db()
        assert (integration.status, integration.error_count, integration.sync_status) == ("active", 0, "succeeded")

    def test_a_vendors_trouble_is_tried_again_by_a_worker_from_the_checkpoint(self, feed: Feed) -> None:
        run = feed.run(menu(1), ProviderUnavailable(), keep_trying=True)
        assert (run.status, run.page_count, run.error_code) == (RunStatus.QUEUED, 1, "provider_unavailable")
        assert run.next_attempt_at > timezone.now()
        again = feed.run(menu(2))
        assert (again.pk, again.status, again.created_count) == (run.pk, RunStatus.SUCCEEDED, 2)
        assert feed.queries[-1].checkpoint == {"page": 0}

    def test_asking_again_after_a_vendors_trouble_goes_on_at_the_checkpoint(self, feed: Feed) -> None:
        first = feed.run(menu(1), ProviderUnavailable())
        assert first.status == RunStatus.FAILED
        again = feed.run(menu(2))
        assert (again.pk, again.status, again.created_count, again.deleted_count) == (first.pk, RunStatus.SUCCEEDED, 2, 0)

    def test_a_stop_signal_hands_the_run_back_after_the_page_in_hand(self, feed: Feed) -> None:
        stopping = threading.Event()
        run = feed.run(menu(1), menu(2), slowly=True, stopping=stopping, on_page=lambda run: stopping.set())
        assert (run.status, run.page_count, MenuItem.objects.count()) == (RunStatus.QUEUED, 1, 1)
        assert due_runs().filter(pk=run.pk).exists()

    def test_pages_that_come_fast_are_stored_together(self, feed: Feed) -> None:
        stored: list[tuple[int, int]] = []
        pages = [menu(*range(start, start + 200)) for start in range(0, 2400, 200)]
        run = feed.run(*pages, on_page=lambda run: stored.append((run.page_count, MenuItem.objects.count())))
        assert stored == [(5, 1000), (10, 2000), (12, 2400)]
        assert (run.status, run.checkpoint["after"]) == (RunStatus.SUCCEEDED, {"page": 11})

    def test_pages_that_came_before_an_error_are_stored(self, feed: Feed) -> None:
        run = feed.run(menu(1), menu(2), ProviderUnavailable())
        assert (run.status, run.page_count, run.checkpoint["after"], MenuItem.objects.count()) == (RunStatus.FAILED, 2, {"page": 1}, 2)

    def test_pages_seen_before_an_interruption_are_not_taken_for_deleted(self, feed: Feed) -> None:
        feed.run(menu(*range(20)))
        stopping = threading.Event()
        feed.run(menu(*range(10)), menu(*range(10, 20)), slowly=True, stopping=stopping, on_page=lambda run: stopping.set())
        run = feed.run(menu(*range(10, 20)))
        assert (run.status, run.deleted_count, run.unchanged_count) == (RunStatus.SUCCEEDED, 0, 20)
        assert SyncPage.objects.count() == 0


class TestOneAtATime:
    def test_asking_twice_gives_one_run(self, integration) -> None:
        first, created = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
        second, again = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
        assert (created, again, first.pk) == (True, False, second.pk)

    def test_a_run_another_worker_holds_is_left_alone(self, integration, feed: Feed) -> None:
        run, _ = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
        SyncRun.objects.filter(pk=run.pk).update(status=RunStatus.RUNNING, lease_until=timezone.now() + timedelta(seconds=30))
        assert feed.run(menu(1)).status == RunStatus.RUNNING
        assert MenuItem.objects.count() == 0

    def test_a_dead_holders_lease_lapses(self, integration, feed: Feed) -> None:
        run, _ = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
        SyncRun.objects.filter(pk=run.pk).update(status=RunStatus.RUNNING, lease_until=timezone.now() - timedelta(seconds=1))
        assert due_runs().filter(pk=run.pk).exists()
        assert feed.run(menu(1)).status == RunStatus.SUCCEEDED

    def test_a_worker_that_lost_its_lease_writes_nothing_more(self, integration, feed: Feed) -> None:
        def steal(run: SyncRun) -> None:
            SyncRun.objects.filter(pk=run.pk).update(lease_owner="00000000-0000-0000-0000-000000000001")

        feed.run(menu(1), menu(2), slowly=True, on_page=steal)
        assert MenuItem.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_stores_of_the_same_record_at_once_make_one_row() -> None:
    hotel = Hotel.objects.create(name="Grand", slug="grand")
    integration = Integration.objects.create(hotel=hotel, integration_type="pms", provider="opera_cloud", provider_name="Opera")

    def store() -> None:
        with transaction.atomic():
            apply_records(integration, [records.Room(external_id="101", number="101")])

    assert at_once(4, store) == []
    assert (Room.objects.count(), ExternalReference.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_twenty_triggers_at_once_open_one_run() -> None:
    hotel = Hotel.objects.create(name="Grand", slug="grand")
    integration = Integration.objects.create(hotel=hotel, integration_type="pos", provider="square", provider_name="Square")
    opened: list[tuple[int, bool]] = []

    def trigger() -> None:
        run, created = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
        opened.append((run.pk, created))

    assert at_once(20, trigger) == []
    assert len(opened) == 20
    assert len({pk for pk, _ in opened}) == 1
    assert [created for _, created in opened].count(True) == 1


class TestMerging:
    """Base is what the vendor said last, ours what staff made of it, theirs what the vendor says now."""

    @pytest.mark.parametrize(
        ("rule", "ours", "theirs", "expected", "conflicts"),
        [
            ("vendor_wins", "Base", "Vendor", "Vendor", 0),
            ("vendor_wins", "Hotel", "Base", "Hotel", 0),
            ("vendor_wins", "Hotel", "Vendor", "Vendor", 1),
            ("vendor_wins", "Same", "Same", "Same", 0),
            ("hotel_wins", "Base", "Vendor", "Vendor", 0),
            ("hotel_wins", "Hotel", "Base", "Hotel", 0),
            ("hotel_wins", "Hotel", "Vendor", "Hotel", 1),
            ("hotel_wins", "Same", "Same", "Same", 0),
            ("newest_wins", "Base", "Vendor", "Vendor", 0),
            ("newest_wins", "Hotel", "Base", "Hotel", 0),
            ("newest_wins", "Hotel", "Vendor", "Hotel", 1),  # the vendor changed it an hour before the hotel did
            ("newest_wins", "Same", "Same", "Same", 0),
        ],
    )
    @pytest.mark.parametrize("kind", ["menu_item", "guest", "reservation"])
    def test_who_wins(self, feed: Feed, integration, kind, rule, ours, theirs, expected, conflicts) -> None:
        record, model, name = {
            "menu_item": (records.MenuItem, MenuItem, "description"),
            "guest": (records.Guest, Guest, "phone"),
            "reservation": (records.Reservation, Reservation, "room_type"),
        }[kind]
        feed.run([record(external_id="X1", **{name: "Base"})], stream="things")
        model.objects.update(**{name: ours}, updated_at=timezone.now())
        integration.sync_settings = {"conflict_rules": {kind: rule}}
        integration.save()
        earlier = timezone.now() - timedelta(hours=1)
        feed.run([record(external_id="X1", **{name: theirs}, updated_at=earlier, version=2)], stream="things")
        assert getattr(model.objects.get(), name) == expected
        assert Conflict.objects.count() == conflicts
        if conflicts:
            kept = Conflict.objects.get()
            assert (kept.field, kept.base_value, kept.vendor_value, kept.hotel_value) == (name, "Base", theirs, ours)
            assert kept.winner == ("vendor" if expected == theirs else "hotel")

    @pytest.mark.parametrize(("rule", "stays"), [("vendor_wins", False), ("hotel_wins", True), ("newest_wins", False)])
    @pytest.mark.parametrize("kind", ["menu_item", "guest", "reservation"])
    def test_deleted_at_the_vendor_after_the_hotel_changed_it(self, feed: Feed, integration, kind, rule, stays) -> None:
        record, model, name = {
            "menu_item": (records.MenuItem, MenuItem, "description"),
            "guest": (records.Guest, Guest, "phone"),
            "reservation": (records.Reservation, Reservation, "room_type"),
        }[kind]
        feed.run([record(external_id="X1", **{name: "Base"})], stream="things")
        model.objects.update(**{name: "Hotel"})
        integration.sync_settings = {"conflict_rules": {kind: rule}}
        integration.save()
        feed.run([record(external_id="X1", deleted=True)], stream="things", mode=RunMode.INCREMENTAL)
        assert model.live.exists() is stays
        assert Conflict.objects.get().field == "deleted"

    def test_rounding_by_the_database_is_no_change_by_the_hotel(self, feed: Feed) -> None:
        feed.run([item(1, price="14.123456")])
        feed.run([item(1, price="15")])
        assert MenuVariation.objects.get().price == Decimal("15")
        assert Conflict.objects.count() == 0

    def test_a_dish_moves_to_another_category(self, feed: Feed) -> None:
        feed.run(
            [
                item(1, category_external_id="C1"),
                records.MenuCategory(external_id="C1", name="A"),
                records.MenuCategory(external_id="C2", name="B"),
            ]
        )
        feed.run(
            [
                item(1, category_external_id="C2"),
                records.MenuCategory(external_id="C1", name="A"),
                records.MenuCategory(external_id="C2", name="B"),
            ]
        )
        assert MenuItem.objects.get().category.name == "B"
        assert (MenuCategory.objects.count(), MenuTax.objects.count(), ModifierList.objects.count()) == (2, 0, 0)
