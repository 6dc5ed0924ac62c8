"""How a hotel's records look from outside."""

from typing import Any

from rest_framework import serializers

from hotels.models import (
    ChatMessage,
    Feedback,
    Guest,
    GuestCheck,
    GuestCheckLine,
    Hotel,
    MenuCategory,
    MenuItem,
    MenuTax,
    MenuVariation,
    ModifierList,
    Notification,
    Reservation,
    Role,
    Room,
)

RECORD = ["created_at", "updated_at", "archived_at"]
"""What every record ends with."""


class Money(serializers.DecimalField):
    """An amount in major units, as text: "15.99"."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=16, decimal_places=4, normalize_output=True, **kwargs)


class HotelSerializer(serializers.ModelSerializer):
    role = serializers.ChoiceField(choices=Role, read_only=True, help_text="What you may do there.")

    class Meta:
        model = Hotel
        fields = ["id", "name", "slug", "time_zone", "currency", "country", "role"]


class MenuCategorySerializer(serializers.ModelSerializer):
    class Meta:
        model = MenuCategory
        fields = ["id", "name", "position", "parent_id", *RECORD]


class MenuTaxSerializer(serializers.ModelSerializer):
    class Meta:
        model = MenuTax
        fields = ["id", "name", "percentage", "is_included", "is_active"]


class ModifierOptionSerializer(serializers.Serializer):
    external_id = serializers.CharField()
    name = serializers.CharField()
    price = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    on_by_default = serializers.BooleanField()
    is_available = serializers.BooleanField(default=True)


class ModifierListSerializer(serializers.ModelSerializer):
    options = ModifierOptionSerializer(many=True)

    class Meta:
        model = ModifierList
        fields = ["id", "name", "min_selected", "max_selected", "options"]


class MenuVariationSerializer(serializers.ModelSerializer):
    is_available = serializers.BooleanField(source="is_for_sale", help_text="At this moment.")
    price = Money(allow_null=True, help_text="Null where the price is asked for at the till.")

    class Meta:
        model = MenuVariation
        fields = ["id", "name", "sku", "price", "currency", "is_available", "sold_out_until", "position"]


class MenuItemSerializer(serializers.ModelSerializer):
    is_available = serializers.BooleanField(source="is_for_sale", help_text="At this moment.")
    variations = MenuVariationSerializer(many=True)
    modifier_lists = ModifierListSerializer(many=True)
    taxes = MenuTaxSerializer(many=True)

    class Meta:
        model = MenuItem
        fields = [
            "id", "name", "description", "category_id", "is_available", "sold_out_until", "position", "variations", "modifier_lists", "taxes",
            *RECORD,
        ]  # fmt: skip


class RoomSerializer(serializers.ModelSerializer):
    class Meta:
        model = Room
        fields = [
            "id", "number", "room_type", "floor", "housekeeping", "housekeeping_original", "occupancy", "observed_occupancy", *RECORD,
        ]  # fmt: skip


class GuestSerializer(serializers.ModelSerializer):
    merged_into_id = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Who holds this person now, after two guests turned out to be one."
    )

    class Meta:
        model = Guest
        fields = [
            "id", "given_name", "family_name", "email", "phone", "language", "nationality", "is_vip", "preferences", "merged_into_id", *RECORD,
        ]  # fmt: skip


class ReservationSerializer(serializers.ModelSerializer):
    guest_name = serializers.SerializerMethodField()
    companion_ids = serializers.PrimaryKeyRelatedField(
        source="companions", many=True, read_only=True, help_text="Everybody else of the booking: their ids at Hospient."
    )
    rate_amount = Money(allow_null=True)
    balance = Money(allow_null=True)

    class Meta:
        model = Reservation
        fields = [
            "id", "confirmation_number", "status", "status_original", "arrival_date", "departure_date", "guest_id", "guest_name", "companion_ids",
            "room_number", "room_type", "adults", "children", "rate_amount", "balance", "currency", *RECORD,
        ]  # fmt: skip

    def get_guest_name(self, reservation: Reservation) -> str:
        return str(reservation.guest or "")


class GuestCheckLineSerializer(serializers.ModelSerializer):
    quantity = serializers.DecimalField(max_digits=12, decimal_places=3, normalize_output=True)
    unit_price = Money()
    total_price = Money()
    tax = Money(allow_null=True)

    class Meta:
        model = GuestCheckLine
        fields = ["item_id", "variation_id", "name", "quantity", "unit_price", "total_price", "tax", "note"]


class GuestCheckSerializer(serializers.ModelSerializer):
    lines = GuestCheckLineSerializer(many=True)
    subtotal = Money()
    discount = Money()
    service_charge = Money()
    tax = Money()
    total = Money(allow_null=True)
    tip = Money()
    amount_due = Money(allow_null=True)

    class Meta:
        model = GuestCheck
        fields = [
            "id", "guest_id", "room_number", "status", "status_original", "lines", "subtotal", "discount", "service_charge", "tax",
            "is_tax_included", "total", "tip", "amount_due", "currency", "payment_method", "payment_status", "void_reason", *RECORD,
        ]  # fmt: skip


class FeedbackSerializer(serializers.ModelSerializer):
    class Meta:
        model = Feedback
        fields = [
            "id", "guest_id", "room_number", "rating", "category", "title", "message", "is_anonymous", "submitted_at", *RECORD,
        ]  # fmt: skip


class ChatMessageSerializer(serializers.ModelSerializer):
    class Meta:
        model = ChatMessage
        fields = [
            "id", "guest_id", "room_number", "message", "message_type", "sender_type", "sender_name", "sent_at", *RECORD,
        ]  # fmt: skip


class NotificationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Notification
        fields = [
            "id", "guest_id", "room_number", "title", "message", "category", "priority", "notification_type", "status", "sent_at", *RECORD,
        ]  # fmt: skip
