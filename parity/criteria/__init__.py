"""Decide whether two arrays agree: every bound of the suite is derived here.

Four of them: equal status, accuracy against the float64 oracle, soundness under running errors, direct difference.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Size = Callable[[Array], float]


@dataclass(frozen=True)
class Verdict:
    """An error, what it must not exceed, and where that limit comes from.

    Attributes:
        criterion: name of the criterion.
        observed: the error, in the criterion's own measure; NaN never passes.
        bound: the largest error that passes.
        reason: derivation of the bound, one line.
    """

    criterion: str
    observed: float
    bound: float
    reason: str

    @property
    def passes(self) -> bool:
        """Tell whether the error is inside the bound."""
        return bool(self.observed <= self.bound)


def finite_pair(candidate: Array, reference: Array) -> tuple[Array, Array]:
    """Both arrays in float64, where both are finite; the status criterion has already compared where they are."""
    a, b = np.asarray(candidate, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def unit_roundoff(dtype: str) -> float:
    """Half the spacing at 1: 2^-24 in float32, 2^-53 in float64."""
    return float(np.finfo(dtype).eps) / 2


def quotient(error: float, size: float) -> float:
    """``error / size``; 0 of no error, whatever the size, and infinite of any other where the size is 0."""
    if error == 0.0:
        return 0.0
    return error / size if size else float("inf")


SAME_STATUS = "shape, dtype and the places of NaN and infinity are equal"


def status(candidate: Array, reference: Array) -> Verdict:
    """Count the ways in which two arrays differ before any number is compared; 0 passes.

    Args:
        candidate: any array.
        reference: what it is held against.
    """
    if candidate.shape != reference.shape:
        return Verdict("status", float("inf"), 0.0, f"{SAME_STATUS}; shapes {candidate.shape} and {reference.shape}")
    differing = int(candidate.dtype != reference.dtype)
    for kind in (np.isnan, np.isposinf, np.isneginf):
        differing += int(np.sum(kind(candidate) != kind(reference)))
    return Verdict("status", float(differing), 0.0, SAME_STATUS)


@dataclass(frozen=True)
class AtMost:
    """A number that has been measured, held to a limit.

    Attributes:
        limit: the largest that passes.
        reason: where the limit comes from.
    """

    limit: float
    reason: str

    def __call__(self, observed: float) -> Verdict:
        """Judge a number; NaN does not pass."""
        return Verdict("direct", float(observed), self.limit, self.reason)


@dataclass(frozen=True)
class Exactly:
    """Values that are known to the last bit: the count of those that differ is held to 0.

    Attributes:
        reason: why no rounding comes between.
    """

    reason: str

    def __call__(self, candidate: object, expected: object) -> Verdict:
        """Judge numbers, lists or arrays of one shape; equal numbers of different types pass, and so does NaN on NaN.

        Args:
            candidate: what is judged.
            expected: what it must equal; in the candidate's dtype where the two differ.
        """
        a = np.asarray(candidate)
        b = np.asarray(expected)
        if a.dtype.kind == "f":
            b = b.astype(a.dtype)
        if a.shape != b.shape:
            return Verdict("status", float("inf"), 0.0, f"{self.reason}; shapes {a.shape} and {b.shape}")
        nan = np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else np.zeros(a.shape, dtype=bool)
        return Verdict("status", float(np.sum((a != b) & ~nan)), 0.0, self.reason)


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
    """Accuracy over arrays too small to be judged singly: their errors, each in its own unit, are added up in squares.

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


RUNNING_ERROR = "running-error bound, value by value: each operation's roundings, counted and propagated in float64"


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
    return Verdict("soundness", float(np.max(ratios, initial=0.0)), 1.0, RUNNING_ERROR)


def judged(error: Array) -> float:
    """The share of values that the running-error bound promises anything about."""
    return float(np.mean(np.isfinite(error))) if np.size(error) else 1.0


ONE_OPERATION = "twice the one-operation bound: each operation rounds once, sums are exact, propagated in float64"


def peak(values: Array) -> float:
    """The largest magnitude; 0 of nothing."""
    return float(np.max(np.abs(values), initial=0.0))


def norm(values: Array) -> float:
    """The L2 norm, scaled first so that squares neither overflow nor vanish."""
    largest = peak(values)
    return 0.0 if largest == 0 else largest * float(np.linalg.norm(values / largest))


@dataclass(frozen=True)
class _Relative(ABC):
    """The size of a difference over that of the reference.

    Attributes:
        limit: the largest that passes.
        reason: where the limit comes from.
    """

    limit: float
    reason: str

    @staticmethod
    @abstractmethod
    def size(values: Array) -> float:
        """The measure of both."""

    def __call__(self, candidate: Array, reference: Array) -> Verdict:
        """Judge two arrays of one shape; where the reference is all zero, any difference is infinite."""
        return Verdict("direct", _apart(candidate, reference, self.size), self.limit, self.reason)


class OfMax(_Relative):
    """``max|candidate - reference| / max|reference|``."""

    size = staticmethod(peak)


class RelativeL2(_Relative):
    """``|candidate - reference|_2 / |reference|_2`` of one tensor; the measure for gradients."""

    size = staticmethod(norm)


def within_rounding(candidate: Array, reference: Array, rounding: Array, size: Size) -> Verdict:
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
    return Verdict("direct", quotient(size(a - b), whole), 1.0, ONE_OPERATION)


def _finite_alike(candidate: Array, reference: Array) -> bool:
    """Tell whether the two are finite at the same places; other places are left out of every difference."""
    return np.array_equal(np.isfinite(candidate), np.isfinite(reference))


def _apart(candidate: Array, reference: Array, size: Size) -> float:
    if not _finite_alike(candidate, reference):
        return float("inf")
    a, b = finite_pair(candidate, reference)
    return quotient(size(a - b), size(b))


FALSE_ALARM = 1e-3  # the chance that a faithful candidate leaves any of the envelopes that are judged together


@dataclass(frozen=True)
class Envelope:
    """The candidate's distance from the reference, over the largest of the reference's distances from itself.

    A draw exceeds the largest of N others of its kind with a probability of 1 / (N + 1), so the largest alone is no
    bound. Rounding errors are sums of many, near enough Gaussian. For Gaussian Z of one deviation ::

        P(|Z0| > f max |Zi|) = E[P(|Z| < |Z0| / f)^N] <= E[(sqrt(2 / pi) |Z0| / f)^N]

    because a Gaussian's density is nowhere above ``1 / sqrt(2 pi)``; so Q quantities leave the envelope f times as
    wide with a probability of at most ``FALSE_ALARM`` where ``f = sqrt(2 / pi) (Q E|Z|^N / FALSE_ALARM)^(1 / N)``.
    Quantities that are not independent, or norms of several elements, which scatter less, only lower it.

    Attributes:
        n_draws: N, runs of the reference from moved inputs.
        n_quantities: Q, quantities that are judged together.
    """

    n_draws: int
    n_quantities: int

    @property
    def factor(self) -> float:
        """Width of the envelope in units of the largest of the draws."""
        n = self.n_draws
        moment = 2 ** (n / 2) * math.gamma((n + 1) / 2) / math.sqrt(math.pi)  # E|Z|^N
        return float(math.sqrt(2 / math.pi) * (self.n_quantities * moment / FALSE_ALARM) ** (1 / n))

    @property
    def reason(self) -> str:
        """Derivation of the bound."""
        return (
            f"times the largest of {self.n_draws} distances of the reference from itself, its start moved by one ulp; "
            f"{self.n_quantities} quantities exceed {self.factor:.3g} once in {1 / FALSE_ALARM:.0f} suites"
        )

    def __call__(self, distance: Array, largest: Array, allowance: Array | float = 0.0) -> Verdict:
        """Judge the candidate's distances against the largest of the reference's, element by element.

        Args:
            distance: of the candidate from the reference.
            largest: of the reference's distances from itself.
            allowance: a bound on what all of the reference's runs are off by alike, which they cannot show.
        """
        return Verdict("direct", _worst(distance, largest + allowance / self.factor), self.factor, self.reason)


@dataclass(frozen=True)
class PropagatedBound:
    """``|candidate - reference|`` over a bound of each element; 1 is the limit.

    Attributes:
        reason: where the elements' bounds come from.
    """

    reason: str

    def __call__(self, candidate: Array, reference: Array, bound: Array) -> Verdict:
        """Judge two arrays of one shape against the bounds of their difference, all above 0 or equal."""
        difference = np.abs(np.asarray(candidate, dtype=np.float64) - np.asarray(reference, dtype=np.float64))
        return Verdict("direct", _worst(difference, bound), 1.0, self.reason)


def _worst(error: Array, bound: Array) -> float:
    """The largest quotient; 0 / 0 is 0, and NaN stays."""
    quotient = np.divide(error, bound, out=np.where(error > 0, np.inf, 0.0), where=bound > 0)
    return float(np.max(np.where(np.isnan(error), np.nan, quotient), initial=0.0))
