"""Pooling over time, with learnable windows or by the maximum. Source: ``leaf_audio/pooling.py``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from og_leaf import impulse_responses
from og_leaf.checks import (
    MOST_CHANNELS,
    check_bank,
    check_count,
    check_padding,
)
from og_leaf.initializers import Device, GlorotUniform, Initializer
from og_leaf.inputs import check_features, learned
from og_leaf.padding import open_ended, over_time
from og_leaf.regularizers import Regularized, Regularizer, check_regularizer


class _Pooling(Regularized):
    """A pooling with a learned ``kernel``, and the checks that its constructors share."""

    kernel: nn.Parameter

    def __init__(self, num_channels: int, kernel_size: int, strides: int, padding: str, least: int = 1) -> None:
        super().__init__()
        self.num_channels = check_count("num_channels", num_channels, MOST_CHANNELS)
        self.kernel_size = check_count("kernel_size", kernel_size, least=least)
        self.strides = check_count("strides", strides)
        self.padding = check_padding(padding)

    def regularized(self) -> Tensor:
        """The kernel, as it is held."""
        return self.kernel


class LearnablePooling1D(_Pooling):
    """Smooths and decimates all channels with one free window; without padding, whatever ``padding`` says.

    Parameter: ``kernel`` [1, 1, 1, W].

    Args:
        num_channels: number of channels; nothing depends on it.
        kernel_size: taps W of the window, in samples.
        strides: hop between frames, in samples.
        padding, use_bias: ignored, as in the original.
        kernel_initializer: of a [1, 1, 1, W] kernel; ``None`` is Keras' Glorot-uniform.
        kernel_regularizer: maps the kernel to a penalty, see :mod:`og_leaf.regularizers`.
        trainable: whether the window is learned.
        device, dtype: of the parameter; float32 or float64.

    Raises:
        TypeError: a count that is not an integer, a regulariser that is not callable.
        ValueError: a count below 1, or an unknown dtype; in ``forward``, fewer samples than the window has.

    Source: ``leaf_audio/pooling.py``; section 2 of https://arxiv.org/abs/1711.01161.
    """

    def __init__(
        self,
        num_channels: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        trainable: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_channels, kernel_size, strides, "VALID")
        self.kernel_regularizer = check_regularizer(kernel_regularizer)
        glorot = GlorotUniform(self.kernel_size, self.kernel_size)
        self.kernel = learned(kernel_initializer, glorot, (1, 1, 1, self.kernel_size), trainable, dtype, device)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, T] to [B, C, frames]."""
        check_features(inputs, like=self.kernel)
        return over_time(
            inputs, self.kernel_size, self.strides, self.padding,
            lambda padded: F.conv2d(padded.unsqueeze(1), self.kernel, stride=(1, self.strides)).squeeze(1),
        )  # fmt: skip


class ChannelWiseLearnablePooling1D(_Pooling):
    """Smooths and decimates each channel with its own free window.

    Parameter: ``kernel`` [C, 1, W].

    Args:
        num_channels: number of channels C.
        padding: ``"same"`` or ``"valid"``, in any case.
        kernel_initializer: of a [C, 1, W] kernel; ``None`` is Keras' Glorot-uniform.
        kernel_size, strides, use_bias, kernel_regularizer, trainable, device, dtype: as for
            :class:`LearnablePooling1D`.

    Raises:
        TypeError: as for :class:`LearnablePooling1D`.
        ValueError: as for :class:`LearnablePooling1D`; an unknown padding.

    Source: ``leaf_audio/pooling.py``.
    """

    def __init__(
        self,
        num_channels: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        trainable: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_channels, kernel_size, strides, padding)
        self.kernel_regularizer = check_regularizer(kernel_regularizer)
        check_bank("num_channels", self.num_channels, "kernel_size", self.kernel_size)
        glorot = GlorotUniform(self.kernel_size, self.kernel_size * self.num_channels)
        shape = (self.num_channels, 1, self.kernel_size)
        self.kernel = learned(kernel_initializer, glorot, shape, trainable, dtype, device)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, T] to [B, C, frames]."""
        check_features(inputs, self.num_channels, self.kernel)
        return over_time(
            inputs, self.kernel_size, self.strides, self.padding,
            lambda padded: F.conv1d(padded, self.kernel, stride=self.strides, groups=self.num_channels),
        )  # fmt: skip


class GaussianLowpass(_Pooling):
    """Smooths and decimates each channel with its own Gaussian window.

    Parameter: ``kernel`` [C, 1, 1, 1], the deviations relative to half the window, clipped in ``forward``.

    Args:
        num_channels: number of channels C.
        kernel_size: taps of the windows, in samples, at least 2: of one the original makes 0 / 0.
        strides: hop between frames, in samples.
        padding: ``"same"`` or ``"valid"``, in any case.
        use_bias: ignored, as in the original.
        kernel_initializer: ``None`` is Keras' Glorot-uniform; ``Constant(0.4)`` is close to a Hann window.
        kernel_regularizer: maps the deviations to a penalty, see :mod:`og_leaf.regularizers`.
        trainable: whether the deviations are learned.
        device, dtype: of the parameter; float32 or float64.

    Raises:
        TypeError: a count that is not an integer, a regulariser that is not callable.
        ValueError: a count below 1, an unknown padding or dtype.

    Source: ``leaf_audio/pooling.py``; section 3.2 of https://arxiv.org/abs/2101.08596.
    """

    def __init__(
        self,
        num_channels: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        trainable: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_channels, kernel_size, strides, padding, least=2)
        check_bank("num_channels", self.num_channels, "kernel_size", self.kernel_size)
        self.use_bias = use_bias
        self.kernel_regularizer = check_regularizer(kernel_regularizer)
        shape = (self.num_channels, 1, 1, 1)
        self.kernel = learned(kernel_initializer, GlorotUniform(self.num_channels, 1), shape, trainable, dtype, device)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, T] to [B, C, frames]."""
        check_features(inputs, self.num_channels, self.kernel)
        windows = impulse_responses.gaussian_lowpass(self.kernel, self.kernel_size)
        return over_time(
            inputs, self.kernel_size, self.strides, self.padding,
            lambda padded: F.conv1d(padded, windows.squeeze(2), stride=self.strides, groups=self.num_channels),
        )  # fmt: skip


class MaxPooling1D(nn.Module):
    """The largest value under a window; of equal ones the first gets the gradient.

    Args:
        num_channels, use_bias, kernel_initializer, kernel_regularizer, trainable, device, dtype: ignored.
        kernel_size: samples in the window.
        strides: hop between frames, in samples.
        padding: ``"same"`` (what lies outside never counts) or ``"valid"``, in any case.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a count below 1, an unknown padding; in ``forward``, fewer samples than ``"valid"`` needs.

    Source: ``leaf_audio/pooling.py``.
    """

    def __init__(
        self,
        num_channels: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        trainable: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = check_count("kernel_size", kernel_size)
        self.strides = check_count("strides", strides)
        self.padding = check_padding(padding)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, T] to [B, C, frames]."""
        check_features(inputs)
        return over_time(inputs, self.kernel_size, self.strides, self.padding, self._largest, value=-math.inf)

    def _largest(self, padded: Tensor) -> Tensor:
        if open_ended(padded):  # PyTorch's own pooling would hold the graph to the length it is traced with
            return padded.unfold(-1, self.kernel_size, self.strides).amax(-1)
        return F.max_pool1d(padded, self.kernel_size, self.strides)
