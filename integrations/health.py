"""How an integration is, for the doors of this app. Who judges knows more than integrations do (webhooks, the house), and so stands above
them: `monitoring` sets itself here when it is made ready."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from integrations.models import Integration


class State(Protocol):
    value: str

    @property
    def label(self) -> str: ...

    @property
    def colour(self) -> str: ...

    @property
    def is_well(self) -> bool: ...


class Health(Protocol):
    """A judgement: its state, the sentence, the cause, what a person can do and how, since when, the last success and the next try."""

    state: State
    sentence: str
    why: str
    todo: str
    cure: str
    run_id: int | None
    since: datetime | None
    last_good: datetime | None
    next_try: datetime | None


Judge = Callable[[Iterable[Integration]], Mapping[int, Health]]

_judges: list[Judge] = []


def set_judge(judge: Judge) -> None:
    _judges[:] = [judge]


def judge(integrations: Iterable[Integration]) -> Mapping[int, Health]:
    """Judge integrations (read with their hotels), by id, in a number of queries that does not grow with theirs."""
    return _judges[0](integrations)
