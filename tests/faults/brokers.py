"""Message brokers of the machine's own packages, started on free ports in a temporary folder and stopped again: Debian's
`rabbitmq-server` and `redis-server`. Used by the programs beside this file when they are run with `--engine rabbitmq` or `redis`.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Broker:
    """A broker process. `folder` keeps what it stores, so that it comes back with it after a `restart`."""

    program: str
    scheme: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process = self.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self.command(),
            env=os.environ | self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 90
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"{self.program} did not start")
            time.sleep(0.2)
        return process

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=60)

    def restart(self) -> None:
        self.stop()
        self.process = self.start()


class Redis(Broker):
    program = "redis-server"
    scheme = "redis"

    def command(self) -> list[str]:
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--appendonly", "yes"]


class RabbitMQ(Broker):
    program = "rabbitmq-server"
    scheme = "amqp"

    def command(self) -> list[str]:
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]  # the one in the path gives up its environment

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),  # Erlang keeps its cookie there
            "RABBITMQ_NODENAME": f"faults{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_MNESIA_BASE": f"{self.folder}/data",
            "RABBITMQ_LOG_BASE": f"{self.folder}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{self.folder}/none",
            "ERL_EPMD_PORT": str(self.names),
            "RABBITMQ_DIST_PORT": str(self.distribution),
        }

    def __init__(self, folder: Path) -> None:
        self.names, self.distribution = free_port(), free_port()
        super().__init__(folder)

    def stop(self) -> None:
        super().stop()
        # Erlang's name server is a daemon of its own; this one was started for us alone.
        subprocess.run(["epmd", "-port", str(self.names), "-kill"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


BROKERS: dict[str, type[Broker]] = {"rabbitmq": RabbitMQ, "redis": Redis}


def missing(engine: str) -> str:
    """Return what has to be installed before this engine can be tried; empty if nothing is missing."""
    broker = BROKERS.get(engine)
    if broker and not importlib.util.find_spec("celery"):
        return "celery (requirements-scale.txt)"
    if broker and not shutil.which(broker.program, path=f"{os.environ['PATH']}:/usr/sbin"):
        return broker.program
    return ""


@contextmanager
def running(engine: str) -> Iterator[Broker]:
    """Run a broker of this kind."""
    with tempfile.TemporaryDirectory(prefix=f"hospient-{engine}-", ignore_cleanup_errors=True) as folder:
        broker = BROKERS[engine](Path(folder))
        try:
            yield broker
        finally:
            broker.stop()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
