"""Reads Square's catalog, posts, reads and voids its orders. Facts are in `manifest.py`, shapes in `mapping.py` and `answers.py`."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from integrations import values
from integrations.exceptions import ConfigurationError, InvalidInput, RequestRejected, UnexpectedResponse, VersionConflict
from integrations.records import GuestCheck, Page, Record, Rejected, StreamQuery
from integrations.services.base import ConnectionReport, Provider
from integrations.services.rows import before, mapped, newest
from integrations.services.square import answers, mapping
from integrations.services.square.manifest import SquareConfig, SquareCredentials, manifest
from integrations.services.square.oauth import make_auth
from integrations.transport.auth import Auth, TokenStore
from integrations.transport.client import Response
from integrations.transport.request import path_part

PAGE_SIZE = 100
BATCH_SIZE = 100
OVERLAP = timedelta(minutes=1)
"""Read again before the time of the last run's first answer: what was saved in that moment, or became visible after it."""
VOID_ATTEMPTS = 4
"""How often a check that changes under our hands is read again before we give up."""
ENDED = frozenset({"COMPLETED", "CANCELED", "FAILED"})

Mapped = tuple[list[Record], list[Rejected]]
Search = tuple[dict[str, Any], Callable[[answers.Found], Mapped]]
"""The body of a search, and how its answers are read."""


class SquareProvider(Provider[SquareConfig, SquareCredentials]):
    manifest = manifest
    errors = answers.ERRORS

    @classmethod
    def base_url(cls, environment: str, config: SquareConfig) -> str:
        return config.base_url or super().base_url(environment, config)

    @classmethod
    def auth(cls, config: SquareConfig, credentials: SquareCredentials, tokens: TokenStore) -> Auth:
        return make_auth(config, credentials, tokens)

    def _call(self, method: str, path: str, name: str, body: Any = None, *, safe: bool | None = None) -> Response:
        return self.client.call(method, path, name=name, json=body, safe=safe, headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Square-Version": self.config.square_version}

    @property
    def _location_id(self) -> str:
        return self.credentials.location_id

    def test_connection(self) -> ConnectionReport:
        found = answers.read(self._call("GET", "/v2/locations", "list_locations"), list[answers.Location], "locations", [])
        location = next((location for location in found if location.id == self._location_id), None)
        if location is None:
            known = ", ".join(f"{location.name} ({location.id})" for location in found) or "none"
            raise ConfigurationError(f"Square has no location {self._location_id}.", hint=f"Locations of this access token: {known}.")
        if location.status != "ACTIVE":
            raise ConfigurationError(f"The location {location.name} is not active at Square.", hint="Activate it there, or use another.")
        return ConnectionReport(
            summary=f"Connected to {location.name} ({location.currency}), which is active.",
            details={
                "location": location.name,
                "currency": location.currency,
                "time_zone": location.timezone,
                "merchant_id": location.merchant_id,
            },
        )

    # --- streams ---------------------------------------------------------------------------------------------------------------

    def categories(self, query: StreamQuery) -> Iterator[Page]:
        yield from self._catalog(query, [("CATEGORY",)])

    def menus(self, query: StreamQuery) -> Iterator[Page]:
        if not query.external_ids:
            yield from self._catalog(query, [("CATEGORY", "MODIFIER_LIST", "TAX"), ("ITEM",)])
        for ids in _batches(query.external_ids):
            records, rejected = self._records(self._objects(ids, include_deleted_objects=True), tuple(mapping.MODELS))
            yield Page(records=records, rejected=rejected)

    def checks(self, query: StreamQuery) -> Iterator[Page]:
        if not query.external_ids:
            body = {"location_ids": [self._location_id], "query": {"filter": {"state_filter": {"states": ["OPEN"]}}}, "limit": PAGE_SIZE}
            yield from self._searches(query, "/v2/orders/search", [(body, _checks)])
        for ids in _batches(query.external_ids):
            body = {"location_id": self._location_id, "order_ids": ids}
            answer = self._call("POST", "/v2/orders/batch-retrieve", "batch_retrieve_orders", body, safe=True)
            records, rejected = _checks(answers.found_in(answer))
            yield Page(records=records, rejected=rejected)

    def _catalog(self, query: StreamQuery, passes: Sequence[tuple[str, ...]]) -> Iterator[Page]:
        """Read types of objects, one pass after the other: those that others refer to come first."""
        latest_time = (query.cursor or {}).get("latest_time")
        # `begin_time` is exclusive: what has the same time as the newest would be left out.
        since = latest_time and before(latest_time, OVERLAP).isoformat()
        searches: list[Search] = []
        for types in passes:
            body: dict[str, Any] = {"object_types": list(types), "limit": PAGE_SIZE}
            if since:
                # Whether a change of a variation also touches its item is not documented, so both are asked for.
                nested = [child for child, (parent, _) in mapping.NESTED.items() if parent in types]
                body |= {"object_types": [*types, *nested], "begin_time": since, "include_deleted_objects": True}
            searches.append((body, partial(self._records, types=types, keep_deleted=bool(since))))
        yield from self._searches(query, "/v2/catalog/search", searches)

    def _searches(self, query: StreamQuery, path: str, searches: Sequence[Search]) -> Iterator[Page]:
        """Yield the pages of searches, in order. The checkpoint names the search to go on with and Square's cursor in it.

        The cursor for the next run is the server's time of the very first page: what changes while we read is read again next time.
        """
        start = query.checkpoint or {"search": 0}
        latest_time = start.get("latest_time", "")
        for number, (body, read) in enumerate(searches[start["search"] :], start["search"]):
            for answer in self._pages(path, body, start.get("cursor", "") if number == start["search"] else ""):
                latest_time = latest_time or newest(values.moment(answer.latest_time, "latest_time"))
                place = {"search": number, "cursor": answer.cursor} if answer.cursor else {"search": number + 1}
                records, rejected = read(answer)
                yield Page(
                    records=records,
                    rejected=rejected,
                    checkpoint=place | {"latest_time": latest_time},
                    cursor={"latest_time": latest_time} if latest_time else None,
                )

    def _pages(self, path: str, body: dict[str, Any], cursor: str) -> Iterator[answers.Found]:
        def next_request(response: Response) -> dict[str, Any] | None:
            after = answers.found_in(response).cursor
            return {"json": body | {"cursor": after}} if after else None

        def pages(first: dict[str, Any]) -> Iterator[answers.Found]:
            found = self.client.pages("POST", path, name="search", json=first, next_request=next_request, safe=True, headers=self._headers)
            yield from map(answers.found_in, found)

        try:
            yield from pages(body | {"cursor": cursor} if cursor else body)
        except RequestRejected as refusal:
            if refusal.vendor_code != "INVALID_CURSOR":
                raise
            yield from pages(body)  # it lapsed while we were away: from the beginning, what is stored already is found unchanged

    def _objects(self, ids: Sequence[str], **options: bool) -> answers.Found:
        body = {"object_ids": list(ids), **options}
        return answers.found_in(self._call("POST", "/v2/catalog/batch-retrieve", "batch_retrieve", body, safe=True))

    def _records(self, answer: answers.Found, types: Sequence[str], *, keep_deleted: bool = True) -> Mapped:
        """Map the objects of these types; of a nested one, read and map what it is part of."""
        records: list[Record] = []
        rejected: list[Rejected] = []
        parents: dict[str, None] = {}
        for found in answer.objects:
            kind = str(found.get("type")) if isinstance(found, dict) else ""
            if kind in types:
                read_one, refused = mapped(
                    [found], mapping.MODELS[kind].makes, lambda one: [mapping.to_record(one, self._location_id)], _id
                )
                records += [record for record in read_one if keep_deleted or not record.deleted]
                rejected += refused
            elif kind in mapping.NESTED and (parent := mapping.parent_id(found)):
                parents[parent] = None
        read = {one.external_id for one in (*records, *rejected)}
        for ids in _batches([parent for parent in parents if parent not in read]):
            more, refused = self._records(self._objects(ids), types)
            records += more
            rejected += refused
        return records, rejected

    # --- checks ----------------------------------------------------------------------------------------------------------------

    def post_guest_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        check = {**payload, "currency": payload.get("currency") or self.hotel.currency}
        if check.get("tip") and not Decimal(check["total"]):
            raise InvalidInput({"tip": "Square takes a tip with a payment, and there is nothing to pay on this check."})
        body = {"idempotency_key": key, "order": mapping.to_order(check, self._location_id)}
        order = self._order("POST", "/v2/orders", "create_order", body)
        total, is_paid, warnings = order.record().total, check.get("payment_status") == "paid", []
        if total != Decimal(check["total"]):
            unpaid = " It is open there, because a payment has to match the total." if is_paid else ""
            warnings.append(f"Square makes the total {total}, not {check['total']}. Look at prices and taxes there.{unpaid}")
        elif is_paid:
            try:
                order = self._pay(check, order, key)
            except RequestRejected as refusal:
                # The check stands, and its reference must not be lost.
                warnings.append(f"It is open at Square: the payment was refused. {refusal.message}")
        return {"reference": order.id, "status": order.status, "total": str(total), "warnings": warnings}

    def _pay(self, check: Mapping[str, Any], order: mapping.Order, key: str) -> mapping.Order:
        body: dict[str, Any] = {"idempotency_key": f"{key}-pay", "payment_ids": []}
        if Decimal(check["total"]):
            payment = mapping.to_payment(check, order, f"{key}-payment")  # Square allows 45 characters, we have 44
            answer = self._call("POST", "/v2/payments", "create_payment", payment, safe=True)
            body["payment_ids"].append(answers.read(answer, answers.Payment, "payment").id)
        return self._order("POST", f"/v2/orders/{order.id}/pay", "pay_order", body)

    def get_check_status(self, check_external_id: str) -> GuestCheck:
        return self._retrieve(check_external_id).record()

    def void_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        for attempt in range(1, VOID_ATTEMPTS + 1):
            try:
                order = self._void(self._retrieve(payload["check_external_id"]))
                return {"reference": order.id, "status": order.status}
            except VersionConflict:
                if attempt == VOID_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _void(self, order: mapping.Order) -> mapping.Order:
        """Cancel what hangs on the order, then the order (docs, "Update orders"; forum 1259, 2026-03)."""
        if order.state == "CANCELED":
            return order
        if order.state == "COMPLETED":
            raise RequestRejected("The check is paid, so it cannot be voided.", hint="Refund it in Square.", provider=manifest.name)
        if order.version is None:
            raise RequestRejected(
                "The check was opened at the till, where only the till can void it.", hint="Void it there.", provider=manifest.name
            )
        cancelled = [self._cancel_payment(str(tender.get("payment_id") or tender.get("id"))) for tender in order.tenders]
        if any(cancelled):
            order = self._retrieve(order.id)  # its version has moved on
        live = [{"uid": one.get("uid"), "state": "CANCELED"} for one in order.fulfillments if one.get("state") not in ENDED]
        if live:
            order = self._update(order, {"fulfillments": live})
        order = self._update(order, {"state": "CANCELED"})
        if order.state != "CANCELED":
            # A key that was used before gets 200 and the order as it was.
            raise UnexpectedResponse(f"Square accepted the void, but the check is still {order.status}.", provider=manifest.name)
        return order

    def _cancel_payment(self, payment_id: str) -> bool:
        path = f"/v2/payments/{path_part(payment_id)}"
        payment = answers.read(self._call("GET", path, "get_payment"), answers.Payment, "payment")
        is_live = payment.status == "APPROVED"
        if is_live:
            self._call("POST", f"{path}/cancel", "cancel_payment")  # takes no body, not even an empty one
        return is_live

    def _retrieve(self, order_id: str) -> mapping.Order:
        order = self._order("GET", f"/v2/orders/{path_part(order_id)}", "retrieve_order")
        if order.location_id != self._location_id:
            # The token reaches all of the merchant's locations, this hotel only its own.
            raise RequestRejected(
                "Square has no such check at this location.", hint="Check the id.", operation="retrieve_order", status=404
            )
        return order

    def _update(self, order: mapping.Order, changes: Mapping[str, Any]) -> mapping.Order:
        # The same change of the same version repeats its key; after a conflict the version, and so the key, is another.
        key = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{order.id} {order.version} {sorted(changes)}"))
        body = {"idempotency_key": key, "order": {"location_id": order.location_id, "version": order.version, **changes}}
        return self._order("PUT", f"/v2/orders/{path_part(order.id)}", "update_order", body)

    def _order(self, method: str, path: str, name: str, body: Any = None) -> mapping.Order:
        return answers.read(self._call(method, path, name, body, safe=True), mapping.Order, "order")

    # --- webhook subscriptions -------------------------------------------------------------------------------------------------

    def list_subscriptions(self) -> list[dict[str, Any]]:
        answer = self._call("GET", "/v2/webhooks/subscriptions", "list_subscriptions")
        return [one.shown() for one in answers.read(answer, list[answers.Subscription], "subscriptions", [])]

    def create_subscription(self, url: str, event_types: Sequence[str]) -> dict[str, Any]:
        """Return the subscription, with the key Square will sign with as `signature_key`."""
        wanted = {"name": "Hospient", "notification_url": url, "event_types": list(event_types), "api_version": self.config.square_version}
        body = {"idempotency_key": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{url} {sorted(event_types)}")), "subscription": wanted}
        answer = self._call("POST", "/v2/webhooks/subscriptions", "create_subscription", body, safe=True)
        found = answers.read(answer, answers.Subscription, "subscription")
        return found.shown() | {"signature_key": found.signature_key}

    def rotate_subscription_key(self, subscription_id: str) -> str:
        """Return the new key; Square signs with it from now on."""
        path = f"/v2/webhooks/subscriptions/{path_part(subscription_id)}/signature-key"
        return answers.read(self._call("POST", path, "rotate_subscription_key", {}), str, "signature_key")


def _checks(answer: answers.Found) -> Mapped:
    return mapped(answer.orders, GuestCheck, lambda found: [mapping.to_check(found)], _id)


def _id(found: Any) -> Any:
    return found.get("id")


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    return (list(ids[start : start + BATCH_SIZE]) for start in range(0, len(ids), BATCH_SIZE))


provider = SquareProvider
