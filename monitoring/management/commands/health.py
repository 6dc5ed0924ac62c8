"""`manage.py health`: is anything broken, and what do I do?"""

from typing import Any

from django.core.management.base import CommandParser

from hotels.models import Hotel
from integrations.exceptions import InvalidInput
from integrations.management.command import DONE, FAILED, PARTIAL, HospientCommand
from integrations.models import Integration
from monitoring import house
from monitoring.health import State, judge
from monitoring.summary import summarise


class Command(HospientCommand):
    help = "Say how the house and its integrations are. Exit code 0: all well; 3: something is late or waits; 1: something needs a person."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--hotel", help="Only the integrations of this hotel (its slug).")

    def run(self, *, hotel: str | None, **options: Any) -> int:
        checks = house.look()
        if not checks[0].is_well:
            self.show(f"{checks[0].sentence} {checks[0].todo}", {"house": [_check(check) for check in checks]})
            return FAILED
        rows = Integration.objects.select_related("hotel")
        if hotel:
            if not Hotel.objects.filter(slug=hotel).exists():
                raise InvalidInput({"--hotel": f"There is no hotel “{hotel}”."})
            rows = rows.filter(hotel__slug=hotel)
        judged = judge(rows)
        for check in checks:
            self.note(f"{'ok' if check.is_well else 'NOT WELL':<10} {check.name:<11} {check.sentence} {check.todo}".rstrip())
        for pk, health in judged.items():
            said = " ".join(part for part in (health.sentence, health.why, health.todo) if part)
            self.note(f"{pk:>4}  {health.state.label:<22} {said}")
        summary = summarise(checks, judged.values())
        integrations = [
            {"id": pk, "state": health.state.value, "sentence": health.sentence, "why": health.why, "todo": health.todo,
             "since": health.since, "last_good": health.last_good, "next_try": health.next_try}
            for pk, health in judged.items()
        ]  # fmt: skip
        data = {"summary": summary.sentence, "house": [_check(check) for check in checks], "integrations": integrations}
        self.show(f"{summary.sentence} {summary.todo}".strip(), data)
        if any(house.trouble(checks)) or any(health.state == State.NEEDS_PERSON for health in judged.values()):
            return FAILED
        return DONE if summary.is_well else PARTIAL


def _check(check: house.Check) -> dict[str, Any]:
    return {"name": check.name, "is_well": check.is_well, "sentence": check.sentence, "todo": check.todo}
