"""A plain REST system in small: point of sale, property management and guest management in one, in the shapes of README.md.

It keeps what is posted, splits lists in every way the provider knows, and recognises a repeated Idempotency-Key.
"""

import base64
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from integrations.services.generic_rest.simulator_bodies import (
    CREATED,
    MAX_PAGE,
    CheckIn,
    CheckOut,
    GuestChanges,
    NotificationStatus,
    Query,
    RefusalError,
    Void,
    read,
)
from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
MENU = (
    ("menu_1", "Club sandwich", "cat_2", 15.99), ("menu_2", "Caesar salad", "cat_1", 11.50), ("menu_3", "Tomato soup", "cat_1", 7.00),
    ("menu_4", "Sea bass", "cat_2", 24.90), ("menu_5", "Cheesecake", "cat_3", 6.25), ("menu_6", "House wine", "cat_4", 5.50),
)  # fmt: skip
CATEGORIES = ("Starters", "Mains", "Desserts", "Drinks", "Breakfast")
GUESTS = (("Mara", "Lind"), ("Tomás", "Reis"), ("Aiko", "Mori"), ("Liam", "O'Neill"), ("Noor", "Haddad"))
STAYS = (("confirmed", 0, 3), ("confirmed", 1, 4), ("checked_in", -1, 2), ("checked_out", -5, -2), ("cancelled", 7, 9))
ROOMS = (
    ("101", "clean", "vacant"),
    ("102", "dirty", "occupied"),
    ("0101", "inspected", "vacant"),
    ("201", "out_of_order", "vacant"),
    ("202", "clean", "occupied"),
)


class GenericRestSimulator(Simulator):
    slug = "generic_rest"
    api_key, access_token, username, password = "sim-key-4711", "sim-token-4711", "hospient", "sim-password-4711"

    def __init__(self, page_size: int = 0) -> None:
        super().__init__()
        self.page_size = page_size
        """The most objects one answer holds; 0 sets no limit."""
        self.ticks = 0
        self.answers: dict[str, tuple[tuple[str, str, bytes], SimResponse]] = {}
        """Idempotency key -> what was asked and what was answered."""
        self.collections: dict[str, dict[str, dict[str, Any]]] = {
            "categories": self._fill("cat", [{"name": name, "position": at} for at, name in enumerate(CATEGORIES)]),
            "menus": self._fill("menu", [{"name": n, "category_id": c, "price": p, "currency": "EUR"} for _, n, c, p in MENU]),
            "rooms": self._fill("room", [{"room_number": n, "housekeeping": h, "occupancy": o, "room_type": "DBL"} for n, h, o in ROOMS]),
            "guests": self._fill("guest", [self._guest(*names) for names in GUESTS]),
            "reservations": self._fill("res", [self._stay(at, *stay) for at, stay in enumerate(STAYS, 1)]),
            "checks": self._fill("check", [{"room_number": "202", "total": 31.98 + at, "status": "open"} for at in range(4)]),
            "feedback": self._fill("feedback", [{"guest_id": "guest_1", "rating": 5 - at, "message": f"Stay {at + 1}"} for at in range(4)]),
            "chat": self._fill(
                "chat", [{"guest_id": "guest_2", "message": f"Message {at + 1}", "sender_type": "guest"} for at in range(4)]
            ),
            "notifications": self._fill(
                "note", [{"guest_id": "guest_3", "title": "Pool", "message": "Closed", "status": "sent"} for _ in range(3)]
            ),
            "charges": {},
            "requests": {},
        }

    def _guest(self, given: str, family: str) -> dict[str, Any]:
        email = f"{given}.{family}@example.com".lower().replace("'", "")
        return {"first_name": given, "last_name": family, "email": email, "preferences": {"pillow": "feather"}}

    def _stay(self, number: int, status: str, arrives: int, leaves: int) -> dict[str, Any]:
        return {
            "guest_id": f"guest_{number}", "status": status, "room_number": ROOMS[number - 1][0], "adults": 2, "rate_amount": 145.50,
            "arrival_date": f"{START + timedelta(days=arrives):%Y-%m-%d}", "departure_date": f"{START + timedelta(days=leaves):%Y-%m-%d}",
        }  # fmt: skip

    def _fill(self, prefix: str, objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {f"{prefix}_{number}": self._stamped({"id": f"{prefix}_{number}", **fields}) for number, fields in enumerate(objects, 1)}

    def _stamped(self, thing: dict[str, Any]) -> dict[str, Any]:
        self.ticks += 1
        return thing | {"updated_at": (START + timedelta(minutes=self.ticks)).isoformat()}

    def error(self, status: int, message: str = "", code: str = "", field: str = "") -> SimResponse:
        named = {"field": field} if field else {}
        return SimResponse(status=status, json={"code": code or f"http_{status}", "message": message or f"status {status}", **named})

    def state(self) -> Any:
        return self.collections

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        """Take a key, a token, or a name with a password; whatever is given has to be right."""
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        right = {"x-api-key": [self.api_key], "authorization": [f"Bearer {self.access_token}", f"Basic {pair}"]}
        given = {name: request.headers[name] for name in right if name in request.headers}
        if not given or any(value not in right[name] for name, value in given.items()):
            return self.error(401, "Who are you?", "unauthorized")
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if request.body and kind != "application/json":
            return self.error(415, f"Send application/json, not “{kind}”.", "unsupported_media_type")
        return None

    def control(self, name: str, body: Any) -> Any:
        """`change` {"collection", "id", fields...} or `delete` {"collection", "id"}, as somebody working in the system would."""
        with self.lock:
            collection = self.collections[body.pop("collection")]
            if name == "change":
                collection[body["id"]] = self._stamped(collection.get(body["id"], {}) | body)
            elif name == "delete":
                del collection[body["id"]]
            else:
                raise KeyError(name)
        return {}

    # --- reading -----------------------------------------------------------------------------------------------------------------

    @route("GET", "/health")
    def health(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"status": "ok"})

    @route("GET", "/{collection}")
    def list_all(self, request: SimRequest) -> SimResponse:
        if request.args["collection"] in ("checkins", "checkouts"):
            return self.error(405, "Send a POST.", "method_not_allowed")
        collection = self._collection(request)
        read(Query, {name: values[0] if len(values) == 1 else values for name, values in request.query.items()})
        asked = Query.model_validate({name: values[0] for name, values in request.query.items()})
        changed = max(filter(None, (asked.updated_since, asked.since)), default=START)
        things = [
            thing
            for thing in collection.values()
            if datetime.fromisoformat(thing["updated_at"]) >= changed
            and asked.guest_id in (None, thing.get("guest_id"))
            and ("arrival_date" not in thing or asked.start_date <= date.fromisoformat(thing["arrival_date"]) <= asked.end_date)
        ]
        return self._split(request, things, asked)

    def _split(self, request: SimRequest, things: list[dict[str, Any]], asked: Query) -> SimResponse:
        """Cut a list as the request asks: by page, offset or cursor, and always with a link to the next part."""
        size = min(asked.limit, self.page_size or MAX_PAGE)
        start = asked.offset if asked.offset is not None else int(asked.cursor or (asked.page - 1) * size)
        end = start + size if start + size < len(things) else None
        answer: dict[str, Any] = {"data": things[start:end], "total": len(things)}
        headers = {}
        if end:
            answer["next_cursor"] = str(end)
            kept = "".join(
                f"&{name}={quote(values[0])}" for name, values in request.query.items() if name not in ("offset", "cursor", "page")
            )
            headers["Link"] = f'<http://{request.headers["host"]}{request.path}?offset={end}{kept}>; rel="next"'
        return SimResponse(json=answer, headers=headers)

    @route("GET", "/{collection}/{id}")
    def read_one(self, request: SimRequest) -> SimResponse:
        return SimResponse(json=self._thing(self._collection(request), request.args["id"]))

    @route("GET", "/guests/{id}/preferences")
    def preferences(self, request: SimRequest) -> SimResponse:
        return SimResponse(json=self._thing(self.collections["guests"], request.args["id"])["preferences"])

    def _collection(self, request: SimRequest) -> dict[str, dict[str, Any]]:
        if request.args["collection"] not in self.collections:
            raise RefusalError(404, "not_found", f"There is no “{request.args['collection']}” here.")
        return self.collections[request.args["collection"]]

    def _thing(self, collection: dict[str, dict[str, Any]], thing_id: str, field: str = "") -> dict[str, Any]:
        if thing_id not in collection:
            raise RefusalError(404, "not_found", f"There is no such thing: {thing_id}.", field)
        return collection[thing_id]

    # --- writing -----------------------------------------------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimResponse:
        key, asked = request.headers.get("idempotency-key", ""), (request.method, request.path, request.body)
        with self.lock:
            if key in self.answers and self.authenticate(request) is None:
                before, answer = self.answers[key]
                return (
                    answer
                    if before == asked
                    else self.error(422, "This key was used with another request.", "key_reused", "Idempotency-Key")
                )
            try:
                response = super().handle(request)
            except RefusalError as refusal:
                return self.error(refusal.status, refusal.message, refusal.code, refusal.field)
            if key and response.status < 300:
                self.answers[key] = (asked, response)
            return response

    @route("POST", "/checkins")
    def check_in(self, request: SimRequest) -> SimResponse:
        body = self._about(read(CheckIn, request.json()))
        stay = self._stays(body, "confirmed")
        room = self._room(body.get("room_number") or stay["room_number"])
        if room["occupancy"] == "occupied":
            raise RefusalError(409, "occupied", f"Room {room['room_number']} is occupied.", "room_number")
        return self._move(stay, "checked_in", room, {"occupancy": "occupied"})

    @route("POST", "/checkouts")
    def check_out(self, request: SimRequest) -> SimResponse:
        stay = self._stays(self._about(read(CheckOut, request.json())), "checked_in")
        return self._move(stay, "checked_out", self._room(stay["room_number"]), {"occupancy": "vacant", "housekeeping": "dirty"})

    def _stays(self, body: dict[str, Any], status: str) -> dict[str, Any]:
        stay = self.collections["reservations"][body["reservation_id"]]
        if stay["status"] != status:
            raise RefusalError(409, "wrong_status", f"The reservation is {stay['status']}.", "reservation_id")
        return stay

    def _move(self, stay: dict[str, Any], status: str, room: dict[str, Any], changes: dict[str, str]) -> SimResponse:
        self.collections["rooms"][room["id"]] = self._stamped(room | changes)
        self.collections["reservations"][stay["id"]] = self._stamped(stay | {"status": status, "room_number": room["room_number"]})
        return SimResponse(json={"reservation_id": stay["id"], "status": status, "room_number": room["room_number"]})

    def _room(self, number: str) -> dict[str, Any]:
        found = next((room for room in self.collections["rooms"].values() if room["room_number"] == number), None)
        if found is None:
            raise RefusalError(404, "not_found", f"There is no room {number}.", "room_number")
        return found

    def _about(self, body: dict[str, Any]) -> dict[str, Any]:
        """Refuse a body that speaks of somebody or something nobody knows here."""
        for field, name in (("guest_id", "guests"), ("reservation_id", "reservations")):
            if body.get(field):
                self._thing(self.collections[name], body[field], field)
        if body.get("room_number"):
            self._room(body["room_number"])
        for number, line in enumerate(body.get("items", [])):
            for field in ("menu_id", "variation_id"):
                if line.get(field):
                    self._thing(self.collections["menus"], line[field], f"items.{number}.{field}")
        return body

    @route("POST", "/{collection}")
    def create(self, request: SimRequest) -> SimResponse:
        name, collection = request.args["collection"], self._collection(request)
        if name not in CREATED:
            return self.error(405, f"“{name}” can only be read.", "method_not_allowed")
        thing = {**self._about(read(CREATED[name], request.json())), "id": f"{name}_{len(collection) + 1}"}
        if name == "charges" and not (thing.get("room_number") or thing.get("reservation_id")):
            raise RefusalError(422, "invalid", "Say who pays: a room or a reservation.", "room_number")
        if name in ("charges", "requests"):
            self._check_payer(thing, must_be_there=name == "charges")
        thing |= {"checks": {"status": "open"}, "notifications": {"status": "sent"}}.get(name, {})
        collection[thing["id"]] = self._stamped(thing)
        return SimResponse(status=201, json={"data": collection[thing["id"]]})

    def _check_payer(self, body: dict[str, Any], *, must_be_there: bool) -> None:
        """Refuse what is for nobody: a reservation in another room, and a charge where nobody is in house."""
        stays, room = self.collections["reservations"], body.get("room_number")
        stay = stays[body["reservation_id"]] if body.get("reservation_id") else None
        if stay and room and stay["room_number"] != room:
            raise RefusalError(422, "wrong_room", f"The reservation is in room {stay['room_number']}.", "room_number")
        if must_be_there and stay and stay["status"] != "checked_in":
            raise RefusalError(422, "not_in_house", "The guest is not in house.", "reservation_id")
        if must_be_there and not stay and not any(s["room_number"] == room and s["status"] == "checked_in" for s in stays.values()):
            raise RefusalError(422, "nobody_there", f"Nobody is in room {room}.", "room_number")

    @route("POST", "/checks/{id}/void")
    def void(self, request: SimRequest) -> SimResponse:
        read(Void, request.json())
        return self._change("checks", request.args["id"], {"status": "voided"})

    @route("PATCH", "/guests/{id}")
    def change_guest(self, request: SimRequest) -> SimResponse:
        return self._change("guests", request.args["id"], read(GuestChanges, request.json()))

    @route("PUT", "/notifications/{id}/status")
    def change_notification(self, request: SimRequest) -> SimResponse:
        return self._change("notifications", request.args["id"], read(NotificationStatus, request.json()))

    def _change(self, name: str, thing_id: str, changes: dict[str, Any]) -> SimResponse:
        thing = self._thing(self.collections[name], thing_id)
        if any(thing.get(field) != value for field, value in changes.items()):
            self.collections[name][thing_id] = self._stamped(thing | changes)
        return SimResponse(status=204)


simulator = GenericRestSimulator


def connection(url: str) -> dict[str, Any]:
    """Return what a hotel would enter to connect to this simulator at `url`: as its concierge's system."""
    return {
        "integration_type": "guest_management",
        "provider_name": "Concierge Desk",
        "config": {
            "baseUrl": url,
            "endpoints": {"guests": "/guests", "feedback": "/feedback", "chat": "/chat", "notifications": "/notifications"},
            "testEndpoint": "/health",
            "paging": {"style": "page", "size": 100},
            "since_parameter": "updated_since",
        },
        "credentials": {"apiKey": GenericRestSimulator.api_key},
        "sync_settings": {"auto_sync": True, "sync_interval": "hourly"},
    }
