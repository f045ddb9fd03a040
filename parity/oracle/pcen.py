"""Per-channel energy normalisation: the smoother, the gain and the root."""

from __future__ import annotations

import numpy as np

from parity.oracle.arrays import Array, exact


def smoother(x: Array, gain_in: Array, gain_back: Array) -> Array:
    """``M[t] = gain_in x[t] + gain_back M[t-1]`` with ``M[-1] = x[0]``: x [B, C, F], gains [C] or [1] -> [B, C, F].

    The exponential moving average has ``gain_in = s`` and ``gain_back = 1 - s``; the original's fixed smoother
    rounds the two on their own, which is why they are two arguments.
    Source: ``ExponentialMovingAverage`` and ``PCENLayer.call`` in ``leaf_audio/postprocessing.py``.
    """
    x, gain_in, gain_back = exact(x), exact(gain_in), exact(gain_back)
    out = np.empty(x.shape, dtype=np.result_type(x, gain_in, gain_back))
    state = x[..., 0]
    for t in range(x.shape[-1]):
        state = gain_in * x[..., t] + gain_back * state
        out[..., t] = state
    return out


def smoother_adjoint(x: Array, gain_in: Array, gain_back: Array, d: Array) -> tuple[Array, Array, Array]:
    """Adjoint of :func:`smoother`: cotangent [B, C, F] to (d_x [B, C, F], d_gain_in [C], d_gain_back [C])."""
    m = smoother(x, gain_in, gain_back)
    d_x = np.empty(x.shape)
    d_in = np.zeros(x.shape[:-1])
    d_back = np.zeros(x.shape[:-1])
    d_state = np.zeros(x.shape[:-1])
    for t in reversed(range(x.shape[-1])):
        d_state = d_state + d[..., t]
        d_x[..., t] = gain_in * d_state
        d_in += x[..., t] * d_state
        d_back += (m[..., t - 1] if t else x[..., 0]) * d_state
        d_state = gain_back * d_state
    d_x[..., 0] += d_state
    return d_x, d_in.sum(axis=0), d_back.sum(axis=0)


def _column(parameter: Array) -> Array:
    return exact(parameter)[:, np.newaxis]


def normalise(x: Array, m: Array, alpha: Array, delta: Array, r: Array, eps: float) -> Array:
    """``(x (eps + m)^-alpha + delta)^r - delta^r``: x and m [B, C, F], parameters [C] -> [B, C, F].

    Written as ``delta^r expm1(r log1p(v))`` with ``v = x (eps + m)^-alpha / delta``, which does not cancel.
    Source: PCEN (Wang et al. 2017) equation 1; ``PCENLayer.call`` in ``leaf_audio/postprocessing.py``.
    """
    alpha, delta, r = _column(alpha), _column(delta), _column(r)
    scaled = exact(x) * (eps + exact(m)) ** -alpha
    with np.errstate(divide="ignore", invalid="ignore"):
        rooted = delta**r * np.expm1(r * np.log1p(scaled / delta))
    return np.asarray(np.where(delta == 0, scaled**r, rooted))


def normalise_adjoint(
    x: Array, m: Array, alpha: Array, delta: Array, r: Array, eps: float, d: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Adjoint of :func:`normalise` for delta > 0: cotangent [B, C, F] to (d_x, d_m, d_alpha, d_delta, d_r)."""
    alpha, delta, r = _column(alpha), _column(delta), _column(r)
    gain = (eps + m) ** -alpha
    log_v = np.log1p(x * gain / delta)
    d_scaled = d * r * delta ** (r - 1) * np.exp((r - 1) * log_v)
    d_delta = d * r * delta ** (r - 1) * np.expm1((r - 1) * log_v)
    d_r = d * delta**r * (np.expm1(r * log_v) * np.log(delta) + np.exp(r * log_v) * log_v)
    d_gain = d_scaled * x
    return (
        d_scaled * gain,
        -d_gain * alpha * gain / (eps + m),
        np.sum(-d_gain * gain * np.log(eps + m), axis=(0, 2)),
        np.sum(d_delta, axis=(0, 2)),
        np.sum(d_r, axis=(0, 2)),
    )
