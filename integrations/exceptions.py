"""Every error Hospient raises on purpose.

Each class says, in its docstring, the sentence a person sees by default; `code` is stable and documented, `hint` says what to do, and
`of_connection` whether it tells of the connection itself (a vendor that is down, an access that was withdrawn) or of one request only.
The transport maps a vendor's status to a class; services, sync and outbox decide by class, never by text.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation

__all__ = [  # noqa: RUF022 - in the order they stand below
    "HospientError",
    # configuration
    "ConfigurationError", "CredentialsMissing", "DecryptionFailed", "IntegrationInactive",
    # what a vendor answered
    "ProviderError", "RetryableProviderError", "RateLimited", "ProviderUnavailable", "CircuitOpen",
    "AuthenticationFailed", "ReauthorizationRequired", "RequestRejected", "VersionConflict", "CursorExpired",
    "UnexpectedResponse",
    # one record, one run, one capability
    "RecordRejected", "SyncInterrupted", "UnsupportedOperation", "InvalidInput", "LikelyRepeated", "ConflictDetected",
    # what we refuse
    "EgressBlocked", "WebhookRejected", "SignatureMissing", "SignatureMismatch", "TimestampOutsideWindow", "PayloadTooLarge",
    # what rows keep of them
    "class_of", "codes_of_connection",
]  # fmt: skip


class HospientError(Exception):
    """Something went wrong."""

    code = "error"
    hint = ""
    retryable = False
    of_connection = False

    def __init__(self, message: str = "", *, hint: str = "", code: str = "", **context: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.hint = hint or type(self).hint
        self.code = code or type(self).code
        self.context = context
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


# --- configuration -------------------------------------------------------------------------------------------------------------


class ConfigurationError(HospientError, ImproperlyConfigured):
    """The integration is not set up correctly."""

    code = "configuration_error"
    of_connection = True


class CredentialsMissing(ConfigurationError):
    """A credential the vendor needs is missing."""

    code = "credentials_missing"
    hint = "Open the integration and fill in the credentials marked as required."


class DecryptionFailed(ConfigurationError):
    """The stored secret cannot be decrypted; nothing was sent to the vendor."""

    code = "decryption_failed"
    hint = "Check that ENCRYPTION_KEY still holds the key it was stored with; otherwise enter the secret again."


class IntegrationInactive(ConfigurationError):
    """The integration is switched off, so nothing was done."""

    code = "integration_inactive"
    of_connection = False
    hint = "Set its status to active, then try again."


# --- what a vendor answered ----------------------------------------------------------------------------------------------------


class ProviderError(HospientError):
    """The vendor could not do what was asked."""

    code = "provider_error"

    def __init__(
        self,
        message: str = "",
        *,
        provider: str = "",
        operation: str = "",
        status: int | None = None,
        correlation_id: str = "",
        excerpt: str = "",
        vendor_code: str = "",
        maybe_done: bool = False,
        **more: Any,
    ) -> None:
        """Take what is known of the call.

        `excerpt` must be redacted already. `vendor_code` is the vendor's own error code, for the provider to decide by.
        `maybe_done` says that the request left us and no definite answer came back: the vendor may have acted on it.
        """
        super().__init__(message, **more)
        self.provider = provider
        self.operation = operation
        self.status = status
        self.correlation_id = correlation_id
        self.excerpt = excerpt
        self.vendor_code = vendor_code
        self.maybe_done = maybe_done


class RetryableProviderError(ProviderError):
    """The vendor could not answer just now."""

    code = "provider_busy"
    # No hint: whether it is tried again, and when, the row says that was to be done (`services.outlook`).
    retryable = True
    of_connection = True

    def __init__(self, message: str = "", *, retry_at: datetime | None = None, **more: Any) -> None:
        """`retry_at` is the earliest moment the vendor, the breaker or the budget lets us call again."""
        super().__init__(message, **more)
        self.retry_at = retry_at


class RateLimited(RetryableProviderError):
    """The vendor asked us to slow down."""

    code = "rate_limited"
    of_connection = False  # it answers, and more slowly than we ask: what is late because of it shows as late


class ProviderUnavailable(RetryableProviderError):
    """The vendor cannot be reached."""

    code = "provider_unavailable"


class CircuitOpen(RetryableProviderError):
    """The vendor failed several times in a row, so we wait before we call it again."""

    code = "circuit_open"


class AuthenticationFailed(ProviderError):
    """The vendor refused the credentials."""

    code = "authentication_failed"
    hint = "Check the credentials, test the connection, then try again."
    of_connection = True


class ReauthorizationRequired(AuthenticationFailed):
    """The vendor withdrew our access; a person has to connect again."""

    code = "reauthorization_required"
    hint = "Open the integration and connect it again."


class RequestRejected(ProviderError):
    """The vendor refused the request."""

    code = "request_rejected"
    hint = "Correct what the vendor names, then try again."


class VersionConflict(RequestRejected):
    """The object changed at the vendor while we were changing it."""

    code = "version_conflict"
    hint = "Read it again and repeat the change."


class CursorExpired(ProviderError):
    """The vendor no longer knows what changed since the last sync."""

    code = "cursor_expired"
    hint = "Sync again in full: everything is read and compared."


class UnexpectedResponse(ProviderError):
    """The vendor's answer is not in the shape its documentation promises."""

    code = "unexpected_response"
    hint = "Look at the log entry; if it repeats, the vendor may have changed its interface."
    of_connection = True


# --- one record, one run, one capability ---------------------------------------------------------------------------------------


class RecordRejected(HospientError):
    """One record could not be stored."""

    code = "record_rejected"
    hint = "Correct it at the vendor; the next sync takes it."


class SyncInterrupted(HospientError):
    """The sync was stopped; it goes on where it was."""

    code = "sync_interrupted"
    hint = "Nothing to do: it is resumed by itself."
    retryable = True


class UnsupportedOperation(HospientError, ValueError):
    """This vendor does not offer that."""

    code = "unsupported_operation"


class InvalidInput(HospientError, ValueError):
    """The request has a value that cannot be used."""

    code = "invalid"

    def __init__(self, errors: dict[str, str], **more: Any) -> None:
        """`errors` maps a field path (`items.0.quantity`) to a sentence that says what is wrong and how to cure it."""
        self.errors = errors
        super().__init__("; ".join(f"{field}: {sentence}" for field, sentence in errors.items()), **more)


class LikelyRepeated(HospientError):
    """The same was asked for a moment ago, so nothing was done this time."""

    code = "likely_repeated"
    hint = (
        "Look at that operation first. If you mean it a second time, send the header Repeat: intended. "
        "A program that sends again by itself gives each request an Idempotency-Key instead."
    )

    def __init__(self, operation_id: int, seconds: int, status: str) -> None:
        self.operation_id = operation_id
        super().__init__(f"You asked for the same {seconds} seconds ago: operation {operation_id}, {status}. Nothing was done this time.")


class ConflictDetected(HospientError):
    """The hotel and the vendor both changed the same field."""

    code = "conflict"


# --- what we refuse ------------------------------------------------------------------------------------------------------------


class EgressBlocked(HospientError):
    """That address may not be called."""

    code = "egress_blocked"
    of_connection = True
    hint = "Use the vendor's public https address. An operator can allow a private one, host:port, in EGRESS_ALLOW."


class WebhookRejected(HospientError, SuspiciousOperation):
    """The webhook was refused."""

    code = "webhook_rejected"
    status = 400


class SignatureMissing(WebhookRejected):
    """The signature is missing."""

    code = "signature_missing"
    status = 401


class SignatureMismatch(WebhookRejected):
    """The signature does not match."""

    code = "signature_mismatch"
    status = 401


class TimestampOutsideWindow(WebhookRejected):
    """The timestamp is malformed, or more than 300 seconds away."""

    code = "timestamp_outside_window"
    hint = "Set the sender's clock, and let it sign each try with the time of that try."
    status = 401


class PayloadTooLarge(WebhookRejected):
    """The body is larger than allowed."""

    code = "payload_too_large"
    status = 413


# --- codes, as rows keep them --------------------------------------------------------------------------------------------------


def _classes(base: type[HospientError] = HospientError) -> Iterator[type[HospientError]]:
    for error in base.__subclasses__():
        yield error
        yield from _classes(error)


def class_of(code: str) -> type[HospientError]:
    """Return the class whose code a row keeps; the common one for a code that none has."""
    return next((error for error in _classes() if error.code == code), HospientError)


def codes_of_connection() -> list[str]:
    """Return the codes of errors that a working connection cures."""
    return [error.code for error in _classes() if error.of_connection]
