"""Filters without a formula: free, of norm 1, the pre-emphasis; a bias, and the penalties on kernels.

Source: ``leaf_audio/convolution.py``; ``tf.keras.constraints.UnitNorm`` and ``tf.keras.regularizers``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.oracle import correlation
from parity.oracle.arrays import Array, exact
from parity.oracle.chain import BoundedStage, Chain, RunningChain, Stage
from parity.oracle.running import Running

EPSILON = 1e-7  # ``tf.keras.backend.epsilon()``


def unit_norm(kernels: Array) -> Array:
    """``h / (1e-7 + |h|)``: kernels [C, W]."""
    h = exact(kernels)
    return np.asarray(h / (EPSILON + np.sqrt(np.sum(h**2, axis=1, keepdims=True))))


def unit_norm_adjoint(kernels: Array, d: Array, rounded: Callable[[Array], Array] = exact) -> Array:
    """Adjoint of :func:`unit_norm`; the norm of a kernel of zeros counts as constant, as in TensorFlow.

    ``rounded`` is applied to the terms of a difference that may cancel: what lies along the kernel changes nothing.
    """
    norm = np.sqrt(np.sum(kernels**2, axis=1, keepdims=True))
    along = np.sum(d * kernels, axis=1, keepdims=True)
    through = np.where(norm == 0, 0.0, along / np.where(norm == 0, 1.0, norm))
    return np.asarray((rounded(d) - rounded(kernels * through / (EPSILON + norm))) / (EPSILON + norm))


def penalty(values: Array, l1: float, l2: float) -> Array:
    """``l1 sum |w| + l2 sum w^2``."""
    w = exact(values)
    return np.asarray(l1 * np.sum(np.where(w.real < 0, -w, w)) + l2 * np.sum(w**2))


def penalty_adjoint(values: Array, l1: float, l2: float) -> Array:
    """Gradient of :func:`penalty`; that of the absolute value is 0 at 0."""
    return np.asarray(l1 * np.sign(values) + 2 * l2 * values)


@dataclass(frozen=True)
class FreeConv(Stage):
    """Convolve a mono signal with free filters, variable [W, 1, C]."""

    name: str
    stride: int
    padding: str

    def apply(self, c: Chain) -> None:
        filters = c.variable(self.name)[:, 0].T
        correlation.apply(c, filters, self.stride, self.padding, lambda d: c.set_gradient(self.name, d.T))


@dataclass(frozen=True)
class NormalisedConv(FreeConv):
    """Convolve a mono signal with free filters, divided by their norm."""

    def apply(self, c: Chain) -> None:
        held = c.variable(self.name)[:, 0].T

        def learn(d: Array) -> None:
            c.set_gradient(self.name, unit_norm_adjoint(held, d, c.rounded).T)

        correlation.apply(c, c.rounded(unit_norm(held)), self.stride, self.padding, learn)


@dataclass(frozen=True)
class Preemphasis(BoundedStage):
    """Non-causal pre-emphasis ``k[0] x[n] + k[1] x[n+1]``, variable [2, 1, 1].

    TensorFlow's SAME pads two taps on the right.
    """

    name: str

    def apply(self, c: Chain) -> None:
        FreeConv(self.name, 1, "same").apply(c)

    def bound(self, c: RunningChain) -> None:
        x, two = c.x, c.variable(self.name).reshape(2)
        ahead = x.arranged(lambda a: np.pad(a[..., 1:], ((0, 0), (0, 0), (0, 1))))

        def adjoint(d: Running) -> Running:
            c.set_gradient(
                self.name, Running.stack([(d * source).sum((0, 1, 2)).reformed() for source in (x, ahead)], 0)
            )
            behind = d.arranged(lambda a: np.pad(a[..., :-1], ((0, 0), (0, 0), (1, 0))))
            return (two[0] * d + two[1] * behind).reformed()

        c.then(two[0] * x + two[1] * ahead, adjoint)


@dataclass(frozen=True)
class Bias(Stage):
    """An offset for each channel, variable [C]."""

    name: str

    def apply(self, c: Chain) -> None:
        held = c.variable(self.name)

        def adjoint(x: Array, d: Array) -> Array:
            c.set_gradient(self.name, d.sum(axis=(0, 2)))
            return d

        c.then(lambda x: x + held[:, np.newaxis], adjoint)
