"""Every PyTorch rung reads its own state dict, in every kind of file and wherever it stands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import efficientleaf
import leaf
import og_leaf
from parity import convert, load, load_weights
from parity.adapters.rungs import RUNGS
from parity.criteria import AtMost, OfMax
from parity.weights.build_from_file import build_from_file
from parity.weights.convert_file import convert_file
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.weights import held, refuses, same_bits

READ_BACK = AtMost(0.0, "the same tensors in the same modules")
LOGS = OfMax(1e-6, "a float32 logarithm up to 7 is rounded by 2^-22, and that is relative to its exponential")
CLASSES = {
    "simplified": lambda: leaf.Leaf(n_filters=3, compression=leaf.PCEN(3, 0.04, 0.96, 2.0, 0.5, learn_logs=False)),
    "leaf of logarithms": lambda: leaf.Leaf(n_filters=3, compression=leaf.PCEN(3, 0.04, 0.96, 2.0, 0.5)),
    "leaf padded as TensorFlow": lambda: leaf.Leaf(n_filters=3, padding="same"),
    "leaf without PCEN": lambda: leaf.Leaf(n_filters=3, compression=nn.Identity()),
    "efficientleaf": lambda: efficientleaf.EfficientLeaf(n_filters=3, num_groups=2),
    "efficientleaf with PCEN": lambda: efficientleaf.EfficientLeaf(n_filters=3, num_groups=2, compression="pcen"),
    "efficientleaf with a tolerance": lambda: efficientleaf.EfficientLeaf.from_leaf(leaf.Leaf(3)),
    **{name: lambda name=name: files.torch_frontend(name) for name in files.SUBJECTS if name != "mel_filterbanks"},
    "mel": lambda: og_leaf.MelFilterbanks(n_filters=3),
}
PUT = {
    "bare": lambda state: state,
    "nested": lambda state: {"model": {"frontend": state, "head": {"weight": torch.ones(2, 3)}}, "epoch": 3},
    "data parallelism": lambda state: {f"module.{name}": value for name, value in state.items()},
    "torch.compile": lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    "a model around it": lambda state: {"head.bias": torch.ones(2), **{f"a.b.{n}": v for n, v in state.items()}},
    "all of it": lambda state: {"state_dict": {f"module._orig_mod.{n}": v for n, v in state.items()}, "lr": 0.1},
}
SCOPES = {"bare": None, "nested": "model/frontend", "data parallelism": "module", "torch.compile": "_orig_mod",
          "a model around it": "a/b", "all of it": "state_dict/module/_orig_mod"}  # fmt: skip


def trained(name, seed=1):
    """A module whose tensors are all its own; the numbers stay in the domain of the class."""
    module, rng = CLASSES[name](), np.random.default_rng(seed)
    with torch.no_grad():
        for tensor in module.state_dict(keep_vars=True).values():
            if tensor.is_floating_point():
                tensor.mul_(torch.as_tensor(rng.uniform(1.1, 1.2, tuple(tensor.shape)), dtype=tensor.dtype))
    return module


def written(state, path):
    from safetensors.torch import save_file

    flat = {name: value.contiguous() for name, value in state.items()}
    if path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in flat.items()})
    elif path.suffix == ".safetensors":
        save_file(flat, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("kind", ["mapping", ".pt", ".safetensors", ".npz", "module", "module in a model"])
def test_own_state_dict(kind, name, tmp_path):
    source, module = trained(name), CLASSES[name]()
    if kind == "module":
        load_weights(module, source)
    elif kind == "module in a model":
        load_weights(module, nn.Sequential(nn.Identity(), nn.ModuleDict({"front": source})), scope="1/front")
    elif kind == "mapping":
        load_weights(module, source.state_dict())
    else:
        load_weights(module, written(source.state_dict(), tmp_path / f"w{kind}"))
    assert same_bits(held(module), held(source))


@pytest.mark.parametrize("scoped", [False, True])
@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize(
    "name", ["simplified", "leaf of logarithms", "efficientleaf", "leaf", "leaf_normalized", "sincnet_plus"]
)
def test_wherever_it_stands(name, put, scoped, tmp_path):
    source = trained(name)
    torch.save(PUT[put](source.state_dict()), tmp_path / "w.pt")
    for content in (tmp_path / "w.pt", PUT[put](source.state_dict())):
        module = CLASSES[name]()
        load_weights(module, content, scope=SCOPES[put] if scoped else None)
        assert same_bits(held(module), held(source))


def test_state_dict_of_what_is_put_around():
    source, module = trained("simplified"), CLASSES["simplified"]()
    load_weights(nn.DataParallel(module), nn.DataParallel(source).state_dict())
    assert same_bits(held(module), held(source))


def test_logarithms_are_told_by_their_values():
    source, module = trained("leaf of logarithms"), CLASSES["simplified"]()
    load_weights(module, source.state_dict())
    for found, expected in zip(
        module.compression.parameters_linear(), source.double().compression.parameters_linear(), strict=True
    ):
        assert LOGS(found.detach().numpy(), expected.detach().numpy()).passes
    doubtful = {**source.state_dict(), "compression.s": torch.tensor([-1.0, 0.5, 0.5])}
    refused(lambda: load_weights(og_leaf.Leaf(n_filters=3), doubtful), ValueError, "'compression.s'", "logarithms")


@pytest.mark.parametrize("name", ["simplified", "leaf of logarithms", "efficientleaf with PCEN"])
def test_into_the_rung_below(name):
    source, module = trained(name), og_leaf.Leaf(n_filters=3)
    load_weights(module, source.state_dict())
    expected = RUNGS["leaf"].load_adapter().read(source)
    assert same_bits(RUNGS["og_leaf"].load_adapter().read(module), expected)


def test_limits_of_the_rung_above_are_carried():
    source = trained("simplified")
    source.compression.delta.data[0] = -1
    module = og_leaf.Leaf(n_filters=3)
    load_weights(module, source.state_dict())
    assert module._compress_fn.delta.tolist()[0] == 0
    source.compression.s.data[0] = 2
    refused(lambda: load_weights(module, source.state_dict()), ValueError, "'PCEN/EMA/smooth'", "2.0", "[0, 1]")


@pytest.mark.parametrize(("source", "into", "named"), [
    ("efficientleaf", "simplified", ("missing ['compression.alpha'", "not expected ['compression.TBN.bn.bias'")),
    ("simplified", "efficientleaf", ("missing ['compression.TBN.bn.bias'", "not expected ['compression.alpha'")),
    ("efficientleaf", "leaf_everything", ("not expected ['compression.TBN.bn.bias'",)),
    ("simplified", "sincnet_plus", ("PCEN/simple_rnn/simple_rnn_cell/kernel",)),
])  # fmt: skip
def test_what_a_class_cannot_hold(source, into, named):
    refuses(CLASSES[into](), trained(source).state_dict(), *named)


@pytest.mark.parametrize(("change", "error", "named"), [
    ({"filterbank.bandwidths": torch.tensor([1.0, float("nan"), 1.0])}, ValueError, ("'filterbank.bandwidths'", "nan")),
    ({"filterbank.bandwidths": torch.ones(4)}, ValueError, ("'filterbank.bandwidths'", "(4,)", "(3,)")),
    ({"compression.TBN.bn.weight": torch.full((6,), 1e39, dtype=torch.float64)}, ValueError, ("bn.weight", "1e+39")),
    ({"compression.TBN.bn.num_batches_tracked": torch.tensor(1.5)}, TypeError, ("num_batches_tracked", "integers")),
    ({"compression.log1p.a": torch.ones(3, dtype=torch.complex64)}, TypeError, ("log1p.a", "complex64", "real")),
    ({"compression.log1p.a": torch.ones(3, dtype=torch.bool)}, TypeError, ("log1p.a", "bool", "real")),
])  # fmt: skip
def test_values_that_a_class_cannot_hold(change, error, named):
    refuses(CLASSES["efficientleaf"](), {**trained("efficientleaf").state_dict(), **change}, *named, error=error)


def test_scope_of_a_module_that_has_no_such_part():
    model = nn.Sequential(nn.Identity(), trained("simplified"))
    named = ("scope='2/leaf'", "Sequential has no part '2'", "frontends are at ['1']")
    refuses(CLASSES["simplified"](), model, *named, scope="2/leaf")


@pytest.mark.usefixtures("tensorflow")
def test_scope_of_a_keras_model():
    import keras

    import tf_leaf

    frontend = tf_leaf.Leaf(n_filters=3, name="front")
    model = keras.Sequential([keras.Input((400,)), frontend])
    module = og_leaf.Leaf(n_filters=3)
    frontend.weights[0].assign(1.5 + 0 * frontend.weights[0])
    load_weights(module, model, scope="front")
    adapters = {rung: RUNGS[rung].load_adapter() for rung in ("og_leaf", "tf_leaf")}
    assert same_bits(adapters["og_leaf"].read(module), adapters["tf_leaf"].read(frontend))
    refuses(module, model, "scope='back'", "frontends are at ['front']", scope="back")


@pytest.mark.parametrize(("name", "to"), [
    ("leaf of logarithms", "leaf"), ("leaf padded as TensorFlow", "leaf"), ("simplified", "efficientleaf"),
])  # fmt: skip
def test_command_converts_a_state_dict_of_leaf(name, to, tmp_path):
    source = trained(name)
    path = written(source.state_dict(), tmp_path / "l.pt")
    settings = {"padding": "same"} if name == "leaf padded as TensorFlow" else {}
    options = {"padding": "centered"} if to == "efficientleaf" else {}
    converted = convert_file(path, tmp_path / "w.safetensors", to, settings, options=options)
    assert converted.assumed.get("rung") == "leaf"
    assert converted.assumed.get("padding", "same") == ("same" if settings else "centered")
    assert set(converted.assumed) >= {"sample_rate", "window_len", "window_stride", "pcen_floor"}
    module = load(tmp_path / "w.safetensors")
    assert module.compression.learn_logs == source.compression.learn_logs
    if to == "leaf":
        assert READ_BACK(converted.difference).passes
        assert same_bits(held(module), held(source))
        assert module.padding == source.padding


def test_state_dict_of_leaf_becomes_og_leaf_where_the_frames_are_accepted(tmp_path):
    path = written(trained("simplified").state_dict(), tmp_path / "l.pt")
    call = lambda **settings: convert_file(path, tmp_path / "w.safetensors", "og_leaf", settings)  # noqa: E731
    refused(call, ValueError, "padding='centered'", "og_leaf holds padding='same' alone")
    call(padding="same")
    expected = convert(build_from_file(path, None, {"padding": "same"}).module, "og_leaf")
    assert same_bits(held(load(tmp_path / "w.safetensors")), held(expected))


def test_another_compression_is_not_converted(tmp_path):
    path = written(trained("efficientleaf").state_dict(), tmp_path / "e.pt")
    refused(lambda: build_from_file(path, None, {}), ValueError, "'compression.log1p.a'", "must be those of PCEN")
