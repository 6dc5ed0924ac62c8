"""What people do about differences: conflicts shown side by side and decided otherwise, rejected records read again.

Both ask the services. Personal data of guests stays hidden here as it does on the guest's own page.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Field, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter

from hotels.access import visible
from hotels.admin.base import label, local_time
from hotels.admin.guests import hidden
from hotels.models import Guest, Role
from integrations.admin.base import HistoryAdmin, IntegrationFilter, StreamFilter, row_link
from integrations.admin.display import WINNER, pretty_json
from integrations.admin.outbox import outcome_sentence
from integrations.exceptions import HospientError
from integrations.models import Conflict, ConflictWinner, ExternalReference, Integration, RejectedRecord, Trigger
from integrations.services.conflicts import apply_conflict
from integrations.services.rejected import Retried, retry_rejected
from integrations.sync.bindings import BINDINGS
from integrations.sync.conflicts import DELETED, Rule

PERSONAL = ("email", "phone", "nationality", "preferences")
"""Fields of a guest that are hidden until somebody asks for them."""
BECAUSE = {
    Rule.VENDOR: "the rule for this field is that the vendor wins",
    Rule.HOTEL: "the rule for this field is that the hotel wins",
    Rule.NEWEST: "the rule for this field is that the newer value wins, and this one was newer",
}
NOTHING = "Nothing"

# --- conflicts -----------------------------------------------------------------------------------------------------------------


def field_in_words(conflict: Conflict) -> str:
    return "Deletion" if conflict.field == DELETED else str(_column(conflict).verbose_name).capitalize()


def value_in_words(conflict: Conflict, value: Any, *, revealed: bool = False) -> SafeString | str:
    """Show one side's value as the hotel's own pages show it."""
    if conflict.field == DELETED:
        return "Deleted" if value else "Kept"
    column = _column(conflict)
    if value in (None, "", {}, []):
        return NOTHING
    if conflict.record_type == "guest" and conflict.field in PERSONAL and not revealed:
        return hidden(value) if isinstance(value, str) else "Hidden"
    if column.is_relation:
        return str(column.related_model.objects.filter(pk=value).first() or NOTHING)
    if column.choices:
        return str(dict(column.flatchoices).get(value, value))
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return pretty_json(value) if isinstance(value, dict | list) else str(value)


def decision_in_words(conflict: Conflict) -> str:
    """Say who won and why."""
    kept = "hotel" if conflict.winner == ConflictWinner.HOTEL else conflict.integration.provider_name
    return f"The value of {'the ' if kept == 'hotel' else ''}{kept} was kept: {BECAUSE.get(conflict.rule, conflict.rule)}."


def _column(conflict: Conflict) -> Field:
    return BINDINGS[conflict.record_type].model._meta.get_field(conflict.field)


def _row(conflict: Conflict) -> Any:
    """Return the hotel's record a conflict is about."""
    known = ExternalReference.objects.filter(
        integration=conflict.integration_id, record_type=conflict.record_type, external_id=conflict.external_id
    )
    object_id = known.values_list("object_id", flat=True).first() or conflict.object_id
    model = BINDINGS[conflict.record_type].model
    return model.objects.filter(pk=object_id, hotel=conflict.integration.hotel_id).first()


@admin.register(Conflict)
class ConflictAdmin(HistoryAdmin):
    list_display = ("what", "field_label", "vendor_label", "hotel_label", "winner_label", "integration_link", "when", "applied")
    list_filter = (IntegrationFilter, ("winner", ChoicesDropdownFilter))
    search_fields = ("external_id",)
    search_help_text = "Find by the vendor's id"
    empty_text = "Hotel and vendor never changed the same field."
    change_form_template = "admin/change_form.html"  # with its history: who decided otherwise
    change_form_outer_before_template = "console/conflict.html"
    fieldsets = ((None, {"fields": (("integration_link", "what", "field_label"), ("external_id", "when", "applied"), ("run_link",))}),)

    def get_urls(self) -> list[Any]:
        apply = self.admin_site.admin_view(require_POST(self.apply_view))
        return [path("<int:conflict_id>/apply/", apply, name="integrations_conflict_apply"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        conflict = self.get_object(request, object_id)
        context = self.sides(request, conflict) if conflict else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def sides(self, request: HttpRequest, conflict: Conflict) -> dict[str, Any]:
        """Return what was there before, what each side made of it, and what is there now."""
        row = _row(conflict)
        is_guest = isinstance(row, Guest)
        revealed = is_guest and self.admin_site.get_model_admin(Guest).is_revealed(request, row)
        now: Any = None
        if row is not None:
            now = row.archived_at is not None if conflict.field == DELETED else _column(conflict).value_from_object(row)

        def shown(value: Any) -> SafeString | str:
            return value_in_words(conflict, value, revealed=revealed)

        return {
            "conflict": conflict,
            "sides": [
                ("Before", shown(conflict.base_value), False),
                (conflict.integration.provider_name, shown(conflict.vendor_value), conflict.winner == ConflictWinner.VENDOR),
                ("Hotel", shown(conflict.hotel_value), conflict.winner == ConflictWinner.HOTEL),
            ],
            "now": shown(now) if row is not None else "The hotel does not have this record any more",
            "decision": decision_in_words(conflict),
            "row_url": row and reverse(f"admin:hotels_{row._meta.model_name}_change", args=[row.pk]),
            "row": row,
            "is_hidden": is_guest and conflict.field in PERSONAL and not revealed,
            "may_apply": row is not None and not conflict.applied_at and self.may(request, Role.OPERATOR, conflict),
        }

    def apply_view(self, request: HttpRequest, conflict_id: int) -> HttpResponse:
        """Let the value that lost win after all."""
        conflict = get_object_or_404(self.get_queryset(request), pk=conflict_id)
        if not self.may(request, Role.OPERATOR, conflict):
            raise PermissionDenied
        try:
            operations = apply_conflict(conflict, user=request.user)
        except HospientError as error:
            messages.error(request, " ".join(getattr(error, "errors", {"": str(error)}).values()))
        else:
            self.log_change(request, conflict, "Decided for the other value.")
            messages.success(request, "The other value counts now.")
            for operation in operations:
                messages.info(request, f"{operation.integration.provider_name}: {outcome_sentence(operation)}")
        return HttpResponseRedirect(reverse("admin:integrations_conflict_change", args=[conflict.pk]))

    @admin.display(description="Record")
    def what(self, conflict: Conflict) -> SafeString:
        return row_link(conflict, f"{conflict.record_type.replace('_', ' ')} {conflict.external_id}".capitalize())

    @admin.display(description="Field")
    def field_label(self, conflict: Conflict) -> str:
        return field_in_words(conflict)

    @admin.display(description="Vendor")
    def vendor_label(self, conflict: Conflict) -> SafeString | str:
        return value_in_words(conflict, conflict.vendor_value)

    @admin.display(description="Hotel")
    def hotel_label(self, conflict: Conflict) -> SafeString | str:
        return value_in_words(conflict, conflict.hotel_value)

    @admin.display(description="Kept")
    def winner_label(self, conflict: Conflict) -> SafeString:
        return label(f"{conflict.get_winner_display()}'s", WINNER.get(conflict.winner, "default"))

    @admin.display(description="Decided otherwise")
    def applied(self, conflict: Conflict) -> str:
        return local_time(conflict.applied_at, conflict.integration.hotel)

    @admin.display(description="Found by")
    def run_link(self, conflict: Conflict) -> SafeString | str:
        return (
            row_link(conflict.run, str(conflict.run).replace("_", " ").capitalize())
            if conflict.run
            else "A webhook, or a run that was pruned"
        )


# --- rejected records ----------------------------------------------------------------------------------------------------------


class ResolvedFilter(DropdownFilter):
    title = "state"
    parameter_name = "resolved"
    all_option = ("", "Waiting")

    def lookups(self, request: HttpRequest, model_admin: HistoryAdmin) -> list[tuple[str, str]]:
        return [("yes", "Settled by a later sync"), ("all", "Both")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "all":
            return queryset
        return queryset.filter(resolved_at__isnull=self.value() != "yes")


def retried_in_words(integration: Integration, outcome: Retried) -> str:
    """Say what became of rejected records that were tried again."""
    parts = [f"{outcome.taken:,} taken"]
    if outcome.left:
        parts.append(f"{outcome.left:,} not: the reason stands beside each")
    if outcome.waiting:
        streams = ", ".join(run.stream.replace("_", " ") for run in outcome.runs if run.is_open)
        parts.append(f"{outcome.waiting:,} to be read by a worker with the whole stream ({streams})")
    return f"{integration.provider_name}: {'; '.join(parts)}."


@admin.register(RejectedRecord)
class RejectedRecordAdmin(HistoryAdmin):
    list_display = ("what", "reason", "integration_link", "when", "resolved")
    list_filter = (IntegrationFilter, StreamFilter, ResolvedFilter)
    search_fields = ("external_id",)
    search_help_text = "Find by the vendor's id"
    empty_text = "Every record the vendors sent was taken."
    paginator = Paginator  # a record waits once however often it is refused, so these can be counted
    actions = ("retry_selected",)
    list_before_template = "console/rejected_list.html"
    change_form_outer_before_template = "console/rejected_status.html"
    fieldsets = (
        (None, {"fields": ("integration_link", "run_link", "record_type", "external_id", "reason", "todo", "when", "resolved")}),
        ("As the vendor sent it", {"fields": ("payload_json",)}),
    )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.retry_view)
        return [
            path("retry/", view, name="integrations_rejectedrecord_retry_matching"),
            path("<int:record_id>/retry/", view, name="integrations_rejectedrecord_retry"),
            *super().get_urls(),
        ]

    def has_retry_permission(self, request: HttpRequest, record: RejectedRecord | None = None) -> bool:
        return self.may(request, Role.OPERATOR, record) and (record is None or record.resolved_at is None)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"may_retry": self.has_retry_permission(request), **(extra_context or {})})

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        record = self.get_object(request, object_id)
        context = {"may_retry": record is not None and self.has_retry_permission(request, record)}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    @admin.action(description="Try again …", permissions=["retry"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse:
        """Lead to the page that asks, for the rows ticked, or for all that the filters show."""
        if request.POST.get("select_across") == "1":
            query = request.GET.urlencode()
        else:
            query = f"ids={','.join(map(str, queryset.values_list('pk', flat=True)))}"
        return HttpResponseRedirect(f"{reverse('admin:integrations_rejectedrecord_retry_matching')}?{query}")

    def retry_view(self, request: HttpRequest, record_id: int | None = None) -> HttpResponse:
        """Say how many records it is about, and ask; then have them read again."""
        back = reverse("admin:integrations_rejectedrecord_changelist")
        if record_id is not None:
            record = get_object_or_404(self.get_queryset(request), pk=record_id)
            chosen: QuerySet = RejectedRecord.objects.filter(pk=record.pk)
            back = reverse("admin:integrations_rejectedrecord_change", args=[record.pk])
        elif ids := request.GET.get("ids"):
            chosen = RejectedRecord.objects.filter(pk__in=[int(pk) for pk in ids.split(",") if pk.isdecimal() and len(pk) < 19])
        else:
            chosen = self.get_changelist_instance(request).get_queryset(request)
            back = f"{back}?{request.GET.urlencode()}"
        chosen = visible(RejectedRecord.objects.filter(pk__in=chosen.values("pk")), request.user, self.hotel_path, Role.OPERATOR)
        chosen = chosen.filter(resolved_at=None)
        if request.method != "POST":
            counts = chosen.order_by().values("integration__provider_name").annotate(count=Count("pk"))
            context = {"title": "Try again?", "back": back, "counts": counts, "count": sum(row["count"] for row in counts)}
            return TemplateResponse(request, "console/rejected_retry.html", {**self.admin_site.each_context(request), **context})
        self.retry(request, Integration.objects.select_related("hotel").filter(rejected_records__in=chosen).distinct(), chosen)
        return HttpResponseRedirect(back)

    def retry(self, request: HttpRequest, integrations: Iterable[Integration], chosen: QuerySet) -> None:
        for integration in integrations:
            try:
                outcome = retry_rejected(integration, chosen, user=request.user, trigger=Trigger.ADMIN)
            except HospientError as error:
                messages.error(request, f"{integration.provider_name}: {error}")
            else:
                level = messages.WARNING if outcome.left else messages.SUCCESS
                messages.add_message(request, level, retried_in_words(integration, outcome))

    @admin.display(description="Record")
    def what(self, record: RejectedRecord) -> SafeString:
        return row_link(record, f"{record.record_type.replace('_', ' ')} {record.external_id}".capitalize())

    @admin.display(description="Run")
    def run_link(self, record: RejectedRecord) -> SafeString:
        return row_link(record.run, str(record.run))

    @admin.display(description="What to do")
    def todo(self, record: RejectedRecord) -> str:
        return "Nothing: a later sync settled it." if record.resolved_at else "Correct it at the vendor, then try again."

    @admin.display(description="Settled")
    def resolved(self, record: RejectedRecord) -> str:
        return local_time(record.resolved_at, record.integration.hotel) or "Not yet"

    @admin.display(description="Payload")
    def payload_json(self, record: RejectedRecord) -> SafeString | str:
        return pretty_json(record.payload)
