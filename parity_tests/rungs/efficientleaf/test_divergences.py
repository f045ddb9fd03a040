"""Differences of rung 3 from rung 2 and from the published implementation: each exists, with its declared size."""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
import pytest
import torch

import leaf
from efficientleaf import SOURCES, EfficientLeaf
from parity_tests.helpers.divergent import diverges, noise

SECOND = "noise of 16000 samples"
OUTSIDE = {"center_freqs": [-0.5, 4.0], "bandwidths": [0.1, 1e4], "pooling_widths": [1e-4, 2.0]}
GROUPS8 = {"num_groups": 8}
OPTIMISED = {"num_groups": 8, "conv_win_factor": 6, "stride_factor": 16}
SETTINGS = {"published-default": {}, "published-8g": GROUPS8, "published-8g-opt": OPTIMISED}


def energies(module):
    """Pooled energies [C, frames] of one second of noise, float64."""
    return module.eval().filterbank(torch.from_numpy(noise(16000))).detach().double().numpy()[0]


def strides(module):
    """The convolution's stride under each band, [C, 1]."""
    return np.concatenate([np.full((g.stop - g.start, 1), g.conv_stride) for g in module.filterbank.groups()])


def from_leaf(gain=False, **arguments):
    """Mean over the bands of |difference|_2 / |LEAF's energies|_2; both start from the same weights."""
    module = EfficientLeaf(**arguments)
    got, expected = energies(module), energies(leaf.Leaf())
    got = got * strides(module) if gain else got
    return np.mean(np.linalg.norm(got - expected, axis=1) / np.linalg.norm(expected, axis=1))


def alone(name, sigma=None, **arguments):
    """By band: |energies with this source - energies without|_2 / |LEAF's|_2, beside the stride if it needs one."""
    rest = set(SOURCES) - ({name} if name in ("kernel", "rate", "sigma") else {"rate", name})
    common = {k: v for k, v in arguments.items() if k == "sample_rate"}
    modules = (EfficientLeaf(**arguments, exact=rest), EfficientLeaf(**arguments, exact=rest | {name}))
    for module in (*modules, reference := leaf.Leaf(**common)):
        if sigma is not None:
            module.filterbank.bandwidths.data.fill_(sigma)
    with_it, without = map(energies, modules)
    return np.linalg.norm(with_it - without, axis=1) / np.linalg.norm(energies(reference), axis=1)


def published(setting, whole):
    """Share of LEAF's energies by which a published setting differs: wholly, with its gain, or by one source alone."""
    arguments = SETTINGS[setting]
    if whole in ("", "gained"):
        return from_leaf(gain=bool(whole), **arguments)
    return alone(whole, **arguments).mean()


@pytest.mark.parametrize("name", [
    f"{setting}-{whole}".removesuffix("-")
    for setting in SETTINGS for whole in ("", "gained", "kernel", "rate", "gain", "width")
], ids=lambda name: name.replace("-", "_"))  # fmt: skip
def test_of_a_published_setting(name, ledger):
    setting = max((s for s in SETTINGS if name.startswith(s)), key=len)
    diverges(ledger, name, published(setting, name[len(setting) + 1 :]), stage="pool", case=SECOND)


def test_pooling_span(ledger):
    size = alone("span", sample_rate=44100, **OPTIMISED).max()
    diverges(ledger, "pooling-span", size, stage="pool", case=SECOND)


def test_sigma_clamp_energies(ledger):
    diverges(ledger, "sigma-clamp-energies", alone("sigma", sigma=1.0).mean(), stage="pool", case=SECOND)


@pytest.mark.parametrize("arguments", SETTINGS.values(), ids=SETTINGS)
def test_span_and_sigma_do_nothing_in_the_published_settings(arguments):
    published, put_back = EfficientLeaf(**arguments), EfficientLeaf(**arguments, exact=("span", "sigma"))
    assert np.array_equal(energies(published), energies(put_back))


def test_stride_gain(ledger):
    level = 10 * np.log10(energies(leaf.Leaf()).sum(axis=1) / energies(EfficientLeaf(**OPTIMISED)).sum(axis=1))
    diverges(ledger, "stride-gain", np.abs(level).max(), stage="pool", case=SECOND)


def test_kernel_length(ledger):
    one_group = {"num_groups": 1, "stride_factor": 1e-9}
    assert [g.kernel_size for g in EfficientLeaf(**one_group).filterbank.eval().groups()] == [401]
    module = EfficientLeaf(n_filters=80, **one_group)
    got, expected = energies(module), energies(leaf.Leaf(n_filters=80))
    assert [(g.kernel_size, g.conv_stride) for g in module.filterbank.groups()] == [(717, 1)]
    size = np.max(np.linalg.norm(got - expected, axis=1) / np.linalg.norm(expected, axis=1))
    diverges(ledger, "kernel-length", size, stage="pool", case=SECOND)


def test_sigma_clamp(ledger):
    # the peak of a kernel of unit area is 1 / (sqrt(2 pi) sigma)
    three, two = EfficientLeaf(2, 1).filterbank.eval(), leaf.Leaf(2).filterbank
    for bank in (three, two):
        bank.bandwidths.data.zero_()
    (group,) = three.groups()
    peaks = [three.filters(group)[0].max().item(), two.filters()[0].max().item()]
    diverges(ledger, "sigma-clamp", peaks[0] / peaks[1], stage="filters", case="sigma=0")


def moved_share(module):
    """Share of the parameters outside their limits that a forward pass changes."""
    bank = module.filterbank
    for name, values in OUTSIDE.items():
        getattr(bank, name).data.copy_(torch.tensor(values))
    before = {name: getattr(bank, name).detach().clone() for name in OUTSIDE}
    module(torch.from_numpy(noise(500)))
    return np.mean([(getattr(bank, name) != before[name]).double().mean().item() for name in OUTSIDE])


def test_projection(ledger):
    assert moved_share(leaf.Leaf(2).train()) == 0
    moved = moved_share(EfficientLeaf(2, 1).train())
    diverges(ledger, "projection", moved, stage="filters", case="6 outside", property="training step")


def test_projection_in_eval(ledger):
    left_alone = 1 - moved_share(EfficientLeaf(2, 1).eval())
    diverges(ledger, "projection-in-eval", left_alone, stage="filters", case="6 outside", property="status")


def test_pooling_width(ledger):
    bank = EfficientLeaf(4, 1, min_freq=0.0, max_freq=40.0, stride_factor=16).filterbank
    (group,) = bank.groups()
    assert (group.conv_stride, group.window_size) == (160, 3)
    # of three taps the outer two are exp(-1 / (2 width^2)), the width in steps of the stride
    width = 160 / math.sqrt(-2 * math.log(bank.windows(group)[0, 0, 0].item()))
    diverges(ledger, "pooling-width", 1 - width / (0.4 * 200), stage="windows", case="window 3, stride 160")


def test_zero_centre(ledger):
    bank = EfficientLeaf(2, 2).filterbank.eval()
    bank.center_freqs.data[0] = 0.0
    with pytest.raises(ZeroDivisionError):
        bisect_right(bank.psbl_strides, max(1, math.pi / bank.center_freqs[0].item()))  # the published rule
    taken = bank.groups()[0].conv_stride
    diverges(ledger, "zero-centre", taken, stage="conv", case="centre 0, hop 160", property="status")
