"""What the read-only screens of an integration's history share, and the paginator that never counts."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import paginator
from unfold.contrib.filters.admin import DropdownFilter

from hotels.access import visible
from hotels.admin.base import HotelAdmin, local_time
from integrations.admin import display
from integrations.admin.fields import humanise
from integrations.models import Integration
from integrations.services import registry


class InfinitePaginator(paginator.InfinitePaginator):
    """Pages without counting, which would read every row. Far pages would too, so they end; a date filter reaches older rows.

    Unfold knows by the class's name that there is no number of results to show.
    """

    MAX_PAGES = 200

    @property
    def count(self) -> int:
        return self.per_page * self.MAX_PAGES


class IntegrationFilter(DropdownFilter):
    """Choose one of the user's integrations."""

    title = "integration"
    parameter_name = "integration"

    def lookups(self, request: HttpRequest, model_admin: HotelAdmin) -> list[tuple[str, str]]:
        mine = visible(Integration.objects.select_related("hotel"), request.user)
        return [(str(integration.pk), str(integration)) for integration in mine]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(integration_id=self.value()) if self.value() in dict(self.lookup_choices) else queryset


class DeclaredFilter(DropdownFilter):
    """Choose among the names providers declare; the rows are not asked for theirs, there may be millions."""

    declared: ClassVar[str]
    """`streams` or `operations`"""

    def lookups(self, request: HttpRequest, model_admin: HotelAdmin) -> list[tuple[str, str]]:
        names = {item.name for provider in registry.providers().values() for item in getattr(provider.manifest, self.declared)}
        return [(name, humanise(name)) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class StreamFilter(DeclaredFilter):
    title = "stream"
    parameter_name = "stream"
    declared = "streams"


class OperationFilter(DeclaredFilter):
    title = "operation"
    parameter_name = "name"
    declared = "operations"


class HistoryAdmin(HotelAdmin):
    """Rows that say what happened. Nobody adds, changes or deletes them."""

    hotel_path = "integration__hotel"
    list_select_related = ("integration__hotel",)
    list_display_links: ClassVar[Any] = None
    paginator = InfinitePaginator
    ordering = ("-id",)  # newest first by the primary key: no sort, whatever the filter
    sortable_by = ()
    compressed_fields = False
    change_form_template = "console/history_form.html"
    show_full_result_count = False

    @admin.display(description="Integration")
    def integration_link(self, row: Any) -> SafeString:
        url = reverse("admin:integrations_integration_change", args=[row.integration_id])
        integration = row.integration
        badge = "" if display.is_live(integration) else display.environment_badge(integration)
        link = '<span class="hsp-named"><a class="hsp-link" href="{}">{}</a> {}</span><br><span class="hsp-quiet hsp-small">{}</span>'
        return format_html(link, url, integration.provider_name, badge, integration.hotel)

    @admin.display(description="When")
    def when(self, row: Any) -> SafeString | str:
        return local_time(row.created_at, row.integration.hotel)

    @admin.display(description="Cause")
    def cause(self, row: Any) -> SafeString | str:
        """Lead to everything with the same correlation id."""
        if not row.correlation_id:
            return ""
        url = reverse("cause", args=[row.correlation_id])
        return format_html('<a class="hsp-link hsp-mono" href="{}" title="Everything with this cause">{}</a>', url, row.correlation_id)


def row_link(row: Model, text: str) -> SafeString:
    """Link to a row's own page."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a class="hsp-link" href="{}">{}</a>', url, text)
