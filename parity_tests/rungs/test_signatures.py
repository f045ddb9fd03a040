"""Every rung has the public names of its source, with the arguments, their order and their defaults."""

from __future__ import annotations

import importlib
import inspect

import pytest

import efficientleaf
import leaf
from parity.cases.public_names import OBJECT, OF_KERAS, PUBLIC, REQUIRED, SIGNATURES, WINDOW_TYPES
from parity_tests.helpers.rungs import one

ORIGINALS = ("tf_leaf", "og_leaf")
LIBRARIES = {"InstanceNormalization", "LayerNormalization"}  # what the original takes from tensorflow-addons and Keras
# facts of the published model/leaf.py and model/efficientleaf.py: arguments by position, and our own by keyword
PUBLISHED = {
    leaf.Leaf: (
        "n_filters=40 min_freq=60.0 max_freq=7800.0 sample_rate=16000 window_len=25.0 window_stride=10.0 "
        "compression=None", "padding='centered'"),
    leaf.GaborFilterbank: (
        "n_filters min_freq max_freq sample_rate filter_size pool_size pool_stride pool_init=0.4",
        "padding='centered'"),
    leaf.PCEN: (
        "num_bands s=0.025 alpha=1.0 delta=1.0 r=1.0 eps=1e-06 learn_logs=True clamp=None", "form='accurate'"),
    leaf.mel_filter_params: ("n_filters min_freq max_freq sample_rate", ""),
    leaf.gabor_filters: ("size center_freqs sigmas", ""),
    leaf.gauss_windows: ("size sigmas", ""),
    efficientleaf.EfficientLeaf: (
        "n_filters=40 num_groups=4 min_freq=60.0 max_freq=7800.0 sample_rate=16000 window_len=25.0 window_stride=10.0 "
        "conv_win_factor=4.77 stride_factor=1.0 compression='logtbn'", "exact=() tolerance=None dynamic_range=None"),
    efficientleaf.GroupedGaborFilterbank: (
        "n_filters num_groups min_freq max_freq sample_rate pool_size pool_stride pool_init=0.4 conv_win_factor=3.0 "
        "stride_factor=1.0", "exact=()"),
    efficientleaf.Log1p: ("a=0 trainable=False per_band=False num_bands=None", ""),
    efficientleaf.TemporalBatchNorm: ("num_bands affine=True per_channel=False num_channels=None", ""),
    efficientleaf.LogTBN: (
        "num_bands affine=True a=0 trainable=False per_band=False median_filter=False append_filtered=False", ""),
}  # fmt: skip


@pytest.mark.parametrize("rung", [one(rung) for rung in ORIGINALS])
def test_exports_the_originals_names_and_those_of_its_libraries(rung):
    module = importlib.import_module(rung)
    expected = {entry.name for entry in PUBLIC} | LIBRARIES
    # PyTorch's rung offers what Keras has by itself, too
    assert set(module.__all__) == expected if rung == "tf_leaf" else set(module.__all__) > expected
    for entry in PUBLIC:
        files = {"frontend": ("frontend", "frontends")}.get(entry.module, (entry.module,))
        assert any(hasattr(importlib.import_module(f"{rung}.{name}"), entry.name) for name in files), entry.name
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(
    ("rung", "name"), [one(rung, name, id=f"{rung}-{name}") for rung in ORIGINALS for name in SIGNATURES]
)
def test_arguments_and_defaults_of_the_original(rung, name):
    made, listed = getattr(importlib.import_module(rung), name), SIGNATURES[name]
    if name == "WindowType":
        assert {member.name: member.value for member in made} == WINDOW_TYPES
        return
    if listed == OF_KERAS:
        keras = importlib.import_module("keras.layers" if rung == "tf_leaf" else rung)
        assert issubclass(made, keras.Conv1D)
        return
    own = inspect.signature(made).parameters
    # nothing depends on the name of a layer in PyTorch, which is told what Keras infers
    listed = {argument: default for argument, default in listed.items() if argument in own or rung == "tf_leaf"}
    assert set(SIGNATURES[name]) - set(listed) <= {"name"}
    first = ["num_channels"] if next(iter(own), "") == "num_channels" else []
    assert [argument for argument in own if argument in listed] == list(listed)
    if rung == "og_leaf":
        assert list(own)[: len(first) + len(listed)] == [*first, *listed]
    for argument, default in listed.items():
        # ours may have a default where the original has none; an object is made anew for each instance, and PyTorch
        # has no initialiser by a name
        if default not in (REQUIRED, OBJECT, *(["glorot_uniform"] if rung == "og_leaf" else [])):
            assert own[argument].default == default, argument


@pytest.mark.parametrize(("rung", "member"), [
    one(member.__module__.split(".")[0], member, id=member.__name__) for member in PUBLISHED
])  # fmt: skip
def test_arguments_and_defaults_of_the_published_layers(rung, member):
    def written(*kinds):
        own = (p for p in inspect.signature(member).parameters.values() if p.kind in kinds)
        return " ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in own)

    assert getattr(importlib.import_module(rung), member.__name__) is member
    assert (written(inspect.Parameter.POSITIONAL_OR_KEYWORD), written(inspect.Parameter.KEYWORD_ONLY)) == PUBLISHED[
        member
    ]
