"""What ``leaf`` and ``efficientleaf`` cannot hold, put around them as modules (``convert(..., wrap=True)``)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from parity.adapters import canonical
from parity.adapters.base import Adapter
from parity.adapters.canonical import Variables
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS, LeafConfig


class Preemphasis(nn.Module):
    """``k[0] x[n] + k[1] x[n+1]``: [B, T] or [B, 1, T] -> [B, 1, T]; non-causal, as the original's SAME pads it.

    Source: ``Leaf.__init__`` and ``PreempInit`` in the original's ``frontend.py`` and ``initializers.py``.
    """

    def __init__(self, kernel: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(kernel.reshape(1, 1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Emphasise audio of at least one sample."""
        x = x if x.ndim == 3 else x[:, None]
        return nn.functional.conv1d(nn.functional.pad(x, (0, 1)), self.weight)


class FlooredLog(nn.Module):
    """``log(max(x, 1e-5) + 1e-5)``: any shape; the original's ``log_compression`` and floor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compress energies."""
        return torch.log(x.clamp(min=FLOOR) + LOG_OFFSET)


class Floored(nn.Module):
    """``max(x, 1e-5)``: any shape; the original without a compression."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Limit energies from below."""
        return x.clamp(min=FLOOR)


class TimeNorm(nn.Module):
    """Instance normalisation over time with the biased variance, one frame included: [B, C, F] -> [B, C, F].

    Source: ``tfa.layers.InstanceNormalization(axis=2, epsilon=1e-6)`` in the original's ``frontend.py``.
    """

    def __init__(self, gamma: torch.Tensor, beta: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(gamma)
        self.bias = nn.Parameter(beta)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise each channel of each clip."""
        variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + NORM_EPS) * self.weight[:, None] + self.bias[:, None]


class Wrapped(nn.Module):
    """A frontend of rung 2 or 3 with what it cannot hold around it: [B, T] or [B, 1, T] -> [B, C, frames].

    Attributes:
        preemp: before the frontend, or the identity.
        frontend: the rung's own module.
        norm: after it, or the identity.
    """

    def __init__(self, preemp: nn.Module, frontend: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.preemp = preemp
        self.frontend = frontend
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the features."""
        out: torch.Tensor = self.norm(self.frontend(self.preemp(x)))
        return out


def wrapped(target: Adapter, config: LeafConfig, variables: Variables, dtype: str, **options: Any) -> Wrapped:
    """Build the rung for what it can hold and put the rest around it.

    Raises:
        ValueError: the configuration has the fixed smoother, which is no module of these rungs.
    """
    if config.compression == "fixed_pcen":
        raise ValueError("compression='fixed_pcen': must be 'pcen', 'log' or 'none' to be wrapped")
    inside = config.with_(preemp=False, mean_var_norm=False, compression="pcen")
    held = dict(variables)

    def tensor(name: str) -> torch.Tensor:
        return torch.as_tensor(held.pop(name)).to(getattr(torch, dtype))

    preemp = Preemphasis(tensor(canonical.PREEMP)) if config.preemp else nn.Identity()
    norm = TimeNorm(tensor(canonical.GAMMA), tensor(canonical.BETA)) if config.mean_var_norm else nn.Identity()
    frontend = target.build(inside, dtype=dtype, **options)
    if config.compression == "pcen":
        target.write(frontend, held)
    else:
        target.write(frontend, {**target.read(frontend), **held})
        frontend.compression = FlooredLog() if config.compression == "log" else Floored()
    return Wrapped(preemp, frontend, norm).eval()
