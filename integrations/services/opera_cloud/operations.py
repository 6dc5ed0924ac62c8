"""Writes to OPERA Cloud: check-ins, check-outs, room charges, service requests, changes of a profile.

OPERA knows no idempotency key. What we write carries our key where OPERA keeps text, or sets a state that can be read; either is
looked for before anything is sent again. The codes of the hotel's own lists come from the config.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from integrations import values
from integrations.exceptions import ConfigurationError, ProviderError, RequestRejected, RetryableProviderError, UnexpectedResponse
from integrations.records import Reservation
from integrations.services import payers
from integrations.services.opera_cloud import bodies, mapping
from integrations.services.opera_cloud.gateway import Gateway, Params, body_of, path_of
from integrations.services.opera_cloud.mapping import Row

Payload = Mapping[str, Any]

STAY = [("fetchInstructions", "Reservation"), ("fetchInstructions", "RevenuesAndBalances")]
PROFILE = [("fetchInstructions", "Profile"), ("fetchInstructions", "Communication"), ("fetchInstructions", "Preference")]
COMMENTS = [("fetchInstructions", "Comment")]
REQUESTS_SLICE = timedelta(days=28)
"""How many days of requests are searched at once; OPERA takes 30 at most."""


class Operations(Gateway):
    # --- check-in --------------------------------------------------------------------------------------------------------------

    def post_check_in(self, payload: Payload, key: str) -> Mapping[str, Any]:
        """Check in a reservation that is due in; a room is assigned if it has none."""
        stay = self._stay(payload)
        number, notes = stay.room_number, []
        if stay.status != "in_house":
            if not number and stay.status_original == "DueIn":  # any other is refused, and should not take a room before
                number = payload["room_number"] or self._free_room(stay)
                body = bodies.room_assignment(stay.external_id, number, self._hotel)
                self._write("POST", self._stay_path("fof", stay, "roomAssignments"), "assign_room", body)
            answer = self._write("POST", self._stay_path("fof", stay, "checkIns"), "check_in", bodies.check_in(number))
            notes = mapping.warnings(body_of(answer))
        return {"reference": stay.external_id, "status": "in_house", "room_number": number, "warnings": notes}

    def find_post_check_in(self, payload: Payload, key: str) -> Mapping[str, Any] | None:
        stay = self._stay(payload)
        if stay.status not in ("in_house", "checked_out"):  # whoever has left was checked in
            return None
        return {"reference": stay.external_id, "status": "in_house", "room_number": stay.room_number, "warnings": []}

    def _free_room(self, stay: Reservation) -> str:
        params = [("roomType", stay.room_type), ("hotelRoomStatus", "Inspected"), ("hotelFORoomStatus", "Vacant"), ("limit", 1)]
        rooms = (self._get(self._path("fof", "rooms"), "free_rooms", params).get("hotelRoomsDetails") or {}).get("room")
        if not rooms:
            raise RequestRejected(
                f"Reservation {stay.external_id} has no room, and no inspected room of type {stay.room_type} is free.",
                hint="Assign a room in OPERA, or name one in the check-in.",
            )
        return str(rooms[0]["roomId"])

    # --- check-out -------------------------------------------------------------------------------------------------------------

    def post_check_out(self, payload: Payload, key: str) -> Mapping[str, Any]:
        """Check out a reservation whose folio is settled, then pass on the guest's feedback. A dry run only asks OPERA."""
        stay = self._stay(payload)
        is_dry_run = bool(payload["dry_run"])
        notes: list[str] = []
        if stay.status != "checked_out":
            body = bodies.check_out(
                stay.external_id, self._hotel, self.config.cashier_id, self.config.room_status_after_check_out, is_dry_run
            )
            try:
                answer = self._write("POST", self._stay_path("csh", stay, "checkOuts"), "check_out", body)
            except RequestRejected as refusal:
                raise self._explained(refusal, stay) from refusal
            notes = mapping.warnings(body_of(answer))
            if is_dry_run:
                return {"reference": stay.external_id, "status": "can_check_out", "warnings": notes}
        if not is_dry_run:
            notes += self._leave_feedback(stay, payload, key)
        return {"reference": stay.external_id, "status": "checked_out", "warnings": notes}

    def find_post_check_out(self, payload: Payload, key: str) -> Mapping[str, Any] | None:
        """A check-out whose feedback is missing counts as not done: posted again, it only passes on the feedback."""
        stay = self._stay(payload)
        if stay.status != "checked_out" or (bodies.feedback(payload) and not self._is_feedback_left(stay, key)):
            return None
        return {"reference": stay.external_id, "status": "checked_out", "warnings": []}

    def _explained(self, refusal: RequestRejected, stay: Reservation) -> RequestRejected:
        """Say it in money where it is the folio that stands in the way."""
        balances = mapping.open_balances(self._folio(stay.external_id, [("fetchInstructions", "Windowbalances")]))
        if not balances:
            return refusal
        return RequestRejected(
            f"Reservation {stay.external_id} cannot be checked out: its folio has an open balance of {' and '.join(balances)}.",
            hint="Settle the folio in OPERA, then check out again.",
            **{name: getattr(refusal, name) for name in ("provider", "operation", "status", "vendor_code", "excerpt", "correlation_id")},
        )

    def _leave_feedback(self, stay: Reservation, payload: Payload, key: str) -> list[str]:
        """Write the feedback where this hotel wants it. The guest has left by now, so a refusal is only a warning; an outage is retried."""
        text = bodies.feedback(payload)
        try:
            if not text or self._is_feedback_left(stay, key):
                return []
            if self.config.feedback_target == "service_request":
                request = {**payload, "category": "", "priority": "", "message": text}
                self._write(
                    "POST", self._path("fof", "serviceRequests"), "send_feedback", bodies.service_request(request, key, self._hotel)
                )
            else:
                profile = self._profile(stay.guest_external_id, COMMENTS)
                text = bodies.with_reference(text, key)
                self._put_profile(stay.guest_external_id, bodies.with_comment(profile, text, self._hotel, self.config.comment_type))
        except RetryableProviderError:
            raise
        except ProviderError as error:
            return [f"The guest's feedback could not be passed on: {error.message}"]
        return []

    def _is_feedback_left(self, stay: Reservation, key: str) -> bool:
        if self.config.feedback_target == "service_request":
            return bool(self._find_request([("reservationId", stay.external_id)], key))
        return any(key in text for text in mapping.comments(self._find_profile(stay.guest_external_id, COMMENTS)))

    # --- whom it concerns ------------------------------------------------------------------------------------------------------

    def pin_post_charge(self, payload: Payload, asked_on: date) -> Mapping[str, str]:
        """Return the reservation named, if it is the one meant, else the one in house in the room."""
        number, name = payload["room_number"], payload["guest_name"]
        if not payload["reservation_external_id"]:
            return payers.who_pays(self._in_house(number), number, name, asked_on).pinned()
        stay = self._named_stay(payload)
        payers.check_name(stay, name)
        return stay.pinned()

    def pin_send_request(self, payload: Payload, asked_on: date) -> Mapping[str, str]:
        """Return the reservation named, or the one whose guest is in the room; a room that nobody has to itself may be asked for alone."""
        number, guest_id = payload["room_number"], payload["guest_external_id"]
        if payload["reservation_external_id"]:
            return {"reservation_external_id": self._named_stay(payload).reservation_external_id}
        stays = self._in_house(number) if number else []
        if guest_id and stays:
            stays = [stay for stay in stays if guest_id in stay.guests]
            if not stays:
                raise RequestRejected(
                    f"Guest {guest_id} is not in room {number}.", hint="Leave one of the two out: somebody may have moved."
                )
        return {"reservation_external_id": stays[0].reservation_external_id} if len(stays) == 1 else {}

    def _named_stay(self, payload: Payload) -> payers.Stay:
        external_id, number = payload["reservation_external_id"], payload["room_number"]
        stays = [mapping.occupied(row) for rows, _ in self._reservations([("reservationIdList", external_id)]) for row in rows]
        stay = next((stay for stay in stays if stay.reservation_external_id == external_id), None)
        if stay is None:
            raise self._unknown(external_id)
        self._check_room(external_id, stay.room_number, number)
        return stay

    def _in_house(self, number: str) -> list[payers.Stay]:
        rows = [row for page, _ in self._reservations([("searchType", "InHouse"), ("roomId", number)]) for row in page]
        return [stay for stay in map(mapping.occupied, rows) if stay.room_number == number]

    # --- charges ---------------------------------------------------------------------------------------------------------------

    def post_charge(self, payload: Payload, key: str) -> Mapping[str, Any]:
        code = self.config.transaction_codes.get(payload["category"].casefold()) or self.config.default_transaction_code
        if not code:
            raise ConfigurationError(
                f"No OPERA transaction code is set for charges of the category “{payload['category']}”.",
                hint="Enter one in this integration's configuration, for the category or as the default.",
            )
        reservation_id = payload["reservation_external_id"]
        body = bodies.charge(payload, key, code, reservation_id, self._hotel, self.config.cashier_id)
        answer = body_of(self._write("POST", self._path("csh", "reservations", reservation_id, "charges"), "post_charge", body))
        posted = mapping.posted(answer.get("postings") or (), key) or {"reference": key, "amount": payload["amount"]}
        return {**posted, "warnings": mapping.warnings(answer)}

    def find_post_charge(self, payload: Payload, key: str) -> Mapping[str, Any] | None:
        posted = mapping.posted(self._postings(payload["reservation_external_id"]), key)
        return {**posted, "warnings": []} if posted else None

    def _postings(self, reservation_id: str) -> Iterator[Row]:
        """Yield everything on a reservation's folio, or raise: what cannot be read to its end must not pass for absent."""
        offset, previous = 0, None
        while True:
            params = [("fetchInstructions", "Postings"), ("limit", self.config.page_size), ("offset", offset)]
            windows = self._folio(reservation_id, params)
            postings = [posting for window in windows for folio in window.get("folios") or () for posting in folio.get("postings") or ()]
            yield from postings
            if not any(window.get("hasMore") for window in windows):
                return
            if postings == previous:
                raise UnexpectedResponse(
                    f"OPERA does not list the folio of reservation {reservation_id} to its end.",
                    hint="Look for the charge in OPERA before posting it again.",
                )
            offset, previous = offset + self.config.page_size, postings

    def _folio(self, reservation_id: str, params: Params) -> list[Row]:
        answer = self._get(self._path("csh", "reservations", reservation_id, "folios"), "folio", params)
        return list((answer.get("reservationFolioInformation") or {}).get("folioWindows") or ())

    # --- service requests ------------------------------------------------------------------------------------------------------

    def send_request(self, payload: Payload, key: str) -> Mapping[str, Any]:
        code = self.config.request_codes.get(payload["category"].casefold(), "")
        priority = self.config.request_priorities.get(payload["priority"], "")
        body = bodies.service_request(payload, key, self._hotel, code, priority)
        answer = self._write("POST", self._path("fof", "serviceRequests"), "send_request", body)
        reference = answer.headers.get("Location", "").rstrip("/").rpartition("/")[2]
        return {"reference": reference or key, "warnings": mapping.warnings(body_of(answer))}

    def find_send_request(self, payload: Payload, key: str) -> Mapping[str, Any] | None:
        by = (("reservationId", "reservation_external_id"), ("room", "room_number"), ("profileId", "guest_external_id"))
        since = datetime.fromisoformat(payload["pinned_at"]) - timedelta(days=1)
        found = self._find_request([(theirs, payload[ours]) for theirs, ours in by if payload[ours]][:1], key, since)
        return {"reference": found, "warnings": []} if found else None

    def _find_request(self, by: Params, key: str, since: datetime | None = None) -> str:
        """Return the id of our request among those made since then; empty if it is not among them."""
        end = datetime.now(UTC).date() + timedelta(days=1)
        first = since.astimezone(UTC).date() if since else end - REQUESTS_SLICE
        while first <= end:
            last = min(first + REQUESTS_SLICE, end)
            window = [("creationStartDate", str(first)), ("creationEndDate", str(last))]
            rows = self._get(self._path("fof", "serviceRequests"), "service_requests", [*by, *window]).get("serviceRequestsDetails") or ()
            for row in rows:
                if key in (row.get("comment") or ""):
                    return str((row.get("serviceRequestId") or {}).get("id") or key)
            first = last + timedelta(days=1)
        return ""

    # --- guests ----------------------------------------------------------------------------------------------------------------

    def update_guest_info(self, payload: Payload, key: str) -> Mapping[str, Any]:
        """Change a profile as it stands, and read it again: OPERA may accept a change and keep the old value."""
        guest_id, changes = payload["guest_external_id"], payload["changes"]
        profile = self._profile(guest_id)
        notes: list[str] = []
        if mapping.is_anonymized(profile):
            raise RequestRejected(f"Profile {guest_id} was anonymised in OPERA and is not to be filled again.")
        if mapping.differing(profile, changes):
            body = bodies.profile_update(profile, changes, self.config.email_type, self.config.phone_type)
            notes = mapping.warnings(self._put_profile(guest_id, body))
            if kept := self.hotel.differing(mapping.guest(self._profile(guest_id)), changes):
                raise RequestRejected(
                    f"OPERA took the change of profile {guest_id} but kept the old {', '.join(kept)}.",
                    hint="Codes such as the language must be on the hotel's own list in OPERA; correct the value, or change it there.",
                )
        return {"reference": guest_id, "warnings": notes}

    def _put_profile(self, guest_id: str, body: Row) -> dict[str, Any]:
        return body_of(self._write("PUT", path_of("crm", "v1", "profiles", guest_id), "update_profile", body))

    def _find_profile(self, guest_id: str, fetch: Params = PROFILE) -> Row:
        return self._find(path_of("crm", "v1", "profiles", guest_id), "profile", [*fetch, ("hotelId", self._hotel)])

    def _profile(self, guest_id: str, fetch: Params = PROFILE) -> Row:
        profile = self._find_profile(guest_id, fetch)
        if not profile:
            raise RequestRejected(
                f"OPERA has no guest profile {guest_id}.",
                hint="It may have been merged into another one; sync guests, then try again.",
                status=404,
            )
        return profile

    # --- reservations and rooms ------------------------------------------------------------------------------------------------

    def _reservation(self, external_id: str) -> Row:
        answer = self._find(self._path("rsv", "reservations", external_id), "reservation", STAY)
        return next(iter(values.objects(mapping.part(answer, "reservations").get("reservation"), "reservation")), {})

    def _stay(self, payload: Payload) -> Reservation:
        """Return the reservation of a check-in or check-out as it stands. Raises RequestRejected if it is not the one meant."""
        external_id, number = payload["reservation_external_id"], payload["room_number"]
        row = self._reservation(external_id)
        if not row:
            raise self._unknown(external_id)
        stay = mapping.reservation_from_detail(row)
        self._check_room(external_id, stay.room_number, number)
        return stay

    def _unknown(self, external_id: str) -> RequestRejected:
        return RequestRejected(f"OPERA has no reservation {external_id} at hotel {self._hotel}.", hint="Sync reservations, then try again.")

    @staticmethod
    def _check_room(external_id: str, has: str, asked: str) -> None:
        if asked and has and asked != has:
            raise RequestRejected(
                f"Reservation {external_id} has room {has} in OPERA, not {asked}.",
                hint="Correct the room number, or move the guest in OPERA first.",
            )

    def _stay_path(self, module: str, stay: Reservation, action: str) -> str:
        return self._path(module, "reservations", stay.external_id, action)

    def _reservations(self, params: Params, offset: int = 0) -> Iterator[tuple[list[Row], int]]:
        where = ("reservations", "reservationInfo")
        pages = self._list(self._path("rsv", "reservations"), "reservations", [*params, *STAY], where, offset, self.config.page_size)
        for rows, after in pages:
            yield [row for row in rows if not mapping.is_pseudo(row, "roomStay", "pseudoRoom")], after  # posting masters are nobody's stay

    def _rooms(self, params: Params, offset: int = 0) -> Iterator[tuple[list[Row], int]]:
        where = ("housekeepingRoomInfo", "housekeepingRooms", "room")
        for rows, after in self._list(self._path("hsk", "housekeepingOverview"), "rooms", params, where, offset, self.config.page_size):
            yield [row for row in rows if not mapping.is_pseudo(row, "roomType", "pseudoRoom")], after  # nor a room one could enter
