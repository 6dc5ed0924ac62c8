"""Reads OPERA Cloud: the connection, and the reservations, rooms, profiles and business events of one hotel."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from integrations.exceptions import AuthenticationFailed, ConfigurationError, ProviderError, RequestRejected
from integrations.records import Guest, Page, Record, Reservation, Room, StreamQuery
from integrations.services.base import ConnectionReport
from integrations.services.opera_cloud import mapping
from integrations.services.opera_cloud.gateway import Params, body_of, path_of
from integrations.services.opera_cloud.manifest import Config, manifest
from integrations.services.opera_cloud.mapping import Row
from integrations.services.opera_cloud.operations import Operations
from integrations.services.opera_cloud.signin import APP_KEY
from integrations.services.rows import mapped

MODULES = {
    "rsv": ("/rsv/v1/services/reservations/status", "Reservation"),
    "fof": ("/fof/v1/services/frontDeskOperations/status", "Front Desk Operations"),
    "hsk": ("/hsk/v1/services/houseKeeping/status", "Housekeeping"),
    "crm": ("/crm/v1/services/profile/status", "Customer Relationship Management"),
    "csh": ("/csh/v1/services/cashiering/status", "Cashiering"),
}
"""Module -> its ping, and the API an application is subscribed to."""
SLICE = timedelta(days=7)
"""Arrivals are searched a week at a time, so that an offset stays small while bookings come in."""
GUESTS_A_PAGE = 50
"""Each is read in detail: what was read is stored after so many calls."""
OVERLAP = timedelta(minutes=30)
"""Read again before the newest change seen: a profile changed on a page that was read already, while later ones were read, is among them."""
EVENTS_AT_ONCE = 20
"""OPERA's maximum; more is an error since release 24.4."""


class OperaCloudProvider(Operations):
    manifest = manifest

    def test_connection(self) -> ConnectionReport:
        version = ""
        for module in self.config.modules:
            ping, api = MODULES[module]
            try:
                version = self._get(ping, f"ping_{module}").get("operaVersion") or version
            except (AuthenticationFailed, RequestRejected) as error:
                error.hint = self._likely_cause(error, api) or error.hint
                raise
        if "csh" in self.config.modules:
            self._check_transaction_codes()
        wanted = ("external_system", "cashier_id", "default_transaction_code")
        return ConnectionReport(
            summary=f"Connected to OPERA Cloud {version}, hotel {self._hotel}.",
            details={
                "hotel_code": self._hotel,
                "opera_version": version,
                "apis": [MODULES[module][1] for module in self.config.modules],
                "not_set": [Config.model_fields[name].title for name in wanted if not getattr(self.config, name)],
            },
        )

    def _likely_cause(self, error: ProviderError, api: str) -> str:
        if not APP_KEY.fullmatch(self.credentials.app_key.get_secret_value()):
            return (
                "The likely cause is the application key: Oracle's have the form 8-4-4-4-12, hexadecimal digits in lower case. "
                "Copy it from your application in the OHIP developer portal."
            )
        if error.status == 403:
            return (
                f"Check that hotel code {self._hotel} belongs to this environment, that the application is subscribed to "
                f"the {api} API, and that the integration user has the role WSACCESS."
            )
        return ""

    def _check_transaction_codes(self) -> None:
        if wanted := {*self.config.transaction_codes.values(), self.config.default_transaction_code} - {""}:
            rows = self._get(self._path("csh", "transactionCodes"), "transaction_codes").get("trxCodes") or ()
            if unknown := wanted - {row.get("transactionCode") for row in rows}:
                raise ConfigurationError(
                    f"OPERA has no transaction code {', '.join(sorted(unknown))}.", hint="Correct it in this integration's configuration."
                )

    # --- streams ---------------------------------------------------------------------------------------------------------------

    def reservations(self, query: StreamQuery) -> Iterator[Page]:
        """Yield the reservations that arrive in the window and those in house, with their guests; asked by id, just those."""
        if query.external_ids:
            rows = [row for external_id in query.external_ids if (row := self._reservation(external_id))]
            yield _page(rows, Reservation, lambda row: [mapping.reservation_from_detail(row)])
            return
        done = query.checkpoint or {}
        today = _day(done.get("today")) or datetime.now(ZoneInfo(self.hotel.time_zone)).date()
        # A range with one end reaches as far beyond it as the window does: the other end may lie on the far side of today.
        first = _day(done.get("first")) or query.since or min(today, query.until or today) - timedelta(days=self.config.days_back)
        last = _day(done.get("last")) or query.until or max(today, query.since or today) + timedelta(days=self.config.days_ahead)
        known: set[str] = set()

        def read(row: Row) -> Iterator[Record]:
            guest = mapping.guest_from_reservation(row)
            if guest and guest.external_id not in known:
                known.add(guest.external_id)
                yield guest
            yield mapping.reservation_from_list(row)

        for number, search in enumerate(_searches(first, last, today)):
            if number < done.get("search", 0):
                continue
            params = [*search.items(), ("orderBy", "ArrivalDate"), ("sortOrder", "Asc")]
            for rows, offset in self._reservations(params, done.get("offset", 0) if number == done.get("search") else 0):
                if "searchType" in search:  # whoever arrives in the window comes with the arrivals
                    rows = [row for row in rows if not str(first) <= str(mapping.stay_of(row).get("arrivalDate"))[:10] <= str(last)]
                place = {"today": str(today), "first": str(first), "last": str(last), "search": number, "offset": offset}
                yield _page(rows, Reservation, read, checkpoint=place)

    def rooms(self, query: StreamQuery) -> Iterator[Page]:
        if query.external_ids:
            found = [room for number in query.external_ids for room in self.get_room_status(number)]
            if {room.number for room in found} == set(query.external_ids):
                yield Page(records=found)
                return
            # Oracle does not say that a housekeeping event's key is the room's number; where it is not, every room is read.
        for rows, offset in self._rooms([], (query.checkpoint or {}).get("offset", 0)):
            yield _page(rows, Room, lambda row: [mapping.room(row)], checkpoint={"offset": offset})

    def guests(self, query: StreamQuery) -> Iterator[Page]:
        """Yield profiles in detail: those asked for by id, or those the search lists as changed since the cursor.

        The search's summary has no language, no preferences and, by its schema, no plain name: it only says whom to read.
        """
        if query.external_ids:
            yield self._guests(query.external_ids)
            return
        done = query.checkpoint or {}
        before = (query.cursor or {}).get("modified", "")
        since = (datetime.fromisoformat(before) - OVERLAP).isoformat() if before else ""
        newest = done.get("newest") or before
        params = [("profileType", "Guest"), ("hotelId", self._hotel)]
        where, limit = ("profileSummaries", "profileInfo"), min(GUESTS_A_PAGE, self.config.page_size)
        for rows, offset in self._list("/crm/v1/profiles", "guests", params, where, done.get("offset", 0), limit):
            found = [(mapping.id_of(row.get("profileIdList"), "Profile"), mapping.modified(row.get("profile") or {})) for row in rows]
            newest = max(newest, *(modified for _, modified in found))
            changed = [external_id for external_id, modified in found if not modified or modified >= since]
            yield self._guests(changed, checkpoint={"offset": offset, "newest": newest}, cursor={"modified": newest} if newest else None)

    def poll(self) -> Iterator[list[Mapping[str, Any]]]:
        """Yield batches of business events. Reading takes them off OPERA's queue for good: store each before asking for the next."""
        if not self.config.external_system:
            return  # the hotel has set up no queue; what changes comes with the next sync
        path = path_of("int", "v1", "externalSystem", self.config.external_system, "hotels", self._hotel, "businessEvents")
        events: list[Mapping[str, Any]] | None = None
        while events is None or len(events) == EVENTS_AT_ONCE:
            # Not repeated by itself: an answer that was lost took its events with it, and the caller should know.
            answer = self.client.call("GET", path, name="poll_events", params=[("limit", EVENTS_AT_ONCE)], safe=False)
            events = list(body_of(answer).get("businessEventData") or ())
            if events:
                yield events

    def _guests(self, external_ids: Iterable[str], **page: Any) -> Page:
        profiles = [profile for external_id in external_ids if external_id and (profile := self._find_profile(external_id))]
        return _page(profiles, Guest, lambda profile: [mapping.guest(profile)], **page)

    # --- reading on demand -----------------------------------------------------------------------------------------------------

    def get_room_status(self, room_number: str = "") -> list[Room]:
        params: Params = [("roomIdText", room_number)] if room_number else []
        found = [mapping.room(row) for rows, _ in self._rooms(params) for row in rows]
        return [room for room in found if room_number in ("", room.number)]  # roomIdText is a wildcard search: 101 finds 1101 too

    def get_guest_info(self, guest_external_id: str) -> Guest:
        return mapping.guest(self._profile(guest_external_id))


def _searches(first: date, last: date, today: date) -> Iterator[Mapping[str, str]]:
    """Who is in house, whenever they arrived; then the arrivals of the window, week by week."""
    if first <= today <= last:
        yield {"searchType": "InHouse"}
    start = first
    while start <= last:
        yield {"arrivalStartDate": str(start), "arrivalEndDate": str(min(start + SLICE - timedelta(days=1), last))}
        start += SLICE


def _day(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None


def _page(rows: Iterable[Row], kind: type[Record], read: Callable[[Row], Iterable[Record]], **page: Any) -> Page:
    records, rejected = mapped(rows, kind, read, mapping.any_id)
    return Page(records=records, rejected=rejected, **page)


provider = OperaCloudProvider
