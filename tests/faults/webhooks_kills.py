"""A 2xx means committed: `python -m tests.faults.webhooks_kills [--quick]`.

Sixteen connections send without a pause while the server is killed with SIGKILL again and again. Every event that was acknowledged must
be there afterwards.
"""

import random
import threading
import time

from tests.faults import webhooks_world as world

CONNECTIONS = 16


def trial(url: str, door: str, rounds: int) -> bool:
    from webhooks.models import WebhookEvent

    integration = world.connect()
    path = f"/api/webhooks/{integration}"
    body = b'{"event_type":"menu_updated","data":{"menu_id":"m1"}}'
    acknowledged: list[str] = []
    over = threading.Event()
    chance = random.Random(7)
    running = world.Receiver(url, door)

    def send(number: int) -> None:
        sender = world.Sender(running.port)
        count = 0
        while not over.is_set():
            event_id = f"{number}-{count}"
            if sender.post(path, body, world.signed(body, event_id)) in (200, 202):
                acknowledged.append(event_id)
                count += 1
            else:
                time.sleep(0.01)  # the same id again, as a vendor would

    senders = [threading.Thread(target=send, args=(number,)) for number in range(CONNECTIONS)]
    for sender in senders:
        sender.start()
    for _ in range(rounds):
        time.sleep(chance.uniform(0.2, 0.8))
        running.kill()
        running.restart()
    over.set()
    for sender in senders:
        sender.join()
    running.kill()
    stored = set(WebhookEvent.objects.filter(integration=integration).values_list("event_id", flat=True))
    lost = set(acknowledged) - stored
    print(
        f"  {rounds} kills, {len(acknowledged):,} acknowledged, {len(lost)} of them lost, {len(stored) - len(set(acknowledged))} stored without an answer"
    )
    return not lost and len(acknowledged) >= 50 * rounds


if __name__ == "__main__":
    world.main("tests.faults.webhooks_kills", trial, rounds=(200, 5))
