"""What people do about differences: a conflict decided otherwise, a guest edited or split, rejected records read again."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from hotels.models import ChatMessage, Feedback, Guest, GuestQuestion, Hotel, MenuCategory, MenuItem, MenuVariation, Reservation, Verdict
from integrations import records
from integrations.exceptions import InvalidInput, ProviderUnavailable, RequestRejected
from integrations.models import Conflict, ExternalReference, Integration, Operation, OperationStatus, RejectedRecord, RunMode, RunStatus
from integrations.services import guests, service_for
from integrations.services.conflicts import apply_conflict
from integrations.services.guests import decide, edit_guest, split_guest
from integrations.services.rejected import retry_rejected
from integrations.sync.conflicts import Rule
from integrations.sync.reconcile import apply_records
from integrations.tests.conftest import Connect
from integrations.tests.feed import Feed
from integrations.tests.stub import StubProvider

Committed = Callable[..., Any]
KINDS = {
    "menu_item": (records.MenuItem, MenuItem, "description"),
    "guest": (records.Guest, Guest, "phone"),
    "reservation": (records.Reservation, Reservation, "room_type"),
}


@pytest.fixture
def pms(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "pms", provider_name="PMS")


@pytest.fixture
def crm(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel, "guest_management", provider_name="CRM")


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Committed:
    """Do something, and what waits for its commit."""

    def run(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return work(*arguments, **named)

    return run


def told(stub: type[StubProvider]) -> list[dict[str, Any]]:
    """Return the changes of guests that vendors were told of."""
    return [payload["changes"] for name, payload in stub.calls if name == "update_guest_info"]


def in_conflict(feed: Feed, kind: str, rule: str, *, deleted: bool = False) -> tuple[Conflict, Any, records.Record]:
    """Let hotel and vendor change a record of this kind; return what is kept of it, the model, and what the vendor says now."""
    record, model, name = KINDS[kind]
    feed.run([record(external_id="X1", **{name: "1"})], stream="things")
    model.objects.update(**{name: "2"}, updated_at=timezone.now())
    feed.integration.sync_settings = {"conflict_rules": {kind: rule}}
    feed.integration.save()
    changed = record(external_id="X1", deleted=True) if deleted else record(external_id="X1", **{name: "3"})
    feed.run([changed], stream="things", mode=RunMode.BACKFILL)
    return Conflict.objects.get(), model, changed


class TestDecidingOtherwise:
    @pytest.mark.parametrize("rule", Rule)
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_value_that_lost_wins_and_the_vendors_repetition_changes_nothing(
        self, pms: Integration, committed: Committed, kind: str, rule: str
    ) -> None:
        conflict, model, record = in_conflict(Feed(pms), kind, rule)
        name = KINDS[kind][2]
        lost = {"vendor": "2", "hotel": "3"}[conflict.winner]
        assert getattr(model.objects.get(), name) != lost
        committed(apply_conflict, conflict)
        assert getattr(model.objects.get(), name) == lost
        assert Conflict.objects.get().applied_at
        for mode in (RunMode.BACKFILL, RunMode.FULL):
            Feed(pms).run([record], stream="things", mode=mode)
        assert getattr(model.objects.get(), name) == lost
        assert Conflict.objects.count() == 1

    @pytest.mark.parametrize("rule", Rule)
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_deletion_is_decided_otherwise(self, pms: Integration, kind: str, rule: str) -> None:
        conflict, model, _ = in_conflict(Feed(pms), kind, rule, deleted=True)
        stayed = model.live.exists()
        assert stayed is (conflict.winner == "hotel")
        for _ in range(2):
            apply_conflict(conflict)
            assert model.live.exists() is not stayed

    def test_the_hotels_guest_goes_out_and_the_echo_is_no_change(
        self, pms: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        conflict, _, record = in_conflict(Feed(pms), "guest", Rule.VENDOR)
        user = User.objects.create(username="staff")
        (operation,) = committed(apply_conflict, conflict, user=user)
        assert told(stub) == [{"phone": "2"}]
        operation.refresh_from_db()
        assert (operation.status, operation.requested_by) == (OperationStatus.DONE, user)
        run = Feed(pms).run([replace(record, phone="2")], stream="things")
        assert (run.updated_count, run.unchanged_count, run.conflict_count) == (0, 1, 0)

    def test_the_vendors_guest_goes_to_the_others_and_not_back_to_itself(
        self, pms: Integration, crm: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        conflict, _, _ = in_conflict(Feed(pms), "guest", Rule.HOTEL)
        knows(crm, Guest.objects.get(), "003", phone="1")
        (operation,) = committed(apply_conflict, conflict)
        assert (operation.integration, told(stub)) == (crm, [{"phone": "3"}])

    def test_twice_is_harmless(self, pms: Integration, committed: Committed, stub: type[StubProvider]) -> None:
        conflict, model, _ = in_conflict(Feed(pms), "guest", Rule.VENDOR)
        committed(apply_conflict, conflict)
        model.objects.update(phone="later")
        assert committed(apply_conflict, Conflict.objects.get()) == []
        assert (model.objects.get().phone, len(told(stub))) == ("later", 1)

    def test_only_the_newest_conflict_about_a_field_can_be_decided(self, pms: Integration) -> None:
        first, model, record = in_conflict(Feed(pms), "reservation", Rule.HOTEL)
        Feed(pms).run([replace(record, room_type="4")], stream="things", mode=RunMode.BACKFILL)
        with pytest.raises(InvalidInput, match="newest conflict"):
            apply_conflict(first)
        apply_conflict(Conflict.objects.exclude(pk=first.pk).get())
        assert model.objects.get().room_type == "4"

    @pytest.mark.parametrize(
        ("name", "base", "hotels", "vendors"),
        [
            ("rate_amount", Decimal("100"), Decimal("90.5"), Decimal("110")),
            ("arrival_date", date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)),
            ("departure_date", date(2026, 1, 5), date(2026, 1, 6), None),
            ("adults", 1, 2, 3),
            ("status", "reserved", "in_house", "cancelled"),
        ],
    )
    @pytest.mark.parametrize("rule", [Rule.VENDOR, Rule.HOTEL])
    def test_every_kind_of_value_comes_back_as_it_was(
        self, pms: Integration, name: str, base: Any, hotels: Any, vendors: Any, rule: str
    ) -> None:
        pms.sync_settings = {"conflict_rules": {"*": rule}}
        pms.save()
        Feed(pms).run([records.Reservation(external_id="R1", **{name: base})], stream="reservations")
        Reservation.objects.update(**{name: hotels})
        Feed(pms).run([records.Reservation(external_id="R1", **{name: vendors})], stream="reservations")
        apply_conflict(Conflict.objects.get())
        assert getattr(Reservation.objects.get(), name) == (hotels if rule == Rule.VENDOR else vendors)

    @pytest.mark.parametrize("rule", [Rule.VENDOR, Rule.HOTEL])
    def test_a_relation_is_decided_otherwise(self, pms: Integration, hotel: Hotel, rule: str) -> None:
        pms.sync_settings = {"conflict_rules": {"*": rule}}
        pms.save()
        categories = [records.MenuCategory(external_id=f"C{number}", name=f"Theirs {number}") for number in (1, 2)]
        Feed(pms).run([*categories, records.MenuItem(external_id="I1", name="Dish", category_external_id="C1")])
        chosen = MenuCategory.objects.create(hotel=hotel, name="Ours")
        MenuItem.objects.update(category=chosen)
        Feed(pms).run([*categories, records.MenuItem(external_id="I1", name="Dish", category_external_id="C2")])
        apply_conflict(Conflict.objects.get())
        assert MenuItem.objects.get().category.name == ("Ours" if rule == Rule.VENDOR else "Theirs 2")

    def test_a_relation_to_what_came_later_is_found(self, pms: Integration, hotel: Hotel) -> None:
        pms.sync_settings = {"conflict_rules": {"*": Rule.HOTEL}}
        pms.save()
        Feed(pms).run([records.MenuItem(external_id="I1", name="Dish"), records.MenuCategory(external_id="C0", name="Old")])
        MenuItem.objects.update(category=MenuCategory.objects.create(hotel=hotel, name="Ours"))
        ExternalReference.objects.filter(external_id="I1").update(snapshot={"category_external_id": "C0"})
        Feed(pms).run([records.MenuItem(external_id="I1", name="Dish", category_external_id="C9")], mode=RunMode.BACKFILL)
        Feed(pms).run([records.MenuCategory(external_id="C9", name="New")], mode=RunMode.BACKFILL)
        apply_conflict(Conflict.objects.get(field="category"))
        assert MenuItem.objects.get().category.name == "New"

    def test_a_relation_to_another_hotels_row_is_refused(self, pms: Integration, other_hotel: Hotel) -> None:
        Feed(pms).run([records.MenuItem(external_id="I1", name="Dish")])
        item = MenuItem.objects.get()
        foreign = MenuCategory.objects.create(hotel=other_hotel, name="Foreign")
        conflict = Conflict.objects.create(
            integration=pms, record_type="menu_item", external_id="I1", object_id=item.pk, field="category", winner="vendor",
            rule=Rule.VENDOR, hotel_value=foreign.pk,
        )  # fmt: skip
        with pytest.raises(InvalidInput):
            apply_conflict(conflict)
        assert MenuItem.objects.get().category is None

    def test_a_dish_comes_back_with_the_prices_that_went_with_it(self, pms: Integration) -> None:
        small, large = (records.MenuVariation(external_id=name, name=name, price=Decimal(9), currency="EUR") for name in ("S", "L"))
        dish = records.MenuItem(external_id="I1", name="Dish", variations=(small, large))
        Feed(pms).run([dish])
        Feed(pms).run([replace(dish, variations=(large,))])
        MenuItem.objects.update(description="With herbs")
        Feed(pms).run([records.MenuItem(external_id="I1", deleted=True)], mode=RunMode.BACKFILL)
        assert (MenuItem.live.count(), MenuVariation.live.count()) == (0, 0)
        apply_conflict(Conflict.objects.get())
        assert [variation.name for variation in MenuVariation.live.filter(item__in=MenuItem.live.all())] == ["L"]

    def test_what_another_system_still_has_is_not_archived(self, pms: Integration, crm: Integration) -> None:
        conflict, model, _ = in_conflict(Feed(pms), "guest", Rule.HOTEL, deleted=True)
        knows(crm, model.objects.get(), "003")
        with pytest.raises(InvalidInput, match="still has"):
            apply_conflict(conflict)
        assert model.live.exists()

    def test_a_conflict_follows_a_guest_that_was_split(self, pms: Integration, crm: Integration, committed: Committed) -> None:
        conflict, _, _ = in_conflict(Feed(pms), "guest", Rule.VENDOR)
        joined = Guest.objects.get()
        knows(crm, joined, "003", family_name="Stays")
        alone = split_guest(ExternalReference.objects.get(external_id="X1"))
        committed(apply_conflict, conflict)
        assert [Guest.objects.get(pk=guest.pk).phone for guest in (alone, joined)] == ["2", ""]


# --- editing a guest -----------------------------------------------------------------------------------------------------------


def knows(integration: Integration, guest: Guest, external_id: str, **told: Any) -> ExternalReference:
    """Let a system know a guest already; `told` is what it last said of them."""
    said = records.Guest(external_id=external_id, **told)
    snapshot = {name: getattr(said, name) for name in guests.BINDINGS["guest"].own}
    return ExternalReference.objects.create(
        integration=integration,
        record_type="guest",
        external_id=external_id,
        object_id=guest.pk,
        snapshot=snapshot,
        synced_at=timezone.now(),
    )


@pytest.fixture
def guest(hotel: Hotel) -> Guest:
    return Guest.objects.create(hotel=hotel, given_name="Eva", family_name="Ortner", phone="1")


class TestEditing:
    def test_every_system_that_takes_it_is_told_once(
        self, guest: Guest, pms: Integration, crm: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        knows(pms, guest, "G1", phone="1")
        knows(crm, guest, "003", phone="1")
        operations = committed(edit_guest, guest, {"phone": "2"})
        assert guest.phone == "2"
        assert {(o.integration, o.status, o.payload["guest_external_id"]) for o in operations} == {
            (pms, "done", "G1"),
            (crm, "done", "003"),
        }
        assert len({operation.correlation_id for operation in operations}) == 1
        assert told(stub) == [{"phone": "2"}] * 2

    def test_the_same_edit_again_is_no_edit(self, guest: Guest, pms: Integration, stub: type[StubProvider], committed: Committed) -> None:
        knows(pms, guest, "G1", phone="1")
        committed(edit_guest, guest, {"phone": "2"})
        assert committed(edit_guest, guest, {"phone": "2"}) == []
        assert len(told(stub)) == 1

    def test_edit_and_operations_are_written_together(self, guest: Guest, pms: Integration, monkeypatch: pytest.MonkeyPatch) -> None:
        knows(pms, guest, "G1", phone="1")

        def fails(*_: Any, **__: Any) -> None:
            raise RuntimeError("the outbox cannot be written")

        monkeypatch.setattr(guests.enqueue, "enqueue", fails)
        with pytest.raises(RuntimeError):
            edit_guest(guest, {"phone": "2"})
        assert Guest.objects.get().phone == "1"

    def test_nobody_is_told_before_the_edit_has_committed(self, guest: Guest, pms: Integration, stub: type[StubProvider]) -> None:
        knows(pms, guest, "G1", phone="1")
        (operation,) = edit_guest(guest, {"phone": "2"})
        assert (told(stub), operation.status) == ([], OperationStatus.PENDING)

    def test_an_edit_stands_while_the_vendor_is_away_and_is_told_later(
        self, guest: Guest, pms: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        knows(pms, guest, "G1", phone="1")
        stub.failures["update_guest_info"] = ProviderUnavailable()
        (operation,) = committed(edit_guest, guest, {"phone": "2"})
        assert (operation.status, Guest.objects.get().phone) == (OperationStatus.PENDING, "2")
        with_old_value = records.Guest(external_id="G1", phone="1")
        apply_records(pms, [with_old_value])
        assert Guest.objects.get().phone == "2"
        stub.failures.clear()
        service_for(pms).retry_operation(operation)
        assert (operation.status, Guest.objects.get().phone) == (OperationStatus.DONE, "2")

    def test_a_late_delivery_does_not_undo_a_later_edit(
        self, guest: Guest, pms: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        knows(pms, guest, "G1", phone="1")
        stub.failures["update_guest_info"] = ProviderUnavailable()
        (first,) = committed(edit_guest, guest, {"phone": "2"})
        (second,) = committed(edit_guest, guest, {"phone": "3"})
        stub.failures.clear()
        service_for(pms).retry_operation(first)
        assert Guest.objects.get().phone == "3"
        stub.failures["update_guest_info"] = RequestRejected("Not a phone number.")
        service_for(pms).retry_operation(second)
        assert (second.status, Guest.objects.get().phone) == (OperationStatus.DEAD, "3")

    def test_an_edit_taken_back_before_the_vendor_heard_of_it_is_told_all_the_same(
        self, guest: Guest, pms: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        knows(pms, guest, "G1", phone="1")
        stub.failures["update_guest_info"] = ProviderUnavailable()
        for phone in ("2", "1"):
            committed(edit_guest, guest, {"phone": phone})
        stub.failures.clear()
        stub.calls.clear()
        for operation in Operation.objects.order_by("id"):
            service_for(pms).retry_operation(operation)
        assert told(stub) == [{"phone": "2"}, {"phone": "1"}]
        assert Guest.objects.get().phone == "1"

    def test_a_change_at_the_vendor_first_does_not_undo_a_later_edit(
        self, guest: Guest, pms: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        knows(pms, guest, "G1", phone="1")
        stub.failures["update_guest_info"] = ProviderUnavailable()
        first = service_for(pms).update_guest_info(guest.pk, {"phone": "2"})
        assert Guest.objects.get().phone == "1"
        committed(edit_guest, guest, {"phone": "3"})
        stub.failures.clear()
        service_for(pms).retry_operation(first)
        assert Guest.objects.get().phone == "3"

    def test_a_change_at_the_vendor_first_reaches_a_guest_the_hotel_had_edited_before(
        self, guest: Guest, pms: Integration, stub: type[StubProvider]
    ) -> None:
        knows(pms, guest, "G1", phone="what the vendor has")
        service_for(pms).update_guest_info(guest.pk, {"phone": "2"})
        assert Guest.objects.get().phone == "2"

    def test_what_no_vendor_takes_is_the_hotels_alone(
        self, guest: Guest, pms: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        knows(pms, guest, "G1", phone="1")
        assert committed(edit_guest, guest, {"is_vip": True}) == []
        assert Guest.objects.get().is_vip
        committed(edit_guest, guest, {"is_vip": False, "phone": None})
        assert told(stub) == [{"phone": ""}]

    def test_a_system_that_no_longer_has_the_guest_is_not_told(
        self, guest: Guest, pms: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        reference = knows(pms, guest, "G1", phone="1")
        reference.deleted_at = timezone.now()
        reference.save()
        assert committed(edit_guest, guest, {"phone": "2"}) == []

    def test_a_paused_system_is_told_once_it_is_started_again(
        self, guest: Guest, pms: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        knows(pms, guest, "G1", phone="1")
        Integration.objects.update(status="inactive")
        (operation,) = committed(edit_guest, guest, {"phone": "2"})
        assert (operation.status, told(stub)) == (OperationStatus.PENDING, [])
        Integration.objects.update(status="active")
        service_for(pms).deliver(operation)
        assert told(stub) == [{"phone": "2"}]

    def test_a_system_whose_folder_is_gone_is_left_alone(self, guest: Guest, pms: Integration, committed: Committed) -> None:
        knows(pms, guest, "G1", phone="1")
        Integration.objects.update(provider="gone")
        assert committed(edit_guest, guest, {"phone": "2"}) == []
        assert Guest.objects.get().phone == "2"

    @pytest.mark.parametrize("changes", [{}, {"email": "no address"}, {"is_vip": None}, {"nationality": "AT"}, {"phone": "1" * 65}])
    def test_what_cannot_be_stored_is_refused(self, guest: Guest, changes: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput):
            edit_guest(guest, changes)


# --- splitting a guest ---------------------------------------------------------------------------------------------------------

FIRST = records.Guest(external_id="G1", given_name="Ana", family_name="Smith", email="smith@example.com", language="pt")
SECOND = records.Guest(external_id="003", given_name="Antonio", family_name="Smith", email="smith@example.com", phone="+351 21 555 0100")


@pytest.fixture
def joined(pms: Integration, crm: Integration) -> Guest:
    """Two people that share an address, taken for one by somebody who knew no better."""
    Feed(pms).run([FIRST], stream="guests")
    Feed(pms).run([records.Reservation(external_id="R1", guest_external_id="G1")], stream="reservations")
    Feed(crm).run([SECOND], stream="guest_data")
    Feed(crm).run([records.Feedback(external_id="F1", guest_external_id="003", rating=5)], stream="feedback")
    Feed(crm).run([records.ChatMessage(external_id="M1", guest_external_id="003", message="Towels?")], stream="chat_messages")
    guest = decide(GuestQuestion.objects.get(), Verdict.SAME)
    assert (guest.given_name, guest.phone, guest.reservations.count()) == ("Ana", SECOND.phone, 1)
    return guest


class TestSplitting:
    def test_each_gets_back_what_is_its_own(self, joined: Guest) -> None:
        other = split_guest(ExternalReference.objects.get(external_id="003"))
        joined.refresh_from_db()
        assert (joined.given_name, joined.language, joined.phone, joined.email) == ("Ana", "pt", "", "smith@example.com")
        assert (other.given_name, other.language, other.phone, other.hotel) == ("Antonio", "", SECOND.phone, joined.hotel)
        assert Reservation.objects.get().guest == joined
        assert {Feedback.objects.get().guest, ChatMessage.objects.get().guest} == {other}
        reference = ExternalReference.objects.get(external_id="003", record_type="guest")
        assert (reference.object_id, reference.matched_by) == (other.pk, "split by hand")

    def test_the_one_that_was_there_first_can_be_the_one_that_leaves(self, joined: Guest) -> None:
        other = split_guest(ExternalReference.objects.get(external_id="G1", record_type="guest"))
        joined.refresh_from_db()
        assert (other.given_name, joined.given_name, joined.phone) == ("Ana", "Antonio", SECOND.phone)
        assert Reservation.objects.get().guest == other
        assert ExternalReference.objects.get(external_id="003", record_type="guest").matched_by == "split by hand"

    def test_no_sync_joins_them_again(self, joined: Guest, pms: Integration, crm: Integration) -> None:
        other = split_guest(ExternalReference.objects.get(external_id="003", record_type="guest"))
        for language in ("pt", "en"):
            Feed(pms).run([replace(FIRST, language=language)], stream="guests")
            Feed(crm).run([replace(SECOND, language=language)], stream="guest_data")
        Feed(crm).run([replace(SECOND, deleted=True)], stream="guest_data", mode=RunMode.BACKFILL)
        Feed(crm).run([SECOND], stream="guest_data")
        assert Guest.live.count() == 2
        assert {joined.pk, other.pk} == set(Guest.live.values_list("pk", flat=True))
        assert not Conflict.objects.exists()

    def test_what_a_running_sync_stores_after_the_split_belongs_to_the_right_guest(self, joined: Guest, crm: Integration) -> None:
        def split(run: Any) -> None:
            if run.page_count == 1:
                split_guest(ExternalReference.objects.get(external_id="003", record_type="guest"))

        message = records.ChatMessage(guest_external_id="003", external_id="M2", message="And soap?")
        Feed(crm).run(
            [message], [replace(message, external_id="M3")], stream="chat_messages", mode=RunMode.BACKFILL, slowly=True, on_page=split
        )
        assert not ChatMessage.objects.filter(guest=joined).exists()

    def test_staff_s_own_words_stay_with_the_guest(self, joined: Guest, committed: Committed) -> None:
        committed(edit_guest, joined, {"phone": "+43 1 000"})
        split_guest(ExternalReference.objects.get(external_id="003", record_type="guest"))
        joined.refresh_from_db()
        assert joined.phone == "+43 1 000"

    def test_what_was_on_its_way_to_the_vendor_is_noted_at_the_guest_it_is_about(
        self, joined: Guest, crm: Integration, stub: type[StubProvider], committed: Committed
    ) -> None:
        stub.failures["update_guest_info"] = ProviderUnavailable()
        operations = committed(edit_guest, joined, {"phone": "+43 1 000"})
        other = split_guest(ExternalReference.objects.get(external_id="003", record_type="guest"))
        stub.failures.clear()
        service_for(crm).retry_operation(next(o for o in operations if o.integration == crm))
        other.refresh_from_db()
        assert other.phone == "+43 1 000"

    def test_a_guest_only_one_system_knows_cannot_be_split(self, joined: Guest) -> None:
        reference = ExternalReference.objects.get(external_id="003", record_type="guest")
        split_guest(reference)
        for external_id in ("003", "G1"):
            with pytest.raises(InvalidInput, match="nothing to split"):
                split_guest(ExternalReference.objects.get(external_id=external_id, record_type="guest"))
        assert Guest.live.count() == 2


# --- rejected records ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def rejected(pms: Integration) -> list[RejectedRecord]:
    Feed(pms).run([records.Guest(external_id="G1", email="x" * 300), records.Guest(external_id="G2", email="x" * 300)], stream="guests")
    return list(RejectedRecord.objects.order_by("external_id"))


def reads(
    stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, *found: records.Record, by_id: bool = True
) -> list[records.StreamQuery]:
    """Let the vendor's guests be these; return what it is asked."""
    queries: list[records.StreamQuery] = []

    def guests_of(self: StubProvider, query: records.StreamQuery) -> Any:
        queries.append(query)
        yield records.Page(records=[record for record in found if not query.external_ids or record.external_id in query.external_ids])

    monkeypatch.setattr(stub, "guests", guests_of)
    streams = tuple(stream.model_copy(update={"by_id": by_id}) for stream in stub.manifest.streams)
    monkeypatch.setattr(stub, "manifest", stub.manifest.model_copy(update={"streams": streams}))
    return queries


class TestTryingAgain:
    def test_what_the_vendor_corrected_is_taken_and_the_rest_waits_once(
        self, pms: Integration, rejected: list[RejectedRecord], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queries = reads(stub, monkeypatch, records.Guest(external_id="G1"), records.Guest(external_id="G2", email="x" * 300))
        outcome = retry_rejected(pms)
        assert (outcome.tried, outcome.taken, outcome.left, outcome.waiting) == (2, 1, 1, 0)
        assert [query.external_ids for query in queries] == [("G1", "G2")]
        assert RejectedRecord.objects.get(resolved_at=None).external_id == "G2"
        assert Guest.objects.count() == 1

    def test_only_what_was_chosen_is_read(
        self, pms: Integration, rejected: list[RejectedRecord], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queries = reads(stub, monkeypatch, records.Guest(external_id="G1"), records.Guest(external_id="G2"))
        outcome = retry_rejected(pms, RejectedRecord.objects.filter(pk=rejected[0].pk))
        assert (outcome.tried, outcome.taken, queries[0].external_ids) == (1, 1, ("G1",))
        assert RejectedRecord.objects.get(resolved_at=None).external_id == "G2"

    def test_a_stream_that_is_only_read_whole_is_left_to_a_worker(
        self, pms: Integration, rejected: list[RejectedRecord], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queries = reads(stub, monkeypatch, records.Guest(external_id="G1"), records.Guest(external_id="G2"), by_id=False)
        outcome = retry_rejected(pms)
        assert (outcome.tried, outcome.taken, outcome.left, outcome.waiting, queries) == (2, 0, 0, 2, [])
        assert (outcome.runs[0].mode, outcome.runs[0].status) == (RunMode.FULL, RunStatus.QUEUED)
        outcome = retry_rejected(pms, to_the_end=True)
        assert (outcome.taken, outcome.waiting) == (2, 0)

    def test_many_records_are_read_with_the_stream(
        self, pms: Integration, rejected: list[RejectedRecord], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("integrations.services.rejected.READ_AT_ONCE", 1)
        reads(stub, monkeypatch)
        assert retry_rejected(pms).waiting == 2

    def test_a_vendor_that_is_away_leaves_them_waiting(
        self, pms: Integration, rejected: list[RejectedRecord], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads(stub, monkeypatch)
        stub.failures["guests"] = ProviderUnavailable()

        def away(self: StubProvider, query: records.StreamQuery) -> Any:
            raise ProviderUnavailable()
            yield

        monkeypatch.setattr(stub, "guests", away)
        outcome = retry_rejected(pms)
        assert (outcome.taken, outcome.left, outcome.runs[0].status) == (0, 2, RunStatus.FAILED)

    def test_nothing_to_do_does_nothing(self, pms: Integration, stub: type[StubProvider]) -> None:
        outcome = retry_rejected(pms)
        assert (outcome.tried, outcome.runs, stub.calls) == (0, (), [])

    def test_rejections_of_a_stream_that_is_gone_stay(self, pms: Integration, rejected: list[RejectedRecord]) -> None:
        RejectedRecord.objects.update(stream="gone")
        outcome = retry_rejected(pms)
        assert (outcome.tried, outcome.left, outcome.runs) == (2, 2, ())


class TestTryingAgainByCommand:
    @pytest.fixture
    def command(self, pms: Integration, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str]]:
        """Run the command; return its exit code and what it printed."""

        def run(*options: str) -> tuple[int, str]:
            code = 0
            try:
                call_command("retry_rejected", str(pms.pk), *options)
            except SystemExit as ended:
                code = int(ended.code or 0)
            except CommandError as refused:
                return refused.returncode, str(refused)
            return code, capsys.readouterr().out

        return run

    def test_it_reads_them_to_the_end_and_says_truly_how_it_went(
        self, command: Any, rejected: list[RejectedRecord], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads(stub, monkeypatch, records.Guest(external_id="G1"), records.Guest(external_id="G2", email="x" * 300), by_id=False)
        code, printed = command()
        assert (code, printed.splitlines()[-1]) == (3, "Tried 2, taken 1, left 1")
        reads(stub, monkeypatch, records.Guest(external_id="G1"), records.Guest(external_id="G2"))
        code, printed = command("--json")
        assert (code, json.loads(printed)["taken"]) == (0, 1)

    def test_a_dry_run_lists_the_reasons_and_asks_nobody(
        self, command: Any, rejected: list[RejectedRecord], stub: type[StubProvider]
    ) -> None:
        code, printed = command("--dry-run", "--stream", "guests")
        assert (code, stub.calls) == (0, [])
        assert printed.splitlines() == [
            "guests: guest G2: email is longer than 254 characters.",
            "guests: guest G1: email is longer than 254 characters.",
            "Would try 2 again",
        ]
        assert command("--dry-run", "--stream", "rooms")[1] == "Would try 0 again\n"

    def test_a_vendor_that_is_away_is_a_failure(
        self, command: Any, rejected: list[RejectedRecord], stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(self: StubProvider, query: records.StreamQuery) -> Any:
            raise ProviderUnavailable()
            yield

        monkeypatch.setattr(stub, "guests", away)
        code, printed = command()
        assert (code, printed.splitlines()[-1]) == (1, "Tried 2, taken 0, left 2")
        assert "cannot be reached" in printed

    def test_a_paused_integration_is_left_alone(self, command: Any, rejected: list[RejectedRecord]) -> None:
        Integration.objects.update(status="inactive")
        code, printed = command()
        assert code == 1
        assert "Set its status to active" in printed

    def test_nothing_to_do_is_done(self, command: Any) -> None:
        assert command() == (0, "Tried 0, taken 0, left 0\n")
