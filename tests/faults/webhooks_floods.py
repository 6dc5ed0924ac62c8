"""Floods and monsters: `python -m tests.faults.webhooks_floods [--quick]`.

Forgers send on forty connections while the vendor sends a hundred events: all hundred must get in, and the flood leave no row but one line
a minute. An integration that is switched off tells its vendor so, and forgers what it always tells them. Then bodies that are too long, endless, slow, cut short or bombs arrive over plain sockets: none may be stored, be answered with
5xx, keep the server busy, or make its memory grow.
"""

import gzip
import socket
import threading
import time
from collections import Counter

from tests.faults import webhooks_world as world

FORGERS = 40
MB = 2**20


def trial(url: str, door: str, seconds: int) -> bool:
    from integrations.models import IntegrationLog
    from webhooks.models import WebhookEvent

    integration = world.connect()
    path = f"/api/webhooks/{integration}"
    with world.receiver(url, door) as running:
        vendors, forged = flood(running, path, seconds)
        stored = WebhookEvent.objects.filter(integration=integration).count()
        lines = IntegrationLog.objects.filter(integration=integration).count()
        print(f"  forged {world.tally(forged)}; the vendor's {world.tally(vendors)}; stored {stored}, {lines} lines")
        kept = vendors == {202: 100} and set(forged) == {401} and stored == 100 and lines <= 1 + seconds // 60
        kept &= switched_off(running)
        kept &= monsters(running, path)
        kept &= WebhookEvent.objects.filter(integration=integration).count() == stored
        kept &= world.Sender(running.port).get("/api/webhooks/health") == 200
    return kept


def flood(running: world.Receiver, path: str, seconds: int) -> tuple[Counter[int], Counter[int]]:
    body = b'{"event_type":"menu_updated","data":{"menu_id":"m1"}}'
    vendors: Counter[int] = Counter()
    forged: Counter[int] = Counter()
    over = threading.Event()

    def forge(number: int) -> None:
        sender = world.Sender(running.port, timeout=60)
        while not over.is_set():
            forged[sender.post(path, body, world.signed(body, f"evt-{number}", secret="not-the-vendors-secret"))] += 1

    forgers = [threading.Thread(target=forge, args=(number,)) for number in range(FORGERS)]
    for forger in forgers:
        forger.start()
    sender = world.Sender(running.port, timeout=60)
    for number in range(100):
        vendors[sender.post(path, body, world.signed(body, f"evt-{number}"))] += 1
        time.sleep(seconds / 100)
    over.set()
    for forger in forgers:
        forger.join()
    return vendors, forged


def switched_off(running: world.Receiver) -> bool:
    """Send to an integration that is off, with its secret and without: nothing may be stored, and what was refused stand in its log."""
    from integrations.models import IntegrationLog
    from webhooks.models import WebhookEvent

    integration, body = world.connect(status="inactive"), b'{"event_type":"menu_updated","data":{"menu_id":"m1"}}'
    sender, answers = world.Sender(running.port), {}
    for who, secret in (("its vendor", world.SECRET), ("forgers", "not-the-vendors-secret")):
        headers = world.signed(body, "evt-1", secret=secret)
        answers[who] = Counter(sender.post(f"/api/webhooks/{integration}", body, headers) for _ in range(20))
    stored = WebhookEvent.objects.filter(integration=integration).count()
    line = IntegrationLog.objects.filter(integration=integration, operation_name="webhook_refused").first()
    print(f"  switched off: {', '.join(f'{who} {world.tally(found)}' for who, found in answers.items())}; stored {stored}")
    return answers == {"its vendor": {403: 20}, "forgers": {401: 20}} and stored == 0 and line is not None


def monsters(running: world.Receiver, path: str) -> bool:
    """Send each monster and print how it went."""
    bomb = gzip.compress(b"[" * (64 * MB))
    deep = b'{"event_type":"x","data":' + b"[" * 500_000
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    sent = {
        "10 GB declared": (head + "Content-Length: 10737418240\r\n\r\n", [b"x" * MB] * 20),
        "endless chunks": (head + "Transfer-Encoding: chunked\r\n\r\n", [b"100000\r\n" + b"x" * MB + b"\r\n"] * 20),
        "gzip bomb": (f"{head}Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n", [bomb]),
        "cut short": (head + "Content-Length: 1000\r\n\r\n", [b"x" * 500, b""]),
        "deep nesting": (f"{head}{_signature(deep)}Content-Length: {len(deep)}\r\n\r\n", [deep]),
        "two lengths": (head + "Content-Length: 3\r\nContent-Length: 5\r\n\r\n", [b"{}x"]),
    }
    before = running.memory_mb()
    kept = True
    for name, (request, parts) in sent.items():
        started = time.monotonic()
        statuses = Counter(_throw(running.port, request.encode(), parts) for _ in range(20))
        took = (time.monotonic() - started) / 20
        good = all(status < 500 and status not in (200, 202) for status in statuses) and took < 5
        print(f"  {name:<15} {world.tally(statuses)}, {took:.2f} s each{'' if good else '  BROKEN'}")
        kept &= good
    grown = running.memory_mb() - before
    print(f"  memory {before:.0f} MB, grown by {grown:.0f} MB")
    return kept and grown <= 20


def _signature(body: bytes) -> str:
    return f"X-Webhook-Signature: {world.signed(body)['X-Webhook-Signature']}\r\n"


def _throw(port: int, request: bytes, parts: list[bytes]) -> int:
    """Send as much as the server takes, and return the status; 0 if it just closed. An empty part stops sending before the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=4) as connection:
        try:
            connection.sendall(request)
            for part in parts:
                connection.sendall(part)
            if not parts[-1]:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it stopped listening, which is what it should do
        try:
            answer = connection.recv(64)
            return int(answer.split()[1]) if answer else 0
        except (OSError, IndexError, ValueError):
            return 0


if __name__ == "__main__":
    world.main("tests.faults.webhooks_floods", trial, seconds=(65, 5))
