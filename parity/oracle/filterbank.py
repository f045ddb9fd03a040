"""The Gabor filterbank in groups: LEAF is the case of one group at full rate, EfficientLEAF the general one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.convolution import (
    Pads,
    centered_pads,
    correlate,
    correlate_adjoint,
    depthwise,
    depthwise_adjoint,
    same_pads,
)
from parity.oracle.gabor import gabor, gabor_adjoint, gaussian_window, gaussian_window_adjoint

Z = float(np.sqrt(2 * np.log(2)) / np.pi)  # sigma x full width at half maximum of the response, over 2 pi


@dataclass(frozen=True)
class Box:
    """The limits of the parameters: mu in [0, pi], sigma in [sigma_low, sigma_high], width in [width_low, 0.5]."""

    sigma_low: float
    sigma_high: float
    width_low: float

    @classmethod
    def of_leaf(cls, window: int) -> Box:
        """LEAF's limits. Source: ``GaborConstraint`` (``leaf_audio/convolution.py``) and ``gaussian_lowpass``."""
        return cls(4 * Z, window * Z, 2.0 / window)

    @classmethod
    def of_efficientleaf(cls, window: int) -> Box:
        """EfficientLEAF's limits: the lower one of sigma is half of LEAF's. Source: ``model/efficientleaf.py``."""
        return cls(2 * Z, window * Z, 2.0 / window)

    def upper_wins(self) -> Box:
        """The same limits as ``torch.clamp`` has them: where they cross, in windows under four samples, the upper."""
        return Box(min(self.sigma_low, self.sigma_high), self.sigma_high, min(self.width_low, 0.5))


@dataclass(frozen=True)
class Group:
    """Filters start..stop-1, computed with one kernel length at one rate."""

    start: int
    stop: int
    kernel_size: int
    conv_stride: int
    window_size: int
    pool_stride: int


@dataclass(frozen=True)
class Geometry:
    """Window and hop of the frontend, its padding, and the groups of filters."""

    window: int
    stride: int
    padding: str
    box: Box
    groups: tuple[Group, ...]

    @classmethod
    def of_leaf(cls, n_filters: int, window: int, stride: int, padding: str, upper_wins: bool = False) -> Geometry:
        """Full rate, one group."""
        group, box = Group(0, n_filters, window, 1, window, stride), Box.of_leaf(window)
        return cls(window, stride, padding, box.upper_wins() if upper_wins else box, (group,))

    def pads(self, n: int, size: int, stride: int) -> Pads:
        """Padding of a correlation of ``size`` taps over ``n`` samples."""
        return same_pads(n, size, stride) if self.padding == "same" else centered_pads(size)

    def pooling_scale(self, group: Group) -> float:
        """What a pooling width is multiplied by on the group's own grid (K/W, as published)."""
        return self.window / (group.conv_stride * group.window_size)


def plan_groups(
    mu: Array,
    sigma: Array,
    n_groups: int,
    window: int,
    stride: int,
    conv_win_factor: float,
    stride_factor: float,
) -> tuple[Group, ...]:
    """EfficientLEAF's published choice of kernel length and stride for each group, from clamped mu and sigma.

    Source: EfficientLEAF section III-A; ``GroupedGaborFilterbank`` in ``model/efficientleaf.py``. A group whose
    highest centre is 0 takes the largest stride (the published code divides by zero).
    """

    def odd(size: int) -> int:
        return size + 1 - size % 2

    divisors = [d for d in range(1, stride + 1) if stride % d == 0]
    splits = [g * len(mu) // n_groups for g in range(n_groups + 1)]
    groups = []
    for start, stop in pairwise(splits):
        centre = float(np.max(mu[start:stop]))
        wanted = max(1.0, np.pi / centre * stride_factor) if centre > 0 else float(stride)
        conv_stride = max(d for d in divisors if d <= wanted)
        kernel_size = odd(int(float(np.max(sigma[start:stop])) * conv_win_factor))
        window_size = odd(int(window / conv_stride + 0.5))
        groups.append(Group(start, stop, kernel_size, conv_stride, window_size, stride // conv_stride))
    return tuple(groups)


@dataclass
class GroupStages:
    """What one group computed, kept for the adjoint."""

    filters: Array  # [C, 2, W]
    windows: Array  # [C, K]
    conv: Array  # [B, C, 2, T]
    modulus: Array  # [B, C, T]
    pool: Array  # [B, C, F]


def clamped(kernel: Array, width: Array, box: Box) -> tuple[Array, Array, Array]:
    """mu, sigma and pooling width inside their box: kernel [C, 2], width [C] -> three [C]."""
    kernel = exact(kernel)
    return (
        clamp(kernel[:, 0], 0.0, np.pi),
        clamp(kernel[:, 1], box.sigma_low, box.sigma_high),
        clamp(width, box.width_low, 0.5),
    )


def filterbank(kernel: Array, width: Array, x: Array, geometry: Geometry) -> list[GroupStages]:
    """Pooled energies by group: kernel [C, 2] (mu, sigma), width [C], x [B, T]."""
    mu, sigma, width = clamped(kernel, width, geometry.box)
    stages = []
    for g in geometry.groups:
        chosen = slice(g.start, g.stop)
        filters = gabor(mu[chosen], sigma[chosen], g.kernel_size)
        pads = geometry.pads(x.shape[1], g.kernel_size, g.conv_stride)
        conv = correlate(x, filters.reshape(-1, g.kernel_size), g.conv_stride, pads)
        conv = conv.reshape(x.shape[0], g.stop - g.start, 2, -1)
        modulus = conv[:, :, 0] ** 2 + conv[:, :, 1] ** 2
        windows = gaussian_window(width[chosen] * geometry.pooling_scale(g), g.window_size)
        pads = geometry.pads(modulus.shape[-1], g.window_size, g.pool_stride)
        stages.append(GroupStages(filters, windows, conv, modulus, depthwise(modulus, windows, g.pool_stride, pads)))
    return stages


def filterbank_adjoint(
    kernel: Array, width: Array, x: Array, geometry: Geometry, stages: list[GroupStages], d: Array
) -> tuple[Array, Array, Array]:
    """Adjoint of :func:`filterbank`: cotangent [B, C, F] to (d_kernel [C, 2], d_width [C], d_x [B, T])."""
    mu, sigma, clamped_width = clamped(kernel, width, geometry.box)
    d_kernel, d_width, d_x = np.zeros(kernel.shape), np.zeros(width.shape), np.zeros(x.shape)
    for g, stage in zip(geometry.groups, stages, strict=True):
        chosen = slice(g.start, g.stop)
        scale = geometry.pooling_scale(g)
        pads = geometry.pads(stage.modulus.shape[-1], g.window_size, g.pool_stride)
        d_modulus, d_windows = depthwise_adjoint(stage.modulus, stage.windows, g.pool_stride, pads, d[:, chosen])
        d_width[chosen] = scale * gaussian_window_adjoint(clamped_width[chosen] * scale, g.window_size, d_windows)
        d_conv = 2 * stage.conv * d_modulus[:, :, np.newaxis]
        pads = geometry.pads(x.shape[1], g.kernel_size, g.conv_stride)
        flat = stage.filters.reshape(-1, g.kernel_size)
        d_signal, d_filters = correlate_adjoint(
            x, flat, g.conv_stride, pads, d_conv.reshape(x.shape[0], flat.shape[0], -1)
        )
        d_x += d_signal
        d_kernel[chosen] = np.stack(
            gabor_adjoint(mu[chosen], sigma[chosen], g.kernel_size, d_filters.reshape(stage.filters.shape)),
            axis=1,
        )
    box = geometry.box
    d_kernel[:, 0] = clamp_adjoint(kernel[:, 0], d_kernel[:, 0], 0.0, np.pi)
    d_kernel[:, 1] = clamp_adjoint(kernel[:, 1], d_kernel[:, 1], box.sigma_low, box.sigma_high)
    return d_kernel, clamp_adjoint(width, d_width, box.width_low, 0.5), d_x
