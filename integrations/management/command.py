"""What every command of Hospient has in common: finding an integration, `--json`, exit codes, progress.

Exit codes: 0 done, 1 failed, 2 usage, 3 partial. With `--json` the only output is one JSON document; without, the last line is the summary.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.exceptions import ConfigurationError, HospientError, InvalidInput, UnsupportedOperation
from integrations.models import Integration, Operation, RunStatus, SyncRun
from integrations.services import outlook

DONE, FAILED, USAGE, PARTIAL = 0, 1, 2, 3


class HospientCommand(BaseCommand):
    """Base of our commands. Subclasses implement `run`, which returns the exit code."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print one JSON document and nothing else.")
        self.arguments(parser)

    def arguments(self, parser: CommandParser) -> None:
        """Declare what the command takes."""

    def run(self, **options: Any) -> int:
        raise NotImplementedError

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        self.as_json = as_json
        try:
            code = self.run(**options)
        except (InvalidInput, UnsupportedOperation) as error:
            raise CommandError(str(error), returncode=USAGE) from error
        except (ConfigurationError, HospientError) as error:
            raise CommandError(str(error), returncode=FAILED) from error
        if code:
            sys.exit(code)

    def show(self, line: str, data: Mapping[str, Any] | list[Any]) -> None:
        """Print the outcome: a sentence for people, or the data with `--json`."""
        self.stdout.write(json.dumps(data, default=str, indent=2) if self.as_json else line)

    def note(self, line: str) -> None:
        """Print something on the way, for people only."""
        if not self.as_json:
            self.stdout.write(line)

    def integration(self, pk: int) -> Integration:
        try:
            return Integration.objects.select_related("hotel").get(pk=pk)
        except Integration.DoesNotExist:
            raise CommandError(f"There is no integration {pk}. See: manage.py list_integrations", returncode=USAGE) from None

    @contextmanager
    def progress(self, label: str) -> Iterator[Any]:
        """Yield a function that shows how far a run is: a bar on a terminal, one line a page otherwise, nothing with `--json`."""
        if self.as_json:
            yield lambda run: None
        elif not self.stdout.isatty():
            yield lambda run: self.note(f"page {run.page_count}: {run.summary}")
        else:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            with Progress(*columns, transient=True) as bar:
                shown = bar.add_task(label, total=None)
                yield lambda run: bar.update(shown, completed=run.processed_count, total=run.total)


def run_as_json(run: SyncRun) -> dict[str, Any]:
    counts = {name: getattr(run, f"{name}_count") for name in ("created", "updated", "unchanged", "deleted", "rejected", "conflict")}
    return {
        "run": run.pk,
        "stream": run.stream,
        "mode": run.mode,
        "status": run.status,
        **counts,
        "error": {"code": run.error_code, "message": run.error_message, "hint": run.hint} if run.error_code else None,
        "correlation_id": run.correlation_id,
    }


def run_exit_code(run: SyncRun) -> int:
    return {RunStatus.SUCCEEDED: DONE, RunStatus.PARTIAL: PARTIAL}.get(RunStatus(run.status), FAILED)


def operation_as_json(operation: Operation) -> dict[str, Any]:
    return {
        "operation": operation.pk,
        "name": operation.name,
        "status": operation.status,
        "reference": operation.vendor_reference,
        "answer": operation.answer,
        "warnings": operation.warnings,
        "attempts": operation.attempts,
        "next_attempt_at": operation.next_attempt_at,
        "error": {"code": operation.error_code, "message": operation.error_message, "hint": operation.hint}
        if operation.error_code
        else None,
        "correlation_id": operation.correlation_id,
    }


def operation_line(operation: Operation) -> str:
    """Say in one line how an operation stands, and what comes of it."""
    said = outlook.of_operation(operation)
    parts = (said.what, said.why, *operation.warnings, said.next, said.todo, f"(operation {operation.pk})")
    return " ".join(part for part in parts if part)
