"""Arrays of the oracle, float64 (or complex128, for the complex step), and clamps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def exact(values: object) -> Array:
    """The values as float64; complex values stay complex, so that a complex step passes through."""
    array = np.asarray(values)
    kind = np.complex128 if np.iscomplexobj(array) else np.float64
    return array.astype(kind, copy=False)


def clamp(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """``x`` limited to [low, high]; where these cross it is ``low``, as ``tf.clip_by_value`` has it.

    Only the real part decides, so the function stays analytic between the limits.
    """
    x = exact(x)
    if high is not None:
        x = np.where(x.real > high, high, x)
    if low is not None:
        x = np.where(x.real < low, low, x)
    return x


def clamp_adjoint(x: Array, d: Array, low: float | None = None, high: float | None = None) -> Array:
    """Adjoint of :func:`clamp`: 1 inside *and at* the limits, which is TensorFlow's convention at a tie, else 0."""
    passes = np.ones(np.shape(x), dtype=bool)
    if low is not None:
        passes &= x >= low
    if high is not None:
        passes &= x <= high
    return np.where(passes, d, 0.0)
