"""Reformulations of ``og_leaf`` that mean the same and round otherwise: no criterion may refuse them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from parity.mutation.og_leaf import (
    BINS,
    COMPRESSED,
    CONV,
    EXPONENT,
    GAIN,
    HEIGHT,
    MATRIX,
    MODULUS,
    NATURAL,
    NORM,
    PARTS,
    PCEN,
    SCALE,
    SMOOTHED,
    SMOOTHER,
    STEP,
    VARIANCE,
    WAVELET,
    WINDOW,
)
from parity.mutation.planting import Benign, Edit, Patch, replacing

QUIET = 1e-2  # a transform's error is relative to the loudest sample, not to the sample
THREE_LAYERS = "three layers of the file convolve"


def by_matrix(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    """A convolution of one channel as a matrix product over unfolded windows."""
    columns = inputs[:, 0].unfold(-1, weight.shape[-1], stride)
    return _offset((columns @ weight[:, 0].T).transpose(1, 2), bias)


def by_fft(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    """Products of spectra in float64; what is quiet beside the loudest that could be, and every gradient, is summed."""
    summed = by_matrix(inputs, weight, None, stride)
    signal, kernels = inputs.detach().double(), weight[:, 0].detach().double()
    n, size = inputs.shape[-1] - weight.shape[-1] + 1, inputs.shape[-1]
    product = torch.fft.rfft(signal, size) * torch.fft.rfft(kernels, size).conj()
    y = torch.fft.irfft(product, size)[..., :n:stride].to(inputs.dtype)
    largest = signal.abs().amax() * kernels.abs().sum(dim=-1, keepdim=True)
    return _offset(summed + torch.where(y.abs() > QUIET * largest, y - summed.detach(), 0.0), bias)


def by_halves(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    """Either half of the taps by itself."""
    half = weight.shape[-1] // 2
    early, late = weight[..., :half], weight[..., half:]
    first = F.conv1d(inputs[..., : inputs.shape[-1] - late.shape[-1]], early, stride=stride)
    return _offset(first + F.conv1d(inputs[..., half:], late, stride=stride), bias)


def pooled_by_matrix(inputs: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """A convolution of each channel with its own window, as a contraction over unfolded windows."""
    columns = inputs.unfold(-1, weight.shape[-1], stride)
    return torch.einsum("bcfw,cw->bcf", columns, weight[:, 0])


def _offset(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.unsqueeze(-1)


def _doubled(x: Tensor, decay: Tensor) -> Tensor:
    """``y[t] = x[t] + decay y[t - 1]``: blocks of 1, 2, 4, ... frames, each joined to the one before."""
    reach = 1
    while reach < x.shape[-1]:
        x = x + decay * F.pad(x[..., :-reach], (reach, 0))
        decay, reach = decay * decay, 2 * reach
    return x


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


BENIGN: tuple[Benign, ...] = (
    Benign("og_leaf/mel-log10-throughout", "mel as 2595 log10(1 + f / 700) for bins and edges alike",
           "a triangle is a ratio of differences of mels, so their unit cancels",
           Edit(SCALE, NATURAL, "2595.0 * torch.log10(1.0 + hertz / 700.0)"), "mel"),
    Benign("og_leaf/mel-torch-linspace", "bins and edges by torch.linspace, which counts down in the far half",
           "the same points, rounded otherwise",
           Edit("og_leaf.melfilters:_linspace", "torch.cat([start.reshape(1), inner, stop.reshape(1)])",
                "torch.linspace(float(start), float(stop), num, dtype=start.dtype)"), "mel"),
    Benign("og_leaf/mel-dc-kept", "the weight of the DC bin is computed rather than set to 0",
           "0 Hz is outside every triangle of a band that starts at 0 Hz or above",
           (Edit(MATRIX, BINS, "_linspace(zero, nyquist, n_bins)"),
            Edit(MATRIX, "torch.cat([torch.zeros((1, n_filters), dtype=dtype), triangles])", "triangles")), "mel"),
    Benign("og_leaf/conv-by-fft", "the convolution is a product of Fourier transforms where they are exact",
           "the convolution theorem; a transform errs relative to the loudest sample, so that what is quiet is summed",
           Patch(replacing("og_leaf.convolution:F", lambda own: SimpleNamespace(conv1d=by_fft)), THREE_LAYERS)),
    Benign("og_leaf/conv-by-matrix", "the convolution is a matrix product over unfolded windows",
           "the same products in another order of summation",
           Patch(replacing("og_leaf.convolution:F", lambda own: SimpleNamespace(conv1d=by_matrix)), THREE_LAYERS)),
    Benign("og_leaf/conv-by-halves", "either half of the taps is summed by itself", "another order of summation",
           Patch(replacing("og_leaf.convolution:F", lambda own: SimpleNamespace(conv1d=by_halves)), THREE_LAYERS)),
    Benign("og_leaf/pool-by-matrix", "the pooling is a contraction over unfolded windows",
           "the same products in another order of summation",
           Patch(replacing("og_leaf.pooling:F", lambda own: SimpleNamespace(
               conv1d=pooled_by_matrix, conv2d=own.conv2d, max_pool1d=own.max_pool1d)), "two layers of the file do")),
    Benign("og_leaf/permuted-and-undone",
           "the filters are convolved from the last to the first, all real parts before all imaginary ones",
           "the channels are put back in order before they are returned",
           (Edit(CONV, "impulse_responses.gabor_filters(kernel, self._kernel_size)", "it.flip(0)"),
            Edit(CONV, PARTS, "torch.cat([filters.real, filters.imag])"),
            Edit(CONV, "F.conv1d(padded, stacked, bias=self._bias, stride=self._strides)",
                 "torch.stack([part.flip(1) for part in F.conv1d(padded, stacked, stride=self._strides).chunk(2, 1)], "
                 "dim=2).flatten(1, 2) + (0.0 if self._bias is None else self._bias.unsqueeze(-1))"))),
    Benign("og_leaf/carrier-by-cos-and-sin", "the wavelet as magnitude and angle, its exponent as one square",
           "exp(i phase) is cos(phase) + i sin(phase)",
           (Edit(WAVELET, "torch.exp(torch.outer(1.0 / (2.0 * fwhm**2), -(t**2)))",
                 f"torch.exp(-0.5 * (t / fwhm.unsqueeze(1)) ** 2) * ({HEIGHT}).unsqueeze(1)"),
            Edit(WAVELET, "norm.to(to_complex).unsqueeze(1) * carrier * envelope.to(to_complex)",
                 "torch.complex(envelope * torch.cos(torch.outer(center, t)), "
                 "envelope * torch.sin(torch.outer(center, t)))"))),
    Benign("og_leaf/clamped-at-once", "torch.clamp with both limits in place of one after the other",
           "the limits cross for windows under four samples alone, and its gradient at either is 1 as well",
           Edit("og_leaf.impulse_responses:clip", "values.clamp(max=high).clamp(min=low)", "values.clamp(low, high)")),
    Benign("og_leaf/window-from-unit-axis", "the pooling window on an axis from -1 to 1",
           "sigma is relative to half the window already",
           Edit(WINDOW, EXPONENT, "(numerator / (0.5 * (filter_size - 1))) ** 2 * (-0.5 / sigma**2)")),
    Benign("og_leaf/sum-of-squares", "re^2 + im^2 in place of twice the mean of the squares",
           "halving and doubling are exact",
           Edit(MODULUS, "(2 * means).transpose(1, 2)", "x[:, : x.shape[1] // 2 * 2 : 2] ** 2 + x[:, 1::2] ** 2")),
    Benign("og_leaf/smoother-by-lerp", "m + s (x - m) in place of s x + (1 - s) m", "the same sum, factored",
           Edit(SMOOTHER, STEP, "torch.lerp(state, frame, w)"), "ema"),
    Benign("og_leaf/smoother-by-scan",
           "blocks of 1, 2, 4, ... frames are joined by powers of 1 - s, forwards, and backwards for the gradient",
           "what a block hands on decays by (1 - s)^length in the next, and the adjoint is such a recurrence itself",
           Edit(SMOOTHER, SMOOTHED, "DoublingScan.apply(inputs, initial_state.unsqueeze(-1), w.unsqueeze(-1))",
                using=(DoublingScan,)), "ema"),
    Benign("og_leaf/smoother-from-the-first-frame",
           "the initial state is ignored and the first frame is the first value, as in the published port",
           "the state that LEAF gives is the first frame, and s x + (1 - s) x = x",
           Edit(SMOOTHER, SMOOTHED, f"_walked(lambda state, frame: frame if state is None else {STEP}, inputs, None)"),
           "ema"),
    Benign("og_leaf/root-by-expm1", "delta^r expm1(r log1p(v / delta)) in place of a difference of powers",
           "(v + delta)^r = delta^r exp(r log(1 + v / delta)); delta is above 0",
           Edit(PCEN, COMPRESSED,
                "delta**one_over_root * torch.expm1(one_over_root * torch.log1p(normalised / delta))"), "pcen"),
    Benign("og_leaf/gain-in-log-space", "x exp(-alpha log(eps + M)) in place of x / (eps + M)^alpha", "the same power",
           Edit(PCEN, f"inputs / {GAIN}", "inputs * torch.exp(-alpha * torch.log(self._floor + smoothed))"), "pcen"),
    Benign("og_leaf/norm-by-var-mean", "(x - mean) / sqrt(variance + eps), then gamma and beta",
           "the same affine map, applied in another order",
           (Edit(NORM, VARIANCE, "inputs.var(dim=-1, correction=0, keepdim=True)"),
            Edit(NORM, "inputs * gain + (self.bias.unsqueeze(-1) - mean * gain)",
                 "(inputs - mean) / torch.sqrt(variance + self.epsilon) * self.weight.unsqueeze(-1) "
                 "+ self.bias.unsqueeze(-1)")), "norm"),
)  # fmt: skip
