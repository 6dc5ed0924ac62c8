"""`manage.py webhook_secret`: replaces the secret an integration's webhooks are verified with, at once if it leaked."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from integrations.management.command import DONE, HospientCommand
from integrations.services.setup import check_webhook_secret, replace_webhook_secret


class Command(HospientCommand):
    help = "Replace an integration's webhook secret. One that is made is printed this once."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("integration_id", type=int, metavar="ID")
        parser.add_argument("--now", action="store_true", help="Refuse the one before at once, as after a leak; else it passes for a day.")
        parser.add_argument("--stdin", action="store_true", help="Read the new one from standard input; else one is made.")
        parser.add_argument("--dry-run", action="store_true", help="Change nothing.")

    def run(self, *, integration_id: int, now: bool, stdin: bool, dry_run: bool, **options: Any) -> int:
        integration = self.integration(integration_id)
        before = "is refused from now on" if now else "passes for another day"
        # "-" is too short for a secret, so that an empty line does not make one.
        given = (sys.stdin.readline().strip() or "-") if stdin else ""
        if given:
            check_webhook_secret(given)
        if dry_run:
            self.show(f"Would replace the secret of {integration}; the one before {before}.", {"replaced": False})
            return DONE
        made = replace_webhook_secret(integration, given, at_once=now)
        if made:
            self.note(f"Enter this at the vendor, it is not shown again: {made}")
        self.show(f"Replaced; the one before {before}.", {"replaced": True, "webhook_secret": made or None})
        return DONE
