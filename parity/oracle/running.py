"""Propagate bounds on rounding errors, operation by operation: running-error arithmetic.

A :class:`Running` holds what an operation should give (from the float64 oracle) and how far a faithful implementation
may be off. Every operation adds its own roundings, counted, to what its operands bring along. The bounds are worst
cases; a faithful implementation can come near them, never beyond, while the assumptions below hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.oracle.arrays import Array, exact

# What autograd does more than an adjoint as it is written here: a product or two for each factor of a gradient.
EXTRA = 4.0
# Assumed of the elementary functions, in units of u. The libraries document one to two units in the last place, two to
# four u; the suite checks these figures on dense points.
EXP = 4.0  # relative, of exp and expm1
LOG = 4.0  # relative, of log and log1p
POWER = 4.0  # relative, of a power ...
POWER_BY_LOG = 3.0  # ... and |y log x| times this where it is computed as exp(y log x), as any library may
TRIGONOMETRIC = 4.0  # absolute, of sin and cos: an argument of hundreds is reduced first
# Taps below so many times the smallest normal number may be 0. Below 2^24 times it, half a step of 24-bit audio makes a
# tap subnormal; it is twice that, as an implementation decides by its own, rounded tap.
FLUSHED = 2.0**25


@dataclass(frozen=True)
class Precision:
    """Rounding of numbers and of sums.

    Attributes:
        u: half a unit in the last place of 1, of every result.
        accumulate: the same, of the sums of a convolution.
        tiny: what an underflow may lose: the smallest normal number, as denormals may be flushed.
        longest: a sum of more terms counts as this many roundings. 1 gives the one-operation bound: every operation
            rounds once, as if sums were exact.
    """

    u: float
    accumulate: float
    tiny: float
    longest: float = np.inf

    @classmethod
    def of(cls, dtype: str, one_operation: bool = False) -> Precision:
        """The precision of ``float32``, ``float64`` or ``bfloat16`` (which accumulates in float32)."""
        u = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8}[dtype]
        tiny = 2.0**-1022 if dtype == "float64" else 2.0**-126
        return cls(u, min(u, 2.0**-24), tiny, 1.0 if one_operation else np.inf)

    def gamma(self, n: float) -> float:
        """The relative error of a sum of ``n`` products, in any order, and of storing it: ``n u / (1 - n u)``."""
        total = min(n, self.longest) * self.accumulate
        return total / (1 - total) + (self.u if self.u > self.accumulate else 0.0)


@dataclass(frozen=True)
class Running:
    """Values and the largest errors that a faithful implementation may have made in them.

    Attributes:
        value: what should have been computed.
        error: not negative, of the value's shape; infinite where nothing can be promised.
        precision: of the operations to come.
    """

    value: Array
    error: Array
    precision: Precision

    @classmethod
    def given(cls, value: object, precision: Precision, roundings: float = 0.0) -> Running:
        """An input: exact, or a constant that was rounded."""
        array = np.asarray(exact(value), dtype=np.float64)
        return cls(array, roundings * precision.u * np.abs(array), precision)

    @classmethod
    def stack(cls, parts: Sequence[Running], axis: int) -> Running:
        """Parts of one shape side by side along a new axis."""
        value, error = (np.stack(list(arrays), axis=axis) for arrays in _apart(parts))
        return cls(value, error, parts[0].precision)

    @classmethod
    def concatenate(cls, parts: Sequence[Running], axis: int) -> Running:
        """Parts one after the other along an axis."""
        value, error = (np.concatenate(list(arrays), axis=axis) for arrays in _apart(parts))
        return cls(value, error, parts[0].precision)

    @property
    def size(self) -> Array:
        """The largest magnitude that the implementation may hold."""
        return np.abs(self.value) + self.error

    def rounded(self, value: Array, error: Array, n: float = 1.0) -> Running:
        """A result whose operands' errors come to ``error``, after ``n`` roundings of its own."""
        own = n * self.precision.u
        return Running(value, error + own * (np.abs(value) + error) + self.precision.tiny, self.precision)

    def reformed(self) -> Running:
        """A factor of a gradient that another implementation may form with a few operations more."""
        return self.rounded(self.value, self.error, EXTRA)

    def __neg__(self) -> Running:
        return Running(-self.value, self.error, self.precision)

    def __add__(self, other: Running) -> Running:
        return self.rounded(self.value + other.value, self.error + other.error)

    def __sub__(self, other: Running) -> Running:
        return self + (-other)

    def __mul__(self, other: Running) -> Running:
        error = np.abs(self.value) * other.error + self.error * other.size
        return self.rounded(self.value * other.value, error)

    def __truediv__(self, other: Running) -> Running:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = self.value / other.value
            error = (self.error + np.abs(value) * other.error) / (np.abs(other.value) - other.error)
        error = np.where(other.error < np.abs(other.value), error, np.inf)
        return self.rounded(value, error)

    def times(self, factor: object) -> Running:
        """A multiple by an exact factor that costs no rounding of its own (a power of two, a sign, a mask)."""
        f = exact(factor)
        return Running(self.value * f, self.error * np.abs(f), self.precision)

    def monotone(self, f: Callable[[Array], Array], assumed: float) -> Running:
        """A monotone function: the farther of its values at the two ends, and ``assumed`` roundings."""
        with np.errstate(all="ignore"):
            value = np.asarray(f(self.value))
            ends = [np.abs(np.asarray(f(self.value + way * self.error)) - value) for way in (-1, 1)]
        error = np.maximum(*ends)
        # what rounds below one part in 2^53 of the value shows in the derivative alone; a domain left is no promise
        return self.rounded(value, np.where(np.isnan(error), np.inf, error), assumed)

    def exp(self) -> Running:
        """The exponential."""
        with np.errstate(over="ignore"):
            value = np.exp(self.value)
            return self.rounded(value, value * np.expm1(self.error), EXP)

    def log(self) -> Running:
        """The natural logarithm of what is certainly positive."""
        with np.errstate(divide="ignore", invalid="ignore"):
            error = -np.log1p(-self.error / self.value)
        return self.rounded(np.log(self.value), np.where(self.error < self.value, error, np.inf), LOG)

    def power(self, exponent: Running) -> Running:
        """A power of what is certainly positive: ``exp(y log x)``, whichever way it is computed."""
        with np.errstate(all="ignore"):
            log_error = -np.log1p(-self.error / self.value)
            log = np.log(self.value)
            product = np.abs(exponent.value) * log_error + exponent.error * (np.abs(log) + log_error)
            value = self.value**exponent.value
            error = value * np.expm1(product)
        promised = (self.error < self.value) & ~np.isnan(error)
        n = POWER + POWER_BY_LOG * np.abs(exponent.value * log)
        own = n * self.precision.u
        error = np.where(promised, error + own * (value + error) + self.precision.tiny, np.inf)
        return Running(value, error, self.precision)

    def cos_sin(self) -> tuple[Running, Running]:
        """Cosine and sine."""
        own = self.error + TRIGONOMETRIC * self.precision.u + self.precision.tiny
        return tuple(Running(f(self.value), own, self.precision) for f in (np.cos, np.sin))  # type: ignore[return-value]

    def flushed(self) -> Running:
        """Taps of a filter: for one below ``FLUSHED`` smallest normal numbers, so much may be lost as those come to."""
        least = FLUSHED * self.precision.tiny
        small = np.abs(self.value) - self.error < least
        return Running(self.value, self.error + np.where(small, least, 0.0), self.precision)

    def clamped(self, low: float | None = None, high: float | None = None) -> Running:
        """Limited to constants that are themselves rounded: a few operations make them."""

        def limit(x: Array) -> Array:
            x = x if low is None else np.maximum(x, low)
            return x if high is None else np.minimum(x, high)

        value = limit(self.value)
        error = np.maximum(limit(self.value + self.error) - value, value - limit(self.value - self.error))
        is_limited = value != self.value
        return Running(value, error + np.where(is_limited, 4 * self.precision.u * np.abs(value), 0.0), self.precision)

    def sum(self, axis: int | tuple[int, ...], keepdims: bool = False) -> Running:
        """The sum along axes, in any order."""
        axes = (axis,) if isinstance(axis, int) else axis
        n = int(np.prod([self.value.shape[a] for a in axes]))
        error = self.error.sum(axis=axes, keepdims=keepdims)
        terms = self.size.sum(axis=axes, keepdims=keepdims)
        return Running(
            self.value.sum(axis=axes, keepdims=keepdims), error + self.precision.gamma(n) * terms, self.precision
        )

    def mean(self, axis: int) -> Running:
        """The mean along an axis that stays: a sum, divided or multiplied by a reciprocal that is rounded itself.

        The roundings of the sum are counted in full, in a one-operation bound too: of equal values they all go one
        way, and taken off these values the mean leaves nothing but them.
        """
        every = Running(self.value, self.error, replace(self.precision, longest=np.inf))
        total = every.sum(axis, keepdims=True).times(1 / self.value.shape[axis])
        return replace(total.rounded(total.value, total.error, 2.0), precision=self.precision)

    def arranged(self, f: Callable[[Array], Array]) -> Running:
        """Values and errors put elsewhere, or padded with exact zeros: nothing is computed."""
        return Running(f(self.value), f(self.error), self.precision)

    def reshape(self, *shape: int) -> Running:
        """Another shape."""
        return self.arranged(lambda a: a.reshape(shape))

    def __getitem__(self, index: Any) -> Running:
        return self.arranged(lambda a: a[index])

    def passed(self, open_: NDArray[np.bool_], uncertain: NDArray[np.bool_]) -> Running:
        """A gradient behind a limit: kept where open, dropped where not, and either where that is uncertain."""
        value = np.where(open_, self.value, 0.0)
        return Running(value, np.where(uncertain, self.size, np.where(open_, self.error, 0.0)), self.precision)

    def limited(self, parameter: Array, low: float | None, high: float | None) -> Running:
        """The gradient to a clamped parameter. The limit is a rounded constant: on it, either side is faithful."""
        open_ = np.ones(parameter.shape, dtype=bool)
        uncertain = np.zeros(parameter.shape, dtype=bool)
        for limit, inside in ((low, np.greater_equal), (high, np.less_equal)):
            if limit is not None:
                open_ &= inside(parameter, limit)
                uncertain |= np.abs(parameter - limit) <= 4 * self.precision.u * abs(limit)
        return self.passed(open_, uncertain)


def _apart(parts: Sequence[Running]) -> tuple[list[Array], list[Array]]:
    return [part.value for part in parts], [part.error for part in parts]


def bilinear(f: Callable[[Array, Array], Array], a: Running, b: Running, value: Array, n: float) -> Running:
    """A sum of ``n`` products of two operands.

    Args:
        f: the sum of products for operands that are not negative, rounded up if at all.
        a, b: the operands.
        value: the result for their values.
        n: terms of a sum.
    """
    gamma = a.precision.gamma(n)
    size = b.size
    error = f(np.abs(a.value), b.error + gamma * size)
    if np.any(a.error) or not np.all(np.isfinite(size)):  # of an exact operand, as audio is, the second sum is 0
        error = error + f(a.error, (1 + gamma) * size)
    return Running(value, error + n * a.precision.tiny, a.precision)
