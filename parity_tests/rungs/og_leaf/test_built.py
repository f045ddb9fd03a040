"""Rung 1's layers where an argument is left out, given as None or not of the usual type."""

from __future__ import annotations

import pytest
import torch

import og_leaf
from parity_tests.helpers.refusals import refused

SIZED = {"filters": 4, "kernel_size": 5}
LAYERS = {
    "GaborConv1D": lambda **own: og_leaf.GaborConv1D(**SIZED, **own),
    "NormalizedConv1D": lambda **own: og_leaf.NormalizedConv1D(**SIZED, **own),
    "SincConv1D": lambda **own: og_leaf.SincConv1D(**SIZED, **own),
    "FFTConv1D": lambda **own: og_leaf.FFTConv1D(**SIZED, **own),
    "Conv1D": lambda **own: og_leaf.Conv1D(**SIZED, **own),
    "GaussianLowpass": lambda **own: og_leaf.GaussianLowpass(2, 5, **own),
    "LearnablePooling1D": lambda **own: og_leaf.LearnablePooling1D(2, 5, **own),
    "ChannelWiseLearnablePooling1D": lambda **own: og_leaf.ChannelWiseLearnablePooling1D(2, 5, **own),
}
CONVOLUTIONS = [name for name in LAYERS if "Conv" in name]
INITIALISERS = {
    "Constant": (og_leaf.Constant(0.4), (2,)),
    "PreempInit": (og_leaf.PreempInit(), (1, 1, 2)),
    "GaborInit": (og_leaf.GaborInit(), (3, 2)),
    "SincInit": (og_leaf.SincInit(), (3, 2)),
    "LowpassInit": (og_leaf.LowpassInit(), (2, 1, 401)),
}


@pytest.mark.parametrize("name", INITIALISERS)
def test_an_initialiser_takes_any_sequence_as_shape(name):
    initialiser, shape = INITIALISERS[name]
    for given in (list(shape), torch.Size(shape)):
        assert torch.equal(initialiser(given), initialiser(shape))


@pytest.mark.parametrize("name", INITIALISERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.int64])
def test_an_initialiser_refuses_other_types(name, dtype):
    initialiser, shape = INITIALISERS[name]
    refused(lambda: initialiser(shape, dtype=dtype), ValueError, f"dtype={dtype}", "torch.float64")


@pytest.mark.parametrize("name", LAYERS)
def test_a_regulariser_must_be_callable(name):
    refused(lambda: LAYERS[name](kernel_regularizer="l2"), TypeError, "kernel_regularizer='l2'")


@pytest.mark.parametrize("name", LAYERS)
def test_is_built_in_float64(name):
    assert {t.dtype for t in LAYERS[name](dtype=torch.float64).state_dict().values()} == {torch.float64}


def test_a_fixed_smoother_is_built_in_float64():
    layer = og_leaf.PCENLayer(3, trainable=True, dtype=torch.float64)
    assert {t.dtype for t in layer.state_dict().values()} == {torch.float64}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_learns_unless_told_otherwise(name):
    assert all(p.requires_grad for p in LAYERS[name]().parameters())


def test_sinc_filters_start_from_sinc_init():
    assert torch.equal(og_leaf.SincConv1D(8, 5)._kernel, og_leaf.SincInit()((4, 2)))


def test_sinc_filters_start_from_what_is_given():
    assert og_leaf.SincConv1D(8, 5, kernel_initializer=og_leaf.Constant(100.0))._kernel.eq(100).all()


def test_a_bias_of_keras_convolution_starts_at_0():
    assert og_leaf.Conv1D(4, 5).bias.eq(0).all()


@pytest.mark.parametrize("strides", [1, 2, 3])
def test_keras_convolution_steps_by_its_stride(strides):
    # one tap of weight 1: every stride-th sample
    layer = og_leaf.Conv1D(1, 1, strides=strides, kernel_initializer=og_leaf.Constant(1.0))
    x = torch.arange(7.0)
    assert torch.equal(layer(x[None, None]).flatten(), x[::strides])


def test_a_leaky_rectifier_has_keras_slope():
    assert torch.equal(og_leaf.LeakyReLU()(torch.tensor([-1.0, 2.0])), torch.tensor([-0.3, 2.0]))


def test_masks_alone_are_drawn_by_default():
    # lingvo's defaults: a mask of up to 15 bins, one of up to 50 frames, no warp
    own = vars(og_leaf.spectrum_augmenter.SpectrumAugmenter())
    assert list(own.values()) == [15, 1, 50, 1, 1, 0, 0]
