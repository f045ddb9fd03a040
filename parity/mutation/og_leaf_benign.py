"""Reformulations of ``og_leaf`` that mean the same and round otherwise: no gate may refuse them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from og_leaf import convolution, impulse_responses, pooling, postprocessing
from og_leaf.convolution import GaborConv1D
from og_leaf.frontend import SquaredModulus
from og_leaf.postprocessing import ExponentialMovingAverage, InstanceNormalization, PCENLayer
from parity.mutation.planting import Benign, replaced

_conv = GaborConv1D.forward
QUIET = 1e-2  # a transform's error is relative to the loudest sample, not to the sample


def _by_matrix(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    columns = inputs[:, 0].unfold(-1, weight.shape[-1], stride)
    return _offset((columns @ weight[:, 0].T).transpose(1, 2), bias)


def _offset(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.unsqueeze(-1)


def _by_fft(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    """Products of spectra in float64; what is quiet beside the loudest that could be, and every gradient, is summed."""
    summed = _by_matrix(inputs, weight, None, stride)
    signal, kernels = inputs.detach().double(), weight[:, 0].detach().double()
    n, size = inputs.shape[-1] - weight.shape[-1] + 1, inputs.shape[-1]
    product = torch.fft.rfft(signal, size) * torch.fft.rfft(kernels, size).conj()
    y = torch.fft.irfft(product, size)[..., :n:stride].to(inputs.dtype)
    largest = signal.abs().amax() * kernels.abs().sum(dim=-1, keepdim=True)
    return _offset(summed + torch.where(y.abs() > QUIET * largest, y - summed.detach(), 0.0), bias)


def _by_halves(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    half = weight.shape[-1] // 2
    early, late = weight[..., :half], weight[..., half:]
    first = F.conv1d(inputs[..., : inputs.shape[-1] - late.shape[-1]], early, stride=stride)
    return _offset(first + F.conv1d(inputs[..., half:], late, stride=stride), bias)


def _pooled_by_matrix(inputs: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    columns = inputs.unfold(-1, weight.shape[-1], stride)
    return torch.einsum("bcfw,cw->bcf", columns, weight[:, 0])


def _permuted_and_undone(self: GaborConv1D, inputs: Tensor) -> Tensor:
    kernel = self.constraint(self._kernel)
    if self._sort_filters:
        kernel = kernel[torch.argsort(kernel[:, 0], stable=True)]
    kernel = kernel.flip(0)
    filters = impulse_responses.gabor_filters(kernel, self._kernel_size)
    blocks = torch.cat([filters.real, filters.imag]).unsqueeze(1)
    padded = convolution.pad_time(inputs, self._kernel_size, self._strides, self._padding)
    real, imaginary = F.conv1d(padded, blocks, stride=self._strides).chunk(2, dim=1)
    return _offset(torch.stack([real.flip(1), imaginary.flip(1)], dim=2).flatten(1, 2), self._bias)


def _cos_and_sin(t: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    # not torch.polar, whose gradient is NaN where the envelope is subnormal
    envelope = torch.exp(-0.5 * (t / fwhm.unsqueeze(1)) ** 2) / (math.sqrt(2.0 * math.pi) * fwhm).unsqueeze(1)
    phase = torch.outer(center, t)
    return torch.complex(envelope * torch.cos(phase), envelope * torch.sin(phase))


def _clamped_at_once(values: Tensor, low: float, high: float) -> Tensor:
    return values.clamp(low, high)


def _gaussian_by_square(sigma: Tensor, filter_size: int) -> Tensor:
    sigma = impulse_responses.clip(sigma, 2.0 / filter_size, 0.5)
    z = torch.arange(1 - filter_size, filter_size, 2, dtype=sigma.dtype) / (filter_size - 1)
    return torch.exp(z**2 * (-0.5 / sigma**2))


def _sum_of_squares(self: SquaredModulus, x: Tensor) -> Tensor:
    n = x.shape[1] // 2 * 2  # one without a partner is left out
    real, imaginary = x[:, 0:n:2], x[:, 1:n:2]
    return real * real + imaginary * imaginary


def _lerp(self: ExponentialMovingAverage, inputs: Tensor, initial_state: Tensor) -> Tensor:
    w, state, smoothed = impulse_responses.clip(self._weights, 0.0, 1.0), initial_state, []
    for frame in inputs.unbind(-1):
        state = torch.lerp(state, frame, w)
        smoothed.append(state)
    return torch.stack(smoothed, dim=-1)


def _doubled(x: Tensor, decay: Tensor) -> Tensor:
    """``y[t] = x[t] + decay y[t - 1]``: blocks of 1, 2, 4, ... frames, each joined to the one before."""
    reach = 1
    while reach < x.shape[-1]:
        x = x + decay * F.pad(x[..., :-reach], (reach, 0))
        decay, reach = decay * decay, 2 * reach
    return x


class _Scan(torch.autograd.Function):
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


def _scanned(self: ExponentialMovingAverage, inputs: Tensor, initial_state: Tensor) -> Tensor:
    w = impulse_responses.clip(self._weights, 0.0, 1.0).unsqueeze(-1)
    smoothed: Tensor = _Scan.apply(inputs, initial_state.unsqueeze(-1), w)  # type: ignore[no-untyped-call]
    return smoothed


def _from_the_first_frame(self: ExponentialMovingAverage, inputs: Tensor, initial_state: Tensor) -> Tensor:
    w, frames = impulse_responses.clip(self._weights, 0.0, 1.0), inputs.unbind(-1)
    smoothed = [frames[0]]
    for frame in frames[1:]:
        smoothed.append(w * frame + (1.0 - w) * smoothed[-1])
    return torch.stack(smoothed, dim=-1)


def _parameters(self: PCENLayer) -> tuple[Tensor, Tensor, Tensor]:
    alpha, root = self.alpha.clamp(max=1.0), self.root.clamp(min=1.0)
    return alpha.unsqueeze(-1), self.delta.unsqueeze(-1), 1.0 / root.unsqueeze(-1)


def _by_expm1(self: PCENLayer, inputs: Tensor) -> Tensor:
    alpha, delta, r = _parameters(self)
    gained = inputs / (self._floor + self.ema(inputs, inputs[..., 0])) ** alpha
    return delta**r * torch.expm1(r * torch.log1p(gained / delta))


def _in_log_space(self: PCENLayer, inputs: Tensor) -> Tensor:
    alpha, delta, r = _parameters(self)
    gained = inputs * torch.exp(-alpha * torch.log(self._floor + self.ema(inputs, inputs[..., 0])))
    return (gained + delta) ** r - delta**r


def _standardised(self: InstanceNormalization, inputs: Tensor) -> Tensor:
    variance, mean = torch.var_mean(inputs, dim=-1, correction=0, keepdim=True)
    unit = (inputs - mean) / torch.sqrt(variance + self.epsilon)
    return unit * self.weight.unsqueeze(-1) + self.bias.unsqueeze(-1)


_CONV = (convolution, "F")
_SMOOTHER = (ExponentialMovingAverage, "forward")
_PCEN = (PCENLayer, "forward")

BENIGN: tuple[Benign, ...] = (
    Benign("og_leaf/conv-by-fft", "og_leaf", "the convolution is a product of Fourier transforms where they are exact",
           "the convolution theorem; a transform errs relative to the loudest sample, so that what is quiet is summed",
           replaced((*_CONV, SimpleNamespace(pad=F.pad, conv1d=_by_fft)))),
    Benign("og_leaf/conv-by-matrix", "og_leaf", "the convolution is a matrix product over unfolded windows",
           "the same products in another order of summation",
           replaced((*_CONV, SimpleNamespace(pad=F.pad, conv1d=_by_matrix)))),
    Benign("og_leaf/conv-by-halves", "og_leaf", "either half of the taps is summed by itself",
           "another order of summation",
           replaced((*_CONV, SimpleNamespace(pad=F.pad, conv1d=_by_halves)))),
    Benign("og_leaf/pool-by-matrix", "og_leaf", "the pooling is a contraction over unfolded windows",
           "the same products in another order of summation",
           replaced((pooling, "F",
                     SimpleNamespace(conv1d=_pooled_by_matrix, conv2d=F.conv2d, max_pool1d=F.max_pool1d)))),
    Benign("og_leaf/permuted-and-undone", "og_leaf",
           "the filters are convolved from the last to the first, all real parts before all imaginary ones",
           "the channels are put back in order before they are returned",
           replaced((GaborConv1D, "forward", _permuted_and_undone))),
    Benign("og_leaf/carrier-by-cos-and-sin", "og_leaf",
           "the wavelet as magnitude and angle, its exponent as one square",
           "exp(i phase) is cos(phase) + i sin(phase)",
           replaced((impulse_responses, "gabor_impulse_response", _cos_and_sin))),
    Benign("og_leaf/clamped-at-once", "og_leaf", "torch.clamp with both limits in place of one after the other",
           "the limits cross for windows under four samples alone, and its gradient at either is 1 as well",
           replaced((impulse_responses, "clip", _clamped_at_once), (postprocessing, "clip", _clamped_at_once))),
    Benign("og_leaf/window-from-unit-axis", "og_leaf", "the pooling window on an axis from -1 to 1",
           "sigma is relative to half the window already",
           replaced((impulse_responses, "gaussian_lowpass", _gaussian_by_square))),
    Benign("og_leaf/sum-of-squares", "og_leaf", "re^2 + im^2 in place of twice the mean of the squares",
           "halving and doubling are exact",
           replaced((SquaredModulus, "forward", _sum_of_squares))),
    Benign("og_leaf/smoother-by-lerp", "og_leaf", "m + s (x - m) in place of s x + (1 - s) m",
           "the same sum, factored",
           replaced((*_SMOOTHER, _lerp)), "ema"),
    Benign("og_leaf/smoother-by-scan", "og_leaf",
           "blocks of 1, 2, 4, ... frames are joined by powers of 1 - s, forwards, and backwards for the gradient",
           "what a block hands on decays by (1 - s)^length in the next, and the adjoint is such a recurrence itself",
           replaced((*_SMOOTHER, _scanned)), "ema"),
    Benign("og_leaf/smoother-from-the-first-frame", "og_leaf",
           "the initial state is ignored and the first frame is the first value, as in the published port",
           "the state that LEAF gives is the first frame, and s x + (1 - s) x = x",
           replaced((*_SMOOTHER, _from_the_first_frame)), "ema"),
    Benign("og_leaf/root-by-expm1", "og_leaf", "delta^r expm1(r log1p(v / delta)) in place of a difference of powers",
           "(v + delta)^r = delta^r exp(r log(1 + v / delta)); delta is above 0",
           replaced((*_PCEN, _by_expm1)), "pcen"),
    Benign("og_leaf/gain-in-log-space", "og_leaf", "x exp(-alpha log(eps + M)) in place of x / (eps + M)^alpha",
           "the same power",
           replaced((*_PCEN, _in_log_space)), "pcen"),
    Benign("og_leaf/norm-by-var-mean", "og_leaf", "(x - mean) / sqrt(variance + eps), then gamma and beta",
           "the same affine map, applied in another order",
           replaced((InstanceNormalization, "forward", _standardised)), "norm"),
)  # fmt: skip
