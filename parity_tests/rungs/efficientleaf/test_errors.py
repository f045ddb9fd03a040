"""Wrong input to rung 3 is answered by an error that names the argument, its value and what is allowed."""

from __future__ import annotations

import pytest
import torch

import efficientleaf
from efficientleaf import EfficientLeaf, GroupedGaborFilterbank
from parity_tests.helpers.refusals import refused


@pytest.fixture(scope="module", params=["train", "eval"])
def frontend(request):
    module = EfficientLeaf(n_filters=2, num_groups=2, max_freq=900.0, sample_rate=2000, compression="pcen")
    return module.train(request.param == "train")


@pytest.mark.parametrize(("audio", "error", "named"), [
    (torch.zeros(2, 0), ValueError, ("x of shape (2, 0)", "at least one sample")),
    (torch.zeros(2, 9, dtype=torch.int16), TypeError, ("x of dtype torch.int16", "torch.float32")),
    (torch.zeros(2, 9, dtype=torch.complex64), TypeError, ("x of dtype torch.complex64", "torch.float32")),
    (torch.zeros(2, 9, dtype=torch.float64), TypeError, ("x of dtype torch.float64", "torch.float32")),
    (torch.zeros(9), ValueError, ("x of shape (9,)", "[batch, samples]")),
    (torch.zeros(2, 1, 9, 1), ValueError, ("x of shape (2, 1, 9, 1)", "[batch, samples]")),
    (torch.zeros(2, 2, 9), ValueError, ("x of shape (2, 2, 9)", "2 channels", "[batch, 1, samples]")),
], ids=["empty", "integer", "complex", "float64", "rank 1", "rank 4", "two channels"])  # fmt: skip
def test_audio(frontend, audio, error, named):
    refused(lambda: frontend(audio), error, *named)


@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"n_filters": 0}, ValueError, "an integer from 1 to"),
    ({"n_filters": 2.5}, TypeError, "an integer from 1 to"),
    ({"n_filters": True}, TypeError, "an integer from 1 to"),
    ({"num_groups": 0}, ValueError, "from 1 to 40"),
    ({"num_groups": 41}, ValueError, "from 1 to 40"),
    ({"num_groups": 2.0}, TypeError, "from 1 to 40"),
    ({"max_freq": 8001.0}, ValueError, "sample_rate / 2 = 8000"),
    ({"min_freq": 7800.0}, ValueError, "below max_freq=7800.0"),
    ({"min_freq": -1.0}, ValueError, "at least 0"),
    ({"sample_rate": 0}, ValueError, "above 0"),
    ({"window_len": 0.05}, ValueError, "0.0625 to 65536 milliseconds"),
    ({"window_stride": 0.05}, ValueError, "0.0625 to 65536 milliseconds"),
    ({"conv_win_factor": 0.0}, ValueError, "above 0"),
    ({"conv_win_factor": float("inf")}, ValueError, "finite"),
    ({"stride_factor": -1.0}, ValueError, "above 0"),
    ({"stride_factor": float("nan")}, ValueError, "finite"),
    ({"stride_factor": "1"}, TypeError, "finite number"),
    ({"compression": "mp3"}, ValueError, "'logtbn', 'pcen' or a module"),
    ({"compression": None}, TypeError, "'logtbn', 'pcen' or a module"),
    ({"exact": "gain"}, ValueError, "a collection of 'kernel', 'rate', 'gain', 'width', 'span', 'sigma'"),
    ({"exact": ("gain", "phase")}, ValueError, "a collection of 'kernel', 'rate', 'gain', 'width', 'span', 'sigma'"),
], ids=str)  # fmt: skip
def test_frontend(arguments, error, allowed):
    ((name, value),) = arguments.items()
    refused(lambda: EfficientLeaf(**arguments), error, f"{name}={value!r}", allowed)


def test_more_groups_than_filters():
    refused(lambda: EfficientLeaf(n_filters=3), ValueError, "num_groups=4", "from 1 to 3")


@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"pool_size": 0}, ValueError, "from 1 to"),
    ({"pool_stride": 0}, ValueError, "from 1 to"),
    ({"pool_stride": 2.0}, TypeError, "an integer"),
    ({"pool_init": float("nan")}, ValueError, "finite"),
], ids=str)  # fmt: skip
def test_filterbank(arguments, error, allowed):
    ((name, value),) = arguments.items()
    sizes = {"pool_size": 9, "pool_stride": 4, **arguments}
    refused(lambda: GroupedGaborFilterbank(2, 1, 60.0, 900.0, 2000, **sizes), error, f"{name}={value!r}", allowed)


@pytest.mark.parametrize(("build", "error", "named"), [
    (lambda: efficientleaf.Log1p(a=float("nan")), ValueError, ("a=nan", "finite")),
    (lambda: efficientleaf.Log1p(a="5"), TypeError, ("a='5'", "finite")),
    (lambda: efficientleaf.Log1p(trainable=True, per_band=True), TypeError, ("num_bands=None", "an integer from 1 to")),
    (lambda: efficientleaf.TemporalBatchNorm(0), ValueError, ("num_bands=0", "an integer from 1 to")),
    (lambda: efficientleaf.TemporalBatchNorm(2, per_channel=True),
     TypeError, ("num_channels=None", "integer from 1 to")),
    (lambda: efficientleaf.LogTBN(1.5), TypeError, ("num_bands=1.5", "an integer from 1 to")),
])  # fmt: skip
def test_compression(build, error, named):
    refused(build, error, *named)


def test_refused_audio_leaves_the_parameters_alone():
    bank = EfficientLeaf(n_filters=2, num_groups=1).filterbank.train()
    bank.bandwidths.data[0] = 1_000_000
    refused(lambda: bank(torch.zeros(2, 2, 9)), ValueError, "2 channels")
    assert bank.bandwidths[0] == 1_000_000


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_of_the_audio_are_never_checked(frontend, value):
    audio = torch.zeros(1, 200)
    audio[0, 50] = value
    assert not torch.isfinite(frontend(audio)).all()
