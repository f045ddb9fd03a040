"""Initial values of the frontend's weights. Source: ``leaf_audio/initializers.py``.

An initialiser is called with ``(shape, dtype=None, device=None)`` and returns a tensor. It plays the part of
a Keras initialiser, but the shapes are those of this rung's weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from og_leaf import utils
from og_leaf.checks import (
    MOST_VALUES,
    check_band,
    check_count,
    check_device,
    check_dtype,
    check_duration,
    check_flag,
    check_rate,
    check_real,
    check_sinc,
    shown,
)
from og_leaf.melfilters import Gabor

Initializer = Callable[..., Tensor]
Device = torch.device | str | int | None
MOST_FAN = 2**40  # inputs of a filter, taps times channels


def check_shape(shape: Any) -> tuple[int, ...]:
    """The shape that an initialiser is asked for.

    Raises:
        TypeError: no sequence of integers.
        ValueError: one below 1, or so many values that they fill the memory.
    """
    try:
        sizes = tuple(check_count("shape", n, MOST_VALUES) for n in shape)
    except TypeError:
        raise TypeError(f"shape={shown(shape)}: must be a sequence of integers, at least 1") from None
    if math.prod(sizes) > 2 * MOST_VALUES:
        raise ValueError(f"shape={shown(shape)}: must have at most {2 * MOST_VALUES} values")
    return sizes


class Constant:
    """Every value is ``value``; what ``tf.keras.initializers.Constant`` does."""

    def __init__(self, value: float) -> None:
        self.value = check_real("value", value)

    def __call__(self, shape: tuple[int, ...], dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """Values of any shape."""
        return torch.full(check_shape(shape), self.value, dtype=check_dtype(dtype), device=check_device(device))


class GlorotUniform:
    """Uniform in ``[-a, a]`` with ``a = sqrt(6 / (fan_in + fan_out))``, Keras' default for weights.

    The fans are given, because Keras reads them off TensorFlow's layout of a weight.
    """

    def __init__(self, fan_in: int, fan_out: int) -> None:
        fans = check_count("fan_in", fan_in, MOST_FAN) + check_count("fan_out", fan_out, MOST_FAN)
        self.limit = math.sqrt(6.0 / fans)

    def __call__(self, shape: tuple[int, ...], dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """Values of any shape."""
        values = torch.empty(check_shape(shape), dtype=check_dtype(dtype), device=check_device(device))
        return values.uniform_(-self.limit, self.limit)


class PreempInit:
    """Two taps, ``(-alpha, 1)``.

    TensorFlow pads two SAME taps on the right, so the layer computes ``x[n + 1] - alpha x[n]``.

    Args:
        alpha: weight of the earlier sample; the higher, the more the high frequencies are emphasised.

    Source: ``leaf_audio/initializers.py``.
    """

    def __init__(self, alpha: float = 0.97) -> None:
        self.alpha = check_real("alpha", alpha)

    def __call__(self, shape: tuple[int, ...], dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """Values for a weight of shape [1, 1, 2].

        Raises:
            ValueError: another shape.
        """
        shape = check_shape(shape)
        if shape != (1, 1, 2):
            raise ValueError(f"shape={shape}: must be (1, 1, 2)")
        return torch.tensor([[[-self.alpha, 1.0]]], dtype=check_dtype(dtype), device=check_device(device))


class GaborInit:
    """Gabor parameters measured on a bank of mel filters, or the wavelets: see :class:`og_leaf.melfilters.Gabor`.

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

    def __call__(self, shape: tuple[int, ...], dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """Values for a kernel [C, 2], or for free filters [2 C, 1, W]: real and imaginary parts in turn.

        Raises:
            ValueError: another shape.
        """
        shape, device = check_shape(shape), check_device(device)
        if len(shape) == 2 and shape[1] == 2:
            return Gabor(n_filters=shape[0], dtype=dtype, **self._kwargs).gabor_params_from_mels.to(device)
        if len(shape) != 3 or shape[0] % 2 or shape[1] != 1:
            raise ValueError(f"shape={shape}: must be (filters, 2) or (2 * filters, 1, taps)")
        gabor = Gabor(n_filters=shape[0] // 2, window_len=shape[2], dtype=dtype, **self._kwargs)
        filters = gabor.gabor_filters
        return torch.stack([filters.real, filters.imag], dim=1).reshape(shape).to(device)


class SincInit:
    """Cutoffs of sinc filters that share a band equally on the mel scale.

    Args:
        sample_rate: Hz.
        min_low_hz: lower end of the band, Hz.
        min_band_hz: with ``min_low_hz``, what the band stays below half the sample rate, Hz.

    Source: ``leaf_audio/initializers.py``.
    """

    def __init__(self, sample_rate: float = 16000, min_low_hz: float = 50.0, min_band_hz: float = 50.0) -> None:
        self._sample_rate, self._min_low_hz, self._min_band_hz = check_sinc(sample_rate, min_low_hz, min_band_hz)

    def __call__(self, shape: tuple[int, ...], dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """Lower cutoffs and widths in Hz, [C, 2], rounded from float64.

        Raises:
            ValueError: another shape.
        """
        shape, device = check_shape(shape), check_device(device)
        if len(shape) != 2 or shape[1] != 2:
            raise ValueError(f"shape={shape}: must be (filters, 2)")
        highest = 0.5 * self._sample_rate - (self._min_low_hz + self._min_band_hz)
        mels = np.linspace(utils.hz2mel(self._min_low_hz), utils.hz2mel(highest), shape[0] + 1)
        edges = utils.mel2hz(mels)
        return torch.tensor(np.stack([edges[:-1], np.diff(edges)], axis=1), dtype=check_dtype(dtype), device=device)


class LowpassInit:
    """One window in every channel, for a pooling with free windows.

    Args:
        sample_rate: Hz.
        window_len: length of the window, ms; ``int(sample_rate * window_len // 1000 + 1)`` samples, which must be the
            kernel's.
        window_type: which window.

    Source: ``leaf_audio/initializers.py``.
    """

    def __init__(
        self,
        sample_rate: float = 16000,
        window_len: float = 25.0,
        window_type: utils.WindowType = utils.WindowType.SQUARED_HANNING,
    ) -> None:
        self.sample_rate = check_rate(sample_rate)
        self.window_len = check_duration("window_len", window_len, sample_rate)
        if not isinstance(window_type, utils.WindowType):
            raise TypeError(f"window_type={shown(window_type)}: must be one of {[str(t) for t in utils.WindowType]}")
        self.window_type = window_type

    def __call__(self, shape: tuple[int, ...], dtype: torch.dtype | None = None, device: Device = None) -> Tensor:
        """Values for a kernel [C, 1, W] or [C, 1, 1, W].

        Raises:
            ValueError: another shape, or a window of another length than W.
        """
        shape, device = check_shape(shape), check_device(device)
        window = utils.window(self.window_type, int(self.sample_rate * self.window_len // 1000 + 1))
        if len(shape) not in (3, 4) or any(n != 1 for n in shape[1:-1]) or len(window) not in (1, shape[-1]):
            n = len(window)
            raise ValueError(f"shape={shape}: must be (channels, 1, {n}) or (channels, 1, 1, {n})")
        values = torch.tensor(window, dtype=check_dtype(dtype), device=device)
        return values.expand(shape).clone()
