"""The quirks of the original that a one-to-one port keeps, on rungs 0 and 1."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest
import torch

from parity.criteria import Exactly, OfMax
from parity_tests.helpers.divergent import noise
from parity_tests.helpers.rungs import one

BOTH = pytest.mark.parametrize("rung", [one("tf_leaf"), one("og_leaf")])
SAME = Exactly("a choice of what to compute, not a rounding")
ROUNDED = OfMax(2.0**-20, "a handful of float32 products and a sum, each 2^-24")
PREEMPHASIS = 0.97
IN_PYTORCH = {3: (0, 2, 1), 2: (1, 0)}  # axes, in PyTorch's order, of audio [B, T, C] and of edges [1, filters]


def public(rung, name):
    return getattr(importlib.import_module(rung), name)


def layer(rung, name, n_channels=0, **arguments):
    """A layer of the rung; one of PyTorch is told its number of channels, if it takes it."""
    made = public(rung, name)
    if n_channels and "num_channels" in inspect.signature(made).parameters:
        arguments["num_channels"] = n_channels
    built = made(**arguments)
    if n_channels and rung == "tf_leaf":
        built.build((None, None, n_channels))
    return built


def tensor(rung, array):
    """An array in the original's layout, as the rung takes it."""
    array = np.float32(array)
    return array if rung == "tf_leaf" else torch.tensor(array.transpose(IN_PYTORCH[array.ndim]))


def values(rung, made):
    """The array of a rung, in the original's layout."""
    array = made.numpy() if rung == "tf_leaf" else made.detach().numpy()
    return array.transpose(IN_PYTORCH[3]) if rung != "tf_leaf" and array.ndim == 3 else array


def weights(rung, module):
    """Every weight of a layer, by name."""
    held = [(w.name, w) for w in module.weights] if rung == "tf_leaf" else module.state_dict().items()
    return {name: np.asarray(weight) for name, weight in held}


def learned(rung, module):
    """The weights that a layer learns."""
    return module.trainable_weights if rung == "tf_leaf" else [p for p in module.parameters() if p.requires_grad]


@BOTH
def test_fixed_rate_initialiser(rung):
    kernels = [layer(rung, "Leaf", n_filters=8, sample_rate=rate)._complex_conv._kernel for rate in (16000, 8000)]
    assert SAME(*(values(rung, kernel) for kernel in kernels)).passes


@BOTH
def test_preemphasis_looks_ahead(rung):
    x, frontend = noise(50), layer(rung, "Leaf", n_filters=2, preemp=True)
    if rung == "tf_leaf":
        heard = frontend._preemp_conv(x[:, :, None])
    else:
        found = []
        frontend._complex_conv.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
        frontend(torch.tensor(x))
        (heard,) = found
    # y[n] = x[n + 1] - a x[n], the sample after the last one 0
    assert ROUNDED(values(rung, heard)[0, :, 0], np.append(x[0, 1:], 0.0) - PREEMPHASIS * x[0]).passes
    start = layer(rung, "PreempInit")
    assert SAME([start.get_config()["alpha"] if rung == "tf_leaf" else start.alpha], [PREEMPHASIS]).passes


@BOTH
def test_hann_starts_early(rung):
    kinds, hann = public(rung, "WindowType"), np.hanning(25)
    window = public(rung, "window")
    # a symmetric window, a sample late; and one that would be symmetric with one more sample
    assert ROUNDED(window(kinds.HANNING, 25), np.concatenate([hann[1:2], hann[:-1]])).passes
    assert ROUNDED(window(kinds.HAMMING, 25), np.hamming(26)[:-1]).passes


@BOTH
def test_sinc_filters_of_even_size(rung):
    edges = (tensor(rung, [[hertz]]) for hertz in (100.0, 900.0))
    assert 25 in public(rung, "sinc_filters")(*edges, size=24).shape
    with pytest.raises(Exception, match="24"):
        layer(rung, "SincConv1D", filters=4, kernel_size=24)(tensor(rung, noise(100)[:, :, None]))


@BOTH
def test_sincnet_knows_one_rate(rung):
    at = [layer(rung, "SincNet", n_filters=4, sample_rate=rate, window_len=25.0 * 16000 / rate)
          for rate in (16000, 8000)]  # fmt: skip
    held, other = (weights(rung, module) for module in at)
    assert held
    assert all(SAME(other[name], weight).passes for name, weight in held.items())
    x = tensor(rung, noise(500)[:, :, None])
    assert SAME(*(values(rung, module._complex_conv(x)) for module in at)).passes


@BOTH
def test_tdfbanks_keeps_its_rate(rung):
    with pytest.raises(ValueError, match="401"):
        layer(rung, "TimeDomainFilterbanks", sample_rate=22050)


@BOTH
def test_learnable_pooling_is_valid(rung):
    pooling = layer(rung, "LearnablePooling1D", 2, kernel_size=25, strides=10, padding="same")
    x = noise(120).reshape(1, 60, 2)
    assert values(rung, pooling(tensor(rung, x))).shape[1] == (60 - 25) // 10 + 1
    with pytest.raises(ValueError, match="25"):
        pooling(tensor(rung, x[:, :24]))


@pytest.mark.parametrize("name", ["LearnablePooling1D", "ChannelWiseLearnablePooling1D", "GaussianLowpass"])
@BOTH
def test_poolings_have_no_bias(rung, name):
    assert list(weights(rung, layer(rung, name, 2, kernel_size=25, use_bias=True))) == ["kernel"]


@BOTH
def test_fft_convolution_wraps(rung):
    x, taps = noise(50)[0], noise(9)[0][::-1].copy()
    kernel = taps[:, None, None] if rung == "tf_leaf" else torch.tensor(taps)[None, None]
    found, _ = public(rung, "fft_conv1d")(tensor(rung, x[None, :, None]), kernel)
    # circular correlation on the next power of two, a sample away from SAME's
    padded = np.append(x, np.zeros(14)).astype(float)
    correlated = [sum(taps[k].astype(float) * padded[(n + k) % 64] for k in range(9)) for n in range(64)]
    assert ROUNDED(values(rung, found)[0, :, 0], np.roll(correlated, 9 // 2 - 1)[:50]).passes


@BOTH
def test_limits_have_a_gradient(rung):
    arguments = {"alpha": 1.0, "root": 1.0, "delta": 2.0, "floor": 1.0, "smooth_coef": 0.0}
    pcen = layer(rung, "PCENLayer", 1, **arguments, learn_smooth_coef=True, trainable=True)
    x = tensor(rung, [[[1.0], [4.0]]])
    # a smoother that stays at 1, and a floor of 1: y = (x / 2^alpha + 2)^(1 / root) - 2^(1 / root), at x = 4
    if rung == "tf_leaf":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            y = pcen(x)[0, 1, 0]
        alpha, root = tape.gradient(y, [pcen.alpha.value, pcen.root.value])
    else:
        alpha, root = torch.autograd.grad(pcen(x)[0, 0, 1], [pcen.alpha, pcen.root])
    assert ROUNDED(alpha.numpy(), np.array([-2.0 * np.log(2.0)])).passes
    # y = (2 + 2)^(1 / root) - 2^(1 / root): its slope at root 1 is -(4 log 4 - 2 log 2)
    assert ROUNDED(root.numpy(), np.array([-(4 * np.log(4.0) - 2 * np.log(2.0))])).passes


@BOTH
def test_untrained_pcen_freezes_its_smoother(rung):
    # Keras freezes the layers inside a frozen one
    pcen = layer(rung, "PCENLayer", 3, trainable=False, learn_smooth_coef=True)
    assert weights(rung, pcen)
    assert learned(rung, pcen) == []


@BOTH
def test_spec_augment_never_draws_its_maximum(rung):
    if rung == "tf_leaf":
        import tensorflow as tf

        generator = tf.random.Generator.from_seed(0)
    else:
        generator = torch.Generator().manual_seed(0)
    made = importlib.import_module(f"{rung}.spectrum_augmenter").SpectrumAugmenter
    augmenter = made(freq_mask_max_bins=5, time_mask_max_frames=7)
    record = augmenter.draw(2000, 100, 40, generator)
    assert set(np.unique(record["freq_length"])) == set(range(5))
    assert set(np.unique(record["time_length"])) == set(range(7))
    # a clip of 3 frames: lengths of 3 to 6 are all cut to 3, so that 4 in 7 clips are masked whole
    short = augmenter.draw(2000, 3, 40, generator)["time_length"]
    assert set(np.unique(short)) == set(range(4))
    assert np.mean(short == 3) > np.mean(short == 2)
