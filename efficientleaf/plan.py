"""What a tolerance asks of every band: kernel length, stride, pooling window - chosen, predicted, counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from efficientleaf.projection import (
    EXTENT,
    FLOOR,
    Array,
    beats,
    best_taper,
    filter_error,
    gaussian,
    pooling_error,
    projector,
    window,
)

MARGIN = 0.03  # a plan holds while sigmas and pooling widths stay within 3 % of those it was made for
FILTER_SHARE = 0.3  # of the tolerance may be spent on shorter kernels, the rest on coarser grids
ROUNDING = 1e-6  # what float32 leaves of a band at full rate
FFT_PRICE = 3.0  # an operation of an FFT takes about as long as three of a convolution


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
        """Hops that a frame's window reaches back."""
        return -(-self.half // self.hop)

    @property
    def edge_frames(self) -> int:
        """Frames at each end of a clip whose window may lie partly outside: their energies there count as zero."""
        return self.before

    @property
    def block(self) -> tuple[int, int]:
        """Length of an FFT and the samples, whole hops, that it yields."""
        length = 1 << max(8, math.ceil(math.log2(3 * self.size + self.hop)))
        return length, (length - self.size + 1) // self.hop * self.hop


@dataclass(frozen=True)
class Row:
    """A group of bands that are computed alike.

    Attributes:
        bands: their numbers.
        method: "strided" or "full rate (FFT)".
        stride, taps: of the convolution, in samples.
        window_taps: of the pooling window on the strided grid.
        edge_stride, edge_window_taps: the same for the frames at the ends of a clip, which need a finer grid.
        predicted: largest relative error of an energy, of the group's worst band.
        per_sample: multiply-adds per sample of audio, away from the ends.
    """

    bands: tuple[int, ...]
    method: str
    stride: int
    taps: int
    window_taps: int
    edge_stride: int
    edge_window_taps: int
    predicted: float
    per_sample: float
    tapers: Array = field(repr=False)
    projection: Array = field(repr=False)
    edge_projection: Array = field(repr=False)

    @property
    def full_rate(self) -> bool:
        return self.method != "strided"


@dataclass(frozen=True)
class Plan:
    """How a :class:`~efficientleaf.ToleranceFilterbank` computes its bands; ``print`` it for a table.

    Attributes:
        tolerance: what was asked.
        geometry: window and hop.
        rows: groups of bands.
        sigmas, widths: the clamped parameters that it was made for; it holds within ``MARGIN`` of them.
    """

    tolerance: float
    geometry: Geometry
    rows: tuple[Row, ...]
    sigmas: tuple[float, ...]
    widths: tuple[float, ...]

    @property
    def predicted(self) -> float:
        """Largest predicted relative error of any band."""
        return max(row.predicted for row in self.rows)

    @property
    def full_rate_bands(self) -> tuple[int, ...]:
        """Bands computed at full rate: their kernels are cut too high to be band-limited, or no stride holds."""
        return tuple(band for row in self.rows if row.full_rate for band in row.bands)

    def cost(self, n_samples: int) -> float:
        """Multiply-adds for one clip of ``n_samples``, ends included; an FFT counts 2.5 n log2 n."""
        hop, n_edge = self.geometry.hop, self.geometry.edge_frames
        frames = -(-n_samples // hop)
        inner, ends = (frames - 2 * n_edge, 2) if frames > 2 * n_edge else (0, 1)
        total = 0.0
        length, valid = self.geometry.block
        blocks = -(-n_samples // valid)
        if self.full_rate_bands:
            total += blocks * 1.25 * length * math.log2(length)
        for row in self.rows:
            n = len(row.bands)
            if row.full_rate:
                total += n * blocks * (length * (2.5 * math.log2(length) + 4) + 2 * valid)
                total += n * frames * row.window_taps
                continue
            if inner:
                points = (inner - 1) * (hop // row.stride) + row.window_taps
                total += n * (points * (2 * row.taps + 2) + inner * row.window_taps)
            at_end = n_edge if inner else frames
            points = (at_end - 1) * (hop // row.edge_stride) + row.edge_window_taps
            total += n * ends * (points * (2 * row.taps + 2) + at_end * row.edge_window_taps)
        return total

    def ratio(self, n_samples: int) -> float:
        """LEAF's operations over this plan's, for one clip of ``n_samples``."""
        return leaf_cost(len(self.sigmas), self.geometry, n_samples) / self.cost(n_samples)

    def __str__(self) -> str:
        lines = [
            f"tolerance {self.tolerance:g}: predicted error {self.predicted:.1e}",
            "bands                 method           stride  taps  window  ends: stride window  predicted  MAC/sample",
        ]
        for row in self.rows:
            lines.append(
                f"{_ranges(row.bands):<21} {row.method:<16} {row.stride:>6} {row.taps:>5} {row.window_taps:>7} "
                f"{row.edge_stride:>13} {row.edge_window_taps:>6} {row.predicted:>10.1e} {row.per_sample:>11.0f}"
            )
        full = self.full_rate_bands
        lines.append(f"full rate: {_ranges(full) if full else 'none'} ({len(full)} of {len(self.sigmas)} bands)")
        n = 100 * self.geometry.hop
        lines.append(
            f"{self.cost(n) / n:.0f} MAC/sample in a clip of 100 frames, its ends included: "
            f"1/{self.ratio(n):.1f} of LEAF's"
        )
        return "\n".join(lines)


def leaf_cost(n_filters: int, geometry: Geometry, n_samples: int) -> float:
    """Multiply-adds of LEAF: every filter at full rate, its modulus, and pooling."""
    frames = -(-n_samples // geometry.hop)
    return n_filters * (n_samples * (2 * geometry.size + 2) + frames * geometry.size)


@dataclass(frozen=True)
class _Choice:
    stride: int
    edge_stride: int
    taper: Array
    share: Array
    filter_error: float
    cost: float


def make_plan(sigmas: Sequence[float], widths: Sequence[float], geometry: Geometry, tolerance: float) -> Plan:
    """The cheapest plan whose predicted errors are within ``tolerance``.

    ``sigmas`` (samples) and ``widths`` are LEAF's, clamped. Centres do not matter: a shifted band is as wide.
    """
    choices = [_choose(s, w, geometry, tolerance) for s, w in zip(sigmas, widths, strict=True)]
    strides = sorted({choice.stride for choice in choices if choice})
    rows = []
    full = tuple(i for i, choice in enumerate(choices) if choice is None)
    if full:
        nothing = np.zeros((0, 0))
        cost = _fft_cost(geometry)
        rows.append(
            Row(full, "full rate (FFT)", 1, geometry.size, geometry.size, 1, geometry.size, ROUNDING,
                cost * len(full), nothing, nothing, nothing)
        )  # fmt: skip
    for stride in strides:
        rows.append(_row(stride, choices, sigmas, widths, geometry))
    rows.sort(key=lambda row: row.bands)
    return Plan(tolerance, geometry, tuple(rows), tuple(sigmas), tuple(widths))


def _row(
    stride: int, choices: list[_Choice | None], sigmas: Sequence[float], widths: Sequence[float], geometry: Geometry
) -> Row:
    chosen = {i: choice for i, choice in enumerate(choices) if choice and choice.stride == stride}
    edge_stride = min(choice.edge_stride for choice in chosen.values())
    n_taps = max(len(choice.taper) for choice in chosen.values())
    reach = max(_reach(stride, sigmas[i], geometry) for i in chosen)
    edge_reach = max(_reach(edge_stride, sigmas[i], geometry) for i in chosen)
    tapers = np.stack([np.pad(choice.taper, (0, n_taps - len(choice.taper))) for choice in chosen.values()])
    inner, edge, predicted = [], [], 0.0
    for i, choice in chosen.items():
        inner.append(projector(choice.share, geometry.half, stride, reach))
        edge.append(projector(choice.share, geometry.half, edge_stride, edge_reach))
        error = max(
            pooling_error(choice.share, _whole(widths[i], geometry), inner[-1], stride),
            pooling_error(choice.share, _cut(widths[i], geometry), edge[-1], edge_stride),
        )
        predicted = max(predicted, error + choice.filter_error)
    taps, window_taps = 2 * n_taps - 1, 2 * reach + 1
    cost = len(chosen) * ((2 * taps + 2) / stride + window_taps / geometry.hop)
    return Row(
        tuple(chosen), "strided", stride, taps, window_taps, edge_stride, 2 * edge_reach + 1, predicted + ROUNDING,
        cost, tapers, np.stack(inner), np.stack(edge),
    )  # fmt: skip


def _choose(sigma: float, width: float, geometry: Geometry, tolerance: float) -> _Choice | None:
    """The kernel and strides of a band; None where none is cheaper than full rate."""
    half = geometry.half
    quiet = math.sqrt(2 * FLOOR / window(half, _near(width, geometry)[-1]).sum())
    for n_taps in _lengths(sigma, half):
        taper = best_taper(half, sigma, n_taps, quiet)
        error = max(
            filter_error(half, near, taper, quiet) for near in (sigma / (1 + MARGIN), sigma, sigma * (1 + MARGIN))
        )
        if error <= FILTER_SHARE * tolerance:
            break
    else:
        taper, error = np.ones(half + 1), 0.0
    share = beats(gaussian(len(taper) - 1, sigma / (1 + MARGIN)) * taper, quiet)
    left = tolerance - error - ROUNDING
    taps = 2 * len(taper) - 1
    stride = 0
    for candidate in (s for s in range(geometry.hop, 0, -1) if geometry.hop % s == 0 and s <= max(1.0, sigma)):
        if 2 * taps / candidate > FFT_PRICE * _fft_cost(geometry):
            return None
        matrix = projector(share, half, candidate, _reach(candidate, sigma, geometry))
        if not stride and pooling_error(share, _whole(width, geometry), matrix, candidate) <= left:
            stride = candidate
        if stride and pooling_error(share, _cut(width, geometry), matrix, candidate) <= left:
            return _Choice(stride, candidate, taper, share, error, 2 * taps / stride)
    return None


def _lengths(sigma: float, half: int) -> list[int]:
    """Numbers of taps from the middle on that are worth a try."""
    found = sorted({math.ceil(c * sigma) + 1 for c in np.arange(3.4, 7.2, 0.2)})
    return [n for n in found if n <= half] + [half + 1] * (found[-1] > half)


def _near(width: float, geometry: Geometry) -> list[float]:
    lowest, highest = min(2 / geometry.size, 0.5), 0.5
    return [min(max(width * f, lowest), highest) for f in (1 / (1 + MARGIN), 1, 1 + MARGIN)]


def _whole(width: float, geometry: Geometry) -> Array:
    """Windows of a frame in the middle of a clip."""
    return np.stack([window(geometry.half, near) for near in _near(width, geometry)])


def _cut(width: float, geometry: Geometry) -> Array:
    """Windows of frames at the ends: cut somewhere on either side, or on both in a clip of a few samples."""
    n = np.arange(-geometry.half, geometry.half + 1)
    starts = sorted({int(geometry.half * part) for part in (0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.99)})
    masks = [n >= -start for start in starts] + [(n >= 0) & (n <= start) for start in starts]
    return np.concatenate([_whole(width, geometry) * mask for mask in masks])


def _reach(stride: int, sigma: float, geometry: Geometry) -> int:
    """Points of the grid on each side of a frame's centre."""
    return geometry.half if stride == 1 else math.ceil((geometry.half + EXTENT * sigma) / stride)


def _fft_cost(geometry: Geometry) -> float:
    """Multiply-adds per sample and band at full rate."""
    length, valid = geometry.block
    return (length * (2.5 * math.log2(length) + 4)) / valid + 2 + geometry.size / geometry.hop


def _ranges(bands: Sequence[int]) -> str:
    """``0-3, 7``."""
    runs: list[list[int]] = []
    for band in bands:
        if runs and band == runs[-1][1] + 1:
            runs[-1][1] = band
        else:
            runs.append([band, band])
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in runs)
