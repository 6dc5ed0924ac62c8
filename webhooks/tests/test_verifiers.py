"""Each vendor's proof, checked with vectors that the vendors' own helpers agree with, and every body format read with care."""

import json
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.exceptions import ConfigurationError, SignatureMismatch, SignatureMissing, TimestampOutsideWindow, WebhookRejected
from integrations.security.kept import keepable_json
from integrations.services import registry
from webhooks.decoding import decode_json, decode_outbound_message
from webhooks.delivery import Delivery, join_headers
from webhooks.exceptions import BodyUnreadable
from webhooks.verifiers import FACTORIES, POLLING, Secret, make

NOW = datetime(2026, 3, 14, 18, 22, 31, tzinfo=UTC)
URL = "https://hotel.example.com/api/webhooks/7"
VECTORS = json.loads((Path(__file__).parent / "vectors" / "square.json").read_text())["vectors"]
SOAP = b"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>
<notifications xmlns="http://soap.sforce.com/2005/09/outbound">
 <OrganizationId>00D000000000001EAA</OrganizationId><ActionId>04k000000000001AAA</ActionId>
 <SessionId>00D000000000001!a-live-credential</SessionId><EnterpriseUrl>https://x.example</EnterpriseUrl>
 <Notification><Id>04l000000000001AAA</Id><sObject xsi:type="sf:Contact" xmlns:sf="urn:sobject.enterprise.soap.sforce.com"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><sf:Id>003000000000001AAA</sf:Id><sf:LastName>M&amp;M</sf:LastName></sObject></Notification>
</notifications></soapenv:Body></soapenv:Envelope>"""


def delivery(body: bytes, headers: Mapping[str, str], *, now: datetime = NOW, path_secret: str = "") -> Delivery:
    return Delivery(7, join_headers([(name.lower(), value) for name, value in headers.items()]), body, now, path_secret)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_square_vectors(vector: dict[str, Any]) -> None:
    sent = delivery(vector["body"].encode(), {vector["header"]: vector["signature"]})
    arguments = (sent, [Secret(vector["key"])], vector["url"])
    if vector["valid"]:
        make("square", {}).verify(*arguments)
    else:
        with pytest.raises(SignatureMismatch):
            make("square", {}).verify(*arguments)


def test_standard_webhooks_vector() -> None:
    """The example published with the specification."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,AAAA v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    then = datetime.fromtimestamp(1614265330, UTC)
    secrets = [Secret("whsec_bm90IHRoaXMgb25l"), Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    verifier = make("standard-webhooks", {})
    verifier.verify(delivery(b'{"test": 2432232314}', headers, now=then), secrets, URL)
    with pytest.raises(SignatureMismatch):
        verifier.verify(delivery(b'{"test":2432232314}', headers, now=then), secrets, URL)
    with pytest.raises(TimestampOutsideWindow):
        verifier.verify(delivery(b'{"test": 2432232314}', headers, now=then + timedelta(seconds=301)), secrets, URL)


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_what_a_verifier_signs_it_accepts_and_nothing_else(name: str) -> None:
    verifier, secret, body = make(name, {}), Secret("user:cGFzc3dvcmQtb2YtdGhlLXRlc3Rz", "key-1"), b'{"event_type":"x"}'
    headers, target = verifier.sign(body, secret, URL, "evt-1", NOW)
    path_secret = target.removeprefix(URL).removeprefix("/")
    sent = delivery(body, headers, path_secret=path_secret)
    verifier.verify(sent, [Secret("another-one"), secret], URL)
    with pytest.raises(SignatureMismatch):
        verifier.verify(sent, [Secret("another-one", "key-1")], URL)
    with pytest.raises(SignatureMissing):
        verifier.verify(delivery(body, {}), [secret], URL)
    if verifier.header not in ("", "authorization"):
        with pytest.raises(SignatureMismatch):
            verifier.verify(sent._replace(body=body + b" "), [secret], URL)


def test_every_providers_verifier_can_be_made() -> None:
    declared = [provider.manifest.webhooks for provider in registry.providers().values() if provider.manifest.webhooks]
    for webhooks in declared:
        if webhooks.verifier != POLLING:
            make(webhooks.verifier, {**webhooks.parameters, **dict.fromkeys(webhooks.parameters_from_config, "x")})
    assert declared


def test_key_id_picks_the_key() -> None:
    verifier = make("simphony", {"header": "Digest", "key_id_header": "Key-Id"})
    keys = [Secret("b25l", "key-1"), Secret("dHdv", "key-2")]
    headers, _ = verifier.sign(b"{}", keys[0], URL, "", NOW)
    verifier.verify(delivery(b"{}", headers), keys, URL)
    with pytest.raises(SignatureMismatch):
        verifier.verify(delivery(b"{}", headers | {"key-id": "key-2"}), keys, URL)


def test_parameters_say_how_a_digest_is_written() -> None:
    verifier = make("simphony", {"prefix": "SHA-256=", "digest_encoding": "hex", "key_encoding": "text"})
    headers, _ = verifier.sign(b"{}", Secret("k", "1"), URL, "", NOW)
    assert headers["digest"].startswith("SHA-256=")
    assert len(headers["digest"]) == 8 + 64
    with pytest.raises(ConfigurationError):
        make("simphony", {"algorithm": "none"})


@pytest.mark.parametrize("value", ["Basic", "Basic !", "Bearer dXNlcjpwYXNz", "Basic dXNlcjpwYXNz Basic dXNlcjpwYXNz", "Basic é", "basic"])
def test_odd_basic_credentials_are_refused(value: str) -> None:
    with pytest.raises(SignatureMismatch):
        make("basic", {}).verify(delivery(b"", {"authorization": value}), [Secret("user:word")], URL)


def test_refusing_takes_as_long_wherever_the_signature_differs() -> None:
    """Medians over many tries; the comparison itself is `hmac.compare_digest`."""
    verifier, body, secrets = make("body", {}), b"x" * 2000, [Secret("k" * 32)]
    good = verifier.sign(body, secrets[0], URL, "", NOW)[0]["x-webhook-signature"]
    early = delivery(body, {"x-webhook-signature": "sha256=" + ("0" if good[7] != "0" else "1") + good[8:]})
    late = delivery(body, {"x-webhook-signature": good[:-1] + ("0" if good[-1] != "0" else "1")})

    def once(sent: Delivery) -> int:
        started = time.perf_counter_ns()
        for _ in range(10):
            with pytest.raises(WebhookRejected):
                verifier.verify(sent, secrets, URL)
        return time.perf_counter_ns() - started

    for _ in range(5):  # a busy machine gets another chance
        times = [(once(early), once(late)) for _ in range(150)]
        medians = [statistics.median(column) for column in zip(*times, strict=True)]
        if abs(medians[0] - medians[1]) / max(medians) < 0.02:
            return
    pytest.fail(f"medians differ: {medians}")


# --- bodies --------------------------------------------------------------------------------------------------------------------


def test_outbound_message_is_read_without_its_session() -> None:
    message = decode_outbound_message(SOAP)
    assert message["OrganizationId"] == "00D000000000001EAA"
    assert message["Notification"] == [
        {"Id": "04l000000000001AAA", "sObject": {"type": "Contact", "Id": "003000000000001AAA", "LastName": "M&M"}}
    ]
    assert "a-live-credential" not in json.dumps(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a/>",
        b"{}",
        SOAP[:-5],
        SOAP + SOAP,
        SOAP.replace(b"<soapenv:Envelope", b'<!DOCTYPE x [<!ENTITY e "boom">]><soapenv:Envelope', 1),
        SOAP.replace(b"<soapenv:Envelope", b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><soapenv:Envelope', 1),
        SOAP.replace(b"M&amp;M", b"&e;"),
        SOAP.replace(b"<soapenv:Envelope", b"<?php x ?><soapenv:Envelope", 1),
        SOAP.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
        SOAP.replace(b"M&amp;M", b"\xff"),
        b"<a>" * 100_000,
        SOAP.replace(b"http://soap.sforce.com/2005/09/outbound", b"http://soap.sforce.com/other"),
    ],
    ids=range(13),
)
def test_hostile_xml_is_refused(body: bytes) -> None:
    with pytest.raises(BodyUnreadable):
        decode_outbound_message(body)


def test_amounts_keep_their_digits() -> None:
    assert str(decode_json(b'{"total": 12.50}')["total"]) == "12.50"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ('{"id": 1234567890123456}', '{"id": 1234567890123456}'),
        ('{"at": 1773512551000, "zip code": "12345"}', '{"at": 1773512551000, "zip code": "12345"}'),
        ('{"n": 4111111111111111, "m": 1.50}', '{"n": "411111…1111", "m": 1.50}'),
        ('{"n": "4111-1111-1111-1111 4111 1111 1111 1111"}', '{"n": "411111…1111 411111…1111"}'),
        ('{"CVV2" : 123, "cvc":"9\\"9"}', '{"CVV2" : "[redacted]", "cvc":"[redacted]"}'),
        ('{"track_2": "x", "promo_code": "y"}', '{"track_2": "[redacted]", "promo_code": "y"}'),
        ('["4111111111111111"]', '["411111…1111"]'),
        ('{"4111111111111111": "\\u0034111\\u00a01111 1111 1111"}', '{"411111…1111": "411111…1111"}'),
        ('{"note": "caf\\u00e9"}', '{"note": "caf\\u00e9"}'),
    ],
)
def test_card_data_is_taken_out_and_all_else_left(text: str, stored: str) -> None:
    assert keepable_json(text) == stored
