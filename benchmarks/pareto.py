"""Error against cost, from the table of ``benchmarks.frontends``: ``python -m benchmarks.pareto``.

Draws ``docs/pareto.png`` and prints, for each published setting, which tolerance is both faster and nearer to LEAF.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from parity.report import recorded
from parity.report.pictures import ERROR, PUBLISHED, TOLERANCE, against_cost, costs
from parity.weights.outputs import replace_file

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pareto.png"
MODES = ("forward", "forward and backward")
Row = Mapping[str, Any]


def dominance(rows: Sequence[Row], of: str) -> list[Row]:
    """For every published setting the tolerance nearest to dominating it: 1 or less in both columns is domination."""
    ours = [row for row in costs(rows, of) if row["kind"] == TOLERANCE]
    found: list[Row] = []
    for theirs in costs(rows, of):
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


def main(path: Annotated[Path, typer.Argument(help="of the picture")] = PICTURE) -> None:
    """Draw the picture and print what dominates what."""
    rows = recorded.find("frontends", ROOT).rows
    png = io.BytesIO()
    against_cost(rows, MODES).savefig(png, format="png", dpi=130)
    replace_file(path, png.getvalue())
    for of in MODES:
        for row in dominance(rows, of):
            typer.echo(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    typer.run(main)
