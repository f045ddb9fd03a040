"""Strided convolutions as matrix products, on the CPU.

PyTorch's own convolution runs far below a matrix product's speed where there is one input channel, a stride and few
filters. Here signal and kernel are cut into blocks of one stride, which needs no copy; one product gives every block of
the signal under every block of the kernels, and those that belong to one output are added up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from leaf._runtime.cache import plain, tracing
from leaf._runtime.onnx_ops import conv1d

LEAST = 8  # stride; under it there are so many sums that nothing is won


@dataclass(frozen=True)
class Signal:
    """Audio, and the same with zeros between the clips, once for all convolutions.

    Attributes:
        audio: [B, 1, T].
        margin: zeros before each clip.
        length: of a clip with its zeros.
        flat: all clips in one row [B length]; None where PyTorch's own convolution is used.
    """

    audio: Tensor
    margin: int = 0
    length: int = 0
    flat: Tensor | None = None


def signal(audio: Tensor, margin: int, unit: int) -> Signal:
    """Audio [B, 1, T] for convolutions of strides that divide ``unit``, by kernels of up to ``2 margin + 1`` taps."""
    if unit < LEAST or not _by_products(audio):
        return Signal(audio)
    n_clips, _, n = audio.shape
    length = -(-(n + 2 * margin + unit - 1) // unit) * unit
    return Signal(audio, margin, length, F.pad(audio, (margin, length - n - margin)).reshape(n_clips * length))


def blocks(kernels: Tensor, stride: int) -> Tensor:
    """Kernels [K, 1, L] as :func:`strided` takes them: [ceil(L / stride) K, stride]; at small strides as they are."""
    if stride < LEAST:
        return kernels
    n_blocks = -(-kernels.shape[-1] // stride)
    cut = F.pad(kernels, (0, n_blocks * stride - kernels.shape[-1])).view(-1, n_blocks, stride)
    return cut.transpose(0, 1).reshape(-1, stride)


def strided(x: Signal, kernels: Tensor, stride: int, cut: Tensor | None = None) -> Tensor:
    """``conv1d(x.audio, kernels, stride=stride, padding=L // 2)`` for odd L: [B, K, ceil(T / stride)].

    Args:
        x: with a margin of at least ``L // 2``.
        kernels: [K, 1, L].
        stride: a divisor of the signal's unit.
        cut: :func:`blocks` of the kernels, where they are at hand.
    """
    n_kernels, _, size = kernels.shape
    if x.flat is None or stride < LEAST:
        return conv1d(x.audio, kernels, stride, (size // 2, size // 2))
    cut = blocks(kernels, stride) if cut is None else cut
    n_clips, _, n = x.audio.shape
    first = x.margin - size // 2  # sample of the first output
    n_rows = (x.flat.shape[0] - first) // stride
    rows = x.flat[first : first + n_rows * stride].view(n_rows, stride)
    products = torch.mm(cut, rows.T)  # [blocks K, rows]; an output is the sum of block j's at j rows on
    shape = (cut.shape[0] // n_kernels, n_kernels, n_clips, -(-n // stride))
    summed = products.as_strided(shape, (n_kernels * n_rows + 1, n_rows, x.length // stride, 1)).sum(0)
    return summed.transpose(0, 1)


def pooled(e: Tensor, windows: Tensor, stride: int) -> Tensor:
    """``conv1d(e, windows, stride=stride, padding=W // 2, groups=K)`` for odd W: [B, K, T] to [B, K, ceil(T / stride)].

    Args:
        e: [B, K, T].
        windows: [K, 1, W].
        stride: >= 1.
    """
    n_bands, _, size = windows.shape
    if not _by_products(e):
        return conv1d(e, windows, stride, (size // 2, size // 2), n_bands)
    n_clips, _, n = e.shape
    n_frames, n_blocks = -(-n // stride), -(-size // stride)
    per_clip = n_frames + n_blocks - 1
    padded = F.pad(e.transpose(0, 1), (size // 2, per_clip * stride - n - size // 2))
    cut = F.pad(windows, (0, n_blocks * stride - size)).view(n_bands, n_blocks, stride)
    products = torch.bmm(cut, padded.reshape(n_bands, n_clips * per_clip, stride).transpose(1, 2))
    n_rows = n_clips * per_clip
    steps = (n_rows + 1, n_blocks * n_rows, per_clip, 1)
    return products.as_strided((n_blocks, n_bands, n_clips, n_frames), steps).sum(0).transpose(0, 1)


def _by_products(x: Tensor) -> bool:
    ours = x.device.type == "cpu" and not tracing() and not torch.is_autocast_enabled("cpu")
    return ours and x.shape[0] > 0 and plain(x)
