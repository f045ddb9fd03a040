"""Wrong input to rung 0 is answered by an error that names the argument, its value and what is allowed."""

from __future__ import annotations

import numpy as np
import pytest

from parity_tests.helpers.refusals import refused

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def tf_leaf(tensorflow):
    import tf_leaf

    return tf_leaf


@pytest.fixture(scope="module")
def frontend(tf_leaf):
    return tf_leaf.Leaf(n_filters=2, sample_rate=2000)


@pytest.mark.parametrize(("audio", "error", "named"), [
    (np.zeros((2, 0), np.float32), ValueError, ("inputs", "(2, 0)", "at least 1")),
    (np.zeros((2, 0, 1), np.float32), ValueError, ("inputs", "(2, 0, 1)", "at least 1")),
    (np.zeros((2, 9), np.int16), TypeError, ("inputs", "int16", "float32")),
    (np.zeros((2, 9), np.complex64), TypeError, ("inputs", "complex64", "float32")),
    (np.zeros(9, np.float32), ValueError, ("inputs", "(9,)", "[batch, samples]")),
    (np.zeros((2, 9, 1, 1), np.float32), ValueError, ("inputs", "(2, 9, 1, 1)", "[batch, samples]")),
    (np.zeros((2, 9, 2), np.float32), ValueError, ("inputs", "(2, 9, 2)", "2 channels", "must be 1")),
], ids=["empty", "empty rank 3", "integer", "complex", "rank 1", "rank 4", "two channels"])  # fmt: skip
def test_audio(frontend, audio, error, named):
    import tensorflow as tf

    refused(lambda: frontend(tf.constant(audio)), error, *named)


@pytest.mark.parametrize(("arguments", "error", "allowed"), [
    ({"n_filters": 0}, ValueError, "from 1 to 2048"),
    ({"n_filters": -3}, ValueError, "from 1 to 2048"),
    ({"n_filters": 2.5}, TypeError, "an integer"),
    ({"n_filters": True}, TypeError, "an integer"),
    ({"sample_rate": 0}, ValueError, "above 0"),
    ({"sample_rate": float("nan")}, ValueError, "finite"),
    ({"sample_rate": "16k"}, TypeError, "number"),
    ({"window_len": 0.01}, ValueError, "0.0625 to 65536 milliseconds"),
    ({"window_len": -25.0}, ValueError, "above 0"),
    ({"window_stride": 0.01}, ValueError, "0.0625 to 65536 milliseconds"),
    ({"window_stride": 0}, ValueError, "above 0"),
    ({"compression_fn": "mp3"}, ValueError, "'pcen'"),
    ({"compression_fn": 3}, TypeError, "callable"),
    ({"dtype": "float16"}, ValueError, "'float32'"),
    ({"dtype": "mixed_float16"}, ValueError, "'float32'"),
], ids=str)  # fmt: skip
def test_frontend(tf_leaf, arguments, error, allowed):
    ((name, value),) = arguments.items()
    refused(lambda: tf_leaf.Leaf(**arguments), error, name, repr(value), allowed)


@pytest.mark.parametrize("build", ["GaborInit", "Gabor"])
@pytest.mark.parametrize(("arguments", "allowed"), [
    ({"max_freq": 8001.0}, "8000"),
    ({"min_freq": 7000.0, "max_freq": 7000.0}, "below max_freq=7000.0"),
    ({"min_freq": 7800.0, "max_freq": 60.0}, "below max_freq=60.0"),
    ({"min_freq": -1.0}, "number of Hz, at least 0"),
    ({"min_freq": float("nan")}, "number of Hz, at least 0"),
    ({"sample_rate": -16000}, "above 0"),
], ids=str)  # fmt: skip
def test_band(tf_leaf, build, arguments, allowed):
    name, value = next(iter(arguments.items()))
    refused(lambda: getattr(tf_leaf, build)(**arguments), ValueError, f"{name}={value!r}", allowed)


@pytest.mark.parametrize(("build", "error", "named"), [
    (lambda t: t.GaborConv1D(4, 5, padding="mirror"), ValueError, ("padding='mirror'", "'SAME'", "'VALID'")),
    (lambda t: t.GaussianLowpass(5, padding=None), TypeError, ("padding=None", "'SAME'", "'VALID'")),
    (lambda t: t.GaborConv1D(1, 5), ValueError, ("filters", "an integer from ")),
    (lambda t: t.GaborConv1D(4, 0), ValueError, ("kernel_size=0", "an integer from ")),
    (lambda t: t.GaborConv1D(4, 5, strides=1.5), TypeError, ("strides=1.5", "an integer")),
    (lambda t: t.Gabor(n_filters=0), ValueError, ("n_filters=0", "an integer from ")),
    (lambda t: t.GaborInit()((3, 1)), ValueError, ("shape=(3, 1)", "(filters, 2)")),
    (lambda t: t.PreempInit()((1, 1, 2)), ValueError, ("shape=(1, 1, 2)", "(2, 1, 1)")),
    (lambda t: t.Leaf(n_filters=2, compression_fn=t.PCENLayer(dtype="float64")), ValueError,
     ("compression_fn", "float64", "float32")),
])  # fmt: skip
def test_layers(tf_leaf, build, error, named):
    refused(lambda: build(tf_leaf), error, *named)


def test_compression_built_for_another_width(tf_leaf):
    pcen = tf_leaf.PCENLayer()
    tf_leaf.Leaf(n_filters=3, compression_fn=pcen)
    refused(
        lambda: tf_leaf.Leaf(n_filters=2, compression_fn=pcen),
        ValueError,
        "compression_fn",
        "3",
        "n_filters=2",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_of_the_audio_are_never_checked(frontend, value):
    audio = np.zeros((1, 200), np.float32)
    audio[0, 50] = value
    assert not np.isfinite(frontend(audio).numpy()).all()
