"""How integrations are: the one place that judges. API, console, commands, metrics and alerts say what stands here.

Only what concerns the connection counts. A check that a vendor refused for reasons of the hotel's business, or a record that could not be
taken, waits for a person in a list of its own and makes no integration ill.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from django.db.models import Count, Exists, Min, OuterRef, Q
from django.utils import timezone

from hotels.words import ago, at, counted
from integrations.exceptions import InvalidInput, RequestRejected, UnsupportedOperation, class_of
from integrations.models import (
    Integration,
    IntegrationStatus,
    Operation,
    OperationStatus,
    RejectedRecord,
    RunMode,
    RunStatus,
    SyncRun,
    WebhookSecret,
)
from integrations.services import registry
from integrations.services.refused import SHOWN, Refused, refused_lately
from integrations.sync.runner import DELETIONS_WAIT
from webhooks.models import EventStatus, WebhookEvent

LATE_AFTER = timedelta(minutes=10)
"""Work that was due so long ago is late. A worker takes up what is due within seconds."""
OF_BUSINESS = {error.code for error in (RequestRejected, *RequestRejected.__subclasses__(), InvalidInput, UnsupportedOperation)}
"""What is refused for one of these concerns that one request."""


class State(StrEnum):
    """How an integration is. The order is that of urgency, the worst first."""

    NEEDS_PERSON = "needs_person"
    WAITING = "waiting_for_vendor"
    LATE = "working_late"
    NOT_TRIED = "not_tried"
    WORKING = "working"
    OFF = "off"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def colour(self) -> str:
        return _COLOURS[self]

    @property
    def is_well(self) -> bool:
        return self in (State.WORKING, State.OFF)


_LABELS = {
    State.NEEDS_PERSON: "Needs a person",
    State.WAITING: "Waiting for the vendor",
    State.LATE: "Working, late",
    State.NOT_TRIED: "Not tried yet",
    State.WORKING: "Working",
    State.OFF: "Off",
}
_COLOURS = {
    State.NEEDS_PERSON: "danger",
    State.WAITING: "warning",
    State.LATE: "warning",
    State.NOT_TRIED: "info",
    State.WORKING: "success",
    State.OFF: "default",
}


class Cure(StrEnum):
    """What a person can do about it; each door knows how it is done there."""

    NOTHING = "nothing"
    ENTER_CREDENTIALS = "enter_credentials"
    CHANGE_SETTINGS = "change_settings"
    TEST = "test"
    SYNC = "sync"
    LOOK_AT_RUN = "look_at_run"
    LOOK_AT_OPERATIONS = "look_at_operations"
    LOOK_AT_EVENTS = "look_at_events"
    TURN_ON = "turn_on"


_CURE_OF = {
    "authentication_failed": Cure.ENTER_CREDENTIALS,
    "reauthorization_required": Cure.ENTER_CREDENTIALS,
    "credentials_missing": Cure.ENTER_CREDENTIALS,
    "decryption_failed": Cure.ENTER_CREDENTIALS,
    "configuration_error": Cure.CHANGE_SETTINGS,
    "egress_blocked": Cure.CHANGE_SETTINGS,
}


@dataclass(slots=True)
class Facts:
    """What the rows of one integration say: how much waits, since when, and what happens next by itself."""

    dead: int = 0
    """Operations given up, those the vendor refused included."""
    dead_ours: int = 0
    """Given up for another reason than the vendor's refusal of that request."""
    unsettled: int = 0
    """Operations of unknown outcome that nobody looks up by himself."""
    late_since: datetime | None = None
    """When the oldest of what is overdue was due."""
    next_at: datetime | None = None
    """When something will call the vendor next, by itself."""
    dead_events: int = 0
    refused: Refused | None = None
    """Webhooks refused in the last day."""
    none_accepted: bool = False
    """Of webhooks in the last day, though there is a secret to know them by."""
    rejected: int = 0
    failed_runs: list[SyncRun] = field(default_factory=list)
    """Last runs of a stream that failed."""
    deletions_wait: SyncRun | None = None

    def is_late(self, due_at: datetime) -> None:
        self.late_since = min(self.late_since or due_at, due_at)

    def comes(self, moment: datetime | None) -> None:
        if moment is not None:
            self.next_at = min(self.next_at or moment, moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The judgement. `sentence` says what is, `why` the cause, `todo` what a person can do (empty: nothing)."""

    state: State
    sentence: str
    why: str = ""
    todo: str = ""
    cure: Cure = Cure.NOTHING
    run_id: int | None = None
    """The run that `cure` is about."""
    since: datetime | None = None
    last_good: datetime | None = None
    next_try: datetime | None = None
    facts: Facts


def judge(integrations: Iterable[Integration]) -> dict[int, Health]:
    """Judge integrations (with their hotels), by id. The number of queries is the same for one and for a thousand."""
    rows = list(integrations)
    facts = gather(rows)
    return {row.pk: _judge(row, facts[row.pk]) for row in rows}


def judge_one(integration: Integration) -> Health:
    return judge([integration])[integration.pk]


# --- facts ---------------------------------------------------------------------------------------------------------------------


def gather(rows: Collection[Integration]) -> dict[int, Facts]:
    """Read what the rows say, a query for each kind."""
    now = timezone.now()
    facts: dict[int, Facts] = defaultdict(Facts)
    _operations(rows, facts, now)
    _events(rows, facts, now)
    _runs(rows, facts, now)
    rejected = RejectedRecord.objects.filter(integration__in=rows, resolved_at__isnull=True).order_by()
    for pk, number in rejected.values_list("integration").annotate(Count("id")):
        facts[pk].rejected = number
    for row in rows:
        fact = facts[row.pk]
        fact.comes(row.next_sync_at)
        fact.comes(row.test_due_at)
        if row.next_sync_at and row.next_sync_at < now - LATE_AFTER:
            fact.is_late(row.next_sync_at)
    return facts


def _operations(rows: Collection[Integration], facts: dict[int, Facts], now: datetime) -> None:
    waits = Q(status__in=(OperationStatus.PENDING, OperationStatus.UNKNOWN), next_attempt_at__isnull=False)
    found = (
        Operation.objects.filter(integration__in=rows)
        .exclude(status=OperationStatus.DONE)
        .order_by()
        .values("integration")
        .annotate(
            dead=Count("id", filter=Q(status=OperationStatus.DEAD)),
            dead_ours=Count("id", filter=Q(status=OperationStatus.DEAD) & ~Q(error_code__in=OF_BUSINESS)),
            unsettled=Count("id", filter=Q(status=OperationStatus.UNKNOWN, next_attempt_at__isnull=True)),
            next_at=Min("next_attempt_at", filter=waits),
            abandoned=Min("lease_until", filter=Q(status=OperationStatus.SENDING)),
        )
    )
    for row in found:
        fact = facts[row["integration"]]
        fact.dead, fact.dead_ours, fact.unsettled = row["dead"], row["dead_ours"], row["unsettled"]
        for due_at in (row["next_at"], row["abandoned"]):
            fact.comes(due_at)
            if due_at and due_at < now - LATE_AFTER:
                fact.is_late(due_at)


def _events(rows: Collection[Integration], facts: dict[int, Facts], now: datetime) -> None:
    # One that waits for its next try is not late: only what could be worked and is not.
    due = Q(status__in=WebhookEvent.OPEN) & (Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now))
    found = (
        WebhookEvent.objects.filter(integration__in=rows, status__in=(*WebhookEvent.OPEN, EventStatus.DEAD))
        .order_by()
        .values("integration")
        .annotate(dead=Count("id", filter=Q(status=EventStatus.DEAD)), oldest=Min("received_at", filter=due))
    )
    for row in found:
        fact = facts[row["integration"]]
        fact.dead_events = row["dead"]
        if row["oldest"] and row["oldest"] < now - LATE_AFTER:
            fact.is_late(row["oldest"])
    _refused(rows, facts, now)


def _refused(rows: Collection[Integration], facts: dict[int, Facts], now: datetime) -> None:
    refused = refused_lately(rows)
    if not refused:
        return
    accepted = WebhookEvent.objects.filter(integration__in=refused, received_at__gte=now - SHOWN).order_by()
    accepting = set(accepted.values_list("integration", flat=True).distinct())
    expecting = set(WebhookSecret.objects.filter(integration__in=refused).order_by().values_list("integration", flat=True))
    for pk, found in refused.items():
        facts[pk].refused = found
        facts[pk].none_accepted = pk in expecting - accepting


def _runs(rows: Collection[Integration], facts: dict[int, Facts], now: datetime) -> None:
    """Look at the last run of every stream, where it did not end well. There are few of these, however many runs there were."""
    runs = SyncRun.objects.exclude(mode=RunMode.REFRESH)
    later = runs.filter(integration=OuterRef("integration"), stream=OuterRef("stream"), pk__gt=OuterRef("pk"))
    of_interest = runs.filter(integration__in=rows).exclude(status=RunStatus.SUCCEEDED)
    for run in of_interest.filter(~Exists(later)).order_by("pk"):
        fact = facts[run.integration_id]
        if run.status == RunStatus.FAILED:
            fact.failed_runs.append(run)
        elif run.status == RunStatus.PARTIAL and run.error_code == DELETIONS_WAIT:
            fact.deletions_wait = run
        elif run.is_open:
            due_at = run.next_attempt_at or run.created_at if run.status == RunStatus.QUEUED else run.lease_until
            fact.comes(max(due_at, now) if due_at else now)
            if due_at and due_at < now - LATE_AFTER:
                fact.is_late(due_at)


# --- the judgement -------------------------------------------------------------------------------------------------------------


def _judge(row: Integration, facts: Facts) -> Health:
    common: dict[str, Any] = {"last_good": row.last_success_at, "next_try": facts.next_at, "facts": facts}
    if row.status == IntegrationStatus.INACTIVE:
        return Health(
            state=State.OFF,
            sentence=f"{row.provider_name} is switched off: nothing is sent, synced or received.",
            todo="Switch it on to go on.",
            cure=Cure.TURN_ON,
            **common | {"next_try": None},
        )
    if row.provider not in registry.providers():
        return Health(
            state=State.NEEDS_PERSON,
            sentence=f"{row.provider_name} cannot be called.",
            why=f"The provider “{row.provider}” is not installed here.",
            todo="Ask whoever runs this server to install it.",
            **common,
        )
    return (
        _broken_connection(row, facts, common)
        or _failed_run(row, facts, common)
        or _waits_for_a_person(row, facts, common)
        or _waiting(row, facts, common)
        or _late(row, facts, common)
        or _at_peace(row, common)
    )


def _broken_connection(row: Integration, facts: Facts, common: dict[str, Any]) -> Health | None:
    if row.failing_since is None:
        return None
    comes_back = class_of(row.last_error_code).retryable
    if comes_back and facts.next_at is not None:
        return None  # it waits for the vendor
    cure = _CURE_OF.get(row.last_error_code, Cure.TEST)
    return Health(
        state=State.NEEDS_PERSON,
        sentence=f"{row.provider_name} has not worked {ago(row.failing_since)}.",
        why=row.last_error,
        todo=row.last_error_hint if row.last_error_hint and not comes_back else "Test the connection.",
        cure=cure,
        since=row.failing_since,
        **common,
    )


def _failed_run(row: Integration, facts: Facts, common: dict[str, Any]) -> Health | None:
    """Name a stream whose last run failed and that no later run will mend by itself."""
    for run in facts.failed_runs:
        if class_of(run.error_code).retryable and row.next_sync_at:
            continue
        return Health(
            state=State.NEEDS_PERSON,
            sentence=f"The last sync of {run.stream.replace('_', ' ')} failed.",
            why=run.error_message,
            todo=_todo_of(run),
            cure=Cure.SYNC if class_of(run.error_code).retryable else Cure.LOOK_AT_RUN,
            run_id=run.pk,
            since=run.finished_at,
            **common,
        )
    return None


def _todo_of(run: SyncRun) -> str:
    if class_of(run.error_code).retryable:
        return "Nothing repeats it by itself, for this integration syncs by hand: sync again when the vendor answers."
    return run.hint or "Look at the run, then sync again."


def _waits_for_a_person(row: Integration, facts: Facts, common: dict[str, Any]) -> Health | None:
    needs = partial(Health, state=State.NEEDS_PERSON, **common)
    if facts.unsettled:
        return needs(
            sentence=f"{counted(facts.unsettled, 'operation has', 'operations have')} an outcome that nobody knows.",
            why=f"{row.provider_name} may have acted on it and offers no way to ask.",
            todo="Look at the vendor whether it was done, then retry it or leave it.",
            cure=Cure.LOOK_AT_OPERATIONS,
        )
    if facts.dead_ours:
        return needs(
            sentence=f"{counted(facts.dead_ours, 'operation was', 'operations were')} given up and not done.",
            why="All tries failed.",
            todo="Look at each; what is still wanted can be tried again.",
            cure=Cure.LOOK_AT_OPERATIONS,
        )
    if facts.dead_events:
        return needs(
            sentence=f"{counted(facts.dead_events, 'webhook', 'webhooks')} could not be worked.",
            why="All tries failed.",
            todo="Look at each; replay them once the cause is mended.",
            cure=Cure.LOOK_AT_EVENTS,
        )
    if facts.refused and facts.none_accepted:  # single ones are any stranger's; where none comes through, it is the secret
        return needs(
            sentence=f"{counted(facts.refused.count, 'webhook', 'webhooks')} of {row.provider_name} refused in a day, and none accepted.",
            why=facts.refused.last,
            todo="Compare the webhook secret here with the one at the vendor.",
            cure=Cure.CHANGE_SETTINGS,
        )
    if run := facts.deletions_wait:
        return needs(
            sentence=f"A sync of {run.stream.replace('_', ' ')} would delete much, and asks first.",
            why=run.error_message,
            todo=run.hint,
            cure=Cure.LOOK_AT_RUN,
            run_id=run.pk,
            since=run.finished_at,
        )
    return None


def _waiting(row: Integration, facts: Facts, common: dict[str, Any]) -> Health | None:
    if row.failing_since is None or facts.next_at is None:
        return None
    return Health(
        state=State.WAITING,
        sentence=f"{row.provider_name} has not answered {ago(row.failing_since)}. {_next(row, facts)}",
        why=row.last_error,
        since=row.failing_since,
        **common,
    )


def _late(row: Integration, facts: Facts, common: dict[str, Any]) -> Health | None:
    if facts.late_since:
        return Health(
            state=State.LATE,
            sentence=f"{row.provider_name} works, but something has been overdue {ago(facts.late_since)}.",
            why="The worker has more to do than it manages, or is not running.",
            todo="Look whether a worker runs; if one does, start another.",
            since=facts.late_since,
            **common,
        )
    if facts.failed_runs:
        run = facts.failed_runs[-1]
        return Health(
            state=State.LATE,
            sentence=f"{row.provider_name} works, but the last sync of {run.stream.replace('_', ' ')} failed. {_next(row, facts)}",
            why=run.error_message,
            since=run.finished_at,
            **common,
        )
    return None


def _at_peace(row: Integration, common: dict[str, Any]) -> Health:
    if row.last_success_at is None:
        is_due = row.test_due_at is not None
        return Health(
            state=State.NOT_TRIED,
            sentence=f"{row.provider_name} has not been tried yet.",
            why="A worker tries it within a minute." if is_due else "",
            todo="" if is_due else "Test the connection.",
            cure=Cure.NOTHING if is_due else Cure.TEST,
            **common,
        )
    return Health(state=State.WORKING, sentence=f"{row.provider_name} works.", **common)


def _next(row: Integration, facts: Facts) -> str:
    """Say what happens next by itself, from the row that will make it happen."""
    if facts.next_at is None:
        return ""
    return "It is tried again now." if facts.next_at <= timezone.now() else f"It is tried again at {at(facts.next_at, row.hotel)}."
