"""Fixtures for the tests of every door: two hotels, and people with each role who call with a token. A conftest imports them."""

import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest
from django.contrib.auth.models import User
from django.core.cache.backends.locmem import LocMemCache
from rest_framework.test import APIClient

from hotels.models import ApiToken, Hotel, Membership, Role
from hotels.rates import Rates

__all__ = ["caller", "hotel", "manager", "operator", "other_hotel", "viewer"]

Caller = Callable[..., APIClient]
NOWHERE: Mapping[Hotel, Role] = MappingProxyType({})


@pytest.fixture
def hotel(db: None) -> Hotel:
    return Hotel.objects.create(name="Miramar", slug="miramar", currency="EUR", time_zone="Europe/Lisbon")


@pytest.fixture
def other_hotel(db: None) -> Hotel:
    return Hotel.objects.create(name="Belvedere", slug="belvedere", currency="EUR")


@pytest.fixture
def caller(db: None, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Make a client of somebody with a role in a hotel, and in others `also`; without a hotel, of somebody who belongs to none."""

    monkeypatch.setattr("hotels.api.rates._rates", Rates(LocMemCache(uuid.uuid4().hex, {})))  # nothing is left of another test's rate

    def make(role: Role = Role.MANAGER, hotel: Hotel | None = None, *, also: Mapping[Hotel, Role] = NOWHERE) -> APIClient:
        user = User.objects.create_user(f"{role}-{User.objects.count()}")
        for place, rank in (*([(hotel, role)] if hotel else []), *also.items()):
            Membership.objects.create(user=user, hotel=place, role=rank)
        client = APIClient(raise_request_exception=False)
        client.default_format = "json"
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {ApiToken.objects.create(user)[1]}")
        client.user = user
        return client

    return make


@pytest.fixture
def manager(caller: Caller, hotel: Hotel) -> APIClient:
    return caller(Role.MANAGER, hotel)


@pytest.fixture
def operator(caller: Caller, hotel: Hotel) -> APIClient:
    return caller(Role.OPERATOR, hotel)


@pytest.fixture
def viewer(caller: Caller, hotel: Hotel) -> APIClient:
    return caller(Role.VIEWER, hotel)
