"""Initial values of the frontend's weights, as Keras initialisers. Source: ``leaf_audio/initializers.py``."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_leaf.checks import (
    check_band,
    check_count,
    check_duration,
    check_flag,
    check_rate,
    check_real,
    check_shape,
    check_sinc,
    shown,
)
from tf_leaf.described import registered
from tf_leaf.melfilters import Gabor
from tf_leaf.utils import WindowType, hz2mel, mel2hz, window


@registered
class Constant(keras.initializers.Constant):
    """``keras.initializers.Constant`` in the weight's dtype; Keras' own rounds to float32 on the way to float64."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__(check_real("value", value))

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Values of any shape."""
        return tf.constant(self.value, dtype=dtype or "float32", shape=shape)


@registered
class PreempInit(keras.initializers.Initializer):
    """Two taps, ``(-alpha, 1)``.

    TensorFlow pads two SAME taps on the right, so the layer computes ``x[n + 1] - alpha x[n]``.

    Args:
        alpha: weight of the earlier sample; the higher, the more the high frequencies are emphasised.

    Source: ``leaf_audio/initializers.py``.
    """

    def __init__(self, alpha: float = 0.97) -> None:
        self.alpha = check_real("alpha", alpha)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Values for a kernel of shape [2, 1, 1].

        Raises:
            ValueError: another shape.
        """
        if check_shape(shape) != (2, 1, 1):
            raise ValueError(f"shape={tuple(shape)}: must be (2, 1, 1)")
        return tf.convert_to_tensor(np.reshape([-self.alpha, 1.0], (2, 1, 1)), dtype=dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"alpha": self.alpha}


@registered
class GaborInit(keras.initializers.Initializer):
    """Gabor parameters measured on a bank of mel filters, or the filters themselves, where the shape asks for taps.

    See :class:`tf_leaf.melfilters.Gabor`.

    Args:
        n_filters: ignored, as in the original; the shape of the kernel decides.
        min_freq: Hz.
        max_freq: Hz, at most half the sample rate.
        sample_rate: Hz.
        n_fft: the mel triangles are sampled on ``n_fft // 2 + 1`` bins.
        normalize_energy: divide each triangle by its area.

    Raises:
        ValueError: a band that the sample rate does not hold.

    Source: ``leaf_audio/initializers.py``.
    """

    def __init__(
        self,
        n_filters: int | None = None,
        min_freq: float = 0.0,
        max_freq: float = 8000.0,
        sample_rate: float = 16000,
        n_fft: int = 512,
        normalize_energy: bool = False,
    ) -> None:
        low, high = check_band(min_freq, max_freq, sample_rate)
        self._kwargs: dict[str, Any] = {
            "min_freq": low,
            "max_freq": high,
            "sample_rate": check_rate(sample_rate),
            "n_fft": check_count("n_fft", n_fft, least=2),
            "normalize_energy": check_flag("normalize_energy", normalize_energy),
        }

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Parameters for a kernel of shape [C, 2]; for one of [W, 1, 2 C] filters, real and imaginary parts in turn.

        Raises:
            ValueError: another shape.
        """
        shape, dtype = check_shape(shape), dtype or "float32"
        if len(shape) == 2 and shape[1] == 2:
            return Gabor(n_filters=shape[0], dtype=dtype, **self._kwargs).gabor_params_from_mels
        if len(shape) != 3 or shape[1] != 1 or shape[2] % 2:
            raise ValueError(f"shape={tuple(shape)}: must be (filters, 2) or (taps, 1, 2 * filters)")
        gabor = Gabor(n_filters=shape[2] // 2, window_len=shape[0], dtype=dtype, **self._kwargs)
        filters = gabor.gabor_filters
        stacked = tf.stack([tf.math.real(filters), tf.math.imag(filters)], axis=1)
        return tf.transpose(tf.reshape(stacked, (shape[2], 1, shape[0])), [2, 1, 0])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(self._kwargs)


@registered
class SincInit(keras.initializers.Initializer):
    """Cutoffs of sinc filters that share the band between them evenly in mel: lower cutoff and width, Hz.

    Args:
        sample_rate: Hz.
        min_low_hz: the lowest cutoff, Hz.
        min_band_hz: with ``min_low_hz``, what is left free under half the sample rate, Hz.

    Source: ``leaf_audio/initializers.py``; https://arxiv.org/abs/1808.00158.
    """

    def __init__(self, sample_rate: float = 16000, min_low_hz: float = 50.0, min_band_hz: float = 50.0) -> None:
        self._sample_rate, self._min_low_hz, self._min_band_hz = check_sinc(sample_rate, min_low_hz, min_band_hz)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Values for a kernel of shape [C, 2]; of the shape only C is looked at, as in the original."""
        shape = check_shape(shape)
        highest = 0.5 * self._sample_rate - (self._min_low_hz + self._min_band_hz)
        edges = mel2hz(np.linspace(hz2mel(self._min_low_hz), hz2mel(highest), shape[0] + 1))
        return tf.cast(tf.stack([edges[:-1], edges[1:] - edges[:-1]], axis=1), dtype=dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "sample_rate": self._sample_rate,
            "min_low_hz": self._min_low_hz,
            "min_band_hz": self._min_band_hz,
        }


@registered
class LowpassInit(keras.initializers.Initializer):
    """The same window for every channel of a pooling.

    Args:
        sample_rate: Hz.
        window_len: ms; the window has ``int(sample_rate * window_len // 1000 + 1)`` samples.
        window_type: which window.

    Source: ``leaf_audio/initializers.py``.
    """

    def __init__(
        self,
        sample_rate: float = 16000,
        window_len: float = 25.0,
        window_type: WindowType = WindowType.SQUARED_HANNING,
    ) -> None:
        self.sample_rate = check_rate(sample_rate)
        self.window_len = check_duration("window_len", window_len, sample_rate)
        if not isinstance(window_type, WindowType):
            raise TypeError(f"window_type={shown(window_type)}: must be one of {[str(kind) for kind in WindowType]}")
        self.window_type = window_type

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Values for a kernel of shape [W, 1, C] or [1, W, C, 1].

        Raises:
            ValueError: another shape, or one of another number of taps than the window has.
        """
        shape = check_shape(shape)
        lowpass = window(self.window_type, int(self.sample_rate * self.window_len // 1000 + 1))
        taps = shape[0] if len(shape) == 3 else shape[-3:][0]
        if len(shape) not in (3, 4) or taps != len(lowpass):
            n = len(lowpass)
            raise ValueError(f"shape={tuple(shape)}: must be ({n}, 1, channels) or (1, {n}, channels, 1)")
        values = np.zeros(shape)
        if len(shape) == 3:
            values[:, 0, :] = lowpass[:, np.newaxis]
        else:
            values[0, :, :, 0] = lowpass[:, np.newaxis]
        return tf.convert_to_tensor(values, dtype=dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"sample_rate": self.sample_rate, "window_len": self.window_len, "window_type": self.window_type.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LowpassInit:
        """An initialiser of this configuration."""
        return cls(**{**config, "window_type": WindowType[config["window_type"]]})
