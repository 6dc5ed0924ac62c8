"""Every command as an operator runs it: what a dry run leaves alone, the exit code, and the last line."""

import io
import json
from contextlib import nullcontext
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from hotels.models import Hotel
from integrations import exceptions, records
from integrations.models import Integration, Operation, RejectedRecord, SyncRun
from integrations.security import keyring
from integrations.services import outlook
from integrations.tests.conftest import Connect
from integrations.tests.stub import StubProvider
from integrations.tests.test_keyring import ring


@pytest.fixture
def integration(connect: Connect, hotel: Hotel) -> Integration:
    return connect(hotel)


def last_line(*arguments: Any, code: int = 0) -> str:
    """Run a command, check its exit code, and return the last line of what it printed."""
    out = io.StringIO()
    with pytest.raises(SystemExit, check=lambda stop: stop.code == code) if code else nullcontext():
        call_command(*map(str, arguments), stdout=out)
    return out.getvalue().splitlines()[-1]


def operation(integration: Integration, key: str, status: str = "pending", **more: Any) -> Operation:
    return Operation.objects.create(
        integration=integration, name="post_charge", idempotency_key=key, status=status, next_attempt_at=timezone.now(), **more
    )


def test_drain_outbox_counts_and_sends_nothing_dry(integration: Integration, stub: type[StubProvider]) -> None:
    for number, status in enumerate(("pending", "dead", "unknown", "done")):
        operation(integration, str(number), status)
    assert last_line("drain_outbox", "--dry-run") == "2 operations would be tried"
    assert last_line("drain_outbox", "--dry-run", "--failed") == "3 operations would be tried"
    assert last_line("drain_outbox", "--dry-run", "--failed", "--limit", 1) == "1 operations would be tried"
    assert last_line("drain_outbox", "--dry-run", "--integration", integration.pk + 1) == "0 operations would be tried"
    assert stub.calls == []


def test_drain_outbox_says_what_is_left(integration: Integration, stub: type[StubProvider]) -> None:
    operation(integration, "1")
    assert last_line("drain_outbox") == "Done 1, left 0"
    operation(integration, "2")
    stub.failures["post_charge"] = exceptions.ProviderUnavailable()
    assert last_line("drain_outbox", code=3) == "Done 0, left 1"


def test_a_retry_by_command_tries_what_is_used_up(integration: Integration, stub: type[StubProvider]) -> None:
    dead = operation(integration, "1", "dead", attempts=8)
    assert last_line("drain_outbox") == "Done 0, left 0"
    assert last_line("drain_outbox", "--failed") == "Done 1, left 0"
    dead.refresh_from_db()
    assert (dead.status, [name for name, _ in stub.calls]) == ("done", ["post_charge"])


def test_sync_integration_ends_with_its_code(integration: Integration, stub: type[StubProvider]) -> None:
    assert last_line("sync_integration", integration.pk, "menus", "--dry-run").endswith("stored nothing")
    assert not SyncRun.objects.exists()
    assert last_line("sync_integration", integration.pk, "menus") == (
        f"Stored 0, unchanged 0, deleted 0, rejected 0 (see run {SyncRun.objects.get().pk})"
    )
    stub.lists["menus"] = [
        records.MenuItem(external_id="1", name="Omelette"),
        records.Rejected(record_type="menu_item", external_id="2", reason="It has no name.", payload={}),
    ]
    assert last_line("sync_integration", integration.pk, "menus", code=3).startswith(
        "Partial: Stored 1, unchanged 0, deleted 0, rejected 1 (see"
    )
    stub.failures["menus"] = exceptions.ProviderUnavailable()
    assert last_line("sync_integration", integration.pk, "menus", "--full", code=1).startswith("Failed: Stored 0")
    for wrong in ((integration.pk, "no_such_stream"), (integration.pk + 1, "menus")):
        with pytest.raises(CommandError) as refusal:
            last_line("sync_integration", *wrong)
        assert refusal.value.returncode == 2


def test_test_integration_ends_with_its_code(integration: Integration, stub: type[StubProvider]) -> None:
    assert last_line("test_integration", integration.pk).startswith("Connected.")
    stub.failures["test_connection"] = exceptions.AuthenticationFailed()
    assert "Connected." not in last_line("test_integration", integration.pk, code=1)


def test_retry_rejected_lists_dry_and_then_takes(integration: Integration, stub: type[StubProvider]) -> None:
    run = SyncRun.objects.create(integration=integration, stream="menus", status="partial", finished_at=timezone.now())
    RejectedRecord.objects.create(run=run, integration=integration, stream="menus", record_type="menu_item", external_id="1", reason="No.")
    assert last_line("retry_rejected", integration.pk, "--dry-run") == "Would try 1 again"
    assert (stub.calls, RejectedRecord.objects.get().resolved_at) == ([], None)
    stub.failures["menus"] = exceptions.ProviderUnavailable()
    assert last_line("retry_rejected", integration.pk, code=1) == "Tried 1, taken 0, left 1"


def test_rotate_keys_counts_dry_rotates_and_is_done(integration: Integration, settings: Any) -> None:
    settings.ENCRYPTION_KEY = ring("old")
    integration.credentials = {"access_token": "secret"}
    integration.save()
    Integration.webhook_secrets.rel.related_model.objects.all().delete()
    settings.ENCRYPTION_KEY = ring("new", "old")
    before = Integration.objects.values_list("credentials", flat=True).get()
    for flag in ("--dry-run", "--verify"):
        assert last_line("rotate_keys", flag, code=3) == "1 left on older keys"
    assert last_line("rotate_keys", "--new-key").startswith("ENCRYPTION_KEY=")
    assert Integration.objects.values_list("credentials", flat=True).get() == before
    assert last_line("rotate_keys") == "Rotated 1 to key new"
    assert last_line("rotate_keys", "--verify") == "0 left on older keys"
    settings.ENCRYPTION_KEY = ring("new")
    assert keyring.key_id_of(Integration.objects.values_list("credentials", flat=True).get()) == "new"
    assert Integration.objects.get().credentials.reveal() == {"access_token": "secret"}


def test_a_secret_that_cannot_be_decrypted_is_named_and_stops_neither_rotation_nor_verification(
    integration: Integration, connect: Connect, hotel: Hotel, settings: Any
) -> None:
    settings.ENCRYPTION_KEY = ring("lost")
    broken = connect(hotel)
    settings.ENCRYPTION_KEY = ring("old")
    integration.credentials = {"access_token": "secret"}
    integration.save()
    garbled = connect(hotel)
    Integration.objects.filter(pk=garbled.pk).update(credentials="garbled")
    settings.ENCRYPTION_KEY = ring("new", "old")
    for arguments, line in (
        (["--verify"], "1 left on older keys, 2 cannot be decrypted"),
        ([], "Rotated 1 to key new, 2 cannot be decrypted"),
        (["--verify"], "0 left on older keys, 2 cannot be decrypted"),
    ):
        out = io.StringIO()
        with pytest.raises(SystemExit, check=lambda stop: stop.code == 3):
            call_command("rotate_keys", *arguments, stdout=out)
        *named, last = out.getvalue().splitlines()
        assert last == line
        assert f"integration {broken.pk}, credentials, key “lost”" in named[0]
        assert f"integration {garbled.pk}, credentials, key “”" in named[1]
    assert Integration.objects.get(pk=integration.pk).credentials.reveal() == {"access_token": "secret"}


def test_the_lists_say_how_many(integration: Integration) -> None:
    assert last_line("list_integrations") == "1 integration"
    assert last_line("list_integrations", "--failed") == "0 integrations"
    assert last_line("list_integrations", "--hotel", "nowhere") == "0 integrations"
    assert last_line("list_providers") == "1 providers"
    assert last_line("recover") == "Put back 0 runs and 0 operations"


def test_post_operation_checks_dry_sends_and_is_refused(
    integration: Integration, stub: type[StubProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(*flags: str, code: int = 0) -> str:
        body = {"message": "Towels?", "sender_type": "guest"}
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(body)))
        return last_line("post_operation", integration.pk, "post_chat_message", *flags, code=code)

    integration.integration_type = "guest_management"
    integration.save()
    assert post("--dry-run") == "The body is good; nothing was sent."
    assert (stub.calls, Operation.objects.count()) == ([], 0)
    assert post().startswith("“post_chat_message” is done")
    stub.failures["post_chat_message"] = exceptions.RequestRejected()
    assert post(code=1).startswith("“post_chat_message” was given up and not done.")
    stub.failures["post_chat_message"] = exceptions.ProviderUnavailable()
    line = post(code=3)
    due_at = Operation.objects.latest("pk").next_attempt_at
    assert line.startswith("“post_chat_message” has not been done yet.")
    assert f"It is sent {outlook.when(due_at, integration.hotel)}." in line


def test_drain_outbox_tries_the_others_where_one_cannot_be_tried(connect: Connect, integration: Integration, hotel: Hotel) -> None:
    off = connect(hotel, "guest_management")
    Integration.objects.filter(pk=off.pk).update(status="inactive")
    common = {"idempotency_key": "k", "status": "dead", "payload": {"check_external_id": "check_1", "reason": ""}}
    Operation.objects.create(integration=off, name="post_feedback", **common)
    Operation.objects.create(integration=integration, name="no_longer_offered", **common | {"idempotency_key": "l"})
    good = Operation.objects.create(integration=integration, name="void_check", **common)
    assert last_line("drain_outbox", "--failed", code=3) == "Done 1, left 2"
    good.refresh_from_db()
    assert good.status == "done"
