"""Executes one sync run: claims it, stores page after page with its checkpoint, compares for deletions, and closes it truthfully.

The run's row is the job. Whoever executes it holds a lease (`leases`); a worker that dies leaves one that lapses, and the next worker
goes on from the checkpoint. The cursor is written only when the run ended well. The provider is handed in.
"""

import threading
import time
import uuid
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from hotels.models.guests import key_guests
from integrations import leases
from integrations.exceptions import CursorExpired, HospientError, ProviderError, RetryableProviderError, SyncInterrupted
from integrations.models import (
    Direction,
    ExternalReference,
    Integration,
    IntegrationLog,
    IntegrationStatus,
    LogStatus,
    OperationType,
    RejectedRecord,
    RunMode,
    RunStatus,
    StreamState,
    SyncPage,
    SyncRun,
)
from integrations.records import Guest as GuestRecord
from integrations.records import Page, Record, StreamQuery
from integrations.security.redaction import redact_text
from integrations.sync import bulk, health
from integrations.sync.known import Counts
from integrations.sync.reconcile import Reconciler
from integrations.sync.unfinished import unfinished

MAX_ATTEMPTS = 5
"""A run that is interrupted so often at one page ends as failed, be it by a vendor's trouble or by workers that died."""
READ_BEGINS_WITHIN = timedelta(seconds=60)
"""A read of single objects begins as soon as it is written down: one that has not was left by a process that died in between."""
WORKER_LOST = "worker_lost"
DROP_SHARE, DROP_MINIMUM = 0.3, 10
"""A comparison that would delete more than this share of a record type, and more than this many, waits for a person."""
DELETIONS_WAIT, NOTHING_DELETED = "deletions_need_confirmation", "Nothing was deleted:"
CLOCK_AHEAD = "{:,} records carry a time in the future, by a clock ahead of ours: the time they came counts instead."
_COMPARE_AT_ONCE = 2000
LET_GO_AT_MOST = 200
"""How many guests whom stays no longer name are remembered in a run."""
LOOK_AGAIN_AT_MOST, _LOOK_AGAIN_AT_ONCE = 500, 50
"""How many objects that left the list a run reads by their ids; the rest are for the next one."""
TOGETHER_RECORDS, TOGETHER_SECONDS = 1000, 0.2
"""Pages are stored together up to so many records, as long as they come that fast: a page costs the database a score of round trips, however
small it is. One of a vendor that is slower is stored at once, while the next is on its way."""


class StreamFacts(Protocol):
    """What the runner has to know of a stream: its manifest entry."""

    name: str
    records: Sequence[type[Record]]
    windowed: bool

    @property
    def by_id_of(self) -> Sequence[type[Record]]: ...

    @property
    def compares(self) -> bool: ...


class LeaseLost(HospientError):
    """Another worker has taken the run over."""

    code = "lease_lost"


class Runner:
    """One worker's execution of one run.

    `pages` turns the query into pages; `flush_log` writes the calls made so far (in the page's transaction); `stopping` asks to hand
    the run back after the page in hand; `on_page` is told of progress.
    """

    def __init__(
        self,
        run: SyncRun,
        stream: StreamFacts,
        pages: Callable[[StreamQuery], Iterator[Page]],
        *,
        flush_log: Callable[[], None] = lambda: None,
        on_page: Callable[[SyncRun], None] = lambda run: None,
        stopping: threading.Event | None = None,
        keep_trying: bool = False,
    ) -> None:
        self.run = run
        self.stream = stream
        self.pages = pages
        self.flush_log = flush_log
        self.on_page = on_page
        self.stopping = stopping or threading.Event()
        self.keep_trying = keep_trying
        self.owner = uuid.uuid4()
        self._ahead = 0
        self._came: set[str] = set()
        """Ids that came, of those asked for by their ids."""
        self._unsaved: dict[str, Any] = {}

    def execute(self) -> SyncRun:
        """Run to the end, or until interrupted. Returns the run in its new state; a run another worker holds is returned as it is."""
        if self._claim():
            try:
                with leases.held(SyncRun, self.owner, give_back=hand_back):
                    self._work()
            except LeaseLost:
                self.run.refresh_from_db()
        else:
            self.run.refresh_from_db()
        return self.run

    def _work(self) -> None:
        try:
            self._check_attempts()
            self._read()
            held_back = self._conclude()
        except (LeaseLost, *leases.DATABASE_LOST):
            raise
        except SyncInterrupted:
            self._hand_back(timezone.now())
        except RetryableProviderError as error:
            if self.keep_trying and self.run.attempts < MAX_ATTEMPTS:
                self._hand_back(error.retry_at or timezone.now() + health.backoff(self.run.attempts), error)
            else:
                self._fail(error)
        except HospientError as error:
            self._fail(error)
        except Exception:
            self._fail(
                HospientError("Hospient itself failed while it synced.", hint="The server's log has the details.", code="internal_error")
            )
            raise
        else:
            self._finish(held_back)

    # --- the lease -------------------------------------------------------------------------------------------------------------

    def _claim(self) -> bool:
        now = timezone.now()
        free = Q(status=RunStatus.QUEUED) | Q(status=RunStatus.RUNNING, lease_until__lt=now)
        claimed = SyncRun.objects.filter(free, pk=self.run.pk).update(
            status=RunStatus.RUNNING,
            lease_owner=self.owner,
            lease_until=now + leases.LEASE,
            attempts=F("attempts") + 1,
            next_attempt_at=None,
            started_at=self.run.started_at or now,
        )
        if claimed:
            self.run.refresh_from_db(from_queryset=SyncRun.objects.select_related("integration__hotel"))
            Integration.objects.filter(pk=self.run.integration_id).update(sync_status=RunStatus.RUNNING)
        return bool(claimed)

    def _check_attempts(self) -> None:
        """Refuse a run that cost so many workers their life: it may be what kills them."""
        if self.run.attempts > MAX_ATTEMPTS:
            self._save(attempts=MAX_ATTEMPTS)  # this one is none
            raise HospientError(
                f"The worker stopped without a word {MAX_ATTEMPTS} times while it was at this run.",
                hint="The server's log may say why. If it was not this run's fault, sync again.",
                code=WORKER_LOST,
            )

    def _save(self, **changes: Any) -> None:
        """Write to the run if it is still ours. Raises LeaseLost."""
        changes = self._unsaved | changes
        if not SyncRun.objects.filter(pk=self.run.pk, lease_owner=self.owner).update(**changes):
            raise LeaseLost()
        self._unsaved = {}
        self._note(**changes)

    def _note(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self.run, name, value)

    # --- pages -----------------------------------------------------------------------------------------------------------------

    def _query(self) -> StreamQuery:
        run = self.run
        cursor = None
        if run.mode == RunMode.INCREMENTAL:
            cursor = StreamState.objects.filter(integration=run.integration_id, stream=run.stream).values_list("cursor", flat=True).first()
        return StreamQuery(
            cursor=cursor,
            checkpoint=(run.checkpoint or {}).get("after"),
            since=run.since,
            until=run.until,
            external_ids=tuple(run.external_ids),
        )

    def _read(self) -> None:
        """Store what the vendor has; if it no longer knows what changed since the cursor, everything, to be compared. If it no longer knows
        the page where the run was interrupted, from the beginning."""
        try:
            self._store_pages()
        except CursorExpired:
            if self.run.mode != RunMode.INCREMENTAL and self.run.checkpoint is None:
                raise
            with transaction.atomic():
                SyncPage.objects.filter(run=self.run).delete()  # what the first reading saw may be gone since
                mode = RunMode.FULL if self.run.mode == RunMode.INCREMENTAL else self.run.mode
                self._save(mode=mode, checkpoint=None, rejected_count=0)
            self._store_pages()

    def _store_pages(self) -> None:
        query = self._query()
        if self.run.mode == RunMode.INCREMENTAL and query.cursor is None:
            self._save(mode=RunMode.FULL)  # nothing to start from: this run reads everything
        unresolved = RejectedRecord.objects.filter(integration_id=self.run.integration_id, stream=self.run.stream, resolved_at__isnull=True)
        self._had_rejected = unresolved.exists()
        reconciler = Reconciler(self.run.integration, self.run)
        if any(record is GuestRecord for record in self.stream.records):
            key_guests(self.run.integration.hotel)
        pages = self.pages(query)
        try:
            for page, number in _together(pages):
                if page.records or page.rejected or self.run.page_count:
                    with transaction.atomic():
                        bulk.commit_lazily()
                        self._store_page(reconciler, page, number)
                else:  # most runs find nothing new: what little there is to write goes with what comes next
                    self._unsaved = self._place_after(page, number, reconciler.let_go)
                    self._note(**self._unsaved)
                self.on_page(self.run)
                if self.stopping.is_set():
                    raise SyncInterrupted()
        finally:
            pages.close()  # type: ignore[attr-defined]

    def _store_page(self, reconciler: Reconciler, page: Page, number: int) -> None:
        counts = reconciler.store(page.records)
        run = self.run
        self._ahead += counts.ahead
        self._reject(page, counts)
        self._save(
            **self._place_after(page, number, reconciler.let_go),
            created_count=run.created_count + counts.created,
            updated_count=run.updated_count + counts.updated,
            unchanged_count=run.unchanged_count + counts.unchanged,
            deleted_count=run.deleted_count + counts.deleted,
            rejected_count=run.rejected_count + len(counts.rejected) + len(page.rejected),
            conflict_count=run.conflict_count + counts.conflicts,
        )
        if self._watches or (run.mode == RunMode.FULL and self.stream.compares):
            self._remember(page)
        if run.mode == RunMode.REFRESH:
            self._note_came(page)
        self.flush_log()

    def _place_after(self, page: Page, number: int, let_go: Mapping[str, set[str]]) -> dict[str, Any]:
        run = self.run
        before = run.checkpoint or {}
        return {
            "checkpoint": {
                "after": dict(page.checkpoint),
                "cursor": before.get("cursor") if page.cursor is None else dict(page.cursor),
                "until": str(page.until) if page.until else before.get("until"),
                "let_go": _with(before.get("let_go", {}), let_go),
            },
            "page_count": run.page_count + number,
            "total": page.total if page.total is not None else run.total,
            "attempts": 1,  # it got further: what counts is trouble that keeps it where it is
        }

    def _reject(self, page: Page, counts: Counts) -> None:
        run = self.run
        common = {"run": run, "integration_id": run.integration_id, "stream": run.stream}
        refused = [(r.record_type, r.external_id, r.reason, r.payload) for r in page.rejected]
        refused += [(record.record_type, record.external_id, reason, asdict(record)) for record, reason in counts.rejected]
        rows = [
            RejectedRecord(
                **common,
                record_type=record_type,
                external_id=_printable(external_id)[:192],
                reason=redact_text(reason),
                payload=health.shown(payload),
            )
            for record_type, external_id, reason, payload in refused
        ]
        if self._had_rejected:
            # What came through this time is a problem no more, and what was refused again is the same problem.
            again = {(row.record_type, row.external_id) for row in rows}
            taken = {(record.record_type, record.external_id) for record in page.records} - again
            self._waiting(again).delete()
            self._waiting(taken).update(resolved_at=timezone.now())
        RejectedRecord.objects.bulk_create(rows)

    def _waiting(self, named: set[tuple[str, str]]) -> QuerySet[RejectedRecord]:
        """Return what still waits of these records (type and id); one without an id cannot be told from another."""
        by_type: dict[str, list[str]] = {}
        for record_type, external_id in named:
            if external_id:
                by_type.setdefault(record_type, []).append(external_id)
        these = Q(pk__in=[])
        for record_type, external_ids in by_type.items():
            these |= Q(record_type=record_type, external_id__in=external_ids)
        return RejectedRecord.objects.filter(these, integration_id=self.run.integration_id, resolved_at__isnull=True)

    # --- what did not come -----------------------------------------------------------------------------------------------------

    def _conclude(self) -> str:
        """Draw what follows from what did not come. Returns a sentence if that waits for a person."""
        run, stream = self.run, self.stream
        if run.mode == RunMode.REFRESH:
            return self._close(run.external_ids)
        if run.mode == RunMode.FULL and stream.compares:
            return self._compare()
        return self._look_again() if self._watches else ""

    @property
    def _watches(self) -> bool:
        return self.stream.windowed and self.run.mode in (RunMode.FULL, RunMode.INCREMENTAL)

    def _look_again(self) -> str:
        """Read by their ids what is not over and was in no list: it was moved, or it is over by now."""
        run = self.run
        until = (run.checkpoint or {}).get("until")
        left = [
            external_id
            for record in self.stream.by_id_of
            for external_id in self._missing(
                record.record_type,
                unfinished(run.integration, record.record_type, date.fromisoformat(until) if until else None),
            )
        ][:LOOK_AGAIN_AT_MOST]
        reconciler = Reconciler(run.integration, run)
        for start in range(0, len(left), _LOOK_AGAIN_AT_ONCE):
            if self.stopping.is_set():
                raise SyncInterrupted()
            for page in self.pages(StreamQuery(external_ids=tuple(left[start : start + _LOOK_AGAIN_AT_ONCE]))):
                with transaction.atomic():
                    self._note_came(page)
                    self._store_page(reconciler, replace(page, checkpoint=(run.checkpoint or {}).get("after") or {}, cursor=None), 0)
        return self._close(left)

    def _note_came(self, page: Page) -> None:
        self._came |= {one.external_id for one in (*page.records, *page.rejected)}

    def _close(self, asked: Sequence[str]) -> str:
        """Close what was asked for by its id and did not come: it is gone at the vendor. Where of many nothing came, a person is asked."""
        gone = [external_id for external_id in asked if external_id not in self._came]
        if "" in self._came:
            return ""  # something came that did not let itself be named
        if len(gone) > DROP_MINIMUM and not self._came and not self.run.confirm_deletions:
            return f"none of {len(gone):,} objects was there when they were read by their ids"
        reconciler = Reconciler(self.run.integration, self.run)
        for record in self.stream.by_id_of if gone else ():
            with transaction.atomic():
                deleted = reconciler.delete(record.record_type, gone, untouched_since=self.run.started_at)
                self._save(deleted_count=self.run.deleted_count + deleted)
        return ""

    # --- deletions by comparison -----------------------------------------------------------------------------------------------

    def _remember(self, page: Page) -> None:
        seen: dict[str, array[int]] = {}
        # What was rejected is there all the same: it must not be taken for deleted.
        for record in (*page.records, *page.rejected):
            seen.setdefault(record.record_type, array("Q")).append(_digest(record.external_id))
        SyncPage.objects.bulk_create(
            [SyncPage(run_id=self.run.pk, record_type=record_type, digests=digests.tobytes()) for record_type, digests in seen.items()]
        )

    def _compare(self) -> str:
        """Delete what a complete listing no longer has. Returns a sentence if that waits for a person."""
        waiting = []
        reconciler = Reconciler(self.run.integration, self.run)
        live = ExternalReference.objects.filter(integration_id=self.run.integration_id, deleted_at__isnull=True)
        types = [record.record_type for record in self.stream.records]
        missing = {one: list(self._missing(one, live.filter(record_type=one, synced_at__lt=self.run.started_at))) for one in types}
        for record_type, gone in self._still_missing(missing).items():
            total = live.filter(record_type=record_type).count() if gone else 0
            excessive = len(gone) > DROP_MINIMUM and len(gone) > DROP_SHARE * total
            is_empty = not SyncPage.objects.filter(run=self.run, record_type=record_type).exists()
            if gone and (excessive or is_empty or len(gone) == total) and not self.run.confirm_deletions:
                waiting.append(f"{len(gone):,} of {total:,} {record_type.replace('_', ' ')} records are gone at the vendor")
                continue
            for start in range(0, len(gone), _COMPARE_AT_ONCE):
                with transaction.atomic():
                    named = gone[start : start + _COMPARE_AT_ONCE]
                    deleted = reconciler.delete(record_type, named, untouched_since=self.run.started_at)
                    self._save(deleted_count=self.run.deleted_count + deleted, attempts=1)
        return "; ".join(waiting)

    def _still_missing(self, missing: dict[str, list[str]]) -> dict[str, list[str]]:
        """Look a second time for what a list in several pages did not have: rows move over the edge of a page while it is read."""
        if self.run.page_count < 2 or not any(missing.values()):
            return missing
        left = {record_type: set(external_ids) for record_type, external_ids in missing.items()}
        pages = self.pages(StreamQuery())
        try:
            for page in pages:
                for one in (*page.records, *page.rejected):
                    if one.external_id:
                        left[one.record_type].discard(one.external_id)
                    else:
                        left[one.record_type].clear()  # it may be any of them
        finally:
            pages.close()  # type: ignore[attr-defined]
        return {record_type: [one for one in external_ids if one in left[record_type]] for record_type, external_ids in missing.items()}

    def _missing(self, record_type: str, known: Any) -> Iterator[str]:
        # In 256 parts by their first byte, so that sorting, which makes objects of numbers, holds few of them at a time.
        parts = [array("Q") for _ in range(256)]
        for digests in _in_parts(SyncPage.objects.filter(run=self.run, record_type=record_type), "pk", "digests"):
            for digest in array("Q", bytes(digests)):
                parts[digest >> 56].append(digest)
        nameless = _digest("")
        if nameless in parts[nameless >> 56]:
            return  # what was rejected without its id may be any of them
        for number, part in enumerate(parts):
            parts[number] = array("Q", sorted(part))
        for external_id in _in_parts(known, "external_id", "external_id"):
            digest = _digest(external_id)
            part = parts[digest >> 56]
            place = bisect_left(part, digest)
            if place == len(part) or part[place] != digest:
                yield external_id

    # --- the end ---------------------------------------------------------------------------------------------------------------

    def _finish(self, held_back: str) -> None:
        run = self.run
        now = timezone.now()
        status = RunStatus.PARTIAL if held_back or run.rejected_count else RunStatus.SUCCEEDED
        error = {"error_code": "", "error_message": "", "hint": CLOCK_AHEAD.format(self._ahead) if self._ahead else ""}
        if held_back:
            error = {
                "error_code": DELETIONS_WAIT,
                "error_message": f"{NOTHING_DELETED} {held_back}.",
                "hint": "If that is right, sync again in full and confirm the deletions.",
            }
        with transaction.atomic():
            cursor = (run.checkpoint or {}).get("cursor")
            if cursor is not None and run.mode in (RunMode.FULL, RunMode.INCREMENTAL):
                self._keep_cursor(cursor, now)
            if run.mode == RunMode.FULL:
                SyncPage.objects.filter(run=run).delete()
            if run.mode == RunMode.FULL and self.stream.compares:
                # Everything was listed: what was rejected before, and not again, came through or is gone.
                earlier = RejectedRecord.objects.filter(integration_id=run.integration_id, stream=run.stream, resolved_at__isnull=True)
                earlier.exclude(run=run).update(resolved_at=now)
            self._save(status=status, finished_at=now, lease_owner=None, lease_until=None, **error)
            self.flush_log()
            self._log(LogStatus.PARTIAL if status == RunStatus.PARTIAL else LogStatus.SUCCESS)
            health.succeeded(run.integration_id, sync_status=status, synced_at=now)

    def _keep_cursor(self, cursor: Any, now: datetime) -> None:
        run = self.run
        state = StreamState.objects.filter(integration_id=run.integration_id, stream=run.stream)
        if not state.update(cursor=cursor, updated_at=now):
            StreamState.objects.create(integration_id=run.integration_id, stream=run.stream, cursor=cursor)

    def _fail(self, error: HospientError) -> None:
        with transaction.atomic():
            if not isinstance(error, RetryableProviderError):
                SyncPage.objects.filter(run=self.run).delete()
            self._save(
                status=RunStatus.FAILED,
                finished_at=timezone.now(),
                lease_owner=None,
                lease_until=None,
                error_code=error.code,
                error_message=error.message,
                hint=error.hint,
            )
            self.flush_log()
            self._log(LogStatus.FAILED, error)
            # What a plain listing is refused for is how the connection is set up; days and ids are somebody's own question.
            is_a_question = self.run.mode in (RunMode.BACKFILL, RunMode.REFRESH)
            health.failed(self.run.integration_id, error, sync_status=RunStatus.FAILED, is_a_question=is_a_question)

    def _hand_back(self, when: datetime, error: HospientError | None = None) -> None:
        """Give the run back to the queue with what it has stored."""
        self._save(
            status=RunStatus.QUEUED,
            next_attempt_at=when,
            lease_owner=None,
            lease_until=None,
            error_code=error.code if error else "",
            error_message=error.message if error else "",
        )
        self.flush_log()

    def _log(self, status: LogStatus, error: HospientError | None = None) -> None:
        run = self.run
        IntegrationLog.objects.create(
            integration_id=run.integration_id,
            operation_type=OperationType.SYNC,
            operation_name=f"sync_{run.stream}",
            direction=Direction.INBOUND,
            status=status,
            request_data={"run": run.pk, "mode": run.mode, "trigger": run.trigger},
            response_data={"summary": run.summary, **({"hint": run.hint} if run.hint else {})},
            http_status=error.status if isinstance(error, ProviderError) else None,
            attempt=run.attempts,
            error_code=error.code if error else run.error_code,
            error_message=error.message if error else run.error_message,
            processing_time=int((timezone.now() - (run.started_at or run.created_at)).total_seconds() * 1000),
            records_processed=run.processed_count,
            records_success=run.processed_count - run.rejected_count,
            records_failed=run.rejected_count,
            correlation_id=run.correlation_id,
        )


def _together(pages: Iterator[Page]) -> Iterator[tuple[Page, int]]:
    """Put pages that come fast into one, and yield each with the number of those it is made of. What came before an error is not lost."""
    waiting: list[Page] = []
    began = time.monotonic()
    try:
        for page in pages:
            waiting.append(page)
            if sum(len(one.records) for one in waiting) >= TOGETHER_RECORDS or time.monotonic() - began >= TOGETHER_SECONDS:
                yield _joined(waiting)
                waiting = []
                began = time.monotonic()
    except HospientError:
        if waiting:
            yield _joined(waiting)
        raise
    if waiting:
        yield _joined(waiting)


def _joined(pages: list[Page]) -> tuple[Page, int]:
    page = Page(
        records=[record for page in pages for record in page.records],
        rejected=[rejected for page in pages for rejected in page.rejected],
        checkpoint=pages[-1].checkpoint,
        cursor=next((page.cursor for page in reversed(pages) if page.cursor is not None), None),
        total=next((page.total for page in reversed(pages) if page.total is not None), None),
        until=max((page.until for page in pages if page.until), default=None),
    )
    return page, len(pages)


def _with(before: Mapping[str, Sequence[str]], more: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Add ids to those remembered, of each type up to a bound."""
    return {name: sorted({*before.get(name, ()), *more.get(name, ())})[:LET_GO_AT_MOST] for name in {*before, *more}}


def hand_back(runs: QuerySet[SyncRun]) -> int:
    """Give runs back to the queue with what they have stored: something came between that was not their fault."""
    return runs.filter(status=RunStatus.RUNNING).update(
        status=RunStatus.QUEUED, next_attempt_at=timezone.now(), lease_owner=None, lease_until=None
    )


def park(run: SyncRun, error: HospientError) -> None:
    """Close a run that cannot even be begun, because its stream or its vendor is no longer there."""
    now = timezone.now()
    changes = {"finished_at": now, "error_code": error.code, "error_message": error.message, "hint": error.hint}
    if due_runs(now).filter(pk=run.pk).update(status=RunStatus.FAILED, lease_owner=None, lease_until=None, **changes):
        health.failed(run.integration_id, error, sync_status=RunStatus.FAILED)


def _printable(text: str) -> str:
    """Return a text without what no database holds."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def _in_parts(rows: QuerySet[Any], key: str, wanted: str) -> Iterator[Any]:
    """Read one column of any number of rows, in the order of a unique one. Without a cursor of the server, which a pooler would lose."""
    part = list(rows.order_by(key).values_list(key, wanted)[:_COMPARE_AT_ONCE])
    while part:
        yield from (value for _, value in part)
        part = list(rows.filter(**{f"{key}__gt": part[-1][0]}).order_by(key).values_list(key, wanted)[:_COMPARE_AT_ONCE])


def _digest(external_id: str) -> int:
    return int.from_bytes(blake2b(external_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def due_runs(now: datetime | None = None) -> Any:
    """Return the runs a worker should take up: queued and due, or left behind by one that died; none of an integration a person has
    switched off. Reads of single objects are not among them: they are made where they are asked for."""
    now = now or timezone.now()
    due = SyncRun.objects.filter(
        Q(status=RunStatus.QUEUED) & (Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now))
        | Q(status=RunStatus.RUNNING, lease_until__lt=now)
    )
    # Not as a join: an UPDATE of what is due has its conditions beside the row then, where PostgreSQL looks at them again once a lock is had.
    return due.exclude(mode=RunMode.REFRESH).exclude(integration__in=Integration.objects.filter(status=IntegrationStatus.INACTIVE))


def close_lost_reads() -> int:
    """Close the reads of single objects whose process died. What wanted them asks again by itself."""
    now = timezone.now()
    lost = Q(status=RunStatus.RUNNING, lease_until__lt=now) | Q(status=RunStatus.QUEUED, created_at__lt=now - READ_BEGINS_WITHIN)
    return SyncRun.objects.filter(lost, mode=RunMode.REFRESH).update(
        status=RunStatus.FAILED,
        finished_at=now,
        lease_owner=None,
        lease_until=None,
        error_code=WORKER_LOST,
        error_message="The worker stopped while it was at this run.",
    )
