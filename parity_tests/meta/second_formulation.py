"""LEAF once more, in float64 PyTorch: sums written out, gradients by autograd. It shares no code with the oracle."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch


def leaf(
    variables: Mapping[str, torch.Tensor],
    x: torch.Tensor,
    window: int,
    stride: int,
    *,
    is_same: bool = True,
    compression: str = "pcen",
    floor: float = 1e-12,
) -> torch.Tensor:
    """The original's frontend: audio [B, T] to [B, C, frames]; pre-emphasis and norm if variables has theirs."""
    v = variables
    if "tfbanks_preemp/kernel" in v:
        first, second = v["tfbanks_preemp/kernel"].reshape(2)
        x = first * x + second * torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], dim=1)
    mu, sigma = v["kernel"].T
    mu = mu.clamp(0.0, math.pi)
    z = math.sqrt(2 * math.log(2)) / math.pi
    sigma = sigma.clamp(max=z * window).clamp(min=4 * z)
    t = torch.arange(window, dtype=torch.float64) - window // 2
    gaussian = torch.exp(-0.5 * (t / sigma[:, None]) ** 2) / (sigma[:, None] * math.sqrt(2 * math.pi))
    wavelets = torch.polar(gaussian, mu[:, None] * t)
    energy = (frames(x, window, 1, is_same).to(wavelets.dtype) @ wavelets.T).abs().square().transpose(1, 2)
    width = v["learnable_pooling/kernel"].reshape(-1, 1).clamp(2 / window, 0.5) * (window - 1) / 2
    weights = torch.exp(-0.5 * ((torch.arange(window) - (window - 1) / 2) / width) ** 2)
    y = (frames(energy, window, stride, is_same) * weights[:, None]).sum(dim=-1).clamp(min=1e-5)
    if compression == "log":
        y = torch.log(y + 1e-5)
    elif compression != "none":
        y = pcen(v, y, floor, learned=compression == "pcen")
    if "tfbanks_instancenorm/gamma" in v:
        gamma, beta = (v[f"tfbanks_instancenorm/{name}"][:, None] for name in ("gamma", "beta"))
        deviation = (y.var(dim=2, correction=0, keepdim=True) + 1e-6).sqrt()
        y = gamma * (y - y.mean(dim=2, keepdim=True)) / deviation + beta
    return y


def frames(x: torch.Tensor, window: int, stride: int, is_same: bool) -> torch.Tensor:
    """Windows of a signal [..., T] with zeros around: [..., frames, window]."""
    n = x.shape[-1]
    before = after = window // 2
    if is_same:
        missing = max((math.ceil(n / stride) - 1) * stride + window - n, 0)
        before, after = missing // 2, math.ceil(missing / 2)
    return torch.nn.functional.pad(x, (before, after)).unfold(-1, window, stride)


def pcen(v: Mapping[str, torch.Tensor], x: torch.Tensor, floor: float, learned: bool) -> torch.Tensor:
    """PCEN by a loop over the frames, and by the subtraction of two powers."""
    if learned:
        gain = v["PCEN/EMA/smooth"].clamp(0.0, 1.0)
        back = 1 - gain
    else:
        cell = "PCEN/simple_rnn/simple_rnn_cell/"
        gain, back = v[cell + "kernel"].diagonal(), v[cell + "recurrent_kernel"].diagonal()
    smoothed = [x[..., 0]]
    for t in range(x.shape[-1]):
        smoothed.append(gain * x[..., t] + back * smoothed[-1])
    alpha, delta = v["PCEN/alpha"].clamp(max=1.0)[:, None], v["PCEN/delta"][:, None]
    power = 1 / v["PCEN/root"].clamp(min=1.0)[:, None]
    return (x / (floor + torch.stack(smoothed[1:], dim=-1)) ** alpha + delta) ** power - delta**power


def run(
    variables: Mapping[str, np.ndarray], x: np.ndarray, cotangent: np.ndarray, window: int, stride: int, **settings
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The output, and the gradient of ``sum(cotangent * output)`` to ``input`` and to each variable."""
    leaves = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in variables.items()}
    audio = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    output = leaf(leaves, audio, window, stride, **settings)
    output.backward(torch.as_tensor(cotangent, dtype=torch.float64))
    gradients = {"input": audio, **leaves}
    return output.detach().numpy(), {name: tensor.grad.numpy() for name, tensor in gradients.items()}
