"""`python -m tests.mutations`: plants small mistakes, one at a time, and says which of them no test noticed.

The tests that cover an area stand in `AREAS`; of them, those that run the line of a mistake look at it. `--changed BASE` takes only files
that differ from BASE, `--sample N` so many of each area (the same ones for the same `--seed`), `--seconds N` ends in time and says what was
not reached.
"""

import argparse
import multiprocessing
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutations.lane import Lane
from tests.mutations.mistakes import ROOT, Mistake, make, mistakes

A, W = "integrations/tests/test_", "webhooks/tests/test_"
AREAS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "outbox": (
        ("integrations/outbox/*.py",),
        (f"{A}outbox.py", f"{A}retries.py", f"{A}one_intention.py", f"{A}payers.py", f"{A}api_actions.py", f"{A}background.py"),
    ),
    "sync": (
        ("integrations/sync/*.py",),
        (
            f"{A}sync.py",
            f"{A}boundaries.py",
            f"{A}sync_corners.py",
            f"{A}differences.py",
            f"{A}who_is_who.py",
            f"{A}cards.py",
            f"{A}background.py",
        ),
    ),
    "webhooks": (
        ("webhooks/*.py",),
        tuple(f"{W}{name}.py" for name in ("verifiers", "ingest", "inbox", "events", "limits", "api", "commands", "secrets")),
    ),
    "security": (
        ("integrations/security/*.py", "integrations/models/sealed.py"),
        (f"{A}keyring.py", f"{A}redaction.py", f"{A}cards.py", f"{A}egress.py", f"{A}boundaries.py", f"{A}commands.py"),
    ),
    "access": (("hotels/access.py",), (f"{A}api_tenancy.py", f"{A}api_integrations.py", f"{A}console_access.py")),
    "scheduling": (
        ("integrations/sync/schedule.py", "integrations/lanes.py"),
        (f"{A}boundaries.py", f"{A}background.py", f"{A}lanes.py", f"{A}sync.py"),
    ),
    "commands": (
        ("*/management/commands/*.py", "integrations/management/command.py"),
        (
            f"{A}commands.py",
            "tests/test_every_command.py",
            "tests/test_prune.py",
            f"{W}commands.py",
            f"{A}background.py",
            "tests/test_seed_methods.py",
        ),
    ),
}
"""Area -> its modules, and the tests that cover them."""


class Tally:
    def __init__(self) -> None:
        self.tried = self.noticed = 0

    def found(self, mistake: Mistake, is_noticed: bool) -> None:
        self.tried, self.noticed = self.tried + 1, self.noticed + is_noticed
        if not is_noticed:
            print(f"not noticed: {mistake}", flush=True)


def files_of(area: str) -> list[Path]:
    return [file for pattern in AREAS[area][0] for file in sorted(ROOT.glob(pattern))]


def look_at(area: str, changed: set[Path] | None, asked: argparse.Namespace, until: float) -> None:
    """Look at one area's mistakes, and print what came of it. Ends with 1 where nothing can be said."""
    files = [file for file in files_of(area) if changed is None or file in changed]
    found = [(file, *mistake) for file in files for mistake in mistakes(file)]
    # In a random order: a run that ends early has looked everywhere.
    chosen = random.Random(asked.seed).sample(found, min(len(found), asked.sample or len(found)))
    tally = Tally()
    made: Iterator[Mistake] = filter(None, (make(*mistake) for mistake in chosen))
    options = ("-n0", "-s", "-qq", "--no-header", "-p", "no:cacheprovider")
    if chosen and time.monotonic() < until and pytest.main([*options, *AREAS[area][1]], plugins=[Lane(files, made, until, tally.found)]):
        sys.exit(f"{area}: nothing can be said")
    print(f"{area}: {tally.noticed} of {tally.tried} noticed, {len(chosen) - tally.tried} not reached, {len(found)} there are", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--area", choices=AREAS, action="append")
    parser.add_argument("--changed", metavar="BASE")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    asked = parser.parse_args()
    until = time.monotonic() + asked.seconds
    changed = None
    if asked.changed:
        listed = subprocess.run(["git", "diff", "--name-only", asked.changed], cwd=ROOT, capture_output=True, text=True, check=True)
        changed = {ROOT / name for name in listed.stdout.split()}
    code = 0
    areas = [area for area in asked.area or AREAS if changed is None or changed.intersection(files_of(area))]
    for number, area in enumerate(areas):
        now = time.monotonic()
        ends = now + (until - now) / (len(areas) - number)  # each gets its share of what is left
        # A process for each: pytest and Django are set up once in a life.
        process = multiprocessing.get_context("fork").Process(target=look_at, args=(area, changed, asked, ends))
        process.start()
        process.join()
        code = code or process.exitcode or 0
    return code


if __name__ == "__main__":
    sys.exit(main())
