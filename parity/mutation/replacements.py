"""Functions that the replacements of :class:`parity.mutation.planting.Edit` may name, whatever the file imports."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["functional_call", "math"]
BLOCK = 16  # frames of the blocked smoother
# A transform errs relative to the loudest sample, not to the sample; in float64 by as much as the result is rounded.
QUIET, QUIET_IN_FLOAT64 = 1e-2, 0.25


class Unprojected:
    """A variable whose constraint the layer knows of, and the optimiser does not."""

    def __init__(self, variable: Any) -> None:
        constraint, variable.constraint = variable.constraint, None
        self.variable = variable
        self.constraint = lambda _: constraint(variable)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.variable, name)


@contextmanager
def emphasising_the_audio() -> Iterator[None]:
    """Have ``og_leaf`` write the pre-emphasis over the caller's audio, which is written back at the end."""
    from og_leaf.convolution import pad_time
    from og_leaf.frontend import Leaf

    own, changed = Leaf.forward, list[tuple[Tensor, Tensor]]()

    def forward(self: Leaf, inputs: Tensor) -> Tensor:
        outputs = own(self, inputs)
        if self._preemp_conv is not None:
            audio = inputs.detach().view(-1, 1, inputs.shape[-1])
            changed.append((audio, audio.clone()))
            audio.copy_(self._preemp_conv(pad_time(audio, 2, 1, "SAME")).detach())
        return outputs

    with patch.object(Leaf, "forward", forward):
        try:
            yield
        finally:
            for audio, before in reversed(changed):
                audio.copy_(before)


def in_data(parameter: Tensor, limited: Tensor) -> Tensor:
    """The parameter, limited through ``.data``: a gradient where the original has none."""
    parameter.data.copy_(limited.detach())
    return parameter


def tie_halved(x: Tensor, low: float, high: float) -> Tensor:
    """Limits by minimum and maximum against tensors, which give half of the gradient at a tie."""
    return torch.minimum(torch.maximum(x, torch.full_like(x, low)), torch.full_like(x, high))


def tf32(x: Tensor) -> Tensor:
    """Rounded to the ten bits of mantissa that a tensor core keeps; gradients pass."""
    bits = (x.detach().float().view(torch.int32) + 0x1000) & ~0x1FFF
    return x + (bits.view(torch.float32).to(x.dtype) - x).detach()


def by_matrix(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, groups: int = 1) -> Tensor:
    """``conv1d`` of one channel, or of each with its own kernel, as a contraction over unfolded windows."""
    windows = inputs.unfold(-1, weight.shape[-1], stride)
    if groups > 1:
        return torch.einsum("bcfw,cw->bcf", windows, weight[:, 0])
    return _offset((windows[:, 0] @ weight[:, 0].T).transpose(1, 2), bias)


def by_fft(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, groups: int = 1) -> Tensor:
    """Products of spectra in float64; what is quiet beside the loudest that could be, and every gradient, is summed."""
    summed = by_matrix(inputs, weight, None, stride, groups)
    signal, kernels = inputs.detach().double(), weight[:, 0].detach().double()
    n, size = inputs.shape[-1] - weight.shape[-1] + 1, inputs.shape[-1]
    product = torch.fft.rfft(signal, size) * torch.fft.rfft(kernels, size).conj()
    y = torch.fft.irfft(product, size)[..., :n:stride].to(inputs.dtype)
    largest = signal.abs().amax() * kernels.abs().sum(dim=-1, keepdim=True)
    quiet = largest * (QUIET_IN_FLOAT64 if inputs.dtype == torch.float64 else QUIET)
    return _offset(summed + torch.where(y.abs() > quiet, y - summed.detach(), 0.0), bias)


def by_halves(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    """Either half of the taps by itself."""
    half = weight.shape[-1] // 2
    early, late = weight[..., :half], weight[..., half:]
    first = F.conv1d(inputs[..., : inputs.shape[-1] - late.shape[-1]], early, stride=stride)
    return _offset(first + F.conv1d(inputs[..., half:], late, stride=stride), bias)


def _offset(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.unsqueeze(-1)


def padded_same(audio: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """A strided convolution padded as TensorFlow's SAME."""
    size, n = kernels.shape[-1], audio.shape[-1]
    total = max((-(-n // stride) - 1) * stride + size - n, 0)
    return F.conv1d(F.pad(audio, (total // 2, total - total // 2)), kernels, stride=stride)


def decimated(audio: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """The convolution at full rate, of which every so many samples are kept."""
    return F.conv1d(audio, kernels, padding=kernels.shape[-1] // 2)[..., ::stride]


def frame_by_frame(x: Tensor, s: Tensor, published: bool) -> Tensor:
    """The smoother's loop, from the first frame on: ``(1 - s) M + s x`` as published, or ``M + s (x - M)``."""
    frames = [x[..., 0]]
    for frame in x.unbind(-1)[1:]:
        frames.append((1 - s) * frames[-1] + s * frame if published else torch.lerp(frames[-1], frame, s))
    return torch.stack(frames, -1)


def in_blocks(x: Tensor, s: Tensor, recursion: Tensor) -> Tensor:
    """A triangular matrix of powers of 1 - s times a block's frames, and what the block before carries over.

    The recursion's gradients are kept: the powers' own lose a digit of that to s where x is still.
    """
    s, inside = s.detach()[:, None], x.detach()
    frames, state = [], inside[..., :1]
    k = torch.arange(BLOCK, device=x.device)
    lag = k[:, None] - k
    weights = torch.where(lag >= 0, s[..., None] * (1 - s[..., None]) ** lag.clamp(min=0), 0.0)
    for block in torch.split(inside, BLOCK, dim=-1):
        n = block.shape[-1]
        carried = (1 - s) ** (k[:n] + 1) * state
        frames.append(torch.einsum("ctu,...cu->...ct", weights[:, :n, :n], block) + carried)
        state = frames[-1][..., -1:]
    return recursion + (torch.cat(frames, dim=-1) - recursion.detach())


class DoublingScan(torch.autograd.Function):
    """The smoother and its adjoint, which is the same recurrence backwards in time."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, start: Tensor, w: Tensor) -> Tensor:
        first = w * inputs[..., :1] + (1.0 - w) * start
        smoothed = _doubled(torch.cat([first, w * inputs[..., 1:]], dim=-1), 1.0 - w)
        ctx.save_for_backward(inputs, torch.cat([start, smoothed[..., :-1]], dim=-1), w)
        return smoothed

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs, before, w = ctx.saved_tensors
        d = _doubled(d.flip(-1), 1.0 - w).flip(-1)
        return w * d, (1.0 - w) * d[..., :1], ((inputs - before) * d).sum_to_size(w.shape)


def _doubled(x: Tensor, decay: Tensor) -> Tensor:
    """``y[t] = x[t] + decay y[t - 1]``: blocks of 1, 2, 4, ... frames, each joined to the one before."""
    reach = 1
    while reach < x.shape[-1]:
        x = x + decay * F.pad(x[..., :-reach], (reach, 0))
        decay, reach = decay * decay, 2 * reach
    return x


def batch_norm(bn: nn.BatchNorm1d, x: Tensor, correction: int = 0, axes: tuple[int, ...] = (0, 2)) -> Tensor:
    """The batch norm of [B, C, T], with the variance's correction and the axes of the statistics of training."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    mean, variance = bn.running_mean[:, None], bn.running_var[:, None]
    if bn.training:
        mean = x.mean(dim=axes, keepdim=True)
        variance = x.var(dim=axes, correction=correction, keepdim=True)
        with torch.no_grad():
            n = x.numel() // x.shape[1]
            unbiased = ((x - x.mean((0, 2), keepdim=True)) ** 2).sum((0, 2)) / (n - 1)
            bn.running_mean.lerp_(x.mean((0, 2)), bn.momentum or 0.0)
            bn.running_var.lerp_(unbiased, bn.momentum or 0.0)
    y: Tensor = (x - mean) / torch.sqrt(variance + bn.eps)
    return y if bn.weight is None else y * bn.weight[:, None] + bn.bias[:, None]


def scaled_attribute(owner: Any, name: str, factor: float) -> Any:
    """The owner, with one of its numbers multiplied."""
    setattr(owner, name, factor * getattr(owner, name))
    return owner
