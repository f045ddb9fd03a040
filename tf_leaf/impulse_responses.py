"""Complex Gabor wavelets and Gaussian windows. Source: ``leaf_audio/impulse_responses.py``."""

from __future__ import annotations

import math

import tensorflow as tf

from tf_leaf.checks import check_count, check_rate, shown
from tf_leaf.inputs import check_tensor


def complex_dtype(dtype: tf.DType) -> tf.DType:
    """The complex dtype whose parts have this real dtype."""
    return tf.complex128 if dtype == tf.float64 else tf.complex64


def gabor_impulse_response(t: tf.Tensor, center: tf.Tensor, fwhm: tf.Tensor) -> tf.Tensor:
    """Complex Gabor wavelets ``exp(i center t) exp(-t^2 / (2 fwhm^2)) / (sqrt(2 pi) fwhm)``.

    Args:
        t: times in samples, [W].
        center: centre frequencies in radians per sample, [C].
        fwhm: despite the original's name, the standard deviation of the Gaussian envelope in samples, [C].

    Returns:
        complex64 [C, W], complex128 for float64 arguments.

    Source: ``leaf_audio/impulse_responses.py``; section 3.1 of https://arxiv.org/abs/2101.08596.
    """
    for name, value in (("t", t), ("center", center), ("fwhm", fwhm)):
        check_tensor(name, value, 1)
    to_complex = complex_dtype(t.dtype)
    norm = 1.0 / (tf.math.sqrt(tf.constant(2.0 * math.pi, dtype=t.dtype)) * fwhm)
    envelope = tf.exp(tf.tensordot(1.0 / (2.0 * fwhm**2), -(t**2), axes=0))
    phase = tf.tensordot(tf.cast(center, to_complex), tf.cast(t, to_complex), axes=0)
    carrier = tf.math.exp(1j * phase)
    return tf.cast(norm, to_complex)[:, tf.newaxis] * carrier * tf.cast(envelope, to_complex)


def gabor_filters(kernel: tf.Tensor, size: int = 401) -> tf.Tensor:
    """The wavelets of a kernel, sampled at ``-(size // 2) .. (size + 1) // 2 - 1``.

    Args:
        kernel: [C, 2]; centre frequencies in radians per sample, envelope deviations in samples.
        size: number of taps.

    Returns:
        Complex [C, size].

    Source: ``leaf_audio/impulse_responses.py``.
    """
    check_tensor("kernel", kernel, 2)
    size = check_count("size", size)
    t = tf.range(-(size // 2), (size + 1) // 2, dtype=kernel.dtype)
    return gabor_impulse_response(t, center=kernel[:, 0], fwhm=kernel[:, 1])


def gaussian_lowpass(sigma: tf.Tensor, filter_size: int) -> tf.Tensor:
    """Gaussian windows around the middle of ``filter_size`` taps, peak 1.

    Args:
        sigma: deviations relative to half the window, [1, 1, C, 1]; clipped to [2 / filter_size, 0.5].
        filter_size: number of taps.

    Returns:
        [1, filter_size, C, 1].

    Source: ``leaf_audio/impulse_responses.py``; section 3.2 of https://arxiv.org/abs/2101.08596.
    """
    filter_size = check_count("filter_size", filter_size, least=2)
    width = tf.clip_by_value(check_tensor("sigma", sigma, 4), 2.0 / filter_size, 0.5)
    taps = tf.range(filter_size, dtype=width.dtype)[tf.newaxis, :, tf.newaxis, tf.newaxis]
    # the factors in this order: another rounds otherwise
    from_middle = (taps - 0.5 * (filter_size - 1)) / (width * 0.5 * (filter_size - 1))
    return tf.math.exp(-0.5 * from_middle**2)


def amplitude(filters: tf.Tensor, i: int) -> tf.Tensor:
    """Amplitude response of the i-th of complex filters [W, C], lowest frequency first: [W].

    Source: ``leaf_audio/impulse_responses.py``.
    """
    if not tf.is_tensor(filters) or not filters.dtype.is_complex or filters.shape.rank != 2:
        raise TypeError(f"filters={shown(filters)}: must be a complex tensor, [taps, filters]")
    i = check_count("i", i, filters.shape[1] - 1, least=-filters.shape[1])
    return tf.math.abs(tf.signal.fftshift(tf.signal.fft(filters[:, i])))


def sinc_impulse_response(t: tf.Tensor, frequency: tf.Tensor) -> tf.Tensor:
    """``sin(2 pi f t) / (2 pi f t)``, NaN at t = 0.

    Args:
        t: times in seconds, [W, 1].
        frequency: cutoffs in Hz, [1, C].

    Returns:
        [W, C].

    Source: ``leaf_audio/impulse_responses.py``.
    """
    check_tensor("t", t)
    check_tensor("frequency", frequency)
    try:
        tf.broadcast_static_shape(tf.TensorShape(t.shape), tf.TensorShape(frequency.shape))
    except ValueError:
        raise ValueError(f"t, frequency of shapes {tuple(t.shape)}, {tuple(frequency.shape)}: must broadcast") from None
    # the phase twice, as the original has it: the gradient of one that is shared is rounded otherwise
    return tf.sin(2 * math.pi * frequency * t) / (2 * math.pi * frequency * t)


def sinc_filters(
    cutoff_freq_low: tf.Tensor, cutoff_freq_high: tf.Tensor, size: int = 401, sample_rate: float = 16000
) -> tf.Tensor:
    """Band-pass filters, each the difference of two low-passes, divided by its largest tap.

    Args:
        cutoff_freq_low: Hz, [1, C].
        cutoff_freq_high: Hz, [1, C].
        size: number of taps; as in the original an even one gives ``size + 1``.
        sample_rate: Hz.

    Returns:
        [size, C].

    Source: ``leaf_audio/impulse_responses.py``.
    """
    check_tensor("cutoff_freq_low", cutoff_freq_low, 2)
    check_tensor("cutoff_freq_high", cutoff_freq_high, 2)
    size = check_count("size", size)
    rate = tf.cast(check_rate(sample_rate), dtype=cutoff_freq_high.dtype)
    before = tf.range(-(size // 2), 0, dtype=rate.dtype)[:, tf.newaxis] / rate
    after = tf.range(1, size // 2 + 1, dtype=rate.dtype)[:, tf.newaxis] / rate

    def low_pass(cutoff: tf.Tensor) -> tf.Tensor:
        # the sinc is NaN at 0, where it is 1
        left, right = (2 * cutoff * sinc_impulse_response(t, cutoff) for t in (before, after))
        return tf.concat([left, 2 * cutoff, right], axis=0)

    band = low_pass(cutoff_freq_high) - low_pass(cutoff_freq_low)
    return band / tf.reduce_max(band, axis=0, keepdims=True)
