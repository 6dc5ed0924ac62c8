"""Salesforce in small: sObject REST, SOQL, the change logs, collections and the token endpoint, with Salesforce's own errors.

It is stateful and knows its objects' fields, so a wrong field name, a missing required field or an id of the wrong kind fails here as it
would there. `simple-salesforce` and `jsforce` work against it, which is what keeps it honest. Used by the demo and the tests.

Beside the common faults it knows `query_timeout`, `running_too_long`, `locked_row`, `limit_exceeded` and `maintenance`.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from integrations.services.salesforce.simulator_objects import (
    CHILDREN,
    OBJECTS,
    PREFIXES,
    ApiError,
    Row,
    column_named,
    moment,
    not_offered,
    object_named,
)
from integrations.services.salesforce.simulator_org import DAILY_CALLS, NEWEST, ORG_ID, RETIRED_BELOW, USER_ID, Org
from integrations.services.salesforce.simulator_query import Search
from integrations.services.salesforce.simulator_soql import Parser
from integrations.simulators.server import SimRequest, SimResponse, route

API = "/services/data/v{version}"
DELETED_LOG = timedelta(days=15)
MAX_COLLECTION = 200
BATCH = range(200, 2001)
"""How many records a caller may ask one answer to hold."""
ELSEWHERE = re.compile(r"/services/(?:data/v[\d.]+/([a-z-]+)|(soap|async|apexrest))(?:/.*)?", re.IGNORECASE)
NOT_OFFERED = (
    "analytics", "chatter", "composite", "connect", "event", "graphql", "jobs", "parameterizedsearch", "process", "quickactions", "recent",
    "search", "sobjects", "support", "tooling", "ui-api", "soap", "async", "apexrest",
)  # fmt: skip
"""Resources of Salesforce's, of which this simulator has nothing, or not everything."""


class SalesforceSimulator(Org):
    """One org with the objects above, thirty contacts, and for some of them feedback, chat and notifications."""

    batch_size = 2000

    # --- doors of the simulator itself -----------------------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimResponse:
        request.path = request.path.rstrip("/") or "/"
        if fault := self.take(request, "maintenance"):
            return SimResponse(
                status=fault.status, body=b"<html><body>We are down for maintenance.</body></html>", content_type="text/html"
            )
        try:
            response = self._handled(request)
        except ApiError as error:
            response = error.answer()
        if request.path.startswith("/services/data/v"):
            self.api_calls += 1
            response.headers = {**response.headers, "Sforce-Limit-Info": f"api-usage={self.api_calls}/{DAILY_CALLS}"}
        return response

    def _handled(self, request: SimRequest) -> SimResponse:
        response = super().handle(request)
        if response.status == 404 and response.json[0]["message"].startswith("no such resource"):
            if (place := ELSEWHERE.fullmatch(request.path)) and (place[1] or place[2] or "").lower() in NOT_OFFERED:
                raise not_offered(f"{request.method} {request.path}")
            response = self.error(404, "The requested resource does not exist")
        if response.status == 405:
            allowed = response.headers["Allow"].replace(" ", "")
            words = f"HTTP Method '{request.method}' not allowed. Allowed are {allowed}"
            response.json = [{"message": words, "errorCode": "METHOD_NOT_ALLOWED"}]
        return response

    def state(self) -> Any:
        return {name: sum(not row["IsDeleted"] for row in rows.values()) for name, rows in self.records.items()}

    def control(self, name: str, body: Any) -> Any:
        with self.lock:
            if name == "expire_session":
                self.sessions.clear()
                return {}
            if name == "expire_locators":
                self.cursors.clear()
                return {}
            if name == "change_contact":
                return self.save("Contact", body.pop("Id"), body)
            if name == "delete_contact":
                return self.remove(body["Id"])
            if name == "merge_contacts":  # {"gone", "kept"}: what hung on the one hangs on the other
                for rows in self.records.values():
                    for row in rows.values():
                        if row.get("Guest__c") == body["gone"]:
                            row |= {"Guest__c": body["kept"], "SystemModstamp": moment(self.clock())}
                self.find("Contact", body["gone"])["MasterRecordId"] = body["kept"]
                return self.remove(body["gone"])
        raise KeyError(name)

    # --- who and what is there -------------------------------------------------------------------------------------------------

    @route("GET", "/services/data")
    def versions(self, request: SimRequest) -> SimResponse:
        return SimResponse(json=[_version(number) for number in range(RETIRED_BELOW, NEWEST + 1)])

    @route("GET", API)
    def resources(self, request: SimRequest) -> SimResponse:
        names = ("sobjects", "query", "queryAll", "limits", "composite")
        return SimResponse(json={name: f"/services/data/v{request.args['version']}/{name}" for name in names})

    @route("GET", "/id/{org}/{user}")
    @route("GET", "/services/oauth2/userinfo")
    def identity(self, request: SimRequest) -> SimResponse:
        if request.args and request.args != {"org": ORG_ID, "user": USER_ID}:
            return self.error(404, "The requested resource does not exist")
        return SimResponse(json={"user_id": USER_ID, "organization_id": ORG_ID, "username": self.username, "active": True})

    @route("GET", API + "/limits")
    def limits(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"DailyApiRequests": {"Max": DAILY_CALLS, "Remaining": DAILY_CALLS - self.api_calls}})

    @route("GET", API + "/sobjects")
    def describe_all(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [_described(name) for name in OBJECTS]})

    @route("GET", API + "/sobjects/{table}")
    def describe_shortly(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"objectDescribe": _described(self.sobject(request.args["table"])), "recentItems": []})

    @route("GET", API + "/sobjects/{table}/describe")
    def describe(self, request: SimRequest) -> SimResponse:
        name = self.sobject(request.args["table"])
        fields = [facts.describe(key) for key, facts in OBJECTS[name].items()]
        children = CHILDREN.items() if name == "Contact" else ()
        related = [{"relationshipName": one, "childSObject": table, "field": "Guest__c"} for one, table in children]
        return SimResponse(json={**_described(name), "fields": fields, "childRelationships": related, "recordTypeInfos": []})

    # --- records ---------------------------------------------------------------------------------------------------------------

    @route("POST", API + "/sobjects/{table}")
    def create(self, request: SimRequest) -> SimResponse:
        return SimResponse(status=201, json={"id": self.insert(request.args["table"], request.json()), "success": True, "errors": []})

    @route("GET", API + "/sobjects/{table}/{key}")
    @route("GET", API + "/sobjects/{table}/{column}/{key}")
    def read(self, request: SimRequest) -> SimResponse:
        name, key = self.sobject(request.args["table"]), request.args["key"]
        columns = OBJECTS[name]
        if column := request.args.get("column"):
            found = self.matching(name, column, key)
            if len(found) > 1:
                addresses = [f"/services/data/v{request.args['version']}/sobjects/{name}/{row['Id']}" for row in found]
                return SimResponse(status=300, json=addresses)
            if not found:
                raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
            key = found[0]["Id"]
        asked = request.arg("fields").split(",") if request.arg("fields") else list(columns)
        if unknown := [one for one in asked if not column_named(name, one)]:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{unknown[0]}' on sobject of type {name}")
        return SimResponse(json=self._shown(name, self.find(name, key), asked, request))

    def _shown(self, name: str, row: Row, fields: list[str], request: SimRequest) -> Row:
        url = f"/services/data/v{request.args['version']}/sobjects/{name}/{row['Id']}"
        named = dict.fromkeys(column_named(name, one) for one in fields)
        return {"attributes": {"type": name, "url": url}, **{column: row[column] for column in named}}

    @route("PATCH", API + "/sobjects/{table}/{key}")
    def update(self, request: SimRequest) -> SimResponse:
        self.save(request.args["table"], request.args["key"], request.json())
        return SimResponse(status=204)

    @route("PATCH", API + "/sobjects/{table}/{column}/{key}")
    def upsert_one(self, request: SimRequest) -> SimResponse:
        name, column, key, version = (request.args[part] for part in ("table", "column", "key", "version"))
        if request.arg("updateOnly") == "true" and not self.matching(name, column, key):
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        status, body = self.upsert(name, column, key, request.json(), version)
        if status == 200 and float(version) < 46:
            return SimResponse(status=204)
        return SimResponse(status=status, json=body)

    @route("DELETE", API + "/sobjects/{table}/{key}")
    def delete(self, request: SimRequest) -> SimResponse:
        self.remove(self.find(request.args["table"], request.args["key"])["Id"])
        return SimResponse(status=204)

    # --- changes ---------------------------------------------------------------------------------------------------------------

    def window(self, request: SimRequest) -> tuple[datetime, datetime]:
        found = []
        for name in ("start", "end"):
            try:
                found.append(datetime.fromisoformat(request.arg(name)))
            except ValueError:
                raise ApiError(400, "MALFORMED_QUERY", f"{name}: {request.arg(name)} is not a valid dateTime") from None
            if found[-1].tzinfo is None:
                raise ApiError(400, "MALFORMED_QUERY", f"{name}: {request.arg(name)} has no time zone")
        start, end = found
        if start < self.clock() - DELETED_LOG - timedelta(minutes=1):
            raise ApiError(400, "INVALID_REPLICATION_DATE", f"startDate before org's oldest: {moment(start)}")
        if end - start < timedelta(minutes=1):
            raise ApiError(400, "INVALID_REPLICATION_DATE", "endDate must be more than one minute after startDate")
        return start, end

    def changed(self, request: SimRequest, *, deleted: bool) -> tuple[list[Row], str]:
        """Return the rows whose last change is in the window, and how far the log reaches."""
        name = self.sobject(request.args["table"])
        start, end = self.window(request)
        rows = [row for row in self.records[name].values() if row["IsDeleted"] is deleted]
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

    # --- queries ---------------------------------------------------------------------------------------------------------------

    @route("GET", API + "/query")
    @route("GET", API + "/queryAll")
    def query(self, request: SimRequest) -> SimResponse:
        if "explain" in request.query:
            raise not_offered("“explain” of a query")
        if not request.arg("q"):
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        deleted, version = request.path.endswith("queryAll"), request.args["version"]
        search = Search(Parser(request.arg("q")).parse(), self.records, self.clock(), deleted=deleted, version=version)
        return self.batch(*search.shown(), request)

    @route("GET", API + "/query/{locator}")
    @route("GET", API + "/queryAll/{locator}")
    def query_more(self, request: SimRequest) -> SimResponse:
        rows = self.cursors.get(request.args["locator"])
        if rows is None:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        total = int(request.args["locator"].rpartition("-")[2]) + len(rows)
        return self.batch(rows, total, request)

    def batch(self, rows: list[Row], total: int, request: SimRequest) -> SimResponse:
        size = self.batch_size
        if asked := re.search(r"batchSize=(\d{1,5})", request.headers.get("sforce-query-options", "")):
            size = min(size, max(BATCH.start, min(int(asked[1]), BATCH.stop - 1)))
        now, later = rows[:size], rows[size:]
        body = {"totalSize": total, "done": not later, "records": now}
        if later:
            locator = f"01gHs{next(self.numbers):013d}-{total - len(later)}"
            self.cursors[locator] = later
            body["nextRecordsUrl"] = f"/services/data/v{request.args['version']}/query/{locator}"
        return SimResponse(json=body)

    # --- collections -----------------------------------------------------------------------------------------------------------

    def each(self, body: Any, do: Callable[[str, Row], Row]) -> SimResponse:
        """Do something with every record; with `allOrNone`, one failure undoes the rest."""
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ApiError(400, "JSON_PARSER_ERROR", "The body has no list of records at [line:1, column:1]")
        if unknown := [name for name in body if name not in ("records", "allOrNone")]:
            raise ApiError(400, "JSON_PARSER_ERROR", f'Unrecognized field "{unknown[0]}" at [line:1, column:1]')
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
            attributes = record.get("attributes")
            name = attributes.get("type") if isinstance(attributes, dict) else None
            try:
                if not isinstance(name, str):
                    raise ApiError(400, "INVALID_INPUT", "Must send a concrete entity type: attributes.type.", "attributes")
                if not object_named(name):
                    raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
                yield do(name, {key: value for key, value in record.items() if key != "attributes"})
            except ApiError as error:
                yield error.result()

    @route("POST", API + "/composite/sobjects")
    def create_many(self, request: SimRequest) -> SimResponse:
        return self.each(request.json(), lambda name, values: {"id": self.insert(name, values), "success": True, "errors": []})

    @route("PATCH", API + "/composite/sobjects")
    def update_many(self, request: SimRequest) -> SimResponse:
        def update(name: str, values: Row) -> Row:
            key = next((values.pop(key) for key in list(values) if key.casefold() == "id"), None)
            if not isinstance(key, str) or not key:
                raise ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call", "Id")
            return {"id": self.save(name, key, values)["Id"], "success": True, "errors": []}

        return self.each(request.json(), update)

    @route("PATCH", API + "/composite/sobjects/{table}/{column}")
    def upsert_many(self, request: SimRequest) -> SimResponse:
        table, column = self.sobject(request.args["table"]), request.args["column"]

        def upsert(name: str, values: Row) -> Row:
            if object_named(name) != table:
                raise ApiError(400, "INVALID_INPUT", f"All records have to be of type {table}.", "attributes")
            key = next((values.pop(given) for given in list(values) if given.casefold() == column.casefold()), None)
            if not isinstance(key, str) or not key:
                raise ApiError(400, "MISSING_ARGUMENT", f"{column} not specified", column)
            status, saved = self.upsert(table, column, key, values, request.args["version"])
            if status == 300:
                raise ApiError(300, "MULTIPLE_CHOICES", "the external id matches several records", column)
            return saved

        return self.each(request.json(), upsert)

    @route("DELETE", API + "/composite/sobjects")
    def delete_many(self, request: SimRequest) -> SimResponse:
        keys = request.arg("ids").split(",")
        records = [{"attributes": {"type": self._type_of(key)}, "key": key} for key in keys]
        return self.each({"records": records, "allOrNone": request.arg("allOrNone") == "true"}, self._remove_one)

    def _type_of(self, key: str) -> str:
        return next((name for name, prefix in PREFIXES.items() if key.startswith(prefix)), "Contact")

    def _remove_one(self, name: str, values: Row) -> Row:
        return self.remove(self.find(name, values["key"])["Id"])

    @route("GET", API + "/composite/sobjects/{table}")
    @route("POST", API + "/composite/sobjects/{table}")
    def read_many(self, request: SimRequest) -> SimResponse:
        name = self.sobject(request.args["table"])
        body = request.json() if request.method == "POST" else {part: request.arg(part).split(",") for part in ("ids", "fields")}
        for part in ("ids", "fields"):
            given = body.get(part) if isinstance(body, dict) else None
            if not isinstance(given, list) or not given or not all(isinstance(one, str) and one for one in given):
                raise ApiError(400, "JSON_PARSER_ERROR", f"“{part}” is missing or no list of texts at [line:1, column:1]")
        if unknown := [one for one in body["fields"] if not column_named(name, one)]:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{unknown[0]}' on sobject of type {name}")
        rows = [self.records[name].get(self.key(name, key)) for key in body["ids"]]
        alive = [row if row and not row["IsDeleted"] else None for row in rows]
        return SimResponse(json=[row and self._shown(name, row, body["fields"], request) for row in alive])


def _version(number: int) -> Row:
    """Describe a version; there are three a year: 58.0 is Summer '23."""
    year, season = divmod(number - 58, 3)
    label = f"{('Summer', 'Winter', 'Spring')[season]} '{23 + year + (season > 0)}"
    return {"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"}


def _described(name: str) -> Row:
    is_custom = name.endswith("__c")
    flags = dict.fromkeys(("createable", "updateable", "deletable", "queryable", "retrieveable", "replicateable"), True)
    return {"name": name, "label": name.removesuffix("__c").replace("_", " "), "keyPrefix": PREFIXES[name], "custom": is_custom, **flags}


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
