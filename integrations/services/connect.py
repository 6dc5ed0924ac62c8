"""Puts a provider together for an integration: its fields read, its client guarded, logged, paced and signed in."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from pydantic import SecretStr, ValidationError

from hotels.models import Hotel
from integrations.exceptions import HospientError, InvalidInput
from integrations.models import Direction, Integration, IntegrationLog, LogStatus, OperationType
from integrations.security.egress import Egress
from integrations.security.keys import declare_personal, kind_of
from integrations.security.redaction import redact_text
from integrations.services import registry
from integrations.services.base import HotelFacts, Provider
from integrations.services.inputs import field_errors
from integrations.services.manifest import Manifest, ProviderFields, RateBudget
from integrations.services.tokens import RowTokenStore
from integrations.transport.auth import TokenStore
from integrations.transport.breaker import INTEGRATIONS_TO_OPEN, Breaker
from integrations.transport.budget import Budget
from integrations.transport.client import Client, Exchange, Policy


class LogBook:
    """Collects the calls made for one cause and writes them as log rows."""

    def __init__(self, integration_id: int | None, operation_type: OperationType) -> None:
        self.integration_id = integration_id
        self.operation_type = operation_type
        self.pending: list[IntegrationLog] = []

    def add(self, exchange: Exchange) -> None:
        self.pending.append(
            IntegrationLog(
                integration_id=self.integration_id,
                operation_type=self.operation_type,
                operation_name=exchange.operation_name,
                direction=Direction.OUTBOUND,
                status=LogStatus.SUCCESS if exchange.status == "success" else LogStatus.FAILED,
                request_data=exchange.request_data,
                response_data=exchange.response_data,
                http_status=exchange.http_status,
                attempt=exchange.attempt,
                error_code=exchange.error_code,
                error_message=exchange.error_message,
                processing_time=exchange.processing_time,
                correlation_id=exchange.correlation_id,
            )
        )

    def flush(self) -> None:
        """Write what was collected; for a connection that is not saved yet there is no row to write it for."""
        pending, self.pending = self.pending, []
        if self.integration_id:
            IntegrationLog.objects.bulk_create(pending)


def read_fields(manifest: Manifest, config: Mapping[str, Any], credentials: Mapping[str, Any]) -> tuple[ProviderFields, ProviderFields]:
    """Read config and credentials as the manifest declares them. Raises InvalidInput naming each field."""
    errors: dict[str, str] = {}
    read: list[ProviderFields] = []
    for name, model, values in (("config", manifest.config, config), ("credentials", manifest.credentials, credentials)):
        try:
            read.append(model.model_validate(dict(values)))
        except ValidationError as error:
            errors |= {_by_field(model, name, path): sentence for path, sentence in field_errors(error, name).items()}
    if errors:
        raise InvalidInput(errors)
    return read[0], read[1]


def _by_field(model: type[ProviderFields], part: str, path: str) -> str:
    """Name the field an error is about, whatever alias pydantic names it by: `credentials.locationId` is `credentials.location_id`."""
    alias = path.removeprefix(f"{part}.").partition(".")[0]
    for field, declared in model.model_fields.items():
        if alias in [str(choice) for choice in getattr(declared.validation_alias, "choices", [declared.validation_alias])]:
            return path.replace(f"{part}.{alias}", f"{part}.{field}", 1)
    return path


def secrets_of(credentials: ProviderFields) -> tuple[str, ...]:
    """Return every secret value, for redaction."""
    values = (getattr(credentials, name) for name in type(credentials).model_fields)
    return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr) and value.get_secret_value())


def _named_by_hotel(config: ProviderFields) -> list[str]:
    """Return what a hotel says its vendor calls our personal fields (`{"sender_name": "Absender__c"}`)."""
    tables = [value for value in (getattr(config, name) for name in type(config).model_fields) if isinstance(value, Mapping)]
    return [theirs for table in tables for ours, theirs in table.items() if isinstance(theirs, str) and kind_of(ours).is_personal]


def host_of(base_url: str) -> str:
    """Return the host and port of an address, by which what many integrations share is counted."""
    _, host, port = Egress.from_settings().origin(base_url)
    return f"{host}:{port}"


@contextmanager
def connected(
    *,
    hotel: Hotel,
    slug: str,
    environment: str,
    config: Mapping[str, Any],
    credentials: Mapping[str, Any],
    tokens: TokenStore,
    log: LogBook,
    budget_owner: str,
    on_host: Callable[[str], object] = lambda host: None,
) -> Iterator[Provider]:
    """Yield a provider that may be called, and write its log at the end. Raises InvalidInput, DecryptionFailed, EgressBlocked."""
    provider_class = registry.get(slug)
    manifest = provider_class.manifest
    config_fields, credential_fields = read_fields(manifest, config, credentials)
    declare_personal(_named_by_hotel(config_fields))
    base_url = provider_class.base_url(environment, config_fields)
    egress = Egress.from_settings()
    egress.check_url(base_url)
    host = host_of(base_url)
    on_host(host)
    client = Client(
        provider=manifest.name,
        base_url=base_url,
        auth=provider_class.auth(config_fields, credential_fields, tokens),
        errors=provider_class.errors,
        policy=Policy(total_seconds=settings.INTEGRATION_TIMEOUT / 1000, attempts=settings.INTEGRATION_RETRY_ATTEMPTS + 1),
        egress=egress,
        breaker=Breaker(f"{manifest.slug}:{budget_owner}", wider=Breaker(f"host:{host}", failures_to_open=INTEGRATIONS_TO_OPEN)),
        budget=manifest.rate and _budget(manifest.rate, provider_class, config_fields, base_url, budget_owner),
        log=log.add,
        secrets=secrets_of(credential_fields),
    )
    try:
        yield provider_class(
            client=client,
            config=config_fields,
            credentials=credential_fields,
            hotel=HotelFacts(name=hotel.name, currency=hotel.currency, time_zone=hotel.time_zone, country=hotel.country),
        )
    except HospientError as error:
        # Whatever a provider says of a failure is stored and shown from here on.
        error.message, error.hint = (redact_text(text, client.secrets) for text in (error.message, error.hint))
        error.args = (error.message,)
        raise
    finally:
        client.close()
        log.flush()


@contextmanager
def provider_for(integration: Integration, log: LogBook) -> Iterator[Provider]:
    """Yield the provider of a stored integration."""

    def note(host: str) -> None:
        if integration.host != host:
            Integration.objects.filter(pk=integration.pk).update(host=host)
            integration.host = host

    with connected(
        hotel=integration.hotel,
        slug=integration.provider,
        environment=integration.environment,
        config=integration.config,
        credentials=integration.credentials.reveal(),
        tokens=RowTokenStore(integration.pk),
        log=log,
        budget_owner=str(integration.pk),
        on_host=note,
    ) as provider:
        yield provider


def polling_pace(integration: Integration) -> Budget | None:
    """Return what the vendor allows for asking for its events, apart from all other calls."""
    provider_class = registry.get(integration.provider)
    webhooks = provider_class.manifest.webhooks
    if webhooks is None or webhooks.pace is None:
        return None
    config, _ = read_fields(provider_class.manifest, integration.config, integration.credentials.reveal())
    base_url = provider_class.base_url(integration.environment, config)
    return _budget(webhooks.pace, provider_class, config, base_url, str(integration.pk), purpose="polling:")


def _budget(declared: RateBudget, provider: type[Provider], config: ProviderFields, base_url: str, owner: str, purpose: str = "") -> Budget:
    slug = provider.manifest.slug
    shared_by = {"application": slug, "gateway": provider.budget_key(config) or base_url, "integration": owner}
    return Budget(f"{purpose}{slug}:{shared_by[declared.shared_by]}", declared.requests, declared.per_seconds)


def unused_config(manifest: Manifest, config: Mapping[str, Any]) -> list[str]:
    """Name the config keys this vendor's provider does not use."""
    known: set[str] = set()
    for name, declared in manifest.config.model_fields.items():
        known.add(name)
        alias = declared.validation_alias
        known.update(str(choice) for choice in getattr(alias, "choices", [alias] if alias else []))
    return sorted(key for key in config if key not in known)


__all__ = ["LogBook", "connected", "provider_for", "read_fields", "secrets_of", "unused_config"]
