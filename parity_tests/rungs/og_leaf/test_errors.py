"""Wrong input to rung 1 is answered by an error that names the argument, its value and what is allowed."""

from __future__ import annotations

import pytest
import torch

import og_leaf
from parity_tests.helpers.refusals import refused


@pytest.fixture(scope="module")
def frontend():
    return og_leaf.Leaf(n_filters=2, sample_rate=2000)


@pytest.mark.parametrize(("audio", "error", "named"), [
    (torch.zeros(2, 0), ValueError, ("inputs", "(2, 0)", "at least 1")),
    (torch.zeros(2, 1, 0), ValueError, ("inputs", "(2, 1, 0)", "at least 1")),
    (torch.zeros(2, 9, dtype=torch.int16), TypeError, ("inputs", "torch.int16", "torch.float32")),
    (torch.zeros(2, 9, dtype=torch.complex64), TypeError, ("inputs", "torch.complex64", "torch.float32")),
    (torch.zeros(2, 9, dtype=torch.float64), TypeError, ("inputs", "torch.float64", "torch.float32")),
    (torch.zeros(9), ValueError, ("inputs", "(9,)", "[batch, samples]")),
    (torch.zeros(2, 1, 9, 1), ValueError, ("inputs", "(2, 1, 9, 1)", "[batch, samples]")),
    (torch.zeros(2, 2, 9), ValueError, ("inputs", "(2, 2, 9)", "2 channels", "must be 1")),
], ids=["empty", "empty rank 3", "integer", "complex", "float64", "rank 1", "rank 4", "two channels"])  # fmt: skip
def test_audio(frontend, audio, error, named):
    refused(lambda: frontend(audio), error, *named)


@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"n_filters": 0}, ValueError, "from 1 to 2048"),
    ({"n_filters": -3}, ValueError, "from 1 to 2048"),
    ({"n_filters": 2.5}, TypeError, "an integer"),
    ({"n_filters": True}, TypeError, "an integer"),
    ({"n_filters": "4"}, TypeError, "an integer"),
    ({"sample_rate": 0}, ValueError, "above 0"),
    ({"sample_rate": float("nan")}, ValueError, "finite"),
    ({"sample_rate": "16k"}, TypeError, "number"),
    ({"window_len": 0.01}, ValueError, "0.0625 to 65536 milliseconds"),
    ({"window_len": -25.0}, ValueError, "above 0"),
    ({"window_stride": 0.01}, ValueError, "0.0625 to 65536 milliseconds"),
    ({"window_stride": 0}, ValueError, "above 0"),
    ({"compression_fn": "mp3"}, ValueError, "'pcen'"),
    ({"compression_fn": 3}, TypeError, "callable"),
    ({"dtype": torch.float16}, ValueError, "torch.float32 or torch.float64"),
], ids=str)  # fmt: skip
def test_frontend(arguments, error, allowed):
    ((name, value),) = arguments.items()
    refused(lambda: og_leaf.Leaf(**arguments), error, name, repr(value), allowed)


@pytest.mark.parametrize("build", [og_leaf.GaborInit, og_leaf.Gabor], ids=["GaborInit", "Gabor"])
@pytest.mark.parametrize(("arguments", "allowed"), [
    ({"max_freq": 8001.0}, "8000"),
    ({"min_freq": 7000.0, "max_freq": 7000.0}, "below max_freq=7000.0"),
    ({"min_freq": 7800.0, "max_freq": 60.0}, "below max_freq=60.0"),
    ({"min_freq": -1.0}, "number of Hz, at least 0"),
    ({"min_freq": float("nan")}, "number of Hz, at least 0"),
    ({"sample_rate": -16000}, "above 0"),
], ids=str)  # fmt: skip
def test_band(build, arguments, allowed):
    name, value = next(iter(arguments.items()))
    refused(lambda: build(**arguments), ValueError, f"{name}={value!r}", allowed)


@pytest.mark.parametrize(("build", "error", "named"), [
    (lambda: og_leaf.GaborConv1D(4, 5, padding="mirror"), ValueError, ("padding='mirror'", "'SAME'", "'VALID'")),
    (lambda: og_leaf.GaussianLowpass(2, 5, padding=None), TypeError, ("padding=None", "'SAME'", "'VALID'")),
    (lambda: og_leaf.GaborConv1D(1, 5), ValueError, ("filters", "an integer from ")),
    (lambda: og_leaf.GaborConv1D(4, 0), ValueError, ("kernel_size=0", "an integer from ")),
    (lambda: og_leaf.GaborConv1D(4, 5, strides=1.5), TypeError, ("strides=1.5", "an integer")),
    (lambda: og_leaf.GaussianLowpass(0, 5), ValueError, ("num_channels=0", "an integer from ")),
    (lambda: og_leaf.PCENLayer(2.0), TypeError, ("num_channels=2.0", "an integer")),
    (lambda: og_leaf.Gabor(n_filters=0), ValueError, ("n_filters=0", "an integer from ")),
    (lambda: og_leaf.GaborInit()((3, 1)), ValueError, ("shape=(3, 1)", "(filters, 2)")),
    (lambda: og_leaf.PreempInit()((2, 1, 1)), ValueError, ("shape=(2, 1, 1)", "(1, 1, 2)")),
    (lambda: og_leaf.Leaf(n_filters=2, compression_fn=og_leaf.PCENLayer(3)), ValueError,
     ("compression_fn", "num_channels=3", "n_filters=2")),
    (lambda: og_leaf.Leaf(n_filters=2, compression_fn=og_leaf.PCENLayer(2, dtype=torch.float64)), ValueError,
     ("compression_fn", "torch.float64", "torch.float32")),
])  # fmt: skip
def test_layers(build, error, named):
    refused(build, error, *named)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_of_the_audio_are_never_checked(frontend, value):
    audio = torch.zeros(1, 200)
    audio[0, 50] = value
    assert not torch.isfinite(frontend(audio)).all()
