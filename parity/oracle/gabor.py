"""Gabor kernels and Gaussian pooling windows."""

from __future__ import annotations

import numpy as np

from parity.oracle.arrays import Array, exact


def gabor(mu: Array, sigma: Array, size: int) -> Array:
    """Gabor kernels with a Gaussian of unit area: [C, 2, size], real part then imaginary part.

    ``exp(i mu t) exp(-t^2 / (2 sigma^2)) / (sqrt(2 pi) sigma)`` for ``t = -(size // 2) .. (size - 1) // 2``.
    Source: LEAF section 3.1; ``leaf_audio/impulse_responses.py``.
    """
    mu, sigma = exact(mu)[:, np.newaxis], exact(sigma)[:, np.newaxis]
    t = np.arange(-(size // 2), (size + 1) // 2, dtype=np.float64)
    envelope = np.exp(-(t**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    return np.stack([np.cos(mu * t) * envelope, np.sin(mu * t) * envelope], axis=1)


def gabor_adjoint(mu: Array, sigma: Array, size: int, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`gabor`: cotangent [C, 2, size] to (d_mu [C], d_sigma [C])."""
    kernels = gabor(mu, sigma, size)
    t = np.arange(-(size // 2), (size + 1) // 2, dtype=np.float64)
    real, imaginary = kernels[:, 0], kernels[:, 1]
    d_mu = np.sum(t * (d[:, 1] * real - d[:, 0] * imaginary), axis=1)
    s = exact(sigma)[:, np.newaxis]
    d_sigma = np.sum((d[:, 0] * real + d[:, 1] * imaginary) * (t**2 / s**3 - 1 / s), axis=1)
    return d_mu, d_sigma


def gaussian_window(width: Array, size: int) -> Array:
    """Gaussian windows, peak 1: [C, size]; ``width`` is the sigma as a fraction of half the window.

    Source: ``gaussian_lowpass`` in ``leaf_audio/impulse_responses.py``. One sample is a window of 1: the formula
    of the original is 0/0 there.
    """
    width = exact(width)[:, np.newaxis]
    if size == 1:
        return np.ones_like(width)
    half = 0.5 * (size - 1)
    return np.asarray(np.exp(-0.5 * ((np.arange(size) - half) / (width * half)) ** 2))


def gaussian_window_adjoint(width: Array, size: int, d: Array) -> Array:
    """Adjoint of :func:`gaussian_window`: cotangent [C, size] to d_width [C]."""
    if size == 1:
        return np.zeros(len(width))
    half = 0.5 * (size - 1)
    w = exact(width)[:, np.newaxis]
    z = (np.arange(size) - half) / (w * half)
    return np.asarray(np.sum(d * gaussian_window(width, size) * z**2 / w, axis=1))
