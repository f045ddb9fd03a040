"""Modules that are put around ``leaf`` and ``efficientleaf`` for what these two cannot hold."""

from __future__ import annotations

import torch
from torch import nn

from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS


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


class Floored(nn.Module):
    """``max(x, 1e-5)``, or ``log(max(x, 1e-5) + 1e-5)``: any shape; the original's floor and ``log_compression``."""

    def __init__(self, log: bool) -> None:
        super().__init__()
        self.log = log

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Limit energies from below; compress them."""
        x = x.clamp(min=FLOOR)
        return torch.log(x + LOG_OFFSET) if self.log else x


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
