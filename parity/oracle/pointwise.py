"""Compute PCEN's gain and root at single points, with derivatives, and the size that an error in each is relative to.

An error is relative to the value itself, but where the exact value crosses zero, as no arithmetic has a relative error
there. The derivative to alpha, ``-v log(eps + M)``, counts relative to at least v; that to r, ``w^r log w - delta^r log
delta`` with ``w = v + delta``, to at least ``v w^(r - 1)``: both are what one rounding of a logarithm's argument moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parity.oracle.arrays import Array


@dataclass(frozen=True)
class Exact:
    """True values at every point.

    Attributes:
        value: float64.
        size: what an error is relative to; where it is 0, only 0 is right.
    """

    value: Array
    size: Array


def gain(x: Array, m: Array, alpha: Array, eps: float) -> dict[str, Exact]:
    """``v = x / (eps + m)^alpha`` and its derivatives: arrays of one shape, float64."""
    base = eps + m
    slope = base**-alpha
    v = x * slope
    d_m = -alpha * v / base
    d_alpha = -v * np.log(base)
    return {
        "value": _relative(v),
        "x": _relative(slope),
        "M": _relative(d_m),
        "alpha": Exact(d_alpha, np.maximum(np.abs(d_alpha), v)),
    }


def root(v: Array, delta: Array, r: Array) -> dict[str, Exact]:
    """``(v + delta)^r - delta^r`` and its derivatives: arrays of one shape, float64, v > 0.

    At delta = 0 the derivative to delta is 0 by convention.
    """
    positive, w = delta > 0, v + delta
    divisor = np.where(positive, delta, 1.0)
    log_ratio = np.log1p(v / divisor)
    rest = divisor**r
    value = np.where(positive, rest * np.expm1(r * log_ratio), v**r)
    d_v = r * w ** (r - 1)
    d_delta = np.where(positive, r * divisor ** (r - 1) * np.expm1((r - 1) * log_ratio), 0.0)
    small = rest * (np.expm1(r * log_ratio) * np.log(divisor) + np.exp(r * log_ratio) * log_ratio)
    large = w**r * np.log(w) - np.where(positive, rest * np.log(divisor), 0.0)
    d_r = np.where(positive & (r * log_ratio < 1), small, large)
    at_one = np.where(positive, log_ratio, 1.0)  # r = 1: the exact derivative is 0, a rounding of r moves it by this
    return {
        "value": _relative(value),
        "v": _relative(d_v),
        "delta": Exact(d_delta, np.where(d_delta == 0, at_one, np.abs(d_delta))),
        "r": Exact(d_r, np.maximum(np.abs(d_r), v * w ** (r - 1))),
    }


def together(x: Array, alpha: Array, eps: float) -> Exact:
    """The derivative of the gain's output where M is x: arrays of one shape, float64, x > 0.

    A difference, ``(eps + x)^-alpha (1 - alpha x / (eps + x))``: errors are relative to the larger of its terms.
    """
    slope = (eps + x) ** -alpha
    return Exact(slope * (eps + (1 - alpha) * x) / (eps + x), slope)


def _relative(value: Array) -> Exact:
    return Exact(value, np.abs(value))
