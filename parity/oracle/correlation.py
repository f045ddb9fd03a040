"""Correlations with explicit padding: value, adjoint, and running error.

The Gabor convolution, the pooling and the pre-emphasis are all of this kind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from parity.oracle.arrays import Array, exact
from parity.oracle.chain import Chain, RunningChain
from parity.oracle.geometry import Pads, pads
from parity.oracle.running import Running, bilinear

_BLOCK = 4096  # frames at a time, so that an hour of audio does not become a matrix of an hour x window


def _padded(x: Array, pads: Pads) -> Array:
    return np.pad(exact(x), [(0, 0)] * (x.ndim - 1) + [pads])


def _frames(x: Array, window: int, stride: int, pads: Pads) -> Array:
    return np.lib.stride_tricks.sliding_window_view(_padded(x, pads), window, axis=-1)[..., ::stride, :]


def correlate(x: Array, kernels: Array, stride: int, pads: Pads) -> Array:
    """Each kernel over the signal: x [B, T], kernels [K, W] -> [B, K, frames]."""
    frames = _frames(x, kernels.shape[-1], stride, pads)
    blocks = [frames[:, i : i + _BLOCK] @ exact(kernels).T for i in range(0, frames.shape[1], _BLOCK)]
    return np.concatenate(blocks, axis=1).transpose(0, 2, 1)


def correlate_adjoint(x: Array, kernels: Array, stride: int, pads: Pads, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`correlate`: cotangent [B, K, frames] to (d_x [B, T], d_kernels [K, W])."""
    window = kernels.shape[-1]
    frames = _frames(x, window, stride, pads)
    n_frames = frames.shape[1]
    d_kernels = np.zeros(kernels.shape)
    d_padded = np.zeros((x.shape[0], x.shape[1] + sum(pads)))
    for i in range(0, n_frames, _BLOCK):
        d_block = d[:, :, i : i + _BLOCK]
        d_kernels += np.einsum("bkf,bfw->kw", d_block, frames[:, i : i + _BLOCK], optimize=True)
        spread = d_block.transpose(0, 2, 1) @ kernels
        for tap in range(window):
            first = i * stride + tap
            d_padded[:, first : first + spread.shape[1] * stride : stride] += spread[:, :, tap]
    return d_padded[:, pads[0] : pads[0] + x.shape[1]], d_kernels


def depthwise(x: Array, windows: Array, stride: int, pads: Pads) -> Array:
    """One window a channel: x [B, C, T], windows [C, W] -> [B, C, frames]."""
    frames = _frames(x, windows.shape[-1], stride, pads)
    return np.asarray(np.matmul(frames, exact(windows)[np.newaxis, :, :, np.newaxis])[..., 0])


def depthwise_adjoint(x: Array, windows: Array, stride: int, pads: Pads, d: Array) -> tuple[Array, Array]:
    """Adjoint of :func:`depthwise`: cotangent [B, C, frames] to (d_x [B, C, T], d_windows [C, W])."""
    window = windows.shape[-1]
    frames = _frames(x, window, stride, pads)
    d_windows = np.matmul(d[:, :, np.newaxis, :], frames)[:, :, 0].sum(axis=0)
    d_padded = np.zeros((*x.shape[:-1], x.shape[-1] + sum(pads)))
    for tap in range(window):
        d_padded[..., tap : tap + d.shape[-1] * stride : stride] += d * windows[np.newaxis, :, tap, np.newaxis]
    return d_padded[..., pads[0] : pads[0] + x.shape[-1]], d_windows


def apply(c: Chain, windows: Array, stride: int, padding: str, learn: Callable[[Array], None]) -> None:
    """A mono signal with windows [K, W], or each channel with its own; ``learn`` takes the windows' cotangent."""
    size = windows.shape[1]
    is_mono = c.x.shape[1] == 1

    def sums(f: Callable[..., tuple[Array, ...]], operands: tuple[Array, ...], n: tuple[int, ...]) -> list[Array]:
        """Sums of ``n`` products of the operands, which are linear in each, rounded in any order of summation."""
        values = f(*operands)
        if not c.rounds:
            return list(values)
        squares = f(*(a**2 for a in operands))
        return [c.sum_rounded(*each) for each in zip(values, squares, n, strict=True)]

    def forward(x: Array) -> Array:
        around = pads(x.shape[-1], size, stride, padding)

        def value(a: Array, b: Array) -> tuple[Array, ...]:
            return (correlate(a[:, 0], b, stride, around) if is_mono else depthwise(a, b, stride, around),)

        return sums(value, (x, windows), (size,))[0]

    def adjoint(x: Array, d: Array) -> Array:
        around = pads(x.shape[-1], size, stride, padding)

        def back(a: Array, b: Array, d: Array) -> tuple[Array, Array]:
            if not is_mono:
                return depthwise_adjoint(a, b, stride, around, d)
            d_signal, d_windows = correlate_adjoint(a[:, 0], b, stride, around, d)
            return d_signal[:, np.newaxis], d_windows

        n_terms = (windows.size if is_mono else size) // stride + 1, d.shape[0] * d.shape[2]
        d_x, d_windows = sums(back, (x, windows, d), n_terms)
        learn(d_windows)
        return d_x

    c.then(forward, adjoint)


def convolve(a: Array, b: Array, n: int, first: int) -> Array:
    """``n`` values of the full convolution along the last axis, from index ``first`` on, by Fourier transform."""
    size = _fast_length(a.shape[-1] + b.shape[-1] - 1)
    product = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size), size)
    return np.asarray(product[..., first : first + n])


@cache
def _fast_length(least: int) -> int:
    """The smallest even number, at least this, with no prime factor above 5: Fourier transforms are fast there."""

    def is_fast(n: int) -> bool:
        for factor in (2, 3, 5):
            while n % factor == 0:
                n //= factor
        return n == 1

    return next(n for n in range(least + least % 2, 2 * least + 2, 2) if is_fast(n))


def convolve_above(a: Array, b: Array, n: int, first: int) -> Array:
    """:func:`convolve` of magnitudes, rounded up.

    The transform's own rounding goes with the largest values: far below what float32 does to any convolution, but not
    below what it does to the zeros beside them.
    """
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    return np.asarray(np.maximum(convolve(a, b, n, first), 0.0) + 2.0**-48 * lengths[0] * lengths[1])


def _spread(d: Array, stride: int, n: int) -> Array:
    """Frames put back where they were taken from, zeros between: [..., F] to [..., n]."""
    out = np.zeros((*d.shape[:-1], n))
    out[..., : d.shape[-1] * stride : stride] = d
    return out


class Correlation:
    """A strided correlation and its two adjoints: signals [..., T], windows [..., W]."""

    def __init__(
        self,
        n: int,
        window: int,
        stride: int,
        pads: tuple[int, int],
        convolve: Callable[[Array, Array, int, int], Array] = convolve,
    ) -> None:
        self._convolve = convolve
        self.n, self.window, self.stride, self.pads = n, window, stride, pads
        self.n_padded = n + sum(pads)
        self.n_frames = (self.n_padded - window) // stride + 1

    def above(self) -> Correlation:
        """The same for magnitudes, rounded up."""
        return Correlation(self.n, self.window, self.stride, self.pads, convolve_above)

    def forward(self, x: Array, w: Array) -> Array:
        """To frames [..., F]."""
        n = (self.n_frames - 1) * self.stride + 1
        return self._convolve(_padded(x, self.pads), w[..., ::-1], n, self.window - 1)[..., :: self.stride]

    def to_signal(self, d: Array, w: Array) -> Array:
        """From a cotangent [..., F] to [..., T]."""
        spread = _spread(d, self.stride, self.n_frames * self.stride)
        return self._convolve(spread, w, self.n, self.pads[0])

    def to_window(self, d: Array, x: Array) -> Array:
        """From a cotangent [..., F] and the signal to [..., W]."""
        spread = _spread(d, self.stride, (self.n_frames - 1) * self.stride + 1)
        padded = _padded(x, self.pads)[..., : self.n_padded]
        return self._convolve(padded, spread[..., ::-1], self.window, spread.shape[-1] - 1)


def bound(c: RunningChain, windows: Running, stride: int, padding: str, learn: Callable[[Running], None]) -> None:
    """The running error of either: a mono signal with windows [K, W], or each channel with its own.

    Values come from Fourier transforms. ``learn`` takes the windows' cotangent.
    """
    x, (n_windows, size) = c.x, windows.value.shape
    n = x.value.shape[-1]
    correlation = Correlation(n, size, stride, pads(n, size, stride, padding))
    above = correlation.above()

    def adjoint(d: Running) -> Running:
        d_windows = correlation.to_window(d.value, x.value).sum(axis=0)
        n_terms = d.value.shape[0] * correlation.n_frames
        learn(bilinear(lambda a, b: np.asarray(above.to_window(a, b).sum(axis=0)), d, x, d_windows, n_terms))
        d_x = bilinear(above.to_signal, d, windows, correlation.to_signal(d.value, windows.value), -(-size // stride))
        return d_x if x.value.shape[1] == n_windows else d_x.sum(1, keepdims=True)

    out = bilinear(above.forward, x, windows, correlation.forward(x.value, windows.value), size)
    c.then(out, adjoint)
