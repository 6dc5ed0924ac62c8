"""A new vendor is one folder: made by a command, found by the registry, tested by the suite every vendor inherits, gone without a trace."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from integrations.management.commands.startprovider import SERVICES
from integrations.services import registry

NAME = "toy_inn_pos"


def forget_providers() -> None:
    """Let the registry look at the folders again."""
    importlib.invalidate_caches()
    for module in [name for name in sys.modules if name.startswith(f"integrations.services.{NAME}")]:
        del sys.modules[module]
    registry.providers.cache_clear()


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = SERVICES / NAME
    shutil.rmtree(folder, ignore_errors=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    forget_providers()


def start(*arguments: str) -> dict:
    output = StringIO()
    call_command("startprovider", NAME, "--json", *arguments, stdout=output)
    return json.loads(output.getvalue())


def test_new_provider_passes_the_contract_as_created_and_leaves_no_trace_when_deleted(folder) -> None:
    before = list(registry.providers())
    assert "provider.py" in start()["files"]
    forget_providers()
    assert registry.find("Toy Inn POS", "pos") == NAME
    assert list(registry.providers()) == sorted([*before, NAME])

    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    outcome = subprocess.run(tests, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=120)
    assert outcome.returncode == 0, outcome.stdout[-4000:]
    assert "passed" in outcome.stdout
    if importlib.util.find_spec("ruff"):  # not everybody who runs the tests has the linter
        style = subprocess.run([sys.executable, "-m", "ruff", "check", str(folder)], cwd=settings.BASE_DIR, capture_output=True, text=True)
        assert style.returncode == 0, style.stdout

    shutil.rmtree(folder)
    forget_providers()
    assert list(registry.providers()) == before
    assert registry.find("Toy Inn POS", "pos") == registry.FALLBACK


def test_dry_run_writes_nothing(folder) -> None:
    assert start("--dry-run")["written"] is False
    assert not folder.exists()


@pytest.mark.parametrize("name", ["Toy", "toy-inn", "7toys", "class", "../toy", "square", "registry", "template"])
def test_name_that_cannot_be_a_provider_is_refused(name) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("startprovider", name)
    assert caught.value.returncode == 2
