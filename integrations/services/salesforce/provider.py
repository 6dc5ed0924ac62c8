"""Talks to one Salesforce org: its contacts, and the objects in which it keeps feedback, chat and notifications.

Reading follows `SystemModstamp` and the log of deletions; every creation is an upsert on our own key.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

from integrations.exceptions import (
    AuthenticationFailed,
    ConfigurationError,
    CursorExpired,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    UnexpectedResponse,
)
from integrations.records import ChatMessage, Feedback, Guest, Notification, Page, Record, StreamQuery
from integrations.services.base import ConnectionReport, Provider
from integrations.services.salesforce import signin
from integrations.services.salesforce.manifest import Config, Credentials, manifest
from integrations.services.salesforce.mapping import ObjectMap, feedback_payload, moment
from integrations.services.salesforce.soql import Condition, select
from integrations.transport.auth import Auth, TokenStore
from integrations.transport.client import ErrorRules, Response

OVERLAP = timedelta(minutes=5)
"""Read again at every run: a row can be committed after a later one was seen."""
DELETED_LOG = timedelta(days=15)
"""The log of deletions goes back no further (Get Deleted, 2026-11)."""
IDS_AT_ONCE = 200
"""Of 18 characters each: the query stays far below the 16 KB an address may have."""
QUOTA_WAIT = timedelta(minutes=30)
"""After REQUEST_LIMIT_EXCEEDED, which comes without a Retry-After and may mean the allocation of the last 24 hours."""


def read_error(response: Response) -> tuple[str, str]:
    """Read an error: the API sends an array, the sign-in an object, a proxy or a maintenance page neither."""
    body = response.json()
    if isinstance(body, list) and body and isinstance(body[0], dict):
        return str(body[0].get("errorCode", "")), str(body[0].get("message", ""))
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
            (403, "REQUEST_LIMIT_EXCEEDED"): RateLimited,
            (None, "UNABLE_TO_LOCK_ROW"): ProviderUnavailable,
            (None, "EXCEEDED_ID_LIMIT"): CursorExpired,
            (None, "INVALID_REPLICATION_DATE"): CursorExpired,
        },
    )
    _clock: ClassVar[Callable[[], datetime]] = staticmethod(lambda: datetime.now(UTC))

    @classmethod
    def base_url(cls, environment: str, config: Config) -> str:
        return config.base_url.rstrip("/") or cls.manifest.environments.get(environment, "")

    @classmethod
    def auth(cls, config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
        return signin.auth(config, credentials, tokens)

    def test_connection(self) -> ConnectionReport:
        missing: list[str] = []
        answer = self._call("GET", f"{self._object(self._guests)}/describe", name="describe")
        missing += self._missing(self._guests, answer)
        for source in (self._feedback, self._chat_messages, self._notifications):
            described = self._call("GET", f"{self._object(source)}/describe", name="describe", expect=(200, 404))
            missing += self._missing(source, described, self.config.external_id_field)
        usage = answer.headers.get("Sforce-Limit-Info", "").partition("api-usage=")[2].partition(";")[0]
        note = f" It lacks {', '.join(missing)}: what needs them will fail until they are made or mapped." if missing else ""
        return ConnectionReport(
            summary=f"Connected to Salesforce.{note}",
            details={"api_version": self.config.api_version, "api_calls_in_24_hours": usage, "missing": missing},
        )

    def _missing(self, source: ObjectMap, described: Response, external_id: str = "") -> list[str]:
        if described.status == 404:
            return [f"the object {source.name}"]
        fields = {field["name"]: field for field in described.json()["fields"]}
        missing = [f"{source.name}.{column}" for column in filter(None, (*source.columns, external_id)) if column not in fields]
        if fields.get(external_id, {}).get("externalId") is False:
            missing.append(f"the mark “External ID” on {source.name}.{external_id}")
        return missing

    # --- streams ---------------------------------------------------------------------------------------------------------------

    def guest_data(self, query: StreamQuery) -> Iterator[Page]:
        return self._read(self._guests, query)

    def feedback(self, query: StreamQuery) -> Iterator[Page]:
        return self._read(self._feedback, query)

    def chat_messages(self, query: StreamQuery) -> Iterator[Page]:
        return self._read(self._chat_messages, query)

    def notifications(self, query: StreamQuery) -> Iterator[Page]:
        return self._read(self._notifications, query)

    def _read(self, source: ObjectMap, query: StreamQuery) -> Iterator[Page]:
        if query.external_ids:
            yield from self._single(source, query.external_ids)
        elif query.since or query.until:
            window = (("SystemModstamp", ">=", query.since), ("SystemModstamp", "<", query.until))
            yield from self._listed(source, query, [condition for condition in window if condition[2]])
        else:
            yield from self._changed(source, query)

    def _single(self, source: ObjectMap, external_ids: Sequence[str]) -> Iterator[Page]:
        for start in range(0, len(external_ids), IDS_AT_ONCE):
            soql = select(source.columns, source.name, [("Id", "IN", external_ids[start : start + IDS_AT_ONCE])])
            # queryAll also finds what lies in the recycle bin, which tells us that it is deleted.
            answer = self._call("GET", f"{self._data}/queryAll", name=f"read_{source.record.record_type}", params={"q": soql})
            records, rejected = source.read_all(_rows(answer))
            yield Page(records=records, rejected=rejected)

    def _changed(self, source: ObjectMap, query: StreamQuery) -> Iterator[Page]:
        """Yield first what was deleted, then what changed: one that was taken out of the recycle bin again is alive at the end."""
        cursor, covered = query.cursor or {}, (query.checkpoint or {}).get("covered")
        if covered is None:
            deleted, covered = self._deleted(source, cursor.get("covered"))
            yield Page(records=deleted, checkpoint={"covered": covered}, cursor={"modified": cursor.get("modified"), "covered": covered})
        modified = cursor.get("modified")
        since = [("SystemModstamp", ">=", moment(modified) - OVERLAP)] if modified else []
        yield from self._listed(source, query, since, covered=covered)

    def _listed(self, source: ObjectMap, query: StreamQuery, window: list[Condition], *, covered: str = "") -> Iterator[Page]:
        """Yield rows in the order of their changes. Without `covered` it is a look back, which has no cursor."""
        if after := (query.checkpoint or {}).get("after"):
            window = [*window, ("SystemModstamp", ">=", moment(after))]
        soql = select(source.columns, source.name, window, order="SystemModstamp,Id")
        name = f"list_{source.record.record_type}"
        for answer in self.client.pages("GET", f"{self._data}/query", name=name, params={"q": soql}, next_request=_next_request):
            rows = _rows(answer)
            records, rejected = source.read_all(rows)
            after = rows[-1]["SystemModstamp"] if rows else after
            yield Page(
                records=records,
                rejected=rejected,
                checkpoint={"covered": covered, "after": after},
                cursor={"modified": after or (query.cursor or {}).get("modified"), "covered": covered} if covered else None,
                total=answer.json().get("totalSize"),
            )

    def _deleted(self, source: ObjectMap, covered: str | None) -> tuple[list[Record], str]:
        """Return what was deleted since, and how far the log has come. Raises CursorExpired."""
        now = self._clock()
        start = (moment(covered) if covered else now) - OVERLAP
        if now - start > DELETED_LOG:
            raise CursorExpired("Salesforce remembers deletions for 15 days, and the last sync is longer ago.")
        params = {"start": start.isoformat(timespec="seconds"), "end": now.isoformat(timespec="seconds")}
        log = self._call("GET", f"{self._object(source)}/deleted/", name=f"deleted_{source.record.record_type}", params=params).json()
        if covered and moment(log["earliestDateAvailable"]) > start:
            raise CursorExpired("Salesforce has already emptied the part of its log of deletions that came after the last sync.")
        return [source.gone(row["id"], moment(row["deletedDate"])) for row in log["deletedRecords"]], log["latestDateCovered"]

    # --- writes ----------------------------------------------------------------------------------------------------------------

    def post_feedback(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return {"reference": self._upsert(self._feedback, feedback_payload(payload), key, "post_feedback")}

    def post_chat_message(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return {"reference": self._upsert(self._chat_messages, payload, key, "post_chat_message")}

    def post_notification(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Create a notification. Its status is left to the field's default: a repeat must not put back one that was sent meanwhile."""
        return {"reference": self._upsert(self._notifications, {**payload, "status": ""}, key, "post_notification"), "status": "pending"}

    def update_notification_status(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        reference, status = payload["notification_external_id"], payload["status"]
        fields = {self._column(self._notifications, "status"): status}
        self._call(
            "PATCH", f"{self._object(self._notifications)}/{_part(reference)}", name="update_notification_status", json=fields, safe=True
        )
        return {"reference": reference, "status": status}

    def _upsert(self, source: ObjectMap, payload: Mapping[str, Any], key: str, name: str) -> str:
        """Create or repeat, and return the record's id."""
        path = f"{self._object(source)}/{self.config.external_id_field}/{_part(key)}"
        answer = self._call("PATCH", path, name=name, json=source.write(payload), safe=True, expect=(200, 201, 204, 300))
        if answer.status == 204:  # an update, told by an API older than 46.0
            answer = self._call("GET", path, name=name, params={"fields": "Id"}, expect=(200, 300))
        if answer.status == 300:
            raise RequestRejected(
                f"Several records of {source.name} have the same {self.config.external_id_field}, so Salesforce changed none of them.",
                hint=f"In Salesforce, mark {self.config.external_id_field} as unique and delete the copies.",
                provider=self.manifest.name,
                operation=name,
                status=300,
            )
        body = answer.json()
        return body.get("id") or body["Id"]

    # --- reads on demand -------------------------------------------------------------------------------------------------------

    def get_feedback(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[Record]:
        return self._newest(self._feedback, guest_external_id, since, limit)

    def get_chat_messages(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[Record]:
        return self._newest(self._chat_messages, guest_external_id, since, limit)

    def get_notifications(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[Record]:
        return self._newest(self._notifications, guest_external_id, since, limit)

    def get_guest_preferences(self, guest_external_id: str) -> dict[str, Any]:
        columns = dict.fromkeys(("Id", *self.config.preference_fields.values()))
        rows = self._query(self._guests, columns, [("Id", "=", guest_external_id)], limit=1)
        if not rows:
            raise RequestRejected(
                f"Salesforce has no guest with the id {guest_external_id}.", hint="Sync the guests, then try again.", status=404
            )
        return self._guests.read_preferences(rows[0])

    def _newest(self, source: ObjectMap, guest_external_id: str, since: datetime | None, limit: int) -> list[Record]:
        conditions: list[Condition] = []
        if guest_external_id:
            conditions.append((self._column(source, "guest_external_id"), "=", guest_external_id))
        if since:
            conditions.append(("SystemModstamp", ">=", since))
        return source.read_all(self._query(source, source.columns, conditions, limit=limit))[0]

    # --- plumbing --------------------------------------------------------------------------------------------------------------

    @property
    def _guests(self) -> ObjectMap:
        c = self.config
        return ObjectMap(record=Guest, name=c.contact_object, fields=c.contact_fields, preferences=c.preference_fields)

    @property
    def _feedback(self) -> ObjectMap:
        return ObjectMap(record=Feedback, name=self.config.feedback_object, fields=self.config.feedback_fields)

    @property
    def _chat_messages(self) -> ObjectMap:
        return ObjectMap(record=ChatMessage, name=self.config.chat_message_object, fields=self.config.chat_message_fields)

    @property
    def _notifications(self) -> ObjectMap:
        return ObjectMap(record=Notification, name=self.config.notification_object, fields=self.config.notification_fields)

    @property
    def _data(self) -> str:
        return f"/services/data/v{self.config.api_version}"

    def _object(self, source: ObjectMap) -> str:
        return f"{self._data}/sobjects/{source.name}"

    def _column(self, source: ObjectMap, name: str) -> str:
        if column := source.fields.get(name):
            return column
        raise ConfigurationError(
            f"This hotel's {source.name} has no field for {name.replace('_', ' ')}.", hint="Name it in the integration's configuration."
        )

    def _query(self, source: ObjectMap, columns: Iterable[str], conditions: Sequence[Condition], *, limit: int) -> list[Mapping[str, Any]]:
        soql = select(columns, source.name, conditions, order="SystemModstamp DESC,Id", limit=limit)
        return _rows(self._call("GET", f"{self._data}/query", name=f"find_{source.record.record_type}", params={"q": soql}))

    def _call(self, method: str, path: str, **more: Any) -> Response:
        try:
            return self.client.call(method, path, **more)
        except RateLimited as error:
            error.retry_at = error.retry_at or self._clock() + QUOTA_WAIT
            raise


def _rows(answer: Response) -> list[Mapping[str, Any]]:
    body = answer.json()
    if not isinstance(body, dict) or not isinstance(body.get("records"), list):
        raise UnexpectedResponse(
            "Salesforce answered a query without a list of records.", provider=answer.provider, operation=answer.operation
        )
    return body["records"]


def _next_request(answer: Response) -> dict[str, Any] | None:
    following = answer.json().get("nextRecordsUrl")
    return {"path": following, "params": None} if following else None


def _part(value: str) -> str:
    return quote(value, safe="")


provider = SalesforceProvider
