"""What a criterion answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Verdict:
    """An error, what it must not exceed, and where that limit comes from.

    Attributes:
        criterion: name of the criterion.
        observed: the error, in the criterion's own measure; NaN never passes.
        bound: the largest error that passes.
        reason: derivation of the bound, one line.
    """

    criterion: str
    observed: float
    bound: float
    reason: str

    @property
    def passes(self) -> bool:
        """Whether the error is inside the bound."""
        return bool(self.observed <= self.bound)


def finite_pair(candidate: Array, reference: Array) -> tuple[Array, Array]:
    """Both arrays in float64, where both are finite; the status criterion has already compared where they are."""
    a, b = np.asarray(candidate, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def unit_roundoff(dtype: str) -> float:
    """Half the spacing at 1: 2^-24 in float32, 2^-53 in float64."""
    return float(np.finfo(dtype).eps) / 2
