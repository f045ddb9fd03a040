"""Faults of ``og_leaf``'s convolution, modulus and pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from og_leaf import impulse_responses, padding
from og_leaf.convolution import GaborConv1D, pad_time
from og_leaf.frontend import SquaredModulus
from og_leaf.impulse_responses import clip
from og_leaf.pooling import GaussianLowpass
from parity.mutation.planting import Fault, replaced

_same_padding = padding._same_padding
_conv_init = GaborConv1D.__init__


def _in_turn(filters: Tensor) -> Tensor:
    return torch.stack([filters.real, filters.imag], dim=1).flatten(0, 1)


def _imaginary_first(filters: Tensor) -> Tensor:
    return torch.stack([filters.imag, filters.real], dim=1).flatten(0, 1)


def _in_blocks(filters: Tensor) -> Tensor:
    return torch.cat([filters.real, filters.imag])


def _as_given(kernel: Tensor) -> Tensor:
    return kernel


def _sorted_mu(kernel: Tensor) -> Tensor:
    return torch.stack([kernel[:, 0].sort().values, kernel[:, 1]], dim=1)


def _descending(kernel: Tensor) -> Tensor:
    return kernel[torch.argsort(kernel[:, 0], stable=True, descending=True)]


def _convolved(
    stack: Callable[[Tensor], Tensor] = _in_turn, order: Callable[[Tensor], Tensor] = _as_given
) -> Callable[[GaborConv1D, Tensor], Tensor]:
    """``GaborConv1D.forward`` with the channels in another order."""

    def forward(self: GaborConv1D, inputs: Tensor) -> Tensor:
        kernel = order(self.constraint(self._kernel))
        stacked = stack(impulse_responses.gabor_filters(kernel, self._kernel_size)).unsqueeze(1)
        padded = pad_time(inputs, self._kernel_size, self._strides, self._padding)
        return F.conv1d(padded, stacked, bias=self._bias, stride=self._strides)

    return forward


def _sorting_init(self: GaborConv1D, *args: Any, **arguments: Any) -> None:
    _conv_init(self, *args, **{"sort_filters": True, **arguments})


def _odd_one_before(n: int, window: int, stride: int) -> tuple[int, int]:
    after, before = _same_padding(n, window, stride)
    return before, after


def _past_first(n: int, window: int, stride: int) -> tuple[int, int]:
    before, after = _same_padding(n, window, stride)
    return (after, before) if window == 2 else (before, after)


def _mean_of_squares(self: SquaredModulus, x: Tensor) -> Tensor:
    means: Tensor = self._pool(x.transpose(1, 2) ** 2)
    return means.transpose(1, 2)


def _modulus(self: SquaredModulus, x: Tensor) -> Tensor:
    return torch.hypot(x[:, 0::2], x[:, 1::2])


def _width(sigma: Tensor, n: int) -> Tensor:
    return clip(sigma, 2.0 / n, 0.5)


def _width_in_data(sigma: Tensor, n: int) -> Tensor:
    sigma.data.clamp_(2.0 / n, 0.5)
    return sigma


def _width_by_minimum(sigma: Tensor, n: int) -> Tensor:
    return torch.minimum(torch.maximum(sigma, torch.full_like(sigma, 2.0 / n)), torch.full_like(sigma, 0.5))


def _window(
    width: Callable[[Tensor, int], Tensor] = _width,
    middle: Callable[[int], float] = lambda n: 0.5 * (n - 1),
    half: Callable[[int], float] = lambda n: 0.5 * (n - 1),
    finish: Callable[[Tensor], Tensor] = lambda windows: windows,
) -> Callable[[Tensor, int], Tensor]:
    """``gaussian_lowpass`` with another limit, middle, half width or scale."""

    def gaussian_lowpass(sigma: Tensor, filter_size: int) -> Tensor:
        sigma = width(sigma, filter_size)
        t = torch.arange(0, filter_size, dtype=sigma.dtype, device=sigma.device)
        return finish(torch.exp(-0.5 * ((t - middle(filter_size)) / (sigma * half(filter_size))) ** 2))

    return gaussian_lowpass


def _pooled(
    windows_of: Callable[[Tensor], Tensor] = lambda windows: windows,
    pads: Callable[[int, int, int], tuple[int, int]] = _same_padding,
    bias: float = 0.0,
) -> Callable[[GaussianLowpass, Tensor], Tensor]:
    """``GaussianLowpass.forward`` with other windows, pads or an offset."""

    def forward(self: GaussianLowpass, inputs: Tensor) -> Tensor:
        windows = windows_of(impulse_responses.gaussian_lowpass(self.kernel, self.kernel_size)).squeeze(2)
        padded = F.pad(inputs, pads(inputs.shape[-1], self.kernel_size, self.strides))
        return F.conv1d(padded, windows, stride=self.strides, groups=self.num_channels) + bias

    return forward


def _fault(
    name: str, kind: str, tap: str, gate: str, statement: str, *where: tuple[Any, str, Any], property: str = "forward"
) -> Fault:
    return Fault(f"og_leaf/{name}", kind, "og_leaf", tap, gate, statement, replaced(*where), property)


_CONV = (GaborConv1D, "forward")
_POOL = (GaussianLowpass, "forward")
_WINDOW = (impulse_responses, "gaussian_lowpass")

FAULTS: tuple[Fault, ...] = (
    _fault("imaginary-part-first", "re/im order", "conv", "direct",
           "the imaginary part of a filter comes before the real one: the energies stay",
           (*_CONV, _convolved(_imaginary_first))),
    _fault("parts-in-blocks", "blocks fed to the pairwise modulus", "conv", "direct",
           "all real parts, then all imaginary ones, while the modulus takes its channels in pairs",
           (*_CONV, _convolved(_in_blocks))),
    _fault("mu-sorted-alone", "sort without the sigmas", "conv", "direct",
           "the centre frequencies are sorted, the sigmas stay where they were",
           (GaborConv1D, "__init__", _sorting_init), (*_CONV, _convolved(order=_sorted_mu))),
    _fault("filters-descending", "channel permutation", "conv", "direct",
           "the filters come out from the highest to the lowest; nothing behind follows",
           (*_CONV, _convolved(order=_descending))),
    _fault("odd-pad-before", "extra pad on the other side", "conv", "direct",
           "the odd zero of SAME goes before the signal: an even kernel is a sample off",
           (padding, "_same_padding", _odd_one_before)),
    _fault("preemp-causal", "extra pad on the other side", "conv", "direct",
           "the pre-emphasis is the textbook's x[n] - a x[n - 1]; the original's looks a sample ahead",
           (padding, "_same_padding", _past_first)),
    _fault("modulus-halved", "mean for sum, abs for square", "modulus", "direct",
           "the mean of the two squares in place of their sum",
           (SquaredModulus, "forward", _mean_of_squares)),
    _fault("modulus-not-squared", "mean for sum, abs for square", "modulus", "direct",
           "the modulus in place of its square",
           (SquaredModulus, "forward", _modulus)),
    _fault("width-floor-halved", "window clip constants", "windows", "direct",
           "the narrowest window is 1 / size rather than 2 / size",
           (*_WINDOW, _window(width=lambda s, n: clip(s, 1.0 / n, 0.5)))),
    _fault("width-floor-one-short", "window clip constants", "windows", "direct",
           "the narrowest window is 2 / (size - 1)",
           (*_WINDOW, _window(width=lambda s, n: clip(s, 2.0 / (n - 1), 0.5)))),
    _fault("width-up-to-one", "window clip constants", "windows", "direct",
           "the widest window is 1 in place of 0.5",
           (*_WINDOW, _window(width=lambda s, n: clip(s, 2.0 / n, 1.0)))),
    _fault("width-clamped-in-data", "clamp through .data", "learnable_pooling/kernel", "direct",
           "the pooling widths are clamped through .data: a gradient where the original has none",
           (*_WINDOW, _window(width=_width_in_data)), property="parameter gradient"),
    _fault("width-tie-halved", "tie gradients", "learnable_pooling/kernel", "direct",
           "the widths are limited by minimum and maximum against a tensor: half the gradient at the limits",
           (*_WINDOW, _window(width=_width_by_minimum)), property="parameter gradient"),
    _fault("window-around-half", "K/2 for (K-1)/2", "windows", "direct",
           "the windows stand around size / 2, half a sample late",
           (*_WINDOW, _window(middle=lambda n: 0.5 * n))),
    _fault("window-scaled-by-half", "K/2 for (K-1)/2", "windows", "direct",
           "the widths are relative to size / 2 in place of (size - 1) / 2",
           (*_WINDOW, _window(half=lambda n: 0.5 * n))),
    _fault("window-normalised", "normalised window", "windows", "direct",
           "the windows sum to 1 in place of having peak 1",
           (*_WINDOW, _window(finish=lambda windows: windows / windows.sum(dim=-1, keepdim=True)))),
    _fault("pool-centred", "centred padding", "pool", "direct",
           "half a window of zeros on either side, as simplified LEAF pads: frames some samples early",
           (*_POOL, _pooled(pads=lambda n, window, stride: ((window - 1) // 2, window // 2)))),
    _fault("pool-odd-pad-before", "extra pad on the other side", "pool", "direct",
           "the odd zero of the pooling goes before the energies: frames a sample early",
           (*_POOL, _pooled(pads=_odd_one_before))),
    _fault("energies-biased", "bias on energies", "pool", "direct",
           "a bias, initially 1, on every pooled energy, as two published ports have it",
           (*_POOL, _pooled(bias=1.0))),
    _fault("windows-flipped", "channel permutation", "pool", "direct",
           "the windows are dealt to the channels from the last to the first",
           (*_POOL, _pooled(windows_of=lambda windows: windows.flip(0)))),
)  # fmt: skip
