"""Rungs 2 and 3 build their filters once for the parameters that they have, and again for every change of them."""

from __future__ import annotations

from unittest import mock

import pytest
import torch

import efficientleaf
import leaf
from parity.checks.cache import invalidation, invalidations
from parity.criteria import Exactly, OfMax
from parity_tests.helpers.partly_frozen import PARAMETERS, SUBSETS, check_subset
from parity_tests.helpers.rungs import one

HALF = OfMax(0.05, "bfloat16 keeps 8 bits of energies that several products make, and PCEN's root halves what is off")
CLOSE = OfMax(1e-6, "the sums of a convolution in another order")
SAME = Exactly("a batch of filterbanks is the filterbanks")
ONCE = Exactly("a plan is made of values, which are read once after every change")
BOTH = [one("leaf"), one("efficientleaf")]
DEFAULT = [
    one("leaf", leaf.Leaf), one("efficientleaf", efficientleaf.EfficientLeaf),
    one("efficientleaf", lambda: efficientleaf.EfficientLeaf(compression="pcen"), id="efficientleaf-pcen"),
]  # fmt: skip
CASES = {
    "leaf-centered": "n_filters=3,sample_rate=4000,window_len=8.5,n_samples=500,weights=trained,padding=centered",
    "leaf-same": "n_filters=3,sample_rate=4000,window_len=8.5,n_samples=500,weights=trained,padding=same",
    "efficientleaf": "n_filters=4,sample_rate=4000,n_samples=700,weights=trained,padding=centered",
}
GROUPS = {"num_groups": 2, "stride_factor": 4.0}


def small(rung):
    if rung == "leaf":
        return leaf.Leaf(3, sample_rate=4000, max_freq=2000.0)
    return efficientleaf.EfficientLeaf(4, 2, sample_rate=4000, max_freq=2000.0)


@pytest.mark.parametrize("rung", BOTH)
def test_what_is_kept_is_never_stale(rung, ledger):
    measured = list(invalidations(rung))
    assert measured
    for measurement in measured:
        ledger.check(measurement)


@pytest.mark.parametrize("learned", SUBSETS, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize(("case", "training"), [
    one("leaf-centered", True), one("leaf-same", True),
    *(one("efficientleaf", training, id=f"efficientleaf-{training}") for training in (True, False)),
])  # fmt: skip
def test_gradients_of_a_partly_frozen_filterbank(case, training, learned):
    rung = case.partition("-")[0]
    check_subset(rung, CASES[case], learned, training, **(GROUPS if rung == "efficientleaf" else {}))


@pytest.mark.parametrize("rung", BOTH)
def test_a_gradient_to_the_audio_after_inference_mode(rung):
    module = small(rung).eval().requires_grad_(False)
    with torch.inference_mode():
        module(torch.rand(1, 500))
    x = torch.rand(1, 500, requires_grad=True)
    module(x).square().sum().backward()
    assert bool(x.grad.isfinite().all())


@pytest.mark.leaf
def test_one_module_for_many_parameters():
    module = small("leaf").eval()
    x, state = torch.ones(1, 500), dict(module.named_parameters())
    moved = {name: 1.1 * p.detach() for name, p in state.items()}
    many = {name: torch.stack((state[name].detach(), moved[name])) for name in state}

    def run(parameters):
        return torch.func.functional_call(module, parameters, (x,))

    with torch.no_grad():
        own, other = module(x), run(moved)
        assert not torch.equal(own, other)
        assert SAME(module(x).numpy(), own.numpy()).passes
        together = torch.func.vmap(run)(many)
    assert CLOSE(together.numpy(), torch.stack((own, other)).numpy()).passes


FACTORS = {"leaf": (1.0, 0.8, 0.5), "efficientleaf": (1.0, 0.9999, 1.0001)}  # rung 3: of one geometry


@pytest.mark.parametrize(("rung", "name"), [
    one(rung, name, id=f"{rung}-{name}") for rung, own in (("leaf", "compression.s"),
                                                         ("efficientleaf", "compression.log1p.a"))
    for name in (*(f"filterbank.{name}" for name in PARAMETERS), own)
])  # fmt: skip
def test_one_module_for_many_values_of_one_parameter(rung, name):
    module = small(rung).eval()
    if rung == "efficientleaf":
        module.freeze()  # a plan is made of values, which a batch of parameters does not have
    x, state = torch.rand(1, 900) - 0.5, {n: p.detach() for n, p in module.named_parameters()}
    many = torch.stack([state[name] * factor for factor in FACTORS[rung]])

    def run(value):
        return torch.func.functional_call(module, {**state, name: value}, (x,))

    with torch.no_grad():
        module(x)
        one_by_one = torch.stack([run(value) for value in many])
        assert not torch.equal(one_by_one[0], one_by_one[1])
        together = torch.func.vmap(run)(many)
    assert CLOSE(together.numpy(), one_by_one.numpy()).passes


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


@pytest.mark.efficientleaf
def test_parameters_are_read_once_a_step():
    x, module = torch.rand(2, 900), small("efficientleaf")
    assert ONCE(reads(module, x, 3, rate=1e-3), [2, 3, 4]).passes  # the first forward, and after each step
    module = small("efficientleaf").requires_grad_(False).eval().requires_grad_(True)
    assert ONCE(reads(module, x, 2, rate=0.0), [2, 3]).passes


@pytest.mark.parametrize(("rung", "make"), DEFAULT)
def test_autocast(rung, make):
    module, x = make().eval(), torch.rand(2, 4000) - 0.5
    with torch.no_grad():
        own = module(x)
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                half = module(x)
            assert HALF(half.float().numpy(), own.numpy()).passes


if torch.cuda.is_available():

    @pytest.mark.parametrize(("rung", "make"), DEFAULT[:2])
    def test_the_device_is_not_waited_for(rung, make):
        module, x = make().cuda().eval(), torch.rand(2, 4000).cuda()
        with torch.no_grad():
            module(x)
            torch.cuda.set_sync_debug_mode("error")
            try:
                module(x)
            finally:
                torch.cuda.set_sync_debug_mode("default")
