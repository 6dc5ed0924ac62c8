"""The simulated org: who may call it, its records and what may be done to one. What is asked of it over HTTP is `simulator`'s business."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from integrations.services.salesforce.simulator_objects import (
    OBJECTS,
    PREFIXES,
    TEXT,
    ApiError,
    Column,
    Row,
    column_named,
    moment,
    not_offered,
    object_named,
    read_id,
    record_id,
)
from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

OLDEST, NEWEST, RETIRED_BELOW = 7, 67, 31
"""API versions: 67.0 is the newest that is documented, those before 31.0 answer that they are gone (2026-11)."""
VERSIONS = tuple(f"{number}.0" for number in range(RETIRED_BELOW, NEWEST + 1))
DAILY_CALLS = 15_000
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
ORG_ID, USER_ID = "00DHs0000000001MAA", "005Hs0000000001IAA"
FREE = ("/services/data", "/services/oauth2/token", "/services/oauth2/revoke")
"""What takes no session."""
CODES = {
    401: "INVALID_SESSION_ID",
    403: "REQUEST_LIMIT_EXCEEDED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    410: "GONE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    500: "UNKNOWN_EXCEPTION",
    503: "SERVER_UNAVAILABLE",
}
PASSING = {
    "query_timeout": (400, "QUERY_TIMEOUT", "Your query request was running for too long."),
    "running_too_long": (400, "REQUEST_RUNNING_TOO_LONG", "Your request was running for too long, and has been stopped."),
    "locked_row": (400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"),
    "limit_exceeded": (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
}
"""Faults that are Salesforce's own, and pass."""


class Org(Simulator):
    slug = "salesforce"
    client_id = "3MVG9.simulated.client"
    client_secret = "simulated-client-secret"
    username = "integration@grandhotel.example"
    access_token = "00DHs0000000001!simulated"
    """Valid from the start, as if an administrator had pasted it."""
    public_key = ""
    """PEM of the certificate that signed tokens are checked with; none: nobody approved the application."""
    rotates_refresh_tokens = False
    instance_url = ""
    """What a token answer says; empty: the address we were called at."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__()
        self.table.sort(key=lambda entry: entry[1].groups)  # /deleted before /{key}
        self.clock = clock
        self.numbers = count(1)
        self.sessions = {self.access_token}
        self.refresh_token = "5Aep.simulated.1"
        self.logins = 0
        self.api_calls = 0
        self.deleted_log_starts_at: datetime | None = None
        self.cursors: dict[str, list[Row]] = {}
        self.records: dict[str, dict[str, Row]] = {name: {} for name in OBJECTS}
        self.fill()

    def fill(self) -> None:
        given = ("Elin", "Mateo", "Aiko", "Noor", "Tomás", "Grace")
        family = ("Lindqvist", "O'Neil", "Tanaka", "Haddad", "Silva")
        now = self.clock()
        for number in range(30):
            contact = {
                "FirstName": given[number % 6],
                "LastName": family[number % 5],
                "Email": f"guest{number + 1}@example.com",
                "Phone": f"+46 8 5550 {number:03d}",
                "Description": ("High floor", "Late breakfast", "Feather-free pillow")[number % 3],
                "Pillow__c": ("soft", "firm")[number % 2],
                "HasOptedOutOfEmail": number % 7 == 0,
                "VIP__c": number % 10 == 0,
            }
            key = self.insert("Contact", contact, at=now - timedelta(hours=40 - number))
            if number < 5:
                about = {"Guest__c": key, "Room_Number__c": str(101 + number)}
                self.fill_messages(about, given[number], now - timedelta(hours=5 - number))

    def fill_messages(self, about: Row, name: str, sent: datetime) -> None:
        feedback = {"Rating__c": 4.0, "Category__c": "service", "Title__c": "Our stay", "Message__c": "Kind staff, slow lift."}
        self.insert("Feedback__c", {**about, **feedback, "Submitted_At__c": moment(sent)}, at=sent)
        chat = {"Message__c": "Can I get extra towels?", "Message_Type__c": "text", "Sender_Type__c": "guest", "Sender_Name__c": name}
        self.insert("Chat_Message__c", {**about, **chat, "Sent_At__c": moment(sent)}, at=sent)
        told = {"Title__c": "Welcome", "Message__c": "Breakfast is from 7 to 10.", "Priority__c": "normal", "Status__c": "sent"}
        self.insert("Notification__c", {**about, **told, "Sent_At__c": moment(sent)}, at=sent)

    # --- who may call, and with what -------------------------------------------------------------------------------------------

    def error(self, status: int, message: str = "") -> SimResponse:
        return ApiError(status, CODES.get(status, "UNKNOWN_EXCEPTION"), message or f"status {status}").answer()

    def malformed(self, message: str) -> SimResponse:
        return ApiError(400, "JSON_PARSER_ERROR", message).answer()

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        if request.path in FREE:
            return self._unreadable(request, "application/x-www-form-urlencoded") if request.method == "POST" else None
        if version := request.args.get("version", ""):
            number = re.fullmatch(r"(\d{1,3})\.0", version)
            if not number or not OLDEST <= int(number[1]) <= NEWEST:
                return self.error(404, "The requested resource does not exist")
            if version not in VERSIONS:
                return self.error(410, f"Version {version} of the API is no longer available")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme and scheme not in ("Bearer", "OAuth"):
            return ApiError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE").answer()
        if token not in self.sessions:
            return self.error(401, "Session expired or invalid")
        if self.api_calls >= DAILY_CALLS:
            return ApiError(*PASSING["limit_exceeded"]).answer()
        if fault := self.take(request, *PASSING):
            return ApiError(*PASSING[fault.kind]).answer()
        return self._unreadable(request, "application/json")

    def _unreadable(self, request: SimRequest, wanted: str) -> SimResponse | None:
        accepted = request.headers.get("accept", "*/*")
        if not any(part in accepted for part in ("*/*", "application/*", "json")):
            return not_offered(f"answers in {accepted}").answer()
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if request.body and kind != wanted:
            return self.error(415, f"Content-Type '{kind}' is not supported: send {wanted}")
        return None

    # --- signing in ------------------------------------------------------------------------------------------------------------

    @route("POST", "/services/oauth2/token")
    def token(self, request: SimRequest) -> SimResponse:
        form = request.form()
        grants = {
            "client_credentials": self.by_client_credentials,
            "refresh_token": self.by_refresh_token,
            "urn:ietf:params:oauth:grant-type:jwt-bearer": self.by_signed_token,
        }
        grant = grants.get(form.get("grant_type", ""))
        code, problem = grant(form, request) if grant else ("unsupported_grant_type", "grant type not supported")
        if code:
            return SimResponse(status=400, json={"error": code, "error_description": problem})
        self.logins += 1
        session = f"00DHs0000000001!session.{self.logins}"
        self.sessions.add(session)
        body = {
            "access_token": session,
            "signature": "c2ltdWxhdGVk",
            "token_format": "opaque",
            "instance_url": self.instance_url or f"http://{request.headers['host']}",
            "id": f"http://{request.headers['host']}/id/{ORG_ID}/{USER_ID}",
            "token_type": "Bearer",
            "issued_at": str(int(self.clock().timestamp() * 1000)),
        }
        if form["grant_type"] == "refresh_token" and self.rotates_refresh_tokens:
            self.refresh_token = body["refresh_token"] = f"5Aep.simulated.{self.logins + 1}"
        return SimResponse(json=body)

    def by_client_credentials(self, form: dict[str, str], request: SimRequest) -> tuple[str, str]:
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            try:
                user, _, password = base64.b64decode(encoded).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user = password = ""
            given = (user, password)
        if given[0] != self.client_id:
            return "invalid_client_id", "client identifier invalid"
        return ("", "") if given[1] == self.client_secret else ("invalid_client", "invalid client credentials")

    def by_refresh_token(self, form: dict[str, str], request: SimRequest) -> tuple[str, str]:
        if form.get("client_id") != self.client_id:
            return "invalid_client_id", "client identifier invalid"
        good = form.get("refresh_token") == self.refresh_token
        return ("", "") if good else ("invalid_grant", "expired access/refresh token")

    def by_signed_token(self, form: dict[str, str], request: SimRequest) -> tuple[str, str]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import RSAKey

        if not self.public_key:
            return "invalid_grant", "user hasn't approved this consumer"
        try:
            claims = jwt.decode(form.get("assertion", ""), RSAKey.import_key(self.public_key), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return "invalid_grant", "invalid assertion"
        if claims.get("iss") != self.client_id:
            return "invalid_client_id", "client identifier invalid"
        if claims.get("aud") not in AUDIENCES:
            return "invalid_grant", "audience is invalid"
        now = self.clock().timestamp()
        if not now < float(claims.get("exp", 0)) <= now + 300:
            return "invalid_grant", "assertion has expired"
        return ("", "") if claims.get("sub") == self.username else ("invalid_grant", "user hasn't approved this consumer")

    @route("POST", "/services/oauth2/revoke")
    def revoke(self, request: SimRequest) -> SimResponse:
        token = request.form().get("token", "")
        if token not in (*self.sessions, self.refresh_token):
            return SimResponse(
                status=400, json={"error": "unsupported_token_type", "error_description": "this token type is not supported"}
            )
        self.sessions.discard(token)
        return SimResponse()

    # --- records ---------------------------------------------------------------------------------------------------------------

    def sobject(self, name: str) -> str:
        """Return an object's name in its own case."""
        if not (found := object_named(name)):
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        return found

    def columns(self, name: str) -> dict[str, Column]:
        return OBJECTS[self.sobject(name)]

    def key(self, name: str, text: str) -> str:
        """Return an id in the form of 18 characters. Raises ApiError for what is no id, and for one of another object."""
        if not text.isalnum() or len(text) not in (15, 18):
            raise ApiError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {text}")
        if not (key := read_id(text)):
            raise ApiError(
                400, "MALFORMED_ID", f"{name.removesuffix('__c').replace('_', ' ')} ID: id value of incorrect type: {text}", "Id"
            )
        if not key.startswith(PREFIXES[self.sobject(name)]):
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        return key

    def find(self, name: str, text: str) -> Row:
        row = self.records[self.sobject(name)].get(self.key(name, text))
        if row is None:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        if row["IsDeleted"]:
            raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")
        return row

    def matching(self, name: str, column: str, value: str) -> list[Row]:
        table = self.sobject(name)
        if not OBJECTS[table].get(column_named(table, column), TEXT).external_id:
            raise ApiError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {column}")
        column = column_named(table, column)
        rows = self.records[table].values()
        return [row for row in rows if not row["IsDeleted"] and (row[column] or "").casefold() == value.casefold()]

    def checked(self, name: str, changes: Any, *, itself: str = "") -> Row:
        """Return what is to be written, under the fields' own names. Raises ApiError."""
        table = self.sobject(name)
        if not isinstance(changes, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "The body is not an object with the fields of one record at [line:1, column:1]")
        given: Row = {}
        for key, value in changes.items():
            if key == "attributes":
                continue
            if key.casefold() == "id":
                raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
            if not (column := column_named(table, key)):
                raise ApiError(400, "INVALID_FIELD", f"No such column '{key}' on sobject of type {table}")
            OBJECTS[table][column].check(column, value)
            self._check_against_others(table, column, value, itself)
            given[column] = OBJECTS[table][column].stored(value)
        return given

    def _check_against_others(self, table: str, column: str, value: Any, itself: str) -> None:
        facts = OBJECTS[table][column]
        if facts.refers_to and value:
            other = self.records[facts.refers_to].get(read_id(value))
            if other is None:
                raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", column)
            if other["IsDeleted"]:
                raise ApiError(400, "ENTITY_IS_DELETED", "entity is deleted", column)
        if facts.unique and value:
            for row in self.matching(table, column, value):
                if row["Id"] != itself:
                    words = f"duplicate value found: {column} duplicates value on record with id: {row['Id']}"
                    raise ApiError(400, "DUPLICATE_VALUE", words, column)

    def insert(self, name: str, values: Any, *, at: datetime | None = None) -> str:
        table = self.sobject(name)
        given = self.checked(table, values)
        self._need_required(table, given)
        key, now = record_id(PREFIXES[table], next(self.numbers)), moment(at or self.clock())
        row = {column: given.get(column, facts.default) for column, facts in OBJECTS[table].items()}
        self.records[table][key] = row | {"Id": key, "CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
        self._set_name(table, self.records[table][key])
        return key

    def _need_required(self, table: str, row: Row) -> None:
        if missing := [column for column, facts in OBJECTS[table].items() if facts.required and not row.get(column)]:
            raise ApiError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", *missing)

    def save(self, name: str, key: str, changes: Any) -> Row:
        table, row = self.sobject(name), self.find(name, key)
        given = self.checked(table, changes, itself=row["Id"])
        self._need_required(table, row | given)
        now = moment(self.clock())
        row |= given | {"LastModifiedDate": now, "SystemModstamp": now}
        self._set_name(table, row)
        return row

    def _set_name(self, table: str, row: Row) -> None:
        row["Name"] = " ".join(filter(None, (row["FirstName"], row["LastName"]))) if table == "Contact" else row["Id"]

    def remove(self, key: str) -> Row:
        name = next((name for name, prefix in PREFIXES.items() if key.startswith(prefix)), "Contact")
        row = self.find(name, key)
        row |= {"IsDeleted": True, "SystemModstamp": moment(self.clock())}
        return {"id": row["Id"], "success": True, "errors": []}

    def upsert(self, name: str, column: str, value: str, changes: Any, version: str) -> tuple[int, Any]:
        table = self.sobject(name)
        found = self.matching(table, column, value)
        column = column_named(table, column)
        if isinstance(changes, dict) and any(key.casefold() == column.casefold() for key in changes):
            raise ApiError(400, "INVALID_FIELD", f"The {column} field should not be specified in the sobject data.", column)
        if len(found) > 1:
            return 300, [f"/services/data/v{version}/sobjects/{table}/{row['Id']}" for row in found]
        if found:
            self.save(table, found[0]["Id"], changes)
            return 200, {"id": found[0]["Id"], "success": True, "errors": [], "created": False}
        OBJECTS[table][column].check(column, value)
        self.checked(table, changes)
        return 201, {"id": self.insert(table, changes | {column: value}), "success": True, "errors": [], "created": True}
