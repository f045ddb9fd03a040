"""``load_weights``: the original's variables, by any of their names, into any rung; or nothing, and why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

import efficientleaf
import leaf
from fixtures import store
from parity import load_weights
from parity.adapters.canonical import expected_shapes
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.checks.grid import FORWARD, FORWARD_NORM
from parity.criteria import Exactly, OfMax, RelativeL2
from parity.oracle.config import LeafConfig
from parity_tests.helpers.refusals import refused
from parity_tests.meta.weights import SMALL, fresh, held, loaded, refuses, same_bits

TORCH = ("og_leaf", "leaf", "efficientleaf")
EVERYTHING = SMALL.with_(preemp=True, mean_var_norm=True)
LOGS = OfMax(1e-6, "a float32 logarithm up to 7 is rounded by 2^-22, and that is relative to its exponential")

# As TensorFlow prints them: Keras 2 names with a scope and an index, Keras 3 paths with the layer's own name.
SPELLINGS = {
    "plain": lambda name: name,
    "index": lambda name: f"{name}:0",
    "Keras 2": lambda name: "kernel:0" if name == "kernel" else f"leaf/{name}:0",
    "Keras 2, second model": lambda name: "kernel:0" if name == "kernel" else f"leaf_1/{name}:0",
    "Keras 3": lambda name: "leaf/tfbanks_complex_conv/kernel" if name == "kernel" else f"leaf/{name}",
    "scoped": lambda name: f"model/leaf/{name}" if name != "kernel" else "leaf/kernel",
}
# of another alignment of frames, which the tests in test_meaning look at
ELSEWHERE = pytest.mark.filterwarnings("ignore:load_weights. the weights are set, but:UserWarning")
SAME_GRADIENT = RelativeL2(1e-12, "the same function in float64, its parameters behind exp(log p)")


@pytest.fixture
def weights():
    return Case(config=SMALL, seed=1).variables()


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_names_of_the_original(spell):
    variables = Case(config=EVERYTHING, seed=1).variables()
    assert set(variables) == set(expected_shapes(EVERYTHING))
    module = fresh("og_leaf", EVERYTHING)
    load_weights(module, {spell(name): value for name, value in variables.items()})
    assert same_bits(RUNGS["og_leaf"].load_adapter().read(module), variables)


@ELSEWHERE
@pytest.mark.parametrize("rung", TORCH)
def test_every_rung_takes_a_mapping(rung, weights):
    module = fresh(rung)
    load_weights(module, weights)
    state = held(module)
    mu, sigma = weights["kernel"].T
    names = {"og_leaf": "_complex_conv._kernel"}.get(rung)
    got = state[names].T if names else (state["filterbank.center_freqs"], state["filterbank.bandwidths"])
    assert np.array_equal(got[0], mu)
    assert np.array_equal(got[1], sigma)


@ELSEWHERE
@pytest.mark.parametrize("to", TORCH)
@pytest.mark.parametrize("source", TORCH)
def test_from_another_rung(source, to, weights):
    module = fresh(to)
    load_weights(module, loaded(source, Case(config=SMALL, seed=1)))
    assert same_bits(RUNGS[to].load_adapter().read(module), weights)


@pytest.mark.usefixtures("tensorflow")
def test_into_and_from_tensorflow(weights):
    below, above = fresh("tf_leaf"), fresh("leaf")
    load_weights(below, weights)
    load_weights(above, below)
    assert same_bits(RUNGS["leaf"].load_adapter().read(above), weights)


def save_tensors(path, **weights):
    torch.save({"epoch": 3, "model": {name: torch.from_numpy(value) for name, value in weights.items()}}, path)


FILES = {
    "w.npz": np.savez, "packed.npz": np.savez_compressed, "w.pt": save_tensors,
    "w.safetensors": lambda path, **weights: save_file({name: value.copy() for name, value in weights.items()}, path),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", [str, Path])
def test_from_a_file(name, kind, tmp_path, weights):
    FILES[name](tmp_path / name, **weights)
    module = fresh("leaf")
    load_weights(module, kind(tmp_path / name), scope="model" if name == "w.pt" else None)
    assert same_bits(RUNGS["leaf"].load_adapter().read(module), weights)


@pytest.mark.parametrize("kind", [">f4", "<f8", "f2", "longdouble"])
def test_any_real_type_is_taken(kind, weights):
    module = fresh("leaf")
    load_weights(module, {name: value.astype(kind) for name, value in weights.items()})
    expected = {name: value.astype(kind).astype(np.float32) for name, value in weights.items()}
    assert same_bits(RUNGS["leaf"].load_adapter().read(module), expected)


@pytest.mark.parametrize("name", ["default", "outside_every_clamp", "everything", "fixed_pcen"])
def test_variables_of_a_golden_give_its_output(name):
    golden = store.load(name)
    module = fresh("og_leaf", golden.config)
    load_weights(module, {f"leaf/{key}:0": value for key, value in golden.group("variables").items()})
    with torch.no_grad():
        output = module(torch.from_numpy(golden.arrays["input"])).numpy()
    criterion = FORWARD_NORM if golden.config.mean_var_norm else FORWARD
    verdict = criterion(output, golden.arrays["output"])
    assert verdict.passes, verdict


@ELSEWHERE
def test_learned_logarithms_hold_the_logarithm(weights):
    module = leaf.Leaf(3, 60, 900, 2000, compression=leaf.PCEN(3, clamp=1e-5))
    load_weights(module, weights)
    acting = [p.detach().numpy() for p in module.compression.parameters_linear()]
    expected = [weights["PCEN/EMA/smooth"], weights["PCEN/alpha"], weights["PCEN/delta"], 1 / weights["PCEN/root"]]
    for got, wanted in zip(acting, expected, strict=True):
        assert LOGS(got, wanted).passes
    returned = RUNGS["leaf"].load_adapter().read(module)
    for name, value in weights.items():
        assert LOGS(returned[name], value).passes


def test_smoothing_acts_as_in_the_original(weights):
    # the original clips the coefficient when it runs, simplified LEAF does not
    weights["PCEN/EMA/smooth"] = np.float32([-0.5, 0.25, 1.5])
    module = fresh("leaf")
    load_weights(module, weights)
    clipped = Exactly("limits and a quarter, which float32 holds")
    assert clipped(module.compression.s.tolist(), [0.0, 0.25, 1.0]).passes


@ELSEWHERE
def test_learned_logarithms_hold_what_the_original_limits():
    # where they are used, logarithms are not limited: alpha above 1 and a root below 1 are carried as 1
    weights = Case(config=SMALL, weights="outside_shared", seed=2).variables()
    assert weights["PCEN/alpha"].max() > 1 > weights["PCEN/root"].min()
    module = leaf.Leaf(3, 60, 900, 2000, compression=leaf.PCEN(3, clamp=1e-5))
    load_weights(module, weights)
    _, alpha, _, r = module.compression.parameters_linear()
    assert LOGS(alpha.detach().numpy(), np.minimum(weights["PCEN/alpha"], 1)).passes
    assert LOGS(r.detach().numpy(), 1 / np.maximum(weights["PCEN/root"], 1)).passes


def test_gradient_of_learned_logarithms_is_the_linear_one():
    case = Case(config=SMALL, weights="trained", n_samples=200, seed=3)
    adapter, x = RUNGS["leaf"].load_adapter(), case.input()
    linear = loaded("leaf", case, "float64", "centered")
    logs = leaf.Leaf(3, 60, 900, 2000, compression=leaf.PCEN(3, eps=1e-12, clamp=1e-5)).double()
    load_weights(logs, linear)
    cotangent = case.cotangent(adapter.output(linear, x).shape)
    expected, found = (adapter.gradients(module, x, cotangent) for module in (linear, logs))
    for name, value in expected.items():
        assert SAME_GRADIENT(found[name], value).passes, name


def changed(**values):
    return lambda weights: {**weights, **{name.replace("__", "/"): value for name, value in values.items()}}


NAN, INF = np.float32([0.1, np.nan, 0.1]), np.float32([0.1, 0.1, -np.inf])
PREEMP = np.ones((2, 1, 1))
REFUSED = {
    "missing": (ValueError, ("missing ['PCEN/alpha']",), lambda w: {k: w[k] for k in w if "alpha" not in k}),
    "nothing": (ValueError, ("missing", "PCEN/EMA/smooth", "kernel"), lambda w: {}),
    "extra": (ValueError, ("not expected ['PCEN/beta']", "allowed are"), changed(PCEN__beta=np.ones(3))),
    "not held": (ValueError, ("not expected ['tfbanks_preemp/kernel']",), changed(tfbanks_preemp__kernel=PREEMP)),
    "misshapen": (ValueError, ("'kernel'", "(2, 3)", "(3, 2)"), changed(kernel=np.ones((2, 3)))),
    "another width": (ValueError, ("'PCEN/root'", "(4,)", "(3,)"), changed(PCEN__root=np.ones(4))),
    "scalar": (ValueError, ("'PCEN/root'", "()", "(3,)"), changed(PCEN__root=2.0)),
    "shared": (ValueError, ("'PCEN/EMA/smooth'", "(1,)", "(3,)"), changed(PCEN__EMA__smooth=np.ones(1))),
    "duplicate": (ValueError, ("'kernel'", "'leaf/kernel:0'", "once"), lambda w: {**w, "leaf/kernel:0": w["kernel"]}),
    "NaN": (ValueError, ("'PCEN/alpha'", "nan", "finite"), changed(PCEN__alpha=NAN)),
    "infinite": (ValueError, ("'PCEN/alpha'", "-inf", "finite"), changed(PCEN__alpha=INF)),
    "too large": (ValueError, ("'PCEN/alpha'", "1e+39", "3.40282e+38"), changed(PCEN__alpha=np.full(3, 1e39))),
    "complex": (TypeError, ("'PCEN/alpha'", "complex128", "real"), changed(PCEN__alpha=np.ones(3) * 1j)),
    "object": (TypeError, ("'PCEN/alpha'", "object", "real"), changed(PCEN__alpha=np.array([1, None, 2]))),
    "text": (TypeError, ("'PCEN/alpha'", "<U3", "real"), changed(PCEN__alpha=["0.9"] * 3)),
    "bool": (TypeError, ("'PCEN/alpha'", "bool", "real"), changed(PCEN__alpha=[True] * 3)),
    "ragged": (TypeError, ("'PCEN/alpha'", "list", "numeric"), changed(PCEN__alpha=[[1], [1, 2]])),
    "name": (TypeError, ("7", "string"), lambda w: {**w, 7: np.ones(3)}),
}  # fmt: skip


@pytest.mark.parametrize(("error", "named", "change"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("rung", TORCH)
def test_refused_and_nothing_changed(rung, error, named, change, weights):
    refuses(fresh(rung), change(weights), *named, error=error)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("name", ["missing", "misshapen", "NaN", "too large"])
def test_tensorflow_refuses_and_changes_nothing(name, weights):
    error, named, change = REFUSED[name]
    module, adapter = fresh("tf_leaf"), RUNGS["tf_leaf"].load_adapter()
    before = adapter.read(module)
    refused(lambda: load_weights(module, change(weights)), error, *named)
    assert same_bits(adapter.read(module), before)


@pytest.mark.parametrize("rung", ["leaf", "efficientleaf"])
def test_negative_delta_is_refused_where_it_would_be_zero(rung, weights):
    weights["PCEN/delta"][1] = -0.5
    refuses(fresh(rung), weights, "'PCEN/delta'", "-0.5", "at least 0", rung)


def test_smoothing_beyond_the_originals_limits_is_refused(weights):
    source = fresh("leaf")
    source.compression.s.data[1] = 1.25
    refuses(fresh("og_leaf"), source, "'PCEN/EMA/smooth'", "1.25", "[0, 1]", "og_leaf")


def test_zero_has_no_logarithm(weights):
    module = leaf.Leaf(3, 60, 900, 2000, compression=leaf.PCEN(3))
    weights["PCEN/delta"][2] = 0
    refuses(module, weights, "'PCEN/delta'", "value 0.0", "above 0")


@pytest.mark.parametrize(("module", "error", "named"), [
    (nn.Linear(2, 2), TypeError, ("Linear", "leaf.Leaf")),
    (object(), TypeError, ("object", "og_leaf.Leaf")),
    (efficientleaf.EfficientLeaf(3, 1), ValueError, ("compression=LogTBN", "leaf.PCEN")),
    (leaf.Leaf(3, compression=nn.Identity()), ValueError, ("compression=Identity", "leaf.PCEN")),
    (leaf.Leaf(3, compression=leaf.PCEN(1)), ValueError, ("compression.num_bands=1", "n_filters=3")),
], ids=["Linear", "object", "logtbn", "module", "shared PCEN"])  # fmt: skip
def test_module_that_is_refused(module, error, named, weights):
    refused(lambda: load_weights(module, weights), error, *named)
    refused(lambda: load_weights(fresh("og_leaf"), module), error, *named)


def test_another_configuration_is_refused():
    source = fresh("og_leaf", LeafConfig(n_filters=3, sample_rate=2000, compression="log"))
    refuses(fresh("leaf"), source, "missing", "PCEN/alpha")
