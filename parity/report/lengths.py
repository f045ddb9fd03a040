"""Pictures of what longer runs have recorded: error against length, error against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from parity.report import recorded
from parity.report.picture import Picture
from parity.report.pictures import COLOURS, WIDTH, saved

LENGTH, COST = "long", "frontends"
PANELS = {
    "smoother": "smoother: largest relative error",
    "output": "PCEN: largest relative error",
    "output rms": "PCEN: root mean square of it",
    "gradient": "gradient to the energies: relative L2 error",
}
MARKS = {"LEAF": ("s", COLOURS[0]), "published": ("o", COLOURS[3]), "tolerance": ("^", COLOURS[2])}
CASE = {"case": "8 x 1 s", "of": "forward", "compression": "pcen"}
LEAST = 1e-8  # what has no error still has a place on a logarithmic axis
Rows = Sequence[Mapping[str, Any]]


def draw(root: Path) -> list[Picture]:
    """What the repository holds a record of."""
    records = {record.name: record for record in recorded.read(root)}
    out = []
    if LENGTH in records:
        record = records[LENGTH]
        most = max(row["frames"] for row in record.rows)
        out.append(Picture(
            "Error against length",
            "Look for solid lines that stay below the dashed ones of their colour: the error of PCEN in float32, and "
            "what its own roundings may add up to at most. Flat lines mean that length alone costs nothing. "
            + _when(record, root),
            f"Four panels of error against length, up to {most:,} frames, a line for each smoothing coefficient s; "
            "every solid line lies below its dashed limit.",
            against_length(record.rows),
        ))  # fmt: skip
    if COST in records:
        record = records[COST]
        out.append(Picture(
            "Error against cost",
            "Look for triangles below and left of circles: a front end with a known error that is both nearer to LEAF "
            "and faster than the published setting. " + _when(record, root),
            "Error of the energies against time, of LEAF, of the published settings of EfficientLEAF, and of "
            "EfficientLEAF with a tolerance from 0.1 to 0.00001.",
            against_cost(record.rows),
        ))  # fmt: skip
    return out


def against_length(rows: Rows) -> bytes:
    """A panel a statistic, a line a value of s, as a WebP file.

    Args:
        rows: of :func:`parity.checks.long.measure`: frames, s, the statistics, and ``... bound`` for those that have
            one.
    """
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    smoothing = sorted({float(row["s"]) for row in rows})
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        for i, s in enumerate(smoothing):
            chosen = sorted((row for row in rows if row["s"] == s), key=lambda row: row["frames"])
            frames = [row["frames"] for row in chosen]
            colour = COLOURS[i % len(COLOURS)]
            values = [float(row[column]) or np.nan for row in chosen]  # no error has no place on a logarithmic axis
            axes.plot(frames, values, marker="o", markersize=4, color=colour, label=f"s = {s:g}")
            if f"{column} bound" in chosen[0]:
                bound = [float(row[f"{column} bound"]) for row in chosen]
                axes.plot(frames, bound, linestyle="--", linewidth=0.9, color=colour)
        axes.set(xscale="log", yscale="log", ylabel="error")
        axes.set_title(title, fontsize=9, loc="left")
        axes.grid(alpha=0.25)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("frames (100 a second)")
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, loc="outside upper left", ncols=len(smoothing))
    return saved(figure)


def against_cost(rows: Rows) -> bytes:
    """Error of the energies on speech against time, a mark a front end, as a WebP file.

    Args:
        rows: of the record of ``benchmarks.frontends``.
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    for kind, (marker, colour) in MARKS.items():
        chosen = [row for row in rows if _is(row, kind)]
        if not chosen:
            continue
        chosen.sort(key=lambda row: row["times mel"])
        x = [row["times mel"] for row in chosen]
        y = [max(row["error, speech"], LEAST) for row in chosen]
        label = kind if kind == "LEAF" else f"EfficientLEAF, {kind}"
        axes.loglog(x, y, marker, color=colour, label=label, linestyle="-" if kind == "tolerance" else "none")
        names = [str(row["front end"]) for row in chosen]
        if kind == "tolerance":  # they lie close together: the slowest has one name for all
            names = [""] * (len(chosen) - 1) + [f"all {len(chosen)} tolerances"]
        for i, (name, a, b) in enumerate(zip(names, x, y, strict=True)):
            axes.annotate(name, (a, b), xytext=(7, 5 if i % 2 else -11), textcoords="offset points", fontsize=7.5)
    axes.margins(x=0.16, y=0.08)
    axes.set(xlabel="time, in mel spectrograms of the same audio", ylabel="relative error of a band's energies, speech")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize=8)
    return saved(figure)


def _is(row: Mapping[str, Any], kind: str) -> bool:
    right = all(row[name] == value for name, value in CASE.items()) and row["error, speech"] is not None
    # the gain of its groups is not put back: its error is that of 8G-opt
    return right and str(row["kind"]).endswith(kind) and "published code" not in str(row["front end"])


def _when(record: recorded.Record, root: Path) -> str:
    stale = ", for another version of these files" if record.changed(root) else ""
    return f"Recorded on {record.date[:10]} at {record.commit}{stale}."
