"""What the views of every app share: the one that finds nothing, and the one who may not."""

from typing import TypeVar

from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound, PermissionDenied

from hotels import access
from hotels.models import Hotel, Role

M = TypeVar("M", bound=Model)


def find(queryset: QuerySet[M], **key: object) -> M:
    """Return the one row. Another hotel's answers exactly as one that never existed: `queryset` must hold only what the user may see."""
    row = queryset.filter(**key).first()
    if row is None:
        raise NotFound()
    return row


def require(user: access.User, hotel: Hotel, role: Role) -> None:
    """Raise PermissionDenied unless `user` has `role` or more in `hotel`, which they may see."""
    if not access.may(user, hotel.pk, role):
        raise PermissionDenied(f"This takes the role of {role.value} in {hotel}. Ask a manager of the hotel for it.")
