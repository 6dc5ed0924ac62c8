"""An integration that takes our own scheme, and both doors to send to."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hotels.models import Hotel
from hotels.tests.people import *  # noqa: F403
from integrations.models import Integration, IntegrationType, WebhookSecret
from integrations.services import registry
from webhooks.tests import doors
from webhooks.tests.vendor import PolledVendor, Vendor

SECRET = "a-webhook-secret-of-the-tests"

Connect = Callable[..., Integration]


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


@pytest.fixture(scope="session")
def lean_server(django_db_setup: None) -> Iterator[doors.LeanDoor]:
    with doors.lean_door() as door:
        yield door


@pytest.fixture
def lean(transactional_db: None, lean_server: doors.LeanDoor) -> doors.LeanDoor:
    """The lean door, which knows nothing yet."""
    return lean_server.anew()


@pytest.fixture(params=["view", "lean"])
def door(request: pytest.FixtureRequest, transactional_db: None, lean: doors.LeanDoor) -> doors.Door:
    """Each door in turn. Both must answer alike."""
    return doors.ViewDoor() if request.param == "view" else lean


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> type[Vendor]:
    """A vendor beside the real ones, with nothing in it."""
    known = {**registry.providers(), "vendor": Vendor, "polled": PolledVendor}
    monkeypatch.setattr(registry, "providers", lambda: known)
    for name, empty in (("queries", []), ("holds", {}), ("failures", {})):
        monkeypatch.setattr(Vendor, name, empty)
    monkeypatch.setattr(PolledVendor, "queue", [])
    monkeypatch.setattr(PolledVendor, "stored_before_next", [])
    return Vendor
