"""What is found of a port besides a bug in a formula: errors, lost digits, missing gradients, and how it behaves."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from parity.adapters.leaf import LeafAdapter
from parity.adapters.og_leaf import OgLeafAdapter
from parity.oracle.config import LeafConfig
from parity.ports import Port, certify
from parity.ports.certifying import examine
from parity.ports.conduct import REFUSED, is_a_function, refuses
from parity.ports.examination import Examination
from parity.report.measurements import MeasurementLog
from parity_tests.ports.bench import ORIGINAL, SIMPLIFIED, SMALL, Bench, flawed

WRAPPED = {name: f"inner.{key}" for name, key in ORIGINAL.items()}


def changed(module_of, **changes):
    """The flawed port without its four bugs, changed by a function of the module."""
    port = flawed((), **changes)

    def build(config: LeafConfig) -> nn.Module:
        module = port.build(config)
        module_of(module)
        return module

    return replace(port, build=build)


def departing(module_of, **changes):
    """The diagnosis of such a port."""
    port = changed(module_of, **changes)
    examination = Examination(port)
    for case in Bench(port).cases[:3]:
        examination.run(case)
    return examination.diagnosis()


def test_error_of_the_port_is_its_answer():
    def break_(module):
        module.pcen.forward = lambda x: 1 / 0

    found = departing(break_)
    assert found.departures[0].stage == "output"
    assert "status, ZeroDivisionError: division by zero" in str(found)


def test_parameter_without_a_gradient_is_found():
    found = departing(lambda module: module.pcen.delta.requires_grad_(False))
    assert [d.where for d in found.departures] == ["the gradient to PCEN/delta"]
    assert "status, no gradient" in found.departures[0].how


def float32_constant(module):
    def scaled(_, __, energies):
        return energies * (1 + 2.0**-30) if energies.dtype == torch.float64 else energies

    module.energy.register_forward_hook(scaled)


def start_from_zero(module):
    module.pcen.smoother.from_zero = True


def test_loss_in_float64_alone_is_told_from_one_in_float32():
    found = departing(float32_constant)
    assert found.departures[0].stage == "modulus"
    assert {d.worst.dtype for d in found.departures} == {"float64"}
    assert ", in float64" in str(found)
    both = departing(lambda module: (float32_constant(module), start_from_zero(module)))
    assert [(d.stage, d.worst.dtype) for d in both.departures[:2]] == [("ema", "float32"), ("output", "float32")]
    assert both.departures[-1].worst.dtype == "float64"
    without = departing(float32_constant, double=False)
    assert without.departures == []
    assert "not seen:       filters, floor, pcen, float64" in str(without)


TIES = {
    "PCEN/alpha": (lambda port: port.pcen.alpha, (1,)),
    "PCEN/root": (lambda port: port.pcen.root, (1,)),
    "PCEN/EMA/smooth": (lambda port: port.pcen.smoother.s, (0, 1)),
    "learnable_pooling/kernel": (lambda port: port.pooling.width, (0.5,)),
}


@pytest.mark.parametrize("name", TIES)
def test_gradient_that_is_halved_on_a_limit_is_found(name, limited):
    tensor_of, limits = TIES[name]

    def halve(module):
        tensor = tensor_of(module)
        tensor.register_hook(lambda d: torch.where(sum(tensor == limit for limit in limits).bool(), d / 2, d))

    examination = Examination(changed(halve))
    for case, limits_of_case in limited:
        examination.run_on_limits(case, limits_of_case)
    found = examination.diagnosis()
    assert [d.where for d in found.departures] == [f"the gradient to {name}, on the limits"]
    assert {"float32", "float64"} == {m.dtype for m in found.measured if not m.holds}


@pytest.fixture(scope="module")
def limited():
    """Cases with weights on their limits, and what they are held against."""
    bench = Bench(flawed(()))
    return list(zip(bench.cases, bench.limits, strict=False))


def by_logarithms(config: LeafConfig) -> nn.Module:
    """Simplified LEAF with its gain as it was published: the same function, and up to 31 roundings off."""
    module = LeafAdapter().build(config)
    pcen = module.compression

    def forward(x):
        x = x.clamp(min=pcen.clamp)
        _, alpha, delta, r = (p.unsqueeze(-1) for p in pcen.parameters_linear())
        gain = torch.exp(-alpha * (math.log(pcen.eps) + torch.log1p(pcen.smooth(x) / pcen.eps)))
        return (x * gain + delta) ** r - delta**r

    pcen.forward = forward
    return module


def test_loss_of_digits_is_found_over_all_cases():
    port = Port("logarithms", "leaf", by_logarithms, SIMPLIFIED, {"pool": "filterbank", "pcen": "compression"})
    found = examine(replace(port, configs=SMALL), examples=24)
    assert found.departures[0].stage == "pcen"
    assert {m.criterion for m in found.measured if not m.holds} == {"accuracy"}
    assert "times its bound; over all 29 cases together)" in str(found)


def test_tap_that_is_read_elsewhere_is_told():
    taps = {**flawed(()).taps, "modulus": lambda port, x: port.energy(port.gabor(x)).sqrt()}
    found = departing(lambda module: None, taps=taps)
    assert found.departures[0].stage == "modulus"
    assert "nothing behind it departs: is the stage read where it should be?" in str(found)


def test_stage_that_is_changed_in_place_afterwards_is_read_before():
    def negate(_, given):
        return (-given[0].neg_(),)

    assert departing(lambda module: module.pooling.register_forward_pre_hook(negate)).departures == []


def failing(measured):
    return [m.case for m in measured if not m.holds]


class Unbatched(nn.Module):
    """Takes a clip without a batch."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x[None] if x.ndim == 1 else x)


def unbatched(**changes):
    return Port("unbatched", "og_leaf", lambda config: Unbatched(OgLeafAdapter().build(config)), WRAPPED, **changes)


def test_what_the_rung_refuses_and_the_port_takes():
    assert failing(refuses(unbatched(), "again")) == ["no batch"]
    assert failing(refuses(unbatched(accepts=("no batch",)), "again")) == []
    # a declaration that is not true, too
    assert failing(refuses(unbatched(accepts=("no batch", "integers")), "again")) == ["integers"]
    measured = list(refuses(Port("simplified", "leaf", LeafAdapter().build, SIMPLIFIED, audio="b1t"), "again"))
    assert {m.case for m in measured} == set(REFUSED)
    assert failing(measured) == []


class Impure(nn.Module):
    """A frontend that changes its input, remembers its last call, or shares a parameter with all of its kind."""

    shared = nn.Parameter(torch.ones(1))

    def __init__(self, inner: nn.Module, how: str) -> None:
        super().__init__()
        self.inner, self.how, self.last = inner, how, 0.0
        self.gain = Impure.shared if how == "shares" else nn.Parameter(torch.ones(1))

    def forward(self, x):
        if self.how == "changes":
            x.mul_(2)
        y = self.inner(x) * self.gain + (self.last if self.how == "remembers" else 0.0)
        self.last = float(y.detach().mean())
        return y


@pytest.mark.parametrize(("how", "what"), [
    ("nothing", ""), ("changes", "the audio after a forward"), ("remembers", "a second call"),
    ("shares", "parameters of a neighbour of the same width"),
])  # fmt: skip
def test_port_that_is_no_function_is_found(how, what):
    port = Port("impure", "og_leaf", lambda config: Impure(OgLeafAdapter().build(config), how), WRAPPED)
    failed = failing(is_a_function(port, "again"))
    assert [what in case for case in failed[:1]] == ([True] if what else [])


def test_failing_suite_raises_what_it_found(monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    port = flawed(["bias on the energies"])
    ledger = MeasurementLog()
    with pytest.raises(pytest.fail.Exception, match='flawed departs from og_leaf first at stage "pool"'):
        certify(port, examples=1)().test_every_tap_and_gradient(ledger)
    assert not all(c.worst.holds for c in ledger.claims)
