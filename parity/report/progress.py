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

from parity.report.words import property_of

EVERY, STILL = 15.0, 1.0  # seconds between two lines, and between two looks at the clock
DURATIONS = "leaf-ladder/durations"  # in pytest's cache: seconds a test took last time
SECONDS = Path("parity_tests", "seconds.json")  # of the longest files, for a clone where nothing has run yet
USUAL = 0.07  # seconds of a test in no such file


class Progress:
    """Hooks of the process that reports; a thread writes, so that a long test is no silence.

    Args:
        config: of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.quiet = config.get_verbosity() <= 0
        self.out = _stdout()
        self.is_terminal = self.out is not None and self.out.isatty()
        self.ids: list[str] = []
        self.done: dict[str, float] = {}  # seconds that a test took, once it is over
        self._took: dict[str, float] = {}
        self.doing = "collecting the tests"
        cache = getattr(config, "cache", None)
        self.known: dict[str, float] = dict(cache.get(DURATIONS, {})) if cache else {}
        longest = config.rootpath / SECONDS
        self.files: dict[str, float] = json.loads(longest.read_text(encoding="utf-8")) if longest.is_file() else {}
        self.weights: dict[str, float] = {}
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
        """Know what will run, from a worker."""
        self._collected(list(ids))

    def _collected(self, ids: list[str]) -> None:
        if ids and not self.ids:  # every worker has them all
            self.ids = ids
            self.weights = self._weigh()
            self.say("starting", restart=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
        """No dots: a category alone. What failed is said at once."""
        if not self.quiet or not isinstance(report, pytest.TestReport) or hasattr(report, "wasxfail"):
            return None
        if report.passed:
            return ("passed", "", "") if report.when == "call" else ("", "", "")
        if report.skipped:
            return "skipped", "", "SKIPPED"
        return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """The file that began last, until one of its tests has said what it measures."""
        path = nodeid.partition("::")[0]
        if path == self._file:
            return
        self._file, (folder, _, file) = path, path.rpartition("/")
        subject = file.removesuffix(".py").removeprefix("test_").replace("_", " ")
        self.doing = ", ".join(filter(None, (folder.rpartition("/")[2], subject)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up how long a test takes, and take over what it says that it measures."""
        self._took[report.nodeid] = self._took.get(report.nodeid, 0.0) + report.duration
        if report.when == "teardown":
            self.done[report.nodeid] = self._took.pop(report.nodeid)
        for name, value in report.user_properties:
            if name == "leaf-ladder":
                rung, what = list(value)  # type: ignore[call-overload]
                self.doing = f"{rung}, {property_of(what)}"
        if report.failed and self.quiet:
            self._write(f"FAILED {report.nodeid}", stays=True)
        elif self.is_terminal or time.monotonic() - self._written > EVERY:
            self._write(self.line())

    def say(self, text: str, restart: bool = False) -> None:
        """Another part of the run has begun."""
        self.doing = text
        if restart:
            self._began = time.monotonic()
        self._write(self.line())

    def end(self) -> None:
        """Write no more; keep how long each test took."""
        self._stop.set()
        self._wipe()
        if (cache := getattr(self.config, "cache", None)) and not hasattr(self.config, "workerinput"):
            cache.set(DURATIONS, {**self.known, **{name: round(s, 2) for name, s in self.done.items()}})

    pytest_unconfigure = end

    def line(self) -> str:
        """What is running, how much is done, and how long the rest may take."""
        if not self.ids:
            return f"leaf-ladder: {self.doing}"
        n, total = min(len(self.done), len(self.ids)), len(self.ids)
        left = self.left()
        rest = "" if left is None else f", {clock(left)} left"
        return f"leaf-ladder: {100 * n // total:3d} % ({n:,} of {total:,} tests{rest}): {self.doing}"

    def left(self) -> float | None:
        """Seconds that the rest may take, by what each test takes; None before one is over."""
        done = sum(self.weights.get(name, 0.0) for name in self.done)
        total = sum(self.weights.values())
        return (time.monotonic() - self._began) * max(0.0, total - done) / done if done else None

    def _weigh(self) -> dict[str, float]:
        """Seconds that a test took last time; else its share of its file's; else what tests usually take."""
        files = {name: name.partition("::")[0] for name in self.ids}
        count = Counter(files.values())
        usual = sum(self.known.values()) / len(self.known) if self.known else USUAL
        shares = {file: seconds / count[file] for file, seconds in self.files.items() if file in count}
        return {name: max(self.known.get(name, shares.get(file, usual)), 1e-3) for name, file in files.items()}

    def _run(self) -> None:
        while not self._stop.wait(STILL):
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

    def _wipe(self) -> None:
        with self._lock:
            if self._dirty and self.out is not None:
                self.out.write("\r\x1b[K")
                self.out.flush()
                self._dirty = False


def clock(seconds: float) -> str:
    """Minutes, or seconds below two of them."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _stdout() -> TextIO | None:
    """A stdout of our own: pytest turns the file descriptor of the process away while a test runs."""
    try:
        return io.TextIOWrapper(io.FileIO(os.dup(sys.stdout.fileno()), "w"), encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # a stdout that is no file
        return None
