"""Rung 1 as a graph of torch.export for any batch and length: the module's own numbers, operation by operation."""

from __future__ import annotations

import pytest
import torch

import og_leaf
from parity.criteria import OfMax

SAME = OfMax(1e-6, "the same operations in the same order; sums over taps are cut into other vectors at other lengths")
LENGTHS = ((1, 1), (3, 160), (1, 161), (2, 401), (1, 561), (2, 1333))  # batch, samples; traced with (2, 1600)
FIXED = torch.export.Dim.STATIC

FRONTENDS = {
    "pcen": lambda: og_leaf.Leaf(n_filters=2),
    "all of it": lambda: og_leaf.Leaf(n_filters=2, sample_rate=22050, preemp=True, mean_var_norm=True),
    "a hop longer than the window": lambda: og_leaf.Leaf(n_filters=2, window_len=5.0, compression_fn="log"),
    "sinc, maxima": lambda: og_leaf.SincNet(n_filters=2),
    "sinc, fixed smoother": lambda: og_leaf.SincNetPlus(n_filters=2),
    "mel": lambda: og_leaf.MelFilterbanks(n_filters=3),
    "free filters, free windows": lambda: og_leaf.TimeDomainFilterbanks(n_filters=2),
}


def exported(module, audio):
    axes = [torch.export.Dim("batch"), *[FIXED] * (audio.ndim - 2), torch.export.Dim("samples")]
    with torch.no_grad():
        return torch.export.export(module, (audio,), dynamic_shapes=(dict(enumerate(axes)),)).module()


@pytest.mark.parametrize("frontend", FRONTENDS.values(), ids=FRONTENDS)
def test_any_length(frontend):
    module = frontend().eval()
    program = exported(module, torch.zeros(2, 1600))
    for batch, n_samples in LENGTHS:
        audio = torch.rand(batch, n_samples, generator=torch.Generator().manual_seed(n_samples)) - 0.5
        if n_samples < 401 and isinstance(module, og_leaf.TimeDomainFilterbanks):
            continue
        with torch.no_grad():
            assert SAME(program(audio).numpy(), module(audio).numpy()).passes


def test_a_channel_axis():
    module = og_leaf.Leaf(n_filters=2, compression_fn=None).eval()
    audio = torch.rand(3, 1, 161, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():
        assert SAME(exported(module, torch.zeros(2, 1, 1600))(audio).numpy(), module(audio).numpy()).passes


def test_shorter_than_a_window_that_is_not_padded():
    pool = og_leaf.GaussianLowpass(2, 9, 4, padding="valid").eval()
    program = exported(pool, torch.zeros(2, 2, 30))
    assert program(torch.zeros(1, 2, 9)).shape == (1, 2, 1)
    with pytest.raises(RuntimeError, match=">= 1"):
        program(torch.zeros(1, 2, 8))


def test_a_transform_as_long_as_the_audio():
    module = og_leaf.Leaf(n_filters=2, conv1d_cls=og_leaf.FFTConv1D).eval()
    with pytest.raises(ValueError, match="leave the samples out of dynamic_shapes"):
        exported(module, torch.zeros(2, 1600))
