"""Renewing an access token: one worker does it, the others wait for it, and nothing is lost."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from hotels.models import Hotel
from integrations.exceptions import AuthenticationFailed
from integrations.models import Integration
from integrations.services.tokens import RowTokenStore
from integrations.transport.auth import Token
from tests.threads import at_once


def make_integration() -> Integration:
    hotel = Hotel.objects.create(name="Grand", slug="grand")
    integration = Integration.objects.create(hotel=hotel, integration_type="pos", provider="square", provider_name="Square")
    integration.tokens = Token(access_token="old", refresh_token="single-use-1").to_json()
    integration.save()
    return integration


@pytest.fixture
def store(db: None) -> RowTokenStore:
    return RowTokenStore(make_integration().pk)


def test_the_new_token_is_stored_sealed(store: RowTokenStore) -> None:
    store.renew(store.load(), lambda current: Token(access_token="new", refresh_token="single-use-2"))
    assert store.load().refresh_token == "single-use-2"
    assert "single-use" not in Integration.objects.values_list("tokens", flat=True).get()


def test_a_token_another_worker_renewed_is_taken_as_it_is(store: RowTokenStore) -> None:
    stale = store.load()
    store.renew(stale, lambda current: Token(access_token="new"))
    assert store.renew(stale, _must_not_be_called).access_token == "new"


def test_a_failed_renewal_lets_the_next_worker_try(store: RowTokenStore) -> None:
    def refused(current: Token | None) -> Token:
        raise AuthenticationFailed()

    with pytest.raises(AuthenticationFailed):
        store.renew(store.load(), refused)
    assert store.renew(store.load(), lambda current: Token(access_token="new")).access_token == "new"


def test_a_worker_that_died_while_it_renewed_holds_nobody_up_for_ever(store: RowTokenStore) -> None:
    Integration.objects.update(token_lease_until=timezone.now() - timedelta(seconds=1))
    assert store.renew(store.load(), lambda current: Token(access_token="new")).access_token == "new"


def _must_not_be_called(current: Token | None) -> Token:
    raise AssertionError("a second refresh would spend the single-use token twice")


@pytest.mark.django_db(transaction=True)
def test_twenty_workers_meeting_an_expired_token_refresh_it_once() -> None:
    pk = make_integration().pk
    stale = RowTokenStore(pk).load()
    spent: list[str] = []
    got: list[str] = []

    def obtain(current: Token | None) -> Token:
        spent.append(current.refresh_token)
        time.sleep(0.05)
        return Token(access_token="new", refresh_token="single-use-2")

    def work() -> None:
        got.append(RowTokenStore(pk, sleep=lambda _: time.sleep(0.02)).renew(stale, obtain).access_token)

    assert at_once(20, work) == []
    assert spent == ["single-use-1"]
    assert got == ["new"] * 20
