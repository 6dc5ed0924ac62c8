"""API tokens, to be looked through and revoked. They are made by signing in at the API: a page never shows one."""

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from hotels.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    """A user sees their own, a superuser everybody's. Deleting one revokes it at once."""

    list_display = ("__str__", "user", "created", "last_used_at", "expiry")
    list_select_related = ("user",)
    list_per_page = 50
    search_fields = ("name", "user__username")
    search_help_text = "Search by name or user"
    fields = ("name", "user", "created", "last_used_at", "expiry")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user=request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active  # of what `get_queryset` shows

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_active

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
