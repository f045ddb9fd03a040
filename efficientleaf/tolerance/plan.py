"""Which bins and how many columns every band needs, from its weights alone, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from efficientleaf.tolerance.bound import (
    FLOOR,
    Bound,
    closer,
    envelope,
    loudest,
    rank,
    response,
    rounding,
    simple,
    window,
)

SIGMA_CELL, WIDTH_CELL = (
    math.log(1.02),
    math.log(1.04),
)  # bands whose logarithms fall into one cell have one number of bins
BINS, COLUMNS = 0.9, 0.1  # shares of a: of bins that are left out, of columns
SLACK = 1.5  # between the corners of a cell, where the bound is looked at, and all of it
FFT_PRICE = 4.5  # an operation of an FFT takes as long as some of a matrix product (measured on a CPU)
LENGTHENED = 1.2  # bins of bands that are computed together, over the fewest that one needs


@dataclass(frozen=True)
class Geometry:
    """Odd window (filters and pooling) and hop, in samples."""

    size: int
    hop: int

    @property
    def half(self) -> int:
        return self.size // 2

    @property
    def frame(self) -> int:
        """Samples that a pooled energy depends on."""
        return 2 * self.size - 1

    @cached_property
    def length(self) -> int:
        """Of the DFT: the first even product of 2, 3 and 5 that holds a frame."""
        return _smooth(self.frame + 1)

    @property
    def n_bins(self) -> int:
        return self.length // 2 + 1

    @property
    def before(self) -> int:
        """Hops that a frame's window reaches back."""
        return -(-self.half // self.hop)

    @property
    def edge_frames(self) -> int:
        """Frames at each end of a clip whose window may lie partly outside: their energies there count as zero."""
        return max(self.before, 1)

    @property
    def hops_of_a_frame(self) -> int:
        """That hold what a frame needs on either side of its middle."""
        return -(-2 * self.half // self.hop)

    @property
    def block(self) -> tuple[int, int]:
        """Length of an FFT at full rate and the samples, whole hops, that it yields."""
        length = 1 << max(8, math.ceil(math.log2(3 * self.size + self.hop)))
        return length, (length - self.size + 1) // self.hop * self.hop

    @property
    def end_block(self) -> tuple[int, int]:
        """The same for a clip's ends."""
        valid = (self.edge_frames + self.hops_of_a_frame) * self.hop
        return _smooth(valid + self.size - 1), valid


@dataclass(frozen=True)
class Promise:
    """What is asked for: a tolerance, and for all audio within [-1, 1] or up to ``dynamic_range`` dB above a band."""

    tolerance: float
    dynamic_range: float | None

    def allows(self, geometry: Geometry, loudest_: float) -> Bound:
        """t and a, of which the plan may spend all."""
        if self.dynamic_range is None:
            return Bound(self.tolerance / 2, self.tolerance / 2 * FLOOR / geometry.frame)
        return Bound(self.tolerance, loudest_ * 10 ** (-self.dynamic_range / 10))


@dataclass(frozen=True)
class Group:
    """Neighbouring bands that are computed together.

    Attributes:
        bands: their numbers.
        low, step: the first band's first bin, and how much further on each other one's is.
        n_bins: of each.
        columns: of each, about: of the real and of the imaginary parts.
        folded: whether bins of negative frequencies, or beyond the Nyquist frequency, are among them.
        lost: largest eigenvalue, in units of |x|^2, of a column that may be left out.
        ends_apart: whether the bound needs whole windows, so that frames at a clip's ends are computed at full rate.
        full_rate: all frames are; the rest is void.
    """

    bands: tuple[int, ...]
    low: int = 0
    step: int = 1
    n_bins: int = 0
    columns: int = 0
    folded: bool = False
    lost: float = 0.0
    ends_apart: bool = False
    full_rate: bool = False

    @property
    def first(self) -> tuple[int, ...]:
        """Each band's first bin."""
        return tuple(self.low + i * self.step for i in range(len(self.bands)))

    @property
    def span(self) -> tuple[int, int]:
        """All bins of the group."""
        return self.low, self.first[-1] + self.n_bins

    def multiplications(self, geometry: Geometry) -> float:
        """For a frame."""
        each = fft_cost(geometry) * geometry.hop if self.full_rate else 2 * self.n_bins * self.columns
        return len(self.bands) * each


@dataclass(frozen=True)
class Plan:
    """How a :class:`~efficientleaf.ToleranceFilterbank` computes its bands; ``print`` it for a table.

    A function of the weights, whatever they were before.

    Attributes:
        promise, geometry: what was asked, of which window and hop.
        groups: of bands.
        weights: centres, sigmas and widths that it was made for.
    """

    promise: Promise
    geometry: Geometry
    groups: tuple[Group, ...]
    weights: tuple[tuple[float, float, float], ...]

    @property
    def full_rate_bands(self) -> tuple[int, ...]:
        """Bands that are computed sample by sample, without an error but rounding."""
        return tuple(band for group in self.groups if group.full_rate for band in group.bands)

    def bound(self, band: int) -> Bound:
        """Proven for the band's own weights, bins and columns: see :mod:`efficientleaf.tolerance.bound`."""
        group = next(g for g in self.groups if band in g.bands)
        if group.full_rate:
            return Bound(0.0, 0.0)
        center, sigma, width = self.weights[band]
        allowed = self.promise.allows(self.geometry, self.loudest(band))
        n, half = self.geometry.length, self.geometry.half
        gains, low = response(n, half, center, sigma), group.first[group.bands.index(band)]
        bins = np.minimum(np.arange(n), n - np.arange(n)) if group.folded else np.arange(n)
        kept = (bins >= low) & (bins < low + group.n_bins)
        t = allowed.t
        found = simple(float((gains[~kept] ** 2).max(initial=0.0)), t)
        if group.ends_apart:
            found = closer(gains, window(n, half, width), kept, t, 0.05 * allowed.a / t)
        return Bound(found.t, found.a + group.lost)

    def loudest(self, band: int) -> float:
        """At most the largest e / |x|^2 that the band makes of any audio."""
        return _loudest(self.geometry, *self.weights[band][1:])

    def cost(self, n_samples: int) -> float:
        """Multiply-adds for one clip of ``n_samples``; an FFT counts 2.5 n log2 n."""
        frames = -(-n_samples // self.geometry.hop)
        length, (block, valid) = self.geometry.length, self.geometry.block
        total = sum(g.multiplications(self.geometry) for g in self.groups) * frames
        total += frames * 1.25 * length * math.log2(length)
        return total + (-(-n_samples // valid) * 1.25 * block * math.log2(block) if self.full_rate_bands else 0.0)

    def ratio(self, n_samples: int) -> float:
        """LEAF's operations over this plan's, for one clip of ``n_samples``."""
        return leaf_cost(len(self.weights), self.geometry, n_samples) / self.cost(n_samples)

    def __str__(self) -> str:
        asked = "" if self.promise.dynamic_range is None else f", {self.promise.dynamic_range:g} dB"
        lines = [
            f"tolerance {self.promise.tolerance:g}{asked}: |error| <= t e + a |x|^2, a in dB of the largest e / |x|^2",
            "band  method       bins  columns        t      a  float32  MAC/sample",
        ]
        for band in range(len(self.weights)):
            group = next(g for g in self.groups if band in g.bands)
            found, top = self.bound(band), self.loudest(band)
            cost = group.multiplications(self.geometry) / len(group.bands) / self.geometry.hop
            n_bins = self.geometry.block[0] if group.full_rate else group.n_bins
            b = rounding(self.geometry.length, n_bins, 1.0)
            columns = "" if group.full_rate else str(2 * group.columns)
            lines.append(
                f"{band:>4}  {'full rate' if group.full_rate else 'spectrum':<10} {n_bins:>6} {columns:>8} "
                f"{found.t:>8.1e} {_decibel(found.a / top):>6} {_decibel(b / top):>8} {cost:>11.0f}"
            )
        n = 100 * self.geometry.hop
        lines.append(f"{self.cost(n) / n:.0f} MAC/sample, with the FFT: 1/{self.ratio(n):.1f} of LEAF's")
        return "\n".join(lines)


def make_plan(
    centers: Sequence[float], sigmas: Sequence[float], widths: Sequence[float], geometry: Geometry, promise: Promise
) -> Plan:
    """The plan for clamped weights: radians a sample, samples, halves of a window."""
    found = [
        _slice(band, center, _need(_cell(sigma, SIGMA_CELL), _cell(width, WIDTH_CELL), geometry, promise), geometry)
        for band, (center, sigma, width) in enumerate(zip(centers, sigmas, widths, strict=True))
    ]
    groups = _grouped(found, geometry.n_bins)
    return Plan(promise, geometry, tuple(groups), tuple(zip(centers, sigmas, widths, strict=True)))


def leaf_cost(n_filters: int, geometry: Geometry, n_samples: int) -> float:
    """Multiply-adds of LEAF: every filter at full rate, its modulus, and pooling."""
    frames = -(-n_samples // geometry.hop)
    return n_filters * (n_samples * (2 * geometry.size + 2) + frames * geometry.size)


def fft_cost(geometry: Geometry) -> float:
    """Multiply-adds per sample and band at full rate."""
    length, valid = geometry.block
    return (length * (2.5 * math.log2(length) + 4)) / valid + 2 + geometry.size / geometry.hop


def _smooth(least: int) -> int:
    """The first even product of 2, 3 and 5 from ``least`` on: a length of fast FFTs."""
    n = least + least % 2
    while pow(30, n.bit_length(), n):  # not all of its primes are among them
        n += 2
    return n


def _decibel(ratio: float) -> str:
    return "exact" if ratio == 0 else f"{10 * math.log10(ratio):.0f}"


def _cell(value: float, size: float) -> int:
    return math.floor(math.log(value) / size)


@lru_cache(maxsize=4096)
def _loudest(geometry: Geometry, sigma: float, width: float) -> float:
    return loudest(geometry.length, geometry.half, sigma, width)


@dataclass(frozen=True)
class _Need:
    """Bins on either side of a centre, None for all; columns; and as in a group."""

    reach: int | None
    columns: int
    lost: float
    ends_apart: bool = False


@lru_cache(maxsize=4096)
def _need(sigma_cell: int, width_cell: int, geometry: Geometry, promise: Promise) -> _Need:
    """What every band of a cell needs."""
    low, high = (math.exp(SIGMA_CELL * (sigma_cell + i)) for i in (0, 1))
    narrow, wide = (math.exp(WIDTH_CELL * (width_cell + i)) for i in (0, 1))
    n, half = geometry.length, geometry.half
    top = min(_loudest(geometry, s, w) for s in (low, high) for w in (narrow, wide))
    allowed = promise.allows(geometry, top)
    t, a, lost = allowed.t, BINS * allowed.a, COLUMNS * allowed.a
    bin_, circle = 2 * math.pi / n, np.minimum(np.arange(n), n - np.arange(n))
    plain = _first(lambda k: simple(envelope(k * bin_, low, high, half) ** 2, t).a <= a, n // 2)
    share = t / (1 + t)
    quiet = math.sqrt(a * (1 - share) / (1 + 1 / share))  # the response that `simple` lets go
    lobe = math.ceil(math.sqrt(-2 * math.log(quiet)) / low / bin_)  # where a kernel that is not cut has it
    n_columns = _free(2 * (plain or n // 2) + 1, geometry)
    if plain is None or plain > LENGTHENED * lobe:
        corners = [
            (response(n, half, bin_ / 2, sigma), window(n, half, width))
            for sigma in (high, low) for width in (wide, narrow)  # the worst, most often, comes first
        ]  # fmt: skip
        k = max(4, lobe // 2)
        while k < (plain or n // 4):
            far = float((corners[0][0][circle >= k] ** 2).max())
            if far < a and all(
                SLACK * closer(g, row, circle < k, t, 0.05 * allowed.a / t).a <= a for g, row in corners
            ):
                n_columns = max(rank(g, row, circle < k, lost) for g, row in corners[::2])
                return _Need(k, n_columns, lost, True)
            k = math.ceil(1.2 * k)
    return _Need(plain, n_columns, lost)


def _free(n_bins: int, geometry: Geometry) -> int:
    """Columns of a kernel that is not cut: what n bins and a window leave free, and some more."""
    return min(n_bins, round(0.95 * n_bins * geometry.size / geometry.length) + 4)


def _first(holds: Callable[[int], bool], most: int) -> int | None:
    low, high = 1, most
    if not holds(most):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _slice(band: int, center: float, need: _Need, geometry: Geometry) -> Group:
    """A band by itself."""
    last = geometry.n_bins - 1
    middle = center / (2 * math.pi) * geometry.length
    reach = last if need.reach is None else need.reach
    low, high = math.ceil(middle - reach), math.floor(middle + reach)
    folded = low < 1 or high >= last
    low, high = max(low, 0), min(high, last)
    columns = min(need.columns, high - low + 1)
    found = Group((band,), low, 1, high - low + 1, columns, folded, need.lost, need.ends_apart)
    if found.multiplications(geometry) > FFT_PRICE * fft_cost(geometry) * geometry.hop:
        return Group((band,), full_rate=True)
    return found


def _grouped(found: list[Group], n: int) -> list[Group]:
    """Bands by frequency, neighbours together where little is computed in vain."""
    groups: list[list[Group]] = []
    for one in sorted(found, key=lambda g: (not g.full_rate, g.folded, g.ends_apart, g.low, g.bands)):
        if groups and _joined([*groups[-1], one], n) is not None:
            groups[-1].append(one)
        else:
            groups.append([one])
    return [joined for group in groups if (joined := _joined(group, n)) is not None]


def _joined(bands: list[Group], n: int) -> Group | None:
    """One group, its bins at equal steps, a view of n; None where they are too many."""
    numbers, head = tuple(g.bands[0] for g in bands), bands[0]
    if any((g.full_rate, g.folded, g.ends_apart) != (head.full_rate, head.folded, head.ends_apart) for g in bands):
        return None
    if head.full_rate or len(bands) == 1:
        return replace(head, bands=numbers)
    step = round((bands[-1].low - head.low) / (len(bands) - 1))
    off = [g.low - i * step for i, g in enumerate(bands)]
    n_bins = max(o + g.n_bins for o, g in zip(off, bands, strict=True)) - min(off)
    outside = min(off) < (not head.folded) or min(off) + (len(bands) - 1) * step + n_bins > n - (not head.folded)
    if step < 1 or outside or n_bins > LENGTHENED * min(g.n_bins for g in bands):
        return None
    columns, lost = max(g.columns for g in bands), min(g.lost for g in bands)
    return Group(numbers, min(off), step, n_bins, columns, head.folded, lost, head.ends_apart)
