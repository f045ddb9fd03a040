"""Error against cost, from the table of ``benchmarks.frontends``: ``python -m benchmarks.pareto``.

Draws ``docs/pareto.png`` and prints, for each published setting, which tolerance is both faster and nearer to LEAF.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from parity.report import recorded

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pareto.png"
CASE, COMPRESSION = "8 x 1 s", "pcen"
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
        if row["case"] == CASE and row["of"] == of and row["compression"] == COMPRESSION and error(row) is not None
        # the gain of its groups is not put back: its error is that of 8G-opt
        if row["front end"] != "8G-opt, published code"
    ]


def error(row: Row) -> float | None:
    """The larger of noise and speech, gain put back."""
    both = [row["error, noise"], row["error, speech"]]
    return None if None in both else max(both)


def dominance(rows: Sequence[Row], of: str) -> list[Row]:
    """For every published setting the tolerance nearest to dominating it: 1 or less in both columns is domination."""
    ours = [row for row in points(rows, of) if row["kind"] == TOLERANCE]
    found = []
    for theirs in points(rows, of):
        if theirs["kind"] != PUBLISHED or "code" in theirs["front end"] or not ours:
            continue
        better = [row for row in ours if (error(row) or 0.0) <= (error(theirs) or 0.0)]
        nearest = min(better or ours, key=lambda row: row["ms"])
        found.append({
            "of": of,
            "published setting": theirs["front end"],
            "ours": nearest["front end"],
            "time, ours over theirs": nearest["ms"] / theirs["ms"],
            "error, ours over theirs": (error(nearest) or 0.0) / (error(theirs) or 1.0),
            "dominated": nearest["ms"] <= theirs["ms"] and (error(nearest) or 0.0) <= (error(theirs) or 0.0),
        })  # fmt: skip
    return found


def draw(rows: Sequence[Row], path: Path) -> None:
    """Two panels, forward and with backward; LEAF itself, whose error is rounding, is among the points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    looks = {
        "LEAF": ("s", "black"),
        PUBLISHED: ("o", "tab:red"),
        TOLERANCE: ("^", "tab:blue"),
    }
    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for panel, of in zip(panels, ("forward", "forward and backward"), strict=True):
        for kind, (marker, colour) in looks.items():
            chosen = [row for row in points(rows, of) if row["kind"] == kind]
            x = [row["times mel"] for row in chosen]
            y = [max(error(row) or 0.0, 1e-8) for row in chosen]
            panel.loglog(x, y, marker, color=colour, label=kind)
            if kind == TOLERANCE:
                panel.loglog(x, y, "-", color=colour, linewidth=0.8)
            for row, a, b in zip(chosen, x, y, strict=True):
                panel.annotate(row["front end"].removeprefix("tolerance "), (a, b), xytext=(5, 4),
                               textcoords="offset points", fontsize=7)  # fmt: skip
        panel.axvline(1.0, color="grey", linewidth=0.8, linestyle=":")
        panel.set_title(f"{CASE}, {of}", fontsize=10)
        panel.set_xlabel("time, mel spectrograms")
        panel.grid(True, which="major", linewidth=0.3)
    panels[0].set_ylabel("error of the energies against LEAF's, gain put back")
    panels[0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main(path: Annotated[Path, typer.Argument(help="of the picture")] = PICTURE) -> None:
    """Draw the picture and print what dominates what."""
    rows = table().rows
    draw(rows, path)
    for of in ("forward", "forward and backward"):
        for row in dominance(rows, of):
            typer.echo(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    typer.run(main)
