"""Measure G1's k, and the scatter of a reference, from its own executions."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from parity.cases.case import Case
from parity.checks.executions import (
    BASE,
    NOTHING,
    Arrays,
    Draw,
    Execution,
    Inputs,
    Key,
    calibration_cases,
    executions,
    keyed,
)
from parity.checks.grid import Expected
from parity.criteria.accuracy import UNMEASURED, rms
from parity.criteria.criterion import quotient, unit_roundoff
from parity.weights.outputs import replace_file

SHARED: Path | None = None  # a folder of this run alone, where its processes keep what one of them has measured
Errors = dict[Key, tuple[float, float]]  # root mean squares of an array's error and of the oracle


@dataclass(frozen=True)
class Evidence:
    """One execution's error against another's.

    Attributes:
        property, stage: of what.
        variant: the execution.
        against: the other.
        ratio: of the variant's error to the other's, pooled as G1 pools.
        n_arrays: pooled.
    """

    property: str
    stage: str
    variant: str
    against: str
    ratio: float
    n_arrays: int


@dataclass(frozen=True)
class SelfDifference:
    """Largest difference of a reference from itself, over cases and executions.

    Attributes:
        roundings: the largest difference in an array over the largest one-operation bound in it.
        relative: a stage's largest difference over its largest value; of a gradient, both in the L2 norm.
        variant: the execution that went farthest, in roundings.
    """

    roundings: float = 0.0
    relative: float = 0.0
    variant: str = ""


@dataclass(frozen=True)
class Factors:
    """Results of executing a reference again.

    Attributes:
        reference: the rung.
        k: by (property, stage), the largest ratio between the errors of any two executions; at least 1.
        evidence: for every (property, stage) each execution against the reference as it is, and the pair that sets k.
        envelope: by (property, stage).
        differing: by execution, the arrays that are not the same bits as those of the reference as it is.
    """

    reference: str
    k: dict[Key, float]
    evidence: list[Evidence] = field(default_factory=list)
    envelope: dict[Key, SelfDifference] = field(default_factory=dict)
    differing: dict[str, int] = field(default_factory=dict)

    def factor(self, property: str, stage: str) -> float:
        """G1's k, :data:`UNMEASURED` where the reference has no such stage, as those of its initial values."""
        return self.k.get((property, stage), UNMEASURED)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the cases, each k with its evidence, and the envelope."""
        return {
            "reference": self.reference,
            "cases": [str(case) for case in calibration_cases(self.reference)],
            "k": [{"property": key[0], "stage": key[1], "k": k} for key, k in self.k.items()],
            "differing": self.differing,
            "evidence": [asdict(row) for row in self.evidence],
            "envelope": [{"property": key[0], "stage": key[1], **asdict(e)} for key, e in self.envelope.items()],
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Factors:
        """Undo :meth:`as_dict`."""
        names = [f.name for f in fields(SelfDifference)]
        rows = found["envelope"]
        envelope = {(r["property"], r["stage"]): SelfDifference(**{name: r[name] for name in names}) for r in rows}
        k = {(row["property"], row["stage"]): row["k"] for row in found["k"]}
        evidence = [Evidence(**row) for row in found["evidence"]]
        return cls(found["reference"], k, evidence, envelope, found["differing"])


@functools.cache
def measure(reference: str) -> Factors:
    """Execute a reference (``tf_leaf``, ``og_leaf`` or ``leaf``) again and compare; once in a process, or in a run.

    Raises:
        ImportError: the reference's framework is not installed.
        RuntimeError: an execution in another process failed.
    """
    file = SHARED / f"k of {reference}.json" if SHARED else None
    if file and file.exists():
        return Factors.from_dict(json.loads(file.read_text(encoding="utf-8")))
    inputs = [Inputs.of(case) for case in calibration_cases(reference)]
    found = factors_of(reference, executions(reference), [one_operation(one) for one in inputs])
    if file:
        replace_file(file, json.dumps(found.as_dict()).encode())
    return found


def factors_of(reference: str, done: Iterable[Execution], roundings: Sequence[Arrays]) -> Factors:
    """Compare executions, the first of which is the reference as it is.

    Args:
        reference: the rung.
        done: its executions.
        roundings: the one-operation bounds of each case's arrays.

    Raises:
        ValueError: an execution is not finite, or errs nowhere: it would set no k or an infinite one.
    """
    cases = calibration_cases(reference)
    unmoved = _exact(cases, NOTHING)
    errors: dict[str, list[Errors]] = {}
    envelope: dict[Key, SelfDifference] = {}
    differing: dict[str, int] = {}
    base: list[Arrays] = []
    for execution in done:
        # what was moved is judged against the oracle on what was moved
        exact = unmoved if execution.draw == NOTHING else _exact(cases, execution.draw)
        errors[execution.name] = [_errors(*pair) for pair in zip(execution.runs, exact, strict=True)]
        base = base or execution.runs
        for run, first, rounding in zip(execution.runs, base, roundings, strict=True):
            changed = sum(not np.array_equal(values, first[key]) for key, values in run.items())
            differing[execution.name] = differing.get(execution.name, 0) + changed
            _widen(envelope, execution.name, run, first, rounding)
    k: dict[Key, float] = {}
    evidence: list[Evidence] = []
    for key in dict.fromkeys(key for run in base for key in run):
        rows = [row for pair in _pairs(errors) if (row := pooled_ratio(key, *pair, errors)).n_arrays]
        worst = max(rows, key=lambda row: row.ratio)
        k[key] = max(1.0, worst.ratio)
        evidence.extend(row for row in rows if row.against == BASE or row is worst)
    return Factors(reference, k, evidence, envelope, differing)


def one_operation(inputs: Inputs) -> Arrays:
    """The bound of every array as if each operation rounded once."""
    expected = Expected(inputs.config, inputs.variables, inputs.x, inputs.cotangent)
    return keyed(expected.rounding("float32"), expected.gradient_rounding("float32"))


def pooled_ratio(key: Key, variant: str, against: str, errors: Mapping[str, Sequence[Errors]]) -> Evidence:
    """The errors of two executions in units of what both err together, as :class:`parity.criteria.PooledAccuracy` adds
    up a candidate's and a reference's; an execution without the array (no gradients in inference mode) is left out.
    """
    squares, n = np.zeros(2), 0
    for one, other in zip(errors[variant], errors[against], strict=True):
        if key not in one or key not in other:
            continue
        both = np.array([one[key][0], other[key][0]])
        unit = both.sum() + unit_roundoff("float32") * one[key][1]
        if unit != 0.0:  # NaN counts, and is refused below
            squares += (both / unit) ** 2
            n += 1
    mine, theirs = (float(value) for value in np.sqrt(squares))
    if n and not (np.isfinite(mine) and theirs > 0.0):
        raise ValueError(
            f"{variant} against {against} at {key}: errors {mine} and {theirs}: must be finite and above 0"
        )
    return Evidence(*key, variant, against, mine / theirs if n else 0.0, n)


def _exact(cases: Iterable[Case], draw: Draw) -> list[Arrays]:
    return [Inputs.of(case, draw).exact() for case in cases]


def _pairs(errors: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(one, other) for one in errors for other in errors if one != other]


def _errors(run: Arrays, exact: Arrays) -> Errors:
    return {key: (rms(values.astype(np.float64) - exact[key]), rms(exact[key])) for key, values in run.items()}


def _widen(envelope: dict[Key, SelfDifference], name: str, run: Arrays, base: Arrays, rounding: Arrays) -> None:
    for key, values in run.items():
        off = values.astype(np.float64) - base[key]
        roundings = quotient(float(np.max(np.abs(off))), float(np.max(rounding[key])))
        size = np.max if key[0] == "forward" else np.linalg.norm
        relative = quotient(float(size(np.abs(off))), float(size(np.abs(base[key].astype(np.float64)))))
        held = envelope.get(key, SelfDifference())
        farthest = name if roundings > held.roundings else held.variant
        envelope[key] = SelfDifference(max(held.roundings, roundings), max(held.relative, relative), farthest)
