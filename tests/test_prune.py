"""What has outlived its retention goes; what still waits for somebody stays."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from hospient.management.commands import prune
from hotels.models import Hotel
from integrations.models import Integration, IntegrationLog, Operation, RejectedRecord, SyncRun
from webhooks.models import WebhookEvent

LONG_AGO = timezone.now() - timedelta(days=200)


@pytest.fixture
def integration(db: None) -> Integration:
    hotel = Hotel.objects.create(name="Grand", slug="grand")
    return Integration.objects.create(hotel=hotel, integration_type="pos", provider="square", provider_name="Square")


def test_old_history_goes_and_what_waits_stays(integration: Integration, capsys: pytest.CaptureFixture[str]) -> None:
    log = {"operation_type": "sync", "operation_name": "sync_menus", "direction": "inbound", "status": "success"}
    IntegrationLog.objects.create(integration=integration, **log)
    old = IntegrationLog.objects.create(integration=integration, **log)
    IntegrationLog.objects.filter(pk=old.pk).update(created_at=LONG_AGO)
    for number, status in enumerate(("done", "ignored", "dead", "pending")):
        WebhookEvent.objects.create(integration=integration, event_id=str(number), body=b"{}", status=status, received_at=LONG_AGO)
    for number, (status, done_at) in enumerate((("done", LONG_AGO), ("dead", None), ("unknown", None))):
        Operation.objects.create(integration=integration, name="void_check", idempotency_key=str(number), status=status, done_at=done_at)

    call_command("prune", "--dry-run")
    assert "Would delete 1 logs" in capsys.readouterr().out
    assert WebhookEvent.objects.count() == 4

    call_command("prune")
    assert IntegrationLog.objects.count() == 1
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {"dead", "pending"}
    assert set(Operation.objects.values_list("status", flat=True)) == {"dead", "unknown"}


def finished_run(integration: Integration, *resolved: bool) -> SyncRun:
    """A run of long ago, with rejected records that are settled or not."""
    run = SyncRun.objects.create(integration=integration, stream="menus", status="partial", finished_at=LONG_AGO)
    for is_settled in resolved:
        record = RejectedRecord.objects.create(
            run=run, integration=integration, stream="menus", record_type="menu_item", reason="No name.",
            resolved_at=LONG_AGO if is_settled else None,
        )  # fmt: skip
        RejectedRecord.objects.filter(pk=record.pk).update(created_at=LONG_AGO)
    return run


def test_a_run_stays_while_one_of_its_rejected_records_waits(integration: Integration, capsys: pytest.CaptureFixture[str]) -> None:
    finished_run(integration)
    finished_run(integration, True, True)
    waiting = finished_run(integration, True, False)
    call_command("prune", "--dry-run")
    assert "Would delete 0 logs, 3 rejected records, 2 runs" in capsys.readouterr().out
    assert (SyncRun.objects.count(), RejectedRecord.objects.count()) == (3, 4)
    call_command("prune")
    assert "Deleted 0 logs, 3 rejected records, 2 runs" in capsys.readouterr().out
    assert SyncRun.objects.get() == waiting
    assert RejectedRecord.objects.get().resolved_at is None


def test_all_batches_go(integration: Integration, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    for _ in range(5):
        finished_run(integration)
    call_command("prune")
    assert "5 runs" in capsys.readouterr().out
    assert not SyncRun.objects.exists()


@pytest.mark.parametrize("days", [-1, -90, 10**9, 10**20])
def test_an_age_that_is_none_is_refused_and_deletes_nothing(integration: Integration, days: int) -> None:
    finished_run(integration)
    with pytest.raises(CommandError) as refusal:
        call_command("prune", f"--days={days}")
    assert refusal.value.returncode == 2
    assert SyncRun.objects.exists()
