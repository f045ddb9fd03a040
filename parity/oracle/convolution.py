"""Correlations with explicit padding: the Gabor convolution, the pooling and the pre-emphasis are all of this kind."""

from __future__ import annotations

import numpy as np

from parity.oracle.arrays import Array, exact

Pads = tuple[int, int]
_BLOCK = 4096  # frames at a time, so that an hour of audio does not become a matrix of an hour x window


def same_pads(n: int, window: int, stride: int) -> Pads:
    """TensorFlow's SAME: ``ceil(n / stride)`` frames, the odd sample of padding on the right."""
    total = max((-(-n // stride) - 1) * stride + window - n, 0)
    return total // 2, total - total // 2


def centered_pads(window: int) -> Pads:
    """Half a window on both sides, as simplified LEAF and EfficientLEAF pad."""
    return window // 2, window // 2


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
