"""Rooms, and who stays in them. The property management system tells; nothing is changed here."""

from django.contrib import admin

from hotels.admin.base import ArchiveFilter, HotelFilter, VendorRecordAdmin, colours, state_column
from hotels.models import Housekeeping, Occupancy, Reservation, ReservationStatus, Room

HOUSEKEEPING_COLOURS = colours(
    Housekeeping, clean="success", inspected="success", dirty="warning", pickup="warning", out_of_order="danger", out_of_service="danger"
)
RESERVATION_COLOURS = colours(
    ReservationStatus, in_house="success", reserved="info", requested="info", waitlisted="warning", cancelled="danger", no_show="danger"
)


@admin.register(Room)
class RoomAdmin(VendorRecordAdmin):
    list_display = ("number", "room_type", "floor", "housekeeping_label", "occupancy_label", "hotel", "state")
    list_filter = (HotelFilter, ArchiveFilter, "housekeeping", "occupancy")
    search_fields = ("number", "room_type")
    search_help_text = "Search by number or type"
    fieldsets = (
        (None, {"fields": ("hotel", "number", "room_type", "floor")}),
        ("Now", {"fields": ("housekeeping_label", "housekeeping_original", "occupancy_label", "discrepancy", "archived", "changed")}),
    )

    housekeeping_label = state_column("housekeeping", HOUSEKEEPING_COLOURS, "Housekeeping")

    occupancy_label = state_column("occupancy", colours(Occupancy, occupied="info"), "Occupancy")

    @admin.display(description="Seen by housekeeping")
    def discrepancy(self, room: Room) -> str:
        seen = room.get_observed_occupancy_display()
        if Occupancy.UNKNOWN in (room.observed_occupancy, room.occupancy) or room.observed_occupancy == room.occupancy:
            return str(seen)
        return f"{seen}, which differs from the front office: check the room."


@admin.register(Reservation)
class ReservationAdmin(VendorRecordAdmin):
    list_display = ("__str__", "guest", "room_number", "arrival_date", "departure_date", "status_label", "hotel", "state")
    list_filter = (HotelFilter, ArchiveFilter, "status")
    list_select_related = ("hotel", "guest")
    search_fields = ("confirmation_number", "room_number", "guest__family_name")
    search_help_text = "Search by confirmation number, room or family name"
    fieldsets = (
        (None, {"fields": ("hotel", "confirmation_number", "status_label", "status_original", "guest", "came_along")}),
        ("Stay", {"fields": ("arrival_date", "departure_date", "room_number", "room_type", "adults", "children")}),
        ("Money", {"fields": ("rate_amount", "balance", "currency")}),
        ("Record", {"fields": ("archived", "changed")}),
    )

    status_label = state_column("status", RESERVATION_COLOURS, "Status")

    @admin.display(description="Came along")
    def came_along(self, reservation: Reservation) -> str:
        return ", ".join(map(str, reservation.companions.all())) or "Nobody"
