"""Talks to Simphony's Transaction Services Gen2: menus and checks of one revenue center."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations import values
from integrations.exceptions import (
    ConfigurationError,
    InvalidInput,
    RecordRejected,
    RequestRejected,
    RetryableProviderError,
    UnexpectedResponse,
)
from integrations.records import GuestCheck, MenuCategory, MenuItem, Page, Record, StreamQuery
from integrations.services.base import ConnectionReport, Provider
from integrations.services.rows import before, mapped, named, newest, read_each
from integrations.services.simphony import mapping
from integrations.services.simphony.manifest import Config, Credentials, manifest
from integrations.services.simphony.signin import SignIn
from integrations.transport.auth import Auth, TokenAuth, TokenStore
from integrations.transport.client import ErrorRules, Response
from integrations.transport.request import GONE, path_part

FEATURES = {"Simphony-Features": "detect-duplicate-request"}
"""Without it a repeated idempotencyId makes a second check. Simphony 19.8.4 and STS Gen2 1.7.4 or newer; it holds for 300 seconds."""
DUPLICATE = "duplicate_request"
LOOK_BACK = timedelta(days=3)
"""How far back a posted check is looked for, and how long after its creation a change of a check is still noticed."""

CHECKS_A_PAGE = 50

Mapper = Callable[[Mapping[str, Any]], Record]


def read_error(response: Response) -> tuple[str, str]:
    """Read Oracle's problem details, or the sign-in's own shape."""
    body = response.record()
    first = next((one for one in body.get("posDetails") or () if isinstance(one, Mapping)), {})
    return str(first.get("code") or body.get("code") or ""), str(first.get("message") or body.get("detail") or body.get("message") or "")


class SimphonyProvider(Provider[Config, Credentials]):
    manifest = manifest
    errors = ErrorRules(read=read_error, table={(400, DUPLICATE): RetryableProviderError})

    @classmethod
    def auth(cls, config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
        sign_in = SignIn(config, credentials)
        return TokenAuth(tokens, obtain=sign_in, header=sign_in.header)

    @property
    def currency(self) -> str:
        return self.config.currency or self.hotel.currency

    @property
    def context(self) -> dict[str, str]:
        """Headers of every call without a check in its body."""
        config = self.config
        return {
            "Simphony-OrgShortName": config.org_short_name,
            "Simphony-LocRef": config.loc_ref,
            "Simphony-RvcRef": str(config.rvc_ref),
        }

    @property
    def query(self) -> dict[str, str]:
        """The same, as the configuration reads want it."""
        return {name.removeprefix("Simphony-"): value for name, value in self.context.items()}

    def test_connection(self) -> ConnectionReport:
        config = self.config
        path = f"/api/v1/organizations/{path_part(config.org_short_name)}/locations/{path_part(config.loc_ref)}/revenueCenters/{config.rvc_ref}"
        try:
            answer = self.client.call("GET", path, name="test_connection")
        except RequestRejected as error:
            error.hint = "Compare organization, location and revenue center with EMC, and check that the API account may use them."
            raise
        center = answer.record()
        order_types = {kind.get("orderTypeRef"): kind.get("name", "") for kind in answer.rows("orderTypes")}
        if order_types and config.order_type_ref not in order_types:
            known = ", ".join(f"{number} ({name})" for number, name in order_types.items())
            raise ConfigurationError(f"The revenue center has no order type {config.order_type_ref}. It has: {known}.")
        menus = self._menu_ids()
        status = self.client.call("HEAD", "/api/v1/checks/connectionStatus", name="connection_status", headers=self.context)
        online = {"true": "yes", "false": "no"}.get(status.headers.get("Simphony-POS-Connected", "").lower(), "unknown")
        name = mapping.translated(center.get("name"), config.language) or f"revenue center {config.rvc_ref}"
        note = "" if online != "no" else ", but the till is not connected to Simphony's cloud just now: checks will wait"
        return ConnectionReport(
            summary=f"Connected to {name} at {config.loc_ref} ({self.currency}), {len(menus)} menu(s){note}.",
            details={
                "revenue_center": name,
                "order_type": order_types.get(config.order_type_ref, ""),
                "till_connected": online,
                "menus": len(menus),
            },
        )

    # --- menus -----------------------------------------------------------------------------------------------------------------

    def menus(self, query: StreamQuery) -> Iterator[Page]:
        answer = self.client.call("GET", "/api/v1/menus/items/unavailable", name="menus", params=self.query)
        pairs, rejected = read_each(answer.rows("items"), MenuItem, mapping.sold_out, lambda item: item["menuItemId"])
        if rejected:
            yield Page(records=[], rejected=rejected)
        sold_out = dict(pairs)
        yield from self._changed(
            query,
            MenuItem,
            lambda item: mapping.menu_item(item, sold_out, self.config, self.currency),
            listed_as=("menuItems", "menuItemId"),
            seen_with=sold_out,
        )

    def categories(self, query: StreamQuery) -> Iterator[Page]:
        return self._changed(
            query, MenuCategory, lambda group: mapping.category(group, self.config), listed_as=("familyGroups", "familyGroupItemId")
        )

    def _changed(
        self,
        query: StreamQuery,
        kind: type[Record],
        mapper: Mapper,
        *,
        listed_as: tuple[str, str],
        seen_with: Mapping[str, Any] = {},
    ) -> Iterator[Page]:
        """Yield what the menus hold, a page a menu; those whose entity tag is the one of the last run are not sent again.

        The cursor keeps each menu's tag and ids, so that what left a changed menu is noticed without a full run. `seen_with` is
        what else went into the records: if it changed, every menu is read.
        """
        list_name, id_name = listed_as
        cursor = query.cursor or {}
        before = cursor.get("menus", {})
        is_current = cursor.get("seen_with") == seen_with
        done: dict[str, Any] = dict((query.checkpoint or {}).get("menus", {}))
        for menu_id in self._menu_ids():
            if menu_id in done:
                continue
            answer = self._menu(menu_id, before.get(menu_id, {}).get("tag", "") if is_current else "")
            if answer.status == 304:
                done[menu_id] = before[menu_id]
                continue
            items = answer.rows(list_name)
            records, rejected = mapped(items, kind, lambda item: [mapper(item)], lambda item: item.get(id_name))
            # A menu of which something could not be read is read again, whatever its tag says.
            tag = "" if rejected else answer.headers.get("ETag", "")
            done[menu_id] = {"tag": tag, "ids": [named(item, lambda one: one.get(id_name)) for item in items]}
            yield Page(records=records, rejected=rejected, checkpoint={"menus": dict(done)})
        now = _ids(done)
        is_whole = "" not in now  # one that cannot be named may be any of those that seem to be gone
        gone = _ids(before) - now if is_whole else set()
        yield Page(
            records=[kind(external_id=external_id, deleted=True) for external_id in sorted(gone)],
            checkpoint={"menus": done},
            cursor={"menus": done, "seen_with": seen_with} if is_whole else None,
        )

    def _menu_ids(self) -> list[str]:
        answer = self.client.call("GET", f"/api/{self.config.menu_version}/menus/summary", name="menus_summary", params=self.query)
        menu_ids = [named(menu, lambda one: one["menuId"]) for menu in answer.rows("items")]
        if not all(menu_ids):
            raise answer.unexpected("lists a menu without a menuId, whose dishes would all seem gone")
        if not menu_ids:
            raise UnexpectedResponse(
                "Simphony lists no menu for this revenue center.",
                hint="Check the revenue center in the configuration. Nothing was changed or deleted.",
            )
        return menu_ids

    def _menu(self, menu_id: str, tag: str) -> Response:
        headers = {**self.context, "If-None-Match": tag} if tag else self.context
        path = f"/api/{self.config.menu_version}/menus/{path_part(menu_id)}"  # a menuId looks like grandhotel:bar01:42
        return self.client.call("GET", path, name="menu", headers=headers, expect=(200, 304))

    # --- checks ----------------------------------------------------------------------------------------------------------------

    def checks(self, query: StreamQuery) -> Iterator[Page]:
        """Yield the checks of our employee; asked for by id, any check of the revenue center."""
        if query.external_ids:
            yield self._read_checks(query.external_ids)
            return
        since = (query.cursor or {}).get("since", "")
        headers = self._posted(before(since, LOOK_BACK) if since else None)
        entries, rejected = read_each(headers, GuestCheck, _entry, lambda header: header["checkRef"])
        if rejected:
            yield Page(records=[], rejected=rejected)
        listed = sorted(entries)
        after = tuple((query.checkpoint or {}).get("after") or ("", ""))
        waiting = [entry for entry in listed if entry > after]
        latest = newest(since, *(opened for opened, _ in listed))
        for start in range(0, len(waiting), CHECKS_A_PAGE):
            part = waiting[start : start + CHECKS_A_PAGE]
            yield self._read_checks([reference for _, reference in part], checkpoint={"after": part[-1]}, total=len(listed))
        yield Page(records=[], checkpoint={"after": listed[-1]} if listed else {}, cursor={"since": latest} if latest else None)

    def _read_checks(self, references: Sequence[str], **page: Any) -> Page:
        found = [check for reference in references if (check := self._check(reference))]
        records, rejected = mapped(
            found, GuestCheck, lambda check: [mapping.guest_check(check, self.currency)], lambda check: check["header"]["checkRef"]
        )
        return Page(records=records, rejected=rejected, **page)

    def get_check_status(self, check_external_id: str) -> GuestCheck:
        return mapping.guest_check(self._read(check_external_id).record(), self.currency)

    def post_guest_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        if payload["currency"] and payload["currency"] != self.currency:
            raise InvalidInput({"currency": f"This revenue center works in {self.currency}, not in {payload['currency']}."})
        body = mapping.check_body(payload, key, self.config)
        try:
            answer = self.client.call("POST", "/api/v1/checks", name="post_guest_check", json=body, headers={**self.context, **FEATURES})
        except RetryableProviderError as error:
            # "duplicate request detected, no response found": an earlier attempt is still on its way to the till.
            error.maybe_done = error.maybe_done or error.vendor_code == DUPLICATE
            raise
        return mapping.posted(answer.record(), payload, self.currency)

    def find_post_guest_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
        name = mapping.check_name(payload, key)
        for header in self._posted(datetime.now(UTC) - LOOK_BACK):
            if header.get("checkName") == name:
                return mapping.posted(self._read(header["checkRef"]).record(), payload, self.currency)
        return None

    def void_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Cancel a check. One that is cancelled already is done; one that Simphony never had is refused."""
        reference = payload["check_external_id"]
        try:
            self.client.call("DELETE", f"/api/v1/checks/{path_part(reference)}", name="void_check", headers=self.context)
        except RequestRejected:
            check = self._check(reference)
            if not check or mapping.guest_check(check, self.currency).status != "voided":
                raise
        return {"reference": reference, "status": "voided"}

    def find_void_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
        """Asked after a cancellation whose answer was lost: a check that is gone was cancelled by it."""
        check = self._check(payload["check_external_id"])
        if check and mapping.guest_check(check, self.currency).status != "voided":
            return None
        return {"reference": payload["check_external_id"], "status": "voided"}

    def _posted(self, since: datetime | None) -> list[Mapping[str, Any]]:
        """Return the headers of our employee's checks: the open ones, or all that were created since."""
        params = {"checkEmployeeRef": str(self.config.employee_ref)}
        if since:
            params |= {"includeClosed": "true", "sinceTime": since.strftime("%Y-%m-%dT%H:%MZ")}
        answer = self.client.call("GET", "/api/v1/checks", name="checks", params=params, headers=self.context)
        headers = [item.get("header", item) for item in answer.rows("items") if isinstance(item, Mapping)]
        return [header for header in headers if isinstance(header, Mapping) and header.get("checkRef")]

    def _read(self, reference: str, expect: Collection[int] = (200,)) -> Response:
        return self.client.call("GET", f"/api/v1/checks/{path_part(reference)}", name="check", headers=self.context, expect=expect)

    def _check(self, reference: str) -> Mapping[str, Any] | None:
        answer = self._read(reference, expect=(200, *GONE))
        return answer.record() if answer.status == 200 else None


def _ids(menus: Mapping[str, Any]) -> set[str]:
    return {external_id for menu in menus.values() for external_id in menu["ids"]}


def _entry(header: Mapping[str, Any]) -> tuple[str, str]:
    """Return when a check was opened, and its reference."""
    return _time(header.get("openTime")), values.ident(header["checkRef"], "checkRef")


def _time(text: Any) -> str:
    """Write Oracle's time, which is UTC whether or not it says so, in one form; empty if it is none."""
    try:
        return newest(values.moment(text, "openTime"))
    except RecordRejected:
        return ""


provider = SimphonyProvider
