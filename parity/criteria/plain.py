"""The two plainest criteria: a number that must not exceed a limit, and arrays that must agree to the bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parity.criteria.criterion import Verdict


@dataclass(frozen=True)
class AtMost:
    """A number that has been measured, held to a limit.

    Attributes:
        limit: the largest that passes.
        reason: where the limit comes from.
    """

    limit: float
    reason: str

    def __call__(self, observed: float) -> Verdict:
        """Judge a number; NaN does not pass."""
        return Verdict("direct", float(observed), self.limit, self.reason)


@dataclass(frozen=True)
class Exactly:
    """Values that are known to the last bit: the count of those that differ is held to 0.

    Attributes:
        reason: why no rounding comes between.
    """

    reason: str

    def __call__(self, candidate: object, expected: object) -> Verdict:
        """Judge numbers, lists or arrays of one shape; equal numbers of different types pass, and so does NaN on NaN.

        Args:
            candidate: what is judged.
            expected: what it must equal; in the candidate's dtype where the two differ.
        """
        a = np.asarray(candidate)
        b = np.asarray(expected)
        if a.dtype.kind == "f":
            b = b.astype(a.dtype)
        if a.shape != b.shape:
            return Verdict("status", float("inf"), 0.0, f"{self.reason}; shapes {a.shape} and {b.shape}")
        nan = np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else np.zeros(a.shape, dtype=bool)
        return Verdict("status", float(np.sum((a != b) & ~nan)), 0.0, self.reason)
