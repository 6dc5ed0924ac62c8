"""An integration that takes our own scheme, and both doors to send to."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest

from hotels.models import Hotel
from integrations.models import Integration, IntegrationType, WebhookSecret
from webhooks.tests import doors

SECRET = "a-webhook-secret-of-the-tests"

Connect = Callable[..., Integration]
serve_lean = lru_cache(maxsize=1)(doors.serve_lean)


@pytest.fixture
def hotel(db: None) -> Hotel:
    return Hotel.objects.create(name="Miramar", slug="miramar", currency="EUR", time_zone="Europe/Lisbon")


@pytest.fixture
def connect(hotel: Hotel) -> Connect:
    """Make an integration with one active secret; `secret=""` makes it without."""

    def make(kind: str = IntegrationType.PMS, *, provider: str = "generic_rest", secret: str = SECRET, **more: Any) -> Integration:
        integration = Integration.objects.create(
            hotel=more.pop("hotel", hotel), integration_type=kind, provider=provider, provider_name=provider, **more
        )
        if secret:
            WebhookSecret.objects.create(integration=integration, secret={"secret": secret})
        return integration

    return make


@pytest.fixture(params=["view", "lean"])
def door(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[doors.Door]:
    """Each door in turn. Both must answer alike."""
    yield doors.ViewDoor() if request.param == "view" else doors.LeanDoor(serve_lean())
