"""The two doors as tests knock at them: the Django view through WSGI, and the lean application behind a real server."""

import asyncio
import hmac
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from granian.constants import Interfaces
from granian.server.embed import Server

from hospient.wsgi import application as wsgi_application
from integrations.tests.loopback import wait_until
from webhooks import views
from webhooks.ingest import Ingest
from webhooks.rsgi import LeanDoor as Application

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Door(Protocol):
    ingest: Ingest

    def post(self, path: str, body: bytes, headers: Headers = (), *, method: str = "POST", chunked: bool = False) -> Answer: ...


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


class ViewDoor:
    """Calls the project's WSGI application in this process, as a server that ends chunked bodies would."""

    def __init__(self) -> None:
        self.ingest = views.ingest = Ingest()

    def post(self, path: str, body: bytes, headers: Headers = (), *, method: str = "POST", chunked: bool = False) -> Answer:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path.partition("?")[0],
            "QUERY_STRING": path.partition("?")[2],
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
        }
        if not chunked:
            environ["CONTENT_LENGTH"] = str(len(body))
        for name, value in _pairs(headers):
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key.startswith("HTTP_") and key in environ else value
        started: list[Any] = []
        parts = wsgi_application(environ, lambda status, fields, exc_info=None: started.extend([status, fields]))
        content = b"".join(parts)
        parts.close()
        return Answer(int(started[0].split()[0]), content, {name.lower(): value for name, value in started[1]})


class LeanDoor:
    """Speaks HTTP to a lean application, served from a thread of this process so that it uses the tests' database."""

    def __init__(self, application: Application, port: int) -> None:
        self.application = application
        self.port = port

    @property
    def ingest(self) -> Ingest:
        return self.application.ingest

    def anew(self) -> "LeanDoor":
        """Let it forget what it knows of integrations, as a process that has just started."""
        self.application.ingest = Ingest()
        return self

    def post(self, path: str, body: bytes, headers: Headers = (), *, method: str = "POST", chunked: bool = False) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path)
            given = _pairs(headers)
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
            elif "content-length" not in {name.lower() for name, _ in given}:
                connection.putheader("Content-Length", str(len(body)))
            for name, value in given:
                connection.putheader(name, value.encode("latin-1"))
            connection.endheaders([body] if chunked else body, encode_chunked=chunked)
            response = connection.getresponse()
            return Answer(response.status, response.read(), {name.lower(): value for name, value in response.getheaders()})
        finally:
            connection.close()


@contextmanager
def lean_door() -> Iterator[LeanDoor]:
    """Serve a lean application from a thread of this process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    application = Application()
    server = Server(application, port=port, interface=Interfaces.RSGI, log_enabled=False)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve()), daemon=True)
    thread.start()
    wait_until(lambda: _answers(port))
    yield LeanDoor(application, port)
    loop.call_soon_threadsafe(server.stop)
    thread.join(timeout=10)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def signed(body: bytes, secret: str, **headers: str) -> dict[str, str]:
    """Return the headers of our default scheme; keywords are further headers (`X_Webhook_Id`)."""
    digest = hmac.digest(secret.encode(), body, "sha256").hex()
    return {"X-Webhook-Signature": f"sha256={digest}"} | {name.replace("_", "-"): value for name, value in headers.items()}
