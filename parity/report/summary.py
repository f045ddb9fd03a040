"""The measured differences of the ladder's steps as a small Markdown table; the README's comes from here."""

from __future__ import annotations

from collections.abc import Sequence

from parity.report.claims import Claim
from parity.report.ladder import differences, measured
from parity.report.markdown import table

MARK = "summary"  # of the comments that a page has for the table


def markdown(claims: Sequence[Claim]) -> str:
    """One row a step and domain: the output's largest relative difference and the worst gradients."""
    rows = []
    for rung, reference, domain in measured(claims):
        own = [c for c in claims if (c.worst.rung, c.worst.reference) == (rung, reference)]
        cells = ("held to float64" if value is None else f"{value:.1e}" for value in differences(own, domain).values())
        off = ", approximation off" if rung == "efficientleaf" else ""  # as every step to it is taken
        rows.append((f"`{rung}`{off} <- {reference}", domain, *cells))
    return table(("step", "on", "output", "input gradient", "parameter gradients"), rows)
