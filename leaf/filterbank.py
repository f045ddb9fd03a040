"""The Gabor filterbank: complex convolution, squared modulus, Gaussian pooling."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaf._runtime.cache import ParameterCache
from leaf._runtime.checks import MOST_FILTERS, bank, count, one_of, real, waveform
from leaf._runtime.onnx_ops import conv1d, exporting
from leaf._runtime.streaming import Band, Bank, Windowed
from leaf.filters import SIGMA_PER_SAMPLE, gabor_pair, gauss_windows, mel_filter_params, squared_modulus

PADDINGS = ("centered", "same")


class GaborFilterbank(nn.Module):
    """Energies of ``n_filters`` learnable Gabor filters, low-passed and decimated: audio to [B, C, frames].

    ``forward`` is ``pool(modulus(convolve(x)))``; every step can be called by itself.

    Parameters, all [C] (names as in the published checkpoints):
        center_freqs: centres in rad/sample, used within [0, pi].
        bandwidths: time-domain sigmas of the filters in samples, used within
            [4, filter_size] * sqrt(2 log 2) / pi. A larger value is a *narrower* band.
        pooling_widths: sigmas of the pooling windows relative to half a window, used within
            [2 / pool_size, 0.5].

    Args:
        n_filters: number of filters C, 1 to 2048.
        min_freq, max_freq: band edges of the mel-spaced start in Hz,
            0 <= min_freq < max_freq <= sample_rate / 2.
        sample_rate: Hz, > 0.
        filter_size, pool_size: taps of the Gabor filters and of the pooling windows, 1 to 2**20, and 2**23 of all
            filters.
        pool_stride: samples per frame, 1 to 2**20.
        pool_init: start of ``pooling_widths``.
        padding: "centered" pads size // 2 zeros on both sides of each convolution; "same" pads as
            TensorFlow's SAME does, whose frames start elsewhere whenever T % pool_stride != 1.

    Raises TypeError or ValueError for arguments outside these ranges.
    Source: EfficientLEAF's ``model/leaf.py``; ``leaf_audio/convolution.py``, ``leaf_audio/pooling.py``.
    """

    def __init__(
        self,
        n_filters: int,
        min_freq: float,
        max_freq: float,
        sample_rate: float,
        filter_size: int,
        pool_size: int,
        pool_stride: int,
        pool_init: float = 0.4,
        *,
        padding: str = "centered",
    ) -> None:
        super().__init__()
        self.padding = one_of("padding", padding, PADDINGS)
        self.n_filters = count("n_filters", n_filters, MOST_FILTERS)
        self.filter_size = count("filter_size", filter_size)
        self.pool_size = count("pool_size", pool_size)
        self.pool_stride = count("pool_stride", pool_stride)
        bank(self.n_filters, "filter_size", self.filter_size)
        bank(self.n_filters, "pool_size", self.pool_size)
        center_freqs, sigmas = mel_filter_params(n_filters, min_freq, max_freq, sample_rate)
        self.center_freqs = nn.Parameter(center_freqs)
        self.bandwidths = nn.Parameter(sigmas)
        self.pooling_widths = nn.Parameter(torch.full((self.n_filters,), real("pool_init", pool_init)))
        self._cache = ParameterCache()

    def filters(self) -> Tensor:
        """Gabor filters [2C, 1, filter_size] of the clamped parameters: real parts, then imaginary parts."""
        centers = self.center_freqs.clamp(min=0.0, max=math.pi)
        sigmas = self.bandwidths.clamp(min=4 * SIGMA_PER_SAMPLE, max=self.filter_size * SIGMA_PER_SAMPLE)
        return torch.cat(gabor_pair(self.filter_size, centers, sigmas)).unsqueeze(1)

    def windows(self) -> Tensor:
        """Pooling windows [C, 1, pool_size] of the clamped parameters."""
        widths = self.pooling_widths.clamp(min=2 / self.pool_size, max=0.5)
        return gauss_windows(self.pool_size, widths).unsqueeze(1)

    def convolve(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T] to filter outputs [B, 2C, T]: real parts, then imaginary parts.

        An even ``filter_size`` under "centered" gives T + 1 samples (published). Raises as ``forward``.
        """
        return self._conv(waveform(x, self.center_freqs), self._filters(), stride=1, groups=1)

    def modulus(self, y: Tensor) -> Tensor:
        """Filter outputs [B, 2C, T] to energies [B, C, T]."""
        return squared_modulus(y)

    def pool(self, e: Tensor) -> Tensor:
        """Energies [B, C, T] to frames [B, C, frames], where frames = ceil(T / pool_stride) at odd sizes."""
        # The published code pads the pooling by filter_size // 2 where pool_size // 2, as here, is meant:
        # the same in Leaf, whose two sizes are one, and off centre where they differ.
        return self._conv(e, self._windows(), stride=self.pool_stride, groups=self.n_filters)

    def forward(self, x: Tensor) -> Tensor:
        """Audio [B, T] or [B, 1, T] to pooled energies [B, C, frames].

        Raises ValueError for another rank, several channels or no samples, and TypeError for a dtype other
        than the module's. Values are not looked at.
        """
        return self.pool(self.modulus(self.convolve(x)))

    def extra_repr(self) -> str:
        return (
            f"{self.n_filters}, filter_size={self.filter_size}, pool_size={self.pool_size}, "
            f"pool_stride={self.pool_stride}, padding={self.padding!r}"
        )

    def bank(self, n_samples: int | None = None) -> Bank:
        """Make a streaming filterbank of the present parameters, for ``n_samples`` in all if that is known.

        Raises ValueError for ``padding="same"`` without ``n_samples``.
        """
        if n_samples is None and self.padding == "same":
            raise ValueError(
                "n_samples=None: must be given to stream with padding='same', which places frames by the audio's length"
            )
        n = n_samples or 0
        filters, windows = self.filters(), self.windows()
        pads = self._pads(n, self.filter_size, 1)
        convolve = Windowed(lambda x: F.conv1d(x, filters), self.filter_size, 1, *pads)
        pads = self._pads(n + sum(pads) - self.filter_size + 1, self.pool_size, self.pool_stride)
        pool = Windowed(
            lambda e: F.conv1d(e, windows, stride=self.pool_stride, groups=self.n_filters),
            self.pool_size,
            self.pool_stride,
            *pads,
        )
        return Bank([Band(convolve, self.modulus, pool)])

    def _filters(self) -> Tensor:
        """:meth:`filters`, or the last ones."""
        return self._cache.get("filters", self.filter_size, (self.center_freqs, self.bandwidths), self.filters)

    def _windows(self) -> Tensor:
        return self._cache.get("windows", self.pool_size, (self.pooling_widths,), self.windows)

    def _pads(self, n_samples: int, size: int, stride: int) -> tuple[int, int]:
        """Numbers of zeros before and after ``n_samples``."""
        if self.padding == "centered":
            return size // 2, size // 2
        frames = (n_samples + stride - 1) // stride  # no quotient below 0, which ONNX rounds towards 0
        total = (frames - 1) * stride + size - n_samples
        if size < stride:  # else it is not negative, and a traced graph is spared the question
            total = max(total, 0)
        return total // 2, total - total // 2

    def _conv(self, x: Tensor, kernel: Tensor, stride: int, groups: int) -> Tensor:
        pads = self._pads(x.shape[-1], kernel.shape[-1], stride)
        if self.padding == "same" and torch.compiler.is_compiling() and not exporting():
            x, pads = F.pad(x, pads), (0, 0)  # whether they are equal must stay open
        return conv1d(x, kernel, stride, pads, groups)
