"""What every screen of the console shares: a user sees only their hotels, and does only what their role allows.

Owns scoping of lists and choices, permissions by role, and the filters for hotel and archive. `hotels.access` decides; Django's model
permissions are not asked. The admin of every app builds on it.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db import models
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import DropdownFilter

from hotels.access import hotels_of, visible
from hotels.models import Hotel, Role


def reach(request: HttpRequest, role: Role = Role.VIEWER) -> Collection[int]:
    """Return the ids of the hotels in which the user has `role` or more; read once a request."""
    known: dict[Role, frozenset[int]] = request.__dict__.setdefault("_hospient_reach", {})
    if role not in known:
        known[role] = frozenset(hotels_of(request.user, role).values_list("pk", flat=True))
    return known[role]


def local_time(moment: datetime | None, hotel: Hotel, *, seconds: bool = False) -> SafeString | str:
    """Show a time as the clock in the hotel's lobby shows it; the title has the zone and UTC."""
    if moment is None:
        return ""
    local = timezone.localtime(moment, hotel.zone)
    this_year = local.year == timezone.localtime(timezone.now(), hotel.zone).year
    return format_html(
        '<time datetime="{}" title="{} · {} UTC" class="hsp-time">{}</time>',
        moment.isoformat(),
        hotel.time_zone,
        date_format(timezone.localtime(moment, timezone.get_fixed_timezone(0)), "j M Y H:i:s"),
        date_format(local, ("j M, H:i" if this_year else "j M Y, H:i") + (":s" if seconds else "")),
    )


def local_day(moment: datetime | None, hotel: Hotel) -> str:
    """Show a date in words, without the time: "3 March 2026"."""
    return date_format(timezone.localtime(moment, hotel.zone), "j F Y") if moment else ""


def colours(choices: type[models.TextChoices], **named: str) -> dict[str, str]:
    """Colour the labels of a state: the named ones as told (`dirty="warning"`), the others grey."""
    return {**dict.fromkeys(choices.values, "default"), **named}


def label(text: Any, colour: str = "default") -> SafeString:
    """Show a state in words and colour."""
    return format_html('<span class="hsp-label hsp-{}">{}</span>', colour, text)


def state_column(field: str, palette: Mapping[str, str], description: str) -> Callable[[ModelAdmin, Any], SafeString]:
    """Make the column, or the line of a form, that shows a field with choices as a coloured label."""

    @admin.display(description=description, ordering=field)
    def column(model_admin: ModelAdmin, row: Any) -> SafeString:
        value = getattr(row, field)
        return label(getattr(row, f"get_{field}_display")(), palette.get(value, "default"))

    return column


def archive_label(row: Any) -> SafeString:
    return label("Archived", "warning") if row.archived_at else label("In use", "success")


class HotelFilter(DropdownFilter):
    """Choose one of the user's hotels; not shown to a user with only one."""

    title = "hotel"
    parameter_name = "hotel"

    def lookups(self, request: HttpRequest, model_admin: "HotelAdmin") -> list[tuple[str, str]]:
        self.path = model_admin.hotel_path
        hotels = [(str(pk), name) for pk, name in hotels_of(request.user).values_list("pk", "name")]
        return hotels if len(hotels) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**{self.path: self.value()}) if self.value() in dict(self.lookup_choices) else queryset


class ArchiveFilter(DropdownFilter):
    """Archived rows are those no vendor has any more; they are kept, and out of the way unless asked for."""

    title = "archive"
    parameter_name = "archived"
    all_option = ["", "In use"]

    def lookups(self, request: HttpRequest, model_admin: "HotelAdmin") -> list[tuple[str, str]]:
        return [("yes", "Archived"), ("all", "Both")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "all":
            return queryset
        return queryset.filter(archived_at__isnull=self.value() != "yes")


class HotelAdmin(ModelAdmin):
    """A list and a form of rows that belong to a hotel. Nothing can be added, changed or deleted unless a role is named for it."""

    hotel_path: ClassVar[str] = "hotel"
    """Leads from the row to its hotel (`integration__hotel`)."""
    add_role: ClassVar[Role | None] = None
    change_role: ClassVar[Role | None] = None
    delete_role: ClassVar[Role | None] = None
    linked_lookups: ClassVar[tuple[str, ...]] = ()
    """What links from other pages may filter by, beside the filters of the list."""

    list_filter_submit = True
    list_per_page = 50
    list_max_show_all = 0
    show_facets = admin.ShowFacets.NEVER  # they would count every row for every choice
    actions = None
    compressed_fields = True

    def hotel_id(self, obj: Model) -> int | None:
        *way, last = self.hotel_path.split("__")
        for step in way:
            obj = getattr(obj, step)
        return getattr(obj, f"{last}_id")

    def may(self, request: HttpRequest, role: Role | None, obj: Model | None = None) -> bool:
        """Say whether the user has the role in the row's hotel, or in any hotel if there is no row yet."""
        if role is None:
            return False
        hotels = reach(request, role)
        return self.hotel_id(obj) in hotels if obj is not None else bool(hotels)

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Leave the hotel out for a user who has only one."""
        columns = super().get_list_display(request)
        return [column for column in columns if column != "hotel" or len(reach(request)) > 1]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return visible(super().get_queryset(request), request.user, self.hotel_path)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, Role.VIEWER, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, self.add_role)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, self.change_role, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, self.delete_role, obj)

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> type[ModelForm]:
        """Offer only rows of the same hotel in every choice of the form."""
        form = super().get_form(request, obj, change=change, **kwargs)
        for field in form.base_fields.values():
            queryset = getattr(field, "queryset", None)
            if queryset is None:
                continue
            if queryset.model is Hotel:
                field.queryset = hotels_of(request.user)
            elif hasattr(queryset.model, "archived_at"):
                field.queryset = visible(queryset, request.user).filter(
                    archived_at__isnull=True, hotel_id=self.hotel_id(obj) if obj else None
                )
        return form

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Let the address bar ask for what the filters ask for, and nothing else: other columns cannot be probed."""
        names = set(self.linked_lookups)
        for entry in self.get_list_filter(request):
            names.add(entry[0] if isinstance(entry, tuple) else getattr(entry, "parameter_name", entry))
        asked = lookup.removesuffix("__exact")
        return asked in names or any(asked.startswith((f"{name}_from", f"{name}_to")) for name in names)


class RecordAdmin(HotelAdmin):
    """Records of the hotel itself. Vendors bring them and take them away; a manager may correct what the form lets them."""

    change_role = Role.MANAGER
    list_select_related = ("hotel",)
    empty_text = "A sync brings these from the hotel's systems: open an integration and sync it."
    editable: ClassVar[tuple[str, ...]] = ()
    """Fields hotel staff may change; everything else on the form is shown only."""

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        """Let the form carry what it showed, so that it can tell what the person changed from what a sync changed meanwhile."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.show_hidden_initial = True
        return field

    def save_model(self, request: HttpRequest, obj: Model, form: ModelForm, change: bool) -> None:
        """Write what the person changed, and nothing else."""
        obj.save(update_fields=[*form.changed_data, "updated_at"])

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        named = {name for fieldset in self.get_fieldsets(request, obj) for line in fieldset[1]["fields"] for name in _flat(line)}
        return [name for name in named if name not in self.editable]

    @admin.display(description="State")
    def state(self, obj: Model) -> SafeString:
        return archive_label(obj)

    @admin.display(description="Archived")
    def archived(self, obj: Model) -> str:
        return f"On {local_day(obj.archived_at, obj.hotel)}: no vendor has it any more." if obj.archived_at else "No"

    @admin.display(description="Last changed")
    def changed(self, obj: Model) -> str:
        return local_time(obj.updated_at, obj.hotel)


class VendorRecordAdmin(RecordAdmin):
    """Records that only a vendor changes."""

    change_role = None


class ReadOnlyInline(TabularInline):
    """Rows shown below another row, never changed there."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True  # whoever sees the row above sees these: they belong to the same hotel

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _flat(line: str | tuple[str, ...]) -> tuple[str, ...]:
    return (line,) if isinstance(line, str) else line
