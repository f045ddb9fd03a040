"""G0: the same shape, the same type, finite in the same places."""

from __future__ import annotations

import numpy as np

from parity.criteria.criterion import Array, Verdict

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
