"""A public port's state dict as ``og_leaf`` with what the port adds: its padding, and a bias on the energies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parity.adapters.public import PUBLIC, PublicPort
from parity.weights.checkpoints.files import open_file
from parity.weights.convert_file import read
from parity.weights.frontends import build
from parity.weights.inferring import infer
from parity.weights.loading import load_weights


class PlacedPooling(nn.Module):
    """A pooling with zeros put before and after by the port's rule, and its bias: [B, C, T] -> [B, C, frames].

    Args:
        pooling: of ``og_leaf``; it pads nothing from now on.
        pads: zeros before and after.
        bias: [C], added to the energies; None for none.
    """

    def __init__(self, pooling: Any, pads: tuple[int, int], bias: torch.Tensor | None) -> None:
        super().__init__()
        pooling.padding = "VALID"
        self.pooling, self.pads = pooling, pads
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool squared moduli."""
        y: torch.Tensor = self.pooling(nn.functional.pad(x, self.pads))
        return y if self.bias is None else y + self.bias[:, None]


def load_wrapped(path: Path, settings: Mapping[str, Any]) -> nn.Module:
    """Build the frontend of a state dict, a public port's with its own departures; see :func:`parity.load`.

    Raises:
        ModuleNotFoundError: the file needs h5py or safetensors, and it is not installed.
        ValueError: it cannot be read, its configuration cannot be told, or it is one that the port has otherwise.
    """
    contents = open_file(path)
    where = contents.chosen(None)
    port = PUBLIC.get(contents.hints(where).get("port", ""))
    if port is None:
        module, _, _ = read(path, None, dict(settings))
        return module
    held = contents.held(where)
    variables = port.variables(held)
    config = infer(variables, contents.hints(where), settings)
    if config.compression == "log":
        raise ValueError(f"compression='log': must be 'pcen' or 'none', {port.repository} has no log with its offset")
    n_taps = port.n_taps(held)
    if n_taps not in (None, config.window):
        raise ValueError(
            f"sample_rate={config.sample_rate}, window_len={config.window_len}: must be those of a window of {n_taps} "
            f"samples, as path={str(path)!r} has it, and mean {config.window}: give these two"
        )
    module = build(config)
    load_weights(module, variables)
    bias = torch.as_tensor(held[port.bias]) if port.bias in held else None
    return placed(module, port, config.window, bias)


def placed(module: Any, port: PublicPort, window: int, bias: torch.Tensor | None) -> nn.Module:
    """Make an ``og_leaf.Leaf`` pad as a port does, and add its bias."""
    before, after = port.pads(window)
    earlier = before - (window - 1) // 2, after - window // 2  # than SAME, which the convolution has by itself
    if any(earlier):
        module._complex_conv = nn.Sequential(nn.ConstantPad1d(earlier, 0.0), module._complex_conv)
    module._pooling = PlacedPooling(module._pooling, (before, after), bias)
    frontend: nn.Module = module.eval()
    return frontend
