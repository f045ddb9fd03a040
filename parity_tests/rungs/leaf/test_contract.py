"""Rung 2 keeps the published contract: state dicts, shapes, modes: users change an import line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import leaf
from parity.criteria import Exactly, OfMax, RelativeL2


@pytest.mark.parametrize("padding", ["centered", "same"])
def test_state_dict_is_the_published_one(padding):
    names = ("filterbank.center_freqs", "filterbank.bandwidths", "filterbank.pooling_widths", "compression.s",
             "compression.alpha", "compression.delta", "compression.r")  # fmt: skip
    state = leaf.Leaf(padding=padding).state_dict()
    assert {k: (tuple(v.shape), v.dtype) for k, v in state.items()} == {k: ((40,), torch.float32) for k in names}


def test_default_parameters_hold_the_published_values():
    module = leaf.Leaf()
    constant = Exactly("a constant in the parameter's own type")
    # r holds the inverse of the root; the three others their values
    for name, value in {"s": 0.04, "alpha": 0.96, "delta": 2.0, "r": 2.0}.items():
        assert constant(getattr(module.compression, name).detach().unique(), [value]).passes
    assert constant(module.filterbank.pooling_widths.detach().unique(), [0.4]).passes
    assert constant([module.compression.eps, module.compression.clamp], [1e-12, 1e-5]).passes


@pytest.mark.parametrize(("shape", "frames"), [((2, 16000), 100), ((2, 1, 16001), 101), ((1, 1), 1), ((3, 159), 1)])
@pytest.mark.parametrize("padding", ["centered", "same"])
def test_output_shape(shape, frames, padding):
    assert leaf.Leaf(n_filters=5, padding=padding)(torch.zeros(shape)).shape == (shape[0], 5, frames)


@pytest.mark.parametrize(("rate", "centered", "same"), [(16000, 401, 401), (22050, 551, 552), (11025, 275, 276)])
def test_windows(rate, centered, same):
    sizes = [leaf.Leaf(4, sample_rate=rate, max_freq=5000.0, padding=p).filterbank.pool_size
             for p in ("centered", "same")]  # fmt: skip
    assert sizes == [centered, same]


def test_rank_two_equals_rank_three():
    module, audio = leaf.Leaf(3), torch.rand(2, 500)
    assert torch.equal(module(audio), module(audio[:, None]))


@pytest.mark.parametrize("padding", ["centered", "same"])
def test_windows_shorter_than_the_hop_leave_samples_out(padding):
    # a window of one sample is 1, and TensorFlow's SAME pads nothing where the last window ends before the signal
    bank = leaf.GaborFilterbank(1, 60.0, 900.0, 2000, filter_size=1, pool_size=1, pool_stride=8, padding=padding)
    energies = torch.arange(24.0)[None, None]
    assert torch.equal(bank.pool(energies), energies[..., ::8])


def test_train_and_eval_are_one_function_that_changes_no_parameter():
    torch.manual_seed(0)
    module, audio = leaf.Leaf(3), torch.rand(2, 800)
    with torch.no_grad():
        for parameter in module.filterbank.parameters():
            parameter.copy_(torch.tensor([-5.0, 0.3, 1e4]))  # beyond both limits
    before = {k: v.clone() for k, v in module.state_dict().items()}
    trained, evaluated = module.train()(audio), module.eval()(audio)
    assert torch.equal(trained, evaluated)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("padding", ["centered", "same"])
def test_every_parameter_learns(padding):
    module = leaf.Leaf(8, padding=padding)  # the widest of 3 filters would start beyond the limit of sigma
    module(torch.rand(2, 2000)).square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.ne(0).all() for p in module.parameters())


def test_compression_may_be_any_callable():
    audio = torch.rand(1, 500)
    energies = leaf.Leaf(3).filterbank(audio)
    # an empty Sequential is false, and still no PCEN
    for compression in (torch.nn.Sequential(), torch.nn.Identity(), lambda e: e):
        assert torch.equal(leaf.Leaf(3, compression=compression)(audio), energies)


def test_autocast_runs_in_bfloat16():
    module, audio = leaf.Leaf(4), torch.rand(2, 1600)
    with torch.autocast("cpu", torch.bfloat16):
        out = module(audio)
        out.float().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in module.parameters())
    criterion = RelativeL2(0.05, "bfloat16 has 8 bits: 4e-3 a factor, squared and put through a root")
    assert criterion(out.detach().float().numpy(), module(audio).detach().numpy()).passes


@pytest.mark.parametrize("form", ["accurate", "published"])
@pytest.mark.parametrize("learn_logs", [True, False])
def test_autocast_leaves_pcen_in_the_dtype_of_its_parameters(form, learn_logs):
    pcen, energies = leaf.PCEN(3, learn_logs=learn_logs, form=form), torch.rand(2, 3, 9)
    with torch.autocast("cpu", torch.bfloat16):
        for given_dtype in (torch.bfloat16, torch.float32):  # the dtypes that autocast hands over
            x = energies.to(given_dtype)
            y, state = pcen.step(x)
            assert (y.dtype, state.dtype) == (torch.float32, torch.float32)
            assert torch.equal(y, pcen(x.float()))  # no digit more is lost than those of x
        assert leaf.Leaf(4)(torch.rand(1, 800)).dtype == torch.float32


def test_pcen_computes_in_the_wider_of_two_dtypes():
    energies = torch.rand(2, 3, 9)
    assert leaf.PCEN(3).double()(energies).dtype == torch.float64
    assert leaf.PCEN(3)(energies.double()).dtype == torch.float64
    assert leaf.PCEN(3).bfloat16()(energies.bfloat16()).dtype == torch.bfloat16


@given(
    s=st.floats(0.001, 0.999), alpha=st.floats(0.01, 1), delta=st.floats(0.01, 10), r=st.floats(0.1, 1),
    level=st.floats(-5, 2), seed=st.integers(0, 999),
)  # fmt: skip
def test_learned_logarithms_and_linear_parameters_are_one_function(s, alpha, delta, r, level, seed):
    energies = torch.from_numpy(10**level * np.random.default_rng(seed).uniform(0, 1, (2, 3, 20)))
    logs, linear = (leaf.PCEN(3, s, alpha, delta, r, learn_logs=x).double() for x in (True, False))
    for module in (logs, linear):  # the constructor's float32 is not what is compared
        for name, value in (("s", s), ("alpha", alpha), ("delta", delta), ("r", r)):
            stored = np.log(value) if module is logs else 1 / value if name == "r" else value
            getattr(module, name).data.fill_(stored)
    criterion = OfMax(1e-13, "|log p| u of each parameter (7 x 2^-53), times up to 40 e-folds of gain and 20 frames")
    assert criterion(logs(energies).detach().numpy(), linear(energies).detach().numpy()).passes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constructor_of_learned_logarithms_gives_what_was_asked_for(dtype):
    values = (0.025, 0.98, 2.0, 0.5)
    got = [p.item() for p in leaf.PCEN(1, *values).to(dtype).parameters_linear()]
    criterion = OfMax(4 * 2.0**-24, "a float32 logarithm: |log 0.025| = 3.7 roundings")
    for value, expected in zip(got, values, strict=True):
        assert criterion(np.array([value]), np.array([expected])).passes


def test_linear_parameters_act_within_their_limits():
    pcen = leaf.PCEN(2, learn_logs=False)
    for name, values in {"s": (-0.5, 1.5), "alpha": (0.5, 1.5), "delta": (-0.5, 2.0), "r": (0.5, 4.0)}.items():
        getattr(pcen, name).data.copy_(torch.tensor(values))
    acting = [p.tolist() for p in pcen.parameters_linear()]
    binary = Exactly("limits and fractions that float32 holds")
    assert binary(acting, [[-0.5, 1.5], [0.5, 1.0], [0.0, 2.0], [1.0, 0.25]]).passes


def test_shared_parameters_serve_any_number_of_bands():
    pcen, energies = leaf.PCEN(1, delta=2.0, r=0.5), torch.rand(2, 7, 9)
    criterion = OfMax(
        8 * 2.0**-24, "a broadcast parameter is vectorised otherwise: log1p, expm1 and power to an ulp each"
    )
    separate = leaf.PCEN(7, delta=2.0, r=0.5)(energies)
    assert criterion(pcen(energies).detach().numpy(), separate.detach().numpy()).passes


def test_gabor_filters_are_complex_and_windows_peak_at_one():
    mu, sigma = leaf.mel_filter_params(4, 60.0, 7800.0, 16000)
    assert leaf.gabor_filters(401, mu, sigma).dtype == torch.complex64
    widths = torch.full((4,), 0.4)
    assert leaf.gauss_windows(401, widths).amax(dim=1).tolist() == [1] * 4
