"""The gates can fail, and fail where they should."""

from __future__ import annotations

import numpy as np
import pytest

from parity.gates import Accuracy, OfMax, PooledAccuracy, RelativeL2, status

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
    verdict = OfMax(0.1, "")(a + np.array([0, 0, 1.0]), a)
    assert verdict.observed == 0.25
    assert not verdict.passes


def test_direct_refuses_any_difference_from_zero():
    assert not OfMax(1e3, "")(np.array([1e-30]), np.zeros(1)).passes
    assert OfMax(0.0, "")(np.zeros(1), np.zeros(1)).passes


def test_relative_l2_does_not_overflow_or_vanish():
    for scale in (1e300, 1e-300):
        a = np.array([3.0, 4.0]) * scale
        assert RelativeL2(1.0, "")(a * 1.5, a).observed == pytest.approx(0.5, abs=U)


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
    assert not OfMax(1.0, "")(np.array([0.0]), np.array([0.0])).__class__("direct", float("nan"), 1.0, "").passes
