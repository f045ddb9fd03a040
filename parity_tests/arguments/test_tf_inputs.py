"""What rung 0 is called with: no clips, no audio, windows of a few samples."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from parity import load_weights
from parity.adapters.rungs import RUNGS
from parity.oracle.leaf import LeafOracle
from parity_tests.arguments.test_inputs import NEAR, given
from parity_tests.helpers.refusals import refused

pytestmark = pytest.mark.usefixtures("tensorflow")
MADE = {
    "Leaf": (lambda t: t.Leaf(n_filters=3, sample_rate=2000, preemp=True, mean_var_norm=True), (90,), (5, 3)),
    "Leaf of sinc": (lambda t: t.SincNetPlus(n_filters=3), (900,), (6, 3)),
    "MelFilterbanks": (lambda t: t.MelFilterbanks(n_filters=3, sample_rate=2000, max_freq=900.0), (90,), (5, 3)),
    "FFTConv1D": (lambda t: t.FFTConv1D(3, 9), (90, 1), (90, 3)),
    "GaussianLowpass": (lambda t: t.GaussianLowpass(9, 4, trainable=True), (90, 3), (23, 3)),
    "LearnablePooling1D": (lambda t: t.LearnablePooling1D(9, 4, trainable=True), (90, 3), (21, 3)),
    "ChannelWise": (lambda t: t.ChannelWiseLearnablePooling1D(9, 4, trainable=True), (90, 3), (23, 3)),
    "NormalizedConv1D": (lambda t: t.NormalizedConv1D(3, 9), (90, 1), (90, 3)),
    "MaxPooling1D": (lambda t: t.MaxPooling1D(9, 4), (90, 3), (23, 3)),
    "SquaredModulus": (lambda t: t.SquaredModulus(), (90, 6), (90, 3)),
    "PCENLayer": (lambda t: t.PCENLayer(trainable=True, learn_smooth_coef=True), (9, 3), (9, 3)),
    "SincConv1D": (lambda t: t.SincConv1D(6, 9), (90, 1), (90, 3)),
}


@pytest.fixture(scope="module")
def tf_leaf(tensorflow):
    import tf_leaf

    return tf_leaf


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("kind", MADE)
def test_no_clips(tf_leaf, kind, traced):
    import tensorflow as tf

    make, given_shape, wanted = MADE[kind]
    layer = make(tf_leaf)
    x = tf.zeros((0, *given_shape))
    call = tf.function(layer, input_signature=[tf.TensorSpec([None, *given_shape])]) if traced else layer
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        total = tf.reduce_sum(y)
    assert y.shape == (0, *wanted)
    gradients = tape.gradient(total, [x, *(v.value for v in layer.trainable_variables)])
    assert all(g is not None and not np.asarray(g).any() for g in gradients)


def test_gradient_of_a_window_where_the_number_of_clips_is_not_known(tf_leaf):
    import tensorflow as tf

    layer = tf_leaf.GaussianLowpass(9, 4, kernel_initializer="ones", trainable=True)
    x = tf.random.stateless_normal((2, 90, 3), (1, 2))
    found = []
    for call in (layer, tf.function(layer, input_signature=[tf.TensorSpec([None, 90, 3])])):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(call(x) ** 2)
        found.append(tape.gradient(total, layer.kernel.value).numpy())
    assert NEAR(found[1], found[0]).passes


@pytest.mark.parametrize("name", ["Leaf", "MelFilterbanks", "GaussianLowpass", "SincConv1D"])
@pytest.mark.parametrize("kind", ["ragged", "sparse", "integer", "complex", "bool", "rank 0", "rank 5", "None", "dict"])
def test_what_is_no_audio_is_refused_by_name(tf_leaf, name, kind):
    import tensorflow as tf

    made = {
        "ragged": lambda: tf.ragged.constant([[1.0], [1.0, 2.0]]), "sparse": lambda: tf.sparse.from_dense([[0.0, 1.0]]),
        "integer": lambda: tf.ones((2, 90, 1), tf.int32), "complex": lambda: tf.ones((2, 90, 1), tf.complex64),
        "bool": lambda: tf.ones((2, 90, 1), tf.bool), "rank 0": lambda: tf.constant(1.0),
        "rank 5": lambda: tf.ones((1, 9, 1, 1, 1)), "None": lambda: None, "dict": lambda: {"x": tf.ones((2, 90, 1))},
    }  # fmt: skip
    layer = MADE[name][0](tf_leaf)
    if name == "GaussianLowpass":
        layer.build((None, 90, 1))
    refused(lambda: layer(made[kind]()), (TypeError, ValueError), "inputs", "must")


@pytest.mark.parametrize("window", range(2, 6))
def test_small_windows(tf_leaf, window):
    """TensorFlow keeps the lower of two limits that cross, and rung 1 does as it does."""
    adapter = RUNGS["tf_leaf"].load_adapter()
    config, port, x = given(window)
    module = adapter.build(config)
    load_weights(module, port)
    found = adapter.output(module, x.numpy())
    assert NEAR(port(x).detach().numpy(), found).passes
    assert NEAR(found, LeafOracle(config).stages(adapter.read(module), x.double().numpy())["pcen"]).passes


def test_numbers_of_any_type_are_in_the_configuration(tf_leaf):
    import tensorflow as tf

    layer = tf_leaf.GaborConv1D(np.array(6), tf.constant(9))
    config = json.loads(json.dumps(layer.get_config()))
    assert (config["filters"], config["kernel_size"]) == (6, 9)
    half = Fraction(1, 2)
    assert tf_leaf.PCENLayer(alpha=half).get_config()["alpha"] == half


def test_a_name_and_a_dtype_that_are_none(tf_leaf):
    for make in (tf_leaf.SpecAugment, tf_leaf.MelFilterbanks):
        refused(lambda make=make: make(name=3), TypeError, "name=3")
    refused(lambda: tf_leaf.FFTConv1D(3, 9, dtype=np.zeros(2)), ValueError, "dtype=")
