"""What guests say, and what they are told."""

from django.db import models

from hotels.models.base import HotelRecord, listed
from hotels.models.guests import Guest


class GuestMessage(HotelRecord):
    """Common to feedback, chat and notifications."""

    guest = models.ForeignKey(Guest, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    room_number = models.CharField(max_length=32, blank=True)

    class Meta:
        abstract = True


class Feedback(GuestMessage):
    rating = models.PositiveSmallIntegerField(null=True, blank=True)
    category = models.CharField(max_length=64, blank=True)
    title = models.CharField(max_length=255, blank=True)
    message = models.TextField(blank=True)
    is_anonymous = models.BooleanField(default=False)
    submitted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "feedback"
        ordering = ["-submitted_at", "-id"]
        indexes = [listed("feedback", "-submitted_at", "-id")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rating__isnull=True) | models.Q(rating__gte=1, rating__lte=5), name="feedback_rating_1_to_5"
            )
        ]

    def __str__(self) -> str:
        return self.title or f"Feedback {self.pk}"


class SenderType(models.TextChoices):
    GUEST = "guest", "Guest"
    STAFF = "staff", "Staff"
    SYSTEM = "system", "System"
    UNKNOWN = "unknown", "Unknown"


class ChatMessage(GuestMessage):
    message = models.TextField()
    message_type = models.CharField(max_length=32, default="text")
    sender_type = models.CharField(max_length=16, choices=SenderType, default=SenderType.UNKNOWN)
    sender_name = models.CharField(max_length=255, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-sent_at", "-id"]
        indexes = [listed("chat_message", "-sent_at", "-id")]

    def __str__(self) -> str:
        return f"{self.get_sender_type_display()}: {self.message[:60]}"


class Priority(models.TextChoices):
    LOW = "low", "Low"
    NORMAL = "normal", "Normal"
    HIGH = "high", "High"
    URGENT = "urgent", "Urgent"


class NotificationStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    SENT = "sent", "Sent"
    DELIVERED = "delivered", "Delivered"
    READ = "read", "Read"
    FAILED = "failed", "Failed"
    UNKNOWN = "unknown", "Unknown"


class Notification(GuestMessage):
    title = models.CharField(max_length=255, blank=True)
    message = models.TextField(blank=True)
    category = models.CharField(max_length=64, blank=True)
    priority = models.CharField(max_length=16, choices=Priority, default=Priority.NORMAL)
    notification_type = models.CharField(max_length=32, default="push")
    status = models.CharField(max_length=16, choices=NotificationStatus, default=NotificationStatus.PENDING)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-sent_at", "-id"]
        indexes = [listed("notification", "-sent_at", "-id")]

    def __str__(self) -> str:
        return self.title or f"Notification {self.pk}"
