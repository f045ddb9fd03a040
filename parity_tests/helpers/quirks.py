"""What both rungs' quirk tests expect: mathematics, and no rung."""

from __future__ import annotations

import numpy as np

from parity.criteria import Exactly, OfMax

SAME = Exactly("a choice of what to compute, not a rounding")
ROUNDED = OfMax(2.0**-20, "a handful of float32 products and a sum, each 2^-24")
PREEMPHASIS = 0.97


def looked_ahead(x: np.ndarray) -> np.ndarray:
    """``y[n] = x[n + 1] - a x[n]``, the sample after the last one 0."""
    return np.append(x[1:], 0.0) - PREEMPHASIS * x


def early_hann(size: int) -> np.ndarray:
    """A symmetric Hann window, a sample late."""
    hann = np.hanning(size)
    return np.concatenate([hann[1:2], hann[:-1]])


def periodic_hamming(size: int) -> np.ndarray:
    """A Hamming window that would be symmetric with one more sample."""
    return np.hamming(size + 1)[:-1]


def wrapped(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Circular correlation on the next power of two, a sample away from SAME's."""
    length = 1 << (len(x) - 1).bit_length()
    padded = np.append(x, np.zeros(length - len(x)))
    correlated = [sum(taps[k] * padded[(n + k) % length] for k in range(len(taps))) for n in range(length)]
    return np.roll(correlated, len(taps) // 2 - 1)[: len(x)]
