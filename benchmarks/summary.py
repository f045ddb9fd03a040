"""The README's times and errors, from what was kept of them: ``python -m benchmarks.summary README.md``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parity.report import recorded
from parity.weights.outputs import replace_file

ROOT = Path(__file__).parents[1]
OPENING, CLOSING = "<!-- frontends -->", "<!-- /frontends -->"
CASES = ("1 x 1 s", "8 x 1 s")
Row = dict[str, Any]


def markdown(rows: Sequence[Row]) -> str:
    """A line a front end with its own best compression: times over mel's, operations and errors."""
    head = ["", *(f"forward, {case}" for case in CASES), "with backward, 8 x 1 s", "MAC a sample", "error, speech"]
    lines = [head, ["---"] * len(head)]
    for name, compression in dict.fromkeys((row["front end"], row["compression"]) for row in rows):
        if name.startswith("mel") and name != "mel":
            continue
        own = [row for row in rows if (row["front end"], row["compression"]) == (name, compression)]
        cells = [_of(own, case, "forward") for case in CASES]
        error, cost = own[0]["error, speech"], own[0]["MAC a sample"]
        if name == "8G-opt, published code":  # its groups' gain was not put back: the error is that of 8G-opt below
            error = None
        kind = "`efficientleaf`, " if own[0]["kind"].startswith("EfficientLEAF") else ""
        lines.append([
            f"{kind}{name}, {compression}", *cells, _of(own, "8 x 1 s", "forward and backward"),
            "" if cost is None else f"{cost:.0f}", "" if error is None else f"{error:.1e}",
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(page: str) -> str:
    """A page with the table as it is on record between its two comments.

    Raises:
        ValueError: the comments are missing, or nothing is on record.
    """
    before, opening, rest = page.partition(OPENING)
    _, closing, after = rest.partition(CLOSING)
    kept = [record for record in recorded.read(ROOT) if record.name == "frontends"]
    if not (opening and closing):
        raise ValueError(f"page: must hold {OPENING} and then {CLOSING}")
    if not kept:
        raise ValueError("nothing on record: run python -m benchmarks.frontends --record first")
    return f"{before}{opening}\n{markdown(kept[0].rows)}\n{closing}{after}"


def _of(rows: Sequence[Row], case: str, of: str) -> str:
    (ratio,) = [row["times mel"] for row in rows if row["case"] == case and row["of"] == of] or [None]
    return "" if ratio is None else f"x{ratio:.2g}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.summary PAGE")
    target = Path(sys.argv[1])
    replace_file(target, filled(target.read_text(encoding="utf-8")).encode())
