"""The bound of a tolerance is one: on matrices, on the signals that their eigenvectors are, and by climbing."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

import efficientleaf.tolerance.plan as planning
from efficientleaf import ToleranceFilterbank
from efficientleaf.tolerance.bound import loudest
from leaf import GaborFilterbank
from parity.checks.tolerance import FLOOR, TOLERANCES, banks, draw, errors, matrices, worst_signals
from parity.criteria import AtMost

MIDDLE = TOLERANCES[1]


def held(tolerance):
    return AtMost(tolerance, "what the tolerance promises")


def pair(values, size, hop, tolerance, dynamic_range=None):
    """A bank with these weights, and LEAF's."""
    ours = ToleranceFilterbank(4, 60.0, 1000.0, 2000, size, hop, tolerance=tolerance, dynamic_range=dynamic_range)
    true = GaborFilterbank(4, 60.0, 1000.0, 2000, size, size, hop)
    with torch.no_grad():
        for parameter, value in zip(ours.parameters(), values, strict=True):
            parameter.copy_(torch.from_numpy(value))
    true.load_state_dict(ours.state_dict())
    return ours.double().eval(), true.double()


def small(seed, tolerance):
    """A bank of short frames, weights anywhere in LEAF's box."""
    rng = np.random.default_rng(seed)
    hop, n_samples = int(rng.integers(5, 30)), int(rng.integers(50, 90))
    values = [rng.uniform(*limits, 4) for limits in ((0, 3.15), (1.4, 19), (0.04, 0.51))]
    return *pair(values, 49, hop, tolerance), n_samples


def short(geometry):
    """Blocks that yield little more than a window."""
    hops = -(-geometry.size // geometry.hop)
    return planning.Block(planning._smooth(2 * geometry.half + hops * geometry.hop), hops)


@pytest.mark.parametrize("dynamic_range", [None, 40.0, 90.0])
@pytest.mark.parametrize("blocks", ["one", "several"])
def test_the_bound_is_one(monkeypatch, blocks, dynamic_range):
    """|e' - e| <= t e + a |x|^2 for every clip: no eigenvalue of +-(Q' - Q) - t Q is above a."""
    if blocks == "several":
        monkeypatch.setattr(planning.Geometry, "longest", property(short))
        monkeypatch.setattr(planning.Geometry, "block", lambda geometry, n_hops: short(geometry))
    for verdict in verdicts(dynamic_range, several=blocks == "several"):
        assert verdict.passes


@pytest.mark.parametrize("dynamic_range", [None, 40.0, 90.0])
def test_the_bound_needs_every_point(monkeypatch, dynamic_range):
    """As many bins in half of the points are aliased."""
    groups = planning.Plan.groups
    monkeypatch.setattr(
        planning.Plan, "groups", lambda *args: tuple(replace(g, n_points=g.n_points // 2) for g in groups(*args))
    )
    assert not any(verdict.passes for verdict in verdicts(dynamic_range))


def verdicts(dynamic_range, several=False):
    """Tell of each of four bands whether no eigenvalue of +-(Q' - Q) - t Q is above a."""
    rng = np.random.default_rng(0)
    values = [rng.uniform(*limits, 4) for limits in ((0, 3.15), (8, 18), (0.02, 0.51))]  # kernels that are not cut
    ours, true = pair(values, 201, 60, MIDDLE, dynamic_range)
    n_samples = 450
    plan, block = ours.plan(), ours.geometry.block(-(-n_samples // 60))
    assert (block.hops * 60 < n_samples) == several
    assert not any(group.full_rate for group in plan.groups(block))
    found, right = matrices(ours, n_samples), matrices(true, n_samples)
    rounding = 1e-13 * np.abs(np.linalg.eigvalsh(right)).max()
    for band in range(4):
        bound = plan.bound(band, block)
        off, allowed = found[band] - right[band], bound.t * right[band]
        above = max(np.linalg.eigvalsh(off - allowed).max(), np.linalg.eigvalsh(-off - allowed).max())
        yield AtMost(bound.a + rounding, "a theorem, and a few roundings of the matrices' entries in float64")(above)


def form(center, sigma, width, half):
    """Q of a frame, [2 W - 1, 2 W - 1], from LEAF's definition."""
    n, t = np.arange(-2 * half, 2 * half + 1), np.arange(-half, half + 1)
    lag = n - t[:, None]
    taps = np.where(np.abs(lag) <= half, np.exp(-0.5 * (lag / sigma) ** 2), 0) / (np.sqrt(2 * np.pi) * sigma)
    window = np.exp(-0.5 * (t / half / width) ** 2)
    h = taps * np.exp(1j * center * lag)
    return ((h.conj().T * window) @ h).real


@pytest.mark.parametrize("half", [3, 24, 100])
def test_the_loudest_is_the_forms_largest_eigenvalue(half):
    size = 2 * half + 1
    for sigma in np.geomspace(1.5, size * 0.374, 4):
        for width in np.geomspace(2 / size, 0.5, 3):
            for center in (0.0, 0.3, 1.5):
                true = np.linalg.eigvalsh(form(center, sigma, width, half))[-1]
                decibels = 10 * np.log10(loudest(sigma, width * half) / true)
                assert AtMost(1.0, "what LEAF's cuts take, as its docstring says")(decibels).passes
                assert AtMost(3.1, "audio has but one side at frequency 0, and twice as much of it")(-decibels).passes


@pytest.mark.parametrize("band", [16, 25, 39])
def test_float32_rounds_by_the_loudest_frame_in_a_block(band):
    """A tone of its own that is loud, and 66 dB less, by turns: as the README says."""
    single = ToleranceFilterbank(40, 60.0, 7800.0, 16000, 401, 160, tolerance=MIDDLE).eval()
    double = copy.deepcopy(single).double()
    n = np.arange(16000)
    level = np.where(n // 700 % 2 == 0, 0.9, 3e-4)
    x = torch.from_numpy(level * np.cos(double.center_freqs.detach().numpy()[band] * n))[None]
    with torch.no_grad():
        found, right = single(x.float())[0, band].double(), double(x)[0, band]
    quiet = right < 10 * FLOOR
    assert quiet.sum() > 10
    criterion = AtMost(1e-9, "of the loudest frame: the README's figure; observed: 4e-10")
    assert criterion(float((found - right).abs()[quiet].max() / right.max())).passes


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


def test_too_few_points_are_not_proven(monkeypatch):
    quietest = planning.quietest
    monkeypatch.setattr(planning, "quietest", lambda t, a: 1e4 * quietest(t, a))
    plan = ToleranceFilterbank(4, 3000.0, 7000.0, 16000, 401, 160, tolerance=MIDDLE).plan()
    assert not held(MIDDLE)(max(plan.bound(i).claim(plan.geometry.stretch) for i in range(4))).passes
