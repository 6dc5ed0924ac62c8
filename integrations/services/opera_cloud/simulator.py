"""OPERA Cloud in small: Oracle's gateway with its headers and its two sign-ins, and the modules of one hotel behind it.

Stateful, in OPERA's own shapes and with its refusals: a reservation that was checked in is in house, an event that was read is gone.
Error codes have OPERA's form, but their numbers are invented: Oracle does not publish the list. Used by the demo and the tests.
"""

import base64
import time
from collections import deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from integrations.services.opera_cloud.simulator_hotel import LANGUAGES, PSEUDO_TYPE, Json, SimHotel, Stay, stamp
from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

CREDENTIALS = {
    "hotel_code": "SAND01",
    "app_key": "41ecd082-8997-4c69-af34-2f72b83645ff",
    "client_id": "hospient-sandbox",
    "client_secret": "opera-simulator-secret",
    "enterprise_id": "ENT123",
    "username": "HOSPIENT",
    "password": "opera-simulator-password",
}
EXTERNAL_SYSTEM = "HOSPIENT"
TRANSACTION_CODES = {"2000": "Restaurant Food", "2010": "Restaurant Beverage", "4100": "Spa", "9000": "Cash"}
MOST_PROFILES = 1000
"""getProfiles finds no more, however many there are."""
WITHOUT_BODY = (401, 403, 405, 406, 413, 414, 429, 502, 503)

RESERVATION = "/rsv/v1/hotels/{hotel}/reservations/{id}"
FRONT_DESK = "/fof/v1/hotels/{hotel}"
CASHIERING = "/csh/v1/hotels/{hotel}/reservations/{id}"


class RefusedError(Exception):
    """OPERA says no; shown as its problem details."""

    def __init__(self, code: str, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.answer = problem(status, code, detail)


def problem(status: int, code: str, detail: str) -> SimResponse:
    body = {"type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html", "title": "Validation failed", "status": status}
    return SimResponse(status=status, json={**body, "detail": detail, "o:errorCode": code}, content_type="application/problem+json")


class OperaCloudSimulator(Simulator):
    slug = "opera_cloud"

    def __init__(
        self,
        *,
        today: date | None = None,
        currency: str = "EUR",
        extra_reservations: int = 0,
        page_size: int = 200,
        token_seconds: int = 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.hotel = SimHotel(today or date.today(), currency, extra_reservations)
        self.page_size = page_size
        self.token_seconds = token_seconds
        self.clock = clock
        self.tokens: dict[str, float] = {}
        self.events: list[Json] = []
        self.modules = {"rsv", "fof", "hsk", "crm", "csh", "int"}
        """What the application is subscribed to."""
        self.headers: deque[tuple[str, str, Mapping[str, str]]] = deque(maxlen=500)
        """Method, path and headers of the last calls."""
        self.numbers = count(2_240_137)

    def state(self) -> Any:
        hotel = self.hotel
        return {
            "stays": {stay.id: f"{stay.status} {stay.room}".strip() for stay in hotel.stays.values()},
            "rooms": {room.number: [room.housekeeping, room.front_office] for room in hotel.rooms.values()},
            "postings": [[id, p["reference"], p["postedAmount"]["amount"]] for id, found in hotel.postings.items() for p in found],
            "requests": [request["comment"] for request in hotel.requests],
            "profiles": {id: {k: v for k, v in profile.items() if k != "lastModifyDateTime"} for id, profile in hotel.profiles.items()},
            "events": len(self.events),
            "sign_ins": len(self.tokens),
        }

    def control(self, name: str, body: Any) -> Any:
        """What happens at the hotel itself, and shows as business events: see each branch."""
        hotel = self.hotel
        if name == "change_reservation":  # {"id", "room"?, "status"?, "rate"? ...}
            stay = hotel.stays[body["id"]]
            for field, value in body.items():
                setattr(stay, field, value)
            hotel.touch(stay)
            self.tell("Reservation", {"Cancelled": "CANCEL", "NoShow": "NO SHOW"}.get(stay.status, "UPDATE RESERVATION"), stay.id)
        elif name == "change_room":  # {"number", "housekeeping"?, "front_office"?, "seen"?}
            for field, value in body.items():
                setattr(hotel.rooms[body["number"]], field, value)
            self.tell("Housekeeping", "UPDATE ROOM STATUS", body["number"])
        elif name == "change_guest":  # {"id", and what the customer part takes: "language", "vipStatus" ...}
            profile = hotel.profiles[body["id"]]
            profile["customer"] |= {field: value for field, value in body.items() if field != "id"}
            profile["lastModifyDateTime"] = stamp(datetime.now(UTC))
            self.tell("Profile", "UPDATE PROFILE", body["id"])
        elif name == "settle":  # {"id"}
            hotel.settle(body["id"])
        elif name == "expire_tokens":
            self.tokens = dict.fromkeys(self.tokens, 0.0)
        else:
            raise KeyError(name)
        return self.state()

    def tell(self, module: str, action: str, key: str, request: SimRequest | None = None) -> None:
        """Put a business event in the queue, unless the change came from the external system that the queue belongs to."""
        if request and request.headers.get("x-externalsystem") == EXTERNAL_SYSTEM:
            return
        number = next(self.numbers)
        header = {
            "moduleName": module,
            "actionType": action,
            "actionId": number,
            "primaryKey": key,
            "publisherId": 57491,
            "createdDateTime": stamp(datetime.now(UTC)),
            "hotelId": CREDENTIALS["hotel_code"],
        }
        self.events.append({"businessEvent": {"header": header, "details": []}, "businessEventId": {"id": str(number)}})

    # --- the gateway -----------------------------------------------------------------------------------------------------------

    def error(self, status: int, message: str = "") -> SimResponse:
        return SimResponse(status=status) if status in WITHOUT_BODY else problem(status, "GEN00002", message or "Unexpected error")

    def handle(self, request: SimRequest) -> SimResponse:
        try:
            return super().handle(request)
        except RefusedError as refusal:
            return refusal.answer

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        headers = request.headers
        self.headers.append((request.method, request.path, headers))
        if headers.get("x-app-key") != CREDENTIALS["app_key"]:
            return self.error(401)
        if request.path == "/oauth/v1/tokens":
            return None
        if self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "), 0.0) <= self.clock():
            return self.error(401)
        if not headers.get("x-hotelid"):
            return problem(400, "GEN00001", "x-hotelid is missing")
        if (
            headers["x-hotelid"] != CREDENTIALS["hotel_code"]
            or request.args.get("hotel", CREDENTIALS["hotel_code"]) != CREDENTIALS["hotel_code"]
        ):
            return self.error(403)
        if request.path.split("/")[1] not in self.modules:
            return self.error(403)
        if request.body and headers.get("content-type") != "application/json":
            return problem(415, "GEN00003", "Only application/json is taken")
        return None

    @route("POST", "/oauth/v1/tokens")
    def sign_in(self, request: SimRequest) -> SimResponse:
        form = request.form()
        pair = f"{CREDENTIALS['client_id']}:{CREDENTIALS['client_secret']}"
        if request.headers.get("authorization") != f"Basic {base64.b64encode(pair.encode()).decode()}":
            return SimResponse(status=401, json={"error": "invalid_client", "error_description": "Client authentication failed"})
        if form.get("grant_type") == "client_credentials":
            if request.headers.get("enterpriseid") != CREDENTIALS["enterprise_id"] or form.get("scope") != "urn:opc:hgbu:ws:__myscopes__":
                return SimResponse(status=400, json={"error": "invalid_scope", "error_description": "Unknown enterprise or scope"})
        elif (form.get("username"), form.get("password")) != (CREDENTIALS["username"], CREDENTIALS["password"]):
            return SimResponse(status=402, json={"error": "invalid_grant", "error_description": "Wrong user name or password"})
        token = f"opera-token-{len(self.tokens) + 1}"
        self.tokens[token] = self.clock() + self.token_seconds
        answer = {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer", "oracle_tk_context": "user_assertion"}
        return SimResponse(json=answer)

    @route("GET", "/rsv/v1/services/reservations/status")
    @route("GET", "/fof/v1/services/frontDeskOperations/status")
    @route("GET", "/hsk/v1/services/houseKeeping/status")
    @route("GET", "/crm/v1/services/profile/status")
    @route("GET", "/csh/v1/services/cashiering/status")
    def ping(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"operaVersion": "25.5.0.0", "links": []})

    def page(self, request: SimRequest, rows: list[Any]) -> tuple[list[Any], Json]:
        """Cut a page from rows, and say what the paging fields say."""
        limit = min(int(request.arg("limit", "20")), self.page_size)
        offset = int(request.arg("offset", "0"))
        shown = rows[offset : offset + limit]
        more = offset + limit < len(rows)
        return shown, {"offset": offset, "limit": limit, "hasMore": more, "totalResults": len(rows), "count": len(shown)}

    def stay(self, request: SimRequest) -> Stay:
        if request.args["id"] not in self.hotel.stays:
            raise RefusedError("RSV00012", "Reservation not found", status=404)
        return self.hotel.stays[request.args["id"]]

    # --- reservations ----------------------------------------------------------------------------------------------------------

    @route("GET", "/rsv/v1/hotels/{hotel}/reservations")
    def find_reservations(self, request: SimRequest) -> SimResponse:
        first, last = request.arg("arrivalStartDate", "0001-01-01"), request.arg("arrivalEndDate", "9999-12-31")
        found = [stay for stay in self.hotel.stays.values() if first <= str(stay.arrival) <= last]
        if request.arg("searchType") == "InHouse":
            found = [stay for stay in found if stay.status == "InHouse"]
        if room := request.arg("roomId"):
            found = [stay for stay in found if stay.room == room]
        if request.arg("orderBy") == "ArrivalDate":
            found.sort(key=lambda stay: stay.arrival)
        rows, paging = self.page(request, found)
        if not rows:
            return SimResponse(status=204)
        return SimResponse(json={"reservations": {"reservationInfo": [self.hotel.in_list(stay) for stay in rows], **paging}, "links": []})

    @route("GET", RESERVATION)
    def read_reservation(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"reservations": {"reservation": [self.hotel.detail(self.stay(request))]}, "links": []})

    # --- front desk ------------------------------------------------------------------------------------------------------------

    @route("GET", f"{FRONT_DESK}/rooms")
    def find_rooms(self, request: SimRequest) -> SimResponse:
        taken = {stay.room for stay in self.hotel.stays.values() if stay.status in ("Reserved", "InHouse")}
        wanted = (request.arg("roomType"), request.arg("hotelRoomStatus"), request.arg("hotelFORoomStatus"))
        rooms = [
            room
            for room in self.hotel.rooms.values()
            if room.number not in taken and (room.type, room.housekeeping, room.front_office) == wanted
        ]
        rows, paging = self.page(request, rooms)
        if not rows:
            return SimResponse(status=204)
        return SimResponse(json={"hotelRoomsDetails": {"room": [room.detail("roomStatus") for room in rows]}, **paging})

    @route("POST", f"{FRONT_DESK}/reservations/{{id}}/roomAssignments")
    def assign_room(self, request: SimRequest) -> SimResponse:
        stay, number = self.stay(request), request.json()["criteria"]["roomId"]
        if stay.status != "Reserved":
            raise RefusedError("FOF00021", "A room can only be assigned to a reservation in reserved status")
        if number not in self.hotel.rooms or self.hotel.rooms[number].type == PSEUDO_TYPE:
            raise RefusedError("FOF00022", f"Room {number} does not exist")
        if self.hotel.rooms[number].housekeeping not in ("Inspected", "Clean"):
            raise RefusedError("FOF00023", f"Room {number} is {self.hotel.rooms[number].housekeeping}")
        stay.room = number
        self.hotel.touch(stay)
        self.tell("Reservation", "UPDATE RESERVATION", stay.id, request)
        return SimResponse(status=201, json={"links": []})

    @route("POST", f"{FRONT_DESK}/reservations/{{id}}/checkIns")
    def check_in(self, request: SimRequest) -> SimResponse:
        stay, body = self.stay(request), request.json()
        if stay.status == "InHouse":
            raise RefusedError("FOF00001", "Reservation is already checked in")
        if stay.computed(self.hotel.today) != "DueIn":
            raise RefusedError("FOF00002", "Reservation is not due in today")
        if not stay.room:
            raise RefusedError("FOF00003", "No room is assigned to the reservation")
        if body["reservation"].get("roomId", stay.room) != stay.room:
            raise RefusedError("FOF00004", "The room is not the one assigned to the reservation")
        room = self.hotel.rooms[stay.room]
        if room.front_office == "Occupied":
            raise RefusedError("FOF00005", f"Room {room.number} is occupied")
        if room.housekeeping not in ("Inspected", "Clean"):
            raise RefusedError("FOF00006", f"Room status {room.housekeeping} is not right for a check-in")
        stay.status, room.front_office, room.seen = "InHouse", "Occupied", "Occupied"
        self.hotel.touch(stay)
        self.tell("Reservation", "CHECK IN", stay.id, request)
        return SimResponse(status=201, json={"reservation": [self.hotel.detail(stay)], "links": []})

    @route("POST", f"{FRONT_DESK}/serviceRequests")
    def send_request(self, request: SimRequest) -> SimResponse:
        for details in request.json()["serviceRequestsDetails"]:
            number = str(500 + len(self.hotel.requests))
            self.hotel.requests.append({**details, "serviceRequestId": {"id": number, "type": "ServiceRequest"}})
        location = f"{request.path}/{number}"
        return SimResponse(status=201, json={"links": []}, headers={"Location": location})

    @route("GET", f"{FRONT_DESK}/serviceRequests")
    def find_requests(self, request: SimRequest) -> SimResponse:
        start, end = (date.fromisoformat(request.arg(name)) for name in ("creationStartDate", "creationEndDate"))
        if (end - start).days > 30:
            raise RefusedError("FOF00031", "The time span is longer than 30 days")
        found = self.hotel.requests
        if id := request.arg("reservationId"):
            found = [row for row in found if id in (ref["id"] for ref in row.get("reservationIdList", ()))]
        if room := request.arg("room"):
            found = [row for row in found if row.get("room") == room]
        return SimResponse(json={"serviceRequestsDetails": found}) if found else SimResponse(status=204)

    # --- housekeeping ----------------------------------------------------------------------------------------------------------

    @route("GET", "/hsk/v1/hotels/{hotel}/housekeepingOverview")
    def overview(self, request: SimRequest) -> SimResponse:
        rows, paging = self.page(request, [room for room in self.hotel.rooms.values() if request.arg("roomIdText") in room.number])
        if not rows:
            return SimResponse(status=204)
        rooms = [room.detail("housekeepingRoomStatus") for room in rows]
        return SimResponse(json={"housekeepingRoomInfo": {"housekeepingRooms": {"room": rooms}, **paging}, "links": []})

    # --- profiles --------------------------------------------------------------------------------------------------------------

    @route("GET", "/crm/v1/profiles")
    def find_profiles(self, request: SimRequest) -> SimResponse:
        if int(request.arg("limit", "20")) > 200:
            raise RefusedError("CRM00003", "The maximum allowable limit is 200")
        rows, paging = self.page(request, list(self.hotel.profiles)[:MOST_PROFILES])
        if not rows:
            return SimResponse(status=204)
        return SimResponse(json={"profileSummaries": {"profileInfo": [self.hotel.summary(id) for id in rows], **paging}, "links": []})

    @route("GET", "/crm/v1/profiles/{id}")
    def read_profile(self, request: SimRequest) -> SimResponse:
        profile = self.hotel.profiles.get(request.args["id"])
        if profile is None:
            return SimResponse(status=204)
        return SimResponse(json={"profileIdList": [{"id": request.args["id"], "type": "Profile"}], "profileDetails": profile, "links": []})

    @route("PUT", "/crm/v1/profiles/{id}")
    def change_profile(self, request: SimRequest) -> SimResponse:
        """Take what is sent, keep what is not. A child without an id is one more: that is how careless clients make duplicates."""
        profile = self.hotel.profiles.get(request.args["id"])
        if profile is None:
            raise RefusedError("CRM00012", "Profile not found", status=404)
        sent = request.json()["profileDetails"]
        if sent.get("customer", {}).get("language", "E") not in LANGUAGES:
            raise RefusedError("CRM00021", "Language is not in the list of values")
        if not self.take(request, "ignore"):
            profile["customer"] |= sent.get("customer", {})
            for part, children in (("emails", "emailInfo"), ("telephones", "telephoneInfo"), ("comments", "commentInfo")):
                for child in sent.get(part, {}).get(children, ()):
                    self.take_child(profile.setdefault(part, {}).setdefault(children, []), deepcopy(child))
            profile["lastModifyDateTime"] = stamp(datetime.now(UTC))
            self.tell("Profile", "UPDATE PROFILE", request.args["id"], request)
        return SimResponse(json={"profileIdList": [{"id": request.args["id"], "type": "Profile"}], "links": []})

    def take_child(self, children: list[Json], child: Json) -> None:
        for index, known in enumerate(children):
            if child.get("id") and known["id"] == child["id"]:
                children[index] = child
                return
        children.append({**child, "id": f"n{len(children)}"})

    # --- cashiering ------------------------------------------------------------------------------------------------------------

    @route("GET", "/csh/v1/hotels/{hotel}/transactionCodes")
    def transaction_codes(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"trxCodes": [{"transactionCode": code, "description": text} for code, text in TRANSACTION_CODES.items()]})

    @route("POST", f"{CASHIERING}/charges")
    def charge(self, request: SimRequest) -> SimResponse:
        stay, criteria = self.stay(request), request.json()["criteria"]
        if stay.status != "InHouse":
            raise RefusedError("CSH00011", "Charges can be posted only to a reservation that is in house")
        if not stay.takes_charges:
            raise RefusedError("CSH00012", "The reservation has the flag No Post")
        for charge in criteria["charges"]:
            if charge["transactionCode"] not in TRANSACTION_CODES:
                raise RefusedError("CSH00013", f"Transaction code {charge['transactionCode']} is not valid")
        postings = [self.hotel.post(stay.id, charge) for charge in criteria["charges"]]
        return SimResponse(status=201, json={"postings": postings, "links": []})

    @route("GET", f"{CASHIERING}/folios")
    def folio(self, request: SimRequest) -> SimResponse:
        stay = self.stay(request)
        if stay.status not in ("InHouse", "CheckedOut"):
            return SimResponse(status=204)
        limit = min(int(request.arg("limit", "200")), self.page_size)
        with_postings = "Postings" in request.query.get("fetchInstructions", ())
        windows = list(self.hotel.windows(stay.id, with_postings, int(request.arg("offset", "0")), limit))
        return SimResponse(json={"reservationFolioInformation": {"folioWindows": windows}, "links": []})

    @route("POST", f"{CASHIERING}/checkOuts")
    def check_out(self, request: SimRequest) -> SimResponse:
        stay, body = self.stay(request), request.json()
        if stay.status == "CheckedOut":
            raise RefusedError("CSH00001", "Reservation is already checked out")
        if stay.computed(self.hotel.today) != "DueOut":
            raise RefusedError("CSH00002", "Reservation is not due out today")
        if self.hotel.balance(stay.id):
            raise RefusedError("CSH00003", "Reservation has an open folio balance")
        if not body.get("verificationOnly"):
            room = self.hotel.rooms[stay.room]
            room.housekeeping = body["reservation"].get("checkoutInstr", {}).get("roomStatus", "Dirty")
            stay.status, room.front_office, room.seen = "CheckedOut", "Vacant", "Vacant"
            self.hotel.touch(stay)
            self.tell("Reservation", "CHECK OUT", stay.id, request)
        return SimResponse(status=201, json={"links": []})

    # --- business events -------------------------------------------------------------------------------------------------------

    @route("GET", "/int/v1/externalSystem/{system}/hotels/{hotel}/businessEvents")
    def read_events(self, request: SimRequest) -> SimResponse:
        limit = int(request.arg("limit", "20"))
        if limit > 20:
            raise RefusedError("INT00002", "The maximum allowable limit is 20")
        taken, self.events = self.events[:limit], self.events[limit:]
        if not taken or request.args["system"] != EXTERNAL_SYSTEM:
            return SimResponse(status=204)
        return SimResponse(json={"businessEventData": taken, "dataValueMapping": [], "links": []})


def connection(url: str) -> dict[str, Any]:
    """Return what a hotel would enter to connect to this simulator at `url`."""
    return {
        "integration_type": "pms",
        "provider_name": "Opera PMS",
        "environment": "sandbox",
        "config": {
            "base_url": url,
            "external_system": EXTERNAL_SYSTEM,
            "cashier_id": 4,
            "transaction_codes": {"food": "2000", "beverage": "2010", "spa": "4100"},
            "default_transaction_code": "2000",
        },
        "credentials": {name: CREDENTIALS[name] for name in ("hotel_code", "app_key", "client_id", "client_secret", "enterprise_id")},
        "sync_settings": {"auto_sync": True, "sync_interval": "hourly"},
    }


simulator = OperaCloudSimulator
