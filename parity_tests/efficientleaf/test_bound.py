"""The bound of a tolerance is one: on matrices, on the signals that their eigenvectors are, and by climbing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import efficientleaf.tolerance.plan as planning
from efficientleaf import ToleranceFilterbank
from leaf import GaborFilterbank
from parity.checks.tolerance import FLOOR, TOLERANCES, banks, draw, errors, matrices, worst_signals
from parity.criteria import AtMost

MIDDLE = TOLERANCES[1]


def held(tolerance):
    return AtMost(tolerance, "what the tolerance promises")


def small(seed, tolerance, dynamic_range=None):
    """A bank whose frames are short enough for all of their matrices, weights anywhere in LEAF's box."""
    rng = np.random.default_rng(seed)
    size, hop, n_samples = 49, int(rng.integers(5, 30)), int(rng.integers(50, 90))
    ours = ToleranceFilterbank(4, 60.0, 1000.0, 2000, size, hop, tolerance=tolerance, dynamic_range=dynamic_range)
    true = GaborFilterbank(4, 60.0, 1000.0, 2000, size, size, hop)
    with torch.no_grad():
        for parameter, (least, most) in zip(ours.parameters(), ((0, 3.15), (1.4, 19), (0.04, 0.51)), strict=True):
            parameter.copy_(torch.from_numpy(rng.uniform(least, most, 4)))
    true.load_state_dict(ours.state_dict())
    return ours.double().eval(), true.double(), n_samples


@pytest.mark.parametrize("dynamic_range", [None, 40.0, 90.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_bound_is_one(seed, dynamic_range):
    """|e' - e| <= t e + a |x|^2 for every clip: no eigenvalue of +-(Q' - Q) - t Q is above a."""
    ours, true, n_samples = small(seed, MIDDLE, dynamic_range)
    found, right = matrices(ours, n_samples), matrices(true, n_samples)
    rounding = 1e-13 * np.abs(np.linalg.eigvalsh(right)).max()
    for band in range(4):
        bound = ours.plan().bound(band)
        off, allowed = found[band] - right[band], bound.t * right[band]
        above = max(np.linalg.eigvalsh(off - allowed).max(), np.linalg.eigvalsh(-off - allowed).max())
        gate = AtMost(bound.a + rounding, "a theorem, and a few roundings of the matrices' entries in float64")
        assert gate(above).passes


@pytest.mark.parametrize("seed", range(4))
def test_the_worst_signals_are_within_the_tolerance(seed):
    ours, true, n_samples = small(seed, MIDDLE)
    x = worst_signals(matrices(ours, n_samples), matrices(true, n_samples), FLOOR / n_samples)
    assert held(MIDDLE)(errors(ours, true, torch.from_numpy(x.reshape(-1, n_samples))).band.max()).passes


@pytest.mark.parametrize("seed", range(2))
def test_no_signal_is_found_by_climbing(seed):
    """Projected gradient ascent on the claim, from noise and from bursts."""
    drawn = draw(100 + seed, n_filters=3)
    reference, ours = banks(drawn, MIDDLE)
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.uniform(-1, 1, (6, 600)))
    x[3:] *= torch.from_numpy(rng.integers(20, size=(3, 600)) == 0)
    for _ in range(10):
        x.requires_grad_()
        a, b = (bank(x).clamp(min=FLOOR) for bank in (ours, reference))
        error = (a - b).norm(dim=-1) / b.norm(dim=-1)
        assert held(MIDDLE)(float(error.detach().max())).passes
        (slope,) = torch.autograd.grad(error.log().sum(), x)
        x = (x + 0.1 * slope.sign()).detach().clamp(-1, 1)


@pytest.mark.parametrize("tolerance", [1e-1, *TOLERANCES])
def test_a_burst_in_the_flank_of_a_narrow_window(tolerance):
    ours = ToleranceFilterbank(1, 0.0, 8000.0, 16000, 401, 160, tolerance=tolerance).double().eval()
    reference = GaborFilterbank(1, 0.0, 8000.0, 16000, 401, 401, 160).double()
    n = torch.arange(108)
    for sigma in (4.0, 15.2359, 60.0):
        with torch.no_grad():
            for bank in (ours, reference):
                for parameter, value in zip(bank.parameters(), (1.8771, sigma, 0.0098), strict=True):
                    parameter.fill_(value)
        x = torch.stack([torch.cos(1.8771 * n.double()) * ((n >= i) & (n < i + 32)) for i in range(0, 108, 6)])
        assert held(tolerance)(errors(ours, reference, x).band.max()).passes


def test_a_reach_that_is_too_short_is_not_proven(monkeypatch):
    need = planning.need
    monkeypatch.setattr(planning, "need", lambda *a: planning.replace(need(*a), reach=(need(*a).reach or 0) // 2))
    plan = ToleranceFilterbank(4, 3000.0, 7000.0, 16000, 401, 160, tolerance=MIDDLE).plan()
    assert not held(MIDDLE)(max(plan.bound(i).claim(plan.geometry.frame) for i in range(4))).passes
