"""One hotel never sees another's data: every address of the API, by every method, for every kind of caller.

The addresses come from the URL resolver, so that a new one cannot be forgotten: it fails here until `IDS` knows its ids.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from hotels import models as hotel_models
from hotels.api.urls import COLLECTIONS
from hotels.models import Hotel, Role
from hotels.tests.people import Caller
from hotels.tests.test_api_records import furnish
from integrations import models
from integrations.tests.conftest import Connect

PUBLIC = {
    "api/auth/token",
    "api/schema",
    "api/webhooks/health",
    "api/webhooks/<int:integration_id>",
    "api/webhooks/<int:integration_id>/<str:path_secret>",
}
"""What answers without a token, each for its own reason: it gives one, or checks a signature, or says nothing of any hotel."""
NOBODYS = {"api/auth/logout", "api/integrations", "api/integrations/providers", "api/hotels"}
"""What names no hotel in its address; `test_api_integrations` looks at what is created and listed there."""
METHODS = ("get", "post", "put", "patch", "delete")
NEVER_USED = 999_999_999


@dataclass(frozen=True)
class Route:
    address: str
    methods: tuple[str, ...]
    ids: tuple[str, ...]

    def fill(self, ids: Mapping[str, Any]) -> str:
        filled = self.address
        for part in self.address.split("/"):
            if part.startswith("<"):
                filled = filled.replace(part, str(ids[part.strip("<>").rpartition(":")[2]]))
        return f"/{filled}"

    def __str__(self) -> str:
        return self.address


def routes(patterns: Any = None, prefix: str = "") -> Iterator[Route]:
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        address = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if address.startswith("api/"):
                yield from routes(entry.url_patterns, address)
        elif isinstance(entry, URLPattern) and address.startswith("api/"):
            view = getattr(entry.callback, "view_class", None) or getattr(entry.callback, "cls", None)
            offered = getattr(entry.callback, "actions", None) or [method for method in METHODS if hasattr(view, method)]
            yield Route(address, tuple(method for method in METHODS if method in offered), tuple(entry.pattern.converters))


ALL = list(routes())
OF_A_HOTEL = [route for route in ALL if route.address not in PUBLIC | NOBODYS]
CELLS = [pytest.param(route, method, id=f"{method.upper()} {route}") for route in OF_A_HOTEL for method in route.methods]


@pytest.fixture
def world(connect: Connect, hotel: Hotel, other_hotel: Hotel) -> dict[str, dict[str, Any]]:
    """Both hotels with one of everything: name of an id in an address -> the id, for each hotel."""
    return {name: ids_of(connect, one) for name, one in (("own", hotel), ("foreign", other_hotel))}


def ids_of(connect: Connect, hotel: Hotel) -> dict[str, Any]:
    furnish(hotel)
    integration = connect(hotel)
    run = models.SyncRun.objects.create(integration=integration, stream="menus")
    operation = models.Operation.objects.create(integration=integration, name="void_check", idempotency_key="k", status="dead")
    models.IntegrationLog.objects.create(
        integration=integration, operation_type="test", operation_name="test_connection", direction="outbound", status="success"
    )
    models.RejectedRecord.objects.create(run=run, integration=integration, stream="menus", record_type="menu_item", reason="No name.")
    conflict = models.Conflict.objects.create(
        integration=integration, record_type="guest", external_id="g1", object_id=1, field="phone", rule="vendor_wins"
    )
    guest = hotel_models.Guest.objects.get(hotel=hotel)
    twin = hotel_models.Guest.objects.create(hotel=hotel, given_name="Eve", family_name="Zander", archived_at="2026-11-01T00:00:00Z")
    hotel_models.GuestQuestion.objects.create(hotel=hotel, guest=guest, other=twin)
    return {
        "hotel_id": hotel.pk,
        "pk": hotel.pk,
        "integration_id": integration.pk,
        "run_id": run.pk,
        "operation_id": operation.pk,
        "conflict_id": conflict.pk,
        "check_id": f"id:{hotel_models.GuestCheck.objects.get(hotel=hotel).pk}",
        "guest_id": f"id:{guest.pk}",
        "notification_id": f"id:{hotel_models.Notification.objects.get(hotel=hotel).pk}",
        "room_number": "100",
        "event_id": _event_of(integration),
    }


def _event_of(integration: models.Integration) -> int:
    from django.utils import timezone

    from webhooks.models import WebhookEvent

    return WebhookEvent.objects.create(integration=integration, event_id="e", body=b"{}", received_at=timezone.now()).pk


def ask(client: APIClient, method: str, address: str) -> Any:
    data = None if method == "get" else {}
    return getattr(client, method)(address, data, headers={"X-Request-Id": "the-same-request"})


NO_HOTELS = {"ApiToken"}
"""Models whose rows belong to a person, and to no hotel."""


def path_to_hotel(model: type[Model], seen: tuple[type[Model], ...] = ()) -> str | None:
    """Return how a query gets from a model's rows to their hotel, by the shortest way; None if there is none."""
    keys = [field for field in model._meta.get_fields() if field.many_to_one or (field.one_to_one and field.concrete)]
    if direct := next((field.name for field in keys if field.related_model is Hotel), None):
        return direct
    ways = (
        f"{field.name}__{rest}"
        for field in keys
        if field.related_model not in (*seen, model) and (rest := path_to_hotel(field.related_model, (*seen, model)))
    )
    return min(ways, key=lambda way: way.count("__"), default=None)


def models_of_ours() -> Iterator[type[Model]]:
    for app in ("hotels", "integrations", "webhooks"):
        yield from apps.get_app_config(app).get_models(include_auto_created=True)


def everything_of(hotel: Hotel) -> str:
    """Return all rows of a hotel, of every model there is, written out as they are stored."""
    rows = {}
    for model in models_of_ours():
        if model.__name__ not in NO_HOTELS:
            path = "pk" if model is Hotel else path_to_hotel(model)
            assert path, f"{model.__name__}: how its rows belong to a hotel is not known"
            rows[model._meta.label_lower] = list(model._base_manager.filter(**{path: hotel.pk}).order_by("pk").values())
    return json.dumps(rows, default=lambda value: bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value))


def test_everything_is_everything(hotel: Hotel, world: dict[str, Any]) -> None:
    written = json.loads(everything_of(hotel))
    for model in ("hotel", "guest", "rejectedrecord", "conflict", "webhookevent", "operation", "integrationlog"):
        [rows] = [rows for label, rows in written.items() if label.endswith(f".{model}")]
        assert rows, model
    assert written["integrations.integration"][0]["credentials"].count(".") == 4, "sealed, as it is stored"


def test_the_resolver_was_read() -> None:
    addresses = {str(route) for route in ALL}
    assert {"api/integrations/<int:integration_id>/logs", "api/hotels/<int:hotel_id>/menu-items"} <= addresses
    assert len(CELLS) > 45
    assert all(route.methods for route in ALL)


@pytest.mark.parametrize(("route", "method"), CELLS)
def test_another_hotels_answers_like_one_that_never_existed(
    manager: APIClient, other_hotel: Hotel, world: dict[str, Any], route: Route, method: str
) -> None:
    before = everything_of(other_hotel)
    foreign = ask(manager, method, route.fill(world["foreign"]))
    absent = ask(manager, method, route.fill(world["own"] | {route.ids[0]: NEVER_USED}))
    assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content)
    assert foreign.status_code == 404
    assert everything_of(other_hotel) == before


@pytest.mark.parametrize(("route", "method"), [cell for cell in CELLS if len(cell.values[0].ids) > 1])
def test_what_belongs_to_another_hotel_is_not_reached_through_ones_own(
    manager: APIClient, other_hotel: Hotel, world: dict[str, Any], route: Route, method: str
) -> None:
    inner = route.ids[-1]
    if inner == "room_number":
        pytest.skip("a room number is no id")
    if inner == "pk":
        name = str(route).split("/")[3]
        record = hotel_models.GuestQuestion if name == "guest-questions" else COLLECTIONS[name].queryset.model
        world["foreign"]["pk"] = record.objects.filter(hotel=other_hotel).first().pk
    before = everything_of(other_hotel)
    foreign = ask(manager, method, route.fill(world["own"] | {inner: world["foreign"][inner]}))
    marked = f"id:{NEVER_USED}" if str(world["own"][inner]).startswith("id:") else NEVER_USED
    absent = ask(manager, method, route.fill(world["own"] | {inner: marked}))
    assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content)
    assert everything_of(other_hotel) == before


@pytest.mark.parametrize(("route", "method"), CELLS)
def test_who_belongs_to_no_hotel_sees_none(caller: Caller, world: dict[str, Any], route: Route, method: str) -> None:
    assert ask(caller(), method, route.fill(world["own"])).status_code == 404


@pytest.mark.parametrize(("route", "method"), [cell for cell in CELLS if cell.values[1] != "get"])
def test_a_viewer_changes_nothing(viewer: APIClient, hotel: Hotel, world: dict[str, Any], route: Route, method: str) -> None:
    before = everything_of(hotel)
    assert ask(viewer, method, route.fill(world["own"])).status_code == 403
    assert everything_of(hotel) == before


@pytest.mark.parametrize(("route", "method"), [cell for cell in CELLS if cell.values[1] != "get"])
def test_who_manages_one_hotel_and_views_another_changes_nothing_there(
    caller: Caller, hotel: Hotel, other_hotel: Hotel, world: dict[str, Any], route: Route, method: str
) -> None:
    both = caller(Role.MANAGER, other_hotel, also={hotel: Role.VIEWER})
    before = everything_of(hotel)
    assert ask(both, method, route.fill(world["own"])).status_code == 403
    assert everything_of(hotel) == before


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_an_operator_changes_no_connection(operator: APIClient, hotel: Hotel, world: dict[str, Any], method: str) -> None:
    assert ask(operator, method, f"/api/integrations/{world['own']['integration_id']}").status_code == 403
    assert models.Integration.objects.filter(hotel=hotel).count() == 1


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", [route for route in OF_A_HOTEL if "get" in route.methods and "integration" not in str(route)], ids=str)
def test_everybody_of_the_hotel_reads(caller: Caller, hotel: Hotel, world: dict[str, Any], route: Route, role: Role) -> None:
    if len(route.ids) > 1:
        collection = str(route).split("/")[-2]
        world["own"]["pk"] = caller(role, hotel).get(f"/api/hotels/{hotel.pk}/{collection}").json()["results"][0]["id"]
    assert ask(caller(role, hotel), "get", route.fill(world["own"])).status_code == 200


@pytest.mark.parametrize(
    ("route", "method"),
    [
        pytest.param(route, method, id=f"{method.upper()} {route}")
        for route in ALL
        if route.address not in PUBLIC
        for method in route.methods
    ],
)
def test_nothing_opens_without_a_token(db: None, route: Route, method: str) -> None:
    assert ask(APIClient(), method, route.fill(dict.fromkeys(route.ids, 1))).status_code == 401
