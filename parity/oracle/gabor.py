"""Gabor wavelets: value, adjoint and running error, as functions and as a stage.

Source: LEAF section 3.1; ``leaf_audio/impulse_responses.py`` and ``GaborConv1D`` in ``leaf_audio/convolution.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.oracle import correlation
from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.chain import BoundedStage, Chain, RunningChain
from parity.oracle.geometry import Box
from parity.oracle.running import FLUSHED, Running


def wavelets_at(t: Array, mu: Array, sigma: Array) -> Array:
    """Gabor wavelets with a Gaussian of unit area at any times: t [W], mu and sigma [C] -> [C, 2, W]."""
    t, mu, s = exact(t), exact(mu)[:, np.newaxis], exact(sigma)[:, np.newaxis]
    envelope = np.exp(-(t**2) / (2 * s**2)) / (np.sqrt(2 * np.pi) * s)
    return np.stack([np.cos(mu * t) * envelope, np.sin(mu * t) * envelope], axis=1)


def wavelets_at_adjoint(
    t: Array, mu: Array, sigma: Array, d: Array, rounded: Callable[[Array], Array] = exact
) -> tuple[Array, Array, Array]:
    """Adjoint of :func:`wavelets_at`: cotangent [C, 2, W] to (d_t [W], d_mu [C], d_sigma [C])."""
    return wavelet_slopes(wavelets_at(t, mu, sigma), t, mu, sigma, d, rounded)


def wavelet_slopes(
    values: Array, t: Array, mu: Array, sigma: Array, d: Array, rounded: Callable[[Array], Array] = exact
) -> tuple[Array, Array, Array]:
    """Adjoint of :func:`wavelets_at`, from its values [C, 2, W]; ``rounded`` is applied to terms that may cancel."""
    s = sigma[:, np.newaxis]
    along = rounded(d[:, 0] * values[:, 0] + d[:, 1] * values[:, 1])
    turned = rounded(d[:, 1] * values[:, 0]) - rounded(d[:, 0] * values[:, 1])
    d_t = np.sum(rounded(mu[:, np.newaxis] * turned) - rounded(along * t / s**2), axis=0)
    d_sigma = np.sum(rounded(along * t**2 / s**3), axis=1) - np.sum(rounded(along / s), axis=1)
    return d_t, np.sum(turned * t, axis=1), d_sigma


def _times(size: int) -> Array:
    """``-(size // 2) .. (size - 1) // 2``."""
    return np.arange(-(size // 2), (size + 1) // 2, dtype=np.float64)


def gabor(mu: Array, sigma: Array, size: int) -> Array:
    """Gabor kernels with a Gaussian of unit area: [C, 2, size], real part then imaginary part.

    ``exp(i mu t) exp(-t^2 / (2 sigma^2)) / (sqrt(2 pi) sigma)`` for ``t = -(size // 2) .. (size - 1) // 2``.
    """
    return wavelets_at(_times(size), mu, sigma)


def gabor_adjoint(mu: Array, sigma: Array, size: int, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`gabor`: cotangent [C, 2, size] to (d_mu [C], d_sigma [C])."""
    return wavelets_at_adjoint(_times(size), mu, sigma, d)[1:]


@dataclass(frozen=True)
class GaborConv(BoundedStage):
    """Convolution with Gabor wavelets, real and imaginary part in turn: [B, 1, T] to [B, 2 C, frames].

    Attributes:
        name: of the variable [C, 2], mu and sigma.
        window: taps.
        stride: samples.
        padding: ``"same"``, ``"centered"`` or ``"valid"``.
        box: limits of the variable; LEAF's by default.
        by_frequency: the filters are sorted by their centres.
    """

    name: str
    window: int
    stride: int
    padding: str
    box: Box | None = None
    by_frequency: bool = False

    @property
    def _limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        box = self.box or Box.of_leaf(self.window)
        return (0.0, float(np.pi)), (box.sigma_low, box.sigma_high)

    def apply(self, c: Chain) -> None:
        held = exact(c.variables[self.name])
        mu, sigma = (clamp(held[:, i], *limits) for i, limits in enumerate(self._limits))
        order = np.argsort(mu.real, kind="stable") if self.by_frequency else np.arange(len(mu))
        # of a sigma, what it divides by is rounded once for all taps; of a mu, its limits alone
        mu, sigma = np.where(mu == held[:, 0], mu, c.rounded(mu))[order], c.rounded(sigma[order])
        t = _times(self.window)
        turn = c.noise(mu[:, np.newaxis] * t)[:, np.newaxis]  # a phase of hundreds of rad is rounded as a whole
        filters = gabor(mu, sigma, self.window)
        filters = c.rounded(filters + turn * np.stack([-filters[:, 1], filters[:, 0]], axis=1), FLUSHED)
        c.notes["filters"] = filters

        def learn(d: Array) -> None:
            c.cotangents["filters"] = d.reshape(filters.shape)
            slopes = wavelet_slopes(filters, t, mu, sigma, d.reshape(filters.shape), c.rounded)
            d_held = np.zeros(held.shape)
            d_held[order] = c.rounded(np.stack(slopes[1:], axis=1))
            for i, limits in enumerate(self._limits):
                d_held[:, i] = clamp_adjoint(held[:, i], d_held[:, i], *limits)
            c.set_gradient(self.name, d_held)

        correlation.apply(c, filters.reshape(-1, self.window), self.stride, self.padding, learn)

    def bound(self, c: RunningChain) -> None:
        (mu_low, mu_high), (sigma_low, sigma_high) = self._limits
        kernel = c.variable(self.name)
        mu = kernel[:, 0:1].clamped(mu_low, mu_high)
        sigma = kernel[:, 1:2].clamped(high=sigma_high).clamped(low=sigma_low)
        one, t = c.given(np.ones((1, 1))), c.given(_times(self.window)[np.newaxis])
        envelope = -((t * t).times(0.5) * (one / (sigma * sigma)))
        gaussian = one / (c.given(np.full((1, 1), np.sqrt(2 * np.pi)), 2.0) * sigma) * envelope.exp()
        filters = Running.stack([gaussian * part for part in (mu * t).cos_sin()], axis=1).flushed()
        c.notes["filters"] = filters

        def learn(d: Running) -> None:
            d = d.reshape(*filters.value.shape)
            (d_real, d_imaginary), (real, imaginary) = ((f[:, 0], f[:, 1]) for f in (d, filters))
            d_mu = (t * (d_imaginary * real - d_real * imaginary)).sum(1).reformed()
            # the two terms of the derivative to sigma are summed apart: together they may cancel
            along, ratio = d_real * real + d_imaginary * imaginary, t / sigma
            d_sigma = ((along * ratio * ratio / sigma).sum(1) - (along / sigma).sum(1)).reformed()
            found = [d_mu, d_sigma]
            held = exact(c.variables[self.name])
            limited = [slope.limited(held[:, i], *self._limits[i]) for i, slope in enumerate(found)]
            c.set_gradient(self.name, Running.stack(limited, axis=1))

        flat = filters.reshape(-1, self.window)
        correlation.bound(c, flat, self.stride, self.padding, learn)
