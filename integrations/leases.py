"""Keeps what this process has in hand, and gives it back at once when the database was lost meanwhile.

A row in hand (a run, an operation, an event) has an owner and a lease; whoever finds a lapsed one takes it over. One thread prolongs the
leases of all that this process holds. So they are short, however long the work takes: what a killed process held is worked again within
seconds. Each model's own code claims its rows and frees them; it works them inside `held`.
"""

import logging
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connection, models, transaction
from django.utils import timezone

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=6)
"""How long a row stays with a process that gives no sign of life any more."""
KEEP_SECONDS = 2.0
RETURN_SECONDS = 0.5
"""How often a lost database is asked whether it is there again."""
DATABASE_LOST = (OperationalError, InterfaceError)
"""The database's trouble, not that of what was being worked."""


@dataclass(frozen=True, slots=True)
class _Holding:
    model: type[models.Model]
    lease: timedelta
    give_back: Callable[[models.QuerySet[Any]], object]


@dataclass(slots=True)
class _Keeper:
    """What is in hand and what is to be given back, by owner; and the thread that sees to both."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    in_hand: dict[uuid.UUID, _Holding] = field(default_factory=dict)
    to_return: dict[uuid.UUID, _Holding] = field(default_factory=dict)
    thread: threading.Thread | None = None

    def hold(self, owner: uuid.UUID, holding: _Holding) -> None:
        with self.changed:
            self.in_hand[owner] = holding
            if self.thread is None or not self.thread.is_alive():  # none yet, or this process is a fork
                self.thread = threading.Thread(target=self._work, name="leases", daemon=True)
                self.thread.start()
            self.changed.notify()

    def let_go(self, owner: uuid.UUID, *, is_lost: bool) -> None:
        with self.changed:
            holding = self.in_hand.pop(owner)
            if is_lost:
                self.to_return[owner] = holding
                self.changed.notify()

    def _work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.in_hand or self.to_return)
                self.changed.wait_for(lambda: self.to_return, KEEP_SECONDS)
            try:
                self.give_back()
                self.prolong()
            except Error as error:
                logger.warning("leases_wait error=%s", type(error).__name__)
                threading.Event().wait(RETURN_SECONDS)
            finally:
                connection.close()

    def give_back(self) -> None:
        """Free what was in hand when the database was lost. Raises while it still is."""
        for owner, holding in list(self.to_return.items()):
            holding.give_back(holding.model._default_manager.filter(lease_owner=owner))
            del self.to_return[owner]

    def prolong(self) -> None:
        kinds: dict[tuple[type[models.Model], timedelta], list[uuid.UUID]] = defaultdict(list)
        with self.changed:
            for owner, holding in self.in_hand.items():
                kinds[holding.model, holding.lease].append(owner)
        for (model, lease), owners in kinds.items():
            with transaction.atomic():
                # A row that is locked is just being written, by its owner: whoever would take it over waits for that, and sees it kept.
                mine = model._default_manager.filter(lease_owner__in=owners).order_by().select_for_update(skip_locked=True)
                model._default_manager.filter(pk__in=list(mine.values_list("pk", flat=True)), lease_owner__in=owners).update(
                    lease_until=timezone.now() + lease
                )


_keeper = _Keeper()


@contextmanager
def held(
    model: type[models.Model], owner: uuid.UUID, *, give_back: Callable[[models.QuerySet[Any]], object], lease: timedelta = LEASE
) -> Iterator[None]:
    """Keep the rows of `owner` while they are worked. If that ends because the database was lost, `give_back` frees those rows as soon as
    it answers again."""
    _keeper.hold(owner, _Holding(model, lease, give_back))
    try:
        yield
    except DATABASE_LOST:
        _keeper.let_go(owner, is_lost=True)
        raise
    except BaseException:
        _keeper.let_go(owner, is_lost=False)
        raise
    else:
        _keeper.let_go(owner, is_lost=False)
