"""One delivery, one event, one effect: `python -m tests.faults.webhooks_races [--quick]`.

Twenty threads send a thousand ids, each with two bodies, in five copies each and in random order, to two server processes; two processes
then work the inbox side by side. Two thousand must be stored and have their effect once, and nothing be answered with 5xx.
"""

import random
import subprocess
import sys
from collections import Counter

from benchmarks.world import ROOT, environment
from tests.faults import webhooks_world as world

THREADS, BODIES, COPIES = 20, 2, 5


def trial(url: str, door: str, ids: int) -> bool:
    from hotels.models import Guest
    from integrations.models import ExternalReference, IntegrationLog
    from webhooks.models import WebhookEvent

    integration = world.connect()
    path = f"/api/webhooks/{integration}"
    sending = [(number, f"Body {body}") for number in range(ids) for body in range(BODIES) for _ in range(COPIES)]
    random.Random(7).shuffle(sending)
    statuses: Counter[int] = Counter()
    with world.receiver(url, door, workers=2 if url.startswith("postgres") else 1) as running:

        def send(thread: int) -> None:
            sender = world.Sender(running.port, timeout=60)
            for number, name in sending[thread::THREADS]:
                body = world.full_event(number, name)
                statuses[sender.post(path, body, world.signed(body, f"evt-{number}"))] += 1

        world.in_threads(THREADS, send)
    workers = [
        subprocess.Popen([sys.executable, "manage.py", "process_inbox"], cwd=ROOT, env=environment(url), stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    for worker in workers:
        worker.wait()
    events = WebhookEvent.objects.filter(integration=integration)
    worked = IntegrationLog.objects.filter(integration=integration, operation_name="guest_updated", status="success").count()
    stored, done = events.count(), events.filter(status="done").count()
    effects = ExternalReference.objects.filter(integration=integration, record_type="guest").count()
    guests = Guest.objects.filter(pk__in=ExternalReference.objects.filter(integration=integration).values("object_id")).count()
    print(f"  {world.tally(statuses)}; stored {stored:,}, done {done:,}, worked {worked:,} times, guests {guests:,}")
    events_sent = ids * BODIES
    return (
        statuses == {202: events_sent, 200: events_sent * (COPIES - 1)}
        and {stored, done, worked} == {events_sent}
        and {effects, guests} == {ids}
    )


if __name__ == "__main__":
    world.main("tests.faults.webhooks_races", trial, ids=(1000, 100))
