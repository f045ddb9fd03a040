"""Mel scale and windows, in NumPy's float64. Source: ``leaf_audio/utils.py``."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np


def hz2mel(f: Any) -> Any:
    """Hertz to mel, ``2595 log10(1 + f / 700)``, of a number or an array. Source: ``leaf_audio/utils.py``."""
    return 2595 * np.log10(1 + f / 700)


def mel2hz(m: Any) -> Any:
    """Mel to hertz, ``700 (10^(m / 2595) - 1)``, of a number or an array. Source: ``leaf_audio/utils.py``."""
    return 700 * (np.power(10, m / 2595) - 1)


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
        ValueError: no :class:`WindowType`, or a Hann window of one sample.

    Source: ``leaf_audio/utils.py``.
    """
    if window_type is WindowType.HAMMING:
        return np.asarray([0.54 - 0.46 * np.cos(2 * math.pi * n / tmax) for n in range(tmax)])
    if window_type not in (WindowType.HANNING, WindowType.SQUARED_HANNING):
        raise ValueError(f"window_type={window_type!r}: must be one of {[str(known) for known in WindowType]}")
    if tmax == 1:
        raise ValueError(f"tmax={tmax!r}: must be at least 2 for {window_type}")
    hann = np.asarray([0.5 * (1 - np.cos(2 * math.pi * (n - 1) / (tmax - 1))) for n in range(tmax)])
    return hann**2 if window_type is WindowType.SQUARED_HANNING else hann
