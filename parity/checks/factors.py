"""Measure the k of accuracy, the scatter of a reference, from its own executions."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from parity.checks.executions import BASE, Execution, calibration_cases, executions, inputs_of
from parity.checks.grid import Arrays
from parity.criteria import UNMEASURED, rms, unit_roundoff
from parity.weights.outputs import replace_file

SHARED: Path | None = None  # a folder of this run alone, where its processes keep what one of them has measured
Errors = dict[str, tuple[float, float]]  # root mean squares of an array's error and of the oracle


@dataclass(frozen=True)
class Evidence:
    """One execution's error against another's.

    Attributes:
        stage: of what: a stage, or a gradient.
        variant: the execution.
        against: the other.
        ratio: of the variant's error to the other's, pooled as by :class:`parity.criteria.PooledAccuracy`.
        n_arrays: pooled.
    """

    stage: str
    variant: str
    against: str
    ratio: float
    n_arrays: int


@dataclass(frozen=True)
class Factors:
    """Results of executing a reference again.

    Attributes:
        reference: the rung.
        k: by array, the largest ratio between the errors of any two executions; at least 1.
        evidence: for every array each execution against the reference as it is, and the pair that sets k.
        differing: by execution, the arrays that are not the same bits as those of the reference as it is.
    """

    reference: str
    k: dict[str, float]
    evidence: list[Evidence] = field(default_factory=list)
    differing: dict[str, int] = field(default_factory=dict)

    def factor(self, stage: str) -> float:
        """The k of accuracy; :data:`UNMEASURED` for what the reference has no stage of, as initial values."""
        return self.k.get(stage, UNMEASURED)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; :meth:`from_dict` undoes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Factors:
        """Undo :meth:`as_dict`."""
        return cls(**{**found, "evidence": [Evidence(**row) for row in found["evidence"]]})


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
    found = factors_of(reference, executions(reference))
    if file:
        replace_file(file, json.dumps(found.as_dict()).encode())
    return found


def factors_of(reference: str, done: Iterable[Execution]) -> Factors:
    """Compare a reference's executions, the first of which is the reference as it is.

    Raises:
        ValueError: an execution is not finite, or errs nowhere: it would set no k or an infinite one.
    """
    errors: dict[str, list[Errors]] = {}
    differing: dict[str, int] = {}
    base: list[Arrays] = []
    exact: dict[int, list[Arrays]] = {}
    for execution in done:
        if execution.seed not in exact:  # what was moved is judged against the oracle on what was moved
            exact[execution.seed] = [inputs_of(c, execution.seed).values for c in calibration_cases(reference)]
        errors[execution.name] = [_errors(*pair) for pair in zip(execution.runs, exact[execution.seed], strict=True)]
        base = base or execution.runs
        for run, first in zip(execution.runs, base, strict=True):
            changed = sum(not np.array_equal(values, first[name]) for name, values in run.items())
            differing[execution.name] = differing.get(execution.name, 0) + changed
    k: dict[str, float] = {}
    evidence: list[Evidence] = []
    for name in dict.fromkeys(name for run in base for name in run):
        pairs = itertools.permutations(errors, 2)
        rows = [row for pair in pairs if (row := pooled_ratio(name, *pair, errors)).n_arrays]
        worst = max(rows, key=lambda row: row.ratio)
        k[name] = max(1.0, worst.ratio)
        evidence.extend(row for row in rows if row.against == BASE or row is worst)
    return Factors(reference, k, evidence, differing)


def pooled_ratio(name: str, variant: str, against: str, errors: Mapping[str, Sequence[Errors]]) -> Evidence:
    """The errors of two executions in units of what both err together, as :class:`parity.criteria.PooledAccuracy` adds
    up a candidate's and a reference's; an execution without the array (no gradients in inference mode) is left out.
    """
    squares, n = np.zeros(2), 0
    for one, other in zip(errors[variant], errors[against], strict=True):
        if name not in one or name not in other:
            continue
        both = np.array([one[name][0], other[name][0]])
        unit = both.sum() + unit_roundoff("float32") * one[name][1]
        if unit != 0.0:  # NaN counts, and is refused below
            squares += (both / unit) ** 2
            n += 1
    mine, theirs = (float(value) for value in np.sqrt(squares))
    if n and not (np.isfinite(mine) and theirs > 0.0):
        raise ValueError(
            f"{variant} against {against} at {name}: errors {mine} and {theirs}: must be finite and above 0"
        )
    return Evidence(name, variant, against, mine / theirs if n else 0.0, n)


def _errors(run: Arrays, exact: Arrays) -> Errors:
    return {name: (rms(values.astype(np.float64) - exact[name]), rms(exact[name])) for name, values in run.items()}
