"""Serves a provider's simulator over real HTTP: for the demo, the tests and the screenshots.

A simulator is the vendor in small: stateful, in its own wire format, with its own errors. It can be told to fail, from the same
process or over HTTP at `/_simulator/`, because what a vendor does when it is unwell is most of what an integration must get right.

Whatever is sent is answered: what is not HTTP or not JSON with the vendor's own refusal, and an exception inside a simulator with 500
and its traceback. Such an exception also stands in `Simulator.bugs`, and `running` raises it.
"""

import json
import random
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit


class MalformedError(ValueError):
    """What arrived is not HTTP, or its body not what its reader expects; answered by `Simulator.malformed`."""


@dataclass(slots=True, kw_only=True)
class SimRequest:
    """One request as the simulator sees it."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    args: Mapping[str, str] = field(default_factory=dict)
    """What the route's placeholders matched, unquoted."""

    def json(self) -> Any:
        """Return the body, `{}` if there is none. Raises MalformedError."""
        try:
            return json.loads(self.body, parse_constant=_not_json) if self.body else {}
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"The body is not JSON: {error}") from None

    def form(self) -> dict[str, str]:
        """Return the first value of each field. Raises MalformedError."""
        try:
            return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}
        except ValueError as error:
            raise MalformedError(f"The body is not a form: {error}") from None

    def arg(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return self.query.get(name, [default])[0]


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


@dataclass(slots=True, kw_only=True)
class SimResponse:
    status: int = 200
    json: Any = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        return self.body if self.json is None else json.dumps(self.json).encode()


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong at the next requests that match."""

    kind: str
    """`status` (answers `status`), `slow` (waits `seconds` first), `truncate` (cuts the body short), `drop` (closes without doing
    anything), `drop_after` (does it, then closes without an answer), or a simulator's own kind, seen through `Simulator.take`."""
    match: str = ""
    """Regular expression searched in "POST /v2/orders"; empty matches everything."""
    times: int = 1
    status: int = 500
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    probability: float = 1.0


Handler = Callable[[Any, SimRequest], SimResponse]


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Mark a simulator's method as the answer to `method` and a path such as `/v2/orders/{order_id}/pay`."""

    def mark(handler: Handler) -> Handler:
        handler.routes = [*getattr(handler, "routes", []), (method, pattern)]  # type: ignore[attr-defined]
        return handler

    return mark


class Simulator:
    """Base of every simulator. Subclasses mark methods with `@route` and give their vendor's error shape in `error`."""

    slug: ClassVar[str]

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.random = random.Random(1)
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        """Method and path of everything that arrived, in order."""
        self.bugs: list[Exception] = []
        """What the simulator itself did wrong, as opposed to whoever spoke to it."""
        self.table: list[tuple[str, re.Pattern[str], str]] = []
        for name in dir(type(self)):
            for method, pattern in getattr(getattr(type(self), name), "routes", ()):
                expression = re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern) + "$")
                self.table.append((method, expression, name))

    def error(self, status: int, message: str = "") -> SimResponse:
        """Answer a failure as this vendor would."""
        return SimResponse(status=status, json={"error": message or f"status {status}"})

    def malformed(self, message: str) -> SimResponse:
        """Answer what is not HTTP or not JSON as this vendor would."""
        return self.error(400, message)

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        """Return a refusal, or None to let the request pass."""
        return None

    def state(self) -> Any:
        """Return what tests want to count, as JSON."""
        return {}

    def control(self, name: str, body: Any) -> Any:
        """Do something no vendor's API offers (change a price, send a webhook), for `POST /_simulator/<name>`."""
        raise KeyError(name)

    def fail(self, kind: str, **fault: Any) -> None:
        """Let the next matching requests go wrong; see `Fault`."""
        with self.lock:
            self.faults.append(Fault(kind=kind, **fault))

    def take(self, request: SimRequest, *kinds: str) -> Fault | None:
        """Use up one fault of these kinds that matches the request; no kinds means any."""
        target = f"{request.method} {request.path}"
        with self.lock:
            for fault in self.faults:
                if (not kinds or fault.kind in kinds) and re.search(fault.match, target) and self.random.random() < fault.probability:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                    return fault
        return None

    def handle(self, request: SimRequest) -> SimResponse:
        allowed = []
        for method, expression, name in self.table:
            if found := expression.match(request.path):
                if method != request.method:
                    allowed.append(method)
                    continue
                request.args = {key: unquote(value) for key, value in found.groupdict().items()}
                if refusal := self.authenticate(request):
                    return refusal
                with self.lock:
                    return getattr(self, name)(request)
        if allowed:
            refusal = self.error(405, f"method not allowed: {request.method} {request.path}")
            refusal.headers = {**refusal.headers, "Allow": ", ".join(sorted(set(allowed)))}
            return refusal
        return self.error(404, f"no such resource: {request.method} {request.path}")

    def broke(self, error: Exception) -> SimResponse:
        """Keep and print an exception of the simulator's own, and answer it as no vendor would."""
        shown = "".join(traceback.format_exception(error))
        print(shown, file=sys.stderr)
        with self.lock:
            self.bugs.append(error)
        return SimResponse(status=500, body=shown.encode(), content_type="text/plain; charset=utf-8")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    default_request_version = protocol_version  # of a request that does not say; HTTP/0.9 would be answered without a status
    wbufsize = -1  # head and body leave in one segment
    simulator: ClassVar[Simulator]

    def answer(self) -> None:
        try:
            response, fault = self.respond()
        except MalformedError as error:
            response, fault = self.simulator.malformed(str(error)), None
        except OSError:
            raise  # whoever asked has gone
        except Exception as error:
            response, fault = self.simulator.broke(error), None
        if fault and fault.kind in ("drop", "drop_after"):
            self.close_connection = True
        else:
            self.send(response, cut=bool(fault and fault.kind == "truncate"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    def respond(self) -> tuple[SimResponse, Fault | None]:
        request = self.read()
        simulator = self.simulator
        if request.path.startswith("/_simulator/"):
            return self.command_simulator(request), None
        with simulator.lock:
            simulator.requests.append((request.method, request.path))
        fault = simulator.take(request, "status", "slow", "truncate", "drop", "drop_after")
        if fault and fault.kind == "drop":
            return SimResponse(), fault
        if fault and fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault and fault.kind == "status":
            response = simulator.error(fault.status)
            response.headers = {**response.headers, **fault.headers}
            return response, fault
        return simulator.handle(request), fault

    def read(self) -> SimRequest:
        body = self.read_body()
        try:
            target = urlsplit(self.path)
        except ValueError as error:
            raise MalformedError(f"That is no address: {error}") from None
        return SimRequest(
            method=self.command,
            path=target.path,
            query=parse_qs(target.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )

    def read_body(self) -> bytes:
        """Return the body. Raises MalformedError, after which nothing more can be read from this connection."""
        was_closing, self.close_connection = self.close_connection, True
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            body = b"".join(self.read_chunks())
        else:
            body = self.read_exactly(self.headers.get("content-length") or "0", 10)
        self.close_connection = was_closing
        return body

    def read_chunks(self) -> Iterator[bytes]:
        while part := self.read_exactly(self.rfile.readline(100).partition(b";")[0].strip().decode("latin-1"), 16):
            yield part
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def read_exactly(self, size: str, base: int) -> bytes:
        if not re.fullmatch("[0-9a-fA-F]{1,8}" if base == 16 else "[0-9]{1,10}", size):
            raise MalformedError(f"“{size}” is no length.")
        read = self.rfile.read(int(size, base))
        if len(read) < int(size, base):
            raise MalformedError("The body is shorter than its length.")
        return read

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no HTTP request, or none of the methods anybody offers."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self.send(self.simulator.error(405, f"method not allowed: {self.command} {self.path}"))
        else:
            self.send(self.simulator.malformed(message or HTTPStatus(code).phrase))

    def command_simulator(self, request: SimRequest) -> SimResponse:
        name = request.path.removeprefix("/_simulator/")
        if name == "state":
            return SimResponse(json=self.simulator.state())
        if name == "fail":
            self.simulator.fail(**request.json())
            return SimResponse(json={})
        if name == "requests":
            return SimResponse(json=self.simulator.requests)
        try:
            return SimResponse(json=self.simulator.control(name, request.json()))
        except KeyError as error:
            if error.args != (name,):
                raise
            return SimResponse(status=404, json={"error": f"this simulator has no control “{name}”"})

    def send(self, response: SimResponse, *, cut: bool = False) -> None:
        with self.simulator.lock:  # it may show what another request is about to change
            body = response.encoded()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", response.content_type)
        if response.status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: the integration's own log shows every call."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client went away in the middle; that is what some tests do."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.RequestHandlerClass.simulator.broke(error)


@dataclass(slots=True, kw_only=True)
class RunningSimulator:
    simulator: Simulator
    server: ThreadingHTTPServer

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def start(simulator: Simulator, port: int = 0) -> RunningSimulator:
    """Serve `simulator` on loopback in background threads; port 0 takes a free one."""
    server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"simulator": simulator}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return RunningSimulator(simulator=simulator, server=server)


@contextmanager
def running(simulator: Simulator, port: int = 0) -> Iterator[RunningSimulator]:
    """Serve `simulator` for the length of a `with` block. Raises what went wrong inside the simulator meanwhile."""
    served = start(simulator, port)
    try:
        yield served
    finally:
        served.stop()
        if simulator.bugs:
            raise ExceptionGroup(f"{type(simulator).__name__} broke.", simulator.bugs)
