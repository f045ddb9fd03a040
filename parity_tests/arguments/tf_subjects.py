"""The public callables of rung 0, as subjects of the table. Imports TensorFlow when it is asked for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.arguments.table import Subject, shared
from parity_tests.arguments.values import VALUES

CLIP = np.sin(np.arange(90, dtype=np.float32) * 0.7).reshape(1, 90, 1)


def values() -> dict[str, Callable[[], Any]]:
    """All kinds of values, TensorFlow's and Keras' too."""
    import keras
    import tensorflow as tf

    return {
        **VALUES,
        "tensor of no dimensions": lambda: tf.constant(3),
        "float tensor of no dimensions": lambda: tf.constant(2.5),
        "bool tensor of no dimensions": lambda: tf.constant(True),
        "text tensor": lambda: tf.constant("3"),
        "tensor": lambda: tf.ones((2, 90, 1)),
        "integer tensor": lambda: tf.ones((2, 90, 1), tf.int32),
        "complex tensor": lambda: tf.ones((2, 90, 1), tf.complex64),
        "ragged tensor": lambda: tf.ragged.constant([[1.0], [1.0, 2.0]]),
        "sparse tensor": lambda: tf.sparse.from_dense([[0.0, 1.0]]),
        "variable": lambda: tf.Variable(3.0),
        "symbol": lambda: keras.KerasTensor((2, 90, 1)),
        "layer": keras.layers.ReLU,
        "class of layers": lambda: keras.layers.ReLU,
        "initialiser": keras.initializers.Zeros,
        "regulariser": lambda: keras.regularizers.L2(0.1),
        "dtype": lambda: tf.float16,
        "mixed policy": lambda: "mixed_float16",
    }


def finite(used: Any) -> bool:
    """Whether all numbers of a result are."""
    if isinstance(used, (tuple, list)):
        return all(map(finite, used))
    found = np.asarray(used)
    return found.dtype.kind not in "fc" or bool(np.isfinite(found).all())


def _heard(n_channels: int = 1) -> Callable[[Any], Any]:
    def use(made: Any) -> Any:
        x = np.broadcast_to(CLIP, (1, 90, n_channels)).astype(getattr(made, "compute_dtype", None) or "float32")
        return made(x if n_channels == 1 else x**2 + 1e-3)

    return use


def _smoothed(made: Any) -> Any:
    x = np.broadcast_to(CLIP, (1, 90, 3)).astype(made.compute_dtype)
    return made(x, initial_state=x[:, 0])


def _frontend(made: Any) -> Any:
    return made(CLIP[:, :, 0].astype(made.compute_dtype))


def subjects() -> list[Subject]:
    """All of ``tf_leaf``'s."""
    import tensorflow as tf

    import tf_leaf as t

    def some(*shape: int) -> Any:
        return tf.fill(shape, 0.3)

    made = {
        **shared(t, _heard, _smoothed, _frontend),
        **dict.fromkeys(("TimeDomainFilterbanks", "SincNet", "SincNetPlus"), ({}, lambda m: None)),
        "GaussianLowpass": ({"kernel_size": 9, "kernel_initializer": "ones"}, _heard(3)),
        "PreempInit": ({}, lambda m: m((2, 1, 1))),
        "LowpassInit": ({}, lambda m: m((int(m.sample_rate * m.window_len // 1000 + 1), 1, 2))),
        "GaborConstraint": ({"kernel_size": 9}, lambda m: m(some(3, 2))),
    }  # fmt: skip
    functions = {
        "amplitude": lambda: {"filters": tf.ones((9, 3), tf.complex64), "i": 0},
        "fft_conv1d": lambda: {"inputs": some(2, 90, 1), "filters": some(9, 1, 2)},
        "overlap_add_conv1d": lambda: {"inputs": some(2, 90, 1), "filters": some(9, 1, 2)},
        "gabor_filters": lambda: {"kernel": some(3, 2), "size": 9},
        "gabor_impulse_response": lambda: {"t": some(9), "center": some(3), "fwhm": some(3)},
        "gaussian_lowpass": lambda: {"sigma": some(1, 1, 3, 1), "filter_size": 9},
        "sinc_filters": lambda: {"cutoff_freq_low": some(1, 3), "cutoff_freq_high": 2 + some(1, 3), "size": 9},
        "sinc_impulse_response": lambda: {"t": some(9, 1), "frequency": some(1, 3)},
        "hz2mel": lambda: {"f": 100.0}, "mel2hz": lambda: {"m": 100.0},
        "log_compression": lambda: {"inputs": some(1, 2, 3)},
        "upper_power_of_2": lambda: {"length": 9},
        "window": lambda: {"window_type": t.WindowType.HAMMING, "tmax": 9},
    }  # fmt: skip
    ignored = {
        "MaxPooling1D": ("use_bias", "kernel_initializer", "kernel_regularizer", "trainable"),
        "LearnablePooling1D": ("padding", "use_bias"),
        "ChannelWiseLearnablePooling1D": ("use_bias",),
        "GaussianLowpass": ("use_bias",),
        "SincConv1D": ("kernel_size",),  # an even one fails in the call, as the original's does
    }
    found = [
        Subject(name, getattr(t, name), lambda base=base: dict(base), use, ("input_shape", *ignored.get(name, ())))
        for name, (base, use) in made.items()
    ]
    return found + [Subject(name, getattr(t, name), base) for name, base in functions.items()]
