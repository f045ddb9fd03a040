"""PCEN over any number of frames in running-error arithmetic: the scan, the gain and the root, and their adjoint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parity.oracle.arrays import Array, exact
from parity.oracle.running import EXP, LOG, Running
from parity.oracle.scan import average, average_adjoint, given, summed

# What autograd does more than the adjoint as it is written here: a product or two for each factor of a gradient.
EXTRA = 4.0
# Of r log1p(v / delta): beyond it the root may be computed by subtracting delta^r, which costs two bits at most.
SUBTRACTED = 0.5


class PcenBounds:
    """One run: the oracle's values with what rounding may have done to each.

    Args:
        x: energies [..., C, T], >= 0, as the implementation holds them.
        s, alpha, delta, r: the parameters as they act, [C] each; r the root, delta >= 0.
        eps: of the gain, rounded to the implementation's precision.
        dtype: ``float32`` or ``float64``.

    Attributes:
        m: the smoother, from the first frame on.
        out: the output.
    """

    def __init__(self, x: Array, s: Array, alpha: Array, delta: Array, r: Array, eps: float, dtype: str) -> None:
        self.s = exact(s)
        self.x = given(x, dtype)
        self.alpha, self.delta, self.r = (given(exact(p)[:, np.newaxis], dtype) for p in (alpha, delta, r))
        self.m = average(self.x, self.s, self.x[..., 0])
        with np.errstate(all="ignore"):  # delta = 0 divides; what comes of it is not taken
            self.base = Running.given(eps, self.x.precision, 1.0) + self.m
            self.divisor = self.base.power(self.alpha)
            self.scaled = self.x / self.divisor
            self.log_ratio = (self.scaled / self.delta).monotone(np.log1p, LOG)
            self.exponent = self.r * self.log_ratio
            self.far = self.exponent.value > SUBTRACTED
            self.inner = self.scaled + self.delta
            self.rest, self.power = self.delta.power(self.r), self.inner.power(self.r)
            rooted = self.rest * self.exponent.monotone(np.expm1, EXP)
            rooted = _either_way(rooted, self.power - self.rest, self.far)
            self.out = self._either(rooted, self.scaled.power(self.r))

    def _either(self, positive: Running, zero: Running) -> Running:
        """Bands with delta > 0, and those with delta = 0; a power of 0 is exact."""
        at_rest = np.broadcast_to(self.scaled.value == 0, zero.value.shape)
        error = np.where(at_rest & (zero.value == 0), 0.0, zero.error)
        none = np.broadcast_to(self.delta.value == 0, zero.value.shape)
        return Running(
            np.where(none, zero.value, positive.value), np.where(none, error, positive.error), self.x.precision
        )

    def gradients(self, cotangent: Array) -> dict[str, Running]:
        """Gradient of ``sum(cotangent * output)`` to x [..., C, T] and to s, alpha, delta and r, [C] each; delta > 0.

        Source: the adjoints of :mod:`parity.oracle.pcen`.
        """
        d = Running.given(exact(cotangent), self.x.precision)
        one = Running.given(np.ones(1), self.x.precision)
        shape = self.s.shape
        with np.errstate(all="ignore"):
            slope = self.r * self.delta.power(self.r - one)
            slope = _either_way(slope, self.r * (self.rest / self.delta))
            tilted = (self.r - one) * self.log_ratio
            d_v = _either_way(slope * tilted.exp(), self.r * (self.power / self.inner))
            near = self.exponent.monotone(np.expm1, EXP) * self.delta.log() + self.exponent.exp() * self.log_ratio
            far = self.power * self.inner.log() - self.rest * self.delta.log()
            d_scaled = _reformed(d * d_v)
            d_delta = _reformed(d * slope * tilted.monotone(np.expm1, EXP))
            d_r = _reformed(d * _either_way(self.rest * near, far, self.far))
            d_divisor = _reformed(-(d_scaled * (self.scaled / self.divisor)))
            d_base = _reformed(d_divisor * self.alpha * self.base.power(self.alpha - one))
            d_alpha = _reformed(d_divisor * self.divisor * self.base.log())
            through, d_s, d_first = average_adjoint(self.x, self.s, self.x[..., 0], self.m, d_base)
            d_x = _reformed(d_scaled / self.divisor + through)
        first = _reformed(d_x[..., 0] + d_first)
        value, error = d_x.value.copy(), d_x.error.copy()
        value[..., 0], error[..., 0] = first.value, first.error
        return {
            "x": Running(value, error, self.x.precision),
            "s": d_s,
            "alpha": summed(d_alpha, shape),
            "delta": summed(d_delta, shape),
            "r": summed(d_r, shape),
        }


def _either_way(x: Running, other: Running, where: NDArray[np.bool_] | bool = True) -> Running:
    """One value computed in either of two forms, the other only ``where`` it does not cancel: the larger error."""
    return Running(x.value, np.where(where, np.maximum(x.error, other.error), x.error), x.precision)


def _reformed(x: Running) -> Running:
    return x.rounded(x.value, x.error, EXTRA)
