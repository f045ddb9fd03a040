"""Rung 3's own compression against the oracle's formulas, and what the draws must reach for that to mean anything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import efficientleaf
from parity.checks.compressions import DRAWS, EPS, Normalised, compressions
from parity.criteria import AtMost
from parity.oracle import compression

STAGES = ("log1p", "median", "batchnorm", "output")
TINY = np.finfo(np.float64).tiny
FIRST_ORDER = AtMost(1 + 2.0**-10, "of the limit: 1 to first order, and the second is smaller by the size of the error")
LEARNED = ("log1p.a", "TBN.bn.weight", "TBN.bn.bias")


def test_every_stage_is_the_oracles(ledger):
    for measurement in compressions():
        ledger.check(measurement)


def test_every_stage_is_measured_in_both_precisions():
    measured = {(m.stage, m.property, m.dtype) for m in compressions() if m.criterion == "soundness"}
    stages = {(stage, kind) for stage in STAGES for kind in ("forward", "input gradient")}
    expected = {*stages, *((name, "parameter gradient") for name in LEARNED), ("batchnorm", "training step")}
    assert measured == {(*cell, dtype) for cell in expected for dtype in ("float32", "float64")}


def test_draws_reach_both_sides_of_the_eps_of_the_norm():
    variances = [compression.log1p(d.energies(), np.full(d.n_bands, 5.0)).var(axis=(0, 2)).min() for d in DRAWS]
    assert min(variances) < EPS < max(variances)


def test_draws_have_even_and_odd_numbers_of_frames():
    assert {d.n_frames % 2 for d in DRAWS} == {0, 1}


@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_no_rounding_decides_which_frame_is_the_median(draw):
    # a band's frames, in float32, differ by more than a power, a product and a logarithm can lose
    ordered = np.sort(compression.log1p(draw.energies(), np.full(draw.n_bands, 6.0)), axis=-1)
    roundings = 2 * 64 * np.finfo(np.float32).eps * ordered[..., 1:]
    assert (np.diff(ordered, axis=-1) > roundings).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("n_frames", [1, 2, 3, 4, 10, 11])
def test_the_median_is_the_lower_of_the_two_in_the_middle(n_frames, dtype):
    # of 0, 1, 4, 9, ... in disorder, in evaluation: the published ``x.median(-1)``
    frames = torch.arange(n_frames, dtype=dtype) ** 2
    x = torch.stack([frames[torch.randperm(n_frames, generator=torch.Generator().manual_seed(i))] for i in range(3)])
    x = x[np.newaxis]
    module = efficientleaf.LogTBN(3, median_filter=True).to(dtype).eval()
    module.log1p = module.TBN = torch.nn.Identity()
    expected = x - frames[(n_frames - 1) // 2]
    with torch.no_grad():
        assert torch.equal(module(x), expected)
        assert torch.equal(module(x.mT.contiguous().mT), expected)  # a view
    assert torch.equal(module(x.clone().requires_grad_()).detach(), expected)


@pytest.mark.parametrize("gradient", [True, False])
def test_nan_shows_in_every_frame_of_its_band(gradient):
    module = efficientleaf.LogTBN(2, median_filter=True).eval()
    x = torch.rand(1, 2, 6)
    x[0, 1, 3] = torch.nan
    with torch.set_grad_enabled(gradient):
        y = module(x.requires_grad_(gradient))
    assert y.isnan().any(-1).tolist() == [[False, True]]
    assert y[0, 1].isnan().all()


@pytest.mark.parametrize("training", [True, False])
def test_what_an_error_of_the_input_does_is_what_moving_it_does(training):
    rng = np.random.default_rng(0)
    x, d = rng.standard_normal((3, 2, 5)), rng.standard_normal((3, 2, 5))
    state = {name: rng.uniform(0.5, 2, 2) for name in ("weight", "bias", "running_mean", "running_var")}
    error = rng.uniform(0, 1, x.shape) / 2**20
    still = Normalised(x, state, training)
    limits = (still.moved(error), *still.adjoint_moved(d, error))
    for _ in range(20):
        moved = Normalised(x + rng.choice([-1, 1], x.shape) * error, state, training)
        found = (
            moved.value() - still.value(),
            *(a - b for a, b in zip(moved.adjoint(d), still.adjoint(d), strict=True)),
        )
        for f, limit in zip(found, limits, strict=True):
            assert FIRST_ORDER(float(np.max(np.abs(f) / np.maximum(limit, TINY)))).passes
