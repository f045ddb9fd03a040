"""Convolution with learnable Gabor wavelets. Source: ``leaf_audio/convolution.py``."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from og_leaf import impulse_responses
from og_leaf.checks import check_count, check_dtype, check_padding
from og_leaf.initializers import Device, GaborInit, GlorotUniform, Initializer


def same_padding(n: int, window: int, stride: int) -> tuple[int, int]:
    """Zeros that TensorFlow's SAME puts before and after ``n`` samples, for ``ceil(n / stride)`` outputs.

    The odd one goes after; both counts depend on ``n``, and are 0 where the windows fit inside.
    """
    n_outputs = -(-n // stride)
    total = max((n_outputs - 1) * stride + window - n, 0)
    return total // 2, total - total // 2


def pad_time(inputs: Tensor, window: int, stride: int, padding: str) -> Tensor:
    """Pads the last dimension for ``"SAME"``; ``"VALID"`` leaves it alone."""
    if padding == "VALID":
        return inputs
    return F.pad(inputs, same_padding(inputs.shape[-1], window, stride))


class GaborConstraint(nn.Module):
    """Keeps Gabor parameters inside their box.

    The centre frequency goes to [0, pi] radians per sample; the deviation of the envelope to
    ``[4, kernel_size] * sqrt(2 ln 2) / pi`` samples, which bounds the width of the frequency response.

    Args:
        kernel_size: taps of the filters, in samples.

    Source: ``leaf_audio/convolution.py``; section 2.2 of https://arxiv.org/abs/1711.01161.
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self._kernel_size = kernel_size

    def forward(self, kernel: Tensor) -> Tensor:
        """The kernel [C, 2], clipped."""
        per_sample = math.sqrt(2 * math.log(2)) / math.pi
        mu = impulse_responses.clip(kernel[:, 0], 0.0, math.pi)
        sigma = impulse_responses.clip(kernel[:, 1], 4 * per_sample, self._kernel_size * per_sample)
        return torch.stack([mu, sigma], dim=1)


class GaborConv1D(nn.Module):
    """Convolves a mono signal with complex Gabor wavelets; two parameters per filter.

    Parameters: ``_kernel`` [C, 2] (radians per sample, samples) and, with ``use_bias``, ``_bias`` [2 C]. The
    constraint is applied in ``forward``; it does not change the parameter: see :func:`project_after_step`.

    Args:
        filters: number of output channels, two per wavelet.
        kernel_size: taps of the filters, in samples.
        strides: hop between outputs, in samples.
        padding: ``"SAME"`` or ``"VALID"``, in any case.
        use_bias: add a learnable offset to each output channel.
        kernel_initializer: of a [C, 2] kernel; ``None`` is ``GaborInit()``.
        trainable: whether the kernel is learned.
        sort_filters: order the filters by centre frequency.
        device, dtype: of the parameters; float32 or float64.

    Raises:
        TypeError: a count that is not an integer.
        ValueError: a count below 1 (below 2 for ``filters``), an unknown padding or dtype.

    Source: ``leaf_audio/convolution.py``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "SAME",
        use_bias: bool = False,
        kernel_initializer: Initializer | None = None,
        trainable: bool = True,
        sort_filters: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dtype = check_dtype(dtype)
        self._filters = check_count("filters // 2", check_count("filters", filters) // 2)
        self._kernel_size = check_count("kernel_size", kernel_size)
        self._strides = check_count("strides", strides)
        self._padding = check_padding(padding)
        self._sort_filters = sort_filters
        initializer = GaborInit() if kernel_initializer is None else kernel_initializer
        kernel = initializer((self._filters, 2), dtype=dtype, device=device)
        self._kernel = nn.Parameter(kernel, requires_grad=trainable)
        self._bias: nn.Parameter | None = None
        if use_bias:
            n_outputs = 2 * self._filters
            glorot = GlorotUniform(n_outputs, n_outputs)
            self._bias = nn.Parameter(glorot((n_outputs,), dtype=dtype, device=device))
        self.constraint = GaborConstraint(self._kernel_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, 1, T] to [B, 2 C, frames], real and imaginary parts in turn."""
        kernel: Tensor = self.constraint(self._kernel)
        if self._sort_filters:
            kernel = kernel[torch.argsort(kernel[:, 0], stable=True)]
        filters = impulse_responses.gabor_filters(kernel, self._kernel_size)
        stacked = torch.stack([filters.real, filters.imag], dim=1)
        stacked = stacked.reshape(2 * self._filters, 1, self._kernel_size)
        padded = pad_time(inputs, self._kernel_size, self._strides, self._padding)
        return F.conv1d(padded, stacked, bias=self._bias, stride=self._strides)


def project_after_step(optimizer: torch.optim.Optimizer, module: nn.Module) -> RemovableHandle:
    """Makes an optimiser put the Gabor parameters back into their box after every step, as Keras does.

    A parameter outside of its box has no gradient, and without this call stays there until something else moves it.
    Projected onto the limit it has its gradient again, since the gradient at a limit is 1. As in Keras, a kernel
    that a step does not move, because it is frozen or has no gradient, is left alone, and slots are not touched.

    Args:
        optimizer: any PyTorch optimiser; its :meth:`step` is what projects from now on.
        module: a :class:`GaborConv1D`, or a module that contains at least one, such as :class:`og_leaf.Leaf`.

    Returns:
        A handle whose ``remove()`` undoes the call.

    Raises:
        ValueError: the module contains no ``GaborConv1D``, or one whose trainable kernel the optimiser does not hold.

    Source: the ``constraint`` of the kernel in ``leaf_audio/convolution.py``, which Keras' optimisers apply.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, GaborConv1D)]
    if not layers:
        raise ValueError(f"module={type(module).__name__}: must contain a GaborConv1D")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for layer in layers:
        if layer._kernel.requires_grad and id(layer._kernel) not in held:
            raise ValueError(f"module={type(module).__name__}: the optimizer must hold the kernel of its GaborConv1D")

    def project(*_: Any) -> None:
        with torch.no_grad():
            for layer in layers:
                if layer._kernel.grad is not None:
                    layer._kernel.copy_(layer.constraint(layer._kernel))

    return optimizer.register_step_post_hook(project)
