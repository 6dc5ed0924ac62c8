"""The operator's commands, and a vendor's subscription handled for the administrator."""

import json
from contextlib import nullcontext
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from integrations.models import Integration
from integrations.services import registry
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import SECRET, Connect
from webhooks.tests.doors import LeanDoor
from webhooks.tests.vendor import Subscribing, Vendor

BODY = b'{"event_type":"guest_updated","data":{"guest_id":"g1","given_name":"Ana","family_name":"Lima"}}'


def run(name: str, *arguments: Any, code: int = 0) -> Any:
    """Call a command with --json, and return what it printed."""
    out = StringIO()
    with pytest.raises(SystemExit, check=lambda stop: stop.code == code) if code else nullcontext():
        call_command(name, *map(str, arguments), "--json", stdout=out)
    return json.loads(out.getvalue())


def make(integration: Integration, number: int, **columns: Any) -> WebhookEvent:
    given = {
        "status": "pending",
        "event_type": "guest_updated",
        "verified_by": "body",
        "body": BODY,
        "received_at": timezone.now(),
    } | columns
    return WebhookEvent.objects.create(integration=integration, event_id=f"evt-{number}", **given)


@pytest.mark.django_db
def test_process_inbox_works_what_is_due_and_says_what_is_left(vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    make(integration, 1)
    make(integration, 2, body=b"[]")
    assert run("process_inbox", "--dry-run") == {"due": 2}
    assert run("process_inbox", code=3) == {"done": 1, "ignored": 0, "waiting": 0, "dead": 1, "paused": False}
    assert run("process_inbox", "--integration", integration.pk)["done"] == 0


@pytest.mark.django_db
def test_replay_events_counts_asks_and_refuses_to_replay_everything(connect: Connect) -> None:
    integration = connect()
    first = make(integration, 1, status="dead")
    make(integration, 2, status="done")
    assert run("replay_events", "--failed", "--dry-run") == {"matching": 1}
    with pytest.raises(CommandError, match="2 events match"):
        call_command("replay_events")
    with pytest.raises(CommandError, match="needs ids or a filter"):
        call_command("replay_events", "--yes")
    assert run("replay_events", "--failed", "--yes") == {"replayed": 1}
    first.refresh_from_db()
    assert first.status == "pending"
    assert run("replay_events", "--since", "2999-01-01", "--yes") == {"replayed": 0}
    with pytest.raises(CommandError):
        call_command("replay_events", "--integration", "999999", "--yes")


def test_send_test_event_is_signed_as_the_vendor_would(vendor: type[Vendor], connect: Connect, lean: LeanDoor, tmp_path: Any) -> None:
    integration = connect(provider="vendor", secret=f"user:{SECRET}", config={"signature_scheme": "signed-meta"})
    url = f"http://127.0.0.1:{lean.port}/api/webhooks/{integration.pk}"
    dry = run("send_test_event", integration.pk, "guest_updated", "--url", url, "--dry-run")
    assert SECRET not in json.dumps(dry)
    assert not WebhookEvent.objects.exists()
    sent = run("send_test_event", integration.pk, "guest_updated", "--data", '{"guest_id": "g1"}', "--url", url)
    assert (sent["status"], sent["verifier"]) == (202, "signed-meta")
    vendors_own = tmp_path / "body.json"
    vendors_own.write_text(json.dumps({"events": [{"type": "x", "id": "evt-9"}]}))
    assert run("send_test_event", integration.pk, "--file", vendors_own, "--url", url)["verifier"] == "basic"
    assert sorted(WebhookEvent.objects.values_list("verified_by", "event_type")) == [("basic", "x"), ("signed-meta", "guest_updated")]
    refused = run("send_test_event", integration.pk, "--url", url.rpartition("/")[0] + "/999999", code=1)
    assert refused["status"] == 401


@pytest.mark.django_db
def test_send_test_event_without_a_secret_says_what_is_missing(connect: Connect) -> None:
    with pytest.raises(CommandError, match="no active webhook secret"):
        call_command("send_test_event", str(connect(secret="").pk))


@pytest.mark.django_db
def test_subscription_is_created_and_rekeyed_and_the_key_is_never_shown(
    vendor: type[Vendor], connect: Connect, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(registry, "providers", lambda: {"vendor": Subscribing})
    settings.PUBLIC_URL = "https://hotel.example.com"
    integration = connect(provider="vendor", secret="")
    assert (
        run("webhook_subscription", integration.pk, "create", "--dry-run")["url"]
        == f"https://hotel.example.com/api/webhooks/{integration.pk}"
    )
    assert integration.webhook_secrets.count() == 0
    made = run("webhook_subscription", integration.pk, "create")
    assert (made["id"], made["event_types"]) == ("wbhk_1", ["a", "c"])
    assert "signature_key" not in made
    integration.refresh_from_db()
    assert integration.webhook_url == made["url"]
    assert run("webhook_subscription", integration.pk, "list") == Subscribing.list_subscriptions(None)  # type: ignore[arg-type]
    assert "key" not in json.dumps(run("webhook_subscription", integration.pk, "rotate"))
    new, old = integration.webhook_secrets.order_by("-id")
    assert (new.secret.reveal(), new.expires_at) == ({"secret": "second-key-of-the-vendor"}, None)
    assert old.secret.reveal() == {"secret": "first-key-of-the-vendor"}
    assert old.expires_at is not None


@pytest.mark.django_db
def test_vendor_without_subscriptions_says_so(vendor: type[Vendor], connect: Connect) -> None:
    with pytest.raises(CommandError, match="enter the address and the secret there by hand"):
        call_command("webhook_subscription", str(connect(provider="vendor").pk), "list")
