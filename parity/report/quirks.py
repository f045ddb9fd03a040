"""``docs/the-originals-quirks.md``: ``python -m parity.report.quirks PAGE`` writes its tables."""

from __future__ import annotations

import sys
from pathlib import Path

from parity.divergences import DIVERGENCES
from parity.divergences.quirks import PORTS, QUIRKS
from parity.report.markdown import insert, table
from parity.weights.outputs import replace_file


def filled(page: str) -> str:
    """Fill a page with its tables as the data has them now; raises as :func:`insert`."""
    quirks = [
        (f"`{q.file}`", q.statement, q.here if q.divergence is None else f"{q.here} (`{q.divergence}`)", q.reason)
        for q in QUIRKS
    ]
    divergences = [
        (
            " -> ".join(f"`{name}`" for name in d.between),
            f"**{d.name}**: {d.statement}",
            d.kind,
            f"{d.size}: {d.at_least:.2g}" + ("" if d.at_least == d.at_most else f" to {d.at_most:.2g}"),
        )
        for d in DIVERGENCES
    ]
    ports = [
        (f"{port.name} ({port.framework}; {port.looked_at})" if i == 0 else "", departure.what, departure.size)
        for port in PORTS
        for i, departure in enumerate(port.departures)
    ]
    page = insert(page, "quirks", table(("file", "the original", "`tf_leaf`, `og_leaf`", "because"), quirks))
    page = insert(page, "divergences", table(("between", "what differs", "kind", "size"), divergences))
    return insert(page, "ports", table(("port", "what it does", "size"), ports))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m parity.report.quirks PAGE")
    target = Path(sys.argv[1])
    replace_file(target, filled(target.read_text(encoding="utf-8")).encode())
