"""Accepts deliveries: verified over the bytes received, stored once, answered only after the commit. Both doors call it.

`admit` decides before a body is read; `settle` verifies any number of deliveries and stores them in one statement, so that the lean door
can commit in groups. Nothing is processed and nobody is called here.
"""

import hashlib
import hmac
import json
import logging
import re
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, NotRequired, TypedDict

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DataError, IntegrityError, connection, connections
from django.db import Error as DatabaseError
from pydantic_core import to_json

from hotels.login import address_behind_proxies
from integrations.exceptions import PayloadTooLarge, RecordRejected, SignatureMismatch, SignatureMissing, WebhookRejected
from integrations.records import InboundEvent
from integrations.security.cards import without_card_data
from integrations.security.redaction import redact
from webhooks.decoding import decode_text
from webhooks.delivery import Delivery, Outcome, refusal
from webhooks.exceptions import BodyCompressed, BodyIncomplete, BodyUnreadable, IntegrationOff, PathUnknown, RateExceeded, SecretNotSet
from webhooks.facts import Facts, FactsCache, Parser
from webhooks.limits import Limiter, Refusals
from webhooks.models import WebhookEvent
from webhooks.verifiers import UNSIGNED_ID, Hmac, Secret, Verifier

logger = logging.getLogger(__name__)

UNAVAILABLE = refusal(
    503, "unavailable", "The delivery could not be stored just now.", hint="Send it again in a few seconds.", retry_after=5
)
_NOT_AUTHENTIC = "The signature is missing or does not match."
"""One answer whether a signature is missing or wrong, and whether the integration exists: it must not tell which."""


class Row(TypedDict):
    """What is stored of an event when it arrives: these columns of the inbox."""

    integration_id: int
    event_id: str
    delivery_key: NotRequired[str]
    """Filled in by `store`."""
    event_type: str
    object_key: str
    verified_by: str
    is_batch: bool
    batch_id: int | None
    headers: Mapping[str, str]
    body: str
    """JSON."""
    correlation_id: str
    received_at: datetime


class Checked(NamedTuple):
    """A delivery that may come in."""

    row: Row
    facts: Facts
    verifier: Verifier


class Ingest:
    """Lets deliveries in. One for each process."""

    def __init__(self) -> None:
        self.facts = FactsCache()
        self.limiter = Limiter()
        self.refusals = Refusals()

    def accept(self, head: Delivery, read: Callable[[int], bytes]) -> Outcome:
        """Accept one delivery. `head` has no body yet; `read` returns at most that many bytes of it."""
        try:
            facts = self.facts.get(head.integration_id)
            try:
                limit = self.admit(head, facts)
                body = read(limit + 1)
                if len(body) > limit:
                    raise PayloadTooLarge()
                [outcome] = self.settle([(head._replace(body=body), facts)])
            except WebhookRejected as error:
                outcome = self.refuse(error, head, facts)
            if self.refusals.is_due:
                self.refusals.write()
        except DatabaseError:
            return unavailable()
        return outcome

    def admit(self, head: Delivery, facts: Facts) -> int:
        """Return how many bytes the body may have. Raises WebhookRejected if it need not be read at all."""
        headers = head.headers
        if head.path_secret and not facts.has_path_secret:
            raise PathUnknown()
        if facts.exists and (seconds := self.limiter.closed_for(facts.integration_id, facts.kind)):
            raise RateExceeded(seconds)
        length, limit = headers.get("content-length", "0"), settings.WEBHOOK_MAX_BYTES
        if not length.isdecimal():
            raise BodyIncomplete()
        if len(length) > 12 or int(length) > limit:
            raise PayloadTooLarge()
        if headers.get("content-encoding", "identity") != "identity":
            raise BodyCompressed()
        return limit

    def settle(self, deliveries: Sequence[tuple[Delivery, Facts]]) -> list[Outcome]:
        """Verify deliveries, store the good ones in one statement, and return the answers to all of them, which may be sent at once."""
        read = [self._checked(*one) for one in deliveries]
        stored = iter(self._store([one for one in read if isinstance(one, Checked)]))
        return [next(stored) if isinstance(one, Checked) else one for one in read]

    def _checked(self, delivery: Delivery, facts: Facts) -> Checked | Outcome:
        try:
            return self._check(delivery, facts)
        except WebhookRejected as error:
            return self.refuse(error, delivery, facts)
        except Exception:
            logger.exception("A webhook could not be read; its sender was asked to try again.")
            return UNAVAILABLE  # alone: the others of its group are stored

    def _check(self, delivery: Delivery, facts: Facts) -> Checked:
        """Verify a delivery over its bytes, then read it. Raises WebhookRejected."""
        length = len(delivery.body)
        if int(delivery.headers.get("content-length") or length) != length:
            raise BodyIncomplete()
        verifier = self._verify(delivery, facts)
        return Checked(_row(delivery, facts, verifier), facts, verifier)

    def _verify(self, delivery: Delivery, facts: Facts) -> Verifier:
        active = facts.active_secrets(delivery.received_at)
        verifier = None
        try:
            verifier = facts.verifier_for(delivery)
            verifier.verify(delivery, active or _NO_SECRET, facts.url)
        except WebhookRejected:
            if not isinstance(verifier, Hmac):
                hmac.digest(b"-", delivery.body, "sha256")  # takes as long as if there had been a signature to check
            if not active:
                raise SecretNotSet() from None
            raise
        if facts.is_off:
            raise IntegrationOff()
        return verifier

    def _store(self, checked: Sequence[Checked]) -> list[Outcome]:
        waits = self._spend(checked)
        try:
            stored = iter(store([one.row for one, wait in zip(checked, waits, strict=True) if not wait]))
        except (IntegrityError, DataError) as error:
            if len(checked) > 1:
                return [outcome for one in checked for outcome in self._store([one])]
            # The integration was deleted after its delivery had been read, or the database cannot hold what is in it.
            reason = SignatureMismatch() if isinstance(error, IntegrityError) else BodyUnreadable()
            return [_refuse(reason, checked[0].row["correlation_id"])]
        except DatabaseError:
            return [unavailable()] * len(checked)
        return [
            _refuse(RateExceeded(wait), one.row["correlation_id"]) if wait else one.verifier.acknowledge(is_new=next(stored))
            for one, wait in zip(checked, waits, strict=True)
        ]

    def _spend(self, checked: Sequence[Checked]) -> list[int]:
        """Return for each delivery 0 if its integration's rate admits it, else the seconds to wait."""
        senders: dict[int, list[int]] = {}
        for number, one in enumerate(checked):
            senders.setdefault(one.facts.integration_id, []).append(number)
        waits = [0] * len(checked)
        for integration_id, numbers in senders.items():
            admitted, wait = self.limiter.spend(integration_id, checked[numbers[0]].facts.kind, len(numbers))
            for number in numbers[admitted:]:
                waits[number] = wait
        return waits

    def refuse(self, error: WebhookRejected, delivery: Delivery, facts: Facts) -> Outcome:
        """Count a refusal and return its answer."""
        if facts.exists:
            address = address_behind_proxies(delivery.peer, delivery.headers.get("x-forwarded-for", ""))
            self.refusals.note(facts.integration_id, error.code, address)
        return _refuse(error, delivery.correlation_id)


def unavailable() -> Outcome:
    """Log the database's failure that is being handled, give up the connection if it broke, and ask the sender to try again."""
    logger.exception("Webhooks could not be stored; their senders were asked to try again.")
    connection.close_if_unusable_or_obsolete()
    return UNAVAILABLE


def _refuse(error: WebhookRejected, correlation_id: str) -> Outcome:
    if isinstance(error, SignatureMissing | SignatureMismatch):
        return refusal(401, SignatureMismatch.code, _NOT_AUTHENTIC, correlation_id=correlation_id)
    wait = error.retry_after if isinstance(error, RateExceeded) else 0
    field = error.field if isinstance(error, BodyUnreadable) else ""
    return refusal(error.status, error.code, error.message, field=field, hint=error.hint, correlation_id=correlation_id, retry_after=wait)


# --- reading what came in ------------------------------------------------------------------------------------------------------


def read_events(parse: Parser, headers: Mapping[str, str], decoded: Any) -> list[InboundEvent] | None:
    """Read the events of an authentic body; None if the provider cannot make sense of it. An odd value in it is no reason to refuse it:
    it is kept, and its inbox says which."""
    try:
        return parse(headers, decoded)
    except WebhookRejected:
        raise
    except RecordRejected as refusal:
        return [InboundEvent(event_type="", problem=refusal.message)]
    except Exception:
        # A vendor may change its format any day. What it signed is kept all the same, and waits in the inbox for a provider that can read it.
        logger.warning("A provider could not read an authentic webhook; it is kept.", exc_info=True)
        return None


def _row(delivery: Delivery, facts: Facts, verifier: Verifier) -> Row:
    headers = delivery.headers
    text = decode_text(delivery.body, headers.get("content-type", ""))
    decoded = verifier.decode(text)
    events = read_events(facts.parsers.outline(verifier.name), headers, decoded) or []
    event_id, event_type, object_key = _named(events, headers.get(verifier.id_header, "") if verifier.id_header else "")
    body = without_card_data(text if verifier.keeps_body else json.dumps(decoded))
    return {  # spelt out: this is done for every delivery, and through `row_of` it costs a sixth more
        "integration_id": facts.integration_id,
        "event_id": event_id,
        "event_type": event_type,
        "object_key": object_key,
        "verified_by": verifier.name,
        "is_batch": len(events) > 1,
        "batch_id": None,
        "headers": _kept(headers, verifier),
        "body": body,
        "correlation_id": delivery.correlation_id,
        "received_at": delivery.received_at,
    }


def row_of(events: Sequence[InboundEvent], *, batch_id: int | None = None, **columns: Any) -> Row:
    """Return the row for what one body carries: one event, several (a batch), or nothing a provider can read."""
    event_id, event_type, object_key = _named(events)
    return Row(event_id=event_id, event_type=event_type, object_key=object_key, is_batch=len(events) > 1, batch_id=batch_id, **columns)


def place_of(event: InboundEvent) -> tuple[str, str, str]:
    """Return what tells an event from the others of its batch, as its row has it."""
    return _named([event])


def _named(events: Sequence[InboundEvent], own_id: str = "") -> tuple[str, str, str]:
    """Return the id, the type and the object key that events of one body are stored under."""
    if len(events) == 1:
        [event] = events
        event_id, event_type, object_key = event.event_id or own_id or uuid.uuid4().hex, event.event_type, object_key_of(event)
    else:
        # The vendor's next try has the same events in it, and is known by them.
        ids = [event.event_id and f"{event.event_id} {event.event_type} {object_key_of(event)}" for event in events]
        event_id = own_id or (f"batch-{_digest(' '.join(ids))}" if ids and all(ids) else uuid.uuid4().hex)
        event_type, object_key = ", ".join(sorted({event.event_type for event in events})), ""
    return fit(event_id, 192), event_type[:120], fit(object_key, 240)


def child_ids(batch_event_id: str, events: Sequence[InboundEvent]) -> list[str]:
    """Return the ids that the events of a batch are stored under."""
    return [fit(event.event_id or f"{batch_event_id}#{number}", 192) for number, event in enumerate(events, 1)]


def object_key_of(event: InboundEvent) -> str:
    """Return what events must have in common to be worked in order; thin ones without an object share what they make us read."""
    if event.object_id:
        return f"{event.object_type}:{event.object_id}"
    return f"refresh:{','.join(event.refresh)}" if event.refresh else ""


def fit(text: str, limit: int) -> str:
    """Shorten a vendor's text to what a column takes, keeping different texts different."""
    return text if len(text) <= limit else f"{text[: limit - 33]}~{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


_KEPT = frozenset(("content-type", "user-agent", "x-request-id", "x-correlation-id", "traceparent"))
"""Headers that are stored of any delivery, beside those its verifier lists. A server puts other things among them: of its environment,
of its proxies."""
_redacted = lru_cache(maxsize=1024)(redact)
"""What a sender writes there is the same each time."""


def _kept(headers: Mapping[str, str], verifier: Verifier) -> dict[str, str]:
    """Return the headers that are stored. Those of the verifier are ids and times, which stay as they are."""
    kept = {name: _redacted(headers[name]) for name in _KEPT if name in headers}
    for name in verifier.keeps:
        if name in headers:
            kept[name] = headers[name]
    return kept


_NO_SECRET = (Secret(secrets.token_hex()),)
"""Checked in place of a secret that is not there, which takes as long."""
_PLACE = re.compile(r"#[0-9]+$")


# --- storing -------------------------------------------------------------------------------------------------------------------

_TABLE = WebhookEvent._meta.db_table
_COLUMNS = ", ".join(Row.__annotations__)
_CONSTANT = {"status": "'pending'", "attempts": "0", "error_code": "''", "error_message": "''", "outcome": "''"}
_INSERT = f"INSERT INTO {_TABLE} ({_COLUMNS}, {', '.join(_CONSTANT)})"
_ONCE = "ON CONFLICT (integration_id, delivery_key) DO NOTHING RETURNING integration_id, delivery_key"
_MARKS = f"({', '.join(['%s'] * len(Row.__annotations__))}, {', '.join(_CONSTANT.values())})"
# One parameter for any number of rows: PostgreSQL takes them apart in a third of the time the driver needs to put each into the statement.
# Ids are given in the order of arrival, but rows are inserted in the order of their keys: else two processes that insert the same two
# events the other way round would wait for each other.
_POSTGRESQL = f"""
    INSERT INTO {_TABLE} (id, {_COLUMNS}, {", ".join(_CONSTANT)})
    SELECT id, integration_id, event_id, delivery_key, event_type, object_key, verified_by, is_batch, batch_id, headers, convert_to(body, 'UTF8'),
           correlation_id, received_at, {", ".join(_CONSTANT.values())}
    FROM (
        SELECT nextval('{_TABLE}_id_seq') AS id, *
        FROM json_to_recordset($1::json) AS event (
            integration_id bigint, event_id text, delivery_key text, event_type text, object_key text, verified_by text, is_batch boolean,
            batch_id bigint, headers jsonb, body text, correlation_id text, received_at timestamptz
        )
    ) AS arrived
    ORDER BY integration_id, delivery_key
    {_ONCE}
""".encode()  # noqa: S608


def _delivery_key(row: Row) -> str:
    """Return what two deliveries have in common if they are one.

    Vendors give one id to several events, so its type and object count too. The body counts where the id is not signed: whoever saw one
    delivery could send it again under the id of another that is still to come, which would then be taken for known.
    """
    content = ""
    if row["batch_id"] is not None:
        content = str(row["batch_id"]) if _PLACE.search(row["event_id"]) else ""  # it has no id of its own, and is known by its place
    elif row["verified_by"] in UNSIGNED_ID:
        content = row["body"]
    return _digest("\0".join((row["event_id"], row["event_type"], row["object_key"], content)))


def store(rows: Sequence[Row]) -> list[bool]:
    """Store events and commit. Say for each whether it is new; of equal ones in one call the first is.

    It is one statement, which commits by itself: do not call it inside of a transaction.
    """
    if not rows:
        return []
    for row in rows:
        row["delivery_key"] = _delivery_key(row)
    stored = _insert_postgresql(rows) if connection.vendor == "postgresql" else _insert_sqlite(rows)
    if stored is None:
        return [True] * len(rows)
    answers = []
    for row in rows:
        key = (row["integration_id"], row["delivery_key"])
        answers.append(key in stored)
        stored.discard(key)
    return answers


def _insert_postgresql(rows: Sequence[Row]) -> set[tuple[int, str]] | None:
    """Insert rows; return the keys of those that are new, or None if all are."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.connection is None:
        database.ensure_connection()
    with database.wrap_database_errors:
        result = _execute(database.connection, to_json(rows))
    if result.ntuples == len(rows):
        return None
    return {(int(result.get_value(row, 0)), result.get_value(row, 1).decode()) for row in range(result.ntuples)}


def _execute(database: Any, parameter: bytes) -> Any:
    """Run the statement through libpq itself: the driver's cursor costs twice that for it, and a fifth of a millisecond of waiting.

    It is not prepared under a name: behind a pooler the next one may come to another connection, where it is unknown, or known already.
    """
    from psycopg import errors, pq

    result = database.pgconn.exec_params(_POSTGRESQL, [parameter])
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise errors.error_from_result(result)
    return result


def _insert_sqlite(rows: Sequence[Row]) -> set[tuple[int, str]]:
    values: list[Any] = []
    for row in rows:
        received_at = connection.ops.adapt_datetimefield_value(row["received_at"])
        stored = {**row, "headers": json.dumps(row["headers"]), "body": row["body"].encode(), "received_at": received_at}
        values += [stored[column] for column in Row.__annotations__]
    with connection.cursor() as cursor:
        cursor.execute(f"{_INSERT} VALUES {', '.join([_MARKS] * len(rows))} {_ONCE}", values)
        return set(cursor.fetchall())
