"""What every log line carries, and what it must never carry."""

import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from integrations.security.kept import mask_shapes
from integrations.security.redaction import redact, redact_text
from integrations.transport import correlation

MAX_TEXT = 20_000
"""Of a traceback, in characters."""


class ContextFilter(logging.Filter):
    """Adds the correlation id and redacts the message, on its way out of the process."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django reports a refused request after the middleware is through: then the request still knows.
        record.correlation_id = correlation.current() or getattr(getattr(record, "request", None), "correlation_id", "")
        record.msg, record.args = redact_text(record.getMessage()), None
        return True


class RedactingFormatter(JsonFormatter):
    """Redacts what the filter does not see: extras by their names, exceptions and their tracebacks line by line."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        shown = {}
        for name, value in log_data.items():
            if name in ("exc_info", "stack_info", "exc_text") and value:
                text = value if isinstance(value, str) else "\n".join(map(str, value))
                lines = mask_shapes(text)[-MAX_TEXT:].splitlines()  # a key has several lines, all else one
                shown[name] = "\n".join(map(redact_text, lines))
            elif name in ("asctime", "levelname", "name", "message", "correlation_id"):
                shown[name] = value  # the filter's
            else:
                shown |= redact({name: value}, max_items=20, max_text=2000)
        return super().process_log_record(shown)
