"""A pytest run that ends in a certificate: counts, shows progress, writes, sets the exit status."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from parity.report import recorded
from parity.report.cells import states
from parity.report.certificate import Certificate
from parity.report.claims import MeasurementLog
from parity.report.environment import describe
from parity.report.page import Picture, render
from parity.report.progress import Progress
from parity.weights.outputs import Output, missing, replace_file

CLIP = Path("fixtures", "speech", "arctic_a0009.wav")


class Certifier:
    """Hooks of one run; registered by :mod:`parity.plugin` when ``--certificate`` is given.

    Args:
        config: of the run.
        directory: where the certificate goes, relative to where pytest was started.
        ledger: what the tests write to.
    """

    def __init__(self, config: pytest.Config, directory: str, ledger: MeasurementLog) -> None:
        self.config = config
        self.directory = config.invocation_params.dir / directory
        _require_ours(self.directory)
        self.ledger = ledger
        self.tests: Counter[str] = Counter()
        self.skipped: list[dict[str, str]] = []
        self.n_deselected = 0
        self.certificate: Certificate | None = None
        self._began = time.monotonic()
        self.progress = Progress(config)
        config.pluginmanager.register(self.progress, "leaf-ladder-progress")

    def pytest_report_header(self) -> str:
        """Say where the certificate will be."""
        return f"certificate: {self.directory}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test's outcome; one that broke outside of the test itself is an error."""
        if report.failed:
            self.tests["failed" if report.when == "call" else "error"] += 1
        elif report.skipped:
            self._skip(report)
        elif report.when == "call":
            self.tests["passed"] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count files that could not be collected, or that skipped themselves."""
        if report.failed:
            self.tests["error"] += 1
        elif report.skipped:
            self._skip(report)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what ``-k`` and ``-m`` left out."""
        self.n_deselected += len(items)

    def _skip(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        expected, where = getattr(report, "wasxfail", None), report.longrepr
        outcome = "skipped" if expected is None else "xfailed"
        reason = str(where[2]) if isinstance(where, tuple) else str(where or "")
        self.tests[outcome] += 1
        self.skipped.append({
            "test": report.nodeid, "reason": expected or reason.removeprefix("Skipped: "), "outcome": outcome,
        })  # fmt: skip

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Take over the ledger of a pytest-xdist worker; one that died takes its measurements with it."""
        output = getattr(node, "workeroutput", {})
        if error is None and "leaf_ladder" in output:
            self.ledger.merge(output["leaf_ladder"])
        else:
            self.tests["error"] += 1

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the report; a run whose certificate failed does not end with 0."""
        self.progress.say("drawing the pictures")
        root, claims = self.config.rootpath, self.ledger.claims
        failures = self._failures(int(exitstatus))
        notes = [f"tests deselected: {self.n_deselected}"] if self.n_deselected else []
        pictures: list[Picture] = []
        if int(exitstatus) in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            pictures = self._draw(failures, notes)
        self.certificate = Certificate(
            claims=claims,
            environment=describe(root),
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            duration_s=time.monotonic() - self._began,
            command=" ".join(["pytest", *map(str, self.config.invocation_params.args)]),
            tests=dict(self.tests),
            skipped=self.skipped,
            failures=failures,
            notes=notes,
            evidence=self.ledger.evidence,
            recorded=[{**asdict(record), "changed": record.changed(root)} for record in recorded.read(root)],
        )
        self.certificate.write(self.directory / "certificate.json")
        replace_file(self.directory / "index.html", render(self.certificate, pictures).encode())
        self.progress.end()
        if failures and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _failures(self, exitstatus: int) -> list[str]:
        claims, out = self.ledger.claims, []
        if n := sum(not claim.worst.holds for claim in claims):
            out.append(f"claims failed: {n}")
        if n := self.tests["failed"] + self.tests["error"]:
            out.append(f"tests failed: {n}")
        elif exitstatus != pytest.ExitCode.OK:
            out.append(f"the run ended early (pytest exit status {exitstatus})")
        if not claims:
            out.append("no claim was recorded")
        if self.config.getoption("--certificate-complete"):
            out += [f"an empty cell: {cell}" for cell, state in states(claims).items() if state == "empty"]
        if self.skipped and in_ci():
            out.append(f"tests skipped although CI is set: {len(self.skipped)}")
        return out

    def _draw(self, failures: list[str], notes: list[str]) -> list[Picture]:
        """Draw the pictures; what is not installed is a note, what breaks is a failure."""
        clip = self.config.rootpath / CLIP
        if not clip.is_file():
            notes.append(f"no pictures: {CLIP} is not here")
            return []
        with warnings.catch_warnings(), _without_banners():
            warnings.simplefilter("default")
            try:
                from parity.report import gallery

                faults = self.ledger.evidence.get("faults", [])
                return [*gallery.draw(clip, faults), *gallery.draw_recorded(self.config.rootpath)]
            except Exception as error:  # whatever it is, the measurements still have to be written
                if isinstance(error, ModuleNotFoundError) and error.name in ("matplotlib", "soundfile"):
                    notes.append(f"no pictures: {missing('drawing them', error.name)}")
                else:
                    failures.append(f"the pictures could not be drawn: {type(error).__name__}: {error}")
        return []

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the ladder, and where the report is."""
        if self.certificate is None:
            return
        from parity.report import table

        terminalreporter.section("the ladder")
        terminalreporter.write(table.render(self.certificate, colour=terminalreporter.hasmarkup))
        for name in ("certificate.json", "index.html"):
            terminalreporter.write_line(f"{self.directory / name}")


@contextmanager
def _without_banners() -> Iterator[None]:
    """Keep what TensorFlow's C++ code writes to stderr while it is loaded; no filter of Python's sees it."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _require_ours(directory: Path) -> None:
    """Refuse with a UsageError, before any test, a folder that is not writable, or whose files are no certificate's."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, mark in (("certificate.json", '"schema": '), ("index.html", "<title>The LEAF ladder: ")):
            Output("--certificate", directory / name, ours=partial(_has, mark)).check()
    except OSError as error:
        raise pytest.UsageError(f"--certificate={str(directory)!r}: must be a folder ({error.strerror})") from error
    except ValueError as error:
        raise pytest.UsageError(str(error).replace(", or replace it with --force", "")) from error


def _has(mark: str, path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return mark in file.read(1000)


def in_ci() -> bool:
    """Tell whether the environment says that this is a CI run: there, nothing may be skipped."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")
