"""The cells that the certificate must fill: rung x stage x property x dtype, enumerated from the rungs' own data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parity.adapters import canonical
from parity.adapters.rungs import RUNGS, Rung
from parity.cases.public_names import PUBLIC, PublicName
from parity.oracle.config import LeafConfig
from parity.report.claims import Claim

# every variable that a frontend can have, of any compression, with everything around it
_FULLEST = (
    LeafConfig(preemp=True, mean_var_norm=True),
    LeafConfig(compression="fixed_pcen"),
)
_PLAIN = (LeafConfig(),)
# the rungs that have every public name of the original
WHOLE = ("tf_leaf", "og_leaf")
# float32 numbers behind bfloat16 convolutions: the stages from the first convolution on
AUTOCAST_STAGES = ("conv", "modulus", "pool", "floor", "ema", "pcen", "output")


@dataclass(frozen=True, order=True)
class Cell:
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


@dataclass(frozen=True)
class Verdict:
    """The state of a cell.

    Attributes:
        cell: the cell.
        state: ``certified``, ``declared`` (a divergence alone), ``failed`` or ``empty``.
        n_claims: how many claims stand in it.
    """

    cell: Cell
    state: str
    n_claims: int


def cells() -> tuple[Cell, ...]:
    """Every cell of the grid."""
    return tuple(cell for rung in RUNGS.values() for cell in (*_of(rung), *_of_names(rung)))


def claimed(entry: PublicName, property: str) -> str:
    """The property of a claim, one of ``report.claims.PROPERTIES``, that is a property of a public name."""
    gradient = "parameter gradient" if "weights" in entry.properties else "input gradient"
    words = {"gradient": gradient, "weights": "bridge round trip", "training": "training step"}
    return words.get(property, property)


def variables(rung: Rung) -> tuple[str, ...]:
    """The canonical variables that the rung can hold."""
    configs = _FULLEST if "norm" in rung.stages else _PLAIN
    return tuple(dict.fromkeys(name for config in configs for name in canonical.expected_shapes(config)))


def trained(rung: Rung) -> tuple[str, ...]:
    """Those of them that are learned: all but the fixed smoother's."""
    return tuple(name for name in variables(rung) if name not in (canonical.RNN_KERNEL, canonical.RNN_RECURRENT))


def _of(rung: Rung) -> Iterator[Cell]:
    for dtype in ("float64", "float32"):
        yield from (Cell(rung.name, "forward", stage, dtype) for stage in rung.stages)
        yield Cell(rung.name, "input gradient", "input", dtype)
        yield from (Cell(rung.name, "parameter gradient", name, dtype) for name in trained(rung))
    yield Cell(rung.name, "status", "output", "float32")
    yield from (Cell(rung.name, "bridge round trip", name, "float32") for name in variables(rung))
    yield from (Cell(rung.name, "training step", name, "float32") for name in trained(rung))
    if rung.level:  # a trajectory is held inside the spread of the rung below; rung 0 has none
        yield from (Cell(rung.name, "trajectory", name, "float32") for name in canonical.expected_shapes(LeafConfig()))
    if rung.framework == "torch":
        yield from (Cell(rung.name, "forward", stage, "bfloat16") for stage in rung.stages if stage in AUTOCAST_STAGES)


def _of_names(rung: Rung) -> Iterator[Cell]:
    if rung.name in WHOLE:
        for entry in PUBLIC:
            yield from (Cell(rung.name, claimed(entry, p), entry.name, "float32") for p in entry.properties)


def verdicts(claims: Sequence[Claim]) -> list[Verdict]:
    """Judge every cell by the claims that stand in it, in the grid's order."""
    standing: dict[Cell, list[Claim]] = {}
    for claim in claims:
        m = claim.worst
        standing.setdefault(Cell(m.rung, m.property, m.stage, m.dtype), []).append(claim)
    return [_verdict(cell, standing.get(cell, [])) for cell in cells()]


def _verdict(cell: Cell, claims: Sequence[Claim]) -> Verdict:
    found = {claim.verdict for claim in claims}
    if "failed" in found:
        state = "failed"
    elif found & {"certified", "slack"}:
        state = "certified"
    else:
        state = "declared" if found else "empty"
    return Verdict(cell, state, len(claims))
