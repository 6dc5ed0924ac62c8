"""The inbox: what vendors told us, what became of it, and having it worked again after asking. Nothing can be changed."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter

from hotels.access import visible
from hotels.admin.base import colours, local_time, state_column
from hotels.models import Role
from integrations.admin.base import HistoryAdmin, IntegrationFilter, row_link
from integrations.admin.display import Problem, pretty_json, problem
from integrations.exceptions import HospientError
from integrations.models import Integration, IntegrationStatus
from integrations.services import outlook
from integrations.services.refused import refused_lately
from webhooks import inbox, subscriptions
from webhooks.facts import webhook_url
from webhooks.models import EventStatus, WebhookEvent

REFUSED_SHOWN = 5
"""Integrations whose refusals stand above the list; each one's own page has them too."""
EVENT = colours(EventStatus, pending="info", processing="info", done="success", dead="danger")


def event_problem(event: WebhookEvent) -> Problem | None:
    name = f"“{event.event_type or 'Event'}”"
    if event.status == EventStatus.DEAD:
        todo = "Cure the reason, then have it worked again: newer records are never overwritten by it."
        return problem(f"{name} was given up after {event.attempts} attempts.", why=event.error_message, code=event.error_code, hint=todo)
    if event.status == EventStatus.PENDING and event.error_message:
        if event.integration.status == IntegrationStatus.INACTIVE:
            todo = outlook.SWITCH_ON
        else:
            todo = f"Nothing: it is worked again {outlook.when(event.next_attempt_at, event.integration.hotel)}."
        return Problem(what=f"{name} has had no effect yet.", why=event.error_message, todo=todo)
    return None


@admin.register(WebhookEvent)
class WebhookEventAdmin(HistoryAdmin):
    list_display = ("what", "status_label", "integration_link", "object_key", "effect", "attempts", "when")
    list_filter = (IntegrationFilter, ("status", ChoicesDropdownFilter), ("received_at", RangeDateTimeFilter))
    linked_lookups = ("correlation_id", "object_key", "event_type")
    search_fields = ("=event_id", "=object_key")
    search_help_text = "Find by the vendor's id of the event, or by its object: reservation:res_123"
    list_before_template = "console/inbox_list.html"
    change_form_outer_before_template = "console/event_status.html"
    change_form_template = "admin/change_form.html"  # with its history: who had it worked again
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("integration_link", "event_type", "status_label"),
                    ("event_id", "object_key", "verified_by"),
                    ("when", "processed", "next_attempt"),
                    ("attempts", "outcome", "cause"),
                )
            },
        ),
        ("Body", {"fields": ("body_json",)}),
        ("Headers", {"fields": ("headers_json",)}),
    )

    status_label = state_column("status", EVENT, "State")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).defer("body")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("replay/", view(self.replay_view), name="webhooks_webhookevent_replay_matching"),
            path("<int:event_id>/replay/", view(self.replay_view), name="webhooks_webhookevent_replay"),
            path("subscription/<int:integration_id>/", view(self.subscription_view), name="webhooks_subscription"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Say above the list what was refused at the door, and so is not in it."""
        asked = visible(Integration.objects.select_related("hotel"), request.user)
        if (chosen := request.GET.get("integration", "")).isdecimal():
            asked = asked.filter(pk=chosen)
        rows = {row.pk: row for row in asked}
        found = sorted(refused_lately(rows).items(), key=lambda entry: -entry[1].count)[:REFUSED_SHOWN]
        refused = [{"integration": rows[pk], "refused": shown} for pk, shown in found]
        return super().changelist_view(request, {"refused": refused, **(extra_context or {})})

    def may_replay(self, request: HttpRequest, event: WebhookEvent) -> bool:
        return event.status not in WebhookEvent.OPEN and self.may(request, Role.OPERATOR, event)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        event = self.get_object(request, object_id)
        context = {"problem": event_problem(event), "may_replay": self.may_replay(request, event)} if event else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def replay_view(self, request: HttpRequest, event_id: int | None = None) -> HttpResponse:
        """Say how many events it is about, and ask; then have them worked again."""
        if event_id is not None:
            event = get_object_or_404(self.get_queryset(request), pk=event_id)
            chosen: QuerySet = WebhookEvent.objects.filter(pk=event.pk)
            back = reverse("admin:webhooks_webhookevent_change", args=[event.pk])
        else:
            back = f"{reverse('admin:webhooks_webhookevent_changelist')}?{request.GET.urlencode()}"
            if not request.GET:
                messages.error(request, "Filter the list first: without a filter every event would be worked again.")
                return HttpResponseRedirect(back)
            chosen = self.get_changelist_instance(request).get_queryset(request)
        replayable = inbox.replayable(visible(chosen, request.user, self.hotel_path, Role.OPERATOR))
        if request.method != "POST":
            context = {**self.admin_site.each_context(request), "title": "Work again?", "back": back, "count": replayable.count()}
            return TemplateResponse(request, "console/event_replay.html", context)
        events = list(replayable.values_list("pk", flat=True))
        replayed = inbox.replay(WebhookEvent.objects.filter(pk__in=events)) if events else 0
        if event_id is not None and replayed:
            self.log_change(request, event, "Had it worked again.")
        messages.success(request, f"{replayed:,} events wait to be worked again.")
        return HttpResponseRedirect(back)

    def subscription_view(self, request: HttpRequest, integration_id: int) -> HttpResponse:
        """Show the subscriptions a vendor has for an integration; create one, or give one a new key."""
        if not self.may(request, Role.MANAGER):
            raise PermissionDenied
        managed = visible(Integration.objects.select_related("hotel"), request.user, "hotel", Role.MANAGER)
        integration = get_object_or_404(managed, pk=integration_id)
        existing: list[dict[str, Any]] = []
        try:
            if request.method == "POST":
                self._change_subscription(request, integration)
                return HttpResponseRedirect(request.path)
            existing = subscriptions.existing(integration)
        except HospientError as error:
            messages.error(request, str(error))
        context = {
            **self.admin_site.each_context(request),
            "title": "Webhook subscription",
            "object": integration,
            "address": webhook_url(integration),
            "subscriptions": existing,
            "back": reverse("admin:integrations_integration_change", args=[integration.pk]),
        }
        return TemplateResponse(request, "console/subscription.html", context)

    def _change_subscription(self, request: HttpRequest, integration: Integration) -> None:
        if chosen := request.POST.get("rotate"):
            at_once = request.POST.get("at_once") == "1"
            subscriptions.rotate(integration, chosen, at_once=at_once)
            done = "The subscription has a new key. Deliveries signed with the old one " + (
                "are refused from now on." if at_once else "pass for another day."
            )
        else:
            subscriptions.create(integration)
            done = "The vendor sends its events here from now on, and the key it signs them with is stored."
        self.log_change(request, integration, done)
        messages.success(request, done)

    @admin.display(description="What")
    def what(self, event: WebhookEvent) -> SafeString:
        return row_link(event, event.event_type or event.event_id)

    @admin.display(description="Effect")
    def effect(self, event: WebhookEvent) -> str:
        return event.error_message or event.outcome

    @admin.display(description="Received")
    def when(self, event: WebhookEvent) -> SafeString | str:
        return local_time(event.received_at, event.integration.hotel)

    @admin.display(description="Worked")
    def processed(self, event: WebhookEvent) -> SafeString | str:
        return local_time(event.processed_at, event.integration.hotel)

    @admin.display(description="Next attempt")
    def next_attempt(self, event: WebhookEvent) -> SafeString | str:
        return local_time(event.next_attempt_at, event.integration.hotel) if event.status in WebhookEvent.OPEN else ""

    @admin.display(description="Received")
    def body_json(self, event: WebhookEvent) -> SafeString | str:
        return pretty_json(inbox.shown_body(event))

    @admin.display(description="Received")
    def headers_json(self, event: WebhookEvent) -> SafeString | str:
        return pretty_json(event.headers)
