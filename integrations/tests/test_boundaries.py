"""Exactly at a limit: amounts, versions, times, thresholds, ranges, clocks, and what a ciphertext is bound to."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Model
from django.utils import timezone

from hotels.models import Hotel, MenuVariation, Room
from integrations import records
from integrations.exceptions import DecryptionFailed, InvalidInput, ProviderUnavailable
from integrations.models import Conflict, Integration, RejectedRecord, RunMode, SyncRun, Trigger
from integrations.models.sealed import SealedJSONField
from integrations.sync import health, schedule
from integrations.sync.runner import DELETIONS_WAIT
from integrations.tests.feed import Feed
from integrations.tests.test_sync import item, menu

NOON = datetime(2026, 6, 9, 12, tzinfo=UTC)
TODAY = NOON.date()


@pytest.fixture
def integration(db: None) -> Integration:
    hotel = Hotel.objects.create(name="Grand", slug="grand")
    return Integration.objects.create(
        hotel=hotel, integration_type="pos", provider="square", provider_name="Square", credentials={"a": "1"}, tokens={"b": "2"}
    )


@pytest.fixture
def feed(integration: Integration) -> Feed:
    return Feed(integration)


@pytest.mark.parametrize(
    ("told", "kept"),
    [("14.00005", "14.0001"), ("14.00015", "14.0002"), ("-14.00005", "-14.0001"), ("0.00005", "0.0001"), ("0.00004", "0"), ("2.5", "2.5")],
)
def test_a_tie_is_rounded_alike_everywhere_and_is_nobodys_edit(feed: Feed, told: str, kept: str) -> None:
    feed.run([item(1, price=told)])
    assert MenuVariation.objects.get().price == Decimal(kept)
    feed.run([item(1, price="20")])
    assert MenuVariation.objects.get().price == Decimal(20)
    feed.run([item(1, price=told)])
    assert MenuVariation.objects.get().price == Decimal(kept)
    assert not Conflict.objects.exists()


@pytest.mark.parametrize("price", ["999999999999.9999", "-999999999999.9999"])
def test_the_largest_amount_is_stored(feed: Feed, price: str) -> None:
    assert feed.run([item(1, price=price)]).status == "succeeded"


@pytest.mark.parametrize("price", ["1000000000000", "999999999999.99995", "-999999999999.99995", "1e30", "NaN"])
def test_an_amount_beyond_is_rejected_and_its_neighbour_stored(feed: Feed, price: str) -> None:
    run = feed.run([item(1, price=price), item(2)])
    assert (run.status, run.created_count, run.rejected_count) == ("partial", 1, 1)
    assert RejectedRecord.objects.get().external_id == "I1"


@pytest.mark.parametrize(
    ("stamps", "wins"),
    [
        (({"version": 7}, {"version": 7}), "second"),
        (({"version": 7}, {"version": 6}), "first"),
        (({"updated_at": NOON}, {"updated_at": NOON}), "second"),
        (({"updated_at": NOON}, {"updated_at": NOON - timedelta(microseconds=1)}), "first"),
        (({"version": 7, "updated_at": NOON}, {"version": 8, "updated_at": NOON - timedelta(days=1)}), "second"),
        (({"version": 7}, {}), "second"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_only_what_is_older_comes_too_late(feed: Feed, stamps: tuple[dict[str, Any], ...], wins: str, together: bool) -> None:
    told = [
        records.Room(external_id="r1", number="1", floor=name, **stamp) for name, stamp in zip(("first", "second"), stamps, strict=True)
    ]
    for page in [told] if together else [told[:1], told[1:]]:
        feed.run(page, stream="rooms")
    assert Room.objects.get().floor == wins


@pytest.mark.parametrize(
    ("before", "gone", "waits"),
    [(40, 10, False), (40, 12, False), (40, 13, True), (36, 11, True), (37, 11, False), (20, 10, False), (20, 11, True)],
)
def test_a_comparison_waits_beyond_a_share_and_a_number(feed: Feed, before: int, gone: int, waits: bool) -> None:
    feed.run(menu(*range(before)))
    run = feed.run(menu(*range(gone, before)))
    assert (run.error_code, run.deleted_count) == ((DELETIONS_WAIT, 0) if waits else ("", gone))


def test_a_deletion_told_twice_counts_once(feed: Feed) -> None:
    feed.run([records.Room(external_id="r1", number="1")], stream="rooms")
    gone = records.Room(external_id="r1", number="1", deleted=True)
    assert feed.run([gone, gone], stream="rooms", mode=RunMode.INCREMENTAL).deleted_count == 1
    archived_at = Room.objects.get().archived_at
    assert archived_at is not None
    assert feed.run([gone], stream="rooms", mode=RunMode.INCREMENTAL).deleted_count == 0
    assert Room.objects.get().archived_at == archived_at


def test_a_last_page_without_a_cursor_leaves_the_one_before(feed: Feed) -> None:
    pages = records.Page(records=menu(1), checkpoint={"page": 0}, cursor={"at": "1"}), records.Page(records=menu(2), checkpoint={"page": 1})
    feed.run(*pages, slowly=True)
    feed.run(menu(3), mode=RunMode.INCREMENTAL)
    assert feed.queries[-1].cursor == {"at": "1"}


def test_a_failed_full_run_goes_on_over_records_known_before(feed: Feed) -> None:
    feed.run(menu(1, 2, 3))
    failed = feed.run(menu(1), ProviderUnavailable(), mode=RunMode.FULL)
    assert failed.status == "failed"
    again = feed.run(menu(2))
    assert (again.pk, again.status, again.deleted_count) == (failed.pk, "succeeded", 1)
    assert [query.checkpoint for query in feed.queries][2:3] == [{"page": 0}]
    assert set(MenuVariation.objects.filter(archived_at=None).values_list("name", "item__name")) == {
        ("Regular", "Dish 1"),
        ("Regular", "Dish 2"),
    }


@pytest.mark.parametrize("moved", [{"since": TODAY - timedelta(days=1)}, {"until": TODAY + timedelta(days=3)}, {"until": None}])
def test_a_failed_backfill_is_not_resumed_for_another_range(integration: Integration, moved: dict[str, Any]) -> None:
    asked = {"since": TODAY, "until": TODAY + timedelta(days=2)}
    failed = SyncRun.objects.create(
        integration=integration, stream="menus", mode="backfill", status="failed", error_code="provider_unavailable",
        page_count=3, finished_at=timezone.now(), **asked,
    )  # fmt: skip
    run, _ = schedule.open_run(integration, "menus", mode=RunMode.BACKFILL, trigger=Trigger.API, **asked | moved)
    assert run.pk != failed.pk
    SyncRun.objects.filter(pk=run.pk).delete()
    assert schedule.open_run(integration, "menus", mode=RunMode.BACKFILL, trigger=Trigger.API, **asked)[0] == failed


@pytest.mark.parametrize(
    ("status", "pages", "becomes"), [("queued", 0, "full"), ("queued", 1, "incremental"), ("running", 0, "incremental")]
)
def test_full_widens_only_a_run_that_has_not_begun(integration: Integration, status: str, pages: int, becomes: str) -> None:
    begun = SyncRun.objects.create(integration=integration, stream="menus", status=status, page_count=pages)
    run, is_new = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
    assert (run, is_new, run.mode) == (begun, False, becomes)


@pytest.mark.parametrize(
    ("zone", "now", "due"),
    [
        ("Pacific/Auckland", datetime(2026, 6, 9, 12, tzinfo=UTC), datetime(2026, 6, 9, 16, 30, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2026, 6, 9, 12, tzinfo=UTC), datetime(2026, 6, 10, 11, 30, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2026, 1, 9, 12, tzinfo=UTC), datetime(2026, 1, 9, 12, 30, tzinfo=UTC)),
        ("UTC", datetime(2026, 6, 9, 4, 30, tzinfo=UTC), datetime(2026, 6, 10, 4, 30, tzinfo=UTC)),
    ],
)
def test_a_cron_line_means_the_hotels_clock(
    integration: Integration, monkeypatch: pytest.MonkeyPatch, zone: str, now: datetime, due: datetime
) -> None:
    integration.hotel.time_zone = zone
    integration.sync_settings = {"auto_sync": True, "sync_interval": "30 4 * * *"}
    for lot in (0.0, 1.0):
        monkeypatch.setattr(schedule.random, "random", lambda lot=lot: lot)
        assert schedule.next_sync_at(integration, now) == due + lot * min((due - now) / 10, timedelta(minutes=10))


@pytest.mark.parametrize(
    ("interval", "after"),
    [("hourly", {"hours": 1}), ("daily", {"days": 1}), ("weekly", {"days": 7}), (5, {"minutes": 5}), ("525600", {"days": 365})],
)
@pytest.mark.parametrize("lot", [0.0, 1.0])
def test_an_interval_is_kept_and_spread_by_a_tenth_at_most_ten_minutes(
    integration: Integration, monkeypatch: pytest.MonkeyPatch, interval: Any, after: dict[str, int], lot: float
) -> None:
    monkeypatch.setattr(schedule.random, "random", lambda: lot)
    integration.sync_settings = {"auto_sync": True, "sync_interval": interval}
    spread = min(timedelta(**after) / 10, timedelta(minutes=10)) * lot
    assert schedule.next_sync_at(integration, NOON) == NOON + timedelta(**after) + spread


@pytest.mark.parametrize("interval", [4, 525_601, "4", "-5", True, 5.5, "0 25 * * *", "soon", None, "٣٠"])
def test_an_interval_that_cannot_be_kept_is_refused(interval: Any) -> None:
    with pytest.raises(InvalidInput, match="sync_interval"):
        schedule.check_settings({"sync_interval": interval})


@pytest.mark.parametrize("auto", ["true", 1, None])
def test_syncing_by_itself_is_yes_or_no(auto: Any) -> None:
    with pytest.raises(InvalidInput, match="auto_sync"):
        schedule.check_settings({"auto_sync": auto})


def test_who_does_not_sync_by_itself_is_never_due(integration: Integration) -> None:
    integration.sync_settings = {"sync_interval": "hourly"}
    assert schedule.next_sync_at(integration, NOON) is None


@pytest.mark.parametrize(("ago", "resumed"), [(59, True), (61, False)])
@pytest.mark.parametrize(
    ("error_code", "pages", "is_resumable"),
    [
        ("rate_limited", 1, True),
        ("circuit_open", 1, True),
        ("provider_busy", 1, True),
        ("request_rejected", 1, False),
        ("rate_limited", 0, False),
    ],
)
def test_only_a_fresh_failure_of_the_vendors_is_gone_on_with(
    integration: Integration, ago: int, resumed: bool, error_code: str, pages: int, is_resumable: bool
) -> None:
    failed = SyncRun.objects.create(
        integration=integration, stream="menus", mode="full", status="failed", error_code=error_code, error_message="Busy.", hint="Wait.",
        page_count=pages, attempts=5, finished_at=timezone.now() - timedelta(minutes=ago),
    )  # fmt: skip
    run, is_new = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API)
    assert (run == failed, is_new) == (resumed and is_resumable, True)
    assert (run.status, run.attempts, run.error_code, run.error_message, run.hint, run.finished_at) == ("queued", 0, "", "", "", None)


@pytest.mark.parametrize(("was", "asked"), [(False, True), (True, False), (True, True)])
def test_deletions_confirmed_once_stay_confirmed_for_a_run_that_waits(integration: Integration, was: bool, asked: bool) -> None:
    SyncRun.objects.create(integration=integration, stream="menus", status="queued", mode="full", confirm_deletions=was)
    run, _ = schedule.open_run(integration, "menus", mode=RunMode.FULL, trigger=Trigger.API, confirm_deletions=asked)
    assert run.confirm_deletions


@pytest.mark.parametrize(("attempts", "ceiling"), [(0, 5), (1, 5), (2, 10), (5, 80), (8, 640), (9, 900), (60, 900)])
def test_a_backoff_doubles_and_ends(monkeypatch: pytest.MonkeyPatch, attempts: int, ceiling: int) -> None:
    asked = []
    monkeypatch.setattr(health.random, "uniform", lambda low, high: asked.append((low, high)) or high)
    assert health.backoff(attempts) == timedelta(seconds=ceiling)
    assert asked == [(1, ceiling)]


def test_what_a_vendor_said_of_a_rejected_record_is_shown_as_it_was_said() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    said = {
        "price": Decimal("1.50"),
        "day": TODAY,
        "at": NOON,
        7: (1, [2.5, None]),
        "is_open": True,
        "odd": Odd(),
        "name_of_dish": "Omelette",
    }
    assert health.shown(said) == {
        "price": "1.50",
        "day": "2026-06-09",
        "at": "2026-06-09 12:00:00+00:00",
        "7": [1, [2.5, None]],
        "is_open": True,
        "odd": "<odd>",
        "name_of_dish": "Omelette",
    }


SEALED = [
    pytest.param(model, field.attname, id=f"{model.__name__} {field.attname}")
    for model in apps.get_models()
    for field in model._meta.concrete_fields
    if isinstance(field, SealedJSONField)
]


@pytest.fixture
def sealed_rows(integration: Integration) -> Callable[[type[Model]], list[Any]]:
    """Make a row of a model at each of three integrations, two of one hotel and one of another."""

    def make(model: type[Model]) -> list[Any]:
        other = Hotel.objects.create(name="Other", slug="other")
        integrations = [integration]
        for hotel in (integration.hotel, other):
            facts = {
                "integration_type": "pos",
                "provider": "square",
                "provider_name": "Square",
                "credentials": {"c": "3"},
                "tokens": {"d": "4"},
            }
            integrations.append(Integration.objects.create(hotel=hotel, **facts))
        if model is Integration:
            return integrations
        return [model.objects.create(integration=one, secret={"secret": "of " + str(one.pk)}) for one in integrations]

    return make


@pytest.mark.parametrize(("model", "name"), SEALED)
def test_a_ciphertext_opens_in_its_own_row_and_field_alone(sealed_rows: Any, model: type[Model], name: str) -> None:
    first, *others = sealed_rows(model)
    stored = model.objects.values_list(name, flat=True).get(pk=first.pk)
    assert getattr(model.objects.get(pk=first.pk), name).reveal()
    for other in others:
        for place in [param.values[1] for param in SEALED if param.values[0] is model]:
            model.objects.filter(pk=other.pk).update(**{place: stored})
            with pytest.raises(DecryptionFailed):
                getattr(model.objects.get(pk=other.pk), place).reveal()


@pytest.mark.parametrize(("model", "name"), SEALED)
def test_a_row_that_moves_takes_no_secret_along(sealed_rows: Any, model: type[Model], name: str) -> None:
    first, _, foreign = sealed_rows(model)
    owner = "hotel" if model is Integration else "integration"
    model.objects.filter(pk=first.pk).update(**{owner: getattr(foreign, owner)})
    with pytest.raises(DecryptionFailed):
        getattr(model.objects.get(pk=first.pk), name).reveal()


def test_a_ciphertext_opens_in_no_other_field_of_its_row(integration: Integration) -> None:
    stored = Integration.objects.values_list("credentials", flat=True).get()
    Integration.objects.update(tokens=stored)
    with pytest.raises(DecryptionFailed):
        Integration.objects.get().tokens.reveal()


def test_every_sealed_field_is_looked_at() -> None:
    assert {param.id for param in SEALED} >= {"Integration credentials", "Integration tokens", "WebhookSecret secret"}
