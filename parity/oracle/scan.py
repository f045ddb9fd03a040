"""PCEN over any number of frames, its smoother a scan over pairs of them: values, adjoint and running error.

``h[t] = a h[t-1] + v[t]`` by odd-even reduction: two frames become one, ``v[2i+1] + a v[2i]``, with the factor squared;
the half as many frames are solved the same way, and the frames left out follow, ``h[2i] = v[2i] + a h[2i-1]``.

**Counting.** Take the term ``a^k v[t-k]`` of ``h[t]`` and let L be its lag at a level, ``L = k`` at the first. Going up
a level costs it an addition, and a product where its place is even. Coming down costs ``h[t]`` an addition and a
product where t's place is even, else nothing. With both places even ``L`` becomes ``L/2 - 1``, otherwise
``floor(L/2)``. So of the ``J + 1`` levels, ``J = floor(log2 T)``, ::

    L >= 2, at most l = floor(log2 k) levels:  4 roundings and 2 factors each
    L = 1,  at most 1 level:                   3 roundings and 1 factor
    L = 0,  what is left of the J + 1:         1 rounding each

which is at most ``3 l + J + 3`` roundings and ``2 l + 1`` factors. The initial state is a term at t = -1 that only
comes down: ``l + 1`` levels with two roundings and a factor each, which is less.

**Factors.** Level 0 has ``1 - s``, one rounding. Level j has ``exp(2^j log|1 - s|)``: EXP roundings of its own, and the
logarithm's LOG, times its size; doubling is exact, and one more stands for what is small in the second order. A term's
factors multiply to ``a^k``, so their ``2^j`` add up to k. With ``lambda = |log|1 - s||`` the term is off by at most ::

    u (J + 3 + EXP + (3 + 2 EXP) log2 k + (LOG + 1) k lambda)

of itself. The logarithm is concave, so below any of its tangents: ``log2 k <= log2 K + (k - K) / (K ln 2)``. K is taken
at ``1 / lambda``, within [1, T]. That leaves ``u (c0 + c1 k)``, and two recurrences sum it over the terms:
``P = sum a^k |v|`` and ``Q = sum k a^k |v|``.

**Underflow.** A product may lose ``tiny``; those of all pairs of all levels add up to ``tiny (J + sum a^k)``, those on
the way down to ``tiny (J + 1)``. A factor that underflows is off by ``tiny`` where its level has a lag of one, twice a
level at most, times the largest P so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.oracle.arrays import Array, exact
from parity.oracle.running import EXP, LOG, Precision, Running

SECOND_ORDER = 1.01  # (1 + u)^n - 1 is more than n u: by n u / 2 of it, and n stays below 10^5 in float32
BLOCK, SEGMENT = 256, 1 << 18
# The oracle's own: extended precision where the machine has it.
OWN = float(np.finfo(np.longdouble).eps) / 2
STORED = 2.0**-53
# Of r log1p(v / delta): beyond it the root may be computed by subtracting delta^r, which costs two bits at most.
SUBTRACTED = 0.5


def recurrence(v: Array, a: NDArray[Any], initial: Array) -> Array:
    """``h[t] = a h[t-1] + v[t]``, ``h[-1] = initial``, in extended precision: v [..., C, T], a [C] or [1] -> like v.

    Blocks of frames side by side, then each block's start from the one before. A term of lag k passes at most
    ``4 k + 6`` roundings: a product, a sum and its share of a's error at every frame, and a few at every block.
    """
    shape = v.shape
    rows = v.reshape(-1, shape[-1])
    factor = np.broadcast_to(a.astype(np.longdouble), shape[:-1]).reshape(-1)
    state = np.broadcast_to(initial, shape[:-1]).reshape(-1).astype(np.longdouble)
    out = np.empty(rows.shape)
    block = min(BLOCK, shape[-1])
    powers = factor ** np.arange(1, block + 1, dtype=np.longdouble)[:, np.newaxis]
    for begin in range(0, shape[-1], SEGMENT):
        piece = rows[:, begin : begin + SEGMENT]
        n = piece.shape[1]
        n_blocks = -(-n // block)
        padded = np.pad(piece, ((0, 0), (0, n_blocks * block - n)))
        h = padded.reshape(-1, n_blocks, block).transpose(2, 0, 1).astype(np.longdouble)
        for i in range(1, block):
            h[i] += factor[:, np.newaxis] * h[i - 1]
        starts = np.empty((len(rows), n_blocks), dtype=np.longdouble)
        for b in range(n_blocks):
            starts[:, b] = state
            state = powers[-1] * state + h[-1, :, b]
        h += powers[:, :, np.newaxis] * starts
        state = h[(n - 1) % block, :, -1]
        out[:, begin : begin + n] = h.transpose(1, 2, 0).reshape(len(rows), -1)[:, :n]
    return out.reshape(shape)


def decayed(v: Running, s: Array, initial: Running) -> Running:
    """``h[t] = (1 - s) h[t-1] + v[t]`` as a scan: v [..., C, T], s [C] or [1] in (-1, 2), initial [..., C]."""
    s, n = exact(s), v.value.shape[-1]
    factor = 1 - s.astype(np.longdouble)
    size = np.abs(factor)
    with np.errstate(divide="ignore"):
        log = np.where(s < 1, np.log1p(-np.minimum(s, 1.0)), np.log(np.maximum(s, 1.0) - 1))
        tangent = np.clip(1 / np.abs(log), 1.0, n)
    log = np.where(s == 1, 0.0, np.abs(log))  # where only a lag of zero has any weight
    levels, per_octave = n.bit_length() - 1, 3 + 2 * EXP
    c0 = levels + 3 + EXP + per_octave * np.maximum(np.log2(tangent) - 1 / np.log(2), 0.0)
    c1 = (LOG + 1) * log + per_octave / (tangent * np.log(2))
    u, tiny = v.precision.u, v.precision.tiny
    value = recurrence(v.value, factor, initial.value)
    p = recurrence(v.size, size, initial.size)
    before = np.concatenate([initial.size[..., np.newaxis], p[..., :-1]], axis=-1)
    zero = np.zeros(value.shape[:-1])
    q = recurrence(size[..., np.newaxis].astype(np.float64) * before, size, zero)
    error = recurrence(v.error + 2 * tiny, size, initial.error)
    error += SECOND_ORDER * u * (c0[..., np.newaxis] * p + c1[..., np.newaxis] * q)
    error += tiny * (2 * levels + 4) * (1 + np.maximum.accumulate(before, axis=-1))
    error += 4 * OWN * (q + 2 * p) + STORED * p
    return Running(value, error, v.precision)


def average(x: Running, s: Array, initial: Running) -> Running:
    """The exponential moving average: x [..., C, T], s [C] or [1], initial [..., C] -> like x."""
    gain = Running.given(exact(s)[..., np.newaxis], x.precision)
    v = gain * x
    return decayed(Running(v.value, v.error + STORED * np.abs(v.value), x.precision), s, initial)


def average_adjoint(x: Running, s: Array, initial: Running, m: Running, d: Running) -> tuple[Running, Running, Running]:
    """Adjoint of :func:`average`: m from it, cotangent d [..., C, T], to (d_x, d_s of s's shape, d_initial).

    The states' cotangent is the same scan backwards, and d_s sums it times ``x[t] - M[t-1]``.
    """
    s = exact(s)
    zero = Running.given(np.zeros(d.value.shape[:-1]), d.precision)
    state = decayed(d[..., ::-1], s, zero)[..., ::-1]
    gain = Running.given(s[..., np.newaxis], d.precision)
    value, error = (
        np.concatenate([a[..., np.newaxis], b[..., :-1]], axis=-1)
        for a, b in ((initial.value, m.value), (initial.error, m.error))
    )
    terms = _twice(state * _twice(x - Running(value, error, d.precision)))
    back = Running.given(1 - s, d.precision, 2.0)
    return _twice(gain * state), summed(terms, s.shape), _twice(back * state[..., 0])


def summed(terms: Running, shape: tuple[int, ...]) -> Running:
    """Terms [..., C, T] summed to [C] or [1], the frames by blocks.

    Frames one after the other would cost a rounding each. A library adds them in blocks of blocks, PyTorch in four
    levels of at most 16 or twice the fourth root of their number, in up to 64 lanes that are then added.
    """
    n = terms.value.shape[-1]
    n_other = terms.value.size // n // (1 if shape == (1,) else shape[0])
    axes = tuple(range(terms.value.ndim - 2)) + ((-2, -1) if shape == (1,) else (-1,))
    count = 4 * max(16.0, 2 * n**0.25) + 64 + n_other
    value = np.asarray(terms.value.sum(axis=axes, dtype=np.longdouble), dtype=np.float64)
    error = terms.error.sum(axis=axes) + terms.precision.gamma(min(count, n * n_other)) * terms.size.sum(axis=axes)
    return Running(value.reshape(shape), error.reshape(shape) + STORED * np.abs(value).reshape(shape), terms.precision)


def _twice(x: Running) -> Running:
    """A rounding more: the oracle's own, which counts where it judges float64."""
    return x.rounded(x.value, x.error)


def given(x: object, dtype: str) -> Running:
    """Numbers that an implementation holds exactly, in the precision that it computes in."""
    return Running.given(x, Precision.of(dtype))


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
            d_scaled = (d * d_v).reformed()
            d_delta = (d * slope * tilted.monotone(np.expm1, EXP)).reformed()
            d_r = (d * _either_way(self.rest * near, far, self.far)).reformed()
            d_divisor = (-(d_scaled * (self.scaled / self.divisor))).reformed()
            d_base = (d_divisor * self.alpha * self.base.power(self.alpha - one)).reformed()
            d_alpha = (d_divisor * self.divisor * self.base.log()).reformed()
            through, d_s, d_first = average_adjoint(self.x, self.s, self.x[..., 0], self.m, d_base)
            d_x = (d_scaled / self.divisor + through).reformed()
        first = (d_x[..., 0] + d_first).reformed()
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
