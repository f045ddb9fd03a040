"""Mel filters, and the initial Gabor filters: centres and widths read off them, or wavelets of their energy."""

from __future__ import annotations

import numpy as np

from parity.oracle.arrays import Array
from parity.oracle.gabor import gabor


def hertz_to_mel(hertz: Array | float) -> Array:
    """The HTK mel scale, ``1127 ln(1 + f / 700)``."""
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz, dtype=np.float64) / 700.0))


def mel_to_hertz(mel: Array | float) -> Array:
    """Inverse of :func:`hertz_to_mel`."""
    return np.asarray(700.0 * np.expm1(np.asarray(mel, dtype=np.float64) / 1127.0))


def mel_matrix(
    n_filters: int, n_bins: int, sample_rate: float, min_freq: float, max_freq: float, *, in_hertz: bool = False
) -> Array:
    """Triangles that are linear in mel, or in hertz, peak 1, the DC bin zeroed: [n_filters, n_bins].

    Source: the definition of ``tf.signal.linear_to_mel_weight_matrix`` (transposed), which the original's
    ``leaf_audio/melfilters.py`` calls.
    """
    bins = np.linspace(0.0, sample_rate / 2, n_bins)[np.newaxis]
    edges = np.linspace(float(hertz_to_mel(min_freq)), float(hertz_to_mel(max_freq)), n_filters + 2)[:, np.newaxis]
    bins, edges = (bins, mel_to_hertz(edges)) if in_hertz else (hertz_to_mel(bins), edges)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    triangles[:, 0] = 0.0
    return np.asarray(triangles)


def measured_init(
    n_filters: int,
    sample_rate: float = 16000,
    min_freq: float = 60.0,
    max_freq: float = 7800.0,
    n_fft: int = 512,
    *,
    in_hertz: bool = False,
) -> Array:
    """The original's initial (mu, sigma), measured on a mel matrix of ``n_fft // 2 + 1`` bins: [n_filters, 2].

    mu is the peak bin; sigma comes from the number of bins at which the root of the triangle reaches half its peak.
    With ``in_hertz`` the triangles are linear in hertz, as other ports have them.
    Source: ``Gabor.gabor_params_from_mels`` in ``leaf_audio/melfilters.py``.
    """
    roots = np.sqrt(mel_matrix(n_filters, n_fft // 2 + 1, sample_rate, min_freq, max_freq, in_hertz=in_hertz))
    n_wide = np.sum(roots >= roots.max(axis=1, keepdims=True) / 2, axis=1)
    mu = roots.argmax(axis=1) * 2 * np.pi / n_fft
    sigma = np.sqrt(2 * np.log(2)) * n_fft / (np.pi * n_wide)
    return np.stack([mu, sigma], axis=1)


def measured_init_margin(
    n_filters: int,
    sample_rate: float = 16000,
    min_freq: float = 60.0,
    max_freq: float = 7800.0,
    n_fft: int = 512,
) -> Array:
    """Distance of each filter of :func:`measured_init` from another count, relative to its peak: [n_filters].

    The smallest distance of a bin from the half-peak threshold, or of the second-highest bin from the peak. Where
    it is under the rounding of a float32 mel matrix, two faithful implementations may measure different counts.
    """
    roots = np.sqrt(mel_matrix(n_filters, n_fft // 2 + 1, sample_rate, min_freq, max_freq))
    ordered = np.sort(roots, axis=1)
    peak = ordered[:, -1]
    threshold = np.abs(roots - peak[:, np.newaxis] / 2).min(axis=1)
    return np.asarray(np.minimum(threshold, peak - ordered[:, -2]) / peak)


def analytic_init(n_filters: int, sample_rate: float, min_freq: float, max_freq: float) -> Array:
    """Simplified LEAF's initial (mu, sigma), from the mel triangles' corners in Hz: [n_filters, 2].

    Source: EfficientLEAF's ``model/leaf.py`` (mel peaks, ``sigma = (sample_rate / 2) / (upper - lower corner)``).
    """
    corners = mel_to_hertz(np.linspace(float(hertz_to_mel(min_freq)), float(hertz_to_mel(max_freq)), n_filters + 2))
    return np.stack([corners[1:-1] * 2 * np.pi / sample_rate, sample_rate / 2 / (corners[2:] - corners[:-2])], axis=1)


def areas(triangles: Array, n_fft: int) -> Array:
    """Area under each mel triangle as the original takes it, its base two bins wider than what is above 0: [C]."""
    n_inside = np.sum(triangles > 0, axis=1)
    return np.asarray(triangles.max(axis=1) * (n_inside + 2) * np.pi / n_fft)


def triangles(
    n_filters: int, n_fft: int, sample_rate: float, min_freq: float, max_freq: float, normalize_energy: bool
) -> Array:
    """Mel triangles, each over its area where that is asked for: [C, n_fft // 2 + 1]."""
    matrix = mel_matrix(n_filters, n_fft // 2 + 1, sample_rate, min_freq, max_freq)
    return np.asarray(matrix / areas(matrix, n_fft)[:, np.newaxis]) if normalize_energy else matrix


def wavelets(params: Array, triangles: Array, n_fft: int, size: int) -> Array:
    """Gabor kernels with the energies of the triangles: params [C, 2] -> [C, 2, size], real part then imaginary."""
    gain = np.sqrt(areas(triangles, n_fft) * 2 * np.sqrt(np.pi) * params[:, 1])
    return np.asarray(gabor(params[:, 0], params[:, 1], size) * gain[:, np.newaxis, np.newaxis])
