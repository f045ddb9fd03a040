"""The cells that the certificate must fill: rung x stage x property x dtype, enumerated from the rungs' own data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from parity.adapters import canonical
from parity.adapters.rungs import RUNGS, Rung
from parity.cases.public_names import PUBLIC, PublicName
from parity.oracle.config import LeafConfig
from parity.report.claims import Claim

# every variable that a frontend can have, of any compression, with everything around it
_FULLEST = (LeafConfig(preemp=True, mean_var_norm=True), LeafConfig(compression="fixed_pcen"))
# the rungs that have every public name of the original
WHOLE = ("tf_leaf", "og_leaf")
# float32 numbers behind bfloat16 convolutions: the stages from the first convolution on
AUTOCAST_STAGES = ("conv", "modulus", "pool", "floor", "ema", "pcen", "output")


class Cell(NamedTuple):
    """One thing that is claimed of a rung, whatever the domain and the criterion.

    Attributes:
        rung: the candidate.
        property: one of :data:`parity.report.claims.PROPERTIES`.
        stage: a stage, ``input``, a canonical variable or, of rungs 0 and 1, a public name of the original.
        dtype: ``float64``, ``float32`` or ``bfloat16``.
    """

    rung: str
    property: str
    stage: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.rung} x {self.stage} x {self.property} x {self.dtype}"


def cells() -> Iterator[Cell]:
    """List every cell of the grid."""
    for rung in RUNGS.values():
        for dtype in ("float64", "float32"):
            yield from (Cell(rung.name, "forward", stage, dtype) for stage in rung.stages)
            yield Cell(rung.name, "input gradient", "input", dtype)
            yield from (Cell(rung.name, "parameter gradient", name, dtype) for name in trained(rung))
        yield Cell(rung.name, "status", "output", "float32")
        yield from (Cell(rung.name, "bridge round trip", name, "float32") for name in _variables(rung))
        yield from (Cell(rung.name, "training step", name, "float32") for name in trained(rung))
        if rung.level:  # a trajectory is held inside the spread of the rung below; rung 0 has none
            plain = canonical.expected_shapes(LeafConfig())
            yield from (Cell(rung.name, "trajectory", name, "float32") for name in plain)
        if rung.framework == "torch":
            stages = (stage for stage in rung.stages if stage in AUTOCAST_STAGES)
            yield from (Cell(rung.name, "forward", stage, "bfloat16") for stage in stages)
        if rung.name in WHOLE:
            for entry in PUBLIC:
                yield from (Cell(rung.name, claimed(entry, p), entry.name, "float32") for p in entry.properties)


def claimed(entry: PublicName, property: str) -> str:
    """Name the property of a claim, one of ``report.claims.PROPERTIES``, that is a property of a public name."""
    gradient = "parameter gradient" if "weights" in entry.properties else "input gradient"
    words = {"gradient": gradient, "weights": "bridge round trip", "training": "training step"}
    return words.get(property, property)


def _variables(rung: Rung) -> tuple[str, ...]:
    """List the canonical variables that the rung can hold."""
    configs = _FULLEST if "norm" in rung.stages else (LeafConfig(),)
    return tuple(dict.fromkeys(name for config in configs for name in canonical.expected_shapes(config)))


def trained(rung: Rung) -> tuple[str, ...]:
    """List the canonical variables that the rung learns: all but the fixed smoother's."""
    return tuple(name for name in _variables(rung) if name not in (canonical.RNN_KERNEL, canonical.RNN_RECURRENT))


def states(claims: Sequence[Claim]) -> dict[Cell, str]:
    """Find the state of every cell: ``certified``, ``declared`` (a divergence alone), ``failed`` or ``empty``."""
    verdicts: dict[Cell, set[str]] = {cell: set() for cell in cells()}
    for claim in claims:
        m = claim.worst
        verdicts.setdefault(Cell(m.rung, m.property, m.stage, m.dtype), set()).add(claim.verdict)
    return {cell: _state(verdicts[cell]) for cell in cells()}


def _state(verdicts: set[str]) -> str:
    if "failed" in verdicts:
        return "failed"
    if verdicts & {"certified", "slack"}:
        return "certified"
    return "declared" if verdicts else "empty"


def of_the_ladder(claims: Sequence[Claim]) -> bool:
    """Tell whether a rung is among the candidates: a certificate of a port alone has no cell of the grid to fill."""
    return any(claim.worst.rung in RUNGS for claim in claims)
