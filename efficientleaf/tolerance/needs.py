"""How many bins and columns a band needs for what is promised, by cells of its weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from efficientleaf.tolerance.bound import FLOOR, Bound, closer, envelope, loudest, rank, response, simple, window

SIGMA_CELL, WIDTH_CELL = math.log(1.02), math.log(1.04)  # bands whose logarithms share a cell have as many bins
BINS, COLUMNS = 0.9, 0.1  # shares of a: of bins that are left out, of columns
SLACK = 1.5  # between the corners of a cell, where the closer bound is looked at, and all of it
LENGTHENED = 1.2  # bins over the fewest, that are taken for the sake of something simpler


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
        """Hops that hold what a frame needs on either side of its middle."""
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
    """The claim asked for: a tolerance, and for all audio within [-1, 1] or up to ``dynamic_range`` dB above a band."""

    tolerance: float
    dynamic_range: float | None

    def allows(self, geometry: Geometry, loudest_: float) -> Bound:
        """t and a, of which the plan may spend all."""
        if self.dynamic_range is None:
            return Bound(self.tolerance / 2, self.tolerance / 2 * FLOOR / geometry.frame)
        return Bound(self.tolerance, loudest_ * 10 ** (-self.dynamic_range / 10))


@dataclass(frozen=True)
class Need:
    """Bins on either side of a centre, None for all; columns; and as in a group."""

    reach: int | None
    columns: int
    lost: float
    ends_apart: bool = False


def need(sigma: float, width: float, geometry: Geometry, promise: Promise) -> Need:
    """Give the need of every band in the cell of these weights."""
    cells = math.floor(math.log(sigma) / SIGMA_CELL), math.floor(math.log(width) / WIDTH_CELL)
    return _need(*cells, geometry, promise)


@lru_cache(maxsize=4096)
def _need(sigma_cell: int, width_cell: int, geometry: Geometry, promise: Promise) -> Need:
    low, high = (math.exp(SIGMA_CELL * (sigma_cell + i)) for i in (0, 1))
    narrow, wide = (math.exp(WIDTH_CELL * (width_cell + i)) for i in (0, 1))
    n, half = geometry.length, geometry.half
    top = 1.0  # which matters to a dynamic range alone
    if promise.dynamic_range is not None:
        top = min(most_heard(geometry, s, w) for s in (low, high) for w in (narrow, wide))
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
        while k < (plain or n // 6):
            if all(SLACK * closer(g, row, circle < k, t, 0.05 * allowed.a / t).a <= a for g, row in corners):
                return Need(k, max(rank(g, row, circle < k, lost) for g, row in corners[::2]), lost, True)
            k = math.ceil(1.25 * k)
    return Need(plain, n_columns, lost)


def _free(n_bins: int, geometry: Geometry) -> int:
    """Columns of a kernel that is not cut: what n bins and a window leave free, and some more."""
    return min(n_bins, round(0.95 * n_bins * geometry.size / geometry.length) + 4)


def _first(holds: Callable[[int], bool], most: int) -> int | None:
    """The least number up to ``most`` for which it holds, if it does for all from there on."""
    low, high = 1, most
    if not holds(most):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


@lru_cache(maxsize=4096)
def most_heard(geometry: Geometry, sigma: float, width: float) -> float:
    """At most the largest e / |x|^2 that a band makes of any audio."""
    return loudest(geometry.length, geometry.half, sigma, width)


def _smooth(least: int) -> int:
    """The first even product of 2, 3 and 5 from ``least`` on: a length of fast FFTs."""
    n = least + least % 2
    while pow(30, n.bit_length(), n):  # not all of its primes are among them
        n += 2
    return n
