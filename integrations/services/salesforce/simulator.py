"""Salesforce in small: sObject REST, SOQL, the change logs, collections and the token endpoint, with Salesforce's own errors.

It is stateful and knows its objects' fields, so a wrong field name, a missing required field or an id of the wrong kind fails here as it
would there. `simple-salesforce` and `jsforce` work against it, which is what keeps it honest. Used by the demo and the tests.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from integrations.services.salesforce.simulator_soql import MalformedQueryError, Parser, comparable, holds
from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

API = "/services/data/v{version}"
DELETED_LOG = timedelta(days=15)
VERSIONS = tuple(f"{number}.0" for number in range(31, 68))
"""Older ones are retired; 67.0 is the newest that is documented (2026-11)."""
MAX_COLLECTION = 200
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
CODES = {401: "INVALID_SESSION_ID", 403: "REQUEST_LIMIT_EXCEEDED", 404: "NOT_FOUND", 500: "UNKNOWN_EXCEPTION", 503: "SERVER_UNAVAILABLE"}

Row = dict[str, Any]


class ApiError(Exception):
    """An API error. Answers tell it as an array of one, collections as the result of one record."""

    def __init__(self, status: int, code: str, message: str, *fields: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, list(fields)

    def answer(self) -> SimResponse:
        return SimResponse(status=self.status, json=[{"message": self.message, "errorCode": self.code, "fields": self.fields}])

    def result(self) -> Row:
        return {"success": False, "errors": [{"statusCode": self.code, "message": self.message, "fields": self.fields}]}


@dataclass(frozen=True, slots=True)
class Column:
    type: str = "string"
    length: int = 255
    required: bool = False
    read_only: bool = False
    external_id: bool = False
    unique: bool = False
    default: Any = None

    def describe(self, name: str) -> Row:
        return {
            "name": name,
            "label": name.removesuffix("__c").replace("_", " "),
            "type": self.type,
            "length": self.length,
            "custom": name.endswith("__c"),
            "nillable": not self.required,
            "createable": not self.read_only,
            "updateable": not self.read_only,
            "externalId": self.external_id,
            "unique": self.unique,
            "defaultValue": self.default,
        }

    def stored(self, value: Any) -> Any:
        """Return a value as it reads when it comes back: a time without a fraction of a second."""
        return moment(datetime.fromisoformat(value).replace(microsecond=0)) if self.type == "datetime" and value else value

    def check(self, name: str, value: Any) -> None:
        if self.read_only:
            raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", f"Unable to create/update fields: {name}.", name)
        kinds = {"boolean": bool, "double": (int, float)}.get(self.type, str)
        if value is not None and (not isinstance(value, kinds) or (self.type == "double" and isinstance(value, bool))):
            raise ApiError(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of {self.type} from {value!r}", name)
        if isinstance(value, str) and len(value) > self.length:
            raise ApiError(400, "STRING_TOO_LONG", f"{name}: data value too large (max length={self.length})", name)
        if self.type == "datetime" and value is not None:
            try:
                datetime.fromisoformat(value)
            except ValueError:
                raise ApiError(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of datetime from {value!r}", name) from None
        if self.type == "email" and value and "@" not in value:
            raise ApiError(400, "INVALID_EMAIL_ADDRESS", f"{name}: invalid email address: {value}", name)


TEXT, LONG_TEXT, FLAG, MOMENT = Column(), Column("textarea", 32_000), Column("boolean", default=False), Column("datetime")
SYSTEM = {
    "Id": Column("id", 18, read_only=True),
    "Name": Column(read_only=True),
    "IsDeleted": Column("boolean", read_only=True, default=False),
    "CreatedDate": Column("datetime", read_only=True),
    "LastModifiedDate": Column("datetime", read_only=True),
    "SystemModstamp": Column("datetime", read_only=True),
}
MESSAGE = {
    **SYSTEM,
    "Hospient_Id__c": Column(external_id=True, unique=True),
    "Guest__c": Column("reference", 18),
    "Room_Number__c": TEXT,
    "Message__c": LONG_TEXT,
}
PREFIXES = {"Contact": "003", "Feedback__c": "a01", "Chat_Message__c": "a02", "Notification__c": "a03"}
OBJECTS = {
    "Contact": {
        **SYSTEM,
        "FirstName": Column(length=40),
        "LastName": Column(length=80, required=True),
        "Email": Column("email", 80),
        "Phone": Column("phone", 40),
        "MobilePhone": Column("phone", 40),
        "Description": LONG_TEXT,
        "DoNotCall": FLAG,
        "HasOptedOutOfEmail": FLAG,
        "Language__c": TEXT,
        "VIP__c": FLAG,
        "Pillow__c": TEXT,
        "Loyalty_Number__c": Column(external_id=True),
    },
    "Feedback__c": {
        **MESSAGE,
        "Rating__c": Column("double"),
        "Category__c": TEXT,
        "Title__c": TEXT,
        "Is_Anonymous__c": FLAG,
        "Submitted_At__c": MOMENT,
    },
    "Chat_Message__c": {**MESSAGE, "Message_Type__c": TEXT, "Sender_Type__c": TEXT, "Sender_Name__c": TEXT, "Sent_At__c": MOMENT},
    "Notification__c": {
        **MESSAGE,
        "Title__c": TEXT,
        "Category__c": TEXT,
        "Priority__c": TEXT,
        "Notification_Type__c": TEXT,
        "Status__c": Column("picklist", default="pending"),
        "Sent_At__c": MOMENT,
    },
}


def moment(value: datetime) -> str:
    """Write a time as Salesforce does: milliseconds, and an offset without a colon."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}+0000"


def record_id(prefix: str, number: int) -> str:
    """Make an 18-character id: 15 characters, and three that say which of them are upper case."""
    core = f"{prefix}Hs0000{number:06d}"
    blocks = (core[start : start + 5] for start in (0, 5, 10))
    return core + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[sum(c.isupper() << bit for bit, c in enumerate(block))] for block in blocks)


class SalesforceSimulator(Simulator):
    """One org with the objects above, thirty contacts, and for some of them feedback, chat and notifications."""

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
    batch_size = 2000

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

    # --- doors of the simulator itself ---

    def handle(self, request: SimRequest) -> SimResponse:
        request.path = request.path.rstrip("/") or "/"
        if fault := self.take(request, "maintenance"):
            return SimResponse(
                status=fault.status, body=b"<html><body>We are down for maintenance.</body></html>", content_type="text/html"
            )
        try:
            response = super().handle(request)
        except ApiError as error:
            response = error.answer()
        except MalformedQueryError as error:
            response = ApiError(400, "MALFORMED_QUERY", str(error)).answer()
        if request.path.startswith("/services/data/v"):
            self.api_calls += 1
            response.headers = {**response.headers, "Sforce-Limit-Info": f"api-usage={self.api_calls}/15000"}
        return response

    def error(self, status: int, message: str = "") -> SimResponse:
        return ApiError(status, CODES.get(status, "UNKNOWN_EXCEPTION"), message or f"status {status}").answer()

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        if request.path in ("/services/data", "/services/oauth2/token"):
            return None
        if (version := request.args.get("version")) and version not in VERSIONS:
            return self.error(404, "The requested resource does not exist")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme in ("Bearer", "OAuth") and token in self.sessions:
            return None
        return self.error(401, "Session expired or invalid")

    def state(self) -> Any:
        return {name: sum(not row["IsDeleted"] for row in rows.values()) for name, rows in self.records.items()}

    def control(self, name: str, body: Any) -> Any:
        with self.lock:
            if name == "expire_session":
                self.sessions.clear()
                return {}
            if name == "change_contact":
                return self.save("Contact", body.pop("Id"), body)
            if name == "delete_contact":
                return self.remove(body["Id"])
        raise KeyError(name)

    # --- signing in ---

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
            "id": "https://login.salesforce.com/id/00DHs0000000001EAA/005Hs0000000001AAA",
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

    # --- records ---

    def columns(self, name: str) -> dict[str, Column]:
        if name not in OBJECTS:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        return OBJECTS[name]

    def find(self, name: str, key: str) -> Row:
        row = self.records[name].get(key)
        if row is None or row["IsDeleted"]:
            raise ApiError(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + key)
        return row

    def matching(self, name: str, column: str, value: str) -> list[Row]:
        if not self.columns(name).get(column, TEXT).external_id:
            raise ApiError(400, "INVALID_FIELD", f"{column} is not an external ID field of {name}", column)
        return [
            row for row in self.records[name].values() if not row["IsDeleted"] and (row.get(column) or "").casefold() == value.casefold()
        ]

    def check(self, name: str, changes: Row, *, itself: str = "") -> None:
        columns = self.columns(name)
        for key, value in changes.items():
            if key not in columns:
                raise ApiError(400, "INVALID_FIELD", f"No such column '{key}' on sobject of type {name}", key)
            columns[key].check(key, value)
            if columns[key].type == "reference" and value and value not in self.records["Contact"]:
                raise ApiError(400, "MALFORMED_ID", f"{key}: id value of incorrect type: {value}", key)
            if columns[key].unique and value and any(row["Id"] != itself for row in self.matching(name, key, value)):
                raise ApiError(400, "DUPLICATE_VALUE", f"duplicate value found: {key} duplicates value on another record", key)

    def insert(self, name: str, values: Row, *, at: datetime | None = None) -> str:
        columns = self.columns(name)
        self.check(name, values)
        if missing := [key for key, column in columns.items() if column.required and not values.get(key)]:
            raise ApiError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", *missing)
        key, now = record_id(PREFIXES[name], next(self.numbers)), moment(at or self.clock())
        row = {column: facts.stored(values.get(column, facts.default)) for column, facts in columns.items()}
        self.records[name][key] = row | {"Id": key, "CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
        self.name(name, self.records[name][key])
        return key

    def save(self, name: str, key: str, changes: Row) -> Row:
        row = self.find(name, key)
        self.check(name, changes, itself=key)
        now = moment(self.clock())
        columns = self.columns(name)
        row |= {column: columns[column].stored(value) for column, value in changes.items()}
        row |= {"LastModifiedDate": now, "SystemModstamp": now}
        self.name(name, row)
        return row

    def name(self, name: str, row: Row) -> None:
        row["Name"] = " ".join(filter(None, (row["FirstName"], row["LastName"]))) if name == "Contact" else row["Id"]

    def remove(self, key: str) -> Row:
        name = next((name for name, prefix in PREFIXES.items() if key.startswith(prefix)), "Contact")
        row = self.find(name, key)
        row |= {"IsDeleted": True, "SystemModstamp": moment(self.clock())}
        return {"id": key, "success": True, "errors": []}

    def upsert(self, name: str, column: str, value: str, changes: Row) -> tuple[int, Any]:
        found = self.matching(name, column, value)
        if len(found) > 1:
            return 300, [f"/services/data/v58.0/sobjects/{name}/{row['Id']}" for row in found]
        if found:
            self.save(name, found[0]["Id"], changes)
            return 200, {"id": found[0]["Id"], "success": True, "errors": [], "created": False}
        return 201, {"id": self.insert(name, changes | {column: value}), "success": True, "errors": [], "created": True}

    def shown(self, name: str, row: Row, fields: list[str], version: str) -> Row:
        url = f"/services/data/v{version}/sobjects/{name}/{row['Id']}"
        return {"attributes": {"type": name, "url": url}, **{column: row[column] for column in fields}}

    # --- sObject resources ---

    @route("GET", "/services/data")
    def versions(self, request: SimRequest) -> SimResponse:
        return SimResponse(json=[{"label": "Summer '23", "url": "/services/data/v58.0", "version": "58.0"}])

    @route("GET", API + "/limits")
    def limits(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"DailyApiRequests": {"Max": 15_000, "Remaining": 15_000 - self.api_calls}})

    @route("GET", API + "/sobjects")
    def describe_all(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [{"name": name} for name in OBJECTS]})

    @route("GET", API + "/sobjects/{table}/describe")
    def describe(self, request: SimRequest) -> SimResponse:
        name = request.args["table"]
        columns = self.columns(name)
        return SimResponse(
            json={"name": name, "keyPrefix": PREFIXES[name], "fields": [facts.describe(key) for key, facts in columns.items()]}
        )

    @route("POST", API + "/sobjects/{table}")
    def create(self, request: SimRequest) -> SimResponse:
        return SimResponse(status=201, json={"id": self.insert(request.args["table"], request.json()), "success": True, "errors": []})

    @route("GET", API + "/sobjects/{table}/{key}")
    @route("GET", API + "/sobjects/{table}/{column}/{key}")
    def read(self, request: SimRequest) -> SimResponse:
        name, key = request.args["table"], request.args["key"]
        columns = self.columns(name)
        if column := request.args.get("column"):
            found = self.matching(name, column, key)
            if len(found) > 1:
                return SimResponse(status=300, json=[f"/services/data/v58.0/sobjects/{name}/{row['Id']}" for row in found])
            key = found[0]["Id"] if found else key
        fields = request.arg("fields").split(",") if request.arg("fields") else list(columns)
        return SimResponse(json=self.shown(name, self.find(name, key), fields, request.args["version"]))

    @route("PATCH", API + "/sobjects/{table}/{key}")
    def update(self, request: SimRequest) -> SimResponse:
        self.columns(request.args["table"])
        self.save(request.args["table"], request.args["key"], request.json())
        return SimResponse(status=204)

    @route("PATCH", API + "/sobjects/{table}/{column}/{key}")
    def upsert_one(self, request: SimRequest) -> SimResponse:
        status, body = self.upsert(request.args["table"], request.args["column"], request.args["key"], request.json())
        if status == 200 and float(request.args["version"]) < 46:
            return SimResponse(status=204)
        return SimResponse(status=status, json=body)

    @route("DELETE", API + "/sobjects/{table}/{key}")
    def delete(self, request: SimRequest) -> SimResponse:
        self.find(request.args["table"], request.args["key"])
        self.remove(request.args["key"])
        return SimResponse(status=204)

    # --- changes ---

    def window(self, request: SimRequest) -> tuple[datetime, datetime]:
        try:
            start, end = (datetime.fromisoformat(request.arg(name)) for name in ("start", "end"))
        except ValueError as error:
            raise ApiError(400, "MALFORMED_QUERY", f"bad date: {error}") from None
        if start < self.clock() - DELETED_LOG - timedelta(minutes=1):
            raise ApiError(400, "INVALID_REPLICATION_DATE", f"startDate before org's oldest: {moment(start)}")
        if end - start < timedelta(minutes=1):
            raise ApiError(400, "INVALID_REPLICATION_DATE", "endDate must be more than one minute after startDate")
        return start, end

    def changed(self, request: SimRequest, *, deleted: bool) -> tuple[list[Row], str]:
        """Return the rows whose last change is in the window, and how far the log reaches."""
        self.columns(request.args["table"])
        start, end = self.window(request)
        rows = [row for row in self.records[request.args["table"]].values() if row["IsDeleted"] is deleted]
        found = [row for row in rows if start <= datetime.fromisoformat(row["SystemModstamp"]) <= end]
        return found, moment(min(end, self.clock()))

    @route("GET", API + "/sobjects/{table}/updated")
    def updated(self, request: SimRequest) -> SimResponse:
        rows, covered = self.changed(request, deleted=False)
        return SimResponse(json={"ids": [row["Id"] for row in rows], "latestDateCovered": covered})

    @route("GET", API + "/sobjects/{table}/deleted")
    def deleted(self, request: SimRequest) -> SimResponse:
        rows, covered = self.changed(request, deleted=True)
        return SimResponse(
            json={
                "deletedRecords": [{"id": row["Id"], "deletedDate": row["SystemModstamp"]} for row in rows],
                "earliestDateAvailable": moment(self.deleted_log_starts_at or self.clock() - DELETED_LOG - timedelta(days=1)),
                "latestDateCovered": covered,
            }
        )

    # --- queries ---

    @route("GET", API + "/query")
    @route("GET", API + "/queryAll")
    def query(self, request: SimRequest) -> SimResponse:
        query = Parser(request.arg("q")).parse()
        if query.table not in OBJECTS:
            raise ApiError(400, "INVALID_TYPE", f"sObject type '{query.table}' is not supported.")
        columns = OBJECTS[query.table]
        for name in (*query.fields, *(c[0] for c in query.conditions), *(o[0] for o in query.order)):
            if name not in columns:
                raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on entity '{query.table}'.")
        rows = [
            row
            for row in self.records[query.table].values()
            if (not row["IsDeleted"] or request.path.endswith("queryAll"))
            and all(holds(row[name], columns[name].type, sign, wanted) for name, sign, wanted in query.conditions)
        ]
        for name, descending in reversed(query.order):
            kind = columns[name].type
            rows.sort(key=lambda row: (row[name] is not None, comparable(row[name], kind)), reverse=descending)
        shown = [self.shown(query.table, row, query.fields, request.args["version"]) for row in rows[: query.limit]]
        return self.batch(shown, len(shown), request)

    @route("GET", API + "/query/{locator}")
    @route("GET", API + "/queryAll/{locator}")
    def query_more(self, request: SimRequest) -> SimResponse:
        rows = self.cursors.get(request.args["locator"])
        if rows is None:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        total = int(request.args["locator"].rpartition("-")[2]) + len(rows)
        return self.batch(rows, total, request)

    def batch(self, rows: list[Row], total: int, request: SimRequest) -> SimResponse:
        now, later = rows[: self.batch_size], rows[self.batch_size :]
        body = {"totalSize": total, "done": not later, "records": now}
        if later:
            locator = f"01gHs{next(self.numbers):013d}-{total - len(later)}"
            self.cursors[locator] = later
            body["nextRecordsUrl"] = f"/services/data/v{request.args['version']}/query/{locator}"
        return SimResponse(json=body)

    # --- collections ---

    def each(self, body: Row, do: Callable[[str, Row], Row]) -> SimResponse:
        """Do something with every record; with `allOrNone`, one failure undoes the rest."""
        records = body.get("records", [])
        if len(records) > MAX_COLLECTION:
            raise ApiError(400, "EXCEEDED_MAX_SIZE_REQUEST", f"record limit reached. cannot submit more than {MAX_COLLECTION} records")
        before = deepcopy(self.records)
        results = list(self.results(records, do))
        if body.get("allOrNone") and not all(result["success"] for result in results):
            self.records = before
            undone = ApiError(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid").result()
            results = [undone if result["success"] else result for result in results]
        return SimResponse(json=results)

    def results(self, records: list[Row], do: Callable[[str, Row], Row]) -> Iterator[Row]:
        for record in records:
            values = {key: value for key, value in record.items() if key != "attributes"}
            try:
                yield do(record.get("attributes", {}).get("type", ""), values)
            except ApiError as error:
                yield error.result()

    @route("POST", API + "/composite/sobjects")
    def create_many(self, request: SimRequest) -> SimResponse:
        return self.each(request.json(), lambda name, values: {"id": self.insert(name, values), "success": True, "errors": []})

    @route("PATCH", API + "/composite/sobjects")
    def update_many(self, request: SimRequest) -> SimResponse:
        def update(name: str, values: Row) -> Row:
            self.columns(name)
            return {"id": self.save(name, values.pop("id", ""), values)["Id"], "success": True, "errors": []}

        return self.each(request.json(), update)

    @route("PATCH", API + "/composite/sobjects/{table}/{column}")
    def upsert_many(self, request: SimRequest) -> SimResponse:
        def upsert(name: str, values: Row) -> Row:
            status, saved = self.upsert(request.args["table"], request.args["column"], values.pop(request.args["column"]), values)
            if status == 300:
                raise ApiError(300, "MULTIPLE_CHOICES", "the external id matches several records", request.args["column"])
            return saved

        return self.each(request.json(), upsert)

    @route("DELETE", API + "/composite/sobjects")
    def delete_many(self, request: SimRequest) -> SimResponse:
        records = [{"id": key} for key in request.arg("ids").split(",")]
        return self.each({"records": records}, lambda _, values: self.remove(values["id"]))

    @route("POST", API + "/composite/sobjects/{table}")
    def read_many(self, request: SimRequest) -> SimResponse:
        name, body = request.args["table"], request.json()
        rows = [self.records[name].get(key) for key in body["ids"]]
        return SimResponse(json=[row and self.shown(name, row, body["fields"], request.args["version"]) for row in rows])


def connection(url: str) -> dict[str, Any]:
    """Return what a hotel would enter to connect to this simulator at `url`."""
    return {
        "integration_type": "guest_management",
        "provider_name": "Salesforce",
        "config": {
            "base_url": url,
            "guest_fields": {"language": "Language__c", "is_vip": "VIP__c"},
            "preference_fields": {"pillow": "Pillow__c"},
        },
        "credentials": {"client_id": SalesforceSimulator.client_id, "client_secret": SalesforceSimulator.client_secret},
        "sync_settings": {"auto_sync": True, "sync_interval": "hourly"},
    }


simulator = SalesforceSimulator
