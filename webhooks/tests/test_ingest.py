"""What is let in, what is refused, and what is stored, at both doors."""

from integrations.models import Integration
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import SECRET, Connect
from webhooks.tests.doors import Door, signed

BODY = b'{"event_type":"menu_updated","data":{"menu_id":"menu_123","changes":["name","price"]}}'


def path(integration: Integration) -> str:
    return f"/api/webhooks/{integration.pk}"


def test_signed_delivery_is_stored_and_accepted(door: Door, connect: Connect) -> None:
    integration = connect()
    answer = door.post(path(integration), BODY, signed(BODY, SECRET, X_Webhook_Id="evt-1"))
    assert (answer.status, answer.json) == (202, {"status": "accepted"})
    event = WebhookEvent.objects.get()
    assert (event.integration_id, event.event_id, event.event_type, event.object_key) == (
        integration.pk,
        "evt-1",
        "menu_updated",
        "menu_item:menu_123",
    )
    assert bytes(event.body) == BODY
    assert event.status == "pending"
    again = door.post(path(integration) + "/", BODY, signed(BODY, SECRET, X_Webhook_Id="evt-1"))
    assert (again.status, again.json) == (200, {"status": "duplicate"})
    assert WebhookEvent.objects.count() == 1
