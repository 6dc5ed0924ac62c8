"""One sentence for everything: the house first, then the worst integration."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from hotels.words import counted
from monitoring.health import Health, State
from monitoring.house import Check, trouble


@dataclass(frozen=True, slots=True)
class Summary:
    colour: str
    sentence: str
    todo: str = ""
    is_well: bool = False


def summarise(checks: Collection[Check], judged: Collection[Health]) -> Summary:
    """Say how it all is. That everything works is said only when each was looked at and is well."""
    if (worst := next(trouble(list(checks)), None)) is not None:
        return Summary("danger", worst.sentence, worst.todo)
    states = Counter(health.state for health in judged)
    persons = [health for health in judged if health.state == State.NEEDS_PERSON]
    if persons:
        more = f" So {'does' if len(persons) == 2 else 'do'} {counted(len(persons) - 1, 'other', 'others')}." if len(persons) > 1 else ""
        return Summary("danger", f"{persons[0].sentence} It needs a person.{more}", persons[0].todo)
    if states[State.WAITING]:
        number = counted(states[State.WAITING], "vendor does", "vendors do")
        return Summary("warning", f"{number} not answer at the moment. What waits for it goes on by itself.")
    if states[State.LATE]:
        return Summary("warning", f"{counted(states[State.LATE], 'integration is', 'integrations are')} late.")
    if states[State.NOT_TRIED]:
        return Summary("info", f"{counted(states[State.NOT_TRIED], 'integration has', 'integrations have')} not been tried yet.")
    return Summary("success", "Everything works.", is_well=True)
