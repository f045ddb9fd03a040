"""The frontends that LEAF is compared with: time-domain filterbanks, SincNet, SincNet+ and fixed mel filterbanks.

Source: ``leaf_audio/frontend.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_leaf.checks import (
    MOST_FILTERS,
    check_audio_shape,
    check_band,
    check_bank,
    check_callable,
    check_count,
    check_dtype,
    check_geometry,
    check_name,
    check_rate,
    frames_of,
    shown,
)
from tf_leaf.convolution import SincConv1D
from tf_leaf.described import Described, registered
from tf_leaf.fourier import rfft
from tf_leaf.frontend import Leaf, log_compression, shape_after
from tf_leaf.initializers import Constant, GaborInit, LowpassInit, SincInit
from tf_leaf.inputs import check_audio
from tf_leaf.keras_layers import LayerNormalization
from tf_leaf.pooling import GaussianLowpass, LearnablePooling1D, MaxPooling1D
from tf_leaf.postprocessing import PCENLayer
from tf_leaf.utils import WindowType

_LEAK = 0.2  # slope of the activation below 0


@registered
class TimeDomainFilterbanks(Leaf):
    """:class:`Leaf` with a free convolution that starts from Gabor filters, one learnable window for a pooling, and
    a logarithm.

    As in the original, ``sample_rate`` reaches the initialisers alone: windows are always those of 16 kHz, and as the
    pooling starts from a window of 25 ms, anything but 401 samples is refused.

    Args:
        sample_rate: Hz, of the initialisers.
        name: of the model.
        **kwargs: other arguments of :class:`Leaf`, but for those that are fixed here.

    Raises:
        TypeError: an argument that is fixed here.
        ValueError: as :class:`Leaf`, or a window of another number of samples than ``sample_rate`` has in 25 ms.

    Source: ``leaf_audio/frontend.py``; section 2 of https://arxiv.org/abs/1711.01161.
    """

    def __init__(self, sample_rate: float = 16000, name: str = "tfbanks", **kwargs: Any) -> None:
        window, _ = check_geometry(sample_rate, 25.0, 25.0)
        if window != check_geometry(16000, 25.0, 25.0)[0]:
            raise ValueError(f"sample_rate={shown(sample_rate)}: must have 401 samples in 25 ms: 16000 to 16039 Hz")
        super().__init__(
            conv1d_cls=keras.layers.Conv1D,
            activation=None,
            pooling_cls=LearnablePooling1D,
            complex_conv_init=GaborInit(sample_rate=sample_rate, min_freq=60.0, max_freq=7800.0),
            pooling_init=LowpassInit(sample_rate=sample_rate, window_type=WindowType.SQUARED_HANNING),
            compression_fn=functools.partial(log_compression, log_offset=1e-5),
            name=name,
            **kwargs,
        )


@registered
class SincNet(Leaf):
    """:class:`Leaf` with sinc filters, a leaky rectifier, a maximum for a pooling, and layer normalisation.

    As in the original, the filters are those of 16 kHz whatever ``sample_rate`` says, and a window of an even number of
    samples fails in the call.

    Args:
        name: of the model.
        **kwargs: other arguments of :class:`Leaf`, but for those that are fixed here.

    Raises:
        TypeError: an argument that is fixed here.
        ValueError: as :class:`Leaf`.

    Source: ``leaf_audio/frontend.py``; https://arxiv.org/abs/1808.00158.
    """

    def __init__(self, name: str = "sincnet", **kwargs: Any) -> None:
        dtype = check_dtype(kwargs.get("dtype", "float32"))
        super().__init__(
            conv1d_cls=SincConv1D,
            complex_conv_init=SincInit(),
            activation=keras.layers.LeakyReLU(negative_slope=_LEAK, dtype=dtype),
            pooling_cls=MaxPooling1D,
            compression_fn=LayerNormalization(dtype=dtype),
            name=name,
            **kwargs,
        )


@registered
class SincNetPlus(Leaf):
    """:class:`SincNet` with Gaussian windows for a pooling and PCEN, of which nothing is learned, for a compression.

    Args:
        name: of the model.
        **kwargs: other arguments of :class:`Leaf`, but for those that are fixed here.

    Raises:
        TypeError: an argument that is fixed here.
        ValueError: as :class:`Leaf`.

    Source: ``leaf_audio/frontend.py``.
    """

    def __init__(self, name: str = "sincnet_plus", **kwargs: Any) -> None:
        dtype = check_dtype(kwargs.get("dtype", "float32"))
        super().__init__(
            conv1d_cls=SincConv1D,
            complex_conv_init=SincInit(),
            activation=keras.layers.LeakyReLU(negative_slope=_LEAK, dtype=dtype),
            pooling_cls=GaussianLowpass,
            pooling_init=Constant(0.4),
            compression_fn=PCENLayer(dtype=dtype),
            name=name,
            **kwargs,
        )


@registered
class MelFilterbanks(Described, keras.layers.Layer):
    """Mel energies of a short-time Fourier transform, compressed; nothing is learned.

    Args:
        n_filters: number of mel filters, at least 1.
        sample_rate: Hz.
        n_fft: samples of a transform; of longer windows the rest is cut.
        window_len: length of the (periodic Hann) windows, ms; ``int(sample_rate * window_len // 1000 + 1)`` samples.
        window_stride: hop between frames, ms.
        compression_fn: function on [B, frames, n_filters].
        min_freq: lower corner of the first mel triangle, Hz.
        max_freq: upper corner of the last one, Hz; 0 or ``None`` for half the sample rate.
        **kwargs: of Keras' layer: ``name``, ``dtype``.

    Raises:
        TypeError: a count that is not an integer, or a length that is not a number.
        ValueError: a value outside its range, or a band that the sample rate does not hold.

    Source: ``leaf_audio/frontend.py``.
    """

    def __init__(
        self,
        n_filters: int = 40,
        sample_rate: float = 16000,
        n_fft: int = 512,
        window_len: float = 25.0,
        window_stride: float = 10.0,
        compression_fn: Callable[[tf.Tensor], tf.Tensor] = log_compression,
        min_freq: float = 60.0,
        max_freq: float | None = 7800.0,
        **kwargs: Any,
    ) -> None:
        own: dict[str, str | None] = {"dtype": check_dtype(kwargs.get("dtype", "float32"))}
        if kwargs.get("name") is not None:
            own["name"] = check_name(kwargs["name"])
        super().__init__(**{**kwargs, **own})
        rate = check_rate(sample_rate)
        at_half = max_freq is None or (type(max_freq) in (int, float) and max_freq == 0)
        low, high = check_band(min_freq, rate / 2.0 if at_half else max_freq, rate)
        self._n_filters = check_count("n_filters", n_filters, MOST_FILTERS)
        self._n_fft = check_count("n_fft", n_fft, least=2)
        check_bank("n_filters", self._n_filters, "n_fft", self._n_fft)
        self._window_len, self._window_stride = check_geometry(sample_rate, window_len, window_stride)
        self._compression_fn = check_callable("compression_fn", compression_fn, "a callable on [B, frames, n_filters]")
        self.mel_filters = tf.signal.linear_to_mel_weight_matrix(
            num_mel_bins=self._n_filters,
            num_spectrogram_bins=self._n_fft // 2 + 1,
            sample_rate=rate,
            lower_edge_hertz=low,
            upper_edge_hertz=high,
            dtype=tf.dtypes.as_dtype(self.compute_dtype),
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, T] or [B, T, 1] to [B, frames, n_filters], but for what ``compression_fn`` does to it.

        Raises:
            ValueError: another rank, more than one channel, or no samples.
        """
        check_audio_shape(input_shape)
        n_frames = frames_of((*input_shape[:2], 1), self._window_len, self._window_stride, "SAME")
        return shape_after(self._compression_fn, (input_shape[0], n_frames, self._n_filters), self.compute_dtype)

    def compute_output_spec(self, inputs: Any) -> Any:
        """The shape and dtype of what :meth:`call` gives, which raises the same."""
        check_audio(inputs, self.compute_dtype)
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Features [B, frames, n_filters] of audio [B, T] or [B, T, 1], with ``frames = ceil(T / stride)``.

        Raises:
            TypeError: integer, boolean or complex samples.
            ValueError: another rank, more than one channel, or no samples.
        """
        check_audio(inputs, self.compute_dtype)
        if inputs.shape.rank == 3:
            inputs = tf.squeeze(inputs, axis=-1)
        # what tf.signal.stft does, which fails on no clips
        frames = tf.signal.frame(inputs, self._window_len, self._window_stride, pad_end=True)
        spectra = rfft(frames * tf.signal.hann_window(self._window_len, dtype=frames.dtype), self._n_fft)
        energies = tf.math.square(tf.math.abs(spectra))
        return self._compression_fn(tf.matmul(energies, self.mel_filters))
