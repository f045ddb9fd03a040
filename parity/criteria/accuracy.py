"""Hold a candidate against the float64 oracle: as accurate as the reference (G1), inside counted roundings (G2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from parity.criteria.criterion import Array, Verdict, quotient, unit_roundoff
from parity.criteria.direct import peak

UNMEASURED = 2.0  # k where the reference was not executed again
SMALLEST = 64  # distinct oracle values under which one array says too little about rounding


@dataclass(frozen=True)
class Accuracy:
    """``err(candidate) <= k err(reference) + u size(oracle)``, in the root mean square and in the maximum.

    The observed value is the larger of the two ratios of left to right side; 1 is the bound.

    Attributes:
        k: how much worse than the reference the candidate may be.
        dtype: of the candidate; gives u.
    """

    k: float = UNMEASURED
    dtype: str = "float32"

    @property
    def reason(self) -> str:
        """Derivation of the bound."""
        return f"error against the float64 oracle at most {self.k:.3g} times the reference's, plus one rounding"

    @staticmethod
    def applies(oracle: Array) -> bool:
        """Tell whether the array is large enough to be judged by itself; smaller ones are pooled."""
        finite = oracle[np.isfinite(oracle)]
        return finite.size >= SMALLEST and np.unique(finite).size >= SMALLEST

    def __call__(self, candidate: Array, reference: Array, oracle: Array, again: Sequence[Array] = ()) -> Verdict:
        """Judge the candidate's error against the reference's, where all are finite.

        Args:
            candidate: what is judged.
            reference: what it is held against.
            oracle: what is true.
            again: further executions of the reference. The one that errs most counts: a few large errors rule the
                size of one array's, and one execution may be lucky with them.
        """
        c, o, *executions = (np.asarray(a, dtype=np.float64) for a in (candidate, oracle, reference, *again))
        finite = np.isfinite(c) & np.isfinite(o) & np.isfinite(executions).all(axis=0)
        c, o = c[finite], o[finite]
        u = unit_roundoff(self.dtype)
        ratios = []
        for size in (rms, peak):
            err = max(size(r[finite] - o) for r in executions)
            ratios.append(quotient(size(c - o), self.k * err + u * size(o)))
        reason = self.reason + (f"; the largest of {len(executions)} executions" if again else "")
        return Verdict("accuracy", max(ratios), 1.0, reason)


@dataclass
class PooledAccuracy:
    """G1 over arrays too small to be judged singly: their errors, each in its own unit, are added up in squares.

    Attributes:
        dtype: of the candidate.
        n_arrays: how many were pooled.
    """

    dtype: str = "float32"
    n_arrays: int = 0
    _sums: dict[str, float] = field(default_factory=lambda: {"candidate": 0.0, "reference": 0.0, "rounding": 0.0})

    def add(self, candidate: Array, reference: Array, oracle: Array) -> None:
        """Pool one array's errors, in units of what both err on it together: every array then counts alike.

        An array that should be zero has no size to err relative to; the running-error bound judges it.
        """
        c, r, o = (np.asarray(a, dtype=np.float64) for a in (candidate, reference, oracle))
        finite = np.isfinite(c) & np.isfinite(r) & np.isfinite(o)
        c, r, o = c[finite], r[finite], o[finite]
        rounding = unit_roundoff(self.dtype) * rms(o)
        unit = rms(c - o) + rms(r - o) + rounding
        if unit == 0.0 or rounding == 0.0:
            return
        self.n_arrays += 1
        for name, value in (("candidate", rms(c - o)), ("reference", rms(r - o)), ("rounding", rounding)):
            self._sums[name] += (value / unit) ** 2

    def verdict(self, k: float = UNMEASURED) -> Verdict:
        """Judge the pooled root mean squares; k as in :class:`Accuracy`."""
        c, r, rounding = (float(np.sqrt(self._sums[name])) for name in ("candidate", "reference", "rounding"))
        criterion = Accuracy(k, self.dtype)
        reason = f"{criterion.reason}; pooled over {self.n_arrays} small arrays"
        return Verdict("accuracy", quotient(c, k * r + rounding), 1.0, reason)


def rms(values: Array) -> float:
    """The root mean square, scaled first so that squares neither overflow nor vanish; 0 of nothing."""
    largest = peak(values)
    return 0.0 if largest == 0 else largest * float(np.sqrt(np.mean((values / largest) ** 2)))


REASON = "running-error bound, value by value: each operation's roundings, counted and propagated in float64"


def soundness(candidate: Array, oracle: Array, error: Array) -> Verdict:
    """The largest error in units of what rounding may have done to that very value; 1 is the bound.

    A value whose bound is infinite (its digits may all be lost) is not judged; :func:`judged` says how many are.

    Args:
        candidate: what is judged; the status criterion has compared where it is finite.
        oracle: float64.
        error: of the oracle's shape, from :class:`parity.oracle.LeafBounds`.
    """
    c, o, e = (np.asarray(a, dtype=np.float64) for a in (candidate, oracle, error))
    held = np.isfinite(c) & np.isfinite(o) & np.isfinite(e)
    off = np.abs(c - o)[held]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(off == 0.0, 0.0, off / e[held])
    return Verdict("soundness", float(np.max(ratios, initial=0.0)), 1.0, REASON)


def judged(error: Array) -> float:
    """The share of values that the running-error bound promises anything about."""
    return float(np.mean(np.isfinite(error))) if np.size(error) else 1.0
