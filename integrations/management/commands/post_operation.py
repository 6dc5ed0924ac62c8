"""`manage.py post_operation 1 post_guest_check --file check.json`: write something at a vendor."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from integrations.management.command import DONE, FAILED, PARTIAL, USAGE, HospientCommand, operation_as_json, operation_line
from integrations.models import OperationStatus, Trigger
from integrations.services import calls, service_for


class Command(HospientCommand):
    help = "Do an operation at a vendor. Exit code 0: done, 1: refused, 3: not confirmed yet (it goes on by itself)."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("integration_id", type=int)
        parser.add_argument("name", help="post_guest_check, void_check, post_check_in ... (list_providers shows what a vendor offers)")
        parser.add_argument(
            "--file", default="-", help="JSON file with the body as the API takes it; - reads standard input (the default)."
        )
        parser.add_argument("--idempotency-key", default="", help="The same key again returns the same operation.")
        parser.add_argument("--dry-run", action="store_true", help="Check the body and send nothing.")

    def run(self, *, integration_id: int, name: str, file: str, idempotency_key: str, dry_run: bool, **options: Any) -> int:
        service = service_for(self.integration(integration_id), trigger=Trigger.COMMAND)
        body = self.body(file)
        if dry_run:
            calls.check(service, name, body)
            self.show("The body is good; nothing was sent.", {"valid": True})
            return DONE
        result = calls.call(service, name, body, idempotency_key=idempotency_key)
        if not calls.is_write(service, name):
            self.show(json.dumps(result, default=str, indent=2), result)
            return DONE
        self.show(operation_line(result), operation_as_json(result))
        return {OperationStatus.DONE: DONE, OperationStatus.DEAD: FAILED}.get(OperationStatus(result.status), PARTIAL)

    def body(self, file: str) -> dict[str, Any]:
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text()
            body = json.loads(text or "{}")
        except (OSError, ValueError, RecursionError) as error:
            raise CommandError(f"{file}: {error}", returncode=USAGE) from None
        if not isinstance(body, dict):
            raise CommandError(f"{file}: expected a JSON object.", returncode=USAGE)
        return body
