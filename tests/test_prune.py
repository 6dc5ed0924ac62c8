"""What has outlived its retention goes; what still waits for somebody stays."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from hotels.models import Hotel
from integrations.models import Integration, IntegrationLog, Operation
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
