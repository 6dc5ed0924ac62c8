"""How long to wait before a call is repeated: what the vendor asks for, else a growing time drawn by lot."""

import random
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

BASE_SECONDS = 0.5
CAP_SECONDS = 8.0
LONGEST = timedelta(days=1)
"""No vendor can make us wait longer by one header."""
SPREAD = 0.1
"""Those who were told the same time come back within a tenth of it, not all at once."""


def backoff_seconds(attempt: int) -> float:
    """Return the wait after `attempt` (from 1): full jitter, so that clients who failed together do not come back together."""
    return random.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2 ** (attempt - 1)))


def spread_seconds(seconds: float) -> float:
    """Return a wait of at least `seconds`."""
    return seconds * random.uniform(1, 1 + SPREAD)


def retry_after(header: str, now: datetime) -> datetime | None:
    """Read a Retry-After header, in seconds or as an HTTP date (RFC 9110, 10.2.3); None if it says nothing usable."""
    header = header.strip()
    if re.fullmatch(r"[0-9]{1,10}", header):
        return now + min(timedelta(seconds=int(header)), LONGEST)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment, now), now + LONGEST)
