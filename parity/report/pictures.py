"""Pictures of what the rungs compute and of what longer runs have recorded: numbers in, figures out."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from parity.report.answers import MILLIONTH

Array = NDArray[Any]
Row = Mapping[str, Any]
COLOURS = ("#111111", "#e69f00", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
SECONDS_PER_FRAME = 0.01
LOWEST_DB = -60.0
N_SHOWN = 5
WIDTH = 7.2  # inches; the page shows two pictures side by side
LENGTHS = {
    "smoother": "smoother: largest relative error",
    "output": "PCEN: largest relative error",
    "output rms": "PCEN: root mean square of it",
    "gradient": "gradient to the energies: relative L2 error",
}
ERROR = "error, speech"  # the column of the README's table
PUBLISHED, TOLERANCE = "EfficientLEAF, published", "EfficientLEAF, tolerance"
KINDS = {"LEAF": ("s", COLOURS[0]), PUBLISHED: ("o", COLOURS[3]), TOLERANCE: ("^", COLOURS[2])}
# where a name may stand beside its point, in points
SIDES = ((8, -3, "left"), (-8, -3, "right"), (0, 9, "center"), (0, -14, "center"), (8, 9, "left"), (8, -14, "left"),
         (-8, 9, "right"), (-8, -14, "right"))  # fmt: skip


def webp(figure: Figure) -> bytes:
    """Write the figure as a WebP file, sharp on a dense screen and small enough for a page that holds several."""
    out = io.BytesIO()
    figure.savefig(out, format="webp", dpi=150, pil_kwargs={"quality": 72, "method": 6})
    return out.getvalue()


def features(rungs: Mapping[str, Array]) -> Figure:
    """Draw the features of one clip, [filters, frames] by rung, a panel each, on one colour scale."""
    figure, panels = _panels([1.15] * len(rungs), margin=0.9, sharex=True)
    norm = Normalize(*np.percentile(np.concatenate([np.ravel(a) for a in rungs.values()]), [0.5, 99.5]))
    for axes, (name, array) in zip(panels, rungs.items(), strict=True):
        image = _show(axes, name, array, norm, "magma")
    panels[-1].set_xlabel("s")
    figure.colorbar(image, ax=panels, shrink=0.6, label="feature value", extend="both")
    return figure


def differences(pairs: Mapping[str, Array]) -> Figure:
    """Differences in millionths, a panel each, on one linear scale.

    Args:
        pairs: ``"a - b"`` to [filters, frames], as fractions of max|b|.
    """
    figure, panels = _panels([1.15] * len(pairs), margin=0.9, sharex=True)
    peaks = [float(np.max(np.abs(array), initial=0.0)) / MILLIONTH for array in pairs.values()]
    high = max(*peaks, 1e-12)
    for axes, (name, array), peak in zip(panels, pairs.items(), peaks, strict=True):
        title = f"{name}   (largest: {peak:.2g} millionths)"
        image = _show(axes, title, array / MILLIONTH, Normalize(-high, high), "RdBu_r")
    panels[-1].set_xlabel("s")
    figure.colorbar(image, ax=panels, shrink=0.8, label="millionths of the largest feature")
    return figure


def fault(pairs: Mapping[str, Array], caught: Sequence[float], limit: float) -> Figure:
    """Draw a step without and with a planted bug, in times its limit; below, how far beyond it every bug was caught.

    Args:
        pairs: title to a relative difference [filters, frames].
        caught: of every planted bug, the error over the limit that it broke; finite ones are drawn.
        limit: of the relative difference.
    """
    times = [value for value in caught if np.isfinite(value) and value > 0]
    figure, panels = _panels([2.0] * len(pairs) + [1.6] * bool(times), margin=0.8)
    shown = panels[: len(pairs)]
    for axes, (name, array) in zip(shown, pairs.items(), strict=True):
        image = _show(axes, name, np.abs(array) / limit, LogNorm(1e-2, 1e4), "inferno")
        axes.set_facecolor("black")  # no difference at all has no place on a logarithmic scale
    shown[-1].set_xlabel("s")
    figure.colorbar(image, ax=shown, shrink=0.8, label="difference over its limit", extend="max")
    if times:
        panels[-1].hist(times, bins=np.logspace(0, np.ceil(np.log10(max(times))), 30), color=COLOURS[3])
        panels[-1].axvline(1.0, color="black", linewidth=1.5)
        label = "error over the limit that caught it (1 is the limit)"
        panels[-1].set(xscale="log", xlabel=label, ylabel="planted bugs")
    return figure


def filters(rungs: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Draw a few filters of each rung over each other; peak and width against the first's.

    A rung has frequencies in Hz [F], and a magnitude response [filters, F].
    """
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    panels: dict[str, Any] = figure.subplot_mosaic([["top", "top"], ["peaks", "widths"]], height_ratios=(3, 2))
    top, peaks, widths = panels["top"], panels["peaks"], panels["widths"]
    first = next(iter(rungs))
    first_peak, first_width = _peak_and_width(*rungs[first])
    for i, (name, (hz, response)) in enumerate(rungs.items()):
        # thick lines below, thin ones above: those that coincide stay visible
        style: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)], "linewidth": 1 + 1.3 * (len(rungs) - 1 - i), "alpha": 0.85,
        }  # fmt: skip
        n = len(response)
        for j, c in enumerate(sorted({round(c) for c in np.linspace(0, n - 1, min(n, N_SHOWN))})):
            decibels = 20 * np.log10(np.maximum(np.abs(response[c]), 1e-12))
            top.plot(hz, decibels, label=name if j == 0 else None, **style)
        peak, width = _peak_and_width(hz, response)
        if n == len(first_peak):
            peaks.plot(np.arange(n), peak - first_peak, **style)
            widths.plot(np.arange(n), width / first_width, **style)
    highest = float(max(hz[-1] for hz, _ in rungs.values()))
    top.set(xscale="log", xlim=(30, highest), ylim=(LOWEST_DB, 6), xlabel="Hz", ylabel="dB")
    figure.legend(*top.get_legend_handles_labels(), fontsize=8, loc="outside upper left", ncols=3)
    peaks.set(xlabel="filter", ylabel=f"peak, Hz from {first}'s")
    widths.set(xlabel="filter", ylabel=f"width, times {first}'s")
    return figure


def _peak_and_width(hz: Array, response: Array) -> tuple[Array, Array]:
    """Find of each filter where its peak is, and the width of what lies within 3 dB of it, Hz."""
    power = np.abs(response) ** 2
    inside = power >= power.max(axis=1, keepdims=True) / 2
    return hz[np.argmax(np.abs(response), axis=1)], inside.sum(axis=1) * (hz[1] - hz[0])


def against_length(rows: Sequence[Row]) -> Figure:
    """Draw rows of :func:`parity.checks.long.tables`, bounds dashed: a panel a statistic, a line a value of s."""
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    smoothing = sorted({float(row["s"]) for row in rows})
    for axes, (column, title) in zip(panels, LENGTHS.items(), strict=True):
        for i, s in enumerate(smoothing):
            chosen = sorted((row for row in rows if row["s"] == s), key=lambda row: row["frames"])
            frames, colour = [row["frames"] for row in chosen], COLOURS[i % len(COLOURS)]
            values = [float(row[column]) or np.nan for row in chosen]  # no error has no place on a logarithmic axis
            axes.plot(frames, values, marker="o", markersize=4, color=colour, label=f"s = {s:g}")
            if f"{column} bound" in chosen[0]:
                bound = [float(row[f"{column} bound"]) for row in chosen]
                axes.plot(frames, bound, linestyle="--", linewidth=0.9, color=colour)
        axes.set(xscale="log", yscale="log", ylabel="error", xlabel="frames (100 a second)")
        axes.set_title(title, fontsize=9, loc="left")
        axes.grid(alpha=0.25)
        axes.tick_params(labelbottom=True)
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, loc="outside upper left", ncols=len(smoothing))
    return figure


def costs(rows: Sequence[Row], of: str) -> list[Row]:
    """List the front ends with energies on eight clips of a second, ``forward`` or ``forward and backward``."""
    # the gain of the published code's groups is not put back: its error is that of 8G-opt
    return [
        row for row in rows
        if (row["case"], row["of"], row["compression"]) == ("8 x 1 s", of, "pcen")
        and row[ERROR] is not None and row["front end"] != "8G-opt, published code"
    ]  # fmt: skip


def against_cost(rows: Sequence[Row], modes: Sequence[str] = ("forward",)) -> Figure:
    """Error of the energies on speech against time, a mark a front end; LEAF, whose error is rounding, is among them.

    Args:
        rows: of the record of ``benchmarks.frontends``.
        modes: a panel each, see :func:`costs`.
    """
    figure = Figure(figsize=(max(WIDTH, 5.5 * len(modes)), 4.5), layout="constrained")
    panels = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    marks, named = [], []
    for axes, of in zip(panels, modes, strict=True):
        for kind, (marker, colour) in KINDS.items():
            own = [row for row in costs(rows, of) if row["kind"] == kind]
            points = sorted((row["times mel"], row[ERROR], row["front end"]) for row in own)
            line = "-" if kind == TOLERANCE else "none"
            x, y = [point[0] for point in points], [point[1] for point in points]
            axes.loglog(x, y, marker, color=colour, label=kind, linestyle=line, linewidth=0.8)
            marks += [(axes, *point[:2]) for point in points]
            if kind == TOLERANCE and points:  # they lie close together: the slowest has one name for all
                points = [(*points[-1][:2], f"all {len(points)} tolerances")]
            named += [(axes, *point) for point in points]
        axes.axvline(1.0, color="grey", linewidth=0.8, linestyle=":")
        axes.set(title=f"8 clips of 1 s, {of}", xlabel="time, in mel spectrograms", xlim=(0.8, 600), ylim=(1e-7, 2))
        axes.grid(True, which="major", linewidth=0.3)
    panels[0].set_ylabel("error on speech: |difference| / |LEAF's energies|,\nworst band, gain of the stride put back")
    panels[0].legend(fontsize=8, loc="upper right")
    figure.draw_without_rendering()  # sizes are known from here on
    taken = [panels[0].get_legend().get_window_extent()]
    for axes, *point in marks:
        at = axes.transData.transform(point)
        taken.append(Bbox.from_extents(*(at - 5), *(at + 5)))
    _label(named, taken)
    return figure


def _label(named: Sequence[tuple[Any, float, float, str]], taken: list[Bbox]) -> None:
    """Put a name beside every point (axes, x, y, name), on the side where it covers least of what is taken."""
    for axes, x, y, name in named:
        found: list[tuple[int, int, Any, Bbox]] = []
        for dx, dy, side in SIDES:
            text = axes.annotate(name, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=8, ha=side)
            box = text.get_window_extent()
            inside = axes.bbox.containsx(box.x0) and axes.bbox.containsx(box.x1)
            found.append((box.count_overlaps(taken) + 100 * (not inside), len(found), text, box))
        best = min(found)
        for _, _, text, _ in found:
            if text is not best[2]:
                text.remove()
        taken.append(best[3])


def _panels(heights: Sequence[float], margin: float, sharex: bool = False) -> tuple[Figure, list[Any]]:
    """Make a column of panels of these heights in inches."""
    figure = Figure(figsize=(WIDTH, margin + sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=sharex, squeeze=False, height_ratios=heights)
    return figure, panels[:, 0].tolist()


def _show(axes: Any, title: str, array: Array, norm: Normalize, colours: str) -> Any:
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylabel("filter", fontsize=8)
    extent = (0.0, array.shape[1] * SECONDS_PER_FRAME, -0.5, array.shape[0] - 0.5)
    return axes.imshow(array, origin="lower", aspect="auto", norm=norm, cmap=colours, extent=extent)
