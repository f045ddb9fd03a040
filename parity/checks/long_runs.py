"""The tables of ``leaf-ladder long``: errors over length, and cases drawn from the whole domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.checks.long import CASES, LENGTHS, drawn, measure, sweep, worst

if TYPE_CHECKING:
    from rich.table import Table as Rendered

SOURCES = ("leaf/_runtime/scan.py", "leaf/pcen.py")
NAMES = ("long", "long_drawn")
COMMAND = "tox -e long"
OF_BOUND = ("of bound", "gradients of bound")
Progress = Callable[[str, int], Callable[[], None]]


@dataclass(frozen=True)
class Table:
    """A table of measurements.

    Attributes:
        name: of its record.
        title, note: what it shows.
        rows: plain values by column.
    """

    name: str
    title: str
    note: str
    rows: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        """Whether every value is finite and under its bound."""
        return all(row["not finite"] == 0 and all(row[name] <= 1 for name in OF_BOUND) for row in self.rows)

    def rendered(self) -> Rendered:
        """For the terminal."""
        from rich.table import Table as Rendered

        table = Rendered(title=self.title, caption=self.note)
        for column in self.rows[0]:
            table.add_column(column, no_wrap=True)
        for row in self.rows:
            table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()))
        return table

    def keep(self, root: Path) -> Path:
        """Write the record, see :func:`parity.report.recorded.keep`."""
        from parity.report import recorded

        rows = [{k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()} for row in self.rows]
        return recorded.keep(
            self.name, rows, title=self.title, note=self.note, command=COMMAND, sources=SOURCES, root=root
        )


def measured(root: Path) -> list[bytes]:
    """What is measured, as it is now: a record must not carry the name of what came after."""
    return [path.read_bytes() for path in (root / source for source in SOURCES) if path.is_file()]


def tables(lengths: Sequence[int] | None, n_drawn: int, progress: Progress) -> list[Table]:
    """Measure both.

    Args:
        lengths: in frames, each >= 1; ``LENGTHS`` if None or empty.
        n_drawn: drawn cases; with 0 there is no second table.
        progress: given what begins and of how many steps, what to call after each.
    """
    rows: list[dict[str, Any]] = []
    for n in sorted(set(lengths or LENGTHS)):
        cases = list(sweep(n))
        step = progress(f"{n} frames", len(cases))
        for case in cases:
            rows += measure(case)
            step()
    kinds = ", ".join(f"{case.kind} (alpha={case.alpha:g}, delta={case.delta:g}, r={case.r:g})" for case in CASES)
    over_length = Table(
        NAMES[0],
        "PCEN over length",
        f"leaf.PCEN in float32 against the float64 oracle, the worst of {len(CASES)} inputs: {kinds}. Largest relative "
        "error of a frame (smoother, output), relative L2 norm (gradient, to the energies; at s = 1 it cancels against "
        "itself where alpha = 1), and in units of each value's running-error bound.",
        worst(rows),
    )
    return [over_length, *([_drawn(n_drawn, progress)] if n_drawn else [])]


def _drawn(n: int, progress: Progress) -> Table:
    rows = []
    step = progress(f"{n} drawn cases", n)
    for case in drawn(n):
        rows += measure(case)
        step()
    ends = {
        "s = 0": [row for row in rows if row["s"] == 0],
        "0 < s < 1": [row for row in rows if 0 < row["s"] < 1],
        "s = 1": [row for row in rows if row["s"] == 1],
    }
    table = [
        {
            "s": name,
            "bands": len(found),
            "frames": sum(row["frames"] for row in found),
            "not finite": sum(row["not finite"] for row in found),
            **{column: max(row[column] for row in found) for column in OF_BOUND},
        }
        for name, found in ends.items()
        if found
    ]
    note = (
        f"{n} cases of 4 bands: s in [0, 1], alpha to 1, delta 1e-12 to 1e3, r 0.01 to 1, eps 1e-12 or 1e-6. How many "
        "values and gradients are NaN or infinite, and the largest errors in units of the running-error bound."
    )
    return Table(NAMES[1], "PCEN over its domain", note, table)
