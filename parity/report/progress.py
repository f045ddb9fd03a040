"""One line while the tests run: rung, property, how far, how long still. It works with pytest-xdist as well.

Pytest's own dots are left out, for the line takes their place: rewritten on a terminal, written now and then elsewhere.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import pytest

from parity.report.answers import in_words

EVERY, STILL = 15.0, 1.0  # seconds between two lines, and between two looks at the clock
DURATIONS = "leaf-ladder/durations"  # in pytest's cache: seconds a test took last time
# of the longest files, and of the longest tests in them, for a clone where nothing has run yet
SECONDS = Path("parity_tests", "seconds.json")
USUAL = 0.07  # seconds of a test in no such file
PRIOR = 0.2  # how much of the run the expected pace counts as, beside what has been observed


class Progress:
    """Hook into the process that reports; a thread writes, so that a long test is no silence."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.quiet = config.get_verbosity() <= 0
        self.out = _stdout()
        self.is_terminal = self.out is not None and self.out.isatty()
        self.weights: dict[str, float] = {}  # seconds that each test of this run may take
        self.done: dict[str, float] = {}  # seconds that a test took, once it is over
        self._took: dict[str, float] = {}
        self.doing = "collecting the tests"
        self._cache = getattr(config, "cache", None)
        self.known: dict[str, float] = dict(self._cache.get(DURATIONS, {})) if self._cache else {}
        longest = config.rootpath / SECONDS
        self.expected: dict[str, float] = json.loads(longest.read_text(encoding="utf-8")) if longest.is_file() else {}
        self.nodes: set[Any] = set()  # the workers
        self._began = self._written = time.monotonic()
        self._dirty, self._file = False, ""
        self._lock, self._stop = threading.Lock(), threading.Event()

    def pytest_sessionstart(self) -> None:
        """Start to write."""
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if self.quiet and terminal is not None:
            terminal.showfspath = False
        if self.out is not None:
            threading.Thread(target=self._run, name="leaf-ladder-progress", daemon=True).start()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Know what will run, in a process that runs it itself."""
        self._collected([item.nodeid for item in getattr(session, "items", [])])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Know what will run, from a worker; every worker has all tests."""
        self.nodes.add(node)
        self._collected(ids)

    def _collected(self, ids: Sequence[str]) -> None:
        """Weigh a test by its seconds of last time, or as it usually takes, or by its share of its file's."""
        if self.weights or not ids:
            return
        files = {name: name.partition("::")[0] for name in ids}
        usual = sum(self.known.values()) / len(self.known) if self.known else USUAL
        rest, count = dict(self.expected), Counter(files.values())
        for name, file in files.items():
            if name in self.expected and file in rest:
                rest[file] -= self.expected[name]
                count[file] -= 1
        shares = {file: max(rest[file], 0.0) / n for file, n in count.items() if file in rest and n}
        told = {**self.expected, **self.known}
        self.weights = {name: max(told.get(name, shares.get(file, usual)), 1e-3) for name, file in files.items()}
        self._began = time.monotonic()
        self.say("starting")

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
        """Write no dots: a category alone. What failed is said at once."""
        if not self.quiet or not isinstance(report, pytest.TestReport) or hasattr(report, "wasxfail"):
            return None
        if report.passed:
            return ("passed", "", "") if report.when == "call" else ("", "", "")
        if report.skipped:
            return "skipped", "", "SKIPPED"
        return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note the file that began last, until one of its tests has said what it measures."""
        path = nodeid.partition("::")[0]
        if path != self._file:
            self._file, file = path, Path(path)
            subject = file.stem.removeprefix("test_").replace("_", " ")
            self.doing = ", ".join(filter(None, (file.parent.name, subject)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up how long a test takes, and take over what it says that it measures."""
        self._took[report.nodeid] = self._took.get(report.nodeid, 0.0) + report.duration
        if report.when == "teardown":
            self.done[report.nodeid] = self._took.pop(report.nodeid)
        for name, value in report.user_properties:
            if name == "leaf-ladder":
                rung, what = list(value)  # type: ignore[call-overload]
                self.doing = f"{rung}, {in_words(what)}"
        if report.failed and self.quiet:
            self._write(f"FAILED {report.nodeid}", stays=True)
        else:
            self._write_if_due()

    def say(self, text: str) -> None:
        """Say that another part of the run has begun."""
        self.doing = text
        self._write(self.line())

    def end(self) -> None:
        """Write no more; keep how long each test took."""
        self._stop.set()
        with self._lock:
            if self._dirty and self.out is not None:
                self.out.write("\r\x1b[K")
                self.out.flush()
                self._dirty = False
        if self._cache and not hasattr(self.config, "workerinput"):
            took = {name: round(seconds, 2) for name, seconds in self.done.items()}
            self._cache.set(DURATIONS, {**self.known, **took})

    pytest_unconfigure = end

    def line(self) -> str:
        """Say what is running, how much is done, and how long the rest may take."""
        if not self.weights:
            return f"leaf-ladder: {self.doing}"
        total, left = len(self.weights), self.left()
        n = min(len(self.done), total)
        rest = "" if left is None else f", {left:.0f} s left" if left < 120 else f", {left / 60:.0f} min left"
        return f"leaf-ladder: {100 * n // total:3d} % ({n:,} of {total:,} tests{rest}): {self.doing}"

    def left(self) -> float | None:
        """Estimate the seconds that the rest may take, by what each test takes; None before one is over.

        The first tests of a run are no fair sample of its pace: a file's first test computes what the others share. So
        the pace begins as the one that is expected, a worker doing a second's work in a second, and what is observed
        takes its place as it grows.
        """
        done = sum(self.weights.get(name, 0.0) for name in self.done)
        if not done:
            return None
        total = sum(self.weights.values())
        at_pace = PRIOR * total
        elapsed = time.monotonic() - self._began + at_pace / max(len(self.nodes), 1)
        return elapsed * max(0.0, total - done) / (at_pace + done)

    def _run(self) -> None:
        while not self._stop.wait(STILL):
            self._write_if_due()

    def _write_if_due(self) -> None:
        if self.is_terminal or time.monotonic() - self._written > EVERY:
            self._write(self.line())

    def _write(self, text: str, stays: bool = False) -> None:
        if self.out is None or self._stop.is_set():
            return
        with self._lock:
            self._written = time.monotonic()
            if self.is_terminal:
                text = text if stays else text[: shutil.get_terminal_size().columns - 1]
                self.out.write(f"\r\x1b[K{text}" + "\n" * stays)
                self._dirty = not stays
            else:
                self.out.write(f"{text}\n")
            self.out.flush()


def _stdout() -> TextIO | None:
    """Open a stdout of our own: pytest turns the file descriptor of the process away while a test runs."""
    try:
        return io.TextIOWrapper(io.FileIO(os.dup(sys.stdout.fileno()), "w"), encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # a stdout that is no file
        return None
