"""Verdicts, and the plainest criteria: equal status (G0), equal bits, a number under a limit."""

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
        """Tell whether the error is inside the bound."""
        return bool(self.observed <= self.bound)


def finite_pair(candidate: Array, reference: Array) -> tuple[Array, Array]:
    """Both arrays in float64, where both are finite; the status criterion has already compared where they are."""
    a, b = np.asarray(candidate, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def unit_roundoff(dtype: str) -> float:
    """Half the spacing at 1: 2^-24 in float32, 2^-53 in float64."""
    return float(np.finfo(dtype).eps) / 2


def quotient(error: float, size: float) -> float:
    """``error / size``; 0 of no error, whatever the size, and infinite of any other where the size is 0."""
    if error == 0.0:
        return 0.0
    return error / size if size else float("inf")


REASON = "shape, dtype and the places of NaN and infinity are equal"


def status(candidate: Array, reference: Array) -> Verdict:
    """Count the ways in which two arrays differ before any number is compared; 0 passes.

    Args:
        candidate: any array.
        reference: what it is held against.
    """
    if candidate.shape != reference.shape:
        return Verdict("status", float("inf"), 0.0, f"{REASON}; shapes {candidate.shape} and {reference.shape}")
    differing = int(candidate.dtype != reference.dtype)
    for kind in (np.isnan, np.isposinf, np.isneginf):
        differing += int(np.sum(kind(candidate) != kind(reference)))
    return Verdict("status", float(differing), 0.0, REASON)


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
