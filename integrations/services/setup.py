"""Connecting a vendor and changing the connection: what may be stored, and what is said about it. Secrets go in, never out."""

import json
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from django.utils import timezone
from pydantic import SecretStr

from hotels.models import Hotel
from integrations import values
from integrations.exceptions import ConfigurationError, EgressBlocked, InvalidInput, RecordRejected
from integrations.models import Integration, IntegrationStatus, IntegrationType, OperationType, WebhookSecret
from integrations.security.egress import Egress
from integrations.security.kept import keepable
from integrations.security.keys import kind_of
from integrations.services import registry, tokens
from integrations.services.base import Provider
from integrations.services.connect import LogBook, connected, host_of, read_fields, unused_config
from integrations.services.manifest import Manifest, ProviderFields
from integrations.services.service import TestOutcome, run_test
from integrations.sync import health, schedule
from integrations.sync.conflicts import Rule
from integrations.transport.auth import MemoryTokenStore, check_header

MASKS = ("•", "…", "****")
"""A value that begins so is what we showed, sent back: it changes nothing."""
SECRET_BYTES = 32
"""Random ones in a webhook secret that we make."""
SECRET_CHARACTERS = 16
"""The least a webhook secret has that somebody gives us."""
_TEXTS = {"provider_name": 120, "provider_version": 20}
_WRITTEN = [
    "integration_type", "provider", "provider_name", "provider_version", "environment", "status", "config", "host", "webhook_url", "sync_settings",
    "next_sync_at", "test_due_at", "updated_at",
]  # fmt: skip


def create_integration(hotel: Hotel, data: Mapping[str, Any], *, user: Any = None) -> tuple[Integration, list[str]]:
    """Store a connection from a body such as the seed's, and return it with warnings a person should read. Raises InvalidInput."""
    integration = Integration(hotel=hotel)
    return _store(integration, data, partial=False)


def update_integration(
    integration: Integration, data: Mapping[str, Any], *, user: Any = None, partial: bool
) -> tuple[Integration, list[str]]:
    """Change a connection. Credentials that are absent, empty or masked stay as they are. Raises InvalidInput."""
    if partial and data.keys() == {"status"} and data["status"] == IntegrationStatus.INACTIVE:
        # What no longer passes the checks has to be stopped all the same.
        integration.status = IntegrationStatus.INACTIVE
        integration.save(update_fields=["status", "updated_at"])
        return integration, warnings_for(integration)
    return _store(integration, data, partial=partial)


def _store(integration: Integration, data: Mapping[str, Any], *, partial: bool) -> tuple[Integration, list[str]]:
    errors: dict[str, str] = {}
    before = _destinations(integration) if integration.pk else frozenset()
    tried_with = _called_with(integration) if integration.pk else None
    _take_plain(integration, data, errors, partial=partial)
    slug = integration.provider
    manifest = registry.get(slug).manifest if slug in registry.providers() else None
    if manifest is None and slug:
        errors.setdefault("provider", f"“{slug}” is not a provider. Known: {', '.join(registry.providers())}.")
    if errors or manifest is None:
        raise InvalidInput(errors)

    if integration.integration_type not in manifest.kinds:
        raise InvalidInput(
            {"provider": f"{manifest.name} is not a system of the type {integration.get_integration_type_display().lower()}."}
        )
    if integration.environment not in manifest.environments:
        raise InvalidInput({"environment": f"Use one of: {', '.join(manifest.environments)}."})
    credentials, entered = _merged_credentials(integration, manifest, data.get("credentials"))
    is_entered = bool(entered)
    changed = is_entered and credentials != (integration.credentials.reveal() if integration.credentials else {})
    _check_no_secret_in_config(manifest, data.get("config") or {})
    _check_connection(integration, manifest, credentials)
    moved = _destinations(integration, credentials) != before
    _check_secrets_stay(integration, manifest, credentials, entered, before)
    _check_sync_settings(integration)
    with transaction.atomic():
        if changed:
            integration.credentials = credentials
            integration.credentials_set_at = timezone.now()
        integration.next_sync_at = schedule.next_sync_at(integration)
        if changed or moved:
            health.forget(integration)
        if is_entered or tried_with != _called_with(integration):
            integration.test_due_at = timezone.now()
        # Only what is ours to change: a worker may have stored a fresh token or an outcome since the row was read.
        written = [*_WRITTEN, *(("credentials", "credentials_set_at") if changed else ()), *(health.KEPT if changed or moved else ())]
        integration.save(update_fields=None if integration.pk is None else written)
        # A token is good for one account at one address. Who enters the same credentials again wants to be signed in anew.
        if integration.tokens and (is_entered or moved):
            tokens.forget(integration)
        if (secret := data.get("webhook_secret")) and not _is_masked(secret):
            set_webhook_secret(integration, secret)
    return integration, warnings_for(integration)


def _called_with(integration: Integration) -> tuple[Any, ...]:
    """Return what a connection test would find something else with, beside the credentials."""
    is_off = integration.status == IntegrationStatus.INACTIVE
    return integration.provider, integration.environment, json.dumps(integration.config, sort_keys=True, default=str), is_off


def _take_plain(integration: Integration, data: Mapping[str, Any], errors: dict[str, str], *, partial: bool) -> None:
    """Take over everything that is no secret; an absent field keeps its value in a partial change, and gets its default otherwise."""

    def given(name: str, default: Any) -> Any:
        return data[name] if data.get(name) is not None else getattr(integration, name) if partial else default

    for name in ("config", "sync_settings", "credentials"):
        if not isinstance(data.get(name) or {}, Mapping):
            errors[name] = "Send a JSON object."
        else:
            for key, value in (data.get(name) or {}).items():
                try:
                    values.check_plain({key: value}, str(key))
                except RecordRejected as refusal:
                    errors[f"{name}.{str(key)[:100].encode('ascii', 'backslashreplace').decode()}"] = refusal.message.partition(": ")[2]
    for name, limit in _TEXTS.items():
        value = given(name, "")
        if not isinstance(value, str) or len(value) > limit or "\x00" in value:
            errors[name] = f"Send a text of at most {limit} characters."
        setattr(integration, name, keepable(value, name))
    kind = given("integration_type", "")
    if kind not in IntegrationType.values:
        errors["integration_type"] = f"Use one of: {', '.join(IntegrationType.values)}."
    if not integration.provider_name and not data.get("provider"):
        errors["provider_name"] = "Name the vendor, for example Square POS."
    integration.integration_type = kind
    integration.config = keepable(given("config", {}), names_secrets=False)
    integration.sync_settings = keepable(given("sync_settings", {}), names_secrets=False)
    integration.webhook_url = _url(given("webhook_url", ""), errors)
    integration.environment = given("environment", "production")
    if not isinstance(integration.environment, str):
        errors["environment"] = "Send a text."
    status = given("status", IntegrationStatus.ACTIVE)
    if status not in IntegrationStatus.values:
        errors["status"] = f"Use one of: {', '.join(IntegrationStatus.values)}."
    integration.status = status
    if (secret := data.get("webhook_secret")) and not _is_masked(secret):
        try:
            check_webhook_secret(secret)
        except InvalidInput as refusal:
            errors |= refusal.errors
    if data.get("provider"):
        integration.provider = str(data["provider"])
    elif not integration.provider and not errors:
        integration.provider = registry.find(integration.provider_name, kind)
    if not integration.provider_name and integration.provider in registry.providers():
        integration.provider_name = registry.get(integration.provider).manifest.name


def _url(value: Any, errors: dict[str, str]) -> str:
    if value:
        try:
            URLValidator(schemes=["http", "https"])(value)
        except ValidationError:
            errors["webhook_url"] = "Give the full address as it is registered at the vendor, beginning with https://."
        else:
            if "@" in urlsplit(value).netloc:
                errors["webhook_url"] = "Leave out the user name and password: whoever sees the address would have them."
    return value if isinstance(value, str) else ""


def _check_connection(integration: Integration, manifest: Manifest, credentials: Mapping[str, Any]) -> None:
    """Refuse fields the provider cannot use, and an address that may not be called; note which host it is."""
    config, fields = read_fields(manifest, integration.config, credentials)
    for name in type(fields).model_fields:
        value = getattr(fields, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and "\n" not in text.strip() and any(ord(character) < 32 for character in text):
            raise InvalidInput({f"credentials.{name}": "It holds a line break or control character. Copy it from the vendor again."})
    addresses = _addresses(integration, config, fields)
    if not addresses["config.base_url"]:
        raise InvalidInput({"config.base_url": f"Give the address of your {manifest.name} system, beginning with https://."})
    for name, address in addresses.items():
        try:
            if address:
                Egress.from_settings().check_url(address)
        except EgressBlocked as refusal:
            raise InvalidInput({name: str(refusal)}) from None
    integration.host = host_of(addresses["config.base_url"])


def _check_no_secret_in_config(manifest: Manifest, config: Mapping[str, Any]) -> None:
    """Refuse a secret where it would be stored and shown as it is. Raises InvalidInput."""
    misplaced = [
        name for name in unused_config(manifest, config) if kind_of(name).is_token and isinstance(config[name], str) and config[name]
    ]
    if misplaced:
        sentence = f"A secret belongs among the credentials, where it is encrypted. {manifest.name} takes: {', '.join(_secrets(manifest)) or 'none'}."
        raise InvalidInput({f"config.{name}": sentence for name in misplaced})


def _addresses(integration: Integration, config: ProviderFields, credentials: ProviderFields) -> dict[str, str]:
    """Return every address secrets may be sent to, by the field that gives it: a sign-in may have one of its own."""
    found: dict[str, str] = {}
    for part, fields in (("config", config), ("credentials", credentials)):
        for name in type(fields).model_fields:
            value = getattr(fields, name)
            for path, text in [(name, value)] if isinstance(value, str) else _texts(value, name):
                if name.endswith("_url") or "://" in text:
                    found[f"{part}.{path}"] = text
    return found | {"config.base_url": registry.get(integration.provider).base_url(integration.environment, config)}


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping | list | tuple):
        for name, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _texts(inner, f"{path}.{name}")


def _destinations(integration: Integration, credentials: Mapping[str, Any] | None = None) -> frozenset[str]:
    """Return the hosts that secrets may be sent to; none if what is stored cannot be read any more."""
    if credentials is None:
        credentials = integration.credentials.reveal() if integration.credentials else {}
    try:
        manifest = registry.get(integration.provider).manifest
        addresses = _addresses(integration, *read_fields(manifest, integration.config, credentials))
    except InvalidInput:
        return frozenset()
    return frozenset(urlsplit(address).netloc.lower() for address in addresses.values() if address)


def _check_secrets_stay(
    integration: Integration, manifest: Manifest, credentials: Mapping[str, Any], entered: Collection[str], before: frozenset[str]
) -> None:
    """Refuse to send stored secrets to another host than the one they were entered for. Raises InvalidInput."""
    if not integration.credentials or _destinations(integration, credentials) <= before:
        return
    stored = [name for name in _secrets(manifest) if credentials.get(name) and name not in entered]
    if stored:
        sentence = "The address changed. Enter it again, so that it goes nowhere it was not meant to go."
        raise InvalidInput({f"credentials.{name}": sentence for name in stored})


def _check_sync_settings(integration: Integration) -> None:
    settings = integration.sync_settings
    schedule.check_settings(settings)
    rules = settings.get("conflict_rules", {})
    if not isinstance(rules, Mapping) or any(not isinstance(rule, str) or rule not in set(Rule) for rule in rules.values()):
        raise InvalidInput({"sync_settings.conflict_rules": f"Map a record type or record_type.field to one of: {', '.join(Rule)}."})


# --- credentials ---------------------------------------------------------------------------------------------------------------


def _is_masked(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(MASKS)


def _canonical_names(manifest: Manifest) -> dict[str, str]:
    """Map every name a credential answers to (the seed writes `accessToken`) to its field."""
    names: dict[str, str] = {}
    for field, declared in manifest.credentials.model_fields.items():
        names[field] = field
        alias = declared.validation_alias
        for choice in getattr(alias, "choices", [alias] if alias else []):
            names[str(choice)] = field
    return names


def _secrets(manifest: Manifest) -> list[str]:
    """Name the credentials that are secrets."""
    fields = manifest.credentials.model_fields.items()
    return [name for name, declared in fields if SecretStr in (declared.annotation, *getattr(declared.annotation, "__args__", ()))]


def _merged_credentials(integration: Integration, manifest: Manifest, given: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the credentials as they shall be, and the names of those that were entered now."""
    names = _canonical_names(manifest)
    stored = integration.credentials.reveal() if integration.credentials else {}
    entered = {names.get(name, name): value for name, value in (given or {}).items() if value not in (None, "") and not _is_masked(value)}
    return stored | entered, set(entered)


def describe_credentials(integration: Integration) -> list[dict[str, Any]]:
    """Say of each credential whether it is set, since when and what it ends in; never what it is."""
    manifest = registry.get(integration.provider).manifest
    stored = integration.credentials.reveal() if integration.credentials else {}
    hidden = _secrets(manifest)
    described = []
    for name, declared in manifest.credentials.model_fields.items():
        value = stored.get(name)
        is_secret = name in hidden
        described.append(
            {
                "name": name,
                "label": declared.title or name.replace("_", " ").capitalize(),
                "is_secret": is_secret,
                "is_set": bool(value),
                "set_at": integration.credentials_set_at if value else None,
                "ends_in": _ending(str(value)) if value and is_secret else None,
                "value": value if value and not is_secret else None,
            }
        )
    return described


def _ending(secret: str) -> str:
    """Two characters tell two tokens apart and give nothing away; of a short secret they would."""
    return f"…{secret[-2:]}" if len(secret) >= 12 else "…"


def check_webhook_secret(secret: Any) -> None:
    """Refuse a secret that can be guessed, or that no vendor could send back. Raises InvalidInput."""
    if not isinstance(secret, str) or not SECRET_CHARACTERS <= len(secret) <= 512:
        raise InvalidInput({"webhook_secret": f"Use between {SECRET_CHARACTERS} and 512 characters: a shorter secret can be guessed."})
    try:
        check_header("webhook-secret", secret)
    except ConfigurationError as error:
        raise InvalidInput({"webhook_secret": str(error)}) from None


def set_webhook_secret(
    integration: Integration, secret: str, *, key_id: str = "", overlap: timedelta = WebhookSecret.OVERLAP
) -> WebhookSecret:
    """Make `secret` the one webhooks are verified with; those before it pass until the overlap ends. Raises InvalidInput."""
    check_webhook_secret(secret)
    ends = timezone.now() + overlap
    with transaction.atomic():
        same = None
        for older in integration.webhook_secrets.all():
            if older.secret.reveal().get("secret") == secret and older.is_active:
                same = older
            elif older.expires_at is None or older.expires_at > ends:
                older.expires_at = ends
                older.save(update_fields=["expires_at"])
        return same or WebhookSecret.objects.create(integration=integration, secret={"secret": secret}, key_id=key_id)


def replace_webhook_secret(integration: Integration, secret: str = "", *, at_once: bool = False) -> str:
    """Replace the webhook secret, and return the one that was made if none was given: it cannot be seen again.

    The one before passes for the overlap; `at_once`, as after a leak, it is refused as soon as the doors have read it (`webhooks.facts`).
    Raises InvalidInput.
    """
    made = "" if secret else secrets.token_hex(SECRET_BYTES)
    set_webhook_secret(integration, secret or made, overlap=timedelta(0) if at_once else WebhookSecret.OVERLAP)
    return made


# --- what a person should know -------------------------------------------------------------------------------------------------


def warnings_for(integration: Integration) -> list[str]:
    """Return sentences about what was accepted but will not be used."""
    manifest = registry.get(integration.provider).manifest
    found = []
    if unused := unused_config(manifest, integration.config):
        found.append(
            f"{manifest.name} does not use these config keys; they are kept as they are: {', '.join(unused)}. "
            "The addresses of its interface are built in."
        )
    known = set(_canonical_names(manifest).values())
    stored = integration.credentials.reveal() if integration.credentials else {}
    if strange := sorted(set(stored) - known):
        found.append(f"{manifest.name} does not use these credentials: {', '.join(strange)}.")
    if manifest.webhooks and manifest.webhooks.verifier != "polling" and not integration.webhook_secrets.exists():
        found.append("Without a webhook secret every webhook is refused.")
    return found


def try_connection(hotel: Hotel, data: Mapping[str, Any], instance: Integration | None = None) -> TestOutcome:
    """Test values that are not stored. With `instance`, credentials left empty are taken from it. Nothing is kept. Raises InvalidInput."""
    manifest = registry.get(str(data.get("provider") or (instance.provider if instance else ""))).manifest
    stored = instance or Integration(hotel=hotel)
    credentials, entered = _merged_credentials(stored, manifest, data.get("credentials"))
    trial = Integration(hotel=hotel, provider=manifest.slug, config=data.get("config") or {}, credentials=credentials)
    trial.environment = data.get("environment") or next(iter(manifest.environments))
    if instance:
        _check_secrets_stay(trial, manifest, credentials, entered, _destinations(instance))

    @contextmanager
    def open_provider(log: LogBook) -> Iterator[Provider]:
        with connected(
            hotel=hotel,
            slug=manifest.slug,
            environment=trial.environment,
            config=trial.config,
            credentials=credentials,
            tokens=MemoryTokenStore(),
            log=log,
            budget_owner=f"trial:{hotel.pk}",
        ) as provider:
            yield provider

    return run_test(open_provider, LogBook(None, OperationType.TEST))
