"""Write what is on record of times, errors and memory into the pages that have comments for its tables.

``python -m benchmarks.summary README.md docs/performance.md docs/long-audio.md`` writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parity.report import recorded
from parity.report.markdown import insert, table
from parity.weights.outputs import replace_file

ROOT = Path(__file__).parents[1]
CASES = ("1 x 1 s", "8 x 1 s")
Row = dict[str, Any]


def frontends(rows: Sequence[Row], short: bool = False) -> str:
    """A line a front end and compression: times over mel's, operations and errors.

    Args:
        rows: of the record.
        short: PCEN alone, on a batch of eight.
    """
    cases = CASES[1:] if short else CASES
    head = ["front end", *(f"forward, {case}" for case in cases), "with backward, 8 x 1 s"]
    head += [*([] if short else ["multiply-adds a sample"]), "error on speech"]
    lines = []
    for name, compression in dict.fromkeys((row["front end"], row["compression"]) for row in rows):
        if (name.startswith("mel") and name != "mel") or (short and compression == "logtbn"):
            continue
        own = [row for row in rows if (row["front end"], row["compression"]) == (name, compression)]
        times = [*(_of(own, case, "forward") for case in cases), _of(own, "8 x 1 s", "forward and backward")]
        error, cost = own[0]["error, speech"], own[0]["MAC a sample"]
        if name == "8G-opt, published code":  # its groups' gain was not put back: the error is that of 8G-opt below
            error = None
        operations = [] if short else ["" if cost is None else f"{cost:.0f}"]
        lines.append([_called(own[0], short), *times, *operations, "" if error is None else f"{error:.1e}"])
    return table(head, lines)


def filled(page: str) -> str:
    """A page with every table that it has comments for, as they are on record.

    Raises:
        ValueError: it has none of the comments, one is never closed, or a table is not on record.
    """
    kept = {record.name: record.rows for record in recorded.read(ROOT)}
    found = [mark for mark in TABLES if f"<!-- {mark} -->" in page]
    if not found:
        raise ValueError(f"page: must hold one of {', '.join(f'<!-- {mark} -->' for mark in TABLES)}")
    for mark in found:
        record, made = TABLES[mark]
        if record not in kept:
            raise ValueError(f"page: <!-- {mark} --> must be on record, {recorded.FOLDER / record}.json is not there")
        page = insert(page, mark, made(kept[record]))
    return page


def streaming(rows: Sequence[Row]) -> str:
    """Speed and memory of ``leaf-ladder features`` on hours of audio."""
    head = ("front end", "audio", "times real time", "resident memory")
    return table(head, [
        (f"`{row['frontend']}`", f"{row['hours']:.2g} h", f"{row['times real time']:.0f}",
         f"{row['resident memory, MB']:.0f} MB") for row in rows
    ])  # fmt: skip


def smoother(rows: Sequence[Row]) -> str:
    """The smoother's scan against walks over the frames."""
    head = ("frames", "of", "ms a million frames", "over our own frame loop", "over the published one")
    return table(head, [
        (f"{row['frames']}", row["of"], f"{row['ms a million frames']:.0f}",
         _times(row["times faster than the frame loop"]),
         _times(row["times faster than the published frame loop"])) for row in rows
    ])  # fmt: skip


def _times(ratio: float) -> str:
    return f"{float(f'{ratio:.2g}'):g}x"


def _called(row: Row, short: bool) -> str:
    kind = "`efficientleaf`, " if row["kind"].startswith("EfficientLEAF") else ""
    name = {"mel": "mel spectrogram, logarithm", "og_leaf": "`og_leaf`", "leaf": "`leaf`"}.get(row["front end"])
    name = name or row["front end"]
    return f"{kind}{name}" if short or row["kind"] == "mel" else f"{kind}{name}, {row['compression']}"


def _of(rows: Sequence[Row], case: str, of: str) -> str:
    (ratio,) = [row["times mel"] for row in rows if row["case"] == case and row["of"] == of] or [None]
    return "" if ratio is None else _times(ratio)


TABLES: dict[str, tuple[str, Callable[[Sequence[Row]], str]]] = {  # a page's comments: the record, and its table
    "frontends": ("frontends", partial(frontends, short=True)),
    "all frontends": ("frontends", frontends),
    "streaming": ("streaming", streaming),
    "smoother": ("smoother", smoother),
}


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m benchmarks.summary PAGE...")
    for target in map(Path, sys.argv[1:]):
        replace_file(target, filled(target.read_text(encoding="utf-8")).encode())
