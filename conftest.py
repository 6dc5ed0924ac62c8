"""What every test may use."""

import os
import threading

import pytest

# Tests in a module that is imported, not collected: their failures explain themselves all the same.
pytest.register_assert_rewrite("integrations.services.contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pg", action="store_true", help="run on PostgreSQL instead of SQLite")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Spread a run of everything over the processors; a part that somebody names is done before workers would have started."""
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return (os.cpu_count() or 1) if everything else 0


@pytest.fixture(autouse=True, scope="session")
def _no_keeper() -> None:
    """The thread that prolongs leases stands outside of a test's transaction: it is tested by itself."""
    from integrations import leases

    leases._keeper.thread = threading.current_thread()  # one is there, it seems
