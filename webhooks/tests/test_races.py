"""Many at once: one id gives one event and one effect. The full sizes are in tests/faults/webhooks_races.py and webhooks_kills.py."""

import json
import random
from collections import Counter

from hotels.models import Guest
from integrations.models import Integration, IntegrationLog
from tests.threads import at_once
from webhooks import inbox
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import SECRET, Connect
from webhooks.tests.doors import Door, signed
from webhooks.tests.vendor import Vendor

IDS, COPIES, THREADS = 40, 5, 8


def test_one_id_gives_one_event_and_one_effect_under_races(door: Door, vendor: type[Vendor], connect: Connect) -> None:
    integration = connect("pms", provider="vendor")
    sending = [number for number in range(IDS) for _ in range(COPIES)]
    random.Random(7).shuffle(sending)
    shares = [sending[thread::THREADS] for thread in range(THREADS)]
    statuses: list[int] = []

    def send() -> None:
        for number in shares.pop():
            data = {"guest_id": f"g{number}", "given_name": "Ana", "family_name": f"Lima {number}", "email": f"g{number}@example.com"}
            body = json.dumps({"event_type": "guest_updated", "data": data}).encode()
            answer = door.post(f"/api/webhooks/{integration.pk}", body, signed(body, SECRET, X_Webhook_Id=f"evt-{number}"))
            statuses.append(answer.status)

    def work() -> None:
        inbox.drain(Integration.objects.select_related("hotel").get(pk=integration.pk))

    assert at_once(THREADS, send) == []
    assert at_once(2, work) == []
    assert Counter(statuses) == {202: IDS, 200: IDS * (COPIES - 1)}
    assert WebhookEvent.objects.filter(status="done", attempts=1).count() == IDS
    assert Guest.objects.count() == IDS
    assert IntegrationLog.objects.filter(operation_name="guest_updated", status="success").count() == IDS
