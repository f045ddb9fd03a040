"""Convolution with learnable filters: Gabor wavelets, taps of norm 1, sinc filters.

Source: ``leaf_audio/convolution.py``; what convolves by way of the Fourier transform is in :mod:`tf_leaf.fourier`.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from tf_leaf import impulse_responses
from tf_leaf.checks import (
    MOST_CHANNELS,
    check_bank,
    check_count,
    check_dtype,
    check_flag,
    check_name,
    check_padding,
    check_sinc,
    frames_of,
)
from tf_leaf.described import Described, registered
from tf_leaf.fourier import FFTConv1D, fft_conv1d, overlap_add_conv1d, upper_power_of_2
from tf_leaf.initializers import GaborInit, SincInit
from tf_leaf.inputs import add_weight, check_features, check_length, check_tensor, of_any_batch
from tf_leaf.utils import WindowType, window

__all__ = [
    "FFTConv1D", "GaborConstraint", "GaborConv1D", "NormalizedConv1D", "SincConv1D", "fft_conv1d", "overlap_add_conv1d",
    "upper_power_of_2",
]  # fmt: skip


@registered
class GaborConstraint(keras.constraints.Constraint):
    """Keeps Gabor parameters inside their box.

    The centre frequency goes to [0, pi] radians per sample; the deviation of the envelope to
    ``[4, kernel_size] * sqrt(2 ln 2) / pi`` samples, which bounds the width of the frequency response.

    Args:
        kernel_size: taps of the filters, in samples.

    Source: ``leaf_audio/convolution.py``; section 2.2 of https://arxiv.org/abs/1711.01161.
    """

    def __init__(self, kernel_size: int) -> None:
        self._kernel_size = check_count("kernel_size", kernel_size)

    def __call__(self, kernel: tf.Tensor) -> tf.Tensor:
        """The kernel [C, 2], clipped."""
        kernel = tf.convert_to_tensor(check_tensor("kernel", kernel, 2))
        per_sample = math.sqrt(2 * math.log(2)) / math.pi
        mu = tf.clip_by_value(kernel[:, 0], 0.0, math.pi)
        sigma = tf.clip_by_value(kernel[:, 1], 4 * per_sample, self._kernel_size * per_sample)
        return tf.stack([mu, sigma], axis=1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"kernel_size": self._kernel_size}


class _MonoConv1D(Described, keras.layers.Layer):
    """A convolution of a mono signal with ``kernel`` and ``bias``, and the checks that its constructors share.

    Args:
        filters: the constructor's argument of this name.
        parts: how many of ``filters`` make one filter, two where they are complex or the original's sincs.
        kernel_size, strides, padding, name, dtype: the constructor's arguments of these names.
    """

    _bias: Any = None  # the variable, with use_bias

    def __init__(
        self, filters: int, parts: int, kernel_size: int, strides: int, padding: str, name: str | None, dtype: str
    ) -> None:
        super().__init__(name=check_name(name), dtype=check_dtype(dtype))
        self._filters = check_count("filters", filters, MOST_CHANNELS, least=parts) // parts
        self._kernel_size = check_count("kernel_size", kernel_size)
        check_bank("filters", parts * self._filters, "kernel_size", self._kernel_size)
        self._strides = check_count("strides", strides)
        self._padding = check_padding(padding)

    def _add_weights(
        self, shape: tuple[int, ...], given: dict[str, Any], trainable: bool, use_bias: bool, constraint: Any = None
    ) -> None:
        """Creates the kernel, see :func:`tf_leaf.inputs.add_weight`, and with ``use_bias`` an offset a channel."""
        use_bias = check_flag("use_bias", use_bias)
        self._kernel = add_weight(
            self, "kernel", shape, given, check_flag("trainable", trainable), constraint=constraint
        )
        if use_bias:
            self._bias = self.add_weight(name="bias", shape=(self._n_outputs(),))

    def _n_outputs(self) -> int:
        return self._filters

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, T, 1] to [B, frames, channels]."""
        n_frames = frames_of(input_shape, self._kernel_size, self._strides, self._padding)
        return input_shape[0], n_frames, self._n_outputs()


@registered
class GaborConv1D(_MonoConv1D):
    """Convolves a mono signal with complex Gabor wavelets; two parameters per filter.

    Weights: ``kernel`` [C, 2] (radians per sample, samples) and, with ``use_bias``, ``bias`` [2 C]. The
    constraint is applied in ``call`` and, by Keras, to the variable after each optimiser step.

    Args:
        filters: number of output channels, two per wavelet.
        kernel_size: taps of the filters, in samples.
        strides: hop between outputs, in samples.
        padding: ``"SAME"`` or ``"VALID"``, in any case.
        use_bias: add a learnable offset to each output channel.
        input_shape: ignored, as in the original.
        kernel_initializer: Keras initialiser of a [C, 2] kernel; ``None`` is ``GaborInit()``.
        kernel_regularizer: Keras regulariser of the kernel.
        name: of the layer.
        trainable: whether the kernel is learned.
        sort_filters: order the filters by centre frequency.
        dtype: ``"float32"`` or ``"float64"``.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a count below 1 (below 2 for ``filters``), or an unknown padding.

    Source: ``leaf_audio/convolution.py``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "SAME",
        use_bias: bool = False,
        input_shape: Any = None,
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        name: str | None = None,
        trainable: bool = True,
        sort_filters: bool = False,
        dtype: str = "float32",
    ) -> None:
        super().__init__(filters, 2, kernel_size, strides, padding, name, dtype)
        self._sort_filters = check_flag("sort_filters", sort_filters)
        initializer = GaborInit() if kernel_initializer is None else kernel_initializer
        given = {"kernel_initializer": initializer, "kernel_regularizer": kernel_regularizer}
        self._add_weights((self._filters, 2), given, trainable, use_bias, GaborConstraint(self._kernel_size))

    def _n_outputs(self) -> int:
        return 2 * self._filters

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, T, 1] to [B, frames, 2 C], real and imaginary parts in turn.

        Raises:
            ValueError: fewer samples than a filter that is not padded.
        """
        check_features(inputs, 1)
        check_length(inputs, self._kernel_size, self._padding)
        kernel = self._kernel.constraint(self._kernel)
        if self._sort_filters:
            kernel = tf.gather(kernel, tf.argsort(kernel[:, 0]), axis=0)
        filters = impulse_responses.gabor_filters(kernel, self._kernel_size)
        stacked = tf.stack([tf.math.real(filters), tf.math.imag(filters)], axis=1)
        stacked = tf.reshape(stacked, [2 * self._filters, self._kernel_size])
        stacked = tf.expand_dims(tf.transpose(stacked, perm=(1, 0)), axis=1)
        outputs = of_any_batch(lambda x: tf.nn.conv1d(x, stacked, self._strides, self._padding), inputs)
        if self._bias is not None:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self._bias), data_format="NWC")
        return outputs


@registered
class NormalizedConv1D(_MonoConv1D):
    """Convolves a mono signal with filters of Euclidean norm 1.

    Weights: ``kernel`` [W, 1, filters] and, with ``use_bias``, ``bias`` [filters]. The constraint,
    ``keras.constraints.UnitNorm(axis=0)``, is applied in ``call`` and, by Keras, to the variable after each optimiser
    step.

    Args:
        filters: number of output channels.
        kernel_size: taps of the filters, in samples.
        strides: hop between outputs, in samples.
        padding: ``"SAME"`` or ``"VALID"``, in any case.
        use_bias: add a learnable offset to each output channel.
        input_shape: ignored, as in the original.
        kernel_initializer: Keras initialiser of a [W, 1, filters] kernel.
        kernel_regularizer: Keras regulariser of the kernel.
        name: of the layer.
        trainable: whether the kernel is learned.
        dtype: ``"float32"`` or ``"float64"``.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a count below 1, or an unknown padding.

    Source: ``leaf_audio/convolution.py``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "SAME",
        use_bias: bool = False,
        input_shape: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str = "float32",
    ) -> None:
        super().__init__(filters, 1, kernel_size, strides, padding, name, dtype)
        given = {"kernel_initializer": kernel_initializer, "kernel_regularizer": kernel_regularizer}
        shape = (self._kernel_size, 1, self._filters)
        self._add_weights(shape, given, trainable, use_bias, keras.constraints.UnitNorm(axis=0))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, T, 1] to [B, frames, filters].

        Raises:
            ValueError: fewer samples than a filter that is not padded.
        """
        check_features(inputs, 1)
        check_length(inputs, self._kernel_size, self._padding)
        kernel = self._kernel.constraint(self._kernel)
        outputs = of_any_batch(lambda x: tf.nn.conv1d(x, kernel, self._strides, self._padding), inputs)
        return outputs if self._bias is None else outputs + tf.convert_to_tensor(self._bias)


@registered
class SincConv1D(_MonoConv1D):
    """Convolves a mono signal with band-pass filters; two parameters per filter.

    Weights: ``kernel`` [C, 2] (Hz; lower cutoff and width, less their minima, by absolute value) and, with
    ``use_bias``, ``bias`` [C]. As in the original, the filters are computed for 16 kHz whatever ``sample_rate``
    says, and an even ``kernel_size`` fails in the call (its filters have a tap more than the window).

    Args:
        filters: twice the number of output channels.
        kernel_size: taps of the filters, in samples, odd.
        strides: hop between outputs, in samples.
        padding: ``"SAME"`` or ``"VALID"``, in any case.
        use_bias: add a learnable offset to each output channel.
        input_shape: ignored, as in the original.
        kernel_initializer: Keras initialiser of a [C, 2] kernel; ``None`` is ``SincInit()``.
        kernel_regularizer: Keras regulariser of the kernel.
        name: of the layer.
        trainable: whether the kernel is learned.
        sample_rate: Hz; half of it limits the upper cutoff.
        min_low_hz: the least lower cutoff, Hz.
        min_band_hz: the least width, Hz.
        dtype: ``"float32"`` or ``"float64"``.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a count below 1 (below 2 for ``filters``), or an unknown padding.

    Source: ``leaf_audio/convolution.py``; https://arxiv.org/abs/1808.00158.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "SAME",
        use_bias: bool = False,
        input_shape: Any = None,
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        name: str | None = None,
        trainable: bool = True,
        sample_rate: float = 16000,
        min_low_hz: float = 50.0,
        min_band_hz: float = 50.0,
        dtype: str = "float32",
    ) -> None:
        super().__init__(filters, 2, kernel_size, strides, padding, name, dtype)
        self._sample_rate, self._min_low_hz, self._min_band_hz = check_sinc(sample_rate, min_low_hz, min_band_hz)
        initializer = SincInit() if kernel_initializer is None else kernel_initializer
        given = {"kernel_initializer": initializer, "kernel_regularizer": kernel_regularizer}
        self._add_weights((self._filters, 2), given, trainable, use_bias)
        self._window = window(WindowType.HAMMING, self._kernel_size)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, T, 1] to [B, frames, C].

        Raises:
            tf.errors.InvalidArgumentError: ``kernel_size`` is even.
            ValueError: fewer samples than a filter that is not padded.
        """
        check_tensor("inputs", inputs, dtype=self.compute_dtype)  # Keras, which would cast them, is not asked
        check_features(inputs, 1)
        check_length(inputs, self._kernel_size, self._padding)
        response = impulse_responses.sinc_filters(*self._cutoffs(), self._kernel_size)
        taps = response * tf.constant(self._window[:, None], dtype=response.dtype)
        taps = taps[:, tf.newaxis, :]
        filtered = of_any_batch(lambda x: tf.nn.conv1d(x, taps, self._strides, self._padding), inputs)
        if self._bias is None:
            return filtered
        return tf.nn.bias_add(filtered, tf.convert_to_tensor(self._bias), data_format="NWC")

    def _cutoffs(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Lower and upper cutoffs in Hz, each [1, C]."""
        kernel = tf.convert_to_tensor(self._kernel)
        lower = self._min_low_hz + tf.abs(kernel[:, 0])
        upper = lower + self._min_band_hz + tf.abs(kernel[:, 1])
        upper = tf.clip_by_value(upper, self._min_low_hz, self._sample_rate / 2)
        return lower[tf.newaxis, :], upper[tf.newaxis, :]
