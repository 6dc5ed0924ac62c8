"""`manage.py test_integration 1`: does the connection work?"""

from typing import Any

from django.core.management.base import CommandParser

from integrations.management.command import DONE, FAILED, HospientCommand
from integrations.models import Trigger
from integrations.services import service_for


class Command(HospientCommand):
    help = "Call the vendor with the stored credentials and say what was found."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("integration_id", type=int)

    def run(self, *, integration_id: int, **options: Any) -> int:
        outcome = service_for(self.integration(integration_id), trigger=Trigger.COMMAND).test_connection()
        for name, value in outcome.details.items():
            self.note(f"  {name.replace('_', ' ')}: {value}")
        data = {
            "success": outcome.success,
            "connection": outcome.connection,
            "message": outcome.message,
            "hint": outcome.hint,
            "code": outcome.code,
            "details": dict(outcome.details),
            "processing_time": outcome.processing_time,
        }
        self.show(f"{outcome.message} {outcome.hint}".strip() + f" ({outcome.processing_time} ms)", data)
        return DONE if outcome.success else FAILED
