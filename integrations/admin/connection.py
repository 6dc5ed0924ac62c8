"""Connecting a vendor: the catalogue, the form made from a provider's manifest, and its test before anything is saved."""

from decimal import Decimal
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold import widgets

from hotels.access import hotels_of
from hotels.admin.base import local_day
from hotels.models import Role
from integrations.admin.display import KINDS, is_called, setup_page
from integrations.admin.fields import aliases, form_field, humanise, is_secret
from integrations.exceptions import HospientError, InvalidInput, class_of
from integrations.models import Integration
from integrations.services import registry, setup
from integrations.services.manifest import Kind, Manifest
from integrations.services.service import TestOutcome

NOT_STORED = "Secrets are never sent back to this page: enter them once more."
INTERVALS = {
    "15": "Every 15 minutes",
    "hourly": "Every hour",
    "240": "Every 4 hours",
    "30 4 * * *": "Every night at 4:30",
    "daily": "Once a day",
    "weekly": "Once a week",
}
CONFLICT_RULES = {
    "vendor_wins": "The vendor's value is kept",
    "hotel_wins": "The hotel's value is kept",
    "newest_wins": "The newer value is kept",
}


class ConnectionForm(forms.Form):
    """Everything a hotel says about one connection. Field names are the paths of the request body (`credentials.access_token`)."""

    hotel = forms.ModelChoiceField(queryset=None, widget=widgets.UnfoldAdminSelectWidget(), empty_label=None)
    provider_name = forms.CharField(
        label="Name", max_length=120, widget=widgets.UnfoldAdminTextInputWidget(), help_text="How you will recognise it in lists."
    )
    environment = forms.ChoiceField(
        widget=widgets.UnfoldAdminSelectWidget(), help_text="A sandbox is for trying out: nothing there is real."
    )
    auto_sync = forms.BooleanField(label="Sync by itself", required=False, initial=True, widget=widgets.UnfoldBooleanSwitchWidget())
    sync_interval = forms.ChoiceField(label="How often", widget=widgets.UnfoldAdminSelectWidget())
    conflict_rule = forms.ChoiceField(
        label="If both sides changed something",
        choices=CONFLICT_RULES,
        widget=widgets.UnfoldAdminSelectWidget(),
        help_text="The value that is not kept stays in the list of conflicts.",
    )
    webhook_url = forms.URLField(
        label="Webhook address",
        required=False,
        assume_scheme="https",
        max_length=500,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Exactly as registered at the vendor: some vendors sign it. Empty: this server's own address for this integration.",
    )
    webhook_secret = forms.CharField(
        label="Webhook secret",
        required=False,
        widget=widgets.UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="What the vendor signs its messages with. A new one replaces the old after a day in which both are accepted.",
    )

    def __init__(self, data: Any = None, *, manifest: Manifest, kind: str, user: Any, integration: Integration | None = None) -> None:
        self.manifest, self.kind, self.integration = manifest, kind, integration
        super().__init__(data, initial=self._initial())
        self.fields["environment"].choices = {name: humanise(name) for name in manifest.environments}
        interval = self.initial["sync_interval"]
        self.fields["sync_interval"].choices = INTERVALS if interval in INTERVALS else {interval: f"As it is: {interval}", **INTERVALS}
        if integration:
            del self.fields["hotel"]
        else:
            self.fields["hotel"].queryset = hotels_of(user, Role.MANAGER)
        if not is_called(manifest):
            del self.fields["webhook_url"], self.fields["webhook_secret"]
        for name, info in manifest.config.model_fields.items():
            self.fields[f"config.{name}"] = form_field(name, info)
        self._add_credentials()

    def _initial(self) -> dict[str, Any]:
        row = self.integration
        if row is None:
            return {"provider_name": self.manifest.name, "auto_sync": True, "sync_interval": "hourly", "conflict_rule": "vendor_wins"}
        return {
            "provider_name": row.provider_name,
            "environment": row.environment,
            "webhook_url": row.webhook_url,
            "auto_sync": row.sync_settings.get("auto_sync", False),
            "sync_interval": str(row.sync_settings.get("sync_interval", "hourly")),
            "conflict_rule": row.sync_settings.get("conflict_rules", {}).get("*", "vendor_wins"),
            **{f"config.{name}": value for name, value in self._known_config(row).items()},
        }

    def _known_config(self, row: Integration) -> dict[str, Any]:
        """Return the stored config by field name, whatever spelling it was stored in (`baseUrl`)."""
        known = {}
        for name, info in self.manifest.config.model_fields.items():
            spelling = next((key for key in (name, *aliases(info)) if key in row.config), None)
            if spelling:
                known[name] = row.config[spelling]
        return known

    def _add_credentials(self) -> None:
        """A secret that is set is not asked for again; the field says since when it is set and what it ends in."""
        stored = {entry["name"]: entry for entry in setup.describe_credentials(self.integration)} if self.integration else {}
        for name, info in self.manifest.credentials.model_fields.items():
            entry = stored.get(name, {"is_set": False})
            field = form_field(name, info, required=info.is_required() and not entry["is_set"])
            if entry["is_set"] and entry["is_secret"]:
                since = local_day(entry["set_at"], self.integration.hotel)
                field.widget.attrs["placeholder"] = f"Set on {since}, ends in {entry['ends_in']}. Leave empty to keep it."
            elif entry["is_set"]:
                field.initial = entry["value"]
            self.fields[f"credentials.{name}"] = field

    def body(self) -> dict[str, Any]:
        """Return what the form says as a request body. Empty credentials are left out, which keeps the stored ones."""
        values = self.cleaned_data
        config = dict(self.integration.config) if self.integration else {}
        for name, info in self.manifest.config.model_fields.items():
            for spelling in (name, *aliases(info)):
                config.pop(spelling, None)
            value, default = values[f"config.{name}"], info.get_default(call_default_factory=True)
            if value not in (None, "", [], {}) and value != (list(default) if isinstance(default, tuple) else default):
                config[name] = str(value) if isinstance(value, Decimal) else value
        stored = self.integration.sync_settings if self.integration else {}
        rules = {**stored.get("conflict_rules", {}), "*": values["conflict_rule"]}
        return {
            "provider": self.manifest.slug,
            "integration_type": self.kind,
            "provider_name": values["provider_name"],
            "environment": values["environment"],
            "config": config,
            "credentials": {
                name: values[f"credentials.{name}"] for name in self.manifest.credentials.model_fields if values[f"credentials.{name}"]
            },
            "sync_settings": {
                **stored, "auto_sync": values["auto_sync"], "sync_interval": values["sync_interval"], "conflict_rules": rules,
            },
            **{name: values[name] for name in ("webhook_url", "webhook_secret") if name in values},
        }  # fmt: skip

    def fresh_credentials(self) -> str:
        """Name the credentials that were entered, for the history; never what they are."""
        labels = [field.label for name, field in self.fields.items() if name.startswith("credentials.") and name in self.changed_data]
        return f"Entered: {', '.join(labels)}." if labels else ""

    def refuse(self, errors: dict[str, str]) -> None:
        """Put what the service found wrong beside the fields it names."""
        for path, sentence in errors.items():
            name = next((n for n in (path, path.rpartition(".")[2]) if n in self.fields), None)
            self.add_error(name, sentence if name else f"{humanise(path)}: {sentence}")

    @property
    def groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """Return the fields under their headings: title, what it is about, fields."""

        def named(*names: str) -> list[forms.BoundField]:
            return [self[name] for name in self.fields if name in names or name.partition(".")[0] in names]

        groups = [
            ("Connection", "", named("hotel", "provider_name", "environment")),
            ("Credentials", f"From {self.manifest.name}. Secrets are stored encrypted and never shown again.", named("credentials")),
            ("Settings", "", named("config")),
            ("Synchronisation", "", named("auto_sync", "sync_interval", "conflict_rule") if self.manifest.streams else []),
            ("Webhooks", "The vendor tells us at once when something changes.", named("webhook_url", "webhook_secret")),
        ]
        return [group for group in groups if group[2]]


# --- views ---------------------------------------------------------------------------------------------------------------------


def catalogue() -> list[dict[str, Any]]:
    """Return what the first page of “add” offers: one card a vendor and kind, the generic one last."""
    cards = []
    for slug, provider in registry.providers().items():
        manifest = provider.manifest
        for kind in manifest.kinds:
            url = f"{reverse('admin:integrations_integration_add')}?provider={slug}&kind={kind}"
            brings = [stream.label for stream in manifest.streams if stream.kind in (None, kind)]
            does = [operation.label for operation in manifest.operations if operation.kind in (None, kind)]
            cards.append(
                {"manifest": manifest, "kind": KINDS[kind], "order": list(Kind).index(kind), "url": url, "brings": brings, "does": does}
            )
    return sorted(cards, key=lambda card: (card["order"], card["manifest"].slug == registry.FALLBACK, card["manifest"].name))


def chosen(request: HttpRequest) -> tuple[Manifest, str] | None:
    """Return the vendor and kind the address names, or None to choose first."""
    slug, kind = request.GET.get("provider", ""), request.GET.get("kind", "")
    if not slug:
        return None
    provider = registry.providers().get(slug)
    if provider is None or kind not in provider.manifest.kinds:
        raise Http404
    return provider.manifest, kind


def page(model_admin: Any, request: HttpRequest, form: ConnectionForm) -> HttpResponse:
    """Show the form with the vendor's own instructions beside it."""
    row = form.integration
    if row:
        try_url = reverse("admin:integrations_integration_try_changes", args=[row.pk])
    else:
        try_url = f"{reverse('admin:integrations_integration_try')}?provider={form.manifest.slug}&kind={form.kind}"
    has_secrets = any(is_secret(info) for info in form.manifest.credentials.model_fields.values())
    context = model_admin.context(
        request,
        row,
        title="Settings" if row else f"Connect {form.manifest.name}",
        form=form,
        manifest=form.manifest,
        kind=KINDS[Kind(form.kind)],
        setup_page=setup_page(form.manifest.slug),
        try_url=try_url,
        not_stored=NOT_STORED if form.is_bound and has_secrets else "",
    )
    return TemplateResponse(request, "console/connect.html", context)


def save(form: ConnectionForm, user: Any) -> tuple[Integration, list[str]] | None:
    """Save through the service. None if something has to be corrected first; it then stands beside its field."""
    if not form.is_valid():
        return None
    try:
        if form.integration:
            return setup.update_integration(form.integration, form.body(), user=user, partial=True)
        return setup.create_integration(form.cleaned_data["hotel"], form.body(), user=user)
    except InvalidInput as error:
        form.refuse(error.errors)
    except HospientError as error:
        form.add_error(None, str(error))
    return None


def try_out(request: HttpRequest, form: ConnectionForm) -> HttpResponse:
    """Test with the values on the form and answer a piece of the page. Nothing is stored."""
    outcome = None
    if form.is_valid():
        hotel = form.integration.hotel if form.integration else form.cleaned_data["hotel"]
        try:
            outcome = setup.try_connection(hotel, form.body(), instance=form.integration)
        except InvalidInput as error:
            form.refuse(error.errors)
    errors = [(form.fields[name].label if name in form.fields else "", sentences) for name, sentences in form.errors.items()]
    return TemplateResponse(request, "console/test_outcome.html", {**told(outcome), "errors": errors, "saved": False})


def told(outcome: TestOutcome | None) -> dict[str, Any]:
    """Return what a test's outcome shows."""
    if outcome is None:
        return {"outcome": None}
    details = [(humanise(name), value) for name, value in outcome.details.items()]
    again = (
        "Test again when the vendor answers."
        if class_of(outcome.code).retryable
        else "Compare the fields with what the vendor shows, then test again."
    )
    return {"outcome": outcome, "details": details, "todo": outcome.hint or again}
