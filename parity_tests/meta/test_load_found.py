"""``load_weights``: frontends under a prefix, inside another module, or in half the bits; and what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import og_leaf
from parity import load_weights
from parity.adapters.rungs import RUNGS
from parity.cases.case import Case
from parity.criteria import Exactly
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.weights import SMALL, fresh, held, loaded, refuses, same_bits

# of PyTorch, whose compiler makes it itself when it is first imported
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
CASE = Case(config=SMALL, seed=1)
ROUNDED = Exactly("each value rounded to half the bits, and float32 holds those")


def state_dict():
    return loaded("og_leaf", CASE).state_dict()


@pytest.mark.parametrize("file", [False, True], ids=["mapping", ".pt"])
def test_of_several_one_must_be_said(file, tmp_path):
    module = fresh("og_leaf")
    source = {"model": state_dict(), "average": {name: 0.5 * value for name, value in state_dict().items()}}
    if file:
        torch.save(source, tmp_path / "w.pt")
        source = tmp_path / "w.pt"
    refuses(module, source, "scope=None", "['average', 'model']")
    load_weights(module, source, scope="model")
    assert same_bits(held(module), held(loaded("og_leaf", CASE)))


def test_a_state_dict_without_a_prefix_must_be_the_frontends_to_the_last():
    refuses(fresh("og_leaf"), {**state_dict(), "head.weight": torch.ones(2, 3)}, "not expected ['head.weight']")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["state dict", "names", ".pt", ".safetensors"])
def test_half_the_bits(kind, dtype, tmp_path):
    from safetensors.torch import save_file

    whole = CASE.variables() if kind == "names" else state_dict()
    source = {name: torch.as_tensor(value).to(dtype) for name, value in whole.items()}
    expected = fresh("og_leaf")
    load_weights(expected, {name: torch.as_tensor(value).to(dtype).float().numpy() for name, value in whole.items()})
    if kind == ".pt":
        torch.save(source, tmp_path / "w.pt")
    elif kind == ".safetensors":
        save_file(source, tmp_path / "w.safetensors")
    module = fresh("og_leaf")
    load_weights(module, tmp_path / f"w{kind}" if kind.startswith(".") else source)
    for name, value in held(module).items():
        assert ROUNDED(value, held(expected)[name]).passes, name
    assert not same_bits(held(module), held(loaded("og_leaf", CASE)))


@pytest.mark.parametrize("name", ["F64", "I32", "U8", "BOOL"])
def test_numbers_of_a_safetensors_file(name, tmp_path):
    from safetensors.numpy import load_file, save_file

    from parity.weights.load_weights import open_file

    kind = {"F64": "f8", "I32": "i4", "U8": "u1", "BOOL": "?"}[name]
    save_file({"a": np.arange(6).reshape(2, 3).astype(kind)}, tmp_path / "w.safetensors")
    found = open_file(tmp_path / "w.safetensors").arrays["a"].read()
    assert same_bits({"a": found}, load_file(tmp_path / "w.safetensors"))


def test_a_file_is_named_once_and_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(CASE.variables() | {"kernel": np.full((3, 2), np.nan)}, "w.pt")
    torch.save({"kernel": torch.full((3, 2), torch.nan)}, "nan.pt")
    torch.save({"kernel": torch.zeros(3, 2)}, "few.pt")
    for name, named in (("gone.npz", "no such file"), ("w.pt", "must be a state dict of tensors alone"),
                        ("nan.pt", "variable 'kernel': must be finite"), ("few.pt", "missing")):  # fmt: skip
        refuses(fresh("og_leaf"), f"./{name}", named)


def test_parameters_are_tensors_too():
    source = fresh("og_leaf")
    load_weights(source, CASE.variables())
    module = fresh("og_leaf")
    load_weights(module, dict(source.named_parameters()))
    assert same_bits(held(module), held(source))


@pytest.mark.parametrize("around", [torch.compile, nn.DataParallel])
def test_what_computes_the_same_is_taken_off(around):
    module, source = fresh("og_leaf"), loaded("og_leaf", CASE)
    load_weights(around(module), source)
    assert same_bits(held(module), held(source))
    module = fresh("leaf")
    load_weights(module, around(source))
    assert same_bits(RUNGS["leaf"].load_adapter().read(module), CASE.variables())


@pytest.mark.parametrize("around", [lambda module: module, torch.compile])
def test_a_frontend_inside_a_model_is_named(around):
    model = around(nn.Sequential(nn.Identity(), fresh("og_leaf"), nn.Linear(2, 2)))
    for name, call in (("module", lambda: load_weights(model, CASE.variables())),
                       ("source", lambda: load_weights(fresh("leaf"), model))):  # fmt: skip
        refused(call, TypeError, f"{name}=", "Sequential", "frontends at ['1']", f"{name}.get_submodule('1')")


@pytest.mark.parametrize("name", ["model.index", "model.data-00000-of-00001"])
def test_a_part_of_a_checkpoint(name):
    refuses(fresh("og_leaf"), files.FOLDER / "leaf" / name, name, "give the prefix 'model'")


def with_bias(base):
    class Biased(base):
        def __init__(self, **options):
            super().__init__(**{**options, "use_bias": True})

    return Biased


@pytest.mark.parametrize(("name", "bias"), [
    ("GaborConv1D", "_bias"), ("NormalizedConv1D", "_bias"), ("SincConv1D", "_bias"), ("Conv1D", "bias"),
    ("FFTConv1D", "bias"),
])  # fmt: skip
def test_a_bias_is_not_left_behind(name, bias):
    filterbank = getattr(og_leaf, name)
    options = {"n_filters": 3, "compression_fn": None, "pooling_cls": og_leaf.MaxPooling1D}
    if name != "GaborConv1D":
        options["complex_conv_init"] = og_leaf.GlorotUniform(401, 401)
    biased = og_leaf.Leaf(conv1d_cls=with_bias(filterbank), **options)
    plain = og_leaf.Leaf(conv1d_cls=filterbank, **options)
    for module, source in ((plain, biased), (biased, plain)):
        refuses(module, source, "_complex_conv=Biased", f"without ['{bias}']")


def test_names_of_the_originals_layer_do_not_make_another_class_one():
    module, source = (og_leaf.Leaf(n_filters=3, compression_fn=nn.GroupNorm(1, 3)) for _ in range(2))
    refuses(module, source, "_compress_fn=GroupNorm", "without ['weight', 'bias']")


@pytest.mark.usefixtures("tensorflow")
def test_two_weights_of_one_name_in_tensorflow():
    import keras

    import tf_leaf

    dense = keras.layers.Dense(4, use_bias=False)
    dense.build((None, None, 4))
    module = tf_leaf.Leaf(n_filters=4, compression_fn=dense)
    adapter = RUNGS["tf_leaf"].load_adapter()
    both = [weight.path for weight in module.weights if weight.path.endswith("kernel")]
    refused(lambda: adapter.read(module), ValueError, *[path for path in both if "pooling" not in path])
    refused(lambda: load_weights(fresh("og_leaf"), module), ValueError, "'kernel'")
