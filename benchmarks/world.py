"""What the benchmarks stand on: a database of their own, a simulator in its own process, and measurements in fresh processes."""

import base64
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def environment(database: str) -> dict[str, str]:
    """Return the environment of a measured process: keys, database, and leave to call this machine."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "hospient.settings",
        "SECRET_KEY": "benchmark-" * 8,
        "ENCRYPTION_KEY": "benchmark:" + base64.b64encode(hashlib.sha512(b"benchmark").digest()).decode(),
        "EGRESS_ALLOW": "127.0.0.0/8",
        "LOG_LEVEL": "ERROR",
        "DATABASE_URL": database,
    }


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Yield the URL of an empty database: a SQLite file, or PostgreSQL (`BENCHMARK_PG_URL`, else one that comes from pip)."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="hospient-bench-") as folder:
            yield f"sqlite:///{folder}/bench.sqlite3"
        return
    if url := os.environ.get("BENCHMARK_PG_URL"):
        yield url
        return
    from tests import postgres

    yield f"postgres://postgres@/postgres?host={postgres.host()}"


def manage(url: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment(url), check=True, stdout=subprocess.DEVNULL)


@contextmanager
def square_simulator(items: int, page_size: int = 100) -> Iterator[str]:
    """Serve a Square with so many made-up items from its own process; yields its address."""
    code = (
        "import sys, time\n"
        "from integrations.services.square.simulator import SquareSimulator\n"
        "from integrations.simulators.server import start\n"
        f"print(start(SquareSimulator(items={items}, page_size={page_size})).url, flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment("sqlite://:memory:"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(timeout=10)


def measure(url: str, module: str, *arguments: Any) -> dict[str, Any]:
    """Run `python -m module --measure arguments` in a fresh process and return the JSON it prints last."""
    command = [sys.executable, "-m", module, "--measure", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment(url), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Yield a dict that has `seconds` and `peak_mb` after the block."""
    from integrations.garbage import spare_garbage_collection

    spare_garbage_collection()  # as a worker does
    found: dict[str, float] = {}
    started = time.perf_counter()
    yield found
    found["seconds"] = time.perf_counter() - started
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
