"""The outbox: what was to be written at a vendor, what became of it, and trying again after asking."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter

from hotels.admin.base import local_time, state_column
from hotels.models import Role
from integrations.admin.base import HistoryAdmin, IntegrationFilter, OperationFilter, row_link
from integrations.admin.display import OPERATION, Problem, in_words, pretty_json, told
from integrations.exceptions import HospientError
from integrations.models import Operation, OperationStatus, Trigger
from integrations.services import outlook, service_for

RETRYABLE = (OperationStatus.DEAD, OperationStatus.UNKNOWN, OperationStatus.PENDING)


def operation_problem(operation: Operation) -> Problem | None:
    return None if operation.status == OperationStatus.DONE or not _is_told(operation) else told(outlook.of_operation(operation))


def _is_told(operation: Operation) -> bool:
    """What only waits for its first try is no problem."""
    return operation.status in (OperationStatus.UNKNOWN, OperationStatus.DEAD) or bool(operation.error_message)


@admin.register(Operation)
class OperationAdmin(HistoryAdmin):
    list_display = ("what", "status_label", "integration_link", "about", "reference", "attempts", "when")
    list_filter = (IntegrationFilter, OperationFilter, ("status", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter))
    list_select_related = ("integration__hotel", "requested_by")
    linked_lookups = ("correlation_id",)
    search_fields = ("=vendor_reference", "=idempotency_key")
    search_help_text = "Find by the vendor's reference or the idempotency key"
    change_form_outer_before_template = "console/operation_status.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("integration_link", "label", "status_label"),
                    ("vendor_reference", "about", "requested_by"),
                    ("when", "done", "next_attempt"),
                    ("attempts", "idempotency_key", "cause"),
                )
            },
        ),
        ("Sent", {"fields": ("payload_json",)}),
        ("Answer", {"fields": ("warned", "answer_json")}),
    )
    change_form_template = "admin/change_form.html"  # with its history: who tried it again

    def get_urls(self) -> list[Any]:
        retry = self.admin_site.admin_view(self.retry_view)
        return [path("<int:operation_id>/retry/", retry, name="integrations_operation_retry"), *super().get_urls()]

    def may_retry(self, request: HttpRequest, operation: Operation) -> bool:
        return operation.status in RETRYABLE and self.may(request, Role.OPERATOR, operation)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        operation = self.get_object(request, object_id)
        context = {}
        if operation is not None:
            context = {"problem": operation_problem(operation), "may_retry": self.may_retry(request, operation)}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def retry_view(self, request: HttpRequest, operation_id: int) -> HttpResponse:
        """Ask first; then try again through the outbox, which looks before it sends."""
        operation = get_object_or_404(self.get_queryset(request), pk=operation_id)
        back = reverse("admin:integrations_operation_change", args=[operation.pk])
        if not self.may_retry(request, operation):
            messages.error(request, "This cannot be tried again: it is done, or your role in this hotel may not post.")
            return HttpResponseRedirect(back)
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "object": operation,
                "title": "Try again?",
                "back": back,
                "label": outlook.label_of(operation),
                "problem": operation_problem(operation),
                "payload": pretty_json(operation.payload),
                "resends": outlook.sends_again(operation),
            }
            return TemplateResponse(request, "console/operation_retry.html", context)
        try:
            operation = service_for(operation.integration, user=request.user, trigger=Trigger.ADMIN).retry_operation(operation)
        except HospientError as error:
            messages.error(request, in_words(error))
        else:
            self.log_change(request, operation, "Tried again.")
            level = messages.SUCCESS if operation.status == OperationStatus.DONE else messages.WARNING
            messages.add_message(request, level, outcome_sentence(operation))
        return HttpResponseRedirect(back)

    @admin.display(description="What")
    def what(self, operation: Operation) -> SafeString:
        return row_link(operation, outlook.label_of(operation))

    @admin.display(description="What")
    def label(self, operation: Operation) -> str:
        return outlook.label_of(operation)

    status_label = state_column("status", OPERATION, "State")

    @admin.display(description="Vendor's reference")
    def reference(self, operation: Operation) -> SafeString:
        return format_html('<span class="hsp-cut" title="{0}">{0}</span>', operation.vendor_reference)

    @admin.display(description="About")
    def about(self, operation: Operation) -> str:
        return f"{operation.record_type.replace('_', ' ').capitalize()} {operation.object_id}" if operation.object_id else ""

    @admin.display(description="Done")
    def done(self, operation: Operation) -> str:
        return local_time(operation.done_at, operation.integration.hotel)

    @admin.display(description="Next attempt")
    def next_attempt(self, operation: Operation) -> str:
        return local_time(operation.next_attempt_at, operation.integration.hotel) if operation.is_open else ""

    @admin.display(description="Warnings")
    def warned(self, operation: Operation) -> SafeString:
        return format_html_join(mark_safe("<br>"), "{}", ((warning,) for warning in operation.warnings))

    @admin.display(description="Body")
    def payload_json(self, operation: Operation) -> SafeString | str:
        return pretty_json(operation.payload)

    @admin.display(description="Body")
    def answer_json(self, operation: Operation) -> SafeString | str:
        return pretty_json(operation.answer)


def outcome_sentence(operation: Operation) -> str:
    """Say in words what became of a operation."""
    label = outlook.label_of(operation)
    if operation.status == OperationStatus.DONE:
        reference = f" The vendor's reference is {operation.vendor_reference}." if operation.vendor_reference else ""
        return " ".join([f"{label}: done.{reference}", *operation.warnings])
    trouble = operation_problem(operation)
    return f"{trouble.what} {trouble.why} {trouble.todo}" if trouble else f"{label}: accepted, and sent as soon as possible."
