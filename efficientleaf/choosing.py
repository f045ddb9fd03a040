"""The cheapest kernel, stride and window of every band that a tolerance allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from efficientleaf.plan import MARGIN, Geometry, Plan, Row, fft_cost
from efficientleaf.projection import (
    EXTENT,
    FLOOR,
    Array,
    beats,
    best_taper,
    filter_error,
    gauss_window,
    gaussian,
    pooling_error,
    projector,
)
from efficientleaf.transients import Click, Grid

FILTER_SHARE = 0.3  # of the tolerance may be spent on shorter kernels, the rest on coarser grids
ROUNDING = 1e-6  # what float32 leaves of a band at full rate
CLICKS = 0.25  # a click alone may take this part: of several, and of onsets, the errors add up
WASTE = 1.7  # most by which a kernel is filled up, to be computed along with others
FFT_PRICE = 4.0  # an operation of an FFT takes as long as some four of a convolution (measured on a CPU)


@dataclass(frozen=True)
class _Choice:
    stride: int
    edge_stride: int
    taper: Array
    click: Click
    share: Array
    filter_error: float


def make_plan(sigmas: Sequence[float], widths: Sequence[float], geometry: Geometry, tolerance: float) -> Plan:
    """The cheapest plan whose predicted errors are within ``tolerance``.

    ``sigmas`` (samples) and ``widths`` are LEAF's, clamped. Centres do not matter: a shifted band is as wide.
    """
    choices = [_choose(s, w, geometry, tolerance) for s, w in zip(sigmas, widths, strict=True)]
    rows = []
    full = tuple(i for i, choice in enumerate(choices) if choice is None)
    if full:
        nothing = np.zeros((0, 0))
        cost = fft_cost(geometry)
        rows.append(
            Row(full, "full rate (FFT)", 1, geometry.size, geometry.size, 1, geometry.size, ROUNDING,
                cost * len(full), nothing, nothing, nothing)
        )  # fmt: skip
    rows += [_row(group, sigmas, widths, geometry) for group in _groups(choices)]
    rows.sort(key=lambda row: row.bands)
    return Plan(tolerance, geometry, tuple(rows), tuple(sigmas), tuple(widths))


def _groups(choices: list[_Choice | None]) -> list[dict[int, _Choice]]:
    """Bands of one stride whose kernels are nearly as long, as the shorter are filled up with zeros."""
    found: list[dict[int, _Choice]] = []
    chosen = [(i, choice) for i, choice in enumerate(choices) if choice]
    for i, choice in sorted(chosen, key=lambda pair: (pair[1].stride, len(pair[1].taper))):
        first = next(iter(found[-1].values())) if found else None
        if first and first.stride == choice.stride and len(choice.taper) <= WASTE * len(first.taper):
            found[-1][i] = choice
        else:
            found.append({i: choice})
    return [dict(sorted(group.items())) for group in found]


def _row(chosen: dict[int, _Choice], sigmas: Sequence[float], widths: Sequence[float], geometry: Geometry) -> Row:
    stride = next(iter(chosen.values())).stride
    edge_stride = min(choice.edge_stride for choice in chosen.values())
    n_taps = max(len(choice.taper) for choice in chosen.values())
    reach = max(_reach(stride, sigmas[i], geometry) for i in chosen)
    edge_reach = max(_reach(edge_stride, sigmas[i], geometry) for i in chosen)
    tapers = np.stack([np.pad(choice.taper, (0, n_taps - len(choice.taper))) for choice in chosen.values()])
    inner, edge, predicted = [], [], 0.0
    for i, choice in chosen.items():
        inside = Grid(projector(choice.share, geometry.half, stride, reach), stride)
        at_end = Grid(projector(choice.share, geometry.half, edge_stride, edge_reach), edge_stride)
        whole, window = _whole(widths[i], geometry), gauss_window(geometry.half, widths[i])
        error = max(
            pooling_error(choice.share, whole, inside.projection, stride),
            pooling_error(choice.share, _cut(widths[i], geometry), at_end.projection, edge_stride),
            choice.click.inside(whole, inside),
            choice.click.at_an_end(window, inside, at_end, geometry.edge_frames),
        )
        inner.append(inside.projection)
        edge.append(at_end.projection)
        predicted = max(predicted, error + choice.filter_error)
    taps, window_taps = 2 * n_taps - 1, 2 * reach + 1
    cost = len(chosen) * ((2 * taps + 2) / stride + window_taps / geometry.hop)
    return Row(
        bands=tuple(chosen),
        method="strided" if stride > 1 else "full rate",
        stride=stride,
        taps=taps,
        window_taps=window_taps,
        edge_stride=edge_stride,
        edge_window_taps=2 * edge_reach + 1,
        predicted=predicted + ROUNDING,
        per_sample=cost,
        tapers=tapers,
        projection=np.stack(inner),
        edge_projection=np.stack(edge),
    )


@lru_cache(maxsize=512)
def _choose(sigma: float, width: float, geometry: Geometry, tolerance: float) -> _Choice | None:
    """The kernel and strides of a band; None where none is cheaper than full rate."""
    half = geometry.half
    quiet = 2 * math.sqrt(FLOOR / gauss_window(half, _near(width, geometry)[-1]).sum())
    taper, error = _taper(sigma, half, quiet, FILTER_SHARE * tolerance)
    narrowest = gaussian(len(taper) - 1, sigma / (1 + MARGIN)) * taper
    click, share = Click.of(narrowest, geometry.hop), beats(narrowest, quiet)
    left = tolerance - error - ROUNDING
    taps = 2 * len(taper) - 1
    whole, cut, window = _whole(width, geometry), _cut(width, geometry), gauss_window(half, width)
    inner: Grid | None = None
    for stride in (s for s in range(geometry.hop, 0, -1) if geometry.hop % s == 0 and s <= max(1.0, sigma)):
        if 2 * taps / stride > FFT_PRICE * fft_cost(geometry):
            return None
        grid = Grid(projector(share, half, stride, _reach(stride, sigma, geometry)), stride)
        if inner is None:
            if pooling_error(share, whole, grid.projection, stride) > left:
                continue
            if click.inside(whole, grid) > CLICKS * left:
                continue
            inner = grid
        # the ends want a finer grid: the coarsest, from that of the middle on
        if pooling_error(share, cut, grid.projection, stride) > left:
            continue
        if click.at_an_end(window, inner, grid, geometry.edge_frames) <= CLICKS * left:
            return _Choice(inner.stride, stride, taper, click, share, error)
    return None


def _taper(sigma: float, half: int, quiet: float, most: float) -> tuple[Array, float]:
    """The shortest taper whose error is at most ``most``, and the error; ones at full length where none is."""
    lengths = _lengths(sigma, half)
    found, error = np.ones(half + 1), 0.0
    low, high = 0, len(lengths)
    while low < high:
        middle = (low + high) // 2
        tried = best_taper(half, sigma, lengths[middle], quiet)
        off = max(filter_error(half, sigma * f, tried, quiet) for f in (1 / (1 + MARGIN), 1, 1 + MARGIN))
        if off <= most:
            high, found, error = middle, tried, off
        else:
            low = middle + 1
    return found, error


def _lengths(sigma: float, half: int) -> list[int]:
    """Numbers of taps from the middle on that are worth a try."""
    return sorted({n for c in np.arange(3.4, 7.2, 0.1) if (n := math.ceil(c * sigma) + 1) <= half})


def _near(width: float, geometry: Geometry) -> list[float]:
    lowest, highest = min(2 / geometry.size, 0.5), 0.5
    return [min(max(width * f, lowest), highest) for f in (1 / (1 + MARGIN), 1, 1 + MARGIN)]


def _whole(width: float, geometry: Geometry) -> Array:
    """Windows of a frame in the middle of a clip."""
    return np.stack([gauss_window(geometry.half, near) for near in _near(width, geometry)])


def _cut(width: float, geometry: Geometry) -> Array:
    """Windows of frames at the ends: cut somewhere on either side, or on both in a clip of a few samples."""
    n = np.arange(-geometry.half, geometry.half + 1)
    starts = sorted({int(geometry.half * part) for part in (0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.99)})
    masks = [n >= -start for start in starts] + [(n >= 0) & (n <= start) for start in starts]
    return np.concatenate([_whole(width, geometry) * mask for mask in masks])


def _reach(stride: int, sigma: float, geometry: Geometry) -> int:
    """Points of the grid on each side of a frame's centre."""
    return geometry.half if stride == 1 else math.ceil((geometry.half + EXTENT * sigma) / stride)
