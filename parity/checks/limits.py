"""The limits of the parameters, as data: which variable, which side, where, and which rungs have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.oracle import Box
from parity.oracle.arrays import Array

ORIGINALS, SIMPLIFIEDS = ("tf_leaf", "og_leaf"), ("leaf", "efficientleaf")
ALL = ORIGINALS + SIMPLIFIEDS


@dataclass(frozen=True)
class Tie:
    """One side of one clamp.

    Attributes:
        variable: canonical name.
        side: ``low`` or ``high``.
        limit: what the limit is in exact numbers, from LEAF's or EfficientLEAF's box.
        far: a value that is certainly outside, from the limit.
        stage: a stage in which the parameter acts and is not rounded away: it tells where the limit lies.
        rungs: which have the clamp.
        column: of the variable, where it has two.
    """

    variable: str
    side: str
    limit: Callable[[Box], float]
    far: Callable[[float], float]
    stage: str
    rungs: tuple[str, ...] = ALL
    column: int | None = None

    @property
    def name(self) -> str:
        """As the certificate calls it, for example ``sigma low``."""
        own = self.variable if self.column is None else ("mu", "sigma")[self.column]
        return f"{own} {self.side}"

    def inside(self, limit: float, dtype: str) -> float:
        """The next number inside."""
        return _next(limit, dtype, 1 if self.side == "low" else -1)

    def outside(self, limit: float, dtype: str) -> float:
        """The next number outside."""
        return _next(limit, dtype, -1 if self.side == "low" else 1)

    def put(self, variables: Variables, values: list[float]) -> Variables:
        """The variables with these values for the clamped parameter of the first filters."""
        changed = np.array(variables[self.variable], dtype=np.float64)
        self.of(changed)[: len(values)] = values
        return {**variables, self.variable: changed}

    def of(self, array: Array) -> Array:
        """What an array of the variable's shape holds for the clamped parameter, [C]."""
        return array.reshape(-1) if self.column is None else array[:, self.column]


TIES: tuple[Tie, ...] = (
    Tie(canonical.KERNEL, "low", lambda box: 0.0, lambda limit: -0.5, "filters", column=0),
    Tie(canonical.KERNEL, "high", lambda box: np.pi, lambda limit: 4.0, "filters", column=0),
    Tie(canonical.KERNEL, "low", lambda box: box.sigma_low, lambda limit: limit / 2, "filters", column=1),
    Tie(canonical.KERNEL, "high", lambda box: box.sigma_high, lambda limit: 2 * limit, "filters", column=1),
    Tie(canonical.POOLING, "low", lambda box: box.width_low, lambda limit: limit / 2, "windows"),
    Tie(canonical.POOLING, "high", lambda box: 0.5, lambda limit: 2 * limit, "windows"),
    Tie(canonical.ALPHA, "high", lambda box: 1.0, lambda limit: 1.5, "pcen"),
    Tie(canonical.ROOT, "low", lambda box: 1.0, lambda limit: 0.5, "pcen"),
    Tie(canonical.SMOOTH, "low", lambda box: 0.0, lambda limit: -0.5, "ema", ORIGINALS),
    Tie(canonical.SMOOTH, "high", lambda box: 1.0, lambda limit: 1.5, "ema", ORIGINALS),
)  # fmt: skip


def _next(value: float, dtype: str, way: int) -> float:
    """The next number up or down; of zero the smallest normal one, for TensorFlow takes the rest for zero."""
    if value == 0.0:
        return way * float(np.finfo(dtype).tiny)
    kind = np.dtype(dtype).type
    return float(np.nextafter(kind(value), kind(way * np.inf)))
