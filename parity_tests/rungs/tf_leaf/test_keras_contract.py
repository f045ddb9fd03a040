"""Rung 0 in Keras 3: shapes, configurations, models, masks and dtypes, of every layer."""

from __future__ import annotations

import numpy as np
import pytest

from parity.criteria import OfMax
from parity_tests.helpers.refusals import refused

pytestmark = [
    pytest.mark.usefixtures("tensorflow"),
    # of Keras, which hands its variables to h5py
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

GRAPH = OfMax(4e-6, "a graph fuses what eager runs operation by operation, and PCEN's powers make more of it")
SMALL = {"n_filters": 2, "sample_rate": 2000}  # windows of 51 samples, a hop of 20

FRONTENDS = {
    "Leaf": lambda t: t.Leaf(**SMALL),
    "everything": lambda t: t.Leaf(
        **SMALL, preemp=True, mean_var_norm=True, learn_filters=False, compression_fn=t.PCENLayer(trainable=True)
    ),
    "log": lambda t: t.Leaf(**SMALL, compression_fn="log", activation=_leaky(), dtype="float64"),
    "SincNet": lambda t: t.SincNet(**SMALL),
    "SincNetPlus": lambda t: t.SincNetPlus(**SMALL),
    "TimeDomainFilterbanks": lambda t: t.TimeDomainFilterbanks(n_filters=2),
    "MelFilterbanks": lambda t: t.MelFilterbanks(n_filters=3),
}
LAYERS = {
    "GaborConv1D": (lambda t: t.GaborConv1D(4, 24, 3, "valid", True, sort_filters=True), 1),
    "NormalizedConv1D": (lambda t: t.NormalizedConv1D(3, 25, 4, kernel_regularizer="l2"), 1),
    "SincConv1D": (lambda t: t.SincConv1D(4, 25, 2, "VALID", min_low_hz=30.0), 1),
    "FFTConv1D": (lambda t: t.FFTConv1D(3, 25), 1),
    "SquaredModulus": (lambda t: t.SquaredModulus(), 4),
    "LearnablePooling1D": (lambda t: t.LearnablePooling1D(9, 4), 3),
    "ChannelWiseLearnablePooling1D": (lambda t: t.ChannelWiseLearnablePooling1D(9, 4), 3),
    "GaussianLowpass": (lambda t: t.GaussianLowpass(9, 4, "valid", kernel_initializer=t.initializers.Constant(0.3)), 3),
    "LowpassInit": (lambda t: t.ChannelWiseLearnablePooling1D(
        26, kernel_initializer=t.LowpassInit(1000, window_type=t.WindowType.HANNING)), 3),
    "MaxPooling1D": (lambda t: t.MaxPooling1D(9, 4), 3),
    "PCENLayer": (lambda t: t.PCENLayer(learn_smooth_coef=True, root=3.0), 3),
    "InstanceNormalization": (lambda t: t.InstanceNormalization(1e-3), 3),
    "LayerNormalization": (lambda t: t.LayerNormalization(), 3),
}  # fmt: skip
PASS_MASKS = {"SquaredModulus", "LayerNormalization"}


def _leaky():
    import keras

    return keras.layers.LeakyReLU(0.2, dtype="float64")


@pytest.fixture(scope="module")
def tf_leaf(tensorflow):
    import tf_leaf

    return tf_leaf


def noise(*shape, dtype="float32"):
    return np.random.default_rng(0).uniform(0.01, 1, shape).astype(dtype)


def of(tf_leaf, name):
    """A layer and an input for it."""
    if name in LAYERS:
        build, n_channels = LAYERS[name]
        return build(tf_leaf), noise(2, 83, n_channels)
    layer = FRONTENDS[name](tf_leaf)
    return layer, noise(2, 603, dtype=layer.compute_dtype)


ALL = pytest.mark.parametrize("name", [*FRONTENDS, *LAYERS])


@ALL
def test_shapes_and_dtypes(tf_leaf, name):
    import keras

    layer, x = of(tf_leaf, name)
    y = layer(x)
    assert layer.compute_output_shape(x.shape) == tuple(y.shape)
    unknown = (None, None, *x.shape[2:])
    spec = layer.compute_output_spec(keras.KerasTensor(unknown, x.dtype))
    assert (tuple(spec.shape), spec.dtype) == ((None, None, y.shape[2]), x.dtype.name)
    assert y.dtype == x.dtype
    if x.ndim == 2:
        assert layer.compute_output_shape((None, None, 1)) == layer.compute_output_shape((None, None))
        assert layer.compute_output_shape((2, 603, 1)) == tuple(y.shape)


@ALL
def test_a_configuration_read_back(tf_leaf, name):
    import keras

    layer, x = of(tf_leaf, name)
    y = layer(x)
    written = keras.saving.serialize_keras_object(layer)
    assert written["registered_name"] == f"tf_leaf>{type(layer).__name__}"
    again = keras.saving.deserialize_keras_object(written)
    again(x)
    again.set_weights(layer.get_weights())
    assert np.array_equal(again(x), y)
    assert again.get_config() == layer.get_config()
    assert [w.trainable for w in again.weights] == [w.trainable for w in layer.weights]


@ALL
def test_a_model_saved_and_cloned(tf_leaf, name, tmp_path):
    import keras

    layer, x = of(tf_leaf, name)
    inputs = keras.Input((None, *x.shape[2:]), dtype=layer.compute_dtype)
    model = keras.Model(inputs, layer(inputs))
    for weight in layer.weights:  # away from where a new layer starts
        weight.assign(weight.numpy() * np.asarray(0.9, weight.dtype))
    model.save(tmp_path / "x.keras")
    y = model(x)
    assert np.array_equal(keras.models.load_model(tmp_path / "x.keras")(x), y)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert np.array_equal(clone(x), y)


@ALL
def test_masks(tf_leaf, name):
    import keras
    import tensorflow as tf

    layer, x = of(tf_leaf, name)
    x = tf.constant(x)
    keras.src.backend.set_keras_mask(x, tf.ones(x.shape[:2], bool))
    if name in PASS_MASKS:
        assert keras.src.backend.get_keras_mask(layer(x)) is not None
        return
    refused(lambda: layer(x), ValueError, "mask", type(layer).__name__, "must be none")


@ALL
def test_a_policy_of_half_precision(tf_leaf, name):
    import keras

    layer, x = of(tf_leaf, name)
    y, kept = layer(x), keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        under, _ = of(tf_leaf, name)
        under(x)
        under.set_weights(layer.get_weights())
        assert np.array_equal(under(x), y)
        assert {w.dtype for w in under.weights} <= {x.dtype.name}
    finally:
        keras.config.set_dtype_policy(kept)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision_is_refused(tf_leaf, name, policy):
    import keras

    config = LAYERS[name][0](tf_leaf).get_config()
    cls, dtype = type(LAYERS[name][0](tf_leaf)), keras.DTypePolicy(policy)
    refused(lambda: cls(**{**config, "dtype": dtype}), ValueError, "dtype", policy, "'float32'")


def test_over_time(tf_leaf):
    import keras

    frontend, clips = tf_leaf.Leaf(**SMALL), noise(2, 3, 200)
    inputs = keras.Input((3, 200))
    model = keras.Model(inputs, keras.layers.TimeDistributed(frontend)(inputs))
    assert model.output_shape == (None, 3, 10, 2)
    assert GRAPH(model(clips).numpy(), np.stack([frontend(clip) for clip in clips])).passes


@pytest.mark.parametrize("name", FRONTENDS)
def test_exported(tf_leaf, name, tmp_path):
    import keras
    import tensorflow as tf

    frontend, x = of(tf_leaf, name)
    frontend(x)  # Keras wants a model to have been called
    if name == "MelFilterbanks":  # no model by itself
        inputs = keras.Input((None,))
        frontend = keras.Model(inputs, frontend(inputs))
    frontend.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(tmp_path / "saved")
    for audio in (x, x[:1, :411]):
        assert GRAPH(saved.serve(audio).numpy(), frontend(audio).numpy()).passes


def test_a_frontend_saved_by_itself(tf_leaf, tmp_path):
    import keras

    frontend, x = of(tf_leaf, "everything")
    frontend.save(tmp_path / "x.keras")
    assert np.array_equal(keras.models.load_model(tmp_path / "x.keras")(x), frontend(x))


def test_a_sequence_of_layers(tf_leaf):
    import keras

    model = keras.Sequential([keras.Input((None,)), tf_leaf.Leaf(**SMALL), keras.layers.GlobalAveragePooling1D()])
    assert model.output_shape == (None, 2)
    assert model.count_params() == 2 * 2 + 2 + 4 * 2  # filters, windows, PCEN


def test_one_frontend_for_two_inputs(tf_leaf):
    import keras

    frontend, left, right = tf_leaf.Leaf(**SMALL), keras.Input((None,)), keras.Input((None,))
    model = keras.Model([left, right], [frontend(left), frontend(right)])
    assert len(model.weights) == len(frontend.weights)
    a, b = model([noise(1, 300), noise(1, 120)])
    assert np.array_equal(a, frontend(noise(1, 300)))
    assert np.array_equal(b, frontend(noise(1, 120)))


@pytest.mark.parametrize("training", [True, False])
def test_training_reaches_the_augmentation(tf_leaf, training):
    import keras

    augment = tf_leaf.SpecAugment(time_mask_max_frames=0, time_warp_max_frames=0, freq_mask_count=30, seed=1)
    frontend, x = tf_leaf.Leaf(**SMALL, spec_augment=augment), noise(1, 300)
    inputs = keras.Input((None,))
    y = keras.Model(inputs, frontend(inputs))(x, training=training)
    assert np.array_equal(y, frontend(x, training=False)) != training


def test_a_frozen_frontend_stays_frozen(tf_leaf):
    frontend = tf_leaf.Leaf(**SMALL)
    frontend.trainable = False
    assert tf_leaf.Leaf.from_config(frontend.get_config()).trainable_weights == []


def test_unknown_lengths_and_xla(tf_leaf):
    import tensorflow as tf

    frontend, x = tf_leaf.Leaf(**SMALL), noise(2, 300)
    open_ended = tf.function(frontend, input_signature=[tf.TensorSpec([None, None])])
    assert GRAPH(open_ended(x).numpy(), frontend(x).numpy()).passes
    assert GRAPH(tf.function(frontend, jit_compile=True)(x).numpy(), frontend(x).numpy()).passes


@pytest.mark.parametrize(("arguments", "named"), [
    (lambda t, f: {"activation": f}, "Leaf: activation"),
    (lambda t, f: {"compression_fn": f}, "Leaf: compression_fn"),
    (lambda t, f: {"pooling_cls": lambda **kwargs: t.GaussianLowpass(**kwargs)}, "Leaf: pooling_cls"),
], ids=["activation", "compression", "pooling"])  # fmt: skip
def test_a_users_own_function(tf_leaf, arguments, named, tmp_path):
    frontend = tf_leaf.Leaf(**SMALL, **arguments(tf_leaf, lambda x: x + 1.0))
    refused(
        lambda: frontend.save(tmp_path / "x.keras"), ValueError, named, "register_keras_serializable", "save_weights"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["PCENLayer", "GaussianLowpass", "LearnablePooling1D", "InstanceNormalization"])
def test_an_unknown_number_of_channels(tf_leaf, name):
    layer = LAYERS[name][0](tf_leaf)
    refused(lambda: layer.build((None, None, None)), ValueError, "input_shape", "channels")


@pytest.mark.parametrize("name", FRONTENDS)
def test_symbolic_audio_that_is_refused(tf_leaf, name):
    import keras

    frontend = FRONTENDS[name](tf_leaf)
    refused(lambda: frontend(keras.Input((None, 2))), ValueError, "2 channels")
    refused(lambda: frontend(keras.Input((100,), dtype="int16")), TypeError, "int16")
