"""A pytest plugin that plants one mistake while its module is loaded: it stands in memory alone, and no file is ever changed.

`MUTATED` names the module's file, `MUTATION` a file with the source that is run in its place, `MUTATION_DATABASE` a database that is ready.
"""

import os
import shutil
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest

_real = SourceFileLoader.get_code


def _get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
    if os.path.realpath(self.path) == os.environ["MUTATED"]:
        return compile(Path(os.environ["MUTATION"]).read_text(), self.path, "exec")
    return _real(self, fullname)


SourceFileLoader.get_code = _get_code  # type: ignore[method-assign]


class OwnDatabase:
    @pytest.fixture(scope="session")
    def django_db_setup(self, django_test_environment: None) -> None:
        from django.conf import settings

        shutil.copy(os.environ["MUTATION_DATABASE"], settings.DATABASES["default"]["NAME"])


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(OwnDatabase())  # now, behind pytest-django, whose fixture it replaces
