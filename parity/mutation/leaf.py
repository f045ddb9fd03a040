"""Rung 2's planted faults, and the reformulations that must pass."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from leaf import filterbank
from leaf.filterbank import GaborFilterbank
from leaf.filters import gabor_pair
from leaf.pcen import PCEN, _Root
from parity.mutation import leaf_filterbank, leaf_pcen
from parity.mutation.leaf_filterbank import Pair, analytic, kernels
from parity.mutation.leaf_pcen import compressing, smoothing
from parity.mutation.planting import Benign, Fault, replaced

BLOCK = 16  # frames of the blocked smoother
QUIET = 1e-2  # a transform's error is relative to the loudest sample, not to the sample
_smooth = PCEN.smooth


def _padded(self: GaborFilterbank, x: Tensor, size: int, stride: int) -> Tensor:
    """The zeros that the rung's own convolution adds."""
    left = right = size // 2
    if self.padding == "same":
        total = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
        left, right = total // 2, total - total // 2
    return F.pad(x, (left, right))


def _by_products(self: GaborFilterbank, x: Tensor, kernel: Tensor, stride: int, groups: int) -> Tensor:
    """Windows of the signal times the kernels: [B, groups, frames, K] by [C, K]."""
    size = kernel.shape[-1]
    windows = _padded(self, x, size, stride).unfold(-1, size, stride)
    if groups == 1:
        return torch.matmul(windows[:, 0], kernel[:, 0].T).transpose(1, 2)
    return torch.matmul(windows, kernel.transpose(1, 2))[..., 0]


def _by_fourier(self: GaborFilterbank, x: Tensor, kernel: Tensor, stride: int, groups: int) -> Tensor:
    """Products of spectra in float64; what is quiet beside the loudest that could be, and every gradient, is summed."""
    summed = _by_products(self, x, kernel, stride, groups)
    size = kernel.shape[-1]
    padded = _padded(self, x, size, stride).detach().double()
    n = padded.shape[-1]
    spectrum = torch.fft.rfft(padded, n + size) * torch.fft.rfft(kernel[:, 0].detach().double().flip(-1), n + size)
    y = torch.fft.irfft(spectrum, n + size)[..., size - 1 : n : stride].to(x.dtype)
    largest = padded.abs().amax() * kernel.detach().abs().sum(dim=-1)  # [C, 1]
    return summed + torch.where(y.abs() > QUIET * largest, y - summed.detach(), 0.0)


def _in_blocks(self: PCEN, x: Tensor) -> Tensor:
    """A triangular matrix of powers of 1 - s times a block's frames, and what the block before carries over."""
    recursion = _smooth(self, x)  # whose gradients are kept: the powers' own lose a digit of that to s where x is still
    s, inside = self.parameters_linear()[0].detach().to(x.dtype)[:, None], x.detach()
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


def _by_complex_exponential(size: int, mu: Tensor, sigma: Tensor) -> Pair:
    t = torch.arange(-(size // 2), (size + 1) // 2, device=sigma.device, dtype=sigma.dtype)
    gaussian = torch.exp(-0.5 * (t / sigma.unsqueeze(1)) ** 2) / (math.sqrt(2 * math.pi) * sigma.unsqueeze(1))
    carrier = torch.polar(torch.ones_like(gaussian), mu.unsqueeze(1) * t)
    return gaussian * carrier.real, gaussian * carrier.imag


def _in_reverse(size: int, mu: Tensor, sigma: Tensor) -> Pair:
    real, imaginary = gabor_pair(size, mu.flip(0), sigma.flip(0))
    return real.flip(0), imaginary.flip(0)


def _root_by_logarithm(v: Tensor, delta: Tensor, r: Tensor) -> Tensor:
    positive = delta != 0
    divisor = torch.where(positive, delta, 1.0)
    rooted = torch.exp(r * torch.log(divisor)) * torch.expm1(r * torch.log1p(v / divisor))
    return torch.where(positive, rooted, v**r)


def _squared_hypotenuse(y: Tensor) -> Tensor:
    return torch.complex(*y.chunk(2, dim=1)).abs() ** 2


FAULTS: tuple[Fault, ...] = (*leaf_filterbank.FAULTS, *leaf_pcen.FAULTS)

BENIGN: tuple[Benign, ...] = (
    Benign("leaf/convolution-by-products", "leaf", "windows of the signal times the kernels, as one matrix product",
           "the same sums of products in another order",
           replaced((GaborFilterbank, "_conv", _by_products))),
    Benign("leaf/convolution-by-fourier", "leaf", "convolution by products of spectra where they are exact",
           "the convolution theorem; a transform errs relative to the loudest sample, so that what is quiet is summed",
           replaced((GaborFilterbank, "_conv", _by_fourier))),
    Benign("leaf/smoother-in-blocks", "leaf", f"values by blocks of {BLOCK} frames, a triangular matrix each",
           "the recursion written out", replaced((PCEN, "smooth", _in_blocks))),
    Benign("leaf/smoother-frame-by-frame", "leaf", "a loop of M + s (x - M) for the scan", "the recurrence itself",
           smoothing(lambda x, s: x)),
    Benign("leaf/smoother-as-published", "leaf", "(1 - s) M + s x for M + s (x - M)", "the same mean of two, expanded",
           smoothing(lambda x, s: x, lambda m, x, s: (1 - s) * m + s * x)),
    Benign("leaf/kernels-by-complex-exponential", "leaf", "a Gaussian of t / sigma times exp(i mu t)",
           "Euler's formula, and the exponent's factors in another order", kernels(_by_complex_exponential)),
    Benign("leaf/bands-in-reverse", "leaf", "kernels of the bands from the last to the first, put back in order",
           "a permutation and its inverse", kernels(_in_reverse)),
    Benign("leaf/squared-hypotenuse", "leaf", "|re + i im| squared", "the square of the root of the sum of squares",
           replaced((filterbank, "squared_modulus", _squared_hypotenuse))),
    Benign("leaf/gain-by-division", "leaf", "x / (eps + M)^alpha", "a negative power is the inverse",
           compressing(gain=lambda self, x, alpha: x / (self.eps + self.smooth(x)) ** alpha)),
    Benign("leaf/root-by-logarithm", "leaf", "delta^r by exp(r log delta)", "the definition of a power",
           replaced((_Root, "forward", staticmethod(_root_by_logarithm)))),
    Benign("leaf/mel-by-log10", "leaf", "mel by 2595 log10(1 + f / 700) there and back",
           "a multiple of 1127 ln(1 + f / 700): the unit of the scale falls out",
           analytic(lambda f: 2595 * math.log10(1 + f / 700),
                    lambda mel: 700 * torch.expm1(mel * (math.log(10) / 2595)))),
)  # fmt: skip
