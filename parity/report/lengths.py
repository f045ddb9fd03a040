"""The picture of error against length, from what was recorded of long inputs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from parity.report import recorded
from parity.report.pictures import COLOURS

NAME = "long"
CAPTION = "PCEN in float32: error against length, the running-error bound dashed"
PANELS = {
    "smoother": "smoother: largest relative error",
    "output": "PCEN: largest relative error",
    "output rms": "PCEN: root mean square relative error",
    "gradient": "gradient to the energies: relative L2 error",
}


def draw(root: Path) -> dict[str, bytes]:
    """Caption to PNG; nothing where the repository holds no such record."""
    for record in recorded.read(root):
        if record.name == NAME:
            return {CAPTION: against_length(record.rows)}
    return {}


def against_length(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A panel a statistic, a line a value of s, as a PNG file.

    Args:
        rows: of :func:`parity.checks.long.measure`: frames, s, the statistics, and ``... bound`` for those that have
            one.
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
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
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()
