"""A stage of a port beside what it should be, of one case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from parity.cases.case import Case
from parity.oracle.arrays import Array
from parity.ports.formulas import Setting

ROUNDING = 2.0**-17  # of the largest value: what float32 leaves of a hypothesis that is right
MOST_SHIFT = 2  # samples or frames that a stage is tried to be late or early


@dataclass(frozen=True, eq=False)
class Pair:
    """A stage of a port beside what it should be.

    Attributes:
        case: that both were made of.
        setting: of the case.
        got, wanted: canonical.
        rounding: the largest one-operation bound of a value.
        errors: the running-error bound of each value.
        tried: the stage by other formulas, computed once.
    """

    case: Case
    setting: Setting
    got: Array
    wanted: Array
    rounding: float = 0.0
    errors: Array | None = None
    tried: dict[tuple[Any, ...], Array | None] = field(default_factory=dict, repr=False)

    @property
    def shared(self) -> tuple[slice, ...]:
        """Cut to what both have, where one is longer."""
        return tuple(slice(0, min(a, b)) for a, b in zip(self.got.shape, self.wanted.shape, strict=True))

    @property
    def tells(self) -> bool:
        """Tell whether it can show anything: the same axes, and not silence."""
        sounds = self.case.signal != "silence"
        return sounds and self.got.ndim == self.wanted.ndim


def channels(stage: str) -> int:
    """The axis of the filters: filters [C, 2, W] and windows [C, K] have it first."""
    return 0 if stage in ("filters", "windows") else 1
