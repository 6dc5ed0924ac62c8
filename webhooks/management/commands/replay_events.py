"""`manage.py replay_events`: have stored events worked again."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timezone import get_default_timezone, is_naive, make_aware

from integrations.management.command import DONE, USAGE, HospientCommand
from webhooks import inbox
from webhooks.models import EventStatus, WebhookEvent


class Command(HospientCommand):
    help = "Have events worked again: by their ids, or all that match the filters. Says how many, and asks."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, help="Events by their id here.")
        parser.add_argument("--integration", type=int)
        parser.add_argument("--failed", action="store_true", help="Only dead ones.")
        parser.add_argument("--type", dest="event_type", help="The vendor's name of the event.")
        parser.add_argument("--since", type=_moment, help="Received at or after this time (ISO 8601).")
        parser.add_argument("--until", type=_moment, help="Received before this time.")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")
        parser.add_argument("--yes", action="store_true", help="Do not ask; needs ids or a filter.")

    def run(self, *, ids: list[int], dry_run: bool, yes: bool, **options: Any) -> int:
        events, is_filtered = self.chosen(ids, **options)
        count = inbox.replayable(events).count()
        if dry_run:
            self.show(f"{count:,} events would be worked again", {"matching": count})
            return DONE
        if yes and not is_filtered:
            raise CommandError("--yes needs ids or a filter: without one every event would be worked again.", returncode=USAGE)
        if count and not yes and not self.agreed(count):
            self.show("Nothing was changed", {"replayed": 0})
            return DONE
        replayed = inbox.replay(events)
        self.show(f"{replayed:,} events wait to be worked again", {"replayed": replayed})
        return DONE

    def chosen(self, ids: list[int], *, integration: int | None, failed: bool, event_type: str | None, **times: Any) -> tuple[Any, bool]:
        filters: dict[str, Any] = {
            "pk__in": ids,
            "integration": integration and self.integration(integration),
            "status": EventStatus.DEAD if failed else None,
            "event_type": event_type,
            "received_at__gte": times["since"],
            "received_at__lt": times["until"],
        }
        given = {name: value for name, value in filters.items() if value}
        return WebhookEvent.objects.filter(**given), bool(given)

    def agreed(self, count: int) -> bool:
        if not self.stdout.isatty():
            raise CommandError(f"{count:,} events match. Repeat with --yes to have them worked again, or with --dry-run.", returncode=USAGE)
        return input(f"{count:,} events match. Have them worked again? [y/N] ").strip().lower() in ("y", "yes")


def _moment(text: str) -> datetime:
    moment = parse_datetime(text) or parse_datetime(f"{text} 00:00")
    if moment is None:
        raise ValueError(text)
    return make_aware(moment, get_default_timezone()) if is_naive(moment) else moment
