"""What ``forward`` is given: tensors that are none of audio, clips that are none, weights that are not numbers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import og_leaf
from efficientleaf import EfficientLeaf, LogTBN
from leaf import Leaf
from parity import convert
from parity.adapters.og_leaf import OgLeafAdapter
from parity.criteria import OfMax
from parity.oracle.config import SIMPLIFIED, LeafConfig
from parity.oracle.leaf import LeafOracle
from parity_tests.arguments.torch_subjects import OF_TORCH
from parity_tests.helpers.refusals import refused

RATE = {"sample_rate": 2000}
BAND = {**RATE, "min_freq": 60.0, "max_freq": 900.0}
FRONTENDS = {
    "og_leaf": lambda: og_leaf.Leaf(n_filters=4, **RATE),
    "og_leaf, all parts": lambda: og_leaf.Leaf(n_filters=4, preemp=True, mean_var_norm=True, spec_augment=True, **RATE),
    "mel": lambda: og_leaf.MelFilterbanks(n_filters=4, max_freq=900.0, **RATE),
    "sincnet": lambda: og_leaf.SincNet(n_filters=4),
    "sincnet+": lambda: og_leaf.SincNetPlus(n_filters=4),
    "leaf": lambda: Leaf(4, **BAND),
    "leaf, same": lambda: Leaf(4, **BAND, padding="same"),
    "efficientleaf": lambda: EfficientLeaf(4, 2, **BAND),
    "efficientleaf, pcen": lambda: EfficientLeaf(4, 2, **BAND, compression="pcen"),
    "efficientleaf, strided": lambda: EfficientLeaf(
        8, 2, compression="pcen", stride_factor=16, conv_win_factor=6, **BAND
    ),
}
REFUSED = {
    "None": None, "number": 3.0, "text": "audio", "list": [[0.0, 1.0]], "array": np.zeros((2, 90), np.float32),
    "dict": {"x": torch.zeros(2, 90)},
    **{name: OF_TORCH[name]() for name in (
        "tensor of no dimensions", "bool tensor of no dimensions", "integer tensor", "complex tensor", "float64 tensor",
        "half tensor", "tensor of five dimensions", "tensor without samples", "meta tensor", "sparse tensor",
        "nested tensor", "quantised tensor",
    )},
}  # fmt: skip


@pytest.fixture(scope="module", params=FRONTENDS)
def frontend(request):
    return FRONTENDS[request.param]()


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_audio_is_refused_by_name(frontend, kind):
    name = "inputs" if type(frontend).__module__.startswith("og_leaf") else "x"
    refused(lambda: frontend(REFUSED[kind]), (TypeError, ValueError), name, "must")


def test_views_and_gradients_are_audio(frontend):
    torch.manual_seed(0)
    x = torch.randn(90).requires_grad_()
    module = copy.deepcopy(frontend).eval()
    module(x.expand(2, 90)).sum().backward()
    assert bool(torch.isfinite(x.grad).all())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 90), (0, 1, 400)])
def test_no_clips(frontend, shape, training):
    module = copy.deepcopy(frontend).train(training)
    module.requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with torch.no_grad():
        wanted = copy.deepcopy(module)(torch.ones(2, *shape[1:])).shape
    x = torch.zeros(shape, requires_grad=True)
    y = module(x)
    assert y.shape == (0, *wanted[1:])
    y.sum().backward()
    assert x.grad.shape == shape
    assert not any(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
    after = module.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before if "num_batches" not in n)


@pytest.mark.parametrize("convolve", [lambda x, h: og_leaf.fft_conv1d(x, h)[0], og_leaf.overlap_add_conv1d])
def test_no_clips_in_the_fourier_domain(convolve):
    x, filters = torch.zeros(0, 1, 90, requires_grad=True), torch.ones(3, 1, 9, requires_grad=True)
    y = convolve(x, filters)
    assert y.shape == (0, 3, 90)
    y.sum().backward()
    assert x.grad.shape == (0, 1, 90)
    assert not filters.grad.any()


def test_no_clips_leave_statistics_alone():
    layer = LogTBN(3)
    layer(torch.rand(2, 3, 5))
    mean, variance = layer.TBN.bn.running_mean.clone(), layer.TBN.bn.running_var.clone()
    assert layer(torch.rand(0, 3, 5)).shape == (0, 3, 5)
    assert torch.equal(layer.TBN.bn.running_mean, mean)
    assert torch.equal(layer.TBN.bn.running_var, variance)


@pytest.mark.parametrize("every", [False, True], ids=["one", "all"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["center_freqs", "bandwidths", "pooling_widths"])
@pytest.mark.parametrize("kind", [n for n in FRONTENDS if "leaf" in n and not n.startswith("og")])
def test_diverged_weights_show_in_their_band(kind, name, value, every):
    module = FRONTENDS[kind]().eval()
    n_bands = module.filterbank.n_filters
    with torch.no_grad():
        getattr(module.filterbank, name)[slice(None) if every else n_bands - 1] = value
    y = module(torch.ones(1, 90)).reshape(-1, n_bands, 5)
    bands = slice(None) if every else slice(n_bands - 1, n_bands)
    if value == value:  # an infinite one is clamped
        assert bool(torch.isfinite(y).all())
    else:
        assert bool(y[:, bands].isnan().all())
        assert every or not y[:, : n_bands - 1].isnan().any()


@pytest.mark.parametrize("to", ["leaf", "efficientleaf", "og_leaf"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_diverged_weights_are_not_carried(to, value):
    module = Leaf(4, **BAND, padding="same" if to == "og_leaf" else "centered")
    with torch.no_grad():
        module.filterbank.bandwidths[1] = value
    refused(lambda: convert(module, to), ValueError, "'kernel'", "finite")


@pytest.mark.parametrize("to", ["leaf", "efficientleaf"])
@pytest.mark.parametrize("window", [2, 3])
def test_windows_whose_limits_cross_are_not_carried(window, to):
    module = og_leaf.Leaf(n_filters=4, sample_rate=1000, window_len=window - 1, window_stride=1)
    options = {} if to == "leaf" else {"padding": "centered"}
    refused(lambda: convert(module, to, **options), ValueError, "window_len", f"not {window}")


def given(window, n_filters=5):
    """A configuration of so many samples, and weights on both sides of every limit."""
    config = LeafConfig(n_filters=n_filters, sample_rate=1000, window_len=window - 1, window_stride=1)
    module = og_leaf.Leaf(n_filters=n_filters, sample_rate=1000, window_len=window - 1, window_stride=1)
    with torch.no_grad():
        module._complex_conv._kernel[:, 0] = torch.linspace(-0.5, 3.5, n_filters)
        module._complex_conv._kernel[:, 1] = torch.linspace(0.1, 4.0, n_filters)
        module._pooling.kernel[:, 0, 0, 0] = torch.linspace(0.05, 2.0, n_filters)
    return config, module, torch.randn(2, 40, generator=torch.Generator().manual_seed(window)) * 0.3


NEAR = OfMax(1e-5, "float32 against float64 over a window of a few samples and a smoother of 40 frames")


@pytest.mark.parametrize("window", range(2, 9))
def test_small_windows_of_the_original_and_of_simplified_leaf(window):
    config, module, x = given(window)
    variables, own = OgLeafAdapter().read(module), Leaf(5, 0.0, 500.0, 1000, window - 1, 1, padding="same")
    of_original, simplified = (
        LeafOracle(config, *behaviour).stages(variables, x.double().numpy())["pcen"]
        for behaviour in ((), (SIMPLIFIED,))
    )
    values = (*variables["kernel"].T, variables["learnable_pooling/kernel"].ravel())
    with torch.no_grad():
        for name, value in zip(("center_freqs", "bandwidths", "pooling_widths"), values, strict=True):
            getattr(own.filterbank, name).copy_(torch.from_numpy(value.copy()))
    assert NEAR(module(x).detach().numpy(), of_original).passes
    for frontend in (own, *([convert(module, "leaf")] if window >= 4 else ())):
        assert NEAR(frontend(x).detach().numpy(), simplified).passes
