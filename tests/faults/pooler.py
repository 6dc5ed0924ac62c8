"""Behind a pooler that gives every transaction another connection: `python -m tests.faults.pooler [--quick]`.

PgBouncer in transaction mode with three connections for everybody. Both doors take webhooks from twenty threads at once, a worker process
works them, and a sync reads pages, compares them with what is stored and deletes what is gone: nothing may fail, and nothing be lost.
Debian's `pgbouncer` has to be installed; where it is not, the program says so and does nothing.
"""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.world import ROOT, environment
from tests.faults import webhooks_world as world

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
THREADS = 20


@contextmanager
def pooled(url: str) -> Iterator[str]:
    """Start PgBouncer in front of the database, and yield the URL that goes through it."""
    sockets = Path(url.partition("host=")[2])
    with socket.socket() as probe, tempfile.TemporaryDirectory(prefix="hospient-pooler-") as name:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        folder = Path(name)
        (folder / "users").write_text('"postgres" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\npostgres = host={sockets} user=postgres\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 3\n"
            f"max_client_conn = 200\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
            f"auth_file = {folder}/users\nignore_startup_parameters = extra_float_digits\n"
        )
        command = [str(PROGRAM), "-q", str(folder / "pgbouncer.ini")]
        if os.getuid() == 0:  # it refuses to run as root
            folder.chmod(0o755)
            command[1:1] = ["-u", sockets.owner()]
        probe.close()
        process = subprocess.Popen(command)
        try:
            yield f"postgres://postgres@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.wait(timeout=10)


def trial(url: str, door: str, events: int) -> bool:
    from integrations.models import ExternalReference, Integration, SyncRun
    from integrations.services.square.simulator import RESTAURANT, TOKEN, SquareSimulator
    from integrations.simulators.server import running
    from webhooks.models import WebhookEvent

    statuses: Counter[int] = Counter()
    guests = world.connect()
    with pooled(url) as through, world.receiver(through, door, workers=2) as receiver:

        def send(thread: int) -> None:
            sender = world.Sender(receiver.port, timeout=60)
            for number in itertools.count(thread, THREADS):
                if number >= events and over.is_set():
                    break
                body = world.full_event(number)
                statuses[sender.post(f"/api/webhooks/{guests}", body, world.signed(body, f"evt-{number}"))] += 1

        over = threading.Event()
        senders = threading.Thread(target=world.in_threads, args=(THREADS, send))
        senders.start()
        till = Integration.objects.get(pk=world.connect("pos", provider="square"))
        till.credentials = {"access_token": TOKEN, "location_id": RESTAURANT}
        failed = 0
        for items in (2500, 2400):
            with running(SquareSimulator(items=items)) as square:
                till.config = {"base_url": square.url}
                till.save()
                failed += _manage(through, "sync_integration", str(till.pk), "menus", "--full")
        over.set()
        senders.join()
        failed += _manage(through, "process_inbox")
        last = SyncRun.objects.filter(integration=till).latest("id")
    done = WebhookEvent.objects.filter(integration=guests, status="done").count()
    effects = ExternalReference.objects.filter(integration=guests, record_type="guest").count()
    print(f"  {world.tally(statuses)}; done {done:,}, guests {effects:,}; the menu's second run: {last.summary}")
    return failed == 0 and set(statuses) == {202} and done == effects == statuses[202] and last.deleted_count == 100


def _manage(url: str, *arguments: str) -> int:
    return subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment(url), stdout=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    if PROGRAM is None:
        print("pgbouncer is not installed: nothing was checked behind a pooler")
        sys.exit()
    world.main("tests.faults.pooler", trial, databases=["postgresql"], events=(10_000, 200))
