"""Numerics of the tolerance plan, float64 NumPy: tapers, beats, projected windows, and the errors they leave.

The energies of one band are a quadratic form in the signal. Tones at w1 and w2 enter the frame k by
``G(w1) G*(w2) P(w1 - w2) exp(i (w1 - w2) k S)``, with the filter's response G and the window's response P. So all
that an approximation does is seen in two functions: how far its filter is from G, and how far the response of its
window on a coarse grid is from P, at the beats ``w1 - w2`` that the filter lets through. What it does not let through
is known, too: audio within [-1, 1] against a floor of 1e-5 has no beat beyond some 8 / sigma.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FLOOR = 1e-5  # energies below are one: leaf's PCEN floors them there
BINS = 4096  # of the half circle, for responses
TERMS = 10  # cosines of a taper
EXTENT = 3.0  # sigmas by which a projected window may reach beyond the window


def gaussian(half: int, sigma: float) -> Array:
    """Taps 0 ... half of LEAF's filter, centred at 0 Hz: [half + 1]."""
    taps: Array = np.exp(-(np.arange(half + 1) ** 2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    return taps


def gauss_window(half: int, width: float) -> Array:
    """LEAF's pooling window [2 half + 1]; ``width`` is relative to ``half``."""
    taps: Array = np.exp(-0.5 * (np.arange(-half, half + 1) / max(half, 1) / width) ** 2)
    return taps


def response(taps: Array) -> Array:
    """Of a symmetric filter given from its middle [n + 1]: real, at BINS + 1 frequencies from 0 to pi."""
    circle = np.zeros(2 * BINS)
    circle[: len(taps)] = taps
    circle[-len(taps) + 1 or len(circle) :] += taps[:0:-1]
    return np.fft.rfft(circle).real


def filter_error(half: int, sigma: float, taper: Array, quiet: float) -> float:
    """Largest relative error of a tone's energy when taps 0 ... len(taper) - 1 are kept and tapered.

    ``quiet`` is the response that puts a tone of full scale on the floor.
    """
    true = response(gaussian(half, sigma))
    kept = response(gaussian(len(taper) - 1, sigma) * taper)
    return float(2 * np.max(np.abs(kept - true) / np.maximum(np.abs(true), quiet)))


@lru_cache(maxsize=4)
def _waves(half: int, sigma: float) -> Array:
    """Symmetric taps [half + 1] to their response, dense in the band and coarse beyond: [points, half + 1]."""
    points = np.unique(np.concatenate([np.linspace(0, 8 / sigma, 200), np.linspace(0, np.pi, 200)]))
    waves = 2 * np.cos(np.outer(points[points <= np.pi], np.arange(half + 1)))
    waves[:, 0] = 1.0
    return waves


@lru_cache(maxsize=1024)
def best_taper(half: int, sigma: float, n_taps: int, quiet: float) -> Array:
    """The taper [n_taps] of a shortened filter whose amplitudes are relatively nearest to LEAF's.

    Plain truncation spends its error evenly; a tone in the skirt, 60 dB down, bears 1000 times less of it than one
    at the centre. Weighted least squares over a few cosines, reweighted towards the largest error.
    """
    waves, taps = _waves(half, sigma), gaussian(half, sigma)
    true = waves @ taps
    cosines = np.cos(np.pi / n_taps * np.outer(np.arange(n_taps), np.arange(min(TERMS, n_taps))))
    basis = waves[:, :n_taps] @ (taps[:n_taps, None] * cosines)
    price = 1 / np.maximum(np.abs(true), quiet)
    weight, best, least = price.copy(), np.ones(n_taps), np.inf
    for _ in range(6):
        found = np.linalg.lstsq(basis * weight[:, None], true * weight, rcond=1e-12)[0]
        off = np.abs(basis @ found - true) * price
        if off.max() < least:
            least, best = off.max(), cosines @ found
        weight *= np.sqrt(off / max(off.max(), 1e-300) + 0.02)
    return best


def beats(taps: Array, quiet: float) -> Array:
    """Largest share [BINS + 1] of the beat at each frequency in a band's energy, 0 to 1.

    ``taps`` are the filter's from its middle on; ``quiet`` is the response that puts a tone of full scale on the
    floor. Two tones with ``A1 + A2 <= 1`` and responses ``u1, u2`` in units of it beat with
    ``2 a1 a2 / max(a1^2 + a2^2, 1)``, ``a = A u``: at most 1, ``u1 u2 / 2`` and ``2 min(u1, 1) min(u2, 1)``. The second
    is doubled, for signals of several pairs.
    """
    envelope = np.maximum.accumulate(np.abs(response(taps))[::-1])[::-1] / quiet
    audible = np.minimum(1.0, envelope)
    grid = np.arange(BINS + 1)
    most = np.zeros(BINS + 1)
    for part in np.linspace(0.5, 1, 17):
        near = np.rint(grid * part).astype(int)
        far = grid - near
        most = np.maximum(most, np.minimum(envelope[near] * envelope[far], 2 * audible[near] * audible[far]))
    return np.minimum(1.0, most)


def projector(share: Array, half: int, stride: int, reach: int) -> Array:
    """Matrix [2 reach + 1, 2 half + 1] from a window at full rate to the window on every ``stride``-th sample.

    Least squares in the frequency domain: the two responses are as near as they can be at the beats that ``share``
    weights. Any window, cut or not, is projected by the same matrix.
    """
    if stride == 1 and reach == half:
        return np.eye(2 * half + 1)
    power = share**2 + 1e-13
    power[0] *= 1e3  # a steady tone shows no error at all
    lags = np.fft.irfft(power)
    lags /= lags[0]
    grid = stride * np.arange(-reach, reach + 1)
    near = lags[np.abs(grid[:, None] - grid[None, :])]
    cross = lags[np.abs(grid[:, None] - np.arange(-half, half + 1)[None, :])]
    found: Array = np.linalg.solve(near + 1e-13 * np.eye(len(grid)), cross)
    return found


def pooling_error(share: Array, windows: Array, projection: Array, stride: int) -> float:
    """Largest error of a beat, relative to the energy, that projected ``windows`` [n, 2 half + 1] leave."""
    circle = np.zeros((len(windows), 2 * BINS))
    half, reach = windows.shape[1] // 2, projection.shape[0] // 2
    circle[:, np.arange(-half, half + 1)] += windows
    circle[:, stride * np.arange(-reach, reach + 1)] -= windows @ projection.T
    off = np.abs(np.fft.rfft(circle)) * share
    return float(np.max(off.max(axis=1) / windows.sum(axis=1)))
