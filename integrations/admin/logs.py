"""The log: one row for each call, sync, test and webhook. Read only, newest first, and as quick at five million rows as at fifty."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter

from hotels.access import visible
from hotels.admin.base import HotelAdmin, state_column
from integrations.admin.base import HistoryAdmin, IntegrationFilter, row_link
from integrations.admin.display import LOG, pretty_json, problem
from integrations.models import Direction, Integration, IntegrationLog

ARROWS = {Direction.OUTBOUND: "→ to the vendor", Direction.INBOUND: "← from the vendor", Direction.BIDIRECTIONAL: "↔ both ways"}


@admin.register(IntegrationLog)
class IntegrationLogAdmin(HistoryAdmin):
    list_display = ("what", "status_label", "integration_link", "answer", "took", "attempt", "when")
    list_filter = (
        IntegrationFilter,
        ("operation_type", ChoicesDropdownFilter),
        ("status", ChoicesDropdownFilter),
        ("direction", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    linked_lookups = ("correlation_id",)
    search_fields = ("correlation_id",)
    search_help_text = "Find everything with a correlation id"
    change_form_outer_before_template = "console/problem.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("integration_link", "operation_name", "operation_type"),
                    ("status_label", "answer", "took"),
                    ("way", "attempt", "when"),
                    ("cause", "records"),
                )
            },
        ),
        ("Request", {"fields": ("request_json",)}),
        ("Response", {"fields": ("response_json",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Name the integrations instead of joining their hotels: the database then reads along an index."""
        queryset = super(HotelAdmin, self).get_queryset(request)
        if request.user.is_superuser:
            return queryset
        return queryset.filter(integration_id__in=list(visible(Integration.objects, request.user).order_by().values_list("pk", flat=True)))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Read one integration's rows along their own index; several along the primary key."""
        return ("-created_at", "-id") if request.GET.get("integration") else ("-id",)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Find by the whole correlation id, which has an index; anything less would read every row."""
        return (queryset.filter(correlation_id=search_term.strip()) if search_term.strip() else queryset), False

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        log = self.get_object(request, object_id)
        found = log and problem(f"{log.operation_name} failed.", why=log.error_message, code=log.error_code)
        return super().change_view(request, object_id, form_url, {"problem": found, **(extra_context or {})})

    @admin.display(description="What")
    def what(self, log: IntegrationLog) -> SafeString:
        return row_link(log, log.operation_name)

    @admin.display(description="Direction")
    def way(self, log: IntegrationLog) -> str:
        return ARROWS.get(Direction(log.direction), log.direction)

    status_label = state_column("status", LOG, "Outcome")

    @admin.display(description="Answer")
    def answer(self, log: IntegrationLog) -> str:
        return " ".join(part for part in (str(log.http_status or ""), log.error_code) if part)

    @admin.display(description="Took")
    def took(self, log: IntegrationLog) -> SafeString:
        text = f"{log.processing_time:,} ms" if log.processing_time < 10_000 else f"{log.processing_time / 1000:,.1f} s"
        return format_html('<span class="hsp-time">{}</span>', text)

    @admin.display(description="Records")
    def records(self, log: IntegrationLog) -> str:
        if not log.records_processed:
            return ""
        return f"{log.records_processed:,} processed, {log.records_success:,} stored or unchanged, {log.records_failed:,} rejected"

    @admin.display(description="Sent")
    def request_json(self, log: IntegrationLog) -> SafeString | str:
        return pretty_json(log.request_data)

    @admin.display(description="Received")
    def response_json(self, log: IntegrationLog) -> SafeString | str:
        return pretty_json(log.response_data)
