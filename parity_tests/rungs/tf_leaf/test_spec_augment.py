"""SpecAugment of rung 0: what a record does, how records are drawn, and when."""

from __future__ import annotations

import numpy as np
import pytest

from parity.criteria import AtMost, Exactly
from parity_tests.helpers.augmentation import chi_squared_tail, drawn
from parity_tests.helpers.refusals import refused
from parity_tests.helpers.spec_augment import DEFAULTS, against_the_chances, against_the_oracle, features

pytestmark = pytest.mark.usefixtures("tensorflow")

SHAPE = (3, 40, 12)
SAME = Exactly("the same operations on the same numbers")


def run(x, cotangent, record):
    import tensorflow as tf

    from tf_leaf.spectrum_augmenter import augment

    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = augment(inputs, record)
    return outputs.numpy(), tape.gradient(outputs, inputs, output_gradients=tf.constant(cotangent)).numpy()


def draw(settings, shape, seed):
    import tensorflow as tf

    from tf_leaf.spectrum_augmenter import SpectrumAugmenter

    return SpectrumAugmenter(**settings).draw(*shape, tf.random.Generator.from_seed(seed))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_record_does_what_the_oracle_says(ledger, dtype):
    for measurement in against_the_oracle("tf_leaf", run, dtype):
        ledger.check(measurement)


def test_draws_have_the_chances_of_the_algorithm(ledger):
    for measurement in against_the_chances("tf_leaf", draw):
        ledger.check(measurement)


def test_the_tail_of_chi_squared():
    import mpmath

    near = AtMost(1e-13, "up to 200 terms, each with a few roundings of its logarithm, which is below 1000")
    for degrees in (1, 2, 3, 50, 51, 400):
        for statistic in (0.1, float(degrees), 2.0 * degrees, 900.0):
            exact = mpmath.gammainc(mpmath.mpf(degrees) / 2, mpmath.mpf(statistic) / 2, regularized=True)
            assert near(abs(float(chi_squared_tail(statistic, degrees) / exact - 1))).passes


def test_one_state_gives_one_result_and_the_next_another():
    import tensorflow as tf

    import tf_leaf

    x = tf.constant(features(SHAPE, "float32", 0)[0])
    first, second = tf_leaf.SpecAugment(seed=5), tf_leaf.SpecAugment(seed=tf.random.Generator.from_seed(5))
    got = first(x).numpy()
    assert SAME(second(x).numpy(), got).passes
    assert SAME(run(x, x, draw(DEFAULTS, SHAPE, 5))[0], got).passes
    assert not np.array_equal(first(x).numpy(), got)
    assert not np.array_equal(tf_leaf.SpecAugment(seed=6)(x).numpy(), got)


def test_without_a_generator_the_global_seed_rules():
    import tensorflow as tf

    import tf_leaf

    x = tf.constant(features(SHAPE, "float32", 0)[0])
    results = []
    for _ in range(2):
        tf.random.set_seed(3)
        layer = tf_leaf.SpecAugment()
        results.append((layer(x).numpy(), layer(x).numpy()))
    assert SAME(results[0][0], results[1][0]).passes
    assert SAME(results[0][1], results[1][1]).passes
    assert not np.array_equal(results[0][0], results[0][1])


def test_without_a_generator_numbers_are_drawn_in_the_originals_order():
    import tensorflow as tf

    from tf_leaf.spectrum_augmenter import SpectrumAugmenter

    tf.random.set_seed(3)
    got = SpectrumAugmenter(**DEFAULTS).draw(*SHAPE)
    tf.random.set_seed(3)
    shift = tf.random.uniform((3,), minval=-8, maxval=9, dtype=tf.int32).numpy()
    origin, *pairs = (tf.random.uniform(shape).numpy() for shape in ((3,), *4 * [(3, 2)]))
    assert SAME(got["warp_origin"], 1 + np.floor(origin * np.float32(38))).passes
    assert SAME(got["warp_destination"], np.clip(got["warp_origin"] + shift, 1, 39)).passes
    for name, size, (length, start) in (("time", 40, pairs[:2]), ("freq", 12, pairs[2:])):
        lengths = np.floor(length * np.float32(10))
        assert SAME(got[f"{name}_length"], lengths).passes
        assert SAME(got[f"{name}_start"], np.floor(start * np.float32(size + 1 - lengths))).passes


def test_a_graph_draws_as_eager_execution_does():
    import tensorflow as tf

    import tf_leaf

    x = tf.constant(features(SHAPE, "float32", 0)[0])
    layer, eager = tf_leaf.SpecAugment(seed=5), tf_leaf.SpecAugment(seed=5)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None), tf.float32)])
    for _ in range(2):
        assert SAME(graph(x).numpy(), eager(x).numpy()).passes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_leaf_augments_last_and_in_training_alone(dtype):
    import tensorflow as tf

    import tf_leaf

    audio = tf.constant(np.random.default_rng(0).uniform(-1, 1, (2, 4000)), dtype)
    arguments = {"n_filters": 4, "sample_rate": 4000, "mean_var_norm": True, "dtype": dtype}
    plain, augmenting = tf_leaf.Leaf(**arguments), tf_leaf.Leaf(**arguments, spec_augment=True)
    features = plain(audio).numpy()
    assert SAME(plain(audio, training=True).numpy(), features).passes
    assert SAME(augmenting(audio).numpy(), features).passes
    assert SAME(augmenting(audio, training=False).numpy(), features).passes
    assert not np.array_equal(augmenting(audio, training=True).numpy(), features)
    layer = tf_leaf.SpecAugment(seed=5, dtype=dtype)
    augmented = tf_leaf.Leaf(**arguments, spec_augment=layer)(audio, training=True)
    assert augmented.dtype == dtype
    assert SAME(augmented.numpy(), run(features, features, draw(DEFAULTS, features.shape, 5))[0]).passes


def test_nothing_to_draw_leaves_features_as_they_are():
    import tensorflow as tf

    import tf_leaf

    off = tf_leaf.SpecAugment(freq_mask_count=0, time_mask_max_frames=0, time_warp_max_ratio=0.0, seed=1)
    x = np.float32([[[np.nan, np.inf, -0.0]]])
    assert SAME(off(tf.constant(x)).numpy(), x).passes
    assert off.augmenter.draw(2, 1, 3) == {}


@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"freq_mask_max_bins": -1}, ValueError, "from 0 to"),
    ({"freq_mask_count": 1.5}, TypeError, "an integer"),
    ({"time_mask_max_frames": True}, TypeError, "an integer"),
    ({"time_mask_count": -2}, ValueError, "from 0 to"),
    ({"time_mask_max_ratio": 1.01}, ValueError, "from 0 to 1"),
    ({"time_warp_max_ratio": float("nan")}, ValueError, "from 0 to 1"),
    ({"time_warp_max_ratio": "1"}, TypeError, "a finite number"),
    ({"time_warp_max_frames": None}, TypeError, "an integer"),
    ({"seed": 0.5}, TypeError, "an integer, a tf.random.Generator or None"),
])  # fmt: skip
def test_refused_arguments(arguments, error, allowed):
    import tf_leaf

    ((name, value),) = arguments.items()
    refused(lambda: tf_leaf.SpecAugment(**arguments), error, f"{name}={value!r}", allowed)


@pytest.mark.parametrize(("changes", "error", "named"), [
    ({"mask": [[1]]}, ValueError, ("'mask'", "time_start")),
    ({"time_length": None}, ValueError, ("'time_length'", "both or neither")),
    ({"time_start": np.ones((3, 2), np.float32)}, TypeError, ("time_start", "float32", "integers")),
    ({"freq_start": np.ones((3, 1), np.int32)}, ValueError, ("freq_start", "(3, 1)", "(3, 2)")),
    ({"warp_origin": np.ones((2,), np.int32), "warp_destination": np.ones((2,), np.int32)}, ValueError, ("(3,)",)),
    ({"warp_origin": np.zeros(3, np.int32)}, ValueError, ("warp_origin", "from 1 to 39")),
    ({"warp_destination": np.full(3, 40, np.int32)}, ValueError, ("warp_destination", "from 1 to 39")),
    ({"time_start": np.full((3, 2), 40, np.int32)}, ValueError, ("time_start", "within 40")),
    ({"freq_length": np.full((3, 2), 13, np.int32)}, ValueError, ("freq_length", "within 12")),
])  # fmt: skip
def test_refused_records(changes, error, named):
    x = features(SHAPE, "float32", 0)[0]
    record = {name: v for name, v in {**drawn(SHAPE, DEFAULTS, 0), **changes}.items() if v is not None}
    refused(lambda: run(x, x, record), error, *named)


def test_refused_features():
    import tensorflow as tf

    import tf_leaf

    layer = tf_leaf.SpecAugment()
    refused(lambda: layer(tf.zeros((2, 5))), ValueError, "inputs", "(2, 5)", "[batch, frames, channels]")
    refused(lambda: layer(tf.zeros((2, 1, 5))), ValueError, "n_frames=1", "at least 2")
    frontend = {"n_filters": 2, "sample_rate": 2000}
    refused(
        lambda: tf_leaf.Leaf(**frontend, spec_augment="yes"), TypeError, "spec_augment='yes'", "tf_leaf.SpecAugment"
    )
    refused(lambda: tf_leaf.Leaf(**frontend, spec_augment=layer, dtype="float64"), ValueError, "float32", "'float64'")
