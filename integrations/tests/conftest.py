"""What the tests of the doors share: people, and a vendor that offers everything and calls nobody."""

from collections.abc import Callable
from typing import Any

import pytest

from hotels.models import Hotel
from hotels.tests.people import *  # noqa: F403
from integrations.models import Integration, IntegrationType
from integrations.services import registry
from integrations.services.setup import create_integration
from integrations.sync import health
from integrations.tests.stub import StubProvider

Connect = Callable[..., Integration]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> type[StubProvider]:
    """The only vendor there is."""
    monkeypatch.setattr(registry, "providers", lambda: {"stub": StubProvider})
    monkeypatch.setattr(StubProvider, "calls", [])
    monkeypatch.setattr(StubProvider, "failures", {})
    monkeypatch.setattr(StubProvider, "lists", {})
    monkeypatch.setattr(StubProvider, "found", {})
    return StubProvider


@pytest.fixture
def connect(stub: type[StubProvider]) -> Connect:
    """Make an integration as the doors do, and have it tried and found to work."""

    def make(hotel: Hotel, kind: str = IntegrationType.POS, **more: Any) -> Integration:
        body = {"integration_type": kind, "provider": "stub", "credentials": {"access_token": "stub-access-token-4711"}}
        integration = create_integration(hotel, body | more)[0]
        health.succeeded(integration.pk)
        integration.refresh_from_db()
        return integration

    return make
