"""Mel filters, and the Gabor parameters measured on them. Source: ``leaf_audio/melfilters.py``."""

from __future__ import annotations

import math

import tensorflow as tf

from tf_leaf import impulse_responses
from tf_leaf.checks import MOST_FILTERS, check_band, check_bank, check_count, check_dtype, check_flag, check_rate


class Gabor:
    """Gabor parameters that match a bank of mel filters.

    Args:
        n_filters: number of filters, at least 1.
        min_freq: lower corner of the first mel triangle, Hz, at least 0.
        max_freq: upper corner of the last one, Hz, at most half the sample rate.
        sample_rate: Hz.
        window_len: taps of :attr:`gabor_filters`, in samples; no parameter depends on it.
        n_fft: the mel triangles are sampled on ``n_fft // 2 + 1`` bins.
        normalize_energy: divide each triangle by its area.
        dtype: ``"float32"`` or ``"float64"``.

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
        dtype: str = "float32",
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
    def gabor_params_from_mels(self) -> tf.Tensor:
        """Centre frequencies in radians per sample and envelope deviations in samples: [C, 2].

        The centre is the peak bin of the root of a triangle; the deviation comes from how many bins reach
        half of that peak, so both are quantised. A triangle that falls between two bins gives centre 0.
        """
        coeff = tf.math.sqrt(2.0 * tf.math.log(tf.constant(2.0, dtype=self.dtype))) * self.n_fft
        roots = tf.math.sqrt(self.mel_filters)
        centers = tf.cast(tf.argmax(roots, axis=1), dtype=self.dtype)
        half_peaks = tf.reduce_max(roots, axis=1, keepdims=True) / 2.0
        n_wide = tf.reduce_sum(tf.cast(roots >= half_peaks, dtype=self.dtype), axis=1)
        return tf.stack([centers * 2 * math.pi / self.n_fft, coeff / (math.pi * n_wide)], axis=1)

    def _mel_filters_areas(self, filters: tf.Tensor) -> tf.Tensor:
        """Area under each triangle, its base counted in bins: [C, 1]."""
        peaks = tf.reduce_max(filters, axis=1, keepdims=True)
        n_inside = tf.reduce_sum(tf.cast(filters > 0, dtype=self.dtype), axis=1, keepdims=True)
        return peaks * (n_inside + 2) * math.pi / self.n_fft

    @property
    def mel_filters(self) -> tf.Tensor:
        """The mel triangles, [C, n_fft // 2 + 1]; peak 1 at most, or unit area with ``normalize_energy``."""
        matrix = tf.signal.linear_to_mel_weight_matrix(
            num_mel_bins=self.n_filters,
            num_spectrogram_bins=self.n_fft // 2 + 1,
            sample_rate=self.sample_rate,
            lower_edge_hertz=self.min_freq,
            upper_edge_hertz=self.max_freq,
            dtype=tf.dtypes.as_dtype(self.dtype),
        )
        matrix = tf.transpose(matrix, [1, 0])
        if self.normalize_energy:
            matrix = matrix / self._mel_filters_areas(matrix)
        return matrix

    @property
    def gabor_filters(self) -> tf.Tensor:
        """The wavelets of these parameters, complex [C, window_len], each with the energy of its mel triangle."""
        sigma = self.gabor_params_from_mels[:, 1:2]
        areas = self._mel_filters_areas(self.mel_filters)
        root_of_pi = tf.math.sqrt(tf.constant(math.pi, dtype=self.dtype))
        filters = impulse_responses.gabor_filters(self.gabor_params_from_mels, size=self.window_len)
        return filters * tf.cast(tf.math.sqrt(areas * 2 * root_of_pi * sigma), dtype=filters.dtype)
