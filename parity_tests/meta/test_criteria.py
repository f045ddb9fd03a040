"""The criteria can fail, and fail where they should."""

from __future__ import annotations

import numpy as np
import pytest

from parity.criteria import (
    Accuracy,
    AtMost,
    Exactly,
    OfMax,
    PooledAccuracy,
    RelativeL2,
    Verdict,
    peak,
    status,
    within_rounding,
)

RNG = np.random.default_rng(0)
ORACLE = RNG.standard_normal(1000)
U = 2.0**-24


def rounded(sigma: float, seed: int) -> np.ndarray:
    return ORACLE * (1 + sigma * np.random.default_rng(seed).standard_normal(1000))


@pytest.mark.parametrize("change", [
    lambda a: a[:-1], lambda a: a.astype(np.float64), lambda a: np.where(a > 2, np.nan, a),
    lambda a: np.where(a > 2, np.inf, a), lambda a: np.where(a < -2, -np.inf, a),
], ids=["shape", "dtype", "nan", "inf", "-inf"])  # fmt: skip
def test_status_sees(change):
    a = ORACLE.astype(np.float32)
    assert status(a, a).passes
    assert not status(change(a), a).passes


def test_status_accepts_equal_nans():
    a = np.array([np.nan, np.inf, 1.0])
    assert status(a, a.copy()).passes


def test_direct_measures_against_the_largest_value():
    a = np.array([1.0, 2.0, 4.0])
    assert OfMax(0.25, "one in four")(a + np.array([0, 0, 1.0]), a).passes
    assert not OfMax(0.2499, "a little less")(a + np.array([0, 0, 1.0]), a).passes


@pytest.mark.parametrize("criterion", [OfMax(1.0, "anything"), RelativeL2(1.0, "anything")], ids=["max", "l2"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_direct_refuses_what_only_one_has_finite(criterion, value):
    assert not criterion(np.full(3, value), np.ones(3)).passes
    assert not criterion(np.ones(3), np.array([1.0, value, 1.0])).passes
    assert criterion(np.array([1.0, value]), np.array([1.0, value])).passes


def test_one_operation_refuses_what_only_one_has_finite():
    assert not within_rounding(np.full(3, np.nan), np.ones(3), np.ones(3), peak).passes


def test_direct_refuses_any_difference_from_zero():
    assert not OfMax(1e3, "whatever is allowed")(np.array([1e-30]), np.zeros(1)).passes
    assert OfMax(0.0, "nothing is")(np.zeros(1), np.zeros(1)).passes


def test_relative_l2_does_not_overflow_or_vanish():
    for scale in (1e300, 1e-300):
        a = np.array([3.0, 4.0]) * scale
        half = RelativeL2(0.0, "for what it measures")(a * 1.5, a).observed
        criterion = OfMax(2.0**-50, "a root of a sum of two squares, and a quotient")
        assert criterion(np.array([half]), np.array([0.5])).passes


def test_accuracy_passes_an_equal_error_and_fails_a_threefold_one():
    assert Accuracy()(rounded(U, 1), rounded(U, 2), ORACLE).passes
    assert not Accuracy()(rounded(9 * U, 1), rounded(U, 2), ORACLE).passes


def test_accuracy_fails_a_bias_that_the_root_mean_square_hides():
    spoiled = rounded(U, 1)
    spoiled[17] += 100 * U * np.abs(ORACLE).max()
    assert not Accuracy()(spoiled, rounded(U, 2), ORACLE).passes


def test_accuracy_leaves_small_arrays_to_the_pool():
    assert not Accuracy.applies(np.arange(63.0))
    assert not Accuracy.applies(np.ones(1000))
    assert Accuracy.applies(np.arange(64.0))


def test_pool_fails_a_candidate_that_is_often_worse():
    good, bad = PooledAccuracy(), PooledAccuracy()
    for seed in range(60):
        oracle = np.random.default_rng(seed).standard_normal(3)
        noise = [oracle * (1 + U * np.random.default_rng([seed, i]).standard_normal(3)) for i in range(2)]
        good.add(noise[0], noise[1], oracle)
        bad.add(oracle + 6 * (noise[0] - oracle), noise[1], oracle)
    assert good.verdict().passes
    assert not bad.verdict().passes


def test_nan_never_passes():
    assert not Verdict("direct", float("nan"), 1.0, "").passes
    assert not AtMost(1.0, "anything that is a number")(float("nan")).passes


def test_at_most_includes_its_limit():
    criterion = AtMost(2, "a count")
    assert criterion(2).passes
    assert not criterion(np.nextafter(2, 3)).passes


@pytest.mark.parametrize(("candidate", "expected", "n_differing"), [
    (np.float32([0.1, 0.2]), [0.1, 0.2], 0),  # in the candidate's type
    (np.array([0.1, 0.2]), np.float32([0.1, 0.2]), 2),
    (np.float32([0.1, np.nan]), np.float32([0.1, np.nan]), 0),
    (np.array([1, 2]), np.array([1.5, 2]), 1),
    ([True, False], [True, True], 1),
    (np.zeros(3), np.zeros(2), np.inf),
])  # fmt: skip
def test_exactly_counts_what_differs(candidate, expected, n_differing):
    verdict = Exactly("known to the bit")(candidate, expected)
    assert verdict.observed == n_differing
    assert verdict.passes == (n_differing == 0)
