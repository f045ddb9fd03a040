"""Which bins and how many columns every band needs, from its weights alone, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from efficientleaf.tolerance.bound import Bound, closer, response, rounding, simple, window
from efficientleaf.tolerance.needs import LENGTHENED, Geometry, Need, Promise, most_heard, need

FFT_PRICE = 4.5  # an operation of an FFT takes as long as some of a matrix product (measured on a CPU)


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

    def holds(self, band: int) -> bool:
        """Tell whether the bound that is proven for a band is within the promise."""
        loudest = 0.0 if self.promise.dynamic_range is None else self.loudest(band)
        allowed, found = self.promise.allows(self.geometry, loudest), self.bound(band)
        return found.t <= allowed.t and found.a <= allowed.a

    def loudest(self, band: int) -> float:
        """At most the largest e / |x|^2 that the band makes of any audio."""
        return most_heard(self.geometry, *self.weights[band][1:])

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
    """The plan for clamped weights: radians a sample, samples, halves of a window.

    A cell's number of bins is looked for at the corners of the cell. Where that is no proof for all of it, the bound is
    computed for the band's own weights as well, and the band goes to full rate if it does not hold.
    """
    weights = tuple(zip(centers, sigmas, widths, strict=True))
    found = [
        _slice(band, center, need(sigma, width, geometry, promise), geometry)
        for band, (center, sigma, width) in enumerate(weights)
    ]
    plan = Plan(promise, geometry, tuple(_grouped(found, geometry.n_bins)), weights)
    if broken := [band for group in plan.groups if group.ends_apart for band in group.bands if not plan.holds(band)]:
        found = [Group((band,), full_rate=True) if band in broken else group for band, group in enumerate(found)]
        plan = Plan(promise, geometry, tuple(_grouped(found, geometry.n_bins)), weights)
    return plan


def leaf_cost(n_filters: int, geometry: Geometry, n_samples: int) -> float:
    """Multiply-adds of LEAF: every filter at full rate, its modulus, and pooling."""
    frames = -(-n_samples // geometry.hop)
    return n_filters * (n_samples * (2 * geometry.size + 2) + frames * geometry.size)


def fft_cost(geometry: Geometry) -> float:
    """Multiply-adds per sample and band at full rate."""
    length, valid = geometry.block
    return (length * (2.5 * math.log2(length) + 4)) / valid + 2 + geometry.size / geometry.hop


def _decibel(ratio: float) -> str:
    return "exact" if ratio == 0 else f"{10 * math.log10(ratio):.0f}"


def _slice(band: int, center: float, needed: Need, geometry: Geometry) -> Group:
    """A band by itself."""
    last = geometry.n_bins - 1
    middle = center / (2 * math.pi) * geometry.length
    reach = last if needed.reach is None else needed.reach
    low, high = math.ceil(middle - reach), math.floor(middle + reach)
    folded = low < 1 or high >= last
    low, high = max(low, 0), min(high, last)
    columns = min(needed.columns, high - low + 1)
    found = Group((band,), low, 1, high - low + 1, columns, folded, needed.lost, needed.ends_apart)
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
