"""The tenant and its own records. No vendor is known here."""

from hotels.models.base import HotelRecord
from hotels.models.checks import CheckStatus, GuestCheck, GuestCheckLine
from hotels.models.guests import Guest, GuestQuestion, Verdict
from hotels.models.menus import MenuCategory, MenuItem, MenuTax, MenuVariation, ModifierList
from hotels.models.messages import ChatMessage, Feedback, GuestMessage, Notification, NotificationStatus, Priority, SenderType
from hotels.models.stays import Housekeeping, Occupancy, Reservation, ReservationStatus, Room
from hotels.models.tenants import Hotel, Membership, Role
from hotels.models.tokens import ApiToken

__all__ = [
    "ApiToken", "ChatMessage", "CheckStatus", "Feedback", "Guest", "GuestCheck", "GuestCheckLine", "GuestMessage", "GuestQuestion", "Hotel", "HotelRecord",
    "Housekeeping", "Membership", "MenuCategory", "MenuItem", "MenuTax", "MenuVariation", "ModifierList", "Notification",
    "NotificationStatus", "Occupancy", "Priority", "Reservation", "ReservationStatus", "Role", "Room", "SenderType", "Verdict",
]  # fmt: skip
