"""Mel scale and windows, in NumPy's float64. Source: ``leaf_audio/utils.py``."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from og_leaf.checks import check_count, check_real, shown

MOST_MELS = 90000.0  # of which float32 holds the hertz


def _numbers(name: str, value: Any, **limits: Any) -> Any:
    """A number within limits, or an array, whose values are not looked at; integers as float64.

    Raises:
        TypeError: neither.
        ValueError: a number out of range.
    """
    if not isinstance(value, np.ndarray) or value.ndim == 0:
        return check_real(name, value, **limits)
    if value.dtype.kind not in "fiu":
        raise TypeError(f"{name}={shown(value)}: must be a finite number or an array of real numbers")
    return value if value.dtype.kind == "f" else value.astype(np.float64)


def hz2mel(f: Any) -> Any:
    """Hertz to mel, ``2595 log10(1 + f / 700)``; numbers or arrays. Source: ``leaf_audio/utils.py``."""
    return 2595 * np.log10(1 + _numbers("f", f, above=-700) / 700)


def mel2hz(m: Any) -> Any:
    """Mel to hertz, the inverse of :func:`hz2mel`. Source: ``leaf_audio/utils.py``."""
    return 700 * (np.power(10, _numbers("m", m, at_most=MOST_MELS) / 2595) - 1)


class WindowType(enum.Enum):
    """The windows that there are. Source: ``leaf_audio/utils.py``."""

    HAMMING = 1
    HANNING = 2
    SQUARED_HANNING = 3


def window(window_type: WindowType, tmax: int) -> NDArray[np.float64]:
    """A window of ``tmax`` samples, [tmax].

    As in the original none is symmetric: Hann's ``(1 - cos(2 pi (n - 1) / (tmax - 1))) / 2`` starts one sample early,
    so that its first is the second of a Hann window again; Hamming's ``0.54 - 0.46 cos(2 pi n / tmax)`` is periodic.

    Args:
        window_type: which.
        tmax: samples, at least 1; for a Hann window at least 2, as the original divides by ``tmax - 1``.

    Raises:
        TypeError: ``tmax`` is not an integer, or not a :class:`WindowType`.
        ValueError: ``tmax`` below 1, or 1 for a Hann window, or above 2**20.

    Source: ``leaf_audio/utils.py``.
    """
    if not isinstance(window_type, WindowType):
        raise TypeError(f"window_type={shown(window_type)}: must be one of {[str(kind) for kind in WindowType]}")
    tmax = check_count("tmax", tmax)
    n = np.arange(tmax)
    if window_type == WindowType.HAMMING:
        return np.asarray(0.54 - 0.46 * np.cos(2 * np.pi * n / tmax))
    if tmax == 1:
        raise ValueError(f"tmax={tmax!r}: must be at least 2 for window_type={window_type.name}")
    hann = 0.5 * (1 - np.cos(2 * np.pi * (n - 1) / (tmax - 1)))
    return np.asarray(hann if window_type == WindowType.HANNING else hann**2)
