"""`manage.py webhook_subscription`: a vendor's subscription, where its API lets us handle it."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from integrations.management.command import DONE, USAGE, HospientCommand
from webhooks import subscriptions
from webhooks.facts import webhook_url


class Command(HospientCommand):
    help = "List, create or re-key the vendor's webhook subscription. The signing key goes into the integration and is not shown."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("integration_id", type=int, metavar="ID")
        parser.add_argument("action", choices=["list", "create", "rotate"])
        parser.add_argument("--subscription", help="rotate: the vendor's id of the subscription; may be left out if there is only one.")
        parser.add_argument("--now", action="store_true", help="rotate: refuse what is signed with the old key at once, as after a leak.")
        parser.add_argument("--dry-run", action="store_true", help="Change nothing at the vendor.")

    def run(self, *, integration_id: int, action: str, subscription: str | None, now: bool, dry_run: bool, **options: Any) -> int:
        integration = self.integration(integration_id)
        if action == "create":
            if dry_run:
                self.show(f"Would have events sent to {webhook_url(integration)}", {"url": webhook_url(integration)})
                return DONE
            made = subscriptions.create(integration)
            self.show(f"Subscribed: {made['id']}. Its key is stored; the one before passes for another day.", made)
            return DONE
        found = subscriptions.existing(integration)
        if action == "rotate":
            chosen = subscription or (found[0]["id"] if len(found) == 1 else None)
            if chosen is None:
                raise CommandError(f"There are {len(found)} subscriptions: name one with --subscription.", returncode=USAGE)
            if not dry_run:
                subscriptions.rotate(integration, chosen, at_once=now)
            done = (
                "Would get a new key"
                if dry_run
                else f"Has a new key; the old one {'is refused from now on' if now else 'passes for another day'}"
            )
            self.show(f"{chosen}: {done}.", {"subscription": chosen, "rotated": not dry_run})
            return DONE
        for one in found:
            self.note(", ".join(f"{name} {value}" for name, value in one.items()))
        self.show(f"{len(found)} subscriptions", found)
        return DONE
