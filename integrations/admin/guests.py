"""A guest's page as the integrations complete it: what the systems call the guest, edits that go out to them, and splitting.

The hotel's own app knows no integration; here its page is replaced by one that does.
"""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import DropdownFilter

from hotels.admin.base import HotelAdmin, HotelFilter, colours, local_time, reach, state_column
from hotels.admin.guests import GuestAdmin, hidden
from hotels.models import Guest, GuestQuestion, Role, Verdict
from integrations.admin.base import row_link
from integrations.exceptions import InvalidInput
from integrations.models import ExternalReference
from integrations.services.guests import JOINED, SPLIT, decide, edit_guest, known_as, questions, split_guest
from integrations.services.inputs import GuestEditInput, VerdictInput, read


def why(reference: ExternalReference) -> str:
    """Say in words why a system's record stands for this guest."""
    if not reference.matched_by:
        return "Brought this guest."
    if reference.matched_by == SPLIT:
        return "Split by hand; no sync joins it again."
    if reference.matched_by == JOINED:
        return "Joined by hand."
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


# --- one person or two ---------------------------------------------------------------------------------------------------------

VERDICT = colours(Verdict, open="warning", same="success")


class VerdictFilter(DropdownFilter):
    title = "state"
    parameter_name = "state"
    all_option = ("", "Waiting")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("decided", "Decided"), ("all", "Both")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "all":
            return queryset
        waiting = Q(verdict__in=GuestQuestion.WAITING)
        return queryset.filter(~waiting if self.value() == "decided" else waiting)


@admin.register(GuestQuestion)
class GuestQuestionAdmin(HotelAdmin):
    """Guests who may be one person. Nobody adds or changes a question; it is answered."""

    list_display = ("who", "why_asked", "verdict_label", "hotel", "asked")
    list_filter = (HotelFilter, VerdictFilter)
    list_select_related = ("hotel", "guest", "other")
    list_display_links = None
    ordering = ("-id",)
    sortable_by = ()
    empty_text = "No two guests are so much alike that a person has to look."
    change_form_template = "admin/change_form.html"
    change_form_outer_before_template = "console/guest_question.html"
    fieldsets = ((None, {"fields": (("verdict_label", "decided"), ("hotel", "asked"))}),)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.decide_view))
        return [path("<int:question_id>/decide/", view, name="hotels_guestquestion_decide"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return questions(reach(request))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        question = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if question is not None:
            sides = [(guest, self.facts(guest)) for guest in (question.guest, question.other)]
            may = question.verdict != Verdict.SAME and self.may(request, Role.OPERATOR, question)
            context = {"question": question, "sides": sides, "may_decide": may}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def facts(self, guest: Guest) -> list[tuple[str, str]]:
        """Return what tells two guests apart, with no more personal data than the list of guests shows."""
        systems = ", ".join(f"{known.integration.provider_name} ({known.external_id})" for known in known_as(guest))
        stays = guest.reservations.order_by("-arrival_date").values_list("arrival_date", flat=True)[:3]
        told = [("E-mail", hidden(guest.email)), ("Phone", hidden(guest.phone)), ("Language", guest.language), ("Known to", systems)]
        return [*told, ("Stays from", ", ".join(date_format(day, "j M Y") for day in stays if day))]

    def decide_view(self, request: HttpRequest, question_id: int) -> HttpResponse:
        question = get_object_or_404(self.get_queryset(request), pk=question_id)
        if not self.may(request, Role.OPERATOR, question):
            raise PermissionDenied
        try:
            verdict = read(VerdictInput, {"verdict": request.POST.get("verdict", "")}).verdict
            guest = decide(question, Verdict(verdict), user=request.user)
        except InvalidInput as refusal:
            messages.error(request, " ".join(refusal.errors.values()))
            return HttpResponseRedirect(reverse("admin:hotels_guestquestion_change", args=[question.pk]))
        self.log_change(request, question, f"Answered: {Verdict(verdict).label}.")
        if verdict == Verdict.SAME:
            self.log_change(request, guest, f"Joined with guest {question.other_id}.")
            messages.success(request, f"{guest} is one guest now. If that was wrong, split it on the guest’s page.")
        else:
            messages.success(request, "Noted: two people. Nobody is asked again." if verdict == Verdict.DIFFERENT else "Kept for later.")
        return HttpResponseRedirect(reverse("admin:hotels_guestquestion_changelist"))

    @admin.display(description="Guests")
    def who(self, question: GuestQuestion) -> SafeString:
        return row_link(question, f"{question.guest} · {question.other}")

    @admin.display(description="Why")
    def why_asked(self, question: GuestQuestion) -> str:
        return " ".join(question.reasons)

    verdict_label = state_column("verdict", VERDICT, "Answer")

    @admin.display(description="Decided")
    def decided(self, question: GuestQuestion) -> str:
        when = local_time(question.decided_at, question.hotel)
        return format_html("{} by {}", when, question.decided_by) if question.decided_by else when

    @admin.display(description="Asked")
    def asked(self, question: GuestQuestion) -> str:
        return local_time(question.created_at, question.hotel)
