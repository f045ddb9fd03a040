"""At how many points each band's output is looked at, from its weights alone, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from efficientleaf.tolerance.bound import FLOOR, Bound, envelope, left_out, loudest, quietest, rounding


@dataclass(frozen=True)
class Block:
    """A stretch of audio that is transformed at a time.

    Attributes:
        length: of the FFT.
        hops: whose samples it yields; those before and after serve the filters' reach.
    """

    length: int
    hops: int


@dataclass(frozen=True)
class Geometry:
    """Odd window (filters and pooling) and hop, in samples."""

    size: int
    hop: int

    @property
    def half(self) -> int:
        return self.size // 2

    @property
    def before(self) -> int:
        """Frames before a sample's own hop whose windows reach it."""
        return self.half // self.hop

    @property
    def hops_of_a_frame(self) -> int:
        """Hops that hold what a frame needs on either side of its middle."""
        return -(-2 * self.half // self.hop)

    @cached_property
    def longest(self) -> Block:
        """Of long audio: two windows and more at a time."""
        length = 1 << max(8, math.ceil(math.log2(3 * self.size + self.hop)))
        return Block(length, (length - 2 * self.half) // self.hop)

    def block(self, n_hops: int) -> Block:
        """Choose blocks for so many hops of audio: of equal length, no longer than needed."""
        if n_hops >= 10 * self.longest.hops:  # where equal lengths save little, and every length has its own tables
            return self.longest
        n_blocks = -(-n_hops // self.longest.hops)
        hops = -(-n_hops // n_blocks)
        return self.longest if hops == self.longest.hops else Block(_smooth(2 * self.half + hops * self.hop), hops)

    def columns(self, block: Block) -> int:
        """Frames whose windows reach into a block."""
        return self.before + (block.hops * self.hop - 1 + self.half) // self.hop + 1

    @property
    def stretch(self) -> int:
        """Samples that a frame's error may depend on: those of two blocks."""
        return 2 * self.longest.length


@dataclass(frozen=True)
class Promise:
    """The claim asked for: a tolerance, and for all audio within [-1, 1] or up to ``dynamic_range`` dB above a band."""

    tolerance: float
    dynamic_range: float | None

    def allows(self, geometry: Geometry, loudest_: float) -> Bound:
        """t and a, of which the plan may spend all."""
        if self.dynamic_range is None:
            return Bound(self.tolerance / 2, self.tolerance / 2 * FLOOR / geometry.stretch)
        return Bound(self.tolerance, loudest_ * 10 ** (-self.dynamic_range / 10))


@dataclass(frozen=True)
class Group:
    """Bands whose outputs are looked at in the same number of points of a block.

    Attributes:
        bands: their numbers.
        n_points: of a block; all of its samples at full rate.
        first: each band's first bin, of ``n_bins``; below 0 where it is a negative frequency.
        n_bins: of each; at full rate of half a circle.
        full_rate: whether the points are the block's samples.
    """

    bands: tuple[int, ...]
    n_points: int
    first: tuple[int, ...]
    n_bins: int
    full_rate: bool = False


@dataclass(frozen=True)
class Plan:
    """How a :class:`~efficientleaf.ToleranceFilterbank` computes its bands; ``print`` it for a table.

    A function of the weights, whatever they were before.

    Attributes:
        promise, geometry: what was asked, of which window and hop.
        weights: centres, sigmas and widths that it was made for: radians a sample, samples, halves of a window.
    """

    promise: Promise
    geometry: Geometry
    weights: tuple[tuple[float, float, float], ...]

    def groups(self, block: Block) -> tuple[Group, ...]:
        """The bands, by the number of their points."""
        counts = ladder(block.length)
        bins = 2 * math.pi / block.length
        sigmas, quiet = (np.array(v)[:, None] for v in zip(*self._needs, strict=True))
        # the centre lies between two bins, and an even number of them lies lopsided about it
        reach = np.minimum((np.array(counts[:-1]) / 4 - 1) * bins, math.pi)
        enough = np.concatenate(
            (envelope(reach, sigmas, self.geometry.half) <= quiet, np.ones_like(sigmas, dtype=bool)), 1
        )
        chosen = enough.argmax(1)
        found = []
        for i, n_points in enumerate(counts):
            if bands := tuple(np.flatnonzero(chosen == i).tolist()):
                full = n_points == block.length
                n_bins = n_points // 2 + full
                first = tuple(0 if full else round(self.weights[b][0] / bins) - n_bins // 2 for b in bands)
                found.append(Group(bands, n_points, first, n_bins, full))
        return tuple(found)

    @cached_property
    def longest(self) -> tuple[Group, ...]:
        """Groups in blocks of long audio."""
        return self.groups(self.geometry.longest)

    @property
    def full_rate_bands(self) -> tuple[int, ...]:
        """Bands that are computed sample by sample, without an error but rounding."""
        return tuple(band for group in self.longest if group.full_rate for band in group.bands)

    def bound(self, band: int, block: Block | None = None) -> Bound:
        """The bound for a band's own weights and bins in a block; by default in one of long audio.

        Short clips have shorter blocks, in which a band may have other bins. See
        :mod:`efficientleaf.tolerance.bound`.
        """
        block = block or self.geometry.longest
        group = next(g for g in self.groups(block) if band in g.bands)
        if group.full_rate:
            return Bound(0.0, 0.0)
        center, sigma, _ = self.weights[band]
        first, last = (group.first[group.bands.index(band)] + i for i in (-1, group.n_bins))
        bins = 2 * math.pi / block.length
        distance = min(center - first * bins, last * bins - center)
        response = envelope(np.array(min(distance, math.pi)), np.array(sigma), self.geometry.half)
        return left_out(float(response) ** 2, self.promise.allows(self.geometry, self.loudest(band)).t)

    def loudest(self, band: int) -> float:
        """The largest e / |x|^2 of any audio, see :func:`~efficientleaf.tolerance.bound.loudest`."""
        _, sigma, width = self.weights[band]
        return loudest(sigma, width * max(self.geometry.half, 1))

    def cost(self, n_samples: int) -> float:
        """Multiply-adds for one clip of ``n_samples``; an FFT of n complex numbers counts 2.5 n log2 n."""
        block = self.geometry.block(-(-n_samples // self.geometry.hop))
        n_blocks = -(-n_samples // (block.hops * self.geometry.hop))
        bands = sum(len(g.bands) * group_cost(g, block, self.geometry) for g in self.groups(block))
        return n_blocks * (bands + 1.25 * block.length * math.log2(block.length))

    def ratio(self, n_samples: int) -> float:
        """LEAF's operations over this plan's, for one clip of ``n_samples``."""
        return leaf_cost(len(self.weights), self.geometry, n_samples) / self.cost(n_samples)

    def __str__(self) -> str:
        asked = "" if self.promise.dynamic_range is None else f", {self.promise.dynamic_range:g} dB"
        block = self.geometry.longest
        samples = block.hops * self.geometry.hop
        lines = [
            f"tolerance {self.promise.tolerance:g}{asked}: |error| <= t e + a |x|^2, a in dB of the largest e / |x|^2",
            f"in blocks of {block.length} samples, which yield {samples}",
            "band  method       bins  points        t      a  float32  MAC/sample",
        ]
        for band in range(len(self.weights)):
            group = next(g for g in self.longest if band in g.bands)
            found, top = self.bound(band), self.loudest(band)
            b, method = rounding(block.length, group.n_points), "full rate" if group.full_rate else "decimated"
            lines.append(
                f"{band:>4}  {method:<10} {group.n_bins:>6} {group.n_points:>7} "
                f"{found.t:>8.1e} {_decibel(found.a / top):>6} {_decibel(b / top):>8} "
                f"{group_cost(group, block, self.geometry) / samples:>11.0f}"
            )
        n = 100 * samples
        lines.append(f"{self.cost(n) / n:.0f} MAC/sample: 1/{self.ratio(n):.1f} of LEAF's")
        return "\n".join(lines)

    @cached_property
    def _needs(self) -> tuple[tuple[float, float], ...]:
        """Sigma of each band, and the response that it may leave out."""
        allowed = (self.promise.allows(self.geometry, self.loudest(band)) for band in range(len(self.weights)))
        return tuple((sigma, quietest(a.t, a.a)) for (_, sigma, _), a in zip(self.weights, allowed, strict=True))


def make_plan(
    centers: Sequence[float], sigmas: Sequence[float], widths: Sequence[float], geometry: Geometry, promise: Promise
) -> Plan:
    """The plan for clamped weights: radians a sample, samples, halves of a window."""
    return Plan(promise, geometry, tuple(zip(centers, sigmas, widths, strict=True)))


def ladder(length: int) -> tuple[int, ...]:
    """Numbers of points, lengths of fast FFTs: below two thirds of a block's, and all of it."""
    counts = {n * 2**i for n in (4, 6) for i in range(2, length.bit_length())}
    return (*sorted(n for n in counts if 3 * n <= 2 * length), length)


def group_cost(group: Group, block: Block, geometry: Geometry) -> float:
    """Multiply-adds of a band in a block: gains, FFT, squares, pooling."""
    columns, n = geometry.columns(block) + geometry.before + 1, group.n_points
    outputs = 1 if group.full_rate else 2  # a point that are pooled: at full rate squares are added before
    return 2 * group.n_bins * (3 - outputs) + n * (2.5 * math.log2(n) + 2 + columns * outputs)


def leaf_cost(n_filters: int, geometry: Geometry, n_samples: int) -> float:
    """Multiply-adds of LEAF: every filter at full rate, its modulus, and pooling."""
    frames = -(-n_samples // geometry.hop)
    return n_filters * (n_samples * (2 * geometry.size + 2) + frames * geometry.size)


def _decibel(ratio: float) -> str:
    return "exact" if ratio == 0 else f"{10 * math.log10(ratio):.0f}"


def _smooth(least: int) -> int:
    """The first even product of 2, 3 and 5 from ``least`` on: a length of fast FFTs."""
    n = least + least % 2
    while pow(30, n.bit_length(), n):  # not all of its primes are among them
        n += 2
    return n
