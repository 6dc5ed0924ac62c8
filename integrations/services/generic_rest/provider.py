"""Talks plain JSON to whatever system the config describes: its endpoints, its paging, its credentials."""

import base64
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

from integrations.exceptions import ConfigurationError, RecordRejected, RequestRejected, UnexpectedResponse, UnsupportedOperation
from integrations.records import ChatMessage, Feedback, Guest, GuestCheck, Notification, Page, Record, Rejected, Room, StreamQuery
from integrations.services import rows
from integrations.services.base import ConnectionReport, Provider
from integrations.services.generic_rest import mapping
from integrations.services.generic_rest.manifest import ENDPOINTS, Config, Credentials, manifest
from integrations.services.generic_rest.paging import Pager
from integrations.transport.auth import Auth, HeaderAuth, TokenStore
from integrations.transport.client import ErrorRules, Response
from integrations.transport.request import GONE, path_part

ENDPOINT_OF = {
    "menus": "menus", "categories": "categories", "checks": "checks", "post_guest_check": "checks", "get_check_status": "checks",
    "void_check": "checks", "reservations": "reservations", "rooms": "rooms", "get_room_status": "rooms", "guests": "guests",
    "get_guest_info": "guests", "update_guest_info": "guests", "guest_data": "guests", "get_guest_preferences": "guests",
    "post_check_in": "checkins", "post_check_out": "checkouts", "post_charge": "charges", "send_request": "requests",
    "feedback": "feedback", "post_feedback": "feedback", "get_feedback": "feedback", "chat_messages": "chat", "post_chat_message": "chat",
    "get_chat_messages": "chat", "post_notification": "notifications", "notifications": "notifications", "get_notifications": "notifications",
    "update_notification_status": "notifications",
}  # fmt: skip
"""Stream or operation -> the endpoint it needs."""

LISTED = ("categories", "menus", "rooms", "guests", "reservations", "feedback", "chat", "notifications")
"""Endpoints whose lists are read by syncs."""
OVERLAP = timedelta(seconds=50)
"""Read again before the newest change seen: what has the same time, or was committed late. Servers end requests, and what these have not
committed, after 30 seconds as a rule."""

Mapper = Callable[[Mapping[str, Any], str], Record]


def read_error(response: Response) -> tuple[str, str]:
    """Read the usual shapes: `{"code", "message"}`, by itself or under `error`, or a text under `error`."""
    body = mapping.single(response.json())
    error = body.get("error")
    message = error if isinstance(error, str) else body.get("message") or body.get("detail")
    return str(body.get("code") or ""), str(message or "")


class GenericRestProvider(Provider[Config, Credentials]):
    manifest = manifest
    errors = ErrorRules(read=read_error)

    @classmethod
    def auth(cls, config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
        headers = {}
        if credentials.api_key:
            headers["X-API-Key"] = credentials.api_key.get_secret_value()
        if credentials.access_token:
            headers["Authorization"] = f"Bearer {credentials.access_token.get_secret_value()}"
        elif credentials.username and credentials.password:
            pair = f"{credentials.username}:{credentials.password.get_secret_value()}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return HeaderAuth(headers)

    @classmethod
    def offers(cls, name: str, config: Mapping[str, Any]) -> bool:
        return bool((config.get("endpoints") or {}).get(ENDPOINT_OF[name]))

    def test_connection(self) -> ConnectionReport:
        endpoints = self.config.endpoints
        path = self.config.test_endpoint or next(iter(endpoints.values()), "")
        if not path:
            raise ConfigurationError("There is nothing to test.", hint="Enter test_endpoint or an endpoint in the configuration.")
        answer = self.client.call("GET", path, name="test_connection")
        known = [name for name in ENDPOINTS if name in endpoints]
        refused = [name for name in LISTED if name in endpoints and not self._lists(name)]
        note = f" It does not list {', '.join(refused)}: these can only be written." if refused else ""
        summary = f"{self.config.base_url} answers. Set up: {', '.join(known) or 'no endpoint yet'}.{note}"
        return ConnectionReport(summary=summary, details={"address": path, "http_status": answer.status, "endpoints": known})

    def _lists(self, endpoint: str) -> bool:
        """Read the beginning of a list as a sync would. False if the system has none; raises what a sync would fail with."""
        try:
            self.pager.first(self.config.endpoints[endpoint], name="test_connection")
        except RequestRejected as refusal:
            if refusal.status not in (404, 405, 501):
                raise
            return False
        except UnexpectedResponse as error:
            error.message = f"{endpoint.capitalize()} cannot be read. {error.message}"
            error.hint = f"Compare the address of {endpoint} in the configuration with the system's documentation."
            raise
        return True

    @property
    def pager(self) -> Pager:
        return Pager(self.client, self.config.paging)

    # --- streams ---------------------------------------------------------------------------------------------------------------

    def categories(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("categories", mapping.category, query)

    def menus(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("menus", mapping.menu_item, query)

    def checks(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("checks", mapping.guest_check, query)

    def rooms(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("rooms", mapping.room, query)

    def guests(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("guests", mapping.guest, query)

    def reservations(self, query: StreamQuery) -> Iterator[Page]:
        window = {"start_date": query.since, "end_date": query.until}
        return self._pages("reservations", mapping.reservation, query, {name: str(day) for name, day in window.items() if day})

    def guest_data(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("guest_data", mapping.guest, query)

    def feedback(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("feedback", mapping.feedback, query)

    def chat_messages(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("chat_messages", mapping.chat_message, query)

    def notifications(self, query: StreamQuery) -> Iterator[Page]:
        return self._pages("notifications", mapping.notification, query)

    def _pages(self, name: str, mapper: Mapper, query: StreamQuery, params: Mapping[str, str] = {}) -> Iterator[Page]:
        if query.external_ids:
            found = [self._read(name, external_id, expect=(200, *GONE)) for external_id in query.external_ids]
            records, rejected = self._mapped([mapping.single(answer.json()) for answer in found if answer.status == 200], mapper)
            yield Page(records=records, rejected=rejected)
            return
        checkpoint = query.checkpoint or {}
        if checkpoint.get("finished"):
            return
        since = (query.cursor or {}).get("since", "")
        if since and self.config.since_parameter:
            params = {**params, self.config.since_parameter: rows.before(since, OVERLAP).isoformat()}
        newest = checkpoint.get("newest", since)
        for items, following in self.pager.walk(self._path(name), name=name, params=params, resume=checkpoint.get("next")):
            records, rejected = self._mapped(items, mapper)
            newest = rows.newest(newest, *(record.updated_at for record in records))
            is_last = following is None
            yield Page(
                records=records,
                rejected=rejected,
                checkpoint={"finished": True} if is_last else {"next": following, "newest": newest},
                cursor={"since": newest} if is_last and newest and self.config.since_parameter else None,
            )

    def _mapped(self, items: Iterable[Mapping[str, Any]], mapper: Mapper) -> tuple[list[Record], list[Rejected]]:
        kind = get_type_hints(mapper)["return"]
        return rows.mapped(items, kind, lambda item: [self._map(mapper, item)], lambda item: item.get("id"))

    def _map(self, mapper: Mapper, item: Mapping[str, Any]) -> Any:
        return mapping.of_hotel(mapper, item, self.hotel.currency, ZoneInfo(self.hotel.time_zone))

    # --- point of sale ---------------------------------------------------------------------------------------------------------

    def post_guest_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        answer = self._write("post_guest_check", mapping.body(payload), key)
        check, reference = mapping.Fields(answer), mapping.reference(answer)
        status, original = check.word(mapping.CHECK_STATUSES, "status", "state")
        return {
            "reference": reference,
            "status": status if original else "open",
            "status_original": original,
            "total": check.text("total", "total_amount") or None,
            "warnings": [] if reference else ["The system did not say what it calls this check, so it cannot be read or voided from here."],
        }

    def get_check_status(self, check_external_id: str) -> GuestCheck:
        return self._one("get_check_status", check_external_id, mapping.guest_check)

    def void_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Void a check; one that is void already is done, whatever the system answers to a second time."""
        reference = payload["check_external_id"]
        try:
            self._write("void_check", mapping.body({"reason": payload["reason"]}), key, f"/{path_part(reference)}/void")
        except RequestRejected:
            if self._one("void_check", reference, mapping.guest_check).status != "voided":
                raise
        return {"reference": reference, "status": "voided"}

    # --- property management ---------------------------------------------------------------------------------------------------

    def post_check_in(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        answer = self._write("post_check_in", mapping.body(payload), key)
        return {
            "reference": mapping.reference(answer) or payload["reservation_external_id"],
            "status": "in_house",
            "room_number": mapping.Fields(answer).text("room_number", "room"),
        }

    def post_check_out(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        if payload.get("dry_run"):
            raise UnsupportedOperation("This system cannot say whether a guest could check out without doing it.")
        return self._post("post_check_out", payload, key, payload["reservation_external_id"], status="checked_out")

    def get_room_status(self, room_number: str = "") -> list[Room]:
        pages = self.pager.walk(self._path("get_room_status"), name="get_room_status", params={})
        rooms = [room for items, _ in pages for room in self._mapped(items, mapping.room)[0]]
        return [room for room in rooms if room_number in ("", room.number)]

    def get_guest_info(self, guest_external_id: str) -> Guest:
        return self._one("get_guest_info", guest_external_id, mapping.guest)

    def update_guest_info(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        reference = payload["guest_external_id"]
        self._write("update_guest_info", payload["changes"], key, f"/{path_part(reference)}", method="PATCH")
        return {"reference": reference}

    def post_charge(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return self._post("post_charge", payload, key, amount=payload["amount"])

    def send_request(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return self._post("send_request", payload, key)

    # --- guest management ------------------------------------------------------------------------------------------------------

    def post_feedback(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return self._post("post_feedback", payload, key)

    def get_feedback(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[Feedback]:
        return self._newest("get_feedback", mapping.feedback, guest_external_id, since, limit)

    def post_chat_message(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return self._post("post_chat_message", payload, key)

    def get_chat_messages(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[ChatMessage]:
        return self._newest("get_chat_messages", mapping.chat_message, guest_external_id, since, limit)

    def post_notification(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        return self._post("post_notification", payload, key, status="sent")

    def get_notifications(self, guest_external_id: str = "", since: datetime | None = None, limit: int = 50) -> list[Notification]:
        return self._newest("get_notifications", mapping.notification, guest_external_id, since, limit)

    def update_notification_status(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        reference, status = payload["notification_external_id"], payload["status"]
        self._write("update_notification_status", {"status": status}, key, f"/{path_part(reference)}/status", method="PUT")
        return {"reference": reference, "status": status}

    def get_guest_preferences(self, guest_external_id: str) -> Mapping[str, Any]:
        return mapping.single(self._read("get_guest_preferences", guest_external_id, "/preferences").json())

    # --- calls -----------------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        endpoint = ENDPOINT_OF[name]
        if not (path := self.config.endpoints.get(endpoint)):
            raise ConfigurationError(
                f"This integration does not say where to find {endpoint}.",
                hint=f"Add {endpoint} to the endpoints in its configuration, such as /{endpoint}.",
            )
        return path

    def _read(self, name: str, external_id: str, suffix: str = "", expect: Collection[int] = (200,)) -> Response:
        return self.client.call("GET", f"{self._path(name)}/{path_part(external_id)}{suffix}", name=name, expect=expect)

    def _one(self, name: str, external_id: str, mapper: Mapper) -> Any:
        try:
            return self._map(mapper, mapping.single(self._read(name, external_id).json()))
        except RecordRejected as error:
            raise UnexpectedResponse(error.message) from error

    def _newest(self, name: str, mapper: Mapper, guest_external_id: str, since: datetime | None, limit: int) -> list[Any]:
        """Ask for messages. Whether the system understands the filter or not, only what was asked for is returned."""
        params = {"guest_id": guest_external_id, "since": since.isoformat() if since else "", "limit": str(limit)}
        found: list[Any] = []
        for items, _ in self.pager.walk(self._path(name), name=name, params={name: value for name, value in params.items() if value}):
            found += [record for record in self._mapped(items, mapper)[0] if guest_external_id in ("", record.guest_external_id)]
            if len(found) >= limit:
                break
        return found[:limit]

    def _post(self, name: str, payload: Mapping[str, Any], key: str, otherwise: str = "", **facts: Any) -> Mapping[str, Any]:
        answer = self._write(name, mapping.body(payload), key)
        return {"reference": mapping.reference(answer) or otherwise, **facts}

    def _write(self, name: str, body: Mapping[str, Any], key: str, suffix: str = "", method: str = "POST") -> Mapping[str, Any]:
        """Send a write with its key. It is repeated by itself only if the hotel says that the system recognises the key."""
        header = self.config.idempotency_header
        headers = {header or "Idempotency-Key": key}
        answer = self.client.call(method, self._path(name) + suffix, name=name, json=body, headers=headers, safe=bool(header))
        try:
            return mapping.single(answer.json())
        except UnexpectedResponse:  # accepted, in words of its own or in none: the address may say what was made
            return {"id": answer.headers.get("Location", "").rstrip("/").rpartition("/")[2]}


provider = GenericRestProvider
