"""The constants of the rungs: where each stands in the source, at which stage it acts, and a scene in which it does.

Left out, because no number depends on them: a factor of the mel scale of rungs 0 and 1, whose triangles are ratios (in
rungs 2 and 3 it is used twice, and listed); the 0.5 that rounds a group's window to an integer, which no stride that a
frame has is near enough to tell from its neighbours; the least of a stride, under which there is no divisor; and
delta's limit, which is reached from outside of what the rungs share alone. Exponents that are integers (squares) and
arguments' defaults that no frontend takes are no constants of LEAF's numbers either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from parity.mutation.detectors import Detector
from parity.mutation.planting import Change

Sized = Callable[[float], Change]  # from a factor


@dataclass(frozen=True)
class RungConstant:
    """A number that a rung's source holds.

    Attributes:
        rung: whose.
        name: unique within the rung.
        stage: where it acts first.
        statement: what it is.
        change: from a factor to a change that multiplies it (of a limit at 0: adds the factor less 1).
        detector: of a scene in which it matters.
    """

    rung: str
    name: str
    stage: str
    statement: str
    change: Sized
    detector: Detector


@cache
def constants(rung: str) -> tuple[RungConstant, ...]:
    """Every constant of a rung, in the order of the computation.

    Raises:
        ValueError: no such rung.
    """
    from parity.mutation import constants_original, constants_simplified

    if rung in ("tf_leaf", "og_leaf"):
        return constants_original.of(rung)
    if rung in ("leaf", "efficientleaf"):
        return constants_simplified.of(rung)
    raise ValueError(f"rung={rung!r}: must be one of tf_leaf, og_leaf, leaf, efficientleaf")


@cache
def compression_parameters(rung: str) -> tuple[RungConstant, ...]:
    """The parameters of a rung that have no canonical name, changed alike in all elements: EfficientLEAF's own."""
    if rung != "efficientleaf":
        return ()
    from parity.mutation import constants_simplified

    return constants_simplified.COMPRESSION_PARAMETERS
