"""Find what is wrong with a port besides a formula: errors, lost digits, missing gradients, and how it behaves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import nn

import leaf
import og_leaf
from parity.adapters.leaf import LeafAdapter
from parity.adapters.og_leaf import OgLeafAdapter
from parity.oracle import measured_init
from parity.oracle.config import LeafConfig
from parity.ports import Port, certify
from parity.ports.behaviour import is_a_function, refuses
from parity.ports.drawing import sample
from parity.ports.examination import Examination
from parity.ports.port import REFUSED
from parity.ports.properties import beside, constants, extra, initial, modes, returns, shared, training
from parity.report.claims import MeasurementLog
from parity_tests.ports.bench import ORIGINAL, SIMPLIFIED, Bench, flawed

WRAPPED = {name: f"inner.{key}" for name, key in ORIGINAL.items()}


@pytest.fixture(scope="module")
def bench():
    """Shared by all variants of the repaired port: what each is held against is computed once."""
    return Bench(flawed(()))


def named(found):
    return [(finding.stage, finding.what) for finding in found.findings]


def test_error_of_the_port_is_an_exception_and_no_stage(bench):
    def break_(module):
        module.pcen.forward = lambda x: 1 / 0

    (finding,) = bench.examine(flawed((), break_)).findings
    assert finding.where == "exception"
    assert "ZeroDivisionError: division by zero" in finding.what[0]


def test_parameter_without_a_gradient_is_found(bench):
    examination = Examination(flawed((), lambda module: module.pcen.delta.requires_grad_(False)))
    examination.prepare()
    examination.run(bench.cases[0])
    found = examination.diagnosis()
    assert [f.where for f in found.findings] == ["gradient to PCEN/delta"]
    assert "does not require one" in found.findings[0].what[0]


def float32_constant(module):
    def scaled(_, __, energies):
        return energies * (1 + 2.0**-30) if energies.dtype == torch.float64 else energies

    module.energy.register_forward_hook(scaled)


def fails_in_float64(module):
    def refuse(_, given):
        if given[0].dtype == torch.float64:
            raise TypeError("only float32")

    module.energy.register_forward_pre_hook(refuse)


@pytest.mark.parametrize(("change", "said"), [
    (float32_constant, "computes in float32 ("), (fails_in_float64, "not supported (TypeError: only float32)"),
    (lambda module: None, "supported"),
])  # fmt: skip
def test_float64_is_looked_at_once_and_said_in_one_line(change, said, bench):
    found = bench.examine(flawed((), change))
    assert found.findings == []
    (line,) = [line for line in str(found).splitlines() if "float64:" in line]
    assert line.strip().removeprefix("float64:").strip().startswith(said)
    assert ("float64" in found.not_covered) == (said != "supported")


def read_as(**stages):
    return {**flawed(()).stages, **stages}


def squared_windows(port, x):
    return port.pooling.window() ** 2


MISREAD = {
    "modulus": (lambda port, x: port.energy(port.gabor(x)).sqrt(), "is the modulus, not its square"),
    "windows": (squared_windows, "lacks the 1 / 2 of the exponent"),
}


@pytest.mark.parametrize("stage", MISREAD)
def test_misread_stage_is_told_from_a_defect(stage, bench):
    read, what = MISREAD[stage]
    found = bench.examine(flawed((), stages=read_as(**{stage: read})))
    assert found.findings == []
    assert not found.holds
    assert found.misread == (stage,)
    assert f'stage "{stage}": {what}; no stage after it departs with it' in str(found)
    assert "mend the adapter" in str(found)


@pytest.mark.parametrize("stage", MISREAD)
def test_misread_stage_is_told_from_a_defect_beside_it(stage, bench):
    found = bench.examine(flawed(["zero start"], stages=read_as(**{stage: MISREAD[stage][0]})))
    assert named(found) == [("ema", ("starts from 0, not from the first frame",))]
    assert found.misread == (stage,)


def test_defect_that_what_follows_is_computed_from_is_not_misread(bench):
    found = bench.examine(flawed(["half of the window"]))
    assert found.misread == ()
    assert [finding.stage for finding in found.findings] == ["windows"]


def test_stage_that_is_changed_in_place_afterwards_is_read_before(bench):
    def negate(_, given):
        return (-given[0].neg_(),)

    found = bench.examine(flawed((), lambda module: module.pooling.register_forward_pre_hook(negate)))
    assert found.findings == []


def test_inputs_of_submodules_are_stages(bench):
    stages = {**flawed(()).stages, "modulus": "pooling:input", "floor": "pcen:input", "pcen": "pcen"}
    found = Bench(flawed((), stages=stages)).examine(flawed((), stages=stages))
    assert found.findings == []
    assert {"modulus", "floor", "pcen"} <= set(found.holding)


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
    examination = Examination(replace(port, configs={"sample_rate": 2000, "n_filters": 3}, double=False))
    examination.prepare()
    for case in sample(examination.port, 20):
        examination.run(replace(case, n_samples=min(case.n_samples, 500)))
    examination.finish()
    found = examination.diagnosis()
    assert [f.stage for f in found.findings if f.where.startswith("stage")] == ["pcen"]
    assert "loses digits" in found.findings[0].what[0]
    assert {m.criterion for m in found.measured if not m.holds} == {"accuracy"}


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


class Extra(nn.Module):
    """A frontend with a gain of its own, which the output may or may not depend on."""

    def __init__(self, inner: nn.Module, *, used: bool = True, counts: bool = False) -> None:
        super().__init__()
        self.inner, self.used, self.counts = inner, used, counts
        self.gain = nn.Parameter(torch.ones(1))
        self.register_buffer("offset", torch.zeros(1))

    def forward(self, x):
        if self.counts and self.training:
            self.offset += 1
        return self.inner(x) * self.gain + self.offset if self.used else self.inner(x)


def beside_of(port, *checks):
    examination = Examination(port)
    examination.prepare()
    return beside(examination, checks)


def extra_port(**options):
    changes = {name: options.pop(name) for name in ("extra",) if name in options}
    return Port("extra", "og_leaf", lambda config: Extra(OgLeafAdapter().build(config), **options), WRAPPED, **changes)


def test_trainable_parameter_that_leaf_has_not_is_no_part_of_a_certified_port():
    (finding,) = beside_of(extra_port(), extra)
    assert finding.stage == "gain"
    assert (
        "gain [1] is trainable and LEAF has no such parameter; moved by 1, it changes the output by 1"
        in finding.what[0]
    )
    (finding,) = beside_of(extra_port(used=False), extra)
    assert finding.what[0].endswith("it has no part in the output")
    assert beside_of(extra_port(extra=("gain",)), extra) == []
    assert "with gain that LEAF has not (declared)" in Examination(extra_port(extra=("gain",))).diagnosis().verdict


def test_buffer_that_the_output_depends_on_is_in_the_verdict():
    assert constants(Examination(extra_port())) == ["offset"]
    assert constants(Examination(extra_port(used=False))) == []
    assert [f.stage for f in beside_of(extra_port(counts=True, extra=("gain",)), extra)] == ["offset"]


class Global(nn.Module):
    """A frontend whose instances share what is no parameter of theirs."""

    kept: ClassVar[list[nn.Module]] = []

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.kept[:] = [inner]

    def forward(self, x):
        return self.kept[0](x)


@pytest.mark.parametrize("n_filters", [2, 7])
def test_sharing_is_found_at_any_width(n_filters):
    def port(build):
        return Port("shared", "og_leaf", build, WRAPPED, configs={"n_filters": n_filters, "sample_rate": 4000})

    (finding,) = beside_of(port(lambda config: Impure(OgLeafAdapter().build(config), "shares")), shared)
    assert finding.what == ("every instance has the same gain: training one moves all",)
    (finding,) = beside_of(port(lambda config: Global(OgLeafAdapter().build(config))), shared)
    assert "changes the output of another" in finding.what[0]
    assert beside_of(port(lambda config: Impure(OgLeafAdapter().build(config), "nothing")), shared) == []


def started(change, claims="og_leaf", build=None, **changes):
    """Say what is wrong with the initial values of a rung that starts otherwise."""
    build = build or (lambda config: og_leaf.Leaf(
        n_filters=config.n_filters, sample_rate=config.sample_rate, window_len=config.window_len,
        window_stride=config.window_stride,
    ))  # fmt: skip

    def changed(config):
        module = build(config)
        with torch.no_grad():
            change(module)
        return module

    port = Port("start", claims, changed, SIMPLIFIED if claims == "leaf" else ORIGINAL, **changes)
    return [text for finding in beside_of(port, initial) for text in finding.what]


def test_initial_values_of_the_rungs_hold():
    assert started(lambda module: None) == []
    simplified = {"build": lambda config: leaf.Leaf(
        n_filters=config.n_filters, max_freq=min(7800.0, config.sample_rate / 2), sample_rate=config.sample_rate
    )}  # fmt: skip
    assert started(lambda module: None, "leaf", **simplified) == []


def test_initial_values_that_depart_are_told_with_their_numbers():
    (text,) = started(lambda module: module._complex_conv._kernel[2, 1].mul_(1.067))
    assert text.startswith("1 of 40 initial sigmas off by up to 6.7 % (kernel[2, 1] is ")
    band = torch.from_numpy(measured_init(40, max_freq=8000.0))
    whole = started(lambda module: module._complex_conv._kernel.copy_(band), configs={"n_filters": 40})
    assert "centres are those of a band up to half of the sample rate" in whole[0]
    hertz = torch.from_numpy(measured_init(40, in_hertz=True))
    (text,) = started(lambda module: module._complex_conv._kernel.copy_(hertz), configs={"n_filters": 40})
    assert text.startswith("3 of 40 initial sigmas off by up to 6.7 % (kernel[32, 1] is 12.793, must be 11.993)")
    assert "of mel triangles that are linear in hertz, not in mel" in text
    (constant,) = started(lambda module: module._compress_fn.alpha.fill_(0.9))
    assert constant == "PCEN/alpha starts from 0.9, must be 0.96"


def project(module):
    conv = module._complex_conv
    with torch.no_grad():
        conv._kernel.copy_(conv.constraint(conv._kernel))


def test_step_that_brings_parameters_back_is_held_to_their_limits():
    port = Port("steps", "og_leaf", OgLeafAdapter().build, ORIGINAL, step=project)
    assert beside_of(port, training) == []
    (finding,) = beside_of(replace(port, step=lambda module: None), training)
    assert "mu and sigma are not brought back into their limits" in finding.what[0]


class Limiting(nn.Module):
    """A frontend that writes its limited kernel back in every forward."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        conv = self.inner._complex_conv
        conv._kernel.data = conv.constraint(conv._kernel.data)
        return self.inner(x)


class Scaled(nn.Module):
    """A frontend that takes more of its gradient in training."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        y = self.inner(x)
        return y + 2.0**-6 * (y - y.detach()) if self.training else y


@pytest.mark.parametrize(("wrapped", "said"), [
    (Limiting, "forward writes what it limits back into kernel"), (Scaled, "a step of Adam departs: "),
])  # fmt: skip
def test_step_of_the_optimiser_is_held_to_the_reference(wrapped, said):
    port = Port("stepped", "og_leaf", lambda config: wrapped(OgLeafAdapter().build(config)), WRAPPED)
    (finding,) = beside_of(port, training)
    assert finding.what[0].startswith(said)


def test_fate_of_parameters_beyond_their_limits_is_told():
    def port(build):
        return Examination(Port("returns", "og_leaf", build, ORIGINAL))

    def projecting(config):
        module = OgLeafAdapter().build(config)
        module.register_forward_pre_hook(lambda module, given: project(module))
        return module

    assert returns(port(OgLeafAdapter().build)).endswith("stay there, with gradient 0; Keras brings them back")
    assert returns(port(projecting)) == "forward in training brings mu and sigma back into their limits"


def test_output_that_is_another_in_training_is_found():
    def dropping(config):
        return nn.Sequential(OgLeafAdapter().build(config), nn.Dropout(0.5))

    keys = {name: f"0.{key}" for name, key in ORIGINAL.items()}
    (finding,) = beside_of(Port("dropping", "og_leaf", dropping, keys), modes)
    assert finding.what[0].startswith("the output in training departs from that in evaluation by up to ")
    assert beside_of(Port("whole", "og_leaf", OgLeafAdapter().build, ORIGINAL), modes) == []


def test_failing_suite_raises_what_it_found(monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    port = flawed(["bias on the energies"])
    ledger = MeasurementLog()
    with pytest.raises(pytest.fail.Exception, match='stage "pool": is 1 too large everywhere'):
        certify(port, examples=1)().test_everything(ledger)
    assert not all(c.worst.holds for c in ledger.claims)
