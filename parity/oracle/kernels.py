"""Kernels as they are limited, penalised and initialised: unit norm, L1 and L2, wavelets with a triangle's energy.

Source: ``leaf_audio/convolution.py`` and ``leaf_audio/melfilters.py``; ``tf.keras.constraints.UnitNorm`` and
``tf.keras.regularizers``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.oracle.arrays import Array, exact
from parity.oracle.gabor import gabor
from parity.oracle.mel import mel_matrix

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


def areas(triangles: Array, n_fft: int) -> Array:
    """Area under each mel triangle as the original takes it, its base two bins wider than what is above 0: [C]."""
    n_inside = np.sum(triangles > 0, axis=1)
    return np.asarray(triangles.max(axis=1) * (n_inside + 2) * np.pi / n_fft)


def triangles(
    n_filters: int, n_fft: int, sample_rate: float, min_freq: float, max_freq: float, normalize_energy: bool
) -> Array:
    """Mel triangles, each over its area where that is asked for: [C, n_fft // 2 + 1]."""
    matrix = mel_matrix(n_filters, n_fft // 2 + 1, sample_rate, min_freq, max_freq)
    return np.asarray(matrix / areas(matrix, n_fft)[:, np.newaxis]) if normalize_energy else matrix


def wavelets(params: Array, triangles: Array, n_fft: int, size: int) -> Array:
    """Gabor kernels with the energies of the triangles: params [C, 2] -> [C, 2, size], real part then imaginary."""
    gain = np.sqrt(areas(triangles, n_fft) * 2 * np.sqrt(np.pi) * params[:, 1])
    return np.asarray(gabor(params[:, 0], params[:, 1], size) * gain[:, np.newaxis, np.newaxis])


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
    """The same from the wavelets [C, 2, W] themselves; ``rounded`` is applied to terms that may cancel."""
    s = sigma[:, np.newaxis]
    along = rounded(d[:, 0] * values[:, 0] + d[:, 1] * values[:, 1])
    turned = rounded(d[:, 1] * values[:, 0]) - rounded(d[:, 0] * values[:, 1])
    d_t = np.sum(rounded(mu[:, np.newaxis] * turned) - rounded(along * t / s**2), axis=0)
    d_sigma = np.sum(rounded(along * t**2 / s**3), axis=1) - np.sum(rounded(along / s), axis=1)
    return d_t, np.sum(turned * t, axis=1), d_sigma
