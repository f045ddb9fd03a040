"""The grouped Gabor filterbank: a kernel length and a stride for each group of bands."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from efficientleaf.checks import SOURCES, kernels, sources
from efficientleaf.planned import Planned
from efficientleaf.strided import Signal, blocks, pooled, signal, strided
from leaf._runtime.checks import MOST_FILTERS, bank, count, real, waveform
from leaf._runtime.streaming import Band, Bank, Windowed
from leaf.filters import SIGMA_PER_SAMPLE, gabor_pair, gauss_windows, mel_filter_params, squared_modulus


@dataclass(frozen=True)
class Group:
    """Bands ``start`` to ``stop - 1``: odd tap counts, and strides whose product is one frame."""

    start: int
    stop: int
    kernel_size: int
    conv_stride: int
    window_size: int
    pool_stride: int

    @property
    def bands(self) -> slice:
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Shapes:
    """A group's kernels [2K, 1, kernel_size], their :func:`strided.blocks`, and windows [K, 1, window_size]."""

    kernels: Tensor
    cut: Tensor
    windows: Tensor


class GroupedGaborFilterbank(Planned):
    """Energies of ``n_filters`` learnable Gabor filters in ``num_groups`` groups: audio to [B, C, frames].

    A group's filters share a kernel of ``conv_win_factor`` times their largest sigma and a stride set by
    their highest centre, so both move as the parameters do. Energies are not compensated for the stride:
    a group's are about 1 / stride of LEAF's.

    Parameters, all [C] (names as in the published checkpoints):
        center_freqs: centres in rad/sample, used within [0, pi].
        bandwidths: time-domain sigmas in samples, used within [2, pool_size] * sqrt(2 log 2) / pi; the
            lower end is half of LEAF's. A larger value is a *narrower* band.
        pooling_widths: sigmas relative to half a window of ``pool_size``, used within [2 / pool_size, 0.5].

    Args:
        n_filters: number of filters C, 1 to 2048.
        num_groups: 1 to ``n_filters``.
        min_freq, max_freq: band edges of the mel-spaced start in Hz,
            0 <= min_freq < max_freq <= sample_rate / 2.
        sample_rate: Hz, > 0.
        pool_size: taps of the pooling window at full rate, >= 1.
        pool_stride: samples per frame, >= 1; a group's stride divides it.
        pool_init: start of ``pooling_widths``.
        conv_win_factor: kernel length in sigmas, finite and > 0.
        stride_factor: stride in half periods of the highest centre, finite and > 0.
        exact: what is kept as LEAF has it, names of ``SOURCES``: "kernel", ``pool_size`` taps; "rate", stride 1;
            "gain", energies times the stride; "width", pooling windows as wide in seconds; "span", no tap beyond
            LEAF's window; "sigma", LEAF's lower limit. The default is as published; with all it is LEAF.

    Raises TypeError or ValueError for arguments outside these ranges.
    Source: EfficientLEAF's ``model/efficientleaf.py``; arXiv 2207.05508, section 3.
    """

    def __init__(
        self,
        n_filters: int,
        num_groups: int,
        min_freq: float,
        max_freq: float,
        sample_rate: float,
        pool_size: int,
        pool_stride: int,
        pool_init: float = 0.4,
        conv_win_factor: float = 3.0,
        stride_factor: float = 1.0,
        *,
        exact: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.exact = sources(exact)
        self.n_filters = count("n_filters", n_filters, MOST_FILTERS)
        # an empty group has no largest centre: the published code fails on it in forward
        self.num_groups = count("num_groups", num_groups, self.n_filters, " = n_filters")
        self.pool_size = count("pool_size", pool_size)
        self.pool_stride = count("pool_stride", pool_stride)
        bank(self.n_filters, "pool_size", self.pool_size)
        self.conv_win_factor = real("conv_win_factor", conv_win_factor, above=0)
        self.stride_factor = real("stride_factor", stride_factor, above=0)
        self.psbl_strides = [s for s in range(1, self.pool_stride + 1) if self.pool_stride % s == 0]

        center_freqs, sigmas = mel_filter_params(n_filters, min_freq, max_freq, sample_rate)
        self.center_freqs = nn.Parameter(center_freqs)
        self.bandwidths = nn.Parameter(sigmas)
        self.pooling_widths = nn.Parameter(torch.full((self.n_filters,), real("pool_init", pool_init)))

        # Floats, so that `.double()` clamps at float64's numbers. A lower end above the upper one (windows of
        # 1 to 3 samples) gives the upper one, as torch.clamp has it.
        self.mu_lower, self.mu_upper = 0.0, math.pi
        self.sigma_upper = self.pool_size * SIGMA_PER_SAMPLE
        self.sigma_lower = min((4 if "sigma" in self.exact else 2) * SIGMA_PER_SAMPLE, self.sigma_upper)
        self.width_upper = 0.5
        self.width_lower = min(2 / self.pool_size, self.width_upper)

    def get_stride(self, cent_freq: float) -> tuple[int, int]:
        """(convolution stride, pooling stride) of a group whose highest centre is ``cent_freq`` rad/sample.

        The first is the largest divisor of ``pool_stride`` up to ``stride_factor * pi / cent_freq``.
        """
        if "rate" in self.exact:
            return 1, self.pool_stride
        # a group of bands at 0 Hz: the limit of the rule, where the published code divides by zero
        stride = max(1, math.pi / cent_freq * self.stride_factor) if cent_freq else math.inf
        conv_stride = self.psbl_strides[bisect_right(self.psbl_strides, stride) - 1]
        return conv_stride, self.pool_stride // conv_stride

    def clamp_parameters(self) -> None:
        """Projects the parameters onto their ranges, in place."""
        self.center_freqs.data.clamp_(self.mu_lower, self.mu_upper)
        self.bandwidths.data.clamp_(self.sigma_lower, self.sigma_upper)
        self.pooling_widths.data.clamp_(self.width_lower, self.width_upper)

    def groups(self) -> list[Group]:
        """The geometry of every group for the present parameters; in a graph the frozen one, see :meth:`freeze`.

        After a change it reads the parameters' values, which waits for the device. Raises RuntimeError where they
        cannot be read and no geometry is frozen.
        """
        return list(self.current_plan())

    def current_plan(self) -> list[Group]:
        """:meth:`groups`, as it is kept."""
        return self.planned(self._settings(), (self.center_freqs, self.bandwidths), self._plan)

    def _plan(self) -> list[Group]:
        # In one transfer. NaN, of training that has diverged, takes no part in the geometry: it shows in the features.
        used = torch.stack((self._centers(), self._sigmas() * self.conv_win_factor))
        centers, lengths = used.nan_to_num(nan=0.0).tolist()
        ends = [i * self.n_filters // self.num_groups for i in range(self.num_groups + 1)]
        found = []
        for start, stop in pairwise(ends):
            conv_stride, pool_stride = self.get_stride(max(centers[start:stop]))
            kernel_size = (self.pool_size if "kernel" in self.exact else int(max(lengths[start:stop]))) | 1
            window_size = int(self.pool_size / conv_stride + 0.5) | 1
            if "span" in self.exact:
                window_size = (self.pool_size - 1) // (2 * conv_stride) * 2 + 1
            found.append(Group(start, stop, kernel_size, conv_stride, window_size, pool_stride))
        kernels(self.conv_win_factor, self.n_filters, max(group.kernel_size for group in found), self.pool_size)
        return found

    def _settings(self) -> Hashable:
        limits = (self.mu_lower, self.mu_upper, self.sigma_lower, self.sigma_upper, self.width_lower, self.width_upper)
        plan = (self.n_filters, self.num_groups, self.pool_size, self.pool_stride)
        return limits, plan, self.conv_win_factor, self.stride_factor, self.exact

    def filters(self, group: Group) -> Tensor:
        """Gabor filters [2K, 1, kernel_size] of the group's K bands: real parts, then imaginary parts."""
        pair = gabor_pair(group.kernel_size, self._centers()[group.bands], self._sigmas()[group.bands])
        return torch.cat(pair).unsqueeze(1)

    def windows(self, group: Group) -> Tensor:
        """Pooling windows [K, 1, window_size] of the group's K bands, at the rate of its convolution."""
        widths = self.pooling_widths[group.bands].clamp(self.width_lower, self.width_upper)
        windows = gauss_windows(group.window_size, widths * self.relative_width(group)).unsqueeze(1)
        return windows * group.conv_stride if "gain" in self.exact else windows

    def relative_width(self, group: Group) -> float:
        """The factor on ``pooling_widths``: half of ``pool_size`` over half of the group's own window."""
        if "width" in self.exact:
            return (self.pool_size - 1) / group.conv_stride / max(group.window_size - 1, 1)
        # Published: by the ratio of the sizes, where that of the half widths, (size - 1), is meant.
        return self.pool_size / group.conv_stride / group.window_size

    def convolve(self, x: Tensor | Signal, group: Group, shapes: Shapes | None = None) -> Tensor:
        """Audio [B, T] or [B, 1, T] to the group's filter outputs [B, 2K, ceil(T / conv_stride)].

        Args:
            x: audio, or :func:`efficientleaf.strided.signal` of it for several groups.
            group: one of :meth:`groups`.
            shapes: the group's kernels, where they are at hand.
        """
        heard = x if isinstance(x, Signal) else self._signal(waveform(x, self.center_freqs), [group])
        if shapes is None:
            return strided(heard, self.filters(group), group.conv_stride)
        return strided(heard, shapes.kernels, group.conv_stride, shapes.cut)

    def modulus(self, y: Tensor) -> Tensor:
        """Filter outputs [B, 2K, T] to energies [B, K, T]."""
        return squared_modulus(y)

    def pool(self, e: Tensor, group: Group, shapes: Shapes | None = None) -> Tensor:
        """The group's energies [B, K, T] to frames [B, K, frames]; ``shapes`` as for :meth:`convolve`."""
        return pooled(e, self.windows(group) if shapes is None else shapes.windows, group.pool_stride)

    def forward(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T] to pooled energies [B, C, ceil(T / pool_stride)].

        In training mode the parameters are first projected onto their ranges, in place. Raises ValueError
        for another rank, several channels or no samples, and TypeError for a dtype other than the module's;
        values of ``x`` are not looked at.
        """
        x = waveform(x, self.center_freqs)  # refused before a parameter is touched
        # The published code projects in evaluation, too. Here evaluation changes no parameter: they are
        # clamped where they are used, to the same numbers.
        if self.training:
            self.clamp_parameters()
        groups = self.groups()
        heard = self._signal(x, groups)
        return torch.cat([
            self.pool(self.modulus(self.convolve(heard, group, shapes)), group, shapes)
            for group, shapes in zip(groups, self._shapes(groups), strict=True)
        ], dim=1)  # fmt: skip

    def _signal(self, x: Tensor, groups: list[Group]) -> Signal:
        return signal(x, max(group.kernel_size for group in groups) // 2, self.pool_stride)

    def _shapes(self, groups: list[Group]) -> list[Shapes]:
        """Kernels and windows of all groups, from the cache where they are unchanged."""
        parameters = self.center_freqs, self.bandwidths, self.pooling_widths
        return self._cache.get("shapes", (groups, self._settings()), parameters, lambda: self._made(groups))

    def _made(self, groups: list[Group]) -> list[Shapes]:
        # all at the longest size, and cut: the operations of one group, not of each
        size = max(group.kernel_size for group in groups)
        pairs = torch.stack(gabor_pair(size, self._centers(), self._sigmas()))
        made = []
        for group in groups:
            taps = group.kernel_size
            kernels = pairs[:, group.bands].narrow(2, (size - taps) // 2, taps).reshape(-1, 1, taps)
            made.append(Shapes(kernels, blocks(kernels, group.conv_stride), self.windows(group)))
        return made

    def bank(self) -> Bank:
        """Make a streaming filterbank of the present parameters."""
        return Bank([self._band(group) for group in self.groups()])

    def _band(self, group: Group) -> Band:
        filters, windows, n_bands = self.filters(group), self.windows(group), group.stop - group.start
        return Band(
            Windowed(
                lambda x: F.conv1d(x, filters, stride=group.conv_stride),
                group.kernel_size,
                group.conv_stride,
                group.kernel_size // 2,
                group.kernel_size // 2,
            ),
            self.modulus,
            Windowed(
                lambda e: F.conv1d(e, windows, stride=group.pool_stride, groups=n_bands),
                *(group.window_size, group.pool_stride, group.window_size // 2, group.window_size // 2),
            ),
        )

    def extra_repr(self) -> str:
        names = ("num_groups", "pool_size", "pool_stride", "conv_win_factor", "stride_factor")
        kept = tuple(name for name in SOURCES if name in self.exact)
        settings = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"{self.n_filters}, {settings}" + (f", exact={kept}" if kept else "")

    def _centers(self) -> Tensor:
        return self.center_freqs.clamp(self.mu_lower, self.mu_upper)

    def _sigmas(self) -> Tensor:
        return self.bandwidths.clamp(self.sigma_lower, self.sigma_upper)
