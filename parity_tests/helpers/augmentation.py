"""SpecAugment's warp and masks in plain NumPy float64, and how far rounding may take a rung from them.

Arrays are [B, frames, C], as the original's. Where a frame comes from is a ratio of whole numbers, and is taken apart
as such: into a frame and a fraction, each right to the last bit. The rungs multiply by a matrix of sums of ramps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.criteria import unit_roundoff

Array = NDArray[np.float64]
Record = Mapping[str, NDArray[np.int32]]


def drawn(shape: tuple[int, ...], settings: Mapping[str, Any], seed: int) -> dict[str, NDArray[np.int32]]:
    """A record for features of that shape, from NumPy's generator: what every implementation is given alike.

    Args:
        shape: (B, frames, C).
        settings: the arguments of the original's ``SpecAugment``, all of them.
        seed: of the generator.

    Raises:
        ValueError: one frame and a warp, which would divide by zero.
    """
    rng = np.random.default_rng(seed)
    n_items, n_frames, n_bins = shape
    out: dict[str, NDArray[np.int32]] = {}
    if settings["time_warp_max_frames"] and settings["time_warp_max_ratio"] > 0:
        if n_frames < 2:
            raise ValueError(f"shape={shape}: one frame cannot be warped, must be at least 2")
        farthest = settings["time_warp_max_frames"]
        at_most = limit(settings["time_warp_max_ratio"], n_frames)
        shift = rng.integers(-farthest, farthest, n_items, endpoint=True).clip(-at_most, at_most)
        origin = 1 + rng.integers(0, max(n_frames - 2, 1), n_items)
        out["warp_origin"] = origin.astype(np.int32)
        out["warp_destination"] = (origin + shift).clip(1, n_frames - 1).astype(np.int32)
    for axis, size, part, ratio in (
        ("time", n_frames, "frames", settings["time_mask_max_ratio"]),
        ("freq", n_bins, "bins", 1.0),
    ):
        longest, count = settings[f"{axis}_mask_max_{part}"], settings[f"{axis}_mask_count"]
        if longest and count and ratio > 0:
            length = rng.integers(0, longest, (n_items, count)).clip(max=max(limit(ratio, size), 1))
            out[f"{axis}_start"] = rng.integers(0, size - length + 1).astype(np.int32)
            out[f"{axis}_length"] = length.astype(np.int32)
    return out


def augmented(x: NDArray[np.floating], record: Record) -> Array:
    """Apply the record to features [B, frames, C]: the warp, time masks, then frequency masks."""
    out = np.asarray(x, dtype=np.float64)
    if "warp_origin" in record:
        out = np.stack([_warped(item, *moved) for item, *moved in zip(out, *_moves(record), strict=True)])
    return out * mask(record, out.shape)


def adjoint(cotangent: NDArray[np.floating], record: Record) -> Array:
    """The gradient of ``sum(cotangent * augmented(x, record))`` by x; all of it is linear."""
    out = np.asarray(cotangent, dtype=np.float64)
    out = out * mask(record, out.shape)
    if "warp_origin" in record:
        out = np.stack([_gathered(item, *moved) for item, *moved in zip(out, *_moves(record), strict=True)])
    return out


def mask(record: Record, shape: tuple[int, ...]) -> Array:
    """1 where no mask lies, 0 elsewhere, of features of that shape."""
    keep = np.ones(shape)
    for name, axis in (("time", 1), ("freq", 2)):
        if f"{name}_start" not in record:
            continue
        for item, (starts, lengths) in enumerate(zip(record[f"{name}_start"], record[f"{name}_length"], strict=True)):
            for start, length in zip(starts, lengths, strict=True):
                np.moveaxis(keep[item], axis - 1, 0)[start : start + length] = 0.0
    return keep


def sources(origin: int, destination: int, n_frames: int) -> tuple[NDArray[np.int64], Array]:
    """Source of each frame: a frame, and a fraction of the way to the next."""
    i = np.arange(n_frames)
    before = i < destination
    late = n_frames - destination
    numerator = np.where(before, i * origin, late * origin + (i - destination) * (n_frames - origin))
    denominator = np.where(before, destination, late)
    return numerator // denominator, (numerator % denominator) / denominator


@dataclass(frozen=True)
class Rounding:
    """Bounds of what rounding does to a rung in some dtype, [B, frames, C].

    Attributes:
        output: how far the output may be from :func:`augmented`.
        gradient: how far the gradient may be from :func:`adjoint`.
        output_sums: that part of ``output`` that sums in another order alone make, with equal matrices.
        gradient_sums: the same of ``gradient``.
    """

    output: Array
    gradient: Array
    output_sums: Array
    gradient_sums: Array


def rounding(
    x: NDArray[np.floating], cotangent: NDArray[np.floating], record: Record, dtype: str, slack: float = 1.0
) -> Rounding:
    """Derived bounds, with u the unit roundoff and second-order terms within one per cent.

    - Position ``p = a i + (b - a) r``, where a = origin / destination and b, the slope behind it, are off by u each;
      the difference is off by 2 u (a + b) at most, its product and the sum by u of themselves: in all
      ``u (2 a i + |b - a| r + 2 (a + b) r + p)``.
    - A weight within a frame of p is three ramps of the distance t, |t| <= 1: that of p, and 3 u for t, t + 1 and the
      difference. Beyond, t + 1, 2 t and t - 1 are multiples of the spacing of p and cancel to the bit, but for frame 0:
      there t + 1 may pass the next power of two, and leave as much as the spacing, 2 u p.
    - A sum of k terms that are not 0 is off by k u times the sum of their magnitudes, in any order.
    - Multiplying by 0 or 1 is exact. The oracle's own last bits are two more units of float64.

    Args:
        x, cotangent: [B, frames, C].
        record: what is applied.
        dtype: ``float32`` or ``float64``.
        slack: factor on all of it, for tests of the bounds.
    """
    u = unit_roundoff(dtype)
    shape = x.shape
    size, seeds = np.abs(x).astype(np.float64), np.abs(cotangent) * mask(record, shape)
    if "warp_origin" not in record:
        nothing = np.zeros(shape)
        return Rounding(nothing, nothing, nothing, nothing)
    parts: list[list[Array]] = [[], [], [], []]
    for item, (origin, destination) in enumerate(zip(*_moves(record), strict=True)):
        weights = np.zeros((shape[1], shape[1]))
        frame, fraction = sources(int(origin), int(destination), shape[1])
        rows = np.arange(shape[1])
        weights[rows, frame] = 1 - fraction
        inside = frame + 1 < shape[1]
        weights[rows[inside], frame[inside] + 1] = fraction[inside]
        doubt = _weight_doubt(int(origin), int(destination), shape[1], u) + 2 * unit_roundoff("float64")
        reached = np.abs(frame + fraction - rows[:, np.newaxis]).T  # [out, in]
        doubt = np.where(reached <= 1 + doubt[:, np.newaxis], doubt[:, np.newaxis], 0.0)
        leak = np.where(frame + fraction > 1, 2 * u * (frame + fraction), 0.0)
        doubt[:, 0] += leak
        whole = weights + doubt
        by_row = u * (doubt > 0).sum(axis=1, keepdims=True) * (whole @ size[item])
        by_column = u * (doubt > 0).sum(axis=0)[:, np.newaxis] * (whole.T @ seeds[item])
        for part, bound in zip(
            parts,
            (doubt @ size[item] + by_row, doubt.T @ seeds[item] + by_column, by_row, by_column),
            strict=True,
        ):
            part.append(1.01 * slack * bound)
    output, gradient, output_sums, gradient_sums = (np.stack(part) for part in parts)
    passed = mask(record, shape)
    return Rounding(output * passed, gradient, output_sums * passed, gradient_sums)


def _weight_doubt(origin: int, destination: int, n_frames: int, u: float) -> Array:
    """Bound the error of a weight beside the source of each frame, see :func:`rounding`."""
    i = np.arange(n_frames, dtype=np.float64)
    a, b = origin / destination, (n_frames - origin) / (n_frames - destination)
    r = np.maximum(i - destination, 0)
    position = a * i + (b - a) * r
    return u * (2 * a * i + abs(b - a) * r + 2 * (a + b) * r + position) + 3 * u


def _moves(record: Record) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return record["warp_origin"], record["warp_destination"]


def _warped(x: Array, origin: int, destination: int) -> Array:
    """Features [frames, C] read at their sources; behind the last frame there is silence."""
    frame, fraction = sources(int(origin), int(destination), len(x))
    longer = np.concatenate([x, np.zeros_like(x[:1])])
    share = fraction[:, np.newaxis]
    warped: Array = (1 - share) * longer[frame] + share * longer[frame + 1]
    return warped


def _gathered(cotangent: Array, origin: int, destination: int) -> Array:
    """The adjoint of :func:`_warped`: each frame's share goes back to the two that it was read from."""
    frame, fraction = sources(int(origin), int(destination), len(cotangent))
    out = np.zeros((len(cotangent) + 1, cotangent.shape[1]))
    np.add.at(out, frame, (1 - fraction)[:, np.newaxis] * cotangent)
    np.add.at(out, frame + 1, fraction[:, np.newaxis] * cotangent)
    return out[:-1]


FEWEST = 5  # draws that each outcome must expect, for chi squared to be the distribution of its statistic


def limit(ratio: float, size: int) -> int:
    """The whole part of ``ratio * size``, the product rounded in float32."""
    return int(np.float32(ratio) * np.float32(size))


def of_mask(size: int, maximum: int, ratio: float = 1.0) -> Array:
    """Probabilities [length, start] of a mask on ``size`` frames or bins.

    A length is uniform over 0 to ``maximum - 1``, those above the limit becoming the limit (1 at least), and its start
    is uniform over 0 to ``size - length``.
    """
    probabilities = np.zeros((maximum, size + 1))
    for drawn in range(maximum):
        length = min(drawn, max(limit(ratio, size), 1))
        places = size - length + 1
        probabilities[length, :places] += 1 / (maximum * places)
    return probabilities


def of_warp(n_frames: int, farthest: int, ratio: float = 1.0) -> Array:
    """Probabilities [origin, destination] of a warp.

    The origin is uniform over 1 to ``n_frames - 2`` (1 where there are fewer), the shift over ``-farthest`` to
    ``farthest``, those beyond the limit becoming it; a destination outside 1 to ``n_frames - 1`` becomes the nearer.
    """
    probabilities = np.zeros((n_frames, n_frames))
    origins = range(1, max(n_frames - 2, 1) + 1)
    shifts = range(-farthest, farthest + 1)
    for origin in origins:
        for shift in shifts:
            moved = origin + min(max(shift, -limit(ratio, n_frames)), limit(ratio, n_frames))
            probabilities[origin, min(max(moved, 1), n_frames - 1)] += 1 / (len(origins) * len(shifts))
    return probabilities


def surprise(counts: NDArray[np.integer], probabilities: Array) -> float:
    """``-log10`` of the probability of a departure as large as that of these counts; infinite for the impossible.

    Pearson's statistic, against chi squared with one degree of freedom less than there are possible outcomes.

    Raises:
        ValueError: an outcome that is possible expects fewer than ``FEWEST`` draws.
    """
    possible = probabilities > 0
    if np.any(counts[~possible]):
        return math.inf
    expected = counts.sum() * probabilities[possible]
    if expected.min() < FEWEST:
        raise ValueError(f"counts: {expected.min():.3g} expected of the rarest outcome, must be at least {FEWEST}")
    statistic = float(np.sum((counts[possible] - expected) ** 2 / expected))
    probability = chi_squared_tail(statistic, expected.size - 1)
    return -math.log10(probability) if probability > 0 else math.inf


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """The probability that chi squared of so many degrees of freedom (a whole number) exceeds ``statistic``."""
    if degrees == 0:
        return 1.0 if statistic <= 0 else 0.0
    half = statistic / 2
    if half == 0:
        return 1.0
    # 0, 1, ... or 1/2, 3/2, ... below half the degrees, each the chance of a term of Poisson's distribution, continued
    powers = np.arange(degrees % 2 / 2, degrees / 2)
    terms = (math.exp(k * math.log(half) - half - math.lgamma(k + 1)) for k in powers)
    return math.fsum([math.erfc(math.sqrt(half)) if degrees % 2 else 0.0, *terms])
