"""The criteria can fail, and fail where they should."""

from __future__ import annotations

import numpy as np
import pytest

from parity.criteria import Accuracy, AtMost, Exactly, OfMax, PooledAccuracy, RelativeL2, peak, status, within_rounding

ORACLE = np.random.default_rng(0).standard_normal(1000)
SINGLE = ORACLE.astype(np.float32)
U = 2.0**-24
NAN, INF = np.nan, np.inf


def rounded(sigma: float, seed: int) -> np.ndarray:
    return ORACLE * (1 + sigma * np.random.default_rng(seed).standard_normal(1000))


@pytest.mark.parametrize(("candidate", "passes"), [
    (SINGLE.copy(), True), (SINGLE[:-1], False), (SINGLE.astype(np.float64), False),
    *((np.where(SINGLE > 2, value, SINGLE), False) for value in (NAN, INF, -INF)),
], ids=["equal", "shape", "dtype", "nan", "inf", "-inf"])  # fmt: skip
def test_status(candidate, passes):
    assert status(candidate, SINGLE).passes == passes


@pytest.mark.parametrize(("sign", "passes"), [(1, True), (-1, False)])
def test_status_where_both_are_not_finite(sign, passes):
    verdict = status(sign * np.array([NAN, INF, 1.0]), np.array([NAN, INF, 1.0]))
    assert verdict.passes == passes


DIRECT = {  # criterion, candidate, reference, passes
    "a quarter of the largest value": (OfMax(0.25, "one in four"), [1.0, 2, 5], [1.0, 2, 4], True),
    "a little less is allowed": (OfMax(0.2499, "a little less"), [1.0, 2, 5], [1.0, 2, 4], False),
    "any difference from zero": (OfMax(1e3, "whatever is allowed"), [1e-30], [0.0], False),
    "zero and zero": (OfMax(0.0, "nothing is"), [0.0], [0.0], True),
    **{
        f"{type(criterion).__name__}: {value} {where}": (criterion, candidate, reference, passes)
        for criterion in (OfMax(1.0, "anything"), RelativeL2(1.0, "anything"))
        for value in (NAN, INF)
        for where, candidate, reference, passes in (
            ("in one", [value] * 3, [1.0] * 3, False), ("in the other", [1.0] * 3, [1.0, value, 1.0], False),
            ("in both", [1.0, value], [1.0, value], True))
    },
}  # fmt: skip


@pytest.mark.parametrize(("criterion", "candidate", "reference", "passes"), DIRECT.values(), ids=DIRECT)
def test_direct(criterion, candidate, reference, passes):
    assert criterion(np.array(candidate), np.array(reference)).passes == passes


def test_one_operation_refuses_what_only_one_has_finite():
    assert not within_rounding(np.full(3, NAN), np.ones(3), np.ones(3), peak).passes


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_relative_l2_does_not_overflow_or_vanish(scale):
    a = np.array([3.0, 4.0]) * scale
    half = RelativeL2(0.0, "for what it measures")(a * 1.5, a).observed
    criterion = OfMax(2.0**-50, "a root of a sum of two squares, and a quotient")
    assert criterion(np.array([half]), np.array([0.5])).passes


def test_accuracy_passes_an_equal_error_and_fails_a_threefold_one_or_a_single_outlier():
    spoiled = rounded(U, 1)
    spoiled[17] += 100 * U * np.abs(ORACLE).max()  # which the root mean square hides
    candidates = (rounded(U, 1), rounded(9 * U, 1), spoiled)
    passed = [Accuracy()(candidate, rounded(U, 2), ORACLE).passes for candidate in candidates]
    assert passed == [True, False, False]


@pytest.mark.parametrize(("oracle", "applies"), [
    (np.arange(63.0), False), (np.ones(1000), False), (np.arange(64.0), True),
], ids=["small", "of one value", "large"])  # fmt: skip
def test_accuracy_leaves_small_arrays_to_the_pool(oracle, applies):
    assert Accuracy.applies(oracle) == applies


def test_pool_fails_a_candidate_that_is_often_worse():
    good, bad = PooledAccuracy(), PooledAccuracy()
    for seed in range(60):
        oracle = np.random.default_rng(seed).standard_normal(3)
        noise = [oracle * (1 + U * np.random.default_rng([seed, i]).standard_normal(3)) for i in range(2)]
        good.add(noise[0], noise[1], oracle)
        bad.add(oracle + 6 * (noise[0] - oracle), noise[1], oracle)
    assert good.verdict().passes
    assert not bad.verdict().passes


@pytest.mark.parametrize(("observed", "passes"), [(2, True), (np.nextafter(2, 3), False), (NAN, False)])
def test_at_most_includes_its_limit_and_never_nan(observed, passes):
    assert AtMost(2, "a count")(observed).passes == passes


@pytest.mark.parametrize(("candidate", "expected", "n_differing"), [
    (np.float32([0.1, 0.2]), [0.1, 0.2], 0),  # in the candidate's type
    (np.array([0.1, 0.2]), np.float32([0.1, 0.2]), 2),
    (np.float32([0.1, NAN]), np.float32([0.1, NAN]), 0),
    (np.array([1, 2]), np.array([1.5, 2]), 1),
    ([True, False], [True, True], 1),
    (np.zeros(3), np.zeros(2), INF),
])  # fmt: skip
def test_exactly_counts_what_differs(candidate, expected, n_differing):
    verdict = Exactly("known to the bit")(candidate, expected)
    assert verdict.observed == n_differing
    assert verdict.passes == (n_differing == 0)
