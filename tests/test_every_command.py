"""Every command both ways: a dry run sends, stores, rotates and deletes nothing, and without it the same call does something."""

import contextlib
import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.utils import timezone

from hotels.models import Guest, Hotel
from integrations import records, services
from integrations.api.pos import CHECK
from integrations.models import Integration, IntegrationLog, Operation
from integrations.services.setup import set_webhook_secret
from integrations.tests.conftest import Connect
from integrations.tests.stub import WRITES, StubProvider
from integrations.tests.test_api_tenancy import everything_of, ids_of
from integrations.tests.test_keyring import ring
from webhooks.models import WebhookEvent

OURS = {name: app for name, app in get_commands().items() if app in ("hospient", "hotels", "integrations", "webhooks")}
CALLS: dict[str, tuple[str, ...]] = {
    "drain_outbox": ("--failed",),
    "post_operation": ("{pk}", "post_guest_check"),
    "process_inbox": (),
    "prune": ("--days=30",),
    "replay_events": ("--failed", "--yes"),
    "retry_rejected": ("{pk}",),
    "rotate_keys": (),
    "send_test_event": ("{pk}", "guest_updated", "--url=http://127.0.0.1:9/"),
    "startprovider": ("acme_inn",),
    "sync_integration": ("{pk}", "menus", "--full", "--confirm-deletions"),
    "webhook_secret": ("{pk}", "--now"),
    "webhook_subscription": ("{pk}", "create"),
}
"""Commands that know `--dry-run` -> a call that has something to do in the tests' world."""
ELSEWHERE = {"startprovider", "webhook_subscription"}
"""What they do is looked at where a folder may be written (`test_startprovider`) and a vendor has subscriptions (`webhooks.tests.test_commands`)."""
ITEMS = {"items": [{"name": "Omelette", "quantity": 2, "unit_price": 15.99, "total_price": 31.98}]}


def options(name: str) -> set[str]:
    parser = load_command_class(OURS[name], name).create_parser("manage.py", name)
    return {option for action in parser._actions for option in action.option_strings or [action.dest]}


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Addresses somebody tried to connect to; nobody answers there."""
    asked: list[Any] = []

    def refuse(self: socket.socket, address: Any) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


@pytest.fixture
def integration(connect: Connect, hotel: Hotel, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch, settings: Any) -> Integration:
    """One that has something to do for every command."""
    settings.ENCRYPTION_KEY = ring("old")
    made = Integration.objects.get(pk=ids_of(connect, hotel)["integration_id"])
    set_webhook_secret(made, "a-webhook-secret-of-the-tests")
    settings.ENCRYPTION_KEY = ring("new", "old")
    IntegrationLog.objects.update(created_at="2020-01-01T00:00:00Z")
    Operation.objects.update(payload={"check_external_id": "c1", "reason": ""})
    WebhookEvent.objects.create(
        integration=made, event_id="dead", body=b"{}", status="dead", event_type="x", verified_by="body", received_at=timezone.now()
    )
    stub.lists["menus"] = [records.MenuItem(external_id="new", name="Omelette")]
    monkeypatch.setattr(
        "sys.stdin", io.StringIO(json.dumps(CHECK | ITEMS | {"room_number": "100", "guest_id": Guest.live.get(hotel=hotel).pk}))
    )
    return made


def run(name: str, integration: Integration, *flags: str) -> str:
    out = io.StringIO()
    try:
        call_command(name, *(part.format(pk=integration.pk) for part in CALLS[name]), *flags, stdout=out)
    except SystemExit as end:
        out.write("" if end.code in (1, 3) else f"exit code {end.code}")
    return out.getvalue()


def test_every_command_that_knows_a_dry_run_is_called() -> None:
    assert {name for name in OURS if "--dry-run" in options(name)} == set(CALLS)


def test_every_command_but_those_that_serve_speaks_json() -> None:
    assert {name for name in OURS if "--json" not in options(name)} == {"demo", "serve", "worker"}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_dry_run_leaves_everything_as_it_is(
    integration: Integration, hotel: Hotel, stub: type[StubProvider], dialled: list[Any], name: str
) -> None:
    before = everything_of(hotel)
    json.loads(run(name, integration, "--dry-run", "--json"))
    assert everything_of(hotel) == before
    assert not (Path(services.__file__).parent / "acme_inn").exists()
    assert not {called for called, _ in stub.calls} & {*WRITES, *(f"find_{write}" for write in WRITES)}
    assert dialled == []


@pytest.mark.parametrize("name", sorted(CALLS.keys() - ELSEWHERE))
def test_without_it_the_same_call_does_something(integration: Integration, hotel: Hotel, dialled: list[Any], name: str) -> None:
    before = everything_of(hotel)
    with pytest.raises(CommandError, match="does not answer") if name == "send_test_event" else contextlib.nullcontext():
        assert run(name, integration).strip()
    assert everything_of(hotel) != before or dialled


@pytest.mark.parametrize("name", sorted(name for name in OURS if "integration_id" in options(name)))
@pytest.mark.django_db
def test_an_integration_that_is_none_is_a_mistake_of_the_caller(name: str) -> None:
    more = {"post_operation": ["void_check"], "sync_integration": ["menus"], "webhook_subscription": ["list"]}.get(name, [])
    with pytest.raises(CommandError, match="no integration 999999") as refusal:
        call_command(name, "999999", *more)
    assert refusal.value.returncode == 2
