"""The tests every provider inherits: a vendor's `tests.py` subclasses `ProviderContract` and says how to reach its simulator.

It holds what is true of any vendor (`connect` builds the provider as the service layer does, over real HTTP on loopback) and knows
none. Exact mappings are the vendor's own tests.
"""

import copy
import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from integrations.exceptions import (
    AuthenticationFailed,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    RetryableProviderError,
    UnexpectedResponse,
    UnsupportedOperation,
)
from integrations.models import Integration
from integrations.outbox import deliver
from integrations.records import InboundEvent, Page, Record, StreamQuery
from integrations.security.egress import Egress
from integrations.services import registry
from integrations.services.base import ConnectionReport, HotelFacts, Provider
from integrations.services.calls import CALLS
from integrations.services.connect import read_fields, secrets_of
from integrations.services.manifest import Idempotency, Operation, Stream
from integrations.services.service import IntegrationService
from integrations.simulators.server import Fault, SimRequest, Simulator, running
from integrations.transport.auth import MemoryTokenStore
from integrations.transport.client import Client, Exchange, Policy

HOTEL = HotelFacts(name="Hotel Miramar", currency="EUR", time_zone="Europe/Lisbon", country="PT")
IMPATIENT = Policy(attempts=2)
ONE_ATTEMPT = Policy(attempts=1)
KEY = "5f0c9a51-6d5e-4f0a-9d2b-3c1f0e7a8b11"
SECRET_NAME = re.compile(r"(secret|password|token|(^|_)key)$")


@dataclass(kw_only=True)
class Connection:
    """A provider talking to a simulator, and everything a test may want to look at."""

    provider: Provider
    simulator: Simulator | None
    tokens: MemoryTokenStore
    exchanges: list[Exchange] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Seconds the transport asked to wait; nothing really waited."""


def connect(
    provider: type[Provider],
    *,
    config: Mapping[str, Any],
    credentials: Mapping[str, Any],
    environment: str = "",
    simulator: Simulator | None = None,
    tokens: MemoryTokenStore | None = None,
    policy: Policy = IMPATIENT,
    hotel: HotelFacts = HOTEL,
) -> Connection:
    """Build a provider with a real client, as the service layer does, without a database, a breaker or a budget."""
    manifest = provider.manifest
    their_config = manifest.config.model_validate(config)
    their_credentials = manifest.credentials.model_validate(credentials)
    connection = Connection(provider=None, simulator=simulator, tokens=tokens or MemoryTokenStore())  # type: ignore[arg-type]
    client = Client(
        provider=manifest.name,
        base_url=provider.base_url(environment or next(iter(manifest.environments)), their_config),
        auth=provider.auth(their_config, their_credentials, connection.tokens),
        errors=provider.errors,
        policy=policy,
        egress=Egress.from_settings(),
        breaker=None,
        budget=None,
        log=connection.exchanges.append,
        secrets=secrets_of(their_credentials),
        sleep=connection.waits.append,
    )
    connection.provider = provider(client=client, config=their_config, credentials=their_credentials, hotel=hotel)
    return connection


def drop_answer(simulator: Simulator, number: int) -> None:
    """Let the simulator do what request `number` (from 1, counted from now) asks, then close without an answer."""
    usual = simulator.take
    seen = 0

    def take(request: SimRequest, *kinds: str) -> Fault | None:
        nonlocal seen
        if "drop_after" in kinds:
            seen += 1
            if seen == number:
                return Fault(kind="drop_after")
        return usual(request, *kinds)

    simulator.take = take  # type: ignore[method-assign]


def plain(value: Any) -> str:
    """Return anything as text, as a log, a page or a traceback would show it."""
    return json.dumps(value, default=repr) + repr(value)


class ProviderContract:
    """Subclass as `TestContract`, set the attributes, write `simulator`, and override what the vendor needs differently."""

    provider: ClassVar[type[Provider]]
    credentials: ClassVar[Mapping[str, Any]]
    """Valid at the simulator, every secret filled in."""
    config: ClassVar[Mapping[str, Any]] = {}
    environment: ClassVar[str] = ""
    single_page: ClassVar[frozenset[str]] = frozenset()
    """Streams this vendor delivers at once, however small its pages."""
    queries: ClassVar[Mapping[str, StreamQuery]] = {}
    """Stream -> the query of a full run, where one needs a window of dates."""
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Read on demand -> its arguments, where `arguments_for` needs no look at the simulator."""

    def simulator(self, page_size: int = 0) -> Simulator:
        """Return a fresh, deterministic simulator; with `page_size`, one whose answers hold no more than that."""
        raise NotImplementedError

    def settings(self, url: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the config and the credentials of an integration that is pointed at the simulator."""
        return {**self.config, "base_url": url}, self.credentials

    def payload(self, operation: str, connection: Connection) -> Mapping[str, Any]:
        """Return the payload of a write; may first make at the vendor what it acts on."""
        raise NotImplementedError(f"say in `payload` what {operation} is given")

    def let_somebody_else_in(self, simulator: Simulator, payload: Mapping[str, Any]) -> None:
        """Move whoever a payload names by the room alone to another one, and somebody else into theirs (only for writes that pin)."""
        raise NotImplementedError("say in `let_somebody_else_in` how people move at this vendor")

    def arguments_for(self, operation: str, connection: Connection) -> Mapping[str, Any]:
        """Return the arguments of a read on demand; may first make at the vendor what it reads."""
        return self.arguments.get(operation, {})

    def effects(self, simulator: Simulator) -> Any:
        """Return what can be counted at the vendor; equal when the same things happened once."""
        return simulator.state()

    # --- plumbing

    def counted(self, simulator: Simulator) -> Any:
        """Return `effects` as they are now: what a simulator shows may be what it goes on with."""
        return copy.deepcopy(self.effects(simulator))

    @contextmanager
    def connected(self, simulator: Simulator | None = None, *, policy: Policy = IMPATIENT) -> Iterator[Connection]:
        with running(simulator or self.simulator()) as served:
            config, credentials = self.settings(served.url)
            connection = connect(
                self.provider,
                config=config,
                credentials=credentials,
                environment=self.environment,
                simulator=served.simulator,
                policy=policy,
            )
            try:
                yield connection
            finally:
                connection.provider.client.close()

    def read(self, connection: Connection, stream: Stream, **changes: Any) -> list[Page]:
        query = replace(self.queries.get(stream.name, StreamQuery()), **changes)
        return list(getattr(connection.provider, stream.name)(query))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        manifest = self.provider.manifest
        writes = [operation for operation in manifest.operations if operation.writes]
        declared = {
            "stream": list(manifest.streams),
            "incremental": [stream for stream in manifest.streams if stream.incremental],
            "stream_by_id": [stream for stream in manifest.streams if stream.by_id],
            "write": writes,
            "certain_write": [write for write in writes if write.idempotency != Idempotency.NONE],
            "keyed_write": [write for write in writes if write.idempotency == Idempotency.NATIVE],
            "looked_up_write": [write for write in writes if write.idempotency == Idempotency.LOOKUP],
            "pinned_write": [write for write in writes if write.pins],
            "check_write": [write for write in writes if write.name == "post_guest_check"],
            "reading": [operation for operation in manifest.operations if not operation.writes],
        }
        for name, values in declared.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, values, ids=[value.name for value in values])

    @property
    def folder(self) -> Path:
        return Path(inspect.getfile(self.provider)).parent

    # --- what it declares

    def test_folder_carries_the_slug_and_everything_a_vendor_needs(self) -> None:
        assert self.folder.name == self.provider.manifest.slug
        for name in ("README.md", "manifest.py", "provider.py", "mapping.py", "simulator.py"):
            assert (self.folder / name).is_file(), f"{name} is missing"
        fixtures = list((self.folder / "fixtures").glob("*.json"))
        assert fixtures, "fixtures/ has no message"
        for fixture in fixtures:
            json.loads(fixture.read_text())

    def test_simulator_says_what_a_hotel_enters_to_connect_to_it(self) -> None:
        module = importlib.import_module(self.provider.__module__.rpartition(".")[0] + ".simulator")
        body = module.connection("http://127.0.0.1:9")
        assert issubclass(module.simulator, Simulator)
        assert registry.find(body["provider_name"], body["integration_type"]) == self.provider.manifest.slug
        config, _ = read_fields(self.provider.manifest, body["config"], body["credentials"])
        assert self.provider.base_url(body.get("environment", "production"), config).startswith("http://127.0.0.1:9")

    def test_setup_page_names_every_required_credential_as_the_form_does(self) -> None:
        page = (self.folder / "README.md").read_text()
        for name, declared in self.provider.manifest.credentials.model_fields.items():
            if declared.is_required():
                assert (declared.title or name) in page, f"README.md does not say where to find “{declared.title}”"

    def test_every_field_has_a_label_and_help(self) -> None:
        manifest = self.provider.manifest
        for model in (manifest.credentials, manifest.config):
            for name, declared in model.model_fields.items():
                assert declared.title, f"{model.__name__}.{name} has no title"
                assert declared.description, f"{model.__name__}.{name} has no description"
            assert model.model_json_schema()

    def test_every_secret_is_declared_as_one(self) -> None:
        for name, declared in self.provider.manifest.credentials.model_fields.items():
            if SECRET_NAME.search(name):
                assert "SecretStr" in str(declared.annotation), f"{name} must be a SecretStr"
        for name in self.provider.manifest.config.model_fields:
            assert not SECRET_NAME.search(name), f"{name} belongs to the credentials"

    def test_names_are_unique_and_written_as_people_write_them(self) -> None:
        manifest = self.provider.manifest
        names = [declared.name for declared in (*manifest.streams, *manifest.operations)]
        assert len(names) == len(set(names))
        assert all(declared.label for declared in (*manifest.streams, *manifest.operations))
        assert all(name == name.lower() for name in manifest.answers_to)
        assert manifest.environments
        assert manifest.kinds

    def test_declared_means_written_and_written_means_declared(self) -> None:
        manifest = self.provider.manifest
        for stream in manifest.streams:
            assert list(inspect.signature(getattr(self.provider, stream.name)).parameters) == ["self", "query"]
        for operation in manifest.operations:
            method = getattr(self.provider, operation.name)
            if operation.writes:
                assert list(inspect.signature(method).parameters) == ["self", "payload", "key"]
            assert hasattr(self.provider, f"find_{operation.name}") == (operation.writes and operation.idempotency == Idempotency.LOOKUP)
            assert hasattr(self.provider, f"pin_{operation.name}") == (operation.writes and operation.pins)
        if manifest.webhooks and manifest.webhooks.subscription:
            for name in ("list_subscriptions", "create_subscription", "rotate_subscription_key"):
                assert callable(getattr(self.provider, name))
        declared = {d.name for d in (*manifest.streams, *manifest.operations)}
        public = {name for name, _ in inspect.getmembers(self.provider, inspect.isfunction) if not name.startswith(("_", "find_", "pin_"))}
        usual = {name for name in dir(Provider) if not name.startswith("_")}
        assert public - usual - declared <= {"list_subscriptions", "create_subscription", "rotate_subscription_key"}

    def test_what_is_not_declared_is_refused_as_unsupported(self) -> None:
        manifest = self.provider.manifest
        service = IntegrationService(Integration(provider=manifest.slug, integration_type=manifest.kinds[0]))
        with pytest.raises(UnsupportedOperation):
            service.ask("send_postcard")
        with pytest.raises(UnsupportedOperation):
            service.request_sync("postcards")

    # --- the connection test and the secrets

    def test_connection_test_reports_facts(self) -> None:
        with self.connected() as connection:
            report = connection.provider.test_connection()
        assert isinstance(report, ConnectionReport)
        assert report.summary
        json.dumps(dict(report.details))
        assert connection.exchanges
        assert all(exchange.status == "success" for exchange in connection.exchanges)

    def test_secrets_stay_out_of_reprs_errors_and_the_log(self) -> None:
        with self.connected() as connection:
            provider = connection.provider
            shown = [plain(provider.credentials), plain(provider.config), plain(provider.client), plain(vars(provider))]
            shown.append(plain(provider.test_connection()))
            for stream in provider.manifest.streams:
                self.read(connection, stream)
            connection.simulator.fail("status", status=401, times=50)
            with pytest.raises(AuthenticationFailed) as caught:
                provider.test_connection()
            shown.append(plain(caught.value) + str(caught.value) + plain(vars(caught.value)))
            shown += [plain(exchange) for exchange in connection.exchanges]
        secrets = secrets_of(provider.credentials)
        if token := connection.tokens.load():
            secrets += tuple(value for value in (token.access_token, token.refresh_token) if value)
        assert secrets, "give every secret a value in `credentials`"
        for secret in secrets:
            assert not [text for text in shown if secret in text], f"a secret that ends in …{secret[-4:]} is shown"

    # --- streams

    def test_stream_yields_sound_records_of_its_declared_types(self, stream: Stream) -> None:
        with self.connected() as connection:
            pages = self.read(connection, stream)
        records = [record for page in pages for record in page.records]
        assert records, "the simulator has nothing to read"
        assert not [rejected for page in pages for rejected in page.rejected]
        for record in records:
            assert isinstance(record, stream.records)
            assert_sound(record)
        if not stream.incremental:
            assert all(page.cursor is None for page in pages)

    def test_page_boundary_loses_and_doubles_nothing(self, stream: Stream) -> None:
        with self.connected() as connection:
            whole = identities(self.read(connection, stream))
        with self.connected(self.simulator(page_size=2)) as connection:
            pages = self.read(connection, stream)
        assert len(whole) == len(set(whole))
        assert sorted(identities(pages)) == sorted(whole)
        if stream.name not in self.single_page:
            assert len(pages) > 2

    def test_run_resumes_at_every_checkpoint(self, stream: Stream) -> None:
        with self.connected(self.simulator(page_size=2)) as connection:
            pages = self.read(connection, stream)
            whole = set(identities(pages))
            for count, page in enumerate(pages, start=1):
                stored = set(identities(pages[:count]))
                rest = self.read(connection, stream, checkpoint=json.loads(json.dumps(page.checkpoint)))
                assert stored | set(identities(rest)) == whole
                if count > 2 and rest and stream.name not in self.single_page:
                    assert len(rest) < len(pages), "it started again instead of going on"

    def test_cursor_reads_only_what_changed(self, incremental: Stream) -> None:
        with self.connected() as connection:
            first = self.read(connection, incremental)
            cursor = next(page.cursor for page in reversed(first) if page.cursor is not None)
            again = self.read(connection, incremental, cursor=json.loads(json.dumps(cursor)))
        assert set(identities(again)) < set(identities(first)) or not identities(again)

    def test_single_objects_can_be_read(self, stream_by_id: Stream) -> None:
        with self.connected() as connection:
            records = [record for page in self.read(connection, stream_by_id) for record in page.records]
            wanted = records[-1]
            found = [r for page in self.read(connection, stream_by_id, external_ids=(wanted.external_id,)) for r in page.records]
        assert wanted in found
        assert len(found) < len(records) or len(records) == 1

    # --- when the vendor is unwell

    def test_refused_credentials_are_named_as_such(self) -> None:
        with self.connected() as connection:
            connection.simulator.fail("status", status=401, times=50)
            with pytest.raises(AuthenticationFailed) as caught:
                connection.provider.test_connection()
        assert not caught.value.retryable
        assert len(connection.simulator.requests) <= 4, "refused credentials are not tried again and again"

    @pytest.mark.parametrize("status", [400, 404, 409, 422])
    def test_refused_request_is_not_repeated(self, status: int) -> None:
        with self.connected() as connection:
            connection.provider.test_connection()
            before = len(connection.simulator.requests)
            connection.simulator.fail("status", status=status, times=50)
            with pytest.raises(RequestRejected) as caught:
                connection.provider.test_connection()
        assert caught.value.status == status
        assert not caught.value.retryable
        assert len(connection.simulator.requests) == before + 1

    def test_throttled_call_waits_as_long_as_asked_and_then_succeeds(self) -> None:
        with self.connected() as connection:
            connection.simulator.fail("status", status=429, headers={"Retry-After": "3"})
            assert connection.provider.test_connection().summary
        assert max(connection.waits) > 2.9  # what is left of the three seconds

    def test_throttled_for_long_gives_the_moment_to_come_back(self) -> None:
        with self.connected() as connection:
            connection.simulator.fail("status", status=429, headers={"Retry-After": "3600"}, times=50)
            with pytest.raises(RateLimited) as caught:
                connection.provider.test_connection()
        left = caught.value.retry_at - datetime.now(UTC)
        assert timedelta(minutes=58) < left < timedelta(minutes=80)
        assert not connection.waits

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ({"kind": "status", "status": 429}, RateLimited),
            ({"kind": "status", "status": 500}, ProviderUnavailable),
            ({"kind": "status", "status": 503}, ProviderUnavailable),
            ({"kind": "drop"}, ProviderUnavailable),
            ({"kind": "slow", "seconds": 0.4}, ProviderUnavailable),
            ({"kind": "truncate"}, (ProviderUnavailable, UnexpectedResponse)),
        ],
        ids=["429", "500", "503", "dropped", "timeout", "truncated"],
    )
    def test_unwell_vendor_gives_the_class_that_says_so(self, fault: dict[str, Any], expected: type[ProviderError]) -> None:
        with self.connected(policy=replace(IMPATIENT, read_seconds=0.2) if fault["kind"] == "slow" else IMPATIENT) as connection:
            connection.simulator.fail(**fault, times=50)
            with pytest.raises(expected) as caught:
                connection.provider.test_connection()
        assert caught.value.provider == self.provider.manifest.name
        assert caught.value.operation
        assert isinstance(caught.value, RetryableProviderError | UnexpectedResponse)

    def test_short_illness_is_got_over_without_an_error(self) -> None:
        with self.connected() as connection:
            connection.simulator.fail("status", status=500)
            assert connection.provider.test_connection().summary

    # --- writes and reads on demand

    def pinned(self, connection: Connection, operation: Operation, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a payload as the outbox sends it: with what the vendor says of whom it concerns."""
        if not operation.pins:
            return payload
        said = getattr(connection.provider, f"pin_{operation.name}")(payload, datetime.now(UTC).date())
        assert set(said) <= set(deliver.PINNED), "it says more than an operation keeps"
        return {**payload, **said, deliver.PINNED_AT: datetime.now(UTC).isoformat()}

    def written(self, connection: Connection, operation: Operation) -> Mapping[str, Any]:
        return self.pinned(connection, operation, self.payload(operation.name, connection))

    def perform(self, connection: Connection, operation: Operation, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do a write as the outbox does: look before sending again when the vendor has no key of ours."""
        method = getattr(connection.provider, operation.name)
        for _ in range(5):
            try:
                return method(payload, KEY)
            except RetryableProviderError as error:
                look_up = operation.idempotency == Idempotency.LOOKUP and error.maybe_done
                if look_up and (found := getattr(connection.provider, f"find_{operation.name}")(payload, KEY)):
                    return found
        raise AssertionError("the operation never succeeded")

    def test_write_answers_with_a_reference(self, write: Operation) -> None:
        with self.connected() as connection:
            answer = getattr(connection.provider, write.name)(self.written(connection, write), KEY)
        assert answer["reference"]
        json.dumps(dict(answer))

    def test_write_has_one_effect_whichever_answer_is_lost(self, certain_write: Operation) -> None:
        with self.connected(policy=ONE_ATTEMPT) as connection:
            payload = self.written(connection, certain_write)
            before, nothing = len(connection.simulator.requests), self.counted(connection.simulator)
            clean = getattr(connection.provider, certain_write.name)(payload, KEY)
            count = len(connection.simulator.requests) - before
            once = self.counted(connection.simulator)
        assert count, "nothing was sent"
        assert once != nothing, "it has no effect that `effects` would count"
        for number in range(1, count + 1):
            with self.connected(policy=ONE_ATTEMPT) as connection:
                payload = self.written(connection, certain_write)
                drop_answer(connection.simulator, number)
                answer = self.perform(connection, certain_write, payload)
                assert self.counted(connection.simulator) == once, f"the answer to request {number} was lost"
                assert answer["reference"] == clean["reference"]

    def test_same_key_again_has_no_second_effect(self, keyed_write: Operation) -> None:
        with self.connected() as connection:
            payload = self.written(connection, keyed_write)
            method = getattr(connection.provider, keyed_write.name)
            nothing = self.counted(connection.simulator)
            first = method(payload, KEY)
            once = self.counted(connection.simulator)
            assert once != nothing, "it has no effect that `effects` would count"
            assert method(payload, KEY)["reference"] == first["reference"]
            assert self.counted(connection.simulator) == once

    def test_look_up_finds_what_was_done_and_only_that(self, looked_up_write: Operation) -> None:
        with self.connected() as connection:
            payload = self.written(connection, looked_up_write)
            find = getattr(connection.provider, f"find_{looked_up_write.name}")
            assert find(payload, KEY) is None
            answer = getattr(connection.provider, looked_up_write.name)(payload, KEY)
            assert find(payload, KEY)["reference"] == answer["reference"]

    @pytest.mark.parametrize(("part", "amount", "on_top"), [("discount", "1.37", -1), ("service_charge", "2.41", 1), ("tip", "3.59", 0)])
    def test_part_of_a_check_is_posted_or_refused_by_name(self, check_write: Operation, part: str, amount: str, on_top: int) -> None:
        paid = {part: Decimal(amount), "payment_status": "paid"}
        if part in check_write.lacks:
            assert part in check_write.refused(paid, self.provider.manifest.name)
            return
        assert not check_write.refused(paid, self.provider.manifest.name)
        with self.connected() as connection:
            payload = self.payload(check_write.name, connection)
            total = str(Decimal(payload["total"]) + on_top * Decimal(amount))
            before = len(connection.exchanges)
            connection.provider.post_guest_check({**payload, part: amount, "payment_status": "paid", "total": total}, KEY)
            sent = plain([exchange.request_data for exchange in connection.exchanges[before:]])
        assert re.search(rf"\b{amount.replace('.', '[.]?')}\b", sent), (
            f"{part} was sent nowhere: post it, or declare that the vendor lacks it"
        )

    def test_what_the_vendor_lacks_is_part_of_a_body(self, write: Operation) -> None:
        if not (write.lacks or write.only_paid):
            return
        body = CALLS[write.name].body
        assert body is not None
        for name in (*write.lacks, *write.only_paid):
            assert name.partition(".")[0] in body.model_fields
        assert all(instead.endswith(".") for instead in write.lacks.values())

    def test_asking_whom_it_concerns_changes_nothing(self, pinned_write: Operation) -> None:
        with self.connected() as connection:
            payload = self.payload(pinned_write.name, connection)
            before = self.effects(connection.simulator)
            assert self.pinned(connection, pinned_write, payload)["reservation_external_id"]
            assert self.effects(connection.simulator) == before

    def test_write_stays_with_whom_it_concerned_on_the_first_try(self, pinned_write: Operation) -> None:
        with self.connected() as connection:
            payload = self.payload(pinned_write.name, connection)
            first = self.pinned(connection, pinned_write, payload)
            answer = getattr(connection.provider, pinned_write.name)(first, KEY)
            self.let_somebody_else_in(connection.simulator, payload)
            later = self.pinned(connection, pinned_write, payload)
            assert later["reservation_external_id"] != first["reservation_external_id"]
            if pinned_write.idempotency == Idempotency.LOOKUP:
                find = getattr(connection.provider, f"find_{pinned_write.name}")
                assert find(first, KEY)["reference"] == answer["reference"]
                assert find(later, KEY) is None, "somebody else has it as well"

    def test_read_on_demand_answers(self, reading: Operation) -> None:
        with self.connected() as connection:
            answer = getattr(connection.provider, reading.name)(**self.arguments_for(reading.name, connection))
        assert answer, "the simulator has nothing to answer with"
        for record in answer if isinstance(answer, list) else [answer]:
            if isinstance(record, Record):
                assert_sound(record)
            else:
                json.dumps(record)

    # --- webhooks

    def test_webhook_examples_are_read(self) -> None:
        webhooks = self.provider.manifest.webhooks
        if not webhooks:
            pytest.skip("this vendor sends no webhooks")
        examples = sorted((self.folder / "fixtures").glob("webhook_*.json"))
        assert examples, "no fixture webhook_*.json"
        for example in examples:
            events = webhooks.parse({}, json.loads(example.read_text()))
            assert events, f"{example.name} holds no event"
            for event in events:
                assert isinstance(event, InboundEvent)
                assert event.event_type
                assert set(event.refresh) <= {stream.name for stream in self.provider.manifest.streams}
                for record in event.records:
                    assert_sound(record)

    @pytest.mark.parametrize("body", [None, [], {}, "text", 7, {"data": 7}, {"data": {"object": []}}, [{"data": None}]], ids=repr)
    def test_odd_webhook_body_is_read_without_a_crash(self, body: Any) -> None:
        webhooks = self.provider.manifest.webhooks
        if not webhooks:
            pytest.skip("this vendor sends no webhooks")
        for event in webhooks.parse({}, body):
            assert (event.object_id, list(event.records)) == ("", []), "it names an object that nobody told of"


def identities(pages: list[Page]) -> list[tuple[str, str]]:
    return [(record.record_type, record.external_id) for page in pages for record in page.records]


def assert_sound(record: Record) -> None:
    """Hold a record to what the rest of Hospient relies on: an id, aware times, finite money with a currency."""
    assert 0 < len(record.external_id) <= 192
    for declared in fields(record):
        value = getattr(record, declared.name)
        if isinstance(value, datetime):
            assert value.tzinfo is not None, f"{declared.name} has no time zone"
        if isinstance(value, Decimal):
            assert value.is_finite()
        if declared.name == "currency" and value:
            assert re.fullmatch(r"[A-Z]{3}", value)
        if isinstance(value, tuple):
            for nested in value:
                if isinstance(nested, Record):
                    assert_sound(nested)
