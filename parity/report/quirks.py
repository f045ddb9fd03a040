"""``docs/the-originals-quirks.md``: quirks, divergences and public ports as one page of Markdown.

``python -m parity.report.quirks PAGE`` writes its tables between their comments.
"""

from __future__ import annotations

import sys
from pathlib import Path

from parity.divergences import DIVERGENCES
from parity.divergences.quirks import PORTS, QUIRKS
from parity.report.markdown import insert, table
from parity.report.table import brief
from parity.weights.outputs import replace_file

COMMAND = "python -m parity.report.quirks"


def quirks() -> str:
    """List what the original does, and what became of it."""
    rows = [
        (f"`{q.file}`", q.statement, q.here if q.divergence is None else f"{q.here} (`{q.divergence}`)", q.reason)
        for q in QUIRKS
    ]
    return table(("file", "the original", "`tf_leaf`, `og_leaf`", "because"), rows)


def divergences() -> str:
    """Every declared difference between two implementations, with the range that its test holds it to."""
    rows = [
        (
            " -> ".join(f"`{name}`" for name in d.between),
            f"**{d.name}**: {d.statement}",
            d.kind,
            f"{d.size}: {brief(d.at_least)}" + ("" if d.at_least == d.at_most else f" to {brief(d.at_most)}"),
        )
        for d in DIVERGENCES
    ]
    return table(("between", "what differs", "kind", "size"), rows)


def ports() -> str:
    """List where public ports depart from the original."""
    rows = [
        (f"{port.name} ({port.framework}; {port.looked_at})" if i == 0 else "", departure.what, departure.size)
        for port in PORTS
        for i, departure in enumerate(port.departures)
    ]
    return table(("port", "what it does", "size"), rows)


SECTIONS = {"quirks": quirks, "divergences": divergences, "ports": ports}


def filled(page: str) -> str:
    """The page with its tables as the data has them now.

    Raises:
        ValueError: a table's comments are missing; names them.
    """
    for name, section in SECTIONS.items():
        page = insert(page, name, section())
    return page


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {COMMAND} PAGE")
    target = Path(sys.argv[1])
    replace_file(target, filled(target.read_text(encoding="utf-8")).encode())
