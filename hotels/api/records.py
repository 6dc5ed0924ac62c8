"""A hotel's records, read: lists of what is current, and each one by its id for as long as it is kept."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.viewsets import ReadOnlyModelViewSet

from hotels import access
from hotels.api import filters, serializers
from hotels.api.base import find
from hotels.models import (
    ChatMessage,
    Feedback,
    Guest,
    GuestCheck,
    Hotel,
    MenuCategory,
    MenuItem,
    MenuVariation,
    Notification,
    Reservation,
    Room,
)


@extend_schema(tags=["hotels"])
class Hotels(ReadOnlyModelViewSet):
    """The hotels you may see, and what you may do there."""

    queryset = Hotel.objects.all()
    serializer_class = serializers.HotelSerializer

    def get_queryset(self) -> QuerySet[Hotel]:
        return access.with_role(access.hotels_of(self.request.user), self.request.user)


@extend_schema(tags=["hotels"])
class Records(ReadOnlyModelViewSet):
    """Base of a hotel's records. What is archived leaves the list; asked for by its id it is shown with `archived_at`."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.hotel = find(access.hotels_of(request.user), pk=kwargs["hotel_id"])

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        queryset = queryset.filter(hotel=self.hotel)
        return super().filter_queryset(queryset.filter(archived_at=None)) if self.action == "list" else queryset


class MenuCategories(Records):
    """Categories of the menu."""

    queryset = MenuCategory.objects.all()
    serializer_class = serializers.MenuCategorySerializer


class MenuItems(Records):
    """Items of the menu, with variations and prices, choices and taxes."""

    queryset = MenuItem.objects.prefetch_related(Prefetch("variations", MenuVariation.live.all()), "modifier_lists", "taxes")
    serializer_class = serializers.MenuItemSerializer
    filterset_class = filters.MenuItemFilter


class Rooms(Records):
    """Rooms, as housekeeping and the front office have them."""

    queryset = Room.objects.all()
    serializer_class = serializers.RoomSerializer
    filterset_class = filters.RoomFilter


class Guests(Records):
    """Guests, by family name."""

    queryset = Guest.objects.all()
    serializer_class = serializers.GuestSerializer
    filterset_class = filters.GuestFilter


class Reservations(Records):
    """Reservations, latest arrival first."""

    queryset = Reservation.objects.select_related("guest").prefetch_related("companions")
    serializer_class = serializers.ReservationSerializer
    filterset_class = filters.ReservationFilter


class Checks(Records):
    """Guest checks with their lines, newest first."""

    queryset = GuestCheck.objects.prefetch_related("lines")
    serializer_class = serializers.GuestCheckSerializer
    filterset_class = filters.CheckFilter


class FeedbackRecords(Records):
    """What guests thought, newest first."""

    queryset = Feedback.objects.all()
    serializer_class = serializers.FeedbackSerializer
    filterset_class = filters.FeedbackFilter


class ChatMessages(Records):
    """What guests and staff wrote to each other, newest first."""

    queryset = ChatMessage.objects.all()
    serializer_class = serializers.ChatMessageSerializer
    filterset_class = filters.ChatMessageFilter


class Notifications(Records):
    """What guests were told, newest first."""

    queryset = Notification.objects.all()
    serializer_class = serializers.NotificationSerializer
    filterset_class = filters.NotificationFilter
