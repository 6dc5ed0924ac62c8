"""Square in small, in its wire format and with its errors: locations, catalog, OAuth, webhook subscriptions; orders and payments have modules of their own.

What it refuses is what Square's contract and documentation say it refuses; its answers are held against the contract by the tests.
Beside the common faults it knows `conflict`: somebody else changes the order just before our update arrives.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.services.square.simulator_catalog import NESTED, POOL_BAR, RESTAURANT, children, stamp
from integrations.services.square.simulator_contract import SCHEMAS
from integrations.services.square.simulator_frame import MERCHANT, TOKEN, RefusalError, bad, not_offered
from integrations.services.square.simulator_payments import Payments
from integrations.services.square.simulator_search import moment
from integrations.simulators.server import SimRequest, SimResponse, route

__all__ = ["APPLICATION_ID", "APPLICATION_SECRET", "POOL_BAR", "REFRESH_TOKEN", "RESTAURANT", "TOKEN", "SquareSimulator"]

APPLICATION_ID, APPLICATION_SECRET, REFRESH_TOKEN = "sq0idp-simulated", "sq0csp-simulated-secret", "EQAA-simulated-refresh-token"


class SquareSimulator(Payments):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.refresh_tokens = {REFRESH_TOKEN}

    def state(self) -> dict[str, Any]:
        orders = list(self.orders.values())
        return {
            "orders": len(orders),
            "references": sorted(order.get("reference_id", "") for order in orders),
            "order_states": _count(order["state"] for order in orders),
            "payment_states": _count(payment["status"] for payment in self.payments.values()),
            "subscriptions": len(self.subscriptions),
        }

    # --- what no API of Square's offers: `POST /_simulator/<name>` with the arguments as JSON -----------------------------------

    def control(self, name: str, body: Any) -> Any:
        control = getattr(self, f"control_{name}", None)
        if control is None:
            raise KeyError(name)
        with self.lock:
            return control(**body) or {}

    def control_change_price(self, variation_id: str, cents: int) -> None:
        self.catalog.change_price(variation_id, cents)
        self.notify_catalog()

    def control_sold_out(self, object_id: str, until: str = "", location_id: str = RESTAURANT) -> None:
        """Mark a variation or a modifier as sold out at a location; a variation perhaps until a time."""
        self.catalog.sell_out(object_id, location_id, until)
        self.notify_catalog()

    def control_delete_item(self, item_id: str) -> None:
        self.catalog.delete(item_id)
        self.notify_catalog()

    def control_add_item(self, name: str, cents: int) -> dict[str, str]:
        item_id = self.catalog.add_item(name, "", [("Regular", cents)], "SIMCAT02", tax_ids=["SIMTAX01"])
        self.notify_catalog()
        return {"item_id": item_id}

    def control_ring_up(self, cents: int) -> dict[str, str]:
        """Open a check at the till."""
        return {"order_id": self.ring_up(cents)}

    def control_expire_token(self) -> None:
        self.tokens = dict.fromkeys(self.tokens, "expired")

    def control_expire_cursors(self) -> None:
        self.cursor_age += 1

    def control_send_webhook(self, event_type: str, data: dict[str, Any]) -> None:
        self.notify(event_type, data)

    # --- locations and catalog -------------------------------------------------------------------------------------------------

    @route("GET", "/v2/locations")
    def list_locations(self, request: SimRequest) -> SimResponse:
        self.need("MERCHANT_PROFILE_READ")
        return SimResponse(json={"locations": list(self.locations.values())})

    @route("GET", "/v2/locations/{location_id}")
    def retrieve_location(self, request: SimRequest) -> SimResponse:
        self.need("MERCHANT_PROFILE_READ")
        location_id = request.args["location_id"]
        if location_id not in self.locations:
            raise RefusalError(404, "NOT_FOUND", "Location not found.")
        return SimResponse(json={"location": self.locations[location_id]})

    @route("GET", "/v2/catalog/info")
    def catalog_info(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"limits": {"batch_retrieve_max_object_ids": 1000, "search_max_page_limit": 1000}})

    @route("POST", "/v2/catalog/search")
    def search_catalog(self, request: SimRequest) -> SimResponse:
        self.need("ITEMS_READ")
        body = request.json()
        if body.get("query"):
            raise not_offered("`query` of a catalog search", "query")
        if body.get("include_deleted_objects") and body.get("include_category_path_to_root"):
            raise bad(
                "Deleted objects and paths to the root exclude each other.", "include_category_path_to_root", "CONFLICTING_PARAMETERS"
            )
        if body.get("include_category_path_to_root"):
            raise not_offered("`include_category_path_to_root`", "include_category_path_to_root")
        query = {name: body.get(name) for name in ("object_types", "begin_time", "include_deleted_objects")}
        limit = body.get("limit", 100)
        limit = limit if 1 <= limit <= 1000 else 100  # Square ignores what is out of its range
        begin = moment(body["begin_time"], "begin_time") if body.get("begin_time") else None
        found, cursor = self._search(query, begin, bool(body.get("include_deleted_objects")), limit, body.get("cursor", ""))
        answer: dict[str, Any] = {"latest_time": stamp(self.catalog.updated_at)}
        if found:
            answer["objects"] = found
        if body.get("include_related_objects"):
            answer["related_objects"] = self._related(found)
        return SimResponse(json=answer | ({"cursor": cursor} if cursor else {}))

    @route("GET", "/v2/catalog/list")
    def list_catalog(self, request: SimRequest) -> SimResponse:
        self.need("ITEMS_READ")
        types = [kind.strip().upper() for kind in request.arg("types").split(",") if kind]
        if unknown := [kind for kind in types if kind not in SCHEMAS["CatalogObjectType"]["enum"]]:
            raise bad(f"`types` is not a valid enum value: {unknown[0]!r}.", "types", "INVALID_ENUM_VALUE")
        if request.arg("catalog_version"):
            raise not_offered("`catalog_version`", "catalog_version")
        found, cursor = self._search({"object_types": types, "list": True}, None, False, 100, request.arg("cursor"))
        return SimResponse(json={"objects": found} | ({"cursor": cursor} if cursor else {}))

    def _search(self, query: Mapping[str, Any], begin: datetime | None, deleted: bool, limit: int, cursor: str) -> tuple[list[Any], str]:
        types = set(query["object_types"] or ("ITEM", "CATEGORY", "TAX", "MODIFIER_LIST"))
        found: list[Any] = []
        for place, top in self.catalog.after(self.read_cursor(cursor, query), begin):
            if len(found) >= min(limit, self.page_size):
                return found, self.make_cursor(place, query)
            nested = children(top) if NESTED.get(top["type"], ("", ""))[1] in types else ()
            for one in (top, *nested):
                if (
                    one["type"] in types
                    and (deleted or not one["is_deleted"])
                    and (begin is None or datetime.fromisoformat(one["updated_at"]) > begin)
                ):
                    found.append(one)
        return found, ""

    @route("GET", "/v2/catalog/object/{object_id}")
    def retrieve_object(self, request: SimRequest) -> SimResponse:
        self.need("ITEMS_READ")
        found = self.objects([request.args["object_id"]])
        if not found:
            raise RefusalError(404, "NOT_FOUND", f"Catalog object with ID {request.args['object_id']} not found.")
        related = {"related_objects": self._related(found)} if request.arg("include_related_objects") == "true" else {}
        return SimResponse(json={"object": found[0]} | related)

    @route("POST", "/v2/catalog/batch-retrieve")
    def batch_retrieve_objects(self, request: SimRequest) -> SimResponse:
        self.need("ITEMS_READ")
        body = request.json()
        if len(body["object_ids"]) > 1000:
            raise bad("Too many ids.", "object_ids", "ARRAY_LENGTH_TOO_LONG")
        found = self.objects(body["object_ids"], deleted=bool(body.get("include_deleted_objects")))
        related = {"related_objects": self._related(found)} if body.get("include_related_objects") else {}
        return SimResponse(json={"objects": found} | related)

    def _related(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted: dict[str, None] = {}
        for data in (one.get("item_data", {}) for one in found):
            wanted |= dict.fromkeys([category["id"] for category in data.get("categories", [])] + data.get("tax_ids", []))
        return self.objects(list(wanted))

    # --- OAuth -----------------------------------------------------------------------------------------------------------------

    @route("POST", "/oauth2/token")
    def obtain_token(self, request: SimRequest) -> SimResponse:
        body = request.json()
        if body["grant_type"] not in ("authorization_code", "refresh_token", "migration_token"):
            raise bad(f"`grant_type` is not a known one: {body['grant_type']!r}.", "grant_type", "INVALID_VALUE")
        if body["grant_type"] != "refresh_token":
            raise not_offered(f"`grant_type` {body['grant_type']}", "grant_type")
        secret = body.get("client_secret")
        if body.get("client_id") != APPLICATION_ID or secret not in (None, APPLICATION_SECRET):
            raise RefusalError(401, "UNAUTHORIZED", "Not Authorized")
        refresh_token = body.get("refresh_token")
        if refresh_token not in self.refresh_tokens:
            raise RefusalError(401, "UNAUTHORIZED", "The refresh token is invalid.")
        now = datetime.now(UTC)
        number = len(self.tokens)
        access_token = f"EAAA-simulated-access-token-{number}"
        answer = {"token_type": "bearer", "expires_at": now + timedelta(days=30), "merchant_id": MERCHANT, "short_lived": False}
        if secret is None:  # PKCE: a refresh token works once
            self.refresh_tokens.remove(refresh_token)
            refresh_token = f"EQAA-simulated-refresh-token-{number}"
            self.refresh_tokens.add(refresh_token)
            answer["refresh_token_expires_at"] = now + timedelta(days=90)
        self.tokens[access_token] = "valid"
        answer |= {"access_token": access_token, "refresh_token": refresh_token}
        return SimResponse(json={name: stamp(value) if isinstance(value, datetime) else value for name, value in answer.items()})

    @route("POST", "/oauth2/token/status")
    def token_status(self, request: SimRequest) -> SimResponse:
        expires_at = stamp(datetime.now(UTC) + timedelta(days=30))
        return SimResponse(json={"scopes": self.scopes, "expires_at": expires_at, "client_id": APPLICATION_ID, "merchant_id": MERCHANT})

    @route("POST", "/oauth2/revoke")
    def revoke_token(self, request: SimRequest) -> SimResponse:
        body = request.json()
        if request.headers.get("authorization") != f"Client {APPLICATION_SECRET}" or body.get("client_id") != APPLICATION_ID:
            raise RefusalError(401, "UNAUTHORIZED", "Not Authorized")
        if body.get("revoke_only_access_token"):
            self.tokens[body["access_token"]] = "revoked"
        else:
            self.tokens = dict.fromkeys(self.tokens, "revoked")
            self.refresh_tokens = set()
            self.notify("oauth.authorization.revoked", {"type": "revocation", "id": "", "object": {"revocation": {"revoked_at": stamp(datetime.now(UTC)), "revoker_type": "APPLICATION"}}})  # fmt: skip
        return SimResponse(json={"success": True})

    # --- webhooks --------------------------------------------------------------------------------------------------------------

    @route("GET", "/v2/webhooks/subscriptions")
    def list_subscriptions(self, request: SimRequest) -> SimResponse:
        hidden = [{name: value for name, value in one.items() if name != "signature_key"} for one in self.subscriptions.values()]
        return SimResponse(json={"subscriptions": hidden})

    @route("POST", "/v2/webhooks/subscriptions")
    def create_subscription(self, request: SimRequest) -> SimResponse:
        body = request.json()
        made = self.once("subscription", body.get("idempotency_key", ""), body, lambda: self._create_subscription(body["subscription"]))
        return SimResponse(json={"subscription": self.subscriptions[made]})

    def _create_subscription(self, given: dict[str, Any]) -> str:
        if not given.get("notification_url"):
            raise bad("The address is required.", "subscription.notification_url", "MISSING_REQUIRED_PARAMETER")
        now = stamp(datetime.now(UTC))
        number = len(self.subscriptions) + 1
        own = {"id": f"wbhk_simulated{number}", "signature_key": _key(number, 0), "created_at": now, "updated_at": now}
        self.subscriptions[own["id"]] = {"enabled": True, "api_version": "2025-08-20", **given, **own}
        return own["id"]

    def _subscription(self, request: SimRequest) -> dict[str, Any]:
        if (found := self.subscriptions.get(request.args["subscription_id"])) is None:
            raise RefusalError(404, "NOT_FOUND", "Subscription not found.")
        return found

    @route("GET", "/v2/webhooks/subscriptions/{subscription_id}")
    def retrieve_subscription(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"subscription": self._subscription(request)})

    @route("PUT", "/v2/webhooks/subscriptions/{subscription_id}")
    def update_subscription(self, request: SimRequest) -> SimResponse:
        found = self._subscription(request)
        given = request.json().get("subscription") or {}
        found |= {name: given[name] for name in ("name", "enabled", "event_types", "notification_url") if name in given}
        return SimResponse(json={"subscription": found})

    @route("DELETE", "/v2/webhooks/subscriptions/{subscription_id}")
    def delete_subscription(self, request: SimRequest) -> SimResponse:
        del self.subscriptions[self._subscription(request)["id"]]
        return SimResponse(json={})

    @route("POST", "/v2/webhooks/subscriptions/{subscription_id}/signature-key")
    def rotate_key(self, request: SimRequest) -> SimResponse:
        found = self._subscription(request)
        self.rotations += 1
        found["signature_key"] = _key(int(found["id"][-1]), self.rotations)
        return SimResponse(json={"signature_key": found["signature_key"]})

    def notify_catalog(self) -> None:
        changed = {"catalog_version": {"updated_at": stamp(self.catalog.updated_at)}}
        self.notify("catalog.version.updated", {"type": "catalog_version", "id": "", "object": changed})


def _key(number: int, turn: int) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(f"simulated key {number} {turn}".encode()).digest()[:16]).decode().rstrip("=")


def _count(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def connection(url: str) -> dict[str, Any]:
    """Return what a hotel would enter to connect to this simulator at `url`."""
    return {
        "integration_type": "pos",
        "provider_name": "Square POS",
        "environment": "sandbox",
        "config": {"base_url": url},
        "credentials": {"access_token": TOKEN, "location_id": RESTAURANT},
        "sync_settings": {"auto_sync": True, "sync_interval": "hourly"},
    }


simulator = SquareSimulator
