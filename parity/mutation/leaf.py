"""Every fault and reformulation that is planted into ``leaf``."""

from __future__ import annotations

import torch
from torch import Tensor

from parity.mutation import leaf_filterbank, leaf_pcen
from parity.mutation.leaf_filterbank import EDGES, ENVELOPE, FILTERS, MEL, MEL_START, PAIR, PAIR_OF, SQUARES
from parity.mutation.leaf_pcen import GAIN, SMOOTH, SMOOTHED, STEP
from parity.mutation.planting import Benign, Edit, Fault

BLOCK = 16  # frames of the blocked smoother
QUIET = 1e-2  # a transform's error is relative to the loudest sample, not to the sample
CONVOLVED = "conv1d(x, kernel, stride, pads, groups)"


def by_products(padded: Tensor, kernel: Tensor, stride: int, groups: int) -> Tensor:
    """Windows of the signal times the kernels: [B, groups, frames, K] by [C, K]."""
    windows = padded.unfold(-1, kernel.shape[-1], stride)
    if groups == 1:
        return torch.matmul(windows[:, 0], kernel[:, 0].T).transpose(1, 2)
    return torch.matmul(windows, kernel.transpose(1, 2))[..., 0]


def by_spectra(padded: Tensor, kernel: Tensor, stride: int, groups: int) -> Tensor:
    """Products of spectra in float64; what is quiet beside the loudest that could be, and every gradient, is summed."""
    summed = by_products(padded, kernel, stride, groups)
    size, n = kernel.shape[-1], padded.shape[-1]
    exact = padded.detach().double()
    spectrum = torch.fft.rfft(exact, n + size) * torch.fft.rfft(kernel[:, 0].detach().double().flip(-1), n + size)
    y = torch.fft.irfft(spectrum, n + size)[..., size - 1 : n : stride].to(padded.dtype)
    largest = exact.abs().amax() * kernel.detach().abs().sum(dim=-1)  # [C, 1]
    return summed + torch.where(y.abs() > QUIET * largest, y - summed.detach(), 0.0)


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


def frame_by_frame(x: Tensor, s: Tensor, published: bool) -> Tensor:
    """The smoother's loop, from the first frame on: ``(1 - s) M + s x`` as published, or ``M + s (x - M)``."""
    frames = [x[..., 0]]
    for frame in x.unbind(-1)[1:]:
        frames.append((1 - s) * frames[-1] + s * frame if published else torch.lerp(frames[-1], frame, s))
    return torch.stack(frames, -1)


FAULTS: tuple[Fault, ...] = (*leaf_filterbank.FAULTS, *leaf_pcen.FAULTS)

BENIGN: tuple[Benign, ...] = (
    Benign("leaf/convolution-by-products", "windows of the signal times the kernels, as one matrix product",
           "the same sums of products in another order",
           Edit("leaf.filterbank:GaborFilterbank._conv", CONVOLVED,
                "by_products(F.pad(x, pads), kernel, stride, groups)", using=(by_products,))),
    Benign("leaf/convolution-by-fourier", "convolution by products of spectra where they are exact",
           "the convolution theorem; a transform errs relative to the loudest sample, so that what is quiet is summed",
           Edit("leaf.filterbank:GaborFilterbank._conv", CONVOLVED,
                "by_spectra(F.pad(x, pads), kernel, stride, groups)", using=(by_spectra,))),
    Benign("leaf/smoother-in-blocks", f"values by blocks of {BLOCK} frames, a triangular matrix each",
           "the recursion written out", Edit(SMOOTH, SMOOTHED, "in_blocks(x, s, it)", using=(in_blocks,))),
    Benign("leaf/smoother-frame-by-frame", "a loop of M + s (x - M) for the scan", "the recurrence itself",
           Edit(SMOOTH, SMOOTHED, "frame_by_frame(x, s, published=False)", using=(frame_by_frame,))),
    Benign("leaf/smoother-as-published", "(1 - s) M + s x for M + s (x - M)", "the same mean of two, expanded",
           Edit(SMOOTH, SMOOTHED, "frame_by_frame(x, s, published=True)", using=(frame_by_frame,))),
    Benign("leaf/kernels-by-complex-exponential", "a Gaussian of t / sigma times exp(i mu t)",
           "Euler's formula, and the exponent's factors in another order",
           (Edit(PAIR_OF, ENVELOPE, "torch.exp(-0.5 * (t / sigmas.unsqueeze(1)) ** 2)"),
            Edit(PAIR_OF, "torch.cos(phase)", "torch.polar(torch.ones_like(phase), phase).real"),
            Edit(PAIR_OF, "torch.sin(phase)", "torch.polar(torch.ones_like(phase), phase).imag"))),
    Benign("leaf/bands-in-reverse", "kernels of the bands from the last to the first, put back in order",
           "a permutation and its inverse",
           Edit(FILTERS, PAIR,
                "[part.flip(0) for part in gabor_pair(self.filter_size, centers.flip(0), sigmas.flip(0))]")),
    Benign("leaf/squared-hypotenuse", "|re + i im| squared", "the square of the root of the sum of squares",
           Edit(SQUARES, "real + imag", "torch.complex(*y.chunk(2, dim=1)).abs() ** 2")),
    Benign("leaf/gain-by-division", "x / (eps + M)^alpha by autograd", "the same power and the same quotient",
           Edit(STEP, GAIN, "x / (self.eps + m) ** alpha")),
    Benign("leaf/root-by-logarithm", "delta^r by exp(r log delta)", "the definition of a power",
           Edit("leaf.pcen:_Root.forward", "torch.where(exponent < LOG_2, rest * expm1(exponent), power - rest)",
                "torch.where(delta != 0, torch.exp(r * torch.log(delta)) * expm1(exponent), v**r)")),
    Benign("leaf/mel-by-log10", "mel by 2595 log10(1 + f / 700) there and back",
           "a multiple of 1127 ln(1 + f / 700): the unit of the scale falls out",
           (Edit(MEL_START, MEL, "2595 * math.log10(1 + f / 700)"),
            Edit(MEL_START, f"{EDGES} / 1127", f"{EDGES} * (math.log(10) / 2595)"))),
)  # fmt: skip
