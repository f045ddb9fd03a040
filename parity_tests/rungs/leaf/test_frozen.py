"""Rung 2 builds its filters once for the parameters that it has, and again for every change of them."""

from __future__ import annotations

import pytest
import torch

import leaf
from parity.checks.cache import invalidations
from parity.criteria import Exactly, OfMax
from parity_tests.helpers.partly_frozen import PARAMETERS, SUBSETS, check_subset

HALF = OfMax(0.05, "bfloat16 keeps 8 bits of energies that several products make, and PCEN's root halves what is off")


def test_what_is_kept_is_never_stale(ledger):
    measured = list(invalidations("leaf"))
    assert measured
    for measurement in measured:
        ledger.check(measurement)


@pytest.mark.parametrize("learned", SUBSETS, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize("padding", ["centered", "same"])
def test_gradients_of_a_partly_frozen_filterbank(padding, learned):
    case = f"n_filters=3,sample_rate=4000,window_len=8.5,n_samples=500,weights=trained,padding={padding}"
    check_subset("leaf", case, learned, True)


def test_a_gradient_to_the_audio_after_inference_mode():
    module = leaf.Leaf(3, sample_rate=4000, max_freq=2000.0).eval().requires_grad_(False)
    with torch.inference_mode():
        module(torch.ones(1, 500))
    x = torch.ones(1, 500, requires_grad=True)
    module(x).square().sum().backward()
    assert bool(x.grad.isfinite().all())


def test_one_module_for_many_parameters():
    module = leaf.Leaf(3, sample_rate=4000, max_freq=2000.0).eval()
    x, state = torch.ones(1, 500), dict(module.named_parameters())
    moved = {name: 1.1 * p.detach() for name, p in state.items()}
    many = {name: torch.stack((state[name].detach(), moved[name])) for name in state}

    def run(parameters):
        return torch.func.functional_call(module, parameters, (x,))

    same = Exactly("a batch of filterbanks is the filterbanks")
    with torch.no_grad():
        own, other = module(x), run(moved)
        assert not torch.equal(own, other)
        assert same(module(x).numpy(), own.numpy()).passes
        together = torch.func.vmap(run)(many)
    close = OfMax(1e-6, "the sums of a convolution in another order")
    assert close(together.numpy(), torch.stack((own, other)).numpy()).passes


@pytest.mark.parametrize("name", [*(f"filterbank.{name}" for name in PARAMETERS), "compression.s"])
def test_one_module_for_many_values_of_one_parameter(name):
    module = leaf.Leaf(3, sample_rate=4000, max_freq=2000.0).eval()
    x, state = torch.rand(1, 500) - 0.5, {n: p.detach() for n, p in module.named_parameters()}
    many = torch.stack([state[name] * factor for factor in (1.0, 0.8, 0.5)])

    def run(value):
        return torch.func.functional_call(module, {**state, name: value}, (x,))

    with torch.no_grad():
        module(x)
        one_by_one = torch.stack([run(value) for value in many])
        assert not torch.equal(one_by_one[0], one_by_one[1])
        together = torch.func.vmap(run)(many)
    close = OfMax(1e-6, "the sums of a convolution in another order")
    assert close(together.numpy(), one_by_one.numpy()).passes


def test_autocast():
    module, x = leaf.Leaf().eval(), torch.rand(2, 4000) - 0.5
    with torch.no_grad():
        own = module(x)
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                half = module(x)
            assert HALF(half.float().numpy(), own.numpy()).passes


if torch.cuda.is_available():

    def test_the_device_is_not_waited_for():
        module, x = leaf.Leaf().cuda().eval(), torch.rand(2, 4000).cuda()
        with torch.no_grad():
            module(x)
            torch.cuda.set_sync_debug_mode("error")
            try:
                module(x)
            finally:
                torch.cuda.set_sync_debug_mode("default")
