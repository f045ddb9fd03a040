"""How far pooled energies are from LEAF's with the same weights, on noise and on speech."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from leaf import Leaf

CLIP = Path(__file__).parents[1] / "fixtures" / "speech" / "arctic_a0009.wav"
FLOOR = 1e-5  # LEAF's own, before PCEN


@dataclass(frozen=True)
class Error:
    """The largest of any band and clip: L2 over the frames of the difference over that of LEAF's, both floored.

    Attributes:
        as_it_is: of the energies as they come.
        put_back: of the energies with each group's multiplied by its stride, where it has not been.
    """

    as_it_is: float
    put_back: float


def signals() -> dict[str, Tensor]:
    """Clips [B, T]: two of noise of one second, and the speech of the goldens."""
    noise = np.random.default_rng(1).uniform(-1, 1, (2, 16000)).astype(np.float32)
    with wave.open(str(CLIP)) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    return {"noise": torch.from_numpy(noise), "speech": torch.from_numpy(speech)[None]}


@torch.no_grad()
def errors(module: nn.Module) -> dict[str, Error | None]:
    """Against LEAF in float64; None where the energies are not at hand."""
    pooled = getattr(module, "pooled", None) or getattr(module, "filterbank", None)
    if pooled is None:
        return dict.fromkeys(signals())
    holder = module if hasattr(module, "center_freqs") else module.filterbank
    reference = Leaf().double().eval().filterbank
    for name, parameter in reference.named_parameters():
        parameter.copy_(getattr(holder, name).double())
    gain = torch.ones(reference.n_filters, 1)
    groups = getattr(holder, "groups", None)
    for group in groups() if groups else ():
        gain[group.bands] = group.conv_stride
    return {name: _error(pooled(x[:, None]), reference(x.double()), gain) for name, x in signals().items()}


def _error(y: Tensor, right: Tensor, gain: Tensor) -> Error:
    right = right.clamp(min=FLOOR)

    def worst(e: Tensor) -> float:
        off = torch.linalg.vector_norm(e.double().clamp(min=FLOOR) - right, dim=-1)
        return float((off / torch.linalg.vector_norm(right, dim=-1)).amax())

    return Error(worst(y), worst(y * gain))
