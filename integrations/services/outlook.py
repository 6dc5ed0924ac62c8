"""What is said of an operation and of a run: what happened, why, what happens next by itself, and what a person can do.

The one table for console, API and commands. What happens next is read from the row that will make it happen: nothing is promised that no
row will do, and nothing is asked of a person where nothing can be done.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from hotels.models import Hotel
from hotels.words import at, counted
from integrations.exceptions import class_of
from integrations.models import Integration, IntegrationStatus, Operation, OperationStatus, RejectedRecord, RunStatus, SyncRun
from integrations.outbox.deliver import WORKER_LOST
from integrations.services import registry
from integrations.services.manifest import Idempotency

SWITCH_ON = "Switch the integration on: while it is off, nothing of it is sent or read."


@dataclass(frozen=True, slots=True)
class Outlook:
    what: str
    why: str = ""
    next: str = ""
    """What happens by itself, and when; empty: nothing."""
    todo: str = ""
    """What a person can do; empty: nothing is to be done."""


def when(moment: datetime | None, hotel: Hotel) -> str:
    """Say when a worker takes something up: "as soon as a worker is free", "at 14:05"."""
    if moment is None or moment <= timezone.now():
        return "as soon as a worker is free"
    return f"at {at(moment, hotel)}"


# --- operations ----------------------------------------------------------------------------------------------------------------


def label_of(operation: Operation) -> str:
    """Return what the manifest calls it: "Post a guest check"."""
    declared = _declared(operation)
    return declared.label if declared else operation.name.replace("_", " ").capitalize()


def _declared(operation: Operation) -> object:
    provider = registry.providers().get(operation.integration.provider)
    return provider.manifest.operation(operation.name) if provider else None


def sends_again(operation: Operation) -> bool:
    """Say whether trying again may do it twice: the outcome is unknown, and this vendor has no way to find out."""
    declared = _declared(operation)
    return operation.status == OperationStatus.UNKNOWN and declared is not None and declared.idempotency == Idempotency.NONE


def of_operation(operation: Operation) -> Outlook:
    """Word an operation, read with its integration and that one's hotel."""
    name, why = f"“{label_of(operation)}”", operation.error_message
    match OperationStatus(operation.status):
        case OperationStatus.DONE:
            return Outlook(
                f"{name} is done" + (f"; the vendor calls it {operation.vendor_reference}." if operation.vendor_reference else ".")
            )
        case OperationStatus.SENDING:
            return Outlook(f"{name} is on its way.", next="Should the worker stop that has it, another takes it up within a minute or so.")
        case OperationStatus.DEAD:
            return Outlook(f"{name} was given up and not done.", why, todo=_cure_of_dead(operation))
        case OperationStatus.PENDING:
            return _waits(operation, Outlook(f"{name} has not been done yet.", why, f"It is sent {_when(operation)}."))
    return _in_doubt(operation, name, why or "The connection broke after the request had left us.")


def _in_doubt(operation: Operation, name: str, why: str) -> Outlook:
    what = f"{name} was sent, and no answer came back."
    declared = _declared(operation)
    if operation.next_attempt_at is not None and declared is not None:
        native = declared.idempotency == Idempotency.NATIVE
        doing = "It is sent again under the same key, which the vendor knows" if native else "The vendor is asked whether it was done"
        return _waits(operation, Outlook(what, why, f"{doing}, {_when(operation)}."))
    if sends_again(operation):
        return Outlook(what, why, todo="Look at the vendor whether it was done, and try again only if it was not.")
    return Outlook(what, why, todo="Look at the vendor, or try again: what may have arrived is looked up before anything is sent.")


def _waits(operation: Operation, outlook: Outlook) -> Outlook:
    if operation.integration.status == IntegrationStatus.INACTIVE:
        return Outlook(outlook.what, outlook.why, todo=SWITCH_ON)
    return outlook


def _when(operation: Operation) -> str:
    return when(operation.next_attempt_at, operation.integration.hotel)


def _cure_of_dead(operation: Operation) -> str:
    error = class_of(operation.error_code)
    if error.retryable:
        return "Nothing repeats it by itself any more: try it again when the vendor answers."
    if operation.error_code == WORKER_LOST:
        return operation.hint
    if error.of_connection:
        since = "With a working connection it is tried again by itself if it is less than a day old; else try it again."
        return f"{operation.hint or error.hint} {since}"
    return operation.hint or error.hint or "Nothing repeats it by itself: what is still wanted has to be sent anew."


# --- runs ----------------------------------------------------------------------------------------------------------------------


def of_run(run: SyncRun) -> Outlook:
    """Word a run, read with its integration and that one's hotel."""
    stream = run.stream.replace("_", " ")
    match RunStatus(run.status):
        case RunStatus.QUEUED:
            return _queued(run, stream)
        case RunStatus.RUNNING:
            return Outlook(
                f"{stream.capitalize()}: being read.", next="Should the worker stop that has it, another goes on within seconds."
            )
        case RunStatus.FAILED:
            return _failed(run, stream)
        case RunStatus.PARTIAL if run.error_message:
            return Outlook(f"The sync of {stream} stored what it read.", run.error_message, todo=run.hint)
        case RunStatus.PARTIAL:
            return _partly(run)
    return Outlook(f"The sync of {stream} ended well.")


def _queued(run: SyncRun, stream: str) -> Outlook:
    begun = run.page_count > 0 or bool(run.error_message)
    what = f"The sync of {stream} was interrupted." if begun else f"The sync of {stream} has not begun."
    if run.integration.status == IntegrationStatus.INACTIVE:
        return Outlook(what, run.error_message, todo=SWITCH_ON)
    goes_on = "It goes on where it was" if run.page_count else "It is begun"
    return Outlook(what, run.error_message, f"{goes_on} {when(run.next_attempt_at, run.integration.hotel)}.")


def _failed(run: SyncRun, stream: str) -> Outlook:
    what = f"The sync of {stream} did not finish."
    upcoming = _next_sync(run.integration)
    if class_of(run.error_code).retryable:
        asked = "Sync again to go on at once." if upcoming else "Nothing repeats it by itself: sync again when the vendor answers."
        return Outlook(what, run.error_message, upcoming, asked)
    return Outlook(what, run.error_message, upcoming, run.hint or "Look at the log for the cause, then sync again.")


def _next_sync(integration: Integration) -> str:
    if integration.next_sync_at is None or integration.status == IntegrationStatus.INACTIVE:
        return ""
    return f"The next sync begins {when(integration.next_sync_at, integration.hotel)}."


def _partly(run: SyncRun) -> Outlook:
    number = run.rejected_count
    what = f"{counted(number, 'record', 'records')} could not be stored; everything else was."
    them = "it" if number == 1 else "them"
    waiting = run.still_rejected if hasattr(run, "still_rejected") else still_rejected().filter(run=run).exists()
    if waiting:
        return Outlook(what, "The reason stands beside each rejected record.", todo=f"Correct {them} at the vendor, then try {them} again.")
    return Outlook(what, f"A later sync took {them}, or refused {them} again.")


def still_rejected() -> QuerySet[RejectedRecord]:
    """Return what waits for a person. A list of runs is read with `still_rejected=Exists(...)` of it, or each run asks for itself."""
    return RejectedRecord.objects.filter(resolved_at=None).order_by()
