"""Why a delivery is refused, beside what `integrations.exceptions` has for all doors."""

from integrations.exceptions import HospientError, SignatureMismatch, WebhookRejected


class SecretNotSet(SignatureMismatch):
    """This integration has no active webhook secret, so nothing is let in. Its sender is told what everybody without proof is."""

    code = "webhook_secret_not_set"


class IntegrationOff(WebhookRejected):
    """This integration is switched off, so nothing is stored."""

    code = "integration_inactive"
    hint = "Switch the integration on, or take the address out at the vendor."
    status = 403


class PathUnknown(WebhookRejected):
    """Not found."""

    code = "not_found"
    status = 404


class BodyUnreadable(WebhookRejected):
    """The body cannot be read."""

    code = "body_unreadable"

    def __init__(self, message: str = "", *, field: str = "") -> None:
        """`field` is the path of what is wrong in it (`data.menu_id`)."""
        self.field = field
        super().__init__(message)


class BodyIncomplete(WebhookRejected):
    """The body is shorter or longer than its Content-Length says."""

    code = "body_incomplete"


class BodyTooSlow(WebhookRejected):
    """The body did not arrive in time."""

    code = "body_too_slow"
    status = 408


class BodyCompressed(WebhookRejected):
    """The body is compressed; send it as it is."""

    code = "body_compressed"
    status = 415


class LengthMissing(WebhookRejected):
    """The request does not say how long its body is."""

    code = "length_missing"
    hint = "Send a Content-Length."
    status = 411


class RateExceeded(WebhookRejected):
    """More webhooks came than one address may send for this integration, or all addresses together."""

    code = "rate_exceeded"
    hint = "Send it again after the time in Retry-After; it was not stored."
    status = 429

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class StillReading(HospientError):
    """A sync that began before this event came is still under way."""

    code = "still_reading"
    hint = "Nothing to do: the event is worked after it."
    retryable = True
