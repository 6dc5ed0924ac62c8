"""Servers that do what no decent server does: byte by byte, for ever, or not at all."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Loopback:
    port: int
    connections: int = 0
    closed: int = 0
    received: list[bytes] = field(default_factory=list)
    server_names: list[str] = field(default_factory=list)
    """What TLS clients asked for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def listening(answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Read the head of one request on each connection, then let `answer` do as it likes with the socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    loopback = Loopback(listener.getsockname()[1])

    def serve(client: socket.socket) -> None:
        with suppress(OSError), client:
            client.settimeout(5)
            if tls:
                client = tls.wrap_socket(client, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head and (data := client.recv(65536)):
                head += data
            loopback.received.append(head)
            if head:
                answer(client)
        loopback.closed += 1

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                loopback.connections += 1
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    if tls:
        tls.sni_callback = lambda sock, name, context: loopback.server_names.append(name)
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield loopback
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread that waits in accept
        listener.close()


def plain_answer(body: bytes = b"{}", *, head: str = "HTTP/1.1 200 OK", headers: str = "") -> Callable[[socket.socket], None]:
    """Answer as a decent server does."""

    def answer(client: socket.socket) -> None:
        client.sendall(f"{head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n".encode() + body)

    return answer


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does, and fail if it does not do it."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen within ten seconds")
