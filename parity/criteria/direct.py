"""G3: the candidate against the reference, in one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.criteria.criterion import Array, Verdict, finite_pair

Size = Callable[[Array], float]
ONE_OPERATION = "twice the one-operation bound: each operation rounds once, sums are exact, propagated in float64"


@dataclass(frozen=True)
class OfMax:
    """``max|candidate - reference| / max|reference|``.

    Attributes:
        limit: the largest that passes.
        reason: where the limit comes from.
    """

    limit: float
    reason: str

    def __call__(self, candidate: Array, reference: Array) -> Verdict:
        """Judge two arrays of one shape; where the reference is all zero, any difference is infinite."""
        return Verdict("direct", _apart(candidate, reference, peak), self.limit, self.reason)


@dataclass(frozen=True)
class RelativeL2:
    """``|candidate - reference|_2 / |reference|_2`` of one tensor; the measure for gradients.

    Attributes:
        limit: the largest that passes.
        reason: where the limit comes from.
    """

    limit: float
    reason: str

    def __call__(self, candidate: Array, reference: Array) -> Verdict:
        """Judge two arrays of one shape; where the reference is all zero, any difference is infinite."""
        return Verdict("direct", _apart(candidate, reference, norm), self.limit, self.reason)


def one_operation(candidate: Array, reference: Array, rounding: Array, size: Size) -> Verdict:
    """The difference in units of what one rounding an operation makes of either; 1 is the bound.

    Two implementations of one function differ in how they round. With every operation rounded once, and sums as if
    they were exact, each is off by at most the one-operation bound, and the two differ by at most twice of it.

    Args:
        candidate: what is judged.
        reference: what it is held against.
        rounding: the one-operation bound of each value, see :class:`parity.oracle.Precision`.
        size: :func:`peak` or :func:`norm`.
    """
    a, b = finite_pair(candidate, reference)
    if not _finite_alike(candidate, reference):
        return Verdict("direct", np.inf, 1.0, ONE_OPERATION)
    whole = 2 * size(rounding) if np.isfinite(rounding).all() else np.inf
    return Verdict("direct", _relative(size(a - b), whole), 1.0, ONE_OPERATION)


def peak(values: Array) -> float:
    """The largest magnitude; 0 of nothing."""
    return float(np.max(np.abs(values), initial=0.0))


def norm(values: Array) -> float:
    """The L2 norm, scaled first so that squares neither overflow nor vanish."""
    largest = peak(values)
    return 0.0 if largest == 0 else largest * float(np.linalg.norm(values / largest))


def _finite_alike(candidate: Array, reference: Array) -> bool:
    """Whether the two are finite at the same places: what is not is left out of every difference."""
    return np.array_equal(np.isfinite(candidate), np.isfinite(reference))


def _apart(candidate: Array, reference: Array, size: Size) -> float:
    if not _finite_alike(candidate, reference):
        return float("inf")
    a, b = finite_pair(candidate, reference)
    return _relative(size(a - b), size(b))


def _relative(error: float, scale: float) -> float:
    if error == 0.0:
        return 0.0
    return error / scale if scale else float("inf")
