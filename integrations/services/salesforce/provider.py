"""Talks to one Salesforce org: its contacts, and the objects in which it keeps feedback, chat and notifications.

Reading follows `SystemModstamp` and the log of deletions; every creation is an upsert on our own key.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    CursorExpired,
    ProviderUnavailable,
    RateLimited,
    RecordRejected,
    RequestRejected,
)
from integrations.records import ChatMessage, Feedback, Guest, Notification, Page, Record, Rejected, StreamQuery
from integrations.services.base import ConnectionReport, Provider
from integrations.services.rows import before, mapped, newest
from integrations.services.salesforce import signin
from integrations.services.salesforce.ids import readable, record_id, spelled
from integrations.services.salesforce.manifest import Config, Credentials, manifest
from integrations.services.salesforce.mapping import ObjectMap, moment
from integrations.services.salesforce.soql import Condition, select
from integrations.transport.auth import Auth, TokenStore
from integrations.transport.client import ErrorRules, Response
from integrations.transport.request import path_part

OVERLAP = timedelta(minutes=5)
"""Read again at every run: a row can be committed after a later one was seen."""
DELETED_LOG = timedelta(days=15)
"""The log of deletions goes back no further (Get Deleted, 2026-11)."""
IDS_AT_ONCE = 200
"""Of 18 characters each: the query stays far below the 16 KB an address may have."""


class AllowanceUsedUp(RateLimited):
    """The vendor takes no more calls from this org for now."""

    WAIT = timedelta(minutes=15)
    """REQUEST_LIMIT_EXCEEDED has no Retry-After, and most often means the allowance of the last 24 hours (2026-11)."""

    def __init__(self, message: str = "", *, retry_at: datetime | None = None, **more: Any) -> None:
        super().__init__(message, retry_at=retry_at or datetime.now(UTC) + self.WAIT, **more)


class PlaceLost(CursorExpired):
    """The vendor no longer knows where in the list we were."""


def read_error(response: Response) -> tuple[str, str]:
    """Read an error: the API sends an array, the sign-in an object, a proxy or a maintenance page neither."""
    body = response.json()
    if isinstance(body, list) and body and isinstance(body[0], dict):
        # About a query it first repeats the query, in which guests are named.
        return str(body[0].get("errorCode", "")), str(body[0].get("message", "")).rpartition("ERROR at Row:")[2]
    if isinstance(body, dict):
        return str(body.get("error", "")), str(body.get("error_description", ""))
    return "", ""


class SalesforceProvider(Provider[Config, Credentials]):
    manifest = manifest
    errors = ErrorRules(
        read=read_error,
        table={
            (400, "invalid_grant"): AuthenticationFailed,
            (400, "invalid_client"): AuthenticationFailed,
            (400, "invalid_client_id"): AuthenticationFailed,
            (403, "REQUEST_LIMIT_EXCEEDED"): AllowanceUsedUp,
            (None, "UNABLE_TO_LOCK_ROW"): ProviderUnavailable,
            (None, "QUERY_TIMEOUT"): ProviderUnavailable,
            (None, "REQUEST_RUNNING_TOO_LONG"): ProviderUnavailable,
            (None, "INVALID_QUERY_LOCATOR"): PlaceLost,
            (None, "EXCEEDED_ID_LIMIT"): CursorExpired,
            (None, "INVALID_REPLICATION_DATE"): CursorExpired,
        },
    )
    _clock: ClassVar[Callable[[], datetime]] = staticmethod(lambda: datetime.now(UTC))

    spelled = staticmethod(spelled)

    @classmethod
    def base_url(cls, environment: str, config: Config) -> str:
        return config.base_url.rstrip("/") or cls.manifest.environments.get(environment, "")

    @classmethod
    def auth(cls, config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
        return signin.auth(config, credentials, tokens)

    @classmethod
    def offers(cls, name: str, config: Mapping[str, Any]) -> bool:
        """An org that has no object for feedback, chat or notifications has its name left empty."""
        used = next((kind for kind in ("feedback", "chat_message", "notification") if kind in name), None)
        return used is None or config.get(f"{used}_object") != ""

    @classmethod
    def drops(cls, name: str, config: Mapping[str, Any]) -> Mapping[str, str]:
        """Beside what no org has, what this hotel's objects have no field for."""
        fields = config.get(f"{name.removeprefix('post_')}_fields") or {}
        missing = [ours.replace("guest_external_id", "guest_id") for ours, theirs in fields.items() if not theirs]
        return {**super().drops(name, config), **dict.fromkeys(missing, "This hotel's Salesforce has no field for it.")}

    def test_connection(self) -> ConnectionReport:
        guests = self._map(Guest)
        answer = self._describe(guests, expect=(200,))
        missing = _missing(guests, answer)
        for source in map(self._map, (Feedback, ChatMessage, Notification)):
            if source.name:
                answer = self._describe(source, expect=(200, 404))
                missing += _missing(source, answer, self.config.external_id_field)
        usage = answer.headers.get("Sforce-Limit-Info", "").partition("api-usage=")[2].partition(";")[0]
        note = f" It lacks {', '.join(missing)}: what needs them will fail until they are made or mapped." if missing else ""
        return ConnectionReport(
            summary=f"Connected to Salesforce.{note}",
            details={"api_version": self.config.api_version, "api_calls_in_24_hours": usage, "missing": missing},
        )

    def _describe(self, source: ObjectMap, expect: tuple[int, ...]) -> Response:
        return self.client.call("GET", f"{self._object(source)}/describe", name="describe", expect=expect)

    # --- streams ---------------------------------------------------------------------------------------------------------------

    def guest_data(self, query: StreamQuery) -> Iterator[Page]:
        return self._read(self._map(Guest), query)

    def feedback(self, query: StreamQuery) -> Iterator[Page]:
        return self._read(self._map(Feedback), query)

    def chat_messages(self, query: StreamQuery) -> Iterator[Page]:
        return self._read(self._map(ChatMessage), query)

    def notifications(self, query: StreamQuery) -> Iterator[Page]:
        return self._read(self._map(Notification), query)

    def _read(self, source: ObjectMap, query: StreamQuery) -> Iterator[Page]:
        if query.external_ids:
            yield from self._single(source, query.external_ids)
        elif query.since or query.until:
            begin, end = self.hotel.moments(query.since, query.until)
            window = (("SystemModstamp", ">=", begin), ("SystemModstamp", "<", end))
            yield from self._listed(source, query, [condition for condition in window if condition[2]])
        else:
            yield from self._changed(source, query)

    def _single(self, source: ObjectMap, external_ids: Sequence[str]) -> Iterator[Page]:
        # One that cannot be an id is nobody's; in a query it would have all the others refused.
        keys = list(dict.fromkeys(readable(external_ids)))
        for start in range(0, len(keys), IDS_AT_ONCE):
            # queryAll also finds what lies in the recycle bin, which tells us that it is deleted.
            named = [("Id", "IN", keys[start : start + IDS_AT_ONCE])]
            rows = self._query(source, [*source.columns, *source.trace], named, resource="queryAll")
            records, rejected = source.read_all(rows)
            yield Page(records=records, rejected=rejected)

    def _changed(self, source: ObjectMap, query: StreamQuery) -> Iterator[Page]:
        """Yield first what was deleted, then what changed: one that was taken out of the recycle bin again is alive at the end."""
        cursor, covered = query.cursor or {}, (query.checkpoint or {}).get("covered")
        modified = cursor.get("modified")
        if covered is None:
            deleted, rejected, covered = self._deleted(source, cursor.get("covered"))
            yield Page(
                records=deleted, rejected=rejected, checkpoint={"covered": covered}, cursor={"modified": modified, "covered": covered}
            )
        since = [("SystemModstamp", ">=", before(modified, OVERLAP))] if modified else []
        yield from self._listed(source, query, since, covered=covered)

    def _listed(self, source: ObjectMap, query: StreamQuery, window: list[Condition], *, covered: str = "") -> Iterator[Page]:
        """Yield rows in the order of their changes. Without `covered` it is a look back, which has no cursor."""
        after, begun_after = (query.checkpoint or {}).get("after"), ""
        name = f"list_{source.record.record_type}"
        while after != begun_after:
            begun_after = after
            place = [("SystemModstamp", ">=", moment(after))] if after else []
            soql = select(source.columns, source.name, [*window, *place], order="SystemModstamp,Id")
            try:
                for answer in self.client.pages("GET", f"{self._data}/query", name=name, params={"q": soql}, next_request=_next_request):
                    records, rejected = source.read_all(answer.rows("records"))
                    after = newest(after, *(record.updated_at for record in records)) or None
                    yield Page(
                        records=records,
                        rejected=rejected,
                        checkpoint={"covered": covered, "after": after},
                        cursor={"modified": after or (query.cursor or {}).get("modified"), "covered": covered} if covered else None,
                        total=_total(answer),
                    )
                return
            except PlaceLost:
                if after == begun_after:
                    raise  # no row further than before: asking again would end here again

    def _deleted(self, source: ObjectMap, covered: str | None) -> tuple[list[Record], list[Rejected], str]:
        """Return what was deleted since, and how far the log has come. Raises CursorExpired."""
        now = self._clock()
        start = (min(moment(covered), now) if covered else now) - OVERLAP
        if now - start > DELETED_LOG:
            raise CursorExpired("Salesforce remembers deletions for 15 days, and the last sync is longer ago.")
        params = {"start": start.isoformat(timespec="seconds"), "end": now.isoformat(timespec="seconds")}
        name = f"deleted_{source.record.record_type}"
        answer = self.client.call("GET", f"{self._object(source)}/deleted/", name=name, params=params)
        rows, log = answer.rows("deletedRecords"), answer.record()
        try:
            if covered and moment(log.get("earliestDateAvailable")) > start:
                raise CursorExpired("Salesforce has already emptied the part of its log of deletions that came after the last sync.")
            until = newest(moment(log.get("latestDateCovered")))
        except RecordRejected as refusal:
            raise answer.unexpected(f"does not say how far its log of deletions goes: {refusal.message.rstrip('.')}") from refusal
        masters = self._masters(source, [str(row["id"]) for row in rows if row.get("id")])
        records, rejected = mapped(
            rows,
            source.record,
            lambda row: [source.gone(row["id"], moment(row["deletedDate"]), masters.get(row["id"], ""))],
            lambda row: row["id"],
        )
        return records, rejected, until

    def _masters(self, source: ObjectMap, ids: Sequence[str]) -> dict[str, str]:
        """Return what deleted records were merged into, of those that were."""
        found: dict[str, str] = {}
        for start in range(0, len(ids) if source.trace else 0, IDS_AT_ONCE):
            named = [("Id", "IN", ids[start : start + IDS_AT_ONCE])]
            rows = self._query(source, ["Id", *source.trace], named, resource="queryAll")
            found |= {row["Id"]: row["MasterRecordId"] for row in rows if row.get("MasterRecordId")}
        return found

    # --- writes ----------------------------------------------------------------------------------------------------------------

    def post_feedback(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return {"reference": self._upsert(self._map(Feedback), payload, key)}

    def post_chat_message(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return {"reference": self._upsert(self._map(ChatMessage), payload, key)}

    def post_notification(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Create a notification. Its status is left to the field's default: a repeat must not put back one that was sent meanwhile."""
        return {"reference": self._upsert(self._map(Notification), {**payload, "status": ""}, key), "status": "pending"}

    def update_notification_status(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        source, reference, status = self._map(Notification), _asked(payload["notification_external_id"]), payload["status"]
        path = f"{self._object(source)}/{path_part(reference)}"
        self.client.call("PATCH", path, name="update_notification_status", json={_column(source, "status"): status}, safe=True)
        return {"reference": reference, "status": status}

    def _upsert(self, source: ObjectMap, payload: Mapping[str, Any], key: str) -> str:
        """Create or repeat, and return the record's id."""
        name = f"post_{source.record.record_type}"
        path = f"{self._object(source)}/{self.config.external_id_field}/{path_part(key)}"
        answer = self.client.call("PATCH", path, name=name, json=source.write(payload), safe=True, expect=(200, 201, 204, 300))
        if answer.status == 204:  # done to a record that was there, and not a word more
            answer = self.client.call("GET", path, name=name, expect=(200, 300))
        if answer.status == 300:
            raise RequestRejected(
                f"Several records of {source.name} have the same {self.config.external_id_field}, so Salesforce changed none of them.",
                hint=f"In Salesforce, mark {self.config.external_id_field} as unique and delete the copies.",
                provider=answer.provider,
                operation=name,
                status=300,
            )
        body = answer.json()
        return body.get("id") or body["Id"]

    # --- reads on demand -------------------------------------------------------------------------------------------------------

    def get_feedback(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[Record]:
        return self._newest(self._map(Feedback), guest_external_id, since, limit)

    def get_chat_messages(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[Record]:
        return self._newest(self._map(ChatMessage), guest_external_id, since, limit)

    def get_notifications(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[Record]:
        return self._newest(self._map(Notification), guest_external_id, since, limit)

    def get_guest_preferences(self, guest_external_id: str) -> dict[str, Any]:
        guests = self._map(Guest)
        rows = self._query(guests, ["Id", *guests.preferences.values()], [("Id", "=", _asked(guest_external_id))])
        if not rows:
            raise RequestRejected(
                f"Salesforce has no guest with the id {guest_external_id}.", hint="Sync the guests, then try again.", status=404
            )
        return guests.read_preferences(rows[0])

    def _newest(self, source: ObjectMap, guest_external_id: str, since: datetime | None, limit: int) -> list[Record]:
        conditions: list[Condition] = [("SystemModstamp", ">=", since)] if since else []
        if guest_external_id:
            conditions.append((_column(source, "guest_external_id"), "=", spelled(guest_external_id)))
        return source.read_all(self._query(source, source.columns, conditions, limit=limit))[0]

    # --- plumbing --------------------------------------------------------------------------------------------------------------

    def _map(self, record: type[Record]) -> ObjectMap:
        config, kind = self.config, record.record_type
        return ObjectMap(
            record=record,
            name=getattr(config, f"{kind}_object"),
            fields=getattr(config, f"{kind}_fields"),
            preferences=config.preference_fields if record is Guest else {},
        )

    @property
    def _data(self) -> str:
        return f"/services/data/v{self.config.api_version}"

    def _object(self, source: ObjectMap) -> str:
        if not source.name:
            raise ConfigurationError(
                f"This hotel's Salesforce has no object for {source.record.record_type.replace('_', ' ')}s.",
                hint="Create one as the setup page says, and name it in the integration's configuration.",
            )
        return f"{self._data}/sobjects/{source.name}"

    def _query(
        self, source: ObjectMap, columns: Iterable[str], conditions: Sequence[Condition], *, limit: int = 0, resource: str = "query"
    ) -> list[Mapping[str, Any]]:
        soql = select(columns, source.name, conditions, order="SystemModstamp DESC,Id", limit=limit)
        name = f"find_{source.record.record_type}"
        answers = self.client.pages("GET", f"{self._data}/{resource}", name=name, params={"q": soql}, next_request=_next_request)
        return [row for answer in answers for row in answer.rows("records")]


def _next_request(answer: Response) -> dict[str, Any] | None:
    """Return the request for the rest: "loop nextRecordsUrl until `done` is true" (resources_query, 2026-11)."""
    answer.rows("records")
    body = answer.record()
    following, is_done = body.get("nextRecordsUrl"), body.get("done")
    if is_done is True or (is_done is None and not following):
        return None
    if not isinstance(following, str) or not following:
        raise answer.unexpected("says that there is more, and not where")
    return {"path": following}


def _total(answer: Response) -> int | None:
    """Return how many rows a query finds: a number for the progress bar, which no run may fail by."""
    total = answer.record().get("totalSize")
    return total if isinstance(total, int) and 0 <= total < 2**31 else None


def _missing(source: ObjectMap, described: Response, external_id: str = "") -> list[str]:
    """Name what the config counts on and the org does not have."""
    if described.status == 404:
        return [f"the object {source.name}"]
    fields = {field.get("name"): field for field in described.rows("fields") if isinstance(field, Mapping)}
    missing = [f"{source.name}.{column}" for column in filter(None, (*source.columns, external_id)) if column not in fields]
    if fields.get(external_id, {}).get("externalId") is False:
        missing.append(f"the mark “External ID” on {source.name}.{external_id}")
    return missing


def _column(source: ObjectMap, name: str) -> str:
    if column := source.fields.get(name):
        return column
    words = name.removesuffix("_external_id").replace("_", " ")
    raise ConfigurationError(
        f"This hotel's {source.name} has no field for the {words}.", hint="Name it in the integration's configuration."
    )


def _asked(external_id: str) -> str:
    """Return the id of a record that somebody asks for. Raises RequestRejected."""
    try:
        return record_id(external_id, "id")
    except RecordRejected as error:
        hint = "Take the 15 or 18 characters from the record's address in Salesforce, or sync and choose the record by its name."
        raise RequestRejected(str(error), hint=hint) from error


provider = SalesforceProvider
