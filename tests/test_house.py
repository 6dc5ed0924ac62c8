"""The rules of the house, held by a machine."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from integrations.services import matrix, registry

ROOT = Path(settings.BASE_DIR)
APPS = ("hospient", "hotels", "integrations", "webhooks", "monitoring")
ALLOWED = (
    "integrations.exceptions",
    "integrations.records",
    "integrations.services.base",
    "integrations.services.manifest",
    "integrations.services.payers",
    "integrations.services.rows",
    "integrations.transport",
    "integrations.values",
)
"""All of Hospient a vendor's folder may know."""


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith(APPS)}


def vendor_modules() -> list[Path]:
    folders = [Path(sys.modules[provider.__module__].__file__).parent for provider in registry.providers().values()]
    return [path for folder in folders for path in sorted(folder.glob("*.py"))]


def test_dependencies_run_one_way() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(program)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("path", vendor_modules(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_vendors_folder_knows_only_the_provider_contract(path: Path) -> None:
    own = f"integrations.services.{path.parent.name}"
    allowed = (*ALLOWED, own, *(["integrations.simulators.server"] if path.name.startswith("simulator") else []))
    if not path.name.startswith("test"):
        assert not {name for name in imports_of(path) if not name.startswith(allowed)}


def test_no_module_is_a_drawer_for_everything() -> None:
    assert not [path for app in APPS for path in (ROOT / app).rglob("*.py") if path.stem in ("utils", "helpers", "misc", "common")]


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if "migrations" not in path.parts and path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_the_capability_matrix_is_current() -> None:
    assert (ROOT / "docs" / "providers.md").read_text() == matrix.capability_matrix(), (
        "run: manage.py list_providers --markdown > docs/providers.md"
    )
