"""Delivers one operation: one effect at the vendor, whatever fails.

Before the first byte leaves, `maybe_sent_at` is committed. From then on, until a definite answer, the vendor may have acted, and what
happens next follows from what the provider declares: with a native key the same call is safe to repeat; with a look-up we ask the
vendor first; with neither, a person decides. The provider is handed in.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from integrations import leases
from integrations.exceptions import CircuitOpen, HospientError, ProviderError, RateLimited
from integrations.models import Integration, IntegrationStatus, Operation, OperationStatus
from integrations.security.kept import keepable
from integrations.sync import health

LEASE = timedelta(seconds=60)
"""Longer than a call takes: what a killed worker sent may still be on its way, and a look-up before that would find nothing."""
UNTRIED = (CircuitOpen, RateLimited)
"""Nothing reached the vendor's system, so no attempt is counted: one that is down for a day costs no operation."""
MAX_ATTEMPTS = 8
"""With the backoff of `sync.health` the last one comes after about twenty minutes on average, at most three quarters of an hour."""
MAX_LOST = 5
"""An operation at which the worker died, after so many attempts, is not tried again: it may be what kills them."""
WORKER_LOST = "worker_lost"
PINNED = ("reservation_external_id", "guest_external_id")
"""What the vendor is asked for before anything is sent, and then kept: every later try and look-up is about the same stay ..."""
PINNED_AT = "pinned_at"
"""... and since this moment."""
LOOK = "If it waits for you, look at the vendor whether it was done, then retry."


class Declared(Protocol):
    """What delivering has to know of an operation: its manifest entry."""

    idempotency: str
    settle_seconds: int
    pins: bool


class Target(Protocol):
    """The vendor's side of one operation."""

    def pin(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return whom it concerns: what the vendor says now of the names in `PINNED`."""
        ...

    def about(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the object a pinned payload is about, as the operation's columns."""
        ...

    def send(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]: ...

    def find(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any] | None: ...


def due(now: datetime | None = None) -> QuerySet[Operation]:
    """Return what a worker should take up: due, or left behind by one that died; of each object only the earliest, and nothing of an
    integration a person has switched off."""
    now = now or timezone.now()
    earlier = Operation.objects.filter(
        integration=OuterRef("integration"), object_key=OuterRef("object_key"), id__lt=OuterRef("id"), status__in=Operation.OPEN
    )
    first = Q(object_key="") | ~Exists(earlier)  # what belongs to no object is not looked for: it would be compared with all of its kind
    waiting = Q(status__in=(OperationStatus.PENDING, OperationStatus.UNKNOWN), next_attempt_at__lte=now)
    left_behind = Q(status=OperationStatus.SENDING, lease_until__lt=now)
    # Not as a join: `claim` has these conditions in its UPDATE, and PostgreSQL looks at them again only where they stand beside the row.
    switched_off = Integration.objects.filter(status=IntegrationStatus.INACTIVE)
    return Operation.objects.filter(waiting | left_behind).filter(first).exclude(integration__in=switched_off).order_by("id")


class LeaseLost(Exception):
    """Another worker has taken the operation over."""


class Delivery:
    """One attempt at one operation. `done` applies the answer to the hotel's rows, in the transaction that closes the operation."""

    def __init__(
        self,
        operation: Operation,
        declared: Declared,
        done: Callable[[Operation, Mapping[str, Any]], None],
        refused: Callable[[Operation, HospientError], None] = lambda operation, error: None,
    ) -> None:
        self.operation = operation
        self.declared = declared
        self.done = done
        self.refused = refused
        self.owner = uuid.uuid4()

    def claim(self) -> bool:
        """Take the operation for this worker, unless it is not due, another has it, or an earlier one of its object is open."""
        now = timezone.now()
        if self.operation.status == OperationStatus.SENDING:
            due(now).filter(pk=self.operation.pk, status=OperationStatus.SENDING).update(
                error_code=WORKER_LOST, error_message="The worker stopped while it was at this operation.", hint=LOOK
            )
        claimed = (
            due(now)
            .filter(pk=self.operation.pk)
            .update(status=OperationStatus.SENDING, lease_owner=self.owner, lease_until=now + LEASE, attempts=F("attempts") + 1)
        )
        if claimed:
            self.operation.refresh_from_db()
        return bool(claimed)

    def attempt(self, target: Target) -> Operation:
        """Do it, and write down what came of it. Call only after `claim` said yes. A worker that has lost its turn does nothing more."""
        try:
            with leases.held(Operation, self.owner, give_back=hand_back, lease=LEASE):
                return self._attempt(target)
        except LeaseLost:
            self.operation.refresh_from_db()
            return self.operation

    def _attempt(self, target: Target) -> Operation:
        operation = self.operation
        key = str(operation.uuid)
        before = operation.maybe_sent_at
        try:
            self._check_attempts()
            if self.declared.pins and PINNED_AT not in operation.payload and not self._pin(target):
                return operation
            answer = self._resolve(target, key, before) if before else None
            if answer is None and operation.status == OperationStatus.SENDING:
                self._save(maybe_sent_at=timezone.now())
                answer = target.send(operation.payload, key)
        except HospientError as error:
            return self._failed(error, before)
        return operation if answer is None else self._close(answer)

    def _check_attempts(self) -> None:
        if self.operation.error_code == WORKER_LOST and self.operation.attempts > MAX_LOST:
            self._save(attempts=self.operation.attempts - 1)  # this one is none
            raise HospientError(
                f"After {MAX_LOST} attempts or more, the worker stopped without a word while it was at this operation again.",
                hint=f"{LOOK} The server's log may say why the worker stopped.",
                code=WORKER_LOST,
            )

    def _pin(self, target: Target) -> bool:
        """Write down whom it concerns, before the first byte leaves. Says no, and gives it back, if it has to wait for an earlier operation
        about the same stay."""
        operation = self.operation
        said = target.pin(operation.payload)
        payload = {**operation.payload, **{name: said[name] for name in PINNED if said.get(name)}, PINNED_AT: timezone.now().isoformat()}
        self._save(payload=payload, **target.about(payload))
        earlier = Operation.objects.filter(
            integration=operation.integration_id, object_key=operation.object_key, id__lt=operation.pk, status__in=Operation.OPEN
        )
        if not earlier.exists():
            return True
        self._save(attempts=operation.attempts - 1)  # this one is none
        self._release(OperationStatus.UNKNOWN if operation.maybe_sent_at else OperationStatus.PENDING, timezone.now())
        return False

    def _resolve(self, target: Target, key: str, sent_at: datetime) -> Mapping[str, Any] | None:
        """Settle what became of an earlier attempt: the vendor's answer if it had an effect, None if it may be sent (again)."""
        if self.declared.idempotency == "native":
            return None
        if self.declared.idempotency == "lookup":
            if (answer := target.find(self.operation.payload, key)) is not None:
                return answer
            settled_at = sent_at + timedelta(seconds=self.declared.settle_seconds)
            if timezone.now() < settled_at:
                self._release(OperationStatus.UNKNOWN, settled_at)
            return None
        self._release(OperationStatus.UNKNOWN, None)
        return None

    def _close(self, answer: Mapping[str, Any]) -> Operation:
        kept = keepable(dict(answer))
        said = kept.pop("warnings", [])
        with transaction.atomic():
            self._save(
                status=OperationStatus.DONE,
                answer=kept,
                warnings=[*self.operation.warnings, *said],
                vendor_reference=str(answer.get("reference", ""))[:192],
                done_at=timezone.now(),
                maybe_sent_at=None,
                next_attempt_at=None,
                lease_owner=None,
                lease_until=None,
                error_code="",
                error_message="",
                hint="",
            )
            health.succeeded(self.operation.integration_id)  # first, as a sync does: who holds the integration may write its hotel's rows
            self.done(self.operation, answer)
        return self.operation

    def _failed(self, error: HospientError, before: datetime | None) -> Operation:
        operation = self.operation
        maybe_done = isinstance(error, ProviderError) and error.maybe_done
        # A definite refusal takes back this attempt's doubt, but not that of an earlier one.
        sent_at = operation.maybe_sent_at if maybe_done else before
        self._save(error_code=error.code, error_message=error.message, hint=error.hint, maybe_sent_at=sent_at)
        if error.of_connection:
            health.failed(operation.integration_id, error)
        if sent_at and self.declared.idempotency == "none":
            return self._release(OperationStatus.UNKNOWN, None)
        is_last = operation.attempts >= MAX_ATTEMPTS and not isinstance(error, UNTRIED)
        if not (error.retryable or maybe_done) or is_last:
            # What may have happened is never called dead: somebody would do it again.
            with transaction.atomic():
                self._release(OperationStatus.UNKNOWN if sent_at else OperationStatus.DEAD, None)
                self.refused(operation, error)
            return operation
        if isinstance(error, UNTRIED) and not maybe_done:
            self._save(attempts=operation.attempts - 1)
        retry_at = getattr(error, "retry_at", None) or timezone.now() + health.backoff(operation.attempts)
        return self._release(OperationStatus.UNKNOWN if sent_at else OperationStatus.PENDING, retry_at)

    def _release(self, status: OperationStatus, retry_at: datetime | None) -> Operation:
        self._save(status=status, next_attempt_at=retry_at, lease_owner=None, lease_until=None)
        return self.operation

    def _save(self, **changes: Any) -> None:
        """Write to the operation if it is still ours. Raises LeaseLost."""
        if not Operation.objects.filter(pk=self.operation.pk, lease_owner=self.owner).update(**changes):
            raise LeaseLost()
        for name, value in changes.items():
            setattr(self.operation, name, value)


def hand_back(operations: QuerySet[Operation]) -> None:
    """Give operations back that were in hand when the database was lost. What may have been sent keeps that doubt."""
    free = {"next_attempt_at": timezone.now(), "lease_owner": None, "lease_until": None}
    in_hand = operations.filter(status=OperationStatus.SENDING)
    in_hand.filter(maybe_sent_at__isnull=True).update(status=OperationStatus.PENDING, **free)
    in_hand.update(status=OperationStatus.UNKNOWN, **free)


def park(operation: Operation, error: HospientError) -> None:
    """Put an operation aside that cannot be tried at all, because its vendor does not offer it any more."""
    status = OperationStatus.UNKNOWN if operation.maybe_sent_at else OperationStatus.DEAD
    changes = {"error_code": error.code, "error_message": error.message, "hint": error.hint}
    due().filter(pk=operation.pk).update(status=status, next_attempt_at=None, lease_owner=None, lease_until=None, **changes)


def retry(operation: Operation, *, send_again: bool = False) -> bool:
    """Make an operation due at once, on a person's word. `send_again` gives up the doubt whether an earlier attempt had an effect: for an
    operation whose outcome nobody can look up, that is what a person's word means."""
    doubt = None if send_again else operation.maybe_sent_at
    waiting = (OperationStatus.DEAD, OperationStatus.UNKNOWN, OperationStatus.PENDING)
    return bool(
        Operation.objects.filter(pk=operation.pk, status__in=waiting).update(
            status=OperationStatus.UNKNOWN if doubt else OperationStatus.PENDING,
            maybe_sent_at=doubt,
            attempts=0,
            next_attempt_at=timezone.now(),
        )
    )


def resume(integration_id: int, given_up: Collection[str], since: datetime) -> None:
    """Make due at once what waits for its next try at a vendor that works again, and what was asked for since then and given up for one
    of these errors. What may have reached the vendor keeps its doubt, and is looked up first."""
    now = timezone.now()
    rows = Operation.objects.filter(integration_id=integration_id)
    rows.filter(status__in=(OperationStatus.PENDING, OperationStatus.UNKNOWN), next_attempt_at__gt=now).exclude(
        status=OperationStatus.UNKNOWN,
        error_code="",  # between sending and looking there is a time to wait
    ).update(next_attempt_at=now)
    rows.filter(status=OperationStatus.DEAD, error_code__in=given_up, created_at__gte=since).update(
        status=OperationStatus.PENDING, attempts=0, next_attempt_at=now
    )
