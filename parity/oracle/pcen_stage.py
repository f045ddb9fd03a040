"""PCEN and its smoother as stages of a chain, with the roundings of the two differences in it."""

from __future__ import annotations

import numpy as np

from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.chain import Chain
from parity.oracle.pcen import normalise, normalise_adjoint, smoother, smoother_adjoint


def moving_average(c: Chain, smooth: str, initial: str) -> None:
    """``m[t] = w x[t] + (1 - w) m[t-1]`` from a state that is itself a variable, [B, C]; variable w [C] or [1].

    Source: ``ExponentialMovingAverage`` in ``leaf_audio/postprocessing.py``.
    """
    held, state = c.variable(smooth), c.variable(initial)
    w = clamp(held, 0.0, 1.0)

    def walked(x: Array) -> Array:
        """The smoother starts from its first frame, so the state goes before it, and its own frame is dropped."""
        return smoother(np.concatenate([state[..., np.newaxis], x], axis=-1), w, 1 - w)[..., 1:]

    def adjoint(x: Array, d: Array) -> Array:
        whole = np.concatenate([state[..., np.newaxis], x], axis=-1)
        d_whole, d_in, d_back = smoother_adjoint(whole, w, 1 - w, np.pad(d, ((0, 0), (0, 0), (1, 0))))
        d_w = d_in - d_back + c.noise(d_in) - c.noise(d_back)
        c.learned(smooth, clamp_adjoint(held, _shared(d_w, held), 0.0, 1.0))
        c.learned(initial, d_whole[..., 0])
        return d_whole[..., 1:]

    c.then(walked, adjoint)


def pcen(c: Chain, prefix: str, eps: float, learned_smooth: bool) -> None:
    """``(x / (eps + m)^alpha + delta)^(1 / root) - delta^(1 / root)`` with alpha at most 1 and root at least 1.

    Variables, after ``prefix``: ``alpha``, ``delta``, ``root`` [C], and ``EMA/smooth`` [C] or [1], or the matrices of
    ``simple_rnn/simple_rnn_cell``, which are diagonal. Source: ``PCENLayer`` in ``leaf_audio/postprocessing.py``.
    """
    names = {name: prefix + name for name in ("alpha", "delta", "root")}
    held = {name: c.variable(full) for name, full in names.items()}
    alpha, delta, root = clamp(held["alpha"], high=1.0), held["delta"], clamp(held["root"], low=1.0)
    eps = float(c.moved(eps))
    r = c.moved(1 / root)
    smooth = exact(np.zeros(1))
    if learned_smooth:
        smooth = c.variable(prefix + "EMA/smooth")
        gain_in = clamp(smooth, 0.0, 1.0)
        gain_back = c.moved(1 - gain_in)
    else:
        cell = prefix + "simple_rnn/simple_rnn_cell/"
        gain_in, gain_back = (np.diag(c.variable(cell + name)) for name in ("kernel", "recurrent_kernel"))

    def smoothed(x: Array) -> Array:
        """The smoother. A rounding at each frame decays as its state does; a gain may be the power of a logarithm."""
        m = smoother(x, gain_in, gain_back)
        if not c.is_moved:
            return m
        m = c.moved(m)
        m = m + smoother(c.noise(m), np.ones(1), gain_back)
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(eps + m)
        return np.asarray(m + c.noise(np.where(np.isfinite(log), m * log, 0.0)))

    def lost(x: Array, m: Array, d: Array) -> tuple[Array, ...]:
        """The roundings of the sums that are gradients to alpha, delta and r, in either form of the root: a difference
        of powers, or ``delta^r expm1(r log1p(v / delta))``, whose derivative to delta has two terms that nearly cancel
        where v is far above delta."""
        if not c.is_moved:
            return (np.zeros(()),) * 3
        a, rest, s = (p[:, np.newaxis] for p in (alpha, delta, r))
        gain = (eps + m) ** -a
        v = x * gain
        w = v + rest
        to_alpha = d * s * w ** (s - 1) * v * np.log(eps + m)
        to_delta = [d * s * w ** (s - 1), d * s * rest ** (s - 1)]
        to_delta += [d * s / rest * (w**s - rest**s), d * s * w ** (s - 1) * v / rest]
        to_r = [d * w**s * np.log(w), d * rest**s * np.log(rest)]
        to_r += [d * (w**s - rest**s) * np.log(rest), d * w**s * np.log1p(v / rest)]
        return tuple(np.asarray(sum(c.lost(t, (0, 2)) for t in terms)) for terms in ([to_alpha], to_delta, to_r))

    def forward(x: Array) -> Array:
        out = normalise(x, smoothed(x), alpha, delta, r, eps)
        rest = (delta**r)[:, np.newaxis]
        return np.asarray(out + c.noise(out + rest) - c.noise(rest))

    def adjoint(x: Array, d: Array) -> Array:
        m = smoothed(x)
        d_x, d_m, *slopes = normalise_adjoint(x, m, alpha, delta, r, eps, d)
        d_alpha, d_delta, d_r = (slope + own for slope, own in zip(slopes, lost(x, m, d), strict=True))
        c.learned(names["alpha"], clamp_adjoint(held["alpha"], d_alpha, high=1.0))
        c.learned(names["delta"], d_delta)
        c.learned(names["root"], clamp_adjoint(held["root"], -d_r / root**2, low=1.0))
        d_smoothed, d_in, d_back = smoother_adjoint(x, gain_in, gain_back, c.moved(d_m))
        if learned_smooth:
            d_w = d_in - d_back + c.noise(d_in) - c.noise(d_back)
            c.learned(prefix + "EMA/smooth", clamp_adjoint(smooth, _shared(d_w, smooth), 0.0, 1.0))
        return np.asarray(d_x + c.noise(d_x) + d_smoothed + c.noise(d_smoothed))

    c.then(forward, adjoint)


def _shared(d: Array, held: Array) -> Array:
    """A gradient for each channel, or their sum where all share one value."""
    return d.sum(keepdims=True) if len(held) == 1 else d
