"""A pytest plugin that has the collected tests look at mistakes, instead of running them once.

A first pass writes down which test runs which line. Then each mistake gets a copy of this process and of the database: its functions are
swapped in memory, or its constant wherever it was imported, and the tests that run its line are run, the quickest first, until one fails.
What is neither (the body of a class, a decorator), and a constant that nobody missed (another may be made of it), is loaded in a process of
its own, by `plant`. No file is changed.
"""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest
from _pytest.runner import runtestprotocol

from tests.mutations.mistakes import ROOT, Mistake, Swap, lines_of_statement

HANGS_SECONDS, WAITS_SECONDS = 30, 300
"""A test that works, or waits, for so much longer than it did hangs on the mistake, and has noticed it. On a busy machine all wait long."""
LOADED_SECONDS = 300
NOTICED, MISSED = 1, 0


class OwnDatabase:
    @pytest.fixture(scope="session")
    def django_db_setup(self) -> None:
        """Every copy of this process has a copy of the database that was made before."""


class Lane:
    """Looks at `mistakes` in `files` until `until`, at so many at a time as there are cores; `found` is told whether each was noticed."""

    def __init__(self, files: list[Path], mistakes: Iterable[Mistake], until: float, found: Callable[[Mistake, bool], None]) -> None:
        self.files = files
        self.mistakes = iter(mistakes)
        self.until = until
        self.found = found
        self.folder = Path(tempfile.mkdtemp(prefix="hospient-mutations-"))
        self.running: dict[int, Mistake] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        self.config = config
        config.pluginmanager.register(OwnDatabase())  # now, behind pytest-django, whose fixture it replaces

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self.items = {item.nodeid: item for item in session.items}
        self._make_database()
        try:
            os.waitpid(self._fork(self._observe), 0)
            if failed := (self.folder / "failed").read_text():
                print(failed, flush=True)
                raise session.Failed("tests fail as they are")
            self._read_observed()
            for mistake in self.mistakes:
                if time.monotonic() > self.until:
                    break
                self._start(mistake)
            while self.running:
                self._wait()
        finally:
            shutil.rmtree(self.folder, True)
        return True

    # --- what each test runs ---------------------------------------------------------------------------------------------------

    def _observe(self) -> int:
        watched = coverage.Coverage(data_file=self.folder / "lines", include=list(map(str, self.files)), config_file=False)
        seconds: dict[str, float] = {}
        failed = []
        watched.start()
        for item, following in _with_next(list(self.items.values())):
            watched.switch_context(item.nodeid)
            began = time.monotonic()
            if _fails(item, following):
                failed.append(item.nodeid)
            seconds[item.nodeid] = time.monotonic() - began
        watched.stop()
        watched.save()
        (self.folder / "seconds").write_text(json.dumps(seconds))
        (self.folder / "failed").write_text("".join(f"fails as it is: {name}\n" for name in failed))
        return 0

    def _read_observed(self) -> None:
        self.seconds: dict[str, float] = json.loads((self.folder / "seconds").read_text())
        data = coverage.CoverageData(str(self.folder / "lines"))
        data.read()
        self.lines: dict[Path, dict[int, list[str]]] = {file: data.contexts_by_lineno(str(file)) for file in self.files}

    def _tests_of(self, mistake: Mistake, lines: range | None) -> list[str]:
        """Return the tests that run these lines, or any of the file, the quickest first."""
        by_line = self.lines[mistake.file].items()
        chosen = {name for line, names in by_line if lines is None or line in lines for name in names if name}
        return sorted(chosen, key=self.seconds.__getitem__)

    # --- one mistake -----------------------------------------------------------------------------------------------------------

    def _start(self, mistake: Mistake) -> None:
        if len(self.running) >= (os.cpu_count() or 1):
            self._wait()
        self.running[self._fork(lambda: self._look(mistake))] = mistake

    def _wait(self) -> None:
        pid, status = os.waitpid(-1, 0)
        if mistake := self.running.pop(pid, None):
            self.found(mistake, os.waitstatus_to_exitcode(status) != MISSED)

    def _look(self, mistake: Mistake) -> int:
        if (swap := mistake.swap()) and (tests := self._tests_of(mistake, lines_of_statement(mistake.file, mistake.line))):
            _swap_functions(swap, str(mistake.file))
            return self._run(tests)
        # If no test runs it, the module may when it is loaded.
        tests = self._tests_of(mistake, None)
        if constant := mistake.constant():
            _swap_constants(*constant, str(mistake.file))
            if self._run(tests) == NOTICED:
                return NOTICED
        return self._look_loaded(mistake, tests) if tests else MISSED

    def _run(self, tests: list[str]) -> int:
        for item, following in _with_next([self.items[name] for name in tests]):
            usual = 10 * self.seconds[item.nodeid]
            signal.setitimer(signal.ITIMER_PROF, HANGS_SECONDS + usual)  # nobody handles these signals: the process ends
            signal.setitimer(signal.ITIMER_REAL, WAITS_SECONDS + usual)
            if _fails(item, following):
                return NOTICED
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        return MISSED

    def _look_loaded(self, mistake: Mistake, tests: list[str]) -> int:
        planted, chosen = self.folder / f"{os.getpid()}.py", self.folder / f"{os.getpid()}.txt"
        planted.write_text(mistake.source)
        chosen.write_text("\n".join(tests))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", "-p", "tests.mutations.plant", f"@{chosen}"]
        env = os.environ | {"MUTATED": str(mistake.file), "MUTATION": str(planted), "MUTATION_DATABASE": self.database}
        try:
            return NOTICED if subprocess.run(command, cwd=ROOT, env=env, timeout=LOADED_SECONDS).returncode else MISSED
        except subprocess.TimeoutExpired:
            return NOTICED

    # --- processes and their databases -----------------------------------------------------------------------------------------

    def _make_database(self) -> None:
        from django.conf import settings
        from django.db import connections
        from django.test.utils import setup_databases
        from pytest_django.plugin import blocking_manager_key

        blocker = self.config.stash[blocking_manager_key]
        with blocker.unblock():
            setup_databases(verbosity=0, interactive=False)
            connections.close_all()
        self.database = settings.DATABASES["default"]["NAME"]

    def _fork(self, work: Callable[[], int]) -> int:
        if pid := os.fork():
            return pid
        code = NOTICED
        try:
            from django.db import connections

            own = self.folder / f"{os.getpid()}.sqlite3"
            shutil.copy(self.database, own)
            connections["default"].settings_dict["NAME"] = str(own)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            code = work()
            own.unlink(missing_ok=True)
        finally:
            os._exit(code)


def _swap_functions(swap: Swap, file: str) -> None:
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == file:
            code = function.__code__
            function.__code__ = swap.get((code.co_qualname, code.co_firstlineno), code)


def _swap_constants(code: CodeType, names: list[str], file: str) -> None:
    module = next(module for module in sys.modules.values() if getattr(module, "__file__", "") == file)
    changed = dict(vars(module))
    exec(code, changed)
    for name in names:
        old = vars(module)[name]
        for other in [other for other in sys.modules.values() if vars(other).get(name) is old]:
            setattr(other, name, changed[name])


def _fails(item: pytest.Item, following: pytest.Item | None) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def _with_next(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items[1:], None], strict=True)
