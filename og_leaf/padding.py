"""TensorFlow's padding of a convolution or pooling over time. Source: ``tf.nn.convolution``'s documentation."""

from __future__ import annotations

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
    """Pads the last dimension for ``"SAME"`` and ``"CAUSAL"``; ``"VALID"`` leaves it alone.

    Raises:
        ValueError: ``"VALID"``, and fewer samples than the window has.
    """
    n = inputs.shape[-1]
    if padding == "CAUSAL":
        return F.pad(inputs, (window - 1, 0), value=value)
    if padding == "SAME":
        return F.pad(inputs, _same_padding(n, window, stride), value=value)
    if n < window:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)}: must have at least the window's {window} samples")
    return inputs
