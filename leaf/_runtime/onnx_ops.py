"""Operations that export to ONNX with free batch and length.

Outside of an export they are PyTorch's own functions. ONNX has no ``log1p``, no ``expm1`` (PyTorch exports both with
all digits of small values lost), and no recursion whose depth follows the length. Nothing here tests whether there is
one frame: the exported graph would then accept only more than one.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

NEAR = 0.5  # where the rounding of 1 + x matters


def exporting() -> bool:
    """Tell whether ``torch.export`` or ``torch.onnx.export`` is tracing."""
    # before PyTorch 2.7 there is but one answer to both
    asked = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return bool(asked())


def conv1d(x: Tensor, kernels: Tensor, stride: int, pads: tuple[int, int], groups: int = 1) -> Tensor:
    """``F.conv1d`` of [B, K, T], padded by ``pads`` zeros before and after; an exported graph takes any length."""
    left, right = pads
    if stride > 1 and exporting() and not isinstance(x.shape[-1], int):
        # The number of frames is read from a tensor, so that nothing is known of it while the graph is traced. A
        # convolution asks of its own output whether it has but one frame: it computes two more, which are cut.
        n_frames = (x.shape[-1] + left + right - kernels.shape[-1]) // stride + 1
        more = F.conv1d(F.pad(x, (left, right + 2 * stride)), kernels, stride=stride, groups=groups)
        count: Any = torch.scalar_tensor(n_frames, dtype=torch.int64).item()
        torch._check(count >= 1)
        torch._check(count <= more.shape[-1])
        return more.narrow(-1, 0, count)
    if left != right or groups == 1:
        # conv1d itself pads evenly only. It spares the copy of x, which is large where there is a channel for each
        # filter; of one channel the copy is small, and on a CPU a convolution that pads takes longer.
        x, left = F.pad(x, pads), 0
    return F.conv1d(x, kernels, stride=stride, padding=left, groups=groups)


def log1p(x: Tensor) -> Tensor:
    """``log(1 + x)``. Exported: with the rounding of the sum divided out, W. Kahan, to 4 roundings."""
    if not exporting():
        return torch.log1p(x)
    w = 1 + x
    one = w == 1
    mended = torch.where(one, x, torch.log(w) * (x / torch.where(one, 1.0, w - 1)))
    return torch.where(x.abs() < NEAR, mended, torch.log(w))


def expm1(x: Tensor) -> Tensor:
    """``exp(x) - 1``. Exported: with the rounding of the exponential divided out, W. Kahan, to 5 roundings."""
    if not exporting():
        return torch.expm1(x)
    w = torch.exp(x)
    one = w == 1
    mended = torch.where(one, x, (w - 1) * (x / torch.where(one, 1.0, torch.log(w))))
    return torch.where(x.abs() < NEAR, mended, w - 1)


def doubled(u: Tensor, factor: Tensor, log_factor: Tensor, initial: Tensor) -> Tensor:
    """``h[t] = factor h[t-1] + u[t]``, ``h[-1] = initial``, in log2(T) passes; pass k adds the state 2**k frames ago.

    The loop over passes is in the graph, so their number follows the length.

    Args:
        u: [..., C, T].
        factor, log_factor: [C], and the logarithm of its magnitude.
        initial: [..., C].
    """
    from torch._higher_order_ops import while_loop  # no other name is documented

    t = torch.arange(u.shape[-1], device=u.device)
    h = torch.where(t == 0, u + (factor * initial).unsqueeze(-1), u)

    def unfinished(lag: Tensor, h: Tensor, power: Tensor, log_power: Tensor, t: Tensor) -> Tensor:
        return lag <= t.amax(0)

    def further(lag: Tensor, h: Tensor, power: Tensor, log_power: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        before = t - lag
        earlier = torch.where(before >= 0, h.index_select(-1, before.clamp(min=0)), 0.0)
        log_power = 2 * log_power
        return 2 * lag, h + power.unsqueeze(-1) * earlier, torch.exp(log_power), log_power, t.clone()

    state = torch.ones((), dtype=torch.int64, device=u.device), h, factor.clone(), log_factor, t
    smoothed: Tensor = while_loop(unfinished, further, state)[1]  # type: ignore[no-untyped-call]
    return smoothed
