"""Tables of Markdown, and their places in a page: between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""

from __future__ import annotations

from collections.abc import Sequence

from parity.report.answers import differences
from parity.report.claims import Claim


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table; bars inside of cells are escaped."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def insert(page: str, name: str, text: str) -> str:
    """Put a text between a page's comments of that name; raises ValueError where they are missing or in disorder."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"page: must hold {opening} and then {closing}")
    return f"{before}{opening}\n{text}\n{closing}{after}"


def measured(claims: Sequence[Claim]) -> str:
    """Tabulate the differences of the ladder's steps; the README's table comes from here."""
    rows = []
    for (rung, reference, domain), found in differences(claims).items():
        cells = ("held to float64" if value is None else f"{value:.1e}" for value in found)
        off = ", approximation off" if rung == "efficientleaf" else ""  # as every step to it is taken
        rows.append((f"`{rung}`{off} <- {reference}", domain, *cells))
    return table(("step", "on", "output", "input gradient", "parameter gradients"), rows)
