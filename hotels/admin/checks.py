"""Guest checks with their lines, as they were posted and as they stand."""

from django.contrib import admin

from hotels.admin.base import ArchiveFilter, HotelFilter, ReadOnlyInline, VendorRecordAdmin, colours, local_time, state_column
from hotels.models import CheckStatus, GuestCheck, GuestCheckLine

CHECK_COLOURS = colours(CheckStatus, pending="info", open="info", closed="success", voided="warning", unknown="danger")


class LineInline(ReadOnlyInline):
    model = GuestCheckLine
    verbose_name_plural = "lines"
    fields = ("name", "quantity", "unit_price", "total_price", "tax", "note")
    readonly_fields = fields
    show_change_link = False


@admin.register(GuestCheck)
class GuestCheckAdmin(VendorRecordAdmin):
    list_display = ("__str__", "room_number", "guest", "total", "currency", "status_label", "hotel", "created")
    list_filter = (HotelFilter, ArchiveFilter, "status")
    list_select_related = ("hotel", "guest")
    search_fields = ("room_number", "guest__family_name")
    search_help_text = "Search by room or family name"
    inlines = (LineInline,)
    fieldsets = (
        (None, {"fields": ("hotel", "status_label", "status_original", "guest", "room_number", "void_reason")}),
        (
            "Money",
            {
                "fields": (
                    "subtotal",
                    "discount",
                    "service_charge",
                    "tax",
                    "is_tax_included",
                    "total",
                    "tip",
                    "amount_due",
                    "currency",
                    "payment_method",
                    "payment_status",
                )
            },
        ),
        ("Record", {"fields": ("created", "archived", "changed")}),
    )

    status_label = state_column("status", CHECK_COLOURS, "Status")

    @admin.display(description="Posted", ordering="created_at")
    def created(self, check: GuestCheck) -> str:
        return local_time(check.created_at, check.hotel)
