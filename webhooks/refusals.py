"""What was refused at the door: counted by the check that failed, written down once a minute.

A forger's flood writes one line a minute for each integration, over all processes. Ingest counts; `integrations.services.refused` reads.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from django.core.cache import BaseCache, cache
from django.db import IntegrityError

from integrations.exceptions import WebhookRejected
from integrations.models import Direction, Integration, IntegrationLog, LogStatus, OperationType
from integrations.security.redaction import redact_text
from integrations.services.refused import OPERATION

logger = logging.getLogger(__name__)

LOG_SECONDS = 60
_told = lru_cache(maxsize=256)(redact_text)
_HINT = "If they are the vendor's, check that the webhook secret and the registered address are the same on both sides."


class Check(NamedTuple):
    """What a delivery was refused for."""

    code: str
    scheme: str
    """The proof it carried; empty where none was looked at."""
    why: str
    hint: str

    def __str__(self) -> str:
        return f"{self.why.rstrip('.')} ({f'{self.code}, {self.scheme}' if self.scheme else self.code})"


@dataclass(slots=True)
class _Refused:
    checks: Counter[Check] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)


class Refusals:
    """Counts refused deliveries and writes at most one line a minute for each integration, over all processes."""

    _MAX_ADDRESSES = 20
    _MAX_CHECKS = 50

    def __init__(self, shared: BaseCache = cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = shared
        self._clock = clock
        self._waiting: dict[int, _Refused] = {}
        self._asked_at: dict[int, float] = {}
        self._lock = threading.Lock()

    def note(self, integration_id: int, error: WebhookRejected, address: str, scheme: str = "") -> None:
        """Remember one refusal. Does no I/O."""
        check = Check(error.code, scheme, _told(error.message[:200]), error.hint)
        with self._lock:
            refused = self._waiting.setdefault(integration_id, _Refused())
            if check not in refused.checks and len(refused.checks) >= self._MAX_CHECKS:
                check = check._replace(why=str(type(error).__doc__))  # what is said of each body differs
            refused.checks[check] += 1
            if address in refused.addresses or len(refused.addresses) < self._MAX_ADDRESSES:
                refused.addresses[address] += 1

    @property
    def is_due(self) -> bool:
        """Say whether a line may be written now. Does no I/O."""
        return any(self._may_ask(key) for key in list(self._waiting))

    @property
    def is_waiting(self) -> bool:
        """Say whether anything is not written yet."""
        return bool(self._waiting)

    def write(self, *, at_once: bool = False) -> None:
        """Write the lines that are due, unless another process has written one within the minute; `at_once` writes all of them."""
        for integration_id in list(self._waiting):
            if not (at_once or self._may_ask(integration_id)):
                continue
            self._asked_at[integration_id] = self._clock()
            if at_once or self._cache.add(f"webhooks:refused:{integration_id}", 1, timeout=LOG_SECONDS):
                with self._lock:
                    refused = self._waiting.pop(integration_id, None)
                if refused:
                    self._log(integration_id, refused)

    def _may_ask(self, integration_id: int) -> bool:
        return self._clock() - self._asked_at.get(integration_id, -LOG_SECONDS) >= LOG_SECONDS

    def _log(self, integration_id: int, refused: _Refused) -> None:
        if not Integration.objects.filter(pk=integration_id).exists():  # PostgreSQL would say so only at the end of a transaction
            logger.info("refusals_dropped integration=%s: it was deleted meanwhile", integration_id)
            return
        count = refused.checks.total()
        reasons: Counter[str] = Counter()
        for check, number in refused.checks.items():
            reasons[check.code] += number
        most = refused.checks.most_common(5)
        told = "; ".join(f"{number:,} × {check}" for check, number in most)
        with suppress(IntegrityError):  # it was deleted just now
            IntegrationLog.objects.create(
                integration_id=integration_id,
                operation_type=OperationType.WEBHOOK,
                operation_name=OPERATION,
                direction=Direction.INBOUND,
                status=LogStatus.FAILED,
                request_data={"addresses": dict(refused.addresses.most_common(5))},
                response_data={"reasons": dict(reasons)},
                error_code=reasons.most_common(1)[0][0],
                error_message=f"Refused and not stored since the last such line: {told}. {most[0][0].hint or _HINT}",
                records_processed=count,
                records_failed=count,
            )
