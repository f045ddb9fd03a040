"""Plain words for what the claims are made of. The standard library alone."""

from __future__ import annotations

import math

from parity.report.claims import Claim

MILLIONTH = 1e-6
# what each criterion asks of the candidate
CRITERIA = {
    "status": "status: same shape, type and places of NaN and infinity",
    "accuracy": "accuracy: no less accurate than the reference",
    "soundness": "soundness: no farther from float64 than its own rounding",
    "direct": "direct: close to the reference",
    "divergence": "divergence: a declared difference of its declared size",
}
_BROKEN = {
    "status": "differs in shape, type, refusals or places of NaN and infinity",
    "accuracy": "is less accurate than its reference",
    "soundness": "is farther from the float64 computation than rounding explains",
    "direct": "is too far from its reference",
    "divergence": "has a declared difference of another size than declared",
}
VERDICTS = {
    "certified": "holds",
    "slack": "holds, with a wide limit",
    "divergence": "declared difference",
    "failed": "failed",
}
PROPERTIES = {"status": "status", "forward": "output", "bridge round trip": "weights, there and back"}


def property_of(name: str) -> str:
    """What is compared, in words: ``forward`` is an output."""
    return PROPERTIES.get(name, name)


def millionths(value: float | None) -> str:
    """A fraction as millionths, two digits; a dash for what was not measured."""
    if value is None:
        return "-"
    scaled = value / MILLIONTH
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.2g}"


def percent(ratio: float) -> str:
    """A share of a limit in percent."""
    scaled = 100 * ratio
    if scaled == 0:
        return "0"
    if scaled < 1:
        return "<1"
    if 99 <= scaled < 100:  # what holds is never shown as if it had reached its limit
        return f"{math.floor(10 * scaled) / 10:.1f}"
    return f"{min(scaled, 1e15):,.0f}" if scaled < float("inf") else "∞"


def failure(claim: Claim) -> str:
    """What does not hold, as a sentence."""
    m = claim.worst
    allowed = f"at most {m.bound:.3g} is allowed"
    if m.criterion == "divergence":
        allowed = f"{m.at_least:.3g} to {m.bound:.3g} is declared"
    against = "the float64 computation" if m.reference == "oracle" else m.reference
    return (
        f"{m.rung} {_BROKEN[m.criterion]}: {property_of(m.property)}, at {m.stage}, {m.domain}, against {against}. "
        f"Measured {m.observed:.3g}; {allowed}."
    )


def counted(n: int, one: str, many: str = "") -> str:
    """``1 claim``, ``2,906 claims``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
