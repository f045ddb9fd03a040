"""Rung 3 reads its parameters and builds its filters once for what they are, and again for every change of them."""

from __future__ import annotations

from unittest import mock

import pytest
import torch

import efficientleaf
from parity.checks.cache import invalidation, invalidations
from parity.criteria import Exactly, OfMax
from parity_tests.helpers.partly_frozen import PARAMETERS, SUBSETS, check_subset

HALF = OfMax(0.05, "bfloat16 keeps 8 bits of energies that several products make, and PCEN's root halves what is off")
ONCE = Exactly("a plan is made of values, which are read once after every change")


def small(**rest):
    return efficientleaf.EfficientLeaf(4, 2, sample_rate=4000, max_freq=2000.0, **rest)


def test_what_is_kept_is_never_stale(ledger):
    measured = list(invalidations("efficientleaf"))
    assert measured
    for measurement in measured:
        ledger.check(measurement)


def reads(module, x, steps, rate):
    """Count the filterbank's readings of its parameters, after each step of training and one more forward."""
    found, optimizer, bank = [], torch.optim.SGD(module.parameters(), rate), module.filterbank
    with invalidation("by version"), mock.patch.object(bank, "_plan", wraps=bank._plan) as plan:
        for _ in range(steps):
            optimizer.zero_grad()
            module(x).square().sum().backward()
            optimizer.step()
            module(x)
            found.append(plan.call_count)
    return found


def test_parameters_are_read_once_a_step():
    x = torch.rand(2, 900)
    assert ONCE(reads(small(), x, 3, rate=1e-3), [2, 3, 4]).passes  # the first forward, and after each step
    assert ONCE(reads(small().requires_grad_(False).eval().requires_grad_(True), x, 2, rate=0.0), [2, 3]).passes


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("learned", SUBSETS, ids=lambda names: "+".join(names) or "none")
def test_gradients_of_a_partly_frozen_filterbank(learned, training):
    case = "n_filters=4,sample_rate=4000,n_samples=700,weights=trained,padding=centered"
    check_subset("efficientleaf", case, learned, training, num_groups=2, stride_factor=4.0)


@pytest.mark.parametrize("name", [*(f"filterbank.{name}" for name in PARAMETERS), "compression.log1p.a"])
def test_one_module_for_many_values_of_one_parameter(name):
    module = small().eval().freeze()  # a plan is made of values, which a batch of parameters does not have
    x, state = torch.rand(1, 900) - 0.5, {n: p.detach() for n, p in module.named_parameters()}
    many = torch.stack([state[name] * factor for factor in (1.0, 0.9999, 1.0001)])  # of one geometry

    def run(value):
        return torch.func.functional_call(module, {**state, name: value}, (x,))

    with torch.no_grad():
        module(x)
        one_by_one = torch.stack([run(value) for value in many])
        assert not torch.equal(one_by_one[0], one_by_one[1])
        together = torch.func.vmap(run)(many)
    close = OfMax(1e-6, "the sums of a convolution in another order")
    assert close(together.numpy(), one_by_one.numpy()).passes


def test_a_gradient_to_the_audio_after_inference_mode():
    module = small().eval().requires_grad_(False)
    with torch.inference_mode():
        module(torch.rand(1, 500))
    x = torch.rand(1, 500, requires_grad=True)
    module(x).square().sum().backward()
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize("compression", ["pcen", "logtbn"])
def test_autocast(compression):
    module, x = efficientleaf.EfficientLeaf(compression=compression).eval(), torch.rand(2, 4000) - 0.5
    with torch.no_grad():
        own = module(x)
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                half = module(x)
            assert HALF(half.float().numpy(), own.numpy()).passes


if torch.cuda.is_available():

    def test_the_device_is_not_waited_for():
        module, x = efficientleaf.EfficientLeaf().cuda().eval(), torch.rand(2, 4000).cuda()
        with torch.no_grad():
            module(x)
            torch.cuda.set_sync_debug_mode("error")
            try:
                module(x)
            finally:
                torch.cuda.set_sync_debug_mode("default")
