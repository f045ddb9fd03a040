"""Bound a band's distance from LEAF's energies when only some bins of a frame's spectrum are used: a theorem.

Normalise the DFT of a frame to |xi| = |x|, so that a filter's output is
``y[t] = sum_k G[k] xi[k] exp(i w_k t) / sqrt(N)`` and its pooled energy ``e = z* W z`` with z = G xi and
``W[k, l] = sum_t w[t] exp(i (w_l - w_k) t) / N``. Pooling weights lie in [0, 1], so 0 <= W <= 1 as matrices. Split the
bins into those that are kept (i) and the others (o). What is computed is e' = z_i* W_ii z_i, and

    e' - e = -2 Re z_i* W_io z_o - z_o* W_oo z_o.

**Last term.** W_oo <= 1, so it is at most delta |x|^2, delta the largest G[k]^2 of a bin that is not kept.

**First term, any band.** ``|z_i* W_io z_o|^2 <= e' z_o* W_oo z_o``, as W is a Gram matrix. With
2 sqrt(p q) <= t p + q / t the term is at most ``t e' + delta / t |x|^2``. This is :func:`simple`.

**First term, closer.** A far tone meets the window's sidelobes alone. For any kappa > 0, with A = G_i W_ii G_i and
F = G_i W_io G_o, the term is at most ``t (e' + kappa |x|^2) + mu / t |x|^2``, mu the largest eigenvalue of
``F* (A + kappa)^-1 F``. This is :func:`closer`, some hundred times less where a kernel is cut: the sidelobes of the cut
are loud, and hardly correlate with what the band hears.

Both give ``|e' - e| <= t e' + a |x|^2``, and so ``|e' - e| <= (t e + a |x|^2) / (1 - t)``. A frame whose window is cut
at an end of the clip has other weights, 0 <= w_cut <= w: the first form holds for it as it stands, the second does not.
Columns of A = L L' with eigenvalues up to ``lost`` that are left out take at most lost |x|^2; frames with cut windows
use none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FLOOR = 1e-5  # energies below are one: leaf's PCEN floors them there
UNIT = 2.0**-24  # of float32


@dataclass(frozen=True)
class Bound:
    """``|e' - e| <= t e + a |x|^2`` for every frame x of every audio, in exact arithmetic."""

    t: float
    a: float

    def claim(self, n_samples: int) -> float:
        """Largest |e' - e| over max(e, FLOOR) for a frame of ``n_samples`` within [-1, 1]."""
        return self.t + self.a * n_samples / FLOOR


def envelope(distance: float, low: float, high: float, half: int) -> float:
    """At least the response of kernels of ``low`` <= sigma <= ``high`` at ``distance`` rad from the centre and beyond.

    A sampled Gaussian's response, images included, and what is cut off: ``sum_{n > half} 2 g[n] cos(n distance)``,
    which Abel's summation bounds by ``2 g[half + 1] / sin(distance / 2)``, g falling.
    """
    distance = min(distance, math.pi)
    images = sum(math.exp(-0.5 * (low * (distance + 2 * math.pi * m)) ** 2) for m in (-2, -1, 0, 1))
    cut = math.exp(-0.5 * ((half + 1) / high) ** 2) / (math.sqrt(2 * math.pi) * high)
    return images + 2 * cut / math.sin(distance / 2)


def response(length: int, half: int, center: float, sigma: float) -> Array:
    """G at every bin of the circle, [length]: real, as kernels are even but for their phase."""
    n = np.arange(-half, half + 1)
    taps = np.exp(-0.5 * (n / sigma) ** 2) / (math.sqrt(2 * math.pi) * sigma)
    circle = np.zeros(length, dtype=complex)
    circle[n] = taps * np.exp(1j * center * n)
    return np.asarray(np.fft.fft(circle).real)


def window(length: int, half: int, width: float) -> Array:
    """The first row of W, [length]: it is a circulant matrix, symmetric."""
    n = np.arange(-half, half + 1)
    circle = np.zeros(length)
    circle[n] = np.exp(-0.5 * (n / max(half, 1) / width) ** 2)
    return np.asarray(np.fft.fft(circle).real) / length


def simple(delta: float, t: float) -> Bound:
    """From ``delta``, the largest squared response of a bin that is left out. ``t`` is what e may be off by."""
    share = t / (1 + t)
    return Bound(t, (delta + delta / share) / (1 - share))


def closer(gains: Array, row: Array, kept: npt.NDArray[np.bool_], t: float, kappa: float) -> Bound:
    """From the matrices: ``gains`` and ``kept`` by bin of the circle, ``row`` of W."""
    share = t / (1 + t)
    inside, outside = np.flatnonzero(kept), np.flatnonzero(~kept)
    outside = outside[gains[outside] != 0]
    if not len(outside):
        return Bound(0.0, 0.0)
    g, far = gains[inside], gains[outside]
    a = g[:, None] * row[inside[:, None] - inside] * g
    f = g[:, None] * row[inside[:, None] - outside] * far
    half = np.linalg.solve(np.linalg.cholesky(a + kappa * np.eye(len(g))), f)
    mu = max(float(np.linalg.eigvalsh(half @ half.T)[-1]), 0.0)
    return Bound(t, (share * kappa + mu / share + float((far**2).max())) / (1 - share))


def rank(gains: Array, row: Array, kept: npt.NDArray[np.bool_], lost: float) -> int:
    """How many columns with eigenvalues above ``lost`` the form has."""
    inside = np.flatnonzero(kept)
    a = gains[inside][:, None] * row[inside[:, None] - inside] * gains[inside]
    return int((np.linalg.eigvalsh(a) > lost).sum())


def loudest(length: int, half: int, sigma: float, width: float) -> float:
    """At most the largest eigenvalue of the band's form: energy over |x|^2 of the audio that it hears best.

    The largest of a part of A, over 2: audio is real. Among the real parts of ``exp(i phi) v``, v the eigenvector, one
    has at least half of v's energy over its own.
    """
    gains = response(length, half, 0.0, sigma)
    reach = min(int(3 / sigma * length / (2 * math.pi)) + 1, length // 2 - 1)
    inside = np.arange(-reach, reach + 1)
    a = gains[inside][:, None] * window(length, half, width)[inside[:, None] - inside] * gains[inside]
    return float(np.linalg.eigvalsh(a)[-1]) / 2


def rounding(length: int, n_bins: int, gain: float) -> float:
    """Rounding of float32, as ``b`` in ``|error| <= 2 sqrt(b e) |x| + b |x|^2``.

    A bin of an FFT of ``length`` points is off by at most 5 log2(length) units in the last place of |x|, a sum of
    ``n_bins`` products by as many, of columns whose squares sum to ``gain``.
    """
    units = 5 * math.log2(length) + n_bins + 2
    return (units * UNIT) ** 2 * gain
