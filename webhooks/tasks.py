"""What a worker does for the inbox: one job an integration, which drains in batches. Intent lives in the rows."""

import time
from collections.abc import Iterator

from django.db.models import Exists, F, OuterRef, Window
from django.db.models.functions import Random, RowNumber

from integrations import lanes
from integrations.lanes import LANES, Busy, Job, Lane, stopping
from integrations.models import Integration, IntegrationStatus
from integrations.tasks import DRAIN_SECONDS
from webhooks import inbox
from webhooks.models import EventStatus, WebhookEvent


def find_events(busy: Busy) -> Iterator[Job]:
    """Find the integrations that have events to work or a vendor to poll: some of each hotel, in a random order."""
    lost_twice = WebhookEvent.objects.filter(
        integration=OuterRef("pk"), status=EventStatus.PENDING, error_code=inbox.WORKER_LOST, attempts__gte=2
    )
    others = inbox.work_due().exclude(pk__in={*busy.integrations, *busy.targets})
    others = others.exclude(hotel__in=busy.hotels).exclude(host__in=busy.hosts)
    turn = Window(RowNumber(), partition_by=F("hotel"), order_by=Random())
    jobs = others.annotate(turn=turn, lost_twice=Exists(lost_twice.order_by())).filter(turn__lte=lanes.HOTEL_JOBS)
    for pk, *facts in jobs.order_by("turn", Random()).values_list("pk", "hotel_id", "host", "lost_twice")[: lanes.LOOKED_AT]:
        yield Job(pk, pk, *facts)


def process_inbox(integration_id: int) -> None:
    """Work what is due at one integration, for a few seconds."""
    until = time.monotonic() + DRAIN_SECONDS
    active = Integration.objects.select_related("hotel").exclude(status=IntegrationStatus.INACTIVE)
    if integration := active.filter(pk=integration_id).first():
        inbox.poll(integration)
        inbox.drain(integration, should_stop=lambda: stopping.is_set() or time.monotonic() > until)


LANES["inbox"] = Lane("inbox", is_due=inbox.is_due, find=find_events, work=process_inbox)
