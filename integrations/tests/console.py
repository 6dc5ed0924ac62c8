"""What the tests of the console share: people who sign in, and every address it has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from hotels.admin.base import HotelAdmin
from hotels.models import Hotel, Membership, Role
from hotels.tests.people import NOWHERE

OURS = sorted(
    (model for model, screen in admin.site._registry.items() if isinstance(screen, HotelAdmin)), key=lambda model: model._meta.label
)
"""Every model whose rows belong to a hotel."""


def sign_in(
    role: Role | None = Role.MANAGER, hotel: Hotel | None = None, *, also: Mapping[Hotel, Role] = NOWHERE, superuser: bool = False
) -> Client:
    """Return the browser of somebody with a role in a hotel, and in others `also`; without a hotel, of staff who belong to none."""
    user = User.objects.create_user(f"{role or 'root'}-{User.objects.count()}", is_staff=True, is_superuser=superuser)
    for place, rank in (*([(hotel, role)] if hotel and role else []), *also.items()):
        Membership.objects.create(user=user, hotel=place, role=rank)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    client.user = user
    return client


@dataclass(frozen=True)
class Address:
    """One address of a model's screens."""

    name: str
    ids: tuple[str, ...]

    def fill(self, pk: int) -> str:
        """Return the path for one row; an operation's page is that of voiding a check."""
        return reverse(f"admin:{self.name}", args=[pk, *["void_check"][: len(self.ids) - 1]] if self.ids else [])

    @property
    def is_of_a_row(self) -> bool:
        return bool(self.ids)


def addresses(model: type[Model]) -> Iterator[Address]:
    for pattern in admin.site._registry[model].get_urls():
        if pattern.name and "_" in pattern.name:
            yield Address(pattern.name, tuple(pattern.pattern.converters))


def row_of(model: type[Model], hotel: Hotel) -> Any:
    """Return one of the hotel's rows of a model."""
    path = admin.site._registry[model].hotel_path  # type: ignore[attr-defined]
    return model._default_manager.filter(**{path: hotel.pk}).first()
