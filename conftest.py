"""What every test may use."""

import pytest

# Tests in a module that is imported, not collected: their failures explain themselves all the same.
pytest.register_assert_rewrite("integrations.services.contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pg", action="store_true", help="run on PostgreSQL instead of SQLite")
