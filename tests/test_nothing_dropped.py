"""Nothing accepted is dropped: every field of every write, at every vendor, is sent, kept at the hotel, or named in the warnings.

A field that is added to a body has no row here, and the test says so.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from hotels.models import Guest, Hotel, MenuVariation, Reservation
from integrations.admin.outbox import outcome_sentence
from integrations.management.command import operation_line
from integrations.models import ExternalReference, Integration, Operation
from integrations.services import registry, service_for, setup
from integrations.services.calls import CALLS, call
from integrations.services.manifest import Kind
from integrations.simulators.catalogue import simulated_vendors
from integrations.simulators.server import running
from integrations.sync.bindings import BINDINGS
from integrations.tests.conftest import Connect

pytestmark = pytest.mark.django_db

MESSAGE = {"guest_id": 1, "hotel_id": 1, "room_number": "101", "category": "of-category", "title": "Of title", "message": "Of message"}
BODIES: dict[str, dict[str, Any]] = {
    "post_guest_check": {
        "guest_id": 1,
        "room_number": "101",
        "reservation_id": 1,
        "items": [
            {
                "menu_id": 0, "variation_id": 0, "name": "Of name", "quantity": 3, "unit_price": "7.21", "total_price": "21.63",
                "tax": None,
                "note": "Of note",
            }
        ],
        "subtotal": "21.63",
        "discount": "0",
        "service_charge": "0",
        "tax": "1.73",
        "tax_included": False,
        "tip": "0",
        "total": "23.36",
        "currency": "EUR",
        "payment_method": "of-method",
        "payment_status": "pending",
    },
    "void_check": {"reason": "Of reason"},
    "post_check_in": {
        "reservation_id": 1,
        "guest_id": 1,
        "room_number": "101",
        "check_in_time": "2026-03-01T15:04:05Z",
        "check_in_by": "Of by",
        "special_requests": "Of requests",
        "payment_method": "of-method",
        "deposit_amount": "123.45",
    },
    "post_check_out": {
        "reservation_id": 1,
        "guest_id": 1,
        "room_number": "101",
        "check_out_time": "2026-03-01T11:04:05Z",
        "final_bill_amount": "123.45",
        "payment_status": "of-status",
        "feedback_rating": 4,
        "feedback_comments": "Of comments",
        "dry_run": False,
    },
    "update_guest_info": {
        "given_name": "Ofgiven", "family_name": "Offamily", "email": "of@example.com", "phone": "+351210001122", "language": "E",
    },
    "post_charge": {
        "room_number": "101", "reservation_id": 1, "amount": "12.34", "currency": "EUR", "guest_name": "", "category": "spa",
        "description": "Of description", "quantity": 7, "check_number": "of-check",
    },
    "send_request": {
        "room_number": "101", "reservation_id": 1, "guest_id": 1, "category": "of-category", "message": "Of message", "priority": "high",
    },
    "post_feedback": MESSAGE | {"rating": 4, "is_anonymous": False, "submitted_at": "2026-03-01T11:04:05Z"},
    "post_chat_message": {
        "guest_id": 1, "hotel_id": 1, "room_number": "101", "message": "Of message", "message_type": "of-type", "sender_type": "guest",
        "sender_id": 1, "sender_name": "Of sender", "sent_at": "2026-03-01T11:04:05Z",
    },
    "post_notification": MESSAGE | {"priority": "high", "notification_type": "of-type"},
    "update_notification_status": {"status": "delivered"},
}  # fmt: skip

SENT, KEPT, NAMED, ASKED, REFUSED = "sent", "kept", "named", "asked", "sent or refused"
"""In a request to the vendor; in the hotel's rows; in the operation's warnings; ASKED decides what is done or for whom, and is no content;
REFUSED is sent, or refused by name, as the tests of checks show."""

_CHECK = {
    "guest_id": KEPT,
    "room_number": SENT,
    "reservation_id": NAMED,
    "items.menu_id": KEPT,
    "items.variation_id": KEPT,
    "items.name": KEPT,
    "items.quantity": SENT,
    "items.unit_price": KEPT,
    "items.total_price": KEPT,
    "items.tax": REFUSED,
    "items.note": SENT,
    "subtotal": KEPT,
    "discount": REFUSED,
    "service_charge": REFUSED,
    "tax_included": REFUSED,
    "tip": REFUSED,
    "tax": KEPT,
    "total": KEPT,
    "currency": KEPT,
    "payment_method": KEPT,
    "payment_status": KEPT,
}
_FEEDBACK = {
    "guest_id": SENT,
    "hotel_id": KEPT,
    "room_number": SENT,
    "category": SENT,
    "title": SENT,
    "message": SENT,
    "rating": SENT,
    "is_anonymous": KEPT,
    "submitted_at": SENT,
}
_CHAT = {
    "guest_id": SENT,
    "hotel_id": KEPT,
    "room_number": SENT,
    "message": SENT,
    "message_type": SENT,
    "sender_type": SENT,
    "sender_id": SENT,
    "sender_name": SENT,
    "sent_at": SENT,
}
_NOTIFICATION = {
    "guest_id": SENT,
    "hotel_id": KEPT,
    "room_number": SENT,
    "title": SENT,
    "message": SENT,
    "category": SENT,
    "priority": SENT,
    "notification_type": SENT,
}
_GUEST = {"given_name": SENT, "family_name": SENT, "email": SENT, "phone": SENT, "language": SENT}
_REQUEST = {
    "room_number": SENT, "reservation_id": SENT, "guest_id": SENT, "category": SENT, "message": SENT, "priority": SENT,
}  # fmt: skip
_CHARGE = {
    "room_number": ASKED,
    "reservation_id": SENT,
    "amount": SENT,
    "currency": SENT,
    "guest_name": ASKED,
    "category": SENT,
    "description": SENT,
    "quantity": SENT,
    "check_number": SENT,
}
TABLE: dict[tuple[str, str], dict[str, str]] = {
    ("square", "post_guest_check"): _CHECK | {"guest_id": NAMED},
    ("square", "void_check"): {"reason": NAMED},
    ("simphony", "post_guest_check"): _CHECK | {"guest_id": NAMED},
    ("simphony", "void_check"): {"reason": NAMED},
    ("opera_cloud", "post_check_in"): {
        "reservation_id": SENT,
        "guest_id": NAMED,
        "room_number": SENT,
        "check_in_time": NAMED,
        "check_in_by": NAMED,
        "special_requests": NAMED,
        "payment_method": NAMED,
        "deposit_amount": NAMED,
    },
    ("opera_cloud", "post_check_out"): {
        "reservation_id": SENT,
        "guest_id": NAMED,
        "room_number": ASKED,
        "check_out_time": NAMED,
        "final_bill_amount": NAMED,
        "payment_status": NAMED,
        "feedback_rating": SENT,
        "feedback_comments": SENT,
        "dry_run": ASKED,
    },
    ("opera_cloud", "update_guest_info"): _GUEST,
    ("opera_cloud", "post_charge"): _CHARGE | {"category": ASKED},  # decides the transaction code
    ("opera_cloud", "send_request"): _REQUEST,
    ("salesforce", "post_feedback"): _FEEDBACK,
    ("salesforce", "post_chat_message"): _CHAT | {"sender_id": NAMED},
    ("salesforce", "post_notification"): _NOTIFICATION,
    ("salesforce", "update_notification_status"): {"status": SENT},
    ("generic_rest", "post_guest_check"): _CHECK
    | {"guest_id": SENT, "reservation_id": SENT}
    | dict.fromkeys(("items.unit_price", "items.total_price", "subtotal", "tax", "total", "currency", "payment_method"), SENT),
    ("generic_rest", "void_check"): {"reason": SENT},
    ("generic_rest", "post_check_in"): dict.fromkeys(BODIES["post_check_in"], SENT),
    ("generic_rest", "update_guest_info"): _GUEST,
    ("generic_rest", "post_charge"): _CHARGE | {"room_number": SENT, "guest_name": SENT},
    ("generic_rest", "send_request"): _REQUEST,
    ("generic_rest", "post_check_out"): dict.fromkeys(BODIES["post_check_out"], SENT) | {"dry_run": ASKED},
    ("generic_rest", "post_feedback"): _FEEDBACK,
    ("generic_rest", "post_chat_message"): _CHAT,
    ("generic_rest", "post_notification"): _NOTIFICATION,
    ("generic_rest", "update_notification_status"): {"status": SENT},
}


LISTED = {slug for slug, _ in TABLE}
"""A provider that somebody adds brings its own tests."""


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, declared in model.model_fields.items():
        inner = [one for one in get_args(declared.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        if inner:
            yield from fields(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_field_of_every_write_has_its_row() -> None:
    writes = {
        (slug, operation.name): set(fields(CALLS[operation.name].body))
        for slug, provider in registry.providers().items()
        for operation in provider.manifest.operations
        if operation.writes and slug in LISTED
    }
    assert {key: set(rows) for key, rows in TABLE.items() if key[0] in registry.providers()} == writes
    flat = {name: set(_flat(body)) for name, body in BODIES.items()}
    assert {name: set(fields(CALLS[name].body)) for name in BODIES} == flat  # and every body gives all of them


def _flat(body: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every value under the path of its field; those of the first of several lines."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        found |= _flat(value[0], f"{prefix}{name}.") if isinstance(value, list) else {f"{prefix}{name}": value}
    return found


class At:
    """One hotel, connected to one vendor, and all that this vendor is sent."""

    STAYS: dict[tuple[str, str], str] = {
        ("opera_cloud", "post_check_in"): "res_123",
        ("opera_cloud", "post_check_out"): "660091",
        ("opera_cloud", "post_charge"): "660090",
        ("opera_cloud", "send_request"): "660090",
        ("generic_rest", "post_check_in"): "res_1",
    }
    """Due in, or in house and settled."""

    def __init__(self, slug: str, kind: Kind | None, url: str) -> None:
        self.slug = slug
        self.hotel = Hotel.objects.create(name="Grand", slug="grand", currency="EUR", time_zone="Europe/Lisbon")
        body = next(vendor for vendor in simulated_vendors() if vendor.slug == slug).connection(url)
        if kind:  # the vendor that can be anything
            endpoints = ("menus", "checks", "reservations", "rooms", "guests", "checkins", "checkouts", "charges", "requests")
            body |= {"integration_type": kind}
            body["config"]["endpoints"] |= {one: f"/{one}" for one in endpoints}
        self.integration: Integration = setup.create_integration(self.hotel, body)[0]
        self.service = service_for(self.integration)
        for stream in self.service.streams():
            if stream.scheduled and stream.name != "categories":
                self.service.sync(stream.name)

    def known(self, record_type: str) -> Any:
        return ExternalReference.objects.filter(integration=self.integration, record_type=record_type, deleted_at=None)

    def body(self, name: str) -> dict[str, Any]:
        """Return the body with whom and what this vendor knows."""
        body = dict(BODIES[name])
        if "hotel_id" in body:
            body["hotel_id"] = self.hotel.pk
        if name == "update_guest_info":
            body["guest_id"] = self.known("guest").order_by("external_id").first().external_id
        elif self.service.kind == Kind.PMS:
            stay = self.STAYS.get((self.slug, name), "res_3")
            row = Reservation.objects.get(pk=self.known("reservation").get(external_id=stay).object_id)
            guest = self.known("guest").filter(object_id=row.guest_id).first()
            told = {"reservation_id": stay, "room_number": row.room_number, "guest_id": guest.external_id, "guest_name": str(row.guest)}
            body |= {name: value for name, value in told.items() if name in body}
        elif "guest_id" in body and self.service.kind == Kind.GUEST_MANAGEMENT:
            body["guest_id"] = self.known("guest").order_by("external_id").first().external_id
            body |= {"sender_id": body["guest_id"]} if "sender_id" in body else {}
        if name in ("post_guest_check", "void_check"):
            variation = MenuVariation.objects.filter(hotel=self.hotel, price__gt=0).order_by("pk").first()
            price = variation.price
            dish = {"menu_id": variation.item_id, "variation_id": variation.pk, "unit_price": str(price), "total_price": str(3 * price)}
            line = BODIES["post_guest_check"]["items"][0] | dish
            check = {"items": [line], "subtotal": str(3 * price), "total": str(3 * price + Decimal("1.73"))}
            if name == "void_check":
                body["check_id"] = self.service.post_guest_check(check | {"total": check["subtotal"]}).vendor_reference
            else:
                is_known = self.slug == "generic_rest"
                guest_id = "guest_1" if is_known else Guest.objects.create(hotel=self.hotel, family_name="Lind").pk
                body |= check | {"guest_id": guest_id, "reservation_id": "res_1"}
        if name == "update_notification_status":
            body["notification_id"] = self.known("notification").order_by("pk").first().external_id
        return body


KINDS = sorted({(slug, registry.get(slug).manifest.operation(name).kind) for slug, name in TABLE if slug in registry.providers()}, key=str)


@pytest.mark.parametrize(("slug", "kind"), KINDS, ids=str)
def test_a_field_is_sent_or_kept_or_named(slug: str, kind: Kind | None) -> None:
    vendor = next(vendor for vendor in simulated_vendors() if vendor.slug == slug)
    with running(vendor.simulator()) as served:
        at, seen = At(slug, kind, served.url), _listen(served.simulator)
        for (its_slug, name), rows in TABLE.items():
            if its_slug == slug and registry.get(slug).manifest.operation(name).kind == kind:
                body = at.body(name)
                seen.clear()
                operation = call(at.service, name, body)
                operation.refresh_from_db()
                assert (name, operation.status, operation.error_message) == (name, "done", "")
                _compare(operation, body, rows, "\n".join(seen))


def _compare(operation: Operation, body: dict[str, Any], rows: dict[str, str], said: str) -> None:
    given = _flat(body)
    for path, how in rows.items():
        if how == SENT:
            assert re.search(rf"(?<![\w.]){_written(given[path])}(?!\w)", said), (operation.name, path, given[path], said)
        elif how == KEPT:
            assert _is_kept(operation, path, given[path]), (operation.name, path, given[path])
    warned = {path for path in rows if any(warning.startswith(f"{path}: ") for warning in operation.warnings)}
    assert warned == {path for path, how in rows.items() if how == NAMED}, (operation.name, operation.warnings)


def _listen(simulator: Any) -> list[str]:
    seen: list[str] = []
    usual = simulator.handle

    def handle(request: Any) -> Any:
        seen.append(f"{request.method} {request.path} {request.query} {request.body.decode()}")
        return usual(request)

    simulator.handle = handle
    return seen


def _written(value: Any) -> str:
    """Return an expression for a value as any vendor may write it."""
    text = str(value)
    if re.fullmatch(r"\d+\.\d+", text):
        return rf"{re.escape(f'{Decimal(text).normalize():f}')}0*"
    return rf"{re.escape(text.removesuffix('Z'))}Z?" if re.match(r"\d{4}-\d\d-\d\dT", text) else re.escape(text)


def _is_kept(operation: Operation, path: str, value: Any) -> bool:
    row = BINDINGS[operation.record_type].model.objects.get(pk=operation.object_id)
    first, _, rest = path.partition(".")
    if rest:
        row, first = row.lines.first(), {"menu_id": "item_id"}.get(rest, rest)
    kept = getattr(row, first)
    if first == "guest_id":
        return kept is not None
    return kept == (Decimal(value) if isinstance(kept, Decimal) else value)


def test_a_room_that_the_vendor_assigns_and_a_guest_it_does_not_know_are_told() -> None:
    vendor = next(vendor for vendor in simulated_vendors() if vendor.slug == "opera_cloud")
    with running(vendor.simulator()) as served:
        at = At("opera_cloud", None, served.url)
        checked_in = at.service.post_check_in({"reservation_id": "660083"})
        stranger = Guest.objects.create(hotel=at.hotel, family_name="Lind")
        asked = at.service.send_request({"room_number": "102", "guest_id": stranger.pk, "message": "Towels"})
    number = checked_in.answer["room_number"]
    assert number
    assert Reservation.objects.get(pk=checked_in.object_id).room_number == number
    assert asked.warnings == ["guest_id: Oracle OPERA Cloud does not know this guest, so it was sent without."]


def test_who_is_anonymous_is_named_to_nobody_and_that_is_said(hotel: Hotel, connect: Connect) -> None:
    guest = Guest.objects.create(hotel=hotel, family_name="Lind")
    integration = connect(hotel, "guest_management")
    posted = service_for(integration).post_feedback({"guest_id": guest.pk, "rating": 2, "is_anonymous": True})
    assert posted.warnings == ["guest_id: What is anonymous names nobody, neither at the vendor nor here."]
    assert "guest_id: What is anonymous" in operation_line(posted)
    assert "guest_id: What is anonymous" in outcome_sentence(posted)
