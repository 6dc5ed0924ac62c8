"""What the lists of a hotel's records can be filtered by."""

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from hotels.api.lists import BooleanFilter, ChoiceFilter, IdFilter, MomentFilter
from hotels.models import (
    CheckStatus,
    Housekeeping,
    MenuItem,
    NotificationStatus,
    Occupancy,
    ReservationStatus,
    SenderType,
)


class MenuItemFilter(filters.FilterSet):
    category_id = IdFilter()
    is_available = BooleanFilter(method="for_sale")
    name = filters.CharFilter(lookup_expr="icontains", help_text="Part of the name.")

    def for_sale(self, items: QuerySet[MenuItem], name: str, wanted: bool) -> QuerySet[MenuItem]:
        return items.filter(MenuItem.for_sale()) if wanted else items.exclude(MenuItem.for_sale())


class RoomFilter(filters.FilterSet):
    number = filters.CharFilter()
    housekeeping = ChoiceFilter(choices=Housekeeping)
    occupancy = ChoiceFilter(choices=Occupancy)


class ReservationFilter(filters.FilterSet):
    status = ChoiceFilter(choices=ReservationStatus)
    guest_id = IdFilter()
    room_number = filters.CharFilter()
    confirmation_number = filters.CharFilter()
    arrival_from = filters.DateFilter(field_name="arrival_date", lookup_expr="gte")
    arrival_until = filters.DateFilter(field_name="arrival_date", lookup_expr="lte")


class GuestFilter(filters.FilterSet):
    family_name = filters.CharFilter(lookup_expr="istartswith", help_text="Beginning of the name.")
    email = filters.CharFilter()
    phone = filters.CharFilter()
    is_vip = BooleanFilter()


class CheckFilter(filters.FilterSet):
    status = ChoiceFilter(choices=CheckStatus)
    guest_id = IdFilter()
    room_number = filters.CharFilter()
    since = MomentFilter(field_name="created_at", lookup_expr="gte")
    until = MomentFilter(field_name="created_at", lookup_expr="lt")


class FeedbackFilter(filters.FilterSet):
    guest_id = IdFilter()
    room_number = filters.CharFilter()
    rating = ChoiceFilter(choices=[(n, n) for n in range(1, 6)])
    since = MomentFilter(field_name="submitted_at", lookup_expr="gte")
    until = MomentFilter(field_name="submitted_at", lookup_expr="lt")


class ChatMessageFilter(filters.FilterSet):
    guest_id = IdFilter()
    room_number = filters.CharFilter()
    sender_type = ChoiceFilter(choices=SenderType)
    since = MomentFilter(field_name="sent_at", lookup_expr="gte")
    until = MomentFilter(field_name="sent_at", lookup_expr="lt")


class NotificationFilter(filters.FilterSet):
    guest_id = IdFilter()
    room_number = filters.CharFilter()
    status = ChoiceFilter(choices=NotificationStatus)
    since = MomentFilter(field_name="sent_at", lookup_expr="gte")
    until = MomentFilter(field_name="sent_at", lookup_expr="lt")
