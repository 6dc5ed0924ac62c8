"""What a worker runs for the inbox: one wake-up an integration, which drains in batches. Intent lives in the rows, not in the engine."""

import time

from django_tasks import task

from integrations.models import Integration, IntegrationStatus
from integrations.tasks import DRAIN_SECONDS, awake, stopping, wake
from webhooks import inbox


@task()
def process_inbox(integration_id: int) -> None:
    """Work what is due at one integration, for a few seconds; the next tick goes on."""
    until = time.monotonic() + DRAIN_SECONDS
    integration = Integration.objects.select_related("hotel").filter(pk=integration_id).exclude(status=IntegrationStatus.INACTIVE).first()
    try:
        if integration is not None:
            inbox.poll(integration)
            inbox.drain(integration, should_stop=lambda: stopping.is_set() or time.monotonic() > until)
    finally:
        awake(f"inbox:{integration_id}")


def tick() -> None:
    """Wake a worker up for every integration that has something to do."""
    for integration_id in inbox.work_due():
        if wake(f"inbox:{integration_id}"):
            process_inbox.enqueue(integration_id)
