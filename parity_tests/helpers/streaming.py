"""Audio in chunks through small frontends of rungs 2 and 3."""

from __future__ import annotations

from typing import Any

import torch

import efficientleaf
import leaf
from benchmarks.memory import Peak


def small(rung: str = "leaf", **arguments: Any) -> Any:
    """A frontend of few filters at 2 kHz; of rung 3, in groups of other strides."""
    band: dict[str, Any] = {"max_freq": 900.0, "sample_rate": 2000}
    if rung == "leaf":
        return leaf.Leaf(n_filters=2, **band, **arguments)
    groups = {"num_groups": 3, "stride_factor": 4.0, "compression": "pcen"}
    return efficientleaf.EfficientLeaf(4, **band, **{**groups, **arguments})


def joined(frontend: torch.nn.Module, x: torch.Tensor, size: int) -> torch.Tensor:
    """The frames of audio in chunks of a size."""
    return torch.cat(list(frontend.stream(torch.split(x, size, -1))), -1)


def peak_of(frontend: torch.nn.Module, n_samples: int, size: int) -> int:
    """Bytes alive at once while audio is streamed in chunks of a size and its frames are dropped."""
    chunk = torch.zeros(1, size)
    with Peak() as peak:
        for _ in frontend.stream(chunk for _ in range(n_samples // size)):
            pass
    return peak.most
