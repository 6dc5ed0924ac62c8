"""What a provider declares about a vendor: facts only, no behaviour.

The form in the console, the API's validation, the JSON Schema, the capability matrix and the documentation are all made from
these declarations, so they cannot disagree. Credentials and config are pydantic models; a credential is a `SecretStr` when it is
a secret.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from integrations.records import InboundEvent, Record


class Kind(StrEnum):
    POS = "pos"
    PMS = "pms"
    GUEST_MANAGEMENT = "guest_management"


class ProviderFields(BaseModel):
    """Base of a provider's credential and config models.

    A field's `title` is its label, its `description` the help beside it, its first alias in `validation_alias` (a pydantic
    `AliasChoices`) what the seed's documents call it. `extra="ignore"`: keys a vendor does not use are kept in the row and
    named in a warning, never an error.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True, populate_by_name=True, hide_input_in_errors=True)


class Declaration(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class DeletesBy(StrEnum):
    FLAG = "flag"
    """The incremental answer marks what is gone."""
    LOG = "log"
    """The vendor keeps a log of what was deleted; the stream yields those as deleted records."""
    FULL_COMPARISON = "full_comparison"
    """Only a complete listing shows what is missing."""
    NONE = "none"
    """Nothing is ever deleted (a history), or the vendor does not say."""


class Stream(Declaration):
    """A named, readable collection. The provider has a method of the same name: `(StreamQuery) -> Iterator[Page]`."""

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    label: str
    records: tuple[type[Record], ...]
    """Record types it yields. A full run lists all of each, which is what a full comparison compares."""
    incremental: bool = True
    """A cursor is understood: the stream can read only what changed."""
    by_date: bool = False
    """Takes `since` and `until` as a window of dates."""
    scheduled: bool = True
    """Part of a scheduled sync; False for what is only read when a webhook or a person asks."""
    by_id: bool = False
    """Takes `external_ids`: a webhook can have one object read. What then is not among the records is gone at the vendor."""
    ids_of: tuple[type[Record], ...] = ()
    """Whose ids those are, where not those of all its `records`."""
    windowed: bool = False
    """It lists a window of time: what is not over and is in no list any more is read by its id until it is."""
    deletes_by: DeletesBy = DeletesBy.FULL_COMPARISON
    kind: Kind | None = None
    """Which kind of integration it belongs to, where the manifest has several."""

    @property
    def by_id_of(self) -> tuple[type[Record], ...]:
        """Record types that can be read by their id."""
        return (self.ids_of or self.records) if self.by_id else ()

    @property
    def compares(self) -> bool:
        """A full run lists everything, so what it does not list is gone."""
        return self.deletes_by is not DeletesBy.NONE


class Idempotency(StrEnum):
    NATIVE = "native"
    """The vendor takes our key, or the call is an upsert or sets a state: sending it twice has one effect."""
    LOOKUP = "lookup"
    """The vendor has no key: the provider's `find_<operation>` says whether it was done before anything is sent again."""
    NONE = "none"
    """Neither: an unknown outcome waits for a person."""


class Operation(Declaration):
    """A named write, or a read on demand. The provider has a method of the same name."""

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    label: str
    writes: bool = True
    """A write goes through the outbox as `(payload, key) -> Mapping`; a read is called straight, as `(**arguments)`."""
    idempotency: Idempotency = Idempotency.NATIVE
    settle_seconds: int = 0
    """LOOKUP only: how long an effect may take to show at the vendor, before "not found" means "not done"."""
    pins: bool = False
    """Whom it concerns is asked of the vendor before the first try and kept: the provider's `pin_<operation>` says who is in the room."""
    limits: Mapping[str, int] = Field(default_factory=dict)
    """How many characters the vendor takes, by its contract, where that is less than the door does: field -> most; `items.*.name` for each."""
    unsigned: tuple[str, ...] = ()
    """Amounts in which the vendor takes nothing negative."""
    lacks: Mapping[str, str] = Field(default_factory=dict)
    """Parts of the body that this vendor has no place for -> what to do instead; `items.*.tax` for each."""
    only_paid: tuple[str, ...] = ()
    """Parts of a check that this vendor takes with its payment alone."""
    drops: Mapping[str, str] = Field(default_factory=dict)
    """Fields of its body that the vendor has no place for, `items.*.note` for that of each, with a sentence that says so."""
    kind: Kind | None = None
    """Which kind of integration it belongs to, where the manifest has several."""

    def refused(self, body: Mapping[str, Any], vendor: str) -> dict[str, str]:
        """Return a sentence for each field that the vendor would refuse or cut."""
        errors = {
            path: f"{vendor} takes {most:,} characters here; this has {len(text):,}."
            for name, most in self.limits.items()
            for path, text in _at(body, name.split("."))
            if isinstance(text, str) and len(text) > most
        }
        for name in self.unsigned:
            for path, amount in _at(body, name.split(".")):
                if isinstance(amount, Decimal) and amount < 0:
                    errors[path] = f"{vendor} takes no negative amount here."
        for name, instead in self.lacks.items():
            errors |= {path: f"{vendor} has no place for this. {instead}" for path, given in _at(body, name.split(".")) if given}
        for name in self.only_paid if body.get("payment_status") != "paid" else ():
            if body.get(name):
                errors[name] = (
                    f"{vendor} takes it with the payment alone, and this check is not paid. Leave it out, or give payment_status paid."
                )
        return errors


def dropped(body: Mapping[str, Any], drops: Mapping[str, str]) -> list[str]:
    """Return a sentence for each field that was given and that the vendor has no place for."""
    return [
        f"{name}: {reason}"
        for name, reason in drops.items()
        if any(value not in (None, "", [], False) for _, value in _at(body, name.split(".")))
    ]


def _at(value: Any, path: Sequence[str], so_far: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what stands at a path, each with its own: `items.*.name` is at `items.0.name`, `items.1.name` ..."""
    if not path:
        yield so_far[1:], value
    elif path[0] == "*" and isinstance(value, list):
        for number, one in enumerate(value):
            yield from _at(one, path[1:], f"{so_far}.{number}")
    elif isinstance(value, Mapping):
        yield from _at(value.get(path[0]), path[1:], f"{so_far}.{path[0]}")


class RateBudget(Declaration):
    """Requests the vendor allows; shared by all workers."""

    requests: int
    per_seconds: int = 1
    shared_by: Literal["application", "gateway", "integration"] = "integration"


class Webhooks(Declaration):
    """How the vendor's webhooks are verified and read."""

    verifier: str
    """Name in `webhooks.verifiers`."""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    parameters_from_config: Mapping[str, str] = Field(default_factory=dict)
    """Parameter of the verifier -> the config field it is taken from, where a hotel has filled that in."""
    events: Mapping[str, str] = Field(default_factory=dict)
    """Theirs -> our event name."""
    parse: Callable[[Mapping[str, str], Any], list[InboundEvent]]
    """(headers, decoded body) -> events."""
    pace: RateBudget | None = None
    """Verifier `polling` only: how often the vendor's events may be asked for, by everybody together."""
    subscription: bool = False
    """The vendor's API can create our subscription: the provider has `list_subscriptions`, `create_subscription`,
    `rotate_subscription_key`."""


class Manifest(Declaration):
    """Everything Hospient knows about a vendor before it calls it."""

    slug: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str
    kinds: tuple[Kind, ...]
    answers_to: tuple[str, ...] = ()
    """Names people write in `provider_name`, in lower case: "square", "square pos"."""
    docs_url: str = ""
    environments: Mapping[str, str]
    """Environment -> base URL; an empty URL means that every hotel has its own and the config gives it."""
    credentials: type[ProviderFields]
    config: type[ProviderFields]
    rate: RateBudget | None = None
    streams: tuple[Stream, ...] = ()
    operations: tuple[Operation, ...] = ()
    webhooks: Webhooks | None = None
    personal: tuple[str, ...] = ()
    """Names of fields in which this vendor has something of a guest, and which do not say so: hidden in logs, as `familyName` is."""

    def stream(self, name: str) -> Stream | None:
        return next((s for s in self.streams if s.name == name), None)

    def operation(self, name: str) -> Operation | None:
        return next((o for o in self.operations if o.name == name), None)
