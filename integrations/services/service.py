"""What can be done with an integration: test it, sync it, push through it. API, console, commands and workers call nothing else.

`PosService`, `PmsService` and `GuestManagementService` add the operations of their kind.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from django.utils import timezone

from integrations.exceptions import (
    HospientError,
    IntegrationInactive,
    InvalidInput,
    ReauthorizationRequired,
    RecordRejected,
    RequestRejected,
    UnexpectedResponse,
    UnsupportedOperation,
    codes_of_connection,
)
from integrations.models import (
    Direction,
    Integration,
    IntegrationLog,
    IntegrationStatus,
    LogStatus,
    Operation,
    OperationStatus,
    OperationType,
    RunMode,
    RunStatus,
    SyncRun,
    Trigger,
)
from integrations.outbox import deliver, enqueue
from integrations.records import Page, Record, StreamQuery
from integrations.security.kept import keepable, known_secrets
from integrations.security.redaction import redact
from integrations.services import effects, manifest, registry, rows
from integrations.services.base import Provider
from integrations.services.connect import LogBook, provider_for
from integrations.services.inputs import Input
from integrations.services.references import References
from integrations.sync import health, schedule
from integrations.sync.known import Counts
from integrations.sync.reconcile import Reconciler, apply_records
from integrations.sync.rows import keepable_record
from integrations.sync.runner import Runner
from integrations.transport import correlation
from integrations.transport.request import GONE

logger = logging.getLogger(__name__)

RESUME_WITHIN = timedelta(hours=24)
"""What was given up longer ago while the connection was broken waits for a person: a check-in of last week helps nobody."""
ALSO_CALLED = {"chat": "chat_messages", "guests": "guest_data", "guest_data": "guests"}
"""Guests are one stream, whichever kind of system they come from."""


def unusable(refusal: RecordRejected, *, maybe_done: bool = False) -> UnexpectedResponse:
    return UnexpectedResponse(f"The system's answer cannot be used. {refusal.message}", maybe_done=maybe_done)


@contextmanager
def in_words(*, maybe_done: bool = False) -> Iterator[None]:
    """Say of an answer that a provider could not read that it was the answer. With `maybe_done`, it was to a write that may have been done."""
    try:
        yield
    except RecordRejected as refusal:
        raise unusable(refusal, maybe_done=maybe_done) from refusal
    except HospientError:
        raise
    except rows.ODD as error:
        logger.exception("answer_unreadable")
        sentence = f"The system's answer is not in the shape it promises ({type(error).__name__})."
        raise UnexpectedResponse(sentence, maybe_done=maybe_done) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOutcome:
    """What a connection test found."""

    __test__ = False  # not a test case, whatever its name says

    success: bool
    message: str
    hint: str = ""
    code: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    processing_time: int = 0
    """Milliseconds."""

    error: HospientError | None = field(default=None, repr=False, compare=False)

    @property
    def connection(self) -> str:
        return "ok" if self.success else "failed"


def run_test(open_provider: Callable[[LogBook], Any], log: LogBook) -> TestOutcome:
    """Test a connection and say what was found; a failure is an outcome, not an exception."""
    started = time.monotonic()
    try:
        with open_provider(log) as provider, in_words():
            report = provider.test_connection()
            known = known_secrets(provider.client.secrets)
    except HospientError as error:
        outcome = {"success": False, "message": error.message, "hint": error.hint, "code": error.code, "error": error}
    else:
        outcome = {"success": True, "message": known.hide(report.summary), "details": keepable(known.hide_in(dict(report.details)))}
    return TestOutcome(**outcome, processing_time=int((time.monotonic() - started) * 1000))


class IntegrationService:
    """One integration, on behalf of one user or cause."""

    kind: ClassVar[manifest.Kind]

    def __init__(
        self, integration: Integration, *, user: Any = None, trigger: Trigger = Trigger.API, watches_repeats: bool = False
    ) -> None:
        """`watches_repeats`: what the same person asks for twice within moments, without a key, is not done the second time."""
        self.integration = integration
        self.user = user
        self.watches_repeats = watches_repeats
        self.trigger = trigger
        self.references = References(integration)

    @property
    def provider(self) -> type[Provider]:
        return registry.get(self.integration.provider)

    def streams(self) -> tuple[manifest.Stream, ...]:
        """Return what can be synced with this integration."""
        return tuple(stream for stream in self.provider.manifest.streams if self._offers(stream))

    def operations(self) -> tuple[manifest.Operation, ...]:
        return tuple(operation for operation in self.provider.manifest.operations if self._offers(operation))

    def _belongs(self, declared: manifest.Stream | manifest.Operation) -> bool:
        return declared.kind in (None, self.integration.integration_type)

    def _offers(self, declared: manifest.Stream | manifest.Operation) -> bool:
        return self._belongs(declared) and self.provider.offers(declared.name, self.integration.config)

    # --- test ------------------------------------------------------------------------------------------------------------------

    def test_connection(self) -> TestOutcome:
        """Call the vendor with the stored credentials, and note the outcome at the integration. One that works again, or was not tried
        before, begins at once with what waited for it."""
        integration = self.integration
        with correlation.bind(correlation.current()) as cause:
            outcome = run_test(lambda log: provider_for(integration, log), LogBook(integration.pk, OperationType.TEST))
            IntegrationLog.objects.create(
                integration=integration,
                operation_type=OperationType.TEST,
                operation_name="test_connection",
                direction=Direction.OUTBOUND,
                status=LogStatus.SUCCESS if outcome.success else LogStatus.FAILED,
                response_data=redact(dict(outcome.details)),
                error_code=outcome.code,
                error_message=outcome.message if not outcome.success else "",
                processing_time=outcome.processing_time,
                correlation_id=cause,
            )
        if outcome.success:
            was_waited_for = integration.test_due_at or integration.failing_since or integration.last_success_at is None
            health.succeeded(integration.pk, is_tested=True)
            if was_waited_for and integration.status != IntegrationStatus.INACTIVE:
                self._begin_again()
        else:
            health.failed(integration.pk, outcome.error)
        integration.refresh_from_db()
        return outcome

    def _begin_again(self) -> None:
        """Start what waited for the connection: operations, runs that failed, and the first syncs of a new one."""
        integration = self.integration
        deliver.resume(integration.pk, codes_of_connection(), since=timezone.now() - RESUME_WITHIN)
        failed_streams = schedule.resume(integration)
        if not integration.sync_settings.get("auto_sync"):
            return  # this hotel syncs by hand
        for stream in self.streams():
            if stream.scheduled and (integration.last_sync_at is None or stream.name in failed_streams):
                self.request_sync(stream.name)
        if integration.next_sync_at is None:  # asking was given up when the access was withdrawn
            Integration.objects.filter(pk=integration.pk).update(next_sync_at=schedule.next_sync_at(integration))

    # --- sync ------------------------------------------------------------------------------------------------------------------

    def request_sync(self, stream: str, **options: Any) -> tuple[SyncRun, bool]:
        """Queue a run for a worker. Returns it, and False if one was open already. Takes what `sync` takes."""
        return self._open(stream, **options)

    def sync(self, stream: str, *, on_page: Callable[[SyncRun], None] = lambda run: None, **options: Any) -> SyncRun:
        """Run a stream in this process, to its end.

        `since` and `until` (both days included) read a past range and leave the live cursor alone; `full=True` reads everything and
        compares; `confirm_deletions=True` lets a comparison delete however much it finds gone. Returns the run, also a failed one.
        Raises UnsupportedOperation and IntegrationInactive.
        """
        run, _ = self._open(stream, **options)
        self.execute(run, on_page=on_page)
        self.integration.refresh_from_db()
        return run

    def preview(self, stream: str, **options: Any) -> Counts:
        """Read a stream and say what a sync would do, page by page, storing nothing. Takes what `sync` takes."""
        declared = self.stream(stream)
        self.check_active()
        total = Counts()
        query = StreamQuery(**self._range(options.get("since"), options.get("until")))
        reconciler = Reconciler(self.integration)
        with provider_for(self.integration, LogBook(self.integration.pk, OperationType.SYNC)) as provider:
            for page in _in_words(getattr(provider, declared.name)(query)):
                with transaction.atomic():
                    total.add(reconciler.store(page.records))
                    total.rejected += [(refused, refused.reason) for refused in page.rejected]
                    transaction.set_rollback(True)
        return total

    def refresh(self, stream: str, external_ids: Sequence[str]) -> SyncRun:
        """Read single objects back: a webhook said that they changed."""
        run, _ = schedule.open_run(
            self.integration, self.stream(stream).name, mode=RunMode.REFRESH, trigger=self.trigger, external_ids=external_ids
        )
        return self.execute(run)

    def look(self, stream: str, external_id: str) -> list[Record]:
        """Read one object while somebody waits for it, store it, and return what the vendor told. Raises what the vendor's refusal is."""
        declared = self.stream(stream)
        query = StreamQuery(external_ids=(external_id,))
        with provider_for(self.integration, LogBook(self.integration.pk, OperationType.API_CALL)) as provider:
            records = [record for page in _in_words(getattr(provider, declared.name)(query)) for record in page.records]
        with transaction.atomic():
            apply_records(self.integration, records)
            if not any(record.external_id == external_id for record in records):
                for gone in declared.by_id_of:
                    Reconciler(self.integration).delete(gone.record_type, [external_id])
        return records

    def execute(
        self,
        run: SyncRun,
        *,
        on_page: Callable[[SyncRun], None] = lambda run: None,
        stopping: threading.Event | None = None,
        keep_trying: bool = False,
    ) -> SyncRun:
        """Execute an open run. A worker passes `stopping` and `keep_trying`; see `sync.runner.Runner`."""
        stream = self.stream(run.stream)
        log = LogBook(self.integration.pk, OperationType.SYNC)

        def pages(query: StreamQuery) -> Iterator[Page]:
            with provider_for(self.integration, log) as provider:
                yield from _in_words(getattr(provider, stream.name)(query))

        runner = Runner(run, stream, pages, flush_log=log.flush, on_page=on_page, stopping=stopping, keep_trying=keep_trying)
        with correlation.bind(run.correlation_id):
            runner.execute()
        if run.error_code == ReauthorizationRequired.code:
            Integration.objects.filter(pk=self.integration.pk).update(next_sync_at=None)
        if run.status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL):
            self._look_at_let_go(run)
        return run

    def _look_at_let_go(self, run: SyncRun) -> None:
        """Read by their ids the guests whom stays of this run no longer name: one that was merged into another is gone."""
        for record_type, external_ids in (run.checkpoint or {}).get("let_go", {}).items():
            for stream in self.streams():
                if record_type in [record.record_type for record in stream.by_id_of]:
                    self.refresh(stream.name, external_ids)

    def _open(
        self,
        stream: str,
        *,
        since: date | None = None,
        until: date | None = None,
        full: bool = False,
        confirm_deletions: bool = False,
    ) -> tuple[SyncRun, bool]:
        declared = self.stream(stream)
        self.check_active()
        full = full or confirm_deletions  # only a comparison deletes what is not listed
        days = self._range(since, until)
        ranged = since is not None or until is not None
        if ranged and not declared.by_date:
            raise UnsupportedOperation(f"{declared.label} cannot be read by date; leave the dates out.")
        if ranged and full:
            raise InvalidInput({"full": "Either a range of dates or a full sync."})
        mode = RunMode.BACKFILL if ranged else RunMode.FULL if full or not declared.incremental else RunMode.INCREMENTAL
        return schedule.open_run(
            self.integration,
            declared.name,
            mode=mode,
            trigger=self.trigger,
            user=self.user,
            **days,
            confirm_deletions=confirm_deletions,
        )

    def _range(self, since: date | None, until: date | None) -> dict[str, date | None]:
        """Read a range of the hotel's days; a moment means the day it falls on at the hotel. Raises InvalidInput."""
        first, last = (self._day(day) for day in (since, until))
        if first and last and first > last:
            raise InvalidInput({"end_date": "The end date is before the start date."})
        return {"since": first, "until": last}

    def _day(self, day: date | None) -> date | None:
        if not isinstance(day, datetime):
            return day
        return (timezone.localtime(day, self.integration.hotel.zone) if day.tzinfo else day).date()

    def stream(self, name: str) -> manifest.Stream:
        """Return what the provider declares of a stream, by its name or as people call it (“chat”). Raises UnsupportedOperation, naming
        those there are."""
        declared = (self.provider.manifest.stream(known) for known in (name, ALSO_CALLED.get(name, "")))
        stream = next((stream for stream in declared if stream and self._belongs(stream)), None)
        if stream is None:
            valid = ", ".join(stream.name for stream in self.streams()) or "none"
            raise UnsupportedOperation(f"{self.provider.manifest.name} has no “{name}” to sync. Valid: {valid}.")
        return stream

    def check_active(self) -> None:
        """Raise IntegrationInactive if a person has switched the integration off."""
        if self.integration.status == IntegrationStatus.INACTIVE:
            raise IntegrationInactive()

    # --- push ------------------------------------------------------------------------------------------------------------------

    def check_body(self, name: str, body: Input) -> None:
        """Refuse a body of a write that the vendor would refuse. Raises UnsupportedOperation, InvalidInput."""
        if refused := self._operation(name).refused(body.model_dump(), self.provider.manifest.name):
            raise InvalidInput(refused)

    def push(
        self,
        name: str,
        *,
        body: Any,
        idempotency_key: str,
        prepare: Callable[[], Mapping[str, Any]],
        given: Input | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> Operation:
        """Write an operation down together with its cause, then try it at once.

        `body` is what the caller asked (to recognise a repetition), `given` the same as it was read: what of it the vendor has no place
        for is named in the operation's warnings; `look` may ask the vendor first; `prepare` makes the hotel's rows and
        returns what `enqueue` takes. The same key again returns the same operation. Raises UnsupportedOperation, IntegrationInactive, InvalidInput.
        """
        declared = self._operation(name)
        self.check_active()
        if refused := declared.refused(body, self.provider.manifest.name):
            raise InvalidInput(refused)
        asked = enqueue.fingerprint(name, body)
        key = idempotency_key or f"once:{uuid.uuid4()}"
        with correlation.bind(correlation.current()):
            if operation := enqueue.find(self.integration, key, asked):
                return operation
            look()
            try:
                with transaction.atomic():
                    if self.watches_repeats and not idempotency_key:
                        enqueue.check_repeated(self.integration, asked, self.user)
                    prepared = prepare()
                    warnings = self._not_passed_on(name, given, prepared["payload"]) if given else []
                    operation = enqueue.enqueue(self.integration, name, key=key, asked=asked, user=self.user, warnings=warnings, **prepared)
            except IntegrityError:
                if operation := enqueue.find(self.integration, key, asked):
                    return operation
                raise
            return self.deliver(operation)

    def _not_passed_on(self, name: str, given: Input, payload: Mapping[str, Any]) -> list[str]:
        """Return a sentence for each field the caller gave and the vendor will not see."""
        vendor, drops = self.provider.manifest.name, self.provider.drops(name, self.integration.config)
        told = manifest.dropped(given.model_dump(exclude_unset=True), drops)
        if getattr(given, "is_anonymous", False) and getattr(given, "guest_id", None) is not None:
            return [*told, "guest_id: What is anonymous names nobody, neither at the vendor nor here."]
        for who in ("guest", "reservation", "sender"):
            name_of = f"{who}_id"
            if getattr(given, name_of, None) is not None and not payload.get(f"{who}_external_id") and name_of not in drops:
                told.append(f"{name_of}: {vendor} does not know this {who}, so it was sent without.")
        for number, (line, sent) in enumerate(zip(getattr(given, "items", ()), payload.get("items", ()), strict=True)):
            if line.menu_id is not None and not sent["item_external_id"]:
                told.append(f"items.{number}.menu_id: This dish is not on {vendor}'s menu; it was sent by its name.")
        return told

    def deliver(self, operation: Operation) -> Operation:
        """Try an operation now, if it is due and nobody else is at it."""
        declared = self._operation(operation.name)
        delivery = deliver.Delivery(operation, declared, effects.done, effects.refused)
        if not delivery.claim():
            operation.refresh_from_db()
            return operation
        log = LogBook(self.integration.pk, OperationType.API_CALL)
        began = time.monotonic()
        with correlation.bind(operation.correlation_id):
            tried = delivery.attempt(_Target(self, operation, log))
            _log_outcome(tried, int((time.monotonic() - began) * 1000))
            return tried

    def retry_operation(self, operation: Operation) -> Operation:
        """Try an operation again on a person's word."""
        self.check_active()
        declared = self._operation(operation.name)
        if operation.status == OperationStatus.DONE:
            raise InvalidInput({"operation": "It is done already; there is nothing to retry."})
        deliver.retry(operation, send_again=declared.idempotency == manifest.Idempotency.NONE)
        return self.deliver(operation)

    def _operation(self, name: str) -> manifest.Operation:
        operation = self.provider.manifest.operation(name)
        if operation is None or not self._belongs(operation):
            raise UnsupportedOperation(f"{self.provider.manifest.name} does not offer {name.replace('_', ' ')}.")
        return operation

    # --- read on demand --------------------------------------------------------------------------------------------------------

    def ask(self, name: str, **arguments: Any) -> Any:
        """Call a read that the provider declares. Raises what the vendor's refusal is."""
        self._operation(name)
        self.check_active()
        with correlation.bind(correlation.current()):
            with provider_for(self.integration, LogBook(self.integration.pk, OperationType.API_CALL)) as provider:
                try:
                    return _kept(getattr(provider, name)(**arguments))
                except RecordRejected as refusal:
                    raise unusable(refusal) from refusal

    def ask_for(self, name: str, record_type: str, external_id: str, **arguments: Any) -> Any:
        """Call a read of one object. One that is gone at the vendor is closed here, before its refusal is raised."""
        try:
            return self.ask(name, **arguments)
        except RequestRejected as error:
            if error.status in GONE:
                with transaction.atomic():
                    Reconciler(self.integration).delete(record_type, [external_id])
            raise


_LOGGED = {
    OperationStatus.DONE: (OperationType.API_CALL, LogStatus.SUCCESS),
    OperationStatus.PENDING: (OperationType.API_CALL, LogStatus.PENDING),
    OperationStatus.UNKNOWN: (OperationType.API_CALL, LogStatus.PENDING),
    OperationStatus.DEAD: (OperationType.ERROR, LogStatus.FAILED),
}


def _log_outcome(operation: Operation, milliseconds: int) -> None:
    """Note beside the calls what they came to. Done, it went both ways: out, and the vendor's answer into the hotel's rows."""
    if operation.status not in _LOGGED:  # another worker has it
        return
    is_done = operation.status == OperationStatus.DONE
    operation_type, status = _LOGGED[operation.status]
    IntegrationLog.objects.create(
        integration_id=operation.integration_id,
        operation_type=operation_type,
        operation_name=operation.name,
        direction=Direction.BIDIRECTIONAL if is_done else Direction.OUTBOUND,
        status=status,
        request_data={"operation": operation.pk, "object": operation.object_key},
        response_data={"reference": operation.vendor_reference} if is_done else {"hint": operation.hint},
        attempt=operation.attempts,
        error_code=operation.error_code,
        error_message=operation.error_message,
        processing_time=milliseconds,
        records_processed=1,
        records_success=int(is_done),
        records_failed=int(operation.status == OperationStatus.DEAD),
        correlation_id=operation.correlation_id,
    )


def _kept(told: Any) -> Any:
    """Return what a vendor told on demand, without what is not to be kept: it is shown, and some of it stored."""
    if isinstance(told, list):
        return [_kept(one) for one in told]
    return keepable_record(told) if isinstance(told, Record) else keepable(told)


def _in_words(pages: Iterator[Page]) -> Iterator[Page]:
    """Yield a provider's pages; an answer in a shape it does not know ends them with UnexpectedResponse."""
    pages = iter(pages)
    while True:
        with in_words():
            page = next(pages, None)
        if page is None:
            return
        yield page


class _Target:
    """The vendor's side of one operation, connected only when it is needed."""

    def __init__(self, service: IntegrationService, operation: Operation, log: LogBook) -> None:
        self.service = service
        self.operation = operation
        self.log = log

    def pin(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        asked_on = timezone.localtime(self.operation.created_at, self.service.integration.hotel.zone).date()
        with provider_for(self.service.integration, self.log) as provider, in_words():
            return getattr(provider, f"pin_{self.operation.name}")(payload, asked_on)

    def about(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        external_id = payload["reservation_external_id"]
        if not external_id:
            return {}
        row = self.service.references.row("reservation", external_id)
        return {"object_key": f"reservation:{row.pk if row else external_id[:100]}", "object_id": row.pk if row else None}

    def send(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return self._call(self.operation.name, payload, key, maybe_done=True)

    def find(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
        return self._call(f"find_{self.operation.name}", payload, key)

    def _call(self, method: str, payload: Mapping[str, Any], key: str, *, maybe_done: bool = False) -> Any:
        complete = self.service.references.complete(payload, self.operation)
        with provider_for(self.service.integration, self.log) as provider, in_words(maybe_done=maybe_done):
            return getattr(provider, method)(complete, key)
