"""Convolution by way of the Fourier transform. Source: ``leaf_audio/convolution.py``, which re-exports these here."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_leaf.checks import check_count, check_dtype
from tf_leaf.described import Unmasked, registered
from tf_leaf.inputs import check_tensor


def upper_power_of_2(length: Any) -> tf.Tensor:
    """The smallest power of 2 that is not below ``length``, int32.

    In float32 logarithms, as in the original: where their quotient is rounded up past a whole number the answer is
    twice as much. That is so for 8192 in a tensor of lengths, whose logarithms are vectorised, and not for 8192 alone.

    Source: ``leaf_audio/convolution.py``.
    """
    if not _symbolic(length) and np.ndim(length) == 0:
        length = check_count("length", length, 2**30)
    length = tf.cast(length, dtype=tf.float32)
    power = 2 ** tf.math.ceil(tf.math.log(length) / tf.math.log(2.0))
    return tf.cast(power, dtype=tf.int32)


def rfft(x: tf.Tensor, fft_length: Any) -> tf.Tensor:
    """``tf.signal.rfft`` over the last axis, of no clips too: its own zero-padding leaves an empty tensor too short."""
    missing = tf.maximum(fft_length - tf.shape(x)[-1], 0)
    return tf.signal.rfft(tf.pad(x, [*[[0, 0]] * (x.shape.rank - 1), [0, missing]]), fft_length=[fft_length])


def fft_conv1d(inputs: tf.Tensor, filters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Correlates a signal with filters in the Fourier domain, circularly over the next power of 2.

    The response is moved by half a filter less one sample. What a filter reaches beyond the end wraps around to the
    beginning wherever the power of 2 leaves no room for it, and taps beyond that power are cut.

    Args:
        inputs: [B, T, 1], at least 2 samples.
        filters: [W, 1, C], of the same dtype.

    Returns:
        The response [B, T, C], and the L1 norm of the filters' spectrum, a scalar.

    Raises:
        ValueError: fewer than 2 samples, where their number is known; the original's transform of no samples ends the
            process.

    Source: ``leaf_audio/convolution.py``.
    """
    _check(inputs, filters)
    if inputs.shape[1] is not None and inputs.shape[1] < 2:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)}: {inputs.shape[1]} samples, must be at least 2")
    n_samples, n_taps = tf.shape(inputs)[1], tf.shape(filters)[0]
    fft_length = upper_power_of_2(n_samples)
    signals = rfft(tf.transpose(inputs, (0, 2, 1)), fft_length)
    responses = tf.signal.rfft(tf.transpose(filters, (1, 2, 0)), fft_length=[fft_length])
    l1_norm = tf.reduce_sum(tf.math.abs(responses))
    outputs = tf.transpose(tf.signal.irfft(signals * tf.math.conj(responses)), (0, 2, 1))
    outputs = tf.roll(outputs, n_taps // 2 - 1, axis=1)[:, :n_samples, :]
    return tf.reshape(outputs, _output_shape(inputs, filters)), l1_norm


def overlap_add_conv1d(inputs: tf.Tensor, filters: tf.Tensor, fft_length: int = 4096) -> tf.Tensor:
    """Correlates a signal with filters in the Fourier domain, segment by segment.

    Args:
        inputs: [B, T, 1].
        filters: [W, 1, C], of the same dtype; ``W`` at most ``fft_length``.
        fft_length: samples of a transform; a segment is ``W - 1`` shorter.

    Returns:
        The response, [B, T, C].

    Source: ``leaf_audio/convolution.py``.
    """
    _check(inputs, filters)
    least = max(2, filters.shape[0] or 2)
    if not _symbolic(fft_length):
        fft_length = check_count("fft_length", fft_length, least=least)
    n_samples, n_taps = tf.shape(inputs)[1], tf.shape(filters)[0]
    overlap = n_taps - 1
    n_segment = fft_length - overlap
    responses = tf.signal.rfft(tf.transpose(filters, (1, 2, 0)), fft_length=[fft_length])
    segments = tf.signal.frame(
        tf.transpose(inputs, (0, 2, 1)), frame_length=n_segment, frame_step=n_segment, pad_end=True
    )
    half = int(overlap / 2)
    segments = tf.pad(segments, [[0, 0], [0, 0], [0, 0], [half, half]])
    signals = tf.signal.rfft(segments, fft_length=[fft_length])
    outputs = tf.signal.irfft(signals * tf.math.conj(tf.expand_dims(responses, axis=2)))
    outputs = tf.roll(outputs, n_taps // 2 - 1, axis=-1)
    outputs = tf.signal.overlap_and_add(outputs, frame_step=n_segment)
    outputs = tf.transpose(outputs, (0, 2, 1))[..., :n_samples, :]
    outputs = tf.roll(outputs, 1 - n_taps // 2, axis=1)
    return tf.reshape(outputs, _output_shape(inputs, filters))


def _symbolic(value: Any) -> bool:
    """Whether it is a tensor of a graph, that has no value yet."""
    return tf.is_tensor(value) and not hasattr(value, "numpy")


def _check(inputs: tf.Tensor, filters: tf.Tensor) -> None:
    check_tensor("filters", filters)
    check_tensor("inputs", inputs)
    dtypes = [tf.as_dtype(value.dtype).name for value in (inputs, filters)]
    if dtypes[0] != dtypes[1]:
        raise TypeError(f"inputs of dtype {dtypes[0]}, filters of dtype {dtypes[1]}: must be one")
    for name, value, words in (("inputs", inputs, "[batch, samples, 1]"), ("filters", filters, "[taps, 1, filters]")):
        shape = tuple(value.shape)
        if len(shape) != 3 or shape[2 if name == "inputs" else 1] not in (1, None):
            raise ValueError(f"{name} of shape {shape}: must be {words}")


def _output_shape(inputs: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.shape(inputs)[:-1], tf.shape(filters)[-1:]], axis=0)


@registered
class FFTConv1D(Unmasked, keras.layers.Conv1D):
    """``keras.layers.Conv1D`` computed by :func:`fft_conv1d`.

    Arguments and weights are those of Keras' layer. As in the original, it computes the same whatever ``strides`` and
    ``padding`` say, and a ``kernel_regularizer`` also penalises the L1 norm of the kernel's spectrum, by its ``l1``.

    Raises:
        ValueError: ``padding="causal"``, or a ``kernel_regularizer`` without ``l1``: the original's call fails at both.

    Source: ``leaf_audio/convolution.py``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        dtype = kwargs.get("dtype")
        super().__init__(*args, **{**kwargs, "dtype": check_dtype("float32" if dtype is None else dtype)})
        if self.padding == "causal":
            raise ValueError(f"padding={self.padding!r}: must be 'same' or 'valid', which are computed alike")
        if self.kernel_regularizer is not None and not hasattr(self.kernel_regularizer, "l1"):
            raise ValueError(f"kernel_regularizer={self.kernel_regularizer!r}: must have an attribute l1")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As many frames as samples.

        Raises:
            ValueError: ``padding="valid"`` and so few samples that a convolution would lack more than a frame: the
                only thing that padding and strides do, in Keras 2 as here; Keras 3 would refuse no frame as well.
        """
        n_samples, least = input_shape[1], self.kernel_size[0] - self.strides[0]
        if len(input_shape) != 3:
            raise ValueError(f"inputs of shape {input_shape}: must be [batch, samples, 1]")
        if self.padding == "valid" and n_samples is not None and n_samples < least:
            raise ValueError(f"inputs of shape {input_shape}: {n_samples} samples, must be at least {least}")
        return (*input_shape[:-1], self.filters)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, T, 1] to [B, T, filters]."""
        outputs, l1_norm = fft_conv1d(inputs, tf.convert_to_tensor(self.kernel))
        if self.kernel_regularizer is not None:
            self.add_loss(self.kernel_regularizer.l1 * l1_norm)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias), data_format="NHWC")
        return outputs if self.activation is None else self.activation(outputs)
