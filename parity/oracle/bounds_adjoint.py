"""The adjoint of LEAF in running-error arithmetic: how far a faithful gradient may be from the oracle's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from parity.oracle import scan
from parity.oracle.arrays import Array, exact
from parity.oracle.bounds import Correlation
from parity.oracle.frontend import FLOOR, LOG_OFFSET
from parity.oracle.recurrence import either, smoothed
from parity.oracle.running import Running, bilinear

if TYPE_CHECKING:
    from parity.oracle.bounds import GroupBounds, LeafBounds

# What autograd does more than the adjoint as it is written here: a product or two for each factor of a gradient.
EXTRA = 4.0


def gradients(bounds: LeafBounds, cotangent: Array) -> dict[str, Running]:
    """Gradient of ``sum(cotangent * output)`` with its running errors, under the oracle's names and shapes."""
    out: dict[str, Running] = {}
    d = Running.given(exact(cotangent), bounds.precision)
    if bounds.oracle.config.mean_var_norm:
        d = _norm(bounds, d, out)
    d = _compression(bounds, d, out)
    pool = bounds.pool
    d = d.passed(pool.value >= FLOOR, _near(pool, FLOOR))
    kernels, widths, signals = zip(*(_group(group, bounds, d[:, group.chosen]) for group in bounds.bank), strict=True)
    out["kernel"] = _stacked(kernels)
    out["learnable_pooling/kernel"] = _stacked(widths).reshape(1, 1, -1, 1)
    signal = signals[0]
    for other in signals[1:]:
        signal = signal + other
    if bounds.oracle.config.preemp:
        signal = _preemphasis(bounds, signal, out)
    out["input"] = signal
    return out


def _near(x: Running, limit: float) -> NDArray[np.bool_]:
    """Where rounding decides on which side of a limit an implementation finds itself."""
    return np.asarray(np.abs(x.value - limit) <= x.error + 2 * x.precision.u * limit)


def _limited(x: Running, parameter: Array, low: float | None, high: float | None) -> Running:
    """The gradient to a clamped parameter. The limit is a rounded constant: on it, either side is faithful."""
    open_ = np.ones(parameter.shape, dtype=bool)
    uncertain = np.zeros(parameter.shape, dtype=bool)
    for limit, inside in ((low, np.greater_equal), (high, np.less_equal)):
        if limit is not None:
            open_ &= inside(parameter, limit)
            uncertain |= np.abs(parameter - limit) <= 4 * x.precision.u * abs(limit)
    return x.passed(open_, uncertain)


def _stacked(parts: tuple[Running, ...]) -> Running:
    value, error = (np.concatenate([getattr(p, name) for p in parts], axis=0) for name in ("value", "error"))
    return Running(value, error, parts[0].precision)


def _reformed(x: Running) -> Running:
    """A factor that another implementation may form with a few operations more."""
    return x.rounded(x.value, x.error, EXTRA)


def _norm(bounds: LeafBounds, d: Running, out: dict[str, Running]) -> Running:
    """Instance norm. The two means that are taken off nearly cancel, and their terms are counted apart."""
    n = d.value.shape[2]
    unit = bounds.centred * bounds.scale
    out["tfbanks_instancenorm/gamma"] = _sum_of_products(d, unit)
    out["tfbanks_instancenorm/beta"] = d.sum((0, 2))
    d = d * bounds.column("tfbanks_instancenorm/gamma")
    mean = d.mean(2)
    along = unit * (d * unit).mean(2)
    spread = _reformed((d - mean - along) * bounds.scale)
    # the form ``x gain + (beta - mean gain)`` sums d x and d mean apart before they cancel
    lost = (d.size * (bounds.mean.size + np.abs(bounds.centred.value)) * bounds.scale.size).sum(2, keepdims=True)
    lost = EXTRA * d.precision.gamma(n) * lost * bounds.scale.size * (unit.size / n + 1 / n)
    return Running(spread.value, spread.error + lost, d.precision)


def _sum_of_products(d: Running, x: Running) -> Running:
    """Over clips and frames, in whatever order: [B, C, F] twice to [C]."""
    return _reformed((d * x).sum((0, 2)))


def _compression(bounds: LeafBounds, d: Running, out: dict[str, Running]) -> Running:
    config, x = bounds.oracle.config, bounds.floor
    if config.compression == "none":
        return d
    if config.compression == "log":
        return _reformed(d / (x + bounds.constant(LOG_OFFSET)))
    alpha, delta, r = bounds.pcen_parameters()
    m = bounds.constant(config.pcen_floor) + bounds.tail["ema"]
    gain = m.power(-alpha)
    scaled = x * gain
    with np.errstate(all="ignore"):
        inner = scaled + delta
        slope = inner.power(r) / inner
        at_rest = delta.power(r) / delta
        d_inner = _reformed(d * r * slope)
        d_delta = _reformed(d * r * (slope - at_rest))
        grown, resting = inner.power(r) * inner.log(), delta.power(r) * delta.log()
        d_r = _reformed(d * (grown - resting))
        root = bounds.column("PCEN/root").clamped(low=1.0)
        d_root = _reformed(-(d_r / (root * root)))
    d_gain = d_inner * x
    d_m = _reformed(-(d_gain * alpha * gain / m))
    gain_in, gain_back = bounds.smoother_gains()
    d_smoothed, d_state = _smoother(d_m, gain_in, gain_back, config.compression == "pcen")
    v, limits = bounds.v, bounds.oracle.conventions
    d_alpha = -(d_gain * gain * m.log())
    out["PCEN/alpha"] = _limited(_reformed(d_alpha.sum((0, 2))), v["PCEN/alpha"], None, 1.0)
    out["PCEN/delta"] = _limited(d_delta.sum((0, 2)), v["PCEN/delta"], limits.delta_low, None)
    out["PCEN/root"] = _limited(d_root.sum((0, 2)), v["PCEN/root"], 1.0, None)
    if config.compression == "pcen":
        out["PCEN/EMA/smooth"] = _smooth_coefficient(bounds, x, d_state)
    return _reformed(d_inner * gain + d_smoothed)


def _smoother(d: Running, gain_in: Running, gain_back: Running, by_scan: bool) -> tuple[Running, Running]:
    """Back through the recursion: cotangent of M to that of its input, and that of the state at each frame."""
    zero = np.zeros((*d.value.shape[:-1], 1))
    flipped = d.arranged(lambda a: np.concatenate([zero, a[..., ::-1]], axis=-1))
    one = Running.given(np.ones(1), d.precision)
    state = smoothed(flipped, one, gain_back)[..., :0:-1]
    if by_scan:
        start = Running.given(np.zeros(d.value.shape[:-1]), d.precision)
        backwards = d[..., ::-1]
        state = either(state[..., ::-1], scan.decayed, backwards, gain_in.value, start)[..., ::-1]
    reached = state * gain_in.reshape(-1, 1)
    first = state[..., :1] * gain_back.reshape(-1, 1)  # the initial state is the first frame
    value, error = reached.value.copy(), reached.error.copy()
    value[..., :1] += first.value
    error[..., :1] += first.error + d.precision.u * (first.size + reached.size[..., :1])
    return Running(value, error, d.precision), state


def _smooth_coefficient(bounds: LeafBounds, x: Running, d_state: Running) -> Running:
    """The gradient to s sums ``(x[t] - M[t-1])`` times the state's cotangent; the two may also be summed apart."""
    m = bounds.tail["ema"]
    value, error = (np.concatenate([a[..., :1], b[..., :-1]], -1) for a, b in ((x.value, m.value), (x.error, m.error)))
    before = Running(value, error, x.precision)
    n = x.value.shape[0] * x.value.shape[2]
    terms = (d_state * (x - before)).sum((0, 2))
    apart = ((x.size + before.size) * d_state.size).sum(axis=(0, 2))
    s = Running(terms.value, terms.error + (x.precision.gamma(n) + EXTRA * x.precision.u) * apart, x.precision)
    if not bounds.oracle.config.per_channel_smooth:
        s = s.sum(0, keepdims=True)
    limits = (0.0, 1.0) if bounds.oracle.conventions.clip_smooth else (None, None)
    return _limited(s, bounds.v["PCEN/EMA/smooth"], *limits)


def _group(group: GroupBounds, bounds: LeafBounds, d: Running) -> tuple[Running, Running, Running]:
    """The gradients to (mu, sigma) [K, 2], to the pooling widths [K] and to the signal [B, T]."""
    precision = bounds.precision
    d_energy = _to_signal(group.pooling, d, group.windows)
    d_windows = _to_window(group.pooling, d, group.modulus)
    # each window's own gradient: exp' is the window, the argument's derivative is z^2 / width
    d_width = d_windows * group.windows * group.z * group.z / group.width
    d_width = _reformed(d_width.sum(1)).times(group.scale)
    box, group_box = group.geometry.box, slice(group.chosen.start, group.chosen.stop)
    width = bounds.v["learnable_pooling/kernel"].reshape(-1)[group_box]
    d_width = _limited(d_width, width, box.width_low, 0.5)

    expanded = d_energy.reshape(*d_energy.value.shape[:2], 1, -1)
    d_conv = _reformed(expanded.times(2.0) * group.conv)
    signal = bounds.signal
    broadcast = signal.reshape(signal.value.shape[0], 1, 1, -1)
    d_filters = _to_window(group.correlation, d_conv, broadcast)
    d_signal = _to_signal(group.correlation, d_conv, group.filters).sum((1, 2))

    t = Running.given(group.t[np.newaxis], precision)
    real, imaginary = group.filters[:, 0], group.filters[:, 1]
    d_mu = _reformed((t * (d_filters[:, 1] * real - d_filters[:, 0] * imaginary)).sum(1))
    ratio = t / group.sigma
    # the two terms of the derivative to sigma are summed apart: together they may cancel
    along = d_filters[:, 0] * real + d_filters[:, 1] * imaginary
    d_sigma = _reformed((along * ratio * ratio / group.sigma).sum(1) - (along / group.sigma).sum(1))
    mu, sigma = bounds.v["kernel"][group.chosen].T
    d_mu = _limited(d_mu, mu, 0.0, float(np.pi))
    d_sigma = _limited(d_sigma, sigma, box.sigma_low, box.sigma_high)
    kernel = Running(
        np.stack([d_mu.value, d_sigma.value], axis=1), np.stack([d_mu.error, d_sigma.error], axis=1), precision
    )
    return kernel, d_width, d_signal


def _to_signal(correlation: Correlation, d: Running, windows: Running) -> Running:
    value = correlation.to_signal(d.value, windows.value)
    n = -(-correlation.window // correlation.stride)
    return bilinear(correlation.above().to_signal, d, windows, value, n)


def _to_window(correlation: Correlation, d: Running, x: Running) -> Running:
    """Summed over clips: the windows' gradient has none."""
    value = correlation.to_window(d.value, x.value).sum(axis=0)
    n = d.value.shape[0] * correlation.n_frames

    def magnitude(a: Array, b: Array) -> Array:
        return np.asarray(correlation.above().to_window(a, b).sum(axis=0))

    return bilinear(magnitude, d, x, value, n)


def _preemphasis(bounds: LeafBounds, d: Running, out: dict[str, Running]) -> Running:
    """The two taps' gradients, and the signal's."""
    two = Running.given(bounds.v["tfbanks_preemp/kernel"].reshape(2), bounds.precision)
    x = bounds.x
    ahead = x.arranged(lambda a: np.pad(a[:, 1:], ((0, 0), (0, 1))))
    taps = [_reformed((d * source).sum((0, 1))) for source in (x, ahead)]
    out["tfbanks_preemp/kernel"] = Running(
        np.stack([tap.value for tap in taps]).reshape(2, 1, 1),
        np.stack([tap.error for tap in taps]).reshape(2, 1, 1),
        bounds.precision,
    )
    behind = d.arranged(lambda a: np.pad(a[:, :-1], ((0, 0), (1, 0))))
    return _reformed(two[0] * d + two[1] * behind)
