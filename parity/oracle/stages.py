"""The stages of the original's layers and frontends, forward and back, chained as they come.

Signals are [B, C, T] here; variables have the original's names and shapes. A chain may be rounded at every stage: what
that does to its results is how far rounding takes a faithful implementation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.oracle import kernels, pooling, sinc, spectral
from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.chain import Chain
from parity.oracle.convolution import (
    Pads,
    centered_pads,
    correlate,
    correlate_adjoint,
    depthwise,
    depthwise_adjoint,
    same_pads,
)
from parity.oracle.filterbank import Z
from parity.oracle.gabor import gabor, gaussian_window, gaussian_window_adjoint

Learn = Callable[[Array], None]


def pads(n: int, window: int, stride: int, padding: str) -> Pads:
    """What is padded for ``"same"``, ``"centered"`` or ``"valid"``.

    Raises:
        ValueError: fewer samples than ``"valid"`` needs.
    """
    if padding.lower() == "same":
        return same_pads(n, window, stride)
    if padding == "centered":
        return centered_pads(window)
    if n < window:
        raise ValueError(f"n={n}: must be at least the window's {window} samples")
    return 0, 0


def limited(x: Array, low: float, high: float) -> Array:
    """``tf.clip_by_value``: the lower limit wins where it is above the upper one."""
    return clamp(clamp(x, high=high), low=low)


def _sums(
    c: Chain, f: Callable[..., tuple[Array, ...]], operands: tuple[Array, ...], n: tuple[int, ...]
) -> list[Array]:
    """Sums of ``n`` products of the operands, which are linear in each, rounded in any order of summation."""
    values = f(*operands)
    if not c.is_moved:
        return list(values)
    squares = f(*(a**2 for a in operands))
    return [c.summed(*each) for each in zip(values, squares, n, strict=True)]


def _convolve(c: Chain, filters: Array, stride: int, padding: str, learn: Learn) -> None:
    """A mono signal with filters [C, W]; ``learn`` takes their cotangent."""

    def forward(x: Array) -> Array:
        around = pads(x.shape[-1], filters.shape[1], stride, padding)
        return _sums(c, lambda a, b: (correlate(a[:, 0], b, stride, around),), (x, filters), (filters.shape[1],))[0]

    def adjoint(x: Array, d: Array) -> Array:
        around = pads(x.shape[-1], filters.shape[1], stride, padding)

        def back(a: Array, b: Array, d: Array) -> tuple[Array, ...]:
            return correlate_adjoint(a[:, 0], b, stride, around, d)

        d_x, d_filters = _sums(c, back, (x, filters, d), (filters.size // stride + 1, d.shape[0] * d.shape[2]))
        learn(d_filters)
        return d_x[:, np.newaxis]

    c.then(forward, adjoint)


def free_conv(c: Chain, name: str, stride: int, padding: str) -> None:
    """Free filters, variable [W, 1, C]; the pre-emphasis, too."""
    filters = c.variable(name)[:, 0].T
    _convolve(c, filters, stride, padding, lambda d: c.learned(name, d.T))


def normalised_conv(c: Chain, name: str, stride: int, padding: str) -> None:
    """Free filters of norm 1, variable [W, 1, C]."""
    held = c.variable(name)[:, 0].T
    filters = c.moved(kernels.unit_norm(held))
    _convolve(c, filters, stride, padding, lambda d: c.learned(name, kernels.unit_norm_adjoint(held, d, c.moved).T))


def fft_conv(c: Chain, name: str) -> None:
    """Free filters, circularly; variable [W, 1, C]."""
    filters = c.variable(name)[:, 0].T
    filters = filters + c.spread(filters)

    def adjoint(x: Array, d: Array) -> Array:
        d_x, d_filters = spectral.fft_conv_adjoint(x[:, 0], filters, d + c.spread(d))
        c.learned(name, c.crossed(d_filters, x, d).T)
        return c.crossed(d_x, d, filters)[:, np.newaxis]

    c.then(lambda x: spectral.fft_conv(x[:, 0] + c.spread(x[:, 0]), filters), adjoint)


def gabor_conv(c: Chain, name: str, window: int, stride: int, padding: str, by_frequency: bool = False) -> None:
    """Gabor wavelets, real and imaginary part in turn; variable [C, 2]."""
    held = exact(c.variables[name])
    mu, sigma = limited(held[:, 0], 0.0, np.pi), limited(held[:, 1], 4 * Z, window * Z)
    order = np.argsort(mu.real, kind="stable") if by_frequency else np.arange(len(mu))
    # of a sigma, what it divides by is rounded once for all taps; of a mu, its limits alone
    mu, sigma = np.where(mu == held[:, 0], mu, c.moved(mu))[order], c.moved(sigma[order])
    t = np.arange(-(window // 2), (window + 1) // 2, dtype=np.float64)
    turn = c.noise(mu[:, np.newaxis] * t)[:, np.newaxis]  # a phase of hundreds of rad is rounded as a whole
    filters = gabor(mu, sigma, window)
    filters = c.moved(filters + turn * np.stack([-filters[:, 1], filters[:, 0]], axis=1))

    def learn(d: Array) -> None:
        slopes = kernels.wavelet_slopes(filters, t, mu, sigma, d.reshape(filters.shape), c.moved)
        found = np.stack(slopes[1:], axis=1)
        d_held = np.zeros(held.shape)
        d_held[order] = c.moved(found)
        d_held[:, 0] = clamp_adjoint(held[:, 0], d_held[:, 0], 0.0, np.pi)
        d_held[:, 1] = clamp_adjoint(held[:, 1], d_held[:, 1], 4 * Z, window * Z)
        c.learned(name, d_held)

    _convolve(c, filters.reshape(-1, window), stride, padding, learn)


def sinc_conv(
    c: Chain, name: str, window: int, stride: int, padding: str, min_low: float, min_band: float, rate: float
) -> None:
    """Sinc filters under a Hamming window; variable [C, 2].

    Raises:
        ValueError: an even window: the filters have one tap more than the window.
    """
    if window % 2 == 0:
        raise ValueError(f"window={window}: must be odd")
    held = c.variable(name)
    low, high = (c.moved(edge) for edge in sinc.cutoffs(held, min_low, min_band, rate))
    hamming = sinc.window("HAMMING", window)
    filters = c.moved(sinc.band_pass(low, high, window, sinc.TAPS_RATE, c.moved)) * hamming

    def learn(d: Array) -> None:
        d_edges = sinc.band_pass_adjoint(low, high, window, sinc.TAPS_RATE, c.moved(d * hamming), c.moved)
        c.learned(name, sinc.cutoffs_adjoint(held, min_low, min_band, rate, *(c.moved(d) for d in d_edges)))

    _convolve(c, filters, stride, padding, learn)


def bias(c: Chain, name: str) -> None:
    """An offset for each channel, variable [C]."""
    held = c.variable(name)

    def adjoint(x: Array, d: Array) -> Array:
        c.learned(name, d.sum(axis=(0, 2)))
        return d

    c.then(lambda x: x + held[:, np.newaxis], adjoint)


def activation(c: Chain, kind: str) -> None:
    """``squared_modulus``, ``leaky_relu`` (slope 0.2), ``relu`` or ``none``."""
    slope = {"leaky_relu": 0.2, "relu": 0.0}.get(kind)
    if kind == "squared_modulus":
        c.then(pooling.squared_modulus, pooling.squared_modulus_adjoint)
    elif slope is not None:
        c.then(lambda x: pooling.rectified(x, slope), lambda x, d: pooling.rectified_adjoint(x, slope, d))


def _windows(c: Chain, windows: Array, stride: int, padding: str, learn: Learn) -> None:
    def around(x: Array) -> Pads:
        return pads(x.shape[-1], windows.shape[1], stride, padding)

    size = windows.shape[1]

    def forward(x: Array) -> Array:
        return _sums(c, lambda a, b: (depthwise(a, b, stride, around(x)),), (x, windows), (size,))[0]

    def adjoint(x: Array, d: Array) -> Array:
        def back(a: Array, b: Array, d: Array) -> tuple[Array, ...]:
            return depthwise_adjoint(a, b, stride, around(x), d)

        d_x, d_windows = _sums(c, back, (x, windows, d), (size // stride + 1, d.shape[0] * d.shape[2]))
        learn(d_windows)
        return d_x

    c.then(forward, adjoint)


def gaussian_pool(c: Chain, name: str, window: int, stride: int, padding: str) -> None:
    """A Gaussian window for each channel, variable [1, 1, C, 1]."""
    held = c.variable(name).reshape(-1)
    width = c.moved(limited(held, 2.0 / window, 0.5))

    def learn(d: Array) -> None:
        d_width = c.moved(gaussian_window_adjoint(width, window, c.moved(d)))
        c.learned(name, clamp_adjoint(held, d_width, 2.0 / window, 0.5))

    _windows(c, c.moved(gaussian_window(width, window)), stride, padding, learn)


def shared_pool(c: Chain, name: str, stride: int) -> None:
    """One free window for all channels, variable [1, W, 1, 1]; never padded."""
    held = c.variable(name).reshape(1, -1)
    windows = np.repeat(held, c.x.shape[1], axis=0)
    _windows(c, windows, stride, "valid", lambda d: c.learned(name, d.sum(axis=0)))


def free_pool(c: Chain, name: str, stride: int, padding: str) -> None:
    """A free window for each channel, variable [W, 1, C]."""
    _windows(c, c.variable(name)[:, 0].T, stride, padding, lambda d: c.learned(name, d.T))


def max_pool(c: Chain, window: int, stride: int, padding: str) -> None:
    """The largest sample under each window."""
    around = pads(c.x.shape[-1], window, stride, padding)
    c.then(
        lambda x: pooling.max_pool(x, window, stride, around),
        lambda x, d: pooling.max_pool_adjoint(x, window, stride, around, d),
    )


def floor(c: Chain, low: float) -> None:
    """At least ``low``; the gradient at it is 1."""
    c.then(lambda x: clamp(x, low=low), lambda x, d: clamp_adjoint(x, d, low=low))


def log(c: Chain, offset: float) -> None:
    """``log(x + offset)``."""
    offset = float(c.moved(offset))
    c.then(lambda x: np.asarray(np.log(x + offset)), lambda x, d: np.asarray(d / (x + offset)))


def normalisation(c: Chain, gamma: str, beta: str, eps: float, axis: int) -> None:
    """Standardised over channels (``axis=1``) or time (2), scaled and shifted by variables [C].

    Over time it is the original's ``x g + (beta - mean g)``, whose terms nearly cancel, as do those of the gradient to
    g. Source: ``tf.nn.batch_normalization`` for the one, Keras' ``LayerNormalization`` for the other.
    """
    held, shift = c.variable(gamma)[:, np.newaxis], c.variable(beta)[:, np.newaxis]

    def moments(x: Array) -> tuple[Array, Array, Array]:
        mean = c.moved(x.mean(axis=axis, keepdims=True))
        inverse = 1 / np.sqrt(c.moved(((x - mean) ** 2).mean(axis=axis, keepdims=True)) + eps)
        return mean, x - mean, inverse

    def forward(x: Array) -> Array:
        mean, centred, inverse = moments(x)
        gain = held * inverse
        apart = c.noise(x * gain) - c.noise(mean * gain) if axis == 2 else 0.0
        return np.asarray(centred * gain + shift + apart)

    def adjoint(x: Array, d: Array) -> Array:
        mean, centred, inverse = moments(x)
        unit, d_unit = c.moved(centred * inverse), c.moved(d * held)
        along = (d_unit * unit).mean(axis=axis, keepdims=True)
        if axis == 2:
            n, scaled = x.shape[axis], d_unit * inverse
            along = along + (np.sum(c.noise(scaled * x) - c.noise(scaled * mean), axis=axis, keepdims=True)) / n
        apart = c.lost(d * x * inverse, (0, 2)) + c.lost(d * mean * inverse, (0, 2))
        c.learned(gamma, np.sum(d * unit, axis=(0, 2)) + apart)
        c.learned(beta, d.sum(axis=(0, 2)) + c.lost(d, (0, 2)))
        middle = c.moved(d_unit.mean(axis=axis, keepdims=True))
        return np.asarray(inverse * (d_unit - middle - c.moved(unit * c.moved(along))))

    c.then(forward, adjoint)
