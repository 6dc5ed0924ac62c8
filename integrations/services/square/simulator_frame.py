"""What every part of the simulator stands on: Square's errors, tokens, idempotency keys, cursors and webhooks."""

import base64
import contextlib
import hashlib
import hmac
import json
import re
import threading
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from integrations.services.square.simulator_catalog import POOL_BAR, RESTAURANT, Catalog, stamp
from integrations.services.square.simulator_contract import breaches
from integrations.simulators.server import SimRequest, SimResponse, Simulator

TOKEN = "EAAA-simulated-access-token"
MERCHANT = "MLSIMHOTEL001"
SCOPES = ("MERCHANT_PROFILE_READ", "ITEMS_READ", "ORDERS_READ", "ORDERS_WRITE", "PAYMENTS_READ", "PAYMENTS_WRITE")
ELSEWHERE = re.compile(r"/v2/(?P<name>[a-z-]+(?:/[a-z-]+)*)(?:/[^/]+)*|/oauth2/authorize")
NOT_OFFERED = (
    "apple-pay", "bank-accounts", "bookings", "cards", "cash-drawers", "catalog", "channels", "checkout", "customers", "devices", "disputes",
    "employees", "events", "gift-cards", "inventory", "invoices", "labor", "locations", "loyalty", "merchants", "online-checkout", "orders",
    "payments", "payouts", "refunds", "sites", "snippets", "subscriptions", "team-members", "terminals", "transfer-orders", "vendors",
    "webhooks",
)  # fmt: skip
"""Resources of Square's, of which this simulator has nothing, or not everything."""
CODES = {
    400: ("INVALID_REQUEST_ERROR", "BAD_REQUEST"),
    401: ("AUTHENTICATION_ERROR", "UNAUTHORIZED"),
    403: ("AUTHENTICATION_ERROR", "FORBIDDEN"),
    404: ("INVALID_REQUEST_ERROR", "NOT_FOUND"),
    405: ("INVALID_REQUEST_ERROR", "METHOD_NOT_ALLOWED"),
    409: ("INVALID_REQUEST_ERROR", "CONFLICT"),
    429: ("RATE_LIMIT_ERROR", "RATE_LIMITED"),
    500: ("API_ERROR", "INTERNAL_SERVER_ERROR"),
    501: ("API_ERROR", "NOT_IMPLEMENTED"),
    502: ("API_ERROR", "BAD_GATEWAY"),
    503: ("API_ERROR", "SERVICE_UNAVAILABLE"),
    504: ("API_ERROR", "GATEWAY_TIMEOUT"),
}


class RefusalError(Exception):
    """What a handler raises to answer with one of Square's errors."""

    def __init__(self, status: int, code: str, detail: str, field: str = "", category: str = "") -> None:
        error = {"category": category or CODES.get(status, CODES[400])[0], "code": code, "detail": detail}
        self.response = SimResponse(status=status, json={"errors": [error | ({"field": field} if field else {})]})
        super().__init__(detail)


def not_offered(what: str, field: str = "") -> RefusalError:
    """Refuse by name what Square has and this simulator has not."""
    return RefusalError(501, "NOT_IMPLEMENTED", f"This simulator offers no {what}.", field.lstrip("."))


def bad(detail: str, field: str = "", code: str = "BAD_REQUEST") -> RefusalError:
    return RefusalError(400, code, detail, field)


class Frame(Simulator):
    slug: ClassVar[str] = "square"

    def __init__(self, *, items: int = 0, token: str = TOKEN, page_size: int = 1000, scopes: Sequence[str] = SCOPES) -> None:
        """`items` are made up beside the restaurant's menu; `page_size` caps what a caller may ask for."""
        super().__init__()
        self.page_size = page_size
        self.scopes = scopes
        self.catalog = Catalog(items)
        self.tokens = {token: "valid"}
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.done: dict[tuple[str, str], tuple[str, str]] = {}
        """(what, idempotency key) -> (digest of the body, id of what it made)."""
        self.cursor_age = 0
        self.rotations = 0
        common = {"status": "ACTIVE", "country": "PT", "currency": "EUR", "timezone": "Europe/Lisbon", "merchant_id": MERCHANT}
        self.locations = {
            RESTAURANT: {"id": RESTAURANT, "name": "Restaurant Miramar", **common},
            POOL_BAR: {"id": POOL_BAR, "name": "Pool bar", **common},
            "LSIMOLD0000001": {"id": "LSIMOLD0000001", "name": "Old cellar", **common, "status": "INACTIVE"},
        }

    def error(self, status: int, message: str = "") -> SimResponse:
        _, code = CODES.get(status, CODES[400])
        return RefusalError(status, code, message or f"Simulated {code.lower().replace('_', ' ')}.").response

    def malformed(self, message: str) -> SimResponse:
        return bad(message, code="EXPECTED_JSON_BODY").response

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        if request.path not in ("/oauth2/token", "/oauth2/revoke"):
            kind, _, token = request.headers.get("authorization", "").partition(" ")
            state = self.tokens.get(token, "") if kind == "Bearer" else ""
            if state != "valid":
                code = {"expired": "ACCESS_TOKEN_EXPIRED", "revoked": "ACCESS_TOKEN_REVOKED"}.get(state, "UNAUTHORIZED")
                return RefusalError(401, code, "This request could not be authorized.").response
        return self.refuse(request)

    def refuse(self, request: SimRequest) -> SimResponse | None:
        """Refuse what breaks Square's contract."""
        version = request.headers.get("square-version", "2025-08-20")
        if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", version):
            return bad(f"`{version}` is no version of the form YYYY-MM-DD.", "Square-Version", "INVALID_SQUARE_VERSION_FORMAT").response
        if request.body and "json" not in request.headers.get("content-type", ""):
            return RefusalError(415, "UNSUPPORTED_MEDIA_TYPE", "Send JSON.").response
        for field, code, words in breaches(request.method, request.path, request.json()):
            return bad(words, field, code).response
        return None

    def handle(self, request: SimRequest) -> SimResponse:
        try:
            response = super().handle(request)
        except RefusalError as refusal:
            return refusal.response
        place = ELSEWHERE.fullmatch(request.path)
        if response.json and place and (place["name"] or "oauth2").partition("/")[0] in (*NOT_OFFERED, "oauth2"):
            [error] = response.json.get("errors") or [{}]
            if response.status == 405 or (response.status == 404 and error.get("detail", "").startswith("no such resource")):
                return not_offered(f"{request.method} {request.path}").response
        return response

    def need(self, scope: str) -> None:
        if scope not in self.scopes:
            detail = "The merchant has not given your application sufficient permissions to do that."
            raise RefusalError(403, "INSUFFICIENT_SCOPES", detail, category="AUTHENTICATION_ERROR")

    def once(self, what: str, key: str, body: Any, make: Callable[[], str]) -> str:
        """Do something once for each idempotency key, and return the id of what it made. Square refuses a key with another body."""
        digest = _digest(body)
        if key and (what, key) in self.done:
            before, made = self.done[what, key]
            if before != digest:
                raise bad("The idempotency key was used with another request.", "idempotency_key", "IDEMPOTENCY_KEY_REUSED")
            return made
        made = make()
        if key:
            self.done[what, key] = (digest, made)
        return made

    def page(self, found: Sequence[Any], query: Any, limit: int, cursor: str) -> tuple[Sequence[Any], str]:
        """Return one page of a list, and the cursor of the next. Raises RefusalError for a cursor of another query or a lapsed one."""
        place = self.read_cursor(cursor, query)
        end = place + min(limit, self.page_size)
        return found[place:end], self.make_cursor(end, query) if end < len(found) else ""

    def make_cursor(self, place: int, query: Any) -> str:
        return base64.urlsafe_b64encode(f"{self.cursor_age}:{_digest(query)}:{place}".encode()).decode()

    def read_cursor(self, cursor: str, query: Any) -> int:
        if not cursor:
            return 0
        try:
            age, digest, place = base64.urlsafe_b64decode(cursor).decode().split(":")
        except ValueError:
            age = digest = place = ""
        if (age, digest) != (str(self.cursor_age), _digest(query)):
            raise bad("The cursor is invalid.", "cursor", "INVALID_CURSOR")
        return int(place)

    def objects(self, ids: Sequence[str], *, deleted: bool = False) -> list[dict[str, Any]]:
        """Return the catalog objects of these ids that exist."""
        found = []
        for object_id in ids:
            with contextlib.suppress(KeyError):
                one, _ = self.catalog.find(object_id)
                if deleted or not one["is_deleted"]:
                    found.append(one)
        return found

    def notify(self, event_type: str, data: dict[str, Any]) -> None:
        """Send an event to the subscriptions that asked for it, from a thread of its own, once and without retries."""
        event = {"merchant_id": MERCHANT, "type": event_type, "event_id": str(uuid.uuid4()), "created_at": stamp(datetime.now(UTC)), "data": data}  # fmt: skip
        for subscription in self.subscriptions.values():
            if subscription.get("enabled") and event_type in subscription.get("event_types", []):
                target = (subscription["notification_url"], subscription["signature_key"], json.dumps(event).encode())
                threading.Thread(target=_deliver, args=target, daemon=True).start()


def _deliver(url: str, key: str, body: bytes) -> None:
    signature = base64.b64encode(hmac.digest(key.encode(), url.encode() + body, "sha256")).decode()
    headers = {"Content-Type": "application/json", "x-square-hmacsha256-signature": signature, "square-environment": "Sandbox"}
    with contextlib.suppress(OSError):  # Square would try again for a day; here a person looks at the console
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5).close()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
