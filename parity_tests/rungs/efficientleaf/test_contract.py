"""Rung 3 keeps the published contract: state dicts, shapes, modes, and the published example."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import efficientleaf
import leaf
from efficientleaf import EfficientLeaf
from parity.criteria import AtMost

BANK = ("filterbank.center_freqs", "filterbank.bandwidths", "filterbank.pooling_widths")
NORM = ("weight", "bias", "running_mean", "running_var")
CENTRED = AtMost(40 * 2.0**-53, "the mean of 20 values of size one in float64, each off by two roundings")
OUTSIDE = {"center_freqs": [-0.5, 1.0, 4.0], "bandwidths": [0.1, 20.0, 1e4], "pooling_widths": [1e-4, 0.3, 2.0]}


def test_default_state_dict_is_the_published_one():
    shapes = {k: tuple(v.shape) for k, v in EfficientLeaf(n_filters=8).state_dict().items()}
    norm = {f"compression.TBN.bn.{name}": (16,) for name in NORM}
    counter = {"compression.TBN.bn.num_batches_tracked": ()}
    assert shapes == {**{name: (8,) for name in BANK}, "compression.log1p.a": (8,), **norm, **counter}


def test_pcen_state_dict_is_the_published_one():
    shapes = {k: tuple(v.shape) for k, v in EfficientLeaf(n_filters=8, compression="pcen").state_dict().items()}
    assert shapes == {name: (8,) for name in (*BANK, *(f"compression.{p}" for p in ("s", "alpha", "delta", "r")))}


def test_published_example_runs_as_printed():
    frontend = EfficientLeaf(
        n_filters=80, min_freq=60, max_freq=7800, sample_rate=16000, num_groups=8, conv_win_factor=6, stride_factor=16
    )
    assert frontend(torch.randn(2, 1, 16000)).shape == (2, 2, 80, 100)


@pytest.mark.parametrize(("shape", "frames"), [((2, 16000), 100), ((2, 1, 16001), 101), ((3, 161), 2)])
@pytest.mark.parametrize("stride_factor", [1, 16])
def test_output_shape(shape, frames, stride_factor):
    arguments = {"n_filters": 6, "num_groups": 3, "stride_factor": stride_factor}
    audio = torch.rand(shape)
    assert EfficientLeaf(**arguments)(audio).shape == (shape[0], 2, 6, frames)
    assert EfficientLeaf(**arguments, compression="pcen")(audio).shape == (shape[0], 6, frames)
    assert EfficientLeaf(**arguments, compression=torch.nn.ReLU())(audio).shape == (shape[0], 6, frames)


def test_rank_two_equals_rank_three():
    module, audio = EfficientLeaf(8).eval(), torch.rand(2, 500)
    assert torch.equal(module(audio), module(audio[:, None]))


@pytest.fixture
def moved():
    """A filterbank whose first and last filters lie outside every limit."""
    module = EfficientLeaf(n_filters=3, num_groups=1, compression="pcen")
    with torch.no_grad():
        for name, values in OUTSIDE.items():
            getattr(module.filterbank, name).copy_(torch.tensor(values))
    return module


def test_evaluation_changes_no_parameter(moved):
    before = {k: v.clone() for k, v in moved.state_dict().items()}
    moved.eval()(torch.rand(1, 500))
    assert all(torch.equal(v, before[k]) for k, v in moved.state_dict().items())


def test_training_projects_in_place(moved):
    pointers = [p.data_ptr() for p in moved.parameters()]
    moved.train()(torch.rand(1, 500))
    z = np.sqrt(2 * np.log(2)) / np.pi
    widths = [2 / 401, 0.3, 0.5]
    expected = {"center_freqs": [0, 1, np.pi], "bandwidths": [2 * z, 20, 401 * z], "pooling_widths": widths}
    for name, values in expected.items():
        assert getattr(moved.filterbank, name).tolist() == np.float32(values).tolist()
    assert [p.data_ptr() for p in moved.parameters()] == pointers


def test_evaluation_computes_what_training_computes(moved):
    audio = torch.rand(1, 500)
    evaluated = moved.eval()(audio)
    assert torch.equal(evaluated, moved.train()(audio))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("compression", ["pcen", "logtbn"])
def test_every_parameter_learns(training, compression):
    module = EfficientLeaf(n_filters=6, num_groups=3, compression=compression).train(training)
    torch.manual_seed(0)
    out = module(torch.rand(2, 3000))
    (out * torch.rand(out.shape)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.ne(0).all(), name


def test_a_filter_at_its_limit_goes_on_learning_in_training(moved):
    moved.train()(torch.rand(1, 2000)).square().sum().backward()
    assert moved.filterbank.bandwidths.grad.ne(0).all()


@pytest.mark.parametrize("compression", ["pcen", "logtbn"])
def test_autocast_runs_in_bfloat16(compression):
    module = EfficientLeaf(n_filters=6, num_groups=3, compression=compression)
    with torch.autocast("cpu", torch.bfloat16):
        out = module(torch.rand(2, 3000))
        out.float().square().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("compression", ["pcen", "logtbn"])
def test_double_reaches_everything(compression):
    module = EfficientLeaf(n_filters=4, compression=compression).double()
    floating = {t.dtype for t in module.state_dict().values() if t.is_floating_point()}
    assert floating == {torch.float64}
    assert module(torch.rand(2, 500, dtype=torch.float64)).dtype == torch.float64


def test_pcen_is_leafs():
    assert type(EfficientLeaf(4, compression="pcen").compression) is leaf.PCEN


@pytest.mark.parametrize(("exponent", "factor"), [(2.0, 100.0), (0, 1.0), (-1, 0.1)])
def test_fixed_exponent_per_band_is_one_number(exponent, factor):
    energies = torch.rand(1, 3, 5)
    assert torch.equal(efficientleaf.Log1p(exponent, per_band=True)(energies), torch.log1p(factor * energies))


def test_joined_channels_share_their_statistics():
    x = torch.rand(2, 2, 3, 5, dtype=torch.float64)
    shared = efficientleaf.TemporalBatchNorm(3, affine=False).double()(x)
    assert CENTRED(shared.mean(dim=(0, 1, 3)).abs().max().item()).passes
    assert not CENTRED(shared.mean(dim=(0, 3)).abs().max().item()).passes


def test_from_leaf_copies_the_compression_and_what_learns():
    source = leaf.Leaf(4, compression=leaf.PCEN(4, s=0.1, alpha=0.7, delta=3.0, r=0.3)).eval()
    source.filterbank.bandwidths.requires_grad_(False)
    source.compression.alpha.requires_grad_(False)
    learns = {name: p.requires_grad for name, p in source.named_parameters()}
    made = EfficientLeaf.from_leaf(source)
    assert {name: p.requires_grad for name, p in made.named_parameters()} == learns
    state = {name: value.clone() for name, value in source.state_dict().items()}
    assert all(torch.equal(value, state[name]) for name, value in made.state_dict().items())
    assert not made.training
    assert EfficientLeaf.from_leaf(source.train()).training
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(value, state[name]) for name, value in source.state_dict().items())
