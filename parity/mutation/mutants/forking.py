"""Runs a rung's tests on mutants: heavy libraries are imported once, and every mutant has a forked process.

The mutated module is compiled in memory and handed over by an import hook, so nothing is written into the tree. Tests
that start a process of their own see the original. Only tests that call the mutated function are run, the quickest
first, up to the first that fails.
"""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import pytest

from parity.mutation.mutants.operators import Mutant

PRELOADED = ("numpy", "hypothesis", "mpmath", "rich", "jinja2", "torch", "torch._dynamo")
OF_TENSORFLOW = ("tensorflow", "keras")
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--assert=plain", "--no-header", "--tb=no")
# Exported, compiled, trained for long, measured in memory, approximated, drawn for every public name: for what survives
# the others.
SLOW = (
    "test_memory", "test_exported", "test_onnx_runtime", "test_compile.py", "compiles_whole", "test_a_hundred_steps",
    "straight_from_tensorflow", "test_original_training.py", "drawn_subjects_are", "og_leaf/test_drawn",
    "tf_leaf/test_drawn", "og_leaf/test_training", "tf_leaf/test_training",
    "test_plan.py", "test_tolerance.py", "test_account.py", "test_plans.py", "test_error_model.py",
)  # fmt: skip
SLOWER = 10.0  # a mutant may take so many times the CPU time of the original's test, and
SPARE_S = 20  # so many seconds more
SLOW_S = 60  # of CPU time that a slow test may take on the original
LONGEST_S = 1800  # of wall time for a mutant
MEMORY = 8 << 30  # bytes that a mutant may take beside what the imports take


class Seen(NamedTuple):
    """Record a test's run on the original: CPU seconds, and the rungs' functions that ran, as ``path:name``."""

    seconds: float
    functions: frozenset[str]


class Verdict(NamedTuple):
    """The verdict on a mutant: ``killed``, ``timeout`` or ``survived``, and by which test."""

    state: str
    by: str = ""


def preload(tensorflow: bool) -> None:
    """Import what every process needs; nothing of this project but the mutation run itself."""
    for name in (*PRELOADED, *(OF_TENSORFLOW if tensorflow else ())):
        importlib.import_module(name)
    gc.freeze()


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class Hook(importlib.abc.MetaPathFinder):
    """Hands over one module's mutated code; others are found as ever."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self._name, self._path, self._code = name, path, code

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return spec_from_file_location(fullname, self._path, loader=_Loader(fullname, str(self._path), self._code))


def install(mutant: Mutant, root: Path) -> None:
    """Have this process import the mutated module, which it must not have imported yet."""
    path = root / mutant.path
    name = mutant.path.removesuffix(".py").replace("/", ".")
    if name in sys.modules:
        raise RuntimeError(f"{name} is imported already")
    sys.meta_path.insert(0, Hook(name, path, mutant.compile(path.read_text(encoding="utf-8"), str(path))))


def forked(work: Callable[[], object], longest_s: int = LONGEST_S) -> tuple[object, int]:
    """Run ``work`` in a forked process: its result by way of JSON, None where it died, and the signal that ended it."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        answer = Path(folder, "answer")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with Path(folder, "log").open("w") as log:
                    os.dup2(log.fileno(), 1)
                    os.dup2(log.fileno(), 2)
                signal.alarm(longest_s)
                used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
                resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
                answer.write_text(json.dumps(work()), encoding="utf-8")
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        result = json.loads(answer.read_text(encoding="utf-8")) if answer.is_file() and status == 0 else None
        if result is None and (path := os.environ.get("MUTANTS_LOG")):
            Path(path).write_text(Path(folder, "log").read_text(encoding="utf-8", errors="replace"))
        return result, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _is_slow(item: pytest.Item) -> bool:
    return any(part in item.nodeid for part in SLOW)


class _Quick:
    """Registers the suite's Hypothesis profile without shrinking: any failure is enough."""

    def __init__(self) -> None:
        from hypothesis import HealthCheck, Phase, settings

        settings.register_profile(
            "mutants", derandomize=True, print_blob=False, deadline=None, max_examples=100,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        os.environ["HYPOTHESIS_PROFILE"] = "mutants"


class _Watch(_Quick):
    """Notes the CPU time of every test and which of the rungs' functions it calls."""

    def __init__(self, files: Sequence[str]) -> None:
        super().__init__()
        self.files, self.seen, self.failed = {str(Path(f).resolve()): f for f in files}, {}, []  # type: ignore[var-annotated]
        self._running: set[str] = set()

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (path := self.files.get(frame.f_code.co_filename)):
            name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # Python 3.10 has the last part alone
            self._running.add(f"{path}:{name.replace('.<locals>', '')}")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not _is_slow(item)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._running, start = set(), time.process_time()
        sys.setprofile(self._called)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            self.seen[item.nodeid] = (time.process_time() - start, sorted(self._running))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


class _Chosen(_Quick):
    """Runs the chosen tests in the given order, each within its CPU time, and notes what failed.

    ``None`` chooses the slow ones.
    """

    def __init__(self, seconds: dict[str, float] | None, note: Path) -> None:
        super().__init__()
        self.seconds, self.note, self.failed = seconds, note, ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.seconds is None:
            items[:] = [item for item in items if _is_slow(item)]
            return
        found = {item.nodeid: item for item in items}
        items[:] = [found[name] for name in self.seconds if name in found]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.note.write_text(item.nodeid, encoding="utf-8")
        seconds = SLOW_S if self.seconds is None else self.seconds[item.nodeid]
        signal.setitimer(signal.ITIMER_PROF, SLOWER * seconds + SPARE_S)  # ends the process
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or f"import of {report.nodeid}"


def watch(selection: Sequence[str], files: Sequence[str]) -> dict[str, Seen]:
    """Run all selected tests but the slow ones on the original.

    Raises:
        RuntimeError: a test fails, so that no mutant could be judged; names it.
    """

    def work() -> object:
        plugin = _Watch(files)
        options = [option for option in OPTIONS if option != "-x"]
        pytest.main([*selection, *options], plugins=[plugin])
        return {"seen": plugin.seen, "failed": plugin.failed}

    answer, by = forked(work)
    if not isinstance(answer, dict) or answer["failed"] or not answer["seen"]:
        failed = answer["failed"] if isinstance(answer, dict) else f"signal {by}"
        raise RuntimeError(f"tests of the original must pass: {failed}")
    return {name: Seen(seconds, frozenset(functions)) for name, (seconds, functions) in answer["seen"].items()}


def judge(mutant: Mutant, tests: dict[str, float] | None, selection: Sequence[str], root: Path) -> Verdict:
    """Run tests on a mutant until one fails.

    Args:
        mutant: what to run them on.
        tests: names in the order to be run, with the CPU seconds that each takes on the original; None for the
            slow ones that are selected.
        selection: arguments with which pytest selects them.
        root: the repository, which must be the current directory.
    """
    if tests is not None and not tests:
        return Verdict("survived")
    files = selection if tests is None else list(dict.fromkeys(name.split("::")[0] for name in tests))
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        note = Path(folder, "running")

        def work() -> object:
            install(mutant, root)
            plugin = _Chosen(tests, note)
            code = pytest.main([*files, *OPTIONS], plugins=[plugin])
            return {"code": int(code), "failed": plugin.failed}

        answer, by = forked(work)
        running = note.read_text(encoding="utf-8") if note.is_file() else "import"
    if not isinstance(answer, dict):
        return Verdict("timeout", running) if by in (signal.SIGPROF, signal.SIGALRM) else Verdict("killed", running)
    if answer["code"] == pytest.ExitCode.OK:
        return Verdict("survived")
    return Verdict("killed", answer["failed"] or running)


def covering(mutant: Mutant, seen: dict[str, Seen]) -> dict[str, float]:
    """The tests that call the mutated function, the quickest first; of a change outside functions, of its file."""
    name = f"{mutant.path}:{mutant.name}"
    calls = [n for n, s in seen.items() if any(f == name or f.startswith(name + ".") for f in s.functions)]
    if mutant.name == "<module>":
        calls = [n for n, s in seen.items() if any(f.startswith(mutant.path + ":") for f in s.functions)]
    return dict(sorted(((n, seen[n].seconds) for n in calls), key=lambda item: item[1]))
