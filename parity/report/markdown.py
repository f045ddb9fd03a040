"""Tables of Markdown, and their places in a page: between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; bars inside of cells are escaped."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def insert(page: str, name: str, text: str) -> str:
    """The page with a text between the comments of that name, in place of what is there.

    Raises:
        ValueError: it has no such comments, or in another order.
    """
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"page: must hold {opening} and then {closing}")
    return f"{before}{opening}\n{text}\n{closing}{after}"
