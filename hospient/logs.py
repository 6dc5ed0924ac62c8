"""What every log line carries, and what it must never carry."""

import logging

from integrations.security.redaction import redact_text
from integrations.transport import correlation


class ContextFilter(logging.Filter):
    """Adds the correlation id and redacts the message, on its way out of the process."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django reports a refused request after the middleware is through: then the request still knows.
        record.correlation_id = correlation.current() or getattr(getattr(record, "request", None), "correlation_id", "")
        record.msg, record.args = redact_text(record.getMessage()), None
        return True
