"""Pictures of what the rungs compute: NumPy arrays in, PNG files out."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

Array = NDArray[Any]
COLOURS = ("#111111", "#e69f00", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
LOWEST_DB = -60.0
N_SHOWN = 7


def features(rungs: Mapping[str, Array], ms_per_frame: float = 10.0) -> bytes:
    """The features of one clip, a panel per rung, one colour scale.

    Args:
        rungs: name to [filters, frames].
        ms_per_frame: for the time axis.
    """
    figure, panels = _panels(len(rungs))
    values = np.concatenate([np.ravel(a) for a in rungs.values()])
    low, high = np.percentile(values, [0.5, 99.5])
    for axes, (name, array) in zip(panels, rungs.items(), strict=True):
        image = axes.imshow(
            array,
            origin="lower",
            aspect="auto",
            vmin=low,
            vmax=high,
            cmap="magma",
            extent=_extent(array, ms_per_frame),
        )
        axes.set_title(name, fontsize=9, loc="left")
    figure.colorbar(image, ax=panels, shrink=0.6, label="output", extend="both")
    return _png(figure)


def differences(pairs: Mapping[str, Array], ms_per_frame: float = 10.0) -> bytes:
    """Differences, a panel each, on one scale that is logarithmic on both sides of zero.

    Args:
        pairs: ``"a - b"`` to [filters, frames], as fractions of max|b|.
        ms_per_frame: for the time axis.
    """
    figure, panels = _panels(len(pairs))
    peaks = [float(np.max(np.abs(a), initial=0.0)) for a in pairs.values()]
    high = 10.0 ** np.ceil(np.log10(max(*peaks, 1e-12)))
    # linear below a tenth of the smallest difference there is, so that it too gets its share of the colours
    linear = max(min((p for p in peaks if p > 0), default=high) / 10, high * 1e-12)
    linear = 10.0 ** np.floor(np.log10(linear))
    norm = SymLogNorm(linthresh=linear, vmin=-high, vmax=high, base=10)
    for axes, (name, array), peak in zip(panels, pairs.items(), peaks, strict=True):
        image = axes.imshow(
            array,
            origin="lower",
            aspect="auto",
            norm=norm,
            cmap="RdBu_r",
            extent=_extent(array, ms_per_frame),
        )
        axes.set_title(f"{name}   (largest: {peak:.1e})", fontsize=9, loc="left")
    bar = figure.colorbar(image, ax=panels, shrink=0.6, label="difference / max|reference|")
    decades = 10.0 ** np.arange(np.log10(linear), np.log10(high) + 0.5, max(1, round(np.log10(high / linear) / 4)))
    bar.set_ticks([*(-decades[::-1]), 0.0, *decades])
    bar.formatter = FuncFormatter(lambda v, _: f"{v:.0e}" if v else "0")
    bar.update_ticks()
    return _png(figure)


def filters(rungs: Mapping[str, tuple[Array, Array]]) -> bytes:
    """Frequency responses of a few filters of each rung over each other; peak and width against the first's.

    Args:
        rungs: name to (frequencies in Hz [F], magnitude response [filters, F]).
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
    top, peaks, widths = (
        figure.add_subplot(grid[0, :]),
        figure.add_subplot(grid[1, 0]),
        figure.add_subplot(grid[1, 1]),
    )
    for i, (name, (hz, response)) in enumerate(rungs.items()):
        # thick lines below, thin ones above: those that coincide stay visible
        style: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "linewidth": 1 + 1.1 * (len(rungs) - 1 - i),
        }
        for j, c in enumerate(_shown(len(response))):
            decibels = 20 * np.log10(np.maximum(np.abs(response[c]), 1e-12))
            top.plot(hz, decibels, label=name if j == 0 else None, alpha=0.85, **style)
        index = np.arange(len(response))
        peak, width = _peak(hz, response), _width(hz, response)
        if i == 0:
            first_peak, first_width = peak, width
        if len(peak) == len(first_peak):
            peaks.plot(index, peak - first_peak, alpha=0.85, **style)
            widths.plot(index, width / first_width, alpha=0.85, **style)
    top.set(
        xscale="log",
        xlim=(30, float(max(hz[-1] for hz, _ in rungs.values()))),
        ylim=(LOWEST_DB, 6),
        xlabel="Hz",
        ylabel="dB",
    )
    figure.legend(*top.get_legend_handles_labels(), fontsize=8, loc="outside upper left", ncols=len(rungs))
    first = next(iter(rungs))
    peaks.set(xlabel="filter", ylabel=f"peak, Hz from {first}'s")
    widths.set(xlabel="filter", ylabel=f"width at -3 dB, of {first}'s")
    return _png(figure)


def windows(rungs: Mapping[str, tuple[Array, Array]]) -> bytes:
    """Pooling windows of a few channels of each rung over each other.

    Args:
        rungs: name to (time in ms [W] or [filters, W], window [filters, W]); what is NaN is not drawn.
    """
    figure = Figure(figsize=(11, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for i, (name, (ms, window)) in enumerate(rungs.items()):
        times = np.broadcast_to(ms, window.shape)
        style: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "linewidth": 1 + 1.1 * (len(rungs) - 1 - i),
        }
        for j, c in enumerate(_shown(len(window))):
            axes.plot(times[c], window[c], label=name if j == 0 else None, alpha=0.85, **style)
    axes.set(xlabel="ms", ylabel="weight")
    axes.legend(fontsize=8)
    return _png(figure)


def _panels(n: int) -> tuple[Figure, list[Any]]:
    if n < 1:
        raise ValueError("rungs={}: must hold at least one")
    figure = Figure(figsize=(11, 1.2 + 1.7 * n), layout="constrained")
    panels = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0].tolist()
    for axes in panels:
        axes.set_ylabel("filter", fontsize=8)
    panels[-1].set_xlabel("s")
    return figure, panels


def _extent(array: Array, ms_per_frame: float) -> tuple[float, float, float, float]:
    return (0.0, array.shape[1] * ms_per_frame / 1000, -0.5, array.shape[0] - 0.5)


def _shown(n: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, N_SHOWN))})


def _peak(hz: Array, response: Array) -> Array:
    return np.asarray(hz[np.argmax(np.abs(response), axis=1)])


def _width(hz: Array, response: Array) -> Array:
    """Width of what lies within 3 dB of each filter's peak, Hz."""
    power = np.abs(response) ** 2
    inside = power >= power.max(axis=1, keepdims=True) / 2
    return np.asarray(inside.sum(axis=1) * (hz[1] - hz[0]))


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()
