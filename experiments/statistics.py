"""Is one mean within a margin of another: two one-sided tests on paired runs, their power, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05
QUANTILES = 5000  # by which the power's integral is taken
YES, NOT_SHOWN, NO = "yes", "not shown", "no"


@dataclass(frozen=True)
class Paired:
    """Differences of paired runs against a margin.

    Attributes:
        n: pairs.
        mean: of the differences.
        low, high: the interval that holds the mean difference with 90 %; infinite for one pair.
        inside: p of the two one-sided tests; small: the difference is within the margin.
        outside: p of the tests that it is beyond the margin, twice the smaller one.
        power: chance that ``inside`` is at most 5 % where there is no difference, with this spread.
    """

    n: int
    mean: float
    low: float
    high: float
    inside: float
    outside: float
    power: float


def paired(differences: Sequence[float], margin: float) -> Paired:
    """Test differences, candidate less reference, in the unit of the margin.

    Raises ValueError for a margin that is not above 0, and for differences that are none or not finite.
    """
    d = np.asarray(differences, np.float64)
    if not margin > 0:
        raise ValueError(f"margin={margin}: must be above 0")
    if d.ndim != 1 or not len(d) or not np.isfinite(d).all():
        raise ValueError(f"differences={differences!r}: must be finite, and at least one")
    n, mean = len(d), float(d.mean())
    if n == 1:
        return Paired(1, mean, -math.inf, math.inf, 1.0, 1.0, 0.0)
    error = float(d.std(ddof=1)) / math.sqrt(n)
    if error == 0:  # the same difference in every pair
        within = abs(mean) < margin
        return Paired(n, mean, mean, mean, float(not within), float(within or abs(mean) == margin), 1.0)
    t = stats.t(n - 1)
    half = float(t.ppf(1 - LEVEL)) * error
    inside = max(float(t.sf((mean + margin) / error)), float(t.sf((margin - mean) / error)))
    outside = min(1.0, 2 * min(float(t.sf((mean - margin) / error)), float(t.sf((-margin - mean) / error))))
    return Paired(n, mean, mean - half, mean + half, inside, outside, power(n, error * math.sqrt(n), margin))


def power(n: int, deviation: float, margin: float, difference: float = 0.0) -> float:
    """Chance that n >= 2 pairs show a difference to be within the margin.

    For normal differences, whose mean and deviation are independent: the chance of a mean that is near enough to 0,
    averaged over the quantiles of the deviation.

    Args:
        n: pairs.
        deviation: of the differences, > 0.
        margin: > 0.
        difference: the true one.
    """
    error, t = deviation / math.sqrt(n), float(stats.t(n - 1).ppf(1 - LEVEL))
    squares = stats.chi2(n - 1).ppf((np.arange(QUANTILES) + 0.5) / QUANTILES)
    room = np.maximum(margin - t * error * np.sqrt(squares / (n - 1)), 0.0)
    chances = stats.norm.cdf((room - difference) / error) - stats.norm.cdf((-room - difference) / error)
    return float(chances.mean())


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted values, in the order of the given ones: at most 5 % is then the chance of any false claim."""
    order = np.argsort(np.asarray(p, np.float64), kind="stable")
    out, most = [0.0] * len(p), 0.0
    for rank, at in enumerate(order):
        most = max(most, min(1.0, (len(p) - rank) * p[int(at)]))
        out[int(at)] = most
    return out


def verdicts(tests: Sequence[Paired]) -> list[str]:
    """Of each of several tests: "yes", within the margin; "no", beyond it; or "not shown". Corrected by Holm."""
    inside, outside = holm([test.inside for test in tests]), holm([test.outside for test in tests])
    return [
        YES if within <= LEVEL else NO if beyond <= LEVEL else NOT_SHOWN
        for within, beyond in zip(inside, outside, strict=True)
    ]
