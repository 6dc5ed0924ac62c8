"""Events that are stored already keep being known after the steps to delivery keys, whichever step they were stored before."""

import hmac
import uuid
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from webhooks.models import WebhookEvent
from webhooks.tests.conftest import SECRET, Connect
from webhooks.tests.doors import ViewDoor, signed
from webhooks.tests.test_ingest import BODY

NEWEST = "0003_delivery_key_of_the_body"


def migrate(name: str) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate([("webhooks", name)])
    return executor.loader.project_state([("webhooks", name)]).apps


@pytest.mark.django_db(transaction=True)
def test_stored_event_is_known_when_its_vendor_sends_it_again(connect: Connect) -> None:
    integration = connect()
    try:
        old = migrate("0001_initial").get_model("webhooks", "WebhookEvent")
        common = {"integration_id": integration.pk, "received_at": timezone.now(), "event_type": "menu_updated"}
        old.objects.create(
            event_id="evt-1", object_key="menu_item:menu_123", verified_by="body", body=BODY, status="done", headers={}, **common
        )
        batch = old.objects.create(event_id="batch", is_batch=True, body=b"{}", verified_by="square", **common)
        for _ in range(3):
            old.objects.create(event_id=f"{uuid.uuid4().hex}#1", batch_id=batch.pk, body=b"", verified_by="square", **common)
    finally:
        migrate(NEWEST)
    assert len(set(WebhookEvent.objects.values_list("delivery_key", flat=True))) == 5
    headers = signed(BODY, SECRET, X_Webhook_Id="evt-1")
    assert ViewDoor().post(f"/api/webhooks/{integration.pk}", BODY, headers).status == 200


@pytest.mark.django_db(transaction=True)
def test_event_that_was_known_by_its_id_alone_is_known_when_its_vendor_sends_it_again(connect: Connect) -> None:
    integration = connect(config={"signature_scheme": "signed-meta"})
    headers = {"X-Webhook-Id": "evt-1", "X-Webhook-Timestamp": str(int(timezone.now().timestamp()))}
    signature = hmac.new(SECRET.encode(), f"evt-1.{headers['X-Webhook-Timestamp']}.".encode() + BODY, "sha256").hexdigest()
    headers["X-Webhook-Signature"] = f"sha256={signature}"
    door, address = ViewDoor(), f"/api/webhooks/{integration.pk}"
    assert door.post(address, BODY, headers).status == 202
    [key] = WebhookEvent.objects.values_list("delivery_key", flat=True)
    try:
        migrate("0002_delivery_key")
        WebhookEvent.objects.update(delivery_key="as it was before")
    finally:
        migrate(NEWEST)
    assert WebhookEvent.objects.get().delivery_key == key
    assert door.post(address, BODY, headers).status == 200
