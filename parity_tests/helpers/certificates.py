"""Measurements and certificates made by hand, and small suites run with ``--certificate`` in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.report.certificate import Certificate
from parity.report.claims import Measurement, MeasurementLog

FIELDS = {
    "rung": "og_leaf", "reference": "tf_leaf", "stage": "output", "property": "forward", "domain": "scratch",
    "dtype": "float32", "criterion": "direct", "relation": "rounding", "observed": 0.5, "bound": 1.0, "case": "a case",
    "reproduce": "leaf-ladder replay og_leaf 'a case'", "reason": "by hand",
}  # fmt: skip
HEAD = f"""
import pytest
from parity.report.claims import Measurement

def measurement(observed=0.5, bound=1.0, **changes):
    return Measurement(**{{**{FIELDS!r}, "observed": observed, "bound": bound, **changes}})
"""
HOLDS = "def test_holds(ledger): ledger.check(measurement())\n"


def measured(**changes: Any) -> Measurement:
    """A measurement that holds, with changes."""
    return Measurement(**{**FIELDS, **changes})


def logged(*changes: dict[str, Any]) -> MeasurementLog:
    """A ledger of such measurements."""
    ledger = MeasurementLog()
    for change in changes:
        ledger.record(measured(**change))
    return ledger


def certified(*changes: dict[str, Any], **fields: Any) -> Certificate:
    """A certificate of such measurements."""
    return Certificate(logged(*changes).claims, {"python": "3"}, "2000-01-01T00:00:00+00:00", 1.0, **fields)


@dataclass(frozen=True)
class Run:
    """Results of a scratch run."""

    status: int
    out: str
    folder: Path

    @property
    def certificate(self) -> dict[str, Any]:
        """The certificate, by JSON's own rules: no NaN."""
        return json.loads((self.folder / "certificate.json").read_text(), parse_constant=_refuse)

    @property
    def page(self) -> str:
        """The page."""
        return (self.folder / "index.html").read_text()


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def run(directory: Path, tests: str, *args: str, ci: bool = False, certificate: bool = True) -> Run:
    """Run pytest on ``tests`` in an empty folder, in a fresh process, with the plugin as it is installed."""
    (directory / "test_scratch.py").write_text(HEAD + tests)
    env = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    if ci:
        env["CI"] = "true"
    asked = ["--certificate", "report"] if certificate else []
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_scratch.py", *asked, *args]
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
    return Run(done.returncode, done.stdout + done.stderr, directory / "report")
