"""G3: the candidate against the reference, in one number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parity.gates.base import Array, Verdict, finite_pair


@dataclass(frozen=True)
class OfMax:
    """``max|candidate - reference| / max|reference|``.

    Attributes:
        limit: the largest that passes.
        reason: where the limit comes from.
    """

    limit: float
    reason: str

    def __call__(self, candidate: Array, reference: Array, allowance: float = 0.0) -> Verdict:
        """Judge two arrays of one shape; where the reference is all zero, any difference is infinite.

        Args:
            candidate: what is judged.
            reference: what it is held against.
            allowance: an error that nobody can be held below, where terms cancel; widens the bound.
        """
        a, b = finite_pair(candidate, reference)
        return _judged(
            float(np.max(np.abs(a - b), initial=0.0)), float(np.max(np.abs(b), initial=0.0)), self, allowance
        )


@dataclass(frozen=True)
class RelativeL2:
    """``|candidate - reference|_2 / |reference|_2`` of one tensor; the measure for gradients.

    Attributes:
        limit: the largest that passes.
        reason: where the limit comes from.
    """

    limit: float
    reason: str

    def __call__(self, candidate: Array, reference: Array, allowance: float = 0.0) -> Verdict:
        """Judge two arrays of one shape; where the reference is all zero, any difference is infinite.

        Args:
            candidate: what is judged.
            reference: what it is held against.
            allowance: L2 norm of an error that nobody can be held below, where terms cancel; widens the bound.
        """
        a, b = finite_pair(candidate, reference)
        return _judged(_norm(a - b), _norm(b), self, allowance)


def _judged(error: float, size: float, gate: OfMax | RelativeL2, allowance: float) -> Verdict:
    """The error against the limit times the size; or, with an allowance, in units of what the two allow together."""
    if allowance == 0.0:
        return Verdict("direct", _relative(error, size), gate.limit, gate.reason)
    reason = f"in units of {gate.limit:g} of its size ({gate.reason}) plus the rounding of terms that cancel"
    return Verdict("direct", _relative(error, gate.limit * size + allowance), 1.0, reason)


def _norm(values: Array) -> float:
    """The L2 norm, scaled first so that squares neither overflow nor vanish."""
    peak = float(np.max(np.abs(values), initial=0.0))
    return 0.0 if peak == 0 else peak * float(np.linalg.norm(values / peak))


def _relative(error: float, scale: float) -> float:
    if error == 0.0:
        return 0.0
    return error / scale if scale else float("inf")
