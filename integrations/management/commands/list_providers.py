"""`manage.py list_providers`: the vendors Hospient knows, and what each offers."""

from typing import Any

from django.core.management.base import CommandParser

from integrations.management.command import HospientCommand
from integrations.services import matrix, registry


class Command(HospientCommand):
    help = "List the providers with their streams and operations."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--markdown", action="store_true", help="Print the capability matrix as docs/providers.md has it.")

    def run(self, *, markdown: bool, **options: Any) -> int:
        if markdown:
            self.stdout.write(matrix.capability_matrix(), ending="")
            return 0
        data = []
        for slug, provider in registry.providers().items():
            manifest = provider.manifest
            data.append(
                {
                    "slug": slug,
                    "name": manifest.name,
                    "kinds": [str(kind) for kind in manifest.kinds],
                    "environments": list(manifest.environments),
                    "streams": [stream.name for stream in manifest.streams],
                    "operations": [operation.name for operation in manifest.operations],
                    "webhooks": manifest.webhooks is not None,
                }
            )
            self.note(f"{slug:<14} {manifest.name} ({', '.join(manifest.kinds)})")
            self.note(f"{'':<14} streams: {', '.join(data[-1]['streams'])}")
            self.note(f"{'':<14} operations: {', '.join(data[-1]['operations'])}")
        self.show(f"{len(data)} providers", data)
        return 0
