"""TensorFlow's padding of a convolution or pooling over time. Source: ``tf.nn.convolution``'s documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from og_leaf.checks import check_count


def same_padding(n: int, window: int, stride: int) -> tuple[int, int]:
    """Zeros that TensorFlow's SAME puts before and after ``n`` samples, for ``ceil(n / stride)`` outputs.

    The odd one goes after; both counts depend on ``n``, and are 0 where the windows fit inside.
    """
    n, window, stride = (check_count(a, v, 2**40) for a, v in (("n", n), ("window", window), ("stride", stride)))
    return _same_padding(n, window, stride)


def _same_padding(n: int, window: int, stride: int) -> tuple[int, int]:
    n_outputs = -(-n // stride)
    total = max((n_outputs - 1) * stride + window - n, 0)
    return total // 2, total - total // 2


def pad_time(inputs: Tensor, window: int, stride: int, padding: str, value: float = 0.0) -> Tensor:
    """Pads the last dimension for ``"SAME"``, ``"CAUSAL"`` and ``"END"``; ``"VALID"`` leaves it alone.

    Raises:
        ValueError: ``"VALID"``, and fewer samples than the window has.
    """
    n = inputs.shape[-1]
    if padding != "VALID":
        return F.pad(inputs, _padded_by(n, window, stride, padding), value=value)
    if n < window:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)}: must have at least the window's {window} samples")
    return inputs


def _padded_by(n: int, window: int, stride: int, padding: str) -> tuple[int, int]:
    """Values before and after ``n`` samples; ``"END"`` has all of SAME's at the end, as TensorFlow pads for spectra."""
    if padding == "VALID":
        return 0, 0
    if padding == "CAUSAL":
        return window - 1, 0
    before, after = _same_padding(n, window, stride)
    return (0, before + after) if padding == "END" else (before, after)


def over_time(
    inputs: Tensor, window: int, stride: int, padding: str, compute: Callable[[Tensor], Tensor], value: float = 0.0
) -> Tensor:
    """``compute`` on what :func:`pad_time` gives: [..., T] to [..., frames], a frame a window, ``stride`` apart.

    A graph that ``torch.export`` makes for any length takes one frame, too; it fails when it runs on fewer samples than
    ``"VALID"`` needs.

    Raises:
        ValueError: as :func:`pad_time`.
    """
    if (stride == 1 and padding != "VALID") or not open_ended(inputs):
        return compute(pad_time(inputs, window, stride, padding, value))
    n = inputs.shape[-1]
    before, after = _padded_by(n, window, stride, padding)
    # PyTorch asks of an output whether it has but one frame, and would hold the graph to the answer. So two frames more
    # are computed and cut, by a number that is read from a tensor: nothing is known of it before the graph runs.
    more = compute(F.pad(inputs, (before, after + window + 2 * stride), value=value))
    n_frames: Any = torch.scalar_tensor((n + before + after - window) // stride + 1, dtype=torch.int64).item()
    torch._check(n_frames >= 1)  # type: ignore[no-untyped-call]
    torch._check(n_frames <= more.shape[-1])  # type: ignore[no-untyped-call]
    return more.narrow(-1, 0, n_frames)


def open_ended(inputs: Tensor) -> bool:
    """Whether ``torch.export`` is tracing a graph for inputs of any length."""
    if isinstance(inputs.shape[-1], int):
        return False
    # before PyTorch 2.7 there is but one answer to whether it compiles and whether it exports
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())
