"""Rung 0 as a Keras model: dtypes, widths, layouts, modes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parity.criteria import Exactly

pytestmark = pytest.mark.usefixtures("tensorflow")

Z = math.sqrt(2 * math.log(2)) / math.pi
CONSTANT = Exactly("a constant in the weight's own type")
AUDIO = np.random.default_rng(0).uniform(-1, 1, (2, 333))


@pytest.fixture(scope="module")
def tf_leaf(tensorflow):
    import tf_leaf

    return tf_leaf


def small(tf_leaf, **arguments):
    return tf_leaf.Leaf(n_filters=3, sample_rate=2000, **arguments)


def test_a_second_frontend_of_another_width_works(tf_leaf):
    first, second = tf_leaf.Leaf(n_filters=2), tf_leaf.Leaf(n_filters=5)
    audio = np.float32(AUDIO)
    assert first(audio).shape == (2, 3, 2)
    assert second(audio).shape == (2, 3, 5)
    assert {id(w) for w in first.weights}.isdisjoint(id(w) for w in second.weights)


FORMS = {
    "pcen": lambda t: {},
    "everything": lambda t: {"preemp": True, "mean_var_norm": True},
    "fixed smoother": lambda t: {"compression_fn": t.PCENLayer(trainable=True, dtype="float64")},
    "log": lambda t: {"compression_fn": "log"},
    "none": lambda t: {"compression_fn": None},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_float64_throughout(tf_leaf, form):
    module = small(tf_leaf, dtype="float64", **form(tf_leaf))
    assert {str(w.dtype) for w in module.weights} == {"float64"}
    out = module(AUDIO)
    assert out.dtype == "float64"
    # a float32 stage on the way would leave only float32's numbers
    assert not np.array_equal(out.numpy(), np.float64(np.float32(out.numpy())))


def test_float64_starts_from_float64s_numbers(tf_leaf):
    # Keras' own Constant goes through float32
    module = small(tf_leaf, dtype="float64")
    starts = {w.name: w.numpy() for w in [*module._compress_fn.weights, module._pooling.kernel]}
    for name, value in {"alpha": 0.96, "delta": 2.0, "root": 2.0, "smooth": 0.04, "kernel": 0.4}.items():
        assert CONSTANT(starts[name], np.full(starts[name].shape, value)).passes
    fixed = tf_leaf.PCENLayer(dtype="float64")
    fixed.build((None, None, 1))
    assert CONSTANT(sorted(w.numpy().item() for w in fixed.ema.weights), [0.04, 1.0 - 0.04]).passes


def test_rank_two_equals_rank_three(tf_leaf):
    module, audio = small(tf_leaf), np.float32(AUDIO)
    assert np.array_equal(module(audio), module(audio[:, :, None]))


def test_training_mode_changes_nothing(tf_leaf):
    module, audio = small(tf_leaf), np.float32(AUDIO)
    assert np.array_equal(module(audio, training=True), module(audio, training=False))


def test_all_weights_exist_after_construction(tf_leaf):
    module = small(tf_leaf, preemp=True, mean_var_norm=True)
    shapes = sorted((w.name, tuple(w.shape)) for w in module.weights)
    assert shapes == sorted([
        ("kernel", (2, 1, 1)), ("kernel", (3, 2)), ("kernel", (1, 1, 3, 1)), ("alpha", (3,)), ("delta", (3,)),
        ("root", (3,)), ("smooth", (3,)), ("gamma", (3,)), ("beta", (3,)),
    ])  # fmt: skip


@pytest.mark.parametrize(("learn_filters", "learn_pooling"), [(True, False), (False, True)])
def test_learns_what_is_asked_for(tf_leaf, learn_filters, learn_pooling):
    module = small(tf_leaf, learn_filters=learn_filters, learn_pooling=learn_pooling)
    learned = {tuple(w.shape) for w in module.trainable_weights}
    assert ((3, 2) in learned, (1, 1, 3, 1) in learned) == (learn_filters, learn_pooling)


def test_fixed_smoother_is_not_trained(tf_leaf):
    pcen = tf_leaf.PCENLayer(trainable=True)
    pcen.build((None, None, 3))
    assert sorted(w.name for w in pcen.trainable_weights) == ["alpha", "delta", "root"]
    assert len(pcen.non_trainable_weights) == 2


def test_keras_projects_the_filters_after_a_step(tf_leaf):
    import keras
    import tensorflow as tf

    module = small(tf_leaf)
    kernel = module._complex_conv._kernel
    step = tf.constant([[10.0, -100.0]] * 3)
    keras.optimizers.SGD(1.0).apply_gradients([(step, kernel)])
    expected = np.float32([[0.0, 51 * Z]] * 3)
    assert np.array_equal(kernel.numpy(), expected)
