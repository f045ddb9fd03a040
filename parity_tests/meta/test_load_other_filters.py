"""Weights of other filters are refused where their variables have the same names and shapes but mean something else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import leaf
import og_leaf
from parity import load_weights
from parity.adapters.rungs import RUNGS
from parity.weights.convert_file import convert_file
from parity.weights.infer_config import possible_classes
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta import weights

GEOMETRY = {"sample_rate": 8000, "window_len": 4.0, "window_stride": 2.0}
FREE = {"complex_conv_init": og_leaf.GlorotUniform(33, 33), "compression_fn": None}

# of Keras, which hands its variables to h5py
HANDED = "ignore:__array__ implementation:DeprecationWarning"


def gabor_with_fixed_pcen():
    return og_leaf.Leaf(n_filters=4, compression_fn=og_leaf.PCENLayer(4), **GEOMETRY)


def free(conv1d_cls, pooling_cls, compression_fn=None):
    options = {**FREE, "compression_fn": compression_fn}
    return og_leaf.Leaf(n_filters=4, conv1d_cls=conv1d_cls, pooling_cls=pooling_cls, **GEOMETRY, **options)


def max_pooled(conv1d_cls):
    return free(conv1d_cls, og_leaf.MaxPooling1D)


def channel_wise(conv1d_cls):
    return free(conv1d_cls, og_leaf.ChannelWiseLearnablePooling1D, og_leaf.log_compression)


OTHERS = {
    "sincnet_plus": (gabor_with_fixed_pcen, "SincConv1D", "GaborConv1D"),
    "leaf_fixed_pcen": (lambda: og_leaf.SincNetPlus(n_filters=4), "GaborConv1D", "SincConv1D"),
    "leaf_fft": (lambda: max_pooled(og_leaf.NormalizedConv1D), "FFTConv1D", "NormalizedConv1D"),
    "leaf_normalized": (lambda: channel_wise(og_leaf.Conv1D), "NormalizedConv1D", "Conv1D"),
}


def refuses(module, source, *named):
    weights.refuses(module, source, "kernel", *named)


@pytest.mark.parametrize("kind", ["model", "model.h5"])
@pytest.mark.parametrize(("name", "other"), OTHERS.items())
def test_recorded_files(name, other, kind):
    build, its, wanted = other
    refuses(build(), files.FOLDER / name / kind, its, f"must be of the module's {wanted}")


@pytest.mark.parametrize(("name", "other"), OTHERS.items())
def test_modules(name, other):
    build, its, wanted = other
    source = files.torch_frontend(name)
    load_weights(source, files.FOLDER / name / "model")
    refuses(build(), source, f"is of {its}", wanted)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.filterwarnings(HANDED)
@pytest.mark.parametrize(("name", "other"), OTHERS.items())
def test_modules_of_tensorflow_and_what_keras_3_saves_of_them(name, other, tmp_path):
    build, its, wanted = other
    source = files.tensorflow_frontend(name)
    load_weights(source, files.FOLDER / name / "model")
    refuses(build(), source, f"is of {its}", wanted)
    source.save_weights(tmp_path / "w.weights.h5")
    refuses(build(), tmp_path / "w.weights.h5", f"is of {its}", wanted)


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.filterwarnings(HANDED)
def test_keras_own_convolution_in_what_keras_3_saves(tmp_path):
    source = files.tensorflow_frontend("leaf_conv")
    source.save_weights(tmp_path / "w.weights.h5")
    for wanted in ("NormalizedConv1D", "FFTConv1D"):
        module = free(getattr(og_leaf, wanted), og_leaf.LearnablePooling1D)
        refuses(module, tmp_path / "w.weights.h5", "is of Conv1D", wanted)


@pytest.mark.parametrize("name", ["leaf_normalized", "sincnet_plus"])
def test_state_dicts(name, tmp_path):
    build, its, wanted = OTHERS[name]
    source = files.torch_frontend(name)
    load_weights(source, files.FOLDER / name / "model")
    refuses(build(), source.state_dict(), its, wanted)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    refuses(build(), tmp_path / "w.pt", its, wanted)


def test_simplified_leaf_holds_gabor_filters_alone():
    source = leaf.Leaf(4, 60, 3900, 8000, compression=leaf.PCEN(4, learn_logs=False, clamp=1e-5))
    variables = RUNGS["leaf"].load_adapter().read(source)
    refuses(source, {**variables, "kernel": 100 * variables["kernel"]}, "SincConv1D", "which is Hz", "GaborConv1D")


@pytest.mark.parametrize(("name", "conv1d_cls", "its"), [
    ("leaf_normalized", "Conv1D", "NormalizedConv1D"), ("leaf_fft", "NormalizedConv1D", "FFTConv1D"),
    ("leaf_log", "SincConv1D", "GaborConv1D"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["model", "model.h5"])
def test_command(name, conv1d_cls, its, kind, tmp_path):
    compression = "none" if name == "leaf_fft" else "log"
    activation = "relu" if conv1d_cls == "SincConv1D" else "squared_modulus"
    settings = {**GEOMETRY, "conv1d_cls": conv1d_cls, "compression": compression, "activation": activation}
    call = lambda: convert_file(files.FOLDER / name / kind, tmp_path / "w.safetensors", "og_leaf", settings)  # noqa: E731
    refused(call, ValueError, its, conv1d_cls)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kernel", "hints", "classes"), [
    ([[4.5, 1], [1, 2]], {}, ("SincConv1D",)),
    ([[-955, 742]], {}, ("SincConv1D",)),
    ([[np.float32(np.pi), 2], [1, 2]], {}, ("GaborConv1D",)),
    ([[1, 9]], {}, ("GaborConv1D", "SincConv1D")),  # one low-pass of 51 Hz and more
    ([[3.5, 9], [1, 2]], {}, ("GaborConv1D", "SincConv1D")),
    ([[955, 742]], {"conv1d_cls": "GaborConv1D"}, ("GaborConv1D",)),
    ([[1, 2], [1, 2]], {"frontend": "SincNet"}, ("SincConv1D",)),
    ([[1, 2], [1, 2]], {"frontend": "Leaf", "conv1d_cls": "SincConv1D"}, ("SincConv1D",)),
    ([[[1, 2]]], {}, ("Conv1D", "FFTConv1D", "NormalizedConv1D")),
    ([[[1, 2]]], {"kernel": "own", "frontend": "Leaf"}, ("NormalizedConv1D",)),
    ([[[1, 2]]], {"kernel": "keras"}, ("Conv1D", "FFTConv1D")),
    ([[[1, 2]]], {"frontend": "TimeDomainFilterbanks"}, ("Conv1D",)),
])  # fmt: skip
def test_what_can_be_told(kernel, hints, classes):
    assert possible_classes(np.float32(kernel), hints)[0] == classes


def test_class_of_the_users_own_is_held_to_the_original_that_it_derives_from():
    class Mine(og_leaf.SincConv1D):
        pass

    class MineToo(og_leaf.GaborConv1D):
        pass

    options = {"n_filters": 4, "compression_fn": None, **GEOMETRY}
    source = og_leaf.Leaf(conv1d_cls=MineToo, **options)
    load_weights(og_leaf.Leaf(**options), source)
    refuses(og_leaf.Leaf(conv1d_cls=Mine, complex_conv_init=og_leaf.SincInit(), **options), source, "SincConv1D")
