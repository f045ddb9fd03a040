"""Certify ports of every look, and refuse wrong descriptions by argument and value."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import leaf
import og_leaf
import parity
from parity.adapters.efficientleaf import EfficientLeafAdapter
from parity.adapters.leaf import LeafAdapter
from parity.adapters.og_leaf import OgLeafAdapter
from parity.oracle.config import LeafConfig
from parity.ports import Port, certifying, layouts
from parity.ports.__main__ import main
from parity.ports.certifying import examine
from parity.ports.drawing import sample
from parity.ports.examination import Examination
from parity.ports.layouts import AdapterError
from parity_tests.ports.bench import CERTIFY, FOLDER, ORIGINAL, SIMPLIFIED, SMALL, flawed
from parity_tests.ports.bench import described as described_port


class Backwards(nn.Module):
    """A frontend whose output and stages have the time axis before the channels."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x).transpose(1, 2)


SHARED = ("drawn", "trained", "outside_shared")
EVERYTHING = {"preemp": (False, True), "mean_var_norm": (False, True), "per_channel_smooth": (False, True)}
FAITHFUL = {
    "the original with everything": Port(
        "everything", "og_leaf", OgLeafAdapter().build, ORIGINAL, configs={**SMALL, **EVERYTHING},
        stages={"conv": "_complex_conv", "modulus": "_activation", "pool": "_pooling", "norm": "_instance_norm"},
    ),
    "time before channels": Port(
        "backwards", "og_leaf", lambda config: Backwards(OgLeafAdapter().build(config)),
        {name: f"inner.{key}" for name, key in ORIGINAL.items()}, layout="btc", configs=SMALL,
        stages={
            "filters": lambda port, x: og_leaf.impulse_responses.gabor_filters(
                port.inner._complex_conv.constraint(port.inner._complex_conv._kernel), port.inner._pooling.kernel_size
            ),
            "conv": lambda port, x: port.inner._complex_conv(x[:, None]).transpose(1, 2),
        },
    ),
    "stages the other way round": Port(
        "mixed", "og_leaf", lambda config: Backwards(OgLeafAdapter().build(config)), configs=SMALL,
        parameters={name: f"inner.{key}" for name, key in ORIGINAL.items()}, layout="btc", stages_layout="bct",
        stages={"modulus": "inner._activation", "ema": lambda port, x: _smoothed(port.inner, x)},
    ),
    "blocks, TensorFlow's padding": Port(
        "blocks", "og_leaf", LeafAdapter().build, SIMPLIFIED, parts="blocks", configs=SMALL, weights=SHARED,
        stages={
            "filters": lambda port, x: port.filterbank.filters(), "windows": lambda port, x: port.filterbank.windows(),
            "conv": lambda port, x: port.filterbank.convolve(x), "pool": "filterbank", "pcen": "compression",
        },
    ),
    "simplified": Port(
        "simplified", "leaf", LeafAdapter().build, SIMPLIFIED, audio="b1t", configs=SMALL,
        stages={"conv": lambda port, x: torch.complex(*port.filterbank.convolve(x).chunk(2, 1)), "pcen": "compression"},
    ),
}  # fmt: skip


def _smoothed(port: nn.Module, x: torch.Tensor) -> torch.Tensor:
    energies = port._pooling(port._activation(port._complex_conv(x[:, None]))).clamp(min=1e-5)
    return port._compress_fn.ema(energies, energies[..., 0])


@pytest.mark.parametrize("name", FAITHFUL)
def test_faithful_port_passes_in_whatever_layout(name):
    port = FAITHFUL[name]
    found = examine(replace(port, initial=False), examples=6)
    assert found.findings == []
    assert {m.stage for m in found.measured} >= {*port.stages, "output", "input", "kernel"}


def by_logarithms(config):
    module = LeafAdapter().build(config)
    module.compression = leaf.PCEN(config.n_filters, eps=config.pcen_floor, clamp=1e-5, learn_logs=True)
    return module


GROUPS = {"num_groups": 2, "conv_win_factor": 4.77, "stride_factor": 4.0}
CLAIMED = {
    "log, none and PCEN": Port(
        "compressions", "og_leaf", OgLeafAdapter().build, ORIGINAL, {"pool": "_pooling"},
        configs={**SMALL, "compression": ("log", "none", "pcen")},
    ),
    "parameters kept as logarithms": Port(
        "logarithms", "leaf", by_logarithms, SIMPLIFIED, {"pool": "filterbank", "pcen": "compression"}, configs=SMALL,
        logs=("PCEN/alpha", "PCEN/delta", "PCEN/root", "PCEN/EMA/smooth"), weights=("trained",), double=False,
    ),
    "groups of filters": Port(
        "groups", "efficientleaf", lambda config: EfficientLeafAdapter().build(config, **GROUPS), SIMPLIFIED,
        {"pool": "filterbank", "pcen": "compression"}, configs=SMALL, groups=GROUPS, audio="b1t",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAIMED)
def test_what_a_rung_holds_can_be_claimed(name):
    found = examine(replace(CLAIMED[name], initial=False), examples=6)
    assert found.findings == []
    assert "pool" in found.holding
    # logarithms take other steps than what they are of, and efficientleaf is not trained by the step that is compared
    assert ("a whole step of training" in found.not_covered) == (name != "log, none and PCEN")


def test_other_groups_are_another_function():
    configs = {"sample_rate": 4000, "n_filters": 3}
    other = replace(CLAIMED["groups of filters"], groups={**GROUPS, "num_groups": 1}, configs=configs, initial=False)
    assert "pool" in examine(other, examples=4).departs


def test_parts_that_lie_otherwise_than_was_said_are_refused():
    # what cannot be so is a matter of the description, not a defect of the port
    found = examine(replace(FAITHFUL["blocks, TensorFlow's padding"], parts="interleaved", initial=False), examples=3)
    assert found.findings == []
    assert set(found.misread) == {"conv", "filters"}


def test_layout_that_is_not_as_was_said_is_found():
    found = examine(replace(FAITHFUL["time before channels"], layout="bct", initial=False), examples=3)
    assert {f.stage for f in found.findings} == {"output"}
    assert "shape" in str(found)


def test_known_divergence_of_another_rung_is_found():
    # simplified LEAF does not limit the smoothing coefficient, as the original does
    found = examine(replace(FAITHFUL["blocks, TensorFlow's padding"], weights=("outside",)), examples=4)
    (finding,) = [f for f in found.findings if f.stage == "pcen"]
    assert "does not limit s (ema)" in finding.what


def test_windows_in_another_shape_are_no_defect():
    turned = {**flawed(()).stages, "windows": lambda port, x: port.pooling.window().T[None, :, :, None]}
    assert examine(flawed((), stages=turned), examples=3).findings == []
    told = flawed((), stages=turned, stages_layout={"windows": "1kc1"})
    assert examine(told, examples=3).findings == []


def test_layout_that_may_be_two_is_refused():
    square = np.random.default_rng(0).standard_normal((2, 4, 4))
    reference = square + 0.9 * square.swapaxes(1, 2)
    with pytest.raises(AdapterError, match=r"may be 'bct' or 'btc'|may be 'btc' or 'bct'"):
        layouts.find(square, reference, "pool")
    assert layouts.find(square, square, "pool") == ("b", "c", "t")
    assert layouts.find(square[..., :3].swapaxes(1, 2), square[..., :3], "pool") == ("b", "t", "c")
    with pytest.raises(AdapterError, match="say which axis is which"):
        layouts.find(square[0, 0], square, "pool")


@pytest.mark.parametrize("text", ["b cp t", "b pc t", "bcpt", "btcp", "t b 1 cp"])
def test_layout_there_and_back(text):
    axes = layouts.parse("conv", text)
    values = np.random.default_rng(0).standard_normal((2, 3, 2, 7))
    own = layouts.from_canonical(values, "conv", axes, is_complex=False)
    assert np.array_equal(layouts.to_canonical(own, "conv", axes, 3), values)
    assert layouts.find(own, values, "conv") == axes


def test_layout_there_and_back_where_values_are_complex():
    values = np.random.default_rng(0).standard_normal((2, 3, 2, 7)).astype(np.float32)
    own = layouts.from_canonical(values, "conv", ("b", "t", "c"), is_complex=True)
    assert own.dtype == np.complex64
    assert own.shape == (2, 7, 3)
    assert np.array_equal(layouts.to_canonical(own, "conv", layouts.find(own, values, "conv"), 3), values)


def test_everything_that_a_port_holds_is_drawn():
    configs = [case.config for case in sample(FAITHFUL["the original with everything"], 40)]
    for field in ("preemp", "mean_var_norm", "per_channel_smooth"):
        assert {getattr(config, field) for config in configs} == {False, True}
    assert len({(config.preemp, config.mean_var_norm, config.per_channel_smooth) for config in configs}) == 8
    assert {config.sample_rate for config in configs} == set(SMALL["sample_rate"])
    assert {config.compression for config in configs} == {"pcen"}


FLOOR = LeafConfig().pcen_floor  # one of two that are drawn


def test_fixed_configuration_is_kept_and_its_edges_are_drawn():
    fixed = flawed(())
    configs = {"n_filters": 2, "sample_rate": 16000, "window_len": 25.0, "window_stride": 10.0}
    cases = sample(replace(fixed, configs=configs, holds=lambda config: config.pcen_floor == FLOOR), 60)
    assert {(c.config.n_filters, c.config.window, c.config.stride) for c in cases} == {(2, 401, 160)}
    assert {case.config.pcen_floor for case in cases} == {FLOOR}
    assert {case.n_samples % 160 for case in cases} >= {0, 1, 159}
    assert {case.weights for case in cases} == {"drawn", "trained", "outside"}


def described(**changes):
    return replace(flawed(()), **changes)


WRONG = {
    "a rung that is none": ({"claims": "tf_leaf"}, "claims='tf_leaf': must be one of"),
    "a layout that is none": ({"layout": "tcx"}, "layout='tcx' of 'output': must have each of b, c, t once"),
    "a stage that is none": ({"stages": {"mel": "gabor"}}, r"stages=\['mel'\]: must be among"),
    "a variable that is none": (
        {"parameters": {**flawed(()).parameters, "alpha": "pcen.alpha"}}, r"parameters=\['alpha'\]: must be among"
    ),
    "a field that is none": ({"configs": {"rate": 16000}}, r"configs=\['rate'\]: must be among"),
    "weights that are none": ({"weights": ("random",)}, r"weights=\['random'\]: must be among"),
    "an input that no rung refuses": ({"accepts": ("silence",)}, r"accepts=\['silence'\]: must be among"),
    "a layout of no stage": ({"stages_layout": {"mel": "bct"}}, r"stages_layout=\['mel'\]: must be among"),
    "groups of a rung that has none": ({"groups": {"num_groups": 2}}, r"groups=\['num_groups'\]: must be left out"),
    "a field of no value": ({"configs": {"n_filters": ()}}, r"configs\['n_filters'\]=\(\): must have a value"),
    "stages by both names": ({"taps": {"conv": "gabor"}}, "taps=.*: must be left out, stages=.* is given"),
    "more than leaf has": ({"claims": "leaf", "configs": {"preemp": True}}, "leaf holds no other"),
}  # fmt: skip
OF_ANOTHER_TYPE = {
    "build": 3, "arguments": 3, "holds": True, "step": "project", "parameters": ["kernel"], "stages": ["conv"],
    "groups": 2, "weights": "drawn", "accepts": "no batch", "extra": "gain", "logs": "PCEN/alpha", "layout": 3,
    "name": 3,
}  # fmt: skip
BROKEN = {
    "a key that is none": ({"parameters": {**flawed(()).parameters, "PCEN/alpha": "alpha"}}, "must be among"),
    "a tensor of another shape": (
        {"parameters": {**flawed(()).parameters, "kernel": "gabor.mu"}}, r"shape \(\d,\), must be \(\d, 2\)"
    ),
    "three keys": (
        {"parameters": {**flawed(()).parameters, "kernel": ("gabor.mu", "gabor.sigma", "pcen.alpha")}}, "one or two"
    ),
    "a submodule that is none": ({"stages": {"conv": "conv1"}}, "stages\\['conv'\\]='conv1': must be among"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_wrong_description_is_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        described(**changes)


@pytest.mark.parametrize(("argument", "value"), OF_ANOTHER_TYPE.items(), ids=OF_ANOTHER_TYPE)
def test_argument_of_another_type_is_refused_by_name(argument, value):
    with pytest.raises(TypeError, match=f"{argument}={re.escape(repr(value))}: must be "):
        described(**{argument: value})


def test_stage_of_another_type_is_refused_by_name():
    with pytest.raises(TypeError, match=r"stages\['conv'\]=3: must be the name of a submodule, or a function"):
        described(stages={"conv": 3})


@pytest.mark.parametrize(("options", "message"), [
    ({"examples": 0}, "examples=0: must be at least 1"), ({"seed": -1}, "seed=-1: must be at least 0"),
])  # fmt: skip
def test_nothing_is_certified_by_no_case(options, message):
    with pytest.raises(ValueError, match=message):
        examine(flawed(()), **options)


@pytest.mark.parametrize("text", ["def f(:\n", "import no_such_module\n"])
def test_file_that_cannot_be_imported_is_refused_by_name(text, tmp_path):
    file = tmp_path / "certify_mine.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"file='.*certify_mine\.py': must be Python that can be imported"):
        certifying.described(file)


@pytest.mark.parametrize(("changes", "message"), BROKEN.values(), ids=BROKEN)
def test_description_that_the_module_does_not_bear_out_is_refused_by_name(changes, message):
    port = described(**changes)
    with pytest.raises(ValueError, match=message):
        Examination(port).run(sample(port, 1)[0])


def test_module_that_hides_the_rung_is_named(monkeypatch, tmp_path):
    (tmp_path / "leaf.py").write_text("Leaf = None\n")
    hidden = importlib.util.spec_from_file_location("leaf", tmp_path / "leaf.py")
    monkeypatch.setattr("parity.ports.port.find_spec", lambda name: hidden)
    with pytest.raises(ImportError, match=r"module 'leaf' is .*leaf\.py: must be leaf-ladder's"):
        Examination(FAITHFUL["simplified"])


def test_file_without_the_port_is_refused(capsys):
    with pytest.raises(ValueError, match=r"describes \['flawed'\]"):
        certifying.described(CERTIFY, "another")
    with pytest.raises(SystemExit) as ended:
        main([str(CERTIFY), "flawed", "no_such_field=1"])
    assert ended.value.code == 2
    assert "no_such_field" in capsys.readouterr().err


def test_old_names_warn():
    with pytest.warns(DeprecationWarning, match=r"parity\.certify"):
        from parity.ports import suite
    assert suite is parity.certify
    with pytest.warns(DeprecationWarning, match="taps: is stages now"):
        old = described(taps={"conv": "gabor"}, stages={})
    assert old.stages == {"conv": "gabor"}
    with pytest.warns(DeprecationWarning, match="taps_layout: is stages_layout now"):
        assert described(taps_layout="btc").given_layout("pool") == "btc"


def test_draws_are_the_same_whatever_else_is_imported():
    # and no library of draws is needed
    code = (
        "import sys; sys.path.insert(0, 'parity_tests/ports'); from certify_flawed import PORT\n"
        "from parity.ports.drawing import sample\n"
        "print(*sample(PORT, 5), sep='|'); assert 'hypothesis' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER.parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().split("|") == [str(case) for case in sample(described_port(), 5)]
