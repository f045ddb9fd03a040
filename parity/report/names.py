"""The public names of the original, and how much of its limit each uses in rungs 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parity.cases.public_names import PROPERTIES, PUBLIC, PublicName
from parity.report.cells import WHOLE, claimed
from parity.report.claims import Claim
from parity.report.words import percent

REFERENCES = ("original", "tf_leaf", "oracle")


@dataclass(frozen=True)
class Entry:
    """One cell of the table.

    Attributes:
        text: percent of its limit that the worst claim uses, and what it was measured against; or why there is none.
        verdict: ``certified``, ``divergence``, ``failed``, ``empty``, or ``left out``: there is nothing to compare.
    """

    text: str
    verdict: str


def rows(claims: Sequence[Claim]) -> list[tuple[PublicName, dict[tuple[str, str], Entry]]]:
    """Each public name with its entries by (rung, property)."""
    return [
        (entry, {(rung, p): _entry(entry, rung, p, claims) for rung in WHOLE for p in PROPERTIES}) for entry in PUBLIC
    ]


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
    if verdicts == {"divergence"}:
        return Entry("declared difference", "divergence")
    # the nearest to the original that was at hand
    for reference in REFERENCES:
        if direct := [c for c in own if c.worst.reference == reference and c.worst.criterion != "divergence"]:
            return Entry(f"{percent(max(c.worst.ratio for c in direct))} ({reference})", "certified")
    return Entry("empty", "empty")
