"""Simphony in small: an OpenID provider, the menus of one revenue center, and its checks.

It keeps Oracle's rules that matter: one-time codes and refresh tokens, PKCE, context headers, entity tags, a duplicate request noticed
for 300 seconds and only if the request asks for it, check names unique among open checks, totals it works out itself.
"""

import base64
import copy
import hashlib
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from integrations.services.simphony.simulator_checks import Prices, RefusalError, check_shape, invalid, not_offered, subtotal
from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

FIXTURES = Path(__file__).parent / "fixtures"
TAX = Decimal("0.08")
DUPLICATE_SECONDS = 300
ORDER_TYPES = {1: "Room service", 2: "Take out"}
AUTHORIZE = {"response_type": "code", "scope": "openid", "redirect_uri": "apiaccount://callback", "code_challenge_method": "S256"}
"""What a sign-in begins with, beside the client and the challenge."""
FILTERS = ("checkNumbers", "checkEmployeeRef", "orderTypeRef", "sinceTime", "includeClosed", "tableName")
"""Of a list of checks."""
ELSEWHERE = re.compile(
    r"/api/v\d/(organizations|tenders|taxes|discounts|serviceCharges|barcodes|employees|notifications|menus|checks/[^/]+/\w+)(/.*)?"
)
"""Resources of Simphony's, of which this simulator has nothing, or not everything."""


def _unsigned(field: str) -> SimResponse:
    return SimResponse(status=400, json={"status": 400, "message": field, "code": "VALIDATION_ERRORS"})


class SimphonySimulator(Simulator):
    slug = "simphony"
    org, location, center = "grandhotel", "bar01", 42
    client_id, username, password = "R1JBTkQuYmFy=", "hospient.api", "Porto-7-Estrelas"
    employee, tender, service_total, open_item = 1929, 85, 90, 10199

    def __init__(self, page_size: int = 0, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.clock = clock
        self.started: dict[str, str] = {}
        """Cookie of a begun sign-in -> its code challenge."""
        self.codes: dict[str, str] = {}
        self.id_tokens: set[str] = set()
        self.refresh_tokens: set[str] = set()
        self.counts = {"signins": 0, "refused_signins": 0, "refreshes": 0}
        self.is_online = True
        self.last_number = 430
        self.menus = self._menus(page_size)
        self.unavailable = json.loads((FIXTURES / "items_unavailable.json").read_text())
        self.checks: dict[str, dict[str, Any]] = {}
        self.answered: dict[str, tuple[float, dict[str, Any]]] = {}
        """idempotencyId -> when it was answered, and how."""
        self.bodies: list[bytes] = []
        """Check bodies as they came over the wire."""
        for days, name in ((9, "Terrace"), (1, "Pool bar"), (0, "Lobby")):
            self._open_check({"checkName": name, "checkEmployeeRef": self.employee}, [{"menuItemId": 10103, "quantity": 1}], [], days)

    def _menus(self, page_size: int) -> dict[str, dict[str, Any]]:
        """Split the menu into several where a test wants small answers."""
        whole = json.loads((FIXTURES / "menu.json").read_text())
        items, groups = whole["menuItems"], whole["familyGroups"]
        size = page_size or max(len(items), len(groups))
        menus = {}
        for number, start in enumerate(range(0, max(len(items), len(groups)), size)):
            menu_id = whole["menuId"] + (f":{number}" if number else "")
            part = {"menuItems": items[start : start + size], "familyGroups": groups[start : start + size]}
            menus[menu_id] = {**copy.deepcopy(whole), **copy.deepcopy(part), "menuId": menu_id}
        return menus

    def error(self, status: int, message: str = "", code: str = "") -> SimResponse:
        body: dict[str, Any] = {"title": "POS Error" if code else "Error", "status": status, "detail": message or f"status {status}"}
        if code:
            body["posDetails"] = [{"code": code, "message": message}]
        return SimResponse(status=status, json=body, content_type="application/problem+json")

    def state(self) -> Any:
        return {"checks": {check["header"]["checkRef"]: check["header"]["status"] for check in self.checks.values()}, **self.counts}

    def control(self, name: str, body: Any) -> Any:
        with self.lock:
            match name:
                case "price":
                    self._item(body["item"])["definitions"][0]["prices"][0]["price"] = body["price"]
                case "remove_item":
                    for menu in self.menus.values():
                        menu["menuItems"] = [item for item in menu["menuItems"] if item["menuItemId"] != body["item"]]
                case "sold_out":
                    self.unavailable["items"] = [{"menuItemId": item, "definitions": []} for item in body["items"]]
                case "close_check":
                    self._pay(self.checks[body["check"]], self.checks[body["check"]]["totals"]["totalDue"])
                case "expire_tokens":
                    self.id_tokens.clear()
                case "online":
                    self.is_online = body["online"]
                case _:
                    raise KeyError(name)
        return self.state()

    # --- doors of the simulator itself ---------------------------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimResponse:
        try:
            response = super().handle(request)
        except RefusalError as refusal:
            return self.error(refusal.status, refusal.words, refusal.code)
        is_unknown = response.status == 405 or (response.status == 404 and "no such resource" in response.json["detail"])
        if is_unknown and ELSEWHERE.fullmatch(request.path):
            return self.error(501, f"This simulator does not offer {request.method} {request.path}.", "not_implemented")
        return response

    # --- sign-in -----------------------------------------------------------------------------------------------------------------

    @route("GET", "/oidc-provider/v1/oauth2/authorize")
    def authorize(self, request: SimRequest) -> SimResponse:
        if request.arg("client_id") != self.client_id:
            return _unsigned("INVALID_CLIENT")
        for name, wanted in AUTHORIZE.items():
            if request.arg(name) != wanted:
                return _unsigned(name)
        if not re.fullmatch("[A-Za-z0-9_-]{43}", request.arg("code_challenge")):
            return _unsigned("code_challenge")
        cookie = f"sim{len(self.started) + 1}"
        self.started[cookie] = request.arg("code_challenge")
        return SimResponse(json={}, headers={"Set-Cookie": f"oidc={cookie}; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT; HttpOnly"})

    @route("POST", "/oidc-provider/v1/oauth2/signin")
    def signin(self, request: SimRequest) -> SimResponse:
        form, cookie = request.form(), request.headers.get("cookie", "").removeprefix("oidc=")
        self.counts["signins"] += 1
        if cookie not in self.started or (form.get("username"), form.get("password"), form.get("orgname")) != (
            self.username,
            self.password,
            self.org,
        ):
            self.counts["refused_signins"] += 1
            return SimResponse(status=401, json=json.loads((FIXTURES / "error_signin.json").read_text()))
        code = f"code{self.counts['signins']}="
        self.codes[code] = self.started.pop(cookie)
        return SimResponse(json={"nextOp": "redirect", "success": "true", "redirectUrl": f"apiaccount://callback?code={quote(code)}"})

    @route("POST", "/oidc-provider/v1/oauth2/token")
    def token(self, request: SimRequest) -> SimResponse:
        form = request.form()
        if form.get("grant_type") not in ("authorization_code", "refresh_token"):
            return _unsigned("grant_type")
        for name, wanted in {"client_id": self.client_id, "scope": "openid", "redirect_uri": AUTHORIZE["redirect_uri"]}.items():
            if form.get(name) != wanted:
                return _unsigned(name)
        if form["grant_type"] == "refresh_token":
            allowed = form.get("refresh_token") in self.refresh_tokens
            self.refresh_tokens.discard(form.get("refresh_token", ""))
            self.counts["refreshes"] += allowed
        elif not 43 <= len(form.get("code_verifier", "")) <= 128:
            return _unsigned("code_verifier")
        else:
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            allowed = self.codes.pop(form.get("code", ""), "") == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not allowed:
            return SimResponse(status=401, json={"status": 401, "message": "AUTHENTICATION_CODE_NOT_FOUND", "code": "RECORD_NOT_FOUND"})
        number = self.counts["signins"] + self.counts["refreshes"]
        id_token, refresh_token = f"sim-id-token-{number}", f"sim-refresh-token-{number}"
        self.id_tokens = {id_token}
        self.refresh_tokens.add(refresh_token)
        return SimResponse(json={"id_token": id_token, "refresh_token": refresh_token, "access_token": "unused", "expires_in": "1209600"})

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        wanted = "application/x-www-form-urlencoded" if request.path.startswith("/oidc-provider/") else "application/json"
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if request.body and kind != wanted:
            return self.error(415, f"Content-Type {kind} is not supported: send {wanted}.")
        if request.path.startswith("/oidc-provider/"):
            return None
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.id_tokens:
            return self.error(401, "The token is not valid.")
        by_query = {"OrgShortName": self.org, "LocRef": self.location, "RvcRef": str(self.center)}
        if "/summary" in request.path or "/unavailable" in request.path:
            for name, wanted in by_query.items():
                if request.arg(name) != wanted:
                    return self.error(400, f"{name} is missing or not known.")
        by_header = ("/checks" in request.path and request.method != "POST") or "menu_id" in request.args
        if by_header and self._context(request) != (self.org, self.location, str(self.center)):
            return self.error(400, "Simphony-OrgShortName, Simphony-LocRef and Simphony-RvcRef are required.")
        return None

    def _context(self, request: SimRequest) -> tuple[str, ...]:
        return tuple(request.headers.get(f"simphony-{name}", "") for name in ("orgshortname", "locref", "rvcref"))

    # --- configuration -----------------------------------------------------------------------------------------------------------

    @route("GET", "/api/v1/organizations/{org}/locations/{location}/revenueCenters/{center}")
    def revenue_center(self, request: SimRequest) -> SimResponse:
        if request.args != {"org": self.org, "location": self.location, "center": str(self.center)}:
            return self.error(404, "Requested resource not found")
        order_types = [{"orderTypeRef": number, "name": name} for number, name in ORDER_TYPES.items()]
        return SimResponse(json={"rvcRef": self.center, "locRef": self.location, "name": "Harbour Bar", "orderTypes": order_types})

    @route("GET", "/api/v1/menus/summary")
    @route("GET", "/api/v2/menus/summary")
    def menus_summary(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"items": [{"menuId": menu_id, "name": menu["name"]} for menu_id, menu in self.menus.items()]})

    @route("GET", "/api/v1/menus/{menu_id}")
    @route("GET", "/api/v2/menus/{menu_id}")
    def read_menu(self, request: SimRequest) -> SimResponse:
        menu = self.menus.get(request.args["menu_id"])
        if not menu:
            return self.error(404, "Requested resource not found")
        tag = f'"{hashlib.sha256(json.dumps(menu).encode()).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == tag:
            return SimResponse(status=304, headers={"ETag": tag})
        return SimResponse(json=menu, headers={"ETag": tag})

    @route("GET", "/api/v1/menus/items/unavailable")
    def items_unavailable(self, request: SimRequest) -> SimResponse:
        return SimResponse(json=self.unavailable)

    def _item(self, item_id: int) -> dict[str, Any]:
        """Return an item of the menus. Raises KeyError."""
        return {item["menuItemId"]: item for menu in self.menus.values() for item in menu["menuItems"]}[item_id]

    # --- checks ------------------------------------------------------------------------------------------------------------------

    @route("HEAD", "/api/v1/checks/connectionStatus")
    def connection_status(self, request: SimRequest) -> SimResponse:
        return SimResponse(headers={"Simphony-POS-Connected": str(self.is_online).lower()})

    @route("POST", "/api/v1/checks")
    def post_check(self, request: SimRequest) -> SimResponse:
        if self.take(request, "still_working"):
            body = json.loads((FIXTURES / "error_duplicate_request.json").read_text())
            return SimResponse(status=400, json=body, content_type="application/problem+json")
        self.bodies.append(request.body)
        body = self._read_check(request)
        header, key = body["header"], body["header"]["idempotencyId"]
        answered_at, answer = self.answered.get(key, (0.0, {}))
        if "detect-duplicate-request" in request.headers.get("simphony-features", "") and self.clock() - answered_at < DUPLICATE_SECONDS:
            return SimResponse(json={**answer, "header": {**answer["header"], "isCachedResponse": True}})
        if any(check["header"]["checkName"] == header["checkName"] and self._is_open(check) for check in self.checks.values()):
            raise RefusalError("check_name_in_use", "The check name is in use.")
        check = self._open_check(header, body.get("menuItems", []), body.get("tenders", []))
        self.answered[key] = (self.clock(), copy.deepcopy(check))
        return SimResponse(json=check)

    @route("POST", "/api/v1/checks/calculator")
    def calculate_check(self, request: SimRequest) -> SimResponse:
        """Answer what a check would come to, and keep nothing."""
        body = self._read_check(request)
        return SimResponse(json=self._check(body["header"], body.get("menuItems", [])))

    @route("POST", "/api/v1/checks/{check}/round")
    def add_round(self, request: SimRequest) -> SimResponse:
        check = self._find(request)
        if not self._is_open(check):
            raise RefusalError("check_closed", "The check is closed.")
        body = self._read_check(request)
        check["menuItems"] += self._priced(body.get("menuItems", []))
        self._add_up(check)
        self._tender(check, body.get("tenders", []))
        return SimResponse(json=check)

    def _read_check(self, request: SimRequest) -> dict[str, Any]:
        if "enable-condiment-prefix" in request.headers.get("simphony-features", ""):
            raise not_offered("enable-condiment-prefix")
        known = {"orgShortName": (self.org,), "locRef": (self.location,), "rvcRef": (self.center,)}
        known |= {"checkEmployeeRef": (self.employee,), "orderTypeRef": tuple(ORDER_TYPES)}
        body = request.json()
        check_shape(body, in_header=known, tenders=(self.tender, self.service_total))
        return body

    def _priced(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        prices = Prices(self.menus, self.unavailable)
        return [prices.line(line) for line in lines]

    def _check(self, header: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
        check = {"header": {**header, "status": "open"}, "menuItems": self._priced(lines), "tenders": [], "totals": {"paymentTotal": 0}}
        self._add_up(check)
        return check

    def _add_up(self, check: dict[str, Any]) -> None:
        whole, paid = subtotal(check["menuItems"]), check["totals"]["paymentTotal"]
        tax = (whole * TAX).quantize(Decimal("0.01"))
        tips = check["totals"].get("serviceChargeTotal", 0)
        charges = {"subtotalDiscountTotal": 0, "autoServiceChargeTotal": 0, "serviceChargeTotal": tips}
        due = round(float(whole + tax) + tips - paid, 2)
        check["totals"] = {"subtotal": float(whole), **charges, "taxTotal": float(tax), "paymentTotal": paid, "totalDue": due}

    def _open_check(
        self, header: dict[str, Any], lines: list[dict[str, Any]], tenders: list[dict[str, Any]], days: int = 0
    ) -> dict[str, Any]:
        check = self._check(header, lines)
        self.last_number += 1
        opened = datetime.fromtimestamp(self.clock(), UTC) - timedelta(days=days)
        check["header"] |= {
            "checkRef": f"929aacee2c6d42c78ae877e824c28eed{self.last_number:08d}",
            "checkNumber": self.last_number,
            "openTime": opened.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        self.checks[check["header"]["checkRef"]] = check
        self._tender(check, tenders)
        return check

    def _tender(self, check: dict[str, Any], tenders: list[dict[str, Any]]) -> None:
        for tender in tenders:
            check["tenders"].append(tender)
            if tender["tenderId"] == self.tender:
                if tip := tender.get("chargedTipTotal"):  # comes upon the check as a service charge, and is paid with the rest
                    totals = check["totals"]
                    totals["serviceChargeTotal"] = round(totals["serviceChargeTotal"] + tip, 2)
                    totals["totalDue"] = round(totals["totalDue"] + tip, 2)
                self._pay(check, tender["total"])

    def _pay(self, check: dict[str, Any], amount: float) -> None:
        totals = check["totals"]
        totals["paymentTotal"] = round(totals["paymentTotal"] + amount, 2)
        totals["totalDue"] = round(totals["totalDue"] - amount, 2)
        if totals["totalDue"] <= 0:
            check["header"]["status"] = "closed"

    def _is_open(self, check: dict[str, Any]) -> bool:
        return check["header"]["status"] == "open"

    @route("GET", "/api/v1/checks")
    def list_checks(self, request: SimRequest) -> SimResponse:
        for name in request.query:
            if name not in FILTERS:
                raise invalid(name)
        numbers = [one for one in request.arg("checkNumbers").split(",") if one]
        employee, order_type, table = (request.arg(name) for name in ("checkEmployeeRef", "orderTypeRef", "tableName"))
        closed = request.arg("includeClosed", "false")
        for name, wanted in (("checkNumbers", numbers), ("checkEmployeeRef", [employee]), ("orderTypeRef", [order_type])):
            if not all(one.isdecimal() for one in wanted if one):
                raise invalid(name)
        if closed not in ("true", "false"):
            raise invalid("includeClosed")
        since = _moment(request.arg("sinceTime"))
        found = [
            header
            for header in (check["header"] for check in self.checks.values())
            if (closed == "true" or header["status"] == "open")
            and (not numbers or str(header["checkNumber"]) in numbers)
            and employee in ("", str(header["checkEmployeeRef"]))
            and order_type in ("", str(header.get("orderTypeRef", "")))
            and table in ("", header.get("tableName"))
            and (since is None or datetime.fromisoformat(header["openTime"]) >= since)
        ]
        return SimResponse(json={"items": [{k: v for k, v in header.items() if k != "idempotencyId"} for header in found]})

    def _find(self, request: SimRequest) -> dict[str, Any]:
        if request.args["check"] not in self.checks:
            raise RefusalError("", "Check is invalid.", 404)
        return self.checks[request.args["check"]]

    @route("GET", "/api/v1/checks/{check}")
    def read_check(self, request: SimRequest) -> SimResponse:
        return SimResponse(json=self._find(request))

    @route("DELETE", "/api/v1/checks/{check}")
    def delete_check(self, request: SimRequest) -> SimResponse:
        if not self._is_open(self._find(request)):
            raise RefusalError("check_closed", "The check is closed.")
        del self.checks[request.args["check"]]
        return SimResponse(status=204)


def _moment(text: str) -> datetime | None:
    """Read `sinceTime`, which is in UTC."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise invalid("sinceTime") from None
    if found.utcoffset() != timedelta(0):
        raise invalid("sinceTime")
    return found


simulator = SimphonySimulator


def connection(url: str) -> dict[str, Any]:
    """Return what a hotel would enter to connect to this simulator at `url`."""
    return {
        "integration_type": "pos",
        "provider_name": "Oracle Simphony",
        "config": {
            "base_url": f"{url}/api/v1",
            "oidc_url": url,
            "org_short_name": SimphonySimulator.org,
            "loc_ref": SimphonySimulator.location,
            "rvc_ref": SimphonySimulator.center,
            "employee_ref": SimphonySimulator.employee,
            "tender_id": SimphonySimulator.tender,
            "open_item_id": SimphonySimulator.open_item,
        },
        "credentials": {
            "client_id": SimphonySimulator.client_id,
            "username": SimphonySimulator.username,
            "password": SimphonySimulator.password,
        },
        "sync_settings": {"auto_sync": True, "sync_interval": "hourly"},
    }
