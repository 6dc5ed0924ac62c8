"""OPERA Cloud in small: the modules of one hotel behind Oracle's gateway.

Stateful, in OPERA's own shapes and with its refusals: a reservation that was checked in is in house, an event that was read is gone.
What the specification says of a request is held to in `simulator_contract`; what only OPERA's business rules forbid, here. Used by the
demo and the tests.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from integrations import values
from integrations.services.opera_cloud.simulator_gateway import CREDENTIALS, RefusedError, SimGateway, problem
from integrations.services.opera_cloud.simulator_hotel import LANGUAGES, PSEUDO_TYPE, Json, SimHotel, SimRoom, Stay, stamp
from integrations.simulators.server import SimRequest, SimResponse, route

EXTERNAL_SYSTEM = "HOSPIENT"
TRANSACTION_CODES = {"2000": "Restaurant Food", "2010": "Restaurant Beverage", "4100": "Spa", "9000": "Cash"}
PAYMENTS = ("9000",)
"""Transaction codes that are paid with: a charge cannot be posted to them."""
CASHIERS = (4,)
REQUEST_CODES = ("HKT", "MNT")
REQUEST_PRIORITIES = ("1", "2", "3")
PHONE_TYPES = ("MOBILE", "HOME", "BUSINESS")
PHONE_TECH_TYPES = ("PHONE", "FAX", "MOBILE")
EMAIL_TYPES = ("EMAIL", "PRIVATE", "BUSINESS")
COMMENT_TYPES = ("GEN", "RES")
ROOM_STATUSES = ("Clean", "Dirty", "Pickup", "Inspected")
POLLS_A_MINUTE = 300
""""Polling business events: 300 calls/min per gateway", all hotels of it together."""
STATUSES = {
    "Cancelled": ("Cancelled",), "CheckedOut": ("CheckedOut",), "CheckedIn": ("InHouse", "DueOut"), "DueIn": ("DueIn",),
    "DueOut": ("DueOut",), "InHouse": ("InHouse", "DueOut"), "NoShow": ("NoShow",), "WaitList": ("Waitlisted",),
}  # fmt: skip
"""A status as it is searched for -> as it is shown: "the two vocabularies differ"."""
SEARCHES = {
    "InHouse": "InHouse",
    "Arrival": "DueIn",
    "Departure": "DueOut",
    "CheckedOut": "CheckedOut",
    "NoShow": "NoShow",
    "Cancellation": "Cancelled",
}
ORDERS: Mapping[str, Callable[[SimHotel, Stay], Any]] = {
    "ArrivalDate": lambda hotel, stay: stay.arrival,
    "DepartureDate": lambda hotel, stay: stay.departure,
    "GuestSurname": lambda hotel, stay: hotel.name_of(stay.guest_id)["surname"].casefold(),
}

RESERVATION = "/rsv/v1/hotels/{hotel}/reservations/{id}"
FRONT_DESK = "/fof/v1/hotels/{hotel}"
CASHIERING = "/csh/v1/hotels/{hotel}/reservations/{id}"


class OperaCloudSimulator(SimGateway):
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
        super().__init__(page_size=page_size, token_seconds=token_seconds, clock=clock)
        self.hotel = SimHotel(today or date.today(), currency, extra_reservations)
        self.events: list[Json] = []
        self.polls: deque[float] = deque(maxlen=POLLS_A_MINUTE)
        """When events were asked for."""
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
        elif name == "move_guest":  # {"id", "room"}
            self.move_guest(body["id"], body["room"])
        elif name == "arrive":  # {"id", "room"}
            self.arrive(body["id"], body["room"])
        elif name == "share":  # {"id", "with"}
            self.share(body["id"], body["with"])
        elif name == "merge_profiles":  # {"gone", "kept", "status"?}
            self.merge_profiles(body["gone"], body["kept"], body.get("status", 404))
        elif name == "expire_tokens":
            self.tokens = dict.fromkeys(self.tokens, 0.0)
        else:
            raise KeyError(name)
        return self.state()

    # --- what the people at the hotel do ----------------------------------------------------------------------------------------

    def move_guest(self, id: str, number: str) -> None:
        """Move whoever is in house to another room; the one he leaves is dirty, and vacant unless somebody shares it."""
        stay = self.hotel.stays[id]
        left, stay.room = stay.room, number
        self.hotel.leave(left)
        self.hotel.enter(number)
        self.hotel.touch(stay)
        self.tell("Reservation", "UPDATE RESERVATION", id)

    def arrive(self, id: str, number: str) -> None:
        """Check somebody in at the desk, whatever room and day the reservation had."""
        stay = self.hotel.stays[id]
        stay.room, stay.status, stay.arrival = number, "InHouse", self.hotel.today
        stay.departure = max(stay.departure, self.hotel.today)
        self.hotel.enter(number)
        self.hotel.touch(stay)
        self.tell("Reservation", "CHECK IN", id)

    def share(self, id: str, other: str) -> None:
        """Let two reservations share the room of the other."""
        first, second = self.hotel.stays[id], self.hotel.stays[other]
        if first.room != second.room:
            self.hotel.leave(first.room)
            first.room = second.room
        first.shares_with.append(other)
        second.shares_with.append(id)
        for stay in (first, second):
            self.hotel.touch(stay)
            self.tell("Reservation", "UPDATE RESERVATION", stay.id)

    def merge_profiles(self, gone: str, kept: str, status: int = 404) -> None:
        """Merge one profile into another: its stays go over, and by its id it answers `status`, 404 or 204."""
        del self.hotel.profiles[gone]
        self.hotel.merged[gone] = status
        for stay in self.hotel.stays.values():
            stay.companions = [kept if id == gone else id for id in stay.companions]
            if stay.guest_id == gone:
                stay.guest_id = kept
                self.hotel.touch(stay)
        self.tell("Profile", "UPDATE PROFILE", kept)

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

    # --- what every module checks ----------------------------------------------------------------------------------------------

    def stay(self, request: SimRequest) -> Stay:
        if request.args["id"] not in self.hotel.stays:
            raise RefusedError("RSV00012", "Reservation not found", status=404)
        return self.hotel.stays[request.args["id"]]

    def check_room(self, number: str, path: str) -> SimRoom:
        room = self.hotel.rooms.get(number)
        if room is None or room.type == PSEUDO_TYPE:
            raise RefusedError("FOF00022", f"Room {number} does not exist", path)
        return room

    @staticmethod
    def need(body: Any, *paths: str) -> None:
        """Refuse a body that lacks one of these: the specification requires almost nothing, OPERA does."""
        for path in paths:
            found = body
            for name in path.split("."):
                found = found.get(name) if isinstance(found, dict) else None
            if found in (None, "", []):
                raise RefusedError("GEN00010", f"{path.rpartition('.')[2]} is missing", path)

    @staticmethod
    def check_hotel(hotel: str | None, path: str) -> None:
        if hotel not in (None, CREDENTIALS["hotel_code"]):
            raise RefusedError("GEN00011", f"hotelId {hotel} is not the hotel of this call", path)

    @staticmethod
    def check_reservation(ids: Iterable[Json], stay: Stay, path: str) -> None:
        if stay.id not in [id.get("id") for id in ids if id.get("type") == "Reservation"]:
            raise RefusedError("GEN00012", f"The reservation named is not {stay.id}", path)

    @staticmethod
    def check_one_of(value: Any, known: Iterable[Any], path: str) -> None:
        if value is not None and value not in known:
            raise RefusedError("GEN00013", f"{path.rpartition('.')[2]} {value} is not in the list of values", path)

    def check_not_set(self, body: Json, parent: str, *names: str) -> None:
        """Refuse by name what the simulator takes only when it is off."""
        for name in names:
            if body.get(name):
                raise RefusedError("SIM00001", f"This simulator does not offer {name}: true", f"{parent}.{name}", status=501)

    # --- reservations ----------------------------------------------------------------------------------------------------------

    @route("GET", "/rsv/v1/hotels/{hotel}/reservations")
    def find_reservations(self, request: SimRequest) -> SimResponse:
        found = [stay for stay in self.hotel.stays.values() if self.is_wanted(request, stay)]
        for name in reversed(request.query.get("orderBy", ())):
            if name not in ORDERS:
                raise RefusedError("SIM00001", f"This simulator does not offer orderBy {name}", "orderBy", status=501)
            found.sort(key=lambda stay, key=ORDERS[name]: key(self.hotel, stay), reverse=request.arg("sortOrder") == "Desc")
        return self.listed(
            request,
            found,
            lambda rows, paging: {"reservations": {"reservationInfo": [self.hotel.in_list(row) for row in rows], **paging}, "links": []},
        )

    def is_wanted(self, request: SimRequest, stay: Stay) -> bool:
        """Say whether a search finds a stay: every parameter given has to hold."""
        query, name = request.query, self.hotel.name_of(stay.guest_id)
        search = request.arg("searchType", "Any")
        if search != "Any" and search not in SEARCHES:
            raise RefusedError("SIM00001", f"This simulator does not offer searchType {search}", "searchType", status=501)
        statuses = [*query.get("reservationStatuses", ()), *filter(None, [SEARCHES.get(search)])]
        lists = {"reservationIdList": stay.id, "confirmationNumberList": f"C{stay.id}", "roomType": stay.room_type}
        days = (
            ("arrivalStartDate", "arrivalEndDate", str(stay.arrival)),
            ("departureStartDate", "departureEndDate", str(stay.departure)),
        )
        on = request.arg("stayOnStartDate")
        return (
            all(request.arg(first) <= day <= request.arg(last, "9999-12-31") for first, last, day in days)
            and all(wanted in query.get(parameter, [wanted]) for parameter, wanted in lists.items())
            and all(stay.computed(self.hotel.today) in STATUSES[status] for status in statuses)
            and (not on or str(stay.arrival) <= on <= str(stay.departure))
            and request.arg("roomId") in ("", stay.room)
            and request.arg("profileId") in ("", stay.guest_id)
            and all(name[ours].casefold().startswith(request.arg(ours).casefold()) for ours in ("surname", "givenName"))
            and (request.arg("excludePseudoRoomReservations") != "true" or stay.room_type != PSEUDO_TYPE)
        )

    @route("GET", RESERVATION)
    def read_reservation(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"reservations": {"reservation": [self.hotel.detail(self.stay(request))]}, "links": []})

    # --- front desk ------------------------------------------------------------------------------------------------------------

    @route("GET", f"{FRONT_DESK}/rooms")
    def find_rooms(self, request: SimRequest) -> SimResponse:
        taken = {stay.room for stay in self.hotel.stays.values() if stay.status in ("Reserved", "InHouse")}
        query = request.query
        rooms = [
            room
            for room in self.hotel.rooms.values()
            if room.number not in taken
            and room.type in query.get("roomType", [room.type])
            and room.housekeeping in query.get("hotelRoomStatus", [room.housekeeping])
            and room.front_office in query.get("hotelFORoomStatus", [room.front_office])
        ]
        return self.listed(
            request, rooms, lambda rows, paging: {"hotelRoomsDetails": {"room": [row.detail("roomStatus") for row in rows]}, **paging}
        )

    @route("POST", f"{FRONT_DESK}/reservations/{{id}}/roomAssignments")
    def assign_room(self, request: SimRequest) -> SimResponse:
        stay, body = self.stay(request), self.body_of(request)
        self.need(body, "criteria.hotelId", "criteria.reservationIdList", "criteria.roomId")
        criteria = body["criteria"]
        self.check_hotel(criteria["hotelId"], "criteria.hotelId")
        self.check_reservation(criteria["reservationIdList"], stay, "criteria.reservationIdList")
        self.check_not_set(criteria, "criteria", "updateRoomTypeCharged")
        if stay.status != "Reserved":
            raise RefusedError("FOF00021", "A room can only be assigned to a reservation in reserved status")
        room = self.check_room(criteria["roomId"], "criteria.roomId")
        if other := self.hotel.in_the_way(stay, room.number):
            words = "is occupied by" if other.status == "InHouse" else "is assigned to"
            raise RefusedError("FOF00024", f"Room {room.number} {words} reservation {other.id}", "criteria.roomId")
        accepted = ("Dirty", "Pickup") if criteria.get("overrideInstructions", {}).get("dirtyRoom") else ()
        if room.housekeeping not in ("Inspected", "Clean", *accepted):
            raise RefusedError("FOF00023", f"Room {room.number} is {room.housekeeping}", "criteria.roomId")
        stay.room = room.number
        self.hotel.touch(stay)
        self.tell("Reservation", "UPDATE RESERVATION", stay.id, request)
        return SimResponse(status=201, json={"links": []})

    @route("POST", f"{FRONT_DESK}/reservations/{{id}}/checkIns")
    def check_in(self, request: SimRequest) -> SimResponse:
        stay, body = self.stay(request), self.body_of(request)
        self.need(body, "reservation")
        self.check_not_set(body["reservation"], "reservation", "stopCheckin", "printRegistration", "ignoreWarnings")
        if stay.status == "InHouse":
            raise RefusedError("FOF00001", "Reservation is already checked in")
        if stay.computed(self.hotel.today) != "DueIn":
            raise RefusedError("FOF00002", "Reservation is not due in today")
        if not stay.room:
            raise RefusedError("FOF00003", "No room is assigned to the reservation")
        if body["reservation"].get("roomId", stay.room) != stay.room:
            raise RefusedError("FOF00004", "The room is not the one assigned to the reservation", "reservation.roomId")
        room = self.hotel.rooms[stay.room]
        if room.front_office == "Occupied" and not any(self.hotel.stays[id].status == "InHouse" for id in stay.shares_with):
            raise RefusedError("FOF00005", f"Room {room.number} is occupied")
        if room.housekeeping not in ("Inspected", "Clean"):
            raise RefusedError(
                "FOF00006", f"Room status {room.housekeeping} is not right for a check-in: room {room.number} is not inspected"
            )
        stay.status, room.front_office, room.seen = "InHouse", "Occupied", "Occupied"
        self.hotel.touch(stay)
        self.tell("Reservation", "CHECK IN", stay.id, request)
        return SimResponse(status=201, json={"reservation": [self.hotel.detail(stay)], "links": []})

    @route("POST", f"{FRONT_DESK}/serviceRequests")
    def send_request(self, request: SimRequest) -> SimResponse:
        body = self.body_of(request)
        self.need(body, "serviceRequestsDetails")
        for index, details in enumerate(body["serviceRequestsDetails"]):
            self.check_request(details, f"serviceRequestsDetails[{index}]")
        for details in body["serviceRequestsDetails"]:
            number = str(500 + len(self.hotel.requests))
            made = {**details, "serviceRequestId": {"id": number, "type": "ServiceRequest"}, "openDate": stamp(datetime.now(UTC))}
            self.hotel.requests.append(made)
        return SimResponse(status=201, json={"links": []}, headers={"Location": f"{request.path}/{number}"})

    def check_request(self, details: Json, path: str) -> None:
        self.check_hotel(details.get("hotelId"), f"{path}.hotelId")
        if not (details.get("comment") or details.get("code")):
            raise RefusedError("FOF00032", "A service request needs a code or a comment", f"{path}.comment")
        self.check_one_of(details.get("code"), REQUEST_CODES, f"{path}.code")
        self.check_one_of(details.get("priority"), REQUEST_PRIORITIES, f"{path}.priority")
        stays = [id["id"] for id in details.get("reservationIdList", ()) if id.get("type") == "Reservation" and id.get("id")]
        if details.get("reservationIdList") and not stays:
            raise RefusedError("GEN00010", "No id of type Reservation is given", f"{path}.reservationIdList")
        for id in stays:
            if id not in self.hotel.stays:
                raise RefusedError("RSV00012", f"Reservation {id} not found", f"{path}.reservationIdList")
            if details.get("room") and self.hotel.stays[id].room not in ("", details["room"]):
                raise RefusedError("FOF00033", f"Reservation {id} is not in room {details['room']}", f"{path}.room")
        if details.get("room"):
            self.check_room(details["room"], f"{path}.room")
        if (profile := details.get("profileId")) and profile.get("id") not in self.hotel.profiles:
            raise RefusedError("CRM00012", f"Profile {profile.get('id')} not found", f"{path}.profileId")

    @route("GET", f"{FRONT_DESK}/serviceRequests")
    def find_requests(self, request: SimRequest) -> SimResponse:
        first, last = request.arg("creationStartDate"), request.arg("creationEndDate", "9999-12-31")
        found = [
            row
            for row in self.hotel.requests
            if first <= row["openDate"][:10] <= last
            and request.arg("reservationId", "") in ("", *(id["id"] for id in row.get("reservationIdList", ())))
            and request.arg("profileId") in ("", row.get("profileId", {}).get("id"))
            and request.arg("room") in ("", row.get("room"))
            and row.get("status", "Open") in request.query.get("status", [row.get("status", "Open")])
            and row.get("code") in request.query.get("code", [row.get("code")])
        ]
        return SimResponse(json={"serviceRequestsDetails": found}) if found else SimResponse(status=204)

    # --- housekeeping ----------------------------------------------------------------------------------------------------------

    @route("GET", "/hsk/v1/hotels/{hotel}/housekeepingOverview")
    def overview(self, request: SimRequest) -> SimResponse:
        query = request.query
        rooms = [
            room
            for room in self.hotel.rooms.values()
            if request.arg("roomIdText") in room.number
            and request.arg("fromRoomNumber") <= room.number <= request.arg("toRoomNumber", "~")
            and room.housekeeping in query.get("housekeepingRoomStatus", [room.housekeeping])
            and room.front_office in query.get("frontOfficeRoomStatus", [room.front_office])
            and room.type in query.get("roomType", [room.type])
            and room.floor in query.get("floor", [room.floor])
        ]

        def show(rows: list[SimRoom], paging: Json) -> Json:
            shown = [row.detail("housekeepingRoomStatus") for row in rows]
            return {"housekeepingRoomInfo": {"housekeepingRooms": {"room": shown}, **paging}, "links": []}

        return self.listed(request, rooms, show)

    # --- profiles --------------------------------------------------------------------------------------------------------------

    @route("GET", "/crm/v1/profiles")
    def find_profiles(self, request: SimRequest) -> SimResponse:
        self.check_hotel(request.arg("hotelId") or None, "hotelId")
        found = [id for id in self.hotel.profiles if self.is_profile_wanted(request, id)]
        return self.listed(
            request,
            found,
            lambda ids, paging: {"profileSummaries": {"profileInfo": [self.hotel.summary(id) for id in ids], **paging}, "links": []},
        )

    def is_profile_wanted(self, request: SimRequest, id: str) -> bool:
        profile, name = self.hotel.profiles[id], self.hotel.name_of(id)
        values = {
            "profileName": (name["surname"],),
            "givenName": (name["givenName"],),
            "email": (child["email"]["emailAddress"] for child in profile.get("emails", {}).get("emailInfo", ())),
            "phone": (child["telephone"]["phoneNumber"] for child in profile.get("telephones", {}).get("telephoneInfo", ())),
        }
        return (
            id in request.query.get("profileIds", [id])
            and profile["profileType"] in request.query.get("profileType", [profile["profileType"]])
            and all(
                any(value.casefold().startswith(request.arg(field).casefold()) for value in held)
                for field, held in values.items()
                if request.arg(field)
            )
        )

    @route("GET", "/crm/v1/profiles/{id}")
    def read_profile(self, request: SimRequest) -> SimResponse:
        id = request.args["id"]
        self.check_hotel(request.arg("hotelId") or None, "hotelId")
        if (profile := self.hotel.profiles.get(id)) is None:
            if self.hotel.merged.get(id, 204) == 404:
                return problem(404, "CRM00012", "Profile not found")
            return SimResponse(status=204)
        return SimResponse(json={"profileIdList": [{"id": id, "type": "Profile"}], "profileDetails": profile, "links": []})

    @route("PUT", "/crm/v1/profiles/{id}")
    def change_profile(self, request: SimRequest) -> SimResponse:
        """Take what is sent, keep what is not. A child without an id is one more: that is how careless clients make duplicates."""
        id = request.args["id"]
        if (profile := self.hotel.profiles.get(id)) is None:
            raise RefusedError("CRM00012", "Profile not found", status=404)
        body = self.body_of(request)
        self.need(body, "profileDetails")
        if "profileIdList" in body and id not in [row.get("id") for row in body["profileIdList"] if row.get("type") == "Profile"]:
            raise RefusedError("GEN00012", f"The profile named is not {id}", "profileIdList")
        sent = body["profileDetails"]
        self.check_profile(sent, profile)
        if not self.take(request, "ignore"):
            profile["customer"] |= sent.get("customer", {})
            for part, children in (("emails", "emailInfo"), ("telephones", "telephoneInfo"), ("comments", "commentInfo")):
                for child in sent.get(part, {}).get(children, ()):
                    self.take_child(profile.setdefault(part, {}).setdefault(children, []), deepcopy(child))
            profile["lastModifyDateTime"] = stamp(datetime.now(UTC))
            self.tell("Profile", "UPDATE PROFILE", id, request)
        return SimResponse(json={"profileIdList": [{"id": id, "type": "Profile"}], "links": []})

    def check_profile(self, sent: Json, profile: Json) -> None:
        """Refuse codes that are on no list of this hotel, and children that the profile does not have."""
        customer = sent.get("customer", {})
        if customer.get("language", "E") not in LANGUAGES:
            raise RefusedError("CRM00021", "Language is not in the list of values", "profileDetails.customer.language")
        names = customer.get("personName")
        if names is not None:
            primary = [name for name in names if name.get("nameType", "Primary") == "Primary"]
            if len(primary) != 1 or not primary[0].get("surname", "").strip():
                raise RefusedError("CRM00022", "A profile has one primary name, with a surname", "profileDetails.customer.personName")
        for part, kind, required, codes in (
            ("emails", "email", "emailAddress", {"type": EMAIL_TYPES}),
            ("telephones", "telephone", "phoneNumber", {"phoneUseType": PHONE_TYPES, "phoneTechType": PHONE_TECH_TYPES}),
            ("comments", "comment", "text", {"type": COMMENT_TYPES}),
        ):
            held = {child["id"] for child in profile.get(part, {}).get(f"{kind}Info", ())}
            for index, child in enumerate(sent.get(part, {}).get(f"{kind}Info", ())):
                path = f"profileDetails.{part}.{kind}Info[{index}]"
                if "id" in child and child["id"] not in held:
                    raise RefusedError("CRM00023", f"The profile has no {kind} {child['id']}", f"{path}.id")
                value = child.get(kind, {})
                self.need({kind: value}, f"{kind}.{required}")
                for name, known in codes.items():
                    self.check_one_of(value.get(name), known, f"{path}.{kind}.{name}")
                if kind == "email" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value["emailAddress"]):
                    raise RefusedError("CRM00024", f"{value['emailAddress']} is not an e-mail address", f"{path}.email.emailAddress")

    def take_child(self, children: list[Json], child: Json) -> None:
        if "telephone" in child and self.hotel.normalises_phones:
            child["telephone"]["phoneNumber"] = re.sub(r"(?!^\+)\D", "", child["telephone"]["phoneNumber"])
        for index, known in enumerate(children):
            if known["id"] == child.get("id"):
                children[index] = child
                return
        children.append({**child, "id": f"n{len(children)}"})

    # --- cashiering ------------------------------------------------------------------------------------------------------------

    @route("GET", "/csh/v1/hotels/{hotel}/transactionCodes")
    def transaction_codes(self, request: SimRequest) -> SimResponse:
        rows = [{"transactionCode": code, "description": text} for code, text in TRANSACTION_CODES.items()]
        found = [row for row in rows if request.arg("code") in ("", row["transactionCode"])]
        return SimResponse(json={"trxCodes": found}) if found else SimResponse(status=204)

    @route("POST", f"{CASHIERING}/charges")
    def charge(self, request: SimRequest) -> SimResponse:
        stay, body = self.stay(request), self.body_of(request)
        self.need(body, "criteria.reservationId", "criteria.charges")
        criteria = body["criteria"]
        self.check_hotel(criteria.get("hotelId"), "criteria.hotelId")
        self.check_reservation([criteria["reservationId"]], stay, "criteria.reservationId")
        self.check_one_of(criteria.get("cashierId"), CASHIERS, "criteria.cashierId")
        self.check_not_set(criteria, "criteria", "postIt")
        if criteria.get("incomeAuditDate", str(self.hotel.today)) != str(self.hotel.today):
            words = f"{criteria['incomeAuditDate']} is not the business date, which is {self.hotel.today}"
            raise RefusedError("CSH00014", words, "criteria.incomeAuditDate")
        if stay.status not in ("InHouse", "DueOut"):
            raise RefusedError("CSH00011", "Charges can be posted only to a reservation that is in house")
        if not stay.takes_charges:
            raise RefusedError("CSH00012", "The reservation has the flag No Post")
        for index, charge in enumerate(criteria["charges"]):
            self.check_charge(stay, charge, f"criteria.charges[{index}]")
        postings = [self.hotel.post(stay.id, charge) for charge in criteria["charges"]]
        return SimResponse(status=201, json={"postings": postings, "links": []})

    def check_charge(self, stay: Stay, charge: Json, path: str) -> None:
        for name in ("transactionCode", "price"):
            if not charge.get(name):
                raise RefusedError("GEN00010", f"{name} is missing", f"{path}.{name}")
        code, price, quantity = charge["transactionCode"], charge["price"], charge.get("postingQuantity", 1)
        if code not in TRANSACTION_CODES or code in PAYMENTS:
            raise RefusedError("CSH00013", f"Transaction code {code} is not valid for a charge", f"{path}.transactionCode")
        self.check_one_of(charge.get("cashierId"), CASHIERS, f"{path}.cashierId")
        if "amount" not in price:
            raise RefusedError("GEN00010", "amount is missing", f"{path}.price.amount")
        if (currency := price.get("currencyCode", self.hotel.currency)) != self.hotel.currency:
            words = f"Currency {currency} is not taken: this hotel posts in {self.hotel.currency}"
            raise RefusedError("CSH00015", words, f"{path}.price.currencyCode")
        amount, digits = Decimal(price["amount"]), values.minor_digits(currency)
        if amount != round(amount, digits):
            raise RefusedError("CSH00016", f"{amount} has more than the {digits} decimals of {currency}", f"{path}.price.amount")
        if not 1 <= charge.get("folioWindowNo", 1) <= 8:
            raise RefusedError("CSH00017", "folioWindowNo has to be 1 to 8", f"{path}.folioWindowNo")
        if "covers" in charge and not charge["covers"].isdecimal():
            raise RefusedError("GEN00014", f"covers {charge['covers']} is not a number", f"{path}.covers")
        if quantity == 0 or amount == 0:
            name = "postingQuantity" if quantity == 0 else "price.amount"
            raise RefusedError("CSH00018", f"{name} may not be 0", f"{path}.{name}")
        if amount * quantity < 0:  # "a void is a negative amount or a negative quantity on the same call"
            posted = self.hotel.posted(stay.id, code, charge.get("checkNumber", ""))
            if posted + amount * quantity < 0:
                words = f"{-amount * quantity} cannot be taken back: {posted} is posted to transaction code {code}"
                raise RefusedError("CSH00019", words, f"{path}.price.amount")

    @route("GET", f"{CASHIERING}/folios")
    def folio(self, request: SimRequest) -> SimResponse:
        stay = self.stay(request)
        if stay.status not in ("InHouse", "DueOut", "CheckedOut"):
            return SimResponse(status=204)
        limit = min(int(request.arg("limit", "200")), self.page_size)
        with_postings = "Postings" in request.query.get("fetchInstructions", ())
        windows = self.hotel.windows(stay.id, with_postings, int(request.arg("offset", "0")), limit)
        shown = [
            window
            for window in windows
            if str(window["folioWindowNo"]) in request.query.get("folioWindowNo", [str(window["folioWindowNo"])])
        ]
        return SimResponse(json={"reservationFolioInformation": {"folioWindows": shown}, "links": []})

    @route("POST", f"{CASHIERING}/checkOuts")
    def check_out(self, request: SimRequest) -> SimResponse:
        stay, body = self.stay(request), self.body_of(request)
        self.need(body, "reservation.reservationIdList")
        details = body["reservation"]
        self.check_hotel(details.get("hotelId"), "reservation.hotelId")
        self.check_reservation(details["reservationIdList"], stay, "reservation.reservationIdList")
        self.check_one_of(details.get("cashierId"), CASHIERS, "reservation.cashierId")
        self.check_not_set(details, "reservation", "autoCheckout", "stopCheckout")
        if (event := details.get("eventType", "CheckOut")) != "CheckOut":
            raise RefusedError("SIM00001", f"This simulator does not offer eventType {event}", "reservation.eventType", status=501)
        instructions = details.get("checkoutInstr", {})
        self.check_one_of(instructions.get("roomStatus"), ROOM_STATUSES, "reservation.checkoutInstr.roomStatus")
        self.check_not_set(instructions, "reservation.checkoutInstr", "ignoreWarnings")
        if stay.status == "CheckedOut":
            raise RefusedError("CSH00001", "Reservation is already checked out")
        if stay.computed(self.hotel.today) != "DueOut":
            raise RefusedError("CSH00002", "Reservation is not due out today")
        if self.hotel.balance(stay.id):
            raise RefusedError("CSH00003", "Reservation has an open folio balance")
        if not body.get("verificationOnly"):
            stay.status = "CheckedOut"
            self.hotel.leave(stay.room, instructions.get("roomStatus", "Dirty"))
            self.hotel.touch(stay)
            self.tell("Reservation", "CHECK OUT", stay.id, request)
        return SimResponse(status=201, json={"links": []})

    # --- business events -------------------------------------------------------------------------------------------------------

    @route("GET", "/int/v1/externalSystem/{system}/hotels/{hotel}/businessEvents")
    def read_events(self, request: SimRequest) -> SimResponse:
        if request.args["system"] != EXTERNAL_SYSTEM:
            raise RefusedError("INT00003", f"External system {request.args['system']} is not set up for this hotel", "extSystemCode")
        now = self.clock()
        if len(self.polls) == POLLS_A_MINUTE and now - self.polls[0] < 60:
            return self.error(429)
        self.polls.append(now)
        limit = int(request.arg("limit", "20"))
        taken, self.events = self.events[:limit], self.events[limit:]
        if not taken:
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
