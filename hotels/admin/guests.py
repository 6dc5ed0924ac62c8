"""Guests. Personal data stays hidden until somebody asks for it, and that it was asked for is written to the history."""

import re
import time
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from hotels.admin.base import ArchiveFilter, HotelFilter, RecordAdmin
from hotels.models import Guest, Role

REVEALED_SECONDS = 15 * 60
"""How long one guest's personal data stays visible to the person who asked for it: one conversation at the desk."""
SESSION_KEY = "revealed_guests"


def hidden(value: str) -> str:
    """Keep as much of an address or a number as tells two guests apart: "a…@example.com", "…4567"."""
    if not value:
        return ""
    name, at, domain = value.partition("@")
    if at:
        return f"{name[:1]}…@{domain}"
    return f"…{re.sub(r'[^0-9A-Za-z]', '', value)[-4:]}"


@admin.register(Guest)
class GuestAdmin(RecordAdmin):
    list_display = ("__str__", "hidden_email", "hidden_phone", "language", "is_vip", "hotel", "state")
    list_filter = (HotelFilter, ArchiveFilter, "is_vip")
    search_fields = ("family_name", "given_name", "email", "phone")
    search_help_text = "Search by name, e-mail or phone"
    editable = ("given_name", "family_name", "email", "phone", "language", "is_vip")
    change_form_outer_before_template = "console/guest_privacy.html"

    def is_revealed(self, request: HttpRequest, guest: Model) -> bool:
        return request.session.get(SESSION_KEY, {}).get(str(guest.pk), 0) > time.time()

    def may_reveal(self, request: HttpRequest, guest: Model) -> bool:
        return self.may(request, Role.OPERATOR, guest)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or self.is_revealed(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> list[tuple[Any, dict[str, Any]]]:
        revealed = obj is not None and self.is_revealed(request, obj)
        contact = ("email", "phone") if revealed else ("hidden_email", "hidden_phone")
        more = ("nationality", "preferences") if revealed else ()
        return [
            (None, {"fields": ("hotel", "given_name", "family_name", "is_vip", "language")}),
            ("Personal data", {"fields": (*contact, *more)}),
            ("Record", {"fields": ("archived", "changed")}),
        ]

    def get_urls(self) -> list[Any]:
        reveal = self.admin_site.admin_view(require_POST(self.reveal_view))
        return [path("<int:guest_id>/reveal/", reveal, name="hotels_guest_reveal"), *super().get_urls()]

    def reveal_view(self, request: HttpRequest, guest_id: int) -> HttpResponse:
        """Show one guest's personal data to this person for a while, and write down that they asked."""
        guest = get_object_or_404(self.get_queryset(request), pk=guest_id)
        if self.may_reveal(request, guest):
            until = time.time() + REVEALED_SECONDS
            still = {pk: end for pk, end in request.session.get(SESSION_KEY, {}).items() if end > time.time()}
            request.session[SESSION_KEY] = {**still, str(guest.pk): until}
            self.log_change(request, guest, "Looked at personal data.")
        else:
            messages.error(request, "Your role in this hotel may not see personal data. Ask a manager for the role of operator.")
        return HttpResponseRedirect(reverse("admin:hotels_guest_change", args=[guest.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        guest = self.get_object(request, object_id)
        context = {} if guest is None else {"revealed": self.is_revealed(request, guest), "may_reveal": self.may_reveal(request, guest)}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    @admin.display(description="E-mail")
    def hidden_email(self, guest: Guest) -> str:
        return hidden(guest.email)

    @admin.display(description="Phone")
    def hidden_phone(self, guest: Guest) -> str:
        return hidden(guest.phone)
