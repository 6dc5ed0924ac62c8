"""What stands between a connection and Django: complete requests only, honest headers, and an address's share of connections."""

import asyncio
import io
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.core.management import CommandError, call_command

from hospient import server
from hospient.connections import Guard
from hospient.rsgi import MEMORY_BYTES, Body, Console, Disk, Everything, Refused, environ_of, headers_of, receive
from hotels.addresses import client_address


class Headers:
    """As Granian has them: a value that is not ASCII is named among the keys alone."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def keys(self) -> list[str]:
        return list(dict(self.pairs))

    def items(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.pairs if value.isascii()]


class Protocol:
    """A body that arrives in parts; Granian ends it by an empty one, and one that breaks off by another."""

    def __init__(self, *parts: bytes, pause: float = 0, is_broken: bool = False) -> None:
        self.parts = [*parts, b"", *([b""] if is_broken else [])]
        self.pause, self.is_broken = pause, is_broken
        self.read = 0
        self.answer: tuple[int, dict[str, str], bytes] | None = None

    async def __aiter__(self) -> Any:
        for part in self.parts:
            await asyncio.sleep(self.pause)
            self.read += len(part)
            yield part

    async def __call__(self) -> bytes:
        whole = b"".join([part async for part in self])
        if self.is_broken:
            raise RuntimeError
        return whole

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = status, dict(headers), body


def scope(*headers: tuple[str, str], method: str = "GET", path: str = "/api/nowhere", **facts: Any) -> Any:
    known = {"query_string": "", "http_version": "1.1", "scheme": "http", "server": "10.0.0.9:8000", "client": "127.0.0.1:51234"} | facts
    return SimpleNamespace(method=method, path=path, headers=Headers([("host", "testserver"), *headers]), **known)


def request(*headers: tuple[str, str], **facts: Any) -> WSGIRequest:
    asked = scope(*headers, **facts)
    return WSGIRequest(environ_of(asked, headers_of(asked), io.BytesIO(), 0))


def body_of(protocol: Protocol, **headers: str) -> bytes:
    into = io.BytesIO()
    length = asyncio.run(receive(protocol, {name.replace("_", "-"): value for name, value in headers.items()}, into))
    assert length == len(into.getvalue())
    return into.read()


def refused(protocol: Protocol, **headers: str) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        body_of(protocol, **headers)
    body = json.loads(refusal.value.outcome.body)
    assert set(body) >= {"type", "errors", "hint", "correlation_id"}
    return refusal.value.outcome.status, body["errors"][0]["code"]


class TestBodies:
    def test_a_whole_body_is_handed_on(self) -> None:
        assert body_of(Protocol(b"a", b"bc"), content_length="3") == b"abc"
        assert body_of(Protocol(b"a", b"bc"), transfer_encoding="chunked") == b"abc"
        assert body_of(Protocol(*[b"x" * 1000] * 100), content_length="100000") == b"x" * 100_000

    def test_without_a_length_nothing_is_read(self) -> None:
        for headers in ({}, {"content_length": "0"}):
            protocol = Protocol(b"abc")
            assert body_of(protocol, **headers) == b""
            assert protocol.read == 0

    def test_what_ends_early_is_refused(self) -> None:
        assert refused(Protocol(b"ab"), content_length="3") == (400, "body_incomplete")
        assert refused(Protocol(b"ab", is_broken=True), content_length="3") == (400, "body_incomplete")
        assert refused(Protocol(b"ab", is_broken=True), content_length="100000") == (400, "body_incomplete")
        assert refused(Protocol(b"ab", is_broken=True), transfer_encoding="chunked") == (400, "body_incomplete")

    def test_what_is_too_slow_is_refused(self, settings: Any) -> None:
        settings.SERVER_BODY_TIMEOUT = 1
        for headers in ({"content_length": "3"}, {"transfer_encoding": "chunked"}):
            assert refused(Protocol(b"a", b"b", b"c", pause=0.01), **headers) == (408, "body_too_slow")

    def test_what_is_too_long_is_refused_after_it_was_read(self, settings: Any) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE, settings.WEBHOOK_MAX_BYTES = 10, 4
        assert body_of(Protocol(b"x" * 10), content_length="10") == b"x" * 10
        for headers in ({"content_length": "11"}, {"transfer_encoding": "chunked"}):
            protocol = Protocol(b"x" * 6, b"x" * 5)
            assert refused(protocol, **headers) == (413, "too_large")
            assert protocol.read == 11

    def test_what_is_much_too_long_is_refused_before(self, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
        monkeypatch.setattr("hospient.rsgi.DISCARDED_BYTES", 20)
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = settings.WEBHOOK_MAX_BYTES = 10
        declared, endless = Protocol(b"x" * 31), Protocol(*[b"x" * 10] * 100)
        assert refused(declared, content_length="31") == (413, "too_large")
        assert refused(endless, transfer_encoding="chunked") == (413, "too_large")
        assert (declared.read, endless.read) == (0, 40)

    def test_large_bodies_share_the_disk_and_small_ones_need_none(self) -> None:
        disk = Disk(150_000)
        with Body(disk) as first, Body(disk) as small:
            first.write(b"x" * 60_000)
            assert disk.left == 150_000
            first.write(b"x" * 60_000)
            assert disk.left == 30_000
            small.write(b"x" * MEMORY_BYTES)
            with Body(disk) as second, pytest.raises(Refused) as refusal:
                second.write(b"x" * 100_000)
            assert (refusal.value.outcome.status, refusal.value.outcome.retry_after) == (503, 5)
            assert disk.left == 30_000
        assert disk.left == 150_000


class TestHeaders:
    def test_a_name_with_an_underscore_is_left_out(self, settings: Any) -> None:
        settings.TRUSTED_PROXIES = 1
        forged = request(
            ("x-forwarded-for", "203.0.113.7"), ("x_forwarded_for", "127.0.0.1"), ("content_length", "5"), ("remote_addr", "::1")
        )
        assert client_address(forged) == "203.0.113.7"
        assert forged.META["CONTENT_LENGTH"] == "0"
        assert forged.META["REMOTE_ADDR"] == "127.0.0.1"
        assert client_address(request(("x_forwarded_for", "127.0.0.1"))) == ""

    def test_several_of_one_name_are_one_in_their_order(self, settings: Any) -> None:
        settings.TRUSTED_PROXIES = 1
        given = request(("x-forwarded-for", "6.6.6.6"), ("cookie", "a=1"), ("x-forwarded-for", "203.0.113.7:80"), ("cookie", "b=2"))
        assert client_address(given) == "203.0.113.7"
        assert given.COOKIES == {"a": "1", "b": "2"}

    def test_what_cannot_be_read_does_not_count_as_not_sent(self, settings: Any) -> None:
        settings.TRUSTED_PROXIES = 1
        assert client_address(request(("x-forwarded-for", "127.0.0.1\xa0"))) == ""
        settings.TRUSTED_PROXIES = 0
        assert "X-Forwarded-For" in request(("x-forwarded-for", "127.0.0.1\xa0")).headers

    def test_nothing_of_our_environment_is_a_header(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://user:secret@proxy")
        assert "secret" not in str(request().META)

    @pytest.mark.parametrize(
        ("client", "address"), [("203.0.113.7:80", "203.0.113.7"), ("[2001:db8::1]:80", "2001:db8::1"), ("[::ffff:1.2.3.4]:80", "1.2.3.4")]
    )
    def test_the_sockets_address(self, client: str, address: str) -> None:
        assert client_address(request(client=client)) == address

    def test_an_address_with_any_character_is_what_was_asked(self) -> None:
        asked = request(path="/ä/\x00/水", query_string="q=%E6%B0%B4")
        assert (asked.path_info, asked.GET["q"]) == ("/ä/\x00/水", "水")

    def test_a_long_head_is_refused(self, settings: Any) -> None:
        settings.SERVER_HEAD_BYTES = 8192
        assert headers_of(scope(("a", "x" * 8000)))
        for long in (scope(("a", "x" * 8192)), scope(*[(f"a{n}", "x" * 100) for n in range(90)])):
            with pytest.raises(Refused) as refusal:
                headers_of(long)
            assert refusal.value.outcome.status == 431


class TestConsole:
    def test_django_answers_what_is_complete(self) -> None:
        protocol = Protocol()
        asyncio.run(Console().__rsgi__(scope(), protocol))
        status, headers, body = protocol.answer
        assert (status, json.loads(body)["errors"][0]["code"]) == (404, "not_found")
        assert headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize("charset", ["zlib", "utf-16", "rot13"])
    def test_a_charset_that_is_no_text_computes_nothing(self, charset: str) -> None:
        protocol = Protocol(b"a=1")
        kind = f"application/x-www-form-urlencoded; charset={charset}"
        sent = scope(("content-length", "3"), ("content-type", kind), method="POST", path="/api/integrations", query_string="provider=a")
        asyncio.run(Console().__rsgi__(sent, protocol))
        assert protocol.answer[0] == 415

    def test_what_is_not_takes_no_thread(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.SERVER_BODY_TIMEOUT = 1
        monkeypatch.setattr(Console, "_ask", lambda *args: pytest.fail("Django was asked"))
        protocol = Protocol(b"{", b"}", pause=0.01)
        asyncio.run(Console().__rsgi__(scope(("content-length", "2"), method="POST", path="/api/auth/token"), protocol))
        status, headers, _ = protocol.answer
        assert (status, headers["connection"]) == (408, "close")

    @pytest.mark.parametrize(
        ("path", "to"),
        [
            ("/api/webhooks/1", "door"), ("/api/webhooks/health", "door"), ("/api/webhooks/1/secret", "door"),
            ("/api/webhooks", "console"), ("/api/integrations/1/webhook-events", "console"), ("/admin/", "console"),
        ],
    )  # fmt: skip
    def test_one_process_serves_all_and_webhooks_go_past_django(self, path: str, to: str) -> None:
        class Application:
            def __init__(self, name: str) -> None:
                self.name = name

            async def __rsgi__(self, scope: Any, protocol: Any) -> None:
                protocol.response_bytes(200, [], self.name.encode())

        protocol = Protocol()
        asyncio.run(Everything(Application("console"), Application("door")).__rsgi__(scope(path=path), protocol))
        assert protocol.answer[2].decode() == to


class TestConnections:
    @pytest.fixture
    def listener(self) -> Iterator[socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener

    def connect(self, stack: ExitStack, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
        outside = stack.enter_context(socket.create_connection(listener.getsockname()))
        inside = stack.enter_context(listener.accept()[0])
        outside.settimeout(5)
        return outside, inside

    def test_what_an_address_holds_beyond_its_share_is_closed(self, listener: socket.socket) -> None:
        with ExitStack() as stack:
            held = [self.connect(stack, listener) for _ in range(5)]
            assert Guard(5, 1000).look() == 0
            assert Guard(3, 1000).look() == 2
            ends = []
            for outside, _ in held:
                outside.setblocking(False)
                try:
                    ends.append(outside.recv(1) == b"")
                except BlockingIOError:
                    ends.append(False)
            assert sum(ends) == 2

    def test_none_is_closed_behind_proxies_nor_one_that_we_opened(self, listener: socket.socket) -> None:
        with ExitStack() as stack:
            pairs = [self.connect(stack, listener) for _ in range(4)]
            assert Guard(0, 1000).look() == 0
            listener.close()  # now nobody of this process listens there: to it these are connections it made itself
            assert Guard(2, 1000).look() == 0
            pairs[0][0].sendall(b"x")
            assert pairs[0][1].recv(1) == b"x"

    @pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux")
    def test_what_is_accepted_has_a_time_for_its_answer(self, listener: socket.socket) -> None:
        guard = Guard(100, 4321)
        guard.look()
        with ExitStack() as stack:
            _, inside = self.connect(stack, listener)
            assert inside.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 4321

    def test_who_was_answered_last_stays(self, listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
        with ExitStack() as stack:
            held = [self.connect(stack, listener) for _ in range(4)]
            idle = {outside.getsockname()[1]: number for number, (outside, _) in zip((3, 900, 1, 800), held, strict=True)}
            monkeypatch.setattr("hospient.connections._idle_milliseconds", lambda one: idle[one.getpeername()[1]])
            assert Guard(2, 1000).look() == 2
            for number in (1, 3):
                assert held[number][0].recv(1) == b""
            for number in (0, 2):
                held[number][1].sendall(b"x")
                assert held[number][0].recv(1) == b"x"


def test_a_server_is_started_with_the_limits_that_are_set(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SERVER_HEAD_TIMEOUT, settings.SERVER_HEAD_BYTES, settings.SERVER_CONNECTIONS = 1234, 9000, 77
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, arguments: started.append(arguments))
    call_command("serve", "webhooks", "--port", "8001", "--workers", "2")
    [command] = started
    assert {
        "--http=1", "--no-ws", "--http1-header-read-timeout=1234", "--http1-buffer-size=9000", "--backpressure=77", "--port=8001", "--workers=2",
        f"--workers-kill-timeout={server.STOP_SECONDS}", "hospient.server:webhooks",
    } <= set(command)  # fmt: skip


@pytest.mark.parametrize("name", server.RANGES)
def test_a_limit_that_cannot_be_kept_stops_the_start_by_name(name: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.execv", lambda *arguments: pytest.fail("it started"))
    for value in (0, 10**9):
        setattr(settings, name, value)
        with pytest.raises(CommandError, match=name):
            call_command("serve")
