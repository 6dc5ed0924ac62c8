"""What ingest must know of an integration before it lets a delivery in, read from the database and kept for a moment.

Owns the choice of verifiers and the opening of secrets. It is read by both doors, on several threads; nothing is written here.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from integrations.exceptions import DecryptionFailed, SignatureMissing
from integrations.models import Integration, IntegrationStatus, WebhookSecret
from integrations.records import InboundEvent
from integrations.services import registry
from integrations.services.manifest import Webhooks
from webhooks import events
from webhooks.delivery import Delivery
from webhooks.verifiers import OUR_SCHEMES, POLLING, Secret, Verifier, make

Parser = Callable[[Mapping[str, str], Any], list[InboundEvent]]

FRESH_SECONDS = 1.0
"""A changed secret is known within this; a secret's own end is kept to the moment."""
STALE_SECONDS = 30.0
"""Older facts are better than none while the database is slow to tell newer ones, for so long."""
MAX_KNOWN = 10_000
"""Ids that are made up by somebody must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Parsers:
    """What reads an integration's bodies, by the verifier that let them in."""

    ours: Parser
    vendors: Parser | None

    def outline(self, verified_by: str) -> Parser:
        """Return what reads enough of a body to store it."""
        return self.vendors if self.vendors and verified_by not in OUR_SCHEMES else events.outline

    def whole(self, verified_by: str) -> Parser:
        """Return what reads all of a body."""
        return self.vendors if self.vendors and verified_by not in OUR_SCHEMES else self.ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    integration_id: int
    kind: str
    url: str
    """The public address as registered at the vendor: some vendors sign it."""
    verifiers: tuple[Verifier, ...]
    """The vendor's own, where it has one, then ours: the seed's header is taken at every integration."""
    secrets: tuple[Secret, ...]
    parsers: Parsers
    exists: bool = True
    is_off: bool = False
    """Switched off by somebody: what comes in is refused, which only its authentic sender is told."""

    @property
    def has_path_secret(self) -> bool:
        """Say whether something may follow the integration's id in the path."""
        return any(not verifier.header for verifier in self.verifiers)

    def active_secrets(self, now: datetime) -> list[Secret]:
        return [secret for secret in self.secrets if secret.expires_at is None or secret.expires_at > now]

    def verifier_for(self, delivery: Delivery) -> Verifier:
        """Return the verifier whose proof the delivery carries. Raises SignatureMissing."""
        for verifier in self.verifiers:
            if verifier.header in delivery.headers or (not verifier.header and delivery.path_secret):
                return verifier
        raise SignatureMissing()

    def scheme_of(self, delivery: Delivery) -> str:
        """Name the proof a delivery carries; empty if it has none."""
        try:
            return self.verifier_for(delivery).name
        except SignatureMissing:
            return ""


def _nobody(integration_id: int) -> Facts:
    """Stand in for an integration that does not exist: nothing matches its secret, and finding that out takes as long as ever."""
    return Facts(
        integration_id=integration_id,
        kind="",
        url="",
        verifiers=(make("body", {}),),
        secrets=(Secret(secrets.token_hex()),),
        parsers=Parsers(events.outline, None),
        exists=False,
    )


def _declared(integration: Integration) -> Webhooks | None:
    provider = registry.providers().get(integration.provider)
    return provider.manifest.webhooks if provider else None


def verifiers_of(integration: Integration) -> tuple[Verifier, ...]:
    """Return the verifiers an integration's deliveries may be let in by: the vendor's own first, then ours.

    A signature scheme that is misspelt lets nobody in by ours: falling back to the weaker one would go unnoticed.
    """
    scheme = str(integration.config.get("signature_scheme") or OUR_SCHEMES[0]).replace("_", "-")
    ours = (make(scheme, {}),) if scheme in OUR_SCHEMES else ()
    declared = _declared(integration)
    if declared is None or declared.verifier in (POLLING, *OUR_SCHEMES):
        return ours
    config = integration.config
    chosen = {name: config[field] for name, field in declared.parameters_from_config.items() if config.get(field)}
    return (make(declared.verifier, {**declared.parameters, **chosen}), *ours)


def parsers_of(integration: Integration) -> Parsers:
    """Return what reads an integration's bodies."""
    hotel = integration.hotel
    ours = partial(events.parse, currency=hotel.currency, zone=ZoneInfo(hotel.time_zone))
    declared = _declared(integration)
    return Parsers(ours, declared.parse if declared else None)


def facts_of(integration: Integration) -> Facts:
    """Read the facts of one integration and open its secrets."""
    return Facts(
        integration_id=integration.pk,
        kind=integration.integration_type,
        url=webhook_url(integration),
        verifiers=verifiers_of(integration),
        secrets=tuple(filter(None, map(_open, integration.webhook_secrets.all()))),
        parsers=parsers_of(integration),
        is_off=integration.status == IntegrationStatus.INACTIVE,
    )


def webhook_url(integration: Integration) -> str:
    """Return the address an integration's vendor sends to: the registered one, else the usual one."""
    return integration.webhook_url or f"{settings.PUBLIC_URL}/api/webhooks/{integration.pk}"


def _open(row: WebhookSecret) -> Secret | None:
    try:
        value = row.secret.reveal().get("secret", "")
    except DecryptionFailed:
        return None  # a secret that cannot be opened lets nobody in
    return Secret(value, row.key_id, row.expires_at) if value else None


class FactsCache:
    """Keeps facts for a second, so that a flood costs one read a second and integration."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[int, tuple[float, Facts]] = {}
        self._lock = threading.Lock()

    def peek(self, integration_id: int, max_age: float = FRESH_SECONDS) -> Facts | None:
        """Return facts that are not older than that without reading anything, or None."""
        read_at, facts = self._known.get(integration_id, (0.0, None))
        return facts if facts and self._clock() - read_at < max_age else None

    def get(self, integration_id: int) -> Facts:
        """Return fresh facts, reading them if need be."""
        return self.peek(integration_id) or self.read(integration_id)

    def read(self, integration_id: int) -> Facts:
        """Read facts from the database."""
        read_at = self._clock()
        integration = Integration.objects.select_related("hotel").filter(pk=integration_id).first()
        facts = facts_of(integration) if integration else _nobody(integration_id)
        with self._lock:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[integration_id] = (read_at, facts)
        return facts
