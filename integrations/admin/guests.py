"""A guest's page as the integrations complete it: what the systems call the guest, edits that go out to them, and splitting.

The hotel's own app knows no integration; here its page is replaced by one that does.
"""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse

from hotels.admin.guests import GuestAdmin
from hotels.models import Guest, Role
from integrations.exceptions import InvalidInput
from integrations.models import ExternalReference
from integrations.services.guests import SPLIT, edit_guest, known_as, split_guest
from integrations.services.inputs import GuestEditInput, read


def why(reference: ExternalReference) -> str:
    """Say in words why a system's record stands for this guest."""
    if not reference.matched_by:
        return "Brought this guest."
    if reference.matched_by == SPLIT:
        return "Split by hand; no sync joins it again."
    return f"Taken for this guest: {reference.matched_by}."


class GuestForm(ModelForm):
    def changes(self) -> dict[str, Any]:
        """Return what the person changed; an emptied field is null."""
        values = {name: self.cleaned_data[name] for name in self.changed_data if name in self.cleaned_data}
        return {name: None if value == "" else value for name, value in values.items()}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if changes := self.changes():
            try:
                read(GuestEditInput, changes)
            except InvalidInput as refusal:
                for name, sentence in refusal.errors.items():
                    self.add_error(name if name in self.fields else None, sentence)
        return cleaned


admin.site.unregister(Guest)


@admin.register(Guest)
class KnownGuestAdmin(GuestAdmin):
    form = GuestForm
    change_role = Role.OPERATOR
    change_form_outer_after_template = "console/guest_references.html"

    def get_urls(self) -> list[Any]:
        split = self.admin_site.admin_view(self.split_view)
        return [path("<int:guest_id>/split/", split, name="hotels_guest_split"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        guest = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if guest is not None:
            references = [(reference, why(reference)) for reference in known_as(guest)]
            context = {"references": references, "may_split": len(references) > 1 and self.may(request, Role.OPERATOR, guest)}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Guest, form: GuestForm, change: bool) -> None:
        """Store the edit and what tells the vendors; once both have committed, they are told."""
        changes = form.changes()
        operations = edit_guest(obj, changes, user=request.user) if changes else []
        if names := ", ".join(dict.fromkeys(operation.integration.provider_name for operation in operations)):
            messages.info(request, f"The change goes out to {names} as well; the operations there say how that ends.")

    def split_view(self, request: HttpRequest, guest_id: int) -> HttpResponse:
        """Ask, naming what goes along; then make one system's record a guest of its own."""
        guest = get_object_or_404(self.get_queryset(request), pk=guest_id)
        if not self.may(request, Role.OPERATOR, guest):
            raise PermissionDenied
        back = reverse("admin:hotels_guest_change", args=[guest.pk])
        asked = (request.POST if request.method == "POST" else request.GET).get("reference", "")
        reference = known_as(guest).filter(pk=int(asked)).first() if asked.isdecimal() and len(asked) < 19 else None
        if reference is None:
            messages.error(request, "None of the hotel's systems knows this guest by that name any more.")
            return HttpResponseRedirect(back)
        if request.method != "POST":
            context = {**self.admin_site.each_context(request), "title": "Split?", "object": guest, "reference": reference, "back": back}
            return TemplateResponse(request, "console/guest_split.html", {**context, "why": why(reference)})
        try:
            other = split_guest(reference)
        except InvalidInput as refusal:
            messages.error(request, " ".join(refusal.errors.values()))
            return HttpResponseRedirect(back)
        name = f"{reference.external_id} of {reference.integration.provider_name}"
        self.log_change(request, guest, f"Split off {name}.")
        self.log_addition(request, other, f"Split off as {name}.")
        messages.success(request, f"This is {name} as a guest of its own. No sync joins the two again.")
        return HttpResponseRedirect(reverse("admin:hotels_guest_change", args=[other.pk]))
