"""G2: nowhere farther from the oracle than counted roundings can explain."""

from __future__ import annotations

import numpy as np

from parity.criteria.criterion import Array, Verdict

REASON = "running-error bound, value by value: each operation's roundings, counted and propagated in float64"


def soundness(candidate: Array, oracle: Array, error: Array) -> Verdict:
    """The largest error in units of what rounding may have done to that very value; 1 is the bound.

    A value whose bound is infinite (its digits may all be lost) is not judged; :func:`judged` says how many are.

    Args:
        candidate: what is judged; the status criterion has compared where it is finite.
        oracle: float64.
        error: of the oracle's shape, from :class:`parity.oracle.LeafBounds`.
    """
    c, o, e = (np.asarray(a, dtype=np.float64) for a in (candidate, oracle, error))
    held = np.isfinite(c) & np.isfinite(o) & np.isfinite(e)
    off = np.abs(c - o)[held]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(off == 0.0, 0.0, off / e[held])
    return Verdict("soundness", float(np.max(ratios, initial=0.0)), 1.0, REASON)


def judged(error: Array) -> float:
    """The share of values that the running-error bound promises anything about."""
    return float(np.mean(np.isfinite(error))) if np.size(error) else 1.0
