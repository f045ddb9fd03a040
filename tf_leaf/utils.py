"""Mel scale and windows, in NumPy's float64. Source: ``leaf_audio/utils.py``."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np

from tf_leaf.checks import check_count, check_real, shown

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
    """Hertz to mel, ``2595 log10(1 + f / 700)``, of a number or an array. Source: ``leaf_audio/utils.py``."""
    return 2595 * np.log10(1 + _numbers("f", f, above=-700) / 700)


def mel2hz(m: Any) -> Any:
    """Mel to hertz, ``700 (10^(m / 2595) - 1)``, of a number or an array. Source: ``leaf_audio/utils.py``."""
    return 700 * (np.power(10, _numbers("m", m, at_most=MOST_MELS) / 2595) - 1)


class WindowType(enum.Enum):
    """The windows of :func:`window`. Source: ``leaf_audio/utils.py``."""

    HAMMING = 1
    HANNING = 2
    SQUARED_HANNING = 3


def window(window_type: WindowType, tmax: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A window of ``tmax`` samples, float64 [tmax].

    As in the original, and unlike elsewhere: the Hann windows are one sample late (``n - 1`` for ``n``), so that their
    first value equals the third and the last is not 0; the Hamming window is periodic, ``n / tmax``.

    Args:
        window_type: which window.
        tmax: its length in samples; at least 2 for the Hann windows.

    Raises:
        TypeError: no :class:`WindowType`, or a length that is not an integer.
        ValueError: a length below 1 or above 2**20, or a Hann window of one sample.

    Source: ``leaf_audio/utils.py``.
    """
    if not isinstance(window_type, WindowType):
        raise TypeError(f"window_type={shown(window_type)}: must be one of {[str(known) for known in WindowType]}")
    tmax = check_count("tmax", tmax)
    if window_type is WindowType.HAMMING:
        return np.asarray([0.54 - 0.46 * np.cos(2 * math.pi * n / tmax) for n in range(tmax)])
    if tmax == 1:
        raise ValueError(f"tmax={tmax!r}: must be at least 2 for {window_type}")
    hann = np.asarray([0.5 * (1 - np.cos(2 * math.pi * (n - 1) / (tmax - 1))) for n in range(tmax)])
    return hann**2 if window_type is WindowType.SQUARED_HANNING else hann
