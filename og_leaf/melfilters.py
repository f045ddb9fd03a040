"""Mel filters, and the Gabor parameters measured on them. Source: ``leaf_audio/melfilters.py``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from og_leaf import impulse_responses
from og_leaf.checks import MOST_FILTERS, check_band, check_bank, check_count, check_dtype, check_flag, check_rate


def _linspace(start: Tensor, stop: Tensor, num: int) -> Tensor:
    """``num >= 2`` values, rounded as TensorFlow does; ``torch.linspace`` counts down in the far half."""
    step = (stop - start) / (num - 1)
    inner = start + step * torch.arange(1, num - 1, dtype=start.dtype)
    return torch.cat([start.reshape(1), inner, stop.reshape(1)])


def _hertz_to_mel(hertz: Tensor) -> Tensor:
    """The scale of the Hidden Markov Model Toolkit."""
    return 1127.0 * torch.log(1.0 + hertz / 700.0)


def linear_to_mel_weight_matrix(
    n_filters: int, n_bins: int, sample_rate: float, min_freq: float, max_freq: float, dtype: torch.dtype
) -> Tensor:
    """Triangles that are linear in mel, peak 1 at most, nothing in the DC bin: [n_bins, n_filters], on the
    CPU.

    Source: the definition of ``tf.signal.linear_to_mel_weight_matrix``, in its order of operations.
    """
    zero, nyquist = torch.zeros((), dtype=dtype), torch.tensor(sample_rate, dtype=dtype) / 2.0
    bins = _hertz_to_mel(_linspace(zero, nyquist, n_bins)[1:]).unsqueeze(1)
    lowest, highest = (_hertz_to_mel(torch.tensor(f, dtype=dtype)) for f in (min_freq, max_freq))
    edges = _linspace(lowest, highest, n_filters + 2).unsqueeze(0)
    lower, center, upper = edges[:, :-2], edges[:, 1:-1], edges[:, 2:]
    rising = (bins - lower) / (center - lower)
    falling = (upper - bins) / (upper - center)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return torch.cat([torch.zeros((1, n_filters), dtype=dtype), triangles])


class Gabor:
    """Gabor parameters that match a bank of mel filters.

    They are computed on the CPU, so that they are the same numbers for every device.

    Args:
        n_filters: number of filters, at least 1.
        min_freq: lower corner of the first mel triangle, Hz, at least 0.
        max_freq: upper corner of the last one, Hz, at most half the sample rate.
        sample_rate: Hz.
        window_len: taps of the wavelets, in samples; no parameter depends on it.
        n_fft: the mel triangles are sampled on ``n_fft // 2 + 1`` bins.
        normalize_energy: divide each triangle by its area.
        dtype: ``torch.float32`` or ``torch.float64``; ``None`` is PyTorch's default.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a value outside the ranges above.

    Source: ``leaf_audio/melfilters.py``.
    """

    def __init__(
        self,
        n_filters: int = 40,
        min_freq: float = 0.0,
        max_freq: float = 8000.0,
        sample_rate: float = 16000,
        window_len: int = 401,
        n_fft: int = 512,
        normalize_energy: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.min_freq, self.max_freq = check_band(min_freq, max_freq, sample_rate)
        self.sample_rate = check_rate(sample_rate)
        self.n_filters = check_count("n_filters", n_filters, MOST_FILTERS)
        self.window_len = check_count("window_len", window_len)
        self.n_fft = check_count("n_fft", n_fft, least=2)
        check_bank("n_filters", self.n_filters, "window_len", self.window_len)
        check_bank("n_filters", self.n_filters, "n_fft", self.n_fft)
        self.normalize_energy = check_flag("normalize_energy", normalize_energy)
        self.dtype = check_dtype(dtype)

    @property
    def gabor_params_from_mels(self) -> Tensor:
        """Centre frequencies in radians per sample and envelope deviations in samples: [C, 2].

        The centre is the peak bin of the root of a triangle; the deviation comes from how many bins reach
        half of that peak, so both are quantised. A triangle that falls between two bins gives centre 0.
        """
        coeff = torch.sqrt(2.0 * torch.log(torch.tensor(2.0, dtype=self.dtype))) * self.n_fft
        roots = torch.sqrt(self.mel_filters)
        centers = torch.argmax(roots, dim=1).to(self.dtype)
        half_peaks = roots.amax(dim=1, keepdim=True) / 2.0
        n_wide = (roots >= half_peaks).to(self.dtype).sum(dim=1)
        return torch.stack([centers * 2 * math.pi / self.n_fft, coeff / (math.pi * n_wide)], dim=1)

    def _mel_filters_areas(self, filters: Tensor) -> Tensor:
        """Area under each triangle, its base counted in bins: [C, 1]."""
        peaks = filters.amax(dim=1, keepdim=True)
        n_inside = (filters > 0).to(self.dtype).sum(dim=1, keepdim=True)
        return peaks * (n_inside + 2) * math.pi / self.n_fft

    @property
    def mel_filters(self) -> Tensor:
        """The mel triangles, [C, n_fft // 2 + 1]; peak 1 at most, or unit area with ``normalize_energy``."""
        n_bins = self.n_fft // 2 + 1
        matrix = linear_to_mel_weight_matrix(
            self.n_filters, n_bins, self.sample_rate, self.min_freq, self.max_freq, self.dtype
        ).transpose(1, 0)
        if self.normalize_energy:
            matrix = matrix / self._mel_filters_areas(matrix)
        return matrix

    @property
    def gabor_filters(self) -> Tensor:
        """Wavelets of :attr:`gabor_params_from_mels`, with the energies of the triangles: complex [C, window_len]."""
        params = self.gabor_params_from_mels
        root_pi = torch.sqrt(torch.tensor(math.pi, dtype=self.dtype))
        areas = self._mel_filters_areas(self.mel_filters)
        gains = torch.sqrt(areas * 2 * root_pi * params[:, 1:2])
        filters = impulse_responses.gabor_filters(params, size=self.window_len)
        return filters * gains.to(filters.dtype)
