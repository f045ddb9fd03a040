"""Names, shapes and values show what a description leaves out; what is ambiguous is refused with its candidates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from parity.ports import Port, detection
from parity.ports.examination import Examination
from parity.ports.layouts import AdapterError
from parity_tests.ports.bench import described
from parity_tests.ports.flawed import FlawedLeaf


class Flat(nn.Module):
    """LEAF in one module without submodules, [B, T] to [B, frames, C]."""

    def __init__(self, n_bands, window, hop, eps=1e-12, names=("delta", "root")):
        super().__init__()
        self.whole = [FlawedLeaf(n_bands, window, hop, eps, ())]  # a list hides it
        inner = self.whole[0]
        self.centers, self.widths = inner.gabor.mu, inner.gabor.sigma
        self.pool_width, self.s, self.alpha = inner.pooling.width, inner.pcen.smoother.s, inner.pcen.alpha
        for name, parameter in zip(names, (inner.pcen.delta, inner.pcen.root), strict=True):
            self.register_parameter(name, parameter)
        with torch.no_grad():
            self.widths.copy_(torch.linspace(40.0, 20.0, n_bands))

    def forward(self, x):
        return self.whole[0](x[:, None]).transpose(1, 2)


def left_out(build):
    return Port("left out", "og_leaf", build, configs={"sample_rate": 4000}, initial=False)


def test_everything_of_a_port_of_submodules_is_found():
    port = left_out(lambda config: FlawedLeaf(config.n_filters, config.window, config.stride, config.pcen_floor))
    examination = Examination(port)
    examination.prepare()
    known = described()
    assert {k: v for k, v in examination.port.parameters.items() if v} == dict(known.parameters)
    assert examination.port.audio == known.audio
    assert dict(examination.port.stages) == {
        **known.stages, "floor": "pcen:input", "pcen": "pcen", "filters": ":conv[0].weight",
        "windows": ":conv[1].weight",
    }  # fmt: skip


def test_constructor_is_called_by_the_names_of_its_arguments():
    port = detection.completed(left_out(Flat))
    assert port.allowed("sample_rate") == (4000,)
    assert (port.audio, port.parameters["kernel"]) == ("bt", ("centers", "widths"))
    assert port.build(detection.whole(port).config).whole[0].pooling.stride == 40
    given = detection.completed(Port("arguments", "og_leaf", Flat, arguments={"names": ("root", "delta")}))
    assert given.parameters["PCEN/delta"] == "delta"


def test_stages_between_padding_and_convolution_of_one_module_are_read_before_the_padding():
    examination = Examination(left_out(Flat))
    examination.prepare()
    case = examination.telling
    stages = examination.adapter.stages(examination.adapter.build(case.config), case.input())
    assert {"filters", "windows", "conv", "modulus", "pool"} <= set(stages)
    assert stages["modulus"].shape[-1] == case.n_samples
    examination.find_misread([examination.expected(case)])
    examination.run(case)
    assert examination.diagnosis().findings == []


def test_parameters_that_nothing_tells_apart_are_refused_with_what_they_may_be():
    def build(config):
        return Flat(config.n_filters, config.window, config.stride, config.pcen_floor, names=("first", "second"))

    with pytest.raises(AdapterError, match=r"must name \['PCEN/delta', 'PCEN/root'\] as well, .* first or second"):
        detection.completed(left_out(build))
    port = Port("told", "og_leaf", build, parameters={"PCEN/delta": "first"})
    assert detection.completed(port).parameters["PCEN/root"] == "second"


def test_what_the_constructor_refuses_is_not_drawn_and_is_said():
    def build(config):
        if config.sample_rate < 16000:
            raise ValueError("too low")
        return FlawedLeaf(config.n_filters, config.window, config.stride, config.pcen_floor)

    from parity.ports.drawing import sample

    port = Port("refusing", "og_leaf", build, initial=False, configs={"sample_rate": (16000, 8000)})
    examination = Examination(port)
    assert {case.config.sample_rate for case in sample(examination.port, 6)} == {16000}
    (said,) = [text for text in examination.diagnosis().not_covered if "constructor" in text]
    assert said == "what its constructor refuses (ValueError: too low)"
