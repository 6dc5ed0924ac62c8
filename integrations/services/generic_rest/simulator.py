"""A plain REST system in small: point of sale, property management and guest management in one, in the shapes of README.md.

It keeps what is posted, splits lists in every way the provider knows, and recognises a repeated Idempotency-Key.
"""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

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
        self.answers: dict[str, SimResponse] = {}
        """Idempotency key -> what was answered."""
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

    def error(self, status: int, message: str = "", code: str = "") -> SimResponse:
        return SimResponse(status=status, json={"code": code or f"http_{status}", "message": message or f"status {status}"})

    def state(self) -> Any:
        return self.collections

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        given = request.headers.get("authorization", "")
        if request.headers.get("x-api-key") == self.api_key or given in (f"Bearer {self.access_token}", f"Basic {pair}"):
            return None
        return self.error(401, "Who are you?", "unauthorized")

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
        if (collection := self.collections.get(request.args["collection"])) is None:
            return self.error(404)
        things = [
            thing
            for thing in collection.values()
            if thing["updated_at"] >= request.arg("updated_since")
            and request.arg("guest_id") in ("", thing.get("guest_id"))
            and request.arg("start_date") <= thing.get("arrival_date", "9999")
            and thing.get("arrival_date", "") <= request.arg("end_date", "9999")
        ]
        return self._split(request, things)

    def _split(self, request: SimRequest, things: list[dict[str, Any]]) -> SimResponse:
        """Cut a list as the request asks: by page, offset or cursor, and always with a link to the next part."""
        size = min(int(request.arg("limit", "1000")), self.page_size or 1000)
        start = int(request.arg("offset") or request.arg("cursor") or (int(request.arg("page", "1")) - 1) * size)
        end = start + size if start + size < len(things) else None
        answer: dict[str, Any] = {"data": things[start:end], "total": len(things)}
        headers = {}
        if end:
            answer["next_cursor"] = str(end)
            kept = "".join(f"&{name}={values[0]}" for name, values in request.query.items() if name not in ("offset", "cursor", "page"))
            headers["Link"] = f'<http://{request.headers["host"]}{request.path}?offset={end}{kept}>; rel="next"'
        return SimResponse(json=answer, headers=headers)

    @route("GET", "/{collection}/{id}")
    def read(self, request: SimRequest) -> SimResponse:
        thing = self.collections.get(request.args["collection"], {}).get(request.args["id"])
        return SimResponse(json=thing) if thing else self.error(404, "There is no such thing.", "not_found")

    @route("GET", "/guests/{id}/preferences")
    def preferences(self, request: SimRequest) -> SimResponse:
        guest = self.collections["guests"].get(request.args["id"])
        return SimResponse(json=guest["preferences"]) if guest else self.error(404)

    # --- writing -----------------------------------------------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimResponse:
        key = request.headers.get("idempotency-key", "")
        with self.lock:
            if key and key in self.answers:
                return self.answers[key]
            response = super().handle(request)
            if key and response.status < 300:
                self.answers[key] = response
            return response

    @route("POST", "/checkins")
    def check_in(self, request: SimRequest) -> SimResponse:
        return self._move(request.json(), "confirmed", "checked_in")

    @route("POST", "/checkouts")
    def check_out(self, request: SimRequest) -> SimResponse:
        return self._move(request.json(), "checked_in", "checked_out")

    def _move(self, body: dict[str, Any], before: str, after: str) -> SimResponse:
        stay = self.collections["reservations"].get(body.get("reservation_id", ""))
        if stay is None:
            return self.error(404, "There is no such reservation.", "not_found")
        if stay["status"] != before:
            return self.error(409, f"The reservation is {stay['status']}.", "wrong_status")
        changes = {"status": after} | ({"room_number": body["room_number"]} if body.get("room_number") else {})
        stay = self.collections["reservations"][stay["id"]] = self._stamped(stay | changes)
        return SimResponse(json={"reservation_id": stay["id"], "status": after})

    @route("POST", "/{collection}")
    def create(self, request: SimRequest) -> SimResponse:
        name = request.args["collection"]
        if name not in ("checks", "charges", "requests", "feedback", "chat", "notifications"):
            return self.error(405)
        collection = self.collections[name]
        thing = {**request.json(), "id": f"{name}_{len(collection) + 1}"}
        thing |= {"checks": {"status": "open"}, "notifications": {"status": "sent"}}.get(name, {})
        collection[thing["id"]] = self._stamped(thing)
        return SimResponse(status=201, json={"data": collection[thing["id"]]})

    @route("POST", "/checks/{id}/void")
    def void(self, request: SimRequest) -> SimResponse:
        return self._change("checks", request.args["id"], {"status": "voided"})

    @route("PATCH", "/guests/{id}")
    def change_guest(self, request: SimRequest) -> SimResponse:
        return self._change("guests", request.args["id"], request.json())

    @route("PUT", "/notifications/{id}/status")
    def change_notification(self, request: SimRequest) -> SimResponse:
        return self._change("notifications", request.args["id"], request.json())

    def _change(self, name: str, thing_id: str, changes: dict[str, Any]) -> SimResponse:
        thing = self.collections[name].get(thing_id)
        if thing is None:
            return self.error(404, "There is no such thing.", "not_found")
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
