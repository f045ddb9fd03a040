"""How likely each of SpecAugment's draws is, from its algorithm, and how surprising a count of draws is. NumPy alone.

A number below n is drawn as ``floor(n u)``, with u in float32 on a grid of 2^-23 or 2^-24 and the product rounded:
each comes with a chance of 1 / n up to one step of the grid, which a million draws cannot tell from 1 / n.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FEWEST = 5.0  # draws that each outcome must expect, for chi squared to be the distribution of its statistic


def limit(ratio: float, size: int) -> int:
    """The whole part of ``ratio * size``, the product rounded in float32."""
    return int(np.float32(ratio) * np.float32(size))


def of_mask(size: int, maximum: int, ratio: float = 1.0) -> Array:
    """Chances [length, start] of a mask on ``size`` frames or bins.

    A length is uniform over 0 to ``maximum - 1``, those above the limit becoming the limit (1 at least), and its start
    is uniform over 0 to ``size - length``.
    """
    chances = np.zeros((maximum, size + 1))
    for drawn in range(maximum):
        length = min(drawn, max(limit(ratio, size), 1))
        places = size - length + 1
        chances[length, :places] += 1 / (maximum * places)
    return chances


def of_warp(n_frames: int, farthest: int, ratio: float = 1.0) -> Array:
    """Chances [origin, destination] of a warp.

    The origin is uniform over 1 to ``n_frames - 2`` (1 where there are fewer), the shift over ``-farthest`` to
    ``farthest``, those beyond the limit becoming it; a destination outside 1 to ``n_frames - 1`` becomes the nearer.
    """
    chances = np.zeros((n_frames, n_frames))
    origins = range(1, max(n_frames - 2, 1) + 1)
    shifts = range(-farthest, farthest + 1)
    for origin in origins:
        for shift in shifts:
            moved = origin + min(max(shift, -limit(ratio, n_frames)), limit(ratio, n_frames))
            chances[origin, min(max(moved, 1), n_frames - 1)] += 1 / (len(origins) * len(shifts))
    return chances


def surprise(counts: NDArray[np.integer], chances: Array) -> float:
    """``-log10`` of the chance that draws of these chances depart from them by as much; infinite for the impossible.

    Pearson's statistic, against chi squared with one degree of freedom less than there are possible outcomes.

    Raises:
        ValueError: an outcome that is possible expects fewer than ``FEWEST`` draws.
    """
    possible = chances > 0
    if np.any(counts[~possible]):
        return math.inf
    expected = counts.sum() * chances[possible]
    if expected.min() < FEWEST:
        raise ValueError(f"counts: {expected.min():.3g} expected of the rarest outcome, must be at least {FEWEST}")
    statistic = float(np.sum((counts[possible] - expected) ** 2 / expected))
    chance = chi_squared_tail(statistic, expected.size - 1)
    return -math.log10(chance) if chance > 0 else math.inf


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """The chance that chi squared of so many degrees of freedom (a whole number) exceeds ``statistic``."""
    if degrees == 0:
        return 1.0 if statistic <= 0 else 0.0
    half = statistic / 2
    if half == 0:
        return 1.0
    # 0, 1, ... or 1/2, 3/2, ... below half the degrees, each the chance of a term of Poisson's distribution, continued
    powers = np.arange(degrees % 2 / 2, degrees / 2)
    terms = (math.exp(k * math.log(half) - half - math.lgamma(k + 1)) for k in powers)
    return math.fsum([math.erfc(math.sqrt(half)) if degrees % 2 else 0.0, *terms])
