"""The ladder in figures: how far each rung is from the one below, in one unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parity.adapters.rungs import RUNGS
from parity.report.claims import Claim
from parity.report.instrument import of_the_ladder

# where a difference is measured against the reference's own size, and not against a bound
DOMAINS = ("goldens", "speech")
ORIGINAL = "original"
TITLES = {
    ORIGINAL: "google-research/leaf-audio, 2021",
    "efficientleaf": "EfficientLEAF, its approximation off",
}
UNIT = (
    "Both figures are in millionths of the reference. Output: the largest difference over the largest value. Gradient: "
    "the length of the difference over that of the gradient, worst tensor. One float32 rounding is 0.06."
)

UNIT_BRIEF = (
    "(in millionths of the reference: an output's of its largest value, a gradient's of its length; one float32 "
    "rounding is 0.06)"
)


@dataclass(frozen=True)
class Step:
    """A candidate held against a reference.

    Attributes:
        rung: the candidate.
        reference: what it is held against.
        output: the worst relative difference of an output; None where none was measured.
        gradient: the worst of a gradient, in L2.
        used: how much of its limit the worst claim of the step uses; None without claims.
        failed: claims that do not hold.
    """

    rung: str
    reference: str
    output: float | None
    gradient: float | None
    used: float | None
    failed: int

    @property
    def title(self) -> str:
        """What the candidate is, in a few words."""
        return TITLES.get(self.rung) or (RUNGS[self.rung].title if self.rung in RUNGS else "a port")


def steps(claims: Sequence[Claim]) -> list[Step]:
    """The steps from the top down; of a certificate of ports alone, each port and what it is held against."""
    if of_the_ladder(claims) or not claims:
        return [_step(claims, rung.name, rung.reference) for rung in reversed(RUNGS.values())]
    pairs = dict.fromkeys((c.worst.rung, c.worst.reference) for c in claims if c.worst.reference != "oracle")
    pairs = pairs or dict.fromkeys((c.worst.rung, c.worst.reference) for c in claims)
    return [_step(claims, rung, reference) for rung, reference in pairs]


def differences(claims: Sequence[Claim], domain: str = "") -> dict[str, float | None]:
    """The worst output, input gradient and parameter gradient of one step's claims, relative to the reference.

    Only differences that are measured against the reference's own size count: where terms cancel, a gradient is judged
    against float64 instead and has no such figure.

    Args:
        claims: of one candidate and reference.
        domain: one of ``DOMAINS``; of all of them if empty.
    """
    own = [c for c in claims if c.worst.domain in ((domain,) if domain else DOMAINS) and relative(c)]
    return {
        "output": _worst([c for c in own if c.worst.property == "forward" and c.worst.stage == "output"]),
        "input gradient": _worst([c for c in own if c.worst.property == "input gradient"]),
        "parameter gradient": _worst([c for c in own if c.worst.property == "parameter gradient"]),
    }


def relative(claim: Claim) -> bool:
    """Whether the claim's figures are fractions of the reference's own size."""
    return claim.worst.criterion == "direct" and claim.worst.dtype == "float32" and claim.worst.domain in DOMAINS


def measured(claims: Sequence[Claim]) -> list[tuple[str, str, str]]:
    """Every (candidate, reference, domain) that has such figures, up the ladder."""
    return list(dict.fromkeys((c.worst.rung, c.worst.reference, c.worst.domain) for c in claims if relative(c)))


def _step(claims: Sequence[Claim], rung: str, reference: str) -> Step:
    own = [c for c in claims if (c.worst.rung, c.worst.reference) == (rung, reference)]
    found = differences(own)
    gradients = [v for v in (found["input gradient"], found["parameter gradient"]) if v is not None]
    held = [c.worst.ratio for c in own if c.worst.criterion != "divergence"]
    return Step(
        rung,
        reference,
        found["output"],
        max(gradients) if gradients else None,
        max(held) if held else None,
        sum(not c.worst.holds for c in own),
    )


def _worst(claims: Sequence[Claim]) -> float | None:
    return max(c.highest for c in claims) if claims else None
