"""Rung 2 on each way in which the original's PCEN ends in NaN or infinity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import leaf
import og_leaf
from parity.checks import breaking
from parity.checks.grid import Context
from parity.criteria import Exactly, OfMax, status
from parity.oracle.pcen import normalise, smoother

U = 2.0**-24
NOTHING = Exactly("no value is lost: what is not finite is counted")
ZERO = Exactly("the derivative of a constant, and delta = 0 by the convention")
AGAIN = "pytest parity_tests/rungs/leaf/test_breaking.py"


def check(ledger, verdict, *, case, reference="oracle", property="status", relation="bitwise"):
    context = Context("leaf", reference, "where the original breaks", case, AGAIN)
    ledger.check(context.measurement("pcen", property, verdict, relation))


def test_delta_with_learned_logarithms_never_reaches_zero(ledger):
    delta, outcome = breaking.through_zero(breaking.layer("leaf"))
    assert 0 < delta < 2
    check(ledger, NOTHING(len(outcome.broken), 0), case="learn_logs, 100 steps of SGD on delta")


def test_delta_that_is_linear_acts_as_zero_once_it_is_below(ledger):
    delta, outcome = breaking.through_zero(breaking.layer("leaf, linear"))
    assert delta < 0
    check(ledger, NOTHING(len(outcome.broken), 0), case="linear, 100 steps of SGD on delta")
    check(ledger, ZERO(outcome.gradients["delta"], [0]), case="linear, delta below 0", property="parameter gradient")
    x = breaking.VARIED[None, None].astype(np.float64)
    m = smoother(x, np.array([0.04]), np.array([0.96]))
    exact = normalise(x, m, np.array([0.96]), np.zeros(1), np.array([0.5]), 1e-12)[0, 0]
    reason = "8 u in a scan of 16 frames, 4 u in the power, 1 u in the division: halved by the root, which adds 2 u"
    criterion = OfMax(9 * U, reason)
    check(
        ledger, criterion(outcome.output, exact), case="linear, delta below 0", property="forward", relation="rounding"
    )


def test_gradient_to_log_delta_vanishes_with_delta(ledger):
    delta, r = 1e-12, 0.5
    got = breaking.at_delta("leaf", delta)
    exact = delta * r * ((1 + delta) ** (r - 1) - delta ** (r - 1))
    reason = "log delta, -27.6, held to u, halved: 14 u; r = exp(log 1/2) to 2 u, times it: 28 u; 16 roundings"
    verdict = OfMax(58 * U, reason)(np.array([got]), np.array([exact]))
    check(ledger, verdict, case="learn_logs, delta=1e-12", property="parameter gradient", relation="rounding")


def test_gradient_to_linear_delta_ends_at_zero_by_convention(ledger):
    near = [breaking.at_delta("leaf, linear", delta) for delta in (1e-12, 1e-30)]
    check(ledger, NOTHING(int(np.sum(~np.isfinite(near))), 0), case="linear, delta to 1e-30")
    verdict = ZERO(breaking.at_delta("leaf, linear", 0.0), 0)
    check(ledger, verdict, case="linear, delta=0", property="parameter gradient")


@pytest.mark.parametrize(("floor", "clamp"), [(0.0, 1e-5), (1e-6, None)])
@pytest.mark.parametrize("kind", ["leaf", "leaf, linear"])
def test_silence_with_clamp_or_eps(ledger, kind, floor, clamp):
    outcome = breaking.over_silence(kind, floor, clamp)
    check(ledger, NOTHING(len(outcome.broken), 0), case=f"{kind}, silence, eps={floor}, clamp={clamp}")


def test_silence_without_either_is_divided_by_zero_as_in_the_original():
    got, original = (breaking.over_silence(kind, floor=0.0) for kind in ("leaf", "og_leaf"))
    assert got.nan == original.nan == 1


@pytest.mark.parametrize("kind", ["leaf", "leaf, linear"])
def test_an_infinite_frame_is_lost_where_the_original_loses_it(ledger, kind):
    got, original = breaking.with_infinity(kind), breaking.with_infinity("og_leaf")
    assert np.flatnonzero(np.isnan(original.output)).tolist() == [breaking.INFINITE]
    assert set(original.broken) == {"output", "input", "alpha", "delta", "root", "smooth"}
    assert got.broken == original.broken
    check(ledger, status(got.output, original.output), case=f"{kind}, one infinite frame", reference="og_leaf")
    # and deaf from there on: the smoother stays infinite
    assert not original.output[breaking.INFINITE + 1 :].any()
    assert not got.output[breaking.INFINITE + 1 :].any()


@pytest.mark.parametrize(("amplitude", "survives"), [(1e18, True), (1e20, False)])
@pytest.mark.parametrize("frontend", [leaf.Leaf, og_leaf.Leaf])
def test_squares_of_loud_audio_overflow_float32_in_both(frontend, amplitude, survives):
    audio = amplitude * torch.sin(0.3 * torch.arange(1600.0))[None]
    assert bool(frontend(n_filters=2)(audio).isfinite().all()) is survives
    # the range of the type, not the form: float64 holds the same
    assert frontend(n_filters=2).double()(audio.double()).isfinite().all()


def test_leafs_own_floor_keeps_the_original_from_silence():
    compression = og_leaf.PCENLayer(2, floor=0.0, trainable=True, learn_smooth_coef=True)
    assert og_leaf.Leaf(n_filters=2, compression_fn=compression)(torch.zeros(1, 1600)).isfinite().all()
