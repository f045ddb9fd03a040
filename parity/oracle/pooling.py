"""Pooling by the maximum, and the rectifiers and moduli that come before a pooling.

Source: ``leaf_audio/pooling.py`` and ``leaf_audio/frontend.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parity.oracle.arrays import Array, exact
from parity.oracle.convolution import Pads


def _where(x: Array, window: int, stride: int, pads: Pads) -> NDArray[np.int64]:
    """Index of the first largest sample under each window, [B, C, F]; what is padded never counts."""
    padded = np.pad(x.real, [(0, 0)] * (x.ndim - 1) + [pads], constant_values=-np.inf)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=-1)[..., ::stride, :]
    return np.asarray(frames.argmax(axis=-1) + stride * np.arange(frames.shape[-2]) - pads[0])


def max_pool(x: Array, window: int, stride: int, pads: Pads) -> Array:
    """The largest sample under each window: x [B, C, T] -> [B, C, F]."""
    x = exact(x)
    return np.take_along_axis(x, _where(x, window, stride, pads), axis=-1)


def max_pool_adjoint(x: Array, window: int, stride: int, pads: Pads, d: Array) -> Array:
    """Adjoint of :func:`max_pool`: cotangent [B, C, F] to d_x [B, C, T]; of equal samples the first takes it."""
    d_x = np.zeros(x.shape)
    batch, channel = (np.arange(n).reshape(shape) for n, shape in zip(x.shape, ((-1, 1, 1), (1, -1, 1)), strict=False))
    np.add.at(d_x, (batch, channel, _where(x, window, stride, pads)), d)
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
