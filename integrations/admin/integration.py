"""The integrations of a hotel: the list, one integration's page with everything that can be done to it, and its settings.

Every act goes through the services and is written to the history. Another hotel's integration answers as one that never existed.
"""

from datetime import date
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from hotels.admin.base import HotelAdmin, HotelFilter, label, local_day, local_time
from hotels.models import Role
from integrations.admin import calls, connection
from integrations.admin.display import (
    KINDS,
    RUN,
    environment_badge,
    in_words,
    is_called,
    manifest_of,
    standing_problem,
)
from integrations.admin.history import history_of
from integrations.exceptions import HospientError, InvalidInput
from integrations.health import judge
from integrations.models import Integration, IntegrationStatus, Operation, OperationStatus, RunMode, SyncRun, Trigger
from integrations.services import service_for, setup
from integrations.services.manifest import Kind, Manifest
from integrations.services.refused import refused_lately
from integrations.services.service import IntegrationService


@admin.register(Integration)
class IntegrationAdmin(HotelAdmin):
    add_role = change_role = delete_role = Role.MANAGER
    list_display = ("name_and_vendor", "state_label", "environment_label", "hotel", "kind", "last_sync", "next_sync", "waiting")
    list_filter = (HotelFilter, ("status", ChoicesDropdownFilter), ("integration_type", ChoicesDropdownFilter))
    search_fields = ("provider_name", "provider", "hotel__name")
    search_help_text = "Search by name, vendor or hotel"
    ordering = ("hotel__name", "provider_name")
    add_text = "Connect a vendor"
    empty_icon = "cable"
    empty_text = "Connect your point of sale, property management or guest management system: choose the vendor, fill in its access data, test, save."

    # --- the list --------------------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        stuck = Count("operations", filter=Q(operations__status__in=[OperationStatus.UNKNOWN, OperationStatus.DEAD]))
        return super().get_queryset(request).select_related("hotel").annotate(stuck_count=stuck)

    @display(description="Name", header=True, ordering="provider_name")
    def name_and_vendor(self, row: Integration) -> list[str]:
        manifest = manifest_of(row)
        return [row.provider_name, manifest.name if manifest else f"{row.provider} is not installed here"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Judge the rows of the page together."""
        shown = super().get_changelist_instance(request)
        judged = judge(shown.result_list)
        for row in shown.result_list:
            row.health = judged[row.pk]
        return shown

    @admin.display(description="State")
    def state_label(self, row: Integration) -> SafeString:
        return label(row.health.state.label, row.health.state.colour)

    @admin.display(description="Environment", ordering="environment")
    def environment_label(self, row: Integration) -> SafeString:
        return environment_badge(row)

    @admin.display(description="Kind", ordering="integration_type")
    def kind(self, row: Integration) -> str:
        return KINDS[Kind(row.integration_type)]

    @admin.display(description="Last sync", ordering="last_sync_at")
    def last_sync(self, row: Integration) -> str:
        return local_time(row.last_sync_at, row.hotel) or "Never"

    @admin.display(description="Next sync", ordering="next_sync_at")
    def next_sync(self, row: Integration) -> str:
        return local_time(row.next_sync_at, row.hotel) or "By hand"

    @admin.display(description="Waiting for you")
    def waiting(self, row: Integration) -> SafeString | str:
        if not row.stuck_count:
            return ""
        url = reverse("admin:integrations_operation_changelist")
        words = "operation" if row.stuck_count == 1 else "operations"
        return format_html('<a class="hsp-link" href="{}?integration={}">{} {}</a>', url, row.pk, row.stuck_count, words)

    # --- addresses and permissions ---------------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        def view(function: Any, *, writes: bool = False) -> Any:
            return self.admin_site.admin_view(require_POST(function) if writes else function)

        name = "integrations_integration_"
        own = [
            path("try/", view(self.try_view, writes=True), name=name + "try"),
            path("<int:pk>/try/", view(self.try_view, writes=True), name=name + "try_changes"),
            path("<int:pk>/settings/", view(self.settings_view), name=name + "settings"),
            path("<int:pk>/test/", view(self.test_view, writes=True), name=name + "test"),
            path("<int:pk>/sync/", view(self.sync_view, writes=True), name=name + "sync"),
            path("<int:pk>/webhook-secret/", view(self.webhook_secret_view, writes=True), name=name + "webhook_secret"),
            path("<int:pk>/status/", view(self.status_view, writes=True), name=name + "status"),
            path("<int:pk>/operations/<slug:name>/", view(self.operation_view), name=name + "operation"),
        ]
        return [*own, *super().get_urls()]

    def find(self, request: HttpRequest, pk: int | str, role: Role = Role.OPERATOR) -> Integration:
        """Return an integration of the user's hotels; what another hotel has does not exist."""
        row = self.get_object(request, str(pk))
        if row is None:
            raise Http404
        if not self.may(request, role, row):
            raise PermissionDenied
        return row

    def service(self, request: HttpRequest, row: Integration) -> IntegrationService:
        return service_for(row, user=request.user, trigger=Trigger.ADMIN)

    def context(self, request: HttpRequest, row: Integration | None = None, **more: Any) -> dict[str, Any]:
        """Return what a page of this app's own shows around itself: side bar, and the way here."""
        where = {"object": row} if row else {"model_admin": self}
        return {**self.admin_site.each_context(request), **where, **more}

    # --- connecting ------------------------------------------------------------------------------------------------------------

    @method_decorator(sensitive_post_parameters())
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        chosen = connection.chosen(request)
        if chosen is None:
            context = self.context(request, title="Connect a vendor", cards=connection.catalogue())
            return TemplateResponse(request, "console/catalogue.html", context)
        manifest, kind = chosen
        return self.connect(request, connection.ConnectionForm(request.POST or None, manifest=manifest, kind=kind, user=request.user))

    @method_decorator(sensitive_post_parameters())
    def settings_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self.connect(request, self.form_of(request, self.find(request, pk, Role.MANAGER)))

    def form_of(self, request: HttpRequest, row: Integration) -> connection.ConnectionForm:
        manifest = manifest_of(row)
        if manifest is None:
            raise Http404
        data = request.POST or None
        return connection.ConnectionForm(data, manifest=manifest, kind=row.integration_type, user=request.user, integration=row)

    def connect(self, request: HttpRequest, form: connection.ConnectionForm) -> HttpResponse:
        """Save what was sent and go to the integration's page, or show the form."""
        saved = connection.save(form, request.user) if form.is_bound else None
        if saved is None:
            return connection.page(self, request, form)
        row, warnings = saved
        if form.integration:
            self.log_change(request, row, f"Changed the settings. {form.fresh_credentials()}".strip())
            messages.success(request, "The settings are saved.")
        else:
            self.log_addition(request, row, f"Connected. {form.fresh_credentials()}".strip())
            messages.success(request, f"{row.provider_name} is saved. The connection is tried at once; its state is below.")
        for warning in warnings:
            messages.warning(request, warning)
        return HttpResponseRedirect(self.address(row))

    @method_decorator(sensitive_post_parameters())
    def try_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Test with the values on the form. Nothing is stored."""
        if pk is not None:
            return connection.try_out(request, self.form_of(request, self.find(request, pk, Role.MANAGER)))
        if not self.has_add_permission(request):
            raise PermissionDenied
        chosen = connection.chosen(request)
        if chosen is None:
            raise Http404
        return connection.try_out(request, connection.ConnectionForm(request.POST, manifest=chosen[0], kind=chosen[1], user=request.user))

    # --- one integration -------------------------------------------------------------------------------------------------------

    def address(self, row: Integration) -> str:
        return reverse("admin:integrations_integration_change", args=[row.pk])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show everything about one integration. What can be changed is on the settings page."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row = self.get_object(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        manifest = manifest_of(row)
        health = judge([row])[row.pk]
        context = self.context(
            request,
            row,
            title=str(row),
            manifest=manifest,
            kind=KINDS[Kind(row.integration_type)],
            badge=environment_badge(row),
            health=health,
            problem=standing_problem(health),
            tone=health.state.colour,
            last=local_time(row.last_sync_at, row.hotel),
            next=local_time(row.next_sync_at, row.hotel),
            created=local_day(row.created_at, row.hotel),
            may_operate=self.may(request, Role.OPERATOR, row),
            may_manage=self.may(request, Role.MANAGER, row),
            history=history_of(row),
            refused=refused_lately([row]).get(row.pk),
            **(self.offers_of(row, manifest) if manifest else {}),
        )
        return TemplateResponse(request, "console/integration.html", context)

    def offers_of(self, row: Integration, manifest: Manifest) -> dict[str, Any]:
        """Return what the provider offers: streams with their last run, operations, credentials, webhooks."""
        latest = SyncRun.objects.filter(integration=row).exclude(mode=RunMode.REFRESH).order_by().values("stream").annotate(Max("id"))
        runs = {run.stream: run for run in SyncRun.objects.filter(pk__in=[entry["id__max"] for entry in latest])}
        streams = []
        for stream in service_for(row).streams():
            run = runs.get(stream.name)
            shown = {"when": local_time(run.created_at, row.hotel), "colour": RUN[run.status]} if run else {}
            streams.append({"stream": stream, "run": run, **shown})
        credentials = [entry | {"since": local_day(entry["set_at"], row.hotel)} for entry in setup.describe_credentials(row)]
        webhook = None
        if is_called(manifest):
            secrets = [secret for secret in row.webhook_secrets.all() if secret.is_active]
            webhook = {
                "address": row.webhook_url or f"{settings.PUBLIC_URL}/api/webhooks/{row.pk}",
                "secrets": len(secrets),
                "has_subscription": manifest.webhooks is not None and manifest.webhooks.subscription,
            }
        return {"streams": streams, "calls": calls.offered(row), "credentials": credentials, "webhook": webhook}

    # --- acts ------------------------------------------------------------------------------------------------------------------

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Test with the stored credentials; answer a piece of the page, or the page where scripts are off."""
        row = self.find(request, pk)
        outcome = self.service(request, row).test_connection()
        self.log_change(request, row, "Tested the connection.")
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "console/test_outcome.html", {**connection.told(outcome), "saved": True})
        messages.add_message(request, messages.SUCCESS if outcome.success else messages.ERROR, f"{outcome.message} {outcome.hint}".strip())
        return HttpResponseRedirect(self.address(row))

    def sync_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Queue a sync and go to its page, where its progress shows."""
        row = self.find(request, pk)
        flags = {name: request.POST.get(name) == "1" for name in ("full", "confirm_deletions")}
        try:
            dates = {name: _day(request.POST.get(name, "")) for name in ("since", "until")}
            run, created = self.service(request, row).request_sync(request.POST.get("stream", ""), **flags, **dates)
        except HospientError as error:
            messages.error(request, in_words(error))
            return HttpResponseRedirect(self.address(row))
        if created:
            self.log_change(request, row, f"Started a sync of {run.stream}.")
        else:
            messages.info(request, "This sync is already under way; here it is.")
            if flags["confirm_deletions"] and not run.confirm_deletions:
                messages.warning(request, "It began before you confirmed the deletions. Confirm them again when it has ended.")
        return HttpResponseRedirect(reverse("admin:integrations_syncrun_change", args=[run.pk]))

    def status_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Pause an integration or start it again."""
        row = self.find(request, pk, Role.MANAGER)
        paused = request.POST.get("status") == IntegrationStatus.INACTIVE
        try:
            setup.update_integration(
                row, {"status": IntegrationStatus.INACTIVE if paused else IntegrationStatus.ACTIVE}, user=request.user, partial=True
            )
        except HospientError as error:
            messages.error(request, in_words(error))
        else:
            self.log_change(request, row, "Paused." if paused else "Started again.")
            messages.success(
                request,
                "Paused: nothing is synced or posted until you start it again, and its vendor's webhooks are refused."
                if paused
                else "Started again.",
            )
        return HttpResponseRedirect(self.address(row))

    def webhook_secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take the vendor's new webhook secret, or make one and show it this once; the one before passes for a day, or is refused at once."""
        row = self.find(request, pk, Role.MANAGER)
        at_once = request.POST.get("at_once") == "1"
        try:
            made = setup.replace_webhook_secret(row, request.POST.get("webhook_secret", "").strip(), at_once=at_once)
        except HospientError as error:
            messages.error(request, in_words(error))
            return HttpResponseRedirect(self.address(row))
        self.log_change(request, row, "Replaced the webhook secret" + (", and the one before at once." if at_once else "."))
        if not made:
            messages.success(
                request, f"The new webhook secret is stored; the one before {'is refused' if at_once else 'passes for another day'}."
            )
            return HttpResponseRedirect(self.address(row))
        context = self.context(request, row, title="New webhook secret", secret=made, at_once=at_once, back=self.address(row))
        response = TemplateResponse(request, "console/webhook_secret.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Ask, naming what goes and what stays; then delete. The hotel's records stay."""
        row = self.find(request, object_id, Role.MANAGER)
        if request.method == "POST":
            self.log_deletions(request, self.model.objects.filter(pk=row.pk))
            row.delete()
            messages.success(request, f"{row} is deleted. The hotel's menus, rooms, guests and checks are still here.")
            return HttpResponseRedirect(reverse("admin:integrations_integration_changelist"))
        unsent = row.operations.filter(status__in=Operation.OPEN).count()
        context = self.context(request, row, title="Delete?", integration=row, unsent=unsent, back=self.address(row))
        return TemplateResponse(request, "console/integration_delete.html", context)

    def operation_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        row = self.find(request, pk)
        return calls.view(self, request, row, name)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidInput({"date": "Choose dates from the calendar."}) from None
