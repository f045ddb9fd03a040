"""Convolutions whose filters are learned by a few parameters each, or normalised.

Source: ``leaf_audio/convolution.py``. What it has on Fourier transforms lies in :mod:`og_leaf.fourier`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from og_leaf import impulse_responses, utils
from og_leaf.checks import (
    MOST_CHANNELS,
    check_bank,
    check_count,
    check_flag,
    check_padding,
    check_sinc,
)
from og_leaf.constraints import Constraint, UnitNorm
from og_leaf.fourier import FFTConv1D, fft_conv1d, overlap_add_conv1d, upper_power_of_2
from og_leaf.initializers import Device, GaborInit, GlorotUniform, Initializer, SincInit
from og_leaf.inputs import check_features, check_tensor, learned
from og_leaf.padding import over_time, pad_time, same_padding
from og_leaf.regularizers import Regularized, Regularizer, check_regularizer

__all__ = [
    "FFTConv1D",
    "GaborConstraint",
    "GaborConv1D",
    "NormalizedConv1D",
    "SincConv1D",
    "fft_conv1d",
    "overlap_add_conv1d",
    "pad_time",
    "same_padding",
    "upper_power_of_2",
]


class GaborConstraint(Constraint):
    """Keeps Gabor parameters inside their box.

    The centre frequency goes to [0, pi] radians per sample; the deviation of the envelope to
    ``[4, kernel_size] * sqrt(2 ln 2) / pi`` samples, which bounds the width of the frequency response.

    Args:
        kernel_size: taps of the filters, in samples.

    Source: ``leaf_audio/convolution.py``; section 2.2 of https://arxiv.org/abs/1711.01161.
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self._kernel_size = check_count("kernel_size", kernel_size)

    def forward(self, kernel: Tensor) -> Tensor:
        """The kernel [C, 2], clipped."""
        check_tensor("kernel", kernel, 2)
        per_sample = math.sqrt(2 * math.log(2)) / math.pi
        mu = impulse_responses.clip(kernel[:, 0], 0.0, math.pi)
        sigma = impulse_responses.clip(kernel[:, 1], 4 * per_sample, self._kernel_size * per_sample)
        return torch.stack([mu, sigma], dim=1)


class _MonoConv1D(Regularized):
    """A convolution of a mono signal with ``_kernel`` and ``_bias``, and the checks that its constructors share.

    Args:
        parts: how many of ``filters`` make one filter, two where they are complex or the original's sincs.
    """

    _kernel: nn.Parameter
    _bias: nn.Parameter | None

    def __init__(self, filters: int, parts: int, kernel_size: int, strides: int, padding: str) -> None:
        super().__init__()
        self._filters = check_count("filters", filters, MOST_CHANNELS, least=parts) // parts
        self._kernel_size = check_count("kernel_size", kernel_size)
        check_bank("filters", parts * self._filters, "kernel_size", self._kernel_size)
        self._strides = check_count("strides", strides)
        self._padding = check_padding(padding)

    def regularized(self) -> Tensor:
        """The kernel, as it is held."""
        return self._kernel


class GaborConv1D(_MonoConv1D):
    """Convolves a mono signal with complex Gabor wavelets; two parameters per filter.

    Parameters: ``_kernel`` [C, 2] (radians per sample, samples) and, with ``use_bias``, ``_bias`` [2 C]. The
    constraint is applied in ``forward``; it does not change the parameter: see :func:`project_after_step`.

    Args:
        filters: number of output channels, two per wavelet.
        kernel_size: taps of the filters, in samples.
        strides: hop between outputs, in samples.
        padding: ``"SAME"`` or ``"VALID"``, in any case.
        use_bias: add a learnable offset to each output channel.
        input_shape: ignored, as in the original.
        kernel_initializer: of a [C, 2] kernel; ``None`` is ``GaborInit()``.
        kernel_regularizer: maps the kernel to a penalty, see :mod:`og_leaf.regularizers`.
        name: ignored.
        trainable: whether the kernel is learned.
        sort_filters: order the filters by centre frequency.
        device, dtype: of the parameters; float32 or float64.

    Raises:
        TypeError: a count that is not an integer, a regulariser that is not callable.
        ValueError: a count below 1 (below 2 for ``filters``), an unknown padding or dtype; in ``forward``, fewer
            samples than ``"VALID"`` needs.

    Source: ``leaf_audio/convolution.py``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "SAME",
        use_bias: bool = False,
        input_shape: Any = None,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        name: str | None = None,
        trainable: bool = True,
        sort_filters: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(filters, 2, kernel_size, strides, padding)
        self._sort_filters = check_flag("sort_filters", sort_filters)
        self.kernel_regularizer = check_regularizer(kernel_regularizer)
        self._kernel = learned(kernel_initializer, GaborInit(), (self._filters, 2), trainable, dtype, device)
        self._bias = _bias(use_bias, 2 * self._filters, self._kernel)
        self.constraint = GaborConstraint(self._kernel_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, 1, T] to [B, 2 C, frames], real and imaginary parts in turn."""
        check_features(inputs, 1, self._kernel)
        kernel: Tensor = self.constraint(self._kernel)
        if self._sort_filters:
            kernel = kernel[torch.argsort(kernel[:, 0], stable=True)]
        filters = impulse_responses.gabor_filters(kernel, self._kernel_size)
        stacked = torch.stack([filters.real, filters.imag], dim=1)
        stacked = stacked.reshape(2 * self._filters, 1, self._kernel_size)
        return over_time(
            inputs, self._kernel_size, self._strides, self._padding,
            lambda padded: F.conv1d(padded, stacked, bias=self._bias, stride=self._strides),
        )  # fmt: skip


class NormalizedConv1D(_MonoConv1D):
    """Convolves a mono signal with free filters of Euclidean norm 1.

    Parameters: ``_kernel`` [C, 1, taps] and, with ``use_bias``, ``_bias`` [C]. The filters are normalised in
    ``forward``, which does not change the parameter: see :func:`og_leaf.project_after_step`.

    Args:
        filters: number of output channels C.
        kernel_size, strides, padding, use_bias, input_shape, kernel_regularizer, name, trainable, device, dtype: as
            for :class:`GaborConv1D`.
        kernel_initializer: of a [C, 1, taps] kernel; ``None`` is Keras' Glorot-uniform.

    Raises:
        TypeError: as for :class:`GaborConv1D`.
        ValueError: as for :class:`GaborConv1D`, but ``filters`` may be 1.

    Source: ``leaf_audio/convolution.py``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "SAME",
        use_bias: bool = False,
        input_shape: Any = None,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        name: str | None = None,
        trainable: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(filters, 1, kernel_size, strides, padding)
        n_filters, size = self._filters, self._kernel_size
        self.kernel_regularizer = check_regularizer(kernel_regularizer)
        glorot = GlorotUniform(size, size * n_filters)
        self._kernel = learned(kernel_initializer, glorot, (n_filters, 1, size), trainable, dtype, device)
        self._bias = _bias(use_bias, n_filters, self._kernel)
        self.constraint = UnitNorm(dim=-1)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, 1, T] to [B, C, frames]."""
        check_features(inputs, 1, self._kernel)
        kernel: Tensor = self.constraint(self._kernel)
        return over_time(
            inputs, kernel.shape[-1], self._strides, self._padding,
            lambda padded: F.conv1d(padded, kernel, bias=self._bias, stride=self._strides),
        )  # fmt: skip


class SincConv1D(_MonoConv1D):
    """Convolves a mono signal with band-pass filters, differences of two sincs; two parameters per filter.

    Parameters: ``_kernel`` [C, 2] (lower cutoff less ``min_low_hz``, width less ``min_band_hz``, both by their absolute
    value) and, with ``use_bias``, ``_bias`` [C]. The sincs are sampled at 16 kHz whatever ``sample_rate`` says, which
    limits the upper cutoff alone, as in the original.

    Args:
        filters: twice the number of output channels C.
        kernel_size: taps of the filters, odd: at even sizes the original's filters and window differ by a sample.
        strides, padding, use_bias, input_shape, kernel_regularizer, name, trainable, device, dtype: as for
            :class:`GaborConv1D`.
        kernel_initializer: of a [C, 2] kernel; ``None`` is ``SincInit()``.
        sample_rate: Hz; the upper cutoff is at most half of it.
        min_low_hz: least lower cutoff, Hz.
        min_band_hz: least width, Hz.

    Raises:
        TypeError: as for :class:`GaborConv1D`.
        ValueError: as for :class:`GaborConv1D`; an even ``kernel_size``.

    Source: ``leaf_audio/convolution.py``; section 2 of https://arxiv.org/abs/1808.00158.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "SAME",
        use_bias: bool = False,
        input_shape: Any = None,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        name: str | None = None,
        trainable: bool = True,
        sample_rate: float = 16000,
        min_low_hz: float = 50.0,
        min_band_hz: float = 50.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(filters, 2, kernel_size, strides, padding)
        if self._kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size!r}: must be odd")
        self._sample_rate, self._min_low_hz, self._min_band_hz = check_sinc(sample_rate, min_low_hz, min_band_hz)
        self.kernel_regularizer = check_regularizer(kernel_regularizer)
        self._kernel = learned(kernel_initializer, SincInit(), (self._filters, 2), trainable, dtype, device)
        self._bias = _bias(use_bias, self._filters, self._kernel)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, 1, T] to [B, C, frames]."""
        check_features(inputs, 1, self._kernel)
        left = self._min_low_hz + self._kernel[:, :1].abs()
        right = left + self._min_band_hz + self._kernel[:, 1:].abs()
        right = impulse_responses.clip(right, self._min_low_hz, self._sample_rate / 2)
        window = utils.window(utils.WindowType.HAMMING, self._kernel_size)
        filters = impulse_responses.sinc_filters(left, right, self._kernel_size) * left.new_tensor(window)
        return over_time(
            inputs, self._kernel_size, self._strides, self._padding,
            lambda padded: F.conv1d(padded, filters.unsqueeze(1), bias=self._bias, stride=self._strides),
        )  # fmt: skip


def _bias(use_bias: bool, n_outputs: int, like: Tensor) -> nn.Parameter | None:
    """A bias as Keras makes one that has no initialiser, in the dtype and on the device of the kernel; or none."""
    if not check_flag("use_bias", use_bias):
        return None
    return nn.Parameter(GlorotUniform(n_outputs, n_outputs)((n_outputs,), dtype=like.dtype, device=like.device))
