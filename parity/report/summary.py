"""The measured differences of the ladder's steps as a small Markdown table; the README's comes from here."""

from __future__ import annotations

from collections.abc import Sequence

from parity.report.claims import Claim
from parity.report.ladder import differences, measured

OPENING, CLOSING = "<!-- summary -->", "<!-- /summary -->"


def markdown(claims: Sequence[Claim]) -> str:
    """One row a step and domain: the output's largest relative difference and the worst gradients."""
    rows = ["| step | on | output | input gradient | parameter gradients |", "|---|---|---|---|---|"]
    for rung, reference, domain in measured(claims):
        own = [c for c in claims if (c.worst.rung, c.worst.reference) == (rung, reference)]
        cells = ("held to float64" if value is None else f"{value:.1e}" for value in differences(own, domain).values())
        rows.append(f"| `{rung}` <- {reference} | {domain} | {' | '.join(cells)} |")
    return "\n".join(rows)


def insert(text: str, table: str) -> str:
    """The text with the table between its summary comments.

    Raises:
        ValueError: it has no such comments.
    """
    before, opening, rest = text.partition(OPENING)
    _, closing, after = rest.partition(CLOSING)
    if not (opening and closing):
        raise ValueError(f"must hold {OPENING} and then {CLOSING}")
    return f"{before}{opening}\n{table}\n{closing}{after}"
