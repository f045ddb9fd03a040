"""Check tensors and initialisers, and make kernels of the latter. No value is ever looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from og_leaf.checks import check_callable, check_device, check_dtype, check_flag, shown


def initial(
    name: str, initializer: Any, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | None
) -> Tensor:
    """What an initialiser gives for a kernel of this shape.

    Raises:
        TypeError: it cannot be called with ``(shape, dtype=, device=)``, or gives no tensor.
        ValueError: it refuses the shape, or gives another.
    """
    check_callable(name, initializer, "an initialiser, to be called with (shape, dtype=, device=)")
    try:
        values = initializer(shape, dtype=dtype, device=device)
    except (TypeError, ValueError) as error:
        message = f"{name}={shown(initializer)}: must give a kernel of shape {shape} for (shape, dtype=, device=)"
        raise (TypeError if isinstance(error, TypeError) else ValueError)(f"{message}: {error}") from error
    if not isinstance(values, Tensor):
        raise TypeError(f"{name}={shown(initializer)}: must give a torch.Tensor, got {type(values).__name__}")
    if tuple(values.shape) != shape or values.dtype != dtype:
        found = f"{tuple(values.shape)}, {values.dtype}"
        raise ValueError(f"{name}={shown(initializer)}: must give a kernel of shape {shape}, {dtype}, got {found}")
    return values


def learned(
    initializer: Any,
    default: Callable[..., Tensor],
    shape: tuple[int, ...],
    trainable: Any,
    dtype: torch.dtype | None,
    device: Any,
) -> nn.Parameter:
    """A layer's kernel, of its arguments ``kernel_initializer`` (``None`` for a default), ``trainable`` and the rest.

    Raises:
        TypeError, ValueError: as :func:`initial`; for another flag, dtype or device.
    """
    found = default if initializer is None else initializer
    values = initial("kernel_initializer", found, shape, check_dtype(dtype), check_device(device))
    return nn.Parameter(values, requires_grad=check_flag("trainable", trainable))


def check_tensor(name: str, value: Any, rank: int | None = None, like: Tensor | None = None) -> Tensor:
    """A dense tensor of real floating-point numbers; values are not looked at.

    Args:
        name: of the argument.
        value: what was given.
        rank: its dimensions; ``None`` for any.
        like: a tensor whose dtype and device it must have; under autocast, any dtype that this casts.

    Raises:
        TypeError: no tensor, one that is sparse, nested or quantised, or of another dtype.
        ValueError: of another rank, or on another device.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}={shown(value)}: must be a torch.Tensor")
    if value.layout is not torch.strided or value.is_nested or value.is_quantized:
        kind = "nested" if value.is_nested else "quantised" if value.is_quantized else str(value.layout)
        raise TypeError(f"{name} of layout {kind}: must be a dense torch.Tensor")
    if not value.is_floating_point():
        wanted = "real floating-point numbers" if like is None else f"{like.dtype}, the dtype of the weights"
        raise TypeError(f"{name} of dtype {value.dtype}: must be {wanted}")
    if rank is not None and value.dim() != rank:
        raise ValueError(f"{name} of shape {tuple(value.shape)}: must have {rank} dimensions")
    if like is not None and value.device != like.device:
        raise ValueError(f"{name} on device {value.device}: must be on {like.device}, as the weights are")
    if like is not None and value.dtype != like.dtype and not (_autocasts(value) and _autocasts(like)):
        raise TypeError(f"{name} of dtype {value.dtype}: must be {like.dtype}, the dtype of the weights")
    return value


def _autocasts(x: Tensor) -> bool:
    castable = x.dtype in (torch.float32, torch.float16, torch.bfloat16)
    device = x.device.type
    return castable and torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def check_features(inputs: Any, n_channels: int | None = None, like: Tensor | None = None) -> None:
    """Refuse what is not [B, C, T] features for a layer, in the dtype and on the device of a weight.

    Raises:
        TypeError: no dense tensor, or another dtype.
        ValueError: another rank or number of channels, no channels or no frames, or another device.
    """
    check_tensor("inputs", inputs, like=like)
    shape = tuple(inputs.shape)
    channels = "channels" if n_channels is None else n_channels
    if len(shape) != 3 or n_channels not in (None, shape[1]):
        raise ValueError(f"inputs of shape {shape}: must be [batch, {channels}, samples]")
    if 0 in shape[1:]:
        raise ValueError(f"inputs of shape {shape}: must have at least 1 channel and 1 sample")


def check_audio(inputs: Any, like: Tensor | None = None) -> None:
    """Refuse what is not [B, T] or [B, 1, T] audio of at least one sample; values are not looked at.

    Args:
        inputs: what was given.
        like: a weight; ``None`` where there are none, and PyTorch's default dtype counts.

    Raises:
        TypeError: no dense tensor, or samples of another dtype than the weights.
        ValueError: another rank, more than one channel, no samples, or another device than the weights'.
    """
    check_tensor("inputs", inputs, like=like)
    dtype = torch.get_default_dtype() if like is None else like.dtype
    if inputs.dtype != dtype:
        raise TypeError(f"inputs of dtype {inputs.dtype}: must be {dtype}, the dtype of the weights")
    shape = tuple(inputs.shape)
    if len(shape) not in (2, 3):
        raise ValueError(f"inputs of shape {shape}: must be [batch, samples] or [batch, 1, samples]")
    if len(shape) == 3 and shape[1] != 1:
        raise ValueError(f"inputs of shape {shape}: {shape[1]} channels, must be 1 (the middle dimension)")
    if shape[-1] == 0:
        raise ValueError(f"inputs of shape {shape}: no samples, must be at least 1")


def check_state(initial_state: Any, inputs: Tensor) -> None:
    """Refuse what is not the state [B, C] before features [B, C, T].

    Raises:
        TypeError: no dense tensor, or another dtype.
        ValueError: another shape or device.
    """
    check_tensor("initial_state", initial_state, 2, like=inputs)
    if initial_state.shape != inputs.shape[:2]:
        wanted = tuple(inputs.shape[:2])
        raise ValueError(f"initial_state of shape {tuple(initial_state.shape)}: must be {wanted}, [batch, channels]")


Scan = Callable[[Tensor, Tensor, Tensor], Tensor]


def check_scan(scan: Any) -> Scan | None:
    """A recurrence of the user's.

    Raises:
        TypeError: neither a function nor None.
    """
    return None if scan is None else check_callable("scan", scan, "a function of (inputs, w, initial_state)")


def scanned(scan: Scan, inputs: Tensor, w: Tensor, initial_state: Tensor) -> Tensor:
    """What a user's recurrence gives.

    Raises:
        TypeError: it is no function of these three.
    """
    try:
        return scan(inputs, w, initial_state)
    except TypeError as error:
        raise TypeError(f"scan={shown(scan)}: must be a function of (inputs, w, initial_state): {error}") from error
