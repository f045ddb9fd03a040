"""What the original takes from Keras: its convolution, its layer normalisation and its leaky rectifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from og_leaf.checks import (
    CONV_PADDINGS,
    MOST_CHANNELS,
    check_bank,
    check_callable,
    check_count,
    check_device,
    check_dtype,
    check_epsilon,
    check_flag,
    check_padding,
    check_real,
)
from og_leaf.initializers import Device, GlorotUniform, Initializer
from og_leaf.inputs import check_features, check_tensor, learned
from og_leaf.padding import over_time
from og_leaf.regularizers import Regularized, Regularizer, check_regularizer


class Conv1D(Regularized):
    """A convolution with free filters, as ``tf.keras.layers.Conv1D`` computes it.

    Parameters: ``weight`` [C, num_channels, taps] and, with ``use_bias``, ``bias`` [C].

    Args:
        filters: number of output channels C.
        kernel_size: taps of the filters, in samples.
        strides: hop between outputs, in samples.
        padding: ``"valid"``, ``"same"`` or ``"causal"``, in any case.
        use_bias: add a learnable offset, initially 0, to each output channel.
        input_shape: ignored.
        kernel_initializer: of a [C, num_channels, taps] weight; ``None`` is Keras' Glorot-uniform.
        kernel_regularizer: maps the weight to a penalty, see :mod:`og_leaf.regularizers`.
        name: ignored.
        trainable: whether weight and bias are learned.
        activation: applied to the output; ``None`` for none.
        num_channels: number of input channels.
        device, dtype: of the parameters; float32 or float64.

    Raises:
        TypeError: a count that is not an integer, a regulariser that is not callable.
        ValueError: a count below 1, an unknown padding or dtype; in ``forward``, fewer samples than ``"valid"`` needs.

    Source: ``tf.keras.layers.Conv1D``, as ``leaf_audio/frontend.py`` calls it.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "valid",
        use_bias: bool = True,
        input_shape: Any = None,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        name: str | None = None,
        trainable: bool = True,
        activation: Callable[[Tensor], Tensor] | None = None,
        num_channels: int = 1,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dtype, device = check_dtype(dtype), check_device(device)
        size = check_count("kernel_size", kernel_size)
        n_filters = check_count("filters", filters, MOST_CHANNELS)
        num_channels = check_count("num_channels", num_channels, MOST_CHANNELS)
        check_bank("filters", n_filters, "num_channels * kernel_size", num_channels * size)
        shape = (n_filters, num_channels, size)
        self._strides = check_count("strides", strides)
        self._padding = check_padding(padding, CONV_PADDINGS)
        self._activation = None
        if activation is not None:
            self._activation = check_callable("activation", activation, "a module or function on [B, C, frames]")
        self.kernel_regularizer = check_regularizer(kernel_regularizer)
        glorot = GlorotUniform(size * num_channels, size * n_filters)
        self.weight = learned(kernel_initializer, glorot, shape, trainable, dtype, device)
        self.bias: nn.Parameter | None = None
        if check_flag("use_bias", use_bias):
            zeros = torch.zeros(n_filters, dtype=dtype, device=device)
            self.bias = nn.Parameter(zeros, requires_grad=self.weight.requires_grad)

    def regularized(self) -> Tensor:
        """The weight."""
        return self.weight

    def convolve(self, inputs: Tensor) -> Tensor:
        """[B, num_channels, T] to [B, C, frames], without bias."""
        return over_time(
            inputs, self.weight.shape[-1], self._strides, self._padding,
            lambda padded: F.conv1d(padded, self.weight, stride=self._strides),
        )  # fmt: skip

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, num_channels, T] to [B, C, frames]."""
        check_features(inputs, self.weight.shape[1], self.weight)
        outputs = self.convolve(inputs)
        if self.bias is not None:
            outputs = outputs + self.bias.unsqueeze(-1)
        return outputs if self._activation is None else self._activation(outputs)


class LayerNormalization(nn.Module):
    """Normalises each frame over its channels, then scales and shifts it.

    Parameters: ``weight`` and ``bias`` [C], initially 1 and 0 (Keras' gamma and beta).

    Args:
        num_channels: number of channels C.
        epsilon: added to the variance.
        device, dtype: of the parameters; float32 or float64.

    Raises:
        TypeError: ``num_channels`` is not an integer.
        ValueError: ``num_channels`` below 1, or another dtype.

    Source: ``tf.keras.layers.LayerNormalization``, the compression of ``SincNet``.
    """

    def __init__(
        self, num_channels: int, epsilon: float = 1e-3, device: Device = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        dtype, device = check_dtype(dtype), check_device(device)
        self.num_channels = check_count("num_channels", num_channels, MOST_CHANNELS)
        self.epsilon = check_epsilon(epsilon)
        self.weight = nn.Parameter(torch.ones(self.num_channels, dtype=dtype, device=device))
        self.bias = nn.Parameter(torch.zeros(self.num_channels, dtype=dtype, device=device))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalises [B, C, frames]."""
        check_features(inputs, self.num_channels, self.weight)
        # deviations first, as in TensorFlow: those of one channel are 0, which torch's layer_norm misses by rounding
        centred = inputs - inputs.mean(dim=1, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + self.epsilon)
        return centred * scale * self.weight.unsqueeze(-1) + self.bias.unsqueeze(-1)


class LeakyReLU(nn.Module):
    """``x`` above 0, ``alpha x`` below, with the gradient ``alpha`` at 0. Source: ``tf.keras.layers.LeakyReLU``."""

    def __init__(self, alpha: float = 0.3) -> None:
        super().__init__()
        self.alpha = check_real("alpha", alpha)

    def forward(self, inputs: Tensor) -> Tensor:
        """Of any shape."""
        return F.leaky_relu(check_tensor("inputs", inputs), self.alpha)
