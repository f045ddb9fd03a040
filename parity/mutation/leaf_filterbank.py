"""Faults of rung 2's filterbank: initial values, Gabor kernels, limits, modulus, windows and padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaf import filterbank
from leaf.filterbank import GaborFilterbank
from leaf.filters import SIGMA_PER_SAMPLE, gabor_pair, gauss_windows
from parity.mutation.planting import Fault, Plant, replaced

Pair = tuple[Tensor, Tensor]
_convolve = GaborFilterbank._conv
_pool = GaborFilterbank.pool


def analytic(to_mel: Callable[[float], float], to_hz: Callable[[Tensor], Tensor], rate: float | None = None) -> Plant:
    """The initial values on another scale, or at another rate."""

    def params(n_filters: int, min_freq: float, max_freq: float, sample_rate: float) -> Pair:
        edges = to_hz(torch.linspace(to_mel(min_freq), to_mel(max_freq), n_filters + 2))
        used = rate or sample_rate
        return edges[1:-1] * (2 * math.pi / used), (used / 2) / (edges[2:] - edges[:-2])

    return replaced((filterbank, "mel_filter_params", params))


def _mel(f: float) -> float:
    return 1127 * math.log1p(f / 700)


def _hz(mel: Tensor) -> Tensor:
    return 700 * torch.expm1(mel / 1127)


def kernels(pair: Callable[[int, Tensor, Tensor], Pair]) -> Plant:
    return replaced((filterbank, "gabor_pair", pair))


def _filters(limited: Callable[[GaborFilterbank], Pair]) -> Plant:
    """The kernels of mu and sigma under other limits."""

    def filters(self: GaborFilterbank) -> Tensor:
        return torch.cat(gabor_pair(self.filter_size, *limited(self))).unsqueeze(1)

    return replaced((GaborFilterbank, "filters", filters))


def _sigma(self: GaborFilterbank, low: float = 4.0, high: float = 0.0) -> Tensor:
    return self.bandwidths.clamp(low * SIGMA_PER_SAMPLE, (self.filter_size + high) * SIGMA_PER_SAMPLE)


def _mu(self: GaborFilterbank) -> Tensor:
    return self.center_freqs.clamp(0.0, math.pi)


def _through_data(self: GaborFilterbank) -> Pair:
    self.center_freqs.data.clamp_(0.0, math.pi)
    self.bandwidths.data.clamp_(4 * SIGMA_PER_SAMPLE, self.filter_size * SIGMA_PER_SAMPLE)
    return self.center_freqs, self.bandwidths


def _late_peak(size: int, mu: Tensor, sigma: Tensor) -> Pair:
    # an even kernel is the odd one without its first tap, rather than without its last
    real, imaginary = gabor_pair(size | 1, mu, sigma)
    return real[:, -size:], imaginary[:, -size:]


def _unnormalised(size: int, mu: Tensor, sigma: Tensor) -> Pair:
    height = math.sqrt(2 * math.pi) * sigma.unsqueeze(1)
    real, imaginary = gabor_pair(size, mu, sigma)
    return real * height, imaginary * height


def _unit_sum(size: int, mu: Tensor, sigma: Tensor) -> Pair:
    real, imaginary = gabor_pair(size, mu, sigma)
    total = torch.hypot(real, imaginary).sum(dim=1, keepdim=True)
    return real / total, imaginary / total


def _in_single(size: int, mu: Tensor, sigma: Tensor) -> Pair:
    real, imaginary = gabor_pair(size, mu.float(), sigma.float())
    return real.to(mu.dtype), imaginary.to(mu.dtype)


def tf32(x: Tensor) -> Tensor:
    """Rounded to the ten bits of mantissa that a tensor core keeps; gradients pass."""
    bits = (x.detach().float().view(torch.int32) + 0x1000) & ~0x1FFF
    return x + (bits.view(torch.float32).to(x.dtype) - x).detach()


def _in_tf32(size: int, mu: Tensor, sigma: Tensor) -> Pair:
    real, imaginary = gabor_pair(size, mu, sigma)
    return tf32(real), tf32(imaginary)


def _pairwise(y: Tensor) -> Tensor:
    squares = y**2
    return squares[:, ::2] + squares[:, 1::2]


def _mean_of_squares(y: Tensor) -> Tensor:
    real, imaginary = (y**2).chunk(2, dim=1)
    return (real + imaginary) / 2


def _windows(make: Callable[[int, Tensor], Tensor], low: float = 2.0, high: float = 0.5) -> Plant:
    """Pooling windows of another shape or under other limits."""

    def windows(self: GaborFilterbank) -> Tensor:
        return make(self.pool_size, self.pooling_widths.clamp(low / self.pool_size, high)).unsqueeze(1)

    return replaced((GaborFilterbank, "windows", windows))


def _half_of_k(size: int, widths: Tensor) -> Tensor:
    t = torch.arange(size, dtype=widths.dtype)
    return torch.exp(-0.5 * ((t - (size - 1) / 2) / (size / 2) / widths.unsqueeze(1)) ** 2)


def _unit_area(size: int, widths: Tensor) -> Tensor:
    windows = gauss_windows(size, widths)
    return windows / windows.sum(dim=1, keepdim=True)


def _biased(self: GaborFilterbank, e: Tensor) -> Tensor:
    return _pool(self, e) + 1.0


def _padded(pads: Callable[[int, int, int], tuple[int, int]]) -> Plant:
    """Other zeros under "same": from the size, the total and the stride to those before and after."""

    def conv(self: GaborFilterbank, x: Tensor, kernel: Tensor, stride: int, groups: int) -> Tensor:
        if self.padding != "same":
            return _convolve(self, x, kernel, stride, groups)
        size, n = kernel.shape[-1], x.shape[-1]
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        return F.conv1d(F.pad(x, pads(size, total, stride)), kernel, stride=stride, groups=groups)

    return replaced((GaborFilterbank, "_conv", conv))


def _fault(name: str, kind: str, tap: str, gate: str, statement: str, plant: Plant, **rest: Any) -> Fault:
    return Fault(f"leaf/{name}", kind, "leaf", tap, gate, statement, plant, **rest)


FAULTS: tuple[Fault, ...] = (
    _fault("two-mel-scales", "mel log base", "init", "soundness",
           "the band edges go to mel by 2595 log10 and come back by 1127 ln, which differ by one part in 10^5",
           analytic(lambda f: 2595 * math.log10(1 + f / 700), _hz)),
    _fault("mel-break-at-1000-hz", "mel constants", "init", "soundness",
           "the mel scale that breaks at 1000 Hz (Fant) for the one that breaks at 700 Hz",
           analytic(lambda f: math.log1p(f / 1000), lambda mel: 1000 * torch.expm1(mel))),
    _fault("centres-linear-in-hz", "triangles linear in Hz", "init", "soundness",
           "centres and edges are spaced evenly in Hz", analytic(float, lambda f: f)),
    _fault("rate-hard-coded", "hard-coded rate or band edges", "init", "soundness",
           "the initial values are those of 16 kHz whatever the rate, as the original's", analytic(_mel, _hz, 16000.0)),
    _fault("centres-not-limited", "clamp dropped", "filters", "direct",
           "centres are used as they are, below 0 and above pi",
           _filters(lambda self: (self.center_freqs, _sigma(self)))),
    _fault("lower-sigma-of-efficientleaf", "clamp widened by 2", "filters", "direct",
           "sigma's lower limit is EfficientLEAF's, half of LEAF's",
           _filters(lambda self: (_mu(self), _sigma(self, low=2.0)))),
    _fault("upper-sigma-of-k-minus-1", "clamp of a wrong constant", "filters", "direct",
           "sigma's upper limit counts the intervals of the kernel, not its taps",
           _filters(lambda self: (_mu(self), _sigma(self, high=-1.0)))),
    _fault("limits-through-data", "clamp through .data", "kernel", "direct",
           "the forward pass limits the parameters themselves: values stay, gradients outside do not vanish",
           _filters(_through_data), property="parameter gradient"),
    _fault("peak-late-at-even-size", "time axis off by one at even size", "filters", "direct",
           "an even kernel has its extra tap behind the peak", kernels(_late_peak)),
    _fault("conjugate", "conjugate", "filters", "direct",
           "exp(-i mu t) for exp(i mu t); energies are the same, so that no tap behind conv can tell",
           kernels(lambda size, mu, sigma: gabor_pair(size, -mu, sigma))),
    _fault("imaginary-parts-first", "re/im order", "filters", "direct",
           "the block of imaginary parts before that of real ones; energies are the same",
           kernels(lambda size, mu, sigma: gabor_pair(size, mu, sigma)[::-1])),
    _fault("height-of-1", "missing normalisation", "filters", "direct",
           "the Gaussian has a peak of 1, not an area of 1", kernels(_unnormalised)),
    _fault("sum-of-1", "missing normalisation", "filters", "direct",
           "the Gaussian is divided by the sum of its taps: its area of 1 is cut with the kernel", kernels(_unit_sum)),
    _fault("kernels-in-float32", "reduced precision", "filters", "direct",
           "kernels are computed in float32 in a float64 module", kernels(_in_single)),
    _fault("kernels-in-tf32", "reduced precision", "filters", "direct",
           "kernels keep ten bits of mantissa, as tensor cores do", kernels(_in_tf32)),
    _fault("blocks-squared-in-pairs", "blocks fed to the pairwise modulus", "modulus", "direct",
           "the modulus adds neighbouring channels, while the real and imaginary parts are in two blocks",
           replaced((filterbank, "squared_modulus", _pairwise))),
    _fault("mean-of-squares", "mean for sum, abs for square", "modulus", "direct",
           "the average of the two squares, where the original takes twice the average",
           replaced((filterbank, "squared_modulus", _mean_of_squares))),
    _fault("half-width-of-k", "K/2 for (K-1)/2", "windows", "direct",
           "widths are relative to K/2 samples rather than (K-1)/2", _windows(_half_of_k)),
    _fault("width-down-to-a-sample", "window clip constants", "windows", "direct",
           "the lower limit of the widths is 1/K rather than 2/K", _windows(gauss_windows, low=1.0)),
    _fault("window-of-unit-area", "normalised window", "windows", "direct",
           "windows have a sum of 1, not a peak of 1", _windows(_unit_area)),
    _fault("widths-in-reverse", "channel permutation", "windows", "direct",
           "the windows of the bands from the last to the first",
           _windows(lambda size, widths: gauss_windows(size, widths.flip(0)))),
    _fault("bias-on-energies", "bias on energies", "pool", "direct",
           "the pooling has a bias, which starts from 1", replaced((GaborFilterbank, "pool", _biased))),
    _fault("extra-zero-in-front", "extra pad on the other side", "conv", "direct",
           "where the zeros are odd in number the extra one stands before the signal",
           _padded(lambda size, total, stride: (total - total // 2, total // 2))),
    _fault("pooling-centred", "centred padding", "pool", "direct",
           "the pooling has size // 2 zeros before the signal whatever the stride",
           _padded(lambda size, total, stride: (total // 2, total - total // 2) if stride == 1
                   else (size // 2, max(total - size // 2, 0)))),
)  # fmt: skip
