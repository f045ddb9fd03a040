"""The published computation, operation by operation, so that a slow rung of ours flatters nobody.

Formulas and the order of operations are those of EfficientLEAF's ``model/leaf.py`` and ``model/efficientleaf.py``:
filters by a complex exponential in every forward, one convolution at stride 1 (or one a group), a grouped convolution
for pooling, a loop over the frames in PCEN, a median in log-TBN. Numbers and speed are those of the published code.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from efficientleaf import EfficientLeaf
from leaf import Leaf

FWHM = math.sqrt(2 * math.log(2)) / math.pi


def kernels(size: int, centers: Tensor, sigmas: Tensor) -> Tensor:
    """Gabor filters [2C, 1, size], by the complex exponential."""
    t = torch.arange(-(size // 2), (size + 1) // 2)
    envelope = torch.exp(torch.outer(1.0 / (2.0 * sigmas**2), -(t**2)))
    carrier = torch.exp(1j * torch.outer(centers, t))
    y = (1.0 / (math.sqrt(2 * math.pi) * sigmas))[:, None] * carrier * envelope
    return torch.cat((y.real, y.imag), dim=0).unsqueeze(1)


def windows(size: int, sigmas: Tensor) -> Tensor:
    """Gaussian windows [C, 1, size]."""
    t = torch.arange(size) * (2 / (size - 1)) - 1
    return torch.exp(-0.5 * (t / sigmas[:, None]) ** 2).unsqueeze(1)


def energies(y: Tensor) -> Tensor:
    """Real parts, then imaginary parts [B, 2C, T] to [B, C, T]."""
    y = y**2
    n = y.shape[1] // 2
    return y[:, :n] + y[:, n:]


class PublishedPCEN(nn.Module):
    """PCEN with linear parameters, its smoother a step of Python a frame."""

    def __init__(self, n_filters: int) -> None:
        super().__init__()
        for name, value in (("s", 0.04), ("alpha", 0.96), ("delta", 2.0), ("r", 2.0)):
            setattr(self, name, nn.Parameter(torch.full((n_filters,), value)))
        self.eps = torch.as_tensor(1e-12)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clamp(min=1e-5)
        alpha, delta, r = (
            p[:, None] for p in (self.alpha.clamp(max=1), self.delta.clamp(min=0), 1.0 / self.r.clamp(min=1))
        )
        states = [x[..., 0]]
        for frame in range(1, x.shape[-1]):
            states.append((1 - self.s) * states[-1] + self.s * x[..., frame])
        m = torch.stack(states, -1)
        gain = torch.exp(-alpha * (torch.log(self.eps) + torch.log1p(m / self.eps)))
        return (x * gain + delta) ** r - delta**r


class PublishedLogTBN(nn.Module):
    """``log(1 + 10^a x)`` and the same less its median over time, each normalised by its band's statistics."""

    def __init__(self, n_filters: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.full((n_filters,), 5.0))
        self.bn = nn.BatchNorm1d(2 * n_filters)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.log1p(10 ** self.a[:, None] * x)[:, None]
        x = torch.cat((x, x - x.median(-1, keepdim=True).values), dim=1)
        return self.bn(x.reshape(x.shape[0], -1, x.shape[-1])).reshape(x.shape)


class Published(nn.Module):
    """What the two share: parameters, and a compression by name."""

    def __init__(self, like: Leaf | EfficientLeaf, compression: str) -> None:
        super().__init__()
        bank = like.filterbank
        self.center_freqs, self.bandwidths, self.pooling_widths = (
            nn.Parameter(p.detach().clone()) for p in (bank.center_freqs, bank.bandwidths, bank.pooling_widths)
        )
        n = bank.n_filters
        self.compression = PublishedPCEN(n) if compression == "pcen" else PublishedLogTBN(n)
        self.pool_size, self.pool_stride = bank.pool_size, bank.pool_stride

    def forward(self, x: Tensor) -> Tensor:
        return self.compression(self.pooled(x[:, None]))


class PublishedLeaf(Published):
    """LEAF: one convolution at stride 1 over all filters."""

    def __init__(self, like: Leaf) -> None:
        super().__init__(like, "pcen")

    def pooled(self, x: Tensor) -> Tensor:
        size, n = self.pool_size, len(self.center_freqs)
        centers = self.center_freqs.clamp(min=0.0, max=math.pi)
        y = F.conv1d(x, kernels(size, centers, self.bandwidths.clamp(min=4 * FWHM, max=size * FWHM)), padding=size // 2)
        w = windows(size, self.pooling_widths.clamp(min=2.0 / size, max=0.5))
        return F.conv1d(energies(y), w, stride=self.pool_stride, padding=size // 2, groups=n)


class PublishedEfficientLeaf(Published):
    """EfficientLEAF: a convolution, a modulus and a pooling for every group, its plan read in every forward."""

    def __init__(self, like: EfficientLeaf, compression: str) -> None:
        super().__init__(like, compression)
        bank = like.filterbank
        self.num_groups, self.win_factor, self.stride_factor = (
            bank.num_groups, bank.conv_win_factor, bank.stride_factor,
        )  # fmt: skip
        self.strides = [s for s in range(1, self.pool_stride + 1) if self.pool_stride % s == 0]
        self.limits = torch.tensor([0.0, math.pi, 2 * FWHM, self.pool_size * FWHM])

    def pooled(self, x: Tensor) -> Tensor:
        low, high, narrow, wide = self.limits
        self.center_freqs.data = self.center_freqs.data.clamp(min=low, max=high)
        self.bandwidths.data = self.bandwidths.data.clamp(min=narrow, max=wide)
        self.pooling_widths.data = self.pooling_widths.data.clamp(min=2.0 / self.pool_size, max=0.5)
        n, outputs = len(self.center_freqs), []
        for a, b in pairwise(i * n // self.num_groups for i in range(self.num_groups + 1)):
            wanted = max(1, math.pi / torch.max(self.center_freqs[a:b].detach()).item() * self.stride_factor)
            stride = max(s for s in self.strides if s <= wanted)
            size = int(max(self.bandwidths[a:b].detach()) * self.win_factor) | 1
            kernel = kernels(size, self.center_freqs[a:b], self.bandwidths[a:b])
            y = F.conv1d(x, kernel, stride=stride, padding=size // 2)
            width = int(self.pool_size / stride + 0.5) | 1
            w = windows(width, self.pooling_widths[a:b] / stride * self.pool_size / width)
            e = F.conv1d(energies(y), w, stride=self.pool_stride // stride, padding=width // 2, groups=b - a)
            outputs.append(e)
        return torch.cat(outputs, dim=1)
