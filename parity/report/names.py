"""The public names of the original, what rungs 0 and 1 make of each, and how far from it they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parity.cases.public_names import PROPERTIES, PUBLIC, PublicName
from parity.report.cells import WHOLE, claimed
from parity.report.claims import Claim
from parity.report.table import brief

REFERENCES = ("original", "tf_leaf", "oracle")


@dataclass(frozen=True)
class Entry:
    """One cell of the table.

    Attributes:
        text: the worst error and what it was measured against; or why there is none.
        verdict: ``certified``, ``divergence``, ``failed``, ``empty``, or ``left out``: there is nothing to compare.
    """

    text: str
    verdict: str


def rows(claims: Sequence[Claim]) -> list[tuple[PublicName, dict[tuple[str, str], Entry]]]:
    """Each public name with its entries by (rung, property)."""
    return [
        (entry, {(rung, p): _entry(entry, rung, p, claims) for rung in WHOLE for p in PROPERTIES}) for entry in PUBLIC
    ]


def markdown(claims: Sequence[Claim]) -> str:
    """The table, a column a rung and property."""
    head = ["name", *(f"`{rung}` {p}" for rung in WHOLE for p in PROPERTIES)]
    lines = [head, ["---"] * len(head)]
    lines += [[f"`{entry.name}`", *(cell.text for cell in cells.values())] for entry, cells in rows(claims)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _entry(entry: PublicName, rung: str, property: str, claims: Sequence[Claim]) -> Entry:
    if property not in entry.properties:
        return Entry(entry.reasons[property], "left out")
    kinds = {claimed(entry, property)}
    if property == "gradient":
        kinds |= {"input gradient", "parameter gradient"}
    own = [c for c in claims if c.worst.rung == rung and c.worst.stage == entry.name and c.worst.property in kinds]
    own = [c for c in own if c.worst.dtype == "float32"]
    if not own:
        return Entry("empty", "empty")
    verdicts = {c.verdict for c in own}
    if "failed" in verdicts:
        return Entry("failed", "failed")
    # the nearest to the original that was at hand; its own limit first, where terms cancel that of counted roundings
    for reference in REFERENCES:
        direct = [c for c in own if c.worst.reference == reference and c.worst.criterion in ("direct", "divergence")]
        if direct := direct or [c for c in own if c.worst.reference == reference]:
            worst = max(direct, key=lambda c: c.highest)
            verdict = "divergence" if verdicts == {"divergence"} else "certified"
            return Entry(f"{brief(worst.highest)} ({reference})", verdict)
    return Entry("empty", "empty")
