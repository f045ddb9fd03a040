"""Faults of rung 3's filterbank: the plan of its groups, kernels, limits, padding and gain."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from efficientleaf import filterbank
from efficientleaf.filterbank import Group, GroupedGaborFilterbank, Shapes
from leaf.checks import waveform
from leaf.filters import gabor_pair, gauss_windows
from leaf.strided import Signal
from parity.mutation.planting import Fault, Plant, replaced

Bank = GroupedGaborFilterbank
_init, _groups, _pool, _clamp = Bank.__init__, Bank.groups, Bank.pool, Bank.clamp_parameters


def _planned(change: Callable[[Bank, list[Group]], list[Group]]) -> Plant:
    """Another plan, from the right one."""
    return replaced((Bank, "groups", lambda self: change(self, _groups(self))))


def _even_kernels(self: Bank, groups: list[Group]) -> list[Group]:
    lengths = (self._sigmas().detach() * self.conv_win_factor).tolist()
    return [replace(g, kernel_size=int(max(lengths[g.bands]))) for g in groups]


def _cached_plan(self: Bank, groups: list[Group]) -> list[Group]:
    self.__dict__.setdefault("_plan", groups)
    plan: list[Group] = self.__dict__["_plan"]
    return plan


def _nearest(divisors: Sequence[int], stride: float) -> int:
    return 1 + min(range(len(divisors)), key=lambda i: abs(divisors[i] - stride))


def _left(divisors: Sequence[int], stride: float) -> int:
    return max(bisect_left(divisors, stride), 1)


def _built(change: Callable[[Bank], None]) -> Plant:
    """Something set by the constructor."""

    def init(self: Bank, *args: Any, **kwargs: Any) -> None:
        _init(self, *args, **kwargs)
        change(self)

    return replaced((Bank, "__init__", init))


def _lower_sigma_of_leaf(self: Bank) -> None:
    self.sigma_lower = min(2 * self.sigma_lower, self.sigma_upper)


def _wide_windows(self: Bank) -> None:
    self.width_upper = 1.0


def _limits_in_float32(self: Bank) -> None:
    for name in ("mu_upper", "sigma_lower", "sigma_upper", "width_lower"):
        setattr(self, name, float(torch.tensor(getattr(self, name))))


def _always_projected(self: Bank, x: Tensor) -> Tensor:
    x = waveform(x, self.center_freqs)
    self.clamp_parameters()
    return torch.cat([self.pool(self.modulus(self.convolve(x, g)), g) for g in self.groups()], dim=1)


def _gained(self: Bank, e: Tensor, group: Group, shapes: Shapes | None = None) -> Tensor:
    return _pool(self, e, group, shapes) * group.conv_stride


def _windows(width: Callable[[Bank, Group], float]) -> Plant:
    """Pooling windows whose widths are multiplied by something else."""

    def windows(self: Bank, group: Group) -> Tensor:
        widths = self.pooling_widths[group.bands].clamp(self.width_lower, self.width_upper)
        return gauss_windows(group.window_size, widths * width(self, group)).unsqueeze(1)

    return replaced((Bank, "windows", windows))


def _half_widths(self: Bank, group: Group) -> float:
    return (self.pool_size - 1) / group.conv_stride / max(group.window_size - 1, 1)


def _heard(self: Bank, x: Tensor | Signal) -> Tensor:
    return x.audio if isinstance(x, Signal) else waveform(x, self.center_freqs)


def _same_pads(self: Bank, x: Tensor | Signal, group: Group, shapes: Shapes | None = None) -> Tensor:
    x = _heard(self, x)
    total = max((-(-x.shape[-1] // group.conv_stride) - 1) * group.conv_stride + group.kernel_size - x.shape[-1], 0)
    return F.conv1d(F.pad(x, (total // 2, total - total // 2)), self.filters(group), stride=group.conv_stride)


def _in_bfloat16(size: int, mu: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    real, imaginary = gabor_pair(size, mu, sigma)
    return real + (real.bfloat16() - real).detach(), imaginary + (imaginary.bfloat16() - imaginary).detach()


def _pairwise(y: Tensor) -> Tensor:
    squares = y**2
    return squares[:, ::2] + squares[:, 1::2]


def _fault(name: str, kind: str, tap: str, gate: str, statement: str, plant: Plant, **rest: Any) -> Fault:
    return Fault(f"efficientleaf/{name}", kind, "efficientleaf", tap, gate, statement, plant, **rest)


FAULTS: tuple[Fault, ...] = (
    _fault("stride-from-the-left", "stride search side", "filters", "status",
           "a divisor that is exactly the wanted stride is passed over for the one below",
           replaced((filterbank, "bisect_right", _left)), property="status"),
    _fault("nearest-stride", "stride search side", "filters", "status",
           "the divisor nearest to the wanted stride, which may be above it",
           replaced((filterbank, "bisect_right", _nearest)), property="status"),
    _fault("even-kernels", "even kernel kept", "filters", "status", "a kernel of an even number of taps is kept",
           _planned(_even_kernels), property="status"),
    _fault("plan-of-the-first-call", "state leaking between calls", "filters", "status",
           "the plan is made once and does not follow the parameters", _planned(_cached_plan), property="status"),
    _fault("gain-of-the-stride", "missing gain", "pool", "direct",
           "energies are multiplied by the stride: right for LEAF's sake, and not what is published",
           replaced((Bank, "pool", _gained))),
    _fault("ratio-of-half-widths", "K/2 for (K-1)/2", "windows", "direct",
           "widths are scaled by (K-1)/(W-1), as is meant, where K/W is published", _windows(_half_widths)),
    _fault("widths-not-rescaled", "window clip constants", "windows", "direct",
           "widths of a window at the group's rate are not scaled to its rounded length",
           _windows(lambda self, group: 1.0)),
    _fault("lower-sigma-of-leaf", "clamp of a wrong constant", "filters", "direct",
           "sigma's lower limit is LEAF's, twice the published one", _built(_lower_sigma_of_leaf)),
    _fault("widths-up-to-1", "clamp widened by 2", "pool", "direct", "pooling widths are limited to 1, not to 0.5",
           _built(_wide_windows)),
    _fault("projection-in-evaluation", "clamp through .data", "kernel", "direct",
           "the parameters are projected in evaluation as well, as published: gradients outside do not vanish",
           replaced((Bank, "forward", _always_projected)), property="parameter gradient"),
    _fault("no-projection", "clamp not after the step", "kernel", "status",
           "training does not project: a parameter that has left its limits stays there",
           replaced((Bank, "clamp_parameters", lambda self: None)), property="training step"),
    _fault("limits-in-float32", "tensor that is no buffer", "filters", "direct",
           "the limits are float32 tensors that are no buffers: a float64 module clamps at rounded ones, as published",
           _built(_limits_in_float32)),
    _fault("conjugate", "conjugate", "filters", "direct", "exp(-i mu t) for exp(i mu t); energies are the same",
           replaced((filterbank, "gabor_pair", lambda size, mu, sigma: gabor_pair(size, -mu, sigma)))),
    _fault("kernels-in-bfloat16", "reduced precision", "filters", "direct", "kernels keep eight bits of mantissa",
           replaced((filterbank, "gabor_pair", _in_bfloat16))),
    _fault("blocks-squared-in-pairs", "blocks fed to the pairwise modulus", "modulus", "direct",
           "the modulus adds neighbouring channels, while the real and imaginary parts are in two blocks",
           replaced((filterbank, "squared_modulus", _pairwise))),
    _fault("convolution-padded-same", "centred padding", "conv", "direct",
           "a strided convolution is padded as TensorFlow's SAME, where the kernel is centred on the first sample",
           replaced((Bank, "convolve", _same_pads))),
)  # fmt: skip


def decimated(self: Bank, x: Tensor | Signal, group: Group, shapes: Shapes | None = None) -> Tensor:
    """The convolution at full rate, of which every so many samples are kept."""
    return F.conv1d(_heard(self, x), self.filters(group), padding=group.kernel_size // 2)[..., :: group.conv_stride]


def in_reverse(self: Bank, x: Tensor) -> Tensor:
    """The groups from the last to the first, and back in order."""
    x = waveform(x, self.center_freqs)
    if self.training:
        self.clamp_parameters()
    pools = [self.pool(self.modulus(self.convolve(x, g)), g) for g in reversed(self.groups())]
    return torch.cat(pools[::-1], dim=1)
