"""Serves a vendor's own OpenAPI document with Prism: as a mock that answers with the vendor's examples, or as a judge between us and a
simulator, which refuses whatever breaks the document on either side. Skips, and says what was not checked, where Prism or the document
is missing; `.ci/run` installs Prism."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

VERSION = "5.14.2"
FOLDER = Path(settings.VAR_DIR) / "prism"
INSTALL = f"npm install --prefix {FOLDER} --no-audit --no-fund @stoplight/prism-cli@{VERSION}"
SPECS = Path(os.environ.get("HOSPIENT_VENDOR_SPECS") or settings.BASE_DIR.parent / "shared" / "vendors" / "specs")
START_SECONDS = 240
"""Prism takes 5 to 20 seconds on two cores, minutes where twenty processes want them."""


def document(name: str) -> Path:
    """Return a vendor's OpenAPI document."""
    found = SPECS / name
    if not found.is_file():
        pytest.skip(f"not checked: our calls against the vendor's own contract {name}. Say where it is in HOSPIENT_VENDOR_SPECS.")
    return found


@contextmanager
def prism(contract: Path, upstream: str = "") -> Iterator[str]:
    """Serve `contract`, in front of `upstream` if there is one, and yield the address."""
    program = FOLDER / "node_modules" / ".bin" / "prism"
    if not program.exists() or not shutil.which("node"):
        pytest.skip(f"not checked: our calls against the vendor's own contract {contract.name}. To check them: {INSTALL}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(program), *(("proxy", "--errors") if upstream else ("mock",)), "-h", "127.0.0.1", "-p", str(port), str(contract)]
    with tempfile.NamedTemporaryFile("r+") as log:
        process = subprocess.Popen([*command, upstream] if upstream else command, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + START_SECONDS
            while "Prism is listening" not in Path(log.name).read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Prism did not start: {Path(log.name).read_text()}")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=10)
