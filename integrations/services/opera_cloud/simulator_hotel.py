"""The hotel inside the simulator: SAND01, its rooms, guests and reservations, and how OPERA's JSON shows them. All guests are invented."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count, cycle
from typing import Any

Json = dict[str, Any]

NAMES = [
    ("Ana", "Smith"), ("John", "Doe"), ("Marie", "Dubois"), ("Kenji", "Tanaka"), ("Lucía", "García"), ("Noah", "Miller"), ("Emma", "Miller"),
    ("Olu", "Adeyemi"), ("Freya", "Lindqvist"), ("Paulo", "Almeida"), ("Zofia", "Nowak"), ("Liam", "O’Brien"),
]  # fmt: skip
LANGUAGES = ("E", "F", "G", "P", "S")
PSEUDO_TYPE = "PM"


@dataclass(kw_only=True)
class SimRoom:
    number: str
    type: str
    floor: str
    housekeeping: str = "Inspected"
    front_office: str = "Vacant"
    seen: str = "Vacant"

    def detail(self, status_name: str) -> Json:
        """`status_name`: the same field is called otherwise in housekeeping and in front office."""
        occupied = 0 if self.front_office == "Vacant" else 2
        return {
            "roomId": self.number,
            "floor": self.floor,
            "roomType": {"roomType": self.type, "roomClass": "ALL", "pseudoRoom": self.type == PSEUDO_TYPE},
            "housekeeping": {
                status_name: {
                    status_name: self.housekeeping,
                    "frontOfficeStatus": self.front_office,
                    "housekeepingStatus": self.seen,
                    "reservationStatusList": ["Arrived" if occupied else "NotReserved"],
                },
                "roomPersons": {"frontOfficePersons": occupied, "houseKeepingPersons": occupied},
            },
        }


@dataclass(kw_only=True)
class Stay:
    id: str
    guest_id: str
    arrival: date
    departure: date
    room: str = ""
    room_type: str = "STDK"
    rate: Decimal = Decimal("120.00")
    adults: int = 2
    children: int = 0
    status: str = "Reserved"
    takes_charges: bool = True
    companions: list[str] = field(default_factory=list)
    """Profiles of those who came along."""
    shares_with: list[str] = field(default_factory=list)
    """Other reservations of the same room."""
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))

    def computed(self, today: date) -> str:
        if self.status == "Reserved" and self.arrival == today:
            return "DueIn"
        if self.status == "InHouse" and self.departure <= today:
            return "DueOut"
        return self.status


class SimHotel:
    """Everything the hotel holds. The simulator changes it; `requests` and `postings` are what operations leave behind."""

    def __init__(self, today: date, currency: str, extra_reservations: int) -> None:
        self.today = today
        self.currency = currency
        self.rooms: dict[str, SimRoom] = {}
        self.profiles: dict[str, Json] = {}
        self.stays: dict[str, Stay] = {}
        self.postings: dict[str, list[Json]] = {}
        self.requests: list[Json] = []
        self.merged: dict[str, int] = {}
        """Profile merged into another -> what its id answers."""
        self.normalises_phones = False
        """Whether a phone number is kept without its spaces: a hotel's set-up."""
        self.numbers = count(987_654)
        self._opened = datetime.combine(today - timedelta(days=9), time(10), UTC)
        self._build_rooms()
        self._build_stays()
        self._build_extra(extra_reservations)

    # --- what is there at the beginning

    def _build_rooms(self) -> None:
        for floor, numbers in (("1", range(101, 121)), ("2", range(201, 220))):
            for number in numbers:
                self.rooms[str(number)] = SimRoom(number=str(number), type="DLXK" if number % 5 == 0 else "STDK", floor=floor)
        self.rooms["0101"] = SimRoom(number="0101", type="DLXK", floor="0")
        self.rooms["9001"] = SimRoom(number="9001", type=PSEUDO_TYPE, floor="9")
        self.rooms["118"].housekeeping = "Dirty"
        self.rooms["119"].housekeeping = "OutOfOrder"
        self.rooms["120"].seen = "Occupied"  # a discrepancy: housekeeping found somebody in a vacant room

    def _build_stays(self) -> None:
        guests = [self.add_profile(given, surname) for given, surname in NAMES]
        for id, guest, nights, room, more in (
            ("660082", 0, (0, 2), "0101", {"room_type": "DLXK", "rate": Decimal("210.50"), "companions": [guests[11]]}),
            ("res_123", 1, (0, 3), "101", {}),
            ("660083", 2, (0, 1), "", {"adults": 1}),
            ("660090", 3, (-1, 2), "102", {"status": "InHouse", "children": 1}),
            ("660091", 4, (-2, 0), "103", {"status": "InHouse"}),
            ("660092", 8, (-2, 0), "104", {"status": "InHouse"}),
            ("660093", 5, (-1, 1), "105", {"status": "InHouse", "room_type": "DLXK"}),
            ("660094", 6, (-1, 1), "105", {"status": "InHouse", "room_type": "DLXK"}),
            ("660095", 7, (-20, 5), "106", {"status": "InHouse"}),
            ("660096", 9, (1, 2), "", {"status": "Cancelled"}),
            ("660097", 10, (10, 12), "", {}),
            ("660098", 11, (-1, 1), "", {"status": "NoShow"}),
            ("660100", 1, (30, 31), "", {}),
            ("660099", 0, (-3, 300), "9001", {"status": "InHouse", "room_type": PSEUDO_TYPE}),
        ):
            arrival, departure = (self.today + timedelta(days=offset) for offset in nights)
            self.add_stay(Stay(id=id, guest_id=guests[guest], arrival=arrival, departure=departure, room=room, **more))
        self.stays["660093"].shares_with, self.stays["660094"].shares_with = ["660094"], ["660093"]
        self.post(
            "660092", {"transactionCode": "2000", "price": {"amount": 120.5, "currencyCode": self.currency}, "postingReference": "till 7"}
        )

    def _build_extra(self, number: int) -> None:
        """Add as many reservations as a benchmark wants, spread over the 60 days to come."""
        names = cycle(NAMES)
        for index in range(number):
            arrival = self.today + timedelta(days=1 + index % 60)
            guest_id = self.add_profile(*next(names))
            self.add_stay(Stay(id=str(700_000 + index), guest_id=guest_id, arrival=arrival, departure=arrival + timedelta(days=2)))

    def add_profile(self, given: str, surname: str) -> str:
        number = len(self.profiles)
        guest_id = str(1_280_812 + number)
        self.profiles[guest_id] = {
            "profileType": "Guest",
            "statusCode": "Active",
            "lastModifyDateTime": stamp(self._opened + timedelta(hours=number % 200)),
            "customer": {
                "personName": [
                    {"givenName": given, "surname": surname, "nameType": "Primary"},
                    {"givenName": given, "surname": surname.upper(), "nameType": "Alternate"},
                ],
                "language": LANGUAGES[number % len(LANGUAGES)],
                "nationality": "US",
                **({"vipStatus": "1"} if number == 3 else {}),
            },
            "emails": {"emailInfo": [self._child("email", {"emailAddress": f"guest{number}@example.com", "type": "EMAIL"}, number)]},
            "telephones": {
                "telephoneInfo": [
                    {
                        "id": str(7000 + number),
                        "type": "Communication",
                        "telephone": {"phoneTechType": "FAX", "phoneUseType": "BUSINESS", "phoneNumber": "+1 555 0199"},
                    },
                    self._child(
                        "telephone", {"phoneTechType": "PHONE", "phoneUseType": "MOBILE", "phoneNumber": f"+1 555 {number:04}"}, number
                    ),
                ]
            },
            "preferenceCollection": {"preferenceType": [{"preferenceType": "FLOOR", "preference": [{"preferenceValue": "HIGH"}]}]},
        }
        return guest_id

    @staticmethod
    def _child(kind: str, value: Json, number: int) -> Json:
        return {"id": f"{kind[0]}{number}", "type": "Communication", kind: {**value, "primaryInd": True}}

    def add_stay(self, stay: Stay) -> None:
        self.stays[stay.id] = stay
        self.postings[stay.id] = []
        stay.modified = self._opened + timedelta(seconds=len(self.stays))
        if stay.status == "InHouse":
            self.enter(stay.room)

    # --- what happens to it

    def enter(self, number: str) -> None:
        room = self.rooms[number]
        room.front_office = room.seen = "Occupied"
        room.housekeeping = "Clean"

    def leave(self, number: str, housekeeping: str = "Dirty") -> None:
        """Let somebody leave a room; whoever shared it is still there."""
        if number and not any(stay.room == number and stay.status == "InHouse" for stay in self.stays.values()):
            room = self.rooms[number]
            room.housekeeping, room.front_office, room.seen = housekeeping, "Vacant", "Vacant"

    def in_the_way(self, stay: Stay, number: str) -> Stay | None:
        """Return another stay that has the room on a night of this one, unless they share it."""
        for other in self.stays.values():
            is_there = other.room == number and other.status in ("Reserved", "InHouse") and other is not stay
            if is_there and other.id not in stay.shares_with and other.arrival < stay.departure and stay.arrival < other.departure:
                return other
        return None

    def touch(self, stay: Stay) -> None:
        stay.modified = datetime.now(UTC)

    def post(self, stay_id: str, charge: Json) -> Json:
        amount = Decimal(str(charge["price"]["amount"])) * charge.get("postingQuantity", 1)
        currency = charge["price"].get("currencyCode", self.currency)
        posting = {
            "transactionNo": next(self.numbers),
            "transactionCode": charge["transactionCode"],
            "reference": charge.get("postingReference", ""),
            "remark": charge.get("postingRemark", ""),
            "checkNo": charge.get("checkNumber", ""),
            "postedAmount": {"amount": float(amount), "currencyCode": currency},
            "folioWindowNo": charge.get("folioWindowNo", 1),
        }
        self.postings[stay_id].append(posting)
        return posting

    def settle(self, stay_id: str) -> None:
        """Let the guest pay."""
        if balance := self.balance(stay_id):
            self.post(stay_id, {"transactionCode": "9000", "price": {"amount": float(-balance)}, "postingReference": "paid"})

    def posted(self, stay_id: str, code: str, check_number: str) -> Decimal:
        """Return what a folio holds of a transaction code, of one check if it is named."""
        found = (p for p in self.postings[stay_id] if p["transactionCode"] == code and check_number in ("", p["checkNo"]))
        return sum((Decimal(str(posting["postedAmount"]["amount"])) for posting in found), Decimal(0))

    def balance(self, stay_id: str) -> Decimal:
        return sum((Decimal(str(posting["postedAmount"]["amount"])) for posting in self.postings[stay_id]), Decimal(0))

    # --- how OPERA shows it

    def money(self, amount: Decimal) -> Json:
        return {"amount": float(amount), "currencyCode": self.currency}

    def in_list(self, stay: Stay) -> Json:
        profile = self.profiles[stay.guest_id]
        customer = profile["customer"]
        name = self.name_of(stay.guest_id)
        companions = [self._person(id) | {"profileIdList": [{"id": id, "type": "Profile"}]} for id in stay.companions]
        return {
            **self._common(stay),
            "roomStay": {
                "arrivalDate": str(stay.arrival),
                "departureDate": str(stay.departure),
                "adultCount": stay.adults,
                "childCount": stay.children,
                "roomClass": "ALL",
                "roomType": stay.room_type,
                "numberOfRooms": 1,
                **({"roomId": stay.room} if stay.room else {}),
                "ratePlanCode": "BAR",
                "rateAmount": self.money(stay.rate),
                "balance": self.money(self.balance(stay.id)),
                "pseudoRoom": stay.room_type == PSEUDO_TYPE,
            },
            "reservationGuest": {
                "givenName": name["givenName"],
                "surname": name["surname"],
                "fullName": f"{name['surname']}, {name['givenName']}",
                "email": _primary(profile, "email").get("emailAddress"),
                "phoneNumber": _primary(profile, "telephone").get("phoneNumber"),
                "language": customer.get("language"),
                "nationality": {"code": customer.get("nationality")},
                "id": stay.guest_id,
                "type": "Profile",
                **({"accompanyGuests": companions} if companions else {}),
            },
        }

    def name_of(self, guest_id: str) -> Json:
        return self.profiles[guest_id]["customer"]["personName"][0]

    def _person(self, guest_id: str) -> Json:
        name = self.name_of(guest_id)
        return {
            "firstName": name["givenName"],
            "lastName": name["surname"],
            "fullName": f"{name['surname']}, {name['givenName']}",
        }

    def _sharers(self, stay: Stay) -> Json:
        sharers = [
            self._person(other.guest_id)
            | {"profileId": {"id": other.guest_id, "type": "Profile"}, "reservationId": {"id": other.id, "type": "Reservation"}}
            for other in map(self.stays.__getitem__, stay.shares_with)
        ]
        return {"sharedGuests": sharers} if sharers else {}

    def detail(self, stay: Stay) -> Json:
        rate = {"base": {"amountBeforeTax": float(stay.rate), "currencyCode": self.currency}}
        room = {"roomType": stay.room_type, **({"roomId": stay.room} if stay.room else {})}
        return {
            **self._common(stay),
            "roomStay": {
                "arrivalDate": str(stay.arrival),
                "departureDate": str(stay.departure),
                "currentRoomInfo": room,
                "guestCounts": {"adults": stay.adults, "children": stay.children},
                "roomRates": [{"roomType": stay.room_type, "rates": {"rate": [rate]}}],
            },
            "reservationGuests": [
                {"profileInfo": {"profileIdList": [{"id": id, "type": "Profile"}]}, "primary": id == stay.guest_id}
                for id in (*stay.companions, stay.guest_id)
            ],
            "cashiering": {"revenuesAndBalances": {"balance": self.money(self.balance(stay.id))}},
        }

    def _common(self, stay: Stay) -> Json:
        return {
            "reservationIdList": [{"id": f"C{stay.id}", "type": "Confirmation"}, {"id": stay.id, "type": "Reservation"}],
            "hotelId": "SAND01",
            "reservationStatus": stay.status,
            "computedReservationStatus": stay.computed(self.today),
            "createDateTime": stamp(self._opened),
            "lastModifyDateTime": stamp(stay.modified),
            **self._sharers(stay),
        }

    def summary(self, guest_id: str) -> Json:
        profile, name = self.profiles[guest_id], self.name_of(guest_id)
        return {
            "profileIdList": [{"id": guest_id, "type": "Profile"}],
            "profile": {
                "altName": {"name": name["surname"], "givenName": name["givenName"], "fullName": f"{name['surname']}, {name['givenName']}"},
                "profileType": "Guest",
                "lastModifyDateTime": profile["lastModifyDateTime"],
            },
        }

    def windows(self, stay_id: str, with_postings: bool, offset: int, limit: int) -> Iterator[Json]:
        """Yield folio windows; each pages its own postings."""
        numbers = sorted({posting["folioWindowNo"] for posting in self.postings[stay_id]}) or [1]
        for number in numbers:
            postings = [posting for posting in self.postings[stay_id] if posting["folioWindowNo"] == number]
            balance = sum((Decimal(str(posting["postedAmount"]["amount"])) for posting in postings), Decimal(0))
            window: Json = {"folioWindowNo": number, "balance": self.money(balance), "emptyFolio": not postings}
            if with_postings:
                shown = postings[offset : offset + limit]
                window |= {
                    "folios": [{"postings": shown}],
                    "hasMore": offset + limit < len(postings),
                    "totalResults": len(postings),
                    "count": len(shown),
                }
            yield window


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _primary(profile: Json, kind: str) -> Json:
    children = profile.get(f"{kind}s", {}).get(f"{kind}Info", [])
    return next((child[kind] for child in children if child[kind].get("primaryInd")), {})
