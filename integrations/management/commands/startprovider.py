"""`manage.py startprovider acme_pos`: a folder for a new vendor, with a small vendor in it that works and passes every test.

The folder is all there is to a provider: the registry finds it, and deleting it removes the vendor.
"""

import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from integrations import services
from integrations.exceptions import InvalidInput
from integrations.management.command import HospientCommand

SERVICES = Path(services.__file__).parent
TEMPLATE = SERVICES / "template"
"""Files end in -tpl, so that nothing in there is ever imported, tested or formatted."""


class Command(HospientCommand):
    help = "Make the folder of a new provider, complete with a simulator and passing tests."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="The vendor's slug, such as acme_pos.")
        parser.add_argument("--dry-run", action="store_true", help="Only say which files would be written.")

    def run(self, *, name: str, dry_run: bool, **options: Any) -> int:
        folder = SERVICES / name
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
            raise InvalidInput({"name": "Use lower-case letters, digits and underscores, beginning with a letter: acme_pos."})
        if folder.exists() or folder.with_suffix(".py").exists():
            raise InvalidInput({"name": f"integrations/services already has “{name}”. Choose another name, or delete that folder first."})
        files = dict(rendered(name))
        for path, text in files.items():
            if not dry_run:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
            self.note(f"integrations/services/{name}/{path}")
        verb = "Would write" if dry_run else "Wrote"
        self.show(
            f"{verb} {len(files)} files. Next: pytest integrations/services/{name}, then make it your vendor, fixtures first.",
            {"folder": f"integrations/services/{name}", "files": sorted(files), "written": not dry_run},
        )
        return 0


def rendered(slug: str) -> Iterator[tuple[str, str]]:
    """Yield each file of the new folder, by its path in it."""
    words = slug.split("_")
    name = " ".join(word.capitalize() for word in words)
    values = {"slug": slug, "name": name, "lower_name": name.lower(), "class_name": name.replace(" ", "")}
    yield "__init__.py", ""
    for template in sorted(TEMPLATE.rglob("*-tpl")):
        text = template.read_text()
        for key, value in values.items():
            text = text.replace(f"{{{{ {key} }}}}", value)
        yield str(template.relative_to(TEMPLATE)).removesuffix("-tpl"), text
