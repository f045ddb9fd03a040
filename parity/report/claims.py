"""Record what a test measures, as claims of which a ledger keeps the worst of each kind.

A test measures an error and hands it to the ledger with the bound that it must not exceed; what the ledger has kept is
what the certificate says. The standard library alone.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

LADDER = ("original", "tf_leaf", "og_leaf", "leaf", "efficientleaf", "oracle")
PROPERTIES = (
    "status", "forward", "input gradient", "parameter gradient", "training step", "trajectory", "bridge round trip",
)  # fmt: skip
STAGES = (
    "mel", "init", "filters", "windows", "conv", "modulus", "pool", "floor", "log1p", "median", "batchnorm", "ema",
    "pcen", "norm", "output", "input",
)  # fmt: skip
RELATIONS = ("bitwise", "algebraic", "rounding", "approximate", "divergent")
CRITERIA = ("status", "accuracy", "soundness", "direct", "divergence")
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}
SLACK_LIMIT = 20.0
# what measurements of one claim have in common, in the order by which claims are sorted: by place, then by name
KEY: dict[str, tuple[str, ...]] = {
    "rung": LADDER, "reference": LADDER, "property": PROPERTIES, "domain": (), "stage": STAGES, "dtype": (),
    "criterion": CRITERIA, "relation": RELATIONS,
}  # fmt: skip


@dataclass(frozen=True)
class Measurement:
    """One number, measured, and what it is held to.

    Attributes:
        rung: the candidate, for example ``og_leaf``.
        reference: what it is held against: ``original``, another rung or ``oracle``.
        stage: the stage, ``input`` (the gradient with respect to it) or the name of a canonical variable.
        property: one of ``PROPERTIES``.
        domain: where the relation is claimed, for example ``goldens`` or ``drawn, padding=same``.
        dtype: ``float32``, ``float64`` or ``bfloat16``.
        criterion: one of ``CRITERIA``.
        relation: one of ``RELATIONS``.
        observed: the error measured.
        bound: what it must not exceed.
        case: the case or the golden that it was measured on.
        reproduce: the shell command that measures it again.
        reason: where the bound comes from, in one line.
        at_least: criterion ``divergence`` alone: what the observed value must reach, so that a divergence that has
            gone fails as well.

    Raises:
        ValueError: a criterion, relation or property that is not listed; a bound that is negative or not finite; a
            criterion other than ``divergence`` with an ``at_least``.
    """

    rung: str
    reference: str
    stage: str
    property: str  # hides the decorator in this class
    domain: str
    dtype: str
    criterion: str
    relation: str
    observed: float
    bound: float
    case: str
    reproduce: str
    reason: str
    at_least: float = 0.0

    def __post_init__(self) -> None:
        for name, allowed in (("criterion", CRITERIA), ("relation", RELATIONS), ("property", PROPERTIES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be one of {allowed}")
        for name in ("observed", "bound", "at_least"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not (math.isfinite(self.bound) and self.bound >= 0.0):
            raise ValueError(f"bound={self.bound!r}: must be finite and not negative")
        if not 0.0 <= self.at_least <= self.bound:
            raise ValueError(f"at_least={self.at_least!r}: must lie between 0 and the bound, {self.bound!r}")
        if self.at_least and self.criterion != "divergence":
            raise ValueError(f"at_least={self.at_least!r}: must be 0 with criterion={self.criterion!r}")

    @builtins.property
    def key(self) -> tuple[str, ...]:
        """``KEY`` of the claim that this measurement belongs to."""
        return tuple(getattr(self, name) for name in KEY)

    @builtins.property
    def holds(self) -> bool:
        """Tell whether the observed value is inside; NaN never is."""
        return self.at_least <= self.observed <= self.bound

    @builtins.property
    def ratio(self) -> float:
        """Say how near to failing it is: above 1 it fails, and infinite where the observed value is NaN."""
        if math.isnan(self.observed):
            return math.inf
        return max(_over(self.observed, self.bound), _over(self.at_least, self.observed))

    def __str__(self) -> str:
        low = f"{self.at_least:.3g} <= " if self.criterion == "divergence" else ""
        return (
            f"{self.rung} against {self.reference}: {self.property} at {self.stage} "
            f"({self.domain}; {self.dtype}; criterion {self.criterion}; {self.relation})\n"
            f"  claimed: {low}observed <= {self.bound:.6g}; observed {self.observed:.6g}\n"
            f"  bound:   {self.reason}\n"
            f"  case:    {self.case}\n"
            f"  again:   {self.reproduce}"
        )


def _over(a: float, b: float) -> float:
    if b:
        return a / b
    return 0.0 if a == 0.0 else math.inf


@dataclass(frozen=True)
class Claim:
    """All measurements of one kind: how many cases, the worst of them and the verdict.

    Attributes:
        worst: the measurement nearest to its bound, or farthest beyond it.
        n_cases: how many different cases were measured.
        lowest: smallest value observed.
        highest: largest value observed (NaN if one was).
    """

    worst: Measurement
    n_cases: int
    lowest: float
    highest: float

    @property
    def slack(self) -> float:
        """Bound over observed, of the worst case: the room that the bound leaves; infinite where it saw 0."""
        return _over(self.worst.bound, self.worst.observed) if self.worst.bound else 1.0

    @property
    def verdict(self) -> str:
        """``certified``, ``slack`` (certified, with a bound over 20x the worst), ``divergence``, ``failed``.

        A bound below one unit in the last place is never called slack: nothing tighter can be asked.
        """
        if not self.worst.holds:
            return "failed"
        if self.worst.criterion == "divergence":
            return "divergence"
        loose = self.slack > SLACK_LIMIT and self.worst.bound > UNIT.get(self.worst.dtype, 0.0)
        return "slack" if loose else "certified"

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort claims up the ladder."""
        return tuple(_place(names, getattr(self.worst, name)) for name, names in KEY.items())

    def as_dict(self) -> dict[str, Any]:
        """Return it flat for JSON; numbers that JSON has no word for are the strings ``nan``, ``inf`` and ``-inf``."""
        own = {"n_cases": self.n_cases, "lowest": self.lowest, "highest": self.highest, "slack": self.slack}
        return {k: plain(v) for k, v in {**asdict(self.worst), **own, "verdict": self.verdict}.items()}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Claim:
        """Make the claim that ``as_dict`` wrote; raises ValueError where a field is missing."""
        names = [f.name for f in fields(Measurement)]
        if missing := [n for n in (*names, "n_cases", "lowest", "highest") if n not in row]:
            raise ValueError(f"claim={row!r}: must have {', '.join(missing)}")
        worst = Measurement(**{n: row[n] for n in names})
        return cls(worst, row["n_cases"], float(row["lowest"]), float(row["highest"]))


def _place(names: Sequence[str], name: str) -> tuple[int, str]:
    return (names.index(name) if name in names else len(names), name)


def plain(value: Any) -> Any:
    """Return the value, or its name where JSON has no word for it: ``nan``, ``inf``, ``-inf``."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class MeasurementLog:
    """The ledger: keeps the worst measurement of each kind; no threads, no files.

    Attributes:
        root: the folder that pytest's names of tests begin from; it is often above the one that pytest ran in.
        evidence: rows about the instrument itself, by section.
        n_recorded: measurements so far.
        last: the one recorded last.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path() if root is None else root
        self.evidence: dict[str, list[dict[str, Any]]] = {}
        self.n_recorded = 0
        self.last: Measurement | None = None
        self._claims: dict[tuple[str, ...], Claim] = {}
        self._cases: dict[tuple[str, ...], set[str]] = {}

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
        self._take(Claim(m, 1, m.observed, m.observed), {m.case})

    def note(self, section: str, **row: Any) -> None:
        """Keep a row of evidence about the instrument itself, for the certificate: plain values alone."""
        self.evidence.setdefault(section, []).append({k: plain(v) for k, v in row.items()})

    @property
    def claims(self) -> list[Claim]:
        """List every claim, up the ladder."""
        return sorted(self._claims.values(), key=lambda claim: claim.order)

    def dump(self) -> dict[str, Any]:
        """Return plain lists and strings, for another process to ``merge``."""
        rows = [{**c.as_dict(), "cases": sorted(self._cases[c.worst.key])} for c in self.claims]
        return {"claims": rows, "evidence": self.evidence}

    def merge(self, dumped: dict[str, Any]) -> None:
        """Take over what the ledger of another process has dumped."""
        for section, evidence in dumped["evidence"].items():
            rows = self.evidence.setdefault(section, [])
            rows += [row for row in evidence if row not in rows]  # what every process measured again
            rows.sort(key=lambda row: str(list(row.values())))  # not by who came first
        for row in dumped["claims"]:
            self._take(Claim.from_dict(row), set(row["cases"]))

    def _take(self, new: Claim, cases: set[str]) -> None:
        m = new.worst
        self.n_recorded, self.last = self.n_recorded + 1, m
        old = self._claims.get(m.key, new)
        seen = self._cases.setdefault(m.key, set())
        seen |= cases
        # ties by name, so that the order of the tests does not show in the certificate
        was, now = ((not w.holds, w.ratio) for w in (old.worst, m))
        worst = m if now > was or (now == was and m.case <= old.worst.case) else old.worst
        # NaN is neither smaller nor larger: once seen, it stays
        highest = -_least(-old.highest, -new.highest)
        self._claims[m.key] = Claim(worst, len(seen), _least(old.lowest, new.lowest), highest)


def _least(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else min(a, b)
