"""What guests say, and what they are told."""

from django.contrib import admin
from django.utils.safestring import SafeString

from hotels.admin.base import ArchiveFilter, HotelFilter, VendorRecordAdmin, colours, label, local_time, state_column
from hotels.models import ChatMessage, Feedback, Notification, NotificationStatus, Priority

RATING_COLOURS = {1: "danger", 2: "danger", 3: "warning", 4: "success", 5: "success"}


@admin.register(Feedback)
class FeedbackAdmin(VendorRecordAdmin):
    list_display = ("__str__", "rating_label", "category", "guest_name", "room_number", "hotel", "submitted")
    list_filter = (HotelFilter, ArchiveFilter, "rating")
    list_select_related = ("hotel", "guest")
    search_fields = ("title", "message", "room_number")
    search_help_text = "Search by words or room"
    fieldsets = (
        (None, {"fields": ("hotel", "rating_label", "category", "title", "message")}),
        ("Who and when", {"fields": ("guest_name", "room_number", "submitted", "archived")}),
    )

    @admin.display(description="Rating", ordering="rating")
    def rating_label(self, feedback: Feedback) -> SafeString | str:
        return label(f"{feedback.rating} of 5", RATING_COLOURS[feedback.rating]) if feedback.rating else ""

    @admin.display(description="Guest")
    def guest_name(self, feedback: Feedback) -> str:
        return "Anonymous" if feedback.is_anonymous else str(feedback.guest or "")

    @admin.display(description="Given", ordering="submitted_at")
    def submitted(self, feedback: Feedback) -> str:
        return local_time(feedback.submitted_at, feedback.hotel)


class SentMessageAdmin(VendorRecordAdmin):
    list_select_related = ("hotel", "guest")
    search_help_text = "Search by words or room"

    @admin.display(description="Sent", ordering="sent_at")
    def sent(self, message: ChatMessage | Notification) -> str:
        return local_time(message.sent_at, message.hotel)


@admin.register(ChatMessage)
class ChatMessageAdmin(SentMessageAdmin):
    list_display = ("message", "sender_type", "sender_name", "guest", "room_number", "hotel", "sent")
    list_filter = (HotelFilter, ArchiveFilter, "sender_type")
    search_fields = ("message", "room_number")
    fieldsets = (
        (None, {"fields": ("hotel", "message", "message_type", "sender_type", "sender_name", "guest", "room_number", "sent", "archived")}),
    )


@admin.register(Notification)
class NotificationAdmin(SentMessageAdmin):
    list_display = ("__str__", "status_label", "priority_label", "guest", "room_number", "hotel", "sent")
    list_filter = (HotelFilter, ArchiveFilter, "status", "priority")
    search_fields = ("title", "message", "room_number")
    fieldsets = (
        (None, {"fields": ("hotel", "title", "message", "category", "notification_type", "priority_label", "status_label")}),
        ("To whom and when", {"fields": ("guest", "room_number", "sent", "archived")}),
    )

    status_label = state_column(
        "status", colours(NotificationStatus, delivered="success", read="success", sent="info", failed="danger"), "Status"
    )
    priority_label = state_column("priority", colours(Priority, high="warning", urgent="danger"), "Priority")
