"""Sinc filters as functions and as a stage, the windows of the original's ``utils``, and the initial cutoffs.

Source: ``leaf_audio/impulse_responses.py``, ``leaf_audio/convolution.py``, ``leaf_audio/utils.py`` and
``leaf_audio/initializers.py``; SincNet section 2 (https://arxiv.org/abs/1808.00158).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.oracle import correlation
from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.chain import Chain, Stage

Rounded = Callable[[Array], Array]
TAPS_RATE = 16000.0  # Hz at which ``SincConv1D`` samples its filters, whatever its sample rate


def response(t: Array, frequency: Array) -> Array:
    """``sin(z) / z`` with ``z = 2 pi frequency t``; NaN at 0, as the original computes it. Shapes broadcast."""
    z = 2 * np.pi * exact(frequency) * exact(t)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sin(z) / z)


def response_adjoint(t: Array, frequency: Array, d: Array, rounded: Rounded = exact) -> tuple[Array, Array]:
    """Adjoint of :func:`response`: (d_t, d_frequency), each summed to the shape of its argument.

    ``rounded`` is applied to the terms of a difference that cancels near 0.
    """
    z = 2 * np.pi * frequency * t
    with np.errstate(invalid="ignore", divide="ignore"):
        d_z = rounded(d * np.cos(z) / z) - rounded(d * np.sin(z) / z**2)
    return _summed(d_z * 2 * np.pi * frequency, np.shape(t)), _summed(d_z * 2 * np.pi * t, np.shape(frequency))


def _times(size: int, rate: float) -> Array:
    return np.arange(-(size // 2), size // 2 + 1) / rate


def _low_pass(frequency: Array, size: int, rate: float, rounded: Rounded) -> Array:
    """``2 f sinc(2 pi f t)`` as ``sin(2 pi f t) / (pi t)``, and ``2 f`` in the middle: [C, 2 (size // 2) + 1]."""
    f, t = exact(frequency)[:, np.newaxis], _times(size, rate)
    away = np.where(t == 0, 1.0, t)
    return rounded(np.where(t == 0, 2 * f, np.sin(rounded(2 * np.pi * f * t)) / (np.pi * away)))


def band_pass(low: Array, high: Array, size: int, rate: float, rounded: Rounded = exact) -> Array:
    """Differences of two low-pass filters over their largest value: cutoffs [C] in Hz -> [C, 2 (size // 2) + 1].

    ``rounded`` is applied to the two, of which a narrow band leaves little, and to their phases of hundreds of rad.
    """
    band = _low_pass(high, size, rate, rounded) - _low_pass(low, size, rate, rounded)
    return np.asarray(band / _largest(band))


def _largest(band: Array) -> Array:
    return np.take_along_axis(band, band.real.argmax(axis=1)[:, np.newaxis], axis=1)


def band_pass_adjoint(
    low: Array, high: Array, size: int, rate: float, d: Array, rounded: Rounded = exact
) -> tuple[Array, Array]:
    """Adjoint of :func:`band_pass`: cotangent [C, W] to (d_low [C], d_high [C]); equal largest values share.

    ``rounded`` is applied to the terms of a difference that may cancel: the gradient of ``h / max h`` where h is the
    maximum is 0 but for rounding.
    """
    band = _low_pass(high, size, rate, rounded) - _low_pass(low, size, rate, rounded)
    largest = _largest(band)
    shares = (band == largest) / np.sum(band == largest, axis=1, keepdims=True)
    d_band = rounded(d / largest) - shares * np.sum(rounded(d * band), axis=1, keepdims=True) / largest**2
    t = _times(size, rate)
    slopes = [2 * np.cos(rounded(2 * np.pi * exact(f)[:, np.newaxis] * t)) for f in (low, high)]
    return -np.sum(d_band * slopes[0], axis=1), np.sum(d_band * slopes[1], axis=1)


def cutoffs(kernel: Array, min_low: float, min_band: float, rate: float) -> tuple[Array, Array]:
    """Lower and upper cutoff from (lower cutoff less ``min_low``, width less ``min_band``), [C, 2] -> two [C]."""
    kernel = exact(kernel)
    sizes = np.where(kernel.real < 0, -kernel, kernel)
    low = min_low + sizes[:, 0]
    return low, clamp(low + min_band + sizes[:, 1], min_low, rate / 2)


def cutoffs_adjoint(kernel: Array, min_low: float, min_band: float, rate: float, d_low: Array, d_high: Array) -> Array:
    """Adjoint of :func:`cutoffs`, to [C, 2]; the absolute value has the gradient 0 at 0."""
    sizes = np.abs(kernel)
    d_high = clamp_adjoint(min_low + sizes[:, 0] + min_band + sizes[:, 1], d_high, min_low, rate / 2)
    return np.sign(kernel) * np.stack([d_low + d_high, d_high], axis=1)


def window(kind: str, size: int) -> Array:
    """The original's ``HAMMING`` (periodic), ``HANNING`` (a sample early) and ``SQUARED_HANNING``: [size].

    Raises:
        ValueError: a Hann window of one sample, for which the original divides by zero.
    """
    n = np.arange(size)
    if kind == "HAMMING":
        return np.asarray(0.54 - 0.46 * np.cos(2 * np.pi * n / size))
    if size == 1:
        raise ValueError(f"size={size}: must be at least 2")
    hann = np.sin(np.pi * ((n - 1) % (size - 1)) / (size - 1)) ** 2  # of period size - 1
    return np.asarray(hann**2 if kind == "SQUARED_HANNING" else hann)


def hertz_to_mel(hertz: Array | float) -> Array:
    """The original's mel scale, ``2595 log10(1 + f / 700)``: not quite that of the mel filters."""
    return np.asarray(2595 / np.log(10) * np.log1p(np.asarray(hertz, dtype=np.float64) / 700))


def mel_to_hertz(mel: Array | float) -> Array:
    """Inverse of :func:`hertz_to_mel`."""
    return np.asarray(700 * np.expm1(np.asarray(mel, dtype=np.float64) * np.log(10) / 2595))


def initial_cutoffs(n_filters: int, rate: float, min_low: float, min_band: float) -> Array:
    """Lower ends and widths of bands that share ``min_low`` to ``rate / 2 - min_low - min_band`` in mel, [C, 2]."""
    ends = hertz_to_mel(np.array([min_low, rate / 2 - min_low - min_band]))
    edges = mel_to_hertz(np.linspace(ends[0], ends[1], n_filters + 1))
    return np.stack([edges[:-1], np.diff(edges)], axis=1)


def _summed(d: Array, shape: tuple[int, ...]) -> Array:
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and d.shape[i] != 1)
    return d.sum(axis=axes, keepdims=True) if axes else d


@dataclass(frozen=True)
class SincConv(Stage):
    """Convolution of a mono signal with sinc filters under a Hamming window.

    Attributes:
        name: of the variable [C, 2], see :func:`cutoffs`.
        window: taps, odd; with an even one the original's filters have one tap more than its window, and it fails.
        stride: samples.
        padding: ``"same"``, ``"centered"`` or ``"valid"``.
        min_low, min_band: Hz.
        rate: Hz, of the upper limit.
    """

    name: str
    window: int
    stride: int
    padding: str
    min_low: float
    min_band: float
    rate: float

    def apply(self, c: Chain) -> None:
        """See :meth:`Stage.apply`.

        Raises:
            ValueError: an even window.
        """
        if self.window % 2 == 0:
            raise ValueError(f"window={self.window}: must be odd")
        limits = self.min_low, self.min_band, self.rate
        held = c.variable(self.name)
        low, high = (c.rounded(edge) for edge in cutoffs(held, *limits))
        hamming = window("HAMMING", self.window)
        filters = c.rounded(band_pass(low, high, self.window, TAPS_RATE, c.rounded)) * hamming

        def learn(d: Array) -> None:
            d_edges = band_pass_adjoint(low, high, self.window, TAPS_RATE, c.rounded(d * hamming), c.rounded)
            d_low, d_high = (c.rounded(d) for d in d_edges)
            c.set_gradient(self.name, cutoffs_adjoint(held, *limits, d_low, d_high))

        correlation.apply(c, filters, self.stride, self.padding, learn)
