"""The exponential moving average over frames as a parallel scan."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leaf._runtime.checks import numbers
from leaf._runtime.onnx_ops import doubled, exporting, log1p


def exponential_moving_average(x: Tensor, s: Tensor, initial: Tensor) -> Tensor:
    """``M[t] = (1 - s) M[t-1] + s x[t]`` with ``M[-1] = initial``, in log2(T) vectorised steps.

    Work and memory are linear in T. A value passes through about 2 log2(T) roundings whatever s is, where a loop
    adds one to the last at every frame, some 1 / s of them. Infinity or NaN in a frame shows from that frame on, never
    before it. Differentiable, twice too, in all three arguments; s = 0 and s = 1 are ordinary values.

    Args:
        x: values [..., C, T], T >= 1. Half precision is computed in float32.
        s: coefficients [C] or [1], in [0, 1]; beyond, the recurrence is the same and may swing or grow.
        initial: the state before the first frame, [..., C].

    Returns M [..., C, T], in x's dtype.
    Source: prefix sums of a linear recurrence, Blelloch, CMU-CS-90-190; ``ExponentialMovingAverage`` in
    ``leaf_audio/postprocessing.py``.
    """
    if not exporting():  # where a comparison of sizes would hold the graph to them
        for name, value, rank in (("x", x, 2), ("s", s, 1), ("initial", initial, 1)):
            numbers(rank, **{name: value})
        shapes = f"x, s, initial of shapes {tuple(x.shape)}, {tuple(s.shape)}, {tuple(initial.shape)}"
        if x.shape[-1] == 0 or s.ndim > 1 or s.shape[0] not in (1, x.shape[-2]) or initial.shape != x.shape[:-1]:
            raise ValueError(f"{shapes}: must be [..., C, T] with T >= 1, [C] or [1], and [..., C]")
        if not x.device == s.device == initial.device:
            raise ValueError(f"x, s, initial on devices {x.device}, {s.device}, {initial.device}: must be on one")
    dtype = torch.promote_types(x.dtype, torch.float32)
    wide, s, initial = x.to(dtype), s.to(dtype), initial.to(dtype)
    if exporting():  # evaluation, and with no function that has a gradient of its own
        return _decayed(s.unsqueeze(-1) * wide, s, initial).to(x.dtype)
    y: Tensor = _Average.apply(wide, s, initial)  # type: ignore[no-untyped-call]
    return y.to(x.dtype)


def _scan(u: Tensor, factor: Tensor, log_factor: Tensor, initial: Tensor) -> Tensor:
    """``h[t] = factor h[t-1] + u[t]``, ``h[-1] = initial``: solve for pairs of frames, then fill in every other one.

    A pair is one step of the same recurrence with the factor squared, taken from its logarithm: squares of a rounded
    factor would lose a digit at every level.
    """
    n, by = u.shape[-1], factor.unsqueeze(-1)
    out = torch.empty_like(u)
    out[..., 0] = torch.addcmul(u[..., 0], factor, initial)
    if n > 1:
        log_square = 2 * log_factor
        pairs = torch.addcmul(u[..., 1::2], u[..., : n - n % 2 : 2], by)
        out[..., 1::2] = _scan(pairs, log_square.exp(), log_square, initial)
        out[..., 2::2] = torch.addcmul(u[..., 2::2], out[..., 1 : n - 1 : 2], by)
    return out


def _decayed(u: Tensor, s: Tensor, initial: Tensor) -> Tensor:
    # log|1 - s|, to the last digit at small s; the logarithm's -inf at s = 1 makes all further factors 0
    log_factor = torch.where(s < 1, log1p(-s), torch.log(s - 1))
    return (doubled if exporting() else _scan)(u, 1 - s, log_factor, initial)


def _before(states: Tensor, initial: Tensor) -> Tensor:
    """States [..., T] shifted by one frame, ``initial`` first."""
    return torch.cat((initial.unsqueeze(-1), states[..., :-1]), -1)


class _Decay(torch.autograd.Function):
    """``h[t] = (1 - s) h[t-1] + u[t]``; its adjoint is the same recurrence, backwards in time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, s: Tensor, initial: Tensor) -> Tensor:
        return _decayed(u, s, initial)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        _, s, initial = inputs
        ctx.save_for_backward(s, initial, output)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s, initial, states = ctx.saved_tensors
        d_u = _adjoint(d, s)
        d_s = -(d_u * _before(states, initial)).sum(-1)
        return d_u, d_s.sum_to_size(s.shape), (1 - s) * d_u[..., 0]


class _Average(torch.autograd.Function):
    """The moving average. Its gradient to s is a sum of ``x[t] - M[t-1]``, not a difference of two sums."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, s: Tensor, initial: Tensor) -> Tensor:
        return _decayed(s.unsqueeze(-1) * x, s, initial)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, s, initial, states = ctx.saved_tensors
        d_u = _adjoint(d, s)
        d_s = (d_u * (x - _before(states, initial))).sum(-1)
        return s.unsqueeze(-1) * d_u, d_s.sum_to_size(s.shape), (1 - s) * d_u[..., 0]


def _adjoint(d: Tensor, s: Tensor) -> Tensor:
    """Cotangents of the states, each with the later ones that it acts on added."""
    y: Tensor = _Decay.apply(d.flip(-1), s, torch.zeros_like(d[..., 0])).flip(-1)  # type: ignore[no-untyped-call]
    return y
