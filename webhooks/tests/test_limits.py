"""Rates and the one line a minute, kept over several processes that share nothing but the cache."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured

from hotels.rates import parse_rate
from integrations.exceptions import SignatureMismatch, SignatureMissing
from integrations.models import IntegrationLog
from tests.threads import at_once
from webhooks.exceptions import BodyUnreadable
from webhooks.limits import Limiter, Sender
from webhooks.refusals import Refusals
from webhooks.tests.conftest import Connect

VENDOR = Sender(1, "pms", "192.0.2.7")


class Clock:
    now = 1_000_060.0  # twenty seconds before a minute ends

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared() -> Iterator[LocMemCache]:
    """Memory stands in for the shared cache: what is tested is how the counter is used."""
    memory = LocMemCache("webhook-limits", {})
    memory.clear()
    yield memory
    memory.clear()


@pytest.mark.parametrize("limit", [1, 7, 100, 1234])
def test_all_processes_together_admit_exactly_the_rate(shared: LocMemCache, clock: Clock, settings: Any, limit: int) -> None:
    settings.WEBHOOK_RATES = {"pms": f"{limit}/m"}
    processes = [Limiter(shared, clock) for _ in range(4)]
    admitted = sum(processes[number % 4].spend(VENDOR)[0] for number in range(limit + 4 * 20))
    assert admitted == limit
    assert processes[0].spend(VENDOR) == (0, 20)
    clock.now += 20
    assert processes[0].spend(VENDOR, 5) == (min(limit, 5), 60)


def test_integrations_do_not_share_a_rate(shared: LocMemCache, clock: Clock, settings: Any) -> None:
    settings.WEBHOOK_RATES = {"pms": "1/m"}
    limiter = Limiter(shared, clock)
    assert [limiter.spend(VENDOR._replace(integration_id=number))[0] for number in (1, 2, 1)] == [1, 1, 0]


def test_counter_is_asked_a_hundred_times_a_window_not_once_a_delivery(shared: LocMemCache, clock: Clock, settings: Any) -> None:
    settings.WEBHOOK_RATES = {"pms": "1000/m"}
    taken: list[int] = []
    incr = shared.incr
    shared.incr = lambda key, delta: taken.append(delta) or incr(key, delta)  # type: ignore[method-assign]
    limiter = Limiter(shared, clock)
    assert sum(limiter.spend(VENDOR, 25)[0] for _ in range(40)) == 1000
    assert sorted(taken) == [10] * 100 + [40] * 25


def test_what_is_at_hand_is_counted_without_asking(shared: LocMemCache, clock: Clock, settings: Any) -> None:
    settings.WEBHOOK_RATES = {"pms": "1000/m"}
    limiter, other = Limiter(shared, clock), VENDOR._replace(address="203.0.113.9")
    assert not limiter.spend_at_hand({VENDOR: 1})
    assert limiter.spend(VENDOR)[0] == 1  # which takes ten for the address and forty for the integration
    shared.incr = None  # type: ignore[method-assign,assignment]
    assert [limiter.spend_at_hand(counts) for counts in ({VENDOR: 10}, {other: 1}, {VENDOR: 5, other: 1}, {VENDOR: 9}, {VENDOR: 1})] == [
        False, False, False, True, False,
    ]  # fmt: skip
    clock.now += 60
    assert not limiter.spend_at_hand({VENDOR: 1})


def test_all_addresses_together_send_four_times_what_one_may(shared: LocMemCache, clock: Clock, settings: Any) -> None:
    settings.WEBHOOK_RATES = {"pms": "10/m"}
    limiter = Limiter(shared, clock)
    senders = [VENDOR._replace(address=f"192.0.2.{number}") for number in range(6)]
    assert [limiter.spend(sender, 11)[0] for sender in senders] == [10, 10, 10, 10, 0, 0]


def test_senders_that_are_gone_do_not_fill_the_memory(shared: LocMemCache, clock: Clock, settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("hotels.rates.MAX_COUNTED", 50)
    settings.WEBHOOK_RATES = {"pms": "10/m"}
    limiter = Limiter(shared, clock)
    for number in range(500):
        limiter.spend(VENDOR._replace(address=f"192.0.2.{number}"))
    assert len(limiter._windows) <= 50


def test_counter_that_fails_loses_no_delivery(clock: Clock, settings: Any) -> None:
    class Down(LocMemCache):
        def add(self, *args: Any, **kwargs: Any) -> bool:
            raise ConnectionError

    settings.WEBHOOK_RATES = {"pms": "1/m"}
    limiter = Limiter(Down("down", {}), clock)
    assert limiter.spend(VENDOR, 3)[0] == 3


@pytest.mark.django_db(transaction=True)
def test_database_cache_counts_atomically_over_threads(clock: Clock, settings: Any) -> None:
    settings.WEBHOOK_RATES = {"pms": "50/m"}
    sender = VENDOR._replace(integration_id=77)
    cache.delete_many([f"webhooks:rate:{key}:{int(clock.now // 60)}" for key in ("77", "77:192.0.2.7")])
    admitted: list[int] = []

    def process() -> None:
        limiter = Limiter(cache, clock)
        admitted.append(sum(limiter.spend(sender)[0] for _ in range(30)))

    assert at_once(4, process) == []
    assert sum(admitted) == 50


@pytest.mark.parametrize("text", ["", "10", "10/h", "ten/m", "0/m", "-1/s", "1.5/m"])
def test_rate_that_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        parse_rate(text)


@pytest.mark.django_db
def test_refusals_cost_one_line_a_minute_over_all_processes(connect: Connect, shared: LocMemCache, clock: Clock) -> None:
    integration = connect()
    first, second = Refusals(shared, clock), Refusals(shared, clock)
    for _ in range(500):
        for process in (first, second):
            process.note(integration.pk, SignatureMismatch(), "10.0.0.9", "body")
            if process.is_due:
                process.write()
    first.note(integration.pk, SignatureMissing(), "10.0.0.8")
    line = IntegrationLog.objects.get()
    assert (line.error_code, line.records_failed, line.request_data) == ("signature_mismatch", 1, {"addresses": {"10.0.0.9": 1}})
    clock.now += 61
    shared.clear()  # a minute later it would have lapsed
    assert first.is_due
    first.write()
    assert IntegrationLog.objects.latest("id").response_data == {"reasons": {"signature_mismatch": 499, "signature_missing": 1}}
    assert IntegrationLog.objects.count() == 2


@pytest.mark.django_db
def test_addresses_and_reasons_of_a_flood_do_not_fill_the_memory(connect: Connect, shared: LocMemCache, clock: Clock) -> None:
    refusals = Refusals(shared, clock)
    for number in range(1000):
        refusals.note(1, BodyUnreadable(f"Number {number} is wrong."), f"10.0.{number // 256}.{number % 256}")
    assert (len(refusals._waiting[1].addresses), len(refusals._waiting[1].checks)) == (20, 51)
