"""The statistics, on made numbers whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from experiments.statistics import NO, NOT_SHOWN, YES, Paired, holm, paired, power, verdicts
from parity.criteria import Exactly, OfMax

SAME = OfMax(1e-9, "one formula in two orders, in float64")
TABLE = OfMax(5e-4, "the table has four digits")


def normal(mean: float, deviation: float, n: int) -> np.ndarray:
    """Numbers with exactly this mean and deviation."""
    x = np.random.default_rng(0).standard_normal(n)
    return mean + deviation * (x - x.mean()) / x.std(ddof=1)


def test_interval_and_p_by_hand():
    # mean 0.5, deviation 1, n = 9: error 1/3; t(8) at 95 % is 1.8595
    found = paired(normal(0.5, 1, 9), 2)
    quantile = np.array([1.8595])
    assert TABLE(np.array([3 * (found.high - 0.5)]), quantile).passes
    assert TABLE(np.array([3 * (0.5 - found.low)]), quantile).passes
    assert SAME(np.array([found.inside]), np.array([stats.t.sf(4.5, 8)])).passes


@pytest.mark.parametrize(("mean", "margin"), [(0.3, 2), (-1.2, 2), (3, 2)])
def test_p_is_that_of_two_one_sided_t_tests(mean, margin):
    d = normal(mean, 0.8, 8)
    sides = (stats.ttest_1samp(d, -margin, alternative="greater"), stats.ttest_1samp(d, margin, alternative="less"))
    assert SAME(np.array([paired(d, margin).inside]), np.array([max(side.pvalue for side in sides)])).passes


def test_within_the_margin_is_the_interval_within_it():
    for mean in np.linspace(-3, 3, 25):
        found = paired(normal(float(mean), 1, 8), 2)
        assert (found.low > -2 and found.high < 2) == (verdicts([found]) == [YES])


@pytest.mark.parametrize(("n", "deviation"), [(3, 0.5), (8, 1.0), (8, 2.5)])
def test_power_is_the_share_of_drawn_experiments(n, deviation):
    draws = np.random.default_rng(1).normal(0, deviation, (20000, n))
    half = stats.t(n - 1).ppf(0.95) * draws.std(axis=1, ddof=1) / math.sqrt(n)
    share = float(np.mean(np.abs(draws.mean(axis=1)) + half < 2))
    assert (power(n, deviation, 2) - share) ** 2 * 20000 < 36 * max(share * (1 - share), 1 / 20000)


def test_a_difference_at_the_margin_is_called_within_it_in_at_most_a_twentieth():
    assert power(8, 1, 2, difference=2) * 20 <= 1


def test_holm_as_in_the_textbook():
    found = np.array(holm([0.01, 0.04, 0.03, 0.005]))
    assert SAME(found, np.array([0.03, 0.06, 0.06, 0.02])).passes


def test_verdicts():
    tests = [paired(normal(mean, 0.5, 8), 2) for mean in (0, 1.9, 20)]
    assert verdicts(tests) == [YES, NOT_SHOWN, NO]


def test_many_claims_need_more_evidence():
    test = paired(normal(1.2, 1.0, 8), 2)
    assert verdicts([test]) == [YES]
    assert verdicts([test] * 13) == [NOT_SHOWN] * 13


def test_one_pair_shows_nothing():
    assert verdicts([paired([0], 2)]) == [NOT_SHOWN]
    assert verdicts([paired([90], 2)]) == [NOT_SHOWN]


def test_pairs_that_never_differ_are_equivalent():
    assert paired([0, 0, 0], 2) == Paired(3, 0, 0, 0, 0, 1, 1)
    assert verdicts([paired([3, 3, 3], 2)]) == [NO]


def test_signs_change_nothing_but_the_side():
    d = normal(0.7, 1, 6)
    one, other = paired(d, 2), paired(-d, 2)
    assert Exactly("mirrored")(np.array([one.low, one.high]), -np.array([other.high, other.low])).passes
    assert Exactly("mirrored")(np.array([one.inside]), np.array([other.inside])).passes


@pytest.mark.parametrize(("d", "margin"), [([], 2), ([math.nan], 2), ([1, 2], 0)])
def test_refusals(d, margin):
    with pytest.raises(ValueError, match="must be"):
        paired(d, margin)
