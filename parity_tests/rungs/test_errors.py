"""Wrong input to a rung is answered by an error that names the argument, its value and what is allowed."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch

import efficientleaf
import leaf
from parity_tests.helpers.refusals import refused
from parity_tests.helpers.rungs import EVERY, RUNGS, one

ORIGINALS, PUBLISHED = RUNGS[:2], RUNGS[2:]  # whose arguments are the original's, and simplified LEAF's
RATE = {"n_filters": 2, "sample_rate": 2000}
BAND = {**RATE, "max_freq": 900.0}
GROUPS = {**BAND, "num_groups": 2, "compression": "pcen"}
NAN, INFINITE = math.nan, math.inf


def public(rung, name="Leaf"):
    """A public name of a rung, whose front end is called ``Leaf`` here."""
    return getattr(importlib.import_module(rung), "EfficientLeaf" if (rung, name) == (RUNGS[3], "Leaf") else name)


def frontends(rung):
    """Small ones, in every form that takes audio another way."""
    if rung == "leaf":
        return [leaf.Leaf(**BAND, padding=padding) for padding in ("centered", "same")]
    if rung == "efficientleaf":
        return [efficientleaf.EfficientLeaf(**GROUPS).train(training) for training in (True, False)]
    return [public(rung)(**RATE)]


def tensor(rung, array):
    """Audio as the rung takes it, [B, 1, T] being [B, T, 1] in TensorFlow."""
    if rung != "tf_leaf":
        return torch.from_numpy(array)
    import tensorflow as tf

    return tf.constant(np.moveaxis(array, 1, 2) if array.ndim > 2 else array)


AUDIO = {  # shape, dtype, error, and what rungs 0 and 1, or 2 and 3, say of it
    "empty": ((2, 0), "float32", ValueError, "at least 1", "at least one sample"),
    "empty rank 3": ((2, 1, 0), "float32", ValueError, "at least 1", "at least one sample"),
    "integer": ((2, 9), "int16", TypeError, "float32", "torch.float32"),
    "complex": ((2, 9), "complex64", TypeError, "float32", "torch.float32"),
    "float64": ((2, 9), "float64", TypeError, "float32", "torch.float32"),
    "rank 1": ((9,), "float32", ValueError, "[batch, samples]", "[batch, samples]"),
    "rank 4": ((2, 1, 9, 1), "float32", ValueError, "[batch, samples]", "[batch, samples]"),
    "stereo": ((2, 2, 9), "float32", ValueError, "must be 1", "must be [batch, samples] or [batch, 1, samples]"),
}


# Keras casts float64
@pytest.mark.parametrize(("rung", "kind"), [
    one(rung, kind, id=f"{rung}-{kind}") for rung in RUNGS for kind in AUDIO if (rung, kind) != ("tf_leaf", "float64")
])  # fmt: skip
def test_audio(rung, kind):
    shape, dtype, error, *said = AUDIO[kind]
    audio, is_published = tensor(rung, np.zeros(shape, dtype)), rung in PUBLISHED
    of = f"x of {'shape' if error is ValueError else 'dtype'} " if is_published else "inputs"
    found = str(tuple(audio.shape)) if error is ValueError else dtype
    for frontend in frontends(rung):
        refused(lambda frontend=frontend: frontend(audio), error, of, found, said[is_published],
                "2 channels" if kind == "stereo" else "")  # fmt: skip


@pytest.mark.parametrize("value", [NAN, INFINITE])
@pytest.mark.parametrize("rung", EVERY)
def test_values_of_the_audio_are_never_checked(rung, value):
    audio = np.zeros((1, 200), np.float32)
    audio[0, 50] = value
    for frontend in frontends(rung):
        y = frontend(tensor(rung, audio))
        assert not np.isfinite(y.numpy() if rung == "tf_leaf" else y.detach().numpy()).all()


def rows(rungs, *table, name="Leaf", base=None):
    """Parameters of a test of refused arguments: rung, public name, what is given beside, argument, error, allowed."""
    return [one(rung, name, base or {}, arguments, error, allowed, id=f"{rung}-{name}-{arguments}")
            for rung in rungs for arguments, error, allowed in table]  # fmt: skip


@pytest.mark.parametrize(("rung", "name", "base", "arguments", "error", "allowed"), [
    *rows(
        RUNGS,
        *(({"n_filters": n}, ValueError, "from 1 to") for n in (0, -3)),
        *(({"n_filters": n}, TypeError, "an integer") for n in (2.5, True, "4")),
        ({"sample_rate": 0}, ValueError, "above 0"),
        ({"sample_rate": NAN}, ValueError, "finite"),
        ({"sample_rate": "16k"}, TypeError, "number"),
        ({"window_len": 0.05}, ValueError, "0.0625 to 65536 milliseconds"),
        ({"window_len": -25.0}, ValueError, "above 0"),
        ({"window_stride": 0.05}, ValueError, "0.0625 to 65536 milliseconds"),
        ({"window_stride": 0}, ValueError, "above 0"),
        ({"window_stride": INFINITE}, ValueError, "finite"),
    ),
    *rows(
        ORIGINALS, ({"compression_fn": "mp3"}, ValueError, "'pcen'"), ({"compression_fn": 3}, TypeError, "callable"),
    ),
    *rows(["tf_leaf"], *(({"dtype": name}, ValueError, "'float32'") for name in ("float16", "mixed_float16"))),
    *rows(["og_leaf"], ({"dtype": torch.float16}, ValueError, "torch.float32 or torch.float64")),
    *rows(
        PUBLISHED,
        ({"max_freq": 8001.0}, ValueError, "sample_rate / 2 = 8000"),
        ({"min_freq": 7800.0}, ValueError, "below max_freq=7800.0"),
        ({"min_freq": 9000.0}, ValueError, "below max_freq=7800.0"),
        ({"min_freq": -1.0}, ValueError, "at least 0"),
        ({"min_freq": NAN}, ValueError, "finite"),
        ({"max_freq": "high"}, TypeError, "finite number"),
    ),
    *rows(
        ["leaf"], *(({"compression": c}, TypeError, "a module") for c in ("mp3", torch.nn.ReLU)),
        ({"padding": "valid"}, ValueError, "'centered', 'same'"),
    ),
    *rows(
        ["efficientleaf"],
        ({"num_groups": 0}, ValueError, "from 1 to 40"),
        ({"num_groups": 41}, ValueError, "from 1 to 40"),
        ({"num_groups": 2.0}, TypeError, "from 1 to 40"),
        ({"conv_win_factor": 0.0}, ValueError, "above 0"),
        ({"conv_win_factor": INFINITE}, ValueError, "finite"),
        ({"stride_factor": -1.0}, ValueError, "above 0"),
        ({"stride_factor": NAN}, ValueError, "finite"),
        ({"stride_factor": "1"}, TypeError, "finite number"),
        ({"compression": "mp3"}, ValueError, "'logtbn', 'pcen' or a module"),
        ({"compression": None}, TypeError, "'logtbn', 'pcen' or a module"),
        *(({"exact": e}, ValueError, "a collection of 'kernel', 'rate', 'gain', 'width', 'span', 'sigma'")
          for e in ("gain", ("gain", "phase"))),
    ),
    *(row for name in ("GaborInit", "Gabor") for row in rows(
        ORIGINALS,
        ({"max_freq": 8001.0}, ValueError, "8000"),
        ({"min_freq": 7000.0, "max_freq": 7000.0}, ValueError, "below max_freq=7000.0"),
        ({"min_freq": 7800.0, "max_freq": 60.0}, ValueError, "below max_freq=60.0"),
        ({"min_freq": -1.0}, ValueError, "number of Hz, at least 0"),
        ({"min_freq": NAN}, ValueError, "number of Hz, at least 0"),
        ({"sample_rate": -16000}, ValueError, "above 0"),
        name=name,
    )),
    *(row for rung, name, own in (("leaf", "GaborFilterbank", {"filter_size": 9}),
                                  ("efficientleaf", "GroupedGaborFilterbank", {"num_groups": 1})) for row in rows(
        [rung],
        ({"pool_size": 0}, ValueError, "from 1 to"),
        ({"pool_size": -1}, ValueError, "from 1 to"),
        ({"pool_stride": 0}, ValueError, "from 1 to"),
        ({"pool_stride": 1.0}, TypeError, "an integer"),
        ({"pool_init": NAN}, ValueError, "finite"),
        *([({"filter_size": 0}, ValueError, "from 1 to"), ({"padding": "SAME"}, ValueError, "'centered', 'same'")]
          if rung == "leaf" else []),
        name=name, base={**BAND, "min_freq": 60.0, "pool_size": 9, "pool_stride": 4, **own},
    )),
    *(row for learn_logs in (True, False) for row in rows(
        ["leaf"],
        ({"num_bands": 0}, ValueError, "from 1 to"),
        ({"num_bands": 1.5}, TypeError, "an integer"),
        ({"r": 0.0}, ValueError, "above 0"),
        ({"r": -0.5}, ValueError, "above 0"),
        ({"s": NAN}, ValueError, "finite"),
        ({"alpha": INFINITE}, ValueError, "finite"),
        ({"delta": "two"}, TypeError, "finite number"),
        ({"eps": -1e-6}, ValueError, "at least 0"),
        ({"clamp": NAN}, ValueError, "finite"),
        name="PCEN", base={"num_bands": 2, "learn_logs": learn_logs},
    )),
])  # fmt: skip
def test_arguments(rung, name, base, arguments, error, allowed):
    argument, value = next(iter(arguments.items()))
    refused(lambda: public(rung, name)(**{**base, **arguments}), error, f"{argument}={value!r}", allowed)


def layers(rungs, *table):
    return [one(rung, *row) for rung in rungs for row in table]


@pytest.mark.parametrize(("rung", "build", "error", "named"), [
    *layers(
        ORIGINALS,
        (lambda t: t.GaborConv1D(4, 5, padding="mirror"), ValueError, ("padding='mirror'", "'SAME'", "'VALID'")),
        (lambda t: t.GaborConv1D(1, 5), ValueError, ("filters", "an integer from ")),
        (lambda t: t.GaborConv1D(4, 0), ValueError, ("kernel_size=0", "an integer from ")),
        (lambda t: t.GaborConv1D(4, 5, strides=1.5), TypeError, ("strides=1.5", "an integer")),
        (lambda t: t.Gabor(n_filters=0), ValueError, ("n_filters=0", "an integer from ")),
        (lambda t: t.GaborInit()((3, 1)), ValueError, ("shape=(3, 1)", "(filters, 2)")),
    ),
    *layers(
        ["tf_leaf"],
        (lambda t: t.GaussianLowpass(5, padding=None), TypeError, ("padding=None", "'SAME'", "'VALID'")),
        (lambda t: t.PreempInit()((1, 1, 2)), ValueError, ("shape=(1, 1, 2)", "(2, 1, 1)")),
        (lambda t: t.Leaf(n_filters=2, compression_fn=t.PCENLayer(dtype="float64")), ValueError,
         ("compression_fn", "float64", "float32")),
    ),
    *layers(
        ["og_leaf"],
        (lambda t: t.GaussianLowpass(2, 5, padding=None), TypeError, ("padding=None", "'SAME'", "'VALID'")),
        (lambda t: t.GaussianLowpass(0, 5), ValueError, ("num_channels=0", "an integer from ")),
        (lambda t: t.PCENLayer(2.0), TypeError, ("num_channels=2.0", "an integer")),
        (lambda t: t.PreempInit()((2, 1, 1)), ValueError, ("shape=(2, 1, 1)", "(1, 1, 2)")),
        (lambda t: t.Leaf(n_filters=2, compression_fn=t.PCENLayer(3)), ValueError,
         ("compression_fn", "num_channels=3", "n_filters=2")),
        (lambda t: t.Leaf(n_filters=2, compression_fn=t.PCENLayer(2, dtype=torch.float64)), ValueError,
         ("compression_fn", "torch.float64", "torch.float32")),
    ),
    *layers(
        ["og_leaf"],
        (lambda t: t.Leaf(n_filters=2, compression_fn=t.LayerNormalization(3)), ValueError,
         ("compression_fn has num_channels=3: must be n_filters=2",)),
        (lambda t: t.fft_conv1d(torch.zeros(1, 1, 1), torch.zeros(1, 1, 3)), ValueError,
         ("inputs of shape ", "must have at least 2 samples")),
        (lambda t: t.fft_conv1d(torch.zeros(1, 1, 9), torch.zeros(1, 2, 3)), ValueError,
         ("filters of shape (1, 2, 3): must be [filters, 1, taps]",)),
        (lambda t: t.overlap_add_conv1d(torch.zeros(1, 1, 9), torch.zeros(1, 1, 9), fft_length=8), ValueError,
         ("fft_length=8: must be at least 2 and the filters' 9 taps",)),
        (lambda t: t.overlap_add_conv1d(torch.ones(1, 1, 1), torch.ones(1, 1, 1), fft_length=1), ValueError,
         ("fft_length=1", "from 2")),
        (lambda t: t.upper_power_of_2(0), ValueError, ("length=0: must be an integer from 1",)),
        (lambda t: t.SincConv1D(4, 24), ValueError, ("kernel_size=24: must be odd",)),
        *((lambda t, rate=rate: t.SincConv1D(8, 5, sample_rate=rate), ValueError, (f"sample_rate={rate!r}",))
          for rate in (0, -16000, NAN)),
        (lambda t: t.FFTConv1D(4, 25, padding="causal"), ValueError, ("padding='causal': must be 'same' or 'valid'",)),
        (lambda t: t.FFTConv1D(4, 25, num_channels=2), ValueError, ("num_channels=2: must be 1",)),
        (lambda t: t.LearnablePooling1D(2, 25)(torch.zeros(1, 2, 24)), ValueError,
         ("inputs of shape ", "must have at least the window's 25 samples")),
        (lambda t: t.amplitude(torch.zeros(2, 9), 0), TypeError, ("filters of dtype torch.float32: must be complex",)),
        (lambda t: t.window(t.WindowType.HANNING, 1), ValueError,
         ("tmax=1: must be at least 2 for window_type=HANNING",)),
        *((lambda t, of=of: t.window(of, 8), TypeError, (f"window_type={of!r}: must be one of", "SQUARED_HANNING"))
          for of in ("HANNING", 4, None)),
        (lambda t: t.MelFilterbanks(compression_fn=None), TypeError, ("compression_fn=None: must be a callable",)),
        (lambda t: t.LowpassInit()((2, 1, 9)), ValueError, ("shape=(2, 1, 9): must be (channels, 1, 401)",)),
    ),
    *layers(
        ["efficientleaf"],
        (lambda t: t.EfficientLeaf(n_filters=3), ValueError, ("num_groups=4", "from 1 to 3")),
        (lambda t: t.Log1p(a=NAN), ValueError, ("a=nan", "finite")),
        (lambda t: t.Log1p(a="5"), TypeError, ("a='5'", "finite")),
        (lambda t: t.Log1p(trainable=True, per_band=True), TypeError, ("num_bands=None", "an integer from 1 to")),
        (lambda t: t.TemporalBatchNorm(0), ValueError, ("num_bands=0", "an integer from 1 to")),
        (lambda t: t.TemporalBatchNorm(2, per_channel=True), TypeError, ("num_channels=None", "integer from 1 to")),
        (lambda t: t.LogTBN(1.5), TypeError, ("num_bands=1.5", "an integer from 1 to")),
    ),
])  # fmt: skip
def test_layers(rung, build, error, named):
    refused(lambda: build(importlib.import_module(rung)), error, *named)


@pytest.mark.tensorflow
@pytest.mark.tf_leaf
def test_compression_built_for_another_width():
    import tf_leaf

    pcen = tf_leaf.PCENLayer()
    tf_leaf.Leaf(n_filters=3, compression_fn=pcen)
    refused(lambda: tf_leaf.Leaf(n_filters=2, compression_fn=pcen), ValueError, "compression_fn", "3", "n_filters=2")


@pytest.mark.parametrize("name", ["s", "alpha", "delta"])
@pytest.mark.parametrize("value", [0.0, -1.0])
@pytest.mark.leaf
def test_pcen_has_no_logarithm_of(name, value):
    refused(lambda: leaf.PCEN(2, **{name: value}), ValueError, f"{name}={value!r}", "above 0")
    leaf.PCEN(2, learn_logs=False, **{name: value})


@pytest.mark.leaf
def test_pcen_as_published_has_no_logarithm_of_eps_0():
    refused(lambda: leaf.PCEN(2, eps=0, form="published"), ValueError, "eps=0")
    leaf.PCEN(2, eps=0)


@pytest.mark.parametrize(("energies", "error", "named"), [
    (torch.ones(1, 2, 3, dtype=torch.int32), TypeError, ("x of dtype torch.int32", "floating-point")),
    (torch.ones(1, 2, 3, dtype=torch.complex64), TypeError, ("x of dtype torch.complex64", "floating-point")),
    (torch.ones(1, 3, 3), ValueError, ("x of shape (1, 3, 3)", "2 bands")),
    (torch.ones(3), ValueError, ("x of shape (3,)", "2 bands")),
    (torch.ones(1, 2, 0), ValueError, ("x of shape (1, 2, 0)", "at least one frame")),
], ids=["integer", "complex", "bands", "rank 1", "no frames"])  # fmt: skip
@pytest.mark.leaf
def test_pcen_energies(energies, error, named):
    refused(lambda: leaf.PCEN(2)(energies), error, *named)


@pytest.mark.efficientleaf
def test_refused_audio_leaves_the_parameters_alone():
    bank = efficientleaf.EfficientLeaf(n_filters=2, num_groups=1).filterbank.train()
    bank.bandwidths.data[0] = 1_000_000
    refused(lambda: bank(torch.zeros(2, 2, 9)), ValueError, "2 channels")
    assert bank.bandwidths[0] == 1_000_000
