"""One call to a vendor: how it ends, when it is repeated, what is told of it, and how lists of pages are read ahead."""

import gzip
import json
import random
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest

from integrations import values
from integrations.exceptions import (
    AuthenticationFailed,
    CircuitOpen,
    EgressBlocked,
    HospientError,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    ReauthorizationRequired,
    RecordRejected,
    RequestRejected,
    UnexpectedResponse,
    VersionConflict,
)
from integrations.security.egress import Egress
from integrations.simulators.server import SimRequest, SimResponse, Simulator, route, running
from integrations.tests.loopback import listening, plain_answer, wait_until
from integrations.transport import correlation
from integrations.transport.auth import BasicAuth, HeaderAuth, NoAuth
from integrations.transport.client import Client, ErrorRules, Exchange, Policy, Response
from integrations.transport.retry import backoff_seconds, retry_after

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
LOOPBACK = Egress(["127.0.0.0/8"])


class Vendor(Simulator):
    slug = "vendor"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[SimRequest] = []
        self.answers: list[SimResponse] = []
        """Given in turn, then `{}` for ever."""

    @route("GET", "/{rest}")
    @route("HEAD", "/{rest}")
    @route("POST", "/{rest}")
    @route("PATCH", "/{rest}")
    def anything(self, request: SimRequest) -> SimResponse:
        self.seen.append(request)
        return self.answers.pop(0) if self.answers else SimResponse(json={})


class Desk:
    """A client with a clock nobody waits for, and everything it told."""

    def __init__(self, url: str, **more: Any) -> None:
        self.waits: list[float] = []
        self.log: list[Exchange] = []
        self.now = NOW
        self.client = Client(
            **{
                "provider": "Square",
                "base_url": url,
                "auth": NoAuth(),
                "egress": LOOPBACK,
                "policy": Policy(connect_seconds=5, read_seconds=5, total_seconds=20),
                "log": self.log.append,
                "sleep": self.sleep,
                "clock": lambda: self.now,
                **more,
            }
        )

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)

    def get(self, **more: Any) -> Response:
        return self.client.call("GET", "/menu", name="menus", **more)

    def post(self, **more: Any) -> Response:
        return self.client.call("POST", "/orders", name="post_guest_check", **{"json": {"n": 1}, **more})


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with running(Vendor()) as served:
        served.simulator.url = served.url
        yield served.simulator


@pytest.fixture
def desk(vendor: Vendor) -> Iterator[Desk]:
    desk = Desk(vendor.url)
    yield desk
    desk.client.close()


class TestRequest:
    def test_path_parameters_body_and_headers_arrive_as_given(self, vendor: Vendor) -> None:
        desk = Desk(vendor.url + "/", headers={"Square-Version": "2025-08-20"})
        with correlation.bind("cause-1"):
            desk.client.call(
                "POST",
                "/a b%2Fc",
                name="x",
                params={"types": ["ITEM", "TAX"], "full": True, "none": None, "q": "ü&="},
                json={"quantity": Decimal("1"), "price": Decimal("12.50"), "name": "Crème"},
                headers={"accept": "text/plain"},
            )
        request = vendor.seen[0]
        assert request.path == "/a%20b%2Fc"
        assert request.query == {"types": ["ITEM", "TAX"], "full": ["true"], "q": ["ü&="]}
        assert json.loads(request.body) == {"quantity": 1, "price": 12.5, "name": "Crème"}
        assert request.headers["content-type"] == "application/json"
        assert request.headers["square-version"] == "2025-08-20"
        assert request.headers["accept"] == "text/plain"
        assert request.headers["x-correlation-id"] == "cause-1"

    def test_form_is_encoded_as_one(self, vendor: Vendor, desk: Desk) -> None:
        desk.client.call("POST", "/token", name="sign_in", form={"grant_type": "password", "p": "a b&c"})
        assert vendor.seen[0].form() == {"grant_type": "password", "p": "a b&c"}

    def test_query_in_the_path_is_kept_and_added_to(self, vendor: Vendor, desk: Desk) -> None:
        desk.client.call("GET", "/query?page=2", name="x", params=[("limit", 5)])
        assert vendor.seen[0].query == {"page": ["2"], "limit": ["5"]}

    def test_one_connection_serves_many_calls(self, vendor: Vendor, desk: Desk) -> None:
        with counted_connections() as opened:
            for _ in range(20):
                desk.get()
        assert len(opened) == 1

    @pytest.mark.parametrize("announced", [b"Connection: close\r\n", b""], ids=["announced", "in silence"])
    def test_connection_the_vendor_closed_is_not_used_again(self, announced: bytes) -> None:
        with listening(lambda client: client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + announced + b"\r\n{}")) as server:
            desk = Desk(server.url)
            for number in range(3):
                assert desk.post().status == 200  # a write: it would not be repeated
                wait_until(lambda number=number: server.closed == number + 1)
        assert server.connections == 3

    @pytest.mark.parametrize(
        "headers", [{"X-Hotel": "a\r\nX-Evil: 1"}, {"X-Hotel": "a\nb"}, {"X-Hotel": "a\x00"}, {"X-Hotel": "ü"}, {"X\r\nY": "a"}, {"X-Hotel": " a"}]
    )  # fmt: skip
    def test_header_cannot_break_the_request(self, vendor: Vendor, desk: Desk, headers: dict[str, str]) -> None:
        with pytest.raises(RequestRejected) as caught:
            desk.get(headers=headers)
        assert "Evil" not in str(caught.value)
        assert vendor.seen == []

    @pytest.mark.parametrize("path", ["/orders/../admin", "/orders/..", "/./x", "/orders/%2e%2E/admin", "/orders/.%2e"])
    def test_path_cannot_climb(self, vendor: Vendor, desk: Desk, path: str) -> None:
        with pytest.raises(RequestRejected):
            desk.client.call("GET", path, name="x")
        assert vendor.seen == []

    @pytest.mark.parametrize("path", ["/a\r\nX-Evil: 1", "/a\nb", "/a b?c=d\r\n", "/\u2028", "//evil.example/x", "/x#y"])
    def test_path_cannot_break_the_request(self, path: str) -> None:
        with listening(plain_answer()) as server:
            Desk(server.url).client.call("GET", path, name="x")
        first, *rest = server.received[0].split(b"\r\n")
        assert first.startswith(b"GET /")
        assert first.endswith(b" HTTP/1.1")
        assert not any(line.lower().startswith(b"x-evil") for line in rest)


@contextmanager
def counted_connections() -> Iterator[list[Any]]:
    opened: list[Any] = []
    connect = socket.socket.connect

    def counting(self: socket.socket, target: Any) -> None:
        opened.append(target)
        connect(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", counting)
        yield opened


class TestAnswer:
    def test_fractions_are_decimals(self) -> None:
        answer = Response(status=200, content=b'{"price": 12.50, "count": 3, "big": 1e3}')
        assert answer.json() == {"price": Decimal("12.50"), "count": 3, "big": Decimal(1000)}
        assert str(answer.json()["price"]) == "12.50"

    def test_headers_are_found_in_any_case(self) -> None:
        assert Response(status=200, headers={"ETag": "x"}).headers["etag"] == "x"

    @pytest.mark.parametrize(
        "content",
        [b"", b"<html>", b"{", b'{"a": 1, "a": 2}', b'{"a": nan}', b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'"\xe4"', b"{} {}", b"'a'"],
        ids=lambda content: ascii(content[:20]),
    )  # fmt: skip
    def test_what_is_not_clean_json_is_refused(self, content: bytes) -> None:
        with pytest.raises(UnexpectedResponse, match="Square answered with something that "):
            Response(status=200, content=content, provider="Square").json()

    @pytest.mark.parametrize(
        "odd", ["NaN", "-Infinity", "1e999999999", "-1e-999999999", "1.5e1000000000000000000", "9" * 1_000_000, "[" * 100_000 + "]" * 100_000,
                '{"a":' * 100_000 + "1" + "}" * 100_000],
        ids=lambda odd: odd[:20],
    )  # fmt: skip
    def test_odd_value_keeps_out_neither_its_neighbours_nor_time(self, odd: str) -> None:
        started = time.process_time()
        first, second = Response(status=200, content=f'[{{"a": {odd}, "b": "[{{"}}, {{"a": 1}}]'.encode()).rows()
        assert time.process_time() - started < 0.5
        assert (first["b"], second) == ("[{", {"a": 1})
        with pytest.raises(RecordRejected, match=r"^a: "):
            values.amount(first["a"], "a")

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"[]", "an empty list"),
            (b"{}", "an empty object"),
            (b'{"menus": [], "count": 0}', "an object with menus, count"),
            (b'{"menuItems": null}', "null"),
            (b'{"menuItems": {"1": {}}}', "an object with 1"),
        ],
    )
    def test_missing_list_is_not_an_empty_one(self, content: bytes, what: str) -> None:
        with pytest.raises(UnexpectedResponse, match=f"Simphony's answer has no (list )?“menuItems”: it is {what}"):
            Response(status=200, content=content, provider="Simphony").rows("menuItems")

    def test_declared_charset_is_read_if_it_is_a_plain_one(self) -> None:
        assert Response(status=200, content=b'"\xe4"', headers={"Content-Type": "application/json; charset=ISO-8859-1"}).json() == "ä"
        assert Response(status=200, content=b'"a"', headers={"Content-Type": "text/plain; charset=zlib"}).text == '"a"'
        assert Response(status=200, content=b"\xef\xbb\xbf[]").json() == []


class TestTime:
    """Small limits, so that the tests are quick. Every one of these vendors would hold a worker for three seconds or for ever."""

    PATIENCE = Policy(connect_seconds=0.3, read_seconds=0.3, total_seconds=0.6, attempts=1)

    def ends(self, url: str, error: type[HospientError] = ProviderUnavailable, policy: Policy = PATIENCE, **more: Any) -> ProviderError:
        started = time.monotonic()
        with pytest.raises(error) as caught:
            Desk(url, policy=policy).post(**more)
        assert time.monotonic() - started < policy.total_seconds + 2
        return caught.value

    def test_silent_vendor_ends_after_the_read_time(self) -> None:
        with listening(lambda client: time.sleep(3)) as server:
            error = self.ends(server.url)
        assert error.message == "Square did not answer in time."
        assert error.maybe_done

    @pytest.mark.parametrize(
        "beginning",
        [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n"],
        ids=["status line", "header", "body", "chunk size", "body without end", "continue"],
    )  # fmt: skip
    def test_one_byte_at_a_time_ends_after_the_total(self, beginning: bytes) -> None:
        def drip(client: socket.socket) -> None:
            client.sendall(beginning)
            for _ in range(60):
                client.sendall(b"1")
                time.sleep(0.05)

        with listening(drip) as server:
            error = self.ends(server.url, HospientError)
        assert error.maybe_done

    def test_endless_headers_end(self) -> None:
        def babble(client: socket.socket) -> None:
            client.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                client.sendall(b"X-More: and more\r\n" * 100)

        with listening(babble) as server:
            error = self.ends(server.url, UnexpectedResponse)
        assert "not proper HTTP" in error.message

    def test_endless_body_ends(self) -> None:
        def babble(client: socket.socket) -> None:
            client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                client.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")

        with listening(babble) as server:
            error = self.ends(server.url, UnexpectedResponse, Policy(total_seconds=3, max_bytes=2**20))
        assert "larger than 1 MiB" in error.message

    def test_endless_trickle_that_never_pauses_ends_after_the_total(self) -> None:
        def babble(client: socket.socket) -> None:
            client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                client.sendall(b"1\r\nx\r\n" * 20)

        with listening(babble) as server:
            error = self.ends(server.url, policy=Policy(total_seconds=0.4, attempts=1))
        assert error.message == "Square did not answer in time."

    def test_port_nobody_listens_at_is_a_definite_failure(self) -> None:
        with listening(plain_answer()) as server:
            pass
        error = self.ends(server.url)
        assert "accepts no connection" in error.message
        assert not error.maybe_done

    def test_full_queue_ends_after_the_connect_time(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            crowd = [socket.socket() for _ in range(4)]
            for waiting in crowd:
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
            error = self.ends(f"http://127.0.0.1:{listener.getsockname()[1]}")
            for waiting in crowd:
                waiting.close()
        assert "does not answer" in error.message
        assert not error.maybe_done

    def test_vendor_that_reads_nothing_ends(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            error = self.ends(f"http://127.0.0.1:{listener.getsockname()[1]}", json={"x": "y" * 20_000_000})
        assert error.maybe_done

    def test_all_tries_of_a_call_share_the_total(self) -> None:
        with listening(lambda client: time.sleep(3)) as server:
            desk = Desk(server.url, policy=Policy(connect_seconds=0.3, read_seconds=0.3, total_seconds=0.7, attempts=30))
            started = time.monotonic()
            with pytest.raises(ProviderUnavailable):
                desk.get()
        assert time.monotonic() - started < 5
        assert 1 <= len(desk.log) <= 3


class TestSize:
    def get(self, body: bytes, headers: str = "", **policy: Any) -> tuple[Response, Any]:
        with listening(plain_answer(body, headers=headers)) as server:
            return Desk(server.url, policy=Policy(attempts=1, **policy)).get(), server

    def test_gzip_is_asked_for_and_unpacked(self) -> None:
        answer, server = self.get(gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip\r\n")
        assert answer.json() == {"a": 1}
        assert b"Accept-Encoding: gzip\r\n" in server.received[0]

    def test_bomb_is_refused_before_it_goes_off(self) -> None:
        packer = zlib.compressobj(9, wbits=31)
        bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
        started = time.thread_time()
        with pytest.raises(UnexpectedResponse, match="larger than 10 MiB"):
            self.get(bomb, "Content-Encoding: gzip\r\n")
        assert time.thread_time() - started < 1

    @pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,deflate", "br", "deflate", "zstd", "compress"])
    def test_layers_and_other_encodings_are_refused(self, encoding: str) -> None:
        with pytest.raises(UnexpectedResponse, match="compressed in a way we did not ask for"):
            self.get(gzip.compress(gzip.compress(b"{}")), f"Content-Encoding: {encoding}\r\n")

    def test_limit_is_exact(self) -> None:
        assert len(self.get(b"x" * 1000, max_bytes=1000)[0].content) == 1000
        with pytest.raises(UnexpectedResponse):
            self.get(b"x" * 1001, max_bytes=1000)

    @pytest.mark.parametrize("cut", [0, 1, 5])
    def test_truncated_body_is_no_answer(self, cut: int) -> None:
        body = gzip.compress(b'{"a": 1}')

        def answer(client: socket.socket) -> None:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n" + body[:cut])

        with listening(answer) as server, pytest.raises(ProviderUnavailable, match="broke off"):
            Desk(server.url, policy=Policy(attempts=1)).get()

    @pytest.mark.parametrize("head", [b"SSH-2.0-OpenSSH_9\r\n", b"\x00\xff" * 50 + b"\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
                                      b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n"], ids=["ssh", "noise", "status", "101 headers", "long header"])  # fmt: skip
    def test_what_is_not_http_is_no_answer(self, head: bytes) -> None:
        with listening(lambda client: client.sendall(head)) as server, pytest.raises(UnexpectedResponse, match="not proper HTTP") as caught:
            Desk(server.url, policy=Policy(attempts=1)).post()
        assert caught.value.maybe_done


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind", "maybe_done"),
        [
            (400, RequestRejected, False), (401, AuthenticationFailed, False), (402, RequestRejected, False), (403, AuthenticationFailed, False),
            (404, RequestRejected, False), (405, RequestRejected, False), (408, ProviderUnavailable, True), (409, VersionConflict, False),
            (410, RequestRejected, False), (412, VersionConflict, False), (413, RequestRejected, False), (415, RequestRejected, False),
            (418, RequestRejected, False), (422, RequestRejected, False), (425, ProviderUnavailable, True), (429, RateLimited, False),
            (500, ProviderUnavailable, True), (501, ProviderUnavailable, True), (502, ProviderUnavailable, True), (503, ProviderUnavailable, True),
            (504, ProviderUnavailable, True), (599, ProviderUnavailable, True), (302, RequestRejected, False), (303, RequestRejected, True),
            (304, RequestRejected, False), (206, UnexpectedResponse, True),
        ],
    )  # fmt: skip
    def test_status_gives_its_class_and_a_sentence(
        self, vendor: Vendor, desk: Desk, status: int, kind: type[ProviderError], maybe_done: bool
    ) -> None:
        vendor.answers = [SimResponse(status=status)]
        with correlation.bind("cause-1"), pytest.raises(ProviderError) as caught:
            desk.post()
        error = caught.value
        assert type(error) is kind
        assert (error.provider, error.operation, error.status, error.correlation_id) == ("Square", "post_guest_check", status, "cause-1")
        assert error.maybe_done is maybe_done
        assert "Square" in error.message
        assert "vendor" not in error.message
        assert error.message.endswith(f"(HTTP {status}).")
        assert len(vendor.seen) == 1

    def test_expected_status_is_no_error(self, vendor: Vendor, desk: Desk) -> None:
        vendor.answers = [SimResponse(status=404), SimResponse(status=304)]
        assert desk.get(expect=(200, 404)).status == 404
        assert desk.get(expect=(200, 304)).status == 304

    RULES = ErrorRules(
        read=lambda answer: (answer.json()["code"], answer.json().get("detail", "")),
        table={
            (None, "VERSION_MISMATCH"): VersionConflict,
            (500, "GONE"): RequestRejected,
            (403, "LIMIT"): RateLimited,
            (401, "REVOKED"): ReauthorizationRequired,
            (300, ""): RequestRejected,
            (None, "LATER"): ProviderUnavailable,
        },
    )

    @pytest.mark.parametrize(
        ("status", "body", "kind", "maybe_done"),
        [
            (400, {"code": "VERSION_MISMATCH"}, VersionConflict, False),
            (500, {"code": "GONE"}, RequestRejected, False),
            (500, {"code": "OTHER"}, ProviderUnavailable, True),
            (403, {"code": "LIMIT"}, RateLimited, False),
            (300, {"code": "OTHER"}, RequestRejected, False),
            (400, {"code": "LATER"}, ProviderUnavailable, True),
            (400, {}, RequestRejected, False),
        ],
    )
    def test_vendors_rows_go_first(self, vendor: Vendor, status: int, body: Any, kind: type[ProviderError], maybe_done: bool) -> None:
        rules = ErrorRules(read=lambda answer: (answer.json().get("code", ""), ""), table=self.RULES.table)
        vendor.answers = [SimResponse(status=status, json=body)]
        with pytest.raises(ProviderError) as caught:
            Desk(vendor.url, errors=rules).post()
        assert type(caught.value) is kind
        assert caught.value.vendor_code == body.get("code", "")
        assert caught.value.maybe_done is maybe_done

    def test_row_may_name_a_class_of_the_vendors_own(self, vendor: Vendor) -> None:
        class AllowanceUsedUp(RateLimited):
            pass

        vendor.answers = [SimResponse(status=403, headers={"Retry-After": "60"})]
        with pytest.raises(AllowanceUsedUp, match="Square asked us to slow down") as caught:
            Desk(vendor.url, errors=ErrorRules(table={(403, ""): AllowanceUsedUp})).post()
        assert caught.value.retry_at == NOW + timedelta(seconds=60)

    def test_body_nobody_can_read_falls_back_to_the_status(self, vendor: Vendor) -> None:
        vendor.answers = [SimResponse(status=502, body=b"<html>Bad gateway</html>")]
        with pytest.raises(ProviderUnavailable):
            Desk(vendor.url, errors=self.RULES).post()

    def test_error_inside_of_a_success_is_found_where_the_vendor_puts_them(self, vendor: Vendor) -> None:
        rules = ErrorRules(read=lambda answer: (answer.json().get("code", ""), ""), in_success=True)
        vendor.answers = [SimResponse(json={"code": "BAD"}), SimResponse(json={"fine": 1})]
        desk = Desk(vendor.url, errors=rules)
        with pytest.raises(RequestRejected, match=r"Square refused the request \(BAD, HTTP 200\)\.") as caught:
            desk.post()
        assert not caught.value.maybe_done
        assert desk.post().json() == {"fine": 1}

    def test_vendors_own_words_are_redacted_then_cut(self, vendor: Vendor) -> None:
        rules = ErrorRules(read=lambda answer: (answer.json()["code"], answer.json()["detail"]))
        detail = "Guest ada@example.com with key EXAMPLE-KEY-1\r\nINFO forged " + "x" * 400
        vendor.answers = [SimResponse(status=400, json={"code": "BAD", "detail": detail, "card": "4111111111111111"})]
        with pytest.raises(RequestRejected) as caught:
            Desk(vendor.url, errors=rules, secrets=["EXAMPLE-KEY-1"]).post()
        message, excerpt = caught.value.message, caught.value.excerpt
        assert message.startswith("Square refused the request. It says: “Guest [redacted] with key [redacted]\\r\\nINFO forged xxx")
        assert message.endswith("” (BAD, HTTP 400).")
        assert len(message) < 400
        for leak in ("ada@", "EXAMPLE-KEY", "41111111"):
            assert leak not in message + excerpt

    def test_answer_to_a_write_that_cannot_be_read_may_have_been_done(self, vendor: Vendor, desk: Desk) -> None:
        vendor.answers = [SimResponse(body=b"<html>"), SimResponse(body=b"<html>")]
        for answer, maybe_done in ((desk.post(), True), (desk.post(safe=True), False)):
            with pytest.raises(UnexpectedResponse) as caught:
                answer.json()
            assert caught.value.maybe_done is maybe_done
            assert caught.value.operation == "post_guest_check"

    def test_answer_that_never_comes_may_have_been_done(self, vendor: Vendor, desk: Desk) -> None:
        vendor.fail("drop_after")
        with pytest.raises(ProviderUnavailable, match="broke off") as caught:
            desk.post()
        assert caught.value.maybe_done
        assert len(vendor.seen) == 1


class TestRepeating:
    @pytest.mark.parametrize(
        "fault", [{"kind": "status", "status": 500}, {"kind": "status", "status": 408}, {"kind": "status", "status": 429}, {"kind": "drop"}]
    )
    def test_read_is_repeated_a_write_is_not(self, vendor: Vendor, desk: Desk, fault: dict[str, Any]) -> None:
        vendor.fail(**fault, times=3)
        assert desk.get().status == 200
        assert len(vendor.requests) == 4
        vendor.fail(**fault)
        with pytest.raises(ProviderError):
            desk.post()
        assert len(vendor.requests) == 5

    def test_write_with_the_vendors_own_key_is_repeated(self, vendor: Vendor, desk: Desk) -> None:
        vendor.fail("drop_after")
        assert desk.post(safe=True).status == 200
        assert len(vendor.seen) == 2

    def test_tries_are_bounded_and_waits_grow(self, vendor: Vendor, desk: Desk) -> None:
        vendor.fail("status", status=503, times=50)
        with pytest.raises(ProviderUnavailable):
            desk.get()
        assert len(vendor.requests) == 4
        assert [exchange.attempt for exchange in desk.log] == [1, 2, 3, 4]
        assert len(desk.waits) == 3
        assert all(0 <= wait <= 0.5 * 2**number for number, wait in enumerate(desk.waits))

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
    def test_refusal_is_not_repeated(self, vendor: Vendor, desk: Desk, status: int) -> None:
        vendor.fail("status", status=status, times=50)
        with pytest.raises(ProviderError):
            desk.get()
        assert len(vendor.requests) == 1

    @pytest.mark.parametrize("header", ["7", format_datetime(NOW + timedelta(seconds=7), usegmt=True)], ids=["seconds", "date"])
    @pytest.mark.parametrize("status", [429, 503])
    def test_vendors_wish_is_kept(self, vendor: Vendor, desk: Desk, status: int, header: str) -> None:
        vendor.fail("status", status=status, headers={"Retry-After": header})
        desk.get()
        assert len(desk.waits) == 1
        assert 7 <= desk.waits[0] <= 7.7

    @pytest.mark.parametrize(
        ("header", "seconds"), [("31", 31), ("3600", 3600), ("99999999", 86_400), (format_datetime(NOW + timedelta(days=400), usegmt=True), 86_400)]
    )  # fmt: skip
    def test_wish_that_is_too_long_is_left_to_the_schedule(self, vendor: Vendor, desk: Desk, header: str, seconds: int) -> None:
        vendor.fail("status", status=429, headers={"Retry-After": header})
        with pytest.raises(RateLimited) as caught:
            desk.get()
        assert caught.value.retry_at == NOW + timedelta(seconds=seconds)
        assert desk.waits == []

    def test_wishes_add_up(self, vendor: Vendor, desk: Desk) -> None:
        vendor.fail("status", status=429, headers={"Retry-After": "12"}, times=50)
        with pytest.raises(RateLimited):
            desk.get()
        assert len(desk.waits) == 2

    def test_write_is_told_when_to_come_back(self, vendor: Vendor, desk: Desk) -> None:
        vendor.fail("status", status=429, headers={"Retry-After": "5"})
        with pytest.raises(RateLimited, match="Square asked us to slow down") as caught:
            desk.post()
        assert caught.value.retry_at == NOW + timedelta(seconds=5)

    @pytest.mark.parametrize(
        "header", ["", "soon", "-5", "1_000", "٣", "1e3", "9" * 40, "Sat, 99 Foo 2026 99:99:99 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "nan"]
    )
    def test_wish_nobody_can_read_is_none(self, header: str) -> None:
        assert retry_after(header, NOW) in (None, NOW)

    def test_herd_does_not_come_back_together(self) -> None:
        random.seed(1)
        waits = [backoff_seconds(4) for _ in range(4000)]
        buckets = [sum(second <= wait < second + 1 for wait in waits) for second in range(4)]
        assert max(buckets) < 1.2 * sum(buckets) / len(buckets)
        assert max(backoff_seconds(60) for _ in range(100)) <= 8


class Refusing:
    """A breaker or a budget that refuses from its n-th question on."""

    def __init__(self, after: int, error: Callable[[], HospientError]) -> None:
        self.after = after
        self.error = error
        self.told: list[str] = []

    def before(self, patience: float = 0) -> None:
        if self.after <= 0:
            raise self.error()
        self.after -= 1

    acquire = before

    def success(self) -> None:
        self.told.append("success")

    def failure(self) -> None:
        self.told.append("failure")


class TestBreakerAndBudget:
    @pytest.mark.parametrize(
        ("answer", "told"),
        [(200, "success"), (404, "success"), (401, "success"), (429, "success"), (500, "failure"), (408, "failure")],
    )  # fmt: skip
    def test_breaker_hears_whether_the_vendor_is_there(self, vendor: Vendor, answer: int, told: str) -> None:
        breaker = Refusing(99, CircuitOpen)
        vendor.answers = [SimResponse(status=answer)]
        with suppress(ProviderError):
            Desk(vendor.url, breaker=breaker).post()
        assert breaker.told == [told]

    def test_open_breaker_calls_nobody_and_names_the_vendor(self, vendor: Vendor) -> None:
        with pytest.raises(CircuitOpen, match="Square failed several times in a row") as caught:
            Desk(vendor.url, breaker=Refusing(0, lambda: CircuitOpen(retry_at=NOW))).post()
        assert (caught.value.retry_at, caught.value.operation, caught.value.maybe_done) == (NOW, "post_guest_check", False)
        assert vendor.requests == []

    def test_breaker_that_opens_between_tries_does_not_hide_what_happened(self, vendor: Vendor) -> None:
        vendor.fail("status", status=503, times=9)
        with pytest.raises(ProviderUnavailable, match="HTTP 503"):
            Desk(vendor.url, breaker=Refusing(2, CircuitOpen)).get()
        assert len(vendor.requests) == 2

    def test_every_try_costs_budget(self, vendor: Vendor) -> None:
        vendor.fail("status", status=503, times=2)
        budget = Refusing(3, RateLimited)
        assert Desk(vendor.url, budget=budget).get().status == 200
        assert budget.after == 0


class TestLog:
    def test_each_try_is_one_entry_without_secrets(self, vendor: Vendor) -> None:
        secret = "EXAMPLE-KEY-1"
        desk = Desk(vendor.url, auth=BasicAuth("hotel", secret), secrets=[secret])
        vendor.answers = [
            SimResponse(status=503, json={"echo": f"key {secret}"}, headers={"X-Echo": secret}),
            SimResponse(json={"objects": [{"id": number} for number in range(100)], "access_token": "abc"}),
        ]
        with correlation.bind("cause-1"):
            desk.post(safe=True, params={"key": secret}, json={"guest": {"name": "Ada"}, "note": secret, "amount": 5})
        first, second = desk.log
        assert (first.status, first.http_status, first.error_code, first.attempt) == ("failed", 503, "provider_unavailable", 1)
        assert (second.status, second.http_status, second.error_code, second.attempt) == ("success", 200, "", 2)
        assert second.operation_name == "post_guest_check"
        assert second.correlation_id == "cause-1"
        assert second.request_data["body"] == {"guest": {"name": "[redacted]"}, "note": "[redacted]", "amount": 5}
        assert second.response_data["body"] == {"objects": [{"id": 0}, {"id": 1}, {"id": 2}, "… 97 more"], "access_token": "[redacted]"}
        assert second.processing_time >= 0
        text = (
            json.dumps([first.request_data, first.response_data, second.request_data, second.response_data])
            + first.url
            + first.error_message
        )
        assert secret not in text
        assert "hotel:" not in text
        assert "aG90ZWw6" not in text

    def test_nothing_of_a_call_is_in_a_repr_or_in_the_servers_own_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        with listening(plain_answer(b'{"s3cr3t": 1}', headers="no header at all s3cr3t\r\nSet-Cookie: s3cr3t\r\n")) as server:
            answer = Desk(server.url).post(json={"x": "s3cr3t"}, headers={"X-Key": "s3cr3t"})
        assert "s3cr3t" not in repr(answer) + caplog.text

    def test_call_without_an_answer_is_an_entry_too(self, vendor: Vendor, desk: Desk) -> None:
        vendor.fail("drop")
        with pytest.raises(ProviderUnavailable):
            desk.post()
        assert (desk.log[0].http_status, desk.log[0].response_data, desk.log[0].error_code) == (None, {}, "provider_unavailable")


class Paged(Vendor):
    """Pages with a cursor."""

    count = 3

    @route("GET", "/list")
    def list(self, request: SimRequest) -> SimResponse:
        page = int(request.arg("cursor", "0"))
        self.seen.append(request)
        return SimResponse(json={"page": page, "cursor": str(page + 1) if page < self.count - 1 else ""})

    def handle(self, request: SimRequest) -> SimResponse:
        return self.list(request) if request.path == "/list" else super().handle(request)


def following(answer: Response) -> dict[str, Any] | None:
    cursor = answer.json()["cursor"]
    return {"params": {"cursor": cursor}} if cursor else None


class TestPages:
    @pytest.fixture
    def vendor(self) -> Iterator[Paged]:
        with running(Paged()) as served:
            served.simulator.url = served.url
            yield served.simulator

    def pages(self, desk: Desk, **more: Any) -> Iterator[Response]:
        return desk.client.pages("GET", "/list", **{"name": "menus", "next_request": following, **more})

    def test_all_pages_come_in_order_and_are_logged(self, vendor: Paged, desk: Desk) -> None:
        assert [answer.json()["page"] for answer in self.pages(desk)] == [0, 1, 2]
        assert [exchange.status for exchange in desk.log] == ["success"] * 3
        assert len(vendor.requests) == 3

    def test_next_page_is_under_way_while_the_caller_works(self, vendor: Paged, desk: Desk) -> None:
        pages = self.pages(desk)
        next(pages)
        wait_until(lambda: len(vendor.seen) == 2)
        assert len(desk.log) == 1  # told only when its turn comes, on the caller's thread
        next(pages)
        wait_until(lambda: len(vendor.seen) == 3)
        assert [answer.json()["page"] for answer in pages] == [2]
        assert len(vendor.seen) == 3

    def test_only_the_exchange_leaves_the_callers_thread(self, vendor: Paged) -> None:
        threads: set[int] = set()
        note = lambda *args, **more: threads.add(threading.get_ident())  # noqa: E731

        class Watching(HeaderAuth):
            def apply(self, headers: Any, caller: Any) -> None:
                note()

        watcher = Refusing(99, CircuitOpen)
        watcher.before = watcher.acquire = watcher.success = note  # type: ignore[method-assign]
        desk = Desk(vendor.url, breaker=watcher, budget=watcher, log=note, auth=Watching({}))
        assert len(list(self.pages(desk))) == 3
        assert threads == {threading.get_ident()}

    def test_a_long_list_is_looked_ahead_further(self, vendor: Paged, desk: Desk) -> None:
        vendor.count = 20
        pages = self.pages(desk)
        for given, under_way in ((1, 1), (2, 2), (3, 3), (4, 4), (5, 4)):
            next(pages)
            wait_until(lambda expected=given + under_way: len(vendor.seen) == expected)
        assert [answer.json()["page"] for answer in pages] == list(range(5, 20))
        assert len(vendor.seen) == len(desk.log) == 20

    def test_pages_fetched_ahead_carry_the_correlation_id(self, vendor: Paged, desk: Desk) -> None:
        vendor.count = 8
        with correlation.bind("c-1"):
            list(self.pages(desk))
        assert {request.headers["x-correlation-id"] for request in vendor.seen} == {"c-1"}

    def test_failure_far_ahead_is_repeated_when_its_turn_comes(self, vendor: Paged, desk: Desk) -> None:
        vendor.count = 8
        pages = self.pages(desk)
        [next(pages) for _ in range(3)]
        wait_until(lambda: len(vendor.seen) == 6)
        vendor.fail("status", status=503, times=1)
        assert [answer.json()["page"] for answer in pages] == [3, 4, 5, 6, 7]
        assert [exchange.status for exchange in desk.log] == ["success"] * 6 + ["failed"] + ["success"] * 2

    def test_failure_of_a_page_fetched_ahead_is_repeated(self, vendor: Paged, desk: Desk) -> None:
        pages = self.pages(desk)
        vendor.fail("status", status=503, match="zzz")
        next(pages)
        wait_until(lambda: len(vendor.seen) == 2)
        vendor.fail("drop", times=2)
        assert [answer.json()["page"] for answer in pages] == [1, 2]
        assert [exchange.status for exchange in desk.log] == ["success", "success", "failed", "failed", "success"]

    def test_page_before_a_failure_is_good(self, vendor: Paged, desk: Desk) -> None:
        vendor.faults = []
        pages = self.pages(desk, next_request=lambda answer: {"path": "/missing"})
        vendor.answers = [SimResponse(status=404)]
        assert next(pages).json()["page"] == 0
        with pytest.raises(RequestRejected):
            next(pages)

    def test_same_page_twice_ends_the_list_after_it(self, vendor: Paged, desk: Desk) -> None:
        pages = self.pages(desk, next_request=lambda answer: {"params": {"cursor": "1"}})
        assert [next(pages).json()["page"], next(pages).json()["page"]] == [0, 1]
        with pytest.raises(UnexpectedResponse, match="Square sent the same page twice"):
            next(pages)
        assert len(vendor.requests) == 2

    def test_list_without_an_end_ends(self, vendor: Paged, desk: Desk) -> None:
        counter = iter(range(1, 100))
        pages = self.pages(desk, limit=5, next_request=lambda answer: {"params": {"cursor": "0", "n": next(counter)}})
        with pytest.raises(UnexpectedResponse, match="more than 5 pages"):
            list(pages)
        assert len(vendor.requests) == 5

    def test_link_of_the_vendor_goes_without_the_first_parameters(self, vendor: Paged, desk: Desk) -> None:
        links = iter([{"path": f"{vendor.url}/list?cursor=1"}, {"path": "/list?cursor=2"}, None])
        list(self.pages(desk, params={"q": "SELECT Id"}, next_request=lambda answer: next(links)))
        assert [request.query for request in vendor.seen] == [{"q": ["SELECT Id"]}, {"cursor": ["1"]}, {"cursor": ["2"]}]

    def test_link_to_another_host_ends_the_list_after_the_page(self, vendor: Paged, desk: Desk) -> None:
        pages = self.pages(desk, next_request=lambda answer: {"path": "http://127.0.0.1:9/list"})
        next(pages)
        with pytest.raises(EgressBlocked, match="Square points to another host"):
            next(pages)

    def test_breaker_in_the_way_of_looking_ahead_is_met_when_its_turn_comes(self, vendor: Paged) -> None:
        pages = self.pages(Desk(vendor.url, breaker=Refusing(1, CircuitOpen)))
        assert next(pages).json()["page"] == 0
        with pytest.raises(CircuitOpen):
            next(pages)

    def test_caller_that_stops_early_leaves_nothing_behind(self, vendor: Paged, desk: Desk) -> None:
        pages = self.pages(desk)
        next(pages)
        wait_until(lambda: len(vendor.seen) == 2)
        vendor.fail("slow", seconds=3)
        next(pages)
        wait_until(lambda: len(vendor.requests) == 3)
        started = time.monotonic()
        pages.close()
        wait_until(lambda: not any(thread.name.startswith("look-ahead") for thread in threading.enumerate()))
        assert time.monotonic() - started < 2.5
        assert len(desk.log) == 2
