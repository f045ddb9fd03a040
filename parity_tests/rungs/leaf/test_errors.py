"""Wrong input to rung 2 is answered by an error that names the argument, its value and what is allowed."""

from __future__ import annotations

import pytest
import torch

import leaf
from parity_tests.helpers.refusals import refused


@pytest.fixture(scope="module", params=["centered", "same"])
def frontend(request):
    return leaf.Leaf(n_filters=2, max_freq=900.0, sample_rate=2000, padding=request.param)


@pytest.mark.parametrize(("audio", "error", "named"), [
    (torch.zeros(2, 0), ValueError, ("x of shape (2, 0)", "at least one sample")),
    (torch.zeros(2, 1, 0), ValueError, ("x of shape (2, 1, 0)", "at least one sample")),
    (torch.zeros(2, 9, dtype=torch.int16), TypeError, ("x of dtype torch.int16", "torch.float32")),
    (torch.zeros(2, 9, dtype=torch.complex64), TypeError, ("x of dtype torch.complex64", "torch.float32")),
    (torch.zeros(2, 9, dtype=torch.float64), TypeError, ("x of dtype torch.float64", "torch.float32")),
    (torch.zeros(9), ValueError, ("x of shape (9,)", "[batch, samples]")),
    (torch.zeros(2, 1, 9, 1), ValueError, ("x of shape (2, 1, 9, 1)", "[batch, samples]")),
    (torch.zeros(2, 2, 9), ValueError, ("x of shape (2, 2, 9)", "2 channels", "[batch, 1, samples]")),
    ([[0.0, 1.0]], TypeError, ("x=[[0.0, 1.0]]", "torch.Tensor")),
], ids=["empty", "empty rank 3", "integer", "complex", "float64", "rank 1", "rank 4", "stereo", "list"])  # fmt: skip
def test_audio(frontend, audio, error, named):
    refused(lambda: frontend(audio), error, *named)


@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"n_filters": 0}, ValueError, "an integer from 1 to"),
    ({"n_filters": -3}, ValueError, "an integer from 1 to"),
    ({"n_filters": 2.5}, TypeError, "an integer from 1 to"),
    ({"n_filters": True}, TypeError, "an integer from 1 to"),
    ({"n_filters": "4"}, TypeError, "an integer from 1 to"),
    ({"max_freq": 8001.0}, ValueError, "sample_rate / 2 = 8000"),
    ({"min_freq": 7800.0}, ValueError, "below max_freq=7800.0"),
    ({"min_freq": 9000.0}, ValueError, "below max_freq=7800.0"),
    ({"min_freq": -1.0}, ValueError, "at least 0"),
    ({"min_freq": float("nan")}, ValueError, "finite"),
    ({"max_freq": "high"}, TypeError, "finite number"),
    ({"sample_rate": 0}, ValueError, "above 0"),
    ({"window_len": 0.05}, ValueError, "0.0625 to 65536 milliseconds"),
    ({"window_len": -25.0}, ValueError, "above 0"),
    ({"window_stride": 0.05}, ValueError, "0.0625 to 65536 milliseconds"),
    ({"window_stride": float("inf")}, ValueError, "finite"),
    ({"compression": "mp3"}, TypeError, "a module"),
    ({"compression": torch.nn.ReLU}, TypeError, "a module"),
    ({"padding": "valid"}, ValueError, "'centered', 'same'"),
], ids=str)  # fmt: skip
def test_frontend(arguments, error, allowed):
    ((name, value),) = arguments.items()
    refused(lambda: leaf.Leaf(**arguments), error, f"{name}={value!r}", allowed)


@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"filter_size": 0}, ValueError, "from 1 to"),
    ({"pool_size": -1}, ValueError, "from 1 to"),
    ({"pool_stride": 0}, ValueError, "from 1 to"),
    ({"pool_stride": 1.0}, TypeError, "an integer"),
    ({"pool_init": float("nan")}, ValueError, "finite"),
    ({"padding": "SAME"}, ValueError, "'centered', 'same'"),
], ids=str)  # fmt: skip
def test_filterbank(arguments, error, allowed):
    sizes = {"filter_size": 9, "pool_size": 9, "pool_stride": 4}
    ((name, value),) = arguments.items()
    call = lambda: leaf.GaborFilterbank(2, 60.0, 900.0, 2000, **{**sizes, **arguments})  # noqa: E731
    refused(call, error, f"{name}={value!r}", allowed)


@pytest.mark.parametrize("learn_logs", [True, False])
@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"num_bands": 0}, ValueError, "from 1 to"),
    ({"num_bands": 1.5}, TypeError, "an integer"),
    ({"r": 0.0}, ValueError, "above 0"),
    ({"r": -0.5}, ValueError, "above 0"),
    ({"s": float("nan")}, ValueError, "finite"),
    ({"alpha": float("inf")}, ValueError, "finite"),
    ({"delta": "two"}, TypeError, "finite number"),
    ({"eps": -1e-6}, ValueError, "at least 0"),
    ({"clamp": float("nan")}, ValueError, "finite"),
], ids=str)  # fmt: skip
def test_pcen(arguments, learn_logs, error, allowed):
    ((name, value),) = arguments.items()
    call = lambda: leaf.PCEN(**{"num_bands": 2, "learn_logs": learn_logs, **arguments})  # noqa: E731
    refused(call, error, f"{name}={value!r}", allowed)


@pytest.mark.parametrize("name", ["s", "alpha", "delta"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_pcen_has_no_logarithm_of(name, value):
    refused(lambda: leaf.PCEN(2, **{name: value}), ValueError, f"{name}={value!r}", "above 0")
    leaf.PCEN(2, learn_logs=False, **{name: value})


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
def test_pcen_energies(energies, error, named):
    refused(lambda: leaf.PCEN(2)(energies), error, *named)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_of_the_audio_are_never_checked(frontend, value):
    audio = torch.zeros(1, 200)
    audio[0, 50] = value
    assert not torch.isfinite(frontend(audio)).all()
