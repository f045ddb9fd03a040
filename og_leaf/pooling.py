"""Pooling with learnable Gaussian windows. Source: ``leaf_audio/pooling.py``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from og_leaf import impulse_responses
from og_leaf.checks import check_count, check_dtype, check_padding
from og_leaf.convolution import pad_time
from og_leaf.initializers import Device, GlorotUniform, Initializer


class GaussianLowpass(nn.Module):
    """Smooths and decimates each channel with its own Gaussian window.

    Parameter: ``kernel`` [C, 1, 1, 1], the deviations relative to half the window, clipped in ``forward``.

    Args:
        num_channels: number of channels C.
        kernel_size: taps of the windows, in samples.
        strides: hop between frames, in samples.
        padding: ``"same"`` or ``"valid"``, in any case.
        use_bias: ignored, as in the original.
        kernel_initializer: ``None`` is Keras' Glorot-uniform; ``Constant(0.4)`` is close to a Hann window.
        trainable: whether the deviations are learned.
        device, dtype: of the parameter; float32 or float64.

    Raises:
        TypeError: a count that is not an integer.
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
        trainable: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_channels = check_count("num_channels", num_channels)
        self.kernel_size = check_count("kernel_size", kernel_size)
        self.strides = check_count("strides", strides)
        self.padding = check_padding(padding)
        self.use_bias = use_bias
        initializer = GlorotUniform(num_channels, 1) if kernel_initializer is None else kernel_initializer
        kernel = initializer((num_channels, 1, 1, 1), dtype=check_dtype(dtype), device=device)
        self.kernel = nn.Parameter(kernel, requires_grad=trainable)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, T] to [B, C, frames]."""
        windows = impulse_responses.gaussian_lowpass(self.kernel, self.kernel_size)
        padded = pad_time(inputs, self.kernel_size, self.strides, self.padding)
        return F.conv1d(padded, windows.squeeze(2), stride=self.strides, groups=self.num_channels)
