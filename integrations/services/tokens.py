"""Where an integration's token is kept: sealed in its row, renewed by one worker at a time.

Renewing means calling the vendor, and no transaction may stay open for that long. So the row is leased instead of locked: one
conditional update decides who renews; everybody else waits for the new token to appear.
"""

from collections.abc import Callable
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from integrations.exceptions import ProviderUnavailable
from integrations.models import Integration
from integrations.transport import places
from integrations.transport.auth import Token

LEASE = timedelta(seconds=60)
"""Longer than the token call may take; a worker that dies in it holds up the others for so long."""
_LOOK_AGAIN_SECONDS = 0.1


class RowTokenStore:
    """A `TokenStore` in the integration's row."""

    def __init__(self, integration_id: int, sleep: Callable[[float], None] = places.sleep) -> None:
        self.integration_id = integration_id
        self.sleep = sleep

    def load(self) -> Token | None:
        return self._read()[0]

    def _read(self) -> tuple[Token | None, int]:
        row = Integration.objects.only("uuid", "hotel_id", "tokens", "token_version").get(pk=self.integration_id)
        stored = row.tokens.reveal() if row.tokens else None
        return (Token.from_json(stored) if stored else None), row.token_version

    def renew(self, stale: Token | None, obtain: Callable[[Token | None], Token]) -> Token:
        deadline = timezone.now() + LEASE + timedelta(seconds=5)
        while timezone.now() < deadline:
            current, version = self._read()
            if current and (stale is None or current.access_token != stale.access_token):
                return current
            if self._lease(version):
                return self._obtain(current, obtain)
            self.sleep(_LOOK_AGAIN_SECONDS)
        raise ProviderUnavailable("Another worker is still waiting for the vendor to renew the access token.")

    def _lease(self, version: int) -> bool:
        now = timezone.now()
        free = Q(token_lease_until__isnull=True) | Q(token_lease_until__lt=now)
        row = Integration.objects.filter(free, pk=self.integration_id, token_version=version)
        return bool(row.update(token_lease_until=now + LEASE))

    def _obtain(self, current: Token | None, obtain: Callable[[Token | None], Token]) -> Token:
        try:
            token = obtain(current)
        except BaseException:
            Integration.objects.filter(pk=self.integration_id).update(token_lease_until=None)
            raise
        # Stored before anything else: a single-use refresh token that is lost strands the integration.
        row = Integration.objects.only("uuid", "hotel_id", "tokens").get(pk=self.integration_id)
        row.tokens = token.to_json()
        row.token_version = F("token_version") + 1
        row.token_lease_until = None
        row.save(update_fields=["tokens", "token_version", "token_lease_until"])
        return token


def forget(integration: Integration) -> None:
    """Drop the token: the credentials it was made from have changed."""
    integration.tokens = {}
    integration.token_version += 1
    integration.save(update_fields=["tokens", "token_version"])
