"""The public names of rung 0 have the original's shapes and refusals at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from parity.cases.subjects import Subject
from parity.criteria import OfMax
from parity_tests.helpers import sort_filters

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def tf_leaf(tensorflow):
    import tf_leaf

    return tf_leaf


AUDIO = {"n_filters": 3, "window_len": 8.5}  # at 16 kHz: windows of 137 samples, a hop of 160

EDGES = [
    # one frame, one sample, one filter, a hop longer than the window, a window longer than the signal
    ("Leaf", (2, 1), AUDIO, (2, 1, 3)),
    ("Leaf", (1, 160), {**AUDIO, "n_filters": 1}, (1, 1, 1)),
    ("Leaf", (1, 161, 1), AUDIO, (1, 2, 3)),
    ("Leaf", (1, 500), {**AUDIO, "window_stride": 30.0}, (1, 2, 3)),
    # even windows: 22050 * 0.025 + 1 = 552
    ("Leaf", (1, 441), {"n_filters": 2, "sample_rate": 22050}, (1, 3, 2)),
    ("SincNetPlus", (1, 441), {"n_filters": 2, "sample_rate": 22050}, None),
    ("SincNet", (1, 441), {"n_filters": 2, "sample_rate": 22050}, None),
    ("SincNet", (1, 1), {"n_filters": 1}, (1, 1, 1)),
    ("SincNetPlus", (2, 161, 1), {"n_filters": 2}, (2, 2, 2)),
    # never padded: (T - 401) // 160 + 1 frames, and none but 401 samples for a window
    ("TimeDomainFilterbanks", (1, 401), {"n_filters": 1}, (1, 1, 1)),
    ("TimeDomainFilterbanks", (1, 561), {"n_filters": 2}, (1, 2, 2)),
    ("TimeDomainFilterbanks", (1, 400), {"n_filters": 2}, None),
    ("TimeDomainFilterbanks", (1, 600), AUDIO, None),
    ("TimeDomainFilterbanks", (1, 600), {"n_filters": 2, "sample_rate": 16040}, None),
    ("MelFilterbanks", (1, 1), {"n_filters": 3}, (1, 1, 3)),
    ("MelFilterbanks", (2, 161, 1), {"n_filters": 3, "n_fft": 128}, (2, 2, 3)),
    # activations and filterbanks decide how many channels there are
    ("Leaf", (1, 161), {**AUDIO, "activation": "leaky_relu"}, (1, 2, 6)),
    ("Leaf", (1, 161), {**AUDIO, "conv1d_cls": "SincConv1D", "complex_conv_init": "sinc", "activation": "none"},
     (1, 2, 3)),
    ("Leaf", (1, 161), {**AUDIO, "conv1d_cls": "SincConv1D", "complex_conv_init": "sinc"}, (1, 2, 1)),
    ("Leaf", (1, 161), {**AUDIO, "conv1d_cls": "FFTConv1D", "activation": "relu"}, (1, 2, 6)),
    ("Leaf", (1, 1), {**AUDIO, "conv1d_cls": "FFTConv1D"}, None),
    # layers
    ("SincConv1D", (1, 40, 1), {"kernel_size": 24}, None),
    ("SincConv1D", (1, 40, 1), {"kernel_size": 25, "filters": 6, "use_bias": True}, (1, 40, 3)),
    ("GaborConv1D", (1, 40, 1), {"kernel_size": 24, "padding": "VALID", "strides": 4}, (1, 5, 4)),
    ("NormalizedConv1D", (1, 23, 1), {"kernel_size": 24, "padding": "VALID"}, None),
    ("FFTConv1D", (1, 40, 1), {"strides": 7}, (1, 40, 4)),
    ("FFTConv1D", (1, 24, 1), {"padding": "valid"}, (1, 24, 4)),
    ("FFTConv1D", (1, 23, 1), {"padding": "valid"}, None),
    ("FFTConv1D", (1, 40, 1), {"padding": "causal"}, None),
    ("LearnablePooling1D", (1, 24, 2), {}, None),
    ("LearnablePooling1D", (1, 36, 2), {}, (1, 2, 2)),
    ("ChannelWiseLearnablePooling1D", (1, 24, 2), {"padding": "VALID"}, None),
    ("ChannelWiseLearnablePooling1D", (1, 24, 2), {}, (1, 3, 2)),
    ("GaussianLowpass", (1, 24, 2), {"padding": "VALID"}, None),
    ("MaxPooling1D", (1, 24, 2), {}, (1, 3, 2)),
    ("MaxPooling1D", (1, 35, 2), {"padding": "VALID"}, (1, 2, 2)),
    ("SquaredModulus", (1, 4, 5), {}, (1, 4, 2)),
    # initialisers
    ("LowpassInit", (400, 1, 1), {}, None),
    ("GaborInit", (25, 1, 5), {}, None),
    ("PreempInit", (3, 1, 1), {}, None),
    ("window", (), {"window_type": "HANNING", "tmax": 1}, None),
    ("sinc_filters", (1, 2), {"size": 24}, (25, 2)),
    ("fft_conv1d", (1, 1, 1), {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "settings", "expected"), EDGES)
def test_shapes_and_refusals(name, shape, settings, expected):
    from parity.adapters.subject_tensorflow import run

    outcome = run(Subject.of(name, shape, weights="default", **settings), "tf_leaf")
    assert outcome.refused is not None if expected is None else outcome.output.shape == expected, outcome.refused


@pytest.mark.parametrize("shape", [(24, 25, 10), (12, 25, 10), (100, 101, 1)])
def test_no_layer_gives_what_nothing_has_written(tf_leaf, shape):
    # TensorFlow would: a signal that lacks less than two hops of a window
    import tensorflow as tf

    n_samples, taps, hop = shape
    frames = tf.zeros((1, n_samples, 2))
    audio = frames[:, :, :1]
    layers = [getattr(tf_leaf, name) for name in ("GaussianLowpass", "LearnablePooling1D",
                                                  "ChannelWiseLearnablePooling1D")]  # fmt: skip
    for made, inputs in [
        *((layer(taps, hop, padding="VALID"), frames) for layer in layers),
        *((getattr(tf_leaf, name)(4, taps, hop, padding="VALID"), audio) for name in ("GaborConv1D", "NormalizedConv1D",
                                                                                      "SincConv1D")),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"{n_samples} samples, must be at least the {taps}"):
            made(inputs)


def test_keras_norms_the_filters_after_a_step(tf_leaf):
    import keras
    import tensorflow as tf

    layer = tf_leaf.NormalizedConv1D(3, 25)
    step = tf.constant(np.random.default_rng(0).standard_normal((25, 1, 3)), tf.float32)
    keras.optimizers.SGD(1.0).apply_gradients([(step, layer._kernel)])
    norms = np.linalg.norm(np.float64(layer._kernel.numpy()), axis=0)
    # Keras divides by the norm and 1e-7, and 25 squares are added, halved by the root
    assert OfMax(2e-6, "1e-7 beside the norm, and 27 half roundings of 2^-24")(norms, np.ones((1, 3))).passes


def test_two_default_frontends_of_one_process_share_nothing(tf_leaf):
    for name in ("SincNet", "SincNetPlus", "TimeDomainFilterbanks"):
        first, second = (getattr(tf_leaf, name)(n_filters=n) for n in (1, 2))
        assert {id(w) for w in first.weights}.isdisjoint(id(w) for w in second.weights)


@pytest.mark.parametrize("name", ["SincNet", "SincNetPlus", "TimeDomainFilterbanks"])
def test_fixed_arguments_are_refused(tf_leaf, name):
    with pytest.raises(TypeError, match="conv1d_cls"):
        getattr(tf_leaf, name)(conv1d_cls=tf_leaf.GaborConv1D)


@pytest.mark.parametrize("name", ["SincNet", "SincNetPlus", "TimeDomainFilterbanks", "MelFilterbanks"])
def test_float64_throughout(tf_leaf, name):
    frontend = getattr(tf_leaf, name)(n_filters=2, dtype="float64")
    audio = np.random.default_rng(0).uniform(-1, 1, (1, 420))
    out = frontend(audio)
    assert {str(w.dtype) for w in frontend.weights} <= {"float64"}
    assert out.dtype == "float64"
    # a float32 stage on the way would leave only float32's numbers
    assert not np.array_equal(out.numpy(), np.float64(np.float32(out.numpy())))


@pytest.mark.parametrize("power", range(31))
def test_a_power_of_two_is_its_own_upper(tf_leaf, power):
    # the logarithms are float32; 2^24 + 1 is 2^24 there
    assert tf_leaf.upper_power_of_2(2**power) == 2**power
    if 1 < power <= 23:
        assert tf_leaf.upper_power_of_2(2**power - 1) == 2**power


def test_equal_centres_are_sorted_as_the_original_sorts_them(tf_leaf):
    def convolved(kernel, **settings):
        layer = tf_leaf.GaborConv1D(2 * sort_filters.N_FILTERS, 25, 1, "same", False, **settings)
        layer.build((None, None, 1))
        layer.set_weights([kernel])
        return np.asarray(layer(sort_filters.audio()[..., np.newaxis]))

    found = convolved(sort_filters.tied_kernel(), sort_filters=True)
    assert np.array_equal(found, convolved(sort_filters.sorted_kernel()))
