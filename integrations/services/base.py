"""What every provider is: a class with one method for each stream and operation its manifest declares.

A provider talks through the client it is given, yields pages and raises. It never logs, sleeps, retries, touches the database or
catches `Exception`: the transport does timeouts, retries, budget, breaker, redacted logging and correlation ids for all of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Generic, TypeVar
from zoneinfo import ZoneInfo

from hotels import identity
from integrations.exceptions import UnsupportedOperation
from integrations.services.manifest import Manifest, ProviderFields
from integrations.transport.auth import Auth, TokenStore
from integrations.transport.client import Client, ErrorRules

Config = TypeVar("Config", bound=ProviderFields)
Credentials = TypeVar("Credentials", bound=ProviderFields)


@dataclass(frozen=True, slots=True, kw_only=True)
class HotelFacts:
    """What a provider may know of the hotel it works for."""

    name: str
    currency: str
    time_zone: str
    country: str = ""

    def moments(self, first: date | None, last: date | None) -> tuple[datetime | None, datetime | None]:
        """Return when the hotel's day `first` begins and when its day `last` is over: from the one on, before the other."""
        begin = datetime.combine(first, time(), ZoneInfo(self.time_zone)) if first else None
        end = datetime.combine(last + timedelta(days=1), time(), ZoneInfo(self.time_zone)) if last else None
        return begin, end

    def differing(self, shown: Any, changes: Mapping[str, Any]) -> list[str]:
        """Return which changes of a guest (field -> value) a vendor's record does not show: whoever spells one otherwise has taken it."""
        country = self.country or identity.country_of(self.time_zone)
        return [name for name, value in changes.items() if not identity.is_spelling(name, value, getattr(shown, name, None), country)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReport:
    """What a connection test found. A test that fails raises instead."""

    summary: str
    """One sentence for the hotel administrator: "Connected to Bar (EUR), which is active"."""
    details: Mapping[str, Any]
    """Facts worth showing: location, currency, version. Never a secret."""


class Provider(Generic[Config, Credentials]):
    """Base of every provider. Subclasses set `manifest` and write the methods it declares.

    - a stream `menus`: `def menus(self, query: StreamQuery) -> Iterator[Page]`
    - a write `void_check`: `def void_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]`; `key` is a UUID, the
      same at every attempt; the answer has `reference` (the vendor's id of what was made or changed) and plain JSON facts
    - for a write declared `Idempotency.LOOKUP` also `find_<name>(payload, key) -> Mapping | None`: the same answer if the vendor already
      has the effect
    - for a write declared `pins` also `pin_<name>(payload, asked_on) -> Mapping`: whom it concerns at the vendor now, of the names in
      `outbox.deliver.PINNED`; what it answers is in the payload of every try and look-up, and `pinned_at` beside it. `asked_on` is the
      hotel's day on which it was asked for; `payers` has the rules
    - a read on demand `get_check_status`: `def get_check_status(self, **arguments)`, returning a record, a list of records or plain JSON
    """

    manifest: ClassVar[Manifest]
    errors: ClassVar[ErrorRules] = ErrorRules()

    def __init__(self, *, client: Client, config: Config, credentials: Credentials, hotel: HotelFacts) -> None:
        self.client = client
        self.config = config
        self.credentials = credentials
        self.hotel = hotel

    @classmethod
    def base_url(cls, environment: str, config: Config) -> str:
        """Return the address calls go to: the environment's, unless the hotel has its own."""
        return cls.manifest.environments.get(environment, "") or getattr(config, "base_url", "")

    @classmethod
    def auth(cls, config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
        """Return how calls are authenticated."""
        raise NotImplementedError

    @classmethod
    def offers(cls, name: str, config: Mapping[str, Any]) -> bool:
        """Say whether a declared stream or operation can be used with a stored config (the generic provider needs an address for it).
        What cannot is not shown and not scheduled; who asks for it all the same is told what is missing."""
        return True

    @staticmethod
    def spelled(external_id: str) -> str:
        """Return an id, however somebody wrote it, in the one spelling it is stored by."""
        return external_id

    @classmethod
    def drops(cls, name: str, config: Mapping[str, Any]) -> Mapping[str, str]:
        """Return which fields of an operation's body this vendor has no place for, as it is set up, each with the reason."""
        declared = cls.manifest.operation(name)
        return declared.drops if declared else {}

    @classmethod
    def budget_key(cls, config: Config) -> str:
        """Return what the rate budget is shared by, beside the provider: the gateway's host, the application's id."""
        return ""

    def test_connection(self) -> ConnectionReport:
        """Prove that the credentials work and that what the config names exists. Raises ProviderError or ConfigurationError."""
        raise UnsupportedOperation(f"{self.manifest.name} has no connection test.")

    def poll(self) -> Iterator[list[Mapping[str, Any]]]:
        """Yield batches of raw events from a vendor that does not call us (webhooks with the verifier `polling`).

        Reading may take events off the vendor's queue for good: the caller stores each batch before it asks for the next.
        """
        raise UnsupportedOperation(f"{self.manifest.name} has no events to fetch.")
