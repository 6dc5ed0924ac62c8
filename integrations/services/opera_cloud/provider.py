"""Reads OPERA Cloud: the connection, and the reservations, rooms, profiles and business events of one hotel."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from integrations import values
from integrations.exceptions import AuthenticationFailed, ConfigurationError, ProviderError, RequestRejected
from integrations.records import Guest, Page, Record, Reservation, Room, StreamQuery
from integrations.services.base import ConnectionReport
from integrations.services.opera_cloud import mapping
from integrations.services.opera_cloud.gateway import ListCutError, Params, path_of
from integrations.services.opera_cloud.manifest import Config, manifest
from integrations.services.opera_cloud.mapping import Row
from integrations.services.opera_cloud.operations import Operations
from integrations.services.opera_cloud.signin import APP_KEY
from integrations.services.rows import before as earlier
from integrations.services.rows import mapped, newest, read_each

MODULES = {
    "rsv": ("/rsv/v1/services/reservations/status", "Reservation"),
    "fof": ("/fof/v1/services/frontDeskOperations/status", "Front Desk Operations"),
    "hsk": ("/hsk/v1/services/houseKeeping/status", "Housekeeping"),
    "crm": ("/crm/v1/services/profile/status", "Customer Relationship Management"),
    "csh": ("/csh/v1/services/cashiering/status", "Cashiering"),
}
"""Module -> its ping, and the API an application is subscribed to."""
SLICE_DAYS = 7
"""Arrivals are searched a week at a time, so that an offset stays small while bookings come in; fewer days at a time where a week has more
than OPERA lists."""
BY_ARRIVAL = [("orderBy", "ArrivalDate"), ("sortOrder", "Asc")]
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
            rows = values.objects(self._get(self._path("csh", "transactionCodes"), "transaction_codes").get("trxCodes"), "trxCodes")
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
            for guest in mapping.guests_from_reservation(row):
                if guest.external_id not in known:
                    known.add(guest.external_id)
                    yield guest
            yield mapping.reservation_from_list(row)

        window = {"today": str(today), "first": str(first), "last": str(last)}
        start, days, offset = _day(done.get("start")), done.get("days", SLICE_DAYS), done.get("offset", 0)
        if start is None and first <= today <= last:  # who is in house, whenever they arrived
            for rows, after in self._reservations([("searchType", "InHouse"), *BY_ARRIVAL], offset):
                # Whoever arrives in the window comes with the arrivals.
                rows = [row for row in rows if not str(first) <= mapping.arrival_of(row) <= str(last)]
                yield _page(rows, Reservation, read, checkpoint={**window, "offset": after})
            offset = 0
        start = start or first
        while start <= last:
            end = min(start + timedelta(days=days - 1), last)
            params = [("arrivalStartDate", str(start)), ("arrivalEndDate", str(end)), *BY_ARRIVAL]
            try:
                for rows, after in self._reservations(params, offset):
                    yield _page(rows, Reservation, read, checkpoint={**window, "start": str(start), "days": days, "offset": after})
            except ListCutError:
                if start == end:
                    raise
                days = ((end - start).days + 1) // 2  # what was stored of the longer slice is found unchanged
            else:
                start = end + timedelta(days=1)
            offset = 0
        yield Page(records=[], checkpoint={**window, "start": str(start)}, until=last)  # that nobody comes is an answer too

    def rooms(self, query: StreamQuery) -> Iterator[Page]:
        if query.external_ids:
            found = [row for number in query.external_ids for row in self._rooms_numbered(number)]
            page = _page(found, Room, lambda row: [mapping.room(row)])
            if {room.external_id for room in (*page.records, *page.rejected)} == set(query.external_ids):
                yield page
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
        since = earlier(before, OVERLAP).isoformat() if before else ""
        latest = done.get("newest") or before
        params = [("profileType", "Guest"), ("hotelId", self._hotel)]
        where, limit = ("profileSummaries", "profileInfo"), min(GUESTS_A_PAGE, self.config.page_size)
        for rows, offset in self._list("/crm/v1/profiles", "guests", params, where, done.get("offset", 0), limit):
            found, odd = read_each(rows, Guest, mapping.summary, lambda row: mapping.id_of(row["profileIdList"], "Profile"))
            latest = newest(latest, *(modified for _, modified in found))
            changed = [external_id for external_id, modified in found if not modified or modified >= since]
            place = {"offset": offset, "newest": latest}
            page = self._guests(changed, checkpoint=place, cursor={"modified": latest} if latest else None)
            yield replace(page, rejected=[*page.rejected, *odd])

    def poll(self) -> Iterator[list[Mapping[str, Any]]]:
        """Yield batches of business events. Reading takes them off OPERA's queue for good: store each before asking for the next."""
        if not self.config.external_system:
            return  # the hotel has set up no queue; what changes comes with the next sync
        path = path_of("int", "v1", "externalSystem", self.config.external_system, "hotels", self._hotel, "businessEvents")
        events: list[Mapping[str, Any]] | None = None
        while events is None or len(events) == EVENTS_AT_ONCE:
            # Not repeated by itself: an answer that was lost took its events with it, and the caller should know.
            answer = self.client.call("GET", path, name="poll_events", params=[("limit", EVENTS_AT_ONCE)], safe=False)
            events = answer.rows("businessEventData") if answer.content else []
            if events:
                yield events

    def _guests(self, external_ids: Iterable[str], **page: Any) -> Page:
        profiles = [profile for external_id in external_ids if external_id and (profile := self._find_profile(external_id))]
        return _page(profiles, Guest, lambda profile: [mapping.guest(profile)], **page)

    # --- reading on demand -----------------------------------------------------------------------------------------------------

    def get_room_status(self, room_number: str = "") -> list[Room]:
        return mapped(self._rooms_numbered(room_number), Room, lambda row: [mapping.room(row)], mapping.any_id)[0]

    def _rooms_numbered(self, room_number: str) -> list[Row]:
        params: Params = [("roomIdText", room_number)] if room_number else []
        found = [row for rows, _ in self._rooms(params) for row in rows]
        return [row for row in found if room_number in ("", mapping.any_id(row))]  # roomIdText is a wildcard search: 101 finds 1101 too

    def get_guest_info(self, guest_external_id: str) -> Guest:
        return mapping.guest(self._profile(guest_external_id))


def _day(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None


def _page(rows: Iterable[Row], kind: type[Record], read: Callable[[Row], Iterable[Record]], **page: Any) -> Page:
    records, rejected = mapped(rows, kind, read, mapping.any_id)
    return Page(records=records, rejected=rejected, **page)


provider = OperaCloudProvider
