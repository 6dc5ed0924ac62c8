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

from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

FIXTURES = Path(__file__).parent / "fixtures"
TAX = Decimal("0.08")
DUPLICATE_SECONDS = 300


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

    # --- sign-in -----------------------------------------------------------------------------------------------------------------

    @route("GET", "/oidc-provider/v1/oauth2/authorize")
    def authorize(self, request: SimRequest) -> SimResponse:
        if request.arg("client_id") != self.client_id:
            return SimResponse(status=400, json={"status": 400, "message": "INVALID_CLIENT", "code": "VALIDATION_ERRORS"})
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
        if form.get("grant_type") not in ("authorization_code", "refresh_token") or form.get("client_id") != self.client_id:
            return SimResponse(status=400, json={"status": 400, "message": "grant_type or client_id", "code": "VALIDATION_ERRORS"})
        if form["grant_type"] == "refresh_token":
            allowed = form.get("refresh_token") in self.refresh_tokens
            self.refresh_tokens.discard(form.get("refresh_token", ""))
            self.counts["refreshes"] += allowed
        else:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            allowed = self.codes.pop(form.get("code", ""), "") == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not allowed:
            return SimResponse(status=401, json={"status": 401, "message": "AUTHENTICATION_CODE_NOT_FOUND", "code": "RECORD_NOT_FOUND"})
        number = self.counts["signins"] + self.counts["refreshes"]
        id_token, refresh_token = f"sim-id-token-{number}", f"sim-refresh-token-{number}"
        self.id_tokens = {id_token}
        self.refresh_tokens.add(refresh_token)
        return SimResponse(json={"id_token": id_token, "refresh_token": refresh_token, "access_token": "unused", "expires_in": "1209600"})

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        if request.path.startswith("/oidc-provider/"):
            return None
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.id_tokens:
            return self.error(401, "The token is not valid.")
        by_header = "/checks" in request.path or "menu_id" in request.args
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
        order_types = [{"orderTypeRef": 1, "name": "Room service"}, {"orderTypeRef": 2, "name": "Take out"}]
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
        body = request.json()
        if wrong := self._wrong(body):
            return self.error(400, f"{wrong} is missing, unknown or not of its type.", "invalid_request")
        header, key = body["header"], body["header"]["idempotencyId"]
        answered_at, answer = self.answered.get(key, (0.0, {}))
        if "detect-duplicate-request" in request.headers.get("simphony-features", "") and self.clock() - answered_at < DUPLICATE_SECONDS:
            return SimResponse(json={**answer, "header": {**answer["header"], "isCachedResponse": True}})
        if any(check["header"]["checkName"] == header["checkName"] and self._is_open(check) for check in self.checks.values()):
            return self.error(400, "The check name is in use.", "check_name_in_use")
        try:
            check = self._open_check(header, body["menuItems"], body.get("tenders", []))
        except KeyError:
            return self.error(400, "A menu item is not available.", "menu_item_not_available")
        self.answered[key] = (self.clock(), copy.deepcopy(check))
        return SimResponse(json=check)

    def _wrong(self, body: Any) -> str:
        """Return the first field of a check that is wrong, or nothing."""
        header = body.get("header") if isinstance(body, dict) else None
        if not isinstance(header, dict):
            return "header"
        known = {"orgShortName": self.org, "locRef": self.location, "rvcRef": self.center, "checkEmployeeRef": self.employee}
        for name, value in known.items():
            if header.get(name) != value or isinstance(header.get(name), bool):
                return f"header.{name}"
        if header.get("orderTypeRef") not in (1, 2):
            return "header.orderTypeRef"
        if not re.fullmatch("[0-9a-f]{32}", str(header.get("idempotencyId"))):
            return "header.idempotencyId"
        if not isinstance(header.get("checkName"), str):
            return "header.checkName"
        for block in ("discounts", "serviceCharges", "comboMeals", "taxes"):  # not offered here
            if body.get(block):
                return block
        for block in ("menuItems", "tenders"):
            lines = body.get(block, [])
            if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
                return block
        for number, line in enumerate(body.get("menuItems", [])):
            for name, least in (("menuItemId", 1), ("quantity", 0), ("definitionSequence", 1), ("priceSequence", 1), ("unitPrice", None)):
                value = line.get(name, 1)
                if isinstance(value, bool) or not isinstance(value, int | float) or (least is not None and value < least):
                    return f"menuItems[{number}].{name}"
            if "menuItemId" not in line or not line.get("quantity"):
                return f"menuItems[{number}]"
        for number, line in enumerate(body.get("tenders", [])):
            if line.get("tenderId") not in (self.tender, self.service_total):
                return f"tenders[{number}].tenderId"
            total = line.get("total")
            if isinstance(total, bool) or not isinstance(total, int | float) or total < 0:
                return f"tenders[{number}].total"
        return ""

    def _open_check(
        self, header: dict[str, Any], lines: list[dict[str, Any]], tenders: list[dict[str, Any]], days: int = 0
    ) -> dict[str, Any]:
        subtotal = sum((self._line_total(line) for line in lines), Decimal(0))
        tax = (subtotal * TAX).quantize(Decimal("0.01"))
        self.last_number += 1
        number = self.last_number
        opened = datetime.fromtimestamp(self.clock(), UTC) - timedelta(days=days)
        check = {
            "header": {
                **header,
                "checkRef": f"929aacee2c6d42c78ae877e824c28eed{number:08d}",
                "checkNumber": number,
                "openTime": opened.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "status": "open",
            },
            "menuItems": lines,
            "tenders": [],
            "totals": {"subtotal": float(subtotal), "taxTotal": float(tax), "paymentTotal": 0, "totalDue": float(subtotal + tax)},
        }
        self.checks[check["header"]["checkRef"]] = check
        for tender in tenders:
            if tender["tenderId"] == self.tender:
                self._pay(check, tender["total"])
        return check

    def _line_total(self, line: dict[str, Any]) -> Decimal:
        item = self._item(line["menuItemId"])
        sequence = line.get("definitionSequence", 1)
        definition = {one["definitionSequence"]: one for one in item["definitions"]}[sequence]
        for gone in self.unavailable["items"]:
            sequences = {one["definitionSequence"] for one in gone["definitions"]} or {sequence}
            if gone["menuItemId"] == item["menuItemId"] and sequence in sequences:
                raise KeyError(item["menuItemId"])
        prices = {price["priceSequence"]: price["price"] for price in definition["prices"]}
        price = line["unitPrice"] if "unitPrice" in line else prices[line.get("priceSequence", 1)]
        return Decimal(str(price)) * Decimal(str(line["quantity"]))

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
        employee, since = request.arg("checkEmployeeRef"), request.arg("sinceTime")
        headers = [
            check["header"]
            for check in self.checks.values()
            if (request.arg("includeClosed") == "true" or self._is_open(check))
            and employee in ("", str(check["header"]["checkEmployeeRef"]))
            and check["header"]["openTime"] >= since
        ]
        return SimResponse(json={"items": [{k: v for k, v in header.items() if k != "idempotencyId"} for header in headers]})

    @route("GET", "/api/v1/checks/{check}")
    def read_check(self, request: SimRequest) -> SimResponse:
        check = self.checks.get(request.args["check"])
        return SimResponse(json=check) if check else self.error(404, "Check is invalid.")

    @route("DELETE", "/api/v1/checks/{check}")
    def delete_check(self, request: SimRequest) -> SimResponse:
        check = self.checks.get(request.args["check"])
        if not check:
            return self.error(404, "Check is invalid.")
        if not self._is_open(check):
            return self.error(400, "The check is closed.", "check_closed")
        del self.checks[request.args["check"]]
        return SimResponse(status=204)


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
