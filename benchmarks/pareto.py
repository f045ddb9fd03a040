"""Error against cost, from the table of ``benchmarks.frontends``: ``python -m benchmarks.pareto``.

Draws ``docs/pareto.png`` and prints, for each published setting, which tolerance is both faster and nearer to LEAF.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from parity.report import recorded
from parity.weights.outputs import replace_file

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pareto.png"
CASE, COMPRESSION = "8 x 1 s", "pcen"
ERROR = "error, speech"  # the column of the README's table
PUBLISHED, TOLERANCE = "EfficientLEAF, published", "EfficientLEAF, tolerance"
Row = dict[str, Any]


def table(path: str = "frontends") -> recorded.Record:
    """What was measured last.

    Raises FileNotFoundError where nothing was.
    """
    found = [record for record in recorded.read(ROOT) if record.name == path]
    if not found:
        raise FileNotFoundError(f"{recorded.FOLDER / path}.json: run python -m benchmarks.frontends --record first")
    return found[0]


def points(rows: Iterable[Row], of: str) -> list[Row]:
    """The front ends with energies, on the case that is drawn."""
    return [
        row
        for row in rows
        if row["case"] == CASE and row["of"] == of and row["compression"] == COMPRESSION and row[ERROR] is not None
        # the gain of its groups is not put back: its error is that of 8G-opt
        if row["front end"] != "8G-opt, published code"
    ]


def dominance(rows: Sequence[Row], of: str) -> list[Row]:
    """For every published setting the tolerance nearest to dominating it: 1 or less in both columns is domination."""
    ours = [row for row in points(rows, of) if row["kind"] == TOLERANCE]
    found = []
    for theirs in points(rows, of):
        if theirs["kind"] != PUBLISHED or "code" in theirs["front end"] or not ours:
            continue
        better = [row for row in ours if row[ERROR] <= theirs[ERROR]]
        nearest = min(better or ours, key=lambda row: row["ms"])
        found.append({
            "of": of,
            "published setting": theirs["front end"],
            "ours": nearest["front end"],
            "time, ours over theirs": nearest["ms"] / theirs["ms"],
            "error, ours over theirs": nearest[ERROR] / theirs[ERROR],
            "dominated": nearest["ms"] <= theirs["ms"] and nearest[ERROR] <= theirs[ERROR],
        })  # fmt: skip
    return found


def draw(rows: Sequence[Row]) -> Figure:
    """Two panels, forward and with backward; LEAF itself, whose error is rounding, is among the points."""
    looks = {"LEAF": ("s", "black"), PUBLISHED: ("o", "tab:red"), TOLERANCE: ("^", "tab:blue")}
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, of in zip(panels, ("forward", "forward and backward"), strict=True):
        for kind, (marker, colour) in looks.items():
            chosen = [row for row in points(rows, of) if row["kind"] == kind]
            x, y = [row["times mel"] for row in chosen], [row[ERROR] for row in chosen]
            panel.loglog(x, y, marker, color=colour, label=kind)
            if kind == TOLERANCE:
                panel.loglog(x, y, "-", color=colour, linewidth=0.8)
        panel.axvline(1.0, color="grey", linewidth=0.8, linestyle=":")
        panel.set(title=f"8 clips of 1 s, {of}", xlabel="time, in mel spectrograms", xlim=(0.8, 600), ylim=(1e-7, 2))
        panel.grid(True, which="major", linewidth=0.3)
    panels[0].set_ylabel("error on speech: |difference| / |LEAF's energies|,\nworst band, gain of the stride put back")
    panels[0].legend(fontsize=8, loc="upper right")
    figure.draw_without_rendering()  # sizes are known from here on
    for panel, of in zip(panels, ("forward", "forward and backward"), strict=True):
        _label(panel, _named(points(rows, of)))
    return figure


def _named(rows: Sequence[Row]) -> list[tuple[float, float, str]]:
    """Points and their names; tolerances lie close together, so the slowest of them has one name for all."""
    ours = [row for row in rows if row["kind"] == TOLERANCE]
    slowest = max(ours, key=lambda row: row["times mel"], default=None)
    return [
        (row["times mel"], row[ERROR], f"all {len(ours)} tolerances" if row is slowest else row["front end"])
        for row in rows
        if row not in ours or row is slowest
    ]


def _label(panel: Axes, named: Sequence[tuple[float, float, str]]) -> None:
    """A name beside every point, on the first side where it covers neither a point nor another name."""
    placed = [
        Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in (panel.transData.transform(p[:2]) for p in named)
    ]
    if (legend := panel.get_legend()) is not None:
        placed.append(legend.get_window_extent())
    for x, y, name in named:
        for dx, dy, side in ((8, -3, "left"), (-8, -3, "right"), (0, 9, "center"), (0, -14, "center"),
                             (8, 9, "left"), (8, -14, "left"), (-8, 9, "right"), (-8, -14, "right")):  # fmt: skip
            text = panel.annotate(name, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=8, ha=side)
            box = text.get_window_extent()
            if panel.bbox.containsx(box.x0) and panel.bbox.containsx(box.x1) and not box.count_overlaps(placed):
                placed.append(box)
                break
            text.remove()
        else:
            raise ValueError(f"{name}: there is no room for its name")


def main(path: Annotated[Path, typer.Argument(help="of the picture")] = PICTURE) -> None:
    """Draw the picture and print what dominates what."""
    rows = table().rows
    png = io.BytesIO()
    draw(rows).savefig(png, format="png", dpi=130)
    replace_file(path, png.getvalue())
    for of in ("forward", "forward and backward"):
        for row in dominance(rows, of):
            typer.echo(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    typer.run(main)
