"""Who may do what, and the querysets that show a user only their hotels. Every door reads through here.

A superuser sees every hotel. For everybody else another hotel's object answers as one that never existed: querysets are
filtered before they are searched, and only then is the role asked.
"""

from typing import TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, OuterRef, QuerySet, Subquery, Value

from hotels.models import Hotel, Membership, Role

M = TypeVar("M", bound=Model)
User = AbstractBaseUser | AnonymousUser

RANK = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.MANAGER: 3}


def hotels_of(user: User, role: Role = Role.VIEWER) -> QuerySet[Hotel]:
    """Return the hotels in which `user` has `role` or more."""
    if not user.is_active:
        return Hotel.objects.none()
    if user.is_superuser:
        return Hotel.objects.all()
    enough = [r for r, rank in RANK.items() if rank >= RANK[role]]
    return Hotel.objects.filter(pk__in=Membership.objects.filter(user=user, role__in=enough).values("hotel_id"))


def visible(queryset: QuerySet[M], user: User, path: str = "hotel", role: Role = Role.VIEWER) -> QuerySet[M]:
    """Keep the rows of `user`'s hotels; `path` leads from the row to its hotel (`integration__hotel`)."""
    if user.is_active and user.is_superuser:
        return queryset
    return queryset.filter(**{f"{path}__in": hotels_of(user, role)})


def may(user: User, hotel_id: int, role: Role) -> bool:
    """Say whether `user` has `role` or more in that hotel."""
    return hotels_of(user, role).filter(pk=hotel_id).exists()


def with_role(hotels: QuerySet[Hotel], user: User) -> QuerySet[Hotel]:
    """Add to each hotel the `role` that `user` has there."""
    if user.is_superuser:
        return hotels.annotate(role=Value(Role.MANAGER))
    own = Membership.objects.filter(user=user, hotel=OuterRef("pk"))
    return hotels.annotate(role=Subquery(own.values("role")[:1]))
