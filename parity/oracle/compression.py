"""Everything after the pooling but PCEN: floor, logarithms, instance and layer norm, EfficientLEAF's median.

Source: ``leaf_audio/frontend.py``, ``leaf_audio/postprocessing.py``; EfficientLEAF section III-B.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.chain import BoundedStage, Chain, RunningChain, Stage
from parity.oracle.running import EXTRA, Running


def moments(
    x: Array, eps: float, axes: tuple[int, ...], rounded: Callable[[Array], Array] = exact
) -> tuple[Array, Array, Array]:
    """Mean over ``axes``, ``x - mean`` and ``1 / sqrt(var + eps)`` with the biased variance.

    ``rounded`` is applied to the mean and to the variance.
    """
    mean = rounded(x.mean(axis=axes, keepdims=True))
    centred = x - mean
    return mean, centred, 1 / np.sqrt(rounded((centred**2).mean(axis=axes, keepdims=True)) + eps)


def standardise(x: Array, gamma: Array, beta: Array, eps: float, axes: tuple[int, ...]) -> Array:
    """``gamma (x - mean) / sqrt(var + eps) + beta`` with the biased variance over ``axes``; gamma, beta broadcast.

    Over time (``axes=(2,)``) this is instance normalisation; over batch and time, batch normalisation in training.
    """
    _, centred, inverse = moments(exact(x), eps, axes)
    return np.asarray(gamma * centred * inverse + beta)


def standardise_adjoint(
    x: Array, gamma: Array, eps: float, axes: tuple[int, ...], d: Array
) -> tuple[Array, Array, Array]:
    """Adjoint of :func:`standardise`: cotangent of x's shape to (d_x, d_gamma, d_beta), the last two per channel."""
    _, centred, inverse = moments(x, eps, axes)
    unit = centred * inverse
    d_unit = d * gamma
    d_x = inverse * (
        d_unit - d_unit.mean(axis=axes, keepdims=True) - unit * (d_unit * unit).mean(axis=axes, keepdims=True)
    )
    return d_x, (d * unit).sum(axis=(0, 2)), d.sum(axis=(0, 2))


def log1p(x: Array, a: Array) -> Array:
    """``log(1 + 10^a x)``: x [B, C, F], a [C]. Source: EfficientLEAF section III-B."""
    return np.log1p(10.0 ** exact(a)[:, np.newaxis] * exact(x))


def log1p_adjoint(x: Array, a: Array, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`log1p`: cotangent [B, C, F] to (d_x [B, C, F], d_a [C])."""
    scale = 10.0 ** a[:, np.newaxis]
    inner = d * scale / (1 + scale * x)
    return inner, (inner * x * np.log(10.0)).sum(axis=(0, 2))


def median_index(x: Array) -> np.ndarray:
    """Index of the lower median over time (``torch.median``'s convention): x [B, C, F] -> [B, C, 1]."""
    middle = (x.shape[-1] - 1) // 2
    return np.asarray(np.argsort(exact(x).real, axis=-1, kind="stable")[..., middle : middle + 1])


def subtract_median(x: Array) -> Array:
    """x minus its lower median over time: [B, C, F] -> [B, C, F]."""
    x = exact(x)
    return x - np.take_along_axis(x, median_index(x), axis=-1)


def subtract_median_adjoint(x: Array, d: Array) -> Array:
    """Adjoint of :func:`subtract_median` where the median is attained once."""
    d_x = d.copy()
    index = median_index(x)
    total = d.sum(axis=-1, keepdims=True)
    np.put_along_axis(d_x, index, np.take_along_axis(d_x, index, axis=-1) - total, axis=-1)
    return d_x


@dataclass(frozen=True)
class Floor(BoundedStage):
    """At least ``low``; the gradient at it is 1."""

    low: float

    def apply(self, c: Chain) -> None:
        c.then(lambda x: clamp(x, low=self.low), lambda x, d: clamp_adjoint(x, d, low=self.low))

    def bound(self, c: RunningChain) -> None:
        x = c.x
        # where rounding decides on which side of the floor an implementation finds itself
        near = np.abs(x.value - self.low) <= x.error + 2 * x.precision.u * self.low
        c.then(x.clamped(low=self.low), lambda d: d.passed(x.value >= self.low, near))


@dataclass(frozen=True)
class Log(BoundedStage):
    """``log(x + offset)``."""

    offset: float

    def apply(self, c: Chain) -> None:
        offset = float(c.rounded(self.offset))
        c.then(lambda x: np.asarray(np.log(x + offset)), lambda x, d: np.asarray(d / (x + offset)))

    def bound(self, c: RunningChain) -> None:
        inner = c.x + c.given(self.offset, 1.0)
        c.then(inner.log(), lambda d: (d / inner).reformed())


@dataclass(frozen=True)
class LayerNorm(Stage):
    """Standardised over channels, scaled and shifted by variables [C]. Source: Keras' ``LayerNormalization``."""

    gamma: str
    beta: str
    eps: float
    axis = 1

    def apply(self, c: Chain) -> None:
        held, shift = c.variable(self.gamma)[:, np.newaxis], c.variable(self.beta)[:, np.newaxis]
        axis = self.axis

        def forward(x: Array) -> Array:
            mean, centred, inverse = moments(x, self.eps, (axis,), c.rounded)
            gain = held * inverse
            apart = c.noise(x * gain) - c.noise(mean * gain) if axis == 2 else 0.0
            return np.asarray(centred * gain + shift + apart)

        def adjoint(x: Array, d: Array) -> Array:
            mean, centred, inverse = moments(x, self.eps, (axis,), c.rounded)
            unit, d_unit = c.rounded(centred * inverse), c.rounded(d * held)
            along = (d_unit * unit).mean(axis=axis, keepdims=True)
            if axis == 2:
                n, scaled = x.shape[axis], d_unit * inverse
                along = along + (np.sum(c.noise(scaled * x) - c.noise(scaled * mean), axis=axis, keepdims=True)) / n
            apart = c.sum_error(d * x * inverse, (0, 2)) + c.sum_error(d * mean * inverse, (0, 2))
            c.set_gradient(self.gamma, np.sum(d * unit, axis=(0, 2)) + apart)
            c.set_gradient(self.beta, d.sum(axis=(0, 2)) + c.sum_error(d, (0, 2)))
            middle = c.rounded(d_unit.mean(axis=axis, keepdims=True))
            return np.asarray(inverse * (d_unit - middle - c.rounded(unit * c.rounded(along))))

        c.then(forward, adjoint)


@dataclass(frozen=True)
class InstanceNorm(LayerNorm, BoundedStage):
    """Standardised over time, scaled and shifted by variables [C].

    It is the original's ``x g + (beta - mean g)``, whose terms nearly cancel, as do those of the gradient to g.
    Source: ``tf.nn.batch_normalization``.
    """

    axis = 2

    def bound(self, c: RunningChain) -> None:
        """See :meth:`BoundedStage.bound`; the form that cancels counts, not the centred one."""
        x, n = c.x, c.x.value.shape[2]
        gamma, beta = c.column(self.gamma), c.column(self.beta)
        mean = x.mean(2)
        centred = x - mean
        variance = (centred * centred).mean(2)
        scale = (variance + c.given(self.eps, 1.0)).power(c.given(np.full(1, -0.5)))
        gain = scale * gamma
        out = centred * gain + beta
        apart = c.precision.u * (3 * gain.size * (x.size + mean.size) + beta.size)

        def adjoint(d: Running) -> Running:
            """The two means that are taken off nearly cancel, and their terms are counted apart."""
            unit = centred * scale
            c.set_gradient(self.gamma, (d * unit).sum((0, 2)).reformed())
            c.set_gradient(self.beta, d.sum((0, 2)))
            d = d * gamma
            spread = ((d - d.mean(2) - unit * (d * unit).mean(2)) * scale).reformed()
            # the form ``x gain + (beta - mean gain)`` sums d x and d mean apart before they cancel
            lost = (d.size * (mean.size + np.abs(centred.value)) * scale.size).sum(2, keepdims=True)
            lost = EXTRA * c.precision.gamma(n) * lost * scale.size * (unit.size / n + 1 / n)
            return Running(spread.value, spread.error + lost, c.precision)

        c.then(Running(out.value, out.error + apart, c.precision), adjoint)
