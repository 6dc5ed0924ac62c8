"""Says whether a delivery is authentic: one verifier for each way a vendor proves that it is the sender.

A verifier looks at the bytes as received and at secrets from our own store, nothing else. A provider's manifest names one and may set its
parameters; our own schemes are here too. The same objects sign, so that a test event is signed as the vendor would. Called by ingest.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from integrations.exceptions import ConfigurationError, SignatureMismatch, SignatureMissing, TimestampOutsideWindow
from webhooks.decoding import decode_json, decode_outbound_message
from webhooks.delivery import ACCEPTED, DUPLICATE, Delivery, Outcome

TOLERANCE_SECONDS = 300
"""How far a signed timestamp may be from our clock, either way (Standard Webhooks recommends five minutes)."""
RETRY_SECONDS = 3 * 24 * 3600
"""How old a timestamp may be that is not signed: it proves nothing, and a sender that tries again may give the time of its first try."""

_SECONDS = re.compile(r"[0-9]{1,12}")
_BODY_ALONE = ("body",)


class Secret(NamedTuple):
    """An opened secret of one integration."""

    value: str
    key_id: str = ""
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return "<secret>"


class Verifier(Protocol):
    name: str
    header: str
    """The header that carries the proof; empty if the proof is in the path."""
    id_header: str
    """The header with the event's id, for bodies that have none."""
    keeps_body: bool
    """The body is stored as it came; otherwise as JSON of what was read from it."""

    def verify(self, delivery: Delivery, secrets: Sequence[Secret], url: str) -> None:
        """Raise SignatureMissing, SignatureMismatch or TimestampOutsideWindow, or return."""

    def sign(self, body: bytes, secret: Secret, url: str, event_id: str, now: datetime) -> tuple[dict[str, str], str]:
        """Return the headers that prove a test event, and the address to send it to."""

    keeps: frozenset[str]
    """Headers of its own that may be stored."""

    def decode(self, text: str) -> Any:
        """Read the body's text. Raises WebhookRejected."""

    def acknowledge(self, *, is_new: bool) -> Outcome:
        """Return the answer that stops the vendor from sending it again."""


class JsonBody:
    """Common to vendors that send JSON and look at the status only."""

    __slots__ = ()
    id_header = ""
    keeps_body: ClassVar[bool] = True
    keeps: frozenset[str] = frozenset()

    def decode(self, text: str) -> Any:
        return decode_json(text)

    def acknowledge(self, *, is_new: bool) -> Outcome:
        return ACCEPTED if is_new else DUPLICATE


Part = Literal["id", "timestamp", "url", "body"]
Encoding = Literal["hex", "base64", "text", "whsec"]


def _key(secret: str, encoding: Encoding) -> bytes:
    """Turn a secret as people store it into the key the vendor means."""
    if encoding == "text":
        return secret.encode()
    try:
        # "whsec_" is how Standard Webhooks marks a secret; what follows is base64.
        return base64.b64decode(secret.removeprefix("whsec_") if encoding == "whsec" else secret, validate=True)
    except (ValueError, binascii.Error):
        return secret.encode()  # typed in by hand rather than issued


@dataclass(frozen=True, slots=True, kw_only=True)
class Hmac(JsonBody):
    """HMAC-SHA256 over some parts of the request, in a header."""

    name: str
    header: str
    signs: tuple[Part, ...] = ("body",)
    separator: bytes = b""
    prefix: str = ""
    digest_encoding: Encoding = "hex"
    key_encoding: Encoding = "text"
    many: bool = False
    """The header may hold several signatures with spaces between them."""
    id_header: str = ""
    timestamp_header: str = ""
    key_id_header: str = ""

    @property
    def keeps(self) -> frozenset[str]:
        return frozenset((self.id_header, self.timestamp_header, self.key_id_header))

    def verify(self, delivery: Delivery, secrets: Sequence[Secret], url: str) -> None:
        headers = delivery.headers
        event_id, timestamp, value = headers.get(self.id_header, ""), headers.get(self.timestamp_header, ""), headers.get(self.header, "")
        message = delivery.body if self.signs == _BODY_ALONE else self._message(delivery.body, url, event_id, timestamp)
        if self.digest_encoding == "hex":  # which may be written in capitals, though its prefix may not
            value = value[: len(self.prefix)] + value[len(self.prefix) :].lower()
        offered = [one.encode() for one in (value.split(" ") if self.many else (value,))]
        # Everything is computed and compared whatever was offered, so that the time taken tells nothing.
        matched = False
        key_id = headers.get(self.key_id_header, "")
        for secret in secrets:
            expected = self._signature(secret, message).encode()
            for signature in offered:
                matched |= hmac.compare_digest(signature, expected) and (not self.key_id_header or secret.key_id in ("", key_id))
        if self.header not in headers or ("id" in self.signs and not event_id) or ("timestamp" in self.signs and not timestamp):
            raise SignatureMissing()
        if not matched:
            raise SignatureMismatch()
        if timestamp or self.timestamp_header in headers:
            self._check_time(timestamp, delivery.received_at)

    def _signature(self, secret: Secret, message: bytes) -> str:
        digest = hmac.digest(_key(secret.value, self.key_encoding), message, "sha256")
        return self.prefix + (digest.hex() if self.digest_encoding == "hex" else base64.b64encode(digest).decode())

    def _message(self, body: bytes, url: str, event_id: str, timestamp: str) -> bytes:
        parts = {"body": body, "url": url.encode(), "id": event_id.encode(), "timestamp": timestamp.encode()}
        return self.separator.join(parts[part] for part in self.signs)

    def _check_time(self, timestamp: str, now: datetime) -> None:
        # int() would also take "1_700", blanks and Arabic digits.
        oldest = TOLERANCE_SECONDS if "timestamp" in self.signs else RETRY_SECONDS
        if not _SECONDS.fullmatch(timestamp) or not -TOLERANCE_SECONDS <= now.timestamp() - int(timestamp) <= oldest:
            raise TimestampOutsideWindow()

    def sign(self, body: bytes, secret: Secret, url: str, event_id: str, now: datetime) -> tuple[dict[str, str], str]:
        timestamp = str(int(now.timestamp()))
        headers = {self.header: self._signature(secret, self._message(body, url, event_id, timestamp))}
        if self.id_header:
            headers[self.id_header] = event_id
        if self.timestamp_header:
            headers[self.timestamp_header] = timestamp
        if self.key_id_header:
            headers[self.key_id_header] = secret.key_id
        return headers, url


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic(JsonBody):
    """HTTP basic authentication; the secret is `user:password`."""

    name: str = "basic"
    header: str = "authorization"

    def verify(self, delivery: Delivery, secrets: Sequence[Secret], url: str) -> None:
        if self.header not in delivery.headers:
            raise SignatureMissing()
        scheme, _, encoded = delivery.headers[self.header].partition(" ")
        try:
            offered = base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
        except (ValueError, binascii.Error):
            offered = b""
        _require_one(offered, secrets)

    def sign(self, body: bytes, secret: Secret, url: str, event_id: str, now: datetime) -> tuple[dict[str, str], str]:
        return {self.header: "Basic " + base64.b64encode(secret.value.encode()).decode()}, url


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretInUrl(JsonBody):
    """For vendors that sign nothing: the address they were given ends in a secret."""

    name: str = "secret_in_url"
    header: str = ""

    def verify(self, delivery: Delivery, secrets: Sequence[Secret], url: str) -> None:
        if not delivery.path_secret:
            raise SignatureMissing()
        _require_one(delivery.path_secret.encode(errors="backslashreplace"), secrets)

    def sign(self, body: bytes, secret: Secret, url: str, event_id: str, now: datetime) -> tuple[dict[str, str], str]:
        return {}, f"{url.rstrip('/')}/{secret.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundMessage(SecretInUrl):
    """Salesforce's outbound messages: SOAP, unsigned, so they come to an address with a secret in it."""

    name: str = "salesforce_outbound_message"
    keeps_body: ClassVar[bool] = False
    """A session id in it, which is a live credential, must not be stored."""
    organization_id: str = ""
    """The org that may send; any, if it is not known."""

    def decode(self, text: str) -> Any:
        message = decode_outbound_message(text)
        # An org's id has 15 characters, and 3 more in some places to make up for case.
        if self.organization_id and message.get("OrganizationId", "")[:15] != self.organization_id[:15]:
            raise SignatureMismatch()
        return message

    def acknowledge(self, *, is_new: bool) -> Outcome:
        return Outcome(200, _SOAP_ACK, "text/xml; charset=utf-8")


_SOAP_ACK = (
    b'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)


def _require_one(offered: bytes, secrets: Sequence[Secret]) -> None:
    matched = False
    for secret in secrets:
        matched |= hmac.compare_digest(offered, secret.value.encode())
    if not matched:
        raise SignatureMismatch()


_OURS = partial(Hmac, header="x-webhook-signature", prefix="sha256=", id_header="x-webhook-id", timestamp_header="x-webhook-timestamp")

FACTORIES: Mapping[str, Callable[..., Verifier]] = {
    # Ours. "body" is what most senders can do; it is authentic but may be replayed, since id and time are not signed.
    "body": partial(_OURS, name="body"),
    "signed-meta": partial(_OURS, name="signed-meta", signs=("id", "timestamp", "body"), separator=b"."),
    "standard-webhooks": partial(
        Hmac,
        name="standard-webhooks",
        header="webhook-signature",
        signs=("id", "timestamp", "body"),
        separator=b".",
        prefix="v1,",
        digest_encoding="base64",
        key_encoding="whsec",
        many=True,
        id_header="webhook-id",
        timestamp_header="webhook-timestamp",
    ),
    # Square: "base64(HMAC-SHA256(signature_key, notification_url + raw_body))", the key as given (SDK helper, 2026-03).
    "square": partial(Hmac, name="square", header="x-square-hmacsha256-signature", signs=("url", "body"), digest_encoding="base64"),
    # Oracle's page leaves details open: the manifest's parameters say how the digest is written.
    "simphony": partial(Hmac, name="simphony", header="digest", key_id_header="key-id", digest_encoding="base64", key_encoding="base64"),
    "basic": Basic,
    "secret_in_url": SecretInUrl,
    "salesforce_outbound_message": OutboundMessage,
}
OUR_SCHEMES = ("body", "signed-meta", "standard-webhooks")
POLLING = "polling"
"""Not a verifier: the vendor's events are fetched by us, so nothing that comes in is theirs."""


def make(name: str, parameters: Mapping[str, Any]) -> Verifier:
    """Return a verifier by its name. Raises ConfigurationError."""
    return _make(name, tuple(sorted((key, value.lower() if key.endswith("header") else value) for key, value in parameters.items())))


@lru_cache(maxsize=64)
def _make(name: str, parameters: tuple[tuple[str, Any], ...]) -> Verifier:
    try:
        return FACTORIES[name](**dict(parameters))
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"There is no webhook verifier “{name}” with these parameters.") from error
