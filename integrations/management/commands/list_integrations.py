"""`manage.py list_integrations`: every connection and how it is."""

from typing import Any

from django.core.management.base import CommandParser

from integrations.health import judge
from integrations.management.command import HospientCommand
from integrations.models import Integration


class Command(HospientCommand):
    help = "List the integrations of all hotels, or of one."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--hotel", help="Only this hotel (its slug).")
        parser.add_argument("--failed", action="store_true", help="Only those that do not work, are late or were not tried.")

    def run(self, *, hotel: str | None, failed: bool, **options: Any) -> int:
        found = Integration.objects.select_related("hotel")
        if hotel:
            found = found.filter(hotel__slug=hotel)
        rows = list(found)
        judged = judge(rows)
        if failed:
            rows = [row for row in rows if not judged[row.pk].state.is_well]
        data = []
        for row in rows:
            health = judged[row.pk]
            synced = f"synced {row.last_sync_at:%Y-%m-%d %H:%M} UTC" if row.last_sync_at else "never synced"
            self.note(
                f"{row.pk:>4}  {health.state.label:<22}  {row.provider_name} · {row.hotel.name} ({row.provider}, {row.environment}), {synced}"
            )
            if not health.state.is_well:
                self.note(f"      {' '.join(part for part in (health.sentence, health.why, health.todo) if part)}")
            data.append(
                {
                    "id": row.pk,
                    "hotel": row.hotel.slug,
                    "provider": row.provider,
                    "provider_name": row.provider_name,
                    "integration_type": row.integration_type,
                    "environment": row.environment,
                    "status": row.status,
                    "state": health.state.value,
                    "sentence": health.sentence,
                    "last_sync_at": row.last_sync_at,
                    "error_count": row.error_count,
                    "last_error": row.last_error,
                }
            )
        self.show(f"{len(data)} integration{'' if len(data) == 1 else 's'}", data)
        return 0
