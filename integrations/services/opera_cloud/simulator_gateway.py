"""Oracle's gateway in the simulator: sign-in, headers, what the specification asks of every request, paging, and how a refusal looks.

Error codes have OPERA's form, but their numbers are invented: Oracle does not publish the list. Knows no business of a hotel.
"""

import base64
import re
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from integrations.services.opera_cloud.simulator_contract import BreachError, contract
from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

Json = dict[str, Any]

CREDENTIALS = {
    "hotel_code": "SAND01",
    "app_key": "41ecd082-8997-4c69-af34-2f72b83645ff",
    "client_id": "hospient-sandbox",
    "client_secret": "opera-simulator-secret",
    "enterprise_id": "ENT123",
    "username": "HOSPIENT",
    "password": "opera-simulator-password",
}
SCOPE = "urn:opc:hgbu:ws:__myscopes__"
MOST_ROWS = 1000
"""A search finds no more, however many there are: the page after them is empty, and says that there is more."""
MOST_BYTES = 100_000
"""Of a request's body: "100 KB for ordinary operations"."""
MOST_AT_ONCE = {"getProfiles": 200}
"""The maximum allowable limit, where Oracle documents one (for events the specification has it)."""
SPANS = (
    ("arrivalStartDate", "arrivalEndDate", None),
    ("departureStartDate", "departureEndDate", None),
    ("creationStartDate", "creationEndDate", 30),
    ("start", "end", 30),
)
"""First and last day, and how many days there may be between them."""
WITHOUT_BODY = (401, 403, 405, 406, 413, 414, 429, 502, 503)


class RefusedError(Exception):
    """OPERA says no; shown as its problem details, with the field that is wrong where it is one field."""

    def __init__(self, code: str, detail: str, path: str = "", status: int = 400) -> None:
        super().__init__(detail)
        self.answer = problem(status, code, detail, path)


def problem(status: int, code: str, detail: str, path: str = "") -> SimResponse:
    titles = {404: "Not Found", 415: "Unsupported Media Type", 500: "Internal Server Error", 501: "Not offered by this simulator"}
    body = {
        "type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html",
        "title": titles.get(status, "Validation failed"),
        "status": status,
        "detail": detail,
        "o:errorCode": code,
        **({"o:errorPath": path} if path else {}),
    }
    return SimResponse(status=status, json=body, content_type="application/problem+json")


def refused_sign_in(status: int, error: str, words: str) -> SimResponse:
    return SimResponse(status=status, json={"error": error, "error_description": words})


class SimGateway(Simulator):
    def __init__(self, *, page_size: int, token_seconds: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self.page_size = page_size
        self.token_seconds = token_seconds
        self.clock = clock
        self.tokens: dict[str, float] = {}
        self.modules = {"rsv", "fof", "hsk", "crm", "csh", "int"}
        """What the application is subscribed to."""
        self.headers: deque[tuple[str, str, Mapping[str, str]]] = deque(maxlen=500)
        """Method, path and headers of the last calls."""

    def error(self, status: int, message: str = "") -> SimResponse:
        return SimResponse(status=status) if status in WITHOUT_BODY else problem(status, "GEN00002", message or "Unexpected error")

    def handle(self, request: SimRequest) -> SimResponse:
        method, path = request.method, request.path
        try:
            if path == "/oauth/v1/tokens" or contract().find(method, path):
                return super().handle(request)
            return self.authenticate(request) or self.unserved(method, path)
        except RefusedError as refusal:
            return refusal.answer
        except BreachError as breach:
            if breach.is_ours:
                return problem(501, "SIM00001", breach.words, breach.path)
            return problem(400, "GEN00001", breach.words, breach.path)

    def unserved(self, method: str, path: str) -> SimResponse:
        if name := contract().not_offered(method, path):
            return problem(501, "SIM00001", f"This simulator does not offer the operation {name}")
        return self.error(405) if contract().is_path(path) else self.error(404, f"There is no resource {path}")

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        """Refuse what the gateway refuses before it looks at the body."""
        headers, hotel = request.headers, CREDENTIALS["hotel_code"]
        self.headers.append((request.method, request.path, headers))
        if headers.get("x-app-key") != CREDENTIALS["app_key"]:
            return self.error(401)
        if request.path == "/oauth/v1/tokens":
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self.tokens.get(token, 0.0) <= self.clock():
            return self.error(401)
        if not headers.get("x-hotelid"):
            return problem(400, "GEN00001", "x-hotelid is missing", "x-hotelid")
        if headers["x-hotelid"] != hotel or request.args.get("hotel", hotel) != hotel:
            return self.error(403)
        if request.path.split("/")[1] not in self.modules:
            return self.error(403)
        if "json" not in headers.get("accept", "*/*") and "*/*" not in headers.get("accept", "*/*"):
            return self.error(406)
        if len(request.body) > MOST_BYTES:
            return self.error(413)
        if request.body and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return problem(415, "GEN00003", "Only application/json is taken", "Content-Type")
        contract().check_headers(headers)
        if operation := contract().find(request.method, request.path):
            operation.check_query(request.query)
            self.check_amounts(request, operation.name)
        return None

    @staticmethod
    def check_amounts(request: SimRequest, name: str) -> None:
        """Refuse pages and spans of dates that Oracle's guides rule out and its specification lets pass."""
        for parameter, least in (("limit", 1), ("offset", 0)):
            if int(request.arg(parameter, "1")) < least:
                raise RefusedError("GEN00001", f"{parameter}: the minimum is {least}", parameter)
        if name in MOST_AT_ONCE and int(request.arg("limit", "1")) > MOST_AT_ONCE[name]:
            raise RefusedError("GEN00005", f"The maximum allowable limit is {MOST_AT_ONCE[name]}", "limit")
        for first, last, most in SPANS:
            if not (request.arg(first) and request.arg(last)):
                continue
            days = date.fromisoformat(request.arg(last)) - date.fromisoformat(request.arg(first))
            if days < timedelta(0):
                raise RefusedError("GEN00006", f"{last} is before {first}", last)
            if most and days.days > most:
                raise RefusedError("GEN00007", f"The time span is longer than {most} days", last)

    @staticmethod
    def body_of(request: SimRequest) -> Any:
        """Return the body, held to the specification. Amounts are Decimal, with the digits that were sent."""
        operation = contract().find(request.method, request.path)
        assert operation
        return operation.read_body(request.body)

    def page(self, request: SimRequest, rows: list[Any]) -> tuple[list[Any], Json]:
        """Cut a page from rows, and say what the paging fields say."""
        limit, offset = min(int(request.arg("limit", "20")), self.page_size), int(request.arg("offset", "0"))
        shown = rows[:MOST_ROWS][offset : offset + limit]
        more = min(offset + limit, MOST_ROWS) < len(rows)
        paging = {"offset": offset, "limit": limit, "hasMore": more, "totalResults": min(len(rows), MOST_ROWS), "count": len(shown)}
        return shown, paging

    def listed(self, request: SimRequest, rows: list[Any], show: Callable[[list[Any], Json], Json]) -> SimResponse:
        """Answer a page of a list; nothing found is a 204, and so is a later page when a test plans the fault `empty_page`."""
        shown, paging = self.page(request, rows)
        is_lost = paging.get("offset") and self.take(request, "empty_page")
        if is_lost or not (shown or paging.get("hasMore")):
            return SimResponse(status=204)
        return SimResponse(json=show(shown, paging))

    # --- signing in ------------------------------------------------------------------------------------------------------------

    @route("POST", "/oauth/v1/tokens")
    def sign_in(self, request: SimRequest) -> SimResponse:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return problem(415, "GEN00003", "Only application/x-www-form-urlencoded is taken", "Content-Type")
        pair = base64.b64encode(f"{CREDENTIALS['client_id']}:{CREDENTIALS['client_secret']}".encode()).decode()
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if (scheme.lower(), given) != ("basic", pair):
            return refused_sign_in(401, "invalid_client", "Client authentication failed")
        form = request.form()
        grants = {"client_credentials": self.by_client_credentials, "password": self.by_password}
        if not form.get("grant_type"):
            return refused_sign_in(400, "invalid_request", "grant_type is missing")
        if form["grant_type"] not in grants:
            return refused_sign_in(400, "unsupported_grant_type", f"grant_type {form['grant_type']} is not one of {', '.join(grants)}")
        if refusal := grants[form["grant_type"]](request, form):
            return refusal
        token = f"opera-token-{len(self.tokens) + 1}"
        self.tokens[token] = self.clock() + self.token_seconds
        answer = {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer", "oracle_tk_context": "user_assertion"}
        return SimResponse(json=answer)

    def by_client_credentials(self, request: SimRequest, form: Mapping[str, str]) -> SimResponse | None:
        enterprise = request.headers.get("enterpriseid", "")
        if not re.fullmatch(r"[A-Z0-9]{1,8}", enterprise):
            return refused_sign_in(400, "invalid_request", "enterpriseId has to be 1 to 8 capital letters and digits")
        if enterprise != CREDENTIALS["enterprise_id"] or form.get("scope") != SCOPE:
            return refused_sign_in(400, "invalid_scope", "Unknown enterprise or scope")
        return None

    def by_password(self, request: SimRequest, form: Mapping[str, str]) -> SimResponse | None:
        if missing := [name for name in ("username", "password") if not form.get(name)]:
            return refused_sign_in(400, "invalid_request", f"{missing[0]} is missing")
        if (form["username"], form["password"]) != (CREDENTIALS["username"], CREDENTIALS["password"]):
            return refused_sign_in(402, "invalid_grant", "Wrong user name or password")
        return None

    @route("GET", "/rsv/v1/services/reservations/status")
    @route("GET", "/fof/v1/services/frontDeskOperations/status")
    @route("GET", "/hsk/v1/services/houseKeeping/status")
    @route("GET", "/crm/v1/services/profile/status")
    @route("GET", "/csh/v1/services/cashiering/status")
    def ping(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"operaVersion": "25.5.0.0", "links": []})
