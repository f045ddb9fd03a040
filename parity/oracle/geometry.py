"""Windows, hops, paddings and limits of a filterbank, and EfficientLEAF's groups, as data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from parity.oracle.arrays import Array, clamp, exact

Pads = tuple[int, int]
Z = float(np.sqrt(2 * np.log(2)) / np.pi)  # sigma x full width at half maximum of the response, over 2 pi


def same_pads(n: int, window: int, stride: int) -> Pads:
    """TensorFlow's SAME: ``ceil(n / stride)`` frames, the odd sample of padding on the right."""
    total = max((-(-n // stride) - 1) * stride + window - n, 0)
    return total // 2, total - total // 2


def centered_pads(window: int) -> Pads:
    """Half a window on both sides, as simplified LEAF and EfficientLEAF pad."""
    return window // 2, window // 2


def pads(n: int, window: int, stride: int, padding: str) -> Pads:
    """Samples of padding before and behind, for ``"same"``, ``"centered"`` or ``"valid"``.

    Raises:
        ValueError: fewer samples than ``"valid"`` needs.
    """
    if padding.lower() == "same":
        return same_pads(n, window, stride)
    if padding == "centered":
        return centered_pads(window)
    if n < window:
        raise ValueError(f"n={n}: must be at least the window's {window} samples")
    return 0, 0


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
        return pads(n, size, stride, self.padding)

    def pooling_scale(self, group: Group) -> float:
        """Factor of a pooling width on the group's own grid (K/W, as published)."""
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


def clamped(kernel: Array, width: Array, box: Box) -> tuple[Array, Array, Array]:
    """mu, sigma and pooling width inside their box: kernel [C, 2], width [C] -> three [C]."""
    kernel = exact(kernel)
    return (
        clamp(kernel[:, 0], 0.0, np.pi),
        clamp(kernel[:, 1], box.sigma_low, box.sigma_high),
        clamp(width, box.width_low, 0.5),
    )
