"""Refuse what is not carried between rungs. Imports no framework."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.adapters.canonical import DELTA, SMOOTH, Variables
from parity.oracle.config import FLOOR

SIMPLIFIED = ("leaf", "efficientleaf")
LEAST_WINDOW = 4  # samples, where [4, window] and [2 / window, 0.5] are ranges


def same_function(source: str, to: str, variables: Variables, window: int) -> Variables:
    """The variables with which ``to`` computes what ``source`` does, across the step where limits change.

    Limits of the filterbank cross in windows under four samples, where the original has the lower one and simplified
    LEAF the upper. The original limits the smoothing coefficient to [0, 1] and leaves delta free (a negative one is
    NaN); simplified LEAF limits delta to at least 0 and leaves the smoothing coefficient free. A value that the source
    limits is carried as the limit.

    Args:
        source: a rung, or ``original``.
        to: a rung.
        variables: checked, by canonical name.
        window: samples in a window.

    Raises:
        ValueError: a value that the target would limit and the source does not, or a window in which limits cross;
            names it.
    """
    if (source in SIMPLIFIED) == (to in SIMPLIFIED):
        return variables
    if window < LEAST_WINDOW:
        raise ValueError(
            f"window_len: must be at least {LEAST_WINDOW} samples, not {window}, to be carried from {source} to {to}: "
            "in shorter windows the limits of sigma and of the pooling width cross, and the two take other ends of them"
        )
    if SMOOTH not in variables:
        return variables
    delta, smooth = variables[DELTA], variables[SMOOTH]
    if to in SIMPLIFIED:
        if delta.min() < 0:
            raise ValueError(f"variable {DELTA!r}: value {delta.min()}: must be at least 0, {to} limits it there")
        return {**variables, SMOOTH: np.clip(smooth, 0.0, 1.0)}
    outside = smooth[(smooth < 0) | (smooth > 1)]
    if outside.size:
        raise ValueError(f"variable {SMOOTH!r}: value {outside[0]}: must lie in [0, 1], {to} limits it there")
    return {**variables, DELTA: np.maximum(delta, 0.0)}


def require_carried(module: Any) -> None:
    """Refuse a module whose PCEN has what no configuration says, and what another rung would not have.

    Raises:
        ValueError: it floors the energies elsewhere than LEAF does, or its learned logarithms act beyond the limits
            of the linear parameters.
    """
    pcen: Any = getattr(module, "compression", None)
    if not hasattr(pcen, "learn_logs"):
        return
    if pcen.clamp != FLOOR:
        raise ValueError(f"compression.clamp={pcen.clamp!r}: must be {FLOOR:g}, as in LEAF, to be carried")
    if pcen.learn_logs:
        for name in ("alpha", "r"):
            largest = float(getattr(pcen, name).detach().exp().max())
            if largest > 1:
                raise ValueError(
                    f"compression.{name}: value {largest:g}: must be at most 1, where other rungs limit it"
                )
