"""Marked secrets, card data and a marked guest are pushed through every entrance, while everything is logged that can be.

Then every table and column of the database, every line of the logs, every page of the console, every address of the API and the metrics
are searched. Nothing marked may be found; ids, telephone numbers, SKUs and barcodes must be there as they came.
"""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from hospient.logs import ContextFilter, RedactingFormatter
from hotels.models import Guest, Hotel, Role
from hotels.tests.people import Caller
from hotels.tests.test_api_records import furnish
from integrations.management.command import USAGE
from integrations.models import (
    Conflict,
    Integration,
    IntegrationLog,
    IntegrationType,
    Operation,
    RejectedRecord,
    SyncRun,
)
from integrations.services import service_for
from integrations.services.generic_rest.manifest import ENDPOINTS
from integrations.services.generic_rest.simulator import GenericRestSimulator
from integrations.simulators.server import SimRequest, SimResponse, running
from integrations.tests.console import OURS, addresses, sign_in
from integrations.tests.test_api_tenancy import ALL
from webhooks import inbox
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import lean, lean_server  # noqa: F401
from webhooks.tests.doors import LeanDoor, ViewDoor, signed

# --- what must not be found ----------------------------------------------------------------------------------------------------

CARD = "4556737586899855"
API_KEY, HOOK_SECRET, NEXT_HOOK_SECRET = "mark-api-key-b7Qx81", "mark-hook-secret-b7Qx82", "mark-hook-secret-b7Qx83"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJtYXJrIjoibWFyay1qd3QifQ.mark-jwt-b7Qx84"
LIVE_KEY = "sk_live_markb7Qx85markb7Qx85"
PASSWORD = "mark-password-b7Qx86"
SECRETS = (API_KEY, HOOK_SECRET, NEXT_HOOK_SECRET, JWT, LIVE_KEY, PASSWORD, "b7Qx8")
TRACK = f"%B{CARD}^QUACKENBUSH/ZEB^27121010000000000000?"
MRZ = "P<UTOQUACKENBUSH<<ZEBULONIA<<<<<<<<<<<<<<<<<"
SPACED = " ".join(CARD[at : at + 4] for at in range(0, 16, 4))
FORBIDDEN = {
    "a card": re.compile(r"[^0-9…]{0,3}".join(CARD)),
    "a card's code": re.compile(r"(?<![\d.])9173(?!\d)"),
    "a track": re.compile(r"2712101000"),
    "a passport": re.compile(r"P<UTO"),
    "a secret": re.compile("|".join(map(re.escape, SECRETS))),
}
SHORT = f"card {SPACED}"
LONG = f"pay by {SPACED}, cvv 9173, {TRACK} and {MRZ}, key {LIVE_KEY}, Bearer {JWT}, at https://guest:{PASSWORD}@pay.example.com/x"

# --- what must ---------------------------------------------------------------------------------------------------------------

LIKE_A_CARD, CHECK_ID, SKU, BARCODE, PHONE = "4111111111111111", "3000000001000003", "5449000000996", "4012345678901", "+5511991000002"
NAME = "Quackenbush"
"""The guest's: kept where guests are, and shown in no log."""


class Teller(GenericRestSimulator):
    """A vendor that tells everything: cards in its notes, our own credentials, tokens, and all of it again when it refuses."""

    api_key = API_KEY

    def __init__(self) -> None:
        super().__init__()
        self.refuses = False
        guest = {
            "first_name": "Zebulonia", "last_name": NAME, "phone": PHONE, "email": "zebulonia.quackenbush@example.com",
            "preferences": {"pays": LONG, "cvv": "9173", "card": {"number": int(CARD)}, "token": JWT, "loyalty_id": LIKE_A_CARD, "note": API_KEY},
        }  # fmt: skip
        self.add("guests", LIKE_A_CARD, guest)
        self.add(
            "menus", SKU, {"name": f"Soup {SHORT}", "description": LONG, "price": 5, "category_id": "cat_1", "sku": SKU, "barcode": BARCODE}
        )
        self.add("menus", "odd", {"name": f"Odd {SHORT}", "price": f"12 {SHORT} {LIVE_KEY}", "note": {"password": PASSWORD, "pan": CARD}})
        self.add("categories", "marked", {"name": SHORT})
        self.add("rooms", "marked", {"room_number": "909", "room_type": SHORT, "housekeeping": f"clean {SHORT}"})
        stay = {"guest_id": LIKE_A_CARD, "status": SHORT, "arrival_date": "2026-03-02", "departure_date": "2026-03-04", "notes": LONG}
        self.add("reservations", CHECK_ID, {**stay, "confirmation_number": LIKE_A_CARD, "special_requests": LONG})
        self.add("reservations", "odd", {**stay, "departure_date": f"{SHORT} {LIVE_KEY}"})
        self.add("feedback", "marked", {"guest_id": LIKE_A_CARD, "rating": 4, "message": LONG, "title": SHORT})
        self.add("chat", "marked", {"guest_id": LIKE_A_CARD, "message": LONG, "sender_name": f"Zebulonia {NAME}", "sender_type": "guest"})

    def add(self, collection: str, key: str, fields: dict[str, Any]) -> None:
        self.collections[collection][key] = self._stamped({"id": key, **fields})

    def handle(self, request: SimRequest) -> SimResponse:
        leaks = {
            "X-Debug": f"key={API_KEY} token={JWT} {SHORT}",
            "Set-Cookie": f"session={PASSWORD}",
            "Link": f'<https://x.example/?api_key={API_KEY}>; rel="x"',
        }
        if self.refuses:
            name = NAME if NAME in request.body.decode() else "nobody"
            said = {
                "code": f"refused {SHORT}",
                "message": f"{LONG} for {name}, key {API_KEY}",
                "guest": {"name": f"Zebulonia {NAME}"},
                "access_token": JWT,
                "trace": [API_KEY, {"cvv": 9173}],
            }
            return SimResponse(status=422, json=said, headers=leaks)
        answer = super().handle(request)
        if isinstance(answer.json, dict):
            answer = SimResponse(
                status=answer.status, json={**answer.json, "api_key": API_KEY, "token": JWT}, headers={**answer.headers, **leaks}
            )
        return answer


# --- the world -------------------------------------------------------------------------------------------------------------------


class World(NamedTuple):
    hotel: Hotel
    pos: Integration
    pms: Integration
    guests: Integration
    vendor: Teller
    api: APIClient
    console: Client
    ids: dict[str, Any]
    said: list[str]
    """What was answered and printed on the way."""


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, at every level, as the shipped handler writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(ContextFilter())
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root, before = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("markdown_it").setLevel(logging.INFO)  # it tells of each line of the setup pages
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def world(transactional_db: None, hotel: Hotel, caller: Caller, log: io.StringIO) -> Iterator[World]:
    api = caller(Role.MANAGER, hotel)
    furnish(hotel)
    with running(Teller()) as served:

        def connect(kind: str) -> Integration:
            body = {
                "hotel_id": hotel.pk, "integration_type": kind, "provider": "generic_rest", "provider_name": f"Desk {SHORT}",
                "config": {"baseUrl": served.url, "endpoints": {name: f"/{name}" for name in ENDPOINTS}, "testEndpoint": "/health",
                           "remark": LONG, "desk_card": SHORT, "register_id": LIKE_A_CARD},
                "credentials": {"apiKey": API_KEY}, "webhook_secret": HOOK_SECRET, "sync_settings": {"remark": LONG},
            }  # fmt: skip
            made = api.post("/api/integrations", body)
            assert made.status_code == 201, made.content
            return Integration.objects.get(pk=made.json()["id"])

        yield World(hotel, *(connect(kind) for kind in IntegrationType.values), served.simulator, api, sign_in(Role.MANAGER, hotel), {}, [])


# --- entrances -------------------------------------------------------------------------------------------------------------------

LINE = {"name": SHORT, "quantity": 1, "unit_price": "5.00", "total_price": "5.00", "note": LONG}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "checks": ("pos", {"items": [LINE], "subtotal": "5.00", "total": "5.00", "payment_method": SHORT}),
    f"checks/{CHECK_ID}/void": ("pos", {"reason": LONG[:255]}),
    "check-ins": ("pms", {"reservation_id": "res_1", "check_in_by": SHORT, "special_requests": LONG, "payment_method": SHORT}),
    "check-outs": ("pms", {"reservation_id": "res_3", "feedback_comments": LONG, "payment_status": SHORT}),
    "charges": ("pms", {"room_number": "101", "amount": "5.00", "category": SHORT, "description": LONG[:255], "check_number": CHECK_ID}),
    "requests": ("pms", {"room_number": "101", "category": SHORT, "message": LONG}),
    "feedback": ("guests", {"guest_id": LIKE_A_CARD, "rating": 5, "title": SHORT, "message": LONG, "category": SHORT}),
    "chat-messages": ("guests", {"guest_id": LIKE_A_CARD, "message": LONG, "sender_name": f"Zebulonia {NAME}", "message_type": "text"}),
    "notifications": ("guests", {"guest_id": LIKE_A_CARD, "title": SHORT, "message": LONG, "category": SHORT}),
}


def by_api(world: World) -> None:
    for refuses in (False, True):
        world.vendor.refuses = refuses
        for path, (kind, body) in BODIES.items():
            integration = getattr(world, kind)
            headers = {
                "X-Debug": LONG,
                "Idempotency-Key": f"{CHECK_ID}-{refuses}-{path.replace('/', '-')}",
                "Cookie": f"session={PASSWORD}",
            }
            answer = world.api.post(f"/api/integrations/{integration.pk}/{path}", body, headers=headers)
            assert answer.status_code in (201, 202, 404, 409, 422), (path, answer.content)
            world.said.append(answer.content.decode())
        for method, path, body in (
            ("put", f"integrations/{world.pms.pk}/guests/{LIKE_A_CARD}", {"given_name": f"Zebulonia {SHORT}"}),
            (
                "patch",
                f"hotels/{world.hotel.pk}/guests/{Guest.objects.filter(hotel=world.hotel).first().pk}",
                {"language": "de", "given_name": SHORT},
            ),
            ("patch", f"integrations/{world.pos.pk}", {"provider_name": f"Till {SHORT}", "config": {**world.pos.config, "remark": LONG}}),
            ("post", f"integrations/{world.pos.pk}/webhook-secret", {"webhook_secret": NEXT_HOOK_SECRET}),
            ("post", f"integrations/{world.pos.pk}/test", {}),
            ("get", f"integrations/{world.pms.pk}/guests/{LIKE_A_CARD}?access_token={JWT}&card={CARD}", {}),
            ("get", f"integrations/{world.guests.pk}/guests/{LIKE_A_CARD}/preferences", {}),
            ("post", "auth/token", {"username": PASSWORD, "password": PASSWORD, "name": SHORT}),
            (
                "post",
                "integrations",
                {"provider_name": LONG, "credentials": API_KEY, "hotel_id": LONG, "config": {"access_token": JWT}, "nothing": LONG},
            ),
            ("post", f"integrations/{world.pms.pk}/charges", {"amount": LONG, "currency": SHORT, LIVE_KEY: 1}),
            ("get", f"hotels/{world.hotel.pk}/guests?{LIVE_KEY}={CARD}", {}),
        ):
            answer = getattr(world.api, method)(f"/api/{path}", None if method == "get" else body)
            if answer.status_code < 400:  # a refusal repeats what was sent to whoever sent it
                world.said.append(answer.content.decode())
            assert answer.status_code < 500 or answer.status_code == 502, (path, answer.content)
    world.vendor.refuses = False


EVENT = {
    "event_type": "guest_updated",
    "data": {
        "guest_id": LIKE_A_CARD, "first_name": "Zebulonia", "last_name": NAME, "phone": PHONE, "email": "z.quackenbush@example.com",
        "notes": LONG, "card": {"number": SPACED, "cvv": "9173"}, "fields": [{"name": "CVV", "value": "9173"}], "track2": f";{CARD}=27121010000?",
        "access_token": JWT, "password": PASSWORD, "credentials": {"api_key": LIVE_KEY}, "raw": json.dumps({"secret": PASSWORD, "pan": CARD}),
        "order": {"id": CHECK_ID, "sku": SKU, "barcode": BARCODE}, "preferences": {"pays": SHORT, "mrz": MRZ, "note": f"ours is {HOOK_SECRET}"},
    },
}  # fmt: skip
HEADERS = {
    "User-Agent": f"Desk/1 {SHORT} {LIVE_KEY}", "X-Request-Id": LIVE_KEY, "Authorization": f"Bearer {JWT}", "Cookie": f"session={PASSWORD}",
    "X-Webhook-Id": JWT, "X-Card": SPACED, "Proxy": f"http://proxy:{PASSWORD}@10.0.0.1", "Traceparent": JWT, "Forwarded": f"for={PASSWORD}",
}  # fmt: skip


def by_webhook(world: World, door: LeanDoor) -> None:
    for number, knocked in enumerate((ViewDoor(), door)):
        for integration in (world.guests, world.pms):
            for body in (
                EVENT,
                {"event_type": f"odd {SHORT} {LIVE_KEY}", "data": {"note": LONG}},
                {"event_type": "check_updated", "data": {"check_id": {"pan": CARD, "note": LONG}}},
            ):
                named = {"event_id": f"event-{number}-{integration.pk}"} if body is EVENT else {}  # the others have the header's
                text = json.dumps({**body, **named}).encode()
                for secret in (HOOK_SECRET, PASSWORD):
                    answer = knocked.post(f"/api/webhooks/{integration.pk}?token={JWT}", text, {**signed(text, secret), **HEADERS})
                    assert answer.status < 500
                    world.said.append(answer.body.decode())
                knocked.post(f"/api/webhooks/{integration.pk}/{PASSWORD}", text, HEADERS)
        knocked.ingest.refusals.write()
    assert WebhookEvent.objects.count() >= 6
    for integration in (world.guests, world.pms):
        inbox.drain(integration)


def by_sync(world: World) -> None:
    for refuses in (False, True):
        world.vendor.refuses = refuses
        for integration in (world.pos, world.pms, world.guests):
            service = service_for(integration)
            for stream in service.streams():
                run = service.sync(stream.name)
                assert run.status in ("succeeded", "partial", "failed"), run.status
            service.test_connection()
    world.vendor.refuses = False
    assert RejectedRecord.objects.count() >= 2


def by_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = {"guest_id": LIKE_A_CARD, "message": LONG, "sender_name": f"Zebulonia {NAME}"}
    for name, integration, body in (
        ("post_chat_message", world.guests, chat),
        ("send_request", world.pms, {"room_number": "101", "message": LONG}),
    ):
        for refuses in (False, True):
            world.vendor.refuses = refuses
            monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(body)))
            world.said.append(printed("post_operation", integration.pk, name))
    for arguments in (("sync_integration", world.pos.pk, "menus"), ("test_integration", world.pos.pk), ("drain_outbox", "--failed"), ("retry_rejected", world.pos.pk),
                      ("list_integrations", "--json"), ("process_inbox",), ("replay_events", "--integration", world.guests.pk, "--dry-run"),
                      ("send_test_event", world.guests.pk, "guest_updated", "--dry-run"), ("rotate_keys", "--verify")):  # fmt: skip
        world.said.append(printed(*arguments))
    world.vendor.refuses = False


def printed(*arguments: Any) -> str:
    out = io.StringIO()
    try:
        call_command(*map(str, arguments), stdout=out, stderr=out)
    except SystemExit:
        pass
    except CommandError as error:
        if error.returncode == USAGE:
            raise
        out.write(str(error))
    return out.getvalue()


def by_console(world: World) -> None:
    forms = {
        ("pms", "post_charge"): {"room_number": "101", "amount": "5.00", "category": SHORT, "description": SHORT, "check_number": CHECK_ID},
        ("pms", "send_request"): {"room_number": "101", "category": SHORT, "message": LONG, "priority": "normal"},
        ("guests", "post_notification"): {
            "room_number": "101",
            "title": SHORT,
            "message": LONG,
            "priority": "normal",
            "notification_type": "push",
        },
        ("guests", "post_chat_message"): {
            "room_number": "101",
            "message": LONG,
            "message_type": "text",
            "sender_type": "guest",
            "sender_name": NAME,
        },
    }
    for number, ((kind, name), typed) in enumerate(forms.items()):
        address = reverse("admin:integrations_integration_operation", args=[getattr(world, kind).pk, name])
        answer = world.console.post(address, typed | {"idempotency_key": f"console:{number}"})
        assert answer.status_code == 302, answer.content.decode()[-3000:]
    add = "/admin/integrations/integration/add/?provider=generic_rest&kind=pos"
    form = {
        "hotel": world.hotel.pk, "provider_name": f"Console {SHORT}", "environment": "production", "credentials.api_key": API_KEY,
        "config.base_url": world.pos.config["baseUrl"], "config.endpoints": f"menus = /menus {SHORT}", "sync_interval": "hourly",
        "conflict_rule": "vendor_wins", "webhook_secret": NEXT_HOOK_SECRET,
    }  # fmt: skip
    before = Integration.objects.count()
    world.console.post(add, form)
    assert Integration.objects.count() == before + 1
    world.console.post(add, form | {"config.base_url": "https://inner.lan", "webhook_url": f"https://u:{PASSWORD}@hotel.example.com/"})
    Client().post("/admin/login/", {"username": PASSWORD, "password": PASSWORD})


# --- the search ------------------------------------------------------------------------------------------------------------------


def dump() -> Iterator[tuple[str, str]]:
    """Yield table and column, and the text of each value there is."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for column, value in zip(columns, row, strict=True):
                    if value is not None:
                        yield (
                            f"{table}.{column}",
                            bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else _written(value),
                        )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def shown(world: World) -> Iterator[tuple[str, str]]:
    """Yield the addresses of the API and of the console, and the metrics, with what they show."""
    for route in ALL:
        if "get" in route.methods and "providers" not in route.address:
            integration = world.pos if "check" in route.address else world.guests
            yield str(route), world.api.get(route.fill(world.ids | {"integration_id": integration.pk})).content.decode()
    for model in OURS:
        for address in addresses(model):
            if address.name.endswith(("_changelist", "_change", "_settings")):
                for row in model._default_manager.order_by("-pk")[:2] if address.is_of_a_row else [None]:
                    yield address.name, world.console.get(address.fill(row.pk if row else 0)).content.decode()
    refused = IntegrationLog.objects.filter(status="failed").exclude(correlation_id="").first()
    yield "cause", world.console.get(f"/admin/cause/{refused.correlation_id}/").content.decode()
    yield "first page", world.console.get("/admin/").content.decode()
    yield "metrics", Client().get("/metrics").content.decode()


def leaks(found: Iterator[tuple[str, str]], forbidden: dict[str, re.Pattern[str]]) -> set[str]:
    return {
        f"{what} in {where}: …{text[max(0, hit.start() - 60) : hit.end() + 20]}…"
        for where, text in found
        for what, pattern in forbidden.items()
        if (hit := pattern.search(text))
    }


@pytest.fixture
def pushed(world: World, lean: LeanDoor, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: F811
    by_sync(world)
    by_api(world)
    by_webhook(world, lean)
    by_command(world, monkeypatch)
    by_console(world)
    integrations = {"run_id": SyncRun, "conflict_id": Conflict, "event_id": WebhookEvent, "operation_id": Operation}
    world.ids.update({name: getattr(model.objects.last(), "pk", 1) for name, model in integrations.items()})
    world.ids.update(
        hotel_id=world.hotel.pk, check_id=CHECK_ID, guest_id=LIKE_A_CARD, notification_id="notifications_4", room_number="909",
        pk=Guest.objects.get(family_name=NAME).pk,
    )  # fmt: skip
    return world


def test_nothing_marked_is_kept_logged_or_shown(pushed: World, log: io.StringIO) -> None:
    everything = list(dump())
    assert leaks(iter(everything), FORBIDDEN) == set()
    logged = log.getvalue()
    assert leaks(iter([("log", line) for line in logged.splitlines()]), FORBIDDEN) == set()
    assert leaks(iter([("answer", text) for text in pushed.said]), FORBIDDEN) == set()
    pages = list(shown(pushed))
    assert leaks(iter(pages), FORBIDDEN) == set()
    assert len(pages) > 60
    # The search itself would find what is there.
    assert len(everything) > 3000
    assert len(logged.splitlines()) > 15
    assert sum("455673…9855" in text for _, text in everything) > 40
    # The guest is where guests are, and in no log.
    of_logs = [
        (where, text) for where, text in everything if where.startswith(("integrations_integrationlog.", "integrations_rejectedrecord."))
    ]
    names = {"a guest": re.compile(f"{NAME}|{NAME.lower()}")}
    assert leaks(iter([*of_logs, ("log", logged), *(page for page in pages if page[0] == "metrics")]), names) == set()
    assert any(NAME in text for where, text in everything if where == "hotels_guest.family_name")
    # What looks like it and is worked from.
    for kept, places in {
        LIKE_A_CARD: {"integrations_externalreference.external_id", "integrations_operation.payload", "webhooks_webhookevent.body", "integrations_integration.config"},
        CHECK_ID: {"integrations_externalreference.external_id", "webhooks_webhookevent.body", "integrations_integrationlog.request_data"},
        PHONE: {"hotels_guest.phone", "webhooks_webhookevent.body"},
        SKU: {"integrations_externalreference.external_id", "webhooks_webhookevent.body"},
        BARCODE: {"webhooks_webhookevent.body"},
    }.items():  # fmt: skip
        assert places <= {where for where, text in everything if kept in text}, kept
