"""Complex Gabor wavelets, sinc filters and Gaussian windows. Source: ``leaf_audio/impulse_responses.py``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from og_leaf.checks import check_count, check_rate, shown
from og_leaf.inputs import check_tensor


def clip(values: Tensor, low: float, high: float) -> Tensor:
    """``tf.clip_by_value``: ``low`` wins where ``low > high``, and the gradient is 1 at either limit.

    ``torch.clamp`` with both limits lets ``high`` win, which matters for windows under four samples.
    """
    return values.clamp(max=high).clamp(min=low)


def _together(rank: int | None, **tensors: Tensor) -> None:
    """Refuse what are not dense tensors of one dtype on one device.

    Raises:
        TypeError: as :func:`check_tensor`, or several dtypes or devices.
        ValueError: another rank.
    """
    for name, value in tensors.items():
        check_tensor(name, value, rank)
    if len({(value.dtype, value.device) for value in tensors.values()}) > 1:
        found = ", ".join(f"{name} of {value.dtype} on {value.device}" for name, value in tensors.items())
        raise TypeError(f"{found}: must be of one dtype and device")


def flushed(taps: Tensor) -> Tensor:
    """``taps``, and 0 for one that half a step of 24-bit audio makes subnormal; the gradient is that of ``taps``.

    On an Intel CPU PyTorch takes many times as long for a convolution in which numbers are subnormal, as they are in a
    Gaussian's tail; TensorFlow's kernels make them 0. Half precision keeps its own, which it needs.
    """
    least = 2.0**24 * min(torch.finfo(taps.dtype).tiny, torch.finfo(torch.float32).tiny)
    return taps - taps.where(taps.abs() < least, 0.0).detach()


def gabor_impulse_response(t: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    """Complex Gabor wavelets ``exp(i center t) exp(-t^2 / (2 fwhm^2)) / (sqrt(2 pi) fwhm)``.

    Args:
        t: times in samples, [W].
        center: centre frequencies in radians per sample, [C].
        fwhm: despite the original's name, the standard deviation of the Gaussian envelope in samples, [C].

    Returns:
        complex64 [C, W], complex128 for float64 arguments.

    Source: ``leaf_audio/impulse_responses.py``; section 3.1 of https://arxiv.org/abs/2101.08596.
    """
    _together(1, t=t, center=center, fwhm=fwhm)
    if len(center) != len(fwhm):
        raise ValueError(f"center, fwhm of shapes {tuple(center.shape)}, {tuple(fwhm.shape)}: must be equal")
    to_complex = torch.complex128 if t.dtype == torch.float64 else torch.complex64
    norm = 1.0 / (math.sqrt(2.0 * math.pi) * fwhm)
    envelope = torch.exp(torch.outer(1.0 / (2.0 * fwhm**2), -(t**2)))
    carrier = torch.exp(1j * torch.outer(center.to(to_complex), t.to(to_complex)))
    wavelets = norm.to(to_complex).unsqueeze(1) * carrier * envelope.to(to_complex)
    return torch.complex(flushed(wavelets.real), flushed(wavelets.imag))


def gabor_filters(kernel: Tensor, size: int = 401) -> Tensor:
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
    t = torch.arange(-(size // 2), (size + 1) // 2, dtype=kernel.dtype, device=kernel.device)
    return gabor_impulse_response(t, center=kernel[:, 0], fwhm=kernel[:, 1])


def amplitude(filters: Tensor, i: int) -> Tensor:
    """Magnitude of the spectrum of one filter, the zero frequency in the middle.

    Args:
        filters: complex [C, W].
        i: which of them.

    Returns:
        [W].

    Raises:
        TypeError: real filters.

    Source: ``leaf_audio/impulse_responses.py``.
    """
    if not (isinstance(filters, Tensor) and filters.is_complex() and filters.dim() == 2):
        found = f" of dtype {filters.dtype}" if isinstance(filters, Tensor) else f"={shown(filters)}"
        raise TypeError(f"filters{found}: must be complex, [filters, taps]")
    i = check_count("i", i, len(filters) - 1, least=-len(filters))
    spectrum: Tensor = torch.fft.fftshift(torch.fft.fft(filters[i]))
    return spectrum.abs()


def sinc_impulse_response(t: Tensor, frequency: Tensor) -> Tensor:
    """``sin(2 pi frequency t) / (2 pi frequency t)``, NaN where that is 0 / 0.

    Args:
        t: times in seconds.
        frequency: Hz, of a shape that broadcasts with ``t``.

    Source: ``leaf_audio/impulse_responses.py``.
    """
    _together(None, t=t, frequency=frequency)
    if any(
        1 not in sizes and len(sizes) > 1 for sizes in map(set, zip(t.shape[::-1], frequency.shape[::-1], strict=False))
    ):
        raise ValueError(f"t, frequency of shapes {tuple(t.shape)}, {tuple(frequency.shape)}: must broadcast")
    return torch.sin(2 * math.pi * frequency * t) / (2 * math.pi * frequency * t)


def sinc_filters(
    cutoff_freq_low: Tensor, cutoff_freq_high: Tensor, size: int = 401, sample_rate: float = 16000
) -> Tensor:
    """Band-pass filters: the difference of two ideal low-pass filters, cut, over its largest value.

    Args:
        cutoff_freq_low: lower cutoffs in Hz, [C, 1].
        cutoff_freq_high: upper cutoffs in Hz, [C, 1].
        size: number of taps; an even one gives one more.
        sample_rate: Hz.

    Returns:
        [C, 2 (size // 2) + 1].

    Source: ``leaf_audio/impulse_responses.py``.
    """
    _together(2, cutoff_freq_low=cutoff_freq_low, cutoff_freq_high=cutoff_freq_high)
    low, high = tuple(cutoff_freq_low.shape), tuple(cutoff_freq_high.shape)
    if low != high or low[1] != 1:
        raise ValueError(f"cutoff_freq_low, cutoff_freq_high of shapes {low}, {high}: must be [filters, 1], equal")
    rate, half = check_rate(sample_rate), check_count("size", size) // 2
    taps = torch.arange(-half, half + 1, dtype=cutoff_freq_low.dtype, device=cutoff_freq_low.device)
    before, after = taps[:half] / rate, taps[half + 1 :] / rate

    def low_pass(frequency: Tensor) -> Tensor:
        gain = 2 * frequency  # its value at 0, where the sinc is 1
        left, right = (gain * sinc_impulse_response(side, frequency) for side in (before, after))
        return torch.cat([left, gain, right], dim=1)

    band_pass = low_pass(cutoff_freq_high) - low_pass(cutoff_freq_low)
    # amax shares its gradient between equal values, as TensorFlow's reduce_max
    return band_pass / band_pass.amax(dim=1, keepdim=True)


def gaussian_lowpass(sigma: Tensor, filter_size: int) -> Tensor:
    """Gaussian windows around the middle of ``filter_size`` taps, peak 1.

    Args:
        sigma: deviations relative to half the window, [C, 1, 1, 1]; clipped to [2 / filter_size, 0.5].
        filter_size: number of taps.

    Returns:
        [C, 1, 1, filter_size].

    Source: ``leaf_audio/impulse_responses.py``; section 3.2 of https://arxiv.org/abs/2101.08596.
    """
    filter_size = check_count("filter_size", filter_size, least=2)
    sigma = clip(check_tensor("sigma", sigma, 4), 2.0 / filter_size, 0.5)
    t = torch.arange(0, filter_size, dtype=sigma.dtype, device=sigma.device)
    numerator = t - 0.5 * (filter_size - 1)
    denominator = sigma * 0.5 * (filter_size - 1)
    return flushed(torch.exp(-0.5 * (numerator / denominator) ** 2))
