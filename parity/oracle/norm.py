"""Instance normalisation (the original's ``mean_var_norm``) and EfficientLEAF's log, median and batch normalisation."""

from __future__ import annotations

import numpy as np

from parity.oracle.arrays import Array, exact


def standardise(x: Array, gamma: Array, beta: Array, eps: float, axes: tuple[int, ...]) -> Array:
    """``gamma (x - mean) / sqrt(var + eps) + beta`` with the biased variance over ``axes``; gamma, beta broadcast.

    Over time (``axes=(2,)``) this is instance normalisation; over batch and time, batch normalisation in training.
    """
    x = exact(x)
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = (centred**2).mean(axis=axes, keepdims=True)
    return np.asarray(gamma * centred / np.sqrt(variance + eps) + beta)


def standardise_adjoint(
    x: Array, gamma: Array, eps: float, axes: tuple[int, ...], d: Array
) -> tuple[Array, Array, Array]:
    """Adjoint of :func:`standardise`: cotangent of x's shape to (d_x, d_gamma, d_beta), the last two per channel."""
    centred = x - x.mean(axis=axes, keepdims=True)
    scale = 1 / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps)
    unit = centred * scale
    d_unit = d * gamma
    d_x = scale * (
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
    """Where along time the lower median stands: x [B, C, F] -> [B, C, 1] (``torch.median``'s convention)."""
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
