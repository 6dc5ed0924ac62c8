"""What a worker runs for the inbox: one job an integration, which drains in batches. Intent lives in the rows, not in the engine."""

import time
from collections.abc import Iterator

from django.db.models import Exists, OuterRef
from django_tasks import task

from integrations import turns
from integrations.models import Integration, IntegrationStatus
from integrations.tasks import DRAIN_SECONDS, stopping
from webhooks import inbox
from webhooks.models import EventStatus, WebhookEvent


@task()
def process_inbox(integration_id: int) -> None:
    """Work what is due at one integration, for a few seconds."""
    with turns.taken(process_inbox, integration_id):
        until = time.monotonic() + DRAIN_SECONDS
        active = Integration.objects.select_related("hotel").exclude(status=IntegrationStatus.INACTIVE)
        if integration := active.filter(pk=integration_id).first():
            inbox.poll(integration)
            inbox.drain(integration, should_stop=lambda: stopping.is_set() or time.monotonic() > until)


def due_jobs() -> Iterator[turns.Job]:
    """Name every integration that has something to do."""
    lost_twice = WebhookEvent.objects.filter(
        integration=OuterRef("pk"), status=EventStatus.PENDING, error_code=inbox.WORKER_LOST, attempts__gte=2
    )
    waiting = Integration.objects.filter(pk__in=inbox.work_due()).annotate(lost_twice=Exists(lost_twice.order_by()))
    for integration_id, hotel_id, is_suspect in waiting.values_list("id", "hotel_id", "lost_twice"):
        yield turns.Job(process_inbox, integration_id, hotel_id, is_suspect)
