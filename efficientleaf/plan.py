"""What a tolerance asks of every band: kernel length, stride, pooling window - chosen, predicted, counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from efficientleaf.projection import Array

MARGIN = 0.03  # a plan holds while sigmas and pooling widths stay within 3 % of those it was made for


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
        return max(self.before, 1)

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
        method: "strided", "full rate (FFT)" or "full rate" where a short kernel at stride 1 costs less.
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
    def by_fft(self) -> bool:
        return self.method == "full rate (FFT)"


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
        """Bands at full rate: kernels cut so high that they are not band-limited, or too wide a band for a stride."""
        return tuple(band for row in self.rows if row.stride == 1 for band in row.bands)

    @property
    def margin(self) -> int:
        """Zeros on either side of a clip that every kernel and window finds."""
        reaches = [row.stride * (row.window_taps // 2) + row.taps // 2 for row in self.rows]
        reaches += [row.edge_stride * (row.edge_window_taps // 2) + row.taps // 2 for row in self.rows]
        return max(reaches)

    def cost(self, n_samples: int) -> float:
        """Multiply-adds for one clip of ``n_samples``, ends included; an FFT counts 2.5 n log2 n."""
        hop, n_edge = self.geometry.hop, self.geometry.edge_frames
        frames = -(-n_samples // hop)
        inner, ends = (frames - 2 * n_edge, 2) if frames > 2 * n_edge else (0, 1)
        total = 0.0
        length, valid = self.geometry.block
        blocks = -(-n_samples // valid)
        if any(row.by_fft for row in self.rows):
            total += blocks * 1.25 * length * math.log2(length)
        for row in self.rows:
            n = len(row.bands)
            if row.by_fft:
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


def fft_cost(geometry: Geometry) -> float:
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
