"""`manage.py serve`: console, API and the door for webhooks, behind the limits that `docs/limits.md` lists."""

import os
import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hospient import server


class Command(BaseCommand):
    help = "Serve console, API and webhooks; or one of them, as a process of its own. Stop it with SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "application", nargs="?", default="everything", choices=list(server.APPLICATIONS), help="What is served (everything)."
        )
        parser.add_argument("--host", default="127.0.0.1", help="The address it listens at (127.0.0.1; 0.0.0.0 for all).")
        parser.add_argument("--port", type=int, default=8000, help="The port it listens at (8000).")
        parser.add_argument("--workers", type=int, default=1, help="Processes that share the port (1).")

    def handle(self, *args: Any, application: str, host: str, port: int, workers: int, **options: Any) -> None:
        self.check()
        try:
            command = server.command(application, host, port, workers)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if options["verbosity"]:
            self.stdout.write(f"Serving {application} at http://{host}:{port}. Ctrl-C ends it.")
        sys.stdout.flush()
        os.execv(command[0], command)  # noqa: S606
