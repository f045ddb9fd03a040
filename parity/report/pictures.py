"""Pictures of what the rungs compute: NumPy arrays in, WebP files out."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[Any]
COLOURS = ("#111111", "#e69f00", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
LOWEST_DB = -60.0
N_SHOWN = 5
WIDTH = 7.2  # inches; the page shows two pictures side by side
MILLIONTH = 1e-6


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
        image = _show(axes, array, ms_per_frame, Normalize(low, high), "magma")
        axes.set_title(name, fontsize=9, loc="left")
    figure.colorbar(image, ax=panels, shrink=0.6, label="feature value", extend="both")
    return saved(figure)


def differences(pairs: Mapping[str, Array], ms_per_frame: float = 10.0) -> bytes:
    """Differences in millionths, a panel each, on one linear scale.

    Args:
        pairs: ``"a - b"`` to [filters, frames], as fractions of max|b|.
        ms_per_frame: for the time axis.
    """
    figure, panels = _panels(len(pairs))
    peaks = [float(np.max(np.abs(a), initial=0.0)) / MILLIONTH for a in pairs.values()]
    high = max(*peaks, 1e-12)
    for axes, (name, array), peak in zip(panels, pairs.items(), peaks, strict=True):
        image = _show(axes, array / MILLIONTH, ms_per_frame, Normalize(-high, high), "RdBu_r")
        axes.set_title(f"{name}   (largest: {peak:.2g} millionths)", fontsize=9, loc="left")
    figure.colorbar(image, ax=panels, shrink=0.8, label="millionths of the largest feature")
    return saved(figure)


def fault(panels_of: Mapping[str, Array], caught: Sequence[float], limit: float, ms_per_frame: float = 10.0) -> bytes:
    """A step without and with a planted bug, in times its limit; below, how far beyond it every bug was caught.

    Args:
        panels_of: title to a relative difference [filters, frames].
        caught: of every planted bug, the error over the limit that it broke; finite ones are drawn.
        limit: of the relative difference.
        ms_per_frame: for the time axis.
    """
    times = [value for value in caught if np.isfinite(value) and value > 0]
    heights = [2.0] * len(panels_of) + [1.6] * bool(times)
    figure = Figure(figsize=(WIDTH, 0.8 + sum(heights)), layout="constrained")
    rows = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0].tolist()
    shown = rows[: len(panels_of)]
    for axes, (name, array) in zip(shown, panels_of.items(), strict=True):
        image = _show(axes, np.abs(array) / limit, ms_per_frame, LogNorm(1e-2, 1e4), "inferno")
        axes.set_facecolor("black")  # no difference at all has no place on a logarithmic scale
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_ylabel("filter", fontsize=8)
    shown[-1].set_xlabel("s")
    figure.colorbar(image, ax=shown, shrink=0.8, label="difference over its limit", extend="max")
    if times:
        edges = np.logspace(0, np.ceil(np.log10(max(times))), 30)
        rows[-1].hist(times, bins=edges, color=COLOURS[3])
        rows[-1].axvline(1.0, color="black", linewidth=1.5)
        rows[-1].set(xscale="log", xlabel="error over the limit that caught it (1 is the limit)", ylabel="planted bugs")
    return saved(figure)


def filters(rungs: Mapping[str, tuple[Array, Array]]) -> bytes:
    """Frequency responses of a few filters of each rung over each other; peak and width against the first's.

    Args:
        rungs: name to (frequencies in Hz [F], magnitude response [filters, F]).
    """
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
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
            "linewidth": 1 + 1.3 * (len(rungs) - 1 - i),
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
    figure.legend(*top.get_legend_handles_labels(), fontsize=8, loc="outside upper left", ncols=3)
    first = next(iter(rungs))
    peaks.set(xlabel="filter", ylabel=f"peak, Hz from {first}'s")
    widths.set(xlabel="filter", ylabel=f"width, times {first}'s")
    return saved(figure)


def saved(figure: Figure) -> bytes:
    """The figure as a WebP file, sharp on a dense screen and small enough for a page that holds several."""
    out = io.BytesIO()
    figure.savefig(out, format="webp", dpi=150, pil_kwargs={"quality": 72, "method": 6})
    return out.getvalue()


def _panels(n: int) -> tuple[Figure, list[Any]]:
    if n < 1:
        raise ValueError("rungs={}: must hold at least one")
    figure = Figure(figsize=(WIDTH, 0.9 + 1.15 * n), layout="constrained")
    panels = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0].tolist()
    for axes in panels:
        axes.set_ylabel("filter", fontsize=8)
    panels[-1].set_xlabel("s")
    return figure, panels


def _show(axes: Any, array: Array, ms_per_frame: float, norm: Normalize, colours: str) -> Any:
    extent = (0.0, array.shape[1] * ms_per_frame / 1000, -0.5, array.shape[0] - 0.5)
    return axes.imshow(array, origin="lower", aspect="auto", norm=norm, cmap=colours, extent=extent)


def _shown(n: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, N_SHOWN))})


def _peak(hz: Array, response: Array) -> Array:
    return np.asarray(hz[np.argmax(np.abs(response), axis=1)])


def _width(hz: Array, response: Array) -> Array:
    """Width of what lies within 3 dB of each filter's peak, Hz."""
    power = np.abs(response) ** 2
    inside = power >= power.max(axis=1, keepdims=True) / 2
    return np.asarray(inside.sum(axis=1) * (hz[1] - hz[0]))
