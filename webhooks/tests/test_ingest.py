"""What is let in, what is refused, and what is stored: the same at both doors."""

import base64
import gzip
import json
import socket
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from hotels.models import Hotel
from integrations.models import Integration, IntegrationLog, IntegrationStatus, WebhookSecret
from integrations.records import InboundEvent
from integrations.services.manifest import Webhooks
from monitoring.models import Heartbeat
from webhooks.delivery import Delivery
from webhooks.ingest import Ingest, _delivery_key
from webhooks.models import WebhookEvent
from webhooks.tests.conftest import SECRET, Connect
from webhooks.tests.doors import Answer, Door, LeanDoor, ViewDoor, signed
from webhooks.tests.test_verifiers import SOAP
from webhooks.tests.vendor import Vendor, parse
from webhooks.verifiers import Secret, make

BODY = b'{"event_type":"menu_updated","data":{"menu_id":"menu_123","changes":["name","price"]}}'


def path(integration: Integration) -> str:
    return f"/api/webhooks/{integration.pk}"


def code(answer: Answer) -> str:
    return answer.json["errors"][0]["code"]


def sign_as(scheme: str, body: bytes, *, secret: str = SECRET, event_id: str = "evt-1", shift: float = 0) -> dict[str, str]:
    """Sign with one of our schemes, as if the clock were `shift` seconds away."""
    return make(scheme, {}).sign(body, Secret(secret), "", event_id, timezone.now() + timedelta(seconds=shift))[0]


# --- let in --------------------------------------------------------------------------------------------------------------------


def test_signed_delivery_is_stored_as_it_came_and_accepted_once(door: Door, connect: Connect) -> None:
    integration = connect()
    answer = door.post(path(integration), BODY, signed(BODY, SECRET, X_Webhook_Id="evt-1"))
    assert (answer.status, answer.json) == (202, {"status": "accepted"})
    event = WebhookEvent.objects.get()
    assert (event.integration_id, event.event_id, event.event_type, event.object_key) == (
        integration.pk,
        "evt-1",
        "menu_updated",
        "menu_item:menu_123",
    )
    assert bytes(event.body) == BODY
    assert (event.status, event.attempts, event.verified_by) == ("pending", 0, "body")
    again = door.post(f"{path(integration)}/", BODY, signed(BODY, SECRET, X_Webhook_Id="evt-1"))
    assert (again.status, again.json) == (200, {"status": "duplicate"})
    assert WebhookEvent.objects.count() == 1


def test_equal_bodies_without_an_id_are_two_events(door: Door, connect: Connect) -> None:
    """ "dirty", "clean", "dirty" has two genuine equal bodies: dropping the second would lose data."""
    integration = connect()
    assert [door.post(path(integration), BODY, signed(BODY, SECRET)).status for _ in range(2)] == [202, 202]
    assert WebhookEvent.objects.count() == 2


def test_ids_are_per_integration_and_case_sensitive(door: Door, connect: Connect) -> None:
    first, second = connect(), connect(secret="another-secret-of-the-tests")
    assert door.post(path(first), BODY, signed(BODY, SECRET, X_Webhook_Id="Evt-A")).status == 202
    assert door.post(path(first), BODY, signed(BODY, SECRET, X_Webhook_Id="evt-a")).status == 202
    assert door.post(path(second), BODY, signed(BODY, "another-secret-of-the-tests", X_Webhook_Id="Evt-A")).status == 202
    assert WebhookEvent.objects.count() == 3


def test_unauthenticated_and_malformed_requests_use_up_no_id(door: Door, connect: Connect) -> None:
    integration = connect()
    assert door.post(path(integration), BODY, signed(BODY, "wrong-secret-wrong-secret", X_Webhook_Id="evt-1")).status == 401
    broken = b'{"event_type":'
    assert door.post(path(integration), broken, signed(broken, SECRET, X_Webhook_Id="evt-1")).status == 400
    assert door.post(path(integration), BODY, signed(BODY, SECRET, X_Webhook_Id="evt-1")).status == 202


def test_integration_deleted_after_the_check_is_refused_and_the_others_of_its_group_are_stored(
    connect: Connect, transactional_db: None
) -> None:
    ingest, gone, staying = Ingest(), connect(), connect()
    headers = {name.lower(): value for name, value in signed(BODY, SECRET).items()}
    deliveries = [
        (Delivery(integration.pk, headers, BODY, timezone.now()), ingest.facts.get(integration.pk)) for integration in (gone, staying)
    ]
    checked = [ingest.check(*one) for one in deliveries]
    gone.delete()
    assert [outcome.status for outcome in ingest.settle(checked)] == [401, 202]  # type: ignore[arg-type]
    assert WebhookEvent.objects.get().integration == staying


def test_statements_that_a_pooler_drops_or_keeps_cost_no_event(connect: Connect, transactional_db: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("statements are prepared for PostgreSQL only")
    integration, view = connect(), ViewDoor()
    for event_id in ("evt-1", "evt-2"):
        assert view.post(path(integration), BODY, signed(BODY, SECRET, X_Webhook_Id=event_id)).status == 202
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
    assert WebhookEvent.objects.count() == 2


def test_flood_of_made_up_ids_does_not_keep_the_vendor_waiting(connect: Connect, lean: LeanDoor) -> None:
    """At the lean door, where one thread reads what is known of integrations."""
    door, integration = lean, connect()
    assert door.post(path(integration), BODY, signed(BODY, SECRET)).status == 202
    door.ingest.facts._clock = lambda: time.monotonic() + 2  # what is known is a little old now
    busy = threading.Event()
    door.ingest.facts.read = lambda integration_id: busy.wait(5)  # type: ignore[assignment,return-value]
    started = time.monotonic()
    assert door.post(path(integration), BODY, signed(BODY, SECRET)).status == 202
    assert time.monotonic() - started < 4
    busy.set()


def test_switched_off_integration_refuses_its_vendor_and_tells_nobody_else(door: Door, connect: Connect) -> None:
    integration = connect(status=IntegrationStatus.INACTIVE)
    answer = door.post(path(integration), BODY, signed(BODY, SECRET))
    assert (answer.status, code(answer)) == (403, "integration_inactive")
    assert door.post(path(integration), BODY, signed(BODY, "wrong-secret-wrong-secret")).status == 401
    assert not WebhookEvent.objects.exists()
    line = IntegrationLog.objects.get()
    assert (line.operation_name, line.error_code) == ("webhook_refused", "integration_inactive")


# --- the same delivery ---------------------------------------------------------------------------------------------------------


def event(event_type: str, total: str, event_id: str = "") -> bytes:
    body = {"event_type": event_type, "data": {"check_id": "c1", "total": total}} | ({"event_id": event_id} if event_id else {})
    return json.dumps(body).encode()


@pytest.mark.parametrize("scheme", ["body", "signed-meta", "standard-webhooks"])
@pytest.mark.parametrize("in_body", [True, False])
def test_two_kinds_of_events_with_one_id_are_two(door: Door, connect: Connect, scheme: str, in_body: bool) -> None:
    integration = connect(config={"signature_scheme": scheme})
    for status in (202, 200):
        for kind, total in (("check_created", "10.00"), ("check_updated", "25.00")):
            body = event(kind, total, "order-555" if in_body else "")
            assert door.post(path(integration), body, sign_as(scheme, body, event_id="order-555")).status == status
    assert WebhookEvent.objects.filter(event_id="order-555").count() == 2


@pytest.mark.parametrize("scheme", ["body", "signed-meta", "standard-webhooks"])
@pytest.mark.parametrize("in_body", [True, False])
def test_one_id_with_another_body_is_another_event(door: Door, connect: Connect, scheme: str, in_body: bool) -> None:
    """A till that numbers by the order sends a second change under the same id: dropping it would lose the change."""
    integration = connect(config={"signature_scheme": scheme})
    for status in (202, 200):
        for total in ("10.00", "25.00"):
            body = event("check_updated", total, "order-555" if in_body else "")
            assert door.post(path(integration), body, sign_as(scheme, body, event_id="order-555")).status == status
    assert WebhookEvent.objects.filter(event_id="order-555").count() == 2


@pytest.mark.parametrize("verifier", ["basic", "square", "simphony"])
def test_one_id_with_another_body_is_another_event_of_every_vendor(
    door: Door, vendor: type[Vendor], connect: Connect, monkeypatch: pytest.MonkeyPatch, verifier: str
) -> None:
    declare(vendor, monkeypatch, verifier)
    integration = connect(provider="vendor", webhook_url="https://hotel.example.com/hook")
    bodies = [json.dumps({"events": [{"type": "x", "id": "evt-1", "key": "k", "version": n}]}).encode() for n in (1, 2)]
    for status in (202, 200):
        for body in bodies:
            headers = make(verifier, {}).sign(body, Secret(SECRET), "https://hotel.example.com/hook", "", timezone.now())[0]
            assert door.post(path(integration), body, headers).status == status
    assert WebhookEvent.objects.filter(event_id="evt-1").count() == 2


def test_captured_delivery_under_the_id_of_one_to_come_does_not_suppress_it(door: Door, connect: Connect) -> None:
    integration, captured, genuine = connect(), event("check_updated", "10.00"), event("check_updated", "25.00")
    assert door.post(path(integration), captured, signed(captured, SECRET, X_Webhook_Id="tomorrow")).status == 202
    for status in (202, 200):
        assert door.post(path(integration), genuine, signed(genuine, SECRET, X_Webhook_Id="tomorrow")).status == status
    assert WebhookEvent.objects.count() == 2


def test_body_without_an_event_type_is_refused_by_the_field(door: Door, connect: Connect) -> None:
    for scheme in ("body", "signed-meta", "standard-webhooks"):
        integration = connect(config={"signature_scheme": scheme})
        for body in (b'{"data":{}}', b'{"event_type":"","data":{}}', b'{"event_type":" "}', b'{"event_type":7}', b"{}"):
            answer = door.post(path(integration), body, sign_as(scheme, body))
            assert (answer.status, answer.json["errors"][0]["attr"]) == (400, "event_type"), body
    body = b'{"event_type":"menu_updated","data":{"menu_id":[1]}}'
    assert door.post(path(connect()), body, signed(body, SECRET)).json["errors"][0]["attr"] == "data.menu_id"


@pytest.mark.parametrize(
    ("charset", "prefix"),
    [("", b"\xef\xbb\xbf"), ("utf-8", b"\xef\xbb\xbf"), ("UTF-8", b""), ('"iso-8859-1"', b""), ("utf-16", b""), ("windows-1252", b"")],
)
def test_byte_order_mark_and_declared_charset_are_read(door: Door, connect: Connect, charset: str, prefix: bytes) -> None:
    text = '{"event_type":"menu_updated","data":{"menu_id":"café"}}'
    body = prefix + text.encode(charset.strip('"') or "utf-8")
    headers = signed(body, SECRET) | {"Content-Type": f"application/json; charset={charset}" if charset else "application/json"}
    assert door.post(path(connect()), body, headers).status == 202
    stored = WebhookEvent.objects.get()
    assert (stored.object_key, bytes(stored.body).decode()) == ("menu_item:café", text)


def test_what_is_no_charset_is_refused(door: Door, connect: Connect) -> None:
    integration = connect()
    for charset in ("none-such", "punycode", "zlib", "rot13", "unicode_escape", "idna", "utf-7", "x" * 200):
        headers = signed(BODY, SECRET) | {"Content-Type": f"application/json; charset={charset}"}
        assert door.post(path(integration), BODY, headers).status == 400, charset
    assert not WebhookEvent.objects.exists()


# --- proof ---------------------------------------------------------------------------------------------------------------------


def test_no_secret_no_entry_whatever_is_sent(door: Door, connect: Connect) -> None:
    integration = connect(secret="")
    offers: list[dict[str, str]] = [{}, signed(BODY, ""), signed(BODY, "None"), signed(BODY, "undefined"), {"X-Webhook-Secret": SECRET}]
    for headers in offers:
        answer = door.post(path(integration), BODY, headers)
        assert (answer.status, code(answer)) == (401, "signature_mismatch")
    assert not WebhookEvent.objects.exists()
    assert IntegrationLog.objects.get().error_code == "webhook_secret_not_set"


@pytest.mark.django_db(transaction=True)
def test_forged_signatures_are_refused_and_nothing_is_stored(door: Door, connect: Connect) -> None:
    integration = connect()
    good = signed(BODY, SECRET)["X-Webhook-Signature"]
    digest = good.removeprefix("sha256=")
    forged = [
        "", digest, good[:-1], good + "0", f"sha1={digest[:40]}", f"md5={digest[:32]}", f"none={digest}", "none",
        f"SHA256={digest}", f"sha256:{digest}", f"sha256={digest[:32]}", f"sha256={'0' * 64}", f"sha256={digest},sha256={digest}",
        f"sha256={base64.b64encode(bytes.fromhex(digest)).decode()}", f"sha256={digest[:-1]}é", "sha256=" + "\xb2" * 64, f"sha256= {digest}",
        signed(b"", SECRET)["X-Webhook-Signature"], signed(BODY, "")["X-Webhook-Signature"],
    ]  # fmt: skip
    for value in forged:
        answer = door.post(path(integration), BODY, {"X-Webhook-Signature": value})
        assert (answer.status, code(answer)) == (401, "signature_mismatch"), value
    both = [("X-Webhook-Signature", good), ("X-Webhook-Signature", good)]
    assert door.post(path(integration), BODY, both).status == 401
    assert door.post(path(integration), BODY, {"X-Signature": good}).status == 401
    assert not WebhookEvent.objects.exists()


def test_signature_covers_the_bytes_received_not_their_meaning(door: Door, connect: Connect) -> None:
    integration = connect()
    spaced = b'{ "event_type": "menu_updated",\n "data": {"menu_id": "caf\xc3\xa9"} }'
    same = json.dumps(json.loads(spaced)).encode()
    assert door.post(path(integration), same, signed(spaced, SECRET)).status == 401
    assert door.post(path(integration), spaced, signed(spaced, SECRET)).status == 202
    assert bytes(WebhookEvent.objects.get().body) == spaced


def test_secret_comes_only_from_our_store(door: Door, connect: Connect) -> None:
    integration = connect()
    body = b'{"event_type":"menu_updated","webhook_secret":"mine","data":{}}'
    headers = signed(body, "mine", X_Webhook_Secret="mine")
    for where in (path(integration), f"{path(integration)}?secret=mine&webhook_secret=mine"):
        assert door.post(where, body, headers).status == 401
    for offered in (headers, signed(body, SECRET)):
        answer = door.post(f"{path(integration)}/mine", body, offered)
        assert (answer.status, code(answer)) == (404, "not_found")  # this scheme keeps no secret there
    assert not WebhookEvent.objects.exists()


def test_nothing_tells_whether_an_integration_exists(door: Door, connect: Connect) -> None:
    integration, bare, off = connect(), connect(secret=""), connect(status=IntegrationStatus.INACTIVE)
    wrong = signed(BODY, "wrong-secret-wrong-secret")
    answers = []
    for pk in (integration.pk, bare.pk, off.pk, off.pk + 1000, 2**63 - 1):
        for headers in (
            {},
            wrong,
            {"X-Webhook-Signature": "nonsense"},
            {"X-Square-HmacSha256-Signature": "x"},
            {"Authorization": "Basic eDp5"},
        ):
            answer = door.post(f"/api/webhooks/{pk}", BODY, headers)
            answers.append((answer.status, {**answer.json, "correlation_id": ""}))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401


def test_old_secret_passes_until_its_overlap_ends(door: Door, connect: Connect) -> None:
    integration = connect()
    WebhookSecret.objects.create(integration=integration, secret={"secret": "the-new-secret-of-the-tests"})
    old = integration.webhook_secrets.order_by("created_at")[0]
    WebhookSecret.objects.filter(pk=old.pk).update(expires_at=timezone.now() + timedelta(seconds=1.5))
    assert door.post(path(integration), BODY, signed(BODY, SECRET)).status == 202
    assert door.post(path(integration), BODY, signed(BODY, "the-new-secret-of-the-tests")).status == 202
    WebhookSecret.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    door.ingest.facts._clock = lambda: time.monotonic() + 2  # what is known of the integration is a second old at most
    assert door.post(path(integration), BODY, signed(BODY, SECRET)).status == 401
    assert door.post(path(integration), BODY, signed(BODY, "the-new-secret-of-the-tests")).status == 202


def test_secret_sealed_with_a_lost_key_lets_nobody_in(door: Door, connect: Connect) -> None:
    integration = connect()
    WebhookSecret.objects.update(secret="e30..e30.e30.e30")
    assert door.post(path(integration), BODY, signed(BODY, SECRET)).status == 401


# --- time ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["body", "signed-meta", "standard-webhooks"])
def test_timestamp_outside_of_300_seconds_is_refused(door: Door, connect: Connect, scheme: str) -> None:
    integration = connect(config={"signature_scheme": scheme})
    late = 202 if scheme == "body" else 401  # a time that is not signed proves nothing, and may be that of the first try
    for number, (shift, status) in enumerate([(-298, 202), (298, 202), (-303, late), (-86_400, late), (303, 401), (86_400, 401)]):
        answer = door.post(path(integration), BODY, sign_as(scheme, BODY, event_id=f"evt-{number}", shift=shift))
        assert answer.status == status, shift
    early = door.post(path(integration), BODY, sign_as(scheme, BODY, event_id="evt-9", shift=400))
    assert code(early) == "timestamp_outside_window"  # only who has the secret learns that it is the clock


@pytest.mark.parametrize("scheme", ["signed-meta", "standard-webhooks"])
def test_retry_signed_at_its_first_try_may_stop_if_that_one_came_in(door: Door, connect: Connect, scheme: str) -> None:
    """Our answer was lost, and ten minutes later its sender repeats all of it."""
    integration = connect(config={"signature_scheme": scheme})
    at = int(time.time()) - 600
    headers = sign_as(scheme, BODY, event_id="evt-1", shift=-600)
    assert door.post(path(integration), BODY, headers).status == 401
    key = _delivery_key("evt-1", "menu_updated", "menu_item:menu_123", BODY.decode())
    stored = WebhookEvent(integration=integration, event_id="evt-1", delivery_key=key, body=BODY, received_at=timezone.now())
    stored.save()
    assert door.post(path(integration), BODY, headers).json == {"status": "duplicate"}
    assert (
        door.post(path(integration), BODY, headers | {"webhook-timestamp": str(at + 1), "x-webhook-timestamp": str(at + 1)}).status == 401
    )
    assert WebhookEvent.objects.count() == 1


def test_malformed_timestamp_is_refused(door: Door, connect: Connect) -> None:
    integration = connect()
    now = str(int(time.time()))
    for value in ("nan", "inf", "1e9", "", "-" + now, "1_700", f"{now}.5", "9" * 400, "0x10", f"{now},{now}", "²²²"):
        answer = door.post(path(integration), BODY, signed(BODY, SECRET, X_Webhook_Timestamp=value))
        assert answer.status == 401, value
    twice = [*signed(BODY, SECRET).items(), ("X-Webhook-Timestamp", now), ("X-Webhook-Timestamp", now)]
    assert door.post(path(integration), BODY, twice).status == 401
    assert not WebhookEvent.objects.exists()


def test_signed_id_and_time_cannot_be_changed(door: Door, connect: Connect) -> None:
    integration = connect(config={"signature_scheme": "signed-meta"})
    headers = sign_as("signed-meta", BODY)
    assert door.post(path(integration), BODY, headers | {"x-webhook-id": "evt-2"}).status == 401
    assert door.post(path(integration), BODY, headers | {"x-webhook-timestamp": str(int(time.time()) + 9)}).status == 401
    assert door.post(path(integration), BODY, signed(BODY, SECRET)).status == 401  # the weaker scheme is not taken in its place
    assert door.post(path(integration), BODY, headers).status == 202


def test_misspelt_scheme_lets_nobody_in_by_a_weaker_one(door: Door, connect: Connect) -> None:
    integration = connect(config={"signature_scheme": "signed-mata"})
    assert door.post(path(integration), BODY, signed(BODY, SECRET)).status == 401


# --- hostile bodies ------------------------------------------------------------------------------------------------------------

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"event_type=menu_updated",
    "a list": b"[]",
    "a text": b'"menu_updated"',
    "null": b"null",
    "no type": b'{"data":{}}',
    "type is a number": b'{"event_type":7}',
    "data is a list": b'{"event_type":"menu_updated","data":[1]}',
    "id is an object": b'{"event_type":"menu_updated","data":{"menu_id":{"a":1}}}',
    "cut short": BODY[:-3],
    "more after it": BODY + b"{}",
    "nested in lists": b"[" * 100_000,
    "nested in objects": b'{"a":' * 100_000,
    "nested 65 deep": b'{"event_type":"x","data":{"a":' + b"[" * 65 + b"]" * 65 + b"}}",
    "many digits": b'{"event_type":"x","data":{"n":' + b"9" * 5000 + b"}}",
    "65 digits": b'{"event_type":"x","data":{"n":' + b"9" * 65 + b"}}",
    "huge exponent": b'{"event_type":"x","data":{"n":1E+999999999}}',
    "impossible exponent": b'{"event_type":"x","data":{"n":1E+99999999999999999999}}',
    "NaN": b'{"event_type":"x","data":{"n":NaN}}',
    "Infinity": b'{"event_type":"x","data":{"n":-Infinity}}',
    "half a surrogate": b'{"event_type":"x","data":{"t":"\\ud800"}}',
    "surrogate in a name": b'{"event_type":"x","data":{"\\udfff":1}}',
    "NUL": b'{"event_type":"x\\u0000","data":{}}',
    "raw NUL": b'{"event_type":"x\x00"}',
    "one name twice": b'{"event_type":"menu_updated","event_type":"check_voided"}',
    "one name twice, inside": b'{"event_type":"x","data":{"a":1,"a":2}}',
    "bad UTF-8": b'{"event_type":"\xff\xfe"}',
    "UTF-16": '{"event_type":"x"}'.encode("utf-16"),
    "overlong UTF-8": b'{"event_type":"\xc0\xaf"}',
    "impossible time": b'{"event_type":"x","occurred_at":"0000-99-99"}',
}


def test_hostile_bodies_are_refused_with_400_quickly_and_never_stored(door: Door, connect: Connect) -> None:
    integration = connect()
    for what, body in HOSTILE.items():
        started = time.monotonic()
        answer = door.post(path(integration), body, signed(body, SECRET, X_Webhook_Id="evt-1"))
        assert answer.status == 400, what
        assert time.monotonic() - started < 5, what
    assert not WebhookEvent.objects.exists()
    deep = b'{"event_type":"x","data":{"a":' + b"[" * 40 + b"]" * 40 + b"}}"
    assert door.post(path(integration), deep, signed(deep, SECRET, X_Webhook_Id="evt-1")).status == 202


def test_oversized_bodies_are_refused_and_never_stored(door: Door, connect: Connect, settings: Any) -> None:
    settings.WEBHOOK_MAX_BYTES = 2000
    integration = connect()
    fits = b'{"event_type":"x","data":{"t":"' + b"a" * 1966 + b'"}}'
    assert len(fits) == 2000
    assert door.post(path(integration), fits, signed(fits, SECRET)).status == 202
    longer = fits[:-3] + b'a"}}'
    assert door.post(path(integration), longer, signed(longer, SECRET)).status == 413
    assert door.post(path(integration), longer, signed(longer, SECRET), chunked=True).status == 413
    assert WebhookEvent.objects.count() == 1


def test_declared_length_over_the_limit_is_refused_before_the_body_is_read(door: Door, connect: Connect) -> None:
    integration = connect()
    for length in ("10737418240", "9" * 30):
        answer = door.post(path(integration), b"", {**signed(b"", SECRET), "Content-Length": length})
        assert answer.status in (400, 413)
    assert not WebhookEvent.objects.exists()


def test_body_that_does_not_come_is_waited_for_only_so_long(connect: Connect, lean: LeanDoor, settings: Any) -> None:
    """At the lean door; in the other process the server waits, and a proxy in front of it should not let it."""
    settings.WEBHOOK_TIMEOUT = 200
    with socket.create_connection(("127.0.0.1", lean.port), timeout=5) as connection:
        connection.sendall(f"POST {path(connect())} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert connection.recv(64).split()[1] == b"408"


def test_chunked_body_within_the_limit_is_accepted(door: Door, connect: Connect) -> None:
    assert door.post(path(connect()), BODY, signed(BODY, SECRET), chunked=True).status == 202
    assert bytes(WebhookEvent.objects.get().body) == BODY


def test_compressed_bodies_are_refused(door: Door, connect: Connect) -> None:
    integration = connect()
    packed = gzip.compress(BODY)
    for body in (packed, BODY):
        assert door.post(path(integration), body, signed(body, SECRET) | {"Content-Encoding": "gzip"}).status == 415
    assert not WebhookEvent.objects.exists()


def test_only_post_is_allowed(door: Door, connect: Connect) -> None:
    answer = door.post(path(connect()), b"", method="PUT")
    assert (answer.status, answer.headers["allow"].startswith("POST")) == (405, True)
    assert door.post("/api/webhooks/abc", BODY).status == 404


# --- what is kept --------------------------------------------------------------------------------------------------------------


def test_neither_signatures_nor_card_data_are_stored(door: Door, connect: Connect) -> None:
    body = b'{"event_type":"check_updated","data":{"check_id":4111111111111111,"card":5500000000000004,"note":"paid 5500 0000 0000 0004","cvv":"123","order":1234567890123456}}'
    headers = signed(body, SECRET, X_Webhook_Id="evt-1") | {
        "Authorization": "Bearer abc",
        "Cookie": "a=b",
        "Proxy": "http://user:word@proxy",  # which a server takes for HTTP_PROXY of its environment
        "X-Made-Up": "1",
        "User-Agent": "hooks/1 token=very-secret-value",
    }
    assert door.post(path(connect()), body, headers).status == 202
    event = WebhookEvent.objects.get()
    assert json.loads(bytes(event.body))["data"] == {
        "check_id": 4111111111111111,
        "card": "550000…0004",
        "note": "paid 550000…0004",
        "cvv": "[redacted]",
        "order": 1234567890123456,
    }
    assert {name for name in event.headers if name != "content-type"} == {"x-webhook-id", "user-agent"}
    assert "very-secret-value" not in event.headers["user-agent"]


def test_long_ids_stay_different_and_fit(door: Door, connect: Connect) -> None:
    integration = connect()
    for end in "ab":
        assert door.post(path(integration), BODY, signed(BODY, SECRET, X_Webhook_Id="i" * 400 + end)).status == 202
    assert {len(event_id) for event_id in WebhookEvent.objects.values_list("event_id", flat=True)} == {192}


# --- vendors' own proofs -------------------------------------------------------------------------------------------------------


def declare(vendor: type[Vendor], monkeypatch: pytest.MonkeyPatch, verifier: str, parse: Any = parse) -> None:
    """Let the tests' vendor prove itself in another way."""
    webhooks = Webhooks(verifier=verifier, parse=parse)
    monkeypatch.setattr(vendor, "manifest", vendor.manifest.model_copy(update={"webhooks": webhooks}))


def test_vendor_signs_the_registered_address_not_the_one_it_came_to(
    door: Door, vendor: type[Vendor], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(vendor, monkeypatch, "square")
    body = b'{"events":[{"type":"x","id":"evt-1"}]}'
    registered = "https://hotel.example.com/behind/a/proxy/"
    integration = connect(provider="vendor", webhook_url=registered)
    headers, _ = make("square", {}).sign(body, Secret(SECRET), registered, "", timezone.now())
    elsewhere, _ = make("square", {}).sign(body, Secret(SECRET), f"http://testserver{path(integration)}", "", timezone.now())
    assert door.post(path(integration), body, elsewhere).status == 401
    assert door.post(path(integration), body, headers).status == 202
    assert door.post(path(integration), body, headers).status == 200
    assert door.post(path(integration), BODY, signed(BODY, SECRET)).status == 202  # the seed's own header is taken at every integration
    assert list(WebhookEvent.objects.order_by("id").values_list("verified_by", flat=True)) == ["square", "body"]


def test_basic_authentication(door: Door, vendor: type[Vendor], connect: Connect) -> None:
    body = b'{"events":[{"type":"x","id":"evt-1"}]}'
    integration = connect(provider="vendor", secret="user:pass:word")
    for credentials, status in (("user:pass:word", 202), ("user:pass", 401), ("user:pass:word ", 401), ("", 401)):
        proof = base64.b64encode(credentials.encode()).decode()
        assert door.post(path(integration), body, {"Authorization": f"Basic {proof}"}).status == status


def test_soap_comes_to_a_secret_address_and_is_acknowledged_in_xml(
    door: Door, vendor: type[Vendor], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def events(headers: Any, body: Any) -> list[InboundEvent]:
        return [InboundEvent(event_type=row["sObject"]["type"], event_id=row["Id"]) for row in body["Notification"]]

    declare(vendor, monkeypatch, "salesforce_outbound_message", events)
    integration = connect(provider="vendor")
    xml = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
    for wrong in ("", "/wrong-secret", f"/{SECRET}x"):
        assert door.post(path(integration) + wrong, SOAP, xml).status == 401
    for _ in range(2):  # the second time it is a duplicate, and acknowledged all the same
        answer = door.post(f"{path(integration)}/{SECRET}", SOAP, xml)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
        assert b"<Ack>true</Ack>" in answer.body
    event = WebhookEvent.objects.get()
    assert (event.event_id, event.event_type) == ("04l000000000001AAA", "Contact")
    assert b"a-live-credential" not in bytes(event.body)
    bomb = SOAP.replace(b"<soapenv:Envelope", b'<!DOCTYPE x [<!ENTITY e "boom">]><soapenv:Envelope', 1)
    assert door.post(f"{path(integration)}/{SECRET}", bomb, xml).status == 400


def test_polled_vendor_delivers_nothing_from_outside(door: Door, vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="polled", secret="")
    assert door.post(path(integration), b'{"type":"x","id":"1"}', {}).status == 401


def test_delivery_with_several_events_is_one_row_until_it_is_worked(door: Door, vendor: type[Vendor], connect: Connect) -> None:
    integration = connect(provider="vendor")
    body = b'{"events":[{"type":"b","id":"2"},{"type":"a","id":"1"}]}'
    proof = make("basic", {}).sign(body, Secret(SECRET), "", "", timezone.now())[0]
    assert [door.post(path(integration), body, proof).status for _ in range(2)] == [202, 200]
    event = WebhookEvent.objects.get()
    assert (event.is_batch, event.event_type) == (True, "a, b")


def test_authentic_body_the_provider_cannot_read_is_kept(door: Door, vendor: type[Vendor], connect: Connect) -> None:
    """The vendor may have changed its format; what it signed is not thrown away."""
    integration = connect(provider="vendor")
    proof = make("basic", {}).sign(b"", Secret(SECRET), "", "", timezone.now())[0]
    assert door.post(path(integration), b'{"happenings":[]}', proof).status == 202
    assert WebhookEvent.objects.get().event_type == ""


# --- floods --------------------------------------------------------------------------------------------------------------------


def test_forged_flood_writes_one_line_and_does_not_shut_out_the_vendor(door: Door, connect: Connect, settings: Any) -> None:
    settings.WEBHOOK_RATES = {**settings.WEBHOOK_RATES, "pms": "30/m"}
    integration = connect()
    forged = signed(BODY, "wrong-secret-wrong-secret")
    for number in range(25):
        assert {door.post(path(integration), BODY, forged).status for _ in range(4)} == {401}
        assert door.post(path(integration), BODY, signed(BODY, SECRET, X_Webhook_Id=f"evt-{number}")).status == 202
    assert WebhookEvent.objects.count() == 25
    line = IntegrationLog.objects.get()
    assert (line.operation_type, line.error_code, line.status) == ("webhook", "signature_mismatch", "failed")


def test_rate_is_kept_and_tells_when_to_come_back(door: Door, connect: Connect, settings: Any) -> None:
    settings.WEBHOOK_RATES = {"pos": "5/m", "pms": "2/m", "guest_management": "5/m"}
    pos, pms = connect("pos"), connect("pms")
    at = timezone.now().timestamp() // 60 * 60 + 10
    door.ingest.limiter._clock = lambda: at  # ten seconds into a minute
    assert [door.post(path(pos), BODY, signed(BODY, SECRET)).status for _ in range(7)] == [202] * 5 + [429] * 2
    answers = [door.post(path(pms), BODY, signed(BODY, SECRET) | {"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert answers[2].headers["retry-after"] == "50"
    assert WebhookEvent.objects.count() == 7
    door.ingest.limiter._clock = lambda: at + 60
    assert door.post(path(pms), BODY, signed(BODY, SECRET)).status == 202


def test_who_repeats_a_captured_delivery_does_not_use_up_the_vendors_rate(door: Door, connect: Connect, settings: Any) -> None:
    """The id is not signed in this scheme, so that each repetition counts as an event: of his address, not of the vendor's."""
    settings.WEBHOOK_RATES = {**settings.WEBHOOK_RATES, "pms": "3/m"}
    settings.TRUSTED_PROXIES = 1
    integration = connect()
    at = timezone.now().timestamp() // 60 * 60 + 10
    door.ingest.limiter._clock = lambda: at

    def send(address: str, number: int) -> int:
        return door.post(path(integration), BODY, signed(BODY, SECRET, X_Webhook_Id=f"{number}") | {"X-Forwarded-For": address}).status

    assert [send("203.0.113.9", number) for number in range(5)] == [202, 202, 202, 429, 429]
    assert [send(f"2001:db8::{number}", number + 5) for number in range(4)] == [202, 202, 202, 429]  # one client may be all of a /64
    assert [send("192.0.2.7", number + 10) for number in range(3)] == [202] * 3


def test_stranger_is_never_told_that_a_rate_is_used_up(door: Door, connect: Connect, settings: Any) -> None:
    settings.WEBHOOK_RATES = {**settings.WEBHOOK_RATES, "pms": "1/m"}
    integration = connect()
    at = timezone.now().timestamp() // 60 * 60 + 10
    door.ingest.limiter._clock = lambda: at
    assert [door.post(path(integration), BODY, signed(BODY, SECRET)).status for _ in range(3)] == [202, 429, 429]
    assert door.post(path(integration), BODY, signed(BODY, "wrong-secret-wrong-secret")).status == 401
    assert door.post(path(integration), BODY).status == 401


def test_health_is_answered_without_signing_in(door: Door, hotel: Hotel) -> None:
    answer = door.post("/api/webhooks/health", b"", method="GET")
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert "No worker has run yet" in answer.json["trouble"]["worker"]
    Heartbeat.beat(Heartbeat.WORKER)
    answer = door.post("/api/webhooks/health", b"", method="GET")
    assert (answer.status, answer.json) == (200, {"status": "ok", "oldest_waiting_seconds": 0, "trouble": {}})
