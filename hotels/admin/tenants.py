"""Hotels, who may do what in them, and the users themselves. Users, groups and memberships are a superuser's business."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from hotels.admin.base import HotelAdmin, HotelFilter, label, reach
from hotels.models import Hotel, Membership, Role

ROLE_COLOURS = {Role.VIEWER: "default", Role.OPERATOR: "info", Role.MANAGER: "success"}


class SuperuserOnly:
    """A screen that only superusers see."""

    def _is_superuser(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    has_module_permission = has_add_permission = has_view_permission = has_change_permission = has_delete_permission = _is_superuser


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    tab = True
    autocomplete_fields = ("hotel",)
    verbose_name_plural = "hotels and roles"

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(SuperuserOnly, DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = (MembershipInline,)
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    list_filter_submit = True
    search_help_text = "Search by name or e-mail"
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser"), "description": "What a user may do in a hotel is decided by the role there, on the tab “Hotels and roles”."}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )  # fmt: skip


@admin.register(Group)
class GroupAdmin(SuperuserOnly, DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(Hotel)
class HotelsAdmin(HotelAdmin):
    hotel_path = "pk"
    change_role = Role.MANAGER
    list_display = ("name", "time_zone", "currency", "country", "integration_count")
    search_fields = ("name", "slug")
    search_help_text = "Search by name"
    prepopulated_fields = {"slug": ("name",)}
    fieldsets = (
        (None, {"fields": ("name", "slug")}),
        ("Place and money", {"fields": ("time_zone", "currency", "country"), "description": "Times are shown in this time zone; amounts without a currency are in this one."}),
    )  # fmt: skip

    def hotel_id(self, obj: Model) -> int | None:
        return obj.pk

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(integrations_count=Count("integrations"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return () if request.user.is_superuser else ("slug",)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Model | None = None) -> dict[str, Any]:
        return {} if obj else dict(self.prepopulated_fields)

    @admin.display(description="Integrations")
    def integration_count(self, hotel: Hotel) -> int:
        return hotel.integrations_count


@admin.register(Membership)
class MembershipAdmin(HotelAdmin):
    list_display = ("user", "hotel", "role_label")
    list_filter = (HotelFilter, "role")
    list_select_related = ("user", "hotel")
    search_fields = ("user__username", "hotel__name")
    search_help_text = "Search by user or hotel"
    autocomplete_fields = ("user", "hotel")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, Role.MANAGER, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(hotel_id__in=reach(request, Role.MANAGER))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    @admin.display(description="Role", ordering="role")
    def role_label(self, membership: Membership) -> SafeString:
        word, _, means = str(membership.get_role_display()).partition(": ")
        return format_html("{} {}", label(word, ROLE_COLOURS[membership.role]), means)
