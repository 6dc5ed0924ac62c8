"""The inbox: hands stored events to be worked, those of one object in order, and keeps each until it has had its effect.

The row is the job. Claiming an event counts an attempt and takes a lease; a worker that dies leaves a lease that lapses. What fails waits
with backoff, what fails for good is parked as dead with its reason, and anything can be replayed. Called by tasks, commands, API, console.
"""

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import uniform
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Length
from django.utils import timezone

from integrations import leases
from integrations.exceptions import CircuitOpen, HospientError, RateLimited
from integrations.models import Direction, Integration, IntegrationLog, IntegrationStatus, LogStatus, OperationType
from integrations.security.kept import keepable_json
from integrations.security.redaction import redact
from integrations.services import registry
from integrations.services.connect import LogBook, polling_pace, provider_for
from integrations.transport import correlation
from webhooks import effects
from webhooks.exceptions import StillReading
from webhooks.facts import parsers_of
from webhooks.ingest import Row, read_events, row_of, store
from webhooks.models import EventStatus, WebhookEvent
from webhooks.verifiers import POLLING

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
DELAYS = (5, 30, 180, 1080)
"""Seconds after the first, second ... attempt: an event that fails for its own reasons is parked after some twenty minutes."""
UNTRIED = {CircuitOpen.code, RateLimited.code, StillReading.code}
"""Nothing was tried, so no attempt is counted: a vendor that is down for a day costs no event."""
UNTRIED_DELAY = 30
WORKER_LOST = "worker_lost"

HEADS = 500
"""Objects worked in one batch."""
FOLLOWERS = 2000
"""Further events of those objects taken along: a burst of equal events costs one read."""
BATCH_BYTES = 32 * 2**20
"""Bodies held in memory at a time; one event is taken whatever its size."""
POLL_SECONDS = 30


@dataclass(slots=True)
class Tally:
    """What a pass over the inbox did."""

    done: int = 0
    ignored: int = 0
    waiting: int = 0
    dead: int = 0
    paused: bool = field(default=False, repr=False)
    """The vendor cannot be asked just now; going on would only find the same for every event."""

    @property
    def worked(self) -> int:
        return self.done + self.ignored + self.waiting + self.dead

    def add(self, other: "Tally") -> None:
        self.done += other.done
        self.ignored += other.ignored
        self.waiting += other.waiting
        self.dead += other.dead


# --- what is due ---------------------------------------------------------------------------------------------------------------


def due(now: datetime) -> QuerySet[WebhookEvent]:
    """Return the events whose time has come, without a look at their order."""
    return WebhookEvent.objects.filter(Q(next_attempt_at=None) | Q(next_attempt_at__lte=now), status=EventStatus.PENDING)


def is_due() -> bool:
    """Say whether any active integration has something to work, or a vendor to poll."""
    now = timezone.now()
    recover(now)
    inactive = Integration.objects.filter(status=IntegrationStatus.INACTIVE)
    return due(now).exclude(integration__in=inactive).order_by().exists() or bool(_to_poll())


def work_due(now: datetime | None = None) -> QuerySet[Integration]:
    """Return the active integrations that have events to work, or a vendor to poll."""
    now = now or timezone.now()
    recover(now)
    waiting = Exists(due(now).filter(integration=OuterRef("pk")).order_by())
    return Integration.objects.exclude(status=IntegrationStatus.INACTIVE).filter(Q(waiting) | Q(pk__in=_to_poll()))


def _to_poll() -> list[int]:
    polled = Integration.objects.exclude(status=IntegrationStatus.INACTIVE).filter(provider__in=polled_providers())
    keys = {_poll_key(pk): pk for pk in polled.order_by().values_list("pk", flat=True)}
    return [pk for key, pk in keys.items() if key not in cache.get_many(keys)] if keys else []


def recover(now: datetime) -> int:
    """Take back what dead workers held. An event that has cost several workers their life is parked."""
    lapsed = WebhookEvent.objects.filter(status=EventStatus.PROCESSING, lease_until__lt=now)
    if not lapsed.order_by().exists():
        return 0
    common = {"lease_owner": None, "lease_until": None, "error_code": WORKER_LOST}
    dead = lapsed.filter(attempts__gte=MAX_ATTEMPTS).update(
        status=EventStatus.DEAD,
        processed_at=now,
        error_message=f"The worker stopped without a word {MAX_ATTEMPTS} times while it was at this event.",
        **common,
    )
    return dead + lapsed.update(
        status=EventStatus.PENDING, next_attempt_at=None, error_message="The worker stopped while it was at this event.", **common
    )


# --- claiming ------------------------------------------------------------------------------------------------------------------


def claim(integration: Integration, owner: uuid.UUID, now: datetime) -> list[WebhookEvent]:
    """Take the next events of an integration: the first open one of each object, and those that follow it."""
    with transaction.atomic():
        earlier = WebhookEvent.objects.filter(
            integration=integration, object_key=OuterRef("object_key"), id__lt=OuterRef("id"), status__in=WebhookEvent.OPEN
        ).order_by()
        heads = list(
            due(now)
            .filter(Q(object_key="") | ~Exists(earlier), integration=integration)
            .order_by("id")
            .annotate(size=Length("body"))
            .values_list("id", "object_key", "error_code", "size")[:HEADS]
            .select_for_update(skip_locked=True, of=("self",))
        )
        # An event that was in hand when a worker died may be what killed it: it is worked alone.
        if heads and heads[0][2] == WORKER_LOST:
            chosen = [heads[0][0]]
        else:
            heads = [head for head in heads if head[2] != WORKER_LOST]
            chosen = _within_memory([*((pk, size) for pk, _, _, size in heads), *_followers(integration, heads, now)])
        WebhookEvent.objects.filter(pk__in=chosen).update(
            status=EventStatus.PROCESSING,
            attempts=F("attempts") + 1,
            lease_owner=owner,
            lease_until=now + leases.LEASE,
            next_attempt_at=None,
        )
    return list(WebhookEvent.objects.filter(pk__in=chosen).order_by("id"))


def _followers(integration: Integration, heads: Sequence[tuple[int, str, str, int]], now: datetime) -> Iterator[tuple[int, int]]:
    """Find what may be worked right after the heads. Nobody else can take it: each has an earlier open event, which is ours."""
    taken = {pk for pk, _, _, _ in heads}
    keys = {key for _, key, _, _ in heads if key}
    rows = (
        WebhookEvent.objects.filter(integration=integration, object_key__in=keys, status=EventStatus.PENDING)
        .order_by("id")
        .annotate(size=Length("body"))
        .values_list("id", "object_key", "error_code", "size", "next_attempt_at")[:FOLLOWERS]
    )
    held: set[str] = set()
    for pk, key, error_code, size, next_attempt_at in rows:
        if error_code == WORKER_LOST or (next_attempt_at and next_attempt_at > now):
            held.add(key)
        if key not in held and pk not in taken:
            yield pk, size


def _within_memory(sizes: Sequence[tuple[int, int]]) -> list[int]:
    chosen: list[int] = []
    total = 0
    for pk, size in sizes:
        total += size
        if chosen and total > BATCH_BYTES:
            break
        chosen.append(pk)
    return chosen


def hand_back(events: QuerySet[WebhookEvent]) -> None:
    """Give events back that were in hand when the database was lost. One that has no attempt left is parked when its lease lapses."""
    mine = events.filter(status=EventStatus.PROCESSING)
    mine.filter(attempts__lt=MAX_ATTEMPTS).update(
        status=EventStatus.PENDING, next_attempt_at=timezone.now(), lease_owner=None, lease_until=None
    )


# --- working -------------------------------------------------------------------------------------------------------------------


def drain(integration: Integration, *, should_stop: Callable[[], bool] = lambda: False) -> Tally:
    """Work what is due at one integration, batch after batch. Nothing is worked at an inactive one; it is kept."""
    tally = Tally()
    while integration.status != IntegrationStatus.INACTIVE and not should_stop():
        owner = uuid.uuid4()
        rows = claim(integration, owner, timezone.now())
        if not rows:
            break
        started = time.monotonic()
        with leases.held(WebhookEvent, owner, give_back=hand_back):
            results = effects.work(integration, rows)
            worked = settle(integration, owner, rows, results, took=time.monotonic() - started)
        tally.add(worked)
        if worked.paused:
            break
    return tally


def settle(
    integration: Integration, owner: uuid.UUID, rows: Sequence[WebhookEvent], results: Mapping[int, effects.Result], *, took: float
) -> Tally:
    """Write down how events went; those whose lease was lost meanwhile are another worker's."""
    tally = Tally()
    now, jitter = timezone.now(), uniform(0.5, 1)  # one for the batch, so that what belongs together comes back together
    alike: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for row in rows:
        changes = _changes(row, results[row.pk], now, jitter, tally)
        alike.setdefault(json.dumps(changes, default=str), (changes, []))[1].append(row.pk)
    with transaction.atomic():
        for changes, pks in alike.values():
            WebhookEvent.objects.filter(pk__in=pks, lease_owner=owner).update(lease_owner=None, lease_until=None, **changes)
        IntegrationLog.objects.bulk_create([_log(integration, row, results[row.pk], int(took * 1000)) for row in rows])
    return tally


def _changes(row: WebhookEvent, result: effects.Result, now: datetime, jitter: float, tally: Tally) -> dict[str, Any]:
    error = result.error
    if error is None:
        if result.status == EventStatus.IGNORED:
            tally.ignored += 1
        else:
            tally.done += 1
        return {"status": result.status, "outcome": result.outcome, "processed_at": now, "error_code": "", "error_message": ""}
    changes = {"error_code": error.code, "error_message": str(error)}
    untried = error.code in UNTRIED
    tally.paused |= untried
    if result.is_final or (row.attempts >= MAX_ATTEMPTS and not untried):
        tally.dead += 1
        return {**changes, "status": EventStatus.DEAD, "processed_at": now}
    tally.waiting += 1
    delay = timedelta(seconds=jitter * (UNTRIED_DELAY if untried else DELAYS[row.attempts - 1]))
    attempts = row.attempts - 1 if untried else row.attempts
    return {**changes, "status": EventStatus.PENDING, "attempts": attempts, "next_attempt_at": now + delay}


def _log(integration: Integration, row: WebhookEvent, result: effects.Result, milliseconds: int) -> IntegrationLog:
    error = result.error
    return IntegrationLog(
        integration=integration,
        operation_type=OperationType.WEBHOOK,
        operation_name=(row.event_type or "webhook")[:80],
        direction=Direction.INBOUND,
        status=LogStatus.FAILED if error else LogStatus.SUCCESS,
        request_data={"event": row.pk, "event_id": row.event_id, "object": row.object_key},
        response_data={} if error else {"outcome": result.outcome},
        attempt=row.attempts,
        error_code=error.code if error else "",
        error_message=str(error) if error else "",
        processing_time=milliseconds,
        records_processed=1,
        records_success=0 if error else 1,
        records_failed=1 if error else 0,
        correlation_id=row.correlation_id,
    )


# --- replaying -----------------------------------------------------------------------------------------------------------------


def replayable(events: QuerySet[WebhookEvent]) -> QuerySet[WebhookEvent]:
    """Return which of these events can be worked again: those that are closed. A batch stands for the events it was split into."""
    return WebhookEvent.objects.filter(Q(pk__in=events.order_by().values("pk")) | Q(batch__in=events.order_by().values("pk"))).filter(
        ~Q(status__in=WebhookEvent.OPEN), is_batch=False
    )


def replay(events: QuerySet[WebhookEvent]) -> int:
    """Have events worked again, and return how many. Their place in the order of their object is the one they had."""
    return replayable(events).update(
        status=EventStatus.PENDING, attempts=0, next_attempt_at=None, error_code="", error_message="", outcome="", processed_at=None
    )


def shown_body(event: WebhookEvent) -> Any:
    """Return an event's body fit for a screen: redacted, as JSON. Of an event out of a batch it is the batch's."""
    body = bytes((event.batch or event).body)
    try:
        return redact(json.loads(body), max_items=20)
    except ValueError:
        return redact(body.decode(errors="replace"))


# --- polling -------------------------------------------------------------------------------------------------------------------


PACE_PATIENCE_SECONDS = 5.0
"""How long a poll waits for its turn: others of the gateway may have used it up, and a worker has more to do."""


def polled_providers() -> list[str]:
    """Return the slugs of the vendors whose events are fetched by us."""
    return [slug for slug, provider in registry.providers().items() if (hooks := provider.manifest.webhooks) and hooks.verifier == POLLING]


def poll(integration: Integration) -> int:
    """Fetch a vendor's events into the inbox, and return how many. Reading takes them off the vendor's queue: each batch is stored first."""
    key = _poll_key(integration.pk)
    if integration.provider not in polled_providers() or not cache.add(key, True, timeout=4 * POLL_SECONDS):
        return 0
    count = 0
    try:
        pace = polling_pace(integration)
        with provider_for(integration, LogBook(integration.pk, OperationType.WEBHOOK)) as provider:
            batches = provider.poll()
            while True:
                if pace:
                    pace.acquire(PACE_PATIENCE_SECONDS)
                if (raw := next(batches, None)) is None:
                    break
                count += sum(store([_polled(integration, event) for event in raw]))
    except RateLimited:
        pass  # the vendor's pace, or ours: what is left comes with the next poll
    except HospientError as error:
        logger.warning("poll_failed integration=%s code=%s", integration.pk, error.code)
    finally:
        cache.set(key, True, timeout=POLL_SECONDS)
    return count


def _poll_key(integration_id: int) -> str:
    """Return where it stands in the shared cache that a vendor is being polled, or was just now: two consumers would split its queue."""
    return f"webhooks:poll:{integration_id}"


def _polled(integration: Integration, event: Any) -> Row:
    return row_of(
        read_events(parsers_of(integration).outline(POLLING), {}, event) or [],
        integration_id=integration.pk,
        verified_by=POLLING,
        headers={},
        body=keepable_json(json.dumps(event, default=str)),
        correlation_id=correlation.new(),
        received_at=timezone.now(),
    )


# --- health --------------------------------------------------------------------------------------------------------------------
