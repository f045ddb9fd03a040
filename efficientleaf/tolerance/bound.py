"""Bound what it does to a band's energies to leave out bins in which its filter hardly answers: a theorem.

Let y be the filter's output, d what the bins that are left out contribute, and y' = y - d what is computed. With the
norm ``|y|^2 = sum_t w[t] |y[t]|^2`` of a frame's pooling window, e = |y|^2 and e' = |y'|^2, so

    |e' - e| <= 2 |y| |d| + |d|^2.

Pooling weights lie in [0, 1], so |d|^2 is at most the energy of d in the blocks that the frame's window touches. By
Parseval that is at most ``delta`` times the energy of the blocks' audio, delta the largest squared response among the
bins left out. A window touches two blocks at most, and a sample lies in two at most, so ``|d|^2 <= 2 delta |x|^2``, x
the audio of those blocks. With ``2 p q <= s p^2 + q^2 / s`` for any s > 0,

    |e' - e| <= t e + a |x|^2,        t = s,    a = 2 delta (1 + 1 / s).

It holds for windows that an end of the clip cuts, too: their weights are in [0, 1] as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FLOOR = 1e-5  # leaf's PCEN raises every energy below this to it, so differences below it do not count
UNIT = 2.0**-24  # of float32
OVERLAP = 2  # blocks that hold a sample, at most


@dataclass(frozen=True)
class Bound:
    """``|e' - e| <= t e + a |x|^2`` for every audio, x the part of it in a frame's two blocks, in exact arithmetic."""

    t: float
    a: float

    def claim(self, n_samples: int) -> float:
        """Largest |e' - e| over max(e, FLOOR) for ``n_samples`` within [-1, 1]."""
        return self.t + self.a * n_samples / FLOOR


def left_out(delta: float, t: float) -> Bound:
    """From ``delta``, the largest squared response among bins that are left out, and t, as it is wanted."""
    return Bound(t, OVERLAP * delta * (1 + 1 / t))


def quietest(t: float, a: float) -> float:
    """The response that may be left out for these t and a: :func:`left_out` the other way round."""
    return math.sqrt(a / (OVERLAP * (1 + 1 / t)))


def envelope(distance: Array, sigmas: Array, half: int) -> Array:
    """At least the response of kernels of ``sigmas`` at ``distance`` rad from their centres, in (0, pi], and beyond.

    A sampled Gaussian's response is a sum of images of its transform, of which four matter: for a sigma of 1.5, the
    least, the others are below 1e-70. From it comes what is cut off,
    ``sum_{n > half} 2 g[n] cos(n distance)``, which Abel's summation bounds by ``2 g[half + 1] / sin(distance / 2)``,
    g falling.
    """
    images = sum(np.exp(-0.5 * (sigmas * (distance + 2 * math.pi * m)) ** 2) for m in (-2, -1, 0, 1))
    cut = np.exp(-0.5 * ((half + 1) / sigmas) ** 2) / (math.sqrt(2 * math.pi) * sigmas)
    return np.asarray(images + 2 * cut / np.sin(distance / 2))


def loudest(sigma: float, width: float) -> float:
    """The largest e / |x|^2 of any audio, of a Gaussian kernel and a Gaussian window that nothing cuts, in samples.

    The form is Gaussian as well, hence its largest eigenvalue is reached by a Gaussian s wide: maximise
    ``s / sqrt(2 v (v / width^2 + 2))`` with v = s^2 + sigma^2. With LEAF's cuts it is up to 0.8 dB less, and at
    frequency 0 and pi, where audio has no other side, 3 dB more.
    """
    v = sigma**2 + math.sqrt(sigma**4 + 2 * (sigma * width) ** 2)
    return math.sqrt((v - sigma**2) / (2 * v * (v / width**2 + 2)))


def rounding(length: int, n_points: int) -> float:
    """Rounding of the FFTs in float32, as ``b`` in ``|error| <= 2 sqrt(b e) |x| + b |x|^2``.

    Two of them, of ``length`` and of ``n_points``, are off by at most 5 log2(n) units in the last place of |x| each.
    What the sum over a block's points rounds is not in it: some 1e-9 of the loudest frame in the block.
    """
    return ((5 * math.log2(length) + 5 * math.log2(n_points) + 4) * UNIT) ** 2
