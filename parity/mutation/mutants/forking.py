"""Runs a rung's tests on mutants: heavy libraries are imported once, and every mutant has a forked process.

The mutated module is compiled in memory and handed over where it is imported, so nothing is written into the tree.
Tests that start a process of their own see the original. Only tests that call the mutated function are run, the
quickest first, up to the first that fails.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import SourceFileLoader
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from parity.mutation.mutants.operators import Mutant

PRELOADED = ("numpy", "hypothesis", "mpmath", "rich", "jinja2", "torch", "torch._dynamo")
OF_TENSORFLOW = ("tensorflow", "keras")
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--assert=plain", "--no-header", "--tb=no")
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
FORK = multiprocessing.get_context("fork")


class MutantStatus(NamedTuple):
    """Say what became of a mutant: ``killed``, ``timeout`` or ``survived``, and by which test."""

    state: str
    by: str = ""


class Seen(NamedTuple):
    """A test's run on the original: CPU seconds, and the rungs' functions that ran, as ``path:name``."""

    seconds: float
    functions: set[str]


def preload(tensorflow: bool) -> None:
    """Import what every process needs; nothing of this project but the mutation run itself."""
    for name in (*PRELOADED, *(OF_TENSORFLOW if tensorflow else ())):
        importlib.import_module(name)
    gc.freeze()


def install(mutant: Mutant, root: Path) -> None:
    """Have this process, which is forked for it, import the mutated module, which it must not have imported yet."""
    path = root / mutant.path
    mutated = mutant.path.removesuffix(".py").replace("/", ".")
    if mutated in sys.modules:
        raise RuntimeError(f"{mutated} is imported already")
    code, own = mutant.compile(path.read_text(encoding="utf-8"), str(path)), SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, fullname: str) -> CodeType | None:
        return code if fullname == mutated else own(loader, fullname)

    patch.object(SourceFileLoader, "get_code", get_code).start()


def forked(work: Callable[[], object], longest_s: int = LONGEST_S) -> tuple[object, int]:
    """Run ``work`` in a forked process: its result, None where it died, and the signal that ended it."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_limited, args=(work, longest_s, sender))
    process.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        result = None
    process.join()
    return result, max(-(process.exitcode or 0), 0)


def _limited(work: Callable[[], object], longest_s: int, sender: Connection) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.alarm(longest_s)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    sender.send(work())


def _run_pytest(arguments: Sequence[str], plugin: object) -> int:
    """Run pytest with the suite's Hypothesis profile without shrinking: any failure is enough."""
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        "mutants", derandomize=True, print_blob=False, deadline=None, max_examples=100,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    return int(pytest.main([*arguments, *OPTIONS], plugins=[plugin]))


def _is_slow(item: pytest.Item) -> bool:
    return any(part in item.nodeid for part in SLOW)


class _Watch:
    """Notes the CPU time of every test that is not slow, and which of the rungs' functions it calls."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = {str(Path(file).resolve()): file for file in files}
        self.seen: dict[str, Seen] = {}
        self.failed: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not _is_slow(item)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        running, start = set[str](), time.process_time()

        def called(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and (path := self.files.get(frame.f_code.co_filename)):
                name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)  # Python 3.10 has the last part alone
                running.add(f"{path}:{name.replace('.<locals>', '')}")

        sys.setprofile(called)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            self.seen[item.nodeid] = Seen(time.process_time() - start, running)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


class _Chosen:
    """Runs the chosen tests in the given order, each within its CPU time, and notes what runs and what failed.

    ``None`` chooses the slow ones.
    """

    def __init__(self, seconds: dict[str, float] | None, running: Any) -> None:
        self.seconds, self.running, self.failed = seconds, running, ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = {item.nodeid: item for item in items}
        chosen = [item.nodeid for item in items if _is_slow(item)] if self.seconds is None else self.seconds
        items[:] = [found[name] for name in chosen if name in found]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.running.value = item.nodeid.encode()
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
        _run_pytest(selection, plugin)
        return plugin.seen, plugin.failed

    answer, by = forked(work)
    seen, failed = answer if isinstance(answer, tuple) else ({}, f"signal {by}")
    if failed or not seen:
        raise RuntimeError(f"tests of the original must pass: {failed}")
    return dict(seen)


def judge(mutant: Mutant, tests: dict[str, float] | None, selection: Sequence[str], root: Path) -> MutantStatus:
    """Run tests on a mutant until one fails.

    Args:
        mutant: what to run them on.
        tests: names in the order to be run, with the CPU seconds that each takes on the original; None for the
            slow ones that are selected.
        selection: arguments with which pytest selects them.
        root: the repository, which must be the current directory.
    """
    if tests is not None and not tests:
        return MutantStatus("survived")
    files = selection if tests is None else list(dict.fromkeys(name.split("::")[0] for name in tests))
    running: Any = FORK.Array("c", 1000)  # the name of the test that ends the process

    def work() -> object:
        install(mutant, root)
        plugin = _Chosen(tests, running)
        return _run_pytest(["-x", *files], plugin), plugin.failed

    answer, by = forked(work)
    last = bytes(running.value).decode() or "import"
    if not isinstance(answer, tuple):
        return MutantStatus("timeout" if by in (signal.SIGPROF, signal.SIGALRM) else "killed", last)
    code, failed = answer
    return MutantStatus("survived") if code == pytest.ExitCode.OK else MutantStatus("killed", failed or last)


def covering(mutant: Mutant, seen: dict[str, Seen]) -> dict[str, float]:
    """The tests that call the mutated function, the quickest first; of a change outside functions, of its file."""
    whole = mutant.path + ":" if mutant.name == "<module>" else f"{mutant.path}:{mutant.name}."
    calls = [name for name, test in seen.items() if any(f"{f}.".startswith(whole) for f in test.functions)]
    return {name: seen[name].seconds for name in sorted(calls, key=lambda name: seen[name].seconds)}
