"""Batch normalisation over batch and time, in training and in evaluation: values, adjoints, and what rounds in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from parity.oracle import compression
from parity.oracle.arrays import Array

EPS, MOMENTUM = 1e-5, 0.1  # torch.nn.BatchNorm1d's, which the published implementation takes
TIME = (0, 2)


@dataclass(frozen=True)
class Normalised:
    """The norm of ``x`` [B, C, T], by the statistics of x itself or by running ones, and one step of the latter.

    Attributes:
        x: the input.
        state: ``weight``, ``bias``, ``running_mean`` and ``running_var``, [C] each.
        training: which statistics.
    """

    x: Array
    state: Mapping[str, Array]
    training: bool

    @property
    def mean(self) -> Array:
        """[1, C, 1]"""
        return _mean(self.x) if self.training else self.column("running_mean")

    @property
    def scale(self) -> Array:
        """1 / sqrt(var + eps), [1, C, 1]; the variance is the biased one."""
        variance = self.x.var(axis=TIME, keepdims=True) if self.training else self.column("running_var")
        return np.asarray(1 / np.sqrt(variance + EPS))

    @property
    def unit(self) -> Array:
        """Before weight and bias."""
        return (self.x - self.mean) * self.scale

    def value(self) -> Array:
        """The result, [B, C, T]."""
        if self.training:
            return compression.standardise(self.x, self.column("weight"), self.column("bias"), EPS, TIME)
        return self.unit * self.column("weight") + self.column("bias")

    def adjoint(self, d: Array) -> tuple[Array, Array, Array]:
        """Cotangent [B, C, T] to those of x, weight and bias."""
        if self.training:
            return compression.standardise_adjoint(self.x, self.column("weight"), EPS, TIME, d)
        return d * self.column("weight") * self.scale, (d * self.unit).sum(axis=TIME), d.sum(axis=TIME)

    def updated(self) -> tuple[Array, Array]:
        """Running mean and variance after this forward pass in training: the unbiased variance, by momentum."""
        n = self.x[:, 0].size
        mean, variance = self.x.mean(axis=TIME), self.x.var(axis=TIME) * n / (n - 1)
        old_mean, old_variance = self.state["running_mean"], self.state["running_var"]
        return old_mean + MOMENTUM * (mean - old_mean), old_variance + MOMENTUM * (variance - old_variance)

    def sizes(self) -> Array:
        """The absolute terms of the value: of the unit, of what the deviation makes of theirs, and the bias."""
        unit = size = self._absolute()
        if self.training:
            size = size + np.abs(self.unit) * _mean(np.abs(self.unit) * unit)
        return np.asarray(self.column("weight") * size + np.abs(self.column("bias")))

    def moved(self, error: Array) -> Array:
        """How far the value moves where x is off by up to ``error`` [B, C, T]."""
        return np.asarray(self.column("weight") * self._moved_unit(error))

    def adjoint_sizes(self, d: Array) -> tuple[Array, Array, Array]:
        """The absolute terms of :meth:`adjoint`."""
        size, unit = np.abs(d), self._absolute()
        d_weight, d_bias = (size * unit).sum(axis=TIME), size.sum(axis=TIME)
        if self.training:
            size = size + _mean(size) + unit * _mean(size * unit)
        return np.asarray(self.column("weight") * self.scale * size), d_weight, d_bias

    def adjoint_moved(self, d: Array, error: Array) -> tuple[Array, Array, Array]:
        """How far :meth:`adjoint` moves where x is off by up to ``error`` [B, C, T]."""
        size, unit, d_unit = np.abs(d), np.abs(self.unit), self._moved_unit(error)
        d_weight, d_bias = (size * d_unit).sum(axis=TIME), np.zeros(d.shape[1])
        if not self.training:
            return np.zeros_like(d), d_weight, d_bias
        shared = _mean(size * unit)
        d_scale = _mean(unit * self.scale * error)  # relative
        d_x = d_scale * (size + _mean(size) + unit * shared) + d_unit * shared + unit * _mean(size * d_unit)
        return np.asarray(self.column("weight") * self.scale * d_x), d_weight, d_bias

    def column(self, name: str) -> Array:
        """One of the state's arrays, [1, C, 1]."""
        return np.asarray(self.state[name])[np.newaxis, :, np.newaxis]

    def _moved_unit(self, error: Array) -> Array:
        """By its own value, by the mean, and by the deviation."""
        off = self.scale * error
        if not self.training:
            return np.asarray(off)
        unit = np.abs(self.unit)
        return np.asarray(off + _mean(off) + unit * _mean(unit * off))

    def _absolute(self) -> Array:
        return np.asarray((np.abs(self.x) + np.abs(self.mean)) * self.scale)


def _mean(x: Array) -> Array:
    return np.asarray(x.mean(axis=TIME, keepdims=True))
