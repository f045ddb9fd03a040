"""Differences of rung 2 from rung 1 and from the published implementation: each exists, with its declared size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import leaf
import og_leaf
from parity.adapters.rungs import RUNGS
from parity.criteria import AtMost, OfMax
from parity.oracle.config import LeafConfig
from parity.weights.convert_module import convert
from parity_tests.helpers.divergent import diverges, noise

SECOND = "noise of 16000 samples"
SAME = AtMost(1e-6, "of the largest: twice TensorFlow's own eager-graph difference (4.8e-7 of max|y|)")


def pooled(module, audio):
    """Pooled energies [C, frames] of a frontend of rung 1 or 2."""
    adapter = RUNGS[type(module).__module__.split(".")[0]].load_adapter()
    return adapter.stages(module, audio)["pool"][0]


def of_max(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.fixture(scope="module")
def original():
    return og_leaf.Leaf()


def test_default_output(ledger, original):
    audio = torch.from_numpy(noise(16000))
    a, b = (module(audio).detach().numpy() for module in (leaf.Leaf(), original))
    diverges(ledger, "default-output", np.linalg.norm(a - b) / np.linalg.norm(b), stage="output", case=SECOND)


def test_pooling_alignment(ledger, original):
    audio = noise(16000)
    centred = pooled(convert(original, "leaf", padding="centered"), audio)
    diverges(ledger, "pooling-alignment", of_max(centred, pooled(original, audio)), stage="pool", case=SECOND)


def test_pooling_alignment_shift(ledger):
    # 3200 samples are padded as 16000 are, for both are multiples of the hop; frames at the edges see other zeros
    original, audio = og_leaf.Leaf(n_filters=4), noise(3200)
    centred, inner = convert(original, "leaf", padding="centered"), slice(4, -4)
    expected = pooled(original, audio)[:, inner]
    late = {}
    for shift in {*range(0, 161, 5), 79, 81}:
        moved = torch.from_numpy(np.pad(audio[:, shift:], ((0, 0), (0, shift))))
        late[shift] = of_max(centred.filterbank(moved).detach().numpy()[0, :, inner], expected)
    shift = min(late, key=late.get)
    assert SAME(late[shift]).passes
    diverges(ledger, "pooling-alignment-shift", shift, stage="pool", case="noise of 3200 samples")


def test_even_window(ledger):
    audio, config = noise(22050), LeafConfig(sample_rate=22050)
    original = RUNGS["og_leaf"].load_adapter().build(config)
    odd = leaf.GaborFilterbank(40, 60.0, 7800.0, 22050, 551, 551, 220, padding="same")
    odd.load_state_dict(convert(original, "leaf").filterbank.state_dict())
    assert leaf.Leaf(sample_rate=22050).filterbank.pool_size == 551
    got = odd(torch.from_numpy(audio)).detach().numpy()[0]
    diverges(ledger, "even-window", of_max(got, pooled(original, audio)), stage="pool", case="noise of 22050 samples")


def test_analytic_init_sigma(ledger, original):
    ratio = (leaf.Leaf().filterbank.bandwidths / original._complex_conv._kernel[:, 1]).detach().numpy()
    diverges(ledger, "analytic-init-sigma", max(ratio.max(), 1 / ratio.min()), stage="init", case="default")


def test_analytic_init_centre(ledger, original):
    difference = (leaf.Leaf().filterbank.center_freqs - original._complex_conv._kernel[:, 0]).abs().max()
    diverges(ledger, "analytic-init-centre", difference.item(), stage="init", case="default")


def test_channel_order(ledger):
    original, audio = og_leaf.Leaf(n_filters=4), torch.from_numpy(noise(800))
    ported = convert(original, "leaf")
    theirs = original._complex_conv(audio[:, None])[0].detach().numpy()
    ours = ported.filterbank.convolve(audio)[0].detach().numpy()
    criterion = OfMax(SAME.limit, SAME.reason)
    assert criterion(ours, np.concatenate([theirs[0::2], theirs[1::2]])).passes
    moved = [not criterion(a, b).passes for a, b in zip(ours, theirs, strict=True)]
    diverges(ledger, "channel-order", np.mean(moved), stage="conv", case="4 filters")


def test_delta_clamp(ledger):
    original = og_leaf.Leaf(n_filters=4)
    with torch.no_grad():
        original._compress_fn.alpha.zero_()
        original._compress_fn.delta.fill_(-0.5)
    ported = leaf.PCEN(4, s=0.04, alpha=0.0, delta=-0.5, r=0.5, eps=1e-12, learn_logs=False, clamp=1e-5)
    audio = noise(1600, 0.01)
    energies = torch.from_numpy(pooled(original, audio))[None]
    delta = original._compress_fn.delta
    assert (energies[0] < -delta[:, None]).all()  # the original takes a power of a negative number
    power = OfMax(1e-6, "float32: at delta = 0 and alpha = 0 what is left is a square root")
    assert power(ported(energies).detach().numpy(), energies.clamp(min=1e-5).sqrt().numpy()).passes
    share = original(torch.from_numpy(audio)).isnan().double().mean().item()
    diverges(ledger, "delta-clamp", share, stage="output", case="delta=-0.5, alpha=0", property="status")


def test_smooth_unclipped(ledger):
    energies = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (1, 3, 20)))
    original = og_leaf.ExponentialMovingAverage(3, 1.2, per_channel=True, dtype=torch.float64)
    smoothed = original(energies, energies[..., 0]).detach().numpy()
    assert np.array_equal(smoothed, energies.numpy())  # clipped to 1: no smoothing at all
    swinging = leaf.PCEN(3, s=1.2, learn_logs=False).double().smooth(energies).detach().numpy()
    diverges(ledger, "smooth-unclipped", of_max(swinging, smoothed), stage="ema", case="s=1.2", dtype="float64")


def published_gain(m, eps, alpha):
    """The published ``exp(-alpha (log eps + log1p(M / eps)))``, eps a float32 scalar as there."""
    eps = torch.as_tensor(eps)
    return torch.exp(-alpha * (torch.log(eps) + torch.log1p(m / eps)))


def gain_of(m, eps, alpha):
    """The gain as rung 2 applies it: with r = 1 and delta = 0, PCEN of one frame is M times the gain."""
    pcen = leaf.PCEN(1, alpha=alpha, delta=0.0, r=1.0, eps=eps, learn_logs=False).to(m.dtype)
    pcen.alpha.data.fill_(alpha)
    return (pcen(m[:, None, None]) / m[:, None, None]).detach().ravel()


def test_eps_dtype(ledger):
    m, eps, alpha = torch.full((1,), 1e-5, dtype=torch.float64), 1e-12, 0.96
    exact = (eps + 1e-5) ** -alpha
    criterion = OfMax(1e-14, "float64: a power and a division, 11 e-folds of gain")
    assert criterion(gain_of(m, eps, alpha).numpy(), np.array([exact])).passes
    error = abs(published_gain(m, eps, alpha).item() / exact - 1)
    diverges(ledger, "eps-dtype", error, stage="pcen", case="eps=1e-12, M=1e-5", dtype="float64")


def test_agc_form(ledger):
    m = torch.linspace(0.5, 2, 1001)
    eps, alpha = 1e-12, 0.96
    exact = (eps + m.double()) ** -float(np.float32(alpha))
    errors = [((gain.double() - exact) / exact).abs().max().item()
              for gain in (published_gain(m, eps, alpha), gain_of(m, eps, alpha))]  # fmt: skip
    diverges(ledger, "agc-form", errors[0] / errors[1], stage="pcen", case="M from 0.5 to 2")


def test_pool_padding(ledger):
    bank = leaf.GaborFilterbank(1, 60.0, 7800.0, 16000, filter_size=401, pool_size=201, pool_stride=160)
    energies = torch.ones(1, 1, 1600)
    published = F.conv1d(energies, bank.windows(), stride=160, padding=bank.filter_size // 2)
    assert bank.pool(energies).shape[-1] == 10  # ceil(1600 / 160)
    gained = published.shape[-1] - bank.pool(energies).shape[-1]
    diverges(ledger, "pool-padding", gained, stage="pool", case="filter 401, pool 201", property="status")


def test_one_sample_window(ledger):
    window = leaf.gauss_windows(1, torch.tensor([0.4]))
    with pytest.raises(ZeroDivisionError):
        torch.arange(1) * (2 / (window.shape[1] - 1)) - 1  # the published grid
    diverges(ledger, "one-sample-window", window.item(), stage="windows", case="size 1", property="status")


def test_subnormal_taps(ledger):
    bank = leaf.Leaf().filterbank
    centers, sigmas = bank.center_freqs.detach().unsqueeze(1), bank.bandwidths.detach().unsqueeze(1)
    t = torch.arange(-200, 201)
    envelope = torch.exp(-(t**2) / (2 * sigmas**2)) / (math.sqrt(2 * math.pi) * sigmas)
    published = torch.cat([envelope * torch.cos(centers * t), envelope * torch.sin(centers * t)])
    subnormal = (published != 0) & (published.abs() < torch.finfo(torch.float32).tiny)
    diverges(ledger, "subnormal-taps", subnormal.sum(), stage="filters", case="40 filters", property="status")
