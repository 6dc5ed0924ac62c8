"""`manage.py list_integrations`: every connection and how it is."""

from typing import Any

from django.core.management.base import CommandParser

from integrations.management.command import HospientCommand
from integrations.models import Integration, IntegrationStatus


class Command(HospientCommand):
    help = "List the integrations of all hotels, or of one."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--hotel", help="Only this hotel (its slug).")
        parser.add_argument("--failed", action="store_true", help="Only those in error.")

    def run(self, *, hotel: str | None, failed: bool, **options: Any) -> int:
        found = Integration.objects.select_related("hotel")
        if hotel:
            found = found.filter(hotel__slug=hotel)
        if failed:
            found = found.filter(status=IntegrationStatus.ERROR)
        data = []
        for row in found:
            synced = f"synced {row.last_sync_at:%Y-%m-%d %H:%M} UTC" if row.last_sync_at else "never synced"
            self.note(f"{row.pk:>4}  {row.status:<8}  {row.provider_name} · {row.hotel.name} ({row.provider}, {row.environment}), {synced}")
            if row.last_error:
                self.note(f"      {row.last_error}")
            data.append(
                {
                    "id": row.pk,
                    "hotel": row.hotel.slug,
                    "provider": row.provider,
                    "provider_name": row.provider_name,
                    "integration_type": row.integration_type,
                    "environment": row.environment,
                    "status": row.status,
                    "last_sync_at": row.last_sync_at,
                    "error_count": row.error_count,
                    "last_error": row.last_error,
                }
            )
        self.show(f"{len(data)} integrations", data)
        return 0
