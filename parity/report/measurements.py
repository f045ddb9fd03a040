"""Keep the worst measurement of each kind while the tests run. The standard library alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from parity.report.claims import Claim, Key, Measurement, plain


class MeasurementLog:
    """Keeps the worst measurement of each kind; no threads, no files.

    Attributes:
        root: the folder that pytest's names of tests begin from; it is often above the one that pytest ran in.
        evidence: rows about the instrument itself, by section.
        n_recorded: measurements so far.
        last: the one recorded last.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path() if root is None else root
        self._worst: dict[Key, Measurement] = {}
        self._cases: dict[Key, set[str]] = {}
        self._range: dict[Key, tuple[float, float]] = {}
        self.evidence: dict[str, list[dict[str, Any]]] = {}
        self.n_recorded = 0
        self.last: Measurement | None = None

    def check(self, measurement: Measurement) -> None:
        """Record a measurement, then hold it to its bound.

        Raises:
            AssertionError: it is not inside; the message names claim, numbers, case and command.
        """
        __tracebackhide__ = True
        self.record(measurement)
        if not measurement.holds:
            raise AssertionError(str(measurement))

    def record(self, m: Measurement) -> None:
        """Record a measurement without holding it to anything: a failed one still fails the certificate."""
        self.n_recorded, self.last = self.n_recorded + 1, m
        key = m.key
        worst = self._worst.get(key, m)
        # ties by name, so that the order of the tests does not show in the certificate
        if _badness(m) > _badness(worst) or (_badness(m) == _badness(worst) and m.case <= worst.case):
            self._worst[key] = m
        self._cases.setdefault(key, set()).add(m.case)
        low, high = self._range.get(key, (m.observed, m.observed))
        # NaN is neither smaller nor larger: once seen, it stays
        self._range[key] = (_least(low, m.observed), -_least(-high, -m.observed))

    def note(self, section: str, **row: Any) -> None:
        """Keep a row of evidence about the instrument itself, for the certificate: plain values alone."""
        self.evidence.setdefault(section, []).append({k: plain(v) for k, v in row.items()})

    @property
    def claims(self) -> list[Claim]:
        """Every claim, up the ladder."""
        made = [Claim(m, len(self._cases[k]), *self._range[k]) for k, m in self._worst.items()]
        return sorted(made, key=lambda claim: claim.order)

    def __len__(self) -> int:
        return len(self._worst)

    def dump(self) -> dict[str, Any]:
        """Plain lists and strings, for another process to ``merge``."""
        rows = [{**c.as_dict(), "cases": sorted(self._cases[c.key])} for c in self.claims]
        return {"claims": rows, "evidence": self.evidence}

    def merge(self, dumped: dict[str, Any]) -> None:
        """Take over what the ledger of another process has dumped."""
        for section, evidence in dumped["evidence"].items():
            rows = self.evidence.setdefault(section, [])
            rows += [row for row in evidence if row not in rows]  # what every process measured again
            rows.sort(key=lambda row: str(list(row.values())))  # not by who came first
        for row in dumped["claims"]:
            claim = Claim.from_dict(row)
            self.record(claim.worst)
            self._cases[claim.key].update(row["cases"])
            low, high = self._range[claim.key]
            self._range[claim.key] = (_least(low, claim.lowest), -_least(-high, -claim.highest))


def _badness(m: Measurement) -> tuple[bool, float]:
    return (not m.holds, m.ratio)


def _least(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else min(a, b)
