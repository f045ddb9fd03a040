"""The measured differences of the ladder's steps as a small Markdown table; the README's comes from here."""

from __future__ import annotations

from collections.abc import Sequence

from parity.report.claims import Claim
from parity.report.markdown import table

DOMAINS = ("goldens", "speech")
MARK = "summary"  # of the comments that a page has for the table


def markdown(claims: Sequence[Claim]) -> str:
    """One row a step and domain: the output's largest relative difference and the worst gradients.

    Only differences that are measured against the reference's own size count: where terms cancel, a gradient is judged
    against float64 instead and has no such figure.
    """
    rows = []
    plain = [
        c for c in claims if c.worst.criterion == "direct" and c.worst.dtype == "float32" and c.worst.domain in DOMAINS
    ]
    steps = dict.fromkeys((c.worst.rung, c.worst.reference, c.worst.domain) for c in plain)
    for step in steps:
        own = [c for c in plain if (c.worst.rung, c.worst.reference, c.worst.domain) == step]
        cells = [
            _worst([c for c in own if c.worst.property == "forward" and c.worst.stage == "output"]),
            _worst([c for c in own if c.worst.property == "input gradient"]),
            _worst([c for c in own if c.worst.property == "parameter gradient"]),
        ]
        rung, reference, domain = step
        off = ", approximation off" if rung == "efficientleaf" else ""  # as every step to it is taken
        rows.append((f"`{rung}`{off} <- {reference}", domain, *cells))
    return table(("step", "on", "output", "input gradient", "parameter gradients"), rows)


def _worst(claims: Sequence[Claim]) -> str:
    return f"{max(c.highest for c in claims):.1e}" if claims else "held to float64"
