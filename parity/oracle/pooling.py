"""Activations and poolings, as functions and as stages.

Source: ``leaf_audio/pooling.py``, ``leaf_audio/frontend.py`` and ``leaf_audio/impulse_responses.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parity.oracle import correlation
from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.chain import BoundedStage, Chain, RunningChain, Stage
from parity.oracle.geometry import Pads, pads
from parity.oracle.running import FLUSHED, Running


def _where(x: Array, window: int, stride: int, around: Pads) -> NDArray[np.int64]:
    """Index of the first largest sample under each window, [B, C, F]; what is padded never counts."""
    padded = np.pad(x.real, [(0, 0)] * (x.ndim - 1) + [around], constant_values=-np.inf)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=-1)[..., ::stride, :]
    return np.asarray(frames.argmax(axis=-1) + stride * np.arange(frames.shape[-2]) - around[0])


def max_pool(x: Array, window: int, stride: int, around: Pads) -> Array:
    """The largest sample under each window: x [B, C, T] -> [B, C, F]."""
    x = exact(x)
    return np.take_along_axis(x, _where(x, window, stride, around), axis=-1)


def max_pool_adjoint(x: Array, window: int, stride: int, around: Pads, d: Array) -> Array:
    """Adjoint of :func:`max_pool`: cotangent [B, C, F] to d_x [B, C, T]; of equal samples the first takes it."""
    d_x = np.zeros(x.shape)
    batch, channel = (np.arange(n).reshape(shape) for n, shape in zip(x.shape, ((-1, 1, 1), (1, -1, 1)), strict=False))
    np.add.at(d_x, (batch, channel, _where(x, window, stride, around)), d)
    return d_x


def rectified(x: Array, slope: float) -> Array:
    """``x`` above 0, ``slope x`` elsewhere."""
    x = exact(x)
    return np.where(x.real > 0, x, slope * x)


def rectified_adjoint(x: Array, slope: float, d: Array) -> Array:
    """Adjoint of :func:`rectified`; at 0 the slope counts, as in TensorFlow."""
    return np.where(x > 0, d, slope * d)


def squared_modulus(x: Array) -> Array:
    """Sums of the squares of channels in pairs: x [B, 2 C, T] -> [B, C, T]; an odd last channel is left out."""
    x = exact(x)[:, : x.shape[1] // 2 * 2]
    return np.asarray(x[:, ::2] ** 2 + x[:, 1::2] ** 2)


def squared_modulus_adjoint(x: Array, d: Array) -> Array:
    """Adjoint of :func:`squared_modulus`: cotangent [B, C, T] to d_x [B, 2 C, T]."""
    d_x = np.zeros(x.shape)
    d_x[:, : 2 * d.shape[1]] = 2 * x[:, : 2 * d.shape[1]] * np.repeat(d, 2, axis=1)
    return d_x


def gaussian_window(width: Array, size: int) -> Array:
    """Gaussian windows, peak 1: [C, size]; ``width`` is the sigma as a fraction of half the window.

    Source: ``gaussian_lowpass`` in ``leaf_audio/impulse_responses.py``. One sample is a window of 1: the formula
    of the original is 0/0 there.
    """
    width = exact(width)[:, np.newaxis]
    if size == 1:
        return np.ones_like(width)
    half = 0.5 * (size - 1)
    return np.asarray(np.exp(-0.5 * ((np.arange(size) - half) / (width * half)) ** 2))


def gaussian_window_adjoint(width: Array, size: int, d: Array) -> Array:
    """Adjoint of :func:`gaussian_window`: cotangent [C, size] to d_width [C]."""
    if size == 1:
        return np.zeros(len(width))
    half = 0.5 * (size - 1)
    w = exact(width)[:, np.newaxis]
    z = (np.arange(size) - half) / (w * half)
    return np.asarray(np.sum(d * gaussian_window(width, size) * z**2 / w, axis=1))


@dataclass(frozen=True)
class SquaredModulus(BoundedStage):
    """Squares of channels, summed in pairs: [B, 2 C, T] to [B, C, T]."""

    def apply(self, c: Chain) -> None:
        c.then(squared_modulus, squared_modulus_adjoint)

    def bound(self, c: RunningChain) -> None:
        x = c.x
        squares = x * x

        def adjoint(d: Running) -> Running:
            return (d.arranged(lambda a: np.repeat(a, 2, axis=1)).times(2.0) * x).reformed()

        c.then(squares[:, ::2] + squares[:, 1::2], adjoint)


@dataclass(frozen=True)
class Rectifier(Stage):
    """``x`` above 0, ``slope x`` elsewhere."""

    slope: float

    def apply(self, c: Chain) -> None:
        c.then(lambda x: rectified(x, self.slope), lambda x, d: rectified_adjoint(x, self.slope, d))


@dataclass(frozen=True)
class GaussianPool(BoundedStage):
    """A Gaussian window for each channel.

    Attributes:
        name: of the variable [1, 1, C, 1], a width as a fraction of half the window.
        window: samples.
        stride: samples.
        padding: ``"same"``, ``"centered"`` or ``"valid"``.
        low: the least width; LEAF's, two samples of the window, by default.
        scale: factor of the width once it is limited, on EfficientLEAF's grids.
    """

    name: str
    window: int
    stride: int
    padding: str
    low: float | None = None
    scale: float = 1.0

    @property
    def _limits(self) -> tuple[float, float]:
        return 2.0 / self.window if self.low is None else self.low, 0.5

    def apply(self, c: Chain) -> None:
        held = c.variable(self.name).reshape(-1)
        width = self.scale * c.rounded(clamp(held, *self._limits))
        windows = c.rounded(gaussian_window(width, self.window), FLUSHED)
        c.notes["windows"] = windows

        def learn(d: Array) -> None:
            c.cotangents["windows"] = d
            d_width = self.scale * c.rounded(gaussian_window_adjoint(width, self.window, c.rounded(d)))
            c.set_gradient(self.name, clamp_adjoint(held, d_width, *self._limits))

        correlation.apply(c, windows, self.stride, self.padding, learn)

    def bound(self, c: RunningChain) -> None:
        low, high = self._limits
        held = c.variable(self.name).reshape(-1, 1)
        # EfficientLEAF rescales the width in three operations, which round even where the scale comes to 1
        width = held.clamped(high=high).clamped(low=low) * c.given(np.full((1, 1), self.scale), 2.0)
        half = max(0.5 * (self.window - 1), 0.5)
        divisor = width.times(half)
        z = c.given((np.arange(self.window) - 0.5 * (self.window - 1))[np.newaxis])
        z = z / divisor.rounded(divisor.value, divisor.error)
        windows = (-(z * z).times(0.5)).exp().flushed()
        c.notes["windows"] = windows

        def learn(d: Running) -> None:
            # each window's own gradient: exp' is the window, the argument's derivative is z^2 / width
            d_width = (d * windows * z * z / width).sum(1).reformed().times(self.scale)
            c.set_gradient(self.name, d_width.limited(held.value.reshape(-1), low, high))

        correlation.bound(c, windows, self.stride, self.padding, learn)


@dataclass(frozen=True)
class SharedPool(Stage):
    """One free window for all channels, variable [1, W, 1, 1]; never padded."""

    name: str
    stride: int

    def apply(self, c: Chain) -> None:
        windows = np.repeat(c.variable(self.name).reshape(1, -1), c.x.shape[1], axis=0)
        correlation.apply(c, windows, self.stride, "valid", lambda d: c.set_gradient(self.name, d.sum(axis=0)))


@dataclass(frozen=True)
class FreePool(Stage):
    """A free window for each channel, variable [W, 1, C]."""

    name: str
    stride: int
    padding: str

    def apply(self, c: Chain) -> None:
        windows = c.variable(self.name)[:, 0].T
        correlation.apply(c, windows, self.stride, self.padding, lambda d: c.set_gradient(self.name, d.T))


@dataclass(frozen=True)
class MaxPool(Stage):
    """The largest sample under each window."""

    window: int
    stride: int
    padding: str

    def apply(self, c: Chain) -> None:
        geometry = self.window, self.stride, pads(c.x.shape[-1], self.window, self.stride, self.padding)
        c.then(lambda x: max_pool(x, *geometry), lambda x, d: max_pool_adjoint(x, *geometry, d))
