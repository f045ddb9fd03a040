"""Per-channel energy normalisation, the smoother, the gain and the root: value, adjoint and running error.

Source: PCEN (Wang et al. 2017); ``leaf_audio/postprocessing.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity.oracle import scan
from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.chain import BoundedStage, Chain, RunningChain, Stage
from parity.oracle.running import EXP, EXTRA, LOG, Running


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


def smoother_bound(x: Running, gain_in: Running, gain_back: Running) -> Running:
    """The smoother, frame by frame; counts the roundings of ``a x + b m`` and of ``m + a (x - m)``."""
    u, tiny = x.precision.u, x.precision.tiny
    lost = ~np.isfinite(x.error)  # nothing is promised of such a frame, nor of those behind it
    x = Running(x.value, np.where(lost, 0.0, x.error), x.precision)
    a, b = gain_in.size, np.abs(gain_back.value)
    b_error = gain_back.error
    value, error = np.empty(x.value.shape), np.empty(x.value.shape)
    state, state_error = x.value[..., 0], x.error[..., 0]
    own = np.abs(gain_in.value)[..., np.newaxis] * x.error + (gain_in.error[..., np.newaxis]) * x.size
    own = own + 3 * u * a[..., np.newaxis] * x.size + 3 * tiny  # two products and their sum
    factor = b_error + 3 * u * (a + b + b_error)
    for t in range(x.value.shape[-1]):
        state_error = own[..., t] + b * state_error + factor * (np.abs(state) + state_error)
        state = gain_in.value * x.value[..., t] + gain_back.value * state
        value[..., t], error[..., t] = state, state_error
    return Running(value, np.where(np.logical_or.accumulate(lost, axis=-1), np.inf, error), x.precision)


def either(
    loop: Running, by_scan: Callable[[Running, Array, Running], Running], x: Running, s: Array, initial: Running
) -> Running:
    """A moving average frame by frame, or by pairs of frames: the larger error of the two.

    The one-operation bound, which is no worst case, stays the loop's.
    """
    promised = np.isfinite(x.error)
    if np.isfinite(x.precision.longest) or not promised.all() or not np.all((s > -1) & (s < 2)):
        return loop
    return Running(loop.value, np.maximum(loop.error, by_scan(x, s, initial).error), x.precision)


def smoother_bound_adjoint(d: Running, gain_in: Running, gain_back: Running, by_scan: bool) -> tuple[Running, Running]:
    """Adjoint of :func:`smoother_bound`: cotangent to that of its input, and to that of the state at each frame."""
    zero = np.zeros((*d.value.shape[:-1], 1))
    flipped = d.arranged(lambda a: np.concatenate([zero, a[..., ::-1]], axis=-1))
    one = Running.given(np.ones(1), d.precision)
    state = smoother_bound(flipped, one, gain_back)[..., :0:-1]
    if by_scan:
        start = Running.given(np.zeros(d.value.shape[:-1]), d.precision)
        state = either(state[..., ::-1], scan.decayed, d[..., ::-1], gain_in.value, start)[..., ::-1]
    reached = state * gain_in.reshape(-1, 1)
    first = state[..., :1] * gain_back.reshape(-1, 1)  # the initial state is the first frame
    value, error = reached.value.copy(), reached.error.copy()
    value[..., :1] += first.value
    error[..., :1] += first.error + d.precision.u * (first.size + reached.size[..., :1])
    return Running(value, error, d.precision), state


@dataclass(frozen=True)
class MovingAverage(Stage):
    """``m[t] = w x[t] + (1 - w) m[t-1]`` from a state that is itself a variable.

    Attributes:
        smooth: of the variable w, [C] or [1].
        initial: of the state, [B, C].
    """

    smooth: str
    initial: str

    def apply(self, c: Chain) -> None:
        held, state = c.variable(self.smooth), c.variable(self.initial)
        w = clamp(held, 0.0, 1.0)

        def forward(x: Array) -> Array:
            """The smoother starts from its first frame, so the state goes before it, and its own frame is dropped."""
            return smoother(np.concatenate([state[..., np.newaxis], x], axis=-1), w, 1 - w)[..., 1:]

        def adjoint(x: Array, d: Array) -> Array:
            whole = np.concatenate([state[..., np.newaxis], x], axis=-1)
            d_whole, d_in, d_back = smoother_adjoint(whole, w, 1 - w, np.pad(d, ((0, 0), (0, 0), (1, 0))))
            d_w = d_in - d_back + c.noise(d_in) - c.noise(d_back)
            c.set_gradient(self.smooth, clamp_adjoint(held, _shared(d_w, held), 0.0, 1.0))
            c.set_gradient(self.initial, d_whole[..., 0])
            return d_whole[..., 1:]

        c.then(forward, adjoint)


@dataclass(frozen=True)
class Pcen(BoundedStage):
    """``(x / (eps + m)^alpha + delta)^(1 / root) - delta^(1 / root)`` with alpha at most 1 and root at least 1.

    Attributes:
        prefix: of the variables ``alpha``, ``delta``, ``root`` [C], and ``EMA/smooth`` [C] or [1], or the matrices of
            ``simple_rnn/simple_rnn_cell``, which are diagonal.
        eps: of the gain.
        learned_smooth: the smoother has ``EMA/smooth``.
        clip_smooth, delta_low: see :class:`parity.oracle.config.Conventions`.
    """

    prefix: str
    eps: float
    learned_smooth: bool
    clip_smooth: bool = True
    delta_low: float | None = None

    @property
    def _smooth_limits(self) -> tuple[float | None, float | None]:
        return (0.0, 1.0) if self.clip_smooth else (None, None)

    def apply(self, c: Chain) -> None:
        """See :meth:`Stage.apply`; the roundings of the two differences in it are made as well."""
        names = {name: self.prefix + name for name in ("alpha", "delta", "root")}
        held = {name: c.variable(full) for name, full in names.items()}
        alpha = clamp(held["alpha"], high=1.0)
        delta = clamp(held["delta"], low=self.delta_low)
        root = clamp(held["root"], low=1.0)
        eps = float(c.rounded(self.eps))
        r = c.rounded(1 / root)
        smooth = exact(np.zeros(1))
        if self.learned_smooth:
            smooth = c.variable(self.prefix + "EMA/smooth")
            gain_in = clamp(smooth, *self._smooth_limits)
            gain_back = c.rounded(1 - gain_in)
        else:
            cell = self.prefix + "simple_rnn/simple_rnn_cell/"
            gain_in, gain_back = (np.diag(c.variable(cell + name)) for name in ("kernel", "recurrent_kernel"))

        def smoothed(x: Array) -> Array:
            """A rounding at each frame decays as its state does; a gain may be the power of a logarithm."""
            m = smoother(x, gain_in, gain_back)
            if not c.rounds:
                return m
            m = c.rounded(m)
            m = m + smoother(c.noise(m), np.ones(1), gain_back)
            with np.errstate(divide="ignore", invalid="ignore"):
                log = np.log(eps + m)
            return np.asarray(m + c.noise(np.where(np.isfinite(log), m * log, 0.0)))

        def lost(x: Array, m: Array, d: Array) -> tuple[Array, ...]:
            """The roundings of the sums that are gradients to alpha, delta and r, in either form of the root.

            A difference of powers, or ``delta^r expm1(r log1p(v / delta))``, whose derivative to delta has two terms
            that nearly cancel where v is far above delta.
            """
            if not c.rounds:
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
            return tuple(
                np.asarray(sum(c.sum_error(t, (0, 2)) for t in terms)) for terms in ([to_alpha], to_delta, to_r)
            )

        def forward(x: Array) -> Array:
            m = smoothed(x)
            c.notes["ema"] = m
            out = normalise(x, m, alpha, delta, r, eps)
            if not c.rounds:
                return out
            rest = (delta**r)[:, np.newaxis]
            return np.asarray(out + c.noise(out + rest) - c.noise(rest))

        def adjoint(x: Array, d: Array) -> Array:
            m = smoothed(x)
            d_x, d_m, *slopes = normalise_adjoint(x, m, alpha, delta, r, eps, d)
            c.cotangents["ema"] = d_m
            d_alpha, d_delta, d_r = (slope + own for slope, own in zip(slopes, lost(x, m, d), strict=True))
            c.set_gradient(names["alpha"], clamp_adjoint(held["alpha"], d_alpha, high=1.0))
            c.set_gradient(names["delta"], clamp_adjoint(held["delta"], d_delta, low=self.delta_low))
            c.set_gradient(names["root"], clamp_adjoint(held["root"], -d_r / root**2, low=1.0))
            d_smoothed, d_in, d_back = smoother_adjoint(x, gain_in, gain_back, c.rounded(d_m))
            if self.learned_smooth:
                d_w = d_in - d_back + c.noise(d_in) - c.noise(d_back)
                d_smooth = clamp_adjoint(smooth, _shared(d_w, smooth), *self._smooth_limits)
                c.set_gradient(self.prefix + "EMA/smooth", d_smooth)
            return np.asarray(d_x + c.noise(d_x) + d_smoothed + c.noise(d_smoothed))

        c.then(forward, adjoint)

    def bound(self, c: RunningChain) -> None:
        x, one = c.x, c.given(np.ones(1))
        gain_in, gain_back = self._gains(c)
        ema = smoother_bound(x, gain_in, gain_back)
        if self.learned_smooth:
            ema = either(ema, scan.average, x, gain_in.value, x[..., 0])
        c.notes["ema"] = ema
        alpha = c.column(self.prefix + "alpha").clamped(high=1.0)
        delta = c.column(self.prefix + "delta").clamped(low=self.delta_low)
        root = c.column(self.prefix + "root").clamped(low=1.0)
        r = one / root
        m = c.given(self.eps, 1.0) + ema
        gain = m.power(-alpha)
        scaled = x * gain

        def adjoint(d: Running) -> Running:
            with np.errstate(all="ignore"):
                inner = scaled + delta
                slope = inner.power(r) / inner
                at_rest = delta.power(r) / delta
                d_inner = (d * r * slope).reformed()
                d_delta = (d * r * (slope - at_rest)).reformed()
                d_r = (d * (inner.power(r) * inner.log() - delta.power(r) * delta.log())).reformed()
                d_root = (-(d_r / (root * root))).reformed()
            d_gain = d_inner * x
            d_m = (-(d_gain * alpha * gain / m)).reformed()
            d_smoothed, d_state = smoother_bound_adjoint(d_m, gain_in, gain_back, self.learned_smooth)
            d_alpha = (-(d_gain * gain * m.log())).sum((0, 2)).reformed()
            sums = {"alpha": d_alpha, "delta": d_delta.sum((0, 2)), "root": d_root.sum((0, 2))}
            limits = {"alpha": (None, 1.0), "delta": (self.delta_low, None), "root": (1.0, None)}
            for name, slope in sums.items():
                c.set_gradient(self.prefix + name, slope.limited(c.variables[self.prefix + name], *limits[name]))
            if self.learned_smooth:
                self._learn_smooth(c, x, ema, d_state)
            return (d_inner * gain + d_smoothed).reformed()

        c.then(_rooted(scaled, delta, r, c.subtracts), adjoint)

    def _gains(self, c: RunningChain) -> tuple[Running, Running]:
        """Factors of the smoother's input and of its state, [C] or [1]."""
        if not self.learned_smooth:
            cell = self.prefix + "simple_rnn/simple_rnn_cell/"
            gain_in, gain_back = (c.given(np.diag(c.variables[cell + n])) for n in ("kernel", "recurrent_kernel"))
            return gain_in, gain_back
        s = c.variable(self.prefix + "EMA/smooth")
        if self.clip_smooth:
            s = s.clamped(0.0, 1.0)
        return s, c.given(np.ones(1)) - s

    def _learn_smooth(self, c: RunningChain, x: Running, m: Running, d_state: Running) -> None:
        """The gradient to s sums ``(x[t] - M[t-1])`` times the state's cotangent; the two may be summed apart."""
        name = self.prefix + "EMA/smooth"
        before = Running.concatenate([x[..., :1], m[..., :-1]], -1)
        n = x.value.shape[0] * x.value.shape[2]
        terms = (d_state * (x - before)).sum((0, 2))
        apart = ((x.size + before.size) * d_state.size).sum(axis=(0, 2))
        s = Running(terms.value, terms.error + (x.precision.gamma(n) + EXTRA * x.precision.u) * apart, x.precision)
        if len(c.variables[name]) != x.value.shape[1]:
            s = s.sum(0, keepdims=True)
        c.set_gradient(name, s.limited(c.variables[name], *self._smooth_limits))


def _rooted(scaled: Running, delta: Running, r: Running, subtracts: bool) -> Running:
    """``(scaled + delta)^r - delta^r``."""
    with np.errstate(all="ignore"):
        at_rest = delta.power(r)
        if subtracts:
            rooted = (scaled + delta).power(r) - at_rest
        else:
            rooted = at_rest * (r * (scaled / delta).monotone(np.log1p, LOG)).monotone(np.expm1, EXP)
        bare = scaled.power(r)
    zero = np.broadcast_to(delta.value == 0, rooted.value.shape)
    value, error = (np.where(zero, getattr(bare, name), getattr(rooted, name)) for name in ("value", "error"))
    return Running(value, error, scaled.precision)


def _shared(d: Array, held: Array) -> Array:
    """A gradient for each channel, or their sum where all share one value."""
    return d.sum(keepdims=True) if len(held) == 1 else d
