"""A small port of LEAF as one meets them: complete, plausible, and wrong in four places.

Each of the four is found in a port that is public. They can be switched off one by one; without them it is LEAF.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BUGS = ("half of the window", "bias on the energies", "zero start", "half gradients")


def same(x: Tensor, size: int, stride: int = 1) -> Tensor:
    """Zeros as TensorFlow's SAME puts them."""
    total = max((math.ceil(x.shape[-1] / stride) - 1) * stride + size - x.shape[-1], 0)
    return F.pad(x, (total // 2, total - total // 2))


class Gabor(nn.Module):
    """[B, 1, T] to [B, 2 C, T]: real and imaginary parts, interleaved."""

    def __init__(self, n_filters: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.mu = nn.Parameter(torch.linspace(0.1, 3.0, n_filters))
        self.sigma = nn.Parameter(torch.full((n_filters,), size / 6))

    def filters(self) -> Tensor:
        per_sample = math.sqrt(2 * math.log(2)) / math.pi
        mu = self.mu.clamp(0, math.pi)[:, None]
        sigma = self.sigma.clamp(max=self.size * per_sample).clamp(min=4 * per_sample)[:, None]
        t = torch.arange(self.size, dtype=mu.dtype) - self.size // 2
        envelope = torch.exp(-(t**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)
        return torch.stack([envelope * torch.cos(mu * t), envelope * torch.sin(mu * t)], dim=1).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(same(x, self.size), self.filters()[:, None])


class Energy(nn.Module):
    """[B, 2 C, T] to [B, C, T]."""

    def forward(self, x: Tensor) -> Tensor:
        return (x**2).unflatten(1, (-1, 2)).sum(2)


class Pooling(nn.Module):
    """[B, C, T] to [B, C, frames], by a Gaussian window a channel."""

    def __init__(self, n_filters: int, size: int, stride: int, bugs: Collection[str]) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        self.half = size / 2 if "half of the window" in bugs else (size - 1) / 2
        self.width = nn.Parameter(torch.full((n_filters,), 0.4))
        self.bias = nn.Parameter(torch.ones(n_filters)) if "bias on the energies" in bugs else None

    def window(self) -> Tensor:
        width = self.width.clamp(max=0.5).clamp(min=2 / self.size)[:, None]
        t = torch.arange(self.size, dtype=width.dtype) - self.half
        return torch.exp(-0.5 * (t / (width * self.half)) ** 2)

    def forward(self, x: Tensor) -> Tensor:
        x = same(x, self.size, self.stride)
        return F.conv1d(x, self.window()[:, None], self.bias, stride=self.stride, groups=len(self.width))


class Smoother(nn.Module):
    """[B, C, frames], smoothed over frames."""

    def __init__(self, n_filters: int, bugs: Collection[str]) -> None:
        super().__init__()
        self.from_zero = "zero start" in bugs
        self.s = nn.Parameter(torch.full((n_filters,), 0.04))

    def forward(self, x: Tensor) -> Tensor:
        s = self.s.clamp(0, 1)
        state = torch.zeros_like(x[..., 0]) if self.from_zero else x[..., 0]
        frames = []
        for frame in x.unbind(-1):
            state = s * frame + (1 - s) * state
            frames.append(state)
        return torch.stack(frames, dim=-1)


class Pcen(nn.Module):
    """[B, C, frames], compressed."""

    def __init__(self, n_filters: int, eps: float, bugs: Collection[str]) -> None:
        super().__init__()
        self.eps, self.halves = eps, "half gradients" in bugs
        self.alpha = nn.Parameter(torch.full((n_filters,), 0.96))
        self.delta = nn.Parameter(torch.full((n_filters,), 2.0))
        self.root = nn.Parameter(torch.full((n_filters,), 2.0))
        self.smoother = Smoother(n_filters, bugs)

    def forward(self, x: Tensor) -> Tensor:
        one = torch.ones_like(self.alpha)
        alpha = (torch.minimum(self.alpha, one) if self.halves else self.alpha.clamp(max=1))[:, None]
        root, delta = self.root.clamp(min=1)[:, None], self.delta[:, None]
        gained = x / (self.eps + self.smoother(x)) ** alpha
        return (gained + delta) ** (1 / root) - delta ** (1 / root)


class FlawedLeaf(nn.Module):
    """[B, 1, T] to [B, C, frames].

    Args:
        n_filters: C.
        window: samples in filters and pooling windows.
        stride: samples between two frames.
        eps: of PCEN.
        bugs: which of ``BUGS`` it has.
    """

    def __init__(self, n_filters: int, window: int, stride: int, eps: float, bugs: Collection[str] = BUGS) -> None:
        super().__init__()
        self.gabor = Gabor(n_filters, window)
        self.energy = Energy()
        self.pooling = Pooling(n_filters, window, stride, bugs)
        self.pcen = Pcen(n_filters, eps, bugs)

    def forward(self, x: Tensor) -> Tensor:
        energies = self.pooling(self.energy(self.gabor(x)))
        return self.pcen(energies.clamp(min=1e-5))
