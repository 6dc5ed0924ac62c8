"""`python -m tests.mutations`: plants small mistakes, one at a time, and says which of them no test noticed.

Cosmic Ray makes the mistakes; the tests that cover an area stand in `AREAS`. `--changed BASE` takes only files that differ from BASE,
`--sample N` so many of each area (the same ones for the same `--seed`), `--seconds N` ends in time and says what was not reached.
"""

import argparse
import ast
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[2]
A, W = "integrations/tests/test_", "webhooks/tests/test_"
AREAS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "outbox": (("integrations/outbox/*.py",), (f"{A}outbox.py", f"{A}api_actions.py", f"{A}background.py")),
    "sync": (
        ("integrations/sync/*.py",),
        (f"{A}sync.py", f"{A}boundaries.py", f"{A}sync_corners.py", f"{A}differences.py", f"{A}background.py"),
    ),
    "webhooks": (
        ("webhooks/*.py",),
        tuple(f"{W}{name}.py" for name in ("verifiers", "ingest", "inbox", "events", "limits", "api", "commands")),
    ),
    "security": (
        ("integrations/security/*.py", "integrations/models/sealed.py"),
        (f"{A}keyring.py", f"{A}redaction.py", f"{A}egress.py", f"{A}boundaries.py"),
    ),
    "access": (("hotels/access.py",), (f"{A}api_tenancy.py", f"{A}api_integrations.py", f"{A}console_access.py")),
    "scheduling": (("integrations/sync/schedule.py", "integrations/turns.py"), (f"{A}boundaries.py", f"{A}background.py", f"{A}sync.py")),
    "commands": (
        ("*/management/commands/*.py", "integrations/management/command.py"),
        ("tests/test_prune.py", f"{W}commands.py", f"{A}background.py", "tests/test_startprovider.py", "tests/test_seed_methods.py"),
    ),
}
"""Area -> its modules, and the tests that cover them."""
OPPOSITES = [
    "Eq_NotEq",
    "NotEq_Eq",
    "Lt_LtE",
    "Lt_GtE",
    "LtE_Lt",
    "LtE_Gt",
    "Gt_GtE",
    "Gt_LtE",
    "GtE_Gt",
    "GtE_Lt",
    "Is_IsNot",
    "IsNot_Is",
    "Add_Sub",
    "Sub_Add",
    "Mul_Div",
    "Div_Mul",
    "FloorDiv_Mul",
    "Mod_Mul",
    "Pow_Mul",
    "LShift_RShift",
    "RShift_LShift",
    "BitOr_BitAnd",
    "BitAnd_BitOr",
    "Delete_Not",
]
"""One or two replacements for each sign: more of them say no more."""
OTHERS = "AddNot ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd ReplaceBreakWithContinue "
OTHERS += "ReplaceContinueWithBreak NumberReplacer ZeroIterationForLoop RemoveDecorator"
SECONDS_A_MUTANT = 180
"""A mutant that runs longer hangs, and is noticed by that."""


class Mutant(NamedTuple):
    file: Path
    operator: str
    occurrence: int
    line: int

    def source(self) -> str:
        return mutate_code(self.file.read_text(), get_operator(self.operator)(), self.occurrence)

    def __str__(self) -> str:
        before, after = self.file.read_text().splitlines(), self.source().splitlines()
        line = next((mine for mine, theirs in zip(before, after, strict=False) if mine != theirs), "")
        return f"{self.file.relative_to(ROOT)}:{self.line} {self.operator.partition('/')[2]}: {line.strip()}"


def mutants(file: Path) -> Iterator[Mutant]:
    text = file.read_text()
    spelt = set(annotation_lines(ast.parse(text)))
    nodes = list(ast_nodes(get_ast(text)))
    for name in operator_names():
        kind = name.partition("/")[2]
        if kind not in OTHERS.split() and kind.partition("Operator_")[2] not in OPPOSITES:
            continue
        operator = get_operator(name)()
        positions = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, (line, column) in enumerate(positions):
            if not ("BitOr" in kind and any(begin <= (line, column) < end for begin, end in spelt)):
                yield Mutant(file, name, occurrence, line)


def annotation_lines(tree: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield where types are written: `int | None` is no arithmetic."""
    for node in ast.walk(tree):
        for written in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if written is not None:
                yield (written.lineno, written.col_offset), (written.end_lineno, written.end_col_offset)


def is_noticed(mutant: Mutant, tests: tuple[str, ...]) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".py") as planted:
        planted.write(mutant.source())
        planted.flush()
        try:
            return fails(tests, {"MUTATED": str(mutant.file), "MUTATION": planted.name})
        except subprocess.TimeoutExpired:
            return True


def fails(tests: tuple[str, ...], planted: Mapping[str, str]) -> bool:
    plugin = ["-p", "tests.mutations.plant"] if planted else []
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *plugin, *tests]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | planted, capture_output=True, timeout=SECONDS_A_MUTANT)
    return done.returncode != 0


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
    for area in asked.area or AREAS:
        patterns, tests = AREAS[area]
        files = [file for pattern in patterns for file in sorted(ROOT.glob(pattern)) if changed is None or file in changed]
        found = [mutant for file in files for mutant in mutants(file)]
        # In a random order: a run that ends early has looked everywhere.
        chosen = random.Random(asked.seed).sample(found, min(len(found), asked.sample or len(found)))
        if chosen and time.monotonic() < until and fails(tests, {}):
            print(f"{area}: its tests fail as they are, so nothing can be said", flush=True)
            return 1
        tried, noticed = 0, 0
        for mutant in chosen:
            if time.monotonic() > until:
                break
            is_seen = is_noticed(mutant, tests)
            tried, noticed = tried + 1, noticed + is_seen
            if not is_seen:
                print(f"not noticed: {mutant}", flush=True)
        print(f"{area}: {noticed} of {tried} noticed, {len(chosen) - tried} not reached, {len(found)} there are", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
