"""Filter shapes: mel-spaced initial parameters, complex Gabor filters, Gaussian pooling windows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from leaf._runtime.checks import MOST_FILTERS, band_edges, count, numbers, rate

# A Gabor filter of sigma = W * SIGMA_PER_SAMPLE has a frequency response of 2 pi / W rad/sample full width at
# half maximum: one bin of a W-sample DFT. LEAF's limits are W = 4 and the filter's size
# (leaf_audio/convolution.py, GaborConstraint).
SIGMA_PER_SAMPLE = math.sqrt(2 * math.log(2)) / math.pi


def mel_filter_params(n_filters: int, min_freq: float, max_freq: float, sample_rate: float) -> tuple[Tensor, Tensor]:
    """Centres [C] in rad/sample and time-domain sigmas [C] in samples of ``n_filters`` mel-spaced filters.

    Computed in torch's default dtype from the band edges in Hz. LEAF measures the two on a sampled mel
    matrix instead (``leaf_audio/melfilters.py``): its sigmas are 0.82 to 1.24 times these.
    Source: ``mel_filter_params`` of EfficientLEAF's ``model/leaf.py``.

    Raises TypeError or ValueError unless ``n_filters >= 1`` and
    ``0 <= min_freq < max_freq <= sample_rate / 2``.
    """
    n_filters = count("n_filters", n_filters, MOST_FILTERS)
    lowest, highest = (1127 * math.log1p(f / 700) for f in band_edges(min_freq, max_freq, sample_rate))
    sample_rate = rate(sample_rate)
    edges = 700 * torch.expm1(torch.linspace(lowest, highest, n_filters + 2) / 1127)
    center_freqs = edges[1:-1] * (2 * math.pi / sample_rate)
    sigmas = (sample_rate / 2) / (edges[2:] - edges[:-2])
    return center_freqs, sigmas


def gabor_pair(size: int, center_freqs: Tensor, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part, each [C, size], of :func:`gabor_filters`."""
    t = torch.arange(-(size // 2), (size + 1) // 2, device=sigmas.device, dtype=sigmas.dtype)
    phase = torch.outer(center_freqs, t)
    gaussian = torch.exp(torch.outer(1 / (2 * sigmas**2), -(t**2)))
    height = 1 / (math.sqrt(2 * math.pi) * sigmas).unsqueeze(1)
    return flushed(height * torch.cos(phase) * gaussian), flushed(height * torch.sin(phase) * gaussian)


def gabor_filters(size: int, center_freqs: Tensor, sigmas: Tensor) -> Tensor:
    """Complex Gabor filters [C, size]: a Gaussian of unit area times a complex exponential.

    Time runs over ``-(size // 2) ... (size - 1) // 2``, so an even size has its extra tap before the peak.
    ``center_freqs`` [C] are rad/sample, ``sigmas`` [C] > 0 are in samples. Source:
    ``leaf_audio/impulse_responses.py``; LEAF paper, section 3.1.
    """
    size = count("size", size)
    numbers(1, center_freqs=center_freqs, sigmas=sigmas)
    if center_freqs.ndim > 1 or center_freqs.shape != sigmas.shape:
        shapes = f"{tuple(center_freqs.shape)}, {tuple(sigmas.shape)}"
        raise ValueError(f"center_freqs, sigmas of shapes {shapes}: must be [filters], equal")
    return torch.complex(*gabor_pair(size, center_freqs, sigmas))


def gauss_windows(size: int, sigmas: Tensor) -> Tensor:
    """Gaussian windows [C, size] with a peak of 1; ``sigmas`` [C] > 0 are relative to half the window.

    Source: ``leaf_audio/impulse_responses.py`` (``gaussian_lowpass``); LEAF paper, section 3.2.
    """
    size = count("size", size)
    numbers(1, sigmas=sigmas)
    if sigmas.ndim > 1:
        raise ValueError(f"sigmas of shape {tuple(sigmas.shape)}: must be [filters]")
    middle = (size - 1) / 2
    t = torch.arange(size, device=sigmas.device, dtype=sigmas.dtype)
    # one sample has no half-width and the published 2 / (size - 1) divides by zero: its only tap is the peak, 1
    return flushed(torch.exp(-0.5 * ((t - middle) / (middle or 1.0) / sigmas.unsqueeze(1)) ** 2))


def flushed(taps: Tensor) -> Tensor:
    """``taps``, and 0 for one that half a step of 24-bit audio makes subnormal; the gradient is that of ``taps``.

    On an Intel CPU PyTorch takes many times as long for a convolution in which numbers are subnormal, as they are in a
    Gaussian's tail; TensorFlow's kernels make them 0. Half precision keeps its own, which it needs.
    """
    least = 2.0**24 * min(torch.finfo(taps.dtype).tiny, torch.finfo(torch.float32).tiny)
    return taps - taps.where(taps.abs() < least, 0.0).detach()


def squared_modulus(y: Tensor) -> Tensor:
    """[B, 2C, T] (all real parts, then all imaginary parts) to energies [B, C, T]."""
    real, imag = torch.pow(y, 2).chunk(2, dim=1)
    return real + imag
