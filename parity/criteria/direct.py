"""G3: hold the candidate against the reference, in one number, in roundings, or in units of the reference's scatter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.criteria.criterion import Array, Verdict, finite_pair, quotient

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


def peak(values: Array) -> float:
    """The largest magnitude; 0 of nothing."""
    return float(np.max(np.abs(values), initial=0.0))


def norm(values: Array) -> float:
    """The L2 norm, scaled first so that squares neither overflow nor vanish."""
    largest = peak(values)
    return 0.0 if largest == 0 else largest * float(np.linalg.norm(values / largest))


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
