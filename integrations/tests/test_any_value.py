"""Any JSON value at any place of a vendor's answers: the run ends, what is odd is a rejected row, and the others are stored."""

import json
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hotels.models import Hotel
from integrations.models import ExternalReference, Integration, RejectedRecord, RunStatus
from integrations.services import service_for
from integrations.services.generic_rest import simulator as generic_rest
from integrations.services.opera_cloud import simulator as opera_cloud
from integrations.services.salesforce import simulator as salesforce
from integrations.services.simphony import simulator as simphony
from integrations.services.square import simulator as square
from integrations.simulators.server import SimRequest, SimResponse
from integrations.tests.in_memory import ADDRESS, InMemory
from integrations.transport import client

ABSENT = "absent"
ODD = [
    ABSENT, "null", "true", "false", "0", "1", "-1", "-0", "-0.0", "4.9", '"4.9"', '"34,50"', '"NaN"', "NaN", "-Infinity", "1e400",
    "1e1000000", "-1e-1000000", '"1e1000000"', "1e99999999999999999999", "9" * 40, f'"{"9" * 40}"', "9" * 5000, '"0x10"', '"١٢"',
    '""', '" "', r'"\ud800"', r'"a\u0000b"', '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"2026-13-45"', "1781010100000",
    '"1781010100000"', '"2099-01-01T00:00:00Z"', "[]", "{}", "[[]]", "[null]", '[{}]', '{"a":{}}', '{"id":7}', f'"{"x" * 300}"',
    f'"{"x" * 100_000}"', "[" * 300 + "]" * 300, "[" * 450 + "]" * 450, "[" * 900 + "]" * 900, "[" * 50_000 + "]" * 50_000, '{"a":' * 30 + "1e400" + "}" * 30, '"4111 1111 1111 1111"',
]  # fmt: skip
ANYTHING = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
).map(json.dumps)
PLACE = "@the place@"

generic_config = {
    "base_url": ADDRESS,
    "endpoints": {
        name: f"/{name}" for name in ("menus", "categories", "rooms", "guests", "reservations", "feedback", "chat", "notifications")
    },
}
VENDORS: dict[str, tuple[Callable[[], Any], dict[str, Any], tuple[str, ...]]] = {
    "generic_rest/pos": (generic_rest.GenericRestSimulator, {"config": generic_config, "credentials": {"api_key": "sim-key-4711"}}, ("menus", "categories")),
    "generic_rest/pms": (generic_rest.GenericRestSimulator, {"config": generic_config, "credentials": {"api_key": "sim-key-4711"}}, ("rooms", "guests", "reservations")),
    "generic_rest/guest_management": (generic_rest.GenericRestSimulator, {"config": generic_config, "credentials": {"api_key": "sim-key-4711"}}, ("feedback", "chat_messages", "notifications")),
    "opera_cloud/pms": (opera_cloud.OperaCloudSimulator, opera_cloud.connection(ADDRESS), ("rooms", "reservations", "guests")),
    "salesforce/guest_management": (salesforce.SalesforceSimulator, salesforce.connection(ADDRESS), ("guest_data", "feedback", "chat_messages", "notifications")),
    "simphony/pos": (simphony.SimphonySimulator, simphony.connection(ADDRESS), ("menus", "categories", "checks")),
    "square/pos": (square.SquareSimulator, square.connection(ADDRESS), ("menus", "categories", "checks")),
}  # fmt: skip
STREAMS = [(vendor, stream) for vendor, (_, _, streams) in VENDORS.items() for stream in streams]
STRUCTURE = re.compile(r"/menus/summary|token|oauth")
"""Answers whose lists are not of rows: what is missing there is a cut list."""
OBJECTS = re.compile(r"/profiles/\d|/checks/")
"""Answers that are one row."""


class Bent(InMemory):
    """Puts `raw`, as it is, at one place of the answer with a number; without it, only keeps what was answered."""

    def __init__(self, simulator: Any, number: int = -1, place: tuple = (), raw: str = "") -> None:
        super().__init__(simulator, self.answer)
        self.number, self.place, self.raw = number, place, raw
        self.answers: list[tuple[str, Any]] = []

    def answer(self, request: SimRequest, usual: SimResponse) -> SimResponse:
        if STRUCTURE.search(request.path) or usual.json is None or not 200 <= usual.status < 300:
            return usual
        self.answers.append((request.path, usual.json))
        if len(self.answers) - 1 != self.number:
            return usual
        text = json.dumps(changed(usual.json, self.place, self.raw)).replace(json.dumps(PLACE), self.raw)
        return SimResponse(status=usual.status, body=text.encode(), headers=usual.headers)


def places(value: Any, at: tuple = ()) -> Iterator[tuple]:
    yield at
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:3] if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*at, key))


def changed(value: Any, place: tuple, raw: str) -> Any:
    if not place:
        return PLACE if raw != ABSENT else None
    copy = value.copy()
    if raw == ABSENT and len(place) == 1:
        del copy[place[0]]
    else:
        copy[place[0]] = changed(value[place[0]], place[1:], raw)
    return copy


def connected(hotel: Hotel, vendor: str) -> Integration:
    slug, kind = vendor.split("/")
    body = VENDORS[vendor][1]
    common = {"environment": body.get("environment", "production"), "config": body["config"], "provider_name": slug}
    integration = Integration(hotel=hotel, integration_type=kind, provider=slug, **common)
    integration.credentials = body["credentials"]
    integration.save()
    return integration


@cache
def clean_answers(vendor: str, stream: str, hotel: Hotel) -> list[tuple[str, Any]]:
    """Return what the vendor answers in a run that nobody disturbs."""
    wire = Bent(VENDORS[vendor][0]())
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        patch.setattr(client, "Wire", lambda egress: wire)
        run = service_for(connected(hotel, vendor)).sync(stream, full=True)
        assert run.status == RunStatus.SUCCEEDED
        transaction.set_rollback(True)
    return wire.answers


FEW = settings(max_examples=3, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("vendor", "stream"), STREAMS)
@FEW
@given(data=st.data())
def test_any_value_at_any_place_of_any_answer_ends_in_rejected_rows_at_worst(db: None, vendor: str, stream: str, data: Any) -> None:
    hotel = Hotel.objects.get_or_create(name="Grand", slug="grand", currency="EUR", time_zone="Europe/Vienna")[0]
    answers = clean_answers(vendor, stream, hotel)
    number = data.draw(st.integers(0, len(answers) - 1))
    path, body = answers[number]
    place = data.draw(st.sampled_from(list(places(body))))
    raw = data.draw(ANYTHING)
    wire = Bent(VENDORS[vendor][0](), number, place, raw)
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        patch.setattr(client, "Wire", lambda egress: wire)
        started = time.process_time()
        run = service_for(connected(hotel, vendor)).sync(stream, full=True)
        took = time.process_time() - started
        rejected = list(RejectedRecord.objects.filter(run=run))
        stored = ExternalReference.objects.filter(integration=run.integration).count()
        transaction.set_rollback(True)
    told = f"{path} {place} {raw[:40]}: {run.status} {run.error_code} {run.error_message}"
    assert run.error_code != "internal_error", told
    assert took < 1.5, told
    is_cut = place and raw == ABSENT and isinstance(place[-1], int)  # a whole row is left out
    is_row = any(isinstance(step, int) for step in place) or (place and OBJECTS.search(path))
    if is_row and not is_cut:
        assert run.status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL), told
        assert stored, told
    for row in rejected:
        assert row.reason, told
        assert "4111 1111" not in row.reason + json.dumps(row.payload), told
