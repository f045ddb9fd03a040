"""Initial values of the frontend's weights, as Keras initialisers. Source: ``leaf_audio/initializers.py``."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_leaf.checks import check_band
from tf_leaf.melfilters import Gabor


class Constant(keras.initializers.Constant):
    """``keras.initializers.Constant`` in the weight's dtype; Keras' own rounds to float32 on the way to float64."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Values of any shape."""
        return tf.constant(self.value, dtype=dtype or "float32", shape=shape)


class PreempInit(keras.initializers.Initializer):
    """Two taps, ``(-alpha, 1)``.

    TensorFlow pads two SAME taps on the right, so the layer computes ``x[n + 1] - alpha x[n]``.

    Args:
        alpha: weight of the earlier sample; the higher, the more the high frequencies are emphasised.

    Source: ``leaf_audio/initializers.py``.
    """

    def __init__(self, alpha: float = 0.97) -> None:
        self.alpha = alpha

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Values for a kernel of shape [2, 1, 1].

        Raises:
            ValueError: another shape.
        """
        if tuple(shape) != (2, 1, 1):
            raise ValueError(f"shape={tuple(shape)}: must be (2, 1, 1)")
        return tf.convert_to_tensor(np.reshape([-self.alpha, 1.0], (2, 1, 1)), dtype=dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"alpha": self.alpha}


class GaborInit(keras.initializers.Initializer):
    """Gabor parameters measured on a bank of mel filters, see :class:`tf_leaf.melfilters.Gabor`.

    Args:
        n_filters: ignored, as in the original; the shape of the kernel decides.
        min_freq: Hz.
        max_freq: Hz, at most half the sample rate.
        sample_rate: Hz.
        n_fft: the mel triangles are sampled on ``n_fft // 2 + 1`` bins.
        normalize_energy: divide each triangle by its area.

    Raises:
        ValueError: a band that the sample rate does not hold.

    Source: ``leaf_audio/initializers.py`` (kernels of rank 2).
    """

    def __init__(
        self,
        n_filters: int | None = None,
        min_freq: float = 0.0,
        max_freq: float = 8000.0,
        sample_rate: int = 16000,
        n_fft: int = 512,
        normalize_energy: bool = False,
    ) -> None:
        check_band(min_freq, max_freq, sample_rate)
        self._kwargs: dict[str, Any] = {
            "min_freq": min_freq,
            "max_freq": max_freq,
            "sample_rate": sample_rate,
            "n_fft": n_fft,
            "normalize_energy": normalize_energy,
        }

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Values for a kernel of shape [C, 2].

        Raises:
            ValueError: another shape.
        """
        if len(shape) != 2 or shape[1] != 2:
            raise ValueError(f"shape={tuple(shape)}: must be (filters, 2)")
        return Gabor(n_filters=shape[0], dtype=dtype or "float32", **self._kwargs).gabor_params_from_mels

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(self._kwargs)
