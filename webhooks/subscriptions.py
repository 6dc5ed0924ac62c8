"""A vendor's subscription handled for the administrator, where the vendor's API allows it: list, create, rotate the key.

The key the vendor will sign with goes straight into the integration's secrets and is never shown. Called by the console and a command.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from integrations.exceptions import UnsupportedOperation
from integrations.models import Integration, OperationType
from integrations.services import registry
from integrations.services.connect import LogBook, provider_for
from integrations.services.setup import check_webhook_secret, replace_webhook_secret, set_webhook_secret
from webhooks.facts import webhook_url


def is_offered(integration: Integration) -> bool:
    """Say whether this vendor lets us handle its subscription."""
    webhooks = registry.get(integration.provider).manifest.webhooks
    return bool(webhooks and webhooks.subscription)


@contextmanager
def _vendor(integration: Integration) -> Iterator[Any]:
    if not is_offered(integration):
        name = registry.get(integration.provider).manifest.name
        raise UnsupportedOperation(f"{name} has no interface for webhook subscriptions; enter the address and the secret there by hand.")
    with provider_for(integration, LogBook(integration.pk, OperationType.API_CALL)) as provider:
        yield provider


def existing(integration: Integration) -> list[dict[str, Any]]:
    """Return the subscriptions the vendor has, without their keys."""
    with _vendor(integration) as vendor:
        return vendor.list_subscriptions()


def create(integration: Integration) -> dict[str, Any]:
    """Have the vendor send us every event we know, and keep the key it signs with. Creating it again changes nothing."""
    url = webhook_url(integration)
    with _vendor(integration) as vendor:
        made = vendor.create_subscription(url, list(vendor.manifest.webhooks.events))
    set_webhook_secret(integration, made.pop("signature_key"))
    if integration.webhook_url != url:
        integration.webhook_url = url  # the vendor signs it: it must not follow PUBLIC_URL from now on
        integration.save(update_fields=["webhook_url", "updated_at"])
    return made


def rotate(integration: Integration, subscription_id: str, *, at_once: bool = False) -> None:
    """Have the vendor sign with a new key. The old one passes until the overlap ends, as deliveries on their way carry it, or not any more."""
    with _vendor(integration) as vendor:
        key = vendor.rotate_subscription_key(subscription_id)
    check_webhook_secret(key)  # an empty one would have another made, which the vendor does not know
    replace_webhook_secret(integration, key, at_once=at_once)
