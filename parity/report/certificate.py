"""``certificate.json``: what was claimed, whether it held, and where."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from parity.report.claims import Claim
from parity.weights.outputs import replace_file, require_file

SCHEMA = 5


@dataclass(frozen=True)
class Certificate:
    """A run of the suite.

    Attributes:
        claims: up the ladder.
        environment: what :func:`parity.report.environment.describe` answers.
        date: when the run ended, ISO 8601, UTC.
        duration_s: seconds.
        command: the pytest arguments.
        tests: how many tests ended ``passed``, ``failed``, ``error``, ``skipped`` or ``xfailed``.
        skipped: ``{"test", "reason"}`` of each test that was skipped or expected to fail.
        failures: why the run is no certificate; empty when it is one.
        notes: what else the reader should know, for example pictures that could not be drawn.
        evidence: rows about the instrument itself, by section: see :mod:`parity.report.instrument`.
        recorded: what longer runs have measured before, see :class:`parity.report.recorded.Record`, each with
            ``changed``: the sources that have changed since.
    """

    claims: Sequence[Claim]
    environment: dict[str, Any]
    date: str
    duration_s: float
    command: str = ""
    tests: dict[str, int] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    evidence: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    recorded: list[dict[str, Any]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """``certified`` or ``failed``."""
        return "failed" if self.failures else "certified"

    @classmethod
    def read(cls, path: Path) -> Certificate:
        """Read a certificate, or the one in a folder.

        Raises:
            ValueError: there is none, or it is no certificate of this schema.
        """
        if path.is_dir():
            path /= "certificate.json"
        require_file("path", path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict):
                raise ValueError(f"must hold a certificate, holds a {type(data).__name__}")
            if data.get("schema") != SCHEMA:
                raise ValueError(f"schema={data.get('schema')!r}: must be {SCHEMA}")
            if missing := [f.name for f in fields(cls) if f.name not in data]:
                raise ValueError(f"certificate: must have {', '.join(missing)}")
            own = {f.name: data[f.name] for f in fields(cls)}
            own["claims"] = [Claim.from_dict(row) for row in data["claims"]]
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: must be JSON; {error}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        own["tests"] = {outcome: n for outcome, n in data["tests"].items() if outcome != "total"}
        return cls(**own)

    def write(self, path: Path) -> None:
        """Write ``certificate.json``, whole or not at all."""
        data = {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "failures": self.failures,
            "notes": self.notes,
            "date": self.date,
            "duration_s": round(self.duration_s, 1),
            "command": self.command,
            "tests": {**self.tests, "total": sum(self.tests.values())},
            "skipped": self.skipped,
            "environment": self.environment,
            "evidence": self.evidence,
            "recorded": self.recorded,
            "claims": [claim.as_dict() for claim in self.claims],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())
